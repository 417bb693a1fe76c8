//! Fragmentation gradient descent (Weng et al., USENIX ATC 2023): the node on which a pod adds
//! least to what the typical pods could not use. To the bit: scores are cut to integers, and much
//! of the policy's strength is in the ties, which fall to the first node.

use super::{Scorer, percent, typical, typical::Typical};
use crate::{
    cluster::{GpuSet, Node},
    demand::{Demand, WHOLE},
    policy::double,
    trace::Trace,
};

/// Fragmentation gradient descent.
#[derive(Debug)]
pub(super) struct Fgd {
    typical: Vec<Typical>,
}

impl Fgd {
    pub(super) fn new(trace: &Trace) -> Self {
        Self {
            typical: typical::of(trace),
        }
    }

    /// GPU of the node, in thousandths, that a typical pod is expected not to be able to use.
    fn fragmentation(&self, node: &Node) -> f64 {
        // Summed by cause and then in this order, as published: the last bits decide ties.
        let (mut lack_both, mut lack_gpu, mut lack_cpu) = (0.0, 0.0, 0.0);
        let (mut cpu_fits, mut cpu_lacks, mut no_access) = (0.0, 0.0, 0.0);
        let total = double(node.gpu_free_milli());
        for Typical { demand, share } in &self.typical {
            let has_cpu = node.cpu_free_milli >= demand.cpu_milli;
            if demand.gpu_milli == 0 {
                *if has_cpu {
                    &mut cpu_fits
                } else {
                    &mut cpu_lacks
                } += share * total;
            } else if !demand.models.has(node.model) {
                no_access += share * total;
            } else {
                match (node.has_gpus(demand), has_cpu) {
                    (true, true) => lack_gpu += share * double(too_small(node, demand.gpu_milli)),
                    (true, false) => lack_cpu += share * total,
                    (false, true) => lack_gpu += share * total,
                    (false, false) => lack_both += share * total,
                }
            }
        }
        lack_both + lack_gpu + lack_cpu + cpu_fits + cpu_lacks + no_access
    }

    fn gain(&self, before: f64, after: &Node) -> i32 {
        percent(sigmoid(
            (before - self.fragmentation(after)) / f64::from(WHOLE),
        ))
    }
}

impl Scorer for Fgd {
    fn score(&self, node: &Node, demand: &Demand) -> (i32, GpuSet) {
        let before = self.fragmentation(node);
        if !demand.is_share() {
            let gpus = node.first_empty_gpus(demand.gpus);
            return (self.gain(before, &node.with(demand, gpus)), gpus);
        }
        let mut best: Option<(i32, GpuSet)> = None;
        for (index, free) in node.gpus().iter().enumerate() {
            // GPUs with as much free score the same, and the first of equals is taken.
            if *free < demand.gpu_milli || node.gpus()[..index].contains(free) {
                continue;
            }
            let gpus = GpuSet::one(index);
            let score = self.gain(before, &node.with(demand, gpus));
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, gpus));
            }
        }
        best.expect("only nodes with room are scored")
    }
}

/// What is free on GPUs that have too little for such a pod.
fn too_small(node: &Node, milli: u16) -> u64 {
    let small = node.gpus().iter().filter(|free| **free < milli);
    small.map(|free| u64::from(*free)).sum()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{cpu_only, share, trace, whole};

    #[test]
    fn a_place_that_leaves_nothing_useless_is_best() {
        let fgd = Fgd::new(&trace(&[(share(1, 600), 1)]));
        let whole_gpu = Node::new(9000, 0, 1, 0);
        let exact = whole_gpu.with(&share(1, 400), GpuSet(1));
        // 400 become useless: 100 / (1 + e^0.4) is 40.1.
        assert_eq!(fgd.score(&whole_gpu, &share(1, 600)), (40, GpuSet(1)));
        assert_eq!(fgd.score(&exact, &share(1, 600)), (50, GpuSet(1)));
    }

    #[test]
    fn the_best_gpu_of_a_node_is_taken_and_the_first_of_equals() {
        let fgd = Fgd::new(&trace(&[(share(1, 600), 1)]));
        let node = Node::new(9000, 0, 4, 0).with(&share(1, 400), GpuSet(0b0100));
        assert_eq!(fgd.score(&node, &share(1, 600)).1, GpuSet(0b0100));
        assert_eq!(fgd.score(&node, &share(1, 700)).1, GpuSet(0b0001));
    }

    #[test]
    fn gpus_without_cpu_are_useless_and_work_without_gpus_uses_none() {
        let node = Node::new(2000, 0, 2, 0);
        let of = |pods: &[(Demand, usize)]| Fgd::new(&trace(pods)).fragmentation(&node);
        let exactly = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-9, "{found}");
        exactly(of(&[(whole(2), 1)]), 0.0);
        exactly(of(&[(share(3, 500), 1)]), 2000.0);
        exactly(of(&[(cpu_only(), 1)]), 2000.0);
        exactly(of(&[(whole(2), 1), (cpu_only(), 1)]), 1000.0);
        let foreign = Demand {
            models: crate::demand::Models(0b10),
            ..whole(1)
        };
        exactly(of(&[(foreign, 1)]), 2000.0);
    }
}
