//! The fast search on clusters worked out by hand, and on random ones against the verifier.

use super::*;
use crate::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::repair::{Repair, Resident},
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use proptest::prelude::*;

fn room(gpus: usize, cpu: u64) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(1000),
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(cpu),
        memory: Bytes(100),
        slices: 20,
        gpus: vec![gpu; gpus],
    }
}

/// `milli` of 1000 and more asks for whole GPUs.
fn demand(milli: u64, cpu: u64) -> Demand {
    let share = milli.min(1000);
    let take = Take {
        compute: GpuMilli(share),
        memory: Bytes(share),
    };
    Demand {
        cpu: CpuMilli(cpu),
        memory: Bytes(1),
        tenant: 0,
        gpus: match milli {
            0 => Gpus::None,
            1..1000 => Gpus::Share,
            _ => Gpus::Whole(u32::try_from(milli / 1000).unwrap()),
        },
        takes: vec![(milli > 0).then_some(take)],
        kinds: vec![true],
    }
}

/// Residents as (class, node, GPUs, whether it may move).
fn repair(bare: Vec<Room>, classes: Vec<Demand>, who: &[(usize, usize, &[usize], bool)]) -> Repair {
    let resident = |(class, node, gpus, movable): &(usize, usize, &[usize], bool)| Resident {
        key: 0,
        class: *class,
        at: Slot {
            node: *node,
            gpus: gpus.to_vec(),
        },
        priority: 0,
        move_cost: movable.then(|| Resident::cost_of_move(size(&classes[*class]), 1)),
        stop_cost: None,
    };
    let residents = who.iter().map(resident).collect();
    Repair {
        bare,
        residents,
        classes,
        blocked: 0,
        members: 1,
        priority: 0,
        steps_max: 16,
        seed: 0,
    }
}

fn size(demand: &Demand) -> u64 {
    vacate::size(demand).0
}

fn searched(repair: &Repair) -> Option<Repaired> {
    let (answer, _) = search(repair, &mut Tightest::new(repair), Bounds::default());
    if let Some(answer) = &answer {
        assert_eq!(verify(repair, answer), Ok(()));
    }
    answer
}

#[test]
fn the_node_that_is_cheapest_to_vacate_is_vacated() {
    let classes = vec![demand(2000, 1), demand(300, 1), demand(600, 1)];
    let rooms = vec![room(2, 9), room(2, 9), room(1, 9)];
    let who: [(usize, usize, &[usize], bool); 3] =
        [(2, 0, &[0], true), (1, 1, &[1], true), (2, 2, &[0], true)];
    let answer = searched(&repair(rooms, classes, &who)).unwrap();
    assert_eq!((answer.cost, answer.slots[0].node), (1300, 1));
    assert_eq!(answer.steps[0].resident, 1);
}

#[test]
fn who_may_not_move_stays_and_then_nothing_may_help() {
    let classes = vec![demand(2000, 1), demand(300, 1), demand(600, 1)];
    let rooms = || vec![room(2, 9), room(2, 9)];
    let who: [(usize, usize, &[usize], bool); 2] = [(2, 0, &[0], true), (1, 1, &[1], false)];
    let answer = searched(&repair(rooms(), classes.clone(), &who)).unwrap();
    assert_eq!(answer.steps[0].resident, 0);
    let pinned = who.map(|(class, node, gpus, _)| (class, node, gpus, false));
    assert_eq!(searched(&repair(rooms(), classes, &pinned)), None);
}

#[test]
fn smaller_ones_make_way_for_who_makes_way() {
    // The one with a whole GPU fits on node 1 once the share there has joined the one on node 2.
    let classes = vec![demand(2000, 1), demand(1000, 1), demand(400, 1)];
    let rooms = vec![room(2, 9), room(1, 9), room(1, 9)];
    let who: [(usize, usize, &[usize], bool); 3] =
        [(1, 0, &[0], true), (2, 1, &[0], true), (2, 2, &[0], false)];
    let answer = searched(&repair(rooms, classes, &who)).unwrap();
    assert_eq!((answer.steps.len(), answer.cost), (2, 2000 + 1400));
}

