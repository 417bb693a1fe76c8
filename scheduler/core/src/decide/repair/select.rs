//! The few nodes of a cluster on which an exact repair is worth looking for.
//!
//! Some are cheap to vacate for the blocked, the others take who has to go from there. Everybody
//! else stays, and is room that is not there.

use super::{
    board::Board,
    tightest::Tightest,
    vacate::{size, vacate},
    ways::Ways,
};
use crate::problem::repair::{ROOMS_MAX, Repair, Repaired, Resident};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

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

/// The part of the problem with so many nodes to vacate, those that cost least.
pub fn select(repair: &Repair, vacated_max: usize) -> Selected {
    let mut placer = Tightest::new(repair);
    let board = Board::new(repair, &mut placer);
    let mut choice = Choice::default();
    choice.vacated(&board, vacated_max);
    choice.receivers(&board);
    choice.part(repair)
}

#[derive(Debug, Default)]
struct Choice {
    /// The most important first.
    nodes: Vec<usize>,
    going: BTreeSet<usize>,
}

impl Choice {
    fn vacated(&mut self, board: &Board<'_>, most: usize) {
        let blocked = board.repair.blocked;
        let demand = &board.repair.classes[blocked];
        let mut looks = 0;
        let ways = Ways::of(board, blocked, vacate, &mut looks).all();
        for way in ways.iter().take(most) {
            self.nodes.push(way.node);
            let smaller = |(r, _): &(usize, u64)| size(board.demand_of(*r)) < size(demand);
            let going = board.movable(way.node).filter(smaller);
            self.going.extend(going.map(|(resident, _)| resident));
        }
        // Members of the blocked may also go where they fit as it is.
        self.fitting(board, blocked);
    }

    /// Nodes for everybody who has to go, the largest class first.
    fn receivers(&mut self, board: &Board<'_>) {
        let classes: BTreeSet<usize> = self.going.iter().map(|r| board.class_of(*r)).collect();
        let mut classes: Vec<usize> = classes.into_iter().collect();
        classes.sort_by_key(|class| Reverse(size(&board.repair.classes[*class])));
        let mut nowhere = Vec::new();
        for class in classes {
            if !self.fitting(board, class) {
                nowhere.push(class);
            }
        }
        for class in nowhere.into_iter().take(CHAINED_CLASSES_MAX) {
            let mut looks = 0;
            let ways = Ways::of(board, class, vacate, &mut looks).all();
            let others = ways.iter().filter(|way| !self.nodes.contains(&way.node));
            let others: Vec<_> = others.take(CHAINED_MAX).cloned().collect();
            for way in others {
                self.nodes.push(way.node);
                self.going.extend(way.residents);
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
