//! Which residents of a node have to go so that something fits there: the cheapest, greedily.

use super::board::Board;
use crate::packing::{Demand, Gpus, Room};
use dovetail_model::units::GpuMilli;

/// Residents of one node that make way, and what moving them costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vacating {
    pub(super) cost: u64,
    pub(super) residents: Vec<usize>,
    pub(super) node: usize,
}

/// Whom to move off a node for this demand; nothing if the node cannot take it then either, or
/// nobody has to go. Only what is smaller goes: it has the better chance to find a place.
pub(super) fn vacate(board: &Board<'_>, node: usize, demand: &Demand) -> Option<Vacating> {
    // Most nodes are told apart here, without looking at who is there.
    if !board.repair.bare[node].fits(demand) {
        return None;
    }
    let movable: Vec<(usize, u64)> = board
        .movable(node)
        .filter(|(resident, _)| size(board.demand_of(*resident)) < size(demand))
        .collect();
    let all: Vec<usize> = movable.iter().map(|(resident, _)| *resident).collect();
    let at_most = board.room_without(node, &all);
    if movable.is_empty() || !at_most.fits(demand) {
        return None;
    }
    let node = Node {
        board,
        node,
        demand,
        movable,
        at_most,
    };
    let mut gone = match demand.gpus {
        Gpus::None => Vec::new(),
        Gpus::Share => node.for_share()?,
        Gpus::Whole(count) => node.for_whole(count as usize)?,
    };
    node.for_host(&mut gone)?;
    node.spare(&mut gone);
    node.vacating(gone)
}

/// The same by size alone: the smallest go first, whatever they cost, until the demand fits.
/// Sometimes those find a place where the cheapest do not.
pub(super) fn vacate_smallest(board: &Board<'_>, node: usize, demand: &Demand) -> Option<Vacating> {
    if !board.repair.bare[node].fits(demand) {
        return None;
    }
    let smaller = |resident: usize| {
        let other = board.demand_of(resident);
        other.gpu_count() > 0 && size(other).0 < size(demand).0
    };
    let movable = board.movable(node).filter(|(r, _)| smaller(*r));
    let mut movable: Vec<(usize, u64)> = movable.collect();
    let gpus = |resident: usize| &board.repair.residents[resident].at.gpus;
    movable.sort_by_key(|(r, _)| (size(board.demand_of(*r)).0, board.class_of(*r), gpus(*r)));
    movable.truncate(board.repair.steps_limit());
    let mut gone = Vec::new();
    for (resident, _) in &movable {
        if board.room_without(node, &gone).fits(demand) {
            break;
        }
        gone.push(*resident);
    }
    let at_most = board.room_without(node, &gone);
    let fits = at_most.fits(demand);
    let node = Node {
        board,
        node,
        demand,
        movable,
        at_most,
    };
    fits.then(|| node.vacating(gone)).flatten()
}

/// How large a demand is, for telling who makes way for whom: GPU first, then CPU.
pub(super) fn size(demand: &Demand) -> (u64, u64) {
    let takes = demand.takes.iter().flatten();
    let each = takes.map(|take| take.compute).max();
    let gpu = each.unwrap_or(GpuMilli::ZERO);
    (gpu.times(demand.gpu_count().into()).0, demand.cpu.0)
}

struct Node<'a, 'b> {
    board: &'a Board<'b>,
    node: usize,
    demand: &'a Demand,
    movable: Vec<(usize, u64)>,
    /// The room if all of them were gone.
    at_most: Room,
}

impl Node<'_, '_> {
    fn room(&self, gone: &[usize]) -> Room {
        self.board.room_without(self.node, gone)
    }

    /// Those, if there are some and not too many.
    fn vacating(&self, gone: Vec<usize>) -> Option<Vacating> {
        let enough = !gone.is_empty() && gone.len() <= self.board.repair.steps_limit();
        enough.then(|| Vacating {
            cost: self.cost_of(&gone),
            residents: gone,
            node: self.node,
        })
    }

    fn cost_of(&self, gone: &[usize]) -> u64 {
        let costs = self.movable.iter().filter(|(r, _)| gone.contains(r));
        costs.fold(0, |sum, (_, cost)| sum.saturating_add(*cost))
    }

