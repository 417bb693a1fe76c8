//! The dense state of the replayed cluster: what is free on each node, in integers.

use crate::demand::{Demand, WHOLE};
use thiserror::Error;

/// Most GPUs on a node; the largest hosts sold have 16.
pub const GPUS_PER_NODE_MAX: usize = 16;

/// Most pods on a node in the published experiments.
pub const PODS_PER_NODE_MAX: u16 = 1001;

/// What is free on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// CPU in thousandths of a core.
    pub cpu_free_milli: u64,
    /// Memory in MiB.
    pub memory_free_mib: u64,
    /// Number of its GPUs' model.
    pub model: u8,
    gpu_count: u8,
    gpus: [u16; GPUS_PER_NODE_MAX],
    pods: u16,
    /// Pods by how many whole GPUs they have; shares are counted in the first, as no pod with a
    /// GPU has none.
    kinds: [u16; GPUS_PER_NODE_MAX + 1],
}

/// GPUs of one node, as bits by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GpuSet(pub u16);

impl GpuSet {
    /// One GPU.
    pub fn one(index: usize) -> Self {
        Self(1 << index)
    }

    fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The indices, rising.
    pub fn indices(self) -> impl Iterator<Item = usize> {
        (0..GPUS_PER_NODE_MAX).filter(move |index| self.has(*index))
    }
}

impl FromIterator<usize> for GpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        Self(indices.into_iter().fold(0, |set, index| set | 1 << index))
    }
}

/// Where a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Index of the node.
    pub node: usize,
    /// GPUs it takes.
    pub gpus: GpuSet,
}

impl Node {
    /// An empty node; it has at most [`GPUS_PER_NODE_MAX`] GPUs.
    pub fn new(cpu_milli: u64, memory_mib: u64, gpus: u8, model: u8) -> Self {
        let mut free = [0; GPUS_PER_NODE_MAX];
        free[..gpus.into()].fill(WHOLE);
        Self {
            cpu_free_milli: cpu_milli,
            memory_free_mib: memory_mib,
            model,
            gpu_count: gpus,
            gpus: free,
            pods: 0,
            kinds: [0; GPUS_PER_NODE_MAX + 1],
        }
    }

    /// Free thousandths of each GPU.
    pub fn gpus(&self) -> &[u16] {
        &self.gpus[..self.gpu_count.into()]
    }

    /// Free thousandths of all GPUs together.
    pub fn gpu_free_milli(&self) -> u64 {
        self.gpus().iter().map(|free| u64::from(*free)).sum()
    }

    /// GPUs that nobody uses.
    pub fn empty_gpus(&self) -> usize {
        self.gpus().iter().filter(|free| **free == WHOLE).count()
    }

    /// Kinds of work with GPUs on the node, as bits by [`kind_bit`].
    pub fn kinds(&self) -> u32 {
        let counts = self.kinds.iter().enumerate();
        counts.fold(0, |bits, (kind, count)| {
            bits | u32::from(*count > 0) << kind
        })
    }

    /// Whether the pod fits.
    pub fn fits(&self, demand: &Demand) -> bool {
        self.pods < PODS_PER_NODE_MAX
            && self.cpu_free_milli >= demand.cpu_milli
            && self.memory_free_mib >= demand.memory_mib
            && (demand.gpus == 0 || demand.models.has(self.model) && self.has_gpus(demand))
    }

    /// Whether so many GPUs have that much free.
    pub fn has_gpus(&self, demand: &Demand) -> bool {
        let enough = |free: &&u16| **free >= demand.gpu_milli;
        self.gpus().iter().filter(enough).count() >= demand.gpus.into()
    }

    /// The GPU with the least free that takes a share; the first of equals.
    pub fn tightest_gpu(&self, milli: u16) -> usize {
        let fitting = self.gpus().iter().enumerate().filter(|(_, f)| **f >= milli);
        let tightest = fitting.min_by_key(|(_, free)| **free);
        tightest.map_or(0, |(index, _)| index)
    }

