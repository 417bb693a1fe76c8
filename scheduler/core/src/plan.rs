//! A plan: what would be placed where. Immutable, made from one revision, no choice left open.

use dovetail_model::{
    grant::Placement,
    id::{Revision, WorkloadId},
};
use std::fmt;

/// Placements of whole workloads, in the order they were decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The revision it was made from.
    pub parent: Revision,
    /// One step per workload.
    pub steps: Vec<Step>,
}

/// One workload and all its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The workload.
    pub workload: WorkloadId,
    /// By rank, every member.
    pub placements: Vec<Placement>,
}

impl fmt::Display for Plan {
    /// One line per member, for golden files and logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            for place in &step.placements {
                write!(
                    f,
                    "{} -> {} cpu {} memory {}",
                    place.slice, place.node, place.cpu, place.memory
                )?;
                for gpu in &place.gpus {
                    write!(f, " gpu{} {} {}", gpu.index, gpu.compute, gpu.memory)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
