//! Whether an answer solves a repair problem, counted anew: whoever answered is not believed.

use crate::{
    packing::{Demand, Gpus, Room},
    problem::{
        exact::Slot,
        repair::{Repair, Repaired},
    },
};
use std::collections::BTreeSet;
use thiserror::Error;

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Wrong {
    /// More are moved or stopped than may be.
    #[error("{0} steps are too many")]
    Steps(usize),
    /// A step names nobody, somebody twice, or somebody who must stay.
    #[error("step {0} may not be made")]
    NotAllowed(usize),
    /// The room is not there at this point.
    #[error("there is no room at step {0}")]
    StepRoom(usize),
    /// Not all members have a place, or too many.
    #[error("{0} members have a place")]
    Members(usize),
    /// The room is not there for a member of the blocked.
    #[error("there is no room for member {0}")]
    MemberRoom(usize),
    /// The cost is not what the steps cost.
    #[error("the steps cost {0}")]
    Cost(u64),
}

/// Does the steps one after the other on plain counters, and places the blocked.
pub fn verify(repair: &Repair, answer: &Repaired) -> Result<(), Wrong> {
    if answer.steps.len() > repair.steps_limit() {
        return Err(Wrong::Steps(answer.steps.len()));
    }
    let here = |r: &crate::problem::repair::Resident| (r.class, r.at.clone());
    let mut there: Vec<Option<(usize, Slot)>> =
        repair.residents.iter().map(|r| Some(here(r))).collect();
    let (mut gone, mut cost) = (BTreeSet::new(), 0_u64);
    for (index, step) in answer.steps.iter().enumerate() {
        let allowed = repair.residents.get(step.resident).is_some();
        let step_cost = if allowed { repair.cost(step) } else { None };
        let Some(step_cost) = step_cost.filter(|_| gone.insert(step.resident)) else {
            return Err(Wrong::NotAllowed(index));
        };
        cost = cost.saturating_add(step_cost);
        let class = repair.residents[step.resident].class;
        there[step.resident] = step.to.clone().map(|to| (class, to));
        if let Some(to) = &step.to
            && !holds(repair, to.node, there.iter().flatten(), (class, to))
        {
            return Err(Wrong::StepRoom(index));
        }
    }
    members(repair, answer, there)?;
    if cost == answer.cost {
        Ok(())
    } else {
        Err(Wrong::Cost(cost))
    }
}

fn members(
    repair: &Repair,
    answer: &Repaired,
    mut there: Vec<Option<(usize, Slot)>>,
) -> Result<(), Wrong> {
    if answer.slots.len() != repair.members as usize {
        return Err(Wrong::Members(answer.slots.len()));
    }
    for (index, slot) in answer.slots.iter().enumerate() {
        there.push(Some((repair.blocked, slot.clone())));
        let new = (repair.blocked, slot);
        if !holds(repair, slot.node, there.iter().flatten(), new) {
            return Err(Wrong::MemberRoom(index));
        }
    }
    Ok(())
}

/// Whether a node holds everybody who is on it, the newest in a place it may have.
fn holds<'a>(
    repair: &Repair,
    node: usize,
    there: impl Iterator<Item = &'a (usize, Slot)>,
    (class, at): (usize, &Slot),
) -> bool {
    let Some(bare) = repair.bare.get(node) else {
        return false;
    };
    let here: Vec<(&Demand, &Slot)> = there
        .filter(|(_, at)| at.node == node)
        .map(|(class, at)| (&repair.classes[*class], at))
        .collect();
    let cpu: u64 = here.iter().map(|(demand, _)| demand.cpu.0).sum();
    let memory: u64 = here.iter().map(|(demand, _)| demand.memory.0).sum();
    let demand = &repair.classes[class];
    let distinct: BTreeSet<&usize> = at.gpus.iter().collect();
    demand.may_go_to(bare.kind)
        && here.len() <= bare.slices as usize
        && cpu <= bare.cpu.0
        && memory <= bare.memory.0
        && distinct.len() == demand.gpu_count() as usize
        && at.gpus.len() == distinct.len()
        && at.gpus.iter().all(|gpu| gpu_holds(bare, *gpu, &here))
}

fn gpu_holds(bare: &Room, gpu: usize, here: &[(&Demand, &Slot)]) -> bool {
    let Some(room) = bare.gpus.get(gpu) else {
        return false;
    };
    let on: Vec<&Demand> = here
        .iter()
        .filter(|(_, at)| at.gpus.contains(&gpu))
        .map(|(demand, _)| *demand)
        .collect();
    let takes: Option<Vec<_>> = on
        .iter()
        .map(|demand| demand.take_of(room.device))
        .collect();
    let Some(takes) = takes else {
        return false;
    };
    let whole = on
        .iter()
        .any(|demand| matches!(demand.gpus, Gpus::Whole(_)));
    let tenants: BTreeSet<u32> = on.iter().map(|d| d.tenant).chain(room.tenant).collect();
    takes.iter().map(|take| take.compute.0).sum::<u64>() <= room.compute.0
        && takes.iter().map(|take| take.memory.0).sum::<u64>() <= room.memory.0
        && (!whole || (on.len() == 1 && room.empty))
        && tenants.len() <= 1
}
