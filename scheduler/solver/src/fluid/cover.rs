//! What slices are worth: the fewest GPUs that all shares of the mix can do with. A GPU costs one
//! there by definition, so that slices keep their prices whatever else is scarce.

use crate::{
    aggregate::{
        Aggregate, Bin, Pool, Slice,
        knapsack::{self, COMPUTE_MAX, Item},
        master::{Master, ONE, fixed, float},
    },
    lp::{Answer, Lp, Method, Row},
};
use dovetail_core::packing::{Demand, Gpus, Prices};
use std::collections::{BTreeMap, BTreeSet};

/// Rounds of column generation at most: half more than the traces take, a millisecond each.
const ROUNDS_MAX: u64 = 60;

/// Part of a GPU by which a pattern must be worth more than one to come in.
const GAIN_MIN: f64 = 1e-5;

/// GPUs that all shares would take if compute could be cut freely: numbers of all mixes are alike.
const GPUS: f64 = 1000.0;

/// A whole GPU of a device on a kind of node, and the shares that may be cut from it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Gpu {
    kind: u32,
    room: Bin,
    /// Index of the sort, and what it takes of this GPU.
    sorts: Vec<(usize, Slice)>,
}

/// Prices of the sorts of shares.
#[derive(Debug, Default)]
pub(crate) struct Cover {
    gpus: Vec<Gpu>,
    prices: Vec<f64>,
    /// Every pattern made, as counts by sort.
    patterns: BTreeSet<Vec<(usize, u32)>>,
    pub(crate) rounds: u64,
}

impl Cover {
    /// Prices of the shares among these demands.
    pub(crate) fn of(aggregate: &Aggregate, demands: &[&Demand], weights: &[u64]) -> Self {
        let (sorts, amounts) = sorts(demands, weights);
        let gpus = gpus(aggregate, &sorts);
        let mut cover = Self {
            prices: vec![0.0; sorts.len()],
            gpus,
            patterns: BTreeSet::new(),
            rounds: 0,
        };
        cover.solve(&amounts);
        cover
    }

    fn solve(&mut self, amounts: &[f64]) {
        let different: BTreeSet<(u64, Vec<(usize, Slice)>)> = (self.gpus.iter())
            .map(|gpu| (gpu.room.memory, gpu.sorts.clone()))
            .collect();
        let mut lp = Lp::default();
        let rows: Vec<Row> = amounts
            .iter()
            .map(|least| lp.row(*least, f64::INFINITY))
            .collect();
        // Without a GPU at all a sort costs more than a GPU, which a pattern then improves on.
        for row in &rows {
            lp.column(-2.0, 0.0, f64::INFINITY, &[(*row, 1.0)]);
        }
        while self.rounds < ROUNDS_MAX {
            self.rounds += 1;
            let Some(answer) = lp.solve(Method::Interior) else {
                return;
            };
            self.prices = rows.iter().map(|row| price(&answer, *row)).collect();
            let before = lp.columns();
            for (memory, sorts) in &different {
                let pattern = self.improving(*memory, sorts);
                let Some(pattern) = pattern.filter(|pattern| self.patterns.insert(pattern.clone()))
                else {
                    continue;
                };
                let entries = pattern
                    .iter()
                    .map(|(sort, count)| (rows[*sort], f64::from(*count)));
                let entries: Vec<(Row, f64)> = entries.collect();
                lp.column(-1.0, 0.0, f64::INFINITY, &entries);
            }
            if lp.columns() == before {
                return;
            }
        }
    }

    /// The best pattern of a GPU, by sort, if it is worth more than the GPU.
    fn improving(&self, memory: u64, sorts: &[(usize, Slice)]) -> Option<Vec<(usize, u32)>> {
        let items: Vec<Item> = (sorts.iter())
            .map(|(sort, slice)| item(slice.compute, slice.memory, self.prices[*sort]))
            .collect();
        let found = knapsack::best(&items, COMPUTE_MAX as u64, memory);
        let counts = sorts.iter().zip(&found.counts);
        let used = counts.filter(|(_, count)| **count > 0);
        (found.bound > fixed(1.0 + GAIN_MIN)).then(|| used.map(|((s, _), n)| (*s, *n)).collect())
    }

    /// Offers the patterns to a program: they are good ones wherever they fit.
    pub(crate) fn seed(&self, master: &mut Master<'_>) {
        let aggregate = master.aggregate;
        for (at, pool) in aggregate.pools.iter().enumerate() {
            for (bin, room) in pool.bins.iter().enumerate() {
                for counts in self.patterns_on(pool, room) {
                    master.offer(at, bin, counts);
                }
            }
        }
    }

