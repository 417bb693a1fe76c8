//! What the host has and what it measures, read each second at little cost.

pub mod container;
pub mod gpu;
pub mod host;
mod kept;
mod nvml;
pub mod process;

use crate::config::Reserve;
use dovetail_model::{
    gpu::GpuInfo,
    id::{BootId, NodeName},
    label::{Labels, Taint},
    node::Inventory,
    resources::Level,
    units::{Bytes, CpuMilli},
};
use gpu::GpuReading;
use host::Capacity;

/// What the agent can hold slices to here; it decides the levels the node offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enforcement {
    /// CPU and memory limits hold.
    pub limits: bool,
    /// A slice cannot open another's GPU.
    pub fence: bool,
    /// Slices may be started here at all.
    pub usable: bool,
    /// Limits that are enforced, for people.
    pub enforces: Vec<String>,
    /// Limits that are not, with the reason, for people.
    pub not_enforced: Vec<String>,
}

/// What never changes while an agent runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The node.
    pub node: NodeName,
    /// Of this boot.
    pub boot_id: BootId,
    /// What its operator calls it.
    pub labels: Labels,
    /// What keeps work off it.
    pub taints: Vec<Taint>,
}

/// Everything slices may be given: what there is, less what is kept back.
pub fn inventory(
    identity: &Identity,
    capacity: Capacity,
    reserve: Reserve,
    gpus: &[GpuReading],
    enforcement: &Enforcement,
) -> Inventory {
    // A node on which every start would fail must not attract work.
    let (cpu, memory) = if enforcement.usable {
        (
            capacity.cpu.minus(reserve.cpu),
            capacity.memory.minus(reserve.memory),
        )
    } else {
        (CpuMilli::ZERO, Bytes::ZERO)
    };
    Inventory {
        node: identity.node.clone(),
        boot_id: identity.boot_id.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu,
        memory,
        gpus: gpus.iter().map(|gpu| info(gpu, enforcement)).collect(),
        level: if enforcement.limits {
            Level::Shared
        } else {
            Level::None
        },
        enforces: enforcement.enforces.clone(),
        not_enforced: enforcement.not_enforced.clone(),
        labels: identity.labels.clone(),
        taints: identity.taints.clone(),
    }
}

/// A whole GPU is the slice's own only if no other slice can open it.
fn info(reading: &GpuReading, enforcement: &Enforcement) -> GpuInfo {
    let facts = &reading.facts;
    let (share_level, whole_level) = if enforcement.fence {
        (Level::Shared, Level::Isolated)
    } else {
        (Level::None, Level::None)
    };
    GpuInfo {
        uuid: facts.uuid.clone(),
        index: facts.index,
        name: facts.name.clone(),
        model: facts.model.clone(),
        memory: facts.memory,
        health: reading.health,
        share_level,
        whole_level,
        pci_bus_id: facts.pci_bus_id.clone(),
    }
}
