//! Replays from files to results, one policy after the other on the same trace.

use crate::{
    args::{FlagsError, ReplayArgs},
    decimal::Decimal,
    observe::{Observer, Picture},
    policy::{self, PolicyName},
    replay::{self, Outcome, ReplayError},
    report::{self, DecisionTimes, Report, Table},
    trace::{Source, Trace, TraceError},
    usage,
};
use indicatif::{ProgressBar, ProgressStyle};
use thiserror::Error;

/// Whose refusals are shown beside everyone's.
const BASELINE: PolicyName = PolicyName::Fgd;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// Flags contradict each other.
    #[error(transparent)]
    Flags(#[from] FlagsError),
    /// The trace cannot be replayed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The policy broke a rule.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// How much is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Numbers: tables and JSON need no more.
    Numbers,
    /// Also what the pictures of the HTML report show.
    Pictures,
}

/// The replays of one trace.
#[derive(Debug)]
pub struct Replayed {
    /// What was replayed.
    pub trace: Trace,
    /// The policies that were asked for.
    pub runs: Vec<Run>,
    /// fgd, if it was not asked for and ran all the same.
    pub baseline: Option<Run>,
}

/// The replay of one policy.
#[derive(Debug)]
pub struct Run {
    /// The numbers.
    pub report: Report,
    /// The pictures, if they were wanted.
    pub picture: Option<Picture>,
}

impl Replayed {
    /// Reports of the policies that were asked for.
    pub fn reports(&self) -> Vec<Report> {
        self.runs.iter().map(|run| run.report.clone()).collect()
    }

    /// Every run: those asked for, then the baseline.
    pub fn all(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().chain(&self.baseline)
    }

    /// For programs.
    pub fn json(&self) -> String {
        report::json(&self.reports())
    }

    /// For people, the baseline beside what was asked for.
    pub fn table(&self) -> Table {
        let reports: Vec<Report> = self.all().map(|run| run.report.clone()).collect();
        Table::of(&reports)
    }
}

/// Replays a trace. A bar on a terminal's standard error shows how far it is.
pub fn run(args: &ReplayArgs, detail: Detail) -> Result<Replayed, RunError> {
    args.check()?;
    let cpu_before_us = usage::thread_cpu_us();
    let trace = read(args)?;
    let read_cpu_us = usage::thread_cpu_us().saturating_sub(cpu_before_us);
    let asked = args.policies();
    let beside = (!args.no_baseline && !asked.contains(&BASELINE)).then_some(BASELINE);
    let total = asked.len() + usize::from(beside.is_some());
    let mut runs = Vec::with_capacity(total);
    for (number, name) in (1..).zip(asked.into_iter().chain(beside)) {
        let bar = bar(&trace, &format!("{name} ({number} of {total})"));
        let replay = Replay {
            args,
            trace: &trace,
            name,
            detail,
            bar: &bar,
        };
        runs.push(replay.run(read_cpu_us)?);
        bar.finish_and_clear();
    }
    show_baseline(&mut runs);
    let baseline = beside.and_then(|_| runs.pop());
    Ok(Replayed {
        trace,
        runs,
        baseline,
    })
}

fn read(args: &ReplayArgs) -> Result<Trace, TraceError> {
    let trace = Trace::read(&Source {
        nodes: &args.nodes,
        pods: &args.pods,
        arrivals: args.arrivals.as_deref(),
        node_rank: args.node_rank.as_deref(),
        seed: args.seed,
        demand: args.demand,
    })?;
    trace.scaled(usize::try_from(args.scale).expect("the flag's range is small"))
}

/// Refusals are never shown without those of the baseline, if it ran.
fn show_baseline(runs: &mut [Run]) {
    let baseline = runs.iter().find(|run| run.report.policy == BASELINE);
    let failed = baseline.map(|run| run.report.failed);
    for run in runs {
        run.report.failed_fgd = failed;
    }
}

fn bar(trace: &Trace, label: &str) -> ProgressBar {
    const STYLE: &str = "{msg} [{bar:30}] {pos} of {len} pods, {eta} left";
    let style = ProgressStyle::with_template(STYLE).expect("the template is well-formed");
    let bar = ProgressBar::new(trace.arrivals.len() as u64).with_style(style);
    bar.set_message(label.to_owned());
    bar
}

/// One policy on the trace.
struct Replay<'a> {
    args: &'a ReplayArgs,
    trace: &'a Trace,
    name: PolicyName,
    detail: Detail,
    bar: &'a ProgressBar,
}

impl Replay<'_> {
    fn run(&self, read_cpu_us: u64) -> Result<Run, RunError> {
        usage::forget_peak();
        let cpu_before_us = usage::thread_cpu_us();
        let policy = policy::of(self.name, self.trace, self.args.seed);
        let (outcome, picture, looking_cpu_us) = match self.detail {
            Detail::Numbers => (self.online(policy)?, None, 0),
            Detail::Pictures => self.observed(policy)?,
        };
        let cpu_us = usage::thread_cpu_us().saturating_sub(cpu_before_us + looking_cpu_us);
        let report = self.report(&outcome, read_cpu_us + cpu_us);
        Ok(Run { report, picture })
    }

    fn online(&self, mut policy: Box<dyn policy::Policy>) -> Result<Outcome, ReplayError> {
        replay::online(self.trace, policy.as_mut(), || self.bar.inc(1))
    }

    fn observed(
        &self,
        policy: Box<dyn policy::Policy>,
    ) -> Result<(Outcome, Option<Picture>, u64), ReplayError> {
        let mut observer = Observer::new(policy, self.trace);
        let outcome = replay::online(self.trace, &mut observer, || self.bar.inc(1))?;
        let cpu_us = observer.own_cpu_us();
        let picture = Picture {
            decisions_ns: outcome.decisions_ns.clone(),
            ..observer.finish(&outcome.cluster)
        };
        Ok((outcome, Some(picture), cpu_us))
    }

    fn report(&self, outcome: &Outcome, cpu_us: u64) -> Report {
        let Self { args, trace, .. } = self;
        let arrived = trace.arrivals.len();
        let times = || DecisionTimes {
            p50: outcome.decision_us(50),
            p99: outcome.decision_us(99),
            max: outcome.decision_us(100),
        };
        Report {
            policy: self.name,
            mode: args.mode,
            seed: args.seed,
            nodes: trace.nodes.len(),
            gpus: trace.nodes.iter().map(|node| u64::from(node.gpus)).sum(),
            arrived,
            placed: arrived as u64 - outcome.failed.total,
            allocated_gpu_percent: outcome.curve.points(),
            first_refusal_percent: outcome.first_refusal_percent,
            failed: outcome.failed,
            failed_fgd: None,
            moves: 0,
            decision_us: (!outcome.decisions_ns.is_empty()).then(times),
            cpu_seconds: Decimal::millionths(cpu_us),
            peak_rss_bytes: usage::peak_rss_bytes(),
            ceiling_percent: None,
        }
    }
}
