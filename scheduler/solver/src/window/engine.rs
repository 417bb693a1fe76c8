//! The engine: columns, dives and a filling pass, for every problem that is a `Packing`.

use super::{
    column::Column,
    dive,
    generate::Generator,
    limits::{Clock, Limits},
    master::TINY,
    open::Opened,
    packing::{Packing, Slots},
};

/// Where so little of the value is missing, no further dive is begun: on large clusters one more
/// gains a tenth of what is missing and takes a quarter of the time. Where hosts are few, one host
/// alone is more than this.
const GAP_LEAST: f64 = 5e-4;

/// What a search found and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Solution {
    /// Hosts in use with their contents.
    pub hosts: Vec<Contents>,
    /// Worth of all that is placed less the cost of hosts in use.
    pub value: f64,
    /// Value of the master; an upper bound if `proven`.
    pub master: f64,
    /// Whether no column is missing in the master.
    pub proven: bool,
    /// By work: what one more would have gained; the next search can begin with it.
    pub gains: Vec<f64>,
    /// Contents that the master used, for the next search.
    pub good: Vec<Contents>,
    /// Columns made.
    pub columns: u64,
    /// Rounds of pricing.
    pub rounds: u64,
    /// Dives.
    pub dives: u64,
}

/// A host in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its class.
    pub host: usize,
    /// Works in the order in which they were put, with their slots.
    pub steps: Vec<(u32, Slots)>,
}

/// What a search may begin with.
#[derive(Debug, Clone, Default)]
pub struct Seeds {
    /// Contents that are known to be good.
    pub contents: Vec<Contents>,
    /// By work: what one more gains, if that is known.
    pub gains: Vec<f64>,
    /// Random seed.
    pub seed: u64,
}

/// The best packing found within the limits; nothing left fits.
pub fn pack<P: Packing>(packing: &P, limits: &Limits, seeds: Seeds) -> Solution {
    let clock = Clock::start(limits);
    let mut generator = Generator::new(packing, *limits, clock, seeds.seed);
    for contents in seeds.contents {
        let column = Column::of(packing, contents.host, fitting(packing, &contents));
        generator.add(column);
    }
    let mut used_best = generator.begin(&seeds.gains);
    let mut best = Solution::default();
    let Some((root, proven)) = generator.run() else {
        return finish(&generator, &used_best, best);
    };
    let mut value_best = complete(&mut generator, &mut used_best);
    for number in 0..limits.dives {
        if number > 0 && !clock.is_open() {
            break;
        }
        let mut used = if number == 0 {
            dive::first(&mut generator, &root)
        } else {
            dive::again(
                &mut generator,
                &root,
                &used_best,
                seeds.seed + u64::from(number),
            )
        };
        best.dives += 1;
        let value = complete(&mut generator, &mut used);
        if value > value_best {
            (value_best, used_best) = (value, used);
        }
        if root.value - value_best <= GAP_LEAST * root.value.abs() {
            break;
        }
    }
    best.good = good(&generator, &root.times);
    (best.master, best.proven, best.gains) = (root.value, proven, root.gains);
    finish(&generator, &used_best, best)
}

/// The part of contents that fits: what is left of a host may be less than it was.
fn fitting<P: Packing>(packing: &P, contents: &Contents) -> Vec<(u32, Slots)> {
    let mut fill = packing.empty(contents.host);
    let steps = contents.steps.iter().copied();
    steps
        .filter(|(work, slots)| packing.put(&mut fill, *work as usize, *slots))
        .collect()
}

/// Makes columns of what a use of columns becomes by the filling pass, and says what it is worth.
fn complete<P: Packing>(generator: &mut Generator<'_, P>, used: &mut Vec<u32>) -> f64 {
    let mut opened = Opened::of(generator.packing, &generator.columns.all, used);
    opened.fill();
    let value = opened.value();
    used.iter_mut().for_each(|times| *times = 0);
    for open in opened.all.into_iter().filter(|open| !open.steps.is_empty()) {
        let column = Column::of(generator.packing, open.host, open.steps);
        let place = generator.place(column);
        used.resize(generator.columns.all.len(), 0);
        used[place] += 1;
    }
    value
}

fn good<P: Packing>(generator: &Generator<'_, P>, times: &[f64]) -> Vec<Contents> {
    let columns = generator.columns.all.iter().zip(times);
    let used = columns.filter(|(_, times)| **times > TINY);
    let contents = used.map(|(column, _)| Contents {
        host: column.host,
        steps: column.steps.clone(),
    });
    contents.collect()
}

fn finish<P: Packing>(generator: &Generator<'_, P>, used: &[u32], mut best: Solution) -> Solution {
    let mut opened = Opened::of(generator.packing, &generator.columns.all, used);
    opened.fill();
    best.value = opened.value();
    let in_use = opened.all.into_iter().filter(|open| !open.steps.is_empty());
    let contents = in_use.map(|open| Contents {
        host: open.host,
        steps: open.steps,
    });
    best.hosts = contents.collect();
    best.columns = generator.columns.all.len() as u64;
    best.rounds = generator.rounds;
    best
}
