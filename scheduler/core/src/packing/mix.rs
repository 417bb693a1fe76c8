//! The mix: what work comes, by class, as weights.

use super::Demand;
use dovetail_model::units::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Memory of nodes and tenants do not tell classes apart here, lest common work look rare.
    pub fn typical(&self) -> Vec<(Demand, u64)> {
        let mut counts: BTreeMap<Demand, u64> = BTreeMap::new();
        for (demand, weight) in &self.classes {
            let alike = Demand {
                memory: Bytes::ZERO,
                tenant: 0,
                ..demand.clone()
            };
            let count = counts.entry(alike).or_default();
            *count = count.saturating_add(*weight);
        }
        let Self { mut classes } = Self::of(counts);
        let weights = || classes.iter().map(|(_, weight)| u128::from(*weight));
        let total: u128 = weights().sum();
        let mut covered = 0;
        let taken = weights().take_while(|weight| {
            let wanted = covered * 100 < total * TYPICAL_PERCENT;
            covered += weight;
            wanted
        });
        classes.truncate(taken.count());
        classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Gpus, Take};
    use dovetail_model::units::{CpuMilli, GpuMilli};

    fn share(milli: u64, memory: u64) -> Demand {
        let take = Take {
            compute: GpuMilli(milli),
            memory: Bytes(milli),
        };
        Demand {
            cpu: CpuMilli(1000),
            memory: Bytes(memory),
            tenant: 0,
            gpus: Gpus::Share,
            takes: vec![Some(take)],
            kinds: vec![true],
        }
    }

    #[test]
    fn the_most_frequent_classes_are_typical_until_95_percent_are_covered() {
        let mix = Mix::of([(share(300, 0), 4), (share(500, 0), 90), (share(200, 0), 6)]);
        assert_eq!(mix.typical(), [(share(500, 0), 90), (share(200, 0), 6)]);
    }

    #[test]
    fn classes_that_differ_in_the_memory_of_the_node_are_typical_together() {
        let mix = Mix::of([
            (share(300, 1), 30),
            (share(500, 0), 40),
            (share(300, 2), 30),
        ]);
        assert_eq!(mix.typical(), [(share(300, 0), 60), (share(500, 0), 40)]);
    }
}
