//! One replay from files to report.

use crate::{
    args::{Mode, ReplayArgs},
    decimal::Decimal,
    policy,
    replay::{self, Outcome, ReplayError},
    report::{DecisionTimes, Report},
    trace::{Source, Trace, TraceError},
    usage,
};
use indicatif::ProgressBar;
use thiserror::Error;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum RunError {
    /// The trace cannot be replayed.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The policy broke a rule.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// Replays a trace. A bar on a terminal's standard error shows how far it is.
pub fn run(args: &ReplayArgs) -> Result<Report, RunError> {
    let cpu_before_us = usage::thread_cpu_us();
    let trace = Trace::read(&Source {
        nodes: &args.nodes,
        pods: &args.pods,
        arrivals: args.arrivals.as_deref(),
        node_rank: args.node_rank.as_deref(),
        seed: args.seed,
        demand: args.demand,
    })?;
    let mut policy = policy::of(args.policy, &trace, args.seed);
    let bar = ProgressBar::new(trace.arrivals.len() as u64);
    let outcome = match args.mode {
        Mode::Online => replay::online(&trace, policy.as_mut(), || bar.inc(1)),
    };
    bar.finish_and_clear();
    let cpu_us = usage::thread_cpu_us().saturating_sub(cpu_before_us);
    Ok(report(args, &trace, &outcome?, cpu_us))
}

fn report(args: &ReplayArgs, trace: &Trace, outcome: &Outcome, cpu_us: u64) -> Report {
    let arrived = trace.arrivals.len();
    Report {
        policy: args.policy,
        mode: args.mode,
        seed: args.seed,
        nodes: trace.nodes.len(),
        gpus: trace.nodes.iter().map(|node| u64::from(node.gpus)).sum(),
        arrived,
        placed: arrived as u64 - outcome.failed.total,
        allocated_gpu_percent: outcome.curve.points(),
        first_refusal_percent: outcome.first_refusal_percent,
        failed: outcome.failed,
        moves: 0,
        decision_us: DecisionTimes {
            p50: outcome.decision_us(50),
            p99: outcome.decision_us(99),
            max: outcome.decision_us(100),
        },
        cpu_seconds: Decimal::millionths(cpu_us),
        peak_rss_bytes: usage::peak_rss_bytes(),
        ceiling_percent: None,
    }
}
