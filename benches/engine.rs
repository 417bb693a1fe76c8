//! What a request costs inside the engine: a workload submitted, decided, committed and granted with
//! its scores brought up to date, and what a what-if costs, at four sizes of a mixed cluster; and what
//! an explanation costs where much could be moved.

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/crowded.rs"]
mod crowded;

use criterion::{Criterion, criterion_group, criterion_main};
use dovetail_core::input::Request;
use std::{
    cell::LazyCell,
    hint::black_box,
    time::{Duration, Instant},
};

const SIZES: [u32; 4] = [20, 200, 2000, 10_000];

/// A cluster this full is emptied, so that nearly every submission is placed.
const FULL_PERCENT: u64 = 80;

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.sample_size(10);
    for nodes in SIZES {
        let full = LazyCell::new(|| cluster::arrived(nodes, FULL_PERCENT));
        // A size that is not asked for is not built.
        let mut engine = LazyCell::new(|| cluster::engine(nodes));
        let mut number = 0;
        group.bench_function(format!("submit_and_place/{nodes}_nodes"), |b| {
            b.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    number += 1;
                    if number % *full == 0 {
                        *engine = cluster::engine(nodes);
                    }
                    let input = cluster::submission(number);
                    let began = Instant::now();
                    drop(black_box(engine.handle(input, cluster::NOW)));
                    engine.catch_up();
                    took += began.elapsed();
                }
                took
            });
        });
        group.bench_function(format!("plan/{nodes}_nodes"), |b| {
            b.iter(|| {
                let spec = Box::new(cluster::spec(1));
                let plan = cluster::request(1, Request::Plan { spec }, 1000);
                black_box(engine.handle(plan, cluster::NOW))
            });
        });
    }
    group.finish();
}

/// The size up to which an explanation has to take no longer than people notice.
const CROWDED_NODES: u32 = 1200;

fn explain(c: &mut Criterion) {
    let mut group = c.benchmark_group("explain");
    group.sample_size(10);
    for crowd in crowded::CROWDS {
        let mut made = LazyCell::new(|| crowded::engine(crowd, CROWDED_NODES));
        let mut number = 0;
        group.bench_function(format!("{}/{CROWDED_NODES}_nodes", crowd.name), |b| {
            b.iter(|| {
                number += 1;
                let (engine, explain) = &mut *made;
                black_box(engine.handle(explain(number), cluster::NOW))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, engine, explain);
criterion_main!(benches);
