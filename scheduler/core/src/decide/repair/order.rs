//! An order in which steps can be carried out: each has room when the ones before it are done.

use crate::{
    packing::Room,
    problem::{
        exact::Slot,
        repair::{Repair, Step},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Most sets of done steps that are looked at. Nearly always the first order works; the limit is
/// for steps that wait for each other, of which there are at most 16.
const SETS_MAX: usize = 4096;

/// The steps in such an order, as near to the given one as can be; nothing if they wait for each
/// other. Whoever makes a step leaves first and comes then: it is stopped and started anew.
pub fn ordered(repair: &Repair, steps: &[Step]) -> Option<Vec<Step>> {
    let mut order = Order {
        repair,
        steps,
        rest: rest(repair, steps),
        dead: BTreeSet::new(),
    };
    let mut done = Vec::new();
    order.finish(0, &mut done).then(|| {
        let steps = done.iter().map(|index| steps[*index].clone());
        steps.collect()
    })
}

struct Order<'a> {
    repair: &'a Repair,
    steps: &'a [Step],
    /// Rooms that somebody goes to, without everybody who makes a step.
    rest: BTreeMap<usize, Room>,
    /// Sets of done steps from which there is no way on.
    dead: BTreeSet<u32>,
}

impl Order<'_> {
    /// Does the steps that are not done yet, in depth first search.
    fn finish(&mut self, set: u32, done: &mut Vec<usize>) -> bool {
        if done.len() == self.steps.len() {
            return true;
        }
        for index in 0..self.steps.len() {
            let after = set | 1 << index;
            if after == set || self.dead.contains(&after) || !self.has_room(set, index) {
                continue;
            }
            done.push(index);
            if self.finish(after, done) {
                return true;
            }
            done.pop();
            if self.dead.len() >= SETS_MAX {
                return false;
            }
            self.dead.insert(after);
        }
        false
    }

    fn has_room(&self, set: u32, index: usize) -> bool {
        let Some(to) = &self.steps[index].to else {
            return true;
        };
        let mut room = self.rest[&to.node].clone();
        for (other, step) in self.steps.iter().enumerate() {
            let there = match set >> other & 1 {
                1 => step.to.as_ref(),
                _ => Some(&self.repair.residents[step.resident].at),
            };
            if let Some(there) = there.filter(|at| at.node == to.node && other != index) {
                room.take(demand(self.repair, step), &there.gpus);
            }
        }
        has_room(&room, self.repair, &self.steps[index], to)
    }
}

fn demand<'a>(repair: &'a Repair, step: &Step) -> &'a crate::packing::Demand {
    &repair.classes[repair.residents[step.resident].class]
}

fn has_room(room: &Room, repair: &Repair, step: &Step, to: &Slot) -> bool {
    let demand = demand(repair, step);
    room.fits(demand) && to.gpus.iter().all(|gpu| room.gpus[*gpu].fits(demand))
}

fn rest(repair: &Repair, steps: &[Step]) -> BTreeMap<usize, Room> {
    let targets = steps.iter().filter_map(|step| step.to.as_ref());
    let mut rooms: BTreeMap<usize, Room> = targets
        .map(|to| (to.node, repair.bare[to.node].clone()))
        .collect();
    let going: BTreeSet<usize> = steps.iter().map(|step| step.resident).collect();
    for (index, resident) in repair.residents.iter().enumerate() {
        if let Some(room) = rooms.get_mut(&resident.at.node)
            && !going.contains(&index)
        {
            room.take(&repair.classes[resident.class], &resident.at.gpus);
        }
    }
    rooms
}
