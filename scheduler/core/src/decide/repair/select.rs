//! The few nodes of a cluster on which an exact repair is worth looking for.
//!
//! Some are cheap to vacate for the blocked, the others take who has to go from there. Everybody
//! else stays, and is room that is not there.

use super::{
    board::Board,
    tightest::Tightest,
    vacate::{Vacating, size, vacate},
    ways::Ways,
};
use crate::problem::repair::{ROOMS_MAX, Repair, Repaired, Resident};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Nodes looked at for whom to move for one class, those with the most free GPU first.
const LOOKS_MAX: usize = 5000;
/// Nodes looked at as receivers for each class that has to go, those with the least room first.
const RECEIVERS_MAX: usize = 3;
/// Classes that fit nowhere, for which others may make way; each takes a look at all nodes.
const CHAINED_CLASSES_MAX: usize = 2;
/// Nodes on which others may make way for one of those classes.
const CHAINED_MAX: usize = 2;

/// A part of a repair problem, and what its numbers mean in the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The part.
    pub repair: Repair,
    nodes: Vec<usize>,
    residents: Vec<usize>,
}

/// Parts of the problem, each with so many nodes to vacate, those that cost least.
pub fn select(repair: &Repair, vacated: &[usize]) -> Vec<Selected> {
    let mut placer = Tightest::new(repair);
    let board = Board::new(repair, &mut placer);
    let mut known = Known::default();
    let choices = vacated.iter().map(|most| {
        let mut choice = Choice::default();
        choice.vacated(&board, &mut known, *most);
        choice.receivers(&board, &mut known);
        choice.part(repair)
    });
    choices.collect()
}

/// By class: whom to move for it. It takes a look at all nodes.
#[derive(Debug, Default)]
struct Known(BTreeMap<usize, Vec<Vacating>>);

impl Known {
    fn ways(&mut self, board: &Board<'_>, class: usize) -> &[Vacating] {
        let find = || Ways::of(board, class, vacate, LOOKS_MAX, &mut 0).all();
        self.0.entry(class).or_insert_with(find)
    }
}

#[derive(Debug, Default)]
struct Choice {
    /// The most important first.
    nodes: Vec<usize>,
    going: BTreeSet<usize>,
}

impl Choice {
    fn vacated(&mut self, board: &Board<'_>, known: &mut Known, most: usize) {
        let blocked = board.repair.blocked;
        let demand = &board.repair.classes[blocked];
        for way in known.ways(board, blocked).iter().take(most) {
            self.nodes.push(way.node);
            let smaller = |(r, _): &(usize, u64)| size(board.demand_of(*r)) < size(demand);
            let going = board.movable(way.node).filter(smaller);
            self.going.extend(going.map(|(resident, _)| resident));
        }
        // Members of the blocked may also go where they fit as it is.
        self.fitting(board, blocked);
    }

    /// Nodes for everybody who has to go, the largest class first.
    fn receivers(&mut self, board: &Board<'_>, known: &mut Known) {
        let classes: BTreeSet<usize> = self.going.iter().map(|r| board.class_of(*r)).collect();
        let mut classes: Vec<usize> = classes.into_iter().collect();
        classes.sort_by_key(|class| Reverse(size(&board.repair.classes[*class])));
        classes.retain(|class| !self.fitting(board, *class));
        for class in classes.into_iter().take(CHAINED_CLASSES_MAX) {
            let ways = known.ways(board, class).iter();
            let others = ways.filter(|way| !self.nodes.contains(&way.node));
            let others: Vec<&Vacating> = others.take(CHAINED_MAX).collect();
            for way in others {
                self.nodes.push(way.node);
                self.going.extend(&way.residents);
            }
        }
    }

    /// The nodes where one of this class fits with the least left; false if there is none.
    fn fitting(&mut self, board: &Board<'_>, class: usize) -> bool {
        let demand = &board.repair.classes[class];
        let fits = |node: &usize| board.room(*node).fits(demand);
        let mut fitting: Vec<usize> = (0..board.nodes()).filter(fits).collect();
        fitting.sort_by_key(|node| (board.room(*node).compute(), *node));
        fitting.truncate(RECEIVERS_MAX);
        let found = !fitting.is_empty();
        let new = fitting.into_iter().filter(|n| !self.nodes.contains(n));
        let new: Vec<usize> = new.collect();
        self.nodes.extend(new);
        found
    }

    fn part(mut self, repair: &Repair) -> Selected {
        self.nodes.truncate(ROOMS_MAX);
        let place: BTreeMap<usize, usize> =
            (0..).zip(&self.nodes).map(|(at, n)| (*n, at)).collect();
        let mut bare: Vec<_> = self.nodes.iter().map(|n| repair.bare[*n].clone()).collect();
        let (mut residents, mut going) = (Vec::new(), Vec::new());
        for (index, resident) in repair.residents.iter().enumerate() {
            let Some(node) = place.get(&resident.at.node) else {
                continue;
            };
            if self.going.contains(&index) {
                let mut moved: Resident = resident.clone();
                moved.at.node = *node;
                residents.push(moved);
                going.push(index);
            } else {
                bare[*node].take(&repair.classes[resident.class], &resident.at.gpus);
            }
        }
        Selected {
            repair: Repair {
                bare,
                residents,
                classes: repair.classes.clone(),
                ..*repair
            },
            nodes: self.nodes,
            residents: going,
        }
    }
}

impl Selected {
    /// An answer to the part, as an answer to the whole.
    pub fn in_the_whole(&self, mut answer: Repaired) -> Repaired {
        for step in &mut answer.steps {
            step.resident = self.residents[step.resident];
            if let Some(to) = &mut step.to {
                to.node = self.nodes[to.node];
            }
        }
        for slot in &mut answer.slots {
            slot.node = self.nodes[slot.node];
        }
        answer
    }
}