#[test]
fn a_gang_gets_all_its_members_or_nothing_moves() {
    let classes = vec![demand(1000, 1), demand(300, 1)];
    let rooms = vec![room(2, 9), room(1, 9)];
    let who: [(usize, usize, &[usize], bool); 2] = [(1, 0, &[0], true), (1, 1, &[0], true)];
    let mut gang = repair(rooms, classes, &who);
    gang.members = 2;
    let answer = searched(&gang).unwrap();
    assert_eq!((answer.slots.len(), answer.steps.len()), (2, 1));
    gang.members = 3;
    assert_eq!(searched(&gang), None);
    gang.members = 2;
    gang.steps_max = 0;
    assert_eq!(searched(&gang), None, "no step is allowed");
}

#[test]
fn work_that_lacks_cpu_has_others_moved_away_too() {
    let classes = vec![demand(1000, 5), demand(0, 4), demand(0, 6)];
    let rooms = vec![room(1, 9), room(0, 9)];
    let who: [(usize, usize, &[usize], bool); 2] = [(1, 0, &[], true), (1, 0, &[], true)];
    let answer = searched(&repair(rooms, classes, &who)).unwrap();
    assert_eq!((answer.steps.len(), answer.cost), (1, 1000));
}

#[test]
fn a_mutated_answer_is_found_out() {
    let classes = vec![demand(2000, 1), demand(300, 1), demand(600, 1)];
    let rooms = vec![room(2, 9), room(2, 9)];
    let who: [(usize, usize, &[usize], bool); 2] = [(2, 0, &[0], true), (1, 1, &[1], false)];
    let repair = repair(rooms, classes, &who);
    let good = searched(&repair).unwrap();
    let wrong = |change: &dyn Fn(&mut Repaired)| {
        let mut answer = good.clone();
        change(&mut answer);
        verify(&repair, &answer).unwrap_err()
    };
    assert_eq!(wrong(&|a| a.steps[0].resident = 1), Wrong::NotAllowed(0));
    assert_eq!(wrong(&|a| a.steps[0].resident = 9), Wrong::NotAllowed(0));
    assert_eq!(wrong(&|a| a.steps[0].to = None), Wrong::NotAllowed(0));
    assert_eq!(
        wrong(&|a| a.steps.push(a.steps[0].clone())),
        Wrong::NotAllowed(1)
    );
    let crowded = Some(Slot {
        node: 1,
        gpus: vec![7],
    });
    assert_eq!(
        wrong(&|a| a.steps[0].to.clone_from(&crowded)),
        Wrong::StepRoom(0)
    );
    assert_eq!(wrong(&|a| a.steps.clear()), Wrong::MemberRoom(0));
    assert_eq!(wrong(&|a| a.slots[0].gpus = vec![0]), Wrong::MemberRoom(0));
    assert_eq!(wrong(&|a| a.slots.clear()), Wrong::Members(0));
    assert_eq!(wrong(&|a| a.cost += 1), Wrong::Cost(1600));
}

/// Two steps of which the second needs the room that the first leaves, on nodes of two kinds.
fn chained() -> (Repair, Repaired) {
    let mut classes = vec![demand(2000, 1), demand(1000, 1), demand(400, 1)];
    classes.iter_mut().for_each(|class| class.kinds.push(false));
    let (mut foreign, mut closed) = (room(2, 9), room(2, 9));
    (foreign.kind, closed.slices) = (1, 0);
    let rooms = vec![room(2, 9), room(1, 9), room(1, 9), foreign, closed];
    let who: [(usize, usize, &[usize], bool); 3] =
        [(1, 0, &[0], true), (2, 1, &[0], true), (2, 2, &[0], false)];
    let repair = repair(rooms, classes, &who);
    let answer = searched(&repair).unwrap();
    (repair, answer)
}

