//! From a packing problem to its outcome: an exact small model in good_lp on HiGHS.
//!
//! ```text
//! Problem -> model (columns, rows) -> one solve per rank -> read -> verify -> Outcome
//! ```
//!
//! The problem's start is complete and valid. The solver moves what it places to make room for
//! more, and gives it up only for something of a higher priority. Whatever goes wrong, the start is
//! the outcome. `process` runs all of this in a child process that can be killed.

#![forbid(unsafe_code)]

mod aggregate;
pub mod ceiling;
pub mod fluid;
mod highs;
pub mod lp;
mod model;
pub mod process;
mod read;
mod tiers;
pub mod verify;
pub mod window;
mod worth;

#[cfg(test)]
mod tests;

use dovetail_core::{
    outcome::{Outcome, Stats, Status},
    problem::{Assignment, Problem},
};
use model::Model;
use std::time::{Duration, Instant};

/// When a search ends without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After this time: for production.
    Time(Duration),
    /// After so many nodes of each search tree: the same outcome on every machine.
    Nodes(u32),
}

/// The best packing found within the problem's soft limit; never worse than its start.
pub fn solve(problem: &Problem) -> Outcome {
    let time = Duration::from_millis(problem.limits.soft_ms);
    solve_until(problem, Stop::Time(time))
}

/// The best packing found until the search is stopped; never worse than the problem's start.
pub fn solve_until(problem: &Problem, stop: Stop) -> Outcome {
    let began = Instant::now();
    let mut outcome = searched(problem, stop);
    let elapsed = began.elapsed().as_micros();
    outcome.stats.elapsed_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
    outcome
}

/// The rows and columns of a problem's exact model, for people; None if there is none.
pub fn explain(problem: &Problem) -> Option<String> {
    Model::of(problem).map(|model| model.to_string())
}

fn searched(problem: &Problem, stop: Stop) -> Outcome {
    let mut outcome = Outcome {
        problem: problem.id,
        status: Status::Start,
        assignments: problem.start.clone(),
        stats: Stats::default(),
    };
    if verify::verify(problem, &problem.start).is_err() {
        return outcome;
    }
    if problem.start.len() == problem.items.len() {
        outcome.status = Status::Optimal;
        return outcome;
    }
    let Some(model) = Model::of(problem) else {
        return outcome;
    };
    let ranks = worth::ranks(problem);
    let solved = tiers::solve(problem, &model, &ranks, stop);
    outcome.stats.rows = model.rows.len() as u64;
    outcome.stats.columns = model.columns.len() as u64;
    outcome.stats.models = solved.models;
    // Floats end here: an answer counts only if it holds in integers.
    let sound = |found: &Vec<Assignment>| verify::verify(problem, found).is_ok();
    let found = read::assignments(problem, &model, &solved.values).filter(sound);
    let Some(found) = found else {
        return outcome;
    };
    let (worth, least) = (worth::of(&ranks, &found), worth::of(&ranks, &problem.start));
    outcome.status = match (solved.optimal, worth > least) {
        (true, _) => Status::Optimal,
        (false, true) => Status::Limited,
        (false, false) => Status::Start,
    };
    // What is no better is not worth moving anything for.
    if worth > least {
        outcome.assignments = found;
    }
    outcome
}
