//! The placer against the score itself, asked anew for every room.

use super::*;
use crate::{
    packing::{GpuRoom, Gpus, Mix, Prices, Take},
    problem::repair::Resident,
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};
use proptest::prelude::*;

fn room(gpus: usize) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: WHOLE_GPU,
        memory: Bytes(1000),
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(16_000),
        memory: Bytes(100),
        slices: 20,
        gpus: vec![gpu; gpus],
    }
}

fn demand(gpus: Gpus, milli: u64, cpu: u64) -> Demand {
    let take = Take {
        compute: GpuMilli(milli),
        memory: Bytes(milli),
    };
    Demand {
        cpu: CpuMilli(cpu),
        memory: Bytes(1),
        tenant: 0,
        gpus,
        takes: vec![(gpus != Gpus::None).then_some(take)],
        kinds: vec![true],
    }
}

fn classes() -> Vec<Demand> {
    vec![
        demand(Gpus::Whole(2), 1000, 4000),
        demand(Gpus::Whole(1), 1000, 2000),
        demand(Gpus::Share, 300, 1000),
        demand(Gpus::Share, 600, 500),
        demand(Gpus::None, 0, 3000),
    ]
}

fn repair(nodes: usize, residents: Vec<Resident>) -> Repair {
    Repair {
        bare: vec![room(4); nodes],
        classes: classes(),
        residents,
        blocked: 0,
        members: 1,
        priority: 0,
        steps_max: 16,
        seed: 0,
    }
}

fn resident(class: usize, node: usize, gpus: &[usize]) -> Resident {
    let at = Slot {
        node,
        gpus: gpus.to_vec(),
    };
    Resident {
        key: 0,
        class,
        at,
        priority: 0,
        move_cost: Some(1),
        stop_cost: None,
    }
}

fn scorer() -> Scorer {
    let mix = classes().into_iter().map(|class| (class, 1));
    Scorer::new(&Mix::of(mix), &Prices::default(), &[room(4)])
}

#[test]
fn a_share_joins_a_share_before_it_breaks_an_empty_gpu() {
    let (scorer, repair) = (scorer(), repair(3, vec![resident(3, 2, &[1])]));
    let mut placer = ByScore::new(&scorer, &repair);
    let (node, gpus) = (2, vec![1]);
    assert_eq!(placer.best(2), Some(Slot { node, gpus }));
}

#[test]
fn who_leaves_makes_room_and_who_comes_takes_it() {
    let full: Vec<Resident> = (0..4).map(|gpu| resident(1, 0, &[gpu])).collect();
    let (scorer, repair) = (scorer(), repair(1, full));
    let mut placer = ByScore::new(&scorer, &repair);
    assert_eq!(placer.best(0), None);
    for index in [1, 3] {
        placer.left(1, &repair.residents[index].at);
    }
    let (node, gpus) = (0, vec![1, 3]);
    let place = Slot { node, gpus };
    assert_eq!(placer.best(0), Some(place.clone()));
    placer.came(0, &place);
    assert_eq!(placer.best(0), None);
}

#[test]
fn of_equals_the_first_node_is_taken() {
    let (scorer, repair) = (scorer(), repair(5, Vec::new()));
    let mut placer = ByScore::new(&scorer, &repair);
    for class in 0..classes().len() {
        assert_eq!(placer.best(class).map(|at| at.node), Some(0));
    }
}

/// The best place by asking about every room, the rooms being counted anew.
fn oracle(scorer: &Scorer, repair: &Repair, there: &[(usize, Slot)], class: usize) -> Option<Slot> {
    let demand = &repair.classes[class];
    let mut rooms = repair.bare.clone();
    for (class, at) in there {
        rooms[at.node].take(&repair.classes[*class], &at.gpus);
    }
    let mut best: Option<(u16, Slot)> = None;
    for (node, room) in rooms.iter().enumerate() {
        let Some(scored) = scorer.score(room, demand) else {
            continue;
        };
        if best
            .as_ref()
            .is_none_or(|(value, _)| scored.value.max(1) > *value)
        {
            let taken = |gpu: &usize| scored.gpus >> gpu & 1 == 1;
            let gpus = (0..room.gpus.len()).filter(taken).collect();
            best = Some((scored.value.max(1), Slot { node, gpus }));
        }
    }
    best.map(|(_, slot)| slot)
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_the_best_place_is_that_of_the_score(
        nodes in 1..5_usize,
        steps in prop::collection::vec((0..5_usize, any::<bool>(), 0..5_usize), 1..80),
    ) {
        let (scorer, repair) = (scorer(), repair(nodes, Vec::new()));
        let mut placer = ByScore::new(&scorer, &repair);
        let mut there: Vec<(usize, Slot)> = Vec::new();
        for (class, goes, asked) in steps {
            if goes && !there.is_empty() {
                let (class, at) = there.remove(asked % there.len());
                placer.left(class, &at);
            } else if let Some(at) = placer.best(class) {
                placer.came(class, &at);
                there.push((class, at));
            }
            prop_assert_eq!(placer.best(asked), oracle(&scorer, &repair, &there, asked));
        }
    }
}
