//! Why a workload waits: the rules' own reasons, collected per node and GPU.

use dovetail_model::{
    gpu::GpuModel,
    id::{GpuUuid, NodeName, Revision, SliceId},
    reason::Reason,
    units::{Bytes, GpuMilli},
};

/// Why a workload does not start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it needs, in one line.
    pub needs: String,
    /// The dominant reason; absent: it is placed or would start now.
    pub reason: Option<Reason>,
    /// Position among those that wait, from 1; 0: it does not wait.
    pub queue_position: usize,
    /// How many wait.
    pub queue_length: usize,
    /// How many nodes give each token first, most frequent first.
    pub counts: Vec<(&'static str, usize)>,
    /// Nodes, nearest miss first.
    pub nodes: Vec<NodeVerdict>,
    /// Changes that were tried and make it fit.
    pub remedies: Vec<Remedy>,
    /// The revision it was made at.
    pub revision: Revision,
}

/// What one node says to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The node.
    pub node: NodeName,
    /// Members that would fit here now.
    pub members_fit: u32,
    /// Reasons of the node as a whole.
    pub reasons: Vec<Reason>,
    /// Every GPU; empty for a CPU-only workload.
    pub gpus: Vec<GpuVerdict>,
}

/// What one GPU says to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuVerdict {
    /// The driver's index.
    pub index: u32,
    /// The driver's identity.
    pub uuid: GpuUuid,
    /// Short model.
    pub model: GpuModel,
    /// Compute free.
    pub compute_free: GpuMilli,
    /// Memory free.
    pub memory_free: Bytes,
    /// Why not; absent: it would do.
    pub reason: Option<Reason>,
    /// Slices on it.
    pub slices: Vec<SliceId>,
}

/// A change that makes a workload fit now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// For people.
    pub text: String,
    /// Flags of `dovetail submit`.
    pub flags: String,
}
