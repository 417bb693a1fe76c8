//! What moving others would do for a workload that fits nowhere.

use crate::problem::repair::STEPS_MAX;
use dovetail_model::{
    grant::Placement,
    id::{Name, WorkloadId},
};

/// What moving others would do. It is a proposal: nobody carries it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moving {
    /// Placed workloads of one member that may move and were looked at.
    pub movable: usize,
    /// In this order, each has room when those before it are done. None: no way was found.
    pub moves: Vec<Move>,
    /// Where the members of the workload would go then.
    pub placements: Vec<Placement>,
    /// What all moves cost, in seconds of work lost.
    pub cost_seconds: u64,
}

/// One workload that would move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The workload.
    pub workload: WorkloadId,
    /// Its name; absent if who asks may not see it.
    pub name: Option<Name>,
    /// Where it is.
    pub from: Placement,
    /// Where it would go.
    pub to: Placement,
    /// Seconds of work that it would lose.
    pub cost_seconds: u64,
}

impl Moving {
    /// The same for people.
    pub fn text(&self) -> String {
        match (self.moves.len(), self.movable) {
            (0, 0) => "no running workload of one member may be moved (`--movable`)".to_owned(),
            (0, looked) => format!(
                "no way to make room was found with at most {STEPS_MAX} moves; {looked} movable \
                 workloads were looked at"
            ),
            (1, _) => self.proposal("1 move"),
            (count, _) => self.proposal(&format!("{count} moves")),
        }
    }

    fn proposal(&self, moves: &str) -> String {
        format!(
            "{moves} would make room, for {} s of work lost; this is a proposal, Dovetail does not \
             move work by itself yet",
            self.cost_seconds
        )
    }
}
