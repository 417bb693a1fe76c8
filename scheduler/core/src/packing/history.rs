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
        let least = counts[CLASSES_MAX / 8 - 1];
        let mut forget = CLASSES_MAX / 8;
        self.counts.retain(|_, count| {
            let kept = *count > least || forget == 0;
            forget -= usize::from(!kept);
            kept
        });
        self.total = self.counts.values().sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{Gpus, Take};
    use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
    use proptest::prelude::*;

    fn demand(number: u64) -> Demand {
        let take = Take {
            compute: GpuMilli(100),
            memory: Bytes(1),
        };
        Demand {
            cpu: CpuMilli(number),
            memory: Bytes(0),
            tenant: 0,
            gpus: Gpus::Share,
            takes: vec![Some(take)],
            kinds: vec![true],
        }
    }

    fn weight(mix: &Mix, number: u64) -> u64 {
        let known = mix
            .classes
            .iter()
            .find(|(known, _)| *known == demand(number));
        known.map_or(0, |(_, weight)| *weight)
    }

    #[test]
    fn what_came_more_often_weighs_more_and_what_waits_counts_beside_it() {
        let mut history = History::default();
        assert_eq!(history.mix([]), Mix::default());
        history.record(&demand(1), 3);
        history.record(&demand(2), 1);
        history.record(&demand(1), 2);
        let waits = [(&demand(2), 6), (&demand(3), 1)];
        let mix = history.mix(waits);
        let numbers: Vec<u64> = mix.classes.iter().map(|(demand, _)| demand.cpu.0).collect();
        assert_eq!(numbers, [2, 1, 3]);
        let weights = [1, 2, 3].map(|number| weight(&mix, number));
        assert_eq!(weights, [5 * UNIT, 7 * UNIT, UNIT]);
        assert_eq!(weight(&history.mix([]), 2), UNIT, "it is not remembered");
    }

    #[test]
    fn what_stopped_coming_fades_and_is_forgotten_in_the_end() {
        let mut history = History::default();
        history.record(&demand(1), FULL_MEMBERS / 2);
        history.record(&demand(2), FULL_MEMBERS / 2);
        let mix = history.mix([]);
        assert_eq!(weight(&mix, 1), weight(&mix, 2), "both are halved");
        assert_eq!(weight(&mix, 1), FULL_MEMBERS / 4 * UNIT);
        let mut before = weight(&mix, 1);
        // Halved each time: a count of so many bits is gone after as many times, and one more.
        for _ in 0..=before.ilog2() {
            history.record(&demand(2), FULL_MEMBERS);
            let now = weight(&history.mix([]), 1);
            assert!(now < before, "{now} of {before}");
            before = now;
        }
        assert_eq!((before, history.counts.len()), (0, 1));
    }

    #[test]
    fn of_too_many_classes_the_rarest_are_forgotten_and_the_newest_is_known() {
        let mut history = History::default();
        let most = CLASSES_MAX as u64;
        for number in 0..most {
            history.record(&demand(number), 1 + number % 8);
        }
        history.record(&demand(most), 1);
        let kept = history.counts.len();
        assert_eq!(kept, CLASSES_MAX - CLASSES_MAX / 8 + 1);
        let mix = history.mix([]);
        let once = (0..most).filter(|number| number % 8 == 0);
        assert_eq!(once.filter(|number| weight(&mix, *number) > 0).count(), 0);
        assert_eq!(weight(&mix, most), UNIT);
        assert_eq!(weight(&mix, most - 1), 8 * UNIT);
    }

    proptest! {
        #[test]
        fn counts_stay_within_their_limits_and_sum_up(
            arrivals in prop::collection::vec((0..1500_u64, 0..9000_u64), 0..60),
        ) {
            let mut history = History::default();
            for (number, members) in &arrivals {
                history.record(&demand(*number), *members);
                prop_assert_eq!(history.total, history.counts.values().sum::<u64>());
                prop_assert!(history.total < FULL_MEMBERS * UNIT);
            }
            let mut again = History::default();
            arrivals.iter().for_each(|(number, members)| again.record(&demand(*number), *members));
            prop_assert_eq!(again, history);
        }
    }
}
