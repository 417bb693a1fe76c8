//! The independent verifier of plans: run on every plan, in production and in every test.
//!
//! It trusts nobody and shares no code with `decide` or the solver: everything is added up anew
//! from the durable state and what is known of the nodes.

mod admission;
mod gpus;
mod moves;
mod rejection;
mod room;
#[cfg(test)]
pub(crate) mod tests;

use crate::{
    plan::{Plan, Step},
    policy::Policy,
    state::{Node, State, Workload},
    view::Liveness,
};
use dovetail_model::{
    grant::Placement,
    id::{NodeName, SliceId, WorkloadId},
    resources::Level,
};
use std::collections::BTreeMap;

pub use moves::moves;
pub use rejection::Rejection;

/// What a plan is checked against.
#[derive(Debug, Clone, Copy)]
struct Facts<'a> {
    state: &'a State,
    live: &'a BTreeMap<NodeName, Liveness>,
    policy: &'a Policy,
    /// Steps that are accepted already.
    before: &'a [Step],
    /// Slices that would have left their places by now.
    gone: &'a [SliceId],
}

/// Every step that must not be carried out, each judged after those before it that may.
pub fn plan(
    state: &State,
    live: &BTreeMap<NodeName, Liveness>,
    policy: &Policy,
    plan: &Plan,
) -> Vec<(WorkloadId, Rejection)> {
    if let Err(newer) = parent(state, plan) {
        let refused = plan.steps.iter().map(|step| (step.workload, newer.clone()));
        return refused.collect();
    }
    let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
    for step in &plan.steps {
        match self::step(state, live, policy, &accepted, step) {
            Ok(()) => accepted.push(step.clone()),
            Err(rejection) => rejected.push((step.workload, rejection)),
        }
    }
    rejected
}

/// Whether the plan can have been made from a past of this state.
pub fn parent(state: &State, plan: &Plan) -> Result<(), Rejection> {
    let (parent, newest) = (plan.parent, state.revision());
    if parent > newest {
        return Err(Rejection::FromTheFuture { parent, newest });
    }
    Ok(())
}

/// Whether a step may be carried out after those before it.
pub fn step(
    state: &State,
    live: &BTreeMap<NodeName, Liveness>,
    policy: &Policy,
    before: &[Step],
    step: &Step,
) -> Result<(), Rejection> {
    let facts = Facts {
        state,
        live,
        policy,
        before,
        gone: &[],
    };
    places(facts, waiting(facts, step)?, step)
}

/// Whether every member may go where the step says.
fn places(facts: Facts<'_>, workload: &Workload, step: &Step) -> Result<(), Rejection> {
    members(workload, step)?;
    for placement in &step.placements {
        let node = open_node(facts, placement)?;
        admission::check(workload, node, placement)?;
        amounts(workload, placement)?;
        gpus::check(workload, node, placement)?;
        if placement.gpus.is_empty() {
            level(workload, node.inventory.level)?;
        }
    }
    room::check(facts, workload, step)
}

fn waiting<'a>(facts: Facts<'a>, step: &Step) -> Result<&'a Workload, Rejection> {
    let id = step.workload;
    let workload = facts
        .state
        .workload(id)
        .ok_or(Rejection::UnknownWorkload(id))?;
    if !workload.is_live() {
        return Err(Rejection::Over(id));
    }
    if !workload.members.is_empty() {
        return Err(Rejection::PlacedAlready(id));
    }
    if facts.before.iter().any(|other| other.workload == id) {
        return Err(Rejection::Twice(id));
    }
    Ok(workload)
}

fn members(workload: &Workload, step: &Step) -> Result<(), Rejection> {
    let (asked, given) = (workload.spec.gang_size as usize, step.placements.len());
    if asked != given {
        return Err(Rejection::WrongMemberCount { asked, given });
    }
    for (rank, placement) in (0_u32..).zip(&step.placements) {
        let expected = SliceId {
            workload: workload.id,
            attempt: workload.attempt + 1,
            member: rank,
        };
        if placement.slice != expected {
            return Err(Rejection::WrongSlice {
                expected,
                given: placement.slice,
            });
        }
    }
    Ok(())
}

fn open_node<'a>(facts: Facts<'a>, placement: &Placement) -> Result<&'a Node, Rejection> {
    let name = &placement.node;
    let unknown = || Rejection::UnknownNode(name.clone());
    let node = facts.state.nodes().get(name).ok_or_else(unknown)?;
    if node.cordoned.is_some() {
        return Err(Rejection::NodeCordoned(name.clone()));
    }
    if !facts.live.get(name).is_some_and(|live| live.reachable) {
        return Err(Rejection::NodeUnreachable(name.clone()));
    }
    Ok(node)
}

fn amounts(workload: &Workload, placement: &Placement) -> Result<(), Rejection> {
    let resources = &workload.spec.resources;
    if placement.cpu != resources.cpu {
        return Err(Rejection::WrongCpu {
            asked: resources.cpu,
            given: placement.cpu,
        });
    }
    if placement.memory != resources.memory {
        return Err(Rejection::WrongMemory {
            asked: resources.memory,
            given: placement.memory,
        });
    }
    Ok(())
}

fn level(workload: &Workload, offered: Level) -> Result<(), Rejection> {
    let asked = workload.spec.resources.minimum_level;
    if offered < asked {
        return Err(Rejection::LevelTooWeak { asked, offered });
    }
    Ok(())
}
