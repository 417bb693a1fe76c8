//! Trace replay: the published baselines and the product's own decision on the same arrivals.
//!
//! ```text
//! CSV, .u16 -> trace -> arrivals -> replay (policy decides, cluster checks) -> report
//! ```
//!
//! The published baselines are reproduced to the last integer score, so a result here can be
//! laid beside the published curves. They are the only code of the scheduler that uses floats.

#![forbid(unsafe_code)]

pub mod args;
pub mod backlog;
mod ceiling;
pub mod churn;
pub mod cluster;
pub mod curve;
pub mod decimal;
pub mod demand;
mod fragmentation;
pub mod html;
pub mod observe;
pub mod policy;
pub mod replay;
pub mod report;
mod rng;
pub mod run;
pub mod trace;
pub mod usage;

pub use args::ReplayArgs;
pub use report::Report;
pub use run::{Detail, Replayed, RunError, run};
