//! The solver against a brute-force oracle on tiny problems, and on the named instance.

use super::*;
use dovetail_core::problem::exact::{Gpu, GpuTake, Item, Node, Place, Slot};
use dovetail_model::{
    id::{Name, WorkloadId},
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
};
use proptest::prelude::*;
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

const GIB: u64 = 1 << 30;
const DEVICE: Bytes = Bytes(80 * GIB);

fn node(index: usize, gpus: usize, cpu: u64) -> Node {
    Node {
        name: Name::new(&format!("n{index}")).unwrap(),
        cpu: CpuMilli(cpu),
        memory: Bytes(512 * GIB),
        slices: 1024,
        gpus: vec![
            Gpu {
                compute: WHOLE_GPU,
                memory: DEVICE,
                empty: true
            };
            gpus
        ],
    }
}

/// An item that may go on every node; `milli` of 1000 and more asks for whole GPUs.
fn item(index: u64, members: u32, milli: u64, nodes: &[Node]) -> Item {
    let whole = u32::try_from(milli / 1000).unwrap();
    let compute = if whole > 0 {
        WHOLE_GPU
    } else {
        GpuMilli(milli)
    };
    let memory = Bytes(DEVICE.0 * compute.0 / 1000);
    let take = |gpu| GpuTake {
        gpu,
        compute,
        memory,
    };
    let place = |(node, room): (usize, &Node)| Place {
        node,
        gpus: if milli == 0 {
            vec![]
        } else {
            (0..room.gpus.len()).map(take).collect()
        },
    };
    let enough = |place: &Place| milli == 0 || place.gpus.len() >= (whole as usize).max(1);
    Item {
        workload: WorkloadId(index),
        priority: 0,
        members,
        tenant: 0,
        cpu: CpuMilli(1000),
        memory: Bytes(GIB),
        whole_gpus: whole,
        places: nodes.iter().enumerate().map(place).filter(enough).collect(),
    }
}

fn problem(nodes: Vec<Node>, items: Vec<Item>, start: Vec<Assignment>) -> Exact {
    Exact {
        nodes,
        items,
        start,
    }
}

fn solved(problem: &Exact, stop: Stop) -> Assigned {
    solve(problem, 1, stop)
}

fn slot(node: usize, gpus: std::ops::Range<usize>) -> Slot {
    Slot {
        node,
        gpus: gpus.collect(),
    }
}

/// Two nodes of eight: 3, 3, and a gang of two fives; the start packs both threes together.
fn named() -> Exact {
    let nodes = vec![node(0, 8, 64_000), node(1, 8, 64_000)];
    let items = vec![
        item(1, 1, 3000, &nodes),
        item(2, 1, 3000, &nodes),
        item(3, 2, 5000, &nodes),
    ];
    let start = vec![
        Assignment {
            item: 0,
            members: vec![slot(0, 0..3)],
        },
        Assignment {
            item: 1,
            members: vec![slot(0, 3..6)],
        },
    ];
    problem(nodes, items, start)
}

#[test]
fn the_named_instance_is_solved_where_greedy_strands_the_gang() {
    let problem = named();
    assert_eq!(problem.start.len(), 2);
    let outcome = solved(&problem, Stop::Nodes(10_000));
    assert_eq!(outcome.status, Status::Optimal);
    assert_eq!(verify::verify(&problem, &outcome.assignments), Ok(()));
    assert_eq!(
        text(&problem, &outcome.assignments),
        include_str!("tests/named.txt")
    );
}

/// One line a member, as a golden file shows it.
fn text(problem: &Exact, assignments: &[Assignment]) -> String {
    let mut text = String::new();
    for assignment in assignments {
        for (rank, slot) in assignment.members.iter().enumerate() {
            let workload = problem.items[assignment.item].workload;
            let node = &problem.nodes[slot.node].name;
            text += &format!("{workload} member {rank}: {node} GPUs {:?}\n", slot.gpus);
        }
    }
    text
}

#[test]
fn equal_problems_have_equal_outcomes_however_fast_the_machine() {
    for problem in [named(), largest()] {
        let answer = || solved(&problem, Stop::Nodes(100));
        assert_eq!(answer(), answer());
    }
}

