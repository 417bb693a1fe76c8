//! What must always hold, judged from outside: the kernels are the truth.

use crate::{client::Clients, node::Node};
use dovetail_core::{event::Event, state::State};
use dovetail_model::{
    grant::Placement,
    id::SliceId,
    units::{Bytes, GpuMilli, WHOLE_GPU},
};
use std::collections::BTreeMap;

const GPU_MEMORY: Bytes = Bytes(80 << 30);

/// I1: no GPU of a kernel is given away more than once over.
pub(crate) fn kernel_is_not_oversubscribed(node: &Node) -> Result<(), String> {
    let placements = node
        .kernel
        .slices
        .values()
        .map(|slice| &slice.grant.placement);
    not_oversubscribed("I1: kernel", placements)
}

/// I2: neither is one of the book.
pub(crate) fn book_is_not_oversubscribed(state: &State) -> Result<(), String> {
    for name in state.nodes().keys() {
        not_oversubscribed(
            "I2: book",
            state.held_on(name).map(|(_, member)| &member.placement),
        )?;
    }
    Ok(())
}

fn not_oversubscribed<'a>(
    what: &str,
    placements: impl Iterator<Item = &'a Placement>,
) -> Result<(), String> {
    let mut used: BTreeMap<&str, (GpuMilli, Bytes)> = BTreeMap::new();
    for grant in placements.flat_map(|placement| &placement.gpus) {
        let sum = used.entry(&grant.uuid.0).or_default();
        *sum = (sum.0.plus(grant.compute), sum.1.plus(grant.memory));
    }
    for (uuid, (compute, memory)) in used {
        if compute > WHOLE_GPU || memory > GPU_MEMORY {
            return Err(format!(
                "{what}: {uuid} is given away {compute} times, {memory}"
            ));
        }
    }
    Ok(())
}

/// I6: what was acknowledged is in every later book.
pub(crate) fn nothing_acknowledged_is_lost(state: &State, clients: &Clients) -> Result<(), String> {
    for (request, id) in &clients.acknowledged {
        if state.workload(*id).is_none() {
            return Err(format!("I6: {id}, acknowledged to {request}, is lost"));
        }
    }
    Ok(())
}

/// I11: a place is free only when nothing of its slice is left, or its boot is over.
pub(crate) fn freed_only_when_gone(
    event: &Event,
    nodes: &[Node],
    state: &State,
) -> Result<(), String> {
    let Event::SliceEnded { slice, .. } = event else {
        return Ok(());
    };
    let boot = |node: &Node| {
        state
            .nodes()
            .get(&node.name)
            .map(|n| n.inventory.boot_id.clone())
    };
    for node in nodes
        .iter()
        .filter(|node| boot(node) == Some(node.kernel.boot_id()))
    {
        if node.kernel.slices.contains_key(slice) {
            return Err(format!("I11: {slice} is freed and still on {}", node.name));
        }
    }
    Ok(())
}

/// I10: what is over in the book is not started again.
pub(crate) fn starts_nothing_that_is_over(slice: SliceId, state: &State) -> Result<(), String> {
    let over = match state.workload(slice.workload) {
        None => true,
        Some(workload) => {
            workload.attempt > slice.attempt
                || state
                    .member(slice)
                    .is_some_and(|member| !member.holds_place())
        }
    };
    if over {
        Err(format!("I10: {slice} is over and was started"))
    } else {
        Ok(())
    }
}

/// I12: a request made one workload at most.
pub(crate) fn one_workload_a_request(state: &State) -> Result<(), String> {
    let mut seen = BTreeMap::new();
    for workload in state.workloads().values() {
        if let Some(other) = seen.insert(&workload.spec.name, workload.id) {
            return Err(format!(
                "I12: {other} and {} come from one request",
                workload.id
            ));
        }
    }
    Ok(())
}

/// I16 and I21: when the faults are over, kernels and book agree.
pub(crate) fn agrees(state: &State, nodes: &[Node]) -> Result<(), String> {
    for node in nodes {
        let booked: Vec<SliceId> = state
            .held_on(&node.name)
            .map(|(_, member)| member.placement.slice)
            .collect();
        let exists: Vec<SliceId> = node.kernel.slices.keys().copied().collect();
        if booked != exists {
            return Err(format!(
                "I16: {} has {exists:?}, the book says {booked:?}",
                node.name
            ));
        }
        if !node.kernel.exits.is_empty() {
            return Err(format!("I16: {} keeps ends that are durable", node.name));
        }
    }
    Ok(())
}
