//! A placer that knows the online score: residents go where new work of their kind would go.

use super::Placer;
use crate::{
    decide::score::{Hosts, Scorer},
    packing::{Demand, Room},
    problem::{exact::Slot, repair::Repair},
};

/// The best score, the first of equals, on a copy of the rooms.
#[derive(Debug)]
pub struct ByScore<'a> {
    scorer: &'a Scorer,
    bare: &'a [Room],
    classes: Vec<Row<'a>>,
    rooms: Vec<Room>,
    /// Nodes as they changed.
    changes: Vec<usize>,
}

/// Scores of one class on all nodes; 0 is no fit.
#[derive(Debug)]
struct Row<'a> {
    demand: &'a Demand,
    hosts: Hosts,
    /// Nothing until somebody asks.
    values: Vec<u16>,
    /// How many of the changes are in the values.
    read: usize,
}

impl<'a> ByScore<'a> {
    /// On the cluster of this problem, whose kinds of nodes the scorer knows.
    pub fn new(scorer: &'a Scorer, repair: &'a Repair) -> Self {
        let mut rooms = repair.bare.clone();
        for resident in &repair.residents {
            let demand = &repair.classes[resident.class];
            rooms[resident.at.node].take(demand, &resident.at.gpus);
        }
        let row = |demand: &'a Demand| Row {
            demand,
            hosts: Hosts::default(),
            values: Vec::new(),
            read: 0,
        };
        Self {
            scorer,
            bare: &repair.bare,
            classes: repair.classes.iter().map(row).collect(),
            rooms,
            changes: Vec::new(),
        }
    }
}

impl Placer for ByScore<'_> {
    fn best(&mut self, class: usize) -> Option<Slot> {
        let (scorer, rooms, row) = (self.scorer, &self.rooms, &mut self.classes[class]);
        row.follow(scorer, rooms, &self.changes);
        let most = row.values.iter().copied().max().filter(|most| *most > 0)?;
        let node = row.values.iter().position(|value| *value == most)?;
        let scored = scorer.look(&rooms[node]).score(row.demand, &row.hosts)?;
        let taken = |index: &usize| scored.gpus >> index & 1 == 1;
        let gpus = (0..rooms[node].gpus.len()).filter(taken).collect();
        Some(Slot { node, gpus })
    }

    fn came(&mut self, class: usize, at: &Slot) {
        self.rooms[at.node].take(self.classes[class].demand, &at.gpus);
        self.changes.push(at.node);
    }

    fn left(&mut self, class: usize, at: &Slot) {
        let demand = self.classes[class].demand;
        self.rooms[at.node].give_back(demand, &at.gpus, &self.bare[at.node]);
        self.changes.push(at.node);
    }
}

impl Row<'_> {
    fn follow(&mut self, scorer: &Scorer, rooms: &[Room], changes: &[usize]) {
        let (demand, hosts) = (self.demand, &mut self.hosts);
        if self.values.is_empty() || changes.len() - self.read > rooms.len() {
            *hosts = scorer.hosts(demand);
            let all = rooms.iter().map(|room| value(scorer, room, demand, hosts));
            self.values = all.collect();
        } else {
            for node in &changes[self.read..] {
                self.values[*node] = value(scorer, &rooms[*node], demand, hosts);
            }
        }
        self.read = changes.len();
    }
}

fn value(scorer: &Scorer, room: &Room, demand: &Demand, hosts: &Hosts) -> u16 {
    // Most rooms are told apart here, which takes less than to look.
    if !room.fits(demand) {
        return 0;
    }
    let scored = scorer.look(room).score(demand, hosts);
    scored.map_or(0, |scored| scored.value.max(1))
}

#[cfg(test)]
mod tests;
