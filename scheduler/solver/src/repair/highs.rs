//! One call of HiGHS for a repair model; floats and verdicts stay in here.

use super::{
    Proof,
    model::{Column, Model},
};
use crate::Stop;
use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution as _, SolutionStatus, SolverModel as _,
    constraint, variable,
};
use std::collections::BTreeMap;

/// Values of all columns, rounded.
pub(super) type Values = BTreeMap<Column, u64>;

/// Costs are integers: answers closer than this cost the same.
const HALF: f64 = 0.5;

/// The cheapest values found, and how sure that is.
pub(super) fn minimise(model: &Model, stop: Stop, seed: u32) -> (Option<Values>, Proof) {
    let mut variables = ProblemVariables::new();
    let columns: BTreeMap<Column, _> = model
        .columns
        .iter()
        .map(|(column, (low, high))| {
            let definition = variable().integer().min(*low).max(*high);
            (*column, variables.add(definition))
        })
        .collect();
    let cost: Expression = model.cost.iter().map(|(c, by)| *by * columns[c]).sum();
    let mut highs = variables.minimise(cost).using(good_lp::highs);
    highs.set_verbose(false);
    let highs = highs
        .set_threads(1)
        .set_option("random_seed", i32::try_from(seed).unwrap_or(0))
        .set_option("mip_rel_gap", 0.0)
        .set_option("mip_abs_gap", HALF);
    let mut highs = match stop {
        Stop::Time(time) => highs.set_time_limit(time.as_secs_f64()),
        Stop::Nodes(nodes) => {
            highs.set_option("mip_max_nodes", i32::try_from(nodes).unwrap_or(i32::MAX))
        }
    };
    for row in &model.rows {
        let sum: Expression = row.terms.iter().map(|(c, by)| *by * columns[c]).sum();
        highs.add_constraint(if row.exactly {
            constraint!(sum == row.right)
        } else {
            constraint!(sum <= row.right)
        });
    }
    match highs.solve() {
        Ok(solution) => {
            let proof = match solution.status() {
                SolutionStatus::Optimal | SolutionStatus::GapLimit => Proof::Proven,
                SolutionStatus::TimeLimit => Proof::Limited,
            };
            let values = columns
                .iter()
                .map(|(c, v)| (*c, rounded(solution.value(*v))));
            (Some(values.collect()), proof)
        }
        Err(ResolutionError::Infeasible) => (None, Proof::Proven),
        Err(ResolutionError::Unbounded | ResolutionError::Other(_) | ResolutionError::Str(_)) => {
            (None, Proof::Limited)
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "columns are small and not negative, and the answer is verified in integers"
)]
fn rounded(value: f64) -> u64 {
    value.round().max(0.0) as u64
}
