//! The repair problem: work fits nowhere, and a few residents may move, or be stopped, so that it does.

use super::exact::Slot;
use crate::packing::{Demand, Room};
use serde::{Deserialize, Serialize};

/// Most residents that one repair moves or stops: each of them is hurt for somebody else's sake.
pub const STEPS_MAX: u32 = 16;
/// Most rooms of an exact model.
pub const ROOMS_MAX: usize = 32;
/// Most integer columns of an exact model: beyond this HiGHS seldom answers within 50 ms.
pub const INTEGERS_MAX: usize = 400;

/// Work that fits nowhere, and the residents that may make way for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Each node as it is without the residents below; who is not among them never moves.
    pub bare: Vec<Room>,
    /// What residents and the blocked take; equal demands are one class.
    pub classes: Vec<Demand>,
    /// Who is there and could go. All of them fit into the bare rooms together.
    pub residents: Vec<Resident>,
    /// Class of the blocked.
    pub blocked: usize,
    /// Its members, all or none.
    pub members: u32,
    /// Its priority.
    pub priority: i32,
    /// Most residents that move or stop, at most `STEPS_MAX`.
    pub steps_max: u32,
    /// Random seed of the solver.
    pub seed: u32,
}

/// Someone on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// Whatever the caller knows it by.
    pub key: u64,
    /// Index into `classes`.
    pub class: usize,
    /// Where it is.
    pub at: Slot,
    /// Its priority.
    pub priority: i32,
    /// What moving it costs; nothing: it never moves.
    pub move_cost: Option<u64>,
    /// What stopping it costs; nothing: it is never stopped.
    pub stop_cost: Option<u64>,
}

/// An answer: do the steps in order, then place the blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// Each has room when the ones before it are done.
    pub steps: Vec<Step>,
    /// Where the members of the blocked go then.
    pub slots: Vec<Slot>,
    /// What all steps cost.
    pub cost: u64,
}

/// One resident moves or is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Index into `residents`.
    pub resident: usize,
    /// Where it goes; nothing: it is stopped.
    pub to: Option<Slot>,
}

impl Repair {
    /// What stopping the resident costs, if it may be stopped for the blocked at all: only work of
    /// a lower priority is.
    pub fn stop_cost(&self, resident: usize) -> Option<u64> {
        let resident = &self.residents[resident];
        let lower = resident.priority < self.priority;
        resident.stop_cost.filter(|_| lower)
    }

    /// What the step costs, if it is allowed.
    pub fn cost(&self, step: &Step) -> Option<u64> {
        match step.to {
            Some(_) => self.residents.get(step.resident)?.move_cost,
            None => self.stop_cost(step.resident),
        }
    }

    /// Steps that there may be.
    pub fn steps_limit(&self) -> usize {
        self.steps_max.min(STEPS_MAX) as usize
    }
}

/// A move interrupts somebody, however small: it counts as so much compute on top of what moves.
const INTERRUPTION_MILLI: u64 = 1000;

impl Resident {
    /// What moving costs somebody with so much GPU compute: it times the declared cost of a
    /// restart.
    pub fn cost_of_move(compute_milli: u64, restart_cost: u64) -> u64 {
        let disturbed = compute_milli.saturating_add(INTERRUPTION_MILLI);
        disturbed.saturating_mul(restart_cost)
    }
}
