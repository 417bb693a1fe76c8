//! Measures prices and ceilings on the published traces, on the empty cluster and on one that is
//! nearly full. `DOVETAIL_DATA` names the folder of data;
//! `cargo run -p dovetail-solver --example fluid`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(clippy::unwrap_used, reason = "the files are as published")]

#[path = "../tests/openb/trace.rs"]
mod trace;

use dovetail_core::{
    packing::{Demand, Gpus, Mix, Room},
    problem::fluid::Fluid,
};
use dovetail_solver::{ceiling, fluid};
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};
use std::collections::BTreeMap;
use trace::{NAMES, Trace};

const SEED: u64 = 42;
/// Free compute at which prices are shown.
const SHOWN: [usize; 9] = [110, 160, 220, 270, 320, 470, 650, 810, 1000];

fn main() {
    for name in NAMES {
        let Some(trace) = trace::read(name) else {
            return;
        };
        println!("{name}: {} classes", trace.classes.len());
        measure(name, &trace, &trace.nodes, 100);
        measure(name, &trace, &filled(name, &trace, 93_000), 7);
    }
}

/// Prices for the whole mix, and a ceiling of what comes next.
fn measure(name: &str, trace: &Trace, nodes: &[(Room, u64)], percent: u64) {
    let problem = Fluid {
        nodes: nodes.to_vec(),
        mix: Mix {
            classes: trace.classes.clone(),
        },
    };
    let before = cpu_ms();
    let (prices, effort) = fluid::measured(&problem);
    let cpu = cpu_ms() - before;
    println!(
        "  {} rooms: prices {cpu} CPU ms, {} rounds, {} columns, headroom {}/100 % of GPUs",
        nodes.len(),
        effort.rounds,
        effort.columns,
        trace.hundredths_of_load(prices.headroom_billionths)
    );
    for (kind, node) in prices.nodes.iter().enumerate() {
        let slices: Vec<u32> = SHOWN.iter().map(|at| node.slices[*at]).collect();
        println!(
            "    kind {kind}: {slices:?} core {} gib {} wholes {:?} plan {}",
            node.core,
            node.gib,
            node.wholes,
            node.plan.iter().sum::<u64>()
        );
    }
    let worth = |(class, count): (usize, u64)| {
        (
            trace.classes[class].0.clone(),
            count,
            trace.milli(class) + 50,
        )
    };
    let classes = trace.arrived(name, SEED, percent * 1000);
    let classes: Vec<(Demand, u64, u64)> = classes.into_iter().map(worth).collect();
    let before = cpu_ms();
    let bound = ceiling::of(nodes, &classes);
    let all: u64 = classes.iter().map(|(_, count, worth)| count * worth).sum();
    println!(
        "  ceiling {} CPU ms: {bound} of {all}, {} classes",
        cpu_ms() - before,
        classes.len()
    );
}

/// The cluster after first-fit of so much of the arrivals.
fn filled(name: &str, trace: &Trace, thousandths: u64) -> Vec<(Room, u64)> {
    let rooms = trace.nodes.iter();
    let mut rooms: Vec<Room> = rooms
        .flat_map(|(room, count)| vec![room.clone(); usize::try_from(*count).unwrap()])
        .collect();
    let count = rooms.len();
    for (class, members) in trace.arrived(name, SEED, thousandths) {
        let demand = &trace.classes[class].0;
        for member in 0..usize::try_from(members).unwrap() {
            // From a node that depends on class and member, so that nodes fill unequally.
            let from = (class * 7919 + member * 104_729) % count;
            let at = (0..count).map(|step| (from + step) % count);
            if let Some(at) = at.into_iter().find(|at| rooms[*at].fits(demand)) {
                let most = match demand.gpus {
                    Gpus::Whole(count) => count as usize,
                    Gpus::Share | Gpus::None => usize::try_from(demand.gpu_count()).unwrap(),
                };
                let gpus: Vec<usize> = rooms[at].fitting(demand).take(most).collect();
                rooms[at].take(demand, &gpus);
            }
        }
    }
    let mut counts: BTreeMap<Room, u64> = BTreeMap::new();
    for room in rooms {
        *counts.entry(room).or_default() += 1;
    }
    counts.into_iter().collect()
}

fn cpu_ms() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time() + usage.system_time()).num_milliseconds()
}
