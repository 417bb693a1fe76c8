//! One policy on a trace, in each of the modes.

use super::RunError;
use crate::{
    args::{Lifetime, Load, Mode, Moves, ReplayArgs},
    backlog,
    churn::{self, ChurnOutcome, Lifetimes, MoveBudget, Options},
    curve::Curve,
    decimal::Decimal,
    observe::{Observer, Picture},
    policy::{self, PolicyName},
    replay::{self, Failed, Outcome},
    report::Churned,
    trace::Trace,
};
use indicatif::ProgressBar;
use std::collections::BTreeMap;

/// What one run has shown.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) arrived: Failed,
    pub(super) failed: Failed,
    pub(super) allocated: BTreeMap<u64, Decimal>,
    pub(super) first_refusal: Option<Decimal>,
    pub(super) moves: u64,
    pub(super) churned: Option<Churned>,
    pub(super) picture: Picture,
    /// CPU of looking on, in microseconds.
    pub(super) looking_cpu_us: u64,
}

/// One policy on the trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay<'a> {
    pub(super) args: &'a ReplayArgs,
    pub(super) trace: &'a Trace,
    pub(super) name: PolicyName,
    /// It was not asked for, and runs so that there is something to compare with.
    pub(super) beside: bool,
    pub(super) pictures: bool,
    pub(super) bar: &'a ProgressBar,
}

impl Replay<'_> {
    pub(super) fn run(&self) -> Result<Seen, RunError> {
        match self.args.mode {
            Mode::Online => Ok(self.online(self.pictures)?.1),
            Mode::Backlog if self.name == PolicyName::Dovetail => self.window(),
            Mode::Backlog => self.in_order(),
            Mode::Churn => self.churn(),
        }
    }

    fn online(&self, pictures: bool) -> Result<(Outcome, Seen), RunError> {
        let mut observer = self.observer(pictures);
        let outcome = replay::online(self.trace, &mut observer, || self.bar.inc(1))?;
        let looking_cpu_us = observer.own_cpu_us();
        let seen = Seen {
            arrived: count(self.trace, &self.trace.arrivals),
            failed: outcome.failed,
            allocated: outcome.curve.points(),
            first_refusal: outcome.first_refusal_percent,
            moves: 0,
            churned: None,
            picture: Picture {
                decisions_ns: outcome.decisions_ns.clone(),
                ..observer.finish(&outcome.cluster)
            },
            looking_cpu_us,
        };
        Ok((outcome, seen))
    }

    /// The policies that know no window serve who stands first in the list.
    fn in_order(&self) -> Result<Seen, RunError> {
        let (outcome, seen) = self.online(false)?;
        let allocated_milli = outcome.cluster.allocated_milli();
        Ok(Seen {
            allocated: self.point(outcome.cluster.capacity_milli(), allocated_milli),
            first_refusal: None,
            ..seen
        })
    }

    fn window(&self) -> Result<Seen, RunError> {
        self.bar.set_message(format!("{}: the window", self.name));
        let online = || Ok::<_, RunError>(self.online(false)?.1.picture.placed);
        let packed = backlog::pack(self.trace, self.args.seed, online)?;
        let (cluster, left) = backlog::check(self.trace, &packed)?;
        let mut failed = Failed::default();
        for (demand, left) in self.trace.classes.iter().zip(left) {
            (0..left).for_each(|_| failed.count(demand.kind()));
        }
        Ok(Seen {
            arrived: count(self.trace, &self.trace.arrivals),
            failed,
            allocated: self.point(cluster.capacity_milli(), cluster.allocated_milli()),
            first_refusal: None,
            moves: 0,
            churned: None,
            picture: Picture {
                placed: packed,
                ..Picture::default()
            },
            looking_cpu_us: 0,
        })
    }

    /// All has arrived at once: the curve has one point.
    fn point(&self, capacity_milli: u64, allocated_milli: u64) -> BTreeMap<u64, Decimal> {
        let classes = self
            .trace
            .arrivals
            .iter()
            .map(|class| &self.trace.classes[*class]);
        let mut curve = Curve::new(capacity_milli);
        curve.push(
            classes.map(|demand| demand.total_milli()).sum(),
            allocated_milli,
        );
        let mut points = curve.points().into_iter();
        points
            .rfind(|(_, point)| point.units > 0)
            .into_iter()
            .collect()
    }

    fn churn(&self) -> Result<Seen, RunError> {
        let load = self.args.load.unwrap_or(Load::DEFAULT);
        let events = churn::generate(self.source(load)?);
        self.bar.set_length(2 * events.events.len() as u64);
        let mut observer = self.observer(false);
        let outcome = self.events(&events, &mut observer, false)?;
        let looking_cpu_us = observer.own_cpu_us();
        let picture = observer.finish(&outcome.cluster);
        let before_us = crate::usage::thread_cpu_us();
        let waits = self.events(&events, &mut self.observer(false), true)?.waits;
        let waiting_cpu_us = crate::usage::thread_cpu_us().saturating_sub(before_us);
        let measured = outcome.measured;
        let percent = load.permille() / 10;
        Ok(Seen {
            arrived: measured.arrived,
            failed: measured.refused,
            allocated: [(percent, measured.allocated_percent())].into(),
            first_refusal: None,
            moves: measured.moves,
            churned: Some(Churned {
                refused_percent: measured.refused_percent(),
                moves_per_100: measured.moves_per_100(),
                wait: waits.unwrap_or_default(),
            }),
            picture,
            looking_cpu_us: looking_cpu_us + waiting_cpu_us,
        })
    }

    fn events(
        &self,
        events: &churn::Events,
        observer: &mut Observer<'_>,
        waiting: bool,
    ) -> Result<ChurnOutcome, RunError> {
        let budget = self.budget();
        let options = Options { budget, waiting };
        let outcome = churn::replay(self.trace, events, observer, options, || self.bar.inc(1));
        Ok(outcome?)
    }

    fn source(&self, load: Load) -> Result<churn::Source, RunError> {
        let found = self.trace.pods.len();
        let pods = u16::try_from(found).map_err(|_| RunError::ChurnPods { found })?;
        Ok(churn::Source {
            seed: self.args.seed,
            arrivals_per_1000_lifetimes: churn::arrivals_per_1000_lifetimes(
                self.trace,
                load.permille(),
            ),
            pods,
            lifetimes: match self.args.lifetime {
                None | Some(Lifetime::Exponential) => Lifetimes::Exponential,
                Some(Lifetime::LogNormal) => Lifetimes::LogNormal,
            },
        })
    }

    /// The published policies move nobody unless told to, and the baseline never does.
    fn budget(&self) -> MoveBudget {
        let own = (self.name == PolicyName::Dovetail).then_some(Moves::DEFAULT);
        let moves = self.args.moves_per_100.or(own).filter(|_| !self.beside);
        let per_100_000 = moves.map_or(0, Moves::per_100_000);
        MoveBudget {
            per_10_000_arrivals: per_100_000 / 10,
        }
    }

    fn observer(&self, samples: bool) -> Observer<'_> {
        let policy = policy::of(self.name, self.trace, self.args.seed);
        Observer::new(policy, self.trace, samples)
    }
}

/// Pods by how failures are counted.
fn count(trace: &Trace, classes: &[usize]) -> Failed {
    let mut counts = Failed::default();
    for class in classes {
        counts.count(trace.classes[*class].kind());
    }
    counts
}
