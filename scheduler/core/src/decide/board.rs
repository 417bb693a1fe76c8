//! The board: every node's free room as numbers, and the score of every class of work on each,
//! kept current while work comes and goes.
//!
//! ```text
//! NodeView -> room (intern) -> score of each class (matrix) -> the best node
//! ```
//!
//! A decision is a look at block maxima. What it changes is noted, and scores follow when there is
//! time (`catch_up`), at the latest when their class is asked for next.

mod classes;
mod intern;
mod matrix;
mod places;

use super::{
    Ask,
    score::{Hosts, Scored, Scorer, Seen},
};
use crate::{
    packing::{Demand, Mix, Prices, Room},
    policy::Policy,
    view::{ClusterView, NodeView},
};
use dovetail_model::{
    grant::Placement,
    id::{NodeName, Tenant},
};
use intern::Interner;
use matrix::Matrix;
use places::{Columns, Places};
use std::cmp::Reverse;

pub(super) use classes::ClassId;

/// Changed rooms between two looks for places that are short: at least so many, and on large
/// clusters one for so many nodes. What has become short is scored anew, on every node of its kind.
const REFRESH_AFTER: usize = 50;
const REFRESH_NODES: usize = 24;

/// Nodes with their rooms and scores.
#[derive(Debug, Clone)]
pub struct Board {
    policy: Policy,
    view: ClusterView,
    /// By index in the view.
    rooms: Vec<Room>,
    /// By index in the view: what this scorer sees of it.
    seen: Vec<Seen>,
    interner: Interner,
    mix: Mix,
    prices: Prices,
    scorer: Scorer,
    /// By class: where it can go at all, as this scorer says.
    hosts: Vec<Hosts>,
    /// Rooms that changed since the scorer looked for places that are short.
    unseen: usize,
    matrix: Matrix,
    columns: Columns,
    /// What nodes were before this trial touched them.
    trial: Option<Vec<(usize, NodeView, Room)>>,
}

