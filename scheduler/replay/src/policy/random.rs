//! Random: any node with room, and any of its GPUs with room. The published generator is not
//! reproduced, so only means are comparable.

use super::Policy;
use crate::{
    cluster::{Cluster, Decision, GpuSet, Node},
    demand::Demand,
    rng::Rng,
};

/// Any node with room.
#[derive(Debug)]
pub(super) struct Random {
    rng: Rng,
    classes: Vec<Demand>,
    fitting: Vec<usize>,
}

impl Random {
    pub(super) fn new(seed: u64, classes: &[Demand]) -> Self {
        Self {
            rng: Rng::new(seed),
            classes: classes.to_vec(),
            fitting: Vec::new(),
        }
    }

    fn gpus(&mut self, node: &Node, demand: &Demand) -> GpuSet {
        if !demand.is_share() {
            return node.first_empty_gpus(demand.gpus);
        }
        let gpus = node.gpus().iter().enumerate();
        let fitting: Vec<usize> = gpus
            .filter(|(_, free)| **free >= demand.gpu_milli)
            .map(|(index, _)| index)
            .collect();
        GpuSet::one(fitting[self.rng.below(fitting.len())])
    }
}

impl Policy for Random {
    fn decide(&mut self, cluster: &Cluster, class: usize) -> Option<Decision> {
        let demand = self.classes[class];
        let nodes = cluster.nodes().iter().enumerate();
        let fitting = nodes.filter(|(_, node)| node.fits(&demand));
        self.fitting.clear();
        self.fitting.extend(fitting.map(|(index, _)| index));
        if self.fitting.is_empty() {
            return None;
        }
        let node = self.fitting[self.rng.below(self.fitting.len())];
        let gpus = self.gpus(&cluster.nodes()[node], &demand);
        Some(Decision { node, gpus })
    }

    fn placed(&mut self, _: &Cluster, _: usize, _: Decision) {}

    fn removed(&mut self, _: &Cluster, _: usize, _: Decision) {}
}
