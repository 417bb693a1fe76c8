//! What a slice is, written where the slice is: ids, limits and revision; never environment or
//! secrets.

use super::directory::{CgroupError, Directory};
use dovetail_model::{
    grant::{Grant, Placement},
    id::{ClusterId, Epoch},
    resources::Level,
    units::CpuMilli,
};
use serde::{Deserialize, Serialize};

/// Name of the extended attribute.
const ATTRIBUTE: &str = "user.dovetail";

/// A slice's descriptor. A leaf without one is half-made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The slice and what it holds.
    pub placement: Placement,
    /// The cluster that granted it.
    pub cluster: ClusterId,
    /// The desired state it was started for.
    pub epoch: Epoch,
    /// The enforcement it has.
    pub level: Level,
    /// Its workload's name, for people.
    pub workload: String,
    /// CPU at most.
    pub cpu_limit: CpuMilli,
    /// Processes and threads at most; absent where that is not enforced.
    pub pids_max: Option<u64>,
    /// Uid of its processes.
    pub uid: u32,
    /// When it was made, by the node's boot clock.
    pub made_boot_ns: u64,
}

/// For whom and for when a slice is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Provenance<'a> {
    pub(super) cluster: &'a ClusterId,
    pub(super) epoch: Epoch,
    pub(super) level: Level,
    pub(super) pids_max: Option<u64>,
    pub(super) boot_ns: u64,
}

impl Descriptor {
    /// Describes the slice of a grant.
    pub(super) fn new(grant: &Grant, from: Provenance<'_>) -> Self {
        Self {
            placement: grant.placement.clone(),
            cluster: from.cluster.clone(),
            epoch: from.epoch,
            level: from.level,
            workload: grant.spec.name.to_string(),
            cpu_limit: grant.spec.resources.cpu_limit,
            pids_max: from.pids_max,
            uid: grant.owner.uid,
            made_boot_ns: from.boot_ns,
        }
    }

    /// The text that is kept.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with text keys has a JSON form")
    }

    /// Writes it on a leaf.
    pub(super) fn attach(&self, leaf: &Directory) -> Result<(), CgroupError> {
        leaf.set_attribute(ATTRIBUTE, &self.to_json())
    }

    /// Reads it from a leaf; what cannot be read is no descriptor.
    pub(super) fn read(leaf: &Directory) -> Result<Option<Self>, CgroupError> {
        let found = leaf.attribute(ATTRIBUTE)?;
        Ok(found.and_then(|json| serde_json::from_slice(&json).ok()))
    }
}
