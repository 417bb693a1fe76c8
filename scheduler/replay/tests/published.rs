//! The baselines against the published curves of the openb traces (USENIX ATC 2023).
//!
//! `DOVETAIL_DATA` names the folder that has `openb/`; without it there is nothing to compare
//! with. `DOVETAIL_REPLAY_ALL=1` replays all ten seeds instead of two.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::print_stdout,
    reason = "says what is skipped, and how near the results are"
)]

mod published {
    pub(crate) mod data;
}

use dovetail_replay::{Report, decimal::Decimal, policy::PolicyName, replay::Failed};
use published::data::{Data, Row};

const BASELINES: [(PolicyName, &str, &str); 5] = [
    (PolicyName::Fgd, "06-FGD", "fgd"),
    (PolicyName::BestFit, "05-BestFit", "bestfit"),
    (PolicyName::DotProduct, "02-DotProd", "dotprod"),
    (PolicyName::GpuPacking, "04-GpuPacking", "packing"),
    (PolicyName::GpuClustering, "03-GpuClustering", "clustering"),
];

/// Arrived percents at which the table of issue and paper is read.
const COLUMNS: [u64; 3] = [60, 100, 130];

#[test]
fn baselines_reproduce_the_published_curves_and_failures() {
    let Some(data) = Data::find() else {
        return;
    };
    let mut wrong = Vec::new();
    for (policy, curve_name, failure_name) in BASELINES {
        for trace in data.traces() {
            let mut tally = Tally::default();
            for seed in data.seeds() {
                let report = data.replay(&trace, policy, seed);
                tally.add(&report, data.curve(&trace, curve_name, seed));
                wrong.extend(failure_errors(
                    &report,
                    data.failures(&trace, failure_name, seed),
                ));
            }
            println!("{policy:?} {trace}: {tally:?}");
            if tally.worst_hundredths > 1 {
                wrong.push(format!("{policy:?} {trace}: {tally:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How near the curves of a policy and a trace are to the published ones.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    points: u64,
    points_off: u64,
    points_off_at_60_100_130: u64,
    worst_hundredths: u64,
    cpu_ms: u64,
}

impl Tally {
    fn add(&mut self, report: &Report, expected: &Row) {
        self.runs += 1;
        self.cpu_ms += report.cpu_seconds.units / 1000;
        for column in (50..=130).step_by(5) {
            let ours = report.allocated_gpu_percent[&column].units;
            let off = ours.abs_diff(expected.hundredths(&column.to_string()));
            self.points += 1;
            self.points_off += u64::from(off > 0);
            self.points_off_at_60_100_130 += u64::from(off > 0 && COLUMNS.contains(&column));
            self.worst_hundredths = self.worst_hundredths.max(off);
        }
    }
}

/// The published generator is not reproduced, so the mean of ten seeds is compared.
#[test]
fn random_is_near_the_published_mean() {
    let Some(data) = Data::find() else {
        return;
    };
    for trace in data.traces() {
        let mut difference = [0_i64; COLUMNS.len()];
        for seed in 42..52 {
            let report = data.replay(&trace, PolicyName::Random, seed);
            let expected = data.curve(&trace, "01-Random", seed);
            for (sum, column) in difference.iter_mut().zip(COLUMNS) {
                let ours = report.allocated_gpu_percent[&column].units;
                *sum += ours.cast_signed() - expected.hundredths(&column.to_string()).cast_signed();
            }
        }
        let means = difference.map(|sum| sum / 10);
        println!("Random {trace}: means off by {means:?} hundredths of a percent");
        assert!(
            means.iter().all(|mean| mean.abs() <= 30),
            "{trace}: {means:?}"
        );
    }
}

/// The product's own decision on the same arrivals, beside the policy of the paper.
#[test]
fn the_product_packs_better_than_random_and_breaks_no_rule() {
    let Some(data) = Data::find() else {
        return;
    };
    for trace in data.traces() {
        let report = data.replay(&trace, PolicyName::Dovetail, 42);
        let ours = report.allocated_gpu_percent[&100];
        let published = |policy| data.curve(&trace, policy, 42).hundredths("100");
        let (random, fgd) = (
            published("01-Random"),
            Decimal::hundredths(published("06-FGD")),
        );
        println!("{trace} at 100 %: dovetail {ours}, fgd {fgd}");
        assert!(
            ours.units > random,
            "{trace}: {ours} %, random has {random} hundredths"
        );
    }
}

/// Every class exactly, and the first refusal to the digit that was published.
fn failure_errors(report: &Report, expected: &Row) -> Option<String> {
    let expected_failed = Failed {
        total: expected.number("fails"),
        cpu_only: expected.number("cpu"),
        share: expected.number("sh"),
        gpu1: expected.number("g1"),
        gpu2: expected.number("g2"),
        gpu4: expected.number("g4"),
        gpu8: expected.number("g8"),
    };
    let first = report.first_refusal_percent.unwrap().units;
    let first_off = first.abs_diff(expected.hundredths("ff"));
    let ok = report.failed == expected_failed && first_off <= 5;
    (!ok).then(|| {
        let (policy, seed, failed) = (report.policy, report.seed, report.failed);
        format!("{policy:?} {seed}: {failed:?}, first at {first}, published {expected_failed:?}, {first_off} off")
    })
}
