//! One round over the waiting queue: everybody who fits is placed, in order.

use super::{Ask, Board, Held, hold, pack, window};
use crate::plan::{Plan, Step};
use dovetail_model::{
    grant::Placement,
    id::{Revision, Tenant, WorkloadId},
    label::{Labels, Toleration},
    resources::Resources,
};
use std::collections::BTreeSet;

/// Most looks at a node in a round, for requests that turn out not to fit: about half a second at
/// the worst, where no score is kept. What is left of the queue then is tried in a later round.
const LOOKS_MAX: usize = 5_000_000;
/// So many different requests are tried even where the nodes are many.
const REFUSED_MIN: usize = 256;

/// What a round decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// To commit at once.
    pub plan: Plan,
    /// What the solver should look at before it is committed.
    pub held: Option<Held>,
    /// Who was tried and does not fit, in queue order.
    pub waiting: Vec<WorkloadId>,
}

/// One scheduling round over the waiting queue in order, with a problem for the solver if one may be
/// made. Since nobody is placed before everybody
/// ahead of them was tried, no newcomer overtakes a waiter who fits.
///
/// The board is as before when it returns: what is decided is not yet taken.
pub fn round<'a>(
    board: &mut Board,
    revision: Revision,
    queue: impl IntoIterator<Item = Ask<'a>>,
    problem_id: Option<u64>,
) -> Round {
    board.begin_trial();
    let mut draft = Draft::new(board);
    for ask in queue {
        if !draft.offer(ask) {
            break;
        }
    }
    let held = problem_id.and_then(|id| {
        hold::hold(&draft, revision, id).or_else(|| window::window(&mut draft, revision, id))
    });
    draft.board.end_trial();
    draft.into_round(revision, held)
}

/// Everything of a request that the rules look at: two equal ones fit or fail together.
pub(crate) type Class<'a> = (&'a Tenant, &'a Resources, u32, &'a Labels, &'a [Toleration]);

/// A round in the making.
pub(super) struct Draft<'b, 'a> {
    /// Room that is left.
    pub(super) board: &'b mut Board,
    /// In queue order.
    pub(super) placed: Vec<Drafted<'a>>,
    /// In queue order.
    pub(super) waiting: Vec<Waiting<'a>>,
    /// Requests that did not fit. Room only shrinks in a round, so they will not.
    refused: BTreeSet<Class<'a>>,
    length: usize,
}

/// A workload with a place in the draft.
pub(super) struct Drafted<'a> {
    pub(super) position: usize,
    pub(super) ask: Ask<'a>,
    pub(super) placements: Vec<Placement>,
}

/// A workload without.
pub(super) struct Waiting<'a> {
    pub(super) position: usize,
    pub(super) ask: Ask<'a>,
}

impl<'b, 'a> Draft<'b, 'a> {
    fn new(board: &'b mut Board) -> Self {
        Self {
            board,
            placed: Vec::new(),
            waiting: Vec::new(),
            refused: BTreeSet::new(),
            length: 0,
        }
    }

    /// Tries the next of the queue. False: the round has looked at enough.
    fn offer(&mut self, ask: Ask<'a>) -> bool {
        let position = self.length;
        self.length += 1;
        let class = class(&ask);
        if self.refused.contains(&class) {
            self.waiting.push(Waiting { position, ask });
            return true;
        }
        if self.refused.len() >= refused_max(self.board.view().nodes.len()) {
            return false;
        }
        match pack::place(self.board, &ask) {
            Some(placements) => self.placed.push(Drafted {
                position,
                ask,
                placements,
            }),
            None => {
                self.refused.insert(class);
                self.waiting.push(Waiting { position, ask });
            }
        }
        true
    }

    fn into_round(self, revision: Revision, held: Option<Held>) -> Round {
        let is_held = |id: WorkloadId| {
            let mut steps = held.iter().flat_map(|held| &held.greedy.steps);
            steps.any(|step| step.workload == id)
        };
        let placed = self.placed.into_iter().map(Drafted::into_step);
        let steps = placed.filter(|step| !is_held(step.workload)).collect();
        let waiting = self.waiting.into_iter();
        Round {
            plan: Plan {
                parent: revision,
                steps,
            },
            waiting: waiting.map(|w| w.ask.workload).collect(),
            held,
        }
    }
}

impl Drafted<'_> {
    pub(super) fn into_step(self) -> Step {
        Step {
            workload: self.ask.workload,
            placements: self.placements,
        }
    }
}

pub(crate) fn class<'a>(ask: &Ask<'a>) -> Class<'a> {
    (
        ask.tenant,
        ask.resources(),
        ask.spec.gang_size,
        &ask.spec.node_selector,
        &ask.spec.tolerations,
    )
}

fn refused_max(nodes: usize) -> usize {
    (LOOKS_MAX / nodes.max(1)).max(REFUSED_MIN)
}