#[test]
fn a_higher_tier_is_never_given_up_for_lower_ones() {
    let nodes = vec![node(0, 8, 64_000)];
    let mut items: Vec<Item> = (0..8).map(|index| item(index, 1, 1000, &nodes)).collect();
    items.push(Item {
        priority: 5,
        ..item(9, 1, 1000, &nodes)
    });
    let outcome = solved(&problem(nodes, items, vec![]), Stop::Nodes(10_000));
    assert_eq!(outcome.assignments.len(), 8);
    assert!(outcome.assignments.iter().any(|a| a.item == 8));
    assert!(
        outcome.assignments.iter().all(|a| a.item != 7),
        "first come"
    );
}

#[test]
fn what_the_start_places_stays_placed_among_equals() {
    let nodes = vec![node(0, 8, 64_000)];
    let items = vec![item(1, 1, 1000, &nodes), item(2, 1, 8000, &nodes)];
    let start = vec![Assignment {
        item: 0,
        members: vec![slot(0, 0..1)],
    }];
    let outcome = solved(&problem(nodes, items, start.clone()), Stop::Nodes(10_000));
    assert_eq!(outcome.assignments, start);
    assert_eq!(outcome.status, Status::Optimal, "nothing better exists");
}

#[test]
fn what_the_start_places_gives_way_to_a_higher_priority() {
    let nodes = vec![node(0, 8, 64_000)];
    let items = vec![
        Item {
            priority: 1,
            ..item(1, 1, 8000, &nodes)
        },
        item(2, 1, 1000, &nodes),
    ];
    let start = vec![Assignment {
        item: 1,
        members: vec![slot(0, 0..1)],
    }];
    let outcome = solved(&problem(nodes, items, start), Stop::Nodes(10_000));
    let placed: Vec<usize> = outcome.assignments.iter().map(|a| a.item).collect();
    assert_eq!(placed, [0]);
}

#[test]
fn without_time_the_start_is_the_outcome() {
    let problem = named();
    let outcome = solved(&problem, Stop::Time(Duration::ZERO));
    assert_eq!(outcome.status, Status::Start);
    assert_eq!(outcome.assignments, problem.start);
}

#[test]
fn all_ranks_share_the_time_there_is() {
    let mut problem = largest();
    for (priority, item) in (0..).zip(&mut problem.items) {
        item.priority = priority;
    }
    let outcome = solved(&problem, Stop::Time(Duration::from_millis(1)));
    // A rank may overshoot; ten of them must not each have the whole time.
    assert!(outcome.stats.models < 10, "{:?}", outcome.stats);
    assert_ne!(outcome.status, Status::Optimal);
}

#[test]
fn compute_outweighs_cpu_and_earlier_goes_before_later() {
    let nodes = vec![node(0, 1, 64_000)];
    let wide = Item {
        cpu: CpuMilli(60_000),
        ..item(1, 1, 300, &nodes)
    };
    let items = vec![wide, item(2, 1, 1000, &nodes), item(3, 1, 1000, &nodes)];
    let outcome = solved(&problem(nodes, items, vec![]), Stop::Nodes(10_000));
    let placed: Vec<usize> = outcome.assignments.iter().map(|a| a.item).collect();
    assert_eq!(placed, [1]);
}

/// HiGHS 1.16.0 with presolve returns the start here and calls it optimal.
#[test]
fn a_start_is_not_taken_for_the_best_where_presolve_knew_better() {
    let ask = |index, members| Item {
        cpu: CpuMilli(500),
        ..item(index, members, 0, &[node(0, 0, 0), node(1, 0, 0)])
    };
    let urgent = Item {
        priority: 1,
        memory: Bytes(2 * GIB),
        ..ask(3, 1)
    };
    let room = |index, slices| Node {
        memory: Bytes(2 * GIB),
        slices,
        ..node(index, 0, 4000)
    };
    let on_the_first = |item| Assignment {
        item,
        members: vec![slot(0, 0..0)],
    };
    let problem = problem(
        vec![room(0, 2), room(1, 1)],
        vec![ask(0, 1), ask(1, 2), ask(2, 1), urgent],
        vec![on_the_first(0), on_the_first(2)],
    );
    let outcome = solved(&problem, Stop::Nodes(10_000));
    assert!(
        outcome.assignments.iter().any(|a| a.item == 3),
        "{outcome:?}"
    );
}

