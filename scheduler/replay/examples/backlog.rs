//! Gives the window engine a trace at once, or a window of it on a loaded cluster, and prints a
//! row of JSON: `backlog FOLDER TRACE SEED [--scale N] [--loaded PERCENT --window N]`.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(clippy::cast_precision_loss, reason = "percents for people")]
#![allow(clippy::unwrap_used, reason = "an example fails where it stands")]

use clap::Parser;
use dovetail_core::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::window::{Class, Put, Window},
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use dovetail_replay::{
    cluster::{Cluster, Node},
    demand,
    policy::{self, PolicyName},
    trace::{Source, Trace},
};
use dovetail_solver::window::{Limits, Pool, Time, solve, verify};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

/// A prime that divides no number of arrivals here.
const STRIDE: usize = 7919;

/// What to measure.
#[derive(Debug, Parser)]
struct Options {
    /// Folder of the traces.
    folder: PathBuf,
    /// Name of the trace, such as `default`.
    trace: String,
    /// Published seed, 42 to 51.
    seed: u64,
    /// So many copies of nodes and arrivals.
    #[arg(long, default_value_t = 1)]
    scale: usize,
    /// Demand that is placed one by one before, in percent of all GPUs; none: everything waits.
    #[arg(long)]
    loaded: Option<usize>,
    /// Arrivals in the window after these.
    #[arg(long, default_value_t = 500)]
    window: usize,
    /// Nodes drawn from the trace; 0 for all. Arrivals are drawn in proportion.
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// Worth of a pod beside its GPU.
    #[arg(long, default_value_t = 60)]
    pod: u64,
    #[arg(long, default_value_t = 80)]
    rounds: u32,
    #[arg(long, default_value_t = 24)]
    trials: u32,
    #[arg(long, default_value_t = 100_000_000)]
    looks: u64,
    #[arg(long, default_value_t = 3)]
    dives: u32,
    #[arg(long, default_value_t = 3000)]
    tries: u32,
    /// Soft limit in milliseconds; hard is twice as much.
    #[arg(long)]
    soft_ms: Option<u64>,
}

#[allow(
    clippy::too_many_lines,
    reason = "one measurement from its options to its row"
)]
fn main() {
    let options = Options::parse();
    let mut trace = read(&options);
    let waiting = match options.loaded {
        Some(percent) => arrived(&trace, percent),
        None => 0,
    };
    let (mut cluster, mut policy) = (trace.cluster(), policy::of(PolicyName::Fgd, &trace, 42));
    let mut put = |cluster: &mut Cluster, class: usize| {
        let decision = policy.decide(cluster, class)?;
        cluster.take(&trace.classes[class], decision).unwrap();
        policy.placed(cluster, class, decision);
        Some(decision)
    };
    for class in &trace.arrivals[..waiting] {
        put(&mut cluster, *class);
    }
    let nodes = rooms(&trace, &cluster);
    let mut window = trace.arrivals[waiting..].to_vec();
    let mut start = Vec::new();
    if options.loaded.is_some() {
        window.truncate(options.window);
        for class in &window {
            if let Some(decision) = put(&mut cluster, *class) {
                start.push((*class, decision));
            }
        }
    }
    let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
    for class in &window {
        *counts.entry(*class).or_default() += 1;
    }
    let index: BTreeMap<usize, usize> = counts.keys().copied().zip(0..).collect();
    let devices = trace.models.len();
    let kinds = nodes.1;
    let classes = counts.iter().map(|(class, count)| {
        let d = &trace.classes[*class];
        Class {
            demand: demand_of(d, devices, kinds),
            count: *count,
            priority: 0,
            worth: if d.gpus == 0 {
                d.cpu_milli / 40
            } else {
                d.total_milli()
            } + options.pod,
        }
    });
    let problem = Window {
        nodes: nodes.0,
        classes: classes.collect(),
        start: start
            .iter()
            .map(|(class, decision)| Put {
                class: index[class],
                node: decision.node,
                gpus: (0..16).filter(|g| decision.gpus.0 >> g & 1 == 1).collect(),
            })
            .collect(),
        seed: options.seed,
    };
    trace.arrivals.clear();
    let limits = Limits {
        rounds: options.rounds,
        trials: options.trials,
        looks: options.looks,
        dives: options.dives,
        tries: options.tries,
        time: options.soft_ms.map(|ms| Time {
            soft: Duration::from_millis(ms),
            hard: Duration::from_millis(2 * ms),
        }),
    };
    let (before, began) = (cpu_ms(), Instant::now());
    let packed = solve(&problem, &limits, &mut Pool::default());
    let (ms, wall) = (cpu_ms() - before, began.elapsed().as_millis());
    assert!(verify::holds(&problem, &packed.puts));
    let capacity: u64 = trace.nodes.iter().map(|n| u64::from(n.gpus) * 1000).sum();
    let base: u64 = capacity - problem.nodes.iter().map(|r| r.compute().0).sum::<u64>();
    let milli = |puts: &[Put]| {
        base + puts
            .iter()
            .map(|p| problem.classes[p.class].demand.compute_on_any())
            .sum::<u64>()
    };
    let worth = |puts: &[Put]| verify::worth(&problem, puts)[0];
    println!(
        "{{\"set\":\"openb\",\"trace\":\"{}\",\"seed\":{},\"nodes\":{},\"waiting\":{},\"placed\":{},\"start_placed\":{},\"gpu_percent\":{:.3},\"start_gpu_percent\":{:.3},\"worth\":{},\"start_worth\":{},\"ceiling\":{},\"cpu_ms\":{ms},\"wall_ms\":{wall},\"effort\":\"{:?}\"}}",
        options.trace,
        options.seed,
        problem.nodes.len(),
        window.len(),
        packed.puts.len(),
        problem.start.len(),
        milli(&packed.puts) as f64 / capacity as f64 * 100.0,
        milli(&problem.start) as f64 / capacity as f64 * 100.0,
        worth(&packed.puts),
        worth(&problem.start),
        packed.ceiling,
        packed.effort
    );
}