    /// The patterns as counts of a pool's slices, for one of its bins; some may not fit there.
    fn patterns_on(&self, pool: &Pool, bin: &Bin) -> Vec<Vec<u32>> {
        let own = |gpu: &&Gpu| gpu.kind == pool.kind && gpu.room.device == bin.device;
        let Some(gpu) = self.gpus.iter().find(own) else {
            return Vec::new();
        };
        let slice_of = |sort: &usize| {
            let (_, slice) = gpu.sorts.iter().find(|(own, _)| own == sort)?;
            pool.slices.binary_search(slice).ok()
        };
        let counts = |pattern: &Vec<(usize, u32)>| {
            let mut counts = vec![0; pool.slices.len()];
            for (sort, count) in pattern {
                counts[slice_of(sort)?] += count;
            }
            Some(counts)
        };
        self.patterns.iter().filter_map(counts).collect()
    }

    /// Writes the prices by free compute of the GPUs of each kind of node.
    pub(crate) fn publish(&self, prices: &mut Prices) {
        for gpu in &self.gpus {
            let Some(node) = prices.nodes.get_mut(gpu.kind as usize) else {
                continue;
            };
            let table = gpu.table(&self.prices);
            for (compute, slot) in node.slices.iter_mut().enumerate() {
                *slot = (*slot).max(crate::fluid::thousandths(table[compute]));
            }
            // Whoever takes whole GPUs pays for one, whatever slices make of it.
            node.slices[COMPUTE_MAX] = node.slices[COMPUTE_MAX].max(1000);
        }
    }
}

impl Gpu {
    /// The most that shares are worth by free compute, where as large a part of the memory is
    /// free: a share that takes a larger part of it counts by that.
    fn table(&self, prices: &[f64]) -> Vec<f64> {
        let items: Vec<Item> = (self.sorts.iter())
            .map(|(sort, slice)| item(self.part(slice), 0, prices[*sort]))
            .collect();
        let best = knapsack::table(&items);
        best.iter()
            .map(|(worth, _)| float(u128::from(*worth)) / ONE)
            .collect()
    }

    fn part(&self, slice: &Slice) -> u64 {
        let memory = u128::from(slice.memory) * COMPUTE_MAX as u128;
        let memory = memory / u128::from(self.room.memory.max(1));
        u64::try_from(memory).map_or(u64::MAX, |memory| memory.max(slice.compute).max(1))
    }
}

fn item(compute: u64, memory: u64, price: f64) -> Item {
    Item {
        compute,
        memory,
        price: fixed(price),
    }
}

fn price(answer: &Answer, row: Row) -> f64 {
    (-answer.dual(row)).max(0.0)
}

/// Shares that take the same and may go to the same kinds are one sort, and how many of it come.
fn sorts<'a>(demands: &[&'a Demand], weights: &[u64]) -> (Vec<&'a Demand>, Vec<f64>) {
    let mut sorts: BTreeMap<_, (&Demand, u128)> = BTreeMap::new();
    for (demand, weight) in demands.iter().zip(weights) {
        if demand.gpus == Gpus::Share {
            let key = (&demand.takes, &demand.kinds);
            sorts.entry(key).or_insert((demand, 0)).1 += u128::from(*weight);
        }
    }
    let largest = |demand: &Demand| {
        let takes = demand.takes.iter().flatten();
        takes
            .map(|take| take.compute.0)
            .max()
            .unwrap_or(0)
            .clamp(1, COMPUTE_MAX as u64)
    };
    let amount =
        |(demand, weight): &(&Demand, u128)| weight.saturating_mul(u128::from(largest(demand)));
    let all: u128 = sorts.values().map(amount).fold(0, u128::saturating_add);
    let unit = GPUS * 1000.0 / float(all.max(1));
    let amounts = sorts.values().map(|(_, weight)| float(*weight) * unit);
    let amounts = amounts.collect();
    (
        sorts.into_values().map(|(demand, _)| demand).collect(),
        amounts,
    )
}

/// Every device on every kind, as if it were empty.
fn gpus(aggregate: &Aggregate, sorts: &[&Demand]) -> Vec<Gpu> {
    let mut rooms: BTreeMap<(u32, u32), Bin> = BTreeMap::new();
    for pool in &aggregate.pools {
        for bin in &pool.bins {
            let room = rooms.entry((pool.kind, bin.device)).or_insert(*bin);
            room.compute = COMPUTE_MAX as u64;
            room.memory = room.memory.max(bin.memory);
        }
    }
    let gpu = |((kind, _), room): ((u32, u32), Bin)| {
        let slice = |demand: &&Demand| {
            let take = demand
                .take_of(room.device)
                .filter(|_| demand.may_go_to(kind))?;
            let slice = Slice {
                device: room.device,
                compute: take.compute.0,
                memory: take.memory.0,
            };
            room.takes(&slice).then_some(slice)
        };
        let own = sorts.iter().enumerate();
        let own = own.filter_map(|(sort, demand)| Some((sort, slice(demand)?)));
        Gpu {
            kind,
            room,
            sorts: own.collect(),
        }
    };
    rooms.into_iter().map(gpu).collect()
}
