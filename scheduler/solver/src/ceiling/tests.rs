//! Bounds against every placement there is.

use super::*;
use crate::aggregate::Pool;
use dovetail_core::packing::{GpuRoom, Gpus, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use proptest::prelude::*;

fn room() -> impl Strategy<Value = Room> {
    let gpu = (0..2_u32, 0..=10_u64, 0..=4_u64, any::<bool>());
    let gpu = gpu.prop_map(|(device, tenths, memory, empty)| GpuRoom {
        device,
        compute: GpuMilli(if empty { 1000 } else { tenths * 100 }),
        memory: Bytes(if empty { 4 } else { memory }),
        empty,
        tenant: None,
    });
    let gpus = proptest::collection::vec(gpu, 0..3);
    (0..2_u32, 0..8_u64, 0..8_u64, 0..4_u32, gpus).prop_map(|(kind, cpu, memory, slices, gpus)| {
        Room {
            kind,
            cpu: CpuMilli(cpu),
            memory: Bytes(memory),
            slices,
            gpus,
        }
    })
}

fn class() -> impl Strategy<Value = (Demand, u64, u64)> {
    let gpus = prop_oneof![
        Just(Gpus::None),
        Just(Gpus::Share),
        (1..3_u32).prop_map(Gpus::Whole)
    ];
    let take = proptest::option::weighted(0.8, (0..10_u64, 0..4_u64));
    let takes = proptest::collection::vec(take, 2);
    let kinds = proptest::collection::vec(any::<bool>(), 2);
    let demand = (0..4_u64, 0..4_u64, gpus, takes, kinds);
    let demand = demand.prop_map(|(cpu, memory, gpus, takes, kinds)| {
        let take = |(tenths, memory): (u64, u64)| match gpus {
            Gpus::Whole(_) => Take {
                compute: GpuMilli(1000),
                memory: Bytes(4),
            },
            Gpus::Share | Gpus::None => Take {
                compute: GpuMilli(tenths * 100),
                memory: Bytes(memory),
            },
        };
        Demand {
            cpu: CpuMilli(cpu),
            memory: Bytes(memory),
            tenant: 0,
            gpus,
            takes: takes.into_iter().map(|t| t.map(take)).collect(),
            kinds,
        }
    });
    (demand, 1..3_u64, 1..100_u64)
}

/// The most that can be had of these members on these nodes, by trying everything.
fn brute(rooms: &[Room], members: &[(&Demand, u64)]) -> u64 {
    let Some(((demand, worth), rest)) = members.split_first() else {
        return 0;
    };
    let mut best = brute(rooms, rest);
    for (at, room) in rooms
        .iter()
        .enumerate()
        .filter(|(_, room)| room.fits(demand))
    {
        let fitting: Vec<usize> = room.fitting(demand).collect();
        let choices = match demand.gpus {
            Gpus::None => vec![vec![]],
            Gpus::Share => fitting.into_iter().map(|gpu| vec![gpu]).collect(),
            Gpus::Whole(count) => vec![fitting.into_iter().take(count as usize).collect()],
        };
        for gpus in choices {
            let mut rooms = rooms.to_vec();
            rooms[at].take(demand, &gpus);
            best = best.max(worth + brute(&rooms, rest));
        }
    }
    best
}

proptest! {
    #[test]
    fn no_placement_is_worth_more(
        rooms in proptest::collection::vec(room(), 1..3),
        classes in proptest::collection::vec(class(), 1..4),
    ) {
        let members: Vec<(&Demand, u64)> = classes
            .iter()
            .flat_map(|(demand, count, worth)| vec![(demand, *worth); usize::try_from(*count).unwrap()])
            .collect();
        let best = brute(&rooms, &members);
        let nodes: Vec<(Room, u64)> = rooms.iter().map(|room| (room.clone(), 1)).collect();
        let bound = of(&nodes, &classes);
        prop_assert!(bound >= best, "{} < {}", bound, best);
        let demands: Vec<&Demand> = classes.iter().map(|(demand, ..)| demand).collect();
        let all: Vec<&(Demand, u64, u64)> = classes.iter().collect();
        for level in 0..=LEVELS {
            let aggregate = Aggregate::of(&nodes, &demands, |room| key(level, room));
            let prices = prices(&aggregate, &all, 100);
            let bound = Bound { aggregate: &aggregate, classes: &all, most: 100 };
            prop_assert!(bound.at(&prices).unwrap() >= best, "level {}", level);
        }
    }

    /// The bound holds whatever the solver says.
    #[test]
    fn any_prices_give_a_bound(
        rooms in proptest::collection::vec(room(), 1..3),
        classes in proptest::collection::vec(class(), 1..4),
        price in proptest::collection::vec(0.0..2.0_f64, 64),
    ) {
        let members: Vec<(&Demand, u64)> = classes
            .iter()
            .flat_map(|(demand, count, worth)| vec![(demand, *worth); usize::try_from(*count).unwrap()])
            .collect();
        let nodes: Vec<(Room, u64)> = rooms.iter().map(|room| (room.clone(), 1)).collect();
        let demands: Vec<&Demand> = classes.iter().map(|(demand, ..)| demand).collect();
        let aggregate = Aggregate::of(&nodes, &demands, |_| ());
        let mut next = price.iter().cycle().copied();
        let mut some = |many: usize| -> Vec<f64> { next.by_ref().take(many).collect() };
        let prices: Vec<PoolPrices> = aggregate.pools.iter().map(|pool| PoolPrices {
            cpu: some(1)[0],
            memory: some(1)[0],
            slot: some(1)[0],
            bins: some(pool.bins.len()),
            slices: some(pool.slices.len()),
            gangs: some(pool.gangs.len()),
        }).collect();
        let all: Vec<&(Demand, u64, u64)> = classes.iter().collect();
        let bound = Bound { aggregate: &aggregate, classes: &all, most: 100 };
        prop_assert!(bound.at(&prices).unwrap() >= brute(&rooms, &members));
    }
}

#[test]
fn a_gpu_costs_at_least_what_the_slices_on_it_pay() {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(4),
        empty: true,
        tenant: None,
    };
    let room = Room {
        kind: 0,
        cpu: CpuMilli(8),
        memory: Bytes(8),
        slices: 4,
        gpus: vec![gpu],
    };
    let take = Take {
        compute: GpuMilli(300),
        memory: Bytes(1),
    };
    let share = Demand {
        cpu: CpuMilli(0),
        memory: Bytes(0),
        tenant: 0,
        gpus: Gpus::Share,
        takes: vec![Some(take)],
        kinds: vec![true],
    };
    let class = (share, 3, 10);
    let (demands, nodes) = ([&class.0], [(room.clone(), 1)]);
    let aggregate = Aggregate::of(&nodes, &demands, |_| ());
    // Slices pay all that members are worth, and the program says that the GPU costs nothing.
    let free = |pool: &Pool| PoolPrices {
        cpu: 0.0,
        memory: 0.0,
        slot: 0.0,
        bins: vec![0.0; pool.bins.len()],
        slices: vec![0.1; pool.slices.len()],
        gangs: vec![0.0; pool.gangs.len()],
    };
    let prices: Vec<PoolPrices> = aggregate.pools.iter().map(free).collect();
    let bound = Bound {
        aggregate: &aggregate,
        classes: &[&class],
        most: 100,
    };
    assert_eq!(brute(&[room], &[(&class.0, 10); 3]), 30);
    assert!(bound.at(&prices).unwrap() >= 30);
}
