//! The bound that prices of room give, in integers.
//!
//! Whatever is placed takes room. At any prices, a member is worth at most what it pays for its
//! room plus what is left of its worth at the cheapest way to place it. So all of them together are
//! worth at most what all the room costs, plus what is left for each member that may be placed.
//! Every rounding here makes room dearer in all or cheaper for a member: the bound only grows.

use crate::aggregate::{
    Aggregate, Bin, Pool, Uses, Way, knapsack,
    master::{PoolPrices, float},
};
use dovetail_core::packing::Demand;

/// Prices are integers below 2^52: a knapsack's thousand of them stay in 64 bits.
const BITS: u32 = 52;

/// Digits after the point that small worths get.
const SHIFT_MAX: u32 = 24;

/// What a bound is of.
#[derive(Debug)]
pub(super) struct Bound<'a> {
    pub(super) aggregate: &'a Aggregate,
    pub(super) classes: &'a [&'a (Demand, u64, u64)],
    /// The largest worth.
    pub(super) most: u64,
}

/// Prices of a pool in integers.
#[derive(Debug)]
struct Costs {
    cpu: u64,
    memory: u64,
    slot: u64,
    bins: Vec<u64>,
    slices: Vec<u64>,
    gangs: Vec<u64>,
}

impl Bound<'_> {
    /// The bound at these prices; nothing if it is beyond all numbers.
    pub(super) fn at(&self, prices: &[PoolPrices]) -> Option<u64> {
        let shift = self
            .most
            .leading_zeros()
            .saturating_sub(64 - BITS)
            .min(SHIFT_MAX);
        let one = float(u128::from(self.most) << shift);
        let pools = self.aggregate.pools.iter().zip(prices);
        let costs: Vec<Costs> = pools
            .map(|(pool, prices)| Costs::of(pool, prices, one))
            .collect();
        let mut all = 0_u128;
        for (pool, costs) in self.aggregate.pools.iter().zip(&costs) {
            all = all.checked_add(costs.of_all(pool)?)?;
        }
        for (left, (_, count, _)) in self.left(&costs, shift)?.iter().zip(self.classes) {
            all = all.checked_add(u128::from(*left).checked_mul((*count).into())?)?;
        }
        // What is placed is worth an integer.
        u64::try_from(all >> shift).ok()
    }

    /// By class: what is left of a member's worth at its cheapest way.
    fn left(&self, costs: &[Costs], shift: u32) -> Option<Vec<u64>> {
        let mut left = vec![0; self.classes.len()];
        for way in &self.aggregate.ways {
            let (pool, costs) = (&self.aggregate.pools[way.pool], &costs[way.pool]);
            let worth = self.classes[way.class].2 << shift;
            let own = worth.saturating_sub(costs.of_member(pool, way)?);
            left[way.class] = left[way.class].max(own);
        }
        Some(left)
    }
}

impl Costs {
    fn of(pool: &Pool, prices: &PoolPrices, one: f64) -> Self {
        let integer = |price: &f64| rounded(price * one);
        let all = |prices: &[f64]| -> Vec<u64> { prices.iter().map(integer).collect() };
        let slices = all(&prices.slices);
        let bin = |(bin, price): (&Bin, &f64)| integer(price).max(filled(pool, bin, &slices));
        Self {
            cpu: integer(&prices.cpu),
            memory: integer(&prices.memory),
            slot: integer(&prices.slot),
            bins: pool.bins.iter().zip(&prices.bins).map(bin).collect(),
            gangs: all(&prices.gangs),
            slices,
        }
    }

    /// What all the room costs.
    fn of_all(&self, pool: &Pool) -> Option<u128> {
        let part = |all: u128, price: u64, unit: u64| {
            Some(all.checked_mul(price.into())?.div_ceil(unit.into()))
        };
        let mut all = part(pool.cpu, self.cpu, pool.cpu_unit)?;
        all = all.checked_add(part(pool.memory, self.memory, pool.memory_unit)?)?;
        all = all.checked_add(part(pool.slots, self.slot, 1)?)?;
        for (bin, price) in pool.bins.iter().zip(&self.bins) {
            all = all.checked_add(part(bin.count, *price, 1)?)?;
        }
        for (gang, price) in pool.gangs.iter().zip(&self.gangs) {
            all = all.checked_add(part(gang.places, *price, 1)?)?;
        }
        Some(all)
    }

    /// What the room of a member costs, or less.
    fn of_member(&self, pool: &Pool, way: &Way) -> Option<u64> {
        let part = |much: u64, price: u64, unit: u64| {
            u128::from(much) * u128::from(price) / u128::from(unit)
        };
        let mut all = part(way.cpu, self.cpu, pool.cpu_unit);
        all += part(way.memory, self.memory, pool.memory_unit) + u128::from(self.slot);
        match way.gpus {
            Uses::Nothing => {}
            Uses::Slice(slice) => all += u128::from(self.slices[slice]),
            Uses::Whole { bin, count } => {
                all += u128::from(self.bins[bin]) * u128::from(count);
                let gangs = pool.gangs.iter().zip(&self.gangs);
                let own = gangs.filter(|(gang, _)| gang.gpus <= count);
                all += own.map(|(_, price)| u128::from(*price)).sum::<u128>();
            }
        }
        u64::try_from(all).ok()
    }
}

/// The most that slices on a GPU can cost together.
fn filled(pool: &Pool, bin: &Bin, slices: &[u64]) -> u64 {
    knapsack::best(&bin.items(&pool.slices, slices), bin.compute, bin.memory).bound
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped to what both can say; any price will do"
)]
fn rounded(price: f64) -> u64 {
    price.round().clamp(0.0, float(1 << BITS)) as u64
}
