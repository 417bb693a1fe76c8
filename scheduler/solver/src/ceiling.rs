//! An upper bound of what any placement of waiting work on a cluster can be worth.
//!
//! The linear program over pools says at which prices of room the bound is low. The bound itself
//! is made from these prices in integers and holds at any prices whatever, so that no float and no
//! verdict of a solver is trusted: see `bound`.

mod bound;

use crate::{
    aggregate::{
        Aggregate,
        knapsack::COMPUTE_MAX,
        master::{Master, PoolPrices, float},
    },
    fluid::cover::Cover,
    lp::Method,
};
use bound::Bound;
use dovetail_core::packing::{Demand, Room};
use std::collections::BTreeSet;

/// Ways to place classes in pools that the program is made of at most: about a quarter of a
/// second. Beyond it, more nodes are put together, which makes the bound higher but no less true.
const WAYS_MAX: usize = 4000;

/// Worths above this are not told apart from their neighbours by floats.
const WORTH_MAX: u64 = 1 << 52;

/// No placement of these classes, each of so many members that are worth so much each, on these
/// nodes, so many of each, is worth more than this in all.
pub fn of(nodes: &[(Room, u64)], classes: &[(Demand, u64, u64)]) -> u64 {
    let able: Vec<&(Room, u64)> = nodes.iter().filter(|(_, count)| *count > 0).collect();
    let counts = |(demand, count, worth): &&(Demand, u64, u64)| {
        *count > 0 && *worth > 0 && able.iter().any(|(room, _)| room.fits(demand))
    };
    let classes: Vec<&(Demand, u64, u64)> = classes.iter().filter(counts).collect();
    let all = (classes.iter()).map(|(_, count, worth)| u128::from(*count) * u128::from(*worth));
    let all = all.fold(0, u128::saturating_add);
    let all = u64::try_from(all).unwrap_or(u64::MAX);
    let most = classes.iter().map(|(.., worth)| *worth).max().unwrap_or(0);
    let mut gpus = able.iter().flat_map(|(room, _)| &room.gpus);
    if classes.is_empty() || most > WORTH_MAX || gpus.any(|g| g.compute.0 > COMPUTE_MAX as u64) {
        return all;
    }
    let demands: Vec<&Demand> = classes.iter().map(|(demand, ..)| demand).collect();
    let aggregate = pooled(nodes, &demands);
    let prices = prices(&aggregate, &classes, most);
    let bound = Bound {
        aggregate: &aggregate,
        classes: &classes,
        most,
    };
    bound.at(&prices).map_or(all, |bound| bound.min(all))
}

/// As few nodes put together as the size of the program allows.
fn pooled(nodes: &[(Room, u64)], demands: &[&Demand]) -> Aggregate {
    let alike = |level: usize| nodes.iter().map(move |(room, _)| key(level, room));
    let few = |level: &usize| {
        let pools: BTreeSet<(u32, Vec<u64>)> =
            nodes.iter().map(|n| n.0.kind).zip(alike(*level)).collect();
        pools.len().saturating_mul(demands.len()) <= WAYS_MAX
    };
    let level = (0..LEVELS).find(few).unwrap_or(LEVELS);
    Aggregate::of(nodes, demands, |room| key(level, room))
}

/// Coarser ways than this put all nodes of a kind together.
const LEVELS: usize = 3;

/// Rooms with equal keys are put together: equal rooms, then rooms with as many empty GPUs and CPU
/// of the same order, then rooms with as many empty GPUs.
fn key(level: usize, room: &Room) -> Vec<u64> {
    let empty = room.gpus.iter().filter(|gpu| gpu.empty).count() as u64;
    let order = u64::from(room.cpu.0.checked_ilog2().unwrap_or(0));
    match level {
        0 => {
            let own = [room.cpu.0, room.memory.0, room.slices.into()];
            let gpus = room.gpus.iter().flat_map(|gpu| {
                [
                    gpu.device.into(),
                    gpu.compute.0,
                    gpu.memory.0,
                    gpu.empty.into(),
                ]
            });
            own.into_iter().chain(gpus).collect()
        }
        1 => vec![empty, order],
        2 => vec![empty],
        _ => Vec::new(),
    }
}

/// Prices of the pools' room where the most valuable member is worth one.
fn prices(aggregate: &Aggregate, classes: &[&(Demand, u64, u64)], most: u64) -> Vec<PoolPrices> {
    let demands: Vec<&Demand> = classes.iter().map(|(demand, ..)| demand).collect();
    let counts: Vec<u64> = classes.iter().map(|(_, count, _)| *count).collect();
    let mut master = Master::new(aggregate, &vec![0.0; classes.len()]);
    Cover::of(aggregate, &demands, &counts).seed(&mut master);
    let wanted = |(_, count, worth): &&(Demand, u64, u64)| {
        let count = float((*count).into()) * aggregate.scale();
        (count, float((*worth).into()) / float(most.into()))
    };
    let wanted: Vec<(f64, f64)> = classes.iter().map(wanted).collect();
    master.maximise_worth(&wanted);
    let answer = master.solve(Method::Simplex);
    let prices = |pool| match &answer {
        Some(answer) => master.prices(answer, pool),
        None => PoolPrices::nothing(&aggregate.pools[pool]),
    };
    (0..aggregate.pools.len()).map(prices).collect()
}

#[cfg(test)]
mod tests;
