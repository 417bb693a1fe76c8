//! The greedy packer: one workload, all members or none.
//!
//! Members of a gang are identical, and what one takes of a node does not change what another
//! node takes. So nodes can be filled one after the other, best first, and the packer finds places
//! for a gang exactly when there are some.

use super::{
    Ask,
    fit::{self, Score},
    rule,
};
use crate::{
    policy::Policy,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    grant::{GpuGrant, Placement},
    id::SliceId,
    resources::GpuAmount,
    units::WHOLE_GPU,
};

/// Greedy placement of all members or none; takes the room from `view` when it succeeds, and
/// leaves it unchanged when not.
pub fn place(view: &mut ClusterView, ask: &Ask<'_>, policy: &Policy) -> Option<Vec<Placement>> {
    let placements = draft(view, ask, policy)?;
    for placement in &placements {
        let taken = view.take(placement, ask.tenant);
        debug_assert!(taken, "a draft names nodes of its view");
    }
    Some(placements)
}

/// Whether it could ever start if every node, the unreachable ones too, were empty.
pub fn ever_fits(empty: &ClusterView, ask: &Ask<'_>, policy: &Policy) -> bool {
    draft(empty, ask, policy).is_some()
}

/// Greedy placement of all members or none, by rank; takes no room.
pub(crate) fn draft(view: &ClusterView, ask: &Ask<'_>, policy: &Policy) -> Option<Vec<Placement>> {
    let scored = view.nodes.iter().filter_map(|node| {
        let score = candidate(node, ask, policy)?;
        Some((score, node))
    });
    let by_score = |pair: &(Score, &NodeView)| pair.0;
    if ask.spec.gang_size == 1 {
        let (_, node) = scored.min_by_key(by_score)?;
        return Some(vec![member(node, ask, 0, policy)]);
    }
    let mut order: Vec<_> = scored.collect();
    order.sort_by_key(by_score);
    let mut placements = Vec::new();
    for (_, node) in order {
        let rank = count(&placements);
        if rank == ask.spec.gang_size {
            break;
        }
        placements.extend(fill(node, ask, rank..ask.spec.gang_size, policy));
    }
    rule::gang::refuses(ask, count(&placements))
        .is_none()
        .then_some(placements)
}

/// Members of these ranks on one node, as many as fit.
pub(crate) fn fill(
    node: &NodeView,
    ask: &Ask<'_>,
    ranks: std::ops::Range<u32>,
    policy: &Policy,
) -> Vec<Placement> {
    let mut placements = Vec::new();
    let mut room = node.clone();
    for rank in ranks {
        if rule::refusal(&room, ask, policy).is_some() {
            break;
        }
        let placement = member(&room, ask, rank, policy);
        room.take(&placement, ask.tenant);
        placements.push(placement);
    }
    placements
}

/// Nodes that take a member, best first, as indices into the view.
pub(super) fn candidates(view: &ClusterView, ask: &Ask<'_>, policy: &Policy) -> Vec<usize> {
    let nodes = view.nodes.iter().enumerate();
    let mut scored: Vec<_> = nodes
        .filter_map(|(index, node)| Some((candidate(node, ask, policy)?, index)))
        .collect();
    scored.sort_unstable();
    scored.into_iter().map(|(_, index)| index).collect()
}

fn candidate(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Option<Score> {
    if rule::refusal(node, ask, policy).is_some() {
        return None;
    }
    let share_on = share_gpu(node, ask, policy).map(|index| &node.gpus[index]);
    Some(fit::node(node, ask, share_on))
}

/// The best GPU for a share; nothing if none is asked.
fn share_gpu(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Option<usize> {
    let GpuAmount::Share(share) = ask.resources().gpu.as_ref()?.amount else {
        return None;
    };
    rule::fitting_gpus(node, ask, policy)
        .min_by_key(|index| (fit::gpu(&node.gpus[*index], share), *index))
}

/// The best GPUs for a member on a node that takes it.
fn choose(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Vec<usize> {
    let Some(request) = &ask.resources().gpu else {
        return Vec::new();
    };
    let GpuAmount::Whole { count } = request.amount else {
        return share_gpu(node, ask, policy).into_iter().collect();
    };
    let mut fitting: Vec<usize> = rule::fitting_gpus(node, ask, policy).collect();
    // Small GPUs first: whoever asks for any model leaves the big ones to those who name them.
    fitting.sort_by_key(|index| (node.gpus[*index].memory_total, *index));
    fitting.truncate(count as usize);
    fitting
}

fn member(node: &NodeView, ask: &Ask<'_>, rank: u32, policy: &Policy) -> Placement {
    let gpus = choose(node, ask, policy);
    let grants = gpus.into_iter().map(|index| grant(&node.gpus[index], ask));
    placement(node, ask, rank, grants.collect())
}

/// The placement of one member with these GPUs.
pub(super) fn placement(
    node: &NodeView,
    ask: &Ask<'_>,
    rank: u32,
    gpus: Vec<GpuGrant>,
) -> Placement {
    Placement {
        slice: SliceId {
            workload: ask.workload,
            attempt: ask.attempt,
            member: rank,
        },
        node: node.name.clone(),
        cpu: ask.resources().cpu,
        memory: ask.resources().memory,
        gpus,
    }
}

/// What a member takes of a GPU.
pub(super) fn grant(gpu: &GpuView, ask: &Ask<'_>) -> GpuGrant {
    let request = ask.resources().gpu.as_ref();
    let (compute, memory) = match request.map(|request| request.amount) {
        Some(GpuAmount::Share(share)) => share.on(gpu.memory_total),
        Some(GpuAmount::Whole { .. }) | None => (WHOLE_GPU, gpu.memory_total),
    };
    GpuGrant {
        uuid: gpu.uuid.clone(),
        index: gpu.index,
        compute,
        memory,
    }
}

fn count(placements: &[Placement]) -> u32 {
    u32::try_from(placements.len()).unwrap_or(u32::MAX)
}
