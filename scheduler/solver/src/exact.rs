//! Exact small models: a few nodes and the workloads around them, gangs too, in good_lp on HiGHS.
//!
//! ```text
//! Exact -> model (columns, rows) -> one solve per rank -> read -> verify -> Assigned
//! ```
//!
//! The problem's start is complete and valid. The solver moves what it places to make room for
//! more, and gives it up only for something of a higher priority. Whatever goes wrong, the start is
//! the answer.

mod highs;
mod model;
mod read;
mod tiers;
pub mod verify;
mod worth;

#[cfg(test)]
mod tests;

use crate::Stop;
use dovetail_core::{
    outcome::{Assigned, Stats, Status},
    problem::exact::{Assignment, Exact},
};
use model::Model;

/// Items that compete, each with what placing it is worth; ranks come highest first.
pub(crate) type Rank = worth::Rank;

/// The rows and columns of a problem's exact model, for people; None if there is none.
pub fn explain(problem: &Exact) -> Option<String> {
    Model::of(problem).map(|model| model.to_string())
}

/// The best packing found until the search is stopped; never worse than the problem's start.
pub fn solve(problem: &Exact, seed: u32, stop: Stop) -> Assigned {
    let mut answer = Assigned {
        status: Status::Start,
        assignments: problem.start.clone(),
        stats: Stats::default(),
    };
    if verify::verify(problem, &problem.start).is_err() {
        return answer;
    }
    if problem.start.len() == problem.items.len() {
        answer.status = Status::Optimal;
        return answer;
    }
    let Some(model) = Model::of(problem) else {
        return answer;
    };
    let ranks = worth::ranks(problem);
    let solved = tiers::solve(problem, &model, &ranks, seed, stop);
    answer.stats.rows = model.rows.len() as u64;
    answer.stats.columns = model.columns.len() as u64;
    answer.stats.models = solved.models;
    // Floats end here: an answer counts only if it holds in integers.
    let sound = |found: &Vec<Assignment>| verify::verify(problem, found).is_ok();
    let found = read::assignments(problem, &model, &solved.values).filter(sound);
    let Some(found) = found else {
        return answer;
    };
    let (worth, least) = (worth::of(&ranks, &found), worth::of(&ranks, &problem.start));
    answer.status = match (solved.optimal, worth > least) {
        (true, _) => Status::Optimal,
        (false, true) => Status::Limited,
        (false, false) => Status::Start,
    };
    // What is no better is not worth moving anything for.
    if worth > least {
        answer.assignments = found;
    }
    answer
}

/// The best packing by ranks of the caller's own, no worse than the problem's start; None where
/// there is no exact model or its answer does not hold. Of items that are alike the start places
/// the earlier ones.
pub(crate) fn best(problem: &Exact, ranks: &[Rank], stop: Stop) -> Option<Vec<Assignment>> {
    // Nobody runs yet: what the start places is no more than what waits, and as alike.
    let model = Model::of(&Exact {
        start: Vec::new(),
        ..problem.clone()
    })?;
    let solved = tiers::solve(problem, &model, ranks, 0, stop);
    let sound = |found: &Vec<Assignment>| verify::verify(problem, found).is_ok();
    read::assignments(problem, &model, &solved.values).filter(sound)
}
