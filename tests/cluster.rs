//! Whole-cluster scenarios: the product as real processes, GPUs simulated at the C ABI.

#![allow(
    clippy::print_stdout,
    reason = "tests say what they measured and why they skip"
)]

#[path = "cluster/cli.rs"]
mod cli;
#[path = "cluster/demo.rs"]
mod demo;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/gang.rs"]
mod gang;
#[path = "cluster/grpc_surface.rs"]
mod grpc_surface;
#[path = "cluster/labels.rs"]
mod labels;
#[path = "cluster/limits.rs"]
mod limits;
#[path = "cluster/nodes.rs"]
mod nodes;
#[path = "cluster/packing.rs"]
mod packing;
#[path = "cluster/restart.rs"]
mod restart;
#[path = "cluster/support.rs"]
mod support;
#[path = "cluster/wrong_input.rs"]
mod wrong_input;
