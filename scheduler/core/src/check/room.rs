//! Whether there is room, added up anew: what is held, what was accepted before, and the step.

use super::{Facts, Rejection};
use crate::{
    plan::Step,
    state::{Node, Workload},
};
use dovetail_model::{
    grant::{GpuGrant, Placement},
    id::{GpuUuid, NodeName, Tenant},
    node::SLICES_MAX,
    resources::GpuAmount,
    units::{Bytes, GpuMilli},
};
use std::collections::BTreeSet;

pub(super) fn check(facts: Facts<'_>, workload: &Workload, step: &Step) -> Result<(), Rejection> {
    let names: BTreeSet<&NodeName> = step.placements.iter().map(|p| &p.node).collect();
    for name in names {
        let unknown = || Rejection::UnknownNode(name.clone());
        let node = facts.state.nodes().get(name).ok_or_else(unknown)?;
        let all = everything_on(facts, workload, step, name);
        host(name, node, &all)?;
        let touched: BTreeSet<&GpuUuid> = step
            .placements
            .iter()
            .filter(|p| p.node == *name)
            .flat_map(|p| &p.gpus)
            .map(|grant| &grant.uuid)
            .collect();
        for uuid in touched {
            gpu(facts, name, node, uuid, &all)?;
        }
    }
    Ok(())
}

/// Every placement that would be on the node, with the workload it is of.
fn everything_on<'a>(
    facts: Facts<'a>,
    workload: &'a Workload,
    step: &'a Step,
    name: &'a NodeName,
) -> Vec<(&'a Placement, &'a Workload)> {
    let held = facts.state.held_on(name);
    let held = held.map(|(owner, member)| (&member.placement, owner));
    let held = held.filter(|(placement, _)| !facts.gone.contains(&placement.slice));
    let before = facts.before.iter().filter_map(|step| {
        let owner = facts.state.workload(step.workload)?;
        Some(
            step.placements
                .iter()
                .map(move |placement| (placement, owner)),
        )
    });
    let new = step
        .placements
        .iter()
        .map(|placement| (placement, workload));
    let planned = before
        .flatten()
        .chain(new)
        .filter(|(placement, _)| placement.node == *name);
    held.chain(planned).collect()
}

fn host(name: &NodeName, node: &Node, all: &[(&Placement, &Workload)]) -> Result<(), Rejection> {
    let (total_cpu, total_memory) = (node.inventory.cpu, node.inventory.memory);
    let given = all.iter().map(|(placement, _)| placement.cpu).sum();
    if given > total_cpu {
        return Err(Rejection::CpuOver {
            node: name.clone(),
            given,
            total: total_cpu,
        });
    }
    let given = all.iter().map(|(placement, _)| placement.memory).sum();
    if given > total_memory {
        return Err(Rejection::MemoryOver {
            node: name.clone(),
            given,
            total: total_memory,
        });
    }
    if all.len() > SLICES_MAX {
        return Err(Rejection::TooManySlices {
            node: name.clone(),
            slices: all.len(),
        });
    }
    Ok(())
}

fn gpu(
    facts: Facts<'_>,
    name: &NodeName,
    node: &Node,
    uuid: &GpuUuid,
    all: &[(&Placement, &Workload)],
) -> Result<(), Rejection> {
    let position = node.inventory.gpus.iter().position(|gpu| gpu.uuid == *uuid);
    let unknown = || Rejection::UnknownGpu {
        uuid: uuid.clone(),
        node: name.clone(),
    };
    let index = position.ok_or_else(unknown)?;
    let live = facts.live.get(name);
    let external = live
        .and_then(|live| live.external.get(index))
        .copied()
        .unwrap_or_default();
    let on_it: Vec<(&GpuGrant, &Workload)> = all
        .iter()
        .flat_map(|(placement, owner)| placement.gpus.iter().map(move |grant| (grant, *owner)))
        .filter(|(grant, _)| grant.uuid == *uuid)
        .collect();
    let whole = on_it.iter().any(|(_, owner)| wants_whole(owner));
    if whole && on_it.len() > 1 {
        return Err(Rejection::WholeGpuShared(uuid.clone()));
    }
    let given: GpuMilli = on_it.iter().map(|(grant, _)| grant.compute).sum();
    if given > GpuMilli(1000) {
        return Err(Rejection::GpuComputeOver {
            uuid: uuid.clone(),
            given,
        });
    }
    if whole && external > Bytes::ZERO {
        return Err(Rejection::WholeGpuForeign(uuid.clone()));
    }
    let free = node
        .inventory
        .gpus
        .get(index)
        .map(|gpu| gpu.memory.minus(external))
        .unwrap_or_default();
    let given: Bytes = on_it.iter().map(|(grant, _)| grant.memory).sum();
    if given > free {
        return Err(Rejection::GpuMemoryOver {
            uuid: uuid.clone(),
            given,
            free,
        });
    }
    let tenants: BTreeSet<&Tenant> = on_it.iter().map(|(_, owner)| &owner.tenant).collect();
    if tenants.len() > 1 && !facts.policy.tenants_share_gpus {
        return Err(Rejection::TenantsMixed(uuid.clone()));
    }
    Ok(())
}

fn wants_whole(workload: &Workload) -> bool {
    let request = workload.spec.resources.gpu.as_ref();
    request.is_some_and(|request| matches!(request.amount, GpuAmount::Whole { .. }))
}
