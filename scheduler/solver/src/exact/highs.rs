//! One call of HiGHS through `good_lp`. Floats, options and the solver's verdicts stay in here.

use super::{
    model::{Column, Model},
    worth::Rank,
};
use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution as _, SolutionStatus, SolverModel as _,
    Variable, WithInitialSolution as _, constraint,
    solvers::highs::{HighsPresolveType, HighsProblem, HighsSolution},
    variable,
};
use std::{collections::BTreeMap, time::Duration};

/// A value for every column of a model.
pub(crate) type Values = BTreeMap<Column, f64>;

/// Worths are integers: packings closer than this are worth the same.
const HALF: f64 = 0.5;

/// When a call ends without a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallLimit {
    /// After this time.
    Time(Duration),
    /// After so many nodes of the search tree.
    Nodes(i32),
}

/// What is asked of one call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) model: &'a Model,
    /// What to maximise.
    pub(crate) rank: &'a Rank,
    /// What higher ranks must get at least.
    pub(crate) kept: &'a [(&'a Rank, u64)],
    /// A complete solution to begin with: what it leaves out, HiGHS takes for zero.
    pub(crate) start: &'a Values,
    pub(crate) limit: CallLimit,
    pub(crate) seed: u32,
}

/// The best values found and whether nothing is better; None if there is nothing at all.
pub(crate) fn maximise(call: &Call<'_>) -> Option<(Values, bool)> {
    let mut variables = ProblemVariables::new();
    let mut columns = BTreeMap::new();
    for (column, (low, high)) in &call.model.columns {
        let definition = variable().integer().min(*low).max(*high);
        columns.insert(*column, variables.add(definition));
    }
    let objective = worth(call.rank, &columns);
    let mut highs = configured(variables.maximise(objective).using(good_lp::highs), call);
    for row in &call.model.rows {
        let terms = row.terms.iter();
        let sum: Expression = terms.map(|(column, by)| *by * columns[column]).sum();
        highs.add_constraint(if row.exactly {
            constraint!(sum == row.right)
        } else {
            constraint!(sum <= row.right)
        });
    }
    for (rank, least) in call.kept {
        highs.add_constraint(constraint!(worth(rank, &columns) >= float(*least) - HALF));
    }
    let start: Vec<(Variable, f64)> = columns.iter().map(|(c, v)| (*v, call.start[c])).collect();
    let (solution, proven) = verdict(highs.with_initial_solution(start).solve())?;
    let values = columns.iter().map(|(c, v)| (*c, solution.value(*v)));
    Some((values.collect(), proven))
}

/// One thread and a seed make it repeatable; the gaps end the search only at the exact optimum.
/// No presolve: HiGHS 1.16.0 calls the start optimal where presolve has fixed a column at a better
/// value. Models of this size take about as long without it.
fn configured(mut highs: HighsProblem, call: &Call<'_>) -> HighsProblem {
    highs.set_verbose(false);
    let highs = highs
        .set_threads(1)
        .set_option("random_seed", i32::try_from(call.seed).unwrap_or(0))
        .set_option("mip_rel_gap", 0.0)
        .set_option("mip_abs_gap", HALF)
        .set_presolve(HighsPresolveType::Off);
    match call.limit {
        CallLimit::Time(time) => highs.set_time_limit(time.as_secs_f64()),
        CallLimit::Nodes(nodes) => highs.set_option("mip_max_nodes", nodes),
    }
}

fn worth(rank: &Rank, columns: &BTreeMap<Column, Variable>) -> Expression {
    let terms = rank.iter();
    terms
        .map(|(index, worth)| float(*worth) * columns[&Column::Placed(*index)])
        .sum()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "what is too large to be exact here is compared once more in integers"
)]
fn float(worth: u64) -> f64 {
    worth as f64
}

/// The one place where HiGHS' verdicts are read.
fn verdict(answer: Result<HighsSolution, ResolutionError>) -> Option<(HighsSolution, bool)> {
    match answer {
        Ok(solution) => match solution.status() {
            // A gap is left that is too small for a better packing to be in it.
            SolutionStatus::Optimal | SolutionStatus::GapLimit => Some((solution, true)),
            SolutionStatus::TimeLimit => Some((solution, false)),
        },
        // The start is feasible: these are limits ("NoSolutionFound") or defects of the solver.
        Err(
            ResolutionError::Infeasible
            | ResolutionError::Unbounded
            | ResolutionError::Other(_)
            | ResolutionError::Str(_),
        ) => None,
    }
}
