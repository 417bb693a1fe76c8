//! Repair: work fits nowhere, and a few small residents move so that it does.
//!
//! ```text
//! Repair -> search (nodes that are cheapest to vacate, residents placed anew by the online score)
//!        -> verify, whoever answered
//! ```
//!
//! It proposes only. Whoever carries a proposal out does its steps in order.

mod board;
mod by_score;
mod order;
mod posed;
mod search;
mod select;
mod tightest;
mod vacate;
mod verify;
mod ways;

#[cfg(test)]
mod tests;

pub use by_score::ByScore;
pub use order::ordered;
pub use posed::{Mover, Posed};
pub use search::{Bounds, Effort, search};
pub use select::{Selected, select};
pub use tightest::Tightest;
pub use verify::{Wrong, verify};

use crate::problem::{
    exact::Slot,
    repair::{Repair, Repaired},
};

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

/// Who moves where so that the blocked fits, and where that goes then; nothing if the search finds
/// no way. What it proposes has been verified. It is pure, and a matter of milliseconds.
///
/// Two nodes with two GPUs each, a share on both, and somebody wants two whole GPUs:
///
/// ```
/// use dovetail_core::{
///     decide::repair::{Bounds, Tightest, propose},
///     packing::{Demand, GpuRoom, Gpus, Room, Take},
///     problem::{exact::Slot, repair::{Repair, Resident}},
/// };
/// use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};
///
/// let gpu = GpuRoom {
///     device: 0,
///     compute: WHOLE_GPU,
///     memory: Bytes(1000),
///     empty: true,
///     tenant: None,
/// };
/// let node = Room {
///     kind: 0,
///     cpu: CpuMilli(8000),
///     memory: Bytes(8000),
///     slices: 10,
///     gpus: vec![gpu; 2],
/// };
/// let asks = |gpus: Gpus, milli: u64| Demand {
///     cpu: CpuMilli(1000),
///     memory: Bytes(1),
///     tenant: 0,
///     gpus,
///     takes: vec![Some(Take { compute: GpuMilli(milli), memory: Bytes(milli) })],
///     kinds: vec![true],
/// };
/// let share_on = |node: usize| Resident {
///     key: node as u64,
///     class: 1,
///     at: Slot { node, gpus: vec![0] },
///     priority: 0,
///     move_cost: Some(Resident::cost_of_move(300, 1)),
///     stop_cost: None,
/// };
/// let repair = Repair {
///     bare: vec![node.clone(), node],
///     classes: vec![asks(Gpus::Whole(2), 1000), asks(Gpus::Share, 300)],
///     residents: vec![share_on(0), share_on(1)],
///     blocked: 0,
///     members: 1,
///     priority: 0,
///     steps_max: 16,
///     seed: 0,
/// };
///
/// let found = propose(&repair, &mut Tightest::new(&repair), Bounds::default());
/// let found = found.expect("one share joins the other");
/// assert_eq!(found.steps.len(), 1);
/// assert_eq!(found.slots, [Slot { node: 0, gpus: vec![0, 1] }]);
/// assert_eq!(found.cost, 1300);
/// ```
///
/// [`ByScore`] is the placer for a scheduler that has the online score at hand.
pub fn propose(repair: &Repair, placer: &mut dyn Placer, bounds: Bounds) -> Option<Repaired> {
    let (found, _) = search(repair, placer, bounds);
    found.filter(|found| verify(repair, found).is_ok())
}