#[test]
fn tenants_do_not_meet_on_a_gpu() {
    let nodes = vec![node(0, 1, 64_000)];
    let items = vec![
        item(1, 1, 300, &nodes),
        Item {
            tenant: 1,
            ..item(2, 1, 300, &nodes)
        },
    ];
    let outcome = solved(&problem(nodes, items, vec![]), Stop::Nodes(10_000));
    assert_eq!(outcome.assignments.len(), 1);
}

#[test]
fn too_many_integers_are_left_to_the_start() {
    let nodes: Vec<Node> = (0..6).map(|index| node(index, 8, 64_000)).collect();
    let items: Vec<Item> = (0..20).map(|index| item(index, 1, 300, &nodes)).collect();
    let outcome = solved(&problem(nodes, items, vec![]), Stop::Nodes(10_000));
    assert_eq!(
        (outcome.status, outcome.assignments.len()),
        (Status::Start, 0)
    );
}

#[test]
fn a_start_that_is_no_solution_is_not_improved_on() {
    let mut problem = named();
    problem.start[1].members = vec![slot(0, 0..3)];
    assert_eq!(solved(&problem, Stop::Nodes(10_000)).status, Status::Start);
}

/// Six nodes of eight GPUs, and as many different items as 600 integers take.
fn largest() -> Exact {
    let nodes: Vec<Node> = (0..6).map(|index| node(index, 8, 64_000)).collect();
    let sizes = [300, 700, 500, 2000, 3000, 5000, 400, 600, 1000, 4000];
    let items: Vec<Item> = (0..)
        .zip(sizes)
        .map(|(index, milli)| item(index, 1, milli, &nodes))
        .collect();
    problem(nodes, items, vec![])
}

#[test]
fn the_largest_model_is_solved() {
    let outcome = solved(&largest(), Stop::Nodes(10_000));
    assert!(outcome.stats.columns > 500, "{:?}", outcome.stats);
    assert_eq!(
        (outcome.status, outcome.assignments.len()),
        (Status::Optimal, 10)
    );
}

#[test]
fn the_model_can_be_read() {
    let text = explain(&named()).unwrap();
    assert!(
        text.contains("gang of item 2: -2 Placed(2) + 1 Members(2, 0) + 1 Members(2, 1) = 0"),
        "{text}"
    );
}

/// What each rank gets of GPU compute and of CPU, in thousandths: of two packings, the larger is
/// the better. Ranks are as in the product, and nothing else is shared with it.
type Worth = Vec<(u64, u64)>;

fn worth_of(problem: &Exact, assignments: &[Assignment]) -> Worth {
    let mut ranks: BTreeMap<(Reverse<i32>, bool), (u64, u64)> = BTreeMap::new();
    for (index, item) in problem.items.iter().enumerate() {
        let waits = problem.start.iter().all(|a| a.item != index);
        let rank = ranks.entry((Reverse(item.priority), waits)).or_default();
        if assignments.iter().any(|a| a.item == index) {
            let members = u64::from(item.members);
            let takes = item.places.iter().flat_map(|place| &place.gpus);
            let each = takes.map(|take| take.compute.0).max().unwrap_or(0);
            rank.0 += members * each * u64::from(item.whole_gpus.max(1));
            rank.1 += members * item.cpu.0;
        }
    }
    ranks.into_values().collect()
}

/// The best packing there is, by trying everything.
fn best(problem: &Exact, index: usize, chosen: &mut Vec<Assignment>) -> Worth {
    if index == problem.items.len() {
        return worth_of(problem, chosen);
    }
    let mut most = best(problem, index + 1, chosen);
    for members in ways(problem, index) {
        chosen.push(Assignment {
            item: index,
            members,
        });
        if verify::verify(problem, chosen).is_ok() {
            most = most.max(best(problem, index + 1, chosen));
        }
        chosen.pop();
    }
    most
}

/// Every way to place one item; its members are alike, so their order is not one.
fn ways(problem: &Exact, index: usize) -> Vec<Vec<Slot>> {
    let item = &problem.items[index];
    let places = item.places.iter();
    let slots: Vec<Slot> = places.flat_map(|place| single(item, place)).collect();
    let mut all: Vec<(usize, Vec<Slot>)> = vec![(0, vec![])];
    for _ in 0..item.members {
        let longer = all.iter().flat_map(|(from, way)| {
            let next = slots.iter().enumerate().skip(*from);
            next.map(move |(at, slot)| (at, [way.as_slice(), std::slice::from_ref(slot)].concat()))
        });
        all = longer.collect();
    }
    all.into_iter().map(|(_, way)| way).collect()
}

