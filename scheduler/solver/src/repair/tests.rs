//! The exact repair against a brute-force oracle on tiny clusters.

use super::*;
use dovetail_core::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::{
        exact::Slot,
        repair::{Resident, Step},
    },
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use proptest::prelude::*;

const STOP: Stop = Stop::Nodes(10_000);

fn room(gpus: usize, cpu: u64) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(1000 << 20),
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(cpu * 1000),
        memory: Bytes(64 << 20),
        slices: 5,
        gpus: vec![gpu; gpus],
    }
}

/// `milli` of 1000 and more asks for whole GPUs.
fn demand(milli: u64, cpu: u64, tenant: u32) -> Demand {
    let share = milli.min(1000);
    let take = Take {
        compute: GpuMilli(share),
        memory: Bytes(share << 20),
    };
    Demand {
        cpu: CpuMilli(cpu * 1000),
        memory: Bytes(1 << 20),
        tenant,
        gpus: match milli {
            0 => Gpus::None,
            1..1000 => Gpus::Share,
            _ => Gpus::Whole(u32::try_from(milli / 1000).unwrap()),
        },
        takes: vec![(milli > 0).then_some(take)],
        kinds: vec![true],
    }
}

/// Residents as (class, move cost, stop cost, priority), each put on the first room that takes it;
/// who finds none is left out.
type Spec = (usize, Option<u64>, Option<u64>, i32);

fn repair(rooms: &[(usize, u64)], classes: Vec<Demand>, specs: &[Spec], steps_max: u32) -> Repair {
    let bare: Vec<Room> = rooms.iter().map(|(gpus, cpu)| room(*gpus, *cpu)).collect();
    let mut full = bare.clone();
    let mut residents = Vec::new();
    for (class, move_cost, stop_cost, priority) in specs.iter().copied() {
        let demand = &classes[class];
        let Some(node) = full.iter().position(|room| room.fits(demand)) else {
            continue;
        };
        let gpus: Vec<usize> = match demand.gpus {
            Gpus::None => Vec::new(),
            _ => full[node]
                .fitting(demand)
                .take(demand.gpu_count() as usize)
                .collect(),
        };
        full[node].take(demand, &gpus);
        residents.push(Resident {
            key: residents.len() as u64,
            class,
            at: Slot { node, gpus },
            priority,
            move_cost,
            stop_cost,
        });
    }
    Repair {
        bare,
        classes,
        residents,
        blocked: 0,
        members: 1,
        priority: 1,
        steps_max,
        seed: 0,
    }
}

/// Every place that a demand could have in an empty cluster.
fn places(repair: &Repair, class: usize) -> Vec<Slot> {
    let count = repair.classes[class].gpu_count();
    let mut places = Vec::new();
    for (node, room) in repair.bare.iter().enumerate() {
        for set in 0..1_u32 << room.gpus.len() {
            if set.count_ones() == count {
                let gpus = (0..room.gpus.len())
                    .filter(|gpu| set >> gpu & 1 == 1)
                    .collect();
                places.push(Slot { node, gpus });
            }
        }
    }
    places
}

/// The least cost of any sequence of steps, by trying all of them in every order.
fn oracle(repair: &Repair) -> Option<u64> {
    fn visit(repair: &Repair, steps: &mut Vec<Step>, best: &mut Option<u64>) {
        for slot in places(repair, repair.blocked) {
            let costs = steps.iter().map(|step| repair.cost(step));
            let cost = costs.sum::<Option<u64>>().unwrap();
            let answer = Repaired {
                steps: steps.clone(),
                slots: vec![slot],
                cost,
            };
            if best.is_none_or(|best| cost < best) && verify(repair, &answer).is_ok() {
                *best = Some(cost);
            }
        }
        if steps.len() == repair.steps_limit() {
            return;
        }
        for (resident, who) in repair.residents.iter().enumerate() {
            if steps.iter().any(|step| step.resident == resident) {
                continue;
            }
            let moves = places(repair, who.class).into_iter().map(Some);
            for to in moves.chain([None]) {
                let step = Step { resident, to };
                if repair.cost(&step).is_none() || !room_for(repair, steps, &step) {
                    continue;
                }
                steps.push(step);
                visit(repair, steps, best);
                steps.pop();
            }
        }
    }
    let mut best = None;
    visit(repair, &mut Vec::new(), &mut best);
    best
}

