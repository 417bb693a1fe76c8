//! A trace: the nodes, what pods ask for, and the order in which they arrive.

mod csv;
mod error;
mod inflate;
mod nodes;
mod order;
mod pods;
mod scale;

use crate::{
    cluster::{Cluster, Node},
    demand::{Demand, WHOLE},
};
use std::path::Path;

pub use error::{Place, TraceError};
pub use inflate::DemandRatio;

/// Where a trace is read from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// CSV of the nodes.
    pub nodes: &'a Path,
    /// CSV of the pods.
    pub pods: &'a Path,
    /// Published arrival orders by seed; without it, one is drawn.
    pub arrivals: Option<&'a Path>,
    /// Published ranks of the nodes by seed; without it, they follow from the nodes' names.
    pub node_rank: Option<&'a Path>,
    /// Which of the orders and ranks, or the seed of the draw.
    pub seed: u64,
    /// GPU that is asked for in all, as a part of what there is.
    pub demand: DemandRatio,
}

/// One node as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// CPU in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How many GPUs.
    pub gpus: u8,
    /// Number of their model.
    pub model: u8,
}

/// A trace, ready to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Nodes, the one that wins ties first.
    pub nodes: Vec<NodeRow>,
    /// Names of the models by number.
    pub models: Vec<String>,
    /// What pods ask for; each once.
    pub classes: Vec<Demand>,
    /// Texts of the wanted models, sorted.
    pub specs: Vec<String>,
    /// Class of each pod of the file, sorted by the pod's name.
    pub pods: Vec<usize>,
    /// Class of each arriving pod, first to last.
    pub arrivals: Vec<usize>,
}

impl Trace {
    /// Reads a trace and checks all of it.
    pub fn read(source: &Source<'_>) -> Result<Self, TraceError> {
        let (mut nodes, models) = nodes::read(source.nodes)?;
        let pods = pods::read(source.pods, &models)?;
        match source.node_rank {
            Some(path) => {
                let rank = order::read_rank(path, source.seed, nodes.len())?;
                order::sort_by_rank(&mut nodes, &rank);
            }
            None => nodes.sort_by_cached_key(|node| (tie(&node.name), node.name.clone())),
        }
        let target = source.demand.of(capacity(source.nodes, &nodes)?);
        let arriving = match source.arrivals {
            Some(path) => {
                let order = order::read_arrivals(path, source.seed, pods.pods.len())?;
                inflate::check(path, &pods, &order, target)?;
                order
            }
            None => inflate::draw(source.pods, &pods, target, source.seed)?,
        };
        Ok(Self {
            nodes,
            models,
            arrivals: arriving.into_iter().map(|pod| pods.pods[pod]).collect(),
            classes: pods.classes,
            specs: pods.specs,
            pods: pods.pods,
        })
    }

    /// The empty cluster.
    pub fn cluster(&self) -> Cluster {
        let node = |row: &NodeRow| Node::new(row.cpu_milli, row.memory_mib, row.gpus, row.model);
        Cluster::new(self.nodes.iter().map(node).collect())
    }

    /// The models that a text names; none: every model will do.
    pub fn spec_models(&self, spec: u16) -> impl Iterator<Item = &str> {
        pods::models_of(&self.specs[usize::from(spec)])
    }
}

/// GPU there is, in thousandths. Every result is a part of it, and so it must not be nothing.
fn capacity(path: &Path, nodes: &[NodeRow]) -> Result<u64, TraceError> {
    let gpus: u64 = nodes.iter().map(|node| u64::from(node.gpus)).sum();
    if gpus == 0 {
        let path = path.to_owned();
        return Err(TraceError::NoGpus { path });
    }
    Ok(gpus * u64::from(WHOLE))
}

/// The product's fixed hash of a node's name; a name that is none of the product's comes last.
fn tie(name: &str) -> u64 {
    name.parse()
        .map_or(u64::MAX, |name| dovetail_core::view::tie(&name))
}

#[cfg(test)]
mod tests;
