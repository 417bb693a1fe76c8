//! One window: tier by tier, each on the room that the higher ones leave.

use super::{
    Pool, candidates, ceiling,
    classes::Classes,
    engine::{Seeds, Solution, pack},
    fill,
    limits::{Clock, Limits},
    packing::Work,
    rooms::Rooms,
    small, verify,
};
use crate::Stop;
use dovetail_core::{
    packing::{Demand, Room},
    problem::window::{Class, Effort, Packed, Put, Window},
};
use std::time::Duration;

/// Different priorities that are told apart; whatever is lower comes last, by greed.
const TIERS_MAX: usize = 8;

/// Steps like the first filling that come after the search: its own last one, one more here, and
/// the checks.
const FILLINGS_AFTER: u32 = 3;
/// Nodes of each search tree of a small window, where the clock does not end it.
const TREE_MAX: u32 = 5000;

/// The best packing found within the limits: never worse than the window's start, and nothing
/// that waits fits beside it.
pub fn solve(problem: &Window, limits: &Limits, pool: &mut Pool) -> Packed {
    let clock = Clock::start(limits);
    let start = fill::filled(problem, sound(problem));
    let mut search = Search {
        problem,
        limits,
        clock,
        filling: clock.elapsed(),
        start: &start,
        effort: Effort::default(),
        rooms: problem.nodes.clone(),
        puts: Vec::new(),
        placed: vec![0; problem.classes.len()],
    };
    let ceiling = search.ceiling();
    let mut best = start.clone();
    // Where everything fits one by one, there is nothing to search for.
    if total(problem, &best) < ceiling {
        search.tiers(pool);
        search.better(&search.puts, &mut best);
    }
    if total(problem, &best) < ceiling
        && let Some(found) = small::solve(problem, &best, search.stop())
    {
        search.better(&found, &mut best);
    }
    Packed {
        puts: best,
        ceiling,
        coarsening_permille: 0,
        effort: search.effort,
    }
}

fn total(problem: &Window, puts: &[Put]) -> u64 {
    verify::worth(problem, puts).iter().sum()
}

/// A search under way.
struct Search<'a> {
    problem: &'a Window,
    limits: &'a Limits,
    clock: Clock,
    /// How long the first filling took.
    filling: Duration,
    start: &'a [Put],
    effort: Effort,
    /// What is left of each node.
    rooms: Vec<Room>,
    puts: Vec<Put>,
    /// By class.
    placed: Vec<u32>,
}

