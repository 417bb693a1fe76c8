//! The most that any answer can be worth: nodes of a kind poured together, and work cut at will.
//!
//! The linear program only proposes prices. The bound itself is reckoned in integers from them, and
//! holds whatever the prices are.

use crate::lp::{Lp, Method, Row};
use dovetail_core::{
    packing::{Demand, Room},
    problem::window::Class,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Prices are whole numbers of this part of a worth.
const SCALE: u128 = 1 << 32;
/// See `SCALE`.
const SCALE_FLOAT: f64 = 4_294_967_296.0;
/// Memory is counted in MiB, down for what is taken and up for what there is.
const MIB: u64 = 1 << 20;

/// Room of one kind of node, and of its devices: CPU, memory, members, then compute and memory of
/// each device.
type Pool = Vec<u64>;

/// What the program says.
#[derive(Debug, Clone, Default)]
pub(super) struct Ceiling {
    /// No answer is worth more.
    pub(super) worth: u64,
    /// By class: what one more gains beside what it displaces.
    pub(super) gains: Vec<f64>,
}

/// A way to take room: class, pool, and how much of each kind.
struct Way {
    class: usize,
    pool: usize,
    takes: Vec<(usize, u64)>,
}

/// Bounds the worth of these classes on these rooms; loosely if there is no time for prices.
pub(super) fn of(rooms: &[(Room, u32)], classes: &[&Class], time: Option<Duration>) -> Ceiling {
    let (pools, kinds) = pools(rooms);
    let ways: Vec<Way> = (0..classes.len())
        .flat_map(|class| ways(class, &classes[class].demand, rooms, &kinds))
        .collect();
    let (prices, gains) = priced(&pools, classes, &ways, time);
    Ceiling {
        worth: bound(&pools, classes, &ways, &prices),
        gains,
    }
}

/// Pools by kind, and the pool of each kind.
fn pools(rooms: &[(Room, u32)]) -> (Vec<Pool>, BTreeMap<u32, usize>) {
    let mut kinds = BTreeMap::new();
    let mut pools: Vec<Pool> = Vec::new();
    let devices = rooms
        .iter()
        .flat_map(|(room, _)| &room.gpus)
        .map(|gpu| gpu.device);
    let devices = devices.max().map_or(0, |most| most as usize + 1);
    for (room, count) in rooms {
        let pool = *kinds.entry(room.kind).or_insert_with(|| {
            pools.push(vec![0; 3 + 2 * devices]);
            pools.len() - 1
        });
        let count = u64::from(*count);
        let mut add = |index: usize, room: u64| pools[pool][index] += room.saturating_mul(count);
        add(0, room.cpu.0);
        add(1, room.memory.0.div_ceil(MIB));
        add(2, room.slices.into());
        for gpu in &room.gpus {
            let at = 3 + 2 * gpu.device as usize;
            add(at, gpu.compute.0);
            add(at + 1, gpu.memory.0.div_ceil(MIB));
        }
    }
    (pools, kinds)
}

/// Every device of every kind where a demand fits.
fn ways(
    class: usize,
    demand: &Demand,
    rooms: &[(Room, u32)],
    kinds: &BTreeMap<u32, usize>,
) -> Vec<Way> {
    let mut found: BTreeSet<(usize, Option<u32>)> = BTreeSet::new();
    let without = [None];
    for (room, _) in rooms {
        let pool = kinds[&room.kind];
        let is_new = |device: &Option<u32>| !found.contains(&(pool, *device));
        let devices = room
            .gpus
            .iter()
            .map(|gpu| (Some(gpu.device), gpu.fits(demand)));
        let new: Vec<Option<u32>> = match demand.gpu_count() {
            0 => without.into_iter().filter(is_new).collect(),
            _ => devices
                .filter(|(device, fits)| *fits && is_new(device))
                .map(|(device, _)| device)
                .collect(),
        };
        // Whether a room fits takes longest to tell, and most rooms are like one before.
        if !new.is_empty() && room.fits(demand) {
            found.extend(new.into_iter().map(|device| (pool, device)));
        }
    }
    let way = |(pool, device): (usize, Option<u32>)| Way {
        class,
        pool,
        takes: takes(demand, device),
    };
    found.into_iter().map(way).collect()
}

fn takes(demand: &Demand, device: Option<u32>) -> Vec<(usize, u64)> {
    let mut takes = vec![(0, demand.cpu.0), (1, demand.memory.0 / MIB), (2, 1)];
    if let Some((device, take)) = device.and_then(|d| Some((d, demand.take_of(d)?))) {
        let (at, count) = (3 + 2 * device as usize, u64::from(demand.gpu_count()));
        takes.push((at, take.compute.0.saturating_mul(count)));
        takes.push((at + 1, (take.memory.0 / MIB).saturating_mul(count)));
    }
    takes
}

/// Prices of room, and gains by class, from the linear program; nothing if it has no answer.
fn priced(
    pools: &[Pool],
    classes: &[&Class],
    ways: &[Way],
    time: Option<Duration>,
) -> (Vec<Vec<u128>>, Vec<f64>) {
    let mut lp = Lp::default();
    lp.set_time_limit(time);
    let works: Vec<Row> = classes
        .iter()
        .map(|class| lp.row(f64::NEG_INFINITY, class.count.into()))
        .collect();
    let row = |room: &u64| lp.row(f64::NEG_INFINITY, float(*room));
    let mut row = row;
    let rows: Vec<Vec<Row>> = pools
        .iter()
        .map(|pool| pool.iter().map(&mut row).collect())
        .collect();
    for way in ways {
        let mut entries = vec![(works[way.class], 1.0)];
        let takes = way.takes.iter().filter(|(_, take)| *take > 0);
        entries.extend(takes.map(|(at, take)| (rows[way.pool][*at], float(*take))));
        lp.column(
            float(classes[way.class].worth),
            0.0,
            f64::INFINITY,
            &entries,
        );
    }
    let Some(answer) = lp.solve(Method::Simplex) else {
        return (
            pools.iter().map(|pool| vec![0; pool.len()]).collect(),
            Vec::new(),
        );
    };
    let (works, rest) = answer.duals.split_at(classes.len());
    let gains = classes.iter().zip(works);
    let gains = gains.map(|(class, price)| (float(class.worth) - price.max(0.0)).max(0.0));
    let mut rest = rest.iter().map(|price| scaled(*price));
    let prices = pools
        .iter()
        .map(|pool| rest.by_ref().take(pool.len()).collect());
    (prices.collect(), gains.collect())
}

/// What room is worth at these prices, and what work is worth beyond it.
fn bound(pools: &[Pool], classes: &[&Class], ways: &[Way], prices: &[Vec<u128>]) -> u64 {
    let mut beyond = vec![0_u128; classes.len()];
    for way in ways {
        let price =
            |(at, take): &(usize, u64)| prices[way.pool][*at].saturating_mul((*take).into());
        let costs = way.takes.iter().map(price).fold(0, u128::saturating_add);
        let worth = u128::from(classes[way.class].worth) * SCALE;
        beyond[way.class] = beyond[way.class].max(worth.saturating_sub(costs));
    }
    let works = classes
        .iter()
        .zip(beyond)
        .map(|(class, worth)| worth.saturating_mul(class.count.into()));
    let rooms = pools.iter().zip(prices);
    let rooms = rooms.flat_map(|(pool, prices)| pool.iter().zip(prices));
    let rooms = rooms.map(|(room, price)| price.saturating_mul((*room).into()));
    let all = works.chain(rooms).fold(0, u128::saturating_add);
    u64::try_from(all / SCALE).unwrap_or(u64::MAX)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "prices are proposals; the bound is reckoned in integers"
)]
fn float(value: u64) -> f64 {
    value as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and any price gives a bound"
)]
fn scaled(price: f64) -> u128 {
    (price.max(0.0) * SCALE_FLOAT) as u128
}
