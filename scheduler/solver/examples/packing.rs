//! Runs the public packing instances and prints a row of JSON for each.
//! `cargo run -p dovetail-solver --example packing -- FOLDER [vbp|bpp1d|planted] [NAME]`

#![allow(clippy::print_stdout, reason = "it prints what it measured")]
#![allow(clippy::unwrap_used, reason = "an example fails where it stands")]

use dovetail_core::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::window::{Class, Window},
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use dovetail_solver::window::{
    Limits, Pool, Time,
    engine::{Seeds, pack},
    solve,
    vectors::Vectors,
    verify,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bins are few and proofs are wanted: much depth, many dives.
const BINS: Limits = Limits {
    rounds: 200,
    trials: 60,
    looks: u64::MAX,
    dives: 60,
    tries: 100_000,
    time: Some(Time {
        soft: Duration::from_secs(10),
        hard: Duration::from_secs(20),
    }),
};

/// Nearly all work is different: the clock ends what would take minutes.
const PLANTED: Limits = Limits {
    rounds: 60,
    trials: 24,
    looks: u64::MAX,
    dives: 1,
    tries: 0,
    time: Some(Time {
        soft: Duration::from_secs(30),
        hard: Duration::from_secs(60),
    }),
};

/// One row of the table.
struct Row<'a> {
    set: &'a str,
    instance: &'a str,
    value: u64,
    optimum: Option<u64>,
    cpu_ms: i64,
    columns: u64,
    rounds: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = PathBuf::from(&arguments[0]);
    let set = arguments.get(1).map_or("", String::as_str);
    let name = arguments.get(2).map_or("", String::as_str);
    if set.is_empty() || set == "vbp" {
        vectors(&folder.join("vbp"), name);
    }
    if set.is_empty() || set == "bpp1d" {
        bins(&folder.join("bpp1d"), name);
    }
    if set.is_empty() || set == "planted" {
        for nodes in [20, 100, 500] {
            if nodes.to_string().contains(name) {
                planted(&folder.join("gpu_planted"), nodes);
            }
        }
    }
}

fn print(row: &Row<'_>) {
    let optimum = row
        .optimum
        .map_or_else(|| "null".to_owned(), |optimum| optimum.to_string());
    println!(
        "{{\"set\":\"{}\",\"instance\":\"{}\",\"value\":{},\"optimum\":{optimum},\
         \"seconds_cpu\":{}.{:03},\"columns\":{},\"rounds\":{}}}",
        row.set,
        row.instance,
        row.value,
        row.cpu_ms / 1000,
        row.cpu_ms % 1000,
        row.columns,
        row.rounds
    );
}

fn vectors(folder: &Path, wanted: &str) {
    let known = optima(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "vbp"));
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.contains(wanted) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut numbers = text.split_whitespace().map(|n| n.parse::<i32>().unwrap());
        let kinds = usize::try_from(numbers.next().unwrap()).unwrap();
        let capacity: Vec<i32> = numbers.by_ref().take(kinds).collect();
        let count = numbers.next().unwrap();
        let mut item = || {
            let size: Vec<i32> = numbers.by_ref().take(kinds).collect();
            (size, u32::try_from(numbers.next().unwrap()).unwrap())
        };
        let items: Vec<_> = (0..count).map(|_| item()).collect();
        let published = name.trim_start_matches("new_").replace("triplet", "class");
        bin_row(
            "vbp",
            &name,
            known.get(&published).copied(),
            &Vectors::new(capacity, &items),
        );
    }
}

/// Known optima by published name.
fn optima(folder: &Path) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for file in ["new_summary_known.tsv", "triplet_summary_known.tsv"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            if let Ok(optimum) = fields[2].parse() {
                known.insert(fields[0].to_owned(), optimum);
            }
        }
    }
    known
}

fn bin_row(set: &str, instance: &str, optimum: Option<u64>, vectors: &Vectors) {
    let before = cpu_ms();
    let found = pack(vectors, &BINS, Seeds::default());
    print(&Row {
        set,
        instance,
        value: found.hosts.len() as u64,
        optimum,
        cpu_ms: cpu_ms() - before,
        columns: found.columns,
        rounds: found.rounds,
    });
}

