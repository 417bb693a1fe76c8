//! What the engine knows, as the wire shows it.

pub(super) mod explanation;
pub(super) mod node;
pub(super) mod workload;
