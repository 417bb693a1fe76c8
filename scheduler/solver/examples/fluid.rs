//! Measures prices and ceilings on the published traces. `DOVETAIL_DATA` names the folder of data;
//! `cargo run -p dovetail-solver --example fluid`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(clippy::unwrap_used, reason = "the files are as published")]

#[path = "../tests/openb/trace.rs"]
mod trace;

use dovetail_core::{packing::Mix, problem::fluid::Fluid};
use dovetail_solver::fluid;
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};

fn main() {
    for name in trace::NAMES {
        let Some(trace) = trace::read(name) else {
            return;
        };
        let problem = Fluid {
            nodes: trace.nodes.clone(),
            mix: Mix {
                classes: trace.classes.clone(),
            },
        };
        let before = cpu_ms();
        let (prices, effort) = fluid::measured(&problem);
        let cpu = cpu_ms() - before;
        println!(
            "{name}: {cpu} CPU ms, {effort:?}, {} kinds, {} classes, tau {:.2}",
            trace.nodes.len(),
            trace.classes.len(),
            trace.load_percent(prices.headroom_permille)
        );
        let node = &prices.nodes[0];
        for at in [110, 160, 220, 270, 320, 470, 650, 810, 1000] {
            print!(" {at}:{}", node.slices[at]);
        }
        println!();
        for (kind, node) in prices.nodes.iter().enumerate() {
            println!(
                "  kind {kind}: core {} gib {} wholes {:?} v {} plan {}",
                node.core,
                node.gib,
                node.wholes,
                node.slices[1000],
                node.plan.iter().sum::<u64>()
            );
        }
    }
}

fn cpu_ms() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time() + usage.system_time()).num_milliseconds()
}
