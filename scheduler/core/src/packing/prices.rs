//! What the free room of nodes is worth to the mix, as the linear program says.

use serde::{Deserialize, Serialize};

/// Prices and plan for one mix on one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    /// By kind of node.
    pub nodes: Vec<NodePrices>,
    /// How many times the mix the cluster takes when it is empty, in billionths: a long history is
    /// many times what fits.
    pub headroom_billionths: u64,
}

/// Prices on one kind of node. A whole GPU that every class could use is worth about 1000.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePrices {
    /// By free compute of one GPU, 0 to 1000: the most that slices of the mix are worth in it.
    pub slices: Vec<u32>,
    /// By number of empty GPUs of a node: what they are worth together to the plan. More than in
    /// `slices` where nodes of this kind are scarce, or nodes with so many empty GPUs.
    pub wholes: Vec<u32>,
    /// Of one core.
    pub core: u32,
    /// Of one GiB of memory.
    pub gib: u32,
    /// By class of the mix: members that the plan puts on nodes of this kind.
    pub plan: Vec<u64>,
}