/// Whether a step can be made after these, told from what is wrong with an answer of no members.
fn room_for(repair: &Repair, steps: &[Step], step: &Step) -> bool {
    let steps: Vec<Step> = steps.iter().cloned().chain([step.clone()]).collect();
    let nobody = Repair {
        members: 0,
        ..repair.clone()
    };
    let costs = steps.iter().map(|step| repair.cost(step));
    let cost = costs.sum::<Option<u64>>().unwrap();
    let slots = Vec::new();
    verify(&nobody, &Repaired { steps, slots, cost }).is_ok()
}

#[test]
fn the_cheapest_residents_move_and_the_pinned_one_never() {
    let classes = vec![demand(2000, 1, 0), demand(400, 1, 0), demand(300, 1, 0)];
    let specs = [
        (1, Some(9), None, 0),
        (2, None, None, 0),
        (1, Some(7), None, 0),
    ];
    let mut repair = repair(&[(2, 9), (2, 9)], classes, &specs, 4);
    // The pinned one is on node 1, alone; the others are on node 0, one on each GPU.
    repair.residents[1].at = Slot {
        node: 1,
        gpus: vec![0],
    };
    repair.residents[2].at = Slot {
        node: 0,
        gpus: vec![1],
    };
    let answer = solve(&repair, STOP);
    let repaired = answer.repaired.unwrap();
    assert_eq!((answer.proof, repaired.cost), (Proof::Proven, 16));
    assert_eq!(repaired.slots[0].node, 0);
    assert!(repaired.steps.iter().all(|step| step.resident != 1));
}

#[test]
fn victims_are_of_lower_priority_and_the_least_weighted_ones() {
    let classes = vec![demand(1000, 1, 0), demand(1000, 2, 0)];
    let specs = [
        (1, None, Some(5), 0),
        (1, None, Some(2), 1),
        (1, None, Some(4), 0),
    ];
    let repair = repair(&[(1, 9), (1, 9), (1, 9)], classes, &specs, 4);
    let answer = solve(&repair, STOP).repaired.unwrap();
    assert_eq!(
        answer.cost, 4,
        "the one that costs 2 is as important as the blocked"
    );
    assert_eq!(
        answer.steps,
        [Step {
            resident: 2,
            to: None
        }]
    );
}

#[test]
fn two_tenants_never_share_a_gpu_after_a_repair() {
    let classes = vec![demand(1000, 1, 0), demand(400, 1, 1), demand(400, 1, 2)];
    let specs = [(1, Some(1), None, 0), (2, Some(1), None, 0)];
    let repair = repair(&[(2, 9)], classes, &specs, 4);
    let answer = solve(&repair, STOP);
    assert_eq!((answer.repaired, answer.proof), (None, Proof::Proven));
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let cost = || prop::option::weighted(0.8, 1..20_u64);
    (
        1..4_usize,
        cost(),
        prop::option::weighted(0.2, 1..30_u64),
        0..2,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_exact_repair_costs_what_the_oracle_finds(
        rooms in prop::collection::vec((1..3_usize, 1..5_u64), 1..4),
        wanted in prop_oneof![Just(1000_u64), Just(2000), 300..1000_u64],
        shares in prop::collection::vec((0..1200_u64, 0..2_u64, 0..2_u32), 3),
        specs in prop::collection::vec(any_spec(), 0..5),
        steps_max in 1..4_u32,
    ) {
        let mut classes = vec![demand(wanted, 1, 0)];
        classes.extend(shares.iter().map(|(milli, cpu, tenant)| demand(*milli, *cpu, *tenant)));
        let repair = repair(&rooms, classes, &specs, steps_max);
        let answer = solve(&repair, STOP);
        let found = answer.repaired.as_ref().map(|repaired| repaired.cost);
        let wanted = oracle(&repair);
        if answer.proof == Proof::Proven {
            prop_assert_eq!(found, wanted);
        } else {
            prop_assert_eq!(answer.proof, Proof::Limited);
            prop_assert!(found.is_none() || wanted.is_some_and(|wanted| found >= Some(wanted)));
        }
        prop_assert_eq!(solve(&repair, STOP), answer);
    }
}
