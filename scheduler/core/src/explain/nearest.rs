//! Which node is nearest to taking a workload, and the one reason that says most.

use super::least::Least;
use crate::{
    decide::{self, Ask, Board, rule},
    packing::Demand,
    policy::Policy,
    view::{ClusterView, NodeView},
};
use dovetail_model::reason::Reason;
use std::cmp::Reverse;

/// Distance of a reason that no free room will cure: as far as two things of which nothing is free.
pub(super) const FIXED: u64 = 2000;
/// Distance of a thing of which nothing is free.
pub(super) const NOTHING_FREE: u64 = 1000;

/// What was seen of a node.
pub(super) struct Look<'v> {
    pub(super) node: &'v NodeView,
    /// Members that fit.
    pub(super) fit: u32,
    /// Why not one more, if none does.
    pub(super) reasons: Vec<Reason>,
    distance: u64,
}

/// Why a workload does not fit, in one reason; nothing if it does. It is the one of `dominant_of`,
/// found without asking every node.
pub(crate) fn dominant(board: &Board, ask: &Ask<'_>) -> Option<Reason> {
    let demand = board.describe(ask);
    let fit = decide::members_in(board.rooms(), &demand, ask.spec.gang_size);
    let incomplete = rule::gang::refuses(ask, fit)?;
    if fit > 0 {
        return Some(incomplete);
    }
    let nearest = nearest(board, ask, &demand);
    nearest.map_or(Some(Reason::NoNodes), |look| {
        let reason = look.reasons.first()?;
        Some(telling(reason, look.node, ask, board.policy()))
    })
}

/// The nearest of nodes that take no member.
fn nearest<'b>(board: &'b Board, ask: &Ask<'_>, demand: &Demand) -> Option<Look<'b>> {
    let kinds = board.kinds();
    let least: Vec<Least> = kinds
        .map(|kind| Least::of(kind, ask, board.policy()))
        .collect();
    let mut nearest: Option<Look<'b>> = None;
    let nodes = board.view().nodes.iter().zip(board.rooms());
    for (node, room) in nodes {
        let rank = |look: &Look<'_>| (look.distance, look.node.tie);
        let before = nearest.as_ref().map(rank);
        let least = &least[room.kind as usize];
        if before.is_some_and(|before| before <= (least.distance(room, demand), node.tie)) {
            continue;
        }
        let look = look(node, ask, board.policy());
        if before.is_none_or(|before| rank(&look) < before) {
            nearest = Some(look);
        }
    }
    nearest
}

/// Every node, nearest first.
pub(super) fn looks<'v>(view: &'v ClusterView, ask: &Ask<'_>, policy: &Policy) -> Vec<Look<'v>> {
    let nodes = view.nodes.iter();
    let mut looks: Vec<Look<'v>> = nodes.map(|node| look(node, ask, policy)).collect();
    looks.sort_by_key(|look| (Reverse(look.fit), look.distance, look.node.tie));
    looks
}

fn look<'v>(node: &'v NodeView, ask: &Ask<'_>, policy: &Policy) -> Look<'v> {
    let reasons = rule::refusals(node, ask, policy);
    let fit = if reasons.is_empty() {
        decide::members(node, ask, ask.spec.gang_size, policy)
    } else {
        0
    };
    let distance = reasons
        .iter()
        .map(|reason| distance(reason, node, ask, policy));
    Look {
        node,
        fit,
        distance: distance.sum(),
        reasons,
    }
}

/// The reason of `dominant`, from what was seen.
pub(super) fn dominant_of(looks: &[Look<'_>], ask: &Ask<'_>, policy: &Policy) -> Option<Reason> {
    let Some(nearest) = looks.first() else {
        return Some(Reason::NoNodes);
    };
    let fit = looks
        .iter()
        .map(|look| look.fit)
        .fold(0, u32::saturating_add);
    let incomplete = rule::gang::refuses(ask, fit)?;
    match nearest.reasons.first() {
        None => Some(incomplete),
        Some(reason) => Some(telling(reason, nearest.node, ask, policy)),
    }
}

/// A node that lacks GPUs says little; its nearest GPU says more, if no free room would cure it or
/// if a share was asked.
fn telling(reason: &Reason, node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Reason {
    let nearest = || nearest_gpu(node, ask, policy);
    let of_gpu = if matches!(reason, Reason::NoGpuFits { .. }) {
        nearest()
    } else if matches!(reason, Reason::InsufficientWholeGpus { free: 0, .. }) {
        nearest().filter(|(distance, _)| *distance >= FIXED)
    } else {
        None
    };
    of_gpu.map_or_else(|| reason.clone(), |(_, reason)| reason)
}

fn nearest_gpu(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Option<(u64, Reason)> {
    let request = ask.resources().gpu.as_ref()?;
    let refusals = node
        .gpus
        .iter()
        .filter_map(|gpu| rule::gpu_refusal(gpu, request, ask, policy));
    refusals
        .map(|reason| (lack(&reason), reason))
        .min_by_key(|(lack, _)| *lack)
}

fn distance(reason: &Reason, node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> u64 {
    let nearest = || nearest_gpu(node, ask, policy).map_or(FIXED, |(distance, _)| distance);
    if matches!(reason, Reason::NoGpuFits { .. }) {
        nearest()
    } else if matches!(reason, Reason::InsufficientWholeGpus { free: 0, .. }) {
        nearest().max(NOTHING_FREE)
    } else {
        lack(reason)
    }
}

/// How much is lacking, in thousandths of what is asked.
pub(super) fn lack(reason: &Reason) -> u64 {
    match (reason, reason.amounts()) {
        (_, Some((asked, free))) => short(asked, free),
        (Reason::GpuInUse { .. } | Reason::TooManySlices { .. }, None) => NOTHING_FREE,
        (_, None) => FIXED,
    }
}

/// How much of it is lacking, in thousandths.
pub(super) fn short(asked: u64, free: u64) -> u64 {
    let Some(lacking) = asked.checked_sub(free) else {
        return 0;
    };
    // More than that is no amount of anything, and this is asked of every node.
    lacking.saturating_mul(NOTHING_FREE) / asked.max(1)
}
