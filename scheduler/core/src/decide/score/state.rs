//! Distinct states of the GPUs of a node: equal ones are scored once.

use crate::packing::{Demand, GpuRoom, Gpus, Room};
use dovetail_model::units::{Bytes, WHOLE_GPU};

/// Room of a GPU that can be given whole: one more than the most that a share can ask for.
pub(super) const WHOLE_ONE: u16 = 1001;

/// What a class asks of each of its GPUs, and of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) gpus: u32,
    pub(super) room: u16,
}

impl Need {
    /// What `demand` asks of GPUs of this device, which have so much memory.
    pub(super) fn of(demand: &Demand, device: u32, memory_total: Bytes) -> Option<Self> {
        let take = demand.take_of(device)?;
        let room = match demand.gpus {
            Gpus::None => return None,
            Gpus::Whole(_) => WHOLE_ONE,
            Gpus::Share => {
                let memory = part(take.memory.0, memory_total.0, true);
                memory.max(milli(take.compute.0))
            }
        };
        let gpus = demand.gpu_count();
        Some(Self { gpus, room })
    }
}

/// GPUs of a node that are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Which ones, as bits by index.
    pub(super) gpus: u64,
    /// What is free, as it is.
    pub(super) gpu: GpuRoom,
    /// Position of its device among those of the kind.
    pub(super) group: usize,
    /// Compute free: what is lost if nobody can use it.
    pub(super) compute: i64,
    /// What a share can get at most, in thousandths of compute and of memory.
    pub(super) room: u16,
}

impl State {
    /// The same GPUs when a member has taken its part of each.
    pub(super) fn after(self, demand: &Demand, memory_total: Bytes) -> Self {
        let mut gpu = self.gpu;
        gpu.take(demand);
        Self::new(self.gpus, self.group, gpu, memory_total)
    }

    /// How many they are.
    pub(super) fn count(self) -> i64 {
        self.gpus.count_ones().into()
    }

    /// The first of them, at most so many, as bits by index.
    pub(super) fn first(self, count: u32) -> u64 {
        let mut rest = self.gpus;
        for _ in 0..count.min(u64::BITS) {
            rest &= rest.wrapping_sub(1);
        }
        self.gpus & !rest
    }

    fn new(gpus: u64, group: usize, gpu: GpuRoom, memory_total: Bytes) -> Self {
        let memory = part(gpu.memory.0, memory_total.0, false);
        let room = if gpu.empty {
            WHOLE_ONE
        } else {
            memory.min(milli(gpu.compute.0))
        };
        Self {
            gpus,
            gpu,
            group,
            compute: milli(gpu.compute.0).into(),
            room,
        }
    }
}

/// The states of the GPUs that have a place among the groups, in the order of their first GPU.
pub(super) fn of(room: &Room, groups: &[(u32, Bytes)]) -> Vec<State> {
    let mut states: Vec<State> = Vec::with_capacity(room.gpus.len());
    for (index, gpu) in (0..u64::BITS).zip(&room.gpus) {
        let bit = 1 << index;
        if let Some(same) = states.iter_mut().find(|state| state.gpu == *gpu) {
            same.gpus |= bit;
            continue;
        }
        let group = groups.iter().position(|(device, _)| *device == gpu.device);
        if let Some(group) = group {
            states.push(State::new(bit, group, *gpu, groups[group].1));
        }
    }
    states
}

fn milli(compute: u64) -> u16 {
    u16::try_from(compute.min(WHOLE_GPU.0)).unwrap_or(WHOLE_ONE - 1)
}

/// A part in thousandths, rounded against whoever wants it: needs up, room down.
fn part(part: u64, whole: u64, up: bool) -> u16 {
    // More than that is no memory of a GPU, and a division of 64 bits is several times as fast.
    let (scaled, whole) = (part.saturating_mul(1000), whole.max(1));
    milli(if up {
        scaled.div_ceil(whole)
    } else {
        scaled / whole
    })
}
