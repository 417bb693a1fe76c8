//! The exact repair: who moves, or is stopped, so that the blocked fits, at the least cost.
//!
//! ```text
//! cluster -> select -> Repair -> model (rows, columns) -> HiGHS -> read -> order -> verify -> Answer
//! ```
//!
//! The model knows where everybody ends, not the way there. If its steps wait for each other, it is
//! solved once more with room for newcomers only where there is room now.

mod highs;
mod model;
mod read;

#[cfg(test)]
mod tests;

use crate::Stop;
use dovetail_core::{
    decide::repair::{ordered, select, verify},
    problem::repair::{Repair, Repaired},
};
use model::{Model, Newcomers};

/// Nodes to vacate that are tried together, and fewer if that makes too large a model.
const VACATED: [usize; 4] = [8, 4, 2, 1];

/// How sure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing is cheaper; or, without an answer, nothing helps.
    Proven,
    /// The search was stopped, or the order of steps cost something.
    Limited,
    /// The problem is too large, or HiGHS failed.
    Failed,
}

/// What the exact model answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The repair, verified in integers.
    pub repaired: Option<Repaired>,
    /// How sure it is.
    pub proof: Proof,
    /// Columns of the model.
    pub columns: usize,
}

/// The cheapest repair, found until the search is stopped.
pub fn solve(repair: &Repair, stop: Stop) -> Answer {
    let first = one(repair, stop, Newcomers::AfterAll);
    if first.0.repaired.is_some() || !first.1 {
        return first.0;
    }
    let (second, _) = one(repair, stop, Newcomers::AtOnce);
    let proof = Proof::Limited;
    Answer { proof, ..second }
}

/// The cheapest repair on the few nodes of a large cluster where one is likely. It is never proven:
/// nobody knows of the others.
pub fn solve_on_few(repair: &Repair, stop: Stop) -> Answer {
    let mut answer = Answer {
        repaired: None,
        proof: Proof::Failed,
        columns: 0,
    };
    for few in select(repair, &VACATED) {
        answer = solve(&few.repair, stop);
        if answer.columns == 0 {
            continue;
        }
        let whole = answer.repaired.take().map(|found| few.in_the_whole(found));
        answer.repaired = whole.filter(|found| verify(repair, found).is_ok());
        answer.proof = match answer.proof {
            Proof::Proven | Proof::Limited => Proof::Limited,
            Proof::Failed => Proof::Failed,
        };
        break;
    }
    answer
}

/// The rows of a problem's exact model, for people; None if there is none.
pub fn explain(repair: &Repair) -> Option<String> {
    let model = Model::of(repair, Newcomers::AfterAll)?;
    Some(model.rows.iter().map(ToString::to_string).collect())
}

/// An answer, and whether there was one whose steps wait for each other.
fn one(repair: &Repair, stop: Stop, newcomers: Newcomers) -> (Answer, bool) {
    let mut answer = Answer {
        repaired: None,
        proof: Proof::Failed,
        columns: 0,
    };
    let Some(model) = Model::of(repair, newcomers) else {
        return (answer, false);
    };
    answer.columns = model.columns.len();
    let (values, proof) = highs::minimise(&model, stop, repair.seed);
    answer.proof = proof;
    let Some(end) = values.and_then(|values| read::end(repair, &model, &values)) else {
        return (answer, false);
    };
    let Some(steps) = ordered(repair, &end.steps) else {
        return (answer, true);
    };
    let repaired = Repaired { steps, ..end };
    match verify(repair, &repaired) {
        Ok(()) => answer.repaired = Some(repaired),
        // Floats end here: an answer counts only if it holds in integers.
        Err(_) => answer.proof = Proof::Failed,
    }
    (answer, false)
}
