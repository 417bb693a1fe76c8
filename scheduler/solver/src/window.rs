//! The window engine: much work that waits, put on many nodes at once.
//!
//! ```text
//! Window -> classes -> columns (contents of one node) <-> master program -> dives -> fill -> verify
//! ```

mod begin;
mod candidates;
mod ceiling;
mod classes;
mod coarse;
mod column;
mod depth;
mod dive;
pub mod engine;
mod fill;
mod generate;
mod greedy;
mod limits;
mod master;
mod menu;
mod open;
pub mod packing;
mod pool;
mod rng;
mod rooms;
mod small;
mod solve;
mod useful;
pub mod vectors;
pub mod verify;

pub use limits::{Limits, Time};
pub use pool::Pool;
pub use solve::solve;
