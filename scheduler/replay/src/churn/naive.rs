//! Whether a refused pod fits after a few moves, by the simplest search there is. It shares nothing
//! with the product's: it is there to find out when that one gives up too early.

use super::ground::Ground;
use crate::{
    cluster::{Decision, GpuSet, Node},
    demand::Demand,
};

/// Takes from one node after the other the smallest pods until the pod fits there, and puts each
/// on the first node that takes it.
pub(super) fn fits_after_moves(ground: &Ground<'_>, class: usize, moves_max: u32) -> bool {
    let demand = &ground.classes[class];
    let mut by_node: Vec<Vec<(u64, usize, Decision)>> =
        vec![Vec::new(); ground.cluster.nodes().len()];
    for (_, live) in ground.population.all() {
        let size = ground.classes[live.class].total_milli();
        by_node[live.decision.node].push((size, live.class, live.decision));
    }
    by_node.iter_mut().enumerate().any(|(index, pods)| {
        pods.sort_by_key(|(size, class, at)| (*size, *class, at.gpus.0));
        pods.retain(|(size, _, at)| *size < demand.total_milli() && at.gpus.0.count_ones() > 0);
        pods.truncate(moves_max as usize);
        node_works(ground, index, pods, demand)
    })
}

fn node_works(
    ground: &Ground<'_>,
    index: usize,
    pods: &[(u64, usize, Decision)],
    demand: &Demand,
) -> bool {
    let mut node = ground.cluster.nodes()[index];
    let mut taken = Vec::new();
    for (_, class, at) in pods {
        if node.fits(demand) {
            break;
        }
        node = node.without(&ground.classes[*class], at.gpus);
        taken.push(*class);
    }
    if !node.fits(demand) {
        return false;
    }
    let mut nodes = ground.cluster.nodes().to_vec();
    nodes[index] = node.with(demand, first_gpus(&node, demand));
    taken.into_iter().rev().all(|class| {
        let demand = &ground.classes[class];
        let first = nodes.iter_mut().find(|node| node.fits(demand));
        first.is_some_and(|node| {
            *node = node.with(demand, first_gpus(node, demand));
            true
        })
    })
}

fn first_gpus(node: &Node, demand: &Demand) -> GpuSet {
    if demand.is_share() {
        return GpuSet::one(node.tightest_gpu(demand.gpu_milli));
    }
    node.first_empty_gpus(demand.gpus)
}
