//! From the solver's answer to a plan. The answer is trusted by nobody: anything odd and it is none.

use super::{Ask, Held, pack, window::Names};
use crate::{
    outcome::{Answer, Outcome},
    plan::{Plan, Step},
    problem::{
        Task,
        exact::{Assignment, Exact, GpuTake, Item, Slot},
        window::{Packed, Window},
    },
    view::ClusterView,
};
use dovetail_model::grant::{GpuGrant, Placement};
use std::collections::BTreeSet;

/// The plan an outcome means, with the workloads' requests and the nodes as they are now. None if
/// it is malformed; whether it fits is for `check` to say.
pub fn plan_of(
    held: &Held,
    outcome: &Outcome,
    asks: &[Ask<'_>],
    view: &ClusterView,
) -> Option<Plan> {
    let problem = &held.problem;
    if outcome.problem != problem.id {
        return None;
    }
    let steps = match (&problem.task, &outcome.answer) {
        (Task::Exact(task), Answer::Exact(answer)) => {
            assigned(task, &answer.assignments, asks, view)?
        }
        (Task::Window(task), Answer::Window(packed)) => {
            packed_steps(task, held.names.as_ref()?, packed, asks, view)?
        }
        _ => return None,
    };
    Some(Plan {
        parent: problem.revision,
        steps,
    })
}

fn assigned(
    task: &Exact,
    assignments: &[Assignment],
    asks: &[Ask<'_>],
    view: &ClusterView,
) -> Option<Vec<Step>> {
    let items: BTreeSet<usize> = assignments.iter().map(|a| a.item).collect();
    if items.len() != assignments.len() {
        return None;
    }
    let mut sorted: Vec<&Assignment> = assignments.iter().collect();
    sorted.sort_by_key(|assignment| assignment.item);
    let steps = sorted.into_iter().map(|a| step(task, a, asks, view));
    steps.collect()
}

/// Workloads of a class are equal: the places are given out in queue order.
fn packed_steps(
    task: &Window,
    names: &Names,
    packed: &Packed,
    asks: &[Ask<'_>],
    view: &ClusterView,
) -> Option<Vec<Step>> {
    let mut queues: Vec<_> = names.workloads.iter().map(|ids| ids.iter()).collect();
    let mut steps = Vec::new();
    for put in &packed.puts {
        let id = queues.get_mut(put.class)?.next()?;
        let ask = asks.iter().find(|ask| ask.workload == *id)?;
        let node = &view.nodes[view.index_of(names.nodes.get(put.node)?)?];
        let distinct: BTreeSet<usize> = put.gpus.iter().copied().collect();
        let wanted = task.classes.get(put.class)?.demand.gpu_count() as usize;
        if distinct.len() != put.gpus.len() || distinct.len() != wanted {
            return None;
        }
        let grants = distinct
            .into_iter()
            .map(|gpu| Some(pack::grant(node.gpus.get(gpu)?, ask)));
        steps.push(Step {
            workload: *id,
            placements: vec![pack::placement(
                node,
                ask,
                0,
                grants.collect::<Option<_>>()?,
            )],
        });
    }
    steps.sort_by_key(|step| asks.iter().position(|ask| ask.workload == step.workload));
    Some(steps)
}

fn step(
    problem: &Exact,
    assignment: &Assignment,
    asks: &[Ask<'_>],
    view: &ClusterView,
) -> Option<Step> {
    let item = problem.items.get(assignment.item)?;
    let ask = asks.iter().find(|ask| ask.workload == item.workload)?;
    if u32::try_from(assignment.members.len()) != Ok(item.members) {
        return None;
    }
    let ranks = (0_u32..).zip(&assignment.members);
    let members = ranks.map(|(rank, slot)| member(problem, item, slot, view, ask, rank));
    Some(Step {
        workload: item.workload,
        placements: members.collect::<Option<Vec<Placement>>>()?,
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "a slot means nothing without its problem, and the grant needs the rest"
)]
fn member(
    problem: &Exact,
    item: &Item,
    slot: &Slot,
    view: &ClusterView,
    ask: &Ask<'_>,
    rank: u32,
) -> Option<Placement> {
    let declared = problem.nodes.get(slot.node)?;
    let place = item.places.iter().find(|place| place.node == slot.node)?;
    let node = &view.nodes[view.index_of(&declared.name)?];
    let wanted = match (item.whole_gpus, place.gpus.is_empty()) {
        (0, true) => 0,
        (0, false) => 1,
        (whole, _) => whole as usize,
    };
    let distinct: BTreeSet<usize> = slot.gpus.iter().copied().collect();
    if slot.gpus.len() != wanted
        || distinct.len() != wanted
        || node.gpus.len() != declared.gpus.len()
    {
        return None;
    }
    let grant = |gpu: usize| {
        let take: &GpuTake = place.gpus.iter().find(|take| take.gpu == gpu)?;
        let gpu = node.gpus.get(gpu)?;
        Some(GpuGrant {
            uuid: gpu.uuid.clone(),
            index: gpu.index,
            compute: take.compute,
            memory: take.memory,
        })
    };
    let grants: Option<Vec<GpuGrant>> = distinct.into_iter().map(grant).collect();
    Some(pack::placement(node, ask, rank, grants?))
}
