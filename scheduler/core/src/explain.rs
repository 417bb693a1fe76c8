//! Why a workload waits: the rules' own reasons, collected per node and GPU.

mod least;
mod moving;
mod nearest;
mod needs;
mod remedy;
#[cfg(test)]
mod tests;

use crate::{
    decide::{Ask, rule},
    policy::Policy,
    view::{ClusterView, GpuView},
};
use dovetail_model::{
    gpu::GpuModel,
    id::{GpuUuid, NodeName, Revision, SliceId},
    reason::Reason,
    units::{Bytes, GpuMilli},
};
use nearest::Look;
use std::{cmp::Reverse, collections::BTreeMap};

pub use moving::{Move, Moving};
pub(crate) use nearest::dominant;

/// Most nodes that an explanation shows; it counts all of them. More is neither read nor sent.
pub const NODES_SHOWN: usize = 256;

/// Why a workload does not start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it needs, in one line.
    pub needs: String,
    /// The dominant reason; absent: it is placed or would start now.
    pub reason: Option<Reason>,
    /// Position among those that wait, from 1; 0: it does not wait.
    pub queue_position: usize,
    /// How many wait.
    pub queue_length: usize,
    /// How many nodes give each token first, most frequent first.
    pub counts: Vec<(&'static str, usize)>,
    /// Nodes, nearest miss first, at most `NODES_SHOWN`.
    pub nodes: Vec<NodeVerdict>,
    /// Changes that were tried and make it fit.
    pub remedies: Vec<Remedy>,
    /// What moving others would do; absent: it was not looked for.
    pub moving: Option<Moving>,
    /// The revision it was made at.
    pub revision: Revision,
}

/// What one node says to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeVerdict {
    /// The node.
    pub node: NodeName,
    /// Members that would fit here now.
    pub members_fit: u32,
    /// Reasons of the node as a whole.
    pub reasons: Vec<Reason>,
    /// Every GPU; empty for a CPU-only workload.
    pub gpus: Vec<GpuVerdict>,
}

/// What one GPU says to a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuVerdict {
    /// The driver's index.
    pub index: u32,
    /// The driver's identity.
    pub uuid: GpuUuid,
    /// Short model.
    pub model: GpuModel,
    /// Compute free.
    pub compute_free: GpuMilli,
    /// Memory free.
    pub memory_free: Bytes,
    /// Why not; absent: it would do.
    pub reason: Option<Reason>,
    /// Slices on it.
    pub slices: Vec<SliceId>,
}

/// A change that makes a workload fit now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// For people.
    pub text: String,
    /// Flags of `dovetail submit`.
    pub flags: String,
}

/// Why a workload does not start now on this view, or that it would. `position` and `length` are
/// the queue's, and only passed on.
#[expect(
    clippy::too_many_arguments,
    reason = "the last three are labels that are passed on"
)]
pub fn explain(
    view: &ClusterView,
    ask: &Ask<'_>,
    policy: &Policy,
    revision: Revision,
    position: usize,
    length: usize,
) -> Explanation {
    let looks = nearest::looks(view, ask, policy);
    let reason = nearest::dominant_of(&looks, ask, policy);
    let remedies = match &reason {
        Some(_) => remedy::remedies(view, ask, policy),
        None => Vec::new(),
    };
    let shown = looks.iter().take(NODES_SHOWN);
    Explanation {
        needs: needs::line(ask.spec),
        counts: counts(&looks),
        nodes: shown.map(|look| verdict(look, ask, policy)).collect(),
        reason,
        queue_position: position,
        queue_length: length,
        remedies,
        moving: None,
        revision,
    }
}

fn counts(looks: &[Look<'_>]) -> Vec<(&'static str, usize)> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for reason in looks.iter().filter_map(|look| look.reasons.first()) {
        *counts.entry(reason.token()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

fn verdict(look: &Look<'_>, ask: &Ask<'_>, policy: &Policy) -> NodeVerdict {
    let request = ask.resources().gpu.as_ref();
    let gpus = look.node.gpus.iter().filter_map(|gpu| {
        let reason = rule::gpu_refusal(gpu, request?, ask, policy);
        Some(gpu_verdict(gpu, reason))
    });
    NodeVerdict {
        node: look.node.name.clone(),
        members_fit: look.fit,
        reasons: look.reasons.clone(),
        gpus: gpus.collect(),
    }
}

fn gpu_verdict(gpu: &GpuView, reason: Option<Reason>) -> GpuVerdict {
    GpuVerdict {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        model: gpu.model.clone(),
        compute_free: gpu.compute_free,
        memory_free: gpu.memory_free,
        reason,
        slices: gpu.holders.iter().map(|(slice, _)| *slice).collect(),
    }
}
