//! Diving: from the master's fractions to whole hosts, fixing the surest and pricing anew on what
//! is left.

use super::{
    column::Column,
    generate::{Generator, Left},
    master::{Answer, TINY},
    packing::Packing,
    rng::Rng,
};

/// Steps of a dive at most; each fixes at least one host, most fix a quarter of what is left.
const STEPS_MAX: usize = 200;
/// Of the fractions, one in so many is rounded up in a step.
const QUARTER: usize = 4;
/// Rounds of pricing after each step.
const ROUNDS_PER_STEP: usize = 2;
/// Of the hosts in use a later dive frees this part at most, on average half of it: few are soon
/// packed anew, many can be packed quite differently.
const FREE_MOST: f32 = 0.6;
/// But no fewer than these.
const FREE_LEAST: usize = 4;
/// How much later dives disturb the order of fractions.
const SHAKE: f64 = 0.3;

/// How often each column is used.
pub(super) type Used = Vec<u32>;

/// A dive under way.
struct Dive<'g, 'a, P: Packing> {
    generator: &'g mut Generator<'a, P>,
    used: Used,
    left: Left,
    shake: f64,
    rng: Rng,
}

/// Dives from the master's answer, straight.
pub(super) fn first<P: Packing>(generator: &mut Generator<'_, P>, root: &Answer) -> Used {
    let left = generator.all();
    let used = vec![0; generator.columns.all.len()];
    let mut dive = Dive::new(generator, used, left, 0);
    dive.run(root.clone());
    dive.release();
    dive.used
}

/// Frees the hosts that lose most against the master's prices, and dives again on them.
pub(super) fn again<P: Packing>(
    generator: &mut Generator<'_, P>,
    root: &Answer,
    best: &[u32],
    seed: u64,
) -> Used {
    let (mut left, mut used) = (generator.all(), best.to_vec());
    used.resize(generator.columns.all.len(), 0);
    free(generator, root, &mut used, &mut Rng::new(seed));
    for (column, times) in generator.columns.all.iter().zip(&used) {
        left.hosts[column.host] -= times;
        for (work, count) in &column.contents {
            left.works[*work as usize] -= times * count;
        }
    }
    let mut dive = Dive::new(generator, used, left, seed);
    dive.shake = SHAKE;
    dive.bound();
    if let Some(answer) = dive.generator.solve().and_then(|answer| dive.price(answer)) {
        dive.run(answer);
    }
    dive.release();
    dive.used
}

/// Uses a part of the columns no more: those that lose most, shaken.
fn free<P: Packing>(generator: &Generator<'_, P>, root: &Answer, used: &mut [u32], rng: &mut Rng) {
    let works = generator.packing.works();
    let mut losses = Vec::new();
    for (index, column) in generator.columns.all.iter().enumerate() {
        let price = |(work, count): &(u32, u32)| {
            let work = *work as usize;
            (works[work].worth - root.gains[work]) * f64::from(*count)
        };
        let costs = root.rents[column.host] + column.contents.iter().map(price).sum::<f64>();
        let loss = (costs - column.value).max(TINY);
        for _ in 0..used[index] {
            losses.push((loss * f64::from(rng.exponential()), index));
        }
    }
    losses.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in losses.iter().take(count_to_free(losses.len(), rng)) {
        used[*index] -= 1;
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a part of a length, drawn at random"
)]
fn count_to_free(hosts: usize, rng: &mut Rng) -> usize {
    let count = hosts as f32 * FREE_MOST * rng.unit();
    (count as usize).max(FREE_LEAST)
}

impl<'g, 'a, P: Packing> Dive<'g, 'a, P> {
    fn new(generator: &'g mut Generator<'a, P>, used: Used, left: Left, seed: u64) -> Self {
        Self {
            used,
            left,
            shake: 0.0,
            rng: Rng::new(seed),
            generator,
        }
    }
}

impl<P: Packing> Dive<'_, '_, P> {
    fn run(&mut self, mut answer: Answer) {
        for _ in 0..STEPS_MAX {
            if !self.step(&answer) || !self.generator.clock.is_running() {
                return;
            }
            self.bound();
            let Some(next) = self.generator.solve().and_then(|next| self.price(next)) else {
                return;
            };
            answer = next;
        }
    }

    /// A few rounds of pricing on what is left; nothing if HiGHS has no answer.
    fn price(&mut self, mut answer: Answer) -> Option<Answer> {
        for _ in 0..ROUNDS_PER_STEP {
            if self.generator.price(&answer, &self.left) == 0
                && self.generator.price_deep(&answer, &self.left).0 == 0
            {
                break;
            }
            self.used.resize(self.generator.columns.all.len(), 0);
            answer = self.generator.solve()?;
        }
        Some(answer)
    }

    /// Fixes whole parts and the largest quarter of the fractions; whether anything was fixed.
    fn step(&mut self, answer: &Answer) -> bool {
        let mut fractions = Vec::new();
        let mut fixed = 0;
        for (column, times) in answer.times.iter().enumerate() {
            let more = times - f64::from(self.used[column]);
            let whole = floor(more + TINY);
            if whole > 0 {
                fixed += self.fix(column, whole);
            }
            let fraction = more - f64::from(whole);
            if fraction > TINY {
                let shaken = fraction + self.shake * f64::from(self.rng.unit());
                fractions.push((shaken, column));
            }
        }
        fractions.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut quarter = fractions.len().div_ceil(QUARTER);
        for (_, column) in fractions {
            if quarter == 0 {
                break;
            }
            let new = self.fix(column, 1);
            quarter -= usize::from(new > 0);
            fixed += new;
        }
        fixed > 0
    }

    /// Uses a column so often as is wanted and still fits; how often that is.
    fn fix(&mut self, column: usize, wanted: u32) -> u32 {
        let Column { host, contents, .. } = &self.generator.columns.all[column];
        let fits = self.generator.columns.all[column].times_within(&self.left.works);
        let times = wanted.min(fits).min(self.left.hosts[*host]);
        self.used[column] += times;
        self.left.hosts[*host] -= times;
        for (work, count) in contents {
            self.left.works[*work as usize] -= times * count;
        }
        times
    }

    /// What is fixed stays, and nothing is used more often than it fits.
    fn bound(&mut self) {
        for (index, column) in self.generator.columns.all.iter().enumerate() {
            let fits = column.times_within(&self.left.works);
            let more = fits.min(self.left.hosts[column.host]);
            let used = self.used[index];
            self.generator.master.bound(index, used, used + more);
        }
    }

    /// Frees the columns again for the next dive.
    fn release(&mut self) {
        let hosts = self.generator.packing.hosts();
        for (index, column) in self.generator.columns.all.iter().enumerate() {
            let most = hosts[column.host].count;
            self.generator.master.bound(index, 0, most);
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a column is used at most as often as there are hosts, and casts saturate"
)]
fn floor(times: f64) -> u32 {
    times.floor() as u32
}
