//! The score on rooms so small that the answer is known.

use super::*;
use crate::packing::{GpuRoom, Gpus, NodePrices, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};

const GPU_MEMORY: Bytes = Bytes(1000);

fn demand(cores: u64, gpus: Gpus, milli: u64) -> Demand {
    let take = Take {
        compute: GpuMilli(milli),
        memory: Bytes(milli),
    };
    Demand {
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(0),
        tenant: 0,
        gpus,
        takes: vec![(gpus != Gpus::None).then_some(take)],
        kinds: vec![true],
    }
}

fn share(milli: u64) -> Demand {
    demand(1, Gpus::Share, milli)
}

fn whole(count: u32) -> Demand {
    demand(1, Gpus::Whole(count), 1000)
}

fn room(cores: u64, gpus: usize) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: WHOLE_GPU,
        memory: GPU_MEMORY,
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(0),
        slices: 100,
        gpus: vec![gpu; gpus],
    }
}

fn scorer(mix: &[(Demand, u64)], prices: &Prices) -> Scorer {
    Scorer::new(&Mix::of(mix.to_vec()), prices, &[room(64, 8)])
}

#[test]
fn a_share_goes_where_the_rest_is_still_useful() {
    let scorer = scorer(&[(share(600), 1), (share(400), 1)], &Prices::default());
    let mut broken = room(64, 4);
    broken.take(&share(600), &[2]);
    assert_eq!(scorer.score(&broken, &share(400)).unwrap().gpus, 0b0100);
    assert_eq!(scorer.score(&broken, &share(500)).unwrap().gpus, 0b0001);
}

#[test]
fn a_place_that_breaks_what_a_price_pays_for_is_worse() {
    let slices = (0..=1000).map(|free| if free < 600 { 0 } else { 500 });
    let node = NodePrices {
        slices: slices.collect(),
        ..NodePrices::default()
    };
    let prices = Prices {
        nodes: vec![node],
        headroom_billionths: 1_000_000_000,
    };
    let scorer = scorer(&[(share(600), 1)], &prices);
    let (whole_gpu, mut part) = (room(8, 1), room(8, 1));
    part.take(&share(450), &[0]);
    let value = |room: &Room| scorer.score(room, &share(450)).unwrap().value;
    assert!(
        value(&whole_gpu) < value(&part),
        "the second only wastes waste"
    );
}

#[test]
fn what_does_not_fit_has_no_score() {
    let scorer = scorer(&[(share(600), 1)], &Prices::default());
    let mut closed = room(64, 8);
    closed.slices = 0;
    assert_eq!(scorer.score(&closed, &share(1)), None);
    assert_eq!(scorer.score(&room(64, 3), &whole(4)), None);
    assert_eq!(scorer.score(&room(0, 3), &whole(1)), None);
    assert_eq!(scorer.score(&room(64, 3), &whole(2)).unwrap().gpus, 0b011);
}

fn judged(scorer: &mut Scorer, rooms: &[Room]) -> Vec<usize> {
    scorer.count(rooms);
    scorer.judge()
}

/// A share of 200 where half of the cluster is bound to the second kind.
#[test]
fn flexible_work_pays_on_places_that_bound_work_needs_once_they_are_short() {
    let on = |kinds: &[bool]| Demand {
        kinds: kinds.to_vec(),
        ..share(200)
    };
    let (bound, free) = (on(&[false, true]), on(&[true, true]));
    let other = |kind| Room {
        kind,
        ..room(64, 8)
    };
    let mix = Mix::of([(bound.clone(), 1), (free.clone(), 1)]);
    let mut scorer = Scorer::new(&mix, &Prices::default(), &[other(0), other(1)]);
    let value = |scorer: &Scorer, demand: &Demand| scorer.score(&other(1), demand).unwrap().value;
    let before = [&bound, &free].map(|demand| value(&scorer, demand));
    let news = judged(&mut scorer, &[other(1), other(1), other(0)]);
    assert!(news.is_empty(), "{news:?}");
    // Half of what is free will be asked for, and the bound places are a third.
    assert_eq!(judged(&mut scorer, &[other(0), other(0), other(1)]), [0]);
    let full = Room {
        slices: 0,
        ..other(1)
    };
    let concerned = [other(0), other(1), full].map(|room| scorer.concerns(&[0], &room));
    assert_eq!(concerned, [false, true, false]);
    let after = [&bound, &free].map(|demand| value(&scorer, demand));
    assert_eq!(after, [before[0], before[1] - 200]);
}

#[test]
fn the_last_nodes_for_eight_gpus_are_kept_from_shares_but_not_from_eight_gpu_work() {
    let mix = Mix::of([(share(500), 1), (whole(8), 1)]);
    let mut scorer = Scorer::new(&mix, &Prices::default(), &[room(64, 8)]);
    let mut broken = room(64, 8);
    broken.take(&share(500), &[0]);
    let value =
        |scorer: &Scorer, room: &Room, demand: &Demand| scorer.score(room, demand).unwrap().value;
    let before = [share(500), whole(8)].map(|demand| value(&scorer, &room(64, 8), &demand));
    judged(&mut scorer, &[room(64, 8), broken.clone()]);
    let after = [share(500), whole(8)].map(|demand| value(&scorer, &room(64, 8), &demand));
    assert_eq!(after, [before[0] - 8000, before[1]]);
    let unbroken = before[0] - 8000;
    assert!(value(&scorer, &broken, &share(500)) > unbroken);
}
