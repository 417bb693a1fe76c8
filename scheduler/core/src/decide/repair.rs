//! Repair: work fits nowhere, and a few small residents move so that it does.
//!
//! ```text
//! Repair -> search (nodes that are cheapest to vacate, residents placed anew by the online score)
//!        -> verify, whoever answered
//! ```
//!
//! It proposes only. Whoever carries a proposal out does its steps in order.

mod board;
mod order;
mod search;

mod tightest;
mod vacate;
mod verify;

#[cfg(test)]
mod tests;

pub use order::ordered;
pub use search::{Effort, search};

pub use tightest::Tightest;
pub use verify::{Wrong, verify};

use crate::problem::exact::Slot;

/// Places one member at a time on the cluster as it is in the middle of a search, as the online
/// decision would. The search tells it of every change and takes all of them back in the end.
pub trait Placer {
    /// The best place for a member of this class, if some node takes it.
    fn best(&mut self, class: usize) -> Option<Slot>;

    /// A member of this class is there now.
    fn came(&mut self, class: usize, at: &Slot);

    /// A member of this class is there no more.
    fn left(&mut self, class: usize, at: &Slot);
}
