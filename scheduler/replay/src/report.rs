//! The result of a replay, as a table for people (`Display`) and as JSON for programs.

use crate::{args::Mode, decimal::Decimal, policy::PolicyName, replay::Failed};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// Arrived percents that the table shows; JSON has the whole curve.
const SHOWN: [u64; 3] = [60, 100, 130];

/// The result of a replay; its fields are the JSON keys.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Who decided.
    pub policy: PolicyName,
    /// How the pods came.
    pub mode: Mode,
    /// Which order.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// GPUs.
    pub gpus: u64,
    /// Pods that arrived.
    pub arrived: usize,
    /// Pods that were placed.
    pub placed: u64,
    /// GPU in use by arrived percent, in percent.
    pub allocated_gpu_percent: BTreeMap<u64, Decimal>,
    /// How much had arrived at the first refusal; nothing if none was refused.
    pub first_refusal_percent: Option<Decimal>,
    /// Who was refused.
    pub failed: Failed,
    /// Moves of placed pods.
    pub moves: u64,
    /// How long decisions took.
    pub decision_us: DecisionTimes,
    /// CPU of the whole run, reading the files included.
    pub cpu_seconds: Decimal,
    /// The most memory the process ever held.
    pub peak_rss_bytes: u64,
    /// What no scheduler can exceed; nothing where it is not computed.
    pub ceiling_percent: Option<Decimal>,
}

/// How long decisions took, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DecisionTimes {
    /// The median.
    pub p50: Decimal,
    /// 99 % took no longer.
    pub p99: Decimal,
    /// The longest.
    pub max: Decimal,
}

impl Report {
    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts are always JSON")
    }

    fn rows(&self) -> Vec<(String, String)> {
        let mut rows = vec![
            row("policy", self.policy.to_string()),
            row(
                "cluster",
                format!("{} nodes, {} GPUs", self.nodes, self.gpus),
            ),
            row(
                "pods",
                format!("{} arrived, {} placed", self.arrived, self.placed),
            ),
        ];
        for percent in SHOWN {
            if let Some(allocated) = self.allocated_gpu_percent.get(&percent) {
                let label = format!("allocated at {percent} %");
                rows.push((label, format!("{allocated} % of GPUs")));
            }
        }
        let first = self.first_refusal_percent;
        let first = first.map_or_else(
            || "none".to_owned(),
            |percent| format!("at {percent} % arrived"),
        );
        let DecisionTimes { p50, p99, max } = self.decision_us;
        rows.extend([
            row("first refusal", first),
            row("refused", self.failures()),
            row(
                "decision",
                format!("p50 {p50} us, p99 {p99} us, max {max} us"),
            ),
            row("CPU", format!("{} s", self.cpu_seconds)),
            row("peak memory", format!("{} MiB", self.peak_rss_bytes >> 20)),
        ]);
        rows
    }

    fn failures(&self) -> String {
        let Failed {
            total,
            cpu_only,
            share,
            gpu1,
            gpu2,
            gpu4,
            gpu8,
        } = self.failed;
        format!(
            "{total}: {cpu_only} CPU only, {share} shares, {gpu1} of 1 GPU, {gpu2} of 2, {gpu4} of 4, \
             {gpu8} of 8"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let lines: Vec<String> = rows
            .iter()
            .map(|(label, value)| format!("{label:width$}  {value}"))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

fn row(label: &str, value: String) -> (String, String) {
    (label.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let us = |units| Decimal { units, places: 3 };
        let percent = Decimal::hundredths;
        Report {
            policy: PolicyName::BestFit,
            mode: Mode::Online,
            seed: 42,
            nodes: 3,
            gpus: 8,
            arrived: 12,
            placed: 11,
            allocated_gpu_percent: [(60, percent(5998)), (100, percent(9300))].into(),
            first_refusal_percent: None,
            failed: Failed {
                total: 1,
                gpu8: 1,
                ..Failed::default()
            },
            moves: 0,
            decision_us: DecisionTimes {
                p50: us(1250),
                p99: us(9001),
                max: us(100_000),
            },
            cpu_seconds: Decimal::millionths(34_361),
            peak_rss_bytes: 7 << 20,
            ceiling_percent: None,
        }
    }

    #[test]
    fn json_has_the_promised_keys_and_exact_numbers() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        let wanted = serde_json::json!({
            "policy": "best-fit", "mode": "online", "seed": 42, "nodes": 3, "gpus": 8,
            "arrived": 12, "placed": 11,
            "allocated_gpu_percent": {"60": 59.98, "100": 93.0},
            "first_refusal_percent": null,
            "failed": {
                "total": 1, "cpu_only": 0, "share": 0, "gpu1": 0, "gpu2": 0, "gpu4": 0, "gpu8": 1
            },
            "moves": 0,
            "decision_us": {"p50": 1.25, "p99": 9.001, "max": 100.0},
            "cpu_seconds": 0.034361, "peak_rss_bytes": 7_340_032, "ceiling_percent": null,
        });
        assert_eq!(json, wanted);
    }

    #[test]
    fn the_table_says_it_in_lines() {
        let wanted = "\
policy              best-fit
cluster             3 nodes, 8 GPUs
pods                12 arrived, 11 placed
allocated at 60 %   59.98 % of GPUs
allocated at 100 %  93.00 % of GPUs
first refusal       none
refused             1: 0 CPU only, 0 shares, 0 of 1 GPU, 0 of 2, 0 of 4, 1 of 8
decision            p50 1.250 us, p99 9.001 us, max 100.000 us
CPU                 0.034361 s
peak memory         7 MiB";
        assert_eq!(report().to_string(), wanted);
    }
}
