//! Solving the model rank by rank: what a higher rank gets is never given up for a lower one.

use super::{
    Stop,
    highs::{self, Call, CallLimit, Values},
    model::{Column, Model},
    worth::Rank,
};
use dovetail_core::problem::exact::Exact;
use std::time::{Duration, Instant};

/// Values of all columns after the last rank.
#[derive(Debug)]
pub(crate) struct Solved {
    pub(crate) values: Values,
    /// Every rank got the most it can.
    pub(crate) optimal: bool,
    pub(crate) models: u64,
}

/// Solves for every rank in turn, each from the values of the one before. All of them share the
/// time there is.
pub(crate) fn solve(
    problem: &Exact,
    model: &Model,
    ranks: &[Rank],
    seed: u32,
    stop: Stop,
) -> Solved {
    let began = Instant::now();
    let mut solved = Solved {
        values: start_values(problem, model),
        optimal: true,
        models: 0,
    };
    let mut kept: Vec<(&Rank, u64)> = Vec::new();
    for rank in ranks {
        let most: u64 = rank.iter().map(|(_, worth)| worth).sum();
        if got(rank, &solved.values) == most {
            kept.push((rank, most));
            continue;
        }
        let limit = match stop {
            Stop::Time(time) => CallLimit::Time(time.saturating_sub(began.elapsed())),
            Stop::Nodes(nodes) => CallLimit::Nodes(i32::try_from(nodes).unwrap_or(i32::MAX)),
        };
        solved.one(&Call {
            model,
            rank,
            kept: &kept,
            start: &solved.values.clone(),
            limit,
            seed,
        });
        kept.push((rank, got(rank, &solved.values)));
    }
    solved
}

impl Solved {
    fn one(&mut self, call: &Call<'_>) {
        if call.limit == CallLimit::Time(Duration::ZERO) {
            self.optimal = false;
            return;
        }
        self.models += 1;
        let Some((values, proven)) = highs::maximise(call) else {
            self.optimal = false;
            return;
        };
        self.optimal &= proven;
        // An unproven answer may be no better than what it began with.
        if got(call.rank, &values) > got(call.rank, &self.values) {
            self.values = values;
        }
    }
}

/// What a rank gets with these values.
fn got(rank: &Rank, values: &Values) -> u64 {
    let placed = |index: &usize| {
        values
            .get(&Column::Placed(*index))
            .is_some_and(|v| *v > 0.5)
    };
    let here = rank.iter().filter(|(index, _)| placed(index));
    here.map(|(_, worth)| worth).sum()
}

/// The start, complete: columns it does not mention are zero.
fn start_values(problem: &Exact, model: &Model) -> Values {
    let mut values: Values = model.columns.keys().map(|c| (*c, 0.0)).collect();
    for assignment in &problem.start {
        let (index, item) = (assignment.item, &problem.items[assignment.item]);
        values.insert(Column::Placed(index), 1.0);
        for slot in &assignment.members {
            let members = Column::Members(index, slot.node);
            *values.entry(members).or_default() += 1.0;
            for gpu in &slot.gpus {
                let on = Column::On(index, slot.node, *gpu);
                *values.entry(on).or_default() += 1.0;
                let owner = Column::Tenant(slot.node, *gpu, item.tenant);
                if let Some(owner) = values.get_mut(&owner).filter(|_| item.whole_gpus == 0) {
                    *owner = 1.0;
                }
            }
        }
    }
    values
}
