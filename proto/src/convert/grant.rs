//! What a node shall run, from and to the wire.

use super::{
    Fields, Violations,
    node::{GPUS_MAX, ID_MAX_BYTES},
    report::SLICE_EXAMPLE,
    resources::{bytes, milli_to_wire},
    workload,
};
use crate::v1;
use dovetail_model::{
    grant::{GpuGrant, Grant, GrantSet, Placement},
    id::{ClusterId, Epoch, GpuUuid, Revision, SliceId, Term},
    node::SLICES_MAX,
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{CPU_MILLI, GANG_SIZE, MEMORY_BYTES, Owner, SHARE_BYTES, SHARE_MILLI},
};
use std::collections::BTreeSet;

/// Most releases and acknowledgements in one desired state: every slice a node may have, several
/// times over.
pub const SLICE_LIST_MAX: usize = 4 * SLICES_MAX;
/// Most groups Linux gives a process.
const GROUPS_MAX: usize = 65_536;

/// Reads the desired state of a node.
pub fn grant_set(wire: v1::GrantSet) -> Result<GrantSet, Violations> {
    let mut fields = Fields::at("grants");
    let set = read_set(wire, &mut fields);
    fields.finish(set)
}

fn read_set(wire: v1::GrantSet, fields: &mut Fields) -> Option<GrantSet> {
    let cluster = fields.filled_line("cluster_id", &wire.cluster_id, ID_MAX_BYTES);
    let releases = read_slices("releases", wire.releases, fields);
    let acknowledged_exits = read_slices("acknowledged_exits", wire.acknowledged_exits, fields);
    let released: BTreeSet<SliceId> = releases.iter().flatten().copied().collect();
    let grants = read_grants(wire.grants, &released, fields);
    cluster?;
    Some(GrantSet {
        cluster: ClusterId(wire.cluster_id.into()),
        epoch: Epoch {
            term: Term(wire.term),
            revision: Revision(wire.revision),
        },
        grants: grants?,
        releases: releases?,
        acknowledged_exits: acknowledged_exits?,
    })
}

fn read_slices(field: &str, wire: Vec<String>, fields: &mut Fields) -> Option<Vec<SliceId>> {
    fields.count(field, wire.len(), SLICE_LIST_MAX)?;
    fields.each(field, wire, |fields, id| {
        fields.parsed("", &id, SLICE_EXAMPLE)
    })
}

fn read_grants(
    wire: Vec<v1::Grant>,
    released: &BTreeSet<SliceId>,
    fields: &mut Fields,
) -> Option<Vec<Grant>> {
    fields.count("grants", wire.len(), SLICES_MAX)?;
    let mut seen = BTreeSet::new();
    fields.each("grants", wire, |fields, grant| {
        let grant = read_grant(grant, fields)?;
        let slice = grant.placement.slice;
        if !seen.insert(slice) {
            fields.bad("placement.slice_id", "is granted twice");
            return None;
        }
        if released.contains(&slice) {
            fields.bad("placement.slice_id", "is granted and released at once");
            return None;
        }
        Some(grant)
    })
}

fn read_grant(wire: v1::Grant, fields: &mut Fields) -> Option<Grant> {
    let placement = fields
        .required("placement", wire.placement)
        .and_then(|wire| fields.within("placement", |fields| read_placement(wire, fields)));
    let spec = fields
        .required("spec", wire.spec)
        .and_then(|wire| fields.within("spec", |fields| workload::read(wire, fields)));
    let groups = fields.count("groups", wire.groups.len(), GROUPS_MAX);
    let gang_max = *GANG_SIZE.end() as usize;
    let counted = fields.count("gang_nodes", wire.gang_nodes.len(), gang_max);
    let gang_nodes = counted.and_then(|()| {
        fields.each("gang_nodes", wire.gang_nodes, |fields, node| {
            fields.name("", &node)
        })
    });
    let (placement, spec) = (placement?, spec?);
    let member = placement.slice.member;
    if wire.rank != member || member >= spec.gang_size {
        let (rank, size) = (wire.rank, spec.gang_size);
        fields.bad(
            "rank",
            format!(
                "must be the slice's member, {member}, below the gang's size {size}, got {rank}"
            ),
        );
        return None;
    }
    groups?;
    Some(Grant {
        placement,
        spec: spec.into(),
        owner: Owner {
            uid: wire.uid,
            gid: wire.gid,
            groups: wire.groups,
        },
        gang_nodes: gang_nodes?,
    })
}

