//! The scheduler's edges around the pure core: configuration, journal, driving, gRPC.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod drive;
pub mod grpc;
pub mod journal;
pub mod place;
pub mod run;
pub mod service;
pub mod sessions;
pub mod solver;
pub mod telemetry;
