//! The result of a replay as JSON for programs; `table` has it for people.

mod table;

use crate::{
    args::Mode,
    churn::{ByKind, Waits},
    decimal::Decimal,
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
    pub arrived: u64,
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
    /// How long decisions took; nothing if all were one, or moves of others lie between them:
    /// `cpu_seconds` has it all.
    pub decision_us: Option<DecisionTimes>,
    /// CPU of the whole run, reading the files included.
    pub cpu_seconds: Decimal,
    /// The most memory the process held during the run.
    pub peak_rss_bytes: u64,
    /// What no scheduler can exceed; nothing where it is not computed.
    pub ceiling_percent: Option<Decimal>,
    /// What only a replay with departures has.
    #[serde(flatten)]
    pub churned: Option<Churned>,
}

/// What only a replay with departures has, of its second half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Churned {
    /// Pods refused, of those of their class that came.
    pub refused_percent: ByKind,
    /// Pods moved for a hundred that came.
    pub moves_per_100: Decimal,
    /// How long pods wait if they may, in mean lifetimes, by class.
    pub wait: Waits,
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

impl DecisionTimes {
    /// Of so many nanoseconds each, shortest first; nothing of no decision.
    pub fn of(sorted_ns: &[u64]) -> Option<Self> {
        let at = |percent: usize| {
            let rank = (sorted_ns.len() * percent).div_ceil(100).saturating_sub(1);
            let (units, places) = (*sorted_ns.get(rank)?, 3);
            Some(Decimal { units, places })
        };
        Some(Self {
            p50: at(50)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
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
