//! What came lately: counts by class that fade as more comes.

use super::{Demand, Mix};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one member counts when it comes, so that halving keeps fractions.
const UNIT: u64 = 256;

/// Members counted in full at which all counts are halved: the history is then one to two times
/// as long, some hours of a busy cluster.
const FULL_MEMBERS: u64 = 16_384;

/// Most classes that are remembered: what is rarer says little about what comes.
const CLASSES_MAX: usize = 1024;

/// Counts by class. The same members in the same order give the same counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    counts: BTreeMap<Demand, u64>,
    total: u64,
}

impl History {
    /// So many members of a class came.
    pub fn record(&mut self, demand: &Demand, members: u64) {
        let count = members.min(FULL_MEMBERS) * UNIT;
        match self.counts.get_mut(demand) {
            Some(known) => *known += count,
            None => {
                self.make_room();
                self.counts.insert(demand.clone(), count);
            }
        }
        self.total += count;
        while self.total >= FULL_MEMBERS * UNIT {
            self.fade();
        }
    }

    /// What is expected: as what came, and what waits now in full.
    pub fn mix<'a>(&self, waiting: impl IntoIterator<Item = (&'a Demand, u64)>) -> Mix {
        let mut counts = self.counts.clone();
        for (demand, members) in waiting {
            let count = members.saturating_mul(UNIT);
            let known = counts.entry(demand.clone()).or_default();
            *known = known.saturating_add(count);
        }
        Mix::of(counts)
    }

    fn fade(&mut self) {
        self.counts.retain(|_, count| {
            *count /= 2;
            *count > 0
        });
        self.total = self.counts.values().sum();
    }

    /// Forgets the rarest classes, an eighth at a time so that this is rare.
    fn make_room(&mut self) {
        if self.counts.len() < CLASSES_MAX {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        counts.sort_unstable();
        let least = counts[CLASSES_MAX / 8];
        let mut forget = CLASSES_MAX / 8;
        self.counts.retain(|_, count| {
            let kept = *count > least || forget == 0;
            forget -= usize::from(!kept);
            kept
        });
        self.total = self.counts.values().sum();
    }
}
