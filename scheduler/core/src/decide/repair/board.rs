//! The cluster in the middle of a search: rooms with everybody where he is now, and the way back.

use super::Placer;
use crate::{
    packing::{Demand, Gpus, Room},
    problem::{
        exact::Slot,
        repair::{Repair, Repaired, Step},
    },
};
use std::{collections::BTreeSet, fmt};

/// What has been changed.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A resident has left its place, and is nowhere yet.
    Lifted(usize),
    /// A lifted resident has come to a place.
    Put(usize, Slot),
    /// A member of the blocked has come.
    Placed(Slot),
}

/// Rooms and residents, tentatively changed; the placer hears of each change.
pub(super) struct Board<'a> {
    pub(super) repair: &'a Repair,
    placer: &'a mut dyn Placer,
    rooms: Vec<Room>,
    /// By node: residents that have not been lifted.
    on: Vec<Vec<usize>>,
    changes: Vec<Change>,
    /// Places are the first that do, whatever the placer says.
    pub(super) first_fit: bool,
}

impl fmt::Debug for Board<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Board").field(&self.changes).finish()
    }
}

impl<'a> Board<'a> {
    pub(super) fn new(repair: &'a Repair, placer: &'a mut dyn Placer) -> Self {
        let mut rooms = repair.bare.clone();
        let mut on = vec![Vec::new(); rooms.len()];
        for (index, resident) in repair.residents.iter().enumerate() {
            let demand = &repair.classes[resident.class];
            rooms[resident.at.node].take(demand, &resident.at.gpus);
            on[resident.at.node].push(index);
        }
        Self {
            repair,
            placer,
            rooms,
            on,
            changes: Vec::new(),
            first_fit: false,
        }
    }

    pub(super) fn class_of(&self, resident: usize) -> usize {
        self.repair.residents[resident].class
    }

