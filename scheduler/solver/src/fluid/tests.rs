//! Prices and plans of small and of hostile problems.

use super::*;
use dovetail_core::packing::{GpuRoom, Gpus, Mix, Room, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn node(kind: u32, gpus: usize, cores: u64) -> Room {
    let gpu = GpuRoom {
        device: kind,
        compute: GpuMilli(1000),
        memory: Bytes(80 * GIB),
        empty: true,
        tenant: None,
    };
    Room {
        kind,
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(512 * GIB),
        slices: 100,
        gpus: vec![gpu; gpus],
    }
}

/// A demand that any kind will do for.
fn demand(cores: u64, gpus: Gpus, compute: u64, memory: u64) -> Demand {
    let take = Take {
        compute: GpuMilli(compute),
        memory: Bytes(memory),
    };
    Demand {
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(GIB),
        tenant: 0,
        gpus,
        takes: vec![Some(take); 2],
        kinds: vec![true; 2],
    }
}

fn share(milli: u64) -> Demand {
    demand(1, Gpus::Share, milli, 0)
}

fn solved(nodes: &[(Room, u64)], classes: &[(Demand, u64)]) -> Prices {
    solve(&Fluid {
        nodes: nodes.to_vec(),
        mix: Mix {
            classes: classes.to_vec(),
        },
    })
}

#[test]
fn a_slice_that_leaves_nothing_useful_costs_a_whole_gpu() {
    let prices = solved(
        &[(node(0, 4, 64), 10)],
        &[(share(600), 50), (share(500), 50)],
    );
    let slices = &prices.nodes[0].slices;
    assert_eq!((slices[499], slices[500], slices[600]), (0, 500, 1000));
    // 40 GPUs are gone when 50 τ + 25 τ are.
    assert_eq!(prices.headroom_billionths, 533_333_333);
}

#[test]
fn memory_of_a_gpu_sets_the_price_where_it_is_what_is_gone_first() {
    let small = demand(1, Gpus::Share, 100, 40 * GIB);
    let prices = solved(&[(node(0, 4, 64), 10)], &[(small, 100)]);
    assert_eq!(prices.headroom_billionths, 800_000_000);
    assert_eq!(prices.nodes[0].slices[500], 500);
    assert_eq!(prices.nodes[0].slices[499], 0);
}

#[test]
fn cpu_has_a_price_where_it_is_what_is_gone_first() {
    let whole = demand(10, Gpus::Whole(1), 1000, 80 * GIB);
    let rich = solved(&[(node(0, 4, 64), 10)], &[(whole.clone(), 40)]);
    let poor = solved(&[(node(0, 4, 20), 10)], &[(whole, 40)]);
    assert_eq!(
        (rich.nodes[0].core, rich.headroom_billionths),
        (0, 1_000_000_000)
    );
    assert_eq!(poor.headroom_billionths, 500_000_000);
    assert_eq!(poor.nodes[0].core, 100);
}

#[test]
fn nodes_with_many_empty_gpus_are_dear_where_few_are_left() {
    let gang = demand(8, Gpus::Whole(8), 1000, 80 * GIB);
    let single = demand(1, Gpus::Whole(1), 1000, 80 * GIB);
    let mut used = node(0, 8, 64);
    used.take(&single, &[0]);
    let nodes = [(node(0, 8, 64), 2), (used, 20)];
    let prices = solved(&nodes, &[(gang, 8), (single, 100)]);
    let wholes = &prices.nodes[0].wholes;
    assert!(wholes[8] > wholes[7] + 2 * wholes[1], "{wholes:?}");
}

#[test]
fn what_only_one_kind_will_do_for_is_planned_there_and_stops_nothing_else() {
    let mut bound = demand(1, Gpus::Whole(1), 1000, 80 * GIB);
    bound.kinds = vec![true, false];
    let free = demand(1, Gpus::Whole(1), 1000, 80 * GIB);
    let nodes = [(node(0, 1, 8), 10), (node(1, 1, 8), 90)];
    let prices = solved(&nodes, &[(bound, 20), (free, 80)]);
    assert_eq!(prices.headroom_billionths, 500_000_000);
    assert_eq!(prices.nodes[0].plan[0], 10);
    assert_eq!(prices.nodes[1].plan, [0, 80]);
    assert!(prices.nodes[1].slices[1000] >= 1000);
}

#[test]
fn nothing_has_no_price() {
    let nodes = [(node(0, 4, 64), 10)];
    assert_eq!(solved(&nodes, &[]), Prices::default());
    let none = solved(&[], &[(share(500), 10)]);
    assert_eq!(none.headroom_billionths, 0);
    let large = demand(1000, Gpus::None, 0, 0);
    let unfit = solved(&nodes, &[(large.clone(), 10), (share(500), 10)]);
    assert_eq!(unfit.nodes[0].plan, [0, 80]);
    assert_eq!(solved(&nodes, &[(large, 10)]).headroom_billionths, 0);
}

fn any_amount() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..2000_u64, any::<u64>(), Just(u64::MAX)]
}

prop_compose! {
    fn any_room()(
        kind in prop_oneof![0..3_u32, Just(u32::MAX)],
        amounts in proptest::collection::vec(any_amount(), 4),
        slices in prop_oneof![0..9_u32, Just(u32::MAX)],
        gpus in 0..9_usize,
        empty in any::<bool>(),
    ) -> Room {
        let gpu = GpuRoom {
            device: kind,
            compute: GpuMilli(amounts[2]),
            memory: Bytes(amounts[3]),
            empty,
            tenant: None,
        };
        let (cpu, memory) = (CpuMilli(amounts[0]), Bytes(amounts[1]));
        Room { kind, cpu, memory, slices, gpus: vec![gpu; gpus] }
    }
}

prop_compose! {
    fn any_demand()(
        gpus in prop_oneof![
            Just(Gpus::None), Just(Gpus::Share), (1..9_u32).prop_map(Gpus::Whole),
            Just(Gpus::Whole(u32::MAX)),
        ],
        amounts in proptest::collection::vec(any_amount(), 4),
        kinds in proptest::collection::vec(any::<bool>(), 0..4),
    ) -> Demand {
        let take = Take { compute: GpuMilli(amounts[2]), memory: Bytes(amounts[3]) };
        Demand {
            cpu: CpuMilli(amounts[0]),
            memory: Bytes(amounts[1]),
            tenant: 0,
            gpus,
            takes: vec![Some(take); 3],
            kinds,
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_alike_each_time(
        nodes in proptest::collection::vec((any_room(), any_amount()), 0..5),
        classes in proptest::collection::vec((any_demand(), any_amount(), any_amount()), 0..5),
    ) {
        let mix: Vec<(Demand, u64)> = classes.iter().map(|(d, n, _)| (d.clone(), *n)).collect();
        let prices = solved(&nodes, &mix);
        prop_assert_eq!(&prices, &solved(&nodes, &mix));
        for node in &prices.nodes {
            prop_assert!(node.slices.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert_eq!(node.plan.len(), mix.len());
        }
        let bound = crate::ceiling::of(&nodes, &classes);
        prop_assert_eq!(bound, crate::ceiling::of(&nodes, &classes));
    }
}
