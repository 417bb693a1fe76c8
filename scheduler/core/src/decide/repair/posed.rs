//! A blocked workload on a board as a repair problem, and an answer to it as placements.

use crate::{
    decide::{Ask, Board, pack},
    packing::{Demand, GpuRoom, Room},
    plan::Step,
    problem::{
        exact::Slot,
        repair::{Repair, Repaired, Resident, STEPS_MAX},
    },
    view::NodeView,
};
use dovetail_model::{
    gpu::GpuHealth,
    grant::Placement,
    id::NodeName,
    units::{Bytes, GpuMilli, WHOLE_GPU},
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Most workloads of one node that are looked at, the cheapest to move: more than twice the steps
/// there may be says little, and a look takes the square of it.
const MOVERS_ON_NODE_MAX: usize = 2 * STEPS_MAX as usize;
/// Most workloads that are looked at, at some microseconds each if they are all different.
const MOVERS_MAX: usize = 1024;

/// A placed workload of one member that may move.
#[derive(Debug, Clone, Copy)]
pub struct Mover<'a> {
    /// Its next attempt.
    pub ask: Ask<'a>,
    /// Where it is.
    pub at: &'a Placement,
    /// What moving it costs.
    pub cost: u64,
}

/// A problem, and what its numbers stand for.
#[derive(Debug)]
pub struct Posed<'a> {
    repair: Repair,
    blocked: Ask<'a>,
    /// By resident.
    movers: Vec<Mover<'a>>,
    /// By room: the node's index in the view.
    nodes: Vec<usize>,
}

impl<'a> Posed<'a> {
    /// The blocked and whoever may move for it, as asked for each node: nodes that could take the
    /// blocked if they were empty come first, and of those the ones with the most free GPU.
    pub fn new(
        board: &mut Board,
        blocked: Ask<'a>,
        movers_on: impl Fn(&NodeName) -> Vec<Mover<'a>>,
    ) -> Self {
        let demand = board.demand(&blocked).clone();
        let mut posed = Self {
            repair: Repair {
                bare: Vec::new(),
                classes: Vec::new(),
                residents: Vec::new(),
                blocked: 0,
                members: blocked.spec.gang_size,
                priority: blocked.spec.priority,
                steps_max: STEPS_MAX,
                seed: 0,
            },
            blocked,
            movers: Vec::new(),
            nodes: in_order(board),
        };
        let nodes = posed.nodes.iter();
        let alone: Vec<Room> = nodes.map(|index| alone(board, *index)).collect();
        posed.find_movers(board, &demand, &alone, movers_on);
        posed.number(board, demand, &alone);
        posed
    }

    /// The problem.
    pub fn repair(&self) -> &Repair {
        &self.repair
    }

    /// Workloads that may move and were looked at.
    pub fn movers(&self) -> &[Mover<'a>] {
        &self.movers
    }

    /// What an answer means on the board that the problem is of: who goes where, in order, and where
    /// the blocked goes then.
    pub fn steps(&self, board: &Board, answer: &Repaired) -> Option<(Vec<Step>, Step)> {
        let moved = answer.steps.iter().map(|step| {
            let ask = &self.movers.get(step.resident)?.ask;
            self.step(board, ask, step.to.as_slice())
        });
        Some((
            moved.collect::<Option<_>>()?,
            self.step(board, &self.blocked, &answer.slots)?,
        ))
    }

    fn step(&self, board: &Board, ask: &Ask<'_>, slots: &[Slot]) -> Option<Step> {
        let placements = (0..).zip(slots).map(|(rank, slot)| {
            let node = &board.view().nodes[*self.nodes.get(slot.node)?];
            let gpus = slot.gpus.iter();
            let grants = gpus.map(|gpu| Some(pack::grant(node.gpus.get(*gpu)?, ask)));
            Some(pack::placement(
                node,
                ask,
                rank,
                grants.collect::<Option<_>>()?,
            ))
        });
        Some(Step {
            workload: ask.workload,
            placements: placements.collect::<Option<_>>()?,
        })
    }

