//! The flags of `dovetail replay`; how the result is printed is a flag of every command.

mod choice;
mod parts;

use crate::{policy::PolicyName, trace::DemandRatio};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use thiserror::Error;

pub use choice::Choice;
pub use parts::{Load, LoadError, Moves, MovesError};

/// Most copies of a trace: more than any cluster there is needs, and memory still bears it.
const SCALE_MAX: u64 = 64;

/// What to replay, and how.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// CSV of the nodes: sn,cpu_milli,memory_mib,gpu,model
    #[arg(long, value_name = "FILE", help_heading = "Trace")]
    pub nodes: PathBuf,
    /// CSV of the pods: name,cpu_milli,memory_mib,num_gpu,gpu_milli and, if wanted, gpu_spec
    #[arg(long, value_name = "FILE", help_heading = "Trace")]
    pub pods: PathBuf,
    /// Published arrival orders of seeds 42 on (.u16); drawn from the seed if absent
    #[arg(long, value_name = "FILE", help_heading = "Trace")]
    pub arrivals: Option<PathBuf>,
    /// Published ranks of the nodes of seeds 42 on (.u16): the least wins ties; a hash of the
    /// node's name if absent
    #[arg(long, value_name = "FILE", help_heading = "Trace")]
    pub node_rank: Option<PathBuf>,
    /// Which arrival order
    #[arg(long, default_value_t = 42, help_heading = "Trace")]
    pub seed: u64,
    /// GPU asked for in all, as a part of the cluster's; without effect with --mode churn
    #[arg(
        long,
        value_name = "RATIO",
        default_value = "1.3",
        help_heading = "Trace"
    )]
    pub demand: DemandRatio,
    /// So many copies of every node and of every pod, arriving in turn
    #[arg(long, value_name = "COPIES", default_value_t = 1, help_heading = "Trace",
          value_parser = clap::value_parser!(u64).range(1..=SCALE_MAX))]
    pub scale: u64,
    /// Who decides: dovetail, fgd, best-fit, dot-product, gpu-packing, gpu-clustering, first-fit,
    /// random, or all; several side by side if repeated or parted by commas
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "dovetail",
        value_delimiter = ',',
        value_parser = choice::parser(),
        hide_possible_values = true,
        help_heading = "Policies"
    )]
    pub policy: Vec<Choice>,
    /// Do not run fgd beside the policies to show its refusals next to theirs
    #[arg(long, help_heading = "Policies")]
    pub no_baseline: bool,
    /// How pods come: online is one at a time, placed at once or refused for ever; backlog is all
    /// of them waiting at once; churn is one at a time, and they end
    #[arg(
        long,
        value_enum,
        default_value = "online",
        hide_possible_values = true,
        help_heading = "How work comes"
    )]
    pub mode: Mode,
    /// With --mode churn: GPU that is asked for at a time, as a part of the cluster's
    /// [default: 0.95]
    #[arg(long, value_name = "RATIO", help_heading = "How work comes")]
    pub load: Option<Load>,
    /// With --mode churn: how long pods run: exponential or log-normal [default: exponential]
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        help_heading = "How work comes"
    )]
    pub lifetime: Option<Lifetime>,
    /// With --mode churn: most moves of placed pods per 100 arrivals, of every policy asked for
    /// [default: 1.3 of dovetail, 0 of the published ones, which move nobody]
    #[arg(long, value_name = "MOVES", help_heading = "How work comes")]
    pub moves_per_100: Option<Moves>,
}

/// How pods come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One at a time; each is placed at once or refused for ever, and none departs.
    Online,
    /// All wait at once, and who is placed may be chosen as long as nothing is left that fits.
    Backlog,
    /// One at a time, and each departs when its life is over.
    Churn,
}

/// How long pods run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetime {
    /// Most are short: each moment ends as many as any other.
    Exponential,
    /// Most are very short and a few very long.
    LogNormal,
}

/// Flags that contradict each other, with the way out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{flag}` {problem}")]
pub struct FlagsError {
    flag: &'static str,
    problem: String,
}

impl ReplayArgs {
    /// Policies to run, each once, in the order they were asked for.
    pub fn policies(&self) -> Vec<PolicyName> {
        let mut policies = Vec::new();
        for policy in self.policy.iter().flat_map(|choice| choice.policies()) {
            if !policies.contains(policy) {
                policies.push(*policy);
            }
        }
        policies
    }

    /// Refuses a flag that would be without effect.
    pub fn check(&self) -> Result<(), FlagsError> {
        let given = [
            ("--load", self.load.is_some()),
            ("--lifetime", self.lifetime.is_some()),
            ("--moves-per-100", self.moves_per_100.is_some()),
        ];
        let mut given = given.iter().filter(|(_, given)| *given);
        match given.next() {
            Some((flag, _)) if self.mode != Mode::Churn => {
                let mode = self.mode.to_possible_value();
                let mode = mode.as_ref().map_or("", |value| value.get_name());
                let problem = format!(
                    "is about pods that come and go, and `--mode {mode}` has none that go: add \
                     `--mode churn`, or leave it out"
                );
                Err(FlagsError { flag, problem })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
