//! Nodes on the wire: what they declared, what is given away and what they measured.

use dovetail_core::effect::NodeReply;
use dovetail_model::{
    gpu::GpuInfo,
    grant::GpuGrant,
    node::GpuSample,
    time::WallNs,
    units::{Bytes, GpuMilli},
};
use dovetail_proto::{
    convert::{
        label::{all_to_wire, taints_to_wire},
        node::gpu_to_wire,
        time::timestamp,
    },
    v1,
};

/// A node.
pub(crate) fn node(reply: &NodeReply) -> v1::Node {
    let inventory = &reply.node.inventory;
    let sample = reply.sample.as_ref();
    let state = if reply.reachable {
        v1::NodeState::Ready
    } else {
        v1::NodeState::Unreachable
    };
    let (cpu, memory) = used(reply);
    v1::Node {
        name: reply.name.to_string(),
        state: state.into(),
        cordoned: reply.node.cordoned.is_some(),
        cordon_reason: reply.node.cordoned.clone().unwrap_or_default(),
        slice_count: reply.view.slices,
        allocatable_cpu_milli: inventory.cpu.0,
        used_cpu_milli: cpu,
        allocatable_memory_bytes: inventory.memory.0,
        used_memory_bytes: memory,
        gpus: inventory.gpus.iter().map(|info| gpu(reply, info)).collect(),
        agent_version: inventory.agent_version.clone(),
        last_report_at: reply.last_report.map(|at| timestamp(WallNs(at))),
        measured_cpu_milli: sample.map(|sample| sample.cpu.0),
        measured_memory_bytes: sample.map(|sample| sample.memory.0),
        cpu_pressure_milli_percent: sample.and_then(|sample| sample.cpu_pressure),
        enforces: inventory.enforces.clone(),
        not_enforced: inventory.not_enforced.clone(),
        orphaned_slices: reply.orphaned.clone(),
        boot_id: inventory.boot_id.to_string(),
        labels: all_to_wire(&inventory.labels),
        taints: taints_to_wire(&inventory.taints),
    }
}

fn used(reply: &NodeReply) -> (u64, u64) {
    let placements = || reply.slice_names.values().map(|(_, placement)| placement);
    let cpu = placements()
        .map(|p| p.cpu)
        .sum::<dovetail_model::units::CpuMilli>();
    let memory = placements().map(|p| p.memory).sum::<Bytes>();
    (cpu.0, memory.0)
}

fn gpu(reply: &NodeReply, info: &GpuInfo) -> v1::Gpu {
    let unknown = GpuSample::default();
    let sample = reply.sample.as_ref();
    let index = usize::try_from(info.index).ok();
    let sample = index
        .and_then(|index| sample?.gpus.get(index))
        .unwrap_or(&unknown);
    let grants: Vec<(v1::GpuSlice, &GpuGrant)> = slices(reply, info).collect();
    let compute: GpuMilli = grants.iter().map(|(_, grant)| grant.compute).sum();
    let memory: Bytes = grants.iter().map(|(_, grant)| grant.memory).sum();
    v1::Gpu {
        used_milli: milli(compute),
        used_memory_bytes: memory.0,
        utilization_percent: sample.utilization_percent,
        measured_memory_bytes: sample.memory.map(|memory| memory.0),
        power_milliwatts: sample.power_milliwatts,
        slices: grants.into_iter().map(|(slice, _)| slice).collect(),
        external_memory_bytes: sample.external.0,
        ..gpu_to_wire(info)
    }
}

fn slices<'a>(
    reply: &'a NodeReply,
    info: &'a GpuInfo,
) -> impl Iterator<Item = (v1::GpuSlice, &'a GpuGrant)> {
    let on_node = reply.slice_names.iter();
    on_node.flat_map(move |(slice, (name, placement))| {
        let here = placement
            .gpus
            .iter()
            .filter(|grant| grant.uuid == info.uuid);
        here.map(move |grant| {
            let shown = v1::GpuSlice {
                slice_id: slice.to_string(),
                workload_name: name.to_string(),
                compute_milli: milli(grant.compute),
                memory_bytes: grant.memory.0,
            };
            (shown, grant)
        })
    })
}

fn milli(value: GpuMilli) -> u32 {
    u32::try_from(value.0).unwrap_or(u32::MAX)
}
