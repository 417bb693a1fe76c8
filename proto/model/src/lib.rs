//! Plain, validated data shared by every program: ids, units, GPU facts, workloads, nodes, grants
//! and reports. No I/O, no clock, no generated code.

#![forbid(unsafe_code)]

pub mod gpu;
pub mod grant;
pub mod id;
pub mod label;
pub mod node;
pub mod reason;
pub mod report;
pub mod resources;
pub mod time;
pub mod units;
pub mod workload;
