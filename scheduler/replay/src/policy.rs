//! The policies: the published baselines, one file each, and the product's own decision.

mod best_fit;
mod dot_product;
pub mod dovetail;
mod fgd;
mod first_fit;
mod gpu_clustering;
mod gpu_packing;
mod random;
mod scored;
mod typical;

use crate::{
    cluster::{Cluster, Decision, GpuSet, Node},
    demand::Demand,
    trace::Trace,
};
use clap::ValueEnum;
use dovetail_core::{
    decide::score,
    packing::{self, Room},
};
use scored::Scored;
use serde::Serialize;
use std::fmt;

/// The policies that can be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// The product's own online decision.
    Dovetail,
    /// Fragmentation gradient descent (USENIX ATC 2023).
    Fgd,
    /// Least weighted room left.
    BestFit,
    /// Least dot product of demand and room.
    DotProduct,
    /// Used GPUs before free ones, used nodes before free ones.
    GpuPacking,
    /// Work with as many GPUs together.
    GpuClustering,
    /// The first node with room.
    FirstFit,
    /// Any node with room.
    Random,
}

impl fmt::Display for PolicyName {
    /// As the flag is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Decides where pods go, one at a time.
pub trait Policy {
    /// Where the next pod of this class goes; nothing only if it fits nowhere.
    fn decide(&mut self, cluster: &Cluster, class: usize) -> Option<Decision>;

    /// A pod of this class is there now on `cluster`: its decision was carried out, or a pod was
    /// moved there.
    fn placed(&mut self, cluster: &Cluster, class: usize, decision: Decision);

    /// A pod of this class that was there has left `cluster`.
    fn removed(&mut self, cluster: &Cluster, class: usize, decision: Decision);

    /// How it scores, for whoever tries many places before one is decided; nothing if only the
    /// policy itself can say.
    fn scoring(&self) -> Option<Scoring<'_>> {
        None
    }
}

/// The product's score, and the trace in its words.
#[derive(Debug, Clone, Copy)]
pub struct Scoring<'a> {
    /// Scores places.
    pub scorer: &'a score::Scorer,
    /// Every node of the cluster when it is empty.
    pub bare: &'a [Room],
    /// What each class takes.
    pub classes: &'a [packing::Demand],
}

/// How good a node is that has the room, as a number: the largest is taken.
trait Scorer {
    /// The score, and the GPUs the pod would take.
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet);
}

/// A policy, ready for the first pod of a trace.
pub fn of(name: PolicyName, trace: &Trace, seed: u64) -> Box<dyn Policy> {
    let classes = &trace.classes;
    match name {
        PolicyName::Dovetail => Box::new(dovetail::Dovetail::new(trace)),
        PolicyName::Fgd => Box::new(Scored::new(fgd::Fgd::new(trace), classes)),
        PolicyName::BestFit => Box::new(Scored::new(best_fit::BestFit, classes)),
        PolicyName::DotProduct => Box::new(Scored::new(dot_product::DotProduct, classes)),
        PolicyName::GpuPacking => Box::new(Scored::new(gpu_packing::GpuPacking, classes)),
        PolicyName::GpuClustering => Box::new(Scored::new(gpu_clustering::GpuClustering, classes)),
        PolicyName::FirstFit => Box::new(Scored::new(first_fit::FirstFit, classes)),
        PolicyName::Random => Box::new(random::Random::new(seed, classes)),
    }
}

/// What most baselines take inside a node: the tightest GPU for a share, else the first empty ones.
fn tightest(node: &Node, demand: &Demand) -> GpuSet {
    if demand.is_share() {
        GpuSet::one(node.tightest_gpu(demand.gpu_milli))
    } else {
        node.first_empty_gpus(demand.gpus)
    }
}

/// `trunc(100 x part)`, as the published scores are made.
#[expect(
    clippy::cast_possible_truncation,
    reason = "scores are small, and cutting the fraction is the point"
)]
fn percent(part: f64) -> i32 {
    (100.0 * part) as i32
}

/// A quantity of a node as a double; exact below 2^53, and CPUs and GPUs are far below.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn double(quantity: u64) -> f64 {
    quantity as f64
}

#[cfg(test)]
pub(crate) mod tests;
