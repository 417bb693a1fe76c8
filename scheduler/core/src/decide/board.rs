//! The board: every node's free room as numbers, and the score of every class of work on each,
//! kept current while work comes and goes.
//!
//! ```text
//! NodeView -> room (intern) -> score of each class (matrix) -> the best node
//! ```
//!
//! A decision is a look at block maxima. What it changes is noted, and scores follow when there is
//! time (`catch_up`), at the latest when their class is asked for next.

mod intern;
mod matrix;

use super::{Ask, score::Scorer};
use crate::{
    packing::Room,
    policy::Policy,
    view::{ClusterView, NodeView},
};
use dovetail_model::{
    grant::Placement,
    id::{NodeName, Tenant},
};
use intern::Interner;
use matrix::{Column, Matrix};
use std::cmp::Reverse;

pub(super) use intern::ClassId;

/// Nodes with their rooms and scores.
#[derive(Debug, Clone)]
pub struct Board {
    policy: Policy,
    view: ClusterView,
    /// By index in the view.
    rooms: Vec<Room>,
    interner: Interner,
    scorer: Scorer,
    matrix: Matrix,
    columns: Columns,
    /// What nodes were before this trial touched them.
    trial: Option<Vec<(usize, NodeView, Room)>>,
}

/// Nodes in the order that breaks ties.
#[derive(Debug, Clone, Default)]
struct Columns {
    /// By column: the node's index in the view.
    node: Vec<usize>,
    /// By index in the view: its column.
    of: Vec<Column>,
    /// A node came or went since.
    stale: bool,
}

impl Board {
    /// A board of these nodes.
    pub fn of(view: ClusterView, policy: Policy) -> Self {
        let mut board = Self {
            policy,
            view: ClusterView::default(),
            rooms: Vec::new(),
            interner: Interner::new(policy),
            scorer: Scorer::default(),
            matrix: Matrix::default(),
            columns: Columns::default(),
            trial: None,
        };
        view.nodes.into_iter().for_each(|node| board.put(node));
        board
    }

    /// The nodes.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    /// What operators decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Puts a node's newest view in its place.
    pub fn put(&mut self, node: NodeView) {
        debug_assert!(self.trial.is_none(), "facts do not change in a trial");
        let place = self.view.nodes.binary_search_by(|n| n.name.cmp(&node.name));
        match place {
            Ok(index) => {
                let room = self.interner.room(&node, Some(self.rooms[index].kind));
                // A node whose room is as it was needs no new scores.
                if self.rooms[index] != room {
                    self.rooms[index] = room;
                    self.changed(index);
                }
                self.columns.stale |= self.view.nodes[index].tie != node.tie;
                self.view.nodes[index] = node;
            }
            Err(index) => {
                let room = self.interner.room(&node, None);
                self.rooms.insert(index, room);
                self.view.nodes.insert(index, node);
                self.columns.stale = true;
            }
        }
    }

    /// Drops a node.
    pub fn remove(&mut self, name: &NodeName) {
        debug_assert!(self.trial.is_none(), "facts do not change in a trial");
        if let Some(index) = self.view.index_of(name) {
            self.view.nodes.remove(index);
            self.rooms.remove(index);
            self.columns.stale = true;
        }
    }

    /// Takes a placement's room. False, and nothing taken, if its node is unknown.
    pub fn take(&mut self, placement: &Placement, tenant: &Tenant) -> bool {
        let Some(index) = self.view.index_of(&placement.node) else {
            return false;
        };
        self.take_at(index, placement, tenant);
        true
    }

    pub(super) fn take_at(&mut self, index: usize, placement: &Placement, tenant: &Tenant) {
        if let Some(saved) = &mut self.trial
            && saved.iter().all(|(known, ..)| *known != index)
        {
            let (node, room) = (self.view.nodes[index].clone(), self.rooms[index].clone());
            saved.push((index, node, room));
        }
        let node = &mut self.view.nodes[index];
        node.take(placement, tenant);
        self.rooms[index] = self.interner.room(node, Some(self.rooms[index].kind));
        self.changed(index);
    }

