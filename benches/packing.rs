//! What packing costs at three sizes of a mixed cluster: a decision and the update after it, prices,
//! a window, a backlog, the ceiling and a repair. Beside the time it prints what came out of each,
//! and that has to be the same every time.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/problems.rs"]
mod problems;

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use dovetail_core::{
    decide::{
        self,
        repair::{Bounds, Tightest, search, verify},
    },
    problem::window::Window,
};
use dovetail_solver::{
    ceiling, fluid,
    window::{self, Limits, Pool},
};
use problems::Loaded;
use std::{
    cell::LazyCell,
    fmt::Debug,
    hint::black_box,
    time::{Duration, Instant},
};

const SIZES: [u32; 3] = [100, 1000, 10_000];
/// Of all GPUs, asked for before single decisions are measured, and until they begin anew.
const FULL_PERCENT: (u64, u64) = (60, 90);
/// Of all GPUs, asked for before a window.
const LOADED_PERCENT: u64 = 93;
const WINDOW: u64 = 500;
const BACKLOG_PERCENT: u64 = 130;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn packing(c: &mut Criterion) {
    let mut group = c.benchmark_group("packing");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500));
    for nodes in SIZES {
        decisions(&mut group, nodes);
        prices(&mut group, nodes);
        windows(&mut group, nodes);
        repair(&mut group, nodes);
    }
    group.finish();
}

/// Runs a step over and over, and says once what comes out of it.
fn counted<T: Debug + PartialEq>(group: &mut Group<'_>, name: &str, step: impl Fn() -> T) {
    let mut known: Option<T> = None;
    group.bench_function(name, |b| {
        b.iter(|| {
            let counts = black_box(step());
            let known = known.get_or_insert_with(|| {
                say(name, &counts);
                step()
            });
            assert_eq!(*known, counts, "{name}: equal problems have equal answers");
        });
    });
}

#[allow(clippy::print_stdout, reason = "counts stand beside the times")]
fn say(name: &str, counts: &dyn Debug) {
    println!("counts: packing/{name} {counts:?}");
}

/// A decision alone, and then bringing the scores up to date.
fn decisions(group: &mut Group<'_>, nodes: u32) {
    let arrived = move |percent| cluster::arrived(nodes, percent);
    let full = LazyCell::new(|| Loaded::after(nodes, arrived(FULL_PERCENT.0)));
    let again = LazyCell::new(|| arrived(FULL_PERCENT.1));
    for update in [false, true] {
        let name = if update { "update" } else { "decide" };
        group.bench_function(format!("{name}/{nodes}_nodes"), |b| {
            b.iter_custom(|rounds| {
                let (mut board, mut number) = (full.board.clone(), full.arrived);
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    if number == *again {
                        (board, number) = (full.board.clone(), full.arrived);
                    }
                    let (spec, tenant) = (cluster::spec(number), cluster::tenant());
                    let ask = cluster::ask(number, &tenant, &spec);
                    let began = Instant::now();
                    drop(black_box(decide::place(&mut board, &ask)));
                    let decided = began.elapsed();
                    board.catch_up();
                    let all = began.elapsed();
                    took += if update { all - decided } else { decided };
                    number += 1;
                }
                took
            });
        });
    }
}

fn prices(group: &mut Group<'_>, nodes: u32) {
    let problem = LazyCell::new(|| problems::fluid(nodes));
    counted(group, &format!("prices/{nodes}_nodes"), || {
        let (prices, effort) = fluid::measured(&problem);
        (prices.headroom_billionths, effort)
    });
}

fn windows(group: &mut Group<'_>, nodes: u32) {
    let loaded = LazyCell::new(|| {
        let arrived = cluster::arrived(nodes, LOADED_PERCENT);
        Loaded::after(nodes, arrived).window(WINDOW)
    });
    // On a loaded cluster nearly every node is different: fewer rounds, and no depth-first search.
    let short = Limits {
        rounds: 15,
        trials: 12,
        looks: 6_000_000,
        dives: 2,
        tries: 0,
        time: None,
    };
    counted(group, &format!("window/{nodes}_nodes"), || {
        packed(&loaded, &short)
    });
    let backlog = LazyCell::new(|| {
        let count = cluster::arrived(nodes, BACKLOG_PERCENT);
        Loaded::after(nodes, 0).window(count)
    });
    counted(group, &format!("backlog/{nodes}_nodes"), || {
        packed(&backlog, &Limits::default())
    });
    let bounded = LazyCell::new(|| problems::ceiling(&loaded));
    counted(group, &format!("ceiling/{nodes}_nodes"), || {
        ceiling::of(&bounded.0, &bounded.1)
    });
}

/// Worth, how many are placed, how many were by the online plan, and the effort.
fn packed(problem: &Window, limits: &Limits) -> impl Debug + PartialEq + use<> {
    let packed = window::solve(problem, limits, &mut Pool::default());
    assert!(window::verify::holds(problem, &packed.puts), "it is a plan");
    let worth = window::verify::worth(problem, &packed.puts)[0];
    assert!(worth <= packed.ceiling, "no plan is above the ceiling");
    let start = problem.start.len();
    (worth, packed.puts.len(), start, packed.effort)
}

fn repair(group: &mut Group<'_>, nodes: u32) {
    let problem = LazyCell::new(|| Loaded::until_blocked(nodes).repair());
    counted(group, &format!("repair/{nodes}_nodes"), || {
        let (found, effort) = search(&problem, &mut Tightest::new(&problem), Bounds::default());
        if let Some(found) = &found {
            assert_eq!(verify(&problem, found), Ok(()), "it is a repair");
        }
        let found = found.map(|repaired| (repaired.steps.len(), repaired.cost));
        (problem.residents.len(), found, effort)
    });
}

criterion_group!(benches, packing);
criterion_main!(benches);