    pub(super) fn demand_of(&self, resident: usize) -> &'a Demand {
        &self.repair.classes[self.class_of(resident)]
    }

    pub(super) fn nodes(&self) -> usize {
        self.rooms.len()
    }

    pub(super) fn steps_left(&self) -> usize {
        let lifted = self.changes.iter();
        let lifted = lifted.filter(|change| matches!(change, Change::Lifted(_)));
        self.repair.steps_limit().saturating_sub(lifted.count())
    }

    /// Residents of a node that may still move, and for how much.
    pub(super) fn movable(&self, node: usize) -> impl Iterator<Item = (usize, u64)> + '_ {
        let cost = |index: &usize| Some((*index, self.repair.residents[*index].move_cost?));
        self.on[node].iter().filter_map(cost)
    }

    /// The room of a node if these residents were not there.
    pub(super) fn room_without(&self, node: usize, gone: &[usize]) -> Room {
        let mut room = self.repair.bare[node].clone();
        for index in self.on[node].iter().filter(|index| !gone.contains(index)) {
            let at = &self.repair.residents[*index].at;
            room.take(self.demand_of(*index), &at.gpus);
        }
        for change in &self.changes {
            match change {
                Change::Put(resident, at) if at.node == node => {
                    room.take(self.demand_of(*resident), &at.gpus);
                }
                Change::Placed(at) if at.node == node => {
                    room.take(&self.repair.classes[self.repair.blocked], &at.gpus);
                }
                Change::Lifted(_) | Change::Put(..) | Change::Placed(_) => {}
            }
        }
        room
    }

    /// The placer's best place for a member of this class. A place without the room is none.
    pub(super) fn best(&mut self, class: usize) -> Option<Slot> {
        if self.first_fit {
            return self.first(class);
        }
        let mut at = self.placer.best(class)?;
        at.gpus.sort_unstable();
        let (demand, room) = (&self.repair.classes[class], self.rooms.get(at.node)?);
        let twice = at.gpus.windows(2).any(|pair| pair[0] == pair[1]);
        let fit = |index: &usize| room.gpus.get(*index).is_some_and(|gpu| gpu.fits(demand));
        let fits = demand.gpus == Gpus::None || at.gpus.iter().all(fit);
        let right = at.gpus.len() == demand.gpu_count() as usize;
        (room.fits(demand) && right && fits && !twice).then_some(at)
    }

    fn first(&self, class: usize) -> Option<Slot> {
        let demand = &self.repair.classes[class];
        let node = self.rooms.iter().position(|room| room.fits(demand))?;
        Some(super::tightest::slot(node, &self.rooms[node], demand))
    }

    /// The node as it is now.
    pub(super) fn room(&self, node: usize) -> &Room {
        &self.rooms[node]
    }

    /// Nodes that somebody has left or come to.
    pub(super) fn touched(&self) -> BTreeSet<usize> {
        let nodes = self.changes.iter().map(|change| match change {
            Change::Lifted(resident) => self.repair.residents[*resident].at.node,
            Change::Put(_, at) | Change::Placed(at) => at.node,
        });
        nodes.collect()
    }

    /// The resident leaves its place.
    pub(super) fn lift(&mut self, resident: usize) {
        let at = &self.repair.residents[resident].at;
        self.on[at.node].retain(|index| *index != resident);
        self.give_back(self.class_of(resident), at);
        self.placer.left(self.class_of(resident), at);
        self.changes.push(Change::Lifted(resident));
    }

    /// A lifted resident comes to a place that has room.
    pub(super) fn put(&mut self, resident: usize, to: Slot) {
        let demand = self.demand_of(resident);
        self.rooms[to.node].take(demand, &to.gpus);
        self.placer.came(self.class_of(resident), &to);
        self.changes.push(Change::Put(resident, to));
    }

    /// A member of the blocked comes to a place that has room.
    pub(super) fn place(&mut self, at: Slot) {
        let blocked = self.repair.blocked;
        self.rooms[at.node].take(&self.repair.classes[blocked], &at.gpus);
        self.placer.came(blocked, &at);
        self.changes.push(Change::Placed(at));
    }

    /// Where things stand, to come back to.
    pub(super) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// What was changed since the mark, to be done once more.
    pub(super) fn since(&self, mark: usize) -> Vec<Change> {
        self.changes[mark..].to_vec()
    }

    /// Does a change once more.
    pub(super) fn redo(&mut self, change: Change) {
        match change {
            Change::Lifted(resident) => self.lift(resident),
            Change::Put(resident, to) => self.put(resident, to),
            Change::Placed(at) => self.place(at),
        }
    }

    /// Takes back what was changed since the mark.
    pub(super) fn back_to(&mut self, mark: usize) {
        while self.changes.len() > mark {
            match self.changes.pop().expect("there are more than the mark") {
                Change::Lifted(resident) => {
                    let at = &self.repair.residents[resident].at;
                    self.on[at.node].push(resident);
                    let demand = self.demand_of(resident);
                    self.rooms[at.node].take(demand, &at.gpus);
                    self.placer.came(self.class_of(resident), at);
                }
                Change::Put(resident, at) => {
                    self.give_back(self.class_of(resident), &at);
                    self.placer.left(self.class_of(resident), &at);
                }
                Change::Placed(at) => {
                    self.give_back(self.repair.blocked, &at);
                    self.placer.left(self.repair.blocked, &at);
                }
            }
        }
    }

    fn give_back(&mut self, class: usize, at: &Slot) {
        let bare = &self.repair.bare[at.node];
        self.rooms[at.node].give_back(&self.repair.classes[class], &at.gpus, bare);
    }

    /// What those cost that have been lifted so far.
    pub(super) fn cost(&self) -> u64 {
        let costs = self.changes.iter().filter_map(|change| match change {
            Change::Lifted(resident) => self.repair.residents[*resident].move_cost,
            Change::Put(..) | Change::Placed(_) => None,
        });
        costs.fold(0, u64::saturating_add)
    }

    /// What has been done, in an order that can be carried out; nothing if there is none.
    pub(super) fn answer(&self) -> Option<Repaired> {
        let (mut steps, mut slots) = (Vec::new(), Vec::new());
        for change in &self.changes {
            match change.clone() {
                Change::Lifted(_) => {}
                Change::Put(resident, to) => steps.push(Step {
                    resident,
                    to: Some(to),
                }),
                Change::Placed(at) => slots.push(at),
            }
        }
        let steps = super::order::ordered(self.repair, &steps)?;
        let cost = self.cost();
        Some(Repaired { steps, slots, cost })
    }
}
