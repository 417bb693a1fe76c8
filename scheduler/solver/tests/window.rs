//! The window engine against brute force, against itself on problems changed in ways whose effect
//! is known, and its promises: maximal, never below the start, tiers in order, repeatable.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dovetail_core::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::window::{Class, Packed, Put, Window},
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use dovetail_solver::window::{Limits, Pool, Time, solve, verify};
use proptest::prelude::*;
use std::time::Duration;

const GIB: u64 = 1 << 30;

fn limits() -> Limits {
    Limits {
        rounds: 30,
        trials: 16,
        looks: u64::MAX,
        dives: 8,
        tries: 2000,
        time: None,
    }
}

/// No search by columns to speak of.
fn starved() -> Limits {
    Limits {
        rounds: 0,
        trials: 1,
        looks: 0,
        dives: 0,
        tries: 0,
        time: None,
    }
}

fn packed(problem: &Window) -> Packed {
    solve(problem, &limits(), &mut Pool::default())
}

fn worth(problem: &Window, packed: &Packed) -> u64 {
    verify::worth(problem, &packed.puts).into_iter().sum()
}

fn room(cores: u64, gpus: usize) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(80 * GIB),
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(cores * 4 * GIB),
        slices: 100,
        gpus: vec![gpu; gpus],
    }
}

/// `milli` from 1000 on is whole GPUs.
fn class(cores: u64, milli: u64, count: u32) -> Class {
    let share = milli < 1000;
    let gpus = match milli {
        0 => Gpus::None,
        _ if share => Gpus::Share,
        _ => Gpus::Whole(u32::try_from(milli / 1000).unwrap()),
    };
    let part = milli.min(1000);
    let take = Take {
        compute: GpuMilli(part),
        memory: Bytes(80 * GIB / 1000 * part),
    };
    Class {
        demand: Demand {
            cpu: CpuMilli(cores * 1000),
            memory: Bytes(cores * 2 * GIB),
            tenant: 0,
            gpus,
            takes: vec![(milli > 0).then_some(take)],
            kinds: vec![true],
        },
        count,
        priority: 0,
        worth: milli.max(cores * 20) + 50,
    }
}

fn window(nodes: Vec<Room>, classes: Vec<Class>) -> Window {
    Window {
        nodes,
        classes,
        start: Vec::new(),
        seed: 7,
    }
}

/// More than fits, of many sizes, on nodes of three kinds.
fn mixed(copies: usize) -> Window {
    let nodes = [room(32, 2), room(96, 8), room(64, 4)];
    let count = u32::try_from(copies).unwrap() * 6;
    let sizes = [
        (4, 0),
        (2, 250),
        (3, 470),
        (6, 650),
        (8, 810),
        (10, 1000),
        (20, 2000),
        (60, 8000),
    ];
    let classes = sizes.map(|(cores, milli)| class(cores, milli, count));
    window(
        nodes.iter().cycle().take(3 * copies).cloned().collect(),
        classes.to_vec(),
    )
}

fn assert_promises(problem: &Window, packed: &Packed) {
    assert!(verify::holds(problem, &packed.puts));
    assert!(verify::worth(problem, &packed.puts) >= verify::worth(problem, &problem.start));
    let mut rooms = problem.nodes.clone();
    let mut left: Vec<u32> = problem.classes.iter().map(|class| class.count).collect();
    for put in &packed.puts {
        rooms[put.node].take(&problem.classes[put.class].demand, &put.gpus);
        left[put.class] -= 1;
    }
    for (class, left) in problem.classes.iter().zip(left) {
        let fits = left > 0 && rooms.iter().any(|room| room.fits(&class.demand));
        assert!(!fits, "{class:?} waits and fits");
    }
}

/// The most that can be placed, by trying everything.
fn most(rooms: &[Room], waiting: &[&Class]) -> u64 {
    let Some((first, rest)) = waiting.split_first() else {
        return 0;
    };
    let mut best = most(rooms, rest);
    for (node, room) in rooms.iter().enumerate() {
        if !room.fits(&first.demand) {
            continue;
        }
        for gpus in choices(room, &first.demand) {
            let mut rooms = rooms.to_vec();
            rooms[node].take(&first.demand, &gpus);
            best = best.max(first.worth + most(&rooms, rest));
        }
    }
    best
}

