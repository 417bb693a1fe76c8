//! How long single decisions take, as percentiles of raw samples: one row of JSON.
//! `cargo run -p dovetail-cluster-tests --example speed -- [NODES] [DECISIONS]`

#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(clippy::unwrap_used, reason = "an example fails where it stands")]

#[path = "support/cluster.rs"]
mod cluster;

use dovetail_core::{
    decide::{self, Board},
    effect::Effect,
    engine::Engine,
    input::Input,
    outcome::{Answer, Outcome},
    packing::Mix,
    policy::Policy,
    problem::{Task, fluid::Fluid},
};
use dovetail_model::{time::Now, workload::WorkloadSpec};
use dovetail_solver::fluid;
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};
use std::{collections::BTreeMap, ops::Range, time::Instant};

/// Of all GPUs, asked for before anything is measured.
const FULL_PERCENT: u64 = 60;
/// Longer than a question for prices waits for its answer, and shorter than a node may be silent.
const PRICED_AFTER_NS: u64 = 10_000_000_000;
/// Different requests come again after so many.
const MIX_LENGTH: u64 = 500;

/// How long single steps took.
#[derive(Debug, Default)]
struct Samples(Vec<u64>);

impl Samples {
    fn time<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let value = step();
        self.0
            .push(u64::try_from(began.elapsed().as_nanos()).unwrap());
        value
    }

    /// As JSON, in microseconds.
    fn json(&mut self) -> serde_json::Value {
        self.0.sort_unstable();
        let at = |permille: usize| {
            let rank = (self.0.len() * permille).div_ceil(1000).saturating_sub(1);
            let ns = self.0[rank];
            // Three digits behind the point.
            serde_json::from_str::<serde_json::Value>(&format!("{}.{:03}", ns / 1000, ns % 1000))
        };
        let of = |permille| at(permille).unwrap();
        serde_json::json!({"p50": of(500), "p99": of(990), "p999": of(999), "max": of(1000)})
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u32>());
    let nodes = arguments.next().map_or(10_000, Result::unwrap);
    let decisions = arguments.next().map_or(20_000, Result::unwrap);
    let board = board(nodes, decisions.into());
    let engine = engine(nodes, decisions.into());
    println!(
        "{}",
        serde_json::json!({
            "nodes": nodes, "decisions": decisions, "full_percent": FULL_PERCENT,
            "gpus": cluster::capacity_milli(nodes) / 1000, "decide": board, "engine": engine,
        })
    );
}

/// `decide::place` alone, its scores brought up to date between decisions.
fn board(nodes: u32, decisions: u64) -> serde_json::Value {
    let mut board = Board::of(cluster::view(nodes), Policy::default());
    expect_mix(&mut board);
    let first = cluster::arrived(nodes, FULL_PERCENT);
    let tenant = cluster::tenant();
    let mut place =
        |number: u64, spec: &WorkloadSpec, times: Option<(&mut Samples, &mut Samples)>| {
            let ask = cluster::ask(number, &tenant, spec);
            let Some((decide, update)) = times else {
                return decide::place(&mut board, &ask).is_some();
            };
            let placed = decide.time(|| decide::place(&mut board, &ask)).is_some();
            update.time(|| board.catch_up());
            placed
        };
    for number in 0..first {
        place(number, &cluster::spec(number), None);
    }
    let (mut decide, mut update, mut placed) = (Samples::default(), Samples::default(), 0_u64);
    let began = cpu_us();
    for number in first..first + decisions {
        let spec = cluster::spec(number);
        placed += u64::from(place(number, &spec, Some((&mut decide, &mut update))));
    }
    let seconds_us = cpu_us() - began;
    serde_json::json!({
        "decide_us": decide.json(), "update_us": update.json(), "placed": placed,
        "decisions_per_second": per_second(decisions, seconds_us),
    })
}

/// The board scores as it does in production: by the mix, at the prices of the linear program.
fn expect_mix(board: &mut Board) {
    let tenant = cluster::tenant();
    let mut counts = BTreeMap::new();
    for number in 0..MIX_LENGTH {
        let spec = cluster::spec(number);
        let demand = board.demand(&cluster::ask(number, &tenant, &spec)).clone();
        *counts.entry(demand).or_insert(0_u64) += 256;
    }
    let mix = Mix::of(counts);
    let nodes = board.empty_nodes();
    let prices = fluid::solve(&Fluid {
        nodes,
        mix: mix.clone(),
    });
    board.expect(mix, prices);
}

/// A submission through the engine: decided, committed, granted, and the scores brought up to date.
fn engine(nodes: u32, decisions: u64) -> serde_json::Value {
    let mut engine = cluster::engine(nodes);
    let first = cluster::arrived(nodes, FULL_PERCENT);
    let submit = |engine: &mut Engine, numbers: Range<u64>| {
        for number in numbers {
            drop(engine.handle(cluster::submission(number), cluster::NOW));
            engine.catch_up();
        }
    };
    submit(&mut engine, 0..first - MIX_LENGTH);
    price(&mut engine);
    // Scores at new prices are computed while decisions go on.
    submit(&mut engine, first - MIX_LENGTH..first);
    let inputs: Vec<_> = (first..first + decisions)
        .map(cluster::submission)
        .collect();
    let (mut handle, mut update, mut placed) = (Samples::default(), Samples::default(), 0_u64);
    let began = cpu_us();
    for input in inputs {
        let effects = handle.time(|| engine.handle(input, cluster::NOW));
        update.time(|| engine.catch_up());
        placed += u64::from(cluster::placed(&effects));
    }
    let seconds_us = cpu_us() - began;
    serde_json::json!({
        "handle_us": handle.json(), "update_us": update.json(), "placed": placed,
        "decisions_per_second": per_second(decisions, seconds_us),
    })
}

/// Answers the engine's question for prices, which it asks every few seconds. The first, about an
/// empty cluster, was never answered.
fn price(engine: &mut Engine) {
    let later = Now {
        boot_ns: cluster::NOW.boot_ns + PRICED_AFTER_NS,
        ..cluster::NOW
    };
    for effect in engine.handle(Input::Tick, later) {
        let Effect::Solve(problem) = effect else {
            continue;
        };
        let Task::Fluid(task) = &problem.task else {
            continue;
        };
        let outcome = Outcome {
            problem: problem.id,
            answer: Answer::Fluid(fluid::solve(task)),
            elapsed_us: 0,
        };
        let (problem, outcome) = (problem.id, Ok(outcome));
        drop(engine.handle(Input::Solved { problem, outcome }, later));
    }
}

fn per_second(decisions: u64, cpu_us: u64) -> u64 {
    decisions * 1_000_000 / cpu_us.max(1)
}

fn cpu_us() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let all = usage.user_time() + usage.system_time();
    u64::try_from(all.num_microseconds()).unwrap()
}
