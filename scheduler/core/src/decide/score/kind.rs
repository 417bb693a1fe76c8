//! What the mix and the prices say about one kind of node.

use super::{table::Table, work::Work};
use crate::packing::{Demand, NodePrices, Room};
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
    /// GPU that the mix asks for, to so much CPU; small, for a division of 64 bits is several
    /// times as fast as one of 128.
    gpu_per_cpu: (u64, u64),
    slices: Vec<i64>,
    core: u64,
    gib: u64,
}

impl Kind {
    pub(super) fn new(number: u32, empty: &Room, work: &Work, prices: Option<&NodePrices>) -> Self {
        let mut groups: Vec<(u32, Bytes)> = Vec::new();
        for gpu in &empty.gpus {
            if groups.iter().all(|(device, _)| *device != gpu.device) {
                groups.push((gpu.device, gpu.memory));
            }
        }
        let tables = groups
            .iter()
            .map(|(device, memory)| Table::new(&work.on(number, *device, *memory)));
        let slice = |free: usize| {
            let price = prices.and_then(|prices| prices.slices.get(free));
            price.map_or(0, |price| i64::from(*price).min(SLICE_MAX))
        };
        Self {
            tables: tables.collect(),
            groups,
            wanted: work.wanted,
            gpu_per_cpu: small(work.gpu_per_cpu),
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

    /// Compute that the mix uses beside so much CPU.
    pub(super) fn fed(&self, cpu: u64) -> i64 {
        let (gpu, per_cpu) = self.gpu_per_cpu;
        i64::try_from(cpu.saturating_mul(gpu) / per_cpu).unwrap_or(i64::MAX)
    }
}

/// About the same ratio, of numbers that can be multiplied by any host's CPU.
fn small((gpu, per_cpu): (u64, u64)) -> (u64, u64) {
    let bits = u64::BITS - (gpu | per_cpu).leading_zeros();
    let shift = bits.saturating_sub(u32::BITS);
    (gpu >> shift, (per_cpu >> shift).max(1))
}
