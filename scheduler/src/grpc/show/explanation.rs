//! Explanations on the wire.

use super::workload::workload;
use dovetail_core::{
    effect::WorkloadView,
    explain::{Explanation, GpuVerdict, Move, Moving, NodeVerdict},
};
use dovetail_proto::{
    convert::{grant, reason},
    v1,
};

/// Why a workload waits, or would.
pub(crate) fn explanation(
    view: Option<&WorkloadView>,
    explanation: &Explanation,
) -> v1::ExplainWorkloadResponse {
    let counts = explanation
        .counts
        .iter()
        .map(|(token, nodes)| v1::ReasonCount {
            token: (*token).to_owned(),
            nodes: count(*nodes),
        });
    let remedies = explanation.remedies.iter().map(|remedy| v1::Remedy {
        text: remedy.text.clone(),
        flags: remedy.flags.clone(),
    });
    v1::ExplainWorkloadResponse {
        workload: view.map(workload),
        needs: explanation.needs.clone(),
        reason: explanation.reason.as_ref().map(reason::to_wire),
        queue_position: count(explanation.queue_position),
        queue_length: count(explanation.queue_length),
        counts: counts.collect(),
        nodes: explanation.nodes.iter().map(node).collect(),
        remedies: remedies.collect(),
        revision: explanation.revision.0,
        moving: explanation.moving.as_ref().map(moving),
    }
}

fn moving(moving: &Moving) -> v1::Moving {
    let placements = moving.placements.iter();
    v1::Moving {
        moves: moving.moves.iter().map(one_move).collect(),
        placements: placements.map(grant::placement_to_wire).collect(),
        cost_seconds: moving.cost_seconds,
        movable: count(moving.movable),
        text: moving.text(),
    }
}

fn one_move(one: &Move) -> v1::Move {
    v1::Move {
        workload_id: one.workload.to_string(),
        name: one
            .name
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        from: Some(grant::placement_to_wire(&one.from)),
        to: Some(grant::placement_to_wire(&one.to)),
        cost_seconds: one.cost_seconds,
    }
}

fn node(verdict: &NodeVerdict) -> v1::NodeVerdict {
    v1::NodeVerdict {
        node: verdict.node.to_string(),
        members_fit: verdict.members_fit,
        reasons: verdict.reasons.iter().map(reason::to_wire).collect(),
        gpus: verdict.gpus.iter().map(gpu).collect(),
    }
}

fn gpu(verdict: &GpuVerdict) -> v1::GpuVerdict {
    v1::GpuVerdict {
        index: verdict.index,
        uuid: verdict.uuid.to_string(),
        model: verdict.model.to_string(),
        free_milli: u32::try_from(verdict.compute_free.0).unwrap_or(u32::MAX),
        free_memory_bytes: verdict.memory_free.0,
        reason: verdict.reason.as_ref().map(reason::to_wire),
        slices: verdict.slices.iter().map(ToString::to_string).collect(),
    }
}

/// How many, as far as the wire counts.
pub(crate) fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
