//! How much of the mix fits, and what goes where when as much GPU is asked for as there is.

use super::{thousandths, whole};
use crate::{
    aggregate::{
        Aggregate,
        master::{Master, PoolPrices, float},
    },
    lp::Method,
};
use dovetail_core::packing::{Demand, Gpus, Prices};

const GIB: f64 = (1_u64 << 30) as f64;

/// The answers of the two programs over pools.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    aggregate: &'a Aggregate,
    /// How often the mix fits with nothing refused.
    headroom: f64,
    /// By pool.
    prices: Vec<PoolPrices>,
    /// By way.
    members: Vec<f64>,
    pub(super) columns: u64,
    pub(super) rounds: u64,
}

/// What a cluster has and what one unit of the mix asks for, by resource.
#[derive(Debug, Clone, Copy)]
struct Totals {
    gpu: f64,
    cpu: f64,
    memory: f64,
    slots: f64,
}

impl<'a> Plan<'a> {
    pub(super) fn of(aggregate: &'a Aggregate, demands: &[&Demand], weights: &[u64]) -> Self {
        let has = Totals::of_cluster(aggregate);
        let asks = Totals::of_mix(aggregate, demands, weights);
        // No load is larger; in the program's unit loads are at most about one.
        let unit = has.most_of(&asks);
        let nodes: u128 = aggregate.pools.iter().map(|pool| pool.nodes).sum();
        let scale = 1000.0 / float(nodes.max(1));
        let mix: Vec<f64> = weights
            .iter()
            .map(|w| float(u128::from(*w)) * unit * scale)
            .collect();
        let mut master = Master::new(aggregate, &mix);
        let mut plan = Self {
            aggregate,
            headroom: 0.0,
            prices: Vec::new(),
            members: vec![0.0; aggregate.ways.len()],
            columns: 0,
            rounds: 0,
        };
        // A GPU is worth about one, then.
        master.maximise_load(has.gpu.max(1.0) * scale);
        if let Some(answer) = master.solve(Method::Interior) {
            plan.headroom = master.load(&answer) * unit;
        }
        let full = if asks.gpu > 0.0 {
            has.gpu / asks.gpu
        } else {
            unit
        };
        let wanted: Vec<(f64, f64)> = demands
            .iter()
            .zip(&mix)
            .map(|(demand, amount)| (amount * full / unit, has.worth(aggregate, demand)))
            .collect();
        master.maximise_worth(&wanted);
        if let Some(answer) = master.solve(Method::Interior) {
            plan.prices = (0..aggregate.pools.len())
                .map(|pool| master.prices(&answer, pool))
                .collect();
            plan.members = (0..aggregate.ways.len())
                .map(|way| master.members(&answer, way))
                .collect();
        }
        plan.columns = master.columns() as u64;
        plan.rounds = u64::from(master.rounds);
        plan
    }

    /// Writes all but the slices' prices. `classes` are the indices in the mix.
    pub(super) fn publish(&self, prices: &mut Prices, classes: &[usize]) {
        prices.headroom_permille = whole(self.headroom * 1000.0);
        let mut members = vec![vec![0.0; classes.len()]; self.aggregate.pools.len()];
        for (way, count) in self.aggregate.ways.iter().zip(&self.members) {
            members[way.pool][way.class] += count;
        }
        for (at, pool) in self.aggregate.pools.iter().enumerate() {
            let Some(node) = prices.nodes.get_mut(pool.kind as usize) else {
                continue;
            };
            for (class, count) in classes.iter().zip(&members[at]) {
                node.plan[*class] = whole(*count);
            }
            let Some(own) = self.prices.get(at) else {
                continue;
            };
            node.core = thousandths(own.cpu * 1000.0 / float(pool.cpu_unit.into()));
            node.gib = thousandths(own.memory * GIB / float(pool.memory_unit.into()));
            node.wholes = self.wholes(at);
        }
    }

    /// By number of empty GPUs of a node.
    fn wholes(&self, at: usize) -> Vec<u32> {
        let (pool, prices) = (&self.aggregate.pools[at], &self.prices[at]);
        let empty = pool
            .bins
            .iter()
            .zip(&prices.bins)
            .filter(|(bin, _)| bin.empty);
        let gpu = empty.map(|(_, price)| *price).fold(0.0, f64::max);
        let worth = |count: u32| {
            let gangs = pool.gangs.iter().zip(&prices.gangs);
            let gangs = gangs.map(|(gang, price)| f64::from(count / gang.gpus) * price);
            thousandths(f64::from(count) * gpu + gangs.sum::<f64>())
        };
        (0..=pool.gpus_max).map(worth).collect()
    }
}

impl Totals {
    fn of_cluster(aggregate: &Aggregate) -> Self {
        let sum = |of: &dyn Fn(&crate::aggregate::Pool) -> u128| {
            float(aggregate.pools.iter().map(of).fold(0, u128::saturating_add))
        };
        Self {
            gpu: sum(&|pool| {
                pool.bins
                    .iter()
                    .map(|bin| u128::from(bin.compute) * bin.count)
                    .sum()
            }) / 1000.0,
            cpu: sum(&|pool| pool.cpu),
            memory: sum(&|pool| pool.memory),
            slots: sum(&|pool| pool.slots),
        }
    }

    fn of_mix(aggregate: &Aggregate, demands: &[&Demand], weights: &[u64]) -> Self {
        let mut totals = Self {
            gpu: 0.0,
            cpu: 0.0,
            memory: 0.0,
            slots: 0.0,
        };
        for (demand, weight) in demands.iter().zip(weights) {
            let weight = float(u128::from(*weight));
            totals.gpu += gpus(aggregate, demand) * weight;
            totals.cpu += float(demand.cpu.0.into()) * weight;
            totals.memory += float(demand.memory.0.into()) * weight;
            totals.slots += weight;
        }
        totals
    }

    /// The load at which the first resource would be gone if it could be cut freely.
    fn most_of(&self, asks: &Self) -> f64 {
        let each = [
            (self.gpu, asks.gpu),
            (self.cpu, asks.cpu),
            (self.memory, asks.memory),
            (self.slots, asks.slots),
        ];
        let most = each.iter().filter(|(_, asks)| *asks > 0.0);
        most.map(|(has, asks)| has / asks).fold(f64::MAX, f64::min)
    }

    /// GPUs that a member takes; what takes none is worth as many as its largest part of the
    /// cluster is of the cluster's GPUs.
    fn worth(&self, aggregate: &Aggregate, demand: &Demand) -> f64 {
        if demand.gpus != Gpus::None {
            return gpus(aggregate, demand);
        }
        let part = |takes: u64, of: f64| {
            if of > 0.0 {
                float(takes.into()) / of
            } else {
                0.0
            }
        };
        let part = part(demand.cpu.0, self.cpu).max(part(demand.memory.0, self.memory));
        part * self.gpu.max(1.0)
    }
}

/// GPUs that a member takes, on the device where it takes least.
fn gpus(aggregate: &Aggregate, demand: &Demand) -> f64 {
    let devices = aggregate.pools.iter().flat_map(|pool| &pool.bins);
    let takes = devices.filter_map(|bin| demand.take_of(bin.device));
    let each = takes.map(|take| take.compute.0).min().unwrap_or(0);
    float(u128::from(each) * u128::from(demand.gpu_count())) / 1000.0
}
