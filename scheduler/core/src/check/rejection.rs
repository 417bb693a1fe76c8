//! Why a step must not be carried out.

use dovetail_model::{
    id::{GpuUuid, NodeName, Revision, SliceId, WorkloadId},
    label::{LabelKey, LabelValue, Taint},
    resources::Level,
    units::{Bytes, CpuMilli, GpuMilli},
};
use thiserror::Error;

/// Why a step must not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "each text says what its numbers are")]
pub enum Rejection {
    #[error("the plan was made from revision {parent}, the newest is {newest}")]
    FromTheFuture { parent: Revision, newest: Revision },
    #[error("workload {0} is unknown")]
    UnknownWorkload(WorkloadId),
    #[error("workload {0} is over")]
    Over(WorkloadId),
    #[error("workload {0} has a place already")]
    PlacedAlready(WorkloadId),
    #[error("workload {0} is placed twice in the plan")]
    Twice(WorkloadId),
    #[error("workload {0} may not be moved")]
    NotMovable(WorkloadId),
    #[error("{asked} members were asked for, {given} are placed")]
    WrongMemberCount { asked: usize, given: usize },
    #[error("slice {given} stands where {expected} belongs")]
    WrongSlice { expected: SliceId, given: SliceId },
    #[error("node {0} is unknown")]
    UnknownNode(NodeName),
    #[error("node {0} is cordoned")]
    NodeCordoned(NodeName),
    #[error("node {0} does not report")]
    NodeUnreachable(NodeName),
    #[error("node {node} is not labelled {key}={asked}, which was asked for")]
    WrongLabel {
        node: NodeName,
        key: LabelKey,
        asked: LabelValue,
    },
    #[error("node {node} has the taint {taint}, which is not tolerated")]
    Tainted { node: NodeName, taint: Taint },
    #[error("{asked} CPU was asked for, {given} is given")]
    WrongCpu { asked: CpuMilli, given: CpuMilli },
    #[error("{asked} of memory was asked for, {given} is given")]
    WrongMemory { asked: Bytes, given: Bytes },
    #[error("level {asked} was asked for, {offered} is offered")]
    LevelTooWeak { asked: Level, offered: Level },
    #[error("no GPU was asked for, {given} are given")]
    UnexpectedGpus { given: usize },
    #[error("{asked} GPUs were asked for, {given} are given")]
    WrongGpuCount { asked: usize, given: usize },
    #[error("GPU {uuid} is given twice to one member")]
    SameGpuTwice { uuid: GpuUuid },
    #[error("GPU {uuid} is not on node {node}")]
    UnknownGpu { uuid: GpuUuid, node: NodeName },
    #[error("GPU {uuid} has index {index}, not {given}")]
    WrongGpuIndex {
        uuid: GpuUuid,
        index: u32,
        given: u32,
    },
    #[error("GPU {0} cannot be used")]
    GpuUnhealthy(GpuUuid),
    #[error("GPU {uuid} is a {model}, which was not asked for")]
    WrongModel { uuid: GpuUuid, model: String },
    #[error("{asked} of a GPU's compute was asked for, {given} is given")]
    WrongGpuCompute { asked: GpuMilli, given: GpuMilli },
    #[error("{asked} of a GPU's memory was asked for, {given} is given")]
    WrongGpuMemory { asked: Bytes, given: Bytes },
    #[error("node {node} would give {given} CPU of {total}")]
    CpuOver {
        node: NodeName,
        given: CpuMilli,
        total: CpuMilli,
    },
    #[error("node {node} would give {given} of memory of {total}")]
    MemoryOver {
        node: NodeName,
        given: Bytes,
        total: Bytes,
    },
    #[error("node {node} would have {slices} slices")]
    TooManySlices { node: NodeName, slices: usize },
    #[error("GPU {uuid} would give {given} of itself")]
    GpuComputeOver { uuid: GpuUuid, given: GpuMilli },
    #[error("GPU {uuid} would give {given} of memory, {free} of it not used by others")]
    GpuMemoryOver {
        uuid: GpuUuid,
        given: Bytes,
        free: Bytes,
    },
    #[error("GPU {0} is given whole and not alone")]
    WholeGpuShared(GpuUuid),
    #[error("GPU {0} is given whole and used by others")]
    WholeGpuForeign(GpuUuid),
    #[error("GPU {0} would be shared between tenants")]
    TenantsMixed(GpuUuid),
}
