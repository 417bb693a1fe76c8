//! One window: tier by tier, each on the room that the higher ones leave.

use super::{
    Pool, ceiling,
    classes::Classes,
    engine::{Seeds, Solution, pack},
    fill,
    limits::{Limits, Time},
    packing::Work,
    rooms::Rooms,
    verify,
};
use dovetail_core::{
    packing::{Demand, Room},
    problem::window::{Class, Effort, Packed, Put, Window},
};
use std::time::Instant;

/// Different priorities that are told apart; whatever is lower comes last, by greed.
const TIERS_MAX: usize = 8;

/// The best packing found within the limits: never worse than the window's start, and nothing
/// that waits fits beside it.
pub fn solve(problem: &Window, limits: &Limits, pool: &mut Pool) -> Packed {
    let mut search = Search {
        problem,
        limits,
        began: Instant::now(),
        start: sound(problem),
        effort: Effort::default(),
        rooms: problem.nodes.clone(),
        puts: Vec::new(),
        placed: vec![0; problem.classes.len()],
    };
    let ceiling = search.ceiling();
    let start = fill::filled(problem, search.start);
    // Where everything fits one by one, there is nothing to search for.
    if verify::worth(problem, &start).iter().sum::<u64>() < ceiling {
        search.tiers(pool);
    }
    let found = fill::filled(problem, &search.puts);
    let better = verify::holds(problem, &found)
        && verify::worth(problem, &found) > verify::worth(problem, &start);
    Packed {
        puts: if better { found } else { start },
        ceiling,
        coarsening_permille: 0,
        effort: search.effort,
    }
}

/// A search under way.
struct Search<'a> {
    problem: &'a Window,
    limits: &'a Limits,
    began: Instant,
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
        ceiling::of(&rooms, &classes).worth
    }

    /// Places tier by tier, the highest first.
    fn tiers(&mut self, pool: &mut Pool) {
        let classes = self.problem.classes.iter();
        let mut tiers: Vec<i32> = classes.map(|class| class.priority).collect();
        tiers.sort_unstable_by(|a, b| b.cmp(a));
        tiers.dedup();
        for (number, tier) in tiers.into_iter().take(TIERS_MAX).enumerate() {
            self.tier(tier, number == 0, pool);
        }
    }

    /// Places one tier on what the higher ones leave.
    fn tier(&mut self, tier: i32, first: bool, pool: &mut Pool) {
        let all = self.problem.classes.iter().enumerate();
        let waiting: Vec<usize> = all
            .filter(|(index, class)| class.priority == tier && class.count > self.placed[*index])
            .map(|(index, _)| index)
            .collect();
        let demands: Vec<Demand> = waiting
            .iter()
            .map(|i| self.problem.classes[*i].demand.clone())
            .collect();
        let classes = Classes::of(&self.rooms, &demands);
        let counts = classes.nodes.iter().map(|nodes| count(nodes.len()));
        let rooms: Vec<(Room, u32)> = classes.rooms.iter().cloned().zip(counts).collect();
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
            gains: ceiling::of(&rooms, &refs).gains,
            seed: self.problem.seed,
        };
        if first {
            seeds.contents.extend(self.start_of(&classes, &waiting));
        }
        let solution = pack(&packing, &self.limits_left(), seeds);
        self.count(&solution, rooms.len(), waiting.len());
        pool.keep(&rooms, &demands, &solution);
        self.keep(classes.puts(&solution.hosts, &waiting));
    }

    /// All tiers share the time.
    fn limits_left(&self) -> Limits {
        let spent = self.began.elapsed();
        let time = self.limits.time.map(|time| Time {
            soft: time.soft.saturating_sub(spent),
            hard: time.hard.saturating_sub(spent),
        });
        Limits {
            time,
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
