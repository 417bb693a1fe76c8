//! What is expected, weighed: the typical classes of a mix.

use super::{
    state::Need,
    table::{Typical, WEIGHT_BITS},
};
use crate::packing::{Demand, Gpus, Mix};
use dovetail_model::units::Bytes;

/// The mix as all kinds of nodes see it.
#[derive(Debug)]
pub(super) struct Work {
    /// Typical classes; the weights add up to at most `1 << WEIGHT_BITS`, work without GPUs
    /// included.
    typical: Vec<(Demand, i64)>,
    /// Weight of those that use GPUs, wherever they can.
    pub(super) wanted: i64,
    /// GPU that work with GPUs asks for, to so much CPU.
    pub(super) gpu_per_cpu: (u64, u64),
}

impl Work {
    pub(super) fn of(mix: &Mix) -> Self {
        let typical = mix.typical();
        let total: u128 = typical.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let weigh = |weight: u64| {
            let part = (u128::from(weight) << WEIGHT_BITS) / total.max(1);
            i64::try_from(part).unwrap_or(0)
        };
        let weighed = typical.into_iter();
        let weighed = weighed.map(|(demand, weight)| (demand, weigh(weight)));
        let typical: Vec<(Demand, i64)> = weighed.collect();
        let with_gpus = typical.iter().filter(|(demand, _)| demand.gpu_count() > 0);
        Self {
            wanted: with_gpus.map(|(_, weight)| weight).sum(),
            gpu_per_cpu: gpu_per_cpu(mix),
            typical,
        }
    }

    /// The typical classes that use GPUs of this device on this kind of node.
    pub(super) fn on(&self, kind: u32, device: u32, memory: Bytes) -> Vec<Typical> {
        let typical = self.typical.iter();
        let usable = typical.filter(|(demand, _)| demand.may_go_to(kind));
        let seen = usable.filter_map(|(demand, weight)| {
            Some(Typical {
                cpu: demand.cpu.0,
                need: Need::of(demand, device, memory)?,
                weight: *weight,
            })
        });
        seen.collect()
    }
}

fn gpu_per_cpu(mix: &Mix) -> (u64, u64) {
    let (mut gpu, mut cpu) = (0_u64, 0_u64);
    for (demand, weight) in &mix.classes {
        if let Some(take) = demand.takes.iter().flatten().next()
            && demand.gpus != Gpus::None
        {
            let each = take.compute.times(demand.gpu_count().into());
            gpu = gpu.saturating_add(each.times(*weight).0);
            cpu = cpu.saturating_add(demand.cpu.times(*weight).0);
        }
    }
    // Work that asks for no CPU strands no GPU.
    if cpu == 0 { (u64::MAX, 1) } else { (gpu, cpu) }
}