impl Board {
    /// A board of these nodes.
    pub fn of(view: ClusterView, policy: Policy) -> Self {
        let mut board = Self {
            policy,
            view: ClusterView::default(),
            rooms: Vec::new(),
            seen: Vec::new(),
            interner: Interner::new(policy),
            mix: Mix::default(),
            prices: Prices::default(),
            scorer: Scorer::new(&Mix::default(), &Prices::default(), &[]),
            hosts: Vec::new(),
            unseen: 0,
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

    /// The free room of every node, by index in the view.
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// How places are scored now.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
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
                    self.set_room(index, room);
                }
                self.columns.stale |= self.view.nodes[index].tie != node.tie;
                self.view.nodes[index] = node;
            }
            Err(index) => {
                let room = self.interner.room(&node, None);
                self.seen.insert(index, self.scorer.see(&room));
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
            self.seen.remove(index);
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
        let room = self.interner.room(node, Some(self.rooms[index].kind));
        self.set_room(index, room);
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
            self.set_room(index, room);
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

    /// Scores by this mix at these prices from now on.
    pub fn expect(&mut self, mix: Mix, prices: Prices) {
        (self.mix, self.prices) = (mix, prices);
        self.make_scorer();
    }

    /// What a member of this workload takes.
    pub fn demand(&mut self, ask: &Ask<'_>) -> &Demand {
        let class = self.class(ask);
        self.interner.classes().demand(class)
    }

    /// What a member of this workload takes, whether anything alike was asked for before or not.
    pub fn describe(&self, ask: &Ask<'_>) -> Demand {
        self.interner.describe(ask)
    }

    /// A node of each kind with nothing on it and CPU and memory without end, by kind.
    pub fn kinds(&self) -> impl Iterator<Item = &NodeView> {
        self.interner.kinds()
    }

    /// An empty node of each kind, by kind.
    pub fn empties(&self) -> &[Room] {
        self.interner.empties()
    }

    /// The nodes that are open as if they were empty: by kind, with how many there are.
    pub fn empty_nodes(&self) -> Vec<(Room, u64)> {
        let empties = self.interner.empties().iter().cloned();
        let mut nodes: Vec<(Room, u64)> = empties.map(|empty| (empty, 0)).collect();
        for (node, room) in self.view.nodes.iter().zip(&self.rooms) {
            nodes[room.kind as usize].1 += u64::from(node.closed.is_none());
        }
        nodes
    }

    /// Brings every score up to date, so that the next decision finds them ready.
    pub fn catch_up(&mut self) {
        self.settle();
        let places = Places::of(&self.scorer, &self.rooms, &self.seen, &self.columns);
        let (classes, hosts) = (self.interner.classes(), &self.hosts);
        self.matrix.catch_up(
            |column| (places.look(column), vec![None; classes.shapes()]),
            |(looked, kept), class| {
                let (demand, hosts) = (classes.demand(class), &hosts[class.0 as usize]);
                value(looked.score_alike(demand, hosts, &mut kept[classes.shape(class)]))
            },
            |column, class| {
                let (demand, hosts) = (classes.demand(class), &hosts[class.0 as usize]);
                value(places.look(column).score(demand, hosts))
            },
        );
    }

    /// The number of a workload's class, good until the next is asked for.
    pub(super) fn class(&mut self, ask: &Ask<'_>) -> ClassId {
        // Numbers that are in use in a trial stay good.
        if self.trial.is_none() && self.interner.forget_if_many() {
            self.matrix.forget();
            self.hosts.clear();
        }
        let class = self.interner.class(ask);
        // Classes are numbered as they come.
        if self.hosts.len() <= class.0 as usize {
            self.hosts
                .push(self.scorer.hosts(self.interner.classes().demand(class)));
        }
        self.matrix.admit(class);
        class
    }

    /// The best node for a member of this class; the first of equals in the order of ties.
    pub(super) fn best(&mut self, class: ClassId) -> Option<usize> {
        self.settle();
        let places = Places::of(&self.scorer, &self.rooms, &self.seen, &self.columns);
        let (demand, hosts) = (
            self.interner.classes().demand(class),
            &self.hosts[class.0 as usize],
        );
        let score = |column| value(places.look(column).score(demand, hosts));
        let column = self.matrix.best(class, score)?;
        Some(self.columns.node[column as usize])
    }

    /// Nodes that take a member of this class, the best ones, best first.
    pub(super) fn top(&mut self, class: ClassId, most: usize) -> Vec<usize> {
        // Makes the row follow.
        if self.best(class).is_none() {
            return Vec::new();
        }
        let columns = self.matrix.top(class, most);
        let nodes = columns.into_iter();
        nodes
            .map(|column| self.columns.node[column as usize])
            .collect()
    }

    /// What a member of this class takes.
    pub(super) fn demand_of(&self, class: ClassId) -> &Demand {
        self.interner.classes().demand(class)
    }

    /// A node's room as it was before the trial.
    pub(super) fn room_before(&self, index: usize) -> &Room {
        let mut saved = self.trial.iter().flatten();
        let before = saved.find(|(known, ..)| *known == index);
        before.map_or(&self.rooms[index], |(_, _, room)| room)
    }

    /// The best GPUs for a member of this class on a node that takes it; none if it does not fit.
    pub(super) fn gpus(&self, class: ClassId, node: usize) -> Option<Vec<usize>> {
        let scored = self.scored(class, node)?;
        let taken = |index: &usize| scored.gpus >> index & 1 == 1;
        Some((0..self.rooms[node].gpus.len()).filter(taken).collect())
    }

    fn scored(&self, class: ClassId, node: usize) -> Option<Scored> {
        let looked = self.scorer.look_again(&self.rooms[node], &self.seen[node]);
        let (demand, hosts) = (
            self.interner.classes().demand(class),
            &self.hosts[class.0 as usize],
        );
        looked.score(demand, hosts)
    }

    /// Nodes that take a member of this workload, best first.
    pub(super) fn candidates(&mut self, ask: &Ask<'_>) -> Vec<usize> {
        let class = self.class(ask);
        self.settle();
        let value = |index: usize| value(self.scored(class, index));
        let mut fitting: Vec<(Reverse<u16>, u64, usize)> = (0..self.rooms.len())
            .map(|index| (Reverse(value(index)), self.view.nodes[index].tie, index))
            .filter(|(value, ..)| value.0 > 0)
            .collect();
        fitting.sort_unstable();
        fitting.into_iter().map(|(_, _, index)| index).collect()
    }

    /// What has to be known before scores mean anything: kinds, order, and what is short.
    fn settle(&mut self) {
        if self.interner.empties().len() != self.scorer.kinds() {
            self.make_scorer();
        }
        self.order_columns();
        let enough = REFRESH_AFTER.max(self.rooms.len() / REFRESH_NODES);
        if self.unseen >= enough && self.trial.is_none() {
            self.unseen = 0;
            let news = self.scorer.judge();
            let rooms = self.rooms.iter().zip(&self.columns.of);
            for (_, column) in rooms.filter(|(room, _)| self.scorer.concerns(&news, room)) {
                self.matrix.changed(*column);
            }
        }
    }

    fn make_scorer(&mut self) {
        let empties = self.interner.empties();
        let mix = self.mix.clone().with_prior(empties);
        self.scorer = Scorer::new(&mix, &self.prices, empties);
        self.scorer.count(&self.rooms);
        self.scorer.judge();
        self.seen = self
            .rooms
            .iter()
            .map(|room| self.scorer.see(room))
            .collect();
        let demands = self.interner.classes().demands();
        self.hosts = demands.map(|demand| self.scorer.hosts(demand)).collect();
        self.matrix.reset(self.rooms.len());
    }

    fn set_room(&mut self, index: usize, room: Room) {
        self.scorer.follow(&self.rooms[index], &room);
        self.seen[index] = self.scorer.see(&room);
        self.rooms[index] = room;
        self.unseen = self.unseen.saturating_add(1);
        if !self.columns.stale {
            self.matrix.changed(self.columns.of[index]);
        }
    }

    fn order_columns(&mut self) {
        if !self.columns.stale {
            return;
        }
        self.columns = Columns::of(&self.view);
        self.matrix.reset(self.view.nodes.len());
        self.scorer.count(&self.rooms);
    }
}

/// A score as the matrix keeps it: 0 is no fit.
fn value(scored: Option<Scored>) -> u16 {
    scored.map_or(0, |scored| scored.value.max(1))
}

#[cfg(test)]
mod tests;
