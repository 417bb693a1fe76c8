//! What operators decide, as data.

use crate::problem::Limits;
use dovetail_model::time::SECOND_NS;

/// Operators' decisions that the engine follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Different tenants may share a GPU.
    pub tenants_share_gpus: bool,
    /// Workloads may run as uid 0.
    pub root_workloads: bool,
    /// Most workloads that may wait.
    pub pending_max: usize,
    /// Batch work may wait for the solver.
    pub solver: bool,
    /// Limits of one solve.
    pub limits: Limits,
    /// How long several waiting batch workloads are gathered before they are packed together.
    pub window_ns: u64,
    /// A node that has not reported for this long is unreachable.
    pub lease_ns: u64,
    /// A gang whose members do not all run after this long is stopped.
    pub start_timeout_ns: u64,
    /// How many ended workloads are remembered.
    pub ended_max: usize,
    /// How long request ids are remembered.
    pub request_window_ns: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tenants_share_gpus: false,
            root_workloads: false,
            pending_max: 100_000,
            solver: true,
            limits: Limits {
                soft_ms: 250,
                hard_ms: 500,
                seed: 1,
            },
            window_ns: SECOND_NS / 5,
            lease_ns: 15 * SECOND_NS,
            start_timeout_ns: 60 * SECOND_NS,
            ended_max: 100_000,
            request_window_ns: 24 * 3600 * SECOND_NS,
        }
    }
}
