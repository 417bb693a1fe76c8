//! The mix: what work comes, by class, as weights.

use super::Demand;
use serde::{Deserialize, Serialize};

/// The most frequent classes that make up so many percent of the work are typical.
const TYPICAL_PERCENT: u128 = 95;

/// Classes of work and how often each comes, most frequent first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// What a member takes, and its weight: members that came, old ones decayed.
    pub classes: Vec<(Demand, u64)>,
}

impl Mix {
    /// A mix of these classes, sorted; of classes as frequent, the larger demand comes first.
    pub fn of(classes: impl IntoIterator<Item = (Demand, u64)>) -> Self {
        let mut classes: Vec<(Demand, u64)> = classes.into_iter().collect();
        classes.sort_unstable_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        Self { classes }
    }

    /// The fewest classes that make up most of the work: rare work is not worth keeping room for.
    pub fn typical(&self) -> &[(Demand, u64)] {
        let weights = || self.classes.iter().map(|(_, weight)| u128::from(*weight));
        let total: u128 = weights().sum();
        let mut covered = 0;
        let taken = weights().take_while(|weight| {
            let wanted = covered * 100 < total * TYPICAL_PERCENT;
            covered += weight;
            wanted
        });
        &self.classes[..taken.count()]
    }
}
