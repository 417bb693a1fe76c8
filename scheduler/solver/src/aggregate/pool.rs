//! A pool: the room of several nodes together, its sizes of GPUs, of slices and of gangs.

use super::{
    Uses,
    knapsack::{COMPUTE_MAX, Item},
};
use dovetail_core::packing::{Demand, GpuRoom, Gpus, Room};
use std::collections::BTreeMap;

/// Different rooms of GPUs in a pool; beyond it they are put together. A GPU has a thousand.
const BINS_MAX: usize = 40;

/// Compute by which rooms of GPUs that are put together may differ, finest first.
const STEPS: [u64; 5] = [10, 20, 50, 100, 1000];

/// Nodes put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) kind: u32,
    pub(crate) nodes: u128,
    /// Of all nodes together.
    pub(crate) cpu: u128,
    /// Of all nodes together.
    pub(crate) memory: u128,
    /// Of all nodes together.
    pub(crate) slots: u128,
    /// Of the largest node, at least 1: the unit that rows and prices are in.
    pub(crate) cpu_unit: u64,
    /// Of the largest node, at least 1.
    pub(crate) memory_unit: u64,
    /// Of the node that has most.
    pub(crate) gpus_max: u32,
    pub(crate) bins: Vec<Bin>,
    pub(crate) slices: Vec<Slice>,
    pub(crate) gangs: Vec<Gang>,
}

/// Equal rooms of GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bin {
    pub(crate) device: u32,
    pub(crate) compute: u64,
    pub(crate) memory: u64,
    pub(crate) empty: bool,
    pub(crate) count: u128,
}

/// A size in which work takes a share of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slice {
    pub(crate) device: u32,
    pub(crate) compute: u64,
    pub(crate) memory: u64,
}

/// Members that take at least so many whole GPUs: how many of them there is room for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gang {
    pub(crate) gpus: u32,
    pub(crate) places: u128,
}

impl Bin {
    /// The pool's slices as items of this bin; what does not fit in it is worth nothing.
    pub(crate) fn items(&self, slices: &[Slice], prices: &[u64]) -> Vec<Item> {
        let item = |(slice, price): (&Slice, &u64)| Item {
            compute: slice.compute,
            memory: slice.memory,
            price: if self.takes(slice) { *price } else { 0 },
        };
        slices.iter().zip(prices).map(item).collect()
    }

    /// Whether there is room for so many of each slice together.
    pub(crate) fn holds(&self, slices: &[Slice], counts: &[u32]) -> bool {
        let used = || slices.iter().zip(counts).filter(|(_, count)| **count > 0);
        let sum = |of: &dyn Fn(&Slice) -> u64| -> u128 {
            used()
                .map(|(slice, count)| u128::from(of(slice)) * u128::from(*count))
                .sum()
        };
        used().all(|(slice, _)| self.takes(slice))
            && sum(&|slice| slice.compute) <= u128::from(self.compute)
            && sum(&|slice| slice.memory) <= u128::from(self.memory)
    }

    pub(crate) fn takes(&self, slice: &Slice) -> bool {
        slice.device == self.device && slice.compute <= self.compute && slice.memory <= self.memory
    }
}

impl Pool {
    pub(super) fn of(rooms: &[&(Room, u64)]) -> Self {
        let mut pool = Self {
            kind: rooms.first().map_or(0, |(room, _)| room.kind),
            cpu_unit: 1,
            memory_unit: 1,
            ..Self::default()
        };
        let mut bins = BTreeMap::new();
        for (room, count) in rooms {
            let count = u128::from(*count);
            let add = |to: &mut u128, each: u64| {
                *to = to.saturating_add(u128::from(each).saturating_mul(count));
            };
            add(&mut pool.nodes, 1);
            add(&mut pool.cpu, room.cpu.0);
            add(&mut pool.memory, room.memory.0);
            add(&mut pool.slots, room.slices.into());
            pool.cpu_unit = pool.cpu_unit.max(room.cpu.0);
            pool.memory_unit = pool.memory_unit.max(room.memory.0);
            let gpus = u32::try_from(room.gpus.len()).unwrap_or(u32::MAX);
            pool.gpus_max = pool.gpus_max.max(gpus);
            for gpu in &room.gpus {
                *bins.entry(bin_of(gpu)).or_insert(0) += count;
            }
        }
        let bin = |(bin, count)| Bin { count, ..bin };
        pool.bins = coarse(bins.into_iter().map(bin).collect());
        pool
    }

