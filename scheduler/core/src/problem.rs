//! A packing problem as plain data: it can be sent to another process, kept and replayed.

pub mod fluid;
pub mod repair;
pub mod window;

use dovetail_model::{
    id::{NodeName, Revision, WorkloadId},
    units::{Bytes, CpuMilli, GpuMilli},
};
use serde::{Deserialize, Serialize};

/// Most nodes of an exact model.
pub const NODES_MAX: usize = 6;
/// Most integer columns of an exact model: beyond this HiGHS does not answer in time.
pub const INTEGERS_MAX: usize = 600;

/// Which workloads go where, on a few nodes, with a complete first answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the problem in its outcome.
    pub id: u64,
    /// The revision it was made from.
    pub revision: Revision,
    /// When to stop.
    pub limits: Limits,
    /// At most `NODES_MAX`.
    pub nodes: Vec<Node>,
    /// Workloads to place or to leave waiting, in queue order.
    pub items: Vec<Item>,
    /// The greedy answer: complete, valid, and the least the solver may return.
    pub start: Vec<Assignment>,
}

/// When to stop. Tests stop by nodes on one thread; only production stops by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Search time after which the best answer so far is returned.
    pub soft_ms: u64,
    /// Time after which the process is killed by its parent.
    pub hard_ms: u64,
    /// Random seed of the search.
    pub seed: u32,
}

/// Free room of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// CPU free.
    pub cpu: CpuMilli,
    /// Memory free.
    pub memory: Bytes,
    /// Slices that may be added.
    pub slices: u32,
    /// Its GPUs.
    pub gpus: Vec<Gpu>,
}

/// Free room of a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Compute free.
    pub compute: GpuMilli,
    /// Memory free.
    pub memory: Bytes,
    /// Nobody is on it and nothing foreign uses it: it can be given whole.
    pub empty: bool,
}

/// A workload to place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The workload.
    pub workload: WorkloadId,
    /// Tiers are lexicographic: a higher one is never given up for lower ones.
    pub priority: i32,
    /// Identical members; all or none.
    pub members: u32,
    /// Sharers of a GPU must have the same number here.
    pub tenant: u32,
    /// CPU of a member.
    pub cpu: CpuMilli,
    /// Memory of a member.
    pub memory: Bytes,
    /// Whole GPUs of a member; 0 for a share or none.
    pub whole_gpus: u32,
    /// Where a member may go at all, as the rules say: one entry per node that will do.
    pub places: Vec<Place>,
}

/// A node that will do for a member of an item, apart from free room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index into `nodes`.
    pub node: usize,
    /// GPUs that will do, with what the member takes of each. Empty for a CPU-only item.
    pub gpus: Vec<GpuTake>,
}

/// What a member takes of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuTake {
    /// Index into the node's `gpus`.
    pub gpu: usize,
    /// Compute taken.
    pub compute: GpuMilli,
    /// Memory taken.
    pub memory: Bytes,
}

/// One item and the places of all its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Index into `items`.
    pub item: usize,
    /// One per member.
    pub members: Vec<Slot>,
}

/// Where one member goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Index into `nodes`.
    pub node: usize,
    /// Indices into the node's `gpus`: as many as whole GPUs asked, one for a share.
    pub gpus: Vec<usize>,
}