impl Search<'_> {
    fn ceiling(&self) -> u64 {
        let classes: Vec<&Class> = self.problem.classes.iter().collect();
        let rooms: Vec<(Room, u32)> = grouped(&self.rooms);
        ceiling::of(&rooms, &classes, self.time_to_search()).worth
    }

    /// Fills what was found, and keeps it if it is better and there is still time for that.
    fn better(&self, found: &[Put], best: &mut Vec<Put>) {
        if !self.clock.is_running() {
            return;
        }
        let found = fill::filled(self.problem, found);
        let worth = |puts: &[Put]| verify::worth(self.problem, puts);
        if verify::holds(self.problem, &found) && worth(&found) > worth(best) {
            *best = found;
        }
    }

    /// Time until a search must end so that what it found can still be filled and checked.
    fn time_to_search(&self) -> Option<Duration> {
        self.limits_left().time.map(|time| time.hard)
    }

    fn stop(&self) -> Stop {
        let time = self.limits_left().time;
        time.map_or(Stop::Nodes(TREE_MAX), |time| Stop::Time(time.soft))
    }

    /// Places tier by tier, the highest first.
    fn tiers(&mut self, pool: &mut Pool) {
        let classes = self.problem.classes.iter();
        let mut tiers: Vec<i32> = classes.map(|class| class.priority).collect();
        tiers.sort_unstable_by(|a, b| b.cmp(a));
        tiers.dedup();
        for tier in tiers.into_iter().take(TIERS_MAX) {
            self.tier(tier, pool);
        }
    }

    /// Places one tier on what the higher ones leave.
    fn tier(&mut self, tier: i32, pool: &mut Pool) {
        let all = self.problem.classes.iter().enumerate();
        let waiting: Vec<usize> = all
            .filter(|(index, class)| class.priority == tier && class.count > self.placed[*index])
            .map(|(index, _)| index)
            .collect();
        let demands: Vec<Demand> = waiting
            .iter()
            .map(|i| self.problem.classes[*i].demand.clone())
            .collect();
        let classes = self.classes(&waiting, &demands);
        let rooms = classes.counted();
        if rooms.is_empty() {
            return;
        }
        let weighed: Vec<(Demand, Work)> = waiting
            .iter()
            .zip(&demands)
            .map(|(i, demand)| (demand.clone(), self.work(*i)))
            .collect();
        let packing = Rooms::new(&rooms, &weighed);
        let refs: Vec<&Class> = waiting.iter().map(|i| &self.problem.classes[*i]).collect();
        let mut seeds = Seeds {
            contents: pool.contents(&rooms, &demands),
            gains: ceiling::of(&rooms, &refs, self.time_to_search()).gains,
            seed: self.problem.seed,
        };
        seeds.contents.extend(self.start_of(&classes, &waiting));
        let solution = pack(&packing, &self.limits_left(), seeds);
        self.count(&solution, rooms.len(), waiting.len());
        pool.keep(&rooms, &demands, &solution);
        self.keep(classes.puts(&solution.hosts, &waiting));
    }

    /// Classes of nodes that a search looks at.
    fn classes(&self, waiting: &[usize], demands: &[Demand]) -> Classes {
        let mut classes = Classes::of(&self.rooms, demands);
        let of_tier = |put: &&Put| waiting.binary_search(&put.class).is_ok();
        let used = self.start.iter().filter(of_tier);
        let kept = used.filter_map(|put| classes.class_of(put.node)).collect();
        let counts = waiting.iter().map(|class| self.work(*class).count);
        let demands: Vec<(&Demand, u32)> = demands.iter().zip(counts).collect();
        let kept = candidates::of(&classes.counted(), &demands, kept);
        classes.keep(&kept);
        classes
    }

    /// All tiers share the time, and some of it is kept to fill and check what is found.
    fn limits_left(&self) -> Limits {
        Limits {
            time: self.clock.rest(self.filling * FILLINGS_AFTER),
            ..*self.limits
        }
    }

    fn work(&self, class: usize) -> Work {
        #[allow(
            clippy::cast_precision_loss,
            reason = "answers are compared in integers"
        )]
        let worth = self.problem.classes[class].worth as f64;
        Work {
            count: self.problem.classes[class].count - self.placed[class],
            worth,
        }
    }

    /// The start's contents of nodes, as far as they are of this tier.
    fn start_of(&self, classes: &Classes, waiting: &[usize]) -> Vec<super::engine::Contents> {
        let mut nodes: Vec<Vec<(u32, &Put)>> = vec![Vec::new(); self.rooms.len()];
        for put in self.start {
            if let Ok(work) = waiting.binary_search(&put.class) {
                nodes[put.node].push((count(work), put));
            }
        }
        let used = nodes
            .iter()
            .enumerate()
            .filter(|(_, puts)| !puts.is_empty());
        used.filter_map(|(node, puts)| classes.contents(node, puts))
            .collect()
    }

    fn keep(&mut self, puts: Vec<Put>) {
        for put in &puts {
            self.rooms[put.node].take(&self.problem.classes[put.class].demand, &put.gpus);
            self.placed[put.class] += 1;
        }
        self.puts.extend(puts);
    }

    fn count(&mut self, solution: &Solution, hosts: usize, works: usize) {
        let effort = &mut self.effort;
        effort.node_classes = effort.node_classes.max(hosts as u64);
        effort.work_classes += works as u64;
        effort.columns += solution.columns;
        effort.rounds += solution.rounds;
        effort.dives += solution.dives;
    }
}

/// The start, or nothing if it does not hold: it came from another process.
fn sound(problem: &Window) -> &[Put] {
    if verify::holds(problem, &problem.start) {
        &problem.start
    } else {
        &[]
    }
}

/// Equal rooms with how many there are.
fn grouped(rooms: &[Room]) -> Vec<(Room, u32)> {
    let mut sorted: Vec<&Room> = rooms.iter().collect();
    sorted.sort();
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.map(|run| (run[0].clone(), count(run.len()))).collect()
}

/// Indices and lengths here are of nodes and classes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
