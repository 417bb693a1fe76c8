//! The rules of placement. A rule that refuses returns the reason, and nothing else knows it.
//!
//! A new rule is a file beside the others and a line in one of the two lists. Deciding,
//! explanations and the solver's problems all follow from the lists.

mod cpu;
pub(crate) mod gang;
mod gpus;
mod health;
mod labels;
mod level;
mod memory;
mod model;
mod open;
mod share_compute;
mod share_memory;
mod slices;
pub(crate) mod taints;
mod tenant;
mod whole;

use super::Ask;
use crate::{
    policy::Policy,
    view::{GpuView, NodeView},
};
use dovetail_model::{reason::Reason, resources::GpuRequest};

/// Why a node does not take one more member.
type NodeRule = fn(&NodeView, &Ask<'_>, &Policy) -> Option<Reason>;

/// Why a GPU does not serve a member that asks for GPUs.
type GpuRule = fn(&GpuView, &GpuRequest, &Ask<'_>, &Policy) -> Option<Reason>;

/// Asked in this order; the first refusal is the one that is counted.
const NODE_RULES: [NodeRule; 8] = [
    open::refuses,
    labels::refuses,
    taints::refuses,
    level::node_refuses,
    gpus::refuses,
    cpu::refuses,
    memory::refuses,
    slices::refuses,
];

/// Asked in this order: what never changes first, what is free now last.
const GPU_RULES: [GpuRule; 7] = [
    health::refuses,
    model::refuses,
    level::gpu_refuses,
    tenant::refuses,
    whole::refuses,
    share_compute::refuses,
    share_memory::refuses,
];

/// The first reason why a node does not take one more member.
pub(crate) fn refusal(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Option<Reason> {
    NODE_RULES.iter().find_map(|rule| rule(node, ask, policy))
}

/// Every reason why a node does not take one more member.
pub(crate) fn refusals(node: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Vec<Reason> {
    let reasons = NODE_RULES.iter().filter_map(|rule| rule(node, ask, policy));
    reasons.collect()
}

/// The first reason why a GPU does not serve a member that asks for GPUs.
pub(crate) fn gpu_refusal(
    gpu: &GpuView,
    request: &GpuRequest,
    ask: &Ask<'_>,
    policy: &Policy,
) -> Option<Reason> {
    let mut rules = GPU_RULES.iter();
    rules.find_map(|rule| rule(gpu, request, ask, policy))
}

/// Indices of the GPUs of a node that serve a member; none if it asks for no GPU.
pub(crate) fn fitting_gpus<'a>(
    node: &'a NodeView,
    ask: &'a Ask<'_>,
    policy: &'a Policy,
) -> impl Iterator<Item = usize> + 'a {
    let request = ask.resources().gpu.as_ref();
    let fits = move |gpu: &GpuView| {
        request.is_some_and(|request| gpu_refusal(gpu, request, ask, policy).is_none())
    };
    let gpus = node.gpus.iter().enumerate();
    gpus.filter(move |(_, gpu)| fits(gpu))
        .map(|(index, _)| index)
}
