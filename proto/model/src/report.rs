//! What exists on a node: an agent's word to the scheduler.

use crate::{
    id::{Epoch, SliceId},
    resources::Level,
    time::WallNs,
    units::Bytes,
};
use serde::{Deserialize, Serialize};

/// Most bytes of output kept in an exit record.
pub const TAIL_MAX_BYTES: usize = 4096;

/// Every slice on the node, and every end not acknowledged yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SliceReport {
    /// The newest desired state obeyed.
    pub obeyed: Epoch,
    /// Slices of this cluster.
    pub slices: Vec<SliceStatus>,
    /// Slices that are not this cluster's, or that no desired state names.
    pub orphaned: Vec<String>,
}

/// One slice on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceStatus {
    /// The slice.
    pub slice: SliceId,
    /// What it is doing.
    pub state: SliceState,
    /// The enforcement it has.
    pub level: Level,
}

/// What a slice on a node is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SliceState {
    /// Waits for an older slice to leave.
    Waiting,
    /// Being made.
    Starting,
    /// Its process runs.
    Running,
    /// Being stopped.
    Stopping,
    /// Ended, and nothing of it is left in the kernel.
    Exited(ExitRecord),
}

/// Why and how a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// What ended it.
    pub cause: ExitCause,
    /// When it started, if it did.
    pub started_at: Option<WallNs>,
    /// When it ended.
    pub ended_at: WallNs,
    /// The last bytes of its output.
    pub output_tail: String,
}

/// What ended an attempt of one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitCause {
    /// It returned this code.
    Exit(i32),
    /// This signal, sent by itself or by a person.
    Signal(i32),
    /// The kernel, for its memory limit.
    Oom,
    /// It ran longer than allowed.
    Timeout,
    /// It could not be started.
    StartFailed(String),
    /// Its node rebooted or was forgotten.
    NodeLost,
    /// The scheduler asked for it.
    Evicted,
}

impl ExitCause {
    /// Whether the member did what it was asked to.
    pub fn is_success(&self) -> bool {
        *self == Self::Exit(0)
    }
}

/// Totals of a slice since its start: repeating them changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceUsage {
    /// The slice.
    pub slice: SliceId,
    /// CPU time.
    pub cpu_ns: u64,
    /// Time since its start by the node's boot clock.
    pub elapsed_ns: u64,
    /// Memory in use now.
    pub memory: Bytes,
}