fn single(item: &Item, place: &Place) -> Vec<Slot> {
    let gpus: Vec<usize> = place.gpus.iter().map(|take| take.gpu).collect();
    let sets: Vec<Vec<usize>> = match (item.whole_gpus, gpus.is_empty()) {
        (0, true) => vec![vec![]],
        (0, false) => gpus.iter().map(|gpu| vec![*gpu]).collect(),
        (count, _) => (0..1_u32 << gpus.len())
            .filter(|mask| mask.count_ones() == count)
            .map(|mask| {
                gpus.iter()
                    .copied()
                    .filter(|gpu| mask & (1 << gpu) != 0)
                    .collect()
            })
            .collect(),
    };
    sets.into_iter()
        .map(|gpus| Slot {
            node: place.node,
            gpus,
        })
        .collect()
}

/// GPUs that are free, half taken, or barely used by somebody else.
fn gpu() -> impl Strategy<Value = Gpu> {
    prop::sample::select(vec![(1000, 80, true), (500, 40, false), (1000, 79, false)]).prop_map(
        |(compute, gib, empty)| Gpu {
            compute: GpuMilli(compute),
            memory: Bytes(gib * GIB),
            empty,
        },
    )
}

prop_compose! {
    fn some_nodes()(rooms in prop::collection::vec(
        (prop::collection::vec(gpu(), 0..=2), 1_u64..=6, 2_u64..=6, 1_u32..=4), 1..=3,
    )) -> Vec<Node> {
        let rooms = rooms.into_iter().enumerate();
        rooms.map(|(index, (gpus, cores, gib, slices))| Node {
            memory: Bytes(gib * GIB),
            slices,
            gpus,
            ..node(index, 0, cores * 1000)
        }).collect()
    }
}

prop_compose! {
    fn tiny()(nodes in some_nodes(), asks in prop::collection::vec(
        (
            1_u32..=2,
            prop::sample::select(vec![0_u64, 200, 300, 500, 700, 1000, 2000]),
            (0_u32..=1, -1_i32..=1),
            (1_u64..=4, 1_u64..=3, any::<bool>()),
        ), 1..=5,
    )) -> Exact {
        let items = (0_u64..).zip(asks).map(|(index, (members, milli, (tenant, priority), host))| {
            let (half_cores, gib, choosy) = host;
            let mut item = Item {
                tenant,
                priority,
                cpu: CpuMilli(half_cores * 500),
                memory: Bytes(gib * GIB),
                ..item(index, members, milli, &nodes)
            };
            item.places.truncate(if choosy { 1 } else { 3 });
            item
        });
        let mut problem = problem(nodes.clone(), items.collect(), vec![]);
        problem.start = first_fit(&problem);
        problem
    }
}

/// A poor greedy answer: some items that fit, in order, every other one left out.
fn first_fit(problem: &Exact) -> Vec<Assignment> {
    let mut start = Vec::new();
    for index in (0..problem.items.len()).step_by(2) {
        for members in ways(problem, index) {
            start.push(Assignment {
                item: index,
                members,
            });
            if verify::verify(problem, &start).is_ok() {
                break;
            }
            start.pop();
        }
    }
    start
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn brute_force_finds_nothing_better(problem in tiny()) {
        let outcome = solved(&problem, Stop::Nodes(100_000));
        prop_assert_eq!(verify::verify(&problem, &outcome.assignments), Ok(()));
        prop_assert_eq!(outcome.status, Status::Optimal);
        let most = best(&problem, 0, &mut vec![]);
        prop_assert_eq!(worth_of(&problem, &outcome.assignments), most);
    }

    #[test]
    fn a_search_that_is_cut_short_is_sound_and_no_worse_than_its_start(
        problem in tiny(), nodes in 0_u32..2,
    ) {
        let outcome = solved(&problem, Stop::Nodes(nodes));
        prop_assert_eq!(verify::verify(&problem, &outcome.assignments), Ok(()));
        let least = worth_of(&problem, &problem.start);
        prop_assert!(worth_of(&problem, &outcome.assignments) >= least);
    }
}
