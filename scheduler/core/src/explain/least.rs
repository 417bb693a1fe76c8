//! How far a node is at least from taking a member, told from its kind and its room: nodes that
//! are farther than another need not be asked for their reasons.

use super::nearest::{FIXED, NOTHING_FREE, lack, short};
use crate::{
    decide::{Ask, rule},
    packing::{Demand, GpuRoom, Gpus, Room},
    policy::Policy,
    view::NodeView,
};
use dovetail_model::reason::Reason;

/// What no free room cures on nodes of a kind.
pub(super) struct Least {
    distance: u64,
    /// By index: GPUs that will never do.
    never: Vec<bool>,
}

impl Least {
    /// `empty` is such a node with nothing on it.
    pub(super) fn of(empty: &NodeView, ask: &Ask<'_>, policy: &Policy) -> Self {
        let of_gpus = |reason: &Reason| {
            matches!(
                reason,
                Reason::NoGpuFits { .. } | Reason::InsufficientWholeGpus { .. }
            )
        };
        let reasons = rule::refusals(empty, ask, policy);
        let others = reasons.iter().filter(|reason| !of_gpus(reason));
        let never = |gpu| {
            let request = ask.resources().gpu.as_ref()?;
            let refusal = rule::gpu_refusal(gpu, request, ask, policy)?;
            Some(lack(&refusal) >= FIXED)
        };
        Self {
            distance: others.map(lack).sum(),
            never: (empty.gpus.iter())
                .map(|gpu| never(gpu).unwrap_or(false))
                .collect(),
        }
    }

    /// At most the distance that the node's reasons add up to.
    pub(super) fn distance(&self, room: &Room, demand: &Demand) -> u64 {
        let slices = if room.slices == 0 { NOTHING_FREE } else { 0 };
        let host = short(demand.cpu.0, room.cpu.0) + short(demand.memory.0, room.memory.0);
        self.distance + slices + host + self.gpus(room, demand)
    }

    fn gpus(&self, room: &Room, demand: &Demand) -> u64 {
        let gpus = || room.gpus.iter().zip(&self.never);
        match demand.gpus {
            Gpus::None => 0,
            // That there is no GPU at all is in the distance of the kind.
            _ if room.gpus.is_empty() => 0,
            Gpus::Whole(count) => {
                let fitting = gpus().filter(|(gpu, _)| gpu.fits(demand));
                short(count.into(), fitting.count() as u64)
            }
            Gpus::Share => {
                let lacks =
                    gpus().map(|(gpu, never)| if *never { FIXED } else { least(gpu, demand) });
                lacks.min().unwrap_or(0)
            }
        }
    }
}

/// How much a GPU lacks for a share.
fn least(gpu: &GpuRoom, demand: &Demand) -> u64 {
    // More than the whole GPU is asked for: how much it lacks is the rules' to say.
    let Some(take) = demand.take_of(gpu.device) else {
        return 0;
    };
    let compute = short(take.compute.0, gpu.compute.0);
    // Memory is looked at when there is compute enough.
    if compute > 0 {
        compute
    } else {
        short(take.memory.0, gpu.memory.0)
    }
}