    /// The first GPUs that nobody uses.
    pub fn first_empty_gpus(&self, count: u8) -> GpuSet {
        let empty = self.gpus().iter().enumerate().filter(|(_, f)| **f == WHOLE);
        let first = empty.take(count.into()).map(|(index, _)| 1 << index);
        GpuSet(first.fold(0, |set, bit: u16| set | bit))
    }

    /// The node after the pod has taken these GPUs.
    #[must_use]
    pub fn with(mut self, demand: &Demand, gpus: GpuSet) -> Self {
        self.cpu_free_milli -= demand.cpu_milli;
        self.memory_free_mib -= demand.memory_mib;
        self.pods += 1;
        if let Some(kind) = kind(demand) {
            self.kinds[kind] += 1;
        }
        for (index, free) in self.gpus.iter_mut().enumerate() {
            if gpus.has(index) {
                *free -= demand.gpu_milli;
            }
        }
        self
    }

    /// The node after a pod that has these GPUs has left.
    #[must_use]
    pub(crate) fn without(mut self, demand: &Demand, gpus: GpuSet) -> Self {
        self.cpu_free_milli += demand.cpu_milli;
        self.memory_free_mib += demand.memory_mib;
        self.pods -= 1;
        if let Some(kind) = kind(demand) {
            self.kinds[kind] -= 1;
        }
        for (index, free) in self.gpus.iter_mut().enumerate() {
            if gpus.has(index) {
                *free += demand.gpu_milli;
            }
        }
        self
    }

    fn takes(&self, demand: &Demand, gpus: GpuSet) -> bool {
        let served = |index: usize| !gpus.has(index) || self.gpus[index] >= demand.gpu_milli;
        self.fits(demand)
            && gpus.count() == u32::from(demand.gpus)
            && u32::from(gpus.0) < 1 << self.gpu_count
            && (0..GPUS_PER_NODE_MAX).all(served)
    }
}

/// One bit for each number of whole GPUs, one for shares, none for work without a GPU.
pub fn kind_bit(demand: &Demand) -> u32 {
    kind(demand).map_or(0, |kind| 1 << kind)
}

fn kind(demand: &Demand) -> Option<usize> {
    match demand.gpus {
        0 => None,
        _ if demand.is_share() => Some(0),
        whole => Some(whole.into()),
    }
}

/// Why a decision cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "failed to place a pod: it asks for {demand:?} and node {node} has not got it on GPUs {gpus:#b}"
)]
pub struct TakeError {
    node: usize,
    gpus: u16,
    demand: Box<Demand>,
}

/// Every node, in the order that breaks ties.
#[derive(Debug, Clone)]
pub struct Cluster {
    nodes: Vec<Node>,
    capacity_milli: u64,
    allocated_milli: u64,
}

impl Cluster {
    /// An empty cluster.
    pub fn new(nodes: Vec<Node>) -> Self {
        Self {
            capacity_milli: nodes.iter().map(Node::gpu_free_milli).sum(),
            allocated_milli: 0,
            nodes,
        }
    }

    /// Every node.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// GPU in all, in thousandths.
    pub fn capacity_milli(&self) -> u64 {
        self.capacity_milli
    }

    /// GPU in use, in thousandths.
    pub fn allocated_milli(&self) -> u64 {
        self.allocated_milli
    }

    /// Whether some node has room.
    pub fn has_room(&self, demand: &Demand) -> bool {
        self.nodes.iter().any(|node| node.fits(demand))
    }

    /// Carries a decision out, whoever made it, only if the room is there.
    pub fn take(&mut self, demand: &Demand, decision: Decision) -> Result<(), TakeError> {
        let Decision { node: index, gpus } = decision;
        let room = self.nodes.get_mut(index);
        let Some(node) = room.filter(|node| node.takes(demand, gpus)) else {
            return Err(TakeError {
                node: index,
                gpus: gpus.0,
                demand: Box::new(*demand),
            });
        };
        *node = node.with(demand, gpus);
        self.allocated_milli += demand.total_milli();
        Ok(())
    }

