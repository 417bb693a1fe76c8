//! Who waits, and how long everybody waited.

use super::events::LIFETIME_TICKS;
use crate::{
    decimal::Decimal,
    demand::{Demand, Kind},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// A pod that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) arrival: usize,
    pub(super) class: usize,
    pub(super) lifetime: u64,
    since: u64,
    /// How many started who came later.
    overtaken: u32,
}

/// So many who came later may start before somebody who waits. Then nobody starts any more who
/// came later, and what becomes free adds up until it is enough.
pub(super) const OVERTAKEN_MAX: u32 = 256;

/// Pods that wait, longest first. It is bounded by the arrivals of the replay.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    /// By class as it is reported: how long those waited who were started, in ticks.
    waited: BTreeMap<usize, Vec<u64>>,
}

/// How long those waited who could not be started at once, in thousandths of a mean lifetime.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// By class as refusals are reported, `cpu_only` first.
    pub by_kind: Vec<KindWaits>,
    /// Who still waits when the replay ends.
    pub still_waiting: u64,
    /// The longest wait of those.
    pub still_waiting_longest: Option<Decimal>,
}

/// Waits of one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindWaits {
    /// Its name.
    pub kind: &'static str,
    /// Who waited and was started.
    pub waited: u64,
    /// Half of them waited no longer.
    pub p50: Decimal,
    /// 99 of 100 waited no longer.
    pub p99: Decimal,
    /// Nobody waited longer.
    pub max: Decimal,
}

const KINDS: [&str; 6] = ["cpu_only", "share", "gpu1", "gpu2", "gpu4", "gpu8"];

impl Queue {
    pub(super) fn push(&mut self, arrival: usize, class: usize, lifetime: u64, now: u64) {
        self.waiting.push(Waiting {
            arrival,
            class,
            lifetime,
            since: now,
            overtaken: 0,
        });
    }

    /// How many of those who wait may start now: the first that was overtaken too often is the
    /// last of them.
    pub(super) fn open(&self) -> usize {
        let held = |waiting: &Waiting| waiting.overtaken >= OVERTAKEN_MAX;
        let first = self.waiting.iter().position(held);
        first.map_or(self.waiting.len(), |first| first + 1)
    }

    /// Whether somebody waits who may not be overtaken any more.
    pub(super) fn holds_newcomers(&self) -> bool {
        self.waiting.iter().any(|w| w.overtaken >= OVERTAKEN_MAX)
    }

    /// Somebody started who came later than the first so many who wait.
    pub(super) fn overtaken(&mut self, first: usize) {
        for waiting in &mut self.waiting[..first] {
            waiting.overtaken += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Most that anybody was overtaken who waits now.
    #[cfg(test)]
    pub(super) fn overtaken_most(&self) -> u32 {
        let times = self.waiting.iter().map(|waiting| waiting.overtaken);
        times.max().unwrap_or(0)
    }

    pub(super) fn get(&self, index: usize) -> Option<Waiting> {
        self.waiting.get(index).copied()
    }

    pub(super) fn started(&mut self, index: usize, now: u64, demand: &Demand) {
        self.overtaken(index);
        let waiting = self.waiting.remove(index);
        let kind = self.waited.entry(number(demand.kind())).or_default();
        kind.push(now - waiting.since);
    }

    pub(super) fn waits(mut self, now: u64) -> Waits {
        let kinds = self.waited.iter_mut().map(|(kind, waits)| {
            waits.sort_unstable();
            let rank = |percent: usize| waits[(waits.len() * percent).div_ceil(100) - 1];
            KindWaits {
                kind: KINDS[*kind],
                waited: waits.len() as u64,
                p50: lifetimes(rank(50)),
                p99: lifetimes(rank(99)),
                max: lifetimes(rank(100)),
            }
        });
        Waits {
            by_kind: kinds.collect(),
            still_waiting: self.waiting.len() as u64,
            still_waiting_longest: self
                .waiting
                .first()
                .map(|first| lifetimes(now - first.since)),
        }
    }
}

fn number(kind: Kind) -> usize {
    match kind {
        Kind::CpuOnly => 0,
        Kind::Share => 1,
        Kind::Gpu1 => 2,
        Kind::Gpu2 => 3,
        Kind::Gpu4 => 4,
        Kind::Gpu8 => 5,
    }
}

fn lifetimes(ticks: u64) -> Decimal {
    let units = ticks * 100_000 / LIFETIME_TICKS;
    Decimal { units, places: 5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Demand = Demand {
        cpu_milli: 1,
        memory_mib: 1,
        gpus: 0,
        gpu_milli: 0,
        models: crate::demand::Models(0),
        spec: 0,
    };

    #[test]
    fn who_was_overtaken_too_often_holds_everybody_who_came_later() {
        let mut queue = Queue::default();
        queue.push(0, 0, 1, 0);
        for arrival in 1..=OVERTAKEN_MAX {
            queue.push(arrival as usize, 1, 1, 0);
            assert_eq!(queue.open(), 2, "one may still go before the first");
            queue.started(1, 5, &SMALL);
        }
        queue.push(9999, 1, 1, 0);
        assert_eq!((queue.open(), queue.holds_newcomers()), (1, true));
        assert_eq!(queue.overtaken_most(), OVERTAKEN_MAX);
        queue.started(0, 7, &SMALL);
        assert_eq!((queue.open(), queue.holds_newcomers()), (1, false));
    }
}
