//! Runs the public packing instances and prints a row for each as a line of JSON.
//! `cargo run -p dovetail-solver --example packing -- DATA/instances [SET]...`

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use dovetail_solver::window::{
    Limits,
    engine::{Seeds, Solution, pack},
    vectors::Vectors,
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};
use std::{fs, path::Path};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(&arguments[0]);
    let mut files: Vec<_> = fs::read_dir(folder.join("vbp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "vbp"))
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_string_lossy().to_string();
        if !arguments[1..].is_empty() && !arguments[1..].iter().any(|a| name.contains(a.as_str())) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut numbers = text.split_whitespace().map(|n| n.parse::<i32>().unwrap());
        let dims = usize::try_from(numbers.next().unwrap()).unwrap();
        let capacity: Vec<i32> = numbers.by_ref().take(dims).collect();
        let count = numbers.next().unwrap();
        let items: Vec<(Vec<i32>, u32)> = (0..count)
            .map(|_| {
                let size: Vec<i32> = numbers.by_ref().take(dims).collect();
                (size, u32::try_from(numbers.next().unwrap()).unwrap())
            })
            .collect();
        let vectors = Vectors::new(capacity, &items);
        let before = cpu_ms();
        let limits = Limits {
            rounds: 200,
            trials: 60,
            dives: 6,
            tries: 100_000,
            time: None,
        };
        let s: Solution = pack(&vectors, &limits, Seeds::default());
        let ms = cpu_ms() - before;
        let total: u32 = items.iter().map(|i| i.1).sum();
        println!(
            "{name} bins {} master {:.3} proven {} placed {} of {total} columns {} rounds {} dives {} ms {ms}",
            s.hosts.len(),
            1.001 * f64::from(total) - s.master,
            s.proven,
            s.hosts.iter().map(|h| h.steps.len()).sum::<usize>(),
            s.columns,
            s.rounds,
            s.dives
        );
    }
}

fn cpu_ms() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.user_time().num_milliseconds())
}
