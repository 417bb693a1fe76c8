//! Whether a window can gain anything: what its work would be worth if rooms could be cut freely.
//!
//! Where many equal workloads wait for little room, which is common, nothing can be gained, and
//! nobody should wait for the solver to find that out.

use crate::{
    packing::{Demand, Room},
    problem::window::{Class, Window},
};

/// How much of something is free in a room, and how much of it a member takes.
type Resource = (fn(&Room) -> u64, fn(&Demand) -> u64);

/// Whether some packing may be worth more than the start. No is certain, yes is not.
pub(super) fn may_gain(window: &Window) -> bool {
    let worth = |class: usize| window.classes.get(class).map_or(0, |class| class.worth);
    let start: u128 = window
        .start
        .iter()
        .map(|put| u128::from(worth(put.class)))
        .sum();
    let resources: [Resource; 3] = [
        (|room| room.compute().0, compute),
        (|room| room.cpu.0, |demand| demand.cpu.0),
        (|room| room.memory.0, |demand| demand.memory.0),
    ];
    resources.iter().all(|(free, take)| {
        let free = window.nodes.iter().map(|room| u128::from(free(room))).sum();
        bound(&window.classes, free, *take) > start
    })
}

/// The least that a member takes of GPUs anywhere.
fn compute(demand: &Demand) -> u64 {
    let takes = demand.takes.iter().flatten();
    let least = takes.map(|take| take.compute.0).min().unwrap_or(0);
    least.saturating_mul(demand.gpu_count().into())
}

/// Worth of the densest work that so much of one resource holds, the last piece cut.
fn bound(classes: &[Class], free: u128, take: fn(&Demand) -> u64) -> u128 {
    let mut dense: Vec<(u128, u128, u128)> = classes
        .iter()
        .map(|class| {
            (
                class.worth.into(),
                take(&class.demand).into(),
                class.count.into(),
            )
        })
        .collect();
    dense.sort_by(|a, b| (b.0 * a.1).cmp(&(a.0 * b.1)));
    let (mut left, mut worth) = (free, 0);
    for (each, takes, count) in dense {
        let whole = left
            .checked_div(takes)
            .map_or(count, |fits| fits.min(count));
        worth += whole * each;
        left -= whole * takes;
        if whole < count {
            return worth + (left * each).div_ceil(takes.max(1));
        }
    }
    worth
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing::{GpuRoom, Gpus, Take};
    use crate::problem::window::Put;
    use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};

    fn class(milli: u64, count: u32) -> Class {
        let take = Take {
            compute: GpuMilli(milli),
            memory: Bytes(0),
        };
        Class {
            demand: Demand {
                cpu: CpuMilli(1),
                memory: Bytes(1),
                tenant: 0,
                gpus: Gpus::Share,
                takes: vec![Some(take)],
                kinds: vec![true],
            },
            count,
            priority: 0,
            worth: milli + 50,
        }
    }

    fn gains(classes: Vec<Class>, placed: &[usize]) -> bool {
        let gpu = GpuRoom {
            device: 0,
            compute: WHOLE_GPU,
            memory: Bytes(0),
            empty: true,
            tenant: None,
        };
        let put = |class: &usize| Put {
            class: *class,
            node: 0,
            gpus: vec![0],
        };
        may_gain(&Window {
            nodes: vec![Room {
                kind: 0,
                cpu: CpuMilli(10),
                memory: Bytes(10),
                slices: 10,
                gpus: vec![gpu],
            }],
            classes,
            start: placed.iter().map(put).collect(),
            seed: 0,
        })
    }

    #[test]
    fn equal_work_that_waits_for_a_full_gpu_gains_nothing() {
        assert!(!gains(vec![class(1000, 5)], &[0]));
        assert!(!gains(vec![class(500, 9)], &[0, 0]));
    }

    #[test]
    fn a_better_mix_may_gain() {
        assert!(gains(
            vec![class(500, 1), class(700, 1), class(300, 1)],
            &[0, 2]
        ));
    }
}
