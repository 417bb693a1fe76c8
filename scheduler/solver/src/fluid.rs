//! What a cluster's room is worth to a mix of work: slice prices, a plan by kind of node, and how
//! much more of the mix there is room for.
//!
//! Three linear programs, because one scarce thing that runs out early would set the prices of
//! everything: how often the mix fits with nothing refused (headroom); what should go where when
//! as much GPU is asked for as there is (plan, and prices of CPU, memory and whole GPUs); and how
//! few GPUs the shares can do with (slice prices).

pub(crate) mod cover;
mod plan;
mod totals;

use crate::aggregate::Aggregate;
use cover::Cover;
use dovetail_core::{
    packing::{Demand, NodePrices, Prices},
    problem::fluid::Fluid,
};
use plan::Plan;

/// Kinds of nodes and of GPUs that classes may name at most: more than any inventory has.
const KINDS_MAX: usize = 4096;

/// What it took, in counts that are equal on every machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Columns of the largest program.
    pub columns: u64,
    /// Rounds of column generation, of all programs.
    pub rounds: u64,
}

/// Prices and plan; all zero where nothing in the mix fits on anything.
pub fn solve(problem: &Fluid) -> Prices {
    measured(problem).0
}

/// As `solve`, with what it took.
pub fn measured(problem: &Fluid) -> (Prices, Effort) {
    let mix = &problem.mix.classes;
    let kinds = mix.iter().map(|(demand, _)| demand.kinds.len()).max();
    let kinds = kinds.unwrap_or(0).min(KINDS_MAX);
    let mut prices = Prices {
        nodes: (0..kinds).map(|_| nothing(mix.len())).collect(),
        headroom_billionths: 0,
    };
    let wanted = |index: &usize| {
        let (demand, weight) = &mix[*index];
        let mut rooms = problem.nodes.iter().filter(|(_, count)| *count > 0);
        *weight > 0 && rooms.any(|(room, _)| (room.kind as usize) < kinds && room.fits(demand))
    };
    let classes: Vec<usize> = (0..mix.len()).filter(wanted).collect();
    if classes.is_empty() {
        return (prices, Effort::default());
    }
    let demands: Vec<&Demand> = classes.iter().map(|index| &mix[*index].0).collect();
    let weights: Vec<u64> = classes.iter().map(|index| mix[*index].1).collect();
    let aggregate = Aggregate::of(&problem.nodes, &demands, |_| ());
    let cover = Cover::of(&aggregate, &demands, &weights);
    cover.publish(&mut prices);
    let plan = Plan::of(&aggregate, &demands, &weights, &cover);
    plan.publish(&mut prices, &classes);
    let effort = Effort {
        columns: plan.columns,
        rounds: plan.rounds + cover.rounds,
    };
    (prices, effort)
}

fn nothing(classes: usize) -> NodePrices {
    NodePrices {
        slices: vec![0; 1001],
        plan: vec![0; classes],
        ..NodePrices::default()
    }
}

/// A price as it is published: a thousandth of a GPU is one.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped to what both can say"
)]
fn thousandths(price: f64) -> u32 {
    (price * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32
}

/// An amount as it is published.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is clamped to what both can say"
)]
fn whole(amount: f64) -> u64 {
    amount.round().clamp(0.0, 1e18) as u64
}

#[cfg(test)]
mod tests;
