//! How good a fit is, as an integer: the largest is taken. All of the packing policy is here.

use crate::packing::{Demand, GpuRoom, Gpus, Room};

/// What an empty GPU is worth that stays empty.
const EMPTY_GPU: u64 = 512;

/// Scores rooms for demands.
#[derive(Debug, Clone, Default)]
pub(super) struct Scorer {}

impl Scorer {
    /// How good a room is for a member; 0 if it does not fit.
    pub(super) fn value(&self, room: &Room, demand: &Demand) -> u16 {
        if !room.fits(demand) {
            return 0;
        }
        let share_on = (demand.gpus == Gpus::Share)
            .then(|| self.share_gpu(room, demand))
            .flatten();
        let empty = room.gpus.iter().filter(|gpu| gpu.empty).count() as u64;
        let gpus = match demand.gpus {
            Gpus::None => empty * EMPTY_GPU,
            Gpus::Whole(count) => empty.saturating_sub(count.into()) * EMPTY_GPU,
            Gpus::Share => share_on.map_or(0, |index| {
                let gpu = &room.gpus[index];
                let others = empty - u64::from(gpu.empty);
                others * EMPTY_GPU + left(gpu, demand)
            }),
        };
        let cost = gpus + room.cpu.minus(demand.cpu).0 / 1000;
        u16::MAX - u16::try_from(cost.min(u64::from(u16::MAX) - 1)).unwrap_or(u16::MAX - 1)
    }

    /// The best GPUs for a member; none if it does not fit.
    pub(super) fn gpus(&self, room: &Room, demand: &Demand) -> Option<Vec<usize>> {
        if !room.fits(demand) {
            return None;
        }
        match demand.gpus {
            Gpus::None => Some(Vec::new()),
            Gpus::Share => Some(vec![self.share_gpu(room, demand)?]),
            Gpus::Whole(count) => {
                let mut fitting: Vec<usize> = room.fitting(demand).collect();
                fitting.sort_by_key(|index| (room.gpus[*index].memory, *index));
                fitting.truncate(count as usize);
                Some(fitting)
            }
        }
    }

    fn share_gpu(&self, room: &Room, demand: &Demand) -> Option<usize> {
        let cost = |index: &usize| (left(&room.gpus[*index], demand), *index);
        room.fitting(demand).min_by_key(cost)
    }
}

fn left(gpu: &GpuRoom, demand: &Demand) -> u64 {
    let take = demand.take_of(gpu.device);
    let left = take.map_or(gpu.compute, |take| gpu.compute.minus(take.compute));
    let breaks = if gpu.empty { EMPTY_GPU } else { 0 };
    breaks + left.0 / 2
}