    /// A node as it is now, to be put back.
    pub(super) fn copy(&self, index: usize) -> (usize, NodeView, Room) {
        (
            index,
            self.view.nodes[index].clone(),
            self.rooms[index].clone(),
        )
    }

    /// Nodes are again what they were.
    pub(super) fn put_back(&mut self, nodes: impl IntoIterator<Item = (usize, NodeView, Room)>) {
        for (index, node, room) in nodes {
            self.view.nodes[index] = node;
            self.rooms[index] = room;
            self.changed(index);
        }
    }

    /// From here on until `end_trial`, what is taken is only tried.
    pub(crate) fn begin_trial(&mut self) {
        debug_assert!(self.trial.is_none(), "one trial at a time");
        self.trial = Some(Vec::new());
    }

    /// Gives back what was taken in the trial.
    pub(crate) fn end_trial(&mut self) {
        let saved = self.trial.take();
        self.put_back(saved.into_iter().flatten());
    }

    /// Brings every score up to date, so that the next decision finds them ready.
    pub fn catch_up(&mut self) {
        self.order_columns();
        let (rooms, columns, interner) = (&self.rooms, &self.columns, &self.interner);
        let scorer = &self.scorer;
        self.matrix.catch_up(|class, column| {
            let room = &rooms[columns.node[column as usize]];
            scorer.value(room, interner.demand(class))
        });
    }

    /// The number of a workload's class, good until the next is asked for.
    pub(super) fn class(&mut self, ask: &Ask<'_>) -> ClassId {
        if self.interner.forget_if_many() {
            self.matrix.forget();
        }
        let class = self.interner.class(ask);
        self.matrix.admit(class);
        class
    }

    /// The best node for a member of this class; the first of equals in the order of ties.
    pub(super) fn best(&mut self, class: ClassId) -> Option<usize> {
        self.order_columns();
        let demand = self.interner.demand(class);
        let (rooms, columns, scorer) = (&self.rooms, &self.columns, &self.scorer);
        let column = self.matrix.best(class, |column| {
            scorer.value(&rooms[columns.node[column as usize]], demand)
        })?;
        Some(self.columns.node[column as usize])
    }

    /// The best GPUs for a member of this class on a node that takes it; none if it does not fit.
    pub(super) fn gpus(&self, class: ClassId, node: usize) -> Option<Vec<usize>> {
        let (room, demand) = (&self.rooms[node], self.interner.demand(class));
        self.scorer.gpus(room, demand)
    }

    /// Nodes that take a member of this workload, best first.
    pub(super) fn candidates(&mut self, ask: &Ask<'_>) -> Vec<usize> {
        let class = self.class(ask);
        let demand = self.interner.demand(class);
        let value = |index: usize| self.scorer.value(&self.rooms[index], demand);
        let mut fitting: Vec<(Reverse<u16>, u64, usize)> = (0..self.rooms.len())
            .map(|index| (Reverse(value(index)), self.view.nodes[index].tie, index))
            .filter(|(value, ..)| value.0 > 0)
            .collect();
        fitting.sort_unstable();
        fitting.into_iter().map(|(_, _, index)| index).collect()
    }

    fn changed(&mut self, index: usize) {
        if !self.columns.stale {
            self.matrix.changed(self.columns.of[index]);
        }
    }

    fn order_columns(&mut self) {
        if !self.columns.stale {
            return;
        }
        let mut node: Vec<usize> = (0..self.view.nodes.len()).collect();
        node.sort_by_key(|index| {
            let node = &self.view.nodes[*index];
            (node.tie, &node.name)
        });
        let mut of = vec![0; node.len()];
        for (column, index) in (0..).zip(&node) {
            of[*index] = column;
        }
        self.matrix.reset(node.len());
        self.columns = Columns {
            node,
            of,
            stale: false,
        };
    }
}

#[cfg(test)]
mod tests;
