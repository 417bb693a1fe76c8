//! The typical pods of a trace: what FGD expects to come.

use super::double;
use crate::{demand::Demand, trace::Trace};
use std::collections::BTreeMap;

/// The most frequent classes that make up so many percent of the pods are typical.
const COVERED_PERCENT: f64 = 95.0;

/// A class of pods and how likely it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typical {
    pub(super) demand: Demand,
    pub(super) share: f64,
}

/// What tells classes apart here, in the order that breaks ties: memory does not count.
type Key = (u64, u16, u8, u16);

/// Typical pods, the most frequent first. Memory is not looked at, as published.
pub(super) fn of(trace: &Trace) -> Vec<Typical> {
    let mut counts: BTreeMap<Key, (u64, Demand)> = BTreeMap::new();
    for class in &trace.pods {
        let demand = trace.classes[*class];
        let key = (demand.cpu_milli, demand.gpu_milli, demand.gpus, demand.spec);
        counts.entry(key).or_insert((0, demand)).0 += 1;
    }
    let mut sorted: Vec<(u64, Key, Demand)> = counts
        .into_iter()
        .map(|(key, (count, demand))| (count, key, demand))
        .collect();
    sorted.sort_by_key(|(count, key, _)| std::cmp::Reverse((*count, *key)));
    shares(&sorted, double(trace.pods.len() as u64))
}

/// Divided twice, as published: the last bits matter.
fn shares(sorted: &[(u64, Key, Demand)], total: f64) -> Vec<Typical> {
    let wanted = COVERED_PERCENT * total / 100.0;
    let mut covered = 0.0;
    let mut typical = Vec::new();
    for (count, _, demand) in sorted {
        if covered >= wanted {
            break;
        }
        covered += double(*count);
        let (demand, share) = (*demand, double(*count) / total);
        typical.push(Typical { demand, share });
    }
    if typical.len() < sorted.len() {
        for class in &mut typical {
            class.share /= covered / total;
        }
    }
    typical
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{cpu_only, share, trace, whole};

    #[test]
    fn the_most_frequent_classes_are_typical_until_95_percent_are_covered() {
        let trace = trace(&[(share(1, 500), 4), (whole(1), 90), (cpu_only(), 6)]);
        let shares: Vec<(u8, f64)> = of(&trace)
            .iter()
            .map(|t| (t.demand.gpus, t.share))
            .collect();
        assert_eq!(shares, [(1, 0.9 / 0.96), (0, 0.06 / 0.96)]);
    }

    #[test]
    fn classes_as_frequent_go_by_cpu_then_gpu_and_memory_does_not_count() {
        let heavy = Demand {
            memory_mib: 5,
            ..share(1, 500)
        };
        let trace = trace(&[
            (share(1, 500), 1),
            (share(2, 300), 2),
            (heavy, 1),
            (whole(1), 2),
        ]);
        let order: Vec<(u64, u16)> = of(&trace)
            .iter()
            .map(|typical| (typical.demand.cpu_milli, typical.demand.gpu_milli))
            .collect();
        assert_eq!(order, [(2000, 300), (1000, 1000), (1000, 500)]);
    }
}
