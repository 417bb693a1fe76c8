//! What packing looks at, in integers: the free room of a node, and what a member takes of it.
//!
//! The online score, the solver's patterns and repair all work on these two. Names, reasons and
//! rules live in `view` and `decide::rule`; kinds are interned numbers that stand for them.

mod demand;
mod history;
mod mix;
mod prices;
mod room;

pub use demand::{Demand, Gpus, Take};
pub use history::History;
pub use mix::Mix;
pub use prices::{NodePrices, Prices};
pub use room::{GpuRoom, Room};
