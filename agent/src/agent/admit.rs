//! The node's own check that a slice fits: the second wall behind the scheduler's.

use dovetail_model::{
    gpu::{GpuHealth, GpuInfo},
    grant::{GpuGrant, Placement},
    id::GpuUuid,
    node::Inventory,
    resources::Level,
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
};
use std::{collections::BTreeMap, fmt::Display};

/// What becomes of a grant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fits,
    /// It will fit when what is leaving has left.
    Waits,
    Never(String),
}

/// Sums of what slices hold.
#[derive(Debug, Default)]
struct Sums {
    cpu: CpuMilli,
    memory: Bytes,
    gpus: BTreeMap<GpuUuid, (GpuMilli, Bytes)>,
}

impl Sums {
    fn add(&mut self, placement: &Placement) {
        self.cpu = self.cpu.plus(placement.cpu);
        self.memory = self.memory.plus(placement.memory);
        for gpu in &placement.gpus {
            let sum = self.gpus.entry(gpu.uuid.clone()).or_default();
            *sum = (sum.0.plus(gpu.compute), sum.1.plus(gpu.memory));
        }
    }
}

/// What the node has, and what of it is held.
#[derive(Debug)]
pub(super) struct Room<'a> {
    inventory: &'a Inventory,
    staying: Sums,
    all: Sums,
}

impl<'a> Room<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        Self {
            inventory,
            staying: Sums::default(),
            all: Sums::default(),
        }
    }

    pub(super) fn take(&mut self, placement: &Placement, leaving: bool) {
        self.all.add(placement);
        if !leaving {
            self.staying.add(placement);
        }
    }

    pub(super) fn admit(&self, placement: &Placement, minimum: Level) -> Verdict {
        if let Err(why) = self.can_ever(placement, minimum) {
            return Verdict::Never(why);
        }
        let answering = |gpu: &GpuGrant| {
            self.gpu(&gpu.uuid)
                .is_some_and(|info| info.health == GpuHealth::Ok)
        };
        if self.fits(&self.all, placement).is_ok() && placement.gpus.iter().all(answering) {
            Verdict::Fits
        } else {
            Verdict::Waits
        }
    }

    fn can_ever(&self, placement: &Placement, minimum: Level) -> Result<(), String> {
        for gpu in &placement.gpus {
            let (uuid, index) = (&gpu.uuid, gpu.index);
            let Some(info) = self.gpu(uuid) else {
                return Err(format!("this node has no GPU {uuid} (index {index})"));
            };
            if info.health == GpuHealth::Lost {
                return Err(format!("GPU {index} ({uuid}) is lost"));
            }
        }
        self.fits(&self.staying, placement)?;
        let offered = self.level(placement);
        if offered < minimum {
            return Err(format!(
                "this node offers enforcement level {offered}, asked for is at least {minimum}"
            ));
        }
        Ok(())
    }

    fn fits(&self, held: &Sums, placement: &Placement) -> Result<(), String> {
        let inventory = self.inventory;
        within("CPU", held.cpu.plus(placement.cpu), inventory.cpu)?;
        within(
            "memory",
            held.memory.plus(placement.memory),
            inventory.memory,
        )?;
        // One placement may name a GPU twice.
        let mut asked = Sums::default();
        asked.add(placement);
        for (uuid, (compute, memory)) in &asked.gpus {
            let (milli, bytes) = held.gpus.get(uuid).copied().unwrap_or_default();
            let device = self.gpu(uuid).map_or(Bytes::ZERO, |info| info.memory);
            within(&format!("GPU {uuid}"), milli.plus(*compute), WHOLE_GPU)?;
            within(
                &format!("memory of GPU {uuid}"),
                bytes.plus(*memory),
                device,
            )?;
        }
        Ok(())
    }

    /// The strongest enforcement this placement can have here.
    fn level(&self, placement: &Placement) -> Level {
        let whole = |gpu: &&GpuGrant| gpu.compute == WHOLE_GPU;
        let of = |gpu: &GpuGrant| {
            let info = self.gpu(&gpu.uuid)?;
            Some(if whole(&gpu) {
                info.whole_level
            } else {
                info.share_level
            })
        };
        let weakest = placement.gpus.iter().filter_map(of).min();
        weakest.unwrap_or(self.inventory.level)
    }

    fn gpu(&self, uuid: &GpuUuid) -> Option<&GpuInfo> {
        self.inventory.gpus.iter().find(|gpu| gpu.uuid == *uuid)
    }
}

fn within<Q: PartialOrd + Display>(what: &str, total: Q, most: Q) -> Result<(), String> {
    if total <= most {
        Ok(())
    } else {
        Err(format!(
            "{what} would be over-allocated: {total} of {most} with what is held already"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::{inventory, placement};

    fn share(compute: u64, memory: u64) -> Placement {
        let mut placement = placement(1, 0);
        placement.gpus[0].compute = GpuMilli(compute);
        placement.gpus[0].memory = Bytes(memory);
        placement
    }

    #[test]
    fn a_gpu_is_never_given_more_than_once() {
        let inventory = inventory();
        let device = inventory.gpus[0].memory.0;
        let mut room = Room::of(&inventory);
        room.take(&share(700, 1), false);
        let verdict = |p: &Placement| room.admit(p, Level::None);
        assert_eq!(verdict(&share(300, device - 1)), Verdict::Fits);
        for (compute, memory) in [(301, 1), (300, device)] {
            let verdict = verdict(&share(compute, memory));
            assert!(matches!(&verdict, Verdict::Never(why) if why.contains("over-allocated")));
        }
    }

    #[test]
    fn what_a_leaving_slice_holds_is_waited_for() {
        let inventory = inventory();
        let mut room = Room::of(&inventory);
        room.take(&share(700, 1), true);
        assert_eq!(room.admit(&share(301, 1), Level::None), Verdict::Waits);
    }

    #[test]
    fn a_lost_or_unknown_gpu_is_refused_and_a_silent_one_waited_for() {
        let mut inventory = inventory();
        inventory.gpus[0].health = GpuHealth::Unresponsive;
        let admit =
            |inventory: &Inventory, p: &Placement| Room::of(inventory).admit(p, Level::None);
        assert_eq!(admit(&inventory, &share(1, 1)), Verdict::Waits);
        inventory.gpus[0].health = GpuHealth::Lost;
        assert!(matches!(admit(&inventory, &share(1, 1)), Verdict::Never(_)));
        let mut unknown = share(1, 1);
        unknown.gpus[0].uuid = GpuUuid("GPU-other".into());
        assert!(matches!(admit(&inventory, &unknown), Verdict::Never(_)));
    }

    #[test]
    fn a_level_the_node_does_not_offer_is_refused() {
        let inventory = inventory();
        let room = Room::of(&inventory);
        assert_eq!(room.admit(&share(1, 1), Level::Shared), Verdict::Fits);
        assert!(matches!(
            room.admit(&share(1, 1), Level::Hard),
            Verdict::Never(_)
        ));
        assert_eq!(room.admit(&share(1000, 1), Level::Isolated), Verdict::Fits);
    }
}
