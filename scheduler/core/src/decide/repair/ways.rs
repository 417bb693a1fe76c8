//! Whom to move for a class, on every node: found once in a search, and then only where it changed.

use super::{
    board::Board,
    vacate::{Vacating, vacate},
};
use crate::packing::Demand;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Nodes to vacate for one class.
#[derive(Debug)]
pub(super) struct Ways {
    class: usize,
    /// As things were when they were found, cheapest first.
    found: Vec<Vacating>,
    /// Nodes that were not as at the start of the search then.
    changed: BTreeSet<usize>,
}

impl Ways {
    /// As things are now, on so many nodes: those with the most free GPU are looked at first.
    pub(super) fn of(
        board: &Board<'_>,
        class: usize,
        vacate: fn(&Board<'_>, usize, &Demand) -> Option<Vacating>,
        most: usize,
        looks: &mut u64,
    ) -> Self {
        let demand = &board.repair.classes[class];
        let able = |node: &usize| board.repair.bare[*node].fits(demand);
        let mut nodes: Vec<usize> = (0..board.nodes()).filter(able).collect();
        nodes.sort_by_key(|node| Reverse(board.room(*node).compute()));
        nodes.truncate(most);
        *looks += nodes.len() as u64;
        let ways = nodes.into_iter();
        let mut found: Vec<Vacating> = ways
            .filter_map(|node| vacate(board, node, demand))
            .collect();
        found.sort_by_key(order);
        Self {
            class,
            found,
            changed: board.touched(),
        }
    }

    /// All of them.
    pub(super) fn all(self) -> Vec<Vacating> {
        self.found
    }

    /// The first ones as things are now.
    pub(super) fn now(&self, board: &Board<'_>, most: usize, looks: &mut u64) -> Vec<Vacating> {
        let touched = board.touched();
        let demand = &board.repair.classes[self.class];
        let steps_left = board.steps_left();
        let few = |way: &&Vacating| way.residents.len() <= steps_left;
        let unchanged = self.found.iter().filter(few);
        let unchanged = unchanged.filter(|way| !touched.contains(&way.node));
        let mut ways: BTreeMap<_, Vacating> = unchanged
            .take(most)
            .map(|way| (order(way), way.clone()))
            .collect();
        for node in touched.union(&self.changed) {
            *looks += 1;
            if let Some(way) = vacate(board, *node, demand).filter(|way| few(&way)) {
                ways.insert(order(&way), way);
            }
        }
        ways.into_values().take(most).collect()
    }
}

fn order(way: &Vacating) -> (u64, usize, usize) {
    (way.cost, way.residents.len(), way.node)
}
