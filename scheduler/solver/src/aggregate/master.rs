//! The linear program over pools: members by way, GPUs by the pattern of slices on them. Patterns
//! are added where prices say that one is worth more than the GPU it takes.

use super::{Aggregate, Pool, Uses, Way, knapsack};
use crate::lp::{Answer, Lp, Method, Row};
use std::collections::BTreeSet;

/// Rounds of column generation at most: the traces take three, and twenty if nothing is seeded.
const ROUNDS_MAX: u32 = 60;

/// Part of what a GPU is worth by which a pattern must be worth more to come in.
const GAIN_MIN: f64 = 1e-4;

/// Prices are integers in knapsacks: this much is one.
pub(crate) const ONE: f64 = 16_777_216.0;

/// The program of an aggregate.
#[derive(Debug)]
pub(crate) struct Master<'a> {
    pub(crate) aggregate: &'a Aggregate,
    lp: Lp,
    pools: Vec<PoolRows>,
    ways: Vec<usize>,
    /// How many of each class are wanted.
    wanted: Vec<usize>,
    load: usize,
    seen: BTreeSet<(usize, usize, Vec<u32>)>,
    pub(crate) rounds: u32,
    scale: f64,
}

#[derive(Debug)]
struct PoolRows {
    cpu: Row,
    memory: Row,
    slots: Row,
    bins: Vec<Row>,
    slices: Vec<Row>,
    gangs: Vec<Row>,
}

/// What one more unit of a pool's room is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PoolPrices {
    /// Per unit of the pool.
    pub(crate) cpu: f64,
    /// Per unit of the pool.
    pub(crate) memory: f64,
    pub(crate) slot: f64,
    pub(crate) bins: Vec<f64>,
    pub(crate) slices: Vec<f64>,
    pub(crate) gangs: Vec<f64>,
}

impl PoolPrices {
    /// Everything costs nothing.
    pub(crate) fn nothing(pool: &Pool) -> Self {
        Self {
            cpu: 0.0,
            memory: 0.0,
            slot: 0.0,
            bins: vec![0.0; pool.bins.len()],
            slices: vec![0.0; pool.slices.len()],
            gangs: vec![0.0; pool.gangs.len()],
        }
    }

    /// Makes all of them smaller.
    pub(crate) fn divide(&mut self, by: f64) {
        let rooms = [&mut self.cpu, &mut self.memory, &mut self.slot];
        let lists = [&mut self.bins, &mut self.slices, &mut self.gangs];
        let prices = rooms.into_iter().chain(lists.into_iter().flatten());
        prices.for_each(|price| *price /= by);
    }
}

impl<'a> Master<'a> {
    /// The program without columns that are worth anything: `mix` is what one unit of load is, by
    /// class.
    pub(crate) fn new(aggregate: &'a Aggregate, mix: &[f64]) -> Self {
        let scale = aggregate.scale();
        let mut lp = Lp::default();
        let classes: Vec<Row> = (0..aggregate.classes).map(|_| lp.row(0.0, 0.0)).collect();
        let pools: Vec<PoolRows> = (0..aggregate.pools.len())
            .map(|pool| PoolRows::new(&mut lp, aggregate, pool, scale))
            .collect();
        let way = |way: &Way| {
            let mut entries = vec![(classes[way.class], 1.0)];
            pools[way.pool].entries(aggregate, way, &mut entries);
            lp.column(0.0, 0.0, f64::INFINITY, &entries)
        };
        let ways = aggregate.ways.iter().map(way).collect();
        let load: Vec<(Row, f64)> = (classes.iter().copied())
            .zip(mix.iter().map(|weight| -weight))
            .collect();
        let load = lp.column(0.0, 0.0, 0.0, &load);
        let wanted = classes
            .iter()
            .map(|row| lp.column(0.0, 0.0, 0.0, &[(*row, -1.0)]));
        let wanted = wanted.collect();
        let mut master = Self {
            aggregate,
            lp,
            pools,
            ways,
            wanted,
            load,
            seen: BTreeSet::new(),
            rounds: 0,
            scale,
        };
        master.begin();
        master
    }

    /// Every slice alone on every bin it fits on, as often as it fits.
    fn begin(&mut self) {
        for pool in 0..self.aggregate.pools.len() {
            let slices = self.aggregate.pools[pool].slices.len();
            for slice in 0..slices {
                let prices: Vec<u64> = (0..slices).map(|other| u64::from(other == slice)).collect();
                self.improve(pool, &prices, &[]);
            }
        }
    }

    /// What is maximised from now on is the load.
    pub(crate) fn maximise_load(&mut self, gain: f64) {
        self.lp.set_gain(self.load, gain);
        self.lp.set_bounds(self.load, 0.0, f64::INFINITY);
    }

    /// What is maximised from now on is the worth of what is placed: of each class so much is
    /// wanted, and each member is worth so much.
    pub(crate) fn maximise_worth(&mut self, wanted: &[(f64, f64)]) {
        self.lp.set_gain(self.load, 0.0);
        self.lp.set_bounds(self.load, 0.0, 0.0);
        for (column, (most, worth)) in self.wanted.iter().zip(wanted) {
            self.lp.set_gain(*column, *worth);
            self.lp.set_bounds(*column, 0.0, *most);
        }
    }