/// Every different way to choose GPUs.
fn choices(room: &Room, demand: &Demand) -> Vec<Vec<usize>> {
    let fitting: Vec<usize> = room.fitting(demand).collect();
    match demand.gpus {
        Gpus::None => vec![Vec::new()],
        Gpus::Share => {
            let mut seen = Vec::new();
            let new = |gpu: &usize| {
                let new = !seen.contains(&room.gpus[*gpu]);
                seen.push(room.gpus[*gpu]);
                new
            };
            let gpus: Vec<usize> = fitting.into_iter().filter(new).collect();
            gpus.into_iter().map(|gpu| vec![gpu]).collect()
        }
        Gpus::Whole(count) => vec![fitting[..count as usize].to_vec()],
    }
}

fn sizes() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let milli = prop_oneof![Just(0), 100_u64..1000, Just(1000), Just(2000)];
    prop::collection::vec((1_u64..20, milli), 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn tiny_clusters_are_packed_as_well_as_by_brute_force(
        sizes in sizes(),
        nodes in prop::collection::vec((8_u64..33, 1_usize..3), 1..4),
    ) {
        let nodes = nodes.into_iter().map(|(cores, gpus)| room(cores, gpus)).collect();
        let classes = sizes.into_iter().map(|(cores, milli)| class(cores, milli, 1)).collect();
        let problem = window(nodes, classes);
        let waiting: Vec<&Class> = problem.classes.iter().collect();
        let most = most(&problem.nodes, &waiting);
        for limits in [limits(), starved()] {
            let found = solve(&problem, &limits, &mut Pool::default());
            assert_promises(&problem, &found);
            prop_assert!(found.ceiling >= most, "ceiling {} below {most}", found.ceiling);
            prop_assert_eq!(worth(&problem, &found), most);
        }
    }
}

/// Within 0.2 % of each other.
fn assert_near(a: u64, b: u64) {
    assert!(a.abs_diff(b) * 500 <= a.max(b), "{a} and {b}");
}

#[test]
fn what_is_packed_holds_and_nothing_that_waits_fits() {
    for copies in [1, 5, 20] {
        let problem = mixed(copies);
        let packed = packed(&problem);
        assert_promises(&problem, &packed);
        let worth = worth(&problem, &packed);
        assert!(worth <= packed.ceiling);
        assert!(
            worth * 100 >= packed.ceiling * 95,
            "{worth} of {}",
            packed.ceiling
        );
    }
}

#[test]
fn the_order_of_nodes_hardly_matters() {
    let problem = mixed(10);
    let mut turned = problem.clone();
    turned.nodes.reverse();
    turned.nodes.rotate_left(7);
    assert_near(
        worth(&problem, &packed(&problem)),
        worth(&turned, &packed(&turned)),
    );
}

#[test]
fn a_node_more_never_makes_it_worse() {
    let problem = mixed(10);
    let mut larger = problem.clone();
    larger.nodes.push(room(96, 8));
    let (few, many) = (packed(&problem), packed(&larger));
    assert!(worth(&larger, &many) > worth(&problem, &few));
    assert!(many.ceiling >= few.ceiling);
}

#[test]
fn twice_the_cluster_and_twice_the_work_is_worth_twice_as_much() {
    let (once, twice) = (mixed(10), mixed(20));
    let (few, many) = (packed(&once), packed(&twice));
    assert_near(2 * worth(&once, &few), worth(&twice, &many));
    assert_near(2 * few.ceiling, many.ceiling);
}

#[test]
fn a_class_in_two_halves_is_the_same_class() {
    let problem = mixed(10);
    let mut split = problem.clone();
    split.classes[3].count /= 2;
    split.classes.push(split.classes[3].clone());
    let (whole, halves) = (packed(&problem), packed(&split));
    assert_near(worth(&problem, &whole), worth(&split, &halves));
    assert_near(whole.ceiling, halves.ceiling);
}

/// So few looks that some classes are rounded together.
fn hurried() -> Limits {
    let looks = 10_000;
    Limits { looks, ..limits() }
}

/// Seventy classes of one each that differ by little, on two nodes.
fn motley() -> Window {
    let classes = (0..70).map(|n| class(2 + n % 3, 300 + n, 1));
    window(vec![room(96, 8), room(64, 4)], classes.collect())
}

