//! What a packing is worth, in exact integers: ranks compared one after the other, highest first.

use dovetail_core::problem::exact::{Assignment, Exact, Item};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Most steps in which the CPU of all items is told apart: it keeps the numbers small that the
/// solver's floats have to tell apart.
const CPU_STEPS: u64 = 4096;

/// Items that compete with each other, each with what placing it is worth: first the GPU compute
/// it takes, then its CPU, which never outweighs compute.
pub(crate) type Rank = Vec<(usize, u64)>;

/// Ranks, highest first: by priority, and within one priority what the start places comes before
/// what waits, for it came first.
pub(crate) fn ranks(problem: &Exact) -> Vec<Rank> {
    let started: BTreeSet<usize> = problem.start.iter().map(|a| a.item).collect();
    let worths = worths(&problem.items);
    let mut ranks: BTreeMap<(Reverse<i32>, bool), Rank> = BTreeMap::new();
    for (index, (item, worth)) in problem.items.iter().zip(worths).enumerate() {
        let key = (Reverse(item.priority), !started.contains(&index));
        ranks.entry(key).or_default().push((index, worth));
    }
    ranks.into_values().collect()
}

/// What each rank gets: the larger vector is the better packing.
pub(crate) fn of(ranks: &[Rank], assignments: &[Assignment]) -> Vec<u64> {
    let placed: BTreeSet<usize> = assignments.iter().map(|a| a.item).collect();
    let worth = |rank: &Rank| {
        let here = rank.iter().filter(|(index, _)| placed.contains(index));
        here.map(|(_, worth)| worth).sum()
    };
    ranks.iter().map(worth).collect()
}

fn worths(items: &[Item]) -> Vec<u64> {
    let cpus: Vec<u64> = items
        .iter()
        .map(|i| i.cpu.times(i.members.into()).0)
        .collect();
    let computes: Vec<u64> = items.iter().map(compute).collect();
    let total = cpus.iter().fold(0_u64, |sum, cpu| sum.saturating_add(*cpu));
    let cpu_step = common(&cpus).max(total.div_ceil(CPU_STEPS));
    let compute_step = common(&computes);
    let cpus: Vec<u64> = cpus.iter().map(|cpu| cpu.div_ceil(cpu_step)).collect();
    let above_all_cpu = 1 + cpus.iter().sum::<u64>();
    let both = computes.iter().zip(cpus);
    both.map(|(compute, cpu)| compute / compute_step * above_all_cpu + cpu)
        .collect()
}

/// GPU compute of all members in thousandths; where it depends on the device, the most.
fn compute(item: &Item) -> u64 {
    let takes = item.places.iter().flat_map(|place| &place.gpus);
    let most = takes.map(|take| take.compute.0).max().unwrap_or(0);
    let each = most.saturating_mul(u64::from(item.whole_gpus.max(1)));
    each.saturating_mul(item.members.into())
}

/// The greatest common divisor, at least 1.
fn common(amounts: &[u64]) -> u64 {
    fn divisor(a: u64, b: u64) -> u64 {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    amounts.iter().fold(0, |all, one| divisor(all, *one)).max(1)
}