/// Everything that one field of an answer may be, right or wrong.
fn mutations(repair: &Repair, good: &Repaired) -> Vec<Repaired> {
    let nodes = 0..=repair.bare.len();
    let sets: [&[usize]; 6] = [&[], &[0], &[1], &[0, 1], &[0, 0], &[7]];
    let slot = |node, gpus: &&[usize]| Slot {
        node,
        gpus: gpus.to_vec(),
    };
    let slots: Vec<Slot> = nodes
        .flat_map(|node| sets.iter().map(move |gpus| slot(node, gpus)))
        .collect();
    let mut all = Vec::new();
    let mut mutate = |change: &dyn Fn(&mut Repaired)| {
        let mut answer = good.clone();
        change(&mut answer);
        all.push(answer);
    };
    for step in 0..good.steps.len() {
        (0..5).for_each(|other| mutate(&|a| a.steps[step].resident = other));
        mutate(&|a| a.steps[step].to = None);
        mutate(&|a| drop(a.steps.remove(step)));
        mutate(&|a| a.steps.push(a.steps[step].clone()));
        for to in &slots {
            mutate(&|a| a.steps[step].to = Some(to.clone()));
        }
    }
    mutate(&|a| a.steps.reverse());
    for at in &slots {
        mutate(&|a| a.slots[0] = at.clone());
    }
    mutate(&|a| a.slots.clear());
    mutate(&|a| a.slots.push(a.slots[0].clone()));
    mutate(&|a| a.cost += 1);
    mutate(&|a| a.cost -= 1);
    all.retain(|answer| answer != good);
    all
}

#[test]
fn every_field_of_an_answer_that_is_changed_is_found_out() {
    let (repair, good) = chained();
    assert_eq!((verify(&repair, &good), good.steps.len()), (Ok(()), 2));
    let mutations = mutations(&repair, &good);
    assert!(mutations.len() > 100, "{}", mutations.len());
    for mutated in mutations {
        assert!(verify(&repair, &mutated).is_err(), "{mutated:?}");
    }
    let fewer = Repair {
        steps_max: 1,
        ..repair
    };
    assert_eq!(verify(&fewer, &good), Err(Wrong::Steps(2)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_the_search_answers_holds_and_the_placer_is_left_as_it_was(
        rooms in prop::collection::vec((0..5_usize, 1..20_u64), 1..8),
        classes in prop::collection::vec((0..4000_u64, 0..6_u64), 2..6),
        who in prop::collection::vec((any::<u8>(), any::<bool>()), 0..30),
        members in 1..4_u32,
        steps_max in 0..6_u32,
    ) {
        let rooms: Vec<Room> = rooms.iter().map(|(gpus, cpu)| room(*gpus, *cpu)).collect();
        let classes: Vec<Demand> = classes.iter().map(|(m, cpu)| demand(*m, *cpu)).collect();
        let mut problem = repair(rooms, classes, &[]);
        for (number, movable) in who {
            let class = usize::from(number) % problem.classes.len();
            let at = Tightest::new(&problem).best(class);
            problem.residents.extend(at.map(|at| Resident {
                key: 0,
                class,
                at,
                priority: 0,
                move_cost: movable.then_some(u64::from(number)),
                stop_cost: None,
            }));
        }
        (problem.members, problem.steps_max) = (members, steps_max);
        let mut placer = Tightest::new(&problem);
        let before = format!("{:?}", placer.rooms());
        let (answer, effort) = search(&problem, &mut placer, Bounds::default());
        prop_assert_eq!(before, format!("{:?}", placer.rooms()));
        prop_assert_eq!(&search(&problem, &mut placer, Bounds::default()), &(answer.clone(), effort));
        if let Some(answer) = answer {
            prop_assert_eq!(verify(&problem, &answer), Ok(()));
        }
    }
}
