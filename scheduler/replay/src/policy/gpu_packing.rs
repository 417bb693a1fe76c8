//! GPU packing: used GPUs first, then free GPUs of used nodes, then free nodes.

use super::{Scorer, tightest};
use crate::{
    cluster::{GpuSet, Node},
    demand::{Demand, WHOLE},
};

const MOST: i32 = 100;

/// Used GPUs before free ones, used nodes before free ones.
#[derive(Debug)]
pub(super) struct GpuPacking;

impl Scorer for GpuPacking {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let score = if demand.gpus == 0 {
            0
        } else if node.empty_gpus() == node.gpus().len() {
            free_node(node)
        } else {
            used_node(node, demand)
        };
        (score, tightest(node, demand))
    }
}

fn free_node(node: &Node) -> i32 {
    let gpus = count(node.gpus().len());
    (MOST / 3 - gpus).max(gpus)
}

fn used_node(node: &Node, demand: &Demand) -> i32 {
    if !demand.is_share() {
        return (MOST / 2 - i32::from(demand.gpus)).max(MOST / 3);
    }
    match node.gpus()[node.tightest_gpu(demand.gpu_milli)] {
        WHOLE => MOST / 2 - 1,
        free => (MOST - i32::from(free / 10) / 10).max(MOST / 2),
    }
}

fn count(gpus: usize) -> i32 {
    i32::try_from(gpus).expect("a node has at most 16 GPUs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{cpu_only, share, whole};

    #[test]
    fn used_gpus_come_before_free_ones_and_used_nodes_before_free_nodes() {
        let (small, large) = (Node::new(9000, 0, 2, 0), Node::new(9000, 0, 8, 0));
        let used = |node: Node| node.with(&share(1, 300), GpuSet(0b10));
        let score = |node: &Node, demand: &Demand| GpuPacking.score(node, demand);
        assert_eq!(
            score(&small, &share(1, 500)),
            (31, GpuSet(0b01)),
            "33 less 2 free GPUs"
        );
        assert_eq!(score(&large, &whole(8)), (25, GpuSet(0xff)), "33 less 8");
        assert_eq!(
            score(&used(small), &share(1, 500)),
            (93, GpuSet(0b10)),
            "70 % free, a tenth"
        );
        assert_eq!(
            score(&used(small), &share(1, 800)),
            (49, GpuSet(0b01)),
            "50 less 1"
        );
        assert_eq!(
            score(&used(large), &whole(4)),
            (46, GpuSet(0b11101)),
            "50 less 4"
        );
        assert_eq!(score(&used(small), &cpu_only()), (0, GpuSet(0)));
    }
}
