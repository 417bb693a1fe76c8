//! What came back from the solver: data like any other input, trusted by nobody.

use crate::{
    packing::Prices,
    problem::{exact::Assignment, repair::Repaired, window::Packed},
};
use serde::{Deserialize, Serialize};

/// An answer to a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The problem's id.
    pub problem: u64,
    /// The answer, of the problem's kind.
    pub answer: Answer,
    /// Time it took in microseconds, for people.
    pub elapsed_us: u64,
}

/// An answer, by kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To an exact problem.
    Exact(Assigned),
    /// To a window.
    Window(Packed),
    /// To a fluid problem.
    Fluid(Prices),
    /// To a repair problem; nothing if no way was found.
    Repair(Option<Repaired>),
}

/// An answer to an exact problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    /// How far the search came.
    pub status: Status,
    /// Items that are placed; the others wait.
    pub assignments: Vec<Assignment>,
    /// What it took.
    pub stats: Stats,
}

/// How far the search came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Nothing better exists.
    Optimal,
    /// The best found within the limits.
    Limited,
    /// Nothing better than the start was found within the limits.
    Start,
}

/// What an exact solve took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Rows of the model.
    pub rows: u64,
    /// Columns of the model.
    pub columns: u64,
    /// Models solved, one per priority tier.
    pub models: u64,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SolveFailure {
    /// The process overran its hard limit and was killed.
    Killed,
    /// The process died or did not answer sensibly.
    Failed(String),
    /// The solver is switched off.
    Disabled,
}
