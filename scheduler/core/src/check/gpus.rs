//! Whether a member's GPUs are what it asked for, apart from room.

use super::{Rejection, level};
use crate::state::{Node, Workload};
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo},
    grant::{GpuGrant, Placement},
    resources::{GpuAmount, GpuRequest},
    units::GpuMilli,
};
use std::collections::BTreeSet;

pub(super) fn check(
    workload: &Workload,
    node: &Node,
    placement: &Placement,
) -> Result<(), Rejection> {
    let given = placement.gpus.len();
    let Some(request) = &workload.spec.resources.gpu else {
        return if given == 0 {
            Ok(())
        } else {
            Err(Rejection::UnexpectedGpus { given })
        };
    };
    let asked = match request.amount {
        GpuAmount::Whole { count } => count as usize,
        GpuAmount::Share(_) => 1,
    };
    if given != asked {
        return Err(Rejection::WrongGpuCount { asked, given });
    }
    let mut seen = BTreeSet::new();
    for grant in &placement.gpus {
        if !seen.insert(&grant.uuid) {
            return Err(Rejection::SameGpuTwice {
                uuid: grant.uuid.clone(),
            });
        }
        let gpu = known(node, placement, grant)?;
        suitable(request, gpu)?;
        amount(request, gpu, grant)?;
        let offered = match request.amount {
            GpuAmount::Whole { .. } => gpu.whole_level,
            GpuAmount::Share(_) => gpu.share_level,
        };
        level(workload, offered)?;
    }
    Ok(())
}

fn known<'a>(
    node: &'a Node,
    placement: &Placement,
    grant: &GpuGrant,
) -> Result<&'a GpuInfo, Rejection> {
    let gpu = node
        .inventory
        .gpus
        .iter()
        .find(|gpu| gpu.uuid == grant.uuid);
    let gpu = gpu.ok_or_else(|| Rejection::UnknownGpu {
        uuid: grant.uuid.clone(),
        node: placement.node.clone(),
    })?;
    if gpu.index != grant.index {
        let (uuid, index, given) = (grant.uuid.clone(), gpu.index, grant.index);
        return Err(Rejection::WrongGpuIndex { uuid, index, given });
    }
    Ok(gpu)
}

fn suitable(request: &GpuRequest, gpu: &GpuInfo) -> Result<(), Rejection> {
    if gpu.health != GpuHealth::Ok {
        return Err(Rejection::GpuUnhealthy(gpu.uuid.clone()));
    }
    let wanted =
        |pattern: &dovetail_model::gpu::ModelPattern| pattern.matches(&gpu.model, &gpu.name);
    if !request.models.is_empty() && !request.models.iter().any(wanted) {
        let (uuid, model) = (gpu.uuid.clone(), gpu.model.to_string());
        return Err(Rejection::WrongModel { uuid, model });
    }
    Ok(())
}

fn amount(request: &GpuRequest, gpu: &GpuInfo, grant: &GpuGrant) -> Result<(), Rejection> {
    let (compute, memory) = match request.amount {
        GpuAmount::Whole { .. } => (GpuMilli(1000), gpu.memory),
        GpuAmount::Share(share) => share.on(gpu.memory),
    };
    if grant.compute != compute {
        return Err(Rejection::WrongGpuCompute {
            asked: compute,
            given: grant.compute,
        });
    }
    if grant.memory != memory {
        return Err(Rejection::WrongGpuMemory {
            asked: memory,
            given: grant.memory,
        });
    }
    Ok(())
}