    /// The ways of a demand that fits on some node of the pool.
    pub(super) fn uses(&self, demand: &Demand) -> Vec<Uses> {
        let whole = |count| {
            let will_do = |bin: &Bin| bin.empty && demand.take_of(bin.device).is_some();
            let bins = self.bins.iter().enumerate();
            let bins = bins.filter(move |(_, bin)| will_do(bin));
            bins.map(move |(bin, _)| Uses::Whole { bin, count })
        };
        match demand.gpus {
            Gpus::None => vec![Uses::Nothing],
            Gpus::Whole(count) => whole(count).collect(),
            // A share of nothing asks for no room on any GPU.
            Gpus::Share if self.shares_nothing(demand) => vec![Uses::Nothing],
            Gpus::Share => {
                let slices = self.slices.iter().enumerate();
                let own = slices.filter(|(_, slice)| is_take(slice, demand));
                own.map(|(slice, _)| Uses::Slice(slice)).collect()
            }
        }
    }

    fn shares_nothing(&self, demand: &Demand) -> bool {
        let takes = self
            .bins
            .iter()
            .filter_map(|bin| demand.take_of(bin.device));
        takes
            .into_iter()
            .any(|take| take.compute.0 == 0 && take.memory.0 == 0)
    }
}

fn bin_of(gpu: &GpuRoom) -> Bin {
    Bin {
        device: gpu.device,
        compute: gpu.compute.0.min(COMPUTE_MAX as u64),
        memory: gpu.memory.0,
        empty: gpu.empty,
        count: 0,
    }
}

/// At most `BINS_MAX` bins, if there are more: rooms that are nearly equal become equal to the
/// largest of them, so that whatever fits still does.
fn coarse(bins: Vec<Bin>) -> Vec<Bin> {
    let mut coarse = bins;
    for step in STEPS {
        if coarse.len() <= BINS_MAX {
            break;
        }
        let mut merged: BTreeMap<(u32, bool, u64), Bin> = BTreeMap::new();
        for bin in &coarse {
            let key = (bin.device, bin.empty, bin.compute.div_ceil(step));
            let into = merged.entry(key).or_insert(Bin { count: 0, ..*bin });
            into.compute = into.compute.max(bin.compute);
            into.memory = into.memory.max(bin.memory);
            into.count = into.count.saturating_add(bin.count);
        }
        coarse = merged.into_values().collect();
    }
    coarse
}

fn is_take(slice: &Slice, demand: &Demand) -> bool {
    let take = demand.take_of(slice.device);
    take.is_some_and(|t| t.compute.0 == slice.compute && t.memory.0 == slice.memory)
}

/// Slices of the fitting shares that some bin takes.
pub(super) fn slices_of(bins: &[Bin], fitting: &[(usize, &Demand)]) -> Vec<Slice> {
    let mut slices = Vec::new();
    for (_, demand) in fitting.iter().filter(|(_, d)| d.gpus == Gpus::Share) {
        for bin in bins {
            let slice = demand.take_of(bin.device).map(|take| Slice {
                device: bin.device,
                compute: take.compute.0,
                memory: take.memory.0,
            });
            slices.extend(slice.filter(|slice| bin.takes(slice)));
        }
    }
    slices.sort_unstable();
    slices.dedup();
    slices
}

/// A node with 8 empty GPUs has room for one member that takes 5 or more, and for two that take
/// 3 or more.
pub(super) fn gangs_of(rooms: &[&(Room, u64)], fitting: &[(usize, &Demand)]) -> Vec<Gang> {
    let counts = fitting.iter().filter_map(|(_, demand)| match demand.gpus {
        Gpus::Whole(count) if count > 1 => Some(count),
        Gpus::Whole(_) | Gpus::Share | Gpus::None => None,
    });
    let mut counts: Vec<u32> = counts.collect();
    counts.sort_unstable();
    counts.dedup();
    let places = |gpus: u32| {
        let of = |(room, count): &&(Room, u64)| {
            let empty = room.gpus.iter().filter(|gpu| gpu.empty).count();
            (empty / gpus as usize) as u128 * u128::from(*count)
        };
        rooms.iter().map(of).sum()
    };
    let gang = |gpus| Gang {
        gpus,
        places: places(gpus),
    };
    counts.into_iter().map(gang).collect()
}
