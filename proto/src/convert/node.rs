//! What a node has, from and to the wire.

use super::{
    Fields, Violations,
    enums::{GPU_HEALTHS, LEVELS, gpu_health_to_wire, level_to_wire},
    label,
    resources::bytes,
};
use crate::v1;
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    id::{BootId, GpuUuid, NodeName},
    label::NODE_LABELS_MAX,
    node::Inventory,
    resources::Level,
    units::{Bytes, CpuMilli},
    workload::{CPU_MILLI, MEMORY_BYTES, SHARE_BYTES},
};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// Most GPUs of a node: one 64-bit mask holds a flag of each.
pub const GPUS_MAX: usize = 64;
const GPU_INDEX: RangeInclusive<u32> = 0..=63;
/// Longest identity, version, name and PCI address.
pub(super) const ID_MAX_BYTES: usize = 256;
/// Longest line about a limit: it may carry a kernel's path and error.
const LINE_MAX_BYTES: usize = 4096;
/// Most limits named.
const LIMITS_MAX: usize = 64;
/// Levels of slices without a GPU.
const NODE_LEVELS: [(v1::Level, Level); 2] = [
    (v1::Level::None, Level::None),
    (v1::Level::Shared, Level::Shared),
];

/// Who opens a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The node.
    pub node: NodeName,
    /// Its kernel's boot.
    pub boot_id: BootId,
}

/// Reads the first message of an agent.
pub fn hello(wire: &v1::Hello) -> Result<Hello, Violations> {
    let mut fields = Fields::at("hello");
    let node = fields.name("node", &wire.node);
    let boot = fields.filled_line("boot_id", &wire.boot_id, ID_MAX_BYTES);
    let hello = node.zip(boot).map(|(node, ())| Hello {
        node,
        boot_id: BootId(wire.boot_id.as_str().into()),
    });
    fields.finish(hello)
}

/// The first message of an agent, on the wire.
pub fn hello_to_wire(hello: &Hello) -> v1::Hello {
    v1::Hello {
        node: hello.node.to_string(),
        boot_id: hello.boot_id.to_string(),
    }
}

/// Reads everything a node has, or names every bad field.
pub fn inventory(wire: v1::Inventory) -> Result<Inventory, Violations> {
    let mut fields = Fields::at("inventory");
    let inventory = read(wire, &mut fields);
    fields.finish(inventory)
}

fn read(wire: v1::Inventory, fields: &mut Fields) -> Option<Inventory> {
    let node = fields.name("node", &wire.node);
    let boot = fields.filled_line("boot_id", &wire.boot_id, ID_MAX_BYTES);
    let version = fields.line("agent_version", &wire.agent_version, ID_MAX_BYTES);
    // A node whose reserve takes everything is no mistake: nothing fits there.
    let cpu = fields.range(
        "allocatable_cpu_milli",
        wire.allocatable_cpu_milli,
        &(0..=*CPU_MILLI.end()),
    );
    let memory = fields.range(
        "allocatable_memory_bytes",
        Bytes(wire.allocatable_memory_bytes),
        &bytes(&(0..=*MEMORY_BYTES.end())),
    );
    let gpus = read_gpus(wire.gpus, fields);
    let level = fields.choice("level", wire.level, &NODE_LEVELS);
    let enforces = read_limits("enforces", wire.enforces, fields);
    let not_enforced = read_limits("not_enforced", wire.not_enforced, fields);
    let labels = label::read_all("labels", wire.labels, NODE_LABELS_MAX, fields);
    let taints = label::read_taints(wire.taints, fields);
    boot.and(version)?;
    Some(Inventory {
        node: node?,
        boot_id: BootId(wire.boot_id.into()),
        agent_version: wire.agent_version,
        cpu: CpuMilli(cpu?),
        memory: memory?,
        gpus: gpus?,
        level: level?,
        enforces: enforces?,
        not_enforced: not_enforced?,
        labels: labels?,
        taints: taints?,
    })
}

