//! The mix: what work comes, by class, as weights.

use super::{Demand, Gpus, Room, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most frequent classes that make up so many percent of the work are typical.
const TYPICAL_PERCENT: u128 = 95;

/// What is expected as long as nothing is known.
const PRIOR_SHARES: [u64; 2] = [250, 500];
const PRIOR_WHOLES: [u32; 4] = [1, 2, 4, 8];
/// Of each: as much as one member that came.
const PRIOR_WEIGHT: u64 = 256;

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

    /// This mix, and beside it a little of what is expected as long as nothing is known: whole
    /// GPUs by ones to eights, halves and quarters, on every device of these empty nodes.
    #[must_use]
    pub fn with_prior(mut self, empties: &[Room]) -> Self {
        let shares = PRIOR_SHARES.map(|milli| (Gpus::Share, GpuMilli(milli)));
        let wholes = PRIOR_WHOLES.map(|count| (Gpus::Whole(count), WHOLE_GPU));
        let prior = shares.into_iter().chain(wholes);
        let demands = prior.map(|(gpus, compute)| (expected(gpus, compute, empties), PRIOR_WEIGHT));
        self.classes.extend(demands);
        Self::of(self.classes)
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

fn expected(gpus: Gpus, compute: GpuMilli, empties: &[Room]) -> Demand {
    let all = || empties.iter().flat_map(|room| &room.gpus);
    let devices = all().map(|gpu| gpu.device + 1).max().unwrap_or(0);
    let take = |device| {
        let memory = all().find(|gpu| gpu.device == device)?.memory.0;
        let part = u128::from(memory) * u128::from(compute.0) / u128::from(WHOLE_GPU.0);
        let memory = Bytes(u64::try_from(part).unwrap_or(memory));
        Some(Take { compute, memory })
    };
    Demand {
        cpu: CpuMilli::ZERO,
        memory: Bytes::ZERO,
        tenant: 0,
        gpus,
        takes: (0..devices).map(take).collect(),
        kinds: vec![true; empties.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