/// Reads where one member runs.
pub fn placement(wire: v1::Placement) -> Result<Placement, Violations> {
    let mut fields = Fields::at("placement");
    let placement = read_placement(wire, &mut fields);
    fields.finish(placement)
}

fn read_placement(wire: v1::Placement, fields: &mut Fields) -> Option<Placement> {
    let slice = fields.parsed("slice_id", &wire.slice_id, SLICE_EXAMPLE);
    let node = fields.name("node", &wire.node);
    let cpu = fields.range("cpu_milli", wire.cpu_milli, &CPU_MILLI);
    let memory = fields.range(
        "memory_bytes",
        Bytes(wire.memory_bytes),
        &bytes(&MEMORY_BYTES),
    );
    let gpus = read_gpus(wire.gpus, fields);
    Some(Placement {
        slice: slice?,
        node: node?,
        cpu: CpuMilli(cpu?),
        memory: memory?,
        gpus: gpus?,
    })
}

fn read_gpus(wire: Vec<v1::GpuGrant>, fields: &mut Fields) -> Option<Vec<GpuGrant>> {
    fields.count("gpus", wire.len(), GPUS_MAX)?;
    let mut uuids = BTreeSet::new();
    fields.each("gpus", wire, |fields, gpu| {
        let uuid = fields.filled_line("uuid", &gpu.uuid, ID_MAX_BYTES);
        let compute = fields.range("compute_milli", gpu.compute_milli, &SHARE_MILLI);
        let memory = fields.range(
            "memory_bytes",
            Bytes(gpu.memory_bytes),
            &bytes(&SHARE_BYTES),
        );
        if !uuids.insert(gpu.uuid.clone()) {
            fields.bad("uuid", "is given twice to one slice");
            return None;
        }
        uuid?;
        Some(GpuGrant {
            uuid: GpuUuid(gpu.uuid.into()),
            index: gpu.index,
            compute: GpuMilli(compute?.into()),
            memory: memory?,
        })
    })
}

/// The desired state of a node, on the wire.
pub fn grant_set_to_wire(set: &GrantSet) -> v1::GrantSet {
    let texts = |ids: &[SliceId]| ids.iter().map(ToString::to_string).collect();
    v1::GrantSet {
        cluster_id: set.cluster.to_string(),
        term: set.epoch.term.0,
        revision: set.epoch.revision.0,
        grants: set.grants.iter().map(grant_to_wire).collect(),
        releases: texts(&set.releases),
        acknowledged_exits: texts(&set.acknowledged_exits),
    }
}

/// A slice that shall run, on the wire.
pub fn grant_to_wire(grant: &Grant) -> v1::Grant {
    v1::Grant {
        placement: Some(placement_to_wire(&grant.placement)),
        spec: Some(workload::spec_to_wire(&grant.spec)),
        uid: grant.owner.uid,
        gid: grant.owner.gid,
        groups: grant.owner.groups.clone(),
        rank: grant.placement.slice.member,
        gang_nodes: grant.gang_nodes.iter().map(ToString::to_string).collect(),
        start_timeout: None,
    }
}

/// Where one member runs, on the wire.
pub fn placement_to_wire(placement: &Placement) -> v1::Placement {
    v1::Placement {
        slice_id: placement.slice.to_string(),
        node: placement.node.to_string(),
        cpu_milli: placement.cpu.0,
        memory_bytes: placement.memory.0,
        gpus: placement.gpus.iter().map(gpu_grant_to_wire).collect(),
    }
}

fn gpu_grant_to_wire(gpu: &GpuGrant) -> v1::GpuGrant {
    v1::GpuGrant {
        uuid: gpu.uuid.to_string(),
        index: gpu.index,
        compute_milli: milli_to_wire(gpu.compute),
        memory_bytes: gpu.memory.0,
    }
}

#[cfg(test)]
mod tests;
