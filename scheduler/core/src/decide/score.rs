//! How good a place is for a member, as an integer: the largest is taken, and the first of equals
//! in the fixed order of the nodes.
//!
//! What a placement costs is what the node is worth less afterwards to the work that is expected:
//! room that typical work cannot use any more, GPUs that the CPU left cannot feed, and the prices
//! that the linear program puts on slices, cores and whole nodes. Everything that depends on the
//! mix alone is summed up when a scorer is made, and what depends on the room alone when it is
//! looked at, so that a score is a few lookups.

mod kind;
mod level;
mod look;
mod reserve;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod work;

use crate::packing::{Demand, Mix, Prices, Room};
use kind::Kind;
use level::Levels;
pub use look::{Looked, Rated, Seen};
pub use reserve::Hosts;
use reserve::Reserve;
use std::borrow::Cow;
use work::Work;

/// How good a place is, and which GPUs of the node are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scored {
    /// More is better.
    pub value: u16,
    /// The GPUs to take, as bits by index.
    pub gpus: u64,
}

/// What is known about the mix and the cluster, ready to score any room.
#[derive(Debug, Clone)]
pub struct Scorer {
    kinds: Vec<Kind>,
    /// Empty nodes, by kind.
    empties: Vec<Room>,
    levels: Levels,
    reserves: Vec<Reserve>,
    /// By kind: the numbers of the reserves that are short there.
    short: Vec<Vec<usize>>,
    /// Compute that the mix asks for.
    asked: u128,
    /// Compute that is free in the counted rooms.
    free: u128,
}

impl Scorer {
    /// A scorer for this mix at these prices. `empties` are empty nodes, one of each kind,
    /// by kind.
    pub fn new(mix: &Mix, prices: &Prices, empties: &[Room]) -> Self {
        let work = Work::of(mix);
        let kinds = (0..).zip(empties).map(|(number, empty)| {
            let priced = prices.nodes.get(empty.kind as usize);
            Kind::new(number, empty, &work, priced)
        });
        Self {
            kinds: kinds.collect(),
            empties: empties.to_vec(),
            levels: Levels::new(),
            reserves: reserve::of(mix, empties),
            short: vec![Vec::new(); empties.len()],
            asked: reserve::asked(mix),
            free: 0,
        }
    }

    /// Kinds of nodes that it knows.
    pub fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// Where members of this demand can go at all; it is the same as long as the scorer lives.
    pub fn hosts(&self, demand: &Demand) -> Hosts {
        reserve::hosts(&self.reserves, &self.empties, demand)
    }

    /// Counts what is free in these rooms, which are all there are.
    pub fn count(&mut self, rooms: &[Room]) {
        self.free = rooms.iter().map(|room| u128::from(room.compute().0)).sum();
        self.reserves
            .iter_mut()
            .for_each(|reserve| reserve.count(rooms));
    }

    /// One of the counted rooms is another now.
    pub fn follow(&mut self, before: &Room, after: &Room) {
        let (gone, come) = (before.compute().0, after.compute().0);
        self.free = (self.free + u128::from(come)).saturating_sub(gone.into());
        let reserves = self.reserves.iter_mut();
        reserves.for_each(|reserve| reserve.follow(before, after));
    }

    /// Says in which places of the counted rooms little is left, or no longer, and returns the
    /// numbers of the reserves of which that is news.
    ///
    /// Worth doing every fifty placements or so: seldom enough to cost little, and often enough
    /// that a reserve is neither missed nor swings.
    pub fn judge(&mut self) -> Vec<usize> {
        let changed = reserve::judge(&mut self.reserves, self.asked, self.free);
        for (kind, short) in (0..).zip(&mut self.short) {
            let numbers = self.reserves.iter().enumerate();
            let here = numbers.filter(|(_, reserve)| reserve.is_short_on(kind));
            *short = here.map(|(number, _)| number).collect();
        }
        let numbers = (0..).zip(changed).filter(|(_, changed)| *changed);
        numbers.map(|(number, _)| number).collect()
    }

    /// Whether scores of this room change when this is news of the reserves of these numbers.
    pub fn concerns(&self, news: &[usize], room: &Room) -> bool {
        let mut reserves = news.iter().map(|number| &self.reserves[*number]);
        reserves.any(|reserve| reserve.milli_of(room) > 0)
    }

    fn short_on(&self, kind: u32) -> impl Iterator<Item = (usize, &Reserve)> {
        let numbers = self.short.get(kind as usize).into_iter().flatten();
        numbers.map(|number| (*number, &self.reserves[*number]))
    }

    /// Looks at a room once, so that many demands can be scored on it.
    pub fn look<'a>(&'a self, room: &'a Room) -> Looked<'a> {
        Looked::new(self, room, Cow::Owned(self.see(room)))
    }

    /// What `look` sees of a room, to be kept while neither the room nor the scorer changes.
    pub fn see(&self, room: &Room) -> Seen {
        let kind = self.kinds.get(room.kind as usize);
        kind.map_or_else(Seen::default, |kind| Seen::of(kind, room))
    }

    /// A look at a room that was seen before.
    pub fn look_again<'a>(&'a self, room: &'a Room, seen: &'a Seen) -> Looked<'a> {
        Looked::new(self, room, Cow::Borrowed(seen))
    }

    /// How good this room is for a member, or nothing if it does not fit.
    pub fn score(&self, room: &Room, demand: &Demand) -> Option<Scored> {
        self.look(room).score(demand, &self.hosts(demand))
    }
}
