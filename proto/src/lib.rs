//! The contract between the programs: generated code of `dovetail.v1`, and its conversion to and
//! from the plain types of `dovetail-model`. Wire types stop here.

#![forbid(unsafe_code)]

pub mod convert;
pub mod sample;

/// The package `dovetail.v1`, generated from `proto/dovetail/v1/*.proto`.
#[allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    missing_debug_implementations,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::restriction,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("dovetail.v1");
}

/// The compiled schema, for gRPC reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