/// OR-Library files hold many instances, the triplets' one each.
fn bins(folder: &Path, wanted: &str) {
    for file in 1..=4 {
        let text = fs::read_to_string(folder.join(format!("binpack{file}.txt"))).unwrap();
        let mut words = text.split_whitespace();
        for _ in 0..words.next().unwrap().parse::<u32>().unwrap() {
            let name = words.next().unwrap().to_owned();
            let mut number = || words.next().unwrap().parse::<i32>().unwrap();
            let (capacity, count, best) = (number(), number(), number());
            let items: Vec<_> = (0..count).map(|_| number()).collect();
            if name.contains(wanted) {
                one_dimension(&name, capacity, &items, u64::try_from(best).ok());
            }
        }
    }
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("triplets"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let numbers: Vec<i32> = text
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        if name.contains(wanted) {
            one_dimension(
                &name,
                numbers[1],
                &numbers[2..],
                Some(numbers.len() as u64 / 3),
            );
        }
    }
}

fn one_dimension(name: &str, capacity: i32, items: &[i32], optimum: Option<u64>) {
    let mut counts: BTreeMap<i32, u32> = BTreeMap::new();
    items
        .iter()
        .for_each(|item| *counts.entry(*item).or_default() += 1);
    let items: Vec<_> = counts
        .into_iter()
        .map(|(size, count)| (vec![size], count))
        .collect();
    bin_row(
        "bpp1d",
        name,
        optimum,
        &Vectors::new(vec![capacity], &items),
    );
}

/// All pods fit on all nodes exactly; the value is thousandths of a GPU that are placed.
fn planted(folder: &Path, nodes: u32) {
    let numbers = |file: String, skip: usize| -> Vec<Vec<u64>> {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let row = |line: &str| {
            line.split(',')
                .skip(skip)
                .filter_map(|n| n.parse().ok())
                .collect()
        };
        text.lines().skip(1).map(row).collect()
    };
    let rooms = numbers(format!("nodes_{nodes}.csv"), 1);
    let mut counts: BTreeMap<Vec<u64>, u32> = BTreeMap::new();
    for pod in numbers(format!("pods_{nodes}.csv"), 0) {
        *counts.entry(pod[..4].to_vec()).or_default() += 1;
    }
    let problem = Window {
        nodes: rooms.iter().map(|row| room(row)).collect(),
        classes: counts
            .iter()
            .map(|(pod, count)| class(pod, *count))
            .collect(),
        start: Vec::new(),
        seed: 1,
    };
    let before = cpu_ms();
    let packed = solve(&problem, &PLANTED, &mut Pool::default());
    let cpu_ms = cpu_ms() - before;
    assert!(verify::holds(&problem, &packed.puts));
    let milli = |class: &Class| class.demand.compute_on(0).0;
    print(&Row {
        set: "planted",
        instance: &format!(
            "{nodes} ({} of {} pods)",
            packed.puts.len(),
            counts.values().sum::<u32>()
        ),
        value: packed
            .puts
            .iter()
            .map(|put| milli(&problem.classes[put.class]))
            .sum(),
        optimum: Some(rooms.iter().map(|row| row[2] * 1000).sum()),
        cpu_ms,
        columns: packed.effort.columns,
        rounds: packed.effort.rounds,
    });
}

fn room(row: &[u64]) -> Room {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(1000 << 20),
        empty: true,
        tenant: None,
    };
    Room {
        kind: 0,
        cpu: CpuMilli(row[0]),
        memory: Bytes(row[1] << 20),
        slices: 1000,
        gpus: vec![gpu; usize::try_from(row[2]).unwrap()],
    }
}

fn class(pod: &[u64], count: u32) -> Class {
    let gpus = match (pod[2], pod[3]) {
        (0, _) => Gpus::None,
        (1, milli) if milli < 1000 => Gpus::Share,
        (count, _) => Gpus::Whole(u32::try_from(count).unwrap()),
    };
    let take = Take {
        compute: GpuMilli(pod[3]),
        memory: Bytes(pod[3] << 20),
    };
    Class {
        demand: Demand {
            cpu: CpuMilli(pod[0]),
            memory: Bytes(pod[1] << 20),
            tenant: 0,
            gpus,
            takes: vec![(pod[2] > 0).then_some(take)],
            kinds: vec![true],
        },
        count,
        priority: 0,
        worth: if pod[2] == 0 {
            pod[0] / 40
        } else {
            pod[2] * pod[3]
        } + 50,
    }
}

fn cpu_ms() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(0, |usage| {
        (usage.user_time() + usage.system_time()).num_milliseconds()
    })
}
