//! Dot product, after Tetris: the node whose room is least aligned with the demand.

use super::{Scorer, double, percent, tightest};
use crate::{
    cluster::{GpuSet, Node},
    demand::Demand,
};

/// The largest node of the published cluster, to make CPU and GPU comparable.
const CPU_MAX_MILLI: f64 = 128_000.0;
const GPU_MAX_MILLI: f64 = 8_000.0;

/// Least dot product of demand and room.
#[derive(Debug)]
pub(super) struct DotProduct;

impl Scorer for DotProduct {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let cpu = double(node.cpu_free_milli) / CPU_MAX_MILLI;
        let gpu = double(node.gpu_free_milli()) / GPU_MAX_MILLI;
        let product = cpu * (double(demand.cpu_milli) / CPU_MAX_MILLI)
            + gpu * (double(demand.total_milli()) / GPU_MAX_MILLI);
        (percent(1.0 - product / 2.0), tightest(node, demand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{share, whole};

    #[test]
    fn demand_that_looks_like_the_room_scores_least() {
        let node = Node::new(64_000, 0, 4, 0);
        // 1/2 x 1/4 of the CPU, 1/2 x 1/16 of the GPUs: 100 x (1 - 0.15625 / 2).
        assert_eq!(
            DotProduct.score(&node, &share(32, 500)),
            (92, GpuSet(0b0001))
        );
        // 1/2 x 1/128, 1/2 x 1/2: 100 x (1 - 0.2539 / 2).
        assert_eq!(DotProduct.score(&node, &whole(4)), (87, GpuSet(0b1111)));
    }
}
