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
const GAIN_LEAST: f64 = 1e-5;
/// Columns made in a round, over all hosts: as many as the master has rows takes it forward best.
const COLUMNS_PER_ROUND: usize = 150;
/// Fillings of each host of the first packing.
const TRIALS_FIRST: u32 = 8;
/// Most columns of one host in a round.
const KEEP_MAX: usize = 8;
/// Pricings of all hosts in a round.
const SWEEPS_MAX: usize = 30;

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
    /// See `Limits::looks`.
    looks: u64,
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
            looks: 0,
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

    /// The index of a column that is not empty, new or known.
    pub(super) fn place(&mut self, column: Column) -> usize {
        if let Some(place) = self.columns.place(&column) {
            return place;
        }
        self.add(column);
        self.columns.all.len() - 1
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
        let mut centre = answer.clone();
        let mut idle = 0;
        for _ in 0..self.limits.rounds {
            let tired = idle >= self.idle_max() || self.looks >= self.limits.looks;
            if tired || !self.clock.is_open() {
                return Some((answer, false));
            }
            blend(&mut centre, &answer);
            // Where greed gains little, looking deeper does not cost much more.
            let greedy = idle < GREED_IDLE_MAX || self.limits.tries == 0;
            let made = greedy && (self.price(&centre, &left) > 0 || self.price(&answer, &left) > 0);
            if !made {
                let (deep, proven) = self.price_deep(&answer, &left);
                if deep == 0 {
                    return Some((answer, proven));
                }
            }
            let before = answer.value;
            let Some(next) = self.solve() else {
                return Some((answer, false));
            };
            answer = next;
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
        let (keep, sweeps) = self.width(left);
        let mut made = 0;
        for host in 0..left.hosts.len() {
            if left.hosts[host] == 0 || !self.clock.is_running() {
                continue;
            }
            let mut works = left.works.clone();
            for _ in 0..sweeps {
                let ask = ask(self.packing, &self.menus[host], (host, answer, &works));
                let found = self.greedy.price(&ask, self.limits.trials, keep);
                self.looks += self.menus[host].works.len() as u64 * u64::from(self.limits.trials);
                let Some(best) = found.first() else {
                    break;
                };
                use_up(&mut works, best);
                for found in found {
                    made += usize::from(self.add_found(host, found));
                }
            }
        }
        made
    }

    /// Columns kept of each pricing, and pricings of each host in a round. Where hosts are much
    /// alike, one pricing after another does without what the ones before took, so that each
    /// round has something for every work.
    fn width(&self, left: &Left) -> (usize, usize) {
        let open = left.hosts.iter().filter(|count| **count > 0).count().max(1);
        let keep = (COLUMNS_PER_ROUND / open).clamp(1, KEEP_MAX);
        (keep, (SWEEPS_MAX / open).max(1))
    }

    /// One round depth first; the number of new columns, and whether no others exist.
    pub(super) fn price_deep(&mut self, answer: &Answer, left: &Left) -> (usize, bool) {
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
            let (_, sweeps) = self.width(left);
            let mut works = left.works.clone();
            for sweep in 0..sweeps {
                let ask = ask(self.packing, &self.menus[host], (host, answer, &works));
                let (found, complete) = depth::price(&ask, self.limits.tries);
                proven &= complete || sweep > 0;
                let Some(best) = found.back() else {
                    break;
                };
                use_up(&mut works, best);
                for found in found {
                    made += usize::from(self.add_found(host, found));
                }
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
        let mut ask = ask(self.packing, &self.menus[host], (host, answer, &left.works));
        ask.above = 0.0;
        let found = self.greedy.price(&ask, TRIALS_FIRST, 1);
        found.into_iter().next().map(|found| found.steps)
    }

    fn add_found(&mut self, host: usize, found: Found) -> bool {
        self.add(Column::of(self.packing, host, found.steps))
    }
}

/// Half of what was and half of what is: prices that jump to and fro lead nowhere.
fn blend(centre: &mut Answer, answer: &Answer) {
    let gains = centre.gains.iter_mut().zip(&answer.gains);
    let rents = centre.rents.iter_mut().zip(&answer.rents);
    for (old, new) in gains.chain(rents) {
        *old = f64::midpoint(*old, *new);
    }
}

/// Leaves out what a column takes.
fn use_up(works: &mut [u32], found: &Found) {
    for (work, _) in &found.steps {
        let left = &mut works[*work as usize];
        *left = left.saturating_sub(1);
    }
}

fn ask<'a, P: Packing>(
    packing: &'a P,
    menu: &'a Menu,
    (host, answer, left): (usize, &'a Answer, &'a [u32]),
) -> Ask<'a, P> {
    let above = answer.rents[host] + packing.hosts()[host].cost;
    Ask {
        packing,
        menu,
        host,
        gains: &answer.gains,
        left,
        above: above + TINY * (1.0 + above),
    }
}
