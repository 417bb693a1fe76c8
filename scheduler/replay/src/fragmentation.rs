//! Fragmentation as FGD defines it: the part of the free GPU that the typical pod, drawn by how
//! often each comes, is expected not to be able to use.

use crate::{
    cluster::{Cluster, Node},
    decimal::{Decimal, divide_half_even},
    demand::Demand,
    trace::Trace,
};
use std::collections::BTreeMap;

/// Typical classes are the most frequent ones that make up so much of the trace, as published.
const COVERED_PERCENT: u64 = 95;

/// Samples the fragmentation while pods arrive; only nodes that have changed are looked at again.
#[derive(Debug)]
pub(crate) struct Fragmentation {
    typical: Vec<(Demand, u64)>,
    weight: u64,
    nodes: Vec<Node>,
    useless: Vec<u64>,
    points: BTreeMap<u64, Decimal>,
}

impl Fragmentation {
    pub(crate) fn new(trace: &Trace) -> Self {
        let typical = typical(trace);
        let mut sampler = Self {
            weight: typical.iter().map(|(_, count)| count).sum(),
            typical,
            nodes: trace.cluster().nodes().to_vec(),
            useless: Vec::new(),
            points: BTreeMap::new(),
        };
        let all = sampler.nodes.iter().map(|node| sampler.useless(node));
        sampler.useless = all.collect();
        sampler
    }

    /// What the cluster is like when so many percent have arrived. A full one has no free GPU to
    /// be fragmented, and so no point.
    pub(crate) fn sample(&mut self, arrived_percent: u64, cluster: &Cluster) {
        for (index, node) in cluster.nodes().iter().enumerate() {
            if self.nodes[index] != *node {
                self.useless[index] = self.useless(node);
                self.nodes[index] = *node;
            }
        }
        let useless: u128 = self
            .useless
            .iter()
            .map(|useless| u128::from(*useless))
            .sum();
        let free = u128::from(cluster.capacity_milli() - cluster.allocated_milli());
        let whole = free * u128::from(self.weight);
        if whole > 0 {
            let part = Decimal::hundredths(divide_half_even(useless * 10_000, whole));
            self.points.insert(arrived_percent, part);
        }
    }

    /// Percent of the free GPU by arrived percent.
    pub(crate) fn into_points(self) -> BTreeMap<u64, Decimal> {
        self.points
    }

    /// Thousandths of a GPU that cannot be used, summed over the typical pods.
    fn useless(&self, node: &Node) -> u64 {
        let free = node.gpu_free_milli();
        let of = |demand: &Demand| {
            let fits = demand.gpus > 0
                && demand.models.has(node.model)
                && node.cpu_free_milli >= demand.cpu_milli
                && node.has_gpus(demand);
            if fits {
                too_small(node, demand.gpu_milli)
            } else {
                free
            }
        };
        self.typical
            .iter()
            .map(|(demand, count)| count * of(demand))
            .sum()
    }
}

fn too_small(node: &Node, milli: u16) -> u64 {
    let small = node.gpus().iter().filter(|free| **free < milli);
    small.map(|free| u64::from(*free)).sum()
}

/// Demands, whatever their memory, with how many pods of the trace have each, the most first.
fn typical(trace: &Trace) -> Vec<(Demand, u64)> {
    let mut counts: BTreeMap<Demand, u64> = BTreeMap::new();
    for class in &trace.pods {
        let memory_mib = 0;
        let demand = Demand {
            memory_mib,
            ..trace.classes[*class]
        };
        *counts.entry(demand).or_default() += 1;
    }
    let mut sorted: Vec<(Demand, u64)> = counts.into_iter().collect();
    sorted.sort_by_key(|(demand, count)| std::cmp::Reverse((*count, *demand)));
    let mut covered = 0;
    sorted.retain(|(_, count)| {
        let wanted = covered * 100 < COVERED_PERCENT * trace.pods.len() as u64;
        covered += if wanted { *count } else { 0 };
        wanted
    });
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::{Decision, GpuSet},
        policy::tests::{cpu_only, share, trace, whole},
        trace::NodeRow,
    };

    fn sampled(pods: &[(Demand, usize)], placed: &[(Demand, u16)]) -> Decimal {
        let mut trace = trace(pods);
        trace.nodes = vec![NodeRow {
            name: "n".to_owned(),
            cpu_milli: 4000,
            memory_mib: 0,
            gpus: 2,
            model: 0,
        }];
        let (mut cluster, mut fragmentation) = (trace.cluster(), Fragmentation::new(&trace));
        for (demand, gpus) in placed {
            let (node, gpus) = (0, GpuSet(*gpus));
            cluster.take(demand, Decision { node, gpus }).unwrap();
        }
        fragmentation.sample(7, &cluster);
        fragmentation.into_points()[&7]
    }

    #[test]
    fn what_the_typical_pod_cannot_use_is_weighed_by_how_often_it_comes() {
        let percent =
            |pods: &[(Demand, usize)], placed: &[(Demand, u16)]| sampled(pods, placed).units;
        assert_eq!(percent(&[(whole(2), 1)], &[]), 0);
        assert_eq!(percent(&[(cpu_only(), 1), (whole(1), 3)], &[]), 2500);
        // 400 + 1000 are free: pods of 2 GPUs can use none of it, pods of 600 can use 1000.
        let placed = [(share(1, 600), 1)];
        assert_eq!(percent(&[(whole(2), 1)], &placed), 10_000);
        assert_eq!(percent(&[(share(1, 600), 1)], &placed), 2857);
        assert_eq!(percent(&[(whole(2), 1), (share(1, 600), 3)], &placed), 4643);
        // Three of four cores are taken: two are not left.
        assert_eq!(
            percent(&[(share(2, 100), 1)], &[(share(3, 600), 1)]),
            10_000
        );
    }

    #[test]
    fn rare_pods_are_not_typical() {
        assert_eq!(sampled(&[(whole(1), 95), (cpu_only(), 5)], &[]).units, 0);
        assert_eq!(sampled(&[(whole(1), 94), (cpu_only(), 6)], &[]).units, 600);
    }
}
