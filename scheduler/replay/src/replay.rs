//! Online replay: pods arrive one at a time, nothing departs, and who is refused is gone.

use crate::{
    cluster::{Cluster, TakeError},
    curve::Curve,
    decimal::Decimal,
    demand::Kind,
    policy::Policy,
    trace::Trace,
};
use serde::Serialize;
use std::time::Instant;
use thiserror::Error;

/// Why a replay is worth nothing: the policy broke a rule.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A decision cannot be carried out.
    #[error("failed to replay arrival {arrival}: the decision has not got the room")]
    Oversubscribed {
        /// Which arrival, from 0.
        arrival: usize,
        /// What is missing.
        #[source]
        source: TakeError,
    },
    /// A pod was refused though it fits: choosing whom to serve is no packing.
    #[error("failed to replay arrival {arrival}: it was refused and some node has room for it")]
    RefusedThoughItFits {
        /// Which arrival, from 0.
        arrival: usize,
    },
}

/// Pods that were refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// All of them.
    pub total: u64,
    /// Without a GPU.
    pub cpu_only: u64,
    /// With a part of one.
    pub share: u64,
    /// With one.
    pub gpu1: u64,
    /// With two.
    pub gpu2: u64,
    /// With three or four.
    pub gpu4: u64,
    /// With five or more.
    pub gpu8: u64,
}

impl Failed {
    pub(crate) fn count(&mut self, kind: Kind) {
        self.total += 1;
        *match kind {
            Kind::CpuOnly => &mut self.cpu_only,
            Kind::Share => &mut self.share,
            Kind::Gpu1 => &mut self.gpu1,
            Kind::Gpu2 => &mut self.gpu2,
            Kind::Gpu4 => &mut self.gpu4,
            Kind::Gpu8 => &mut self.gpu8,
        } += 1;
    }
}

/// What a replay shows.
#[derive(Debug)]
pub struct Outcome {
    /// The allocation curve.
    pub curve: Curve,
    /// How much had arrived when the first pod was refused, that pod included.
    pub first_refusal_percent: Option<Decimal>,
    /// Who was refused.
    pub failed: Failed,
    /// How long each decision took, in nanoseconds, shortest first.
    pub decisions_ns: Vec<u64>,
    /// The cluster after the last arrival.
    pub cluster: Cluster,
}

/// Replays the arrivals; `progress` hears of each.
///
/// Every decision is checked against the cluster by code that the policies do not share, and so is
/// every refusal.
pub fn online(
    trace: &Trace,
    policy: &mut dyn Policy,
    mut progress: impl FnMut(),
) -> Result<Outcome, ReplayError> {
    let cluster = trace.cluster();
    let mut outcome = Outcome {
        curve: Curve::new(cluster.capacity_milli()),
        first_refusal_percent: None,
        failed: Failed::default(),
        decisions_ns: Vec::with_capacity(trace.arrivals.len()),
        cluster,
    };
    let mut arrived_milli = 0;
    for (arrival, class) in trace.arrivals.iter().enumerate() {
        arrived_milli += trace.classes[*class].total_milli();
        if !outcome.arrive(trace, policy, arrival, *class)? {
            outcome.failed.count(trace.classes[*class].kind());
            let percent = outcome.curve.percent(arrived_milli);
            outcome.first_refusal_percent.get_or_insert(percent);
        }
        let allocated_milli = outcome.cluster.allocated_milli();
        outcome.curve.push(arrived_milli, allocated_milli);
        progress();
    }
    outcome.decisions_ns.sort_unstable();
    Ok(outcome)
}

impl Outcome {
    /// One arrival; whether it was placed.
    fn arrive(
        &mut self,
        trace: &Trace,
        policy: &mut dyn Policy,
        arrival: usize,
        class: usize,
    ) -> Result<bool, ReplayError> {
        let start = Instant::now();
        let decision = policy.decide(&self.cluster, class);
        let took = start.elapsed().as_nanos();
        self.decisions_ns
            .push(u64::try_from(took).unwrap_or(u64::MAX));
        let demand = &trace.classes[class];
        let Some(decision) = decision else {
            let wrong = self.cluster.has_room(demand);
            return if wrong {
                Err(ReplayError::RefusedThoughItFits { arrival })
            } else {
                Ok(false)
            };
        };
        let taken = self.cluster.take(demand, decision);
        taken.map_err(|source| ReplayError::Oversubscribed { arrival, source })?;
        policy.placed(&self.cluster, class, decision);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
