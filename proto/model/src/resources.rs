//! What a workload asks for, and how strongly it is held to it.

use crate::{
    gpu::ModelPattern,
    units::{Bytes, CpuMilli, GpuMilli},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How strongly a slice is held to its limits; higher holds more. See the enforcement ladder.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// Nothing is enforced.
    None,
    /// Cgroup limits and the device fence; what a GPU's sharers do to each other is not held.
    #[default]
    Shared,
    /// A watchdog acts after the fact.
    Policed,
    /// A stand-in library counts; evadable.
    Cooperative,
    /// MPS limits per client process.
    HardPerProcess,
    /// The driver limits the slice's cgroup.
    Hard,
    /// A device of its own.
    Isolated,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Shared => "shared",
            Self::Policed => "policed",
            Self::Cooperative => "cooperative",
            Self::HardPerProcess => "hard-per-process",
            Self::Hard => "hard",
            Self::Isolated => "isolated",
        })
    }
}

/// What one member of a workload asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// CPU guaranteed.
    pub cpu: CpuMilli,
    /// CPU at most, at least `cpu`.
    pub cpu_limit: CpuMilli,
    /// Memory: request and limit are one.
    pub memory: Bytes,
    /// GPUs, if any.
    pub gpu: Option<GpuRequest>,
    /// The weakest enforcement that will do.
    pub minimum_level: Level,
}

/// GPUs asked for by one member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GpuRequest {
    /// How much.
    pub amount: GpuAmount,
    /// Models that will do; empty: every model.
    pub models: Vec<ModelPattern>,
}

/// How much GPU one member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GpuAmount {
    /// Whole GPUs on one node.
    Whole {
        /// How many, at least 1.
        count: u32,
    },
    /// A share of one GPU.
    Share(GpuShare),
}

/// A share of one GPU; what is not said follows from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GpuShare {
    /// Compute, and memory in proportion.
    Compute(GpuMilli),
    /// Memory, and compute in proportion.
    Memory(Bytes),
    /// Both said.
    Both(GpuMilli, Bytes),
}

impl GpuShare {
    /// Compute and memory on a device of this size.
    pub fn on(self, device: Bytes) -> (GpuMilli, Bytes) {
        match self {
            Self::Compute(compute) => (compute, proportional_memory(compute, device)),
            Self::Memory(memory) => (proportional_compute(memory, device), memory),
            Self::Both(compute, memory) => (compute, memory),
        }
    }
}

/// floor(device * compute / 1000).
fn proportional_memory(compute: GpuMilli, device: Bytes) -> Bytes {
    let product = u128::from(device.0) * u128::from(compute.0) / 1000;
    Bytes(u64::try_from(product).unwrap_or(u64::MAX))
}

/// ceil(1000 * memory / device); more than a device if the device is smaller.
fn proportional_compute(memory: Bytes, device: Bytes) -> GpuMilli {
    let device = u128::from(device.0.max(1));
    let share = (u128::from(memory.0) * 1000).div_ceil(device);
    GpuMilli(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_what_is_not_said_from_the_device() {
        let device = Bytes(80 << 30);
        assert_eq!(
            GpuShare::Compute(GpuMilli(300)).on(device),
            (GpuMilli(300), Bytes((80 << 30) * 3 / 10))
        );
        assert_eq!(
            GpuShare::Memory(Bytes(1)).on(device),
            (GpuMilli(1), Bytes(1))
        );
        assert_eq!(
            GpuShare::Memory(Bytes(40 << 30)).on(device),
            (GpuMilli(500), Bytes(40 << 30))
        );
        assert!(GpuShare::Memory(Bytes(81 << 30)).on(device).0 > GpuMilli(1000));
    }
}
