//! What a node has, and what it measures.

use crate::{
    gpu::GpuInfo,
    id::{BootId, NodeName},
    label::{Labels, Taint},
    resources::Level,
    units::{Bytes, CpuMilli},
};
use serde::{Deserialize, Serialize};

/// Most slices on a node: it bounds every desired state and every report.
pub const SLICES_MAX: usize = 1024;

/// Everything a node has: a durable fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The node.
    pub node: NodeName,
    /// A new boot id means that no slice survived.
    pub boot_id: BootId,
    /// The agent's version.
    pub agent_version: String,
    /// CPU that may be given to slices.
    pub cpu: CpuMilli,
    /// Memory that may be given to slices.
    pub memory: Bytes,
    /// GPUs by index.
    pub gpus: Vec<GpuInfo>,
    /// The strongest level of a slice without a GPU.
    pub level: Level,
    /// Limits the agent enforces here.
    pub enforces: Vec<String>,
    /// Limits it cannot enforce here, with the reason.
    pub not_enforced: Vec<String>,
    /// What its operator calls it. Records from before there were labels have none.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What keeps work off it, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

/// What a node measured: soft, never journaled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// CPU in use.
    pub cpu: CpuMilli,
    /// Memory in use.
    pub memory: Bytes,
    /// Share of the last 10 s in which some task waited for CPU, in thousandths of a percent.
    pub cpu_pressure: Option<u32>,
    /// The same for memory.
    pub memory_pressure: Option<u32>,
    /// The same for I/O.
    pub io_pressure: Option<u32>,
    /// Load of one minute in hundredths.
    pub load_hundredths: u32,
    /// GPUs by index.
    pub gpus: Vec<GpuSample>,
}

/// What a GPU measured; absent is not zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GpuSample {
    /// 0 to 100.
    pub utilization_percent: Option<u32>,
    /// Memory in use.
    pub memory: Option<Bytes>,
    /// Power in milliwatts.
    pub power_milliwatts: Option<u32>,
    /// Memory in use by processes that are no slice of ours.
    pub external: Bytes,
}
