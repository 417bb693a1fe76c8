//! The pure core of the scheduler: events and time in, effects out.
//!
//! ```text
//! Input -> engine -> Event -> state -> view -> decide -> Problem -> Outcome
//!                                               |                      |
//!                                               v                      v
//!                                              plan ----> check ----> commit -> Effect
//! ```
//!
//! No clock, file, socket, thread or random number is read here: the caller passes the time, and
//! carries out the effects. `State::apply` is the only mutation of what is durable.

#![forbid(unsafe_code)]
#![warn(clippy::wildcard_enum_match_arm)]

pub mod batch;
pub mod check;
pub mod commit;
pub mod decide;
pub mod effect;
pub mod engine;
pub mod event;
pub mod explain;
pub mod input;
pub mod outcome;
pub mod packing;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod state;
pub mod view;
