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
mod state;
mod table;
#[cfg(test)]
mod tests;

use crate::packing::{Demand, Mix, Prices, Room};
use kind::Kind;
use level::Levels;
pub use look::Looked;

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
    levels: Levels,
}

impl Scorer {
    /// A scorer for this mix at these prices. `kinds` are empty nodes, one of each kind, by kind.
    pub fn new(mix: &Mix, prices: &Prices, kinds: &[Room]) -> Self {
        let kinds = (0..).zip(kinds).map(|(number, empty)| {
            let priced = prices.nodes.get(empty.kind as usize);
            Kind::new(number, empty, mix, priced)
        });
        Self {
            kinds: kinds.collect(),
            levels: Levels::new(),
        }
    }

    /// Looks at a room once, so that many demands can be scored on it.
    pub fn look<'a>(&'a self, room: &'a Room) -> Looked<'a> {
        Looked::new(self.kinds.get(room.kind as usize), &self.levels, room)
    }

    /// How good this room is for a member, or nothing if it does not fit.
    pub fn score(&self, room: &Room, demand: &Demand) -> Option<Scored> {
        self.look(room).score(demand)
    }
}
