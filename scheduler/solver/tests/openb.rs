//! Prices and ceilings of the published traces (USENIX ATC 2023) against what an independent
//! study found. `DOVETAIL_DATA` names the folder that has `openb/`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::print_stdout,
    reason = "says what is skipped, and what is found"
)]

mod openb {
    pub(crate) mod trace;
}

use dovetail_core::{
    packing::{Demand, Mix, Prices, Room},
    problem::fluid::Fluid,
};
use dovetail_solver::{ceiling, fluid};
use openb::trace::{self, NAMES, Trace};

/// Load in hundredths of a percent of the GPUs at which the mix fits with nothing refused.
const TAU: [u64; 5] = [9632, 9632, 9489, 9631, 9682];

fn mix(trace: &Trace) -> Mix {
    Mix {
        classes: trace.classes.clone(),
    }
}

#[test]
fn headroom_is_what_the_study_found() {
    for (name, expected) in NAMES.into_iter().zip(TAU) {
        let Some(trace) = trace::read(name) else {
            return;
        };
        let prices = fluid::solve(&Fluid {
            nodes: trace.nodes.clone(),
            mix: mix(&trace),
        });
        let found = trace.hundredths_of_load(prices.headroom_billionths);
        println!("{name}: {found}");
        assert!(found.abs_diff(expected) <= 5, "{name}: {found} {expected}");
    }
}

#[test]
fn slices_cost_what_they_keep_others_from() {
    let Some(trace) = trace::read("default") else {
        return;
    };
    let prices = default_prices(&trace, trace.nodes.clone());
    for node in &prices.nodes {
        let price = |milli: usize| node.slices[milli];
        assert_eq!([price(1000), price(810), price(650)], [1000, 1000, 667]);
        assert_eq!([price(470), price(320), price(270)], [500, 333, 250]);
        assert_eq!([price(220), price(160), price(110)], [83, 0, 0]);
        assert!(node.wholes.windows(2).all(|pair| pair[0] < pair[1]));
    }
    // As much as there is, and what takes no GPU besides.
    let planned: u64 = prices.nodes.iter().flat_map(|node| &node.plan).sum();
    let came: u64 = trace.classes.iter().map(|(_, count)| count).sum();
    assert!(
        (came * 90 / 100..came * 104 / 100).contains(&planned),
        "{planned} of {came}"
    );
}

#[test]
fn the_order_of_nodes_changes_nothing() {
    let Some(trace) = trace::read("default") else {
        return;
    };
    let mut nodes = trace.nodes.clone();
    nodes.reverse();
    assert_eq!(
        default_prices(&trace, nodes),
        default_prices(&trace, trace.nodes.clone())
    );
}

fn default_prices(trace: &Trace, nodes: Vec<(Room, u64)>) -> Prices {
    fluid::solve(&Fluid {
        nodes,
        mix: mix(trace),
    })
}

#[test]
fn ceilings_are_what_the_study_found() {
    for name in NAMES {
        let Some(trace) = trace::read(name) else {
            return;
        };
        for bound in bounds(&trace, name) {
            let arrived = trace.arrived(name, bound.seed, bound.arrived_thousandths);
            let milli = |class: usize| trace.milli(class);
            let worth = |(class, count): (usize, u64)| {
                (trace.classes[class].0.clone(), count, milli(class))
            };
            let classes: Vec<(Demand, u64, u64)> = arrived.into_iter().map(worth).collect();
            let found = ceiling::of(&trace.nodes, &classes) * 100_000 / trace.cluster_milli();
            println!(
                "{name} {}: {found} {}",
                bound.seed, bound.allocated_thousandths
            );
            let over = found + 1 - bound.allocated_thousandths.min(found + 1);
            assert!(
                found + 2 >= bound.allocated_thousandths,
                "{name} {}: {found}",
                bound.seed
            );
            assert!(over <= 20, "{name} {}: {found}", bound.seed);
        }
    }
}

/// A bound of the study, in thousandths of a percent of the cluster's GPUs.
#[derive(Debug, Clone, Copy)]
struct Bound {
    seed: u64,
    arrived_thousandths: u64,
    allocated_thousandths: u64,
}

/// What the study says of a trace.
fn bounds(trace: &Trace, name: &str) -> Vec<Bound> {
    let thousandths = |text: &str| text.replace('.', "").parse().unwrap();
    let table = trace::rows(&trace.folder.join("lp_bounds.csv"));
    let own = table.iter().filter(|row| row["workload"] == name);
    own.map(|row| Bound {
        seed: row["seed"].parse().unwrap(),
        arrived_thousandths: thousandths(&row["arrived_pct"]),
        allocated_thousandths: thousandths(&row["lp_alloc_pct"]),
    })
    .collect()
}
