//! What a node shall run: the scheduler's word to an agent.

use crate::{
    id::{ClusterId, Epoch, GpuUuid, NodeName, SliceId},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadSpec},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A GPU, or a part of one, given to a slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GpuGrant {
    /// The GPU.
    pub uuid: GpuUuid,
    /// Its index on the node, for people.
    pub index: u32,
    /// Compute given.
    pub compute: GpuMilli,
    /// Memory given.
    pub memory: Bytes,
}

/// Where one member runs and what it gets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Placement {
    /// The slice.
    pub slice: SliceId,
    /// Its node.
    pub node: NodeName,
    /// CPU given.
    pub cpu: CpuMilli,
    /// Memory given.
    pub memory: Bytes,
    /// GPUs given.
    pub gpus: Vec<GpuGrant>,
}

/// A slice that shall run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Where and how much.
    pub placement: Placement,
    /// What to run.
    pub spec: Arc<WorkloadSpec>,
    /// Whom it runs as.
    pub owner: Owner,
    /// Nodes of the gang's members, by rank.
    pub gang_nodes: Vec<NodeName>,
}

/// Everything that shall be on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantSet {
    /// The cluster.
    pub cluster: ClusterId,
    /// How new it is.
    pub epoch: Epoch,
    /// Every slice that shall run.
    pub grants: Vec<Grant>,
    /// Slices to stop and remove: nothing is stopped without being named here.
    pub releases: Vec<SliceId>,
    /// Ends that are durable at the scheduler.
    pub acknowledged_exits: Vec<SliceId>,
}
