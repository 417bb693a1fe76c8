//! Churn on the committed event files (protocol P3): FGD and best fit beside the product, with
//! moves and without.
//!
//! `DOVETAIL_DATA` names the folder that has `openb/`; without it there is nothing to replay.
//! `LOADS`, `POLICIES`, `BUDGETS` (moves per 10 000 arrivals), `SEEDS` and `WAITING` choose the rows.
//! `DOVETAIL_CHURN_WRITE=1` writes the event files anew.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::print_stdout,
    reason = "says what is skipped, and prints the table"
)]

use dovetail_core::decide::repair::Effort;
use dovetail_replay::{
    churn::{
        ChurnOutcome, Events, Lifetimes, MoveBudget, Options, Source, arrivals_per_1000_lifetimes,
        generate, replay,
    },
    policy::{self, PolicyName},
    trace::{self, Trace},
};
use std::{env, fs, path::PathBuf};

const SEEDS: [u64; 3] = [42, 43, 44];
const LOADS_PERCENT: [u64; 2] = [90, 95];

fn data() -> Option<PathBuf> {
    let root = env::var_os("DOVETAIL_DATA").map(|root| PathBuf::from(root).join("openb"));
    let found = root.filter(|root| root.join("openb_pod_list_default.csv").is_file());
    if found.is_none() {
        println!("skipped: DOVETAIL_DATA does not name the folder of the published traces");
    }
    found
}

fn default_trace(folder: &std::path::Path, seed: u64) -> Trace {
    let (nodes, pods) = ("openb_node_list_gpu_node.csv", "openb_pod_list_default.csv");
    let rank = folder.join("perm_default.u16");
    let source = trace::Source {
        nodes: &folder.join(nodes),
        pods: &folder.join(pods),
        arrivals: None,
        node_rank: Some(&rank),
        seed,
        demand: "1.0".parse().unwrap(),
    };
    Trace::read(&source).unwrap()
}

fn file(load_percent: u64, seed: u64) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events");
    folder.join(format!("default_{load_percent}_exponential_{seed}.events"))
}

fn source(trace: &Trace, load_percent: u64, seed: u64) -> Source {
    Source {
        seed,
        arrivals_per_1000_lifetimes: arrivals_per_1000_lifetimes(trace, load_percent * 10),
        pods: u16::try_from(trace.pods.len()).unwrap(),
        lifetimes: Lifetimes::Exponential,
    }
}

#[test]
fn the_committed_events_are_those_of_the_generator_and_of_the_wanted_load() {
    let trace = data().map(|folder| default_trace(&folder, 42));
    for load_percent in LOADS_PERCENT {
        for seed in SEEDS {
            let file = file(load_percent, seed);
            let wanted = trace
                .as_ref()
                .map(|trace| source(trace, load_percent, seed));
            if let (Some(source), Some(_)) = (wanted, env::var_os("DOVETAIL_CHURN_WRITE")) {
                fs::write(&file, generate(source).to_bytes()).unwrap();
            }
            let bytes = fs::read(&file).unwrap();
            let events = Events::parse(&bytes).unwrap();
            assert!(
                wanted.is_none_or(|source| source == events.source),
                "{file:?}"
            );
            assert!(generate(events.source).to_bytes() == bytes, "{file:?}");
        }
    }
}

fn churn(
    folder: &std::path::Path,
    load: u64,
    seed: u64,
    name: PolicyName,
    options: Options,
) -> ChurnOutcome {
    let trace = default_trace(folder, seed);
    let events = Events::parse(&fs::read(file(load, seed)).unwrap()).unwrap();
    let mut policy = policy::of(name, &trace, seed);
    replay(&trace, &events, policy.as_mut(), options, || {}).unwrap()
}

fn row(load: u64, seed: u64, name: PolicyName, options: Options, outcome: &ChurnOutcome) {
    let (measured, repairs) = (&outcome.measured, &outcome.repairs);
    let refused = measured.refused_percent();
    let mut cpu = repairs.cpu_us.clone();
    cpu.sort_unstable();
    let at = |percent: usize| {
        cpu.get((cpu.len() * percent).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or(0)
    };
    println!(
        "0.{load} {seed} {name:9} budget {:3} | alloc {} | refused {} % of GPU | cpu {} share {} gpu1 {} gpu2 {} gpu4 {} gpu8 {} (of {}) | moves/100 {} lost {} | asked {} search {} exact {} missed {} | us p50 {} p99 {} max {}",
        options.budget.per_10_000_arrivals,
        measured.allocated_percent(),
        measured.refused_demand_percent(),
        refused.cpu_only,
        refused.share,
        refused.gpu1,
        refused.gpu2,
        refused.gpu4,
        refused.gpu8,
        measured.arrived.gpu8,
        measured.moves_per_100(),
        measured.moved_gpu_lifetimes(),
        repairs.asked,
        repairs.by_search,
        repairs.by_exact,
        repairs.missed,
        at(50),
        at(99),
        at(100),
    );
    let mut exact = repairs.exact_us.clone();
    exact.sort_unstable();
    let exact_at =
        |percent: usize| exact.get((exact.len() * percent).div_ceil(100).saturating_sub(1));
    let most = |count: fn(&Effort) -> u64| repairs.efforts.iter().map(count).max().unwrap_or(0);
    println!(
        "    exact asked {} | us, columns p50 {:?} p90 {:?} p99 {:?} max {:?} | most looks {} candidates {} seats {}",
        repairs.exact_us.len(),
        exact_at(50),
        exact_at(90),
        exact_at(99),
        exact_at(100),
        most(|effort| effort.looks),
        most(|effort| effort.candidates),
        most(|effort| effort.seats),
    );
    if let Some(waits) = &outcome.waits {
        for kind in &waits.by_kind {
            println!(
                "    {} waited {}: p50 {} p99 {} max {}",
                kind.kind, kind.waited, kind.p50, kind.p99, kind.max
            );
        }
        println!(
            "    still waiting {} {:?}",
            waits.still_waiting,
            waits.still_waiting_longest.map(|d| d.to_string())
        );
    }
}

/// `LOADS`, `POLICIES`, `BUDGETS` and `SEEDS` choose other rows of the table.
#[test]
fn moves_save_most_of_the_8_gpu_jobs_that_are_refused_without() {
    let Some(folder) = data() else { return };
    let list = |name: &str, all: &str| env::var(name).unwrap_or_else(|_| all.to_owned());
    let numbers = |text: String| {
        text.split(',')
            .map(|n| n.parse().unwrap())
            .collect::<Vec<u64>>()
    };
    for load in numbers(list("LOADS", "95")) {
        for name in list("POLICIES", "dovetail").split(',') {
            let name = <PolicyName as clap::ValueEnum>::from_str(name, true).unwrap();
            let mut refused = Vec::new();
            for per_10_000_arrivals in numbers(list("BUDGETS", "0,130")) {
                let options = Options {
                    budget: MoveBudget {
                        per_10_000_arrivals,
                    },
                    waiting: env::var_os("WAITING").is_some(),
                };
                let mut sum = 0;
                for seed in numbers(list("SEEDS", "44")) {
                    let outcome = churn(&folder, load, seed, name, options);
                    row(load, seed, name, options, &outcome);
                    sum += outcome.measured.refused.gpu8;
                }
                refused.push(sum);
            }
            let (without, with) = (refused[0], refused[refused.len() - 1]);
            assert!(with * 2 < without, "{refused:?}");
        }
    }
}
