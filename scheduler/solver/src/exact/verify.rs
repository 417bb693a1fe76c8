//! Whether assignments solve a problem, in integers: used on every answer, and by the tests.

use dovetail_core::problem::exact::{Assignment, Exact, GpuTake, Item, Slot};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Wrong(String);

fn wrong<T>(what: String) -> Result<T, Wrong> {
    Err(Wrong(what))
}

#[derive(Default)]
struct Used {
    cpu: CpuMilli,
    memory: Bytes,
    slices: u32,
}

#[derive(Default)]
struct GpuUsed {
    compute: GpuMilli,
    memory: Bytes,
    tenants: BTreeSet<u32>,
    takers: u32,
    whole: bool,
}

/// Every item at most once and whole, every member where it may go, and nothing given twice.
pub fn verify(problem: &Exact, assignments: &[Assignment]) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    let mut nodes: BTreeMap<usize, Used> = BTreeMap::new();
    let mut gpus: BTreeMap<(usize, usize), GpuUsed> = BTreeMap::new();
    for assignment in assignments {
        let Some(item) = problem.items.get(assignment.item) else {
            return wrong(format!("item {} does not exist", assignment.item));
        };
        if !seen.insert(assignment.item) || assignment.members.len() != item.members as usize {
            return wrong(format!(
                "item {} is not placed whole and once",
                assignment.item
            ));
        }
        for slot in &assignment.members {
            let used = nodes.entry(slot.node).or_default();
            used.cpu = used.cpu.plus(item.cpu);
            used.memory = used.memory.plus(item.memory);
            used.slices += 1;
            for take in takes(item, slot)? {
                let used = gpus.entry((slot.node, take.gpu)).or_default();
                used.compute = used.compute.plus(take.compute);
                used.memory = used.memory.plus(take.memory);
                used.tenants.insert(item.tenant);
                used.takers += 1;
                used.whole |= item.whole_gpus > 0;
            }
        }
    }
    hosts_hold(problem, &nodes)?;
    gpus_hold(problem, &gpus)
}

fn takes(item: &Item, slot: &Slot) -> Result<Vec<GpuTake>, Wrong> {
    let Some(place) = item.places.iter().find(|place| place.node == slot.node) else {
        return wrong(format!(
            "a member is on node {}, where it may not go",
            slot.node
        ));
    };
    let wanted = match (item.whole_gpus, place.gpus.is_empty()) {
        (0, true) => 0,
        (0, false) => 1,
        (count, _) => count as usize,
    };
    let distinct: BTreeSet<usize> = slot.gpus.iter().copied().collect();
    if slot.gpus.len() != wanted || distinct.len() != wanted {
        return wrong(format!(
            "a member has GPUs {:?}, {wanted} are wanted",
            slot.gpus
        ));
    }
    let find = |gpu: &usize| place.gpus.iter().find(|take| take.gpu == *gpu).copied();
    let takes: Option<Vec<GpuTake>> = slot.gpus.iter().map(find).collect();
    takes.map_or_else(
        || wrong(format!("GPUs {:?} may not be taken", slot.gpus)),
        Ok,
    )
}

fn hosts_hold(problem: &Exact, nodes: &BTreeMap<usize, Used>) -> Result<(), Wrong> {
    for (index, used) in nodes {
        let Some(node) = problem.nodes.get(*index) else {
            return wrong(format!("node {index} does not exist"));
        };
        if used.cpu > node.cpu || used.memory > node.memory || used.slices > node.slices {
            return wrong(format!(
                "node {} is given away more than once over",
                node.name
            ));
        }
    }
    Ok(())
}

fn gpus_hold(problem: &Exact, gpus: &BTreeMap<(usize, usize), GpuUsed>) -> Result<(), Wrong> {
    for ((node, gpu), used) in gpus {
        let room = problem
            .nodes
            .get(*node)
            .and_then(|node| node.gpus.get(*gpu));
        let Some(room) = room else {
            return wrong(format!("GPU {gpu} of node {node} does not exist"));
        };
        let over = used.compute > room.compute || used.memory > room.memory;
        let shared_whole = used.whole && (used.takers > 1 || !room.empty);
        if over || shared_whole || used.tenants.len() > 1 {
            return wrong(format!(
                "GPU {gpu} of node {node} is given away more than once over"
            ));
        }
    }
    Ok(())
}