fn read_limits(field: &str, wire: Vec<String>, fields: &mut Fields) -> Option<Vec<String>> {
    fields.count(field, wire.len(), LIMITS_MAX)?;
    fields.each(field, wire, |fields, limit| {
        fields
            .filled_line("", &limit, LINE_MAX_BYTES)
            .map(|()| limit)
    })
}

fn read_gpus(wire: Vec<v1::Gpu>, fields: &mut Fields) -> Option<Vec<GpuInfo>> {
    fields.count("gpus", wire.len(), GPUS_MAX)?;
    let (mut uuids, mut indices) = (BTreeSet::new(), BTreeSet::new());
    let mut gpus = fields.each("gpus", wire, |fields, gpu| {
        let fresh_uuid = uuids.insert(gpu.uuid.clone());
        let fresh_index = indices.insert(gpu.index);
        if !fresh_uuid {
            fields.bad("uuid", "is also an earlier GPU's");
        }
        if !fresh_index {
            fields.bad("index", "is also an earlier GPU's");
        }
        read_gpu(gpu, fields).filter(|_| fresh_uuid && fresh_index)
    })?;
    gpus.sort_by_key(|gpu| gpu.index);
    Some(gpus)
}

fn read_gpu(wire: v1::Gpu, fields: &mut Fields) -> Option<GpuInfo> {
    let index = fields.range("index", wire.index, &GPU_INDEX);
    let uuid = fields.filled_line("uuid", &wire.uuid, ID_MAX_BYTES);
    let name = fields.line("name", &wire.name, ID_MAX_BYTES);
    let pci = fields.line("pci_bus_id", &wire.pci_bus_id, ID_MAX_BYTES);
    let health = fields.choice("health", wire.health, &GPU_HEALTHS);
    // A lost GPU may not tell its size any more; a usable one must.
    let least = match health {
        Some(GpuHealth::Ok) => *SHARE_BYTES.start(),
        _ => 0,
    };
    let memory = fields.range(
        "memory_bytes",
        Bytes(wire.memory_bytes),
        &bytes(&(least..=*SHARE_BYTES.end())),
    );
    let share_level = fields.choice("share_level", wire.share_level, &LEVELS);
    let whole_level = fields.choice("whole_level", wire.whole_level, &LEVELS);
    uuid.and(name).and(pci)?;
    let memory = memory?;
    Some(GpuInfo {
        uuid: GpuUuid(wire.uuid.into()),
        index: index?,
        model: GpuModel::of(&wire.name, memory),
        name: wire.name,
        memory,
        health: health?,
        share_level: share_level?,
        whole_level: whole_level?,
        pci_bus_id: wire.pci_bus_id,
    })
}

/// Everything a node has, on the wire.
pub fn inventory_to_wire(inventory: &Inventory) -> v1::Inventory {
    v1::Inventory {
        node: inventory.node.to_string(),
        boot_id: inventory.boot_id.to_string(),
        agent_version: inventory.agent_version.clone(),
        allocatable_cpu_milli: inventory.cpu.0,
        allocatable_memory_bytes: inventory.memory.0,
        gpus: inventory.gpus.iter().map(gpu_to_wire).collect(),
        level: level_to_wire(inventory.level).into(),
        enforces: inventory.enforces.clone(),
        not_enforced: inventory.not_enforced.clone(),
        labels: label::all_to_wire(&inventory.labels),
        taints: label::taints_to_wire(&inventory.taints),
    }
}

/// A GPU as its node declares it, on the wire; what is used and measured is left out.
pub fn gpu_to_wire(gpu: &GpuInfo) -> v1::Gpu {
    v1::Gpu {
        index: gpu.index,
        uuid: gpu.uuid.to_string(),
        name: gpu.name.clone(),
        model: gpu.model.to_string(),
        memory_bytes: gpu.memory.0,
        health: gpu_health_to_wire(gpu.health).into(),
        share_level: level_to_wire(gpu.share_level).into(),
        whole_level: level_to_wire(gpu.whole_level).into(),
        pci_bus_id: gpu.pci_bus_id.clone(),
        ..v1::Gpu::default()
    }
}

#[cfg(test)]
mod tests;
