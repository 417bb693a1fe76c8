//! How much of the mix fits, and what goes where when as much GPU is asked for as there is.

use super::{cover::Cover, thousandths, totals::Totals, whole};
use crate::{
    aggregate::{
        Aggregate,
        master::{Master, PoolPrices, float},
    },
    lp::Method,
};
use dovetail_core::packing::{Demand, Prices};

const GIB: f64 = 1_073_741_824.0;

/// The answers of the two programs over pools.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    aggregate: &'a Aggregate,
    /// How often the mix fits with nothing refused.
    headroom: f64,
    /// By pool, where a whole GPU is worth one on the average.
    prices: Vec<PoolPrices>,
    /// By way.
    members: Vec<f64>,
    pub(super) columns: u64,
    pub(super) rounds: u64,
}

impl<'a> Plan<'a> {
    pub(super) fn of(
        aggregate: &'a Aggregate,
        demands: &[&Demand],
        weights: &[u64],
        cover: &Cover,
    ) -> Self {
        let has = Totals::of_cluster(aggregate);
        let asks = Totals::of_mix(aggregate, demands, weights);
        // No load is larger than this one; in its unit, loads are at most one.
        let unit = has.most_of(&asks);
        let scale = aggregate.scale();
        let mix = weights
            .iter()
            .map(|weight| float((*weight).into()) * unit * scale);
        let mix: Vec<f64> = mix.collect();
        let mut master = Master::new(aggregate, &mix);
        cover.seed(&mut master);
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
        let wanted = |(demand, amount): (&&Demand, &f64)| {
            (
                amount * has.full_of(&asks) / unit,
                has.worth(aggregate, demand),
            )
        };
        let wanted: Vec<(f64, f64)> = demands.iter().zip(&mix).map(wanted).collect();
        master.maximise_worth(&wanted);
        plan.read(&mut master);
        plan.columns = master.columns() as u64;
        plan.rounds = u64::from(master.rounds);
        plan
    }

    fn read(&mut self, master: &mut Master<'_>) {
        let Some(answer) = master.solve(Method::Interior) else {
            return;
        };
        let pools = 0..self.aggregate.pools.len();
        self.prices = pools.map(|pool| master.prices(&answer, pool)).collect();
        let ways = 0..self.aggregate.ways.len();
        self.members = ways.map(|way| master.members(&answer, way)).collect();
        let (mut worth, mut count) = (0.0, 0.0);
        for (pool, prices) in self.aggregate.pools.iter().zip(&self.prices) {
            for (bin, price) in pool
                .bins
                .iter()
                .zip(&prices.bins)
                .filter(|(bin, _)| bin.empty)
            {
                worth += price * float(bin.count);
                count += float(bin.count);
            }
        }
        // Where GPUs are not what is scarce, a member's own worth is the measure.
        if worth > count * SCARCE_MIN {
            self.prices
                .iter_mut()
                .for_each(|prices| prices.divide(worth / count));
        }
    }

    /// Writes all but the slices' prices. `classes` are the indices in the mix.
    pub(super) fn publish(&self, prices: &mut Prices, classes: &[usize]) {
        prices.headroom_billionths = whole(self.headroom * 1e9);
        for (at, class) in classes.iter().enumerate() {
            for (kind, members) in self.rounded(at) {
                if let Some(node) = prices.nodes.get_mut(kind as usize) {
                    node.plan[*class] += members;
                }
            }
        }
        for (at, (pool, own)) in self.aggregate.pools.iter().zip(&self.prices).enumerate() {
            if let Some(node) = prices.nodes.get_mut(pool.kind as usize) {
                node.core = thousandths(own.cpu * 1000.0 / float(pool.cpu_unit.into()));
                node.gib = thousandths(own.memory * GIB / float(pool.memory_unit.into()));
                node.wholes = self.wholes(at);
            }
        }
    }

    /// Members of a class by kind: rounded so that their sum is, too.
    fn rounded(&self, class: usize) -> Vec<(u32, u64)> {
        let ways = self.aggregate.ways.iter().zip(&self.members);
        let own: Vec<(u32, f64)> = ways
            .filter(|(way, _)| way.class == class)
            .map(|(way, members)| (self.aggregate.pools[way.pool].kind, *members))
            .collect();
        let (mut sum, mut given) = (0.0, 0);
        let step = |(kind, members): (u32, f64)| {
            sum += members;
            let here = whole(sum).saturating_sub(given);
            given += here;
            (kind, here)
        };
        own.into_iter().map(step).collect()
    }

    /// By number of empty GPUs of a node.
    fn wholes(&self, at: usize) -> Vec<u32> {
        let (pool, prices) = (&self.aggregate.pools[at], &self.prices[at]);
        let empty = pool
            .bins
            .iter()
            .zip(&prices.bins)
            .filter(|(bin, _)| bin.empty);
        // Where none is empty one would be worth what they are worth on the average.
        let gpu = empty
            .map(|(_, price)| *price)
            .reduce(f64::max)
            .unwrap_or(1.0);
        let worth = |count: u32| {
            let gangs = pool.gangs.iter().zip(&prices.gangs);
            let gangs = gangs.map(|(gang, price)| f64::from(count / gang.gpus) * price);
            thousandths(f64::from(count) * gpu + gangs.sum::<f64>())
        };
        (0..=pool.gpus_max).map(worth).collect()
    }
}

/// GPUs that are worth less than this part of what a member on them is worth are not scarce.
const SCARCE_MIN: f64 = 0.01;
