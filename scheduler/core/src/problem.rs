//! What the solver is asked, as plain data: it can be sent to another process, kept and replayed.

pub mod exact;
pub mod fluid;
pub mod repair;
pub mod window;

use dovetail_model::id::Revision;
use exact::Exact;
use fluid::Fluid;
use repair::Repair;
use serde::{Deserialize, Serialize};
use window::Window;

/// A task, where it comes from, and when to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Names the problem in its outcome.
    pub id: u64,
    /// The revision it was made from.
    pub revision: Revision,
    /// When to stop.
    pub limits: Limits,
    /// What to solve.
    pub task: Task,
}

/// The kinds of problems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// A few nodes, exactly.
    Exact(Exact),
    /// Much waiting work on many nodes, by patterns.
    Window(Window),
    /// Prices and plan for a mix, in the background: nobody waits for it.
    Fluid(Fluid),
    /// Who moves so that something blocked fits, exactly, on few nodes: an explanation waits for it,
    /// and no placement.
    Repair(Repair),
}

impl Task {
    /// Whether no placement waits for the answer.
    pub fn is_background(&self) -> bool {
        match self {
            Self::Fluid(_) | Self::Repair(_) => true,
            Self::Exact(_) | Self::Window(_) => false,
        }
    }
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
