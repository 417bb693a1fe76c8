//! Measures exact models of the largest size, made to be hard: mixed items that ask for more than
//! there is. `cargo run --release -p dovetail-solver --example measure`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use dovetail_core::problem::exact::{Assignment, Exact, Gpu, GpuTake, Item, Node, Place, Slot};
use dovetail_model::{
    id::{Name, WorkloadId},
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
};
use dovetail_solver::{
    Stop,
    exact::{solve, verify::verify},
};
use nix::{
    sys::resource::{UsageWho, getrusage},
    sys::time::TimeValLike as _,
};
use std::time::{Duration, Instant};

const GIB: u64 = 1 << 30;
const DEVICE: Bytes = Bytes(80 * GIB);
/// Compute of a member, in thousandths; from 1000 on whole GPUs.
const SIZES: [u64; 10] = [3000, 500, 5000, 300, 8000, 700, 2000, 400, 6000, 1000];

fn main() {
    println!("nodes items tiers start placed columns rows models wall_ms cpu_ms status");
    for (nodes, items) in [(2, 8), (4, 12), (6, 10)] {
        for tiers in [1, 3] {
            for shift in 0..4 {
                measure(&problem(nodes, items, tiers, shift), tiers);
            }
        }
    }
}

fn measure(problem: &Exact, tiers: usize) {
    let before = cpu_ms();
    let began = Instant::now();
    let outcome = solve(problem, 1, Stop::Time(Duration::from_millis(250)));
    let elapsed = began.elapsed();
    let cpu = cpu_ms() - before;
    let stats = outcome.stats;
    println!(
        "{:5} {:5} {:5} {:5} {:6} {:7} {:4} {:6} {:7} {:6} {:?}",
        problem.nodes.len(),
        problem.items.len(),
        tiers,
        problem.start.len(),
        outcome.assignments.len(),
        stats.columns,
        stats.rows,
        stats.models,
        elapsed.as_millis(),
        cpu,
        outcome.status
    );
}

fn cpu_ms() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.user_time().num_milliseconds())
}

fn problem(nodes: usize, items: usize, tiers: usize, shift: usize) -> Exact {
    let nodes: Vec<Node> = (0..nodes).map(node).collect();
    let sizes = SIZES.iter().cycle().skip(shift * 3).take(items);
    let item = |(index, milli): (usize, &u64)| item(index, *milli, tiers, &nodes);
    let items = sizes.enumerate().map(item).collect();
    let mut problem = Exact {
        nodes,
        items,
        start: vec![],
    };
    problem.start = spread(&problem);
    problem
}

fn node(index: usize) -> Node {
    let gpu = Gpu {
        compute: WHOLE_GPU,
        memory: DEVICE,
        empty: true,
    };
    Node {
        name: Name::new(&format!("n{index}")).expect("a letter and a number are a name"),
        cpu: CpuMilli(32_000),
        memory: Bytes(256 * GIB),
        slices: 1024,
        gpus: vec![gpu; 8],
    }
}

fn item(index: usize, milli: u64, tiers: usize, nodes: &[Node]) -> Item {
    let whole = u32::try_from(milli / 1000).unwrap_or(0);
    let compute = if whole > 0 {
        WHOLE_GPU
    } else {
        GpuMilli(milli)
    };
    let take = |gpu| GpuTake {
        gpu,
        compute,
        memory: Bytes(DEVICE.0 * compute.0 / 1000),
    };
    let place = |node| Place {
        node,
        gpus: (0..8).map(take).collect(),
    };
    Item {
        workload: WorkloadId(index as u64),
        priority: i32::try_from(index % tiers).unwrap_or(0),
        members: if index % 3 == 2 { 2 } else { 1 },
        tenant: 0,
        cpu: CpuMilli(1500 + 500 * (index as u64 % 4)),
        memory: Bytes(8 * GIB),
        whole_gpus: whole,
        places: (0..nodes.len()).map(place).collect(),
    }
}

/// Every item on its own node in turn, where it fits: a start that wastes room.
fn spread(problem: &Exact) -> Vec<Assignment> {
    let mut start: Vec<Assignment> = Vec::new();
    for (index, item) in problem.items.iter().enumerate() {
        let count = item.whole_gpus.max(1) as usize;
        let mut members: Vec<Slot> = Vec::new();
        for turn in 0..problem.nodes.len() * 8 {
            let (node, first) = (
                (index + turn) % problem.nodes.len(),
                turn / problem.nodes.len(),
            );
            if members.len() < item.members as usize && first + count <= 8 {
                let gpus = (first..first + count).collect();
                let longer = [members.as_slice(), &[Slot { node, gpus }]].concat();
                if holds(problem, &start, index, &longer) {
                    members = longer;
                }
            }
        }
        if members.len() == item.members as usize {
            start.push(Assignment {
                item: index,
                members,
            });
        }
    }
    start
}

/// Whether these members fit beside the start, looked at one by one.
fn holds(problem: &Exact, start: &[Assignment], item: usize, members: &[Slot]) -> bool {
    let mut alone = problem.clone();
    alone.items[item].members = u32::try_from(members.len()).unwrap_or(u32::MAX);
    let members = members.to_vec();
    let all = [start, &[Assignment { item, members }]].concat();
    verify(&alone, &all).is_ok()
}
