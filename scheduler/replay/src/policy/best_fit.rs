//! Best fit: the node on which the least CPU and GPU is left, each weighted by half.

use super::{Scorer, double, percent, tightest};
use crate::{
    cluster::{GpuSet, Node},
    demand::Demand,
};

/// The largest node of the published cluster, to make CPU and GPU comparable.
const CPU_MAX_MILLI: f64 = 128_000.0;
const GPU_MAX_MILLI: f64 = 8_000.0;

/// Least weighted room left.
#[derive(Debug)]
pub(super) struct BestFit;

impl Scorer for BestFit {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let cpu = double(node.cpu_free_milli) - double(demand.cpu_milli);
        let gpu = double(node.gpu_free_milli()) - double(demand.total_milli());
        // The order of the operations decides what the last bit is, and so the ties.
        let left = cpu / CPU_MAX_MILLI * 0.5 + gpu / GPU_MAX_MILLI * 0.5;
        (percent(1.0 - left), tightest(node, demand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{share, whole};

    #[test]
    fn half_of_the_cpu_left_and_half_of_the_gpu_left_are_the_loss() {
        let node = Node::new(64_000, 0, 4, 0);
        // 32 of 128 cores and 3.5 of 8 GPUs stay: 100 - 12.5 - 21.875.
        assert_eq!(BestFit.score(&node, &share(32, 500)), (65, GpuSet(0b0001)));
        // 63 cores and 2 GPUs stay: 100 - 24.6 - 12.5.
        assert_eq!(BestFit.score(&node, &whole(2)), (62, GpuSet(0b0011)));
    }
}
