//! Replay with departures: pods come and go, and a few small ones may move so that a large one fits.
//!
//! ```text
//! events -> arrive: policy decides -> else repair proposes, and the steps are carried out
//!                                  -> else refused, and checked by code that shares nothing
//!        -> depart: the room is given back
//! ```

mod draw;
mod events;
mod generate;
mod ground;
mod measure;
mod naive;
mod population;
mod queue;
mod repairs;

pub use events::{Event, Events, EventsError, LIFETIME_TICKS, Lifetimes, Source};
pub use generate::generate;
pub(crate) use ground::{classes, rooms};
pub use measure::{ByKind, Measured};
pub use queue::Waits;
pub use repairs::{MoveBudget, Repairs};

use crate::{cluster::Cluster, policy::Policy, replay::ReplayError, trace::Trace};
use population::{Live, Population};
use queue::Queue;

/// The part of the events that is measured: from here on the cluster is in its steady state.
const MEASURED_FROM_TICKS: u64 = 3 * LIFETIME_TICKS;

/// So many leave between two tries to make room for who waits: about what one 8-GPU job takes.
const DEPARTURES_PER_REPAIR: u64 = 16;

/// How churn is replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// How many pods may be moved.
    pub budget: MoveBudget,
    /// Whether who does not fit waits; else it is refused for ever.
    pub waiting: bool,
}

/// What a replay with departures shows.
#[derive(Debug)]
pub struct ChurnOutcome {
    /// The second half.
    pub measured: Measured,
    /// All of it.
    pub repairs: Repairs,
    /// Who waited how long, if waiting is allowed.
    pub waits: Option<Waits>,
    /// The cluster after the last arrival.
    pub cluster: Cluster,
}

/// Arrivals per 1000 mean lifetimes that keep this part of the cluster's GPUs asked for.
pub fn arrivals_per_1000_lifetimes(trace: &Trace, load_permille: u64) -> u64 {
    let asked = trace
        .pods
        .iter()
        .map(|class| trace.classes[*class].total_milli());
    let (asked, pods) = (asked.sum::<u64>(), trace.pods.len() as u64);
    let capacity = trace.cluster().capacity_milli();
    let wanted = u128::from(capacity) * u128::from(load_permille) * u128::from(pods);
    u64::try_from(wanted / u128::from(asked.max(1))).unwrap_or(u64::MAX)
}

/// Replays the events; `progress` hears of each.
pub fn replay(
    trace: &Trace,
    events: &Events,
    policy: &mut dyn Policy,
    options: Options,
    mut progress: impl FnMut(),
) -> Result<ChurnOutcome, ReplayError> {
    let mut churn = Churn {
        trace,
        policy,
        waiting: options.waiting.then(Queue::default),
        population: Population::default(),
        repairs: Repairs::new(trace, options.budget),
        measured: Measured::new(trace.cluster().capacity_milli()),
        cluster: trace.cluster(),
        now: 0,
        departures: 0,
    };
    let mut end = 0;
    for (arrival, event) in events.events.iter().enumerate() {
        churn.depart_until(event.at)?;
        churn.to(event.at);
        let class = trace.pods[event.pod];
        churn.arrive(arrival, class, event.lifetime)?;
        end = event.at;
        progress();
    }
    Ok(churn.finish(end))
}

/// A replay between two events.
struct Churn<'a> {
    trace: &'a Trace,
    policy: &'a mut dyn Policy,
    waiting: Option<Queue>,
    population: Population,
    repairs: Repairs,
    measured: Measured,
    cluster: Cluster,
    now: u64,
    departures: u64,
}