    /// A pod that took this leaves.
    ///
    /// # Panics
    ///
    /// If no such pod is there: whoever replays knows who is where.
    pub fn release(&mut self, demand: &Demand, decision: Decision) {
        let node = &mut self.nodes[decision.node];
        *node = node.without(demand, decision.gpus);
        self.allocated_milli -= demand.total_milli();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Models;

    fn demand(gpus: u8, gpu_milli: u16) -> Demand {
        Demand {
            cpu_milli: 1000,
            memory_mib: 10,
            gpus,
            gpu_milli,
            models: Models(1),
            spec: 0,
        }
    }

    fn at(node: usize, gpus: u16) -> Decision {
        let gpus = GpuSet(gpus);
        Decision { node, gpus }
    }

    #[test]
    fn a_decision_without_the_room_is_refused_and_changes_nothing() {
        let mut cluster =
            Cluster::new(vec![Node::new(4000, 100, 2, 0), Node::new(4000, 100, 2, 1)]);
        cluster.take(&demand(1, 600), at(0, 0b01)).unwrap();
        let before = cluster.clone();
        let cases = [
            (demand(1, 600), at(0, 0b01), "the GPU has 400 left"),
            (demand(2, 1000), at(0, 0b11), "one GPU is in use"),
            (demand(1, 1000), at(0, 0b11), "one GPU more than asked"),
            (demand(1, 1000), at(0, 0b100), "there is no third GPU"),
            (demand(1, 1000), at(1, 0b01), "another model"),
            (demand(1, 1000), at(2, 0b01), "there is no third node"),
        ];
        for (demand, decision, why) in cases {
            assert!(cluster.take(&demand, decision).is_err(), "{why}");
            assert_eq!(cluster.nodes(), before.nodes(), "{why}");
        }
        cluster.take(&demand(1, 400), at(0, 0b01)).unwrap();
        assert_eq!(
            (cluster.allocated_milli(), cluster.capacity_milli()),
            (1000, 4000)
        );
    }

    #[test]
    fn a_share_takes_the_tightest_gpu_and_whole_ones_the_first_empty() {
        let node = Node::new(9000, 100, 4, 0);
        let node = node.with(&demand(1, 300), GpuSet(0b0001));
        let node = node.with(&demand(1, 500), GpuSet(0b0100));
        assert_eq!(node.gpus(), [700, 1000, 500, 1000]);
        assert_eq!([400, 600, 800].map(|m| node.tightest_gpu(m)), [2, 0, 1]);
        assert_eq!(node.first_empty_gpus(2), GpuSet(0b1010));
        assert_eq!(node.kinds(), 1);
        assert_eq!(node.with(&demand(2, 1000), GpuSet(0b1010)).kinds(), 0b101);
    }

    #[test]
    fn who_leaves_gives_back_all_that_was_taken() {
        let mut cluster = Cluster::new(vec![Node::new(4000, 100, 4, 0)]);
        let empty = cluster.nodes()[0];
        cluster.take(&demand(1, 600), at(0, 0b01)).unwrap();
        cluster.take(&demand(1, 300), at(0, 0b01)).unwrap();
        cluster.take(&demand(2, 1000), at(0, 0b110)).unwrap();
        cluster.release(&demand(1, 600), at(0, 0b01));
        assert_eq!(cluster.nodes()[0].gpus(), [700, 0, 0, 1000]);
        assert_eq!(cluster.nodes()[0].kinds(), 0b101);
        cluster.release(&demand(1, 300), at(0, 0b01));
        assert_eq!(cluster.nodes()[0].kinds(), 0b100, "the last share has left");
        cluster.release(&demand(2, 1000), at(0, 0b110));
        assert_eq!((cluster.nodes()[0], cluster.allocated_milli()), (empty, 0));
    }
}