    fn find_movers(
        &mut self,
        board: &Board,
        demand: &Demand,
        alone: &[Room],
        movers_on: impl Fn(&NodeName) -> Vec<Mover<'a>>,
    ) {
        let view = |at: &usize| &board.view().nodes[self.nodes[*at]];
        let free = |at: usize| board.rooms()[self.nodes[at]].compute();
        let open = (0..alone.len()).filter(|at| view(at).closed.is_none());
        let mut looked: Vec<usize> = open.collect();
        looked.sort_by_key(|at| (!alone[*at].fits(demand), Reverse(free(*at))));
        for at in looked {
            let left = MOVERS_MAX - self.movers.len();
            if left == 0 {
                break;
            }
            let mut here = movers_on(&board.view().nodes[self.nodes[at]].name);
            here.sort_by_key(|mover| (mover.cost, mover.ask.workload));
            here.truncate(left.min(MOVERS_ON_NODE_MAX));
            self.movers.extend(here);
        }
    }

    /// Makes rooms without the movers, and numbers for them and what they take.
    fn number(&mut self, board: &mut Board, blocked: Demand, alone: &[Room]) {
        let nodes = self.nodes.iter();
        self.repair.bare = nodes.map(|index| board.rooms()[*index].clone()).collect();
        let places: BTreeMap<usize, usize> =
            (0..).zip(&self.nodes).map(|(at, n)| (*n, at)).collect();
        let mut classes = BTreeMap::from([(blocked, 0)]);
        let (repair, mut movers) = (&mut self.repair, Vec::new());
        for mover in self.movers.drain(..) {
            let Some((index, gpus)) = place(board, mover.at) else {
                continue;
            };
            let demand = board.demand(&mover.ask);
            let node = places[&index];
            repair.bare[node].give_back(demand, &gpus, &alone[node]);
            let next = classes.len();
            let class = match classes.get(demand) {
                Some(known) => *known,
                None => *classes.entry(demand.clone()).or_insert(next),
            };
            repair.residents.push(Resident {
                key: mover.ask.workload.0,
                class,
                at: Slot { node, gpus },
                priority: mover.ask.spec.priority,
                move_cost: Some(mover.cost),
                stop_cost: None,
            });
            movers.push(mover);
        }
        self.movers = movers;
        let mut numbered: Vec<(usize, Demand)> = classes.into_iter().map(|(d, n)| (n, d)).collect();
        numbered.sort_unstable();
        self.repair.classes = numbered.into_iter().map(|(_, demand)| demand).collect();
    }
}

/// Nodes in the order that breaks ties.
fn in_order(board: &Board) -> Vec<usize> {
    let nodes = &board.view().nodes;
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|index| (nodes[*index].tie, &nodes[*index].name));
    order
}

/// A node by index and its GPUs by position, if they are all there.
fn place(board: &Board, at: &Placement) -> Option<(usize, Vec<usize>)> {
    let index = board.view().index_of(&at.node)?;
    let gpus = &board.view().nodes[index].gpus;
    let positions = at
        .gpus
        .iter()
        .map(|grant| gpus.iter().position(|gpu| gpu.uuid == grant.uuid));
    Some((index, positions.collect::<Option<_>>()?))
}

/// The room of a node with nothing of ours on it.
fn alone(board: &Board, index: usize) -> Room {
    let (node, room) = (&board.view().nodes[index], &board.rooms()[index]);
    let gpus = node.gpus.iter().zip(&room.gpus).map(|(gpu, room)| {
        let usable = gpu.health == GpuHealth::Ok;
        let foreign = gpu.external > Bytes::ZERO;
        GpuRoom {
            device: room.device,
            compute: if usable { WHOLE_GPU } else { GpuMilli::ZERO },
            memory: if usable {
                gpu.memory_total.minus(gpu.external)
            } else {
                Bytes::ZERO
            },
            empty: usable && !foreign,
            tenant: None,
        }
    });
    Room {
        kind: room.kind,
        cpu: node.cpu_total,
        memory: node.memory_total,
        slices: match node.closed {
            Some(_) => 0,
            None => NodeView::SLICES_LIMIT,
        },
        gpus: gpus.collect(),
    }
}