impl Churn<'_> {
    /// Time passes.
    fn to(&mut self, at: u64) {
        if at > MEASURED_FROM_TICKS {
            let since = self.now.max(MEASURED_FROM_TICKS);
            self.measured
                .passed(at - since, self.cluster.allocated_milli());
        }
        self.now = at;
    }

    fn measuring(&self) -> bool {
        self.now >= MEASURED_FROM_TICKS
    }

    /// Everybody leaves whose time is over by then; who waits gets the room.
    fn depart_until(&mut self, at: u64) -> Result<(), ReplayError> {
        while let Some((ends, live)) = self.population.leaving_by(at) {
            self.to(ends);
            self.cluster
                .release(&self.trace.classes[live.class], live.decision);
            self.policy
                .removed(&self.cluster, live.class, live.decision);
            self.serve_queue()?;
        }
        Ok(())
    }

    fn arrive(&mut self, arrival: usize, class: usize, lifetime: u64) -> Result<(), ReplayError> {
        let demand = self.trace.classes[class];
        if self.measuring() {
            self.measured.arrived(&demand);
        }
        self.repairs.earn();
        let held = self.waiting.as_ref().is_some_and(Queue::holds_newcomers);
        let first = self.waiting.as_ref().is_none_or(|queue| queue.len() == 0);
        if !held && self.start(arrival, class, lifetime, first)? {
            if let Some(queue) = &mut self.waiting {
                queue.overtaken(queue.len());
            }
            return Ok(());
        }
        if let Some(queue) = &mut self.waiting {
            queue.push(arrival, class, lifetime, self.now);
        } else if self.measuring() {
            self.measured.refused(&demand);
        }
        Ok(())
    }

    /// Whether it could be started, if need be and allowed by moving others.
    fn start(
        &mut self,
        arrival: usize,
        class: usize,
        lifetime: u64,
        moving: bool,
    ) -> Result<bool, ReplayError> {
        if let Some(decision) = self.policy.decide(&self.cluster, class) {
            let demand = &self.trace.classes[class];
            let taken = self.cluster.take(demand, decision);
            taken.map_err(|source| ReplayError::Oversubscribed { arrival, source })?;
            self.policy.placed(&self.cluster, class, decision);
            self.live(arrival, class, lifetime, decision);
            return Ok(true);
        }
        if self.cluster.has_room(&self.trace.classes[class]) {
            return Err(ReplayError::RefusedThoughItFits { arrival });
        }
        if !moving {
            return Ok(false);
        }
        let measuring = self.measuring();
        let found = self.repairs.repair(
            &mut ground::Ground {
                classes: &self.trace.classes,
                cluster: &mut self.cluster,
                policy: self.policy,
                population: &mut self.population,
                now: self.now,
            },
            class,
            measuring,
        );
        let Some(found) =
            found.map_err(|source| ReplayError::Oversubscribed { arrival, source })?
        else {
            return Ok(false);
        };
        if measuring {
            self.measured.moved(&found.moved);
        }
        self.live(arrival, class, lifetime, found.decision);
        Ok(true)
    }

    fn live(
        &mut self,
        key: usize,
        class: usize,
        lifetime: u64,
        decision: crate::cluster::Decision,
    ) {
        let since = self.now;
        let live = Live {
            class,
            decision,
            since,
        };
        self.population.add(key, self.now + lifetime, live);
    }

    /// Who waits longest goes first, and overtaking is bounded. Others are moved for the first
    /// only, and not again until some more have left: a cluster that has hardly changed answers
    /// what it answered before.
    fn serve_queue(&mut self) -> Result<(), ReplayError> {
        let Some(mut queue) = self.waiting.take() else {
            return Ok(());
        };
        let mut tried = Vec::new();
        let mut index = 0;
        self.departures += 1;
        let moves = self.departures.is_multiple_of(DEPARTURES_PER_REPAIR);
        while let Some(waiting) = queue.get(index).filter(|_| index < queue.open()) {
            if tried.contains(&waiting.class) {
                index += 1;
                continue;
            }
            let moving = index == 0 && moves;
            let room = moving || self.cluster.has_room(&self.trace.classes[waiting.class]);
            if room && self.start(waiting.arrival, waiting.class, waiting.lifetime, moving)? {
                queue.started(index, self.now, &self.trace.classes[waiting.class]);
            } else {
                tried.push(waiting.class);
                index += 1;
            }
        }
        self.waiting = Some(queue);
        Ok(())
    }

    fn finish(mut self, end: u64) -> ChurnOutcome {
        self.to(end);
        ChurnOutcome {
            measured: self.measured,
            repairs: self.repairs,
            waits: self.waiting.map(|queue| queue.waits(end)),
            cluster: self.cluster,
        }
    }
}