    /// Solves and adds patterns until none is worth it; the last answer.
    pub(crate) fn solve(&mut self, method: Method) -> Option<Answer> {
        let mut answer = self.lp.solve(method)?;
        for _ in 0..ROUNDS_MAX {
            self.rounds += 1;
            let columns = self.lp.columns();
            for pool in 0..self.aggregate.pools.len() {
                let prices = self.prices(&answer, pool);
                let slices: Vec<u64> = prices.slices.iter().map(|p| fixed(*p)).collect();
                self.improve(pool, &slices, &prices.bins);
            }
            if self.lp.columns() == columns {
                break;
            }
            answer = self.lp.solve(method)?;
        }
        Some(answer)
    }

    /// Adds the best pattern of each bin of a pool, if it is worth more than the bin.
    fn improve(&mut self, pool: usize, slices: &[u64], bins: &[f64]) {
        let of = &self.aggregate.pools[pool];
        if slices.iter().all(|price| *price == 0) {
            return;
        }
        let mut made = Vec::new();
        for (at, bin) in of.bins.iter().enumerate() {
            let found = knapsack::best(&bin.items(&of.slices, slices), bin.compute, bin.memory);
            let least = bins
                .get(at)
                .map_or(0, |price| fixed(price * (1.0 + GAIN_MIN) + NOISE));
            if found.bound > least {
                made.push((at, found.counts));
            }
        }
        for (bin, counts) in made {
            self.add(pool, bin, counts);
        }
    }

    /// Adds a pattern made elsewhere, if the bin has room for it.
    pub(crate) fn offer(&mut self, pool: usize, bin: usize, counts: Vec<u32>) {
        let of = &self.aggregate.pools[pool];
        if of.bins[bin].holds(&of.slices, &counts) {
            self.add(pool, bin, counts);
        }
    }

    /// Adds a pattern that is not there yet.
    fn add(&mut self, pool: usize, bin: usize, counts: Vec<u32>) {
        let rows = &self.pools[pool];
        let mut entries = vec![(rows.bins[bin], 1.0)];
        let used = counts
            .iter()
            .zip(&rows.slices)
            .filter(|(count, _)| **count > 0);
        entries.extend(used.map(|(count, row)| (*row, -f64::from(*count))));
        if self.seen.insert((pool, bin, counts)) {
            self.lp.column(0.0, 0.0, f64::INFINITY, &entries);
        }
    }

    pub(crate) fn prices(&self, answer: &Answer, pool: usize) -> PoolPrices {
        let rows = &self.pools[pool];
        let dual = |row: &Row| answer.dual(*row).max(0.0);
        PoolPrices {
            cpu: dual(&rows.cpu),
            memory: dual(&rows.memory),
            slot: dual(&rows.slots),
            bins: rows.bins.iter().map(dual).collect(),
            slices: rows.slices.iter().map(dual).collect(),
            gangs: rows.gangs.iter().map(dual).collect(),
        }
    }

    /// The load of an answer.
    pub(crate) fn load(&self, answer: &Answer) -> f64 {
        answer.columns[self.load].max(0.0)
    }

    /// Members of a way.
    pub(crate) fn members(&self, answer: &Answer, way: usize) -> f64 {
        answer.columns[self.ways[way]].max(0.0) / self.scale
    }

    pub(crate) fn columns(&self) -> usize {
        self.lp.columns()
    }
}

/// What is less is noise of the solver, where a GPU is worth about 1.
const NOISE: f64 = 1e-7;

impl PoolRows {
    fn new(lp: &mut Lp, aggregate: &Aggregate, pool: usize, scale: f64) -> Self {
        let pool = &aggregate.pools[pool];
        let mut most = |much: f64| lp.row(f64::NEG_INFINITY, much * scale);
        Self {
            cpu: most(float(pool.cpu) / float(pool.cpu_unit.into())),
            memory: most(float(pool.memory) / float(pool.memory_unit.into())),
            slots: most(float(pool.slots)),
            bins: pool.bins.iter().map(|bin| most(float(bin.count))).collect(),
            slices: pool.slices.iter().map(|_| most(0.0)).collect(),
            gangs: pool
                .gangs
                .iter()
                .map(|gang| most(float(gang.places)))
                .collect(),
        }
    }

    /// What a member placed this way takes.
    fn entries(&self, aggregate: &Aggregate, way: &Way, entries: &mut Vec<(Row, f64)>) {
        let pool = &aggregate.pools[way.pool];
        let part = |much: u64, unit: u64| float(much.into()) / float(unit.into());
        entries.push((self.cpu, part(way.cpu, pool.cpu_unit)));
        entries.push((self.memory, part(way.memory, pool.memory_unit)));
        entries.push((self.slots, 1.0));
        match way.gpus {
            Uses::Nothing => {}
            Uses::Slice(slice) => entries.push((self.slices[slice], 1.0)),
            Uses::Whole { bin, count } => {
                entries.push((self.bins[bin], f64::from(count)));
                let gangs = pool.gangs.iter().zip(&self.gangs);
                let used = gangs.filter(|(gang, _)| gang.gpus <= count);
                entries.extend(used.map(|(_, row)| (*row, 1.0)));
            }
        }
    }
}

/// A price as an integer, at most 2^53.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped to what both can say"
)]
pub(crate) fn fixed(price: f64) -> u64 {
    (price * ONE).round().clamp(0.0, ONE * ONE) as u64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "amounts of a program that is solved in floats"
)]
pub(crate) fn float(amount: u128) -> f64 {
    amount as f64
}
