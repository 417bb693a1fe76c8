//! The fluid problem: how much of a mix a cluster takes if everything could be cut freely between
//! nodes of a kind, and what its room is worth then.

use crate::packing::{Mix, Room};
use serde::{Deserialize, Serialize};

/// A mix and a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fluid {
    /// Nodes by room, and how many there are of each. A kind may occur several times.
    pub nodes: Vec<(Room, u64)>,
    /// What comes.
    pub mix: Mix,
}