#[test]
fn classes_rounded_together_lose_a_part_that_is_told() {
    let problem = motley();
    let all = packed(&problem);
    assert_eq!(all.coarsening_permille, 0, "there is time for all classes");
    let coarse = solve(&problem, &hurried(), &mut Pool::default());
    assert_promises(&problem, &coarse);
    assert!(coarse.effort.work_classes < 70, "{:?}", coarse.effort);
    assert!((1..=300).contains(&coarse.coarsening_permille));
    assert_eq!(coarse.ceiling, all.ceiling, "of the classes as they are");
    assert!(worth(&problem, &coarse) * 10 >= worth(&problem, &all) * 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn classes_rounded_together_are_a_plan_all_the_same(
        amounts in proptest::collection::vec((1..9_u64, 1..1000_u64, 1..4_u32), 33..60),
        tenants in 1..4_u32,
        start in 0..20_usize,
    ) {
        let mut classes: Vec<Class> =
            amounts.into_iter().map(|(cores, milli, count)| class(cores, milli, count)).collect();
        for (tenant, class) in (0..).zip(&mut classes) {
            class.demand.tenant = tenant % tenants;
        }
        let mut problem = window(vec![room(64, 4), room(32, 2), room(32, 2)], classes);
        problem.start = solve(&problem, &starved(), &mut Pool::default()).puts;
        problem.start.truncate(start);
        let coarse = solve(&problem, &hurried(), &mut Pool::default());
        assert_promises(&problem, &coarse);
        prop_assert_eq!(&coarse, &solve(&problem, &hurried(), &mut Pool::default()));
    }
}

#[test]
fn equal_seeds_give_equal_answers_and_a_pool_does_no_harm() {
    let problem = mixed(8);
    let mut pool = Pool::default();
    let first = solve(&problem, &limits(), &mut pool);
    assert_eq!(first, packed(&problem));
    let again = solve(&problem, &limits(), &mut pool);
    assert_promises(&problem, &again);
    assert_near(worth(&problem, &first), worth(&problem, &again));
}

#[test]
fn a_start_is_never_lost() {
    let mut problem = mixed(4);
    problem.start = packed(&problem).puts;
    let packed = solve(&problem, &starved(), &mut Pool::default());
    assert_promises(&problem, &packed);
}

#[test]
fn without_any_time_the_start_is_filled_and_returned() {
    let mut problem = mixed(4);
    problem.start = packed(&problem).puts;
    problem.start.truncate(9);
    let none = Limits {
        time: Some(Time {
            soft: Duration::ZERO,
            hard: Duration::ZERO,
        }),
        ..limits()
    };
    let packed = solve(&problem, &none, &mut Pool::default());
    assert_promises(&problem, &packed);
    assert!(problem.start.iter().all(|put| packed.puts.contains(put)));
}

#[test]
fn of_a_small_window_every_tier_is_packed_as_well_as_it_can_be() {
    let mut high = class(1, 1000, 1);
    high.priority = 1;
    let classes = vec![class(1, 500, 1), class(1, 300, 2), class(1, 700, 1), high];
    let problem = window(vec![room(16, 3)], classes);
    let packed = packed(&problem);
    assert_promises(&problem, &packed);
    assert_eq!(verify::worth(&problem, &packed.puts), [1050, 1800 + 4 * 50]);
}

#[test]
fn a_higher_tier_is_never_given_up_for_a_lower_one() {
    let mut high = class(8, 2000, 1);
    high.priority = 10;
    high.worth = 1;
    let low = class(1, 500, 4);
    let problem = window(vec![room(16, 2)], vec![low, high]);
    let packed = packed(&problem);
    assert_promises(&problem, &packed);
    assert_eq!(verify::worth(&problem, &packed.puts), [1, 0]);
}

#[test]
fn tenants_do_not_share_a_gpu_that_is_somebodys() {
    let mut taken = room(16, 1);
    taken.gpus[0].compute = GpuMilli(500);
    taken.gpus[0].memory = Bytes(40 * GIB);
    (taken.gpus[0].empty, taken.gpus[0].tenant) = (false, Some(1));
    let mut own = class(1, 200, 1);
    own.demand.tenant = 1;
    let problem = window(vec![taken], vec![class(1, 400, 1), own]);
    let packed = packed(&problem);
    assert_eq!(
        packed.puts,
        [Put {
            class: 1,
            node: 0,
            gpus: vec![0]
        }]
    );
}

#[test]
fn puts_that_are_changed_do_not_hold() {
    let problem = window(vec![room(8, 2)], vec![class(2, 600, 2), class(1, 1000, 1)]);
    let put = |class, node, gpus: &[usize]| Put {
        class,
        node,
        gpus: gpus.to_vec(),
    };
    let good = vec![put(0, 0, &[0]), put(1, 0, &[1])];
    assert!(verify::holds(&problem, &good));
    let bad = [
        put(0, 0, &[0]),
        put(0, 0, &[1]),
        put(0, 1, &[0]),
        put(2, 0, &[0]),
        put(0, 0, &[2]),
        put(0, 0, &[]),
        put(1, 0, &[0, 1]),
        put(1, 0, &[1]),
    ];
    for bad in bad {
        let mut puts = good.clone();
        puts.push(bad.clone());
        assert!(!verify::holds(&problem, &puts), "{bad:?}");
    }
}
