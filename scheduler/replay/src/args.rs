//! The flags of `dovetail replay`; how the result is printed is a flag of every command.

use crate::{policy::PolicyName, trace::DemandRatio};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;

/// What to replay, and how.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// CSV of the nodes: sn,cpu_milli,memory_mib,gpu,model
    #[arg(long, value_name = "FILE")]
    pub nodes: PathBuf,
    /// CSV of the pods: name,cpu_milli,memory_mib,num_gpu,gpu_milli and, if wanted, gpu_spec
    #[arg(long, value_name = "FILE")]
    pub pods: PathBuf,
    /// Published arrival orders of seeds 42 on (.u16); drawn from the seed if absent
    #[arg(long, value_name = "FILE")]
    pub arrivals: Option<PathBuf>,
    /// Published ranks of the nodes of seeds 42 on (.u16): the least wins ties; a hash of the
    /// node's name if absent
    #[arg(long, value_name = "FILE")]
    pub node_rank: Option<PathBuf>,
    /// Which arrival order
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// GPU asked for in all, as a part of the cluster's
    #[arg(long, value_name = "RATIO", default_value = "1.3")]
    pub demand: DemandRatio,
    /// Who decides: dovetail, fgd, best-fit, dot-product, gpu-packing, gpu-clustering, first-fit or
    /// random
    #[arg(
        long,
        value_enum,
        default_value = "dovetail",
        hide_possible_values = true
    )]
    pub policy: PolicyName,
    /// How pods come: online is one at a time, placed at once or refused for ever
    #[arg(
        long,
        value_enum,
        default_value = "online",
        hide_possible_values = true
    )]
    pub mode: Mode,
}

/// How pods come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One at a time; each is placed at once or refused for ever, and none departs.
    Online,
}
