//! What people submit: validated, with defaults filled in.

use crate::{
    id::Name,
    label::{Labels, Toleration},
    resources::Resources,
    time::SECOND_NS,
    units::{Bytes, CpuMilli},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

/// CPU of one member, in thousandths of a core.
pub const CPU_MILLI: RangeInclusive<u64> = 1..=4_096_000;
/// Memory of one member in bytes: less than 4 MiB starts no process.
pub const MEMORY_BYTES: RangeInclusive<u64> = (4 << 20)..=(64 << 40);
/// Whole GPUs of one member.
pub const WHOLE_GPUS: RangeInclusive<u32> = 1..=64;
/// Compute of a share, in thousandths.
pub const SHARE_MILLI: RangeInclusive<u32> = 1..=1000;
/// Memory of a share in bytes.
pub const SHARE_BYTES: RangeInclusive<u64> = (1 << 20)..=(16 << 40);
/// Members of a gang.
pub const GANG_SIZE: RangeInclusive<u32> = 1..=1024;
/// Priorities.
pub const PRIORITY: RangeInclusive<i32> = -1000..=1000;
/// Seconds of work that each GPU of a movable workload loses when it is moved: up to a week.
pub const RESTART_COST_SECONDS: RangeInclusive<u32> = 0..=(7 * 86_400);
/// Most arguments, environment variables.
pub const LIST_MAX: usize = 256;
/// Most bytes of all arguments, or of the environment: a quarter of what Linux takes.
pub const LIST_MAX_BYTES: usize = 128 << 10;
/// Most labels.
pub const LABELS_MAX: usize = 64;
/// Most models in a request.
pub const MODELS_MAX: usize = 16;
/// Environment variables that Dovetail sets itself.
pub const RESERVED_ENV: [&str; 6] = [
    "NVIDIA_VISIBLE_DEVICES",
    "CUDA_VISIBLE_DEVICES",
    "RANK",
    "WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
];
/// Beginning of the other variables that Dovetail sets itself.
pub const RESERVED_ENV_PREFIX: &str = "DOVETAIL_";

/// A workload as accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadSpec {
    /// Unique per tenant among live work.
    pub name: Name,
    /// What kind of work.
    pub kind: WorkloadKind,
    /// Program and arguments, at least one.
    pub argv: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub workdir: String,
    /// User to run as, by name or number; empty: the submitter.
    pub user: String,
    /// Identical members, placed together or not at all.
    pub gang_size: u32,
    /// Higher goes first.
    pub priority: i32,
    /// Queue.
    pub queue: Name,
    /// For people.
    pub labels: BTreeMap<String, String>,
    /// What each member asks for.
    pub resources: Resources,
    /// Ends the attempt after this long.
    pub max_runtime_ns: Option<u64>,
    /// Asks the processes to end.
    pub stop_signal: i32,
    /// From the stop signal to the kill.
    pub stop_grace_ns: u64,
    /// Further attempts.
    pub restart: Restart,
    /// Labels that its nodes must have, all of them. Like what follows it is left out where it is
    /// empty, so that records from before it read and hash as they did.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub node_selector: Labels,
    /// Taints that it bears.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// It may be stopped here and started elsewhere to make room; absent: it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movable: Option<Movable>,
}

/// The three kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// Runs to its end; may wait for a better packing.
    Batch,
    /// Runs until stopped.
    Service,
    /// A person's session.
    Session,
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "batch",
            Self::Service => "service",
            Self::Session => "session",
        })
    }
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Which ends are followed by another attempt.
    pub policy: RestartPolicy,
    /// Most further attempts of `OnFailure`.
    pub limit: u32,
    /// First pause; doubled each time.
    pub backoff_ns: u64,
}

/// Longest pause between attempts.
pub const BACKOFF_MAX_NS: u64 = 300 * SECOND_NS;

impl Restart {
    /// Pause before the attempt after `attempt`.
    pub fn pause_ns(&self, attempt: u32) -> u64 {
        let doublings = attempt.saturating_sub(1).min(20);
        self.backoff_ns
            .saturating_mul(1 << doublings)
            .min(BACKOFF_MAX_NS.max(self.backoff_ns))
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Never,
            limit: 3,
            backoff_ns: SECOND_NS,
        }
    }
}

/// What it costs to stop a workload and start it elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movable {
    /// Seconds of work that each of its GPUs loses, or each member of one without GPUs.
    pub restart_cost_seconds: u32,
}

/// Which ends are followed by another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// None.
    Never,
    /// Every end but exit code 0.
    OnFailure,
    /// Every end.
    Always,
}

/// Who submitted it, as the socket's peer credentials say, and whom it runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Uid the processes run as.
    pub uid: u32,
    /// Gid the processes run as.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl WorkloadSpec {
    /// A small batch workload with every default; the name must be valid. For tests and tools.
    pub fn example(name: &str) -> Self {
        let name = Name::new(name).unwrap_or_else(|error| panic!("{error}"));
        Self {
            name,
            kind: WorkloadKind::Batch,
            argv: vec!["/bin/true".to_owned()],
            env: BTreeMap::new(),
            workdir: "/".to_owned(),
            user: String::new(),
            gang_size: 1,
            priority: 0,
            queue: default_queue(),
            labels: BTreeMap::new(),
            resources: Resources {
                cpu: CpuMilli(1000),
                cpu_limit: CpuMilli(1000),
                memory: Bytes(1 << 30),
                gpu: None,
                minimum_level: crate::resources::Level::Shared,
            },
            max_runtime_ns: None,
            stop_signal: 15,
            stop_grace_ns: 10 * SECOND_NS,
            restart: Restart::default(),
            node_selector: Labels::new(),
            tolerations: Vec::new(),
            movable: None,
        }
    }
}

/// The queue of workloads that name none.
pub fn default_queue() -> Name {
    Name::new("default").expect("`default` is a valid name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let restart = Restart {
            policy: RestartPolicy::Always,
            limit: 3,
            backoff_ns: SECOND_NS,
        };
        assert_eq!(
            [1, 2, 3].map(|n| restart.pause_ns(n) / SECOND_NS),
            [1, 2, 4]
        );
        assert_eq!(restart.pause_ns(u32::MAX), BACKOFF_MAX_NS);
    }
}
