//! Column generation: price contents against the duals of the master until nothing gains.

use super::{
    column::{Column, Columns},
    depth,
    greedy::{Ask, Found, Greedy},
    limits::{Clock, Limits},
    master::{Answer, Master, TINY},
    menu::Menu,
    packing::{Packing, Slots},
};

/// Rounds that gain less than `GAIN_LEAST` of the value before generation ends.
const IDLE_MAX: u32 = 5;
/// Of these, rounds before depth-first search takes over.
const GREED_IDLE_MAX: u32 = 2;
/// See `IDLE_MAX`.
const GAIN_LEAST: f64 = 1e-4;
/// Columns made in a round, over all hosts: as many as the master has rows takes it forward best.
const COLUMNS_PER_ROUND: usize = 150;
/// Fillings of each host of the first packing.
const TRIALS_FIRST: u32 = 8;
/// Most columns of one host in a round.
const KEEP_MAX: usize = 30;

/// The pool of columns, the master that knows them, and what pricing remembers.
#[derive(Debug)]
pub(super) struct Generator<'a, P: Packing> {
    pub(super) packing: &'a P,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
    pub(super) columns: Columns,
    pub(super) master: Master,
    pub(super) menus: Vec<Menu>,
    greedy: Greedy,
    pub(super) rounds: u64,
}

/// What is left to place, and where.
#[derive(Debug, Clone)]
pub(super) struct Left {
    pub(super) works: Vec<u32>,
    pub(super) hosts: Vec<u32>,
}

impl<'a, P: Packing> Generator<'a, P> {
    pub(super) fn new(packing: &'a P, limits: Limits, clock: Clock, seed: u64) -> Self {
        let hosts = 0..packing.hosts().len();
        Self {
            packing,
            limits,
            clock,
            columns: Columns::default(),
            master: Master::new(packing),
            menus: hosts.map(|host| Menu::of(packing, host)).collect(),
            greedy: Greedy::new(packing, seed),
            rounds: 0,
        }
    }

    /// Everything.
    pub(super) fn all(&self) -> Left {
        Left {
            works: self.packing.works().iter().map(|w| w.count).collect(),
            hosts: self.packing.hosts().iter().map(|h| h.count).collect(),
        }
    }

    /// Adds a column that is not known yet.
    pub(super) fn add(&mut self, column: Column) -> bool {
        let new = self.columns.add(column);
        if new {
            self.master
                .add(&self.columns.all[self.columns.all.len() - 1]);
        }
        new
    }

    /// The master's answer; nothing if HiGHS has none.
    pub(super) fn solve(&mut self) -> Option<Answer> {
        self.master.solve(self.packing, self.clock.left())
    }

    /// Generates until nothing gains. The answer, and whether it is proven that no column is
    /// missing: then its value bounds every integer answer.
    pub(super) fn run(&mut self) -> Option<(Answer, bool)> {
        let left = self.all();
        let mut answer = self.solve()?;
        let mut idle = 0;
        for _ in 0..self.limits.rounds {
            if !self.clock.is_open() || idle >= self.idle_max() {
                return Some((answer, false));
            }
            // Where greed gains little, looking deeper does not cost much more.
            let greedy = idle < GREED_IDLE_MAX || self.limits.tries == 0;
            if !greedy || self.price(&answer, &left) == 0 {
                let (deep, proven) = self.price_deep(&answer, &left);
                if deep == 0 {
                    return Some((answer, proven));
                }
            }
            let before = answer.value;
            answer = self.solve()?;
            let gained = answer.value - before > GAIN_LEAST * before.abs();
            idle = if gained { 0 } else { idle + 1 };
        }
        Some((answer, false))
    }

    /// A depth-first search ends by itself; values stand still for many rounds before its end.
    fn idle_max(&self) -> u32 {
        if self.limits.tries == 0 {
            IDLE_MAX
        } else {
            self.limits.rounds
        }
    }

    /// One round of greed; the number of new columns.
    pub(super) fn price(&mut self, answer: &Answer, left: &Left) -> usize {
        self.rounds += 1;
        let open = left.hosts.iter().filter(|count| **count > 0).count();
        let keep = (COLUMNS_PER_ROUND / open.max(1)).clamp(1, KEEP_MAX);
        let mut made = 0;
        for host in 0..left.hosts.len() {
            if left.hosts[host] == 0 || !self.clock.is_running() {
                continue;
            }
            let ask = ask(self.packing, &self.menus[host], (host, answer, left));
            for found in self.greedy.price(&ask, self.limits.trials, keep) {
                made += usize::from(self.add_found(host, found));
            }
        }
        made
    }

    /// One round depth first; the number of new columns, and whether no others exist.
    fn price_deep(&mut self, answer: &Answer, left: &Left) -> (usize, bool) {
        if self.limits.tries == 0 {
            return (0, false);
        }
        self.rounds += 1;
        let (mut made, mut proven) = (0, true);
        for host in 0..left.hosts.len() {
            if left.hosts[host] == 0 || !self.clock.is_open() {
                proven &= left.hosts[host] == 0;
                continue;
            }
            let ask = ask(self.packing, &self.menus[host], (host, answer, left));
            let (found, complete) = depth::price(&ask, self.limits.tries);
            proven &= complete;
            for found in found {
                made += usize::from(self.add_found(host, found));
            }
        }
        (made, proven)
    }

    /// The best contents of a few fillings of one host.
    pub(super) fn best_of(
        &mut self,
        host: usize,
        answer: &Answer,
        left: &Left,
    ) -> Option<Vec<(u32, Slots)>> {
        let mut ask = ask(self.packing, &self.menus[host], (host, answer, left));
        ask.above = 0.0;
        let found = self.greedy.price(&ask, TRIALS_FIRST, 1);
        found.into_iter().next().map(|found| found.steps)
    }

    fn add_found(&mut self, host: usize, found: Found) -> bool {
        self.add(Column::of(self.packing, host, found.steps))
    }
}

fn ask<'a, P: Packing>(
    packing: &'a P,
    menu: &'a Menu,
    (host, answer, left): (usize, &'a Answer, &'a Left),
) -> Ask<'a, P> {
    let above = answer.rents[host] + packing.hosts()[host].cost;
    Ask {
        packing,
        menu,
        host,
        gains: &answer.gains,
        left: &left.works,
        above: above + TINY * (1.0 + above),
    }
}
