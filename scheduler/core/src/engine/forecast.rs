//! What is expected: the mix of what came and what waits, and what room is worth to it.
//!
//! Every few seconds in which something came, the solver is asked in the background. Decisions go
//! on with the old prices until the answer is there, and for ever if none comes.

use super::{Engine, schedule::ask};
use crate::{
    effect::Effect,
    packing::{Demand, History, Mix, Prices},
    problem::{Limits, Problem, Task, fluid::Fluid},
    state::Workload,
};
use dovetail_model::{
    id::WorkloadId,
    time::{Now, SECOND_NS},
    units::GpuMilli,
};
use std::collections::BTreeMap;

/// Least time between two problems: prices move with the mix, and the mix moves slowly.
const EVERY_NS: u64 = 5 * SECOND_NS;
/// A trace of thousands of classes takes less than half of this.
const LIMITS: Limits = Limits {
    soft_ms: 2_000,
    hard_ms: 4_000,
    seed: 1,
};
/// Time from the hard limit until an answer is no longer waited for.
const GRACE_NS: u64 = SECOND_NS;

/// The mix and its prices in the making.
#[derive(Debug, Default)]
pub(super) struct Forecast {
    history: History,
    /// Something came since the newest problem.
    changed: bool,
    /// Boot time of the next problem, if something came.
    due: u64,
    asked: Option<Asked>,
    /// GPU compute of the mix that fits into the empty cluster, as the newest answer says.
    fits: Option<GpuMilli>,
}

/// A problem the solver works on.
#[derive(Debug)]
struct Asked {
    problem: u64,
    deadline: u64,
    mix: Mix,
}

impl Forecast {
    /// GPU compute of the mix that fits into the empty cluster; unknown before the first answer.
    pub(super) fn fits(&self) -> Option<GpuMilli> {
        self.fits
    }
}

impl Engine {
    /// A workload came.
    pub(super) fn remember_arrival(&mut self, id: WorkloadId) {
        if let Some(workload) = self.state.workload(id) {
            let members = workload.spec.gang_size.into();
            let demand = self.board.demand(&ask(workload));
            self.forecast.history.record(demand, members);
            self.forecast.changed = true;
        }
    }

    /// When prices are to be asked for, or no longer waited for. Never while there is nothing to
    /// price: a moment that has passed and brings nothing about would be due for ever.
    pub(super) fn prices_due(&self) -> Option<u64> {
        if let Some(asked) = &self.forecast.asked {
            return Some(asked.deadline);
        }
        let wanted = self.policy.solver && self.forecast.changed && !self.state.nodes().is_empty();
        wanted.then_some(self.forecast.due)
    }

    /// Prices anew, if something came since and it is time.
    pub(super) fn refresh_prices(&mut self, now: Now) {
        self.forecast
            .asked
            .take_if(|asked| now.boot_ns >= asked.deadline);
        let due = self.prices_due();
        if self.forecast.asked.is_some() || due.is_none_or(|due| now.boot_ns < due) {
            return;
        }
        self.forecast.due = now.boot_ns + EVERY_NS;
        if !self.watch.allows(now.boot_ns) {
            return;
        }
        self.forecast.changed = false;
        let waiting = self.waiting_demands();
        let waiting = waiting.iter().map(|(demand, members)| (demand, *members));
        let mix = self.forecast.history.mix(waiting);
        self.solves += 1;
        self.forecast.asked = Some(Asked {
            problem: self.solves,
            deadline: now.boot_ns + LIMITS.hard_ms * 1_000_000 + GRACE_NS,
            mix: mix.clone(),
        });
        self.effects.push(Effect::Solve(Box::new(Problem {
            id: self.solves,
            revision: self.state.revision(),
            limits: LIMITS,
            task: Task::Fluid(Fluid {
                nodes: self.board.empty_nodes(),
                mix,
            }),
        })));
    }

    /// Whether the problem was one of prices; then its answer, if there is one, is used from now on.
    pub(super) fn priced(&mut self, problem: u64, prices: Option<Prices>) -> bool {
        let asked = self
            .forecast
            .asked
            .take_if(|asked| asked.problem == problem);
        let Some(asked) = asked else {
            return false;
        };
        if let Some(prices) = prices {
            self.forecast.fits = Some(fits(&asked.mix, prices.headroom_billionths));
            self.board.expect(asked.mix, prices);
        }
        true
    }

    /// What waits, by class.
    fn waiting_demands(&mut self) -> Vec<(Demand, u64)> {
        let mut waiting: BTreeMap<Demand, u64> = BTreeMap::new();
        let pending = self.pending.iter().map(|key| key.1);
        let workloads: Vec<&Workload> = pending.filter_map(|id| self.state.workload(id)).collect();
        for workload in workloads {
            let demand = self.board.demand(&ask(workload)).clone();
            *waiting.entry(demand).or_default() += u64::from(workload.spec.gang_size);
        }
        waiting.into_iter().collect()
    }
}

/// GPU compute of so many billionths of the mix.
fn fits(mix: &Mix, billionths: u64) -> GpuMilli {
    let compute = |demand: &Demand| {
        let takes = demand.takes.iter().flatten();
        let most = takes.map(|take| take.compute.0).max().unwrap_or(0);
        u128::from(most) * u128::from(demand.gpu_count())
    };
    let classes = mix.classes.iter();
    let all: u128 = classes
        .map(|(demand, weight)| compute(demand) * u128::from(*weight))
        .sum();
    let fits = all.saturating_mul(billionths.into()) / 1_000_000_000;
    GpuMilli(u64::try_from(fits).unwrap_or(u64::MAX))
}
