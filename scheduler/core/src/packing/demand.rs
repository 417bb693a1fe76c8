//! What a member of a workload takes of a node.

use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use serde::{Deserialize, Serialize};

/// What one member takes, and where it may go at all. Equal demands are one class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Demand {
    /// CPU.
    pub cpu: CpuMilli,
    /// Memory.
    pub memory: Bytes,
    /// Sharers of a GPU have the same number here; one for all where tenants may share.
    pub tenant: u32,
    /// What of GPUs.
    pub gpus: Gpus,
    /// By device: what is taken of one, or nothing if it will not do.
    pub takes: Vec<Option<Take>>,
    /// By kind of node: whether it will do.
    pub kinds: Vec<bool>,
}

/// How many GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Gpus {
    /// None.
    None,
    /// A share of one.
    Share,
    /// So many whole ones, at least 1.
    Whole(u32),
}

/// What is taken of one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Take {
    /// Compute; 1000 of a whole GPU.
    pub compute: GpuMilli,
    /// Memory; all of a whole GPU.
    pub memory: Bytes,
}

impl Demand {
    /// Whether nodes of this kind will do.
    pub fn may_go_to(&self, kind: u32) -> bool {
        self.kinds.get(kind as usize).copied().unwrap_or(false)
    }

    /// What it takes of one GPU of this device, if such a GPU will do.
    pub fn take_of(&self, device: u32) -> Option<Take> {
        self.takes.get(device as usize).copied().flatten()
    }

    /// GPUs it takes.
    pub fn gpu_count(&self) -> u32 {
        match self.gpus {
            Gpus::None => 0,
            Gpus::Share => 1,
            Gpus::Whole(count) => count,
        }
    }

    /// Compute it takes on this device, of all its GPUs.
    pub fn compute_on(&self, device: u32) -> GpuMilli {
        let each = self.take_of(device).map_or(GpuMilli::ZERO, |t| t.compute);
        each.times(self.gpu_count().into())
    }
}
