//! Slices on this machine's own kernel: what they are held to, and how they end.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, which fail by panicking and say what they measured"
)]

#[path = "enforce/host.rs"]
mod host;
#[path = "enforce/life.rs"]
mod life;
#[path = "enforce/limits.rs"]
mod limits;
#[path = "enforce/restart.rs"]
mod restart;
#[path = "enforce/without_root.rs"]
mod without_root;
