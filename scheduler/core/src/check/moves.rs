//! Whether others could move, one after the other, so that a workload could then be placed.

use super::{Facts, Rejection, places, waiting};
use crate::{
    plan::Step,
    policy::Policy,
    state::{State, Workload},
    view::Liveness,
};
use dovetail_model::id::NodeName;
use std::collections::BTreeMap;

/// Why the moves could not be made in this order, each after its workload has left its old place,
/// or why the blocked would have no room after them.
pub fn moves(
    state: &State,
    live: &BTreeMap<NodeName, Liveness>,
    policy: &Policy,
    moves: &[Step],
    blocked: &Step,
) -> Result<(), Rejection> {
    let mut gone = Vec::new();
    let facts = Facts {
        state,
        live,
        policy,
        before: &[],
        gone: &[],
    };
    for (number, step) in moves.iter().enumerate() {
        let before = &moves[..number];
        let workload = movable(Facts { before, ..facts }, step)?;
        gone.extend(workload.members.iter().map(|m| m.placement.slice));
        let gone = &gone;
        places(
            Facts {
                before,
                gone,
                ..facts
            },
            workload,
            step,
        )?;
    }
    let (before, gone) = (moves, &gone[..]);
    let facts = Facts {
        before,
        gone,
        ..facts
    };
    places(facts, waiting(facts, blocked)?, blocked)
}

/// Only whole workloads move, and only those that have a place and said that they may.
fn movable<'a>(facts: Facts<'a>, step: &Step) -> Result<&'a Workload, Rejection> {
    let id = step.workload;
    let workload = facts.state.workload(id);
    let workload = workload.ok_or(Rejection::UnknownWorkload(id))?;
    if facts.before.iter().any(|other| other.workload == id) {
        return Err(Rejection::Twice(id));
    }
    if !workload.is_placed() || workload.is_stopping() || workload.spec.movable.is_none() {
        return Err(Rejection::NotMovable(id));
    }
    Ok(workload)
}