trait AnyCompute {
    fn compute_on_any(&self) -> u64;
}

impl AnyCompute for Demand {
    fn compute_on_any(&self) -> u64 {
        let device = (0..)
            .take(self.takes.len())
            .find(|d| self.take_of(*d).is_some());
        device.map_or(0, |device| self.compute_on(device).0)
    }
}

fn read(options: &Options) -> Trace {
    let file = |name: String| options.folder.join(name);
    let mut trace = Trace::read(&Source {
        nodes: &file("openb_node_list_gpu_node.csv".into()),
        pods: &file(format!("openb_pod_list_{}.csv", options.trace)),
        arrivals: Some(&file(format!("order_{}.u16", options.trace))),
        node_rank: Some(&file(format!("perm_{}.u16", options.trace))),
        seed: options.seed,
        demand: "1.3".parse().unwrap(),
    })
    .unwrap();
    trace.nodes = std::iter::repeat_n(trace.nodes, options.scale)
        .flatten()
        .collect();
    let arrivals = trace.arrivals;
    let all: Vec<usize> = std::iter::repeat_n(arrivals, options.scale)
        .flatten()
        .collect();
    // A stride without a common divisor mixes the copies.
    let stride = if options.scale == 1 { 1 } else { STRIDE };
    trace.arrivals = (0..all.len())
        .map(|at| all[at * stride % all.len()])
        .collect();
    if options.nodes > 0 {
        sample(&mut trace, options.nodes);
    }
    trace
}

/// Every so-many-th node, and arrivals until they ask for 130 % of their GPUs.
fn sample(trace: &mut Trace, count: usize) {
    let every = trace.nodes.len() / count;
    trace.nodes = trace
        .nodes
        .iter()
        .step_by(every)
        .take(count)
        .cloned()
        .collect();
    let most: u64 = trace.nodes.iter().map(|n| u64::from(n.gpus) * 1300).sum();
    let mut asked = 0;
    let classes = &trace.classes;
    trace.arrivals.retain(|class| {
        let fits = asked < most;
        asked += classes[*class].total_milli();
        fits
    });
}

/// Arrivals that ask for so many percent of all GPUs.
fn arrived(trace: &Trace, percent: usize) -> usize {
    let all: u64 = trace.nodes.iter().map(|n| u64::from(n.gpus) * 1000).sum();
    let target = all * percent as u64 / 100;
    let mut asked = 0;
    let before = |class: &&usize| {
        asked += trace.classes[**class].total_milli();
        asked < target
    };
    trace.arrivals.iter().take_while(before).count()
}

fn rooms(trace: &Trace, cluster: &Cluster) -> (Vec<Room>, usize) {
    let kinds: BTreeMap<_, u32> = trace
        .nodes
        .iter()
        .map(|n| (n.cpu_milli, n.memory_mib, n.gpus, n.model))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .zip(0..)
        .collect();
    let room = |(row, node): (&dovetail_replay::trace::NodeRow, &Node)| Room {
        kind: kinds[&(row.cpu_milli, row.memory_mib, row.gpus, row.model)],
        cpu: CpuMilli(node.cpu_free_milli),
        memory: Bytes(node.memory_free_mib << 20),
        slices: 1001,
        gpus: node
            .gpus()
            .iter()
            .map(|free| GpuRoom {
                device: node.model.into(),
                compute: GpuMilli((*free).into()),
                memory: Bytes(u64::from(*free) << 20),
                empty: *free == 1000,
                tenant: None,
            })
            .collect(),
    };
    (
        trace.nodes.iter().zip(cluster.nodes()).map(room).collect(),
        kinds.len(),
    )
}

fn demand_of(d: &demand::Demand, devices: usize, kinds: usize) -> Demand {
    let take = Take {
        compute: GpuMilli(d.gpu_milli.into()),
        memory: Bytes(u64::from(d.gpu_milli) << 20),
    };
    let models = 0..u8::try_from(devices).unwrap();
    Demand {
        cpu: CpuMilli(d.cpu_milli),
        memory: Bytes(d.memory_mib << 20),
        tenant: 0,
        gpus: if d.gpus == 0 {
            Gpus::None
        } else if d.is_share() {
            Gpus::Share
        } else {
            Gpus::Whole(d.gpus.into())
        },
        takes: models
            .map(|m| (d.gpus > 0 && d.models.has(m)).then_some(take))
            .collect(),
        kinds: vec![true; kinds],
    }
}

fn cpu_ms() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds()
    })
}
