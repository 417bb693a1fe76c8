//! A placer for whoever has no score at hand: the node with the least left, in integers.

use super::Placer;
use crate::{
    packing::{Demand, Gpus, Room},
    problem::{exact::Slot, repair::Repair},
};

/// The tightest fit: least GPU left on the node, then least CPU, then the first.
#[derive(Debug)]
pub struct Tightest<'a> {
    repair: &'a Repair,
    /// By node: classes and GPUs of everybody there.
    on: Vec<Vec<(usize, Vec<usize>)>>,
    rooms: Vec<Room>,
}

impl<'a> Tightest<'a> {
    /// On the cluster of this problem.
    pub fn new(repair: &'a Repair) -> Self {
        let mut placer = Self {
            repair,
            on: vec![Vec::new(); repair.bare.len()],
            rooms: repair.bare.clone(),
        };
        for resident in &repair.residents {
            placer.came(resident.class, &resident.at);
        }
        placer
    }

    /// The rooms as they are now.
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }
}

impl Placer for Tightest<'_> {
    fn best(&mut self, class: usize) -> Option<Slot> {
        let demand = &self.repair.classes[class];
        let fitting = self.rooms.iter().enumerate();
        let fitting = fitting.filter(|(_, room)| room.fits(demand));
        let tightest = fitting.min_by_key(|(node, room)| (room.compute(), room.cpu, *node));
        tightest.map(|(node, room)| slot(node, room, demand))
    }

    fn came(&mut self, class: usize, at: &Slot) {
        self.rooms[at.node].take(&self.repair.classes[class], &at.gpus);
        self.on[at.node].push((class, at.gpus.clone()));
    }

    fn left(&mut self, class: usize, at: &Slot) {
        let here = &mut self.on[at.node];
        let found = here
            .iter()
            .position(|(other, gpus)| *other == class && *gpus == at.gpus);
        here.remove(found.expect("who leaves has come"));
        let mut room = self.repair.bare[at.node].clone();
        for (class, gpus) in here {
            room.take(&self.repair.classes[*class], gpus);
        }
        self.rooms[at.node] = room;
    }
}

/// The fullest GPUs of a node that do.
pub(super) fn slot(node: usize, room: &Room, demand: &Demand) -> Slot {
    let mut gpus: Vec<usize> = match demand.gpus {
        Gpus::None => Vec::new(),
        Gpus::Share | Gpus::Whole(_) => room.fitting(demand).collect(),
    };
    gpus.sort_by_key(|index| (room.gpus[*index].compute, *index));
    gpus.truncate(demand.gpu_count() as usize);
    gpus.sort_unstable();
    Slot { node, gpus }
}
