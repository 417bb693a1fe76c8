//! What the mix and the prices say about one kind of node.

use super::{
    state::Need,
    table::{Table, Typical, WEIGHT_BITS},
};
use crate::packing::{Demand, Gpus, Mix, NodePrices, Room};
use dovetail_model::units::Bytes;

/// No slice is worth more than so many whole GPUs that everybody can use: a program with a great
/// shortage in one place must not drown every other term, or overflow a score.
const SLICE_MAX: i64 = 2000;

/// Free compute of a GPU at which prices end.
const PRICES: usize = 1001;

/// One kind of node.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    /// Devices of its GPUs, and the memory of one.
    pub(super) groups: Vec<(u32, Bytes)>,
    /// By group.
    pub(super) tables: Vec<Table>,
    /// Weight of the typical classes that use GPUs at all, here or elsewhere.
    pub(super) wanted: i64,
    /// GPU that the mix asks for, to so much CPU.
    gpu_per_cpu: (u64, u64),
    slices: Vec<i64>,
    core: u64,
    gib: u64,
}

impl Kind {
    pub(super) fn new(number: u32, empty: &Room, mix: &Mix, prices: Option<&NodePrices>) -> Self {
        let mut groups: Vec<(u32, Bytes)> = Vec::new();
        for gpu in &empty.gpus {
            if groups.iter().all(|(device, _)| *device != gpu.device) {
                groups.push((gpu.device, gpu.memory));
            }
        }
        let tables = groups.iter().map(|(device, memory)| {
            let typical = typical(mix, number, *device, *memory);
            Table::new(&typical)
        });
        let slice = |free: usize| {
            let price = prices.and_then(|prices| prices.slices.get(free));
            price.map_or(0, |price| i64::from(*price).min(SLICE_MAX))
        };
        Self {
            tables: tables.collect(),
            groups,
            wanted: wanted(mix),
            gpu_per_cpu: gpu_per_cpu(mix),
            slices: (0..PRICES).map(slice).collect(),
            core: prices.map_or(0, |prices| prices.core.into()),
            gib: prices.map_or(0, |prices| prices.gib.into()),
        }
    }

    /// What slices are worth in a GPU with so much room.
    pub(super) fn slices(&self, room: u16) -> i64 {
        self.slices[usize::from(room).min(PRICES - 1)]
    }

    /// What the CPU and memory of a member are worth.
    pub(super) fn host(&self, demand: &Demand) -> i64 {
        let cpu = demand.cpu.0.saturating_mul(self.core) / 1000;
        let memory = (u128::from(demand.memory.0) * u128::from(self.gib)) >> 30;
        let worth = u128::from(cpu) + memory;
        i64::try_from(worth).unwrap_or(i64::MAX).min(SLICE_MAX)
    }

    /// Compute that the mix would leave unused beside so much CPU.
    pub(super) fn stranded(&self, compute: i64, cpu: u64) -> i64 {
        let (gpu, per_cpu) = self.gpu_per_cpu;
        let fed = u128::from(cpu) * u128::from(gpu) / u128::from(per_cpu);
        let fed = i64::try_from(fed).unwrap_or(i64::MAX);
        compute.saturating_sub(fed).max(0)
    }
}

/// GPU that work with GPUs asks for, and the CPU it asks for with it.
fn gpu_per_cpu(mix: &Mix) -> (u64, u64) {
    let (mut gpu, mut cpu) = (0_u64, 0_u64);
    for (demand, weight) in &mix.classes {
        let Some(take) = demand.takes.iter().flatten().next() else {
            continue;
        };
        if demand.gpus == Gpus::None {
            continue;
        }
        let each = take.compute.times(demand.gpu_count().into());
        gpu = gpu.saturating_add(each.times(*weight).0);
        cpu = cpu.saturating_add(demand.cpu.times(*weight).0);
    }
    // Work that asks for no CPU strands no GPU.
    if cpu == 0 { (u64::MAX, 1) } else { (gpu, cpu) }
}

/// Weight of the typical classes that use GPUs, of all typical ones.
fn wanted(mix: &Mix) -> i64 {
    let weigh = weigher(mix);
    let with_gpus = mix
        .typical()
        .iter()
        .filter(|(demand, _)| demand.gpu_count() > 0);
    with_gpus.map(|(_, weight)| weigh(*weight)).sum()
}

/// The typical classes that use GPUs of this device on this kind, weighed against all of them.
fn typical(mix: &Mix, kind: u32, device: u32, memory: Bytes) -> Vec<Typical> {
    let weigh = weigher(mix);
    let usable = mix
        .typical()
        .iter()
        .filter(|(demand, _)| demand.may_go_to(kind));
    let seen = usable.filter_map(|(demand, weight)| {
        Some(Typical {
            cpu: demand.cpu.0,
            need: Need::of(demand, device, memory)?,
            weight: weigh(*weight),
        })
    });
    seen.collect()
}

/// Makes weights that add up to `1 << WEIGHT_BITS`, work without GPUs included.
fn weigher(mix: &Mix) -> impl Fn(u64) -> i64 {
    let weights = mix.typical().iter().map(|(_, weight)| u128::from(*weight));
    let total: u128 = weights.sum();
    move |weight| {
        let part = (u128::from(weight) << WEIGHT_BITS) / total.max(1);
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}
