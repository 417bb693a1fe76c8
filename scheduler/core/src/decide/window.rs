//! Much that waits, for the window engine: batch work that this round placed and batch work that it
//! did not, on the nodes that matter to them.
//!
//! Both must be there for anything to be gained: what the round refused fits nowhere beside what it
//! placed.

mod bound;

use super::{
    Ask, Board,
    board::ClassId,
    hold::{Held, is_batch},
    round::{Draft, Drafted},
};
use crate::{
    packing::{Demand, Room},
    plan::{Plan, Step},
    problem::{
        Problem, Task,
        window::{Class, Put, Window},
    },
};
use dovetail_model::{
    grant::Placement,
    id::{NodeName, Revision, WorkloadId},
};
use std::collections::{BTreeMap, BTreeSet};

/// Most workloads of a window: what comes later waits for the next.
const WORKLOADS_MAX: usize = 500;
/// Most nodes: the window engine takes about as many different rooms within its limits.
const NODES_MAX: usize = 1000;
/// Nodes offered to each class beside those that this round chose, best first.
const NODES_PER_CLASS: usize = 64;
/// What placing a member is worth beside its compute, in thousandths of a GPU: more favours many
/// small ones, less a few large ones.
const MEMBER_WORTH: u64 = 60;
/// CPU that is worth a thousandth of a GPU, for work without one.
const CPU_MILLI_PER_WORTH: u64 = 40;

/// What the numbers of a window stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// By index of a node.
    pub(super) nodes: Vec<NodeName>,
    /// By class, in queue order.
    pub(super) workloads: Vec<Vec<WorkloadId>>,
}

/// The window of a round, if something may be gained by one.
pub(super) fn window(draft: &mut Draft<'_, '_>, revision: Revision, id: u64) -> Option<Held> {
    let Draft {
        board,
        placed,
        waiting,
        ..
    } = draft;
    let (ours, others): (Vec<_>, Vec<_>) = placed.iter().partition(|d| is_alone(&d.ask));
    let refused = waiting.iter().filter(|w| is_alone(&w.ask));
    let mut asks: Vec<(usize, Ask<'_>)> = refused.map(|w| (w.position, w.ask)).collect();
    if asks.is_empty() || ours.is_empty() || ours.len() >= WORKLOADS_MAX {
        return None;
    }
    asks.truncate(WORKLOADS_MAX - ours.len());
    asks.extend(ours.iter().map(|d| (d.position, d.ask)));
    asks.sort_by_key(|(position, _)| *position);
    let mut classes = Classes::default();
    for (_, ask) in &asks {
        classes.add(board, ask);
    }
    let nodes = nodes(board, &classes, &ours);
    let window = Window {
        nodes: rooms(board, &nodes, &others),
        start: ours
            .iter()
            .filter_map(|d| classes.put(board, &nodes, d))
            .collect(),
        classes: classes.all,
        seed: id,
    };
    if !bound::may_gain(&window) {
        return None;
    }
    let steps = ours.iter().map(|d| Step {
        workload: d.ask.workload,
        placements: d.placements.clone(),
    });
    Some(Held {
        workloads: asks.iter().map(|(_, ask)| ask.workload).collect(),
        greedy: Plan {
            parent: revision,
            steps: steps.collect(),
        },
        names: Some(Names {
            nodes: nodes
                .iter()
                .map(|index| board.view().nodes[*index].name.clone())
                .collect(),
            workloads: classes.workloads,
        }),
        problem: Problem {
            id,
            revision,
            limits: board.policy().limits,
            task: Task::Window(window),
        },
    })
}

fn is_alone(ask: &Ask<'_>) -> bool {
    is_batch(ask) && ask.spec.gang_size == 1
}

/// Classes as the window numbers them.
#[derive(Default)]
struct Classes {
    all: Vec<Class>,
    ids: Vec<ClassId>,
    workloads: Vec<Vec<WorkloadId>>,
    numbers: BTreeMap<(i32, ClassId), usize>,
}

impl Classes {
    fn add(&mut self, board: &mut Board, ask: &Ask<'_>) {
        let (priority, id) = (ask.spec.priority, board.class(ask));
        let number = *self.numbers.entry((priority, id)).or_insert_with(|| {
            let demand = board.demand_of(id).clone();
            self.ids.push(id);
            self.workloads.push(Vec::new());
            self.all.push(Class {
                worth: worth(&demand),
                demand,
                count: 0,
                priority,
            });
            self.all.len() - 1
        });
        self.all[number].count += 1;
        self.workloads[number].push(ask.workload);
    }

    /// Where a workload of the round is, in the window's numbers.
    fn put(&self, board: &mut Board, nodes: &[usize], drafted: &Drafted<'_>) -> Option<Put> {
        let key = (drafted.ask.spec.priority, board.class(&drafted.ask));
        let (index, gpus) = place(board, drafted.placements.first()?)?;
        Some(Put {
            class: *self.numbers.get(&key)?,
            node: nodes.iter().position(|node| *node == index)?,
            gpus,
        })
    }
}

/// Nodes that this round chose for them, and the best others for every class.
fn nodes(board: &mut Board, classes: &Classes, ours: &[&Drafted<'_>]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let placements = ours.iter().flat_map(|d| &d.placements);
    let chosen = placements.filter_map(|p| board.view().index_of(&p.node));
    let mut nodes: Vec<usize> = chosen.filter(|index| seen.insert(*index)).collect();
    for id in &classes.ids {
        let best = board.top(*id, NODES_PER_CLASS);
        nodes.extend(best.into_iter().filter(|index| seen.insert(*index)));
    }
    nodes.truncate(NODES_MAX);
    nodes
}

/// Room on the nodes after everything in the round but what the window decides.
fn rooms(board: &mut Board, nodes: &[usize], others: &[&Drafted<'_>]) -> Vec<Room> {
    let mut rooms: Vec<Room> = nodes
        .iter()
        .map(|n| board.room_before(*n).clone())
        .collect();
    for drafted in others {
        let id = board.class(&drafted.ask);
        for placement in &drafted.placements {
            let Some((index, gpus)) = place(board, placement) else {
                continue;
            };
            if let Some(at) = nodes.iter().position(|node| *node == index) {
                rooms[at].take(board.demand_of(id), &gpus);
            }
        }
    }
    rooms
}

/// Index of the node, and of the GPUs on it.
fn place(board: &Board, placement: &Placement) -> Option<(usize, Vec<usize>)> {
    let index = board.view().index_of(&placement.node)?;
    let gpus = &board.view().nodes[index].gpus;
    let on = placement.gpus.iter();
    let on = on.map(|grant| gpus.iter().position(|gpu| gpu.uuid == grant.uuid));
    Some((index, on.collect::<Option<_>>()?))
}

fn worth(demand: &Demand) -> u64 {
    let takes = demand.takes.iter().flatten();
    let compute = takes.map(|take| take.compute.0).max().unwrap_or(0);
    let size = match demand.gpu_count() {
        0 => demand.cpu.0 / CPU_MILLI_PER_WORTH,
        count => compute.saturating_mul(count.into()),
    };
    size.saturating_add(MEMBER_WORTH)
}
