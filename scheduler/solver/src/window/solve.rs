//! One window: tier by tier, each on the room that the higher ones leave.

use super::{
    Pool, candidates, ceiling,
    classes::Classes,
    coarse::Groups,
    engine::{Contents, Seeds, Solution, pack},
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
/// Classes are rounded together where there are so many that fewer rounds of pricing than this could
/// look at all of them on all rooms.
const ROUNDS_LEAST: u64 = 10;
/// But never to fewer than this: they cost little.
const GROUPS_LEAST: usize = 32;
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
        lost: 0,
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
        coarsening_permille: search.lost_permille(ceiling),
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
    /// Worth that classes rounded together cost, by the ceilings with and without.
    lost: u64,
}

impl Search<'_> {
    /// Up, so that no loss is hidden.
    fn lost_permille(&self, ceiling: u64) -> u64 {
        let permille = (u128::from(self.lost) * 1000).div_ceil(u128::from(ceiling.max(1)));
        u64::try_from(permille).unwrap_or(u64::MAX)
    }

    fn ceiling(&self) -> u64 {
        let classes: Vec<&Class> = self.problem.classes.iter().collect();
        let rooms: Vec<(Room, u32)> = grouped(&self.rooms);
        ceiling::of(&rooms, &classes, self.time_to_search()).worth
    }

    /// Fills what was found, and keeps it if it is better and there is still time for that.
    fn better(&self, found: &[Put], best: &mut Vec<Put>) {
        let go_on = || self.clock.is_running();
        let Some(found) = fill::filled_while(self.problem, found, go_on) else {
            return;
        };
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
        let groups = self.groups(tier);
        let demands: Vec<Demand> = groups.classes.iter().map(|c| c.demand.clone()).collect();
        let of_class = groups.by_class(self.problem.classes.len());
        let classes = self.classes(&groups, &of_class, &demands);
        let rooms = classes.counted();
        if rooms.is_empty() {
            return;
        }
        self.lose(&groups);
        let works = groups.classes.iter();
        let weighed: Vec<(Demand, Work)> = works
            .map(|class| (class.demand.clone(), work(class)))
            .collect();
        let packing = Rooms::new(&rooms, &weighed);
        let refs: Vec<&Class> = groups.classes.iter().collect();
        let mut seeds = Seeds {
            contents: pool.contents(&rooms, &demands),
            gains: ceiling::of(&rooms, &refs, self.time_to_search()).gains,
            seed: self.problem.seed,
        };
        seeds.contents.extend(self.start_of(&classes, &of_class));
        let solution = pack(&packing, &self.limits_left(), seeds);
        self.count(&solution, rooms.len(), demands.len());
        pool.keep(&rooms, &demands, &solution);
        self.keep(groups.spread(classes.puts(&solution.hosts)));
    }

    /// What waits of a tier, in no more groups than there is time to look at.
    fn groups(&self, tier: i32) -> Groups {
        let all = self.problem.classes.iter().zip(&self.placed).enumerate();
        let waiting: Vec<(usize, u32)> = all
            .filter(|(_, (class, placed))| class.priority == tier && class.count > **placed)
            .map(|(index, (class, placed))| (index, class.count - placed))
            .collect();
        // Where more differ, candidates leave about so many.
        let rooms = grouped(&self.rooms).len().min(candidates::ROOMS_LEAST);
        let rooms = u64::from(count(rooms));
        let looks = rooms * u64::from(self.limits.trials) * ROUNDS_LEAST;
        let most = self.limits.looks / looks.max(1);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Groups::of(&self.problem.classes, &waiting, most.max(GROUPS_LEAST))
    }

    /// Counts what groups lose of the ceiling.
    fn lose(&mut self, groups: &Groups) {
        if !groups.is_coarse {
            return;
        }
        let rooms = grouped(&self.rooms);
        let time = self.time_to_search();
        let coarse: Vec<&Class> = groups.classes.iter().collect();
        let fine = groups.apart(&self.problem.classes);
        let fine = ceiling::of(&rooms, &fine.iter().collect::<Vec<_>>(), time).worth;
        let coarse = ceiling::of(&rooms, &coarse, time).worth;
        self.lost = self.lost.saturating_add(fine.saturating_sub(coarse));
    }

    /// Classes of nodes that a search looks at.
    fn classes(&self, groups: &Groups, of_class: &[Option<u32>], demands: &[Demand]) -> Classes {
        let mut classes = Classes::of(&self.rooms, demands);
        let used = (self.start.iter()).filter(|put| of_class[put.class].is_some());
        let kept = used.filter_map(|put| classes.class_of(put.node)).collect();
        let counts = groups.classes.iter().map(|class| class.count);
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

    /// The start's contents of nodes, as far as they are of this tier.
    fn start_of(&self, classes: &Classes, of_class: &[Option<u32>]) -> Vec<Contents> {
        let mut nodes: Vec<Vec<(u32, &Put)>> = vec![Vec::new(); self.rooms.len()];
        for put in self.start {
            if let Some(work) = of_class[put.class] {
                nodes[put.node].push((work, put));
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

fn work(class: &Class) -> Work {
    #[allow(
        clippy::cast_precision_loss,
        reason = "answers are compared in integers"
    )]
    let worth = class.worth as f64;
    let count = class.count;
    Work { count, worth }
}

/// Lengths here are of nodes.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
