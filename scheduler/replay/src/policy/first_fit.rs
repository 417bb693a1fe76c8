//! First fit: the first node with room, and its first GPUs with room.

use super::Scorer;
use crate::{
    cluster::{GpuSet, Node},
    demand::Demand,
};

/// The first node with room.
#[derive(Debug)]
pub(super) struct FirstFit;

impl Scorer for FirstFit {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let first = node
            .gpus()
            .iter()
            .position(|free| *free >= demand.gpu_milli);
        let gpus = match first {
            Some(first) if demand.is_share() => GpuSet::one(first),
            _ => node.first_empty_gpus(demand.gpus),
        };
        (0, gpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{share, whole};

    #[test]
    fn a_share_takes_the_first_gpu_with_room_however_much() {
        let node = Node::new(9000, 0, 3, 0).with(&share(1, 600), GpuSet(0b001));
        let node = node.with(&share(1, 300), GpuSet(0b100));
        let gpus = |demand: &Demand| FirstFit.score(&node, demand).1;
        assert_eq!(gpus(&share(1, 400)), GpuSet(0b001));
        assert_eq!(gpus(&share(1, 500)), GpuSet(0b010));
        assert_eq!(gpus(&whole(1)), GpuSet(0b010));
    }
}
