//! GPU clustering: work with as many GPUs together, and the fullest of such nodes first.

use super::{Scorer, tightest};
use crate::{
    cluster::{GpuSet, Node, kind_bit},
    demand::Demand,
};

/// Milli of the GPUs of the largest node of the published cluster.
const GPU_MAX_MILLI: i64 = 8_000;

/// Score of one step of the ladder from strangers to only of a kind.
const STEP: i64 = 25;

/// Work with as many GPUs together.
#[derive(Debug)]
pub(super) struct GpuClustering;

impl Scorer for GpuClustering {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let score = if demand.gpus == 0 {
            0
        } else {
            let step = company(node.kinds(), kind_bit(demand));
            fullness(node) + step
        };
        let score = i32::try_from(score).expect("scores are at most 100");
        (score, tightest(node, demand))
    }
}

fn company(there: u32, own: u32) -> i64 {
    match there {
        0 => STEP,
        _ if there == own => 3 * STEP,
        _ if there & own != 0 => 2 * STEP,
        _ => 0,
    }
}

/// 0 for the largest node, empty, to 25 for a full one.
fn fullness(node: &Node) -> i64 {
    let free = i64::try_from(node.gpu_free_milli()).expect("a node has at most 16 GPUs");
    STEP * (GPU_MAX_MILLI - free) / GPU_MAX_MILLI
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{cpu_only, share, whole};

    #[test]
    fn the_ladder_goes_from_strangers_over_free_and_mixed_nodes_to_ones_own() {
        let free = Node::new(9000, 0, 2, 0);
        let shared = free.with(&share(1, 300), GpuSet(0b01));
        let mixed = shared.with(&whole(1), GpuSet(0b10));
        let score = |node: &Node, demand: &Demand| GpuClustering.score(node, demand).0;
        assert_eq!(
            score(&shared, &whole(1)),
            19,
            "6.3 of 8 GPUs are used or missing"
        );
        assert_eq!(score(&free, &share(1, 300)), 18 + 25);
        assert_eq!(score(&mixed, &share(1, 300)), 22 + 50);
        assert_eq!(score(&shared, &share(1, 300)), 19 + 75);
        assert_eq!(score(&shared, &cpu_only()), 0);
    }
}
