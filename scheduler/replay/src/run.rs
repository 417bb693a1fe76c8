//! Replays from files to results, one policy after the other on the same trace.

mod mode;

use crate::{
    args::{FlagsError, ReplayArgs},
    backlog::BacklogError,
    ceiling,
    decimal::Decimal,
    html,
    observe::Picture,
    policy::PolicyName,
    replay::{Failed, ReplayError},
    report::{self, DecisionTimes, Report, Table},
    trace::{Source, Trace, TraceError},
    usage,
};
use indicatif::{ProgressBar, ProgressStyle};
use mode::{Replay, Seen};
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
    /// Events name pods by 16 bits.
    #[error(
        "failed to draw events for {found} pods: give `--mode churn` a list of at most {} pods, `--scale` included",
        u16::MAX
    )]
    ChurnPods {
        /// Pods of the trace.
        found: usize,
    },
    /// The policy broke a rule.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The window engine broke a rule.
    #[error(transparent)]
    Backlog(#[from] BacklogError),
}

/// How much is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Numbers: tables and JSON need no more.
    Numbers,
    /// Also what only the HTML report shows.
    Pictures,
}

/// The replays of one trace.
#[derive(Debug)]
pub struct Replayed {
    /// The file of the pods.
    pub name: String,
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
    /// Pods that came, as failures are counted.
    pub arrived: Failed,
    /// What pictures show.
    pub picture: Picture,
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

    /// For people who look before they read.
    pub fn html(&self) -> String {
        html::page(self)
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
            beside: beside == Some(name),
            pictures: detail == Detail::Pictures,
            bar: &bar,
        };
        runs.push(one(&replay, read_cpu_us)?);
        bar.finish_and_clear();
    }
    complete(&mut runs, ceiling::of(&trace, args.mode));
    let baseline = beside.and_then(|_| runs.pop());
    let name = args.pods.file_name().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    Ok(Replayed {
        name,
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

/// What holds for the trace: refusals are never shown without those of the baseline, if it ran,
/// nor an allocation without its ceiling.
fn complete(runs: &mut [Run], ceiling: Option<Decimal>) {
    let baseline = runs.iter().find(|run| run.report.policy == BASELINE);
    let failed = baseline.map(|run| run.report.failed);
    for run in runs {
        run.report.failed_fgd = failed;
        run.report.ceiling_percent = ceiling;
    }
}

fn bar(trace: &Trace, label: &str) -> ProgressBar {
    const STYLE: &str = "{msg} [{bar:30}] {pos} of {len} pods, {eta} left";
    let style = ProgressStyle::with_template(STYLE).expect("the template is well-formed");
    let bar = ProgressBar::new(trace.arrivals.len() as u64).with_style(style);
    bar.set_message(label.to_owned());
    bar
}

fn one(replay: &Replay<'_>, read_cpu_us: u64) -> Result<Run, RunError> {
    usage::forget_peak();
    let before_us = usage::thread_cpu_us();
    let seen = replay.run()?;
    let cpu_us = usage::thread_cpu_us().saturating_sub(before_us + seen.looking_cpu_us);
    Ok(Run {
        report: report(replay, &seen, read_cpu_us + cpu_us),
        arrived: seen.arrived,
        picture: seen.picture,
    })
}

fn report(replay: &Replay<'_>, seen: &Seen, cpu_us: u64) -> Report {
    let Replay { args, trace, .. } = replay;
    let arrived = seen.arrived.total;
    Report {
        policy: replay.name,
        mode: args.mode,
        seed: args.seed,
        nodes: trace.nodes.len(),
        gpus: trace.nodes.iter().map(|node| u64::from(node.gpus)).sum(),
        arrived,
        placed: arrived - seen.failed.total,
        allocated_gpu_percent: seen.allocated.clone(),
        first_refusal_percent: seen.first_refusal,
        failed: seen.failed,
        failed_fgd: None,
        moves: seen.moves,
        decision_us: DecisionTimes::of(&seen.picture.decisions_ns),
        cpu_seconds: Decimal::millionths(cpu_us),
        peak_rss_bytes: usage::peak_rss_bytes(),
        ceiling_percent: None,
        churned: seen.churned.clone(),
    }
}
