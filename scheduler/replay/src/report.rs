//! The result of a replay as JSON for programs; `table` has it for people.

mod table;

use crate::{
    args::Mode,
    decimal::Decimal,
    demand::{Demand, Kind},
    policy::PolicyName,
    replay::Failed,
};
use serde::Serialize;
use std::collections::BTreeMap;

pub use table::{Cells, Table};

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
    /// How much had arrived at the first refusal; nothing if none was refused, or all arrived at
    /// once.
    pub first_refusal_percent: Option<Decimal>,
    /// Who was refused.
    pub failed: Failed,
    /// Whom fgd refused of the same pods; nothing if it was not run.
    pub failed_fgd: Option<Failed>,
    /// Moves of placed pods.
    pub moves: u64,
    /// How long decisions took; nothing if all were one decision, whose time is `cpu_seconds`.
    pub decision_us: Option<DecisionTimes>,
    /// CPU of the whole run, reading the files included.
    pub cpu_seconds: Decimal,
    /// The most memory the process held during the run.
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

/// Pods as failures are counted.
pub const KINDS: [&str; 6] = ["CPU only", "share", "1 GPU", "2 GPUs", "4 GPUs", "8 GPUs"];

/// By kind, in the order of [`KINDS`].
pub fn by_kind(failed: &Failed) -> [u64; 6] {
    let Failed {
        cpu_only,
        share,
        gpu1,
        gpu2,
        gpu4,
        gpu8,
        total: _,
    } = *failed;
    [cpu_only, share, gpu1, gpu2, gpu4, gpu8]
}

/// How many pods there are of each kind, in the order of [`KINDS`].
pub fn count_kinds<'a>(demands: impl Iterator<Item = &'a Demand>) -> [u64; 6] {
    let mut counts = [0; 6];
    for demand in demands {
        counts[match demand.kind() {
            Kind::CpuOnly => 0,
            Kind::Share => 1,
            Kind::Gpu1 => 2,
            Kind::Gpu2 => 3,
            Kind::Gpu4 => 4,
            Kind::Gpu8 => 5,
        }] += 1;
    }
    counts
}

/// One report as an object, several as `{"runs": [...]}`.
pub fn json(reports: &[Report]) -> String {
    #[derive(Serialize)]
    struct Runs<'a> {
        runs: &'a [Report],
    }
    let text = match reports {
        [report] => serde_json::to_string_pretty(report),
        runs => serde_json::to_string_pretty(&Runs { runs }),
    };
    text.expect("numbers and texts are always JSON")
}

#[cfg(test)]
pub(crate) mod tests;
