//! Nodes whose useful rooms are equal, put together; GPUs of a node in one order.

use super::{engine::Contents, packing::Slots, rooms::GPUS_MAX, useful::Useful};
use dovetail_core::{
    packing::{Demand, Room},
    problem::window::Put,
};
use std::collections::BTreeMap;

/// Classes of nodes.
#[derive(Debug)]
pub(super) struct Classes {
    /// Room of each class, GPUs in order.
    pub(super) rooms: Vec<Room>,
    /// Nodes of each class.
    pub(super) nodes: Vec<Vec<usize>>,
    /// By node: its class, if anything fits in it.
    class: Vec<Option<usize>>,
    /// By node: its GPUs in the order of the class.
    order: Vec<Vec<usize>>,
}

impl Classes {
    /// Of these rooms for these demands.
    pub(super) fn of(rooms: &[Room], demands: &[Demand]) -> Self {
        let useful = Useful::new(demands, rooms);
        let mut by_room: BTreeMap<Room, Vec<usize>> = BTreeMap::new();
        let mut order = Vec::with_capacity(rooms.len());
        let mut cuts: BTreeMap<&Room, Option<(Room, Vec<usize>)>> = BTreeMap::new();
        for (node, room) in rooms.iter().enumerate() {
            let cut = cuts
                .entry(room)
                .or_insert_with(|| useful.cut(room).map(sorted));
            order.push(
                cut.as_ref()
                    .map(|(_, gpus)| gpus.clone())
                    .unwrap_or_default(),
            );
            if let Some((room, _)) = cut {
                by_room.entry(room.clone()).or_default().push(node);
            }
        }
        let mut class = vec![None; rooms.len()];
        for (index, nodes) in by_room.values().enumerate() {
            nodes.iter().for_each(|node| class[*node] = Some(index));
        }
        let (rooms, nodes) = by_room.into_iter().unzip();
        Self {
            rooms,
            nodes,
            class,
            order,
        }
    }

    /// Keeps only these classes, in this order.
    pub(super) fn keep(&mut self, classes: &[usize]) {
        let mut renamed = vec![None; self.rooms.len()];
        for (new, old) in classes.iter().enumerate() {
            renamed[*old] = Some(new);
        }
        for class in &mut self.class {
            *class = class.and_then(|old| renamed[old]);
        }
        self.rooms = classes.iter().map(|old| self.rooms[*old].clone()).collect();
        self.nodes = classes.iter().map(|old| self.nodes[*old].clone()).collect();
    }

    /// Each room with how many nodes have it.
    pub(super) fn counted(&self) -> Vec<(Room, u32)> {
        let counts = self.nodes.iter().map(|nodes| nodes.len());
        let counts = counts.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        self.rooms.iter().cloned().zip(counts).collect()
    }

    /// The class of a node, if anything fits in it and its class is kept.
    pub(super) fn class_of(&self, node: usize) -> Option<usize> {
        self.class[node]
    }

    /// Puts of one node as contents of its class.
    pub(super) fn contents(&self, node: usize, puts: &[(u32, &Put)]) -> Option<Contents> {
        let host = self.class[node]?;
        let slot = |gpu: &usize| self.order[node].iter().position(|other| other == gpu);
        let steps = puts.iter().map(|(work, put)| {
            let slots = put.gpus.iter().map(slot);
            let bits = slots.map(|slot| slot.filter(|s| *s < GPUS_MAX).map(|slot| 1 << slot));
            let bits: Option<Vec<Slots>> = bits.collect();
            Some((*work, bits?.into_iter().fold(0, |all, bit| all | bit)))
        });
        let steps = steps.collect::<Option<Vec<_>>>()?;
        Some(Contents { host, steps })
    }

    /// Contents of hosts as puts on nodes, works for classes.
    pub(super) fn puts(&self, hosts: &[Contents]) -> Vec<Put> {
        let mut free: Vec<_> = self.nodes.iter().map(|nodes| nodes.iter()).collect();
        let mut puts = Vec::new();
        for contents in hosts {
            let Some(node) = free[contents.host].next() else {
                continue;
            };
            let order = &self.order[*node];
            puts.extend(contents.steps.iter().map(|(work, slots)| Put {
                class: *work as usize,
                node: *node,
                gpus: gpus(order, *slots),
            }));
        }
        puts
    }
}

fn gpus(order: &[usize], slots: Slots) -> Vec<usize> {
    let gpus = order.iter().take(GPUS_MAX).enumerate();
    let taken = gpus.filter(|(slot, _)| slots >> slot & 1 == 1);
    taken.map(|(_, gpu)| *gpu).collect()
}

/// The room with its GPUs in order, and where each was.
fn sorted(mut room: Room) -> (Room, Vec<usize>) {
    let mut gpus: Vec<_> = std::mem::take(&mut room.gpus)
        .into_iter()
        .enumerate()
        .collect();
    gpus.sort_by_key(|(index, gpu)| (*gpu, *index));
    let order = gpus.iter().map(|(index, _)| *index).collect();
    room.gpus = gpus.into_iter().map(|(_, gpu)| gpu).collect();
    (room, order)
}
