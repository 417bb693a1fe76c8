//! Why something does not fit: tokens that are never renamed, and the numbers behind them.

use crate::{
    id::{NodeName, SliceId},
    label::{LabelKey, LabelValue, Taint},
    resources::Level,
    units::{Bytes, CpuMilli, GpuMilli},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reason. The function that refuses makes it; explanations only collect it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// No node has ever enrolled.
    NoNodes,
    /// The node does not report.
    NodeUnreachable,
    /// An operator keeps new work off the node.
    NodeCordoned {
        /// What the operator said.
        why: String,
    },
    /// The node lacks a label that is asked for, or has another value of it.
    NodeLabelMismatch {
        /// The label.
        key: LabelKey,
        /// The value asked for.
        asked: LabelValue,
        /// The node's value; absent: it has no such label.
        found: Option<LabelValue>,
    },
    /// The node has a taint that the workload does not tolerate.
    TaintNotTolerated {
        /// The taint.
        taint: Taint,
    },
    /// Too little CPU is free on the node.
    InsufficientCpu {
        /// Asked for.
        asked: CpuMilli,
        /// Free.
        free: CpuMilli,
    },
    /// Too little memory is free on the node.
    InsufficientMemory {
        /// Asked for.
        asked: Bytes,
        /// Free.
        free: Bytes,
    },
    /// Too few whole GPUs of a wanted model are free on the node.
    InsufficientWholeGpus {
        /// Asked for.
        asked: u32,
        /// Free and wanted.
        free: u32,
    },
    /// The GPU has too little compute left.
    InsufficientGpuCompute {
        /// Asked for.
        asked: GpuMilli,
        /// Free.
        free: GpuMilli,
    },
    /// The GPU has too little memory left.
    InsufficientGpuMemory {
        /// Asked for.
        asked: Bytes,
        /// Free.
        free: Bytes,
    },
    /// No GPU of the node takes the share; the GPUs' own reasons say why.
    NoGpuFits {
        /// GPUs on the node.
        gpus: u32,
    },
    /// The node has no GPU.
    NoGpu,
    /// The GPU is in use, and a whole one is wanted.
    GpuInUse {
        /// Slices on it.
        slices: u32,
    },
    /// The GPU's model is not among those wanted.
    GpuModelMismatch {
        /// Its model.
        model: String,
    },
    /// The GPU is lost or does not answer.
    GpuUnhealthy {
        /// What is wrong.
        health: String,
    },
    /// Another tenant is on the GPU, and it is not shared between tenants.
    TenantMismatch,
    /// The GPU or node holds slices less strongly than asked.
    LevelTooWeak {
        /// Asked for.
        asked: Level,
        /// Offered.
        offered: Level,
    },
    /// Fewer members of the gang fit than it has; no member starts alone.
    GangIncomplete {
        /// Members of the gang.
        asked: u32,
        /// Members that fit now.
        fit: u32,
    },
    /// The node has as many slices as it may have.
    TooManySlices {
        /// The most it may have.
        limit: u32,
    },
    /// Waits a moment for the solver's answer on this packing.
    AwaitingSolver,
    /// Waits out its pause before the next attempt.
    Backoff {
        /// Whole seconds left, rounded up.
        seconds: u64,
    },
    /// An earlier slice has not left the node.
    SliceLeaving {
        /// The slice.
        slice: SliceId,
        /// Where it is.
        node: NodeName,
    },
}

