//! The window problem: much work waits, in classes, and many nodes have room for it.

use crate::packing::{Demand, Room};
use serde::{Deserialize, Serialize};

/// What waits, and the room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Candidate nodes, one by one; equal rooms are put together by the solver.
    pub nodes: Vec<Room>,
    /// What waits.
    pub classes: Vec<Class>,
    /// The online plan: complete, valid, and the least the solver may return.
    pub start: Vec<Put>,
    /// Random seed of the search.
    pub seed: u64,
}

/// Equal workloads of one member each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// What each takes.
    pub demand: Demand,
    /// How many wait.
    pub count: u32,
    /// Tiers are lexicographic: a higher one is never given up for lower ones.
    pub priority: i32,
    /// What placing one is worth, within its tier.
    pub worth: u64,
}

/// One workload of a class on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Index into `classes`.
    pub class: usize,
    /// Index into `nodes`.
    pub node: usize,
    /// Indices into the node's GPUs.
    pub gpus: Vec<usize>,
}

/// An answer to a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    /// What is placed; the rest waits.
    pub puts: Vec<Put>,
    /// Upper bound of the worth that any answer could have.
    pub ceiling: u64,
    /// What classes rounded together cost of the ceiling, in thousandths, rounded up.
    pub coarsening_permille: u64,
    /// What it took.
    pub effort: Effort,
}

/// What a search took, in counts that are equal on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Different rooms.
    pub node_classes: u64,
    /// Different demands.
    pub work_classes: u64,
    /// Columns made.
    pub columns: u64,
    /// Rounds of column generation.
    pub rounds: u64,
    /// Dives.
    pub dives: u64,
}
