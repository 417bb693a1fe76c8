//! What deciding looks at: the free room of every node, and how strongly it holds.

use crate::state::{Node, State};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel},
    grant::Placement,
    id::{GpuUuid, NodeName, SliceId, Tenant},
    label::{Labels, Taint},
    node::SLICES_MAX,
    reason::Reason,
    resources::Level,
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
};

/// Every node, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// Sorted by name; a node's index is stable until a node enrols or is forgotten.
    pub nodes: Vec<NodeView>,
}

/// The free room of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// The node.
    pub name: NodeName,
    /// Breaks ties between equally good nodes: a fixed hash of the name, so that results do not
    /// follow the alphabet.
    pub tie: u64,
    /// Why nothing may be placed here at all, if so.
    pub closed: Option<Reason>,
    /// What its operator calls it.
    pub labels: Labels,
    /// What keeps work off it.
    pub taints: Vec<Taint>,
    /// CPU that may be given to slices in all.
    pub cpu_total: CpuMilli,
    /// CPU not given away.
    pub cpu_free: CpuMilli,
    /// Memory that may be given to slices in all.
    pub memory_total: Bytes,
    /// Memory not given away.
    pub memory_free: Bytes,
    /// Slices that hold a place here.
    pub slices: u32,
    /// The strongest level of a slice without a GPU.
    pub level: Level,
    /// GPUs by index.
    pub gpus: Vec<GpuView>,
}

/// The free room of one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuView {
    /// The driver's identity.
    pub uuid: GpuUuid,
    /// The driver's index.
    pub index: u32,
    /// The driver's full name.
    pub name: String,
    /// Short model.
    pub model: GpuModel,
    /// Whether it can be used.
    pub health: GpuHealth,
    /// Memory in all.
    pub memory_total: Bytes,
    /// Memory neither given away nor used by processes that are no slice of ours.
    pub memory_free: Bytes,
    /// Compute not given away.
    pub compute_free: GpuMilli,
    /// The strongest enforcement of a share.
    pub share_level: Level,
    /// The strongest enforcement of the whole.
    pub whole_level: Level,
    /// Who is on it: slices and their tenants.
    pub holders: Vec<(SliceId, Tenant)>,
    /// Memory used by processes that are no slice of ours.
    pub external: Bytes,
}

/// Soft facts of a node that the journal does not hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Its agent reports.
    pub reachable: bool,
    /// Foreign memory by GPU index.
    pub external: Vec<Bytes>,
}

impl ClusterView {
    /// A cluster of these nodes.
    pub fn of(nodes: impl IntoIterator<Item = NodeView>) -> Self {
        let mut nodes: Vec<NodeView> = nodes.into_iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Self { nodes }
    }

    /// Index of a node.
    pub fn index_of(&self, name: &NodeName) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.name.cmp(name)).ok()
    }

    /// Puts a node's newest view in its place.
    pub fn put(&mut self, node: NodeView) {
        match self
            .nodes
            .binary_search_by(|known| known.name.cmp(&node.name))
        {
            Ok(index) => self.nodes[index] = node,
            Err(index) => self.nodes.insert(index, node),
        }
    }

    /// Drops a node.
    pub fn remove(&mut self, name: &NodeName) {
        self.nodes.retain(|node| node.name != *name);
    }

    /// Takes a placement's room. False, and nothing taken, if its node is unknown.
    pub fn take(&mut self, placement: &Placement, tenant: &Tenant) -> bool {
        let Some(index) = self.index_of(&placement.node) else {
            return false;
        };
        self.nodes[index].take(placement, tenant);
        true
    }
}

impl GpuView {
    /// Usable, nobody on it, and nothing foreign: it can be given whole.
    pub fn is_empty(&self) -> bool {
        self.health == GpuHealth::Ok && self.holders.is_empty() && self.external == Bytes::ZERO
    }
}

impl NodeView {
    /// Most slices on a node.
    #[expect(clippy::cast_possible_truncation, reason = "it is about a thousand")]
    pub const SLICES_LIMIT: u32 = SLICES_MAX as u32;

    /// The view of a node in this state.
    pub fn of(state: &State, name: &NodeName, node: &Node, liveness: &Liveness) -> Self {
        let mut view = Self::empty(name, node, liveness);
        for (workload, member) in state.held_on(name) {
            view.take(&member.placement, &workload.tenant);
        }
        view
    }

    /// The view of a node with nothing of ours on it.
    pub fn empty(name: &NodeName, node: &Node, liveness: &Liveness) -> Self {
        let inventory = &node.inventory;
        let external = |index: usize| liveness.external.get(index).copied().unwrap_or_default();
        let gpus = inventory
            .gpus
            .iter()
            .enumerate()
            .map(|(index, gpu)| GpuView {
                uuid: gpu.uuid.clone(),
                index: gpu.index,
                name: gpu.name.clone(),
                model: gpu.model.clone(),
                health: gpu.health,
                memory_total: gpu.memory,
                memory_free: gpu.memory.minus(external(index)),
                compute_free: WHOLE_GPU,
                share_level: gpu.share_level,
                whole_level: gpu.whole_level,
                holders: Vec::new(),
                external: external(index),
            });
        Self {
            name: name.clone(),
            tie: tie(name),
            closed: closed(node, liveness),
            labels: inventory.labels.clone(),
            taints: inventory.taints.clone(),
            cpu_total: inventory.cpu,
            cpu_free: inventory.cpu,
            memory_total: inventory.memory,
            memory_free: inventory.memory,
            slices: 0,
            level: inventory.level,
            gpus: gpus.collect(),
        }
    }

    /// Takes a placement's room; what is over-given counts as nothing free.
    pub fn take(&mut self, placement: &Placement, tenant: &Tenant) {
        self.cpu_free = self.cpu_free.minus(placement.cpu);
        self.memory_free = self.memory_free.minus(placement.memory);
        self.slices += 1;
        for grant in &placement.gpus {
            if let Some(gpu) = self.gpus.iter_mut().find(|gpu| gpu.uuid == grant.uuid) {
                gpu.compute_free = gpu.compute_free.minus(grant.compute);
                gpu.memory_free = gpu.memory_free.minus(grant.memory);
                gpu.holders.push((placement.slice, tenant.clone()));
            }
        }
    }
}

fn closed(node: &Node, liveness: &Liveness) -> Option<Reason> {
    if let Some(why) = &node.cordoned {
        return Some(Reason::NodeCordoned { why: why.clone() });
    }
    (!liveness.reachable).then_some(Reason::NodeUnreachable)
}

/// FNV-1a of the name, finished with a mix so that short names spread. `tie("node-1")` is
/// part of the contract with the trace replay: it must never change.
pub fn tie(name: &NodeName) -> u64 {
    let hash = name
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_never_change() {
        let ties = ["node-1", "node-2", "a", "gpu-host.example.org"]
            .map(|name| tie(&NodeName::new(name).unwrap()));
        let known = [
            14_678_816_233_934_081_137,
            9_610_734_886_491_221_457,
            17_114_084_158_190_756_429,
            16_887_360_583_642_228_737,
        ];
        assert_eq!(ties, known);
    }
}