impl Reason {
    /// The stable token.
    pub fn token(&self) -> &'static str {
        match self {
            Self::NoNodes => "NoNodes",
            Self::NodeUnreachable => "NodeUnreachable",
            Self::NodeCordoned { .. } => "NodeCordoned",
            Self::NodeLabelMismatch { .. } => "NodeLabelMismatch",
            Self::TaintNotTolerated { .. } => "TaintNotTolerated",
            Self::InsufficientCpu { .. } => "InsufficientCpu",
            Self::InsufficientMemory { .. } => "InsufficientMemory",
            Self::InsufficientWholeGpus { .. } => "InsufficientWholeGpus",
            Self::InsufficientGpuCompute { .. } => "InsufficientGpuCompute",
            Self::InsufficientGpuMemory { .. } => "InsufficientGpuMemory",
            Self::NoGpuFits { .. } => "NoGpuFits",
            Self::NoGpu => "NoGpu",
            Self::GpuInUse { .. } => "GpuInUse",
            Self::GpuModelMismatch { .. } => "GpuModelMismatch",
            Self::GpuUnhealthy { .. } => "GpuUnhealthy",
            Self::TenantMismatch => "TenantMismatch",
            Self::LevelTooWeak { .. } => "LevelTooWeak",
            Self::GangIncomplete { .. } => "GangIncomplete",
            Self::TooManySlices { .. } => "TooManySlices",
            Self::AwaitingSolver => "AwaitingSolver",
            Self::Backoff { .. } => "Backoff",
            Self::SliceLeaving { .. } => "SliceLeaving",
        }
    }

    /// How much was asked and how much is free, in the resource's unit.
    pub fn amounts(&self) -> Option<(u64, u64)> {
        match self {
            Self::InsufficientCpu { asked, free } => Some((asked.0, free.0)),
            Self::InsufficientMemory { asked, free }
            | Self::InsufficientGpuMemory { asked, free } => Some((asked.0, free.0)),
            Self::InsufficientWholeGpus { asked, free }
            | Self::GangIncomplete { asked, fit: free } => {
                Some((u64::from(*asked), u64::from(*free)))
            }
            Self::InsufficientGpuCompute { asked, free } => Some((asked.0, free.0)),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => f.write_str("no node has enrolled yet"),
            Self::NodeUnreachable => f.write_str("the node does not report"),
            Self::NodeCordoned { why } if why.is_empty() => f.write_str("the node is cordoned"),
            Self::NodeCordoned { why } => write!(f, "the node is cordoned: {why}"),
            Self::NodeLabelMismatch {
                key,
                asked,
                found: None,
            } => write!(f, "has no label {key}; {key}={asked} is asked for"),
            Self::NodeLabelMismatch {
                key,
                asked,
                found: Some(found),
            } => write!(f, "is labelled {key}={found}; {key}={asked} is asked for"),
            Self::TaintNotTolerated { taint } => {
                write!(f, "has the taint {taint}, which is not tolerated")
            }
            Self::InsufficientCpu { asked, free } => {
                write!(f, "needs {asked} CPU, {free} free")
            }
            Self::InsufficientMemory { asked, free } => {
                write!(f, "needs {asked} of memory, {free} free")
            }
            Self::InsufficientWholeGpus { asked, free } => {
                write!(f, "needs {asked} whole GPUs, {free} free")
            }
            Self::InsufficientGpuCompute { asked, free } => {
                write!(f, "needs {asked} of a GPU, {free} free")
            }
            Self::InsufficientGpuMemory { asked, free } => {
                write!(f, "needs {asked} of GPU memory, {free} free")
            }
            Self::NoGpuFits { gpus } => write!(f, "none of its {gpus} GPUs has room for the share"),
            Self::NoGpu => f.write_str("the node has no GPU"),
            Self::GpuInUse { slices: 1 } => f.write_str("in use by 1 slice"),
            Self::GpuInUse { slices } => write!(f, "in use by {slices} slices"),
            Self::GpuModelMismatch { model } => write!(f, "is a {model}, which is not wanted"),
            Self::GpuUnhealthy { health } => write!(f, "the GPU is {health}"),
            Self::TenantMismatch => f.write_str("is shared by another tenant"),
            Self::LevelTooWeak { asked, offered } => {
                write!(f, "holds slices at level {offered}, {asked} is asked")
            }
            Self::GangIncomplete { asked, fit } => {
                write!(f, "only {fit} of {asked} members fit now")
            }
            Self::TooManySlices { limit } => write!(f, "the node has {limit} slices, its limit"),
            Self::AwaitingSolver => f.write_str("the solver is working on it"),
            Self::Backoff { seconds } => write!(f, "next attempt in {seconds} s"),
            Self::SliceLeaving { slice, node } => {
                write!(f, "slice {slice} has not left {node} yet")
            }
        }
    }
}
