//! The mix: what work comes, by class, as weights.

use super::Demand;
use serde::{Deserialize, Serialize};

/// Classes of work and how often each comes, most frequent first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// What a member takes, and its weight: members that came, old ones decayed.
    pub classes: Vec<(Demand, u64)>,
}