    /// Who is on a GPU and has not gone yet.
    fn on_gpu(&self, gpu: usize, gone: &[usize]) -> Vec<(usize, u64)> {
        let here = |resident: usize| self.board.repair.residents[resident].at.gpus.contains(&gpu);
        let left = self.movable.iter().filter(|(r, _)| !gone.contains(r));
        left.filter(|(r, _)| here(*r)).copied().collect()
    }

    /// Frees so many GPUs, always the one that costs least to free next. Nothing as soon as that
    /// takes more steps than there may be.
    fn for_whole(&self, count: usize) -> Option<Vec<usize>> {
        let fitting = self.at_most.fitting(self.demand);
        let mut rest: Vec<Vec<(usize, u64)>> = fitting.map(|gpu| self.on_gpu(gpu, &[])).collect();
        let mut gone: Vec<usize> = Vec::new();
        for _ in 0..count {
            for here in &mut rest {
                here.retain(|(resident, _)| !gone.contains(resident));
            }
            let price = |here: &[(usize, u64)]| {
                let cost = here
                    .iter()
                    .fold(0_u64, |sum, (_, cost)| sum.saturating_add(*cost));
                (cost, here.len())
            };
            let cheapest = (0..rest.len()).min_by_key(|at| price(&rest[*at]))?;
            gone.extend(rest.remove(cheapest).iter().map(|(resident, _)| *resident));
            if gone.len() > self.board.repair.steps_limit() {
                return None;
            }
        }
        Some(gone)
    }

    /// Makes room on the GPU where that costs least.
    fn for_share(&self) -> Option<Vec<usize>> {
        let usable = self.at_most.fitting(self.demand);
        let ways = usable.map(|gpu| self.on_one(gpu));
        ways.min_by_key(|gone| (self.cost_of(gone), gone.len()))
    }

    /// The cheapest one that is enough, or else the cheapest ones until they are.
    fn on_one(&self, gpu: usize) -> Vec<usize> {
        let fits = |gone: &[usize]| self.room(gone).gpus[gpu].fits(self.demand);
        if fits(&[]) {
            return Vec::new();
        }
        let mut here = self.on_gpu(gpu, &[]);
        here.sort_by_key(|(resident, cost)| (*cost, *resident));
        if let Some((one, _)) = here.iter().find(|(resident, _)| fits(&[*resident])) {
            return vec![*one];
        }
        let mut gone = Vec::new();
        for (resident, _) in here {
            gone.push(resident);
            if fits(&gone) {
                break;
            }
        }
        gone
    }

    /// More go until CPU and memory are enough too: the cheapest that is enough alone, or else
    /// whoever frees most for what it costs.
    fn for_host(&self, gone: &mut Vec<usize>) -> Option<()> {
        while !self.room(gone).fits(self.demand) {
            let left = || self.movable.iter().filter(|(r, _)| !gone.contains(r));
            let enough = |resident: usize| {
                let with: Vec<usize> = gone.iter().copied().chain([resident]).collect();
                self.room(&with).fits(self.demand)
            };
            let alone = left().filter(|(resident, _)| enough(*resident));
            let next = alone.min_by_key(|(_, cost)| *cost);
            let next = next.or_else(|| left().max_by_key(|(r, cost)| self.relief(*r, *cost)))?;
            gone.push(next.0);
        }
        Some(())
    }

    /// CPU and memory freed for the cost, as parts of what is asked for.
    fn relief(&self, resident: usize, cost: u64) -> u128 {
        let frees = self.board.demand_of(resident);
        let part = |freed: u64, asked: u64| u128::from(freed) * 1000 / u128::from(asked.max(1));
        let both =
            part(frees.cpu.0, self.demand.cpu.0) + part(frees.memory.0, self.demand.memory.0);
        both * 1_000_000 / u128::from(cost.max(1))
    }

    /// Whoever turns out not to be in the way stays, the dearest first.
    fn spare(&self, gone: &mut Vec<usize>) {
        let mut dearest = gone.clone();
        dearest.sort_by_key(|resident| std::cmp::Reverse(self.cost_of(&[*resident])));
        for resident in dearest {
            let without: Vec<usize> = gone.iter().copied().filter(|r| *r != resident).collect();
            if self.room(&without).fits(self.demand) {
                *gone = without;
            }
        }
    }
}
