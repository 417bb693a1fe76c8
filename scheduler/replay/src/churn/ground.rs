//! The replayed cluster as the repair search sees and changes it.

use super::population::Population;
use crate::{
    cluster::{Cluster, Decision, PODS_PER_NODE_MAX, TakeError},
    demand::Demand,
    policy::Policy,
    trace::{NodeRow, Trace},
};
use dovetail_core::{
    decide::repair::Placer,
    packing::{self, GpuRoom, Gpus, Room, Take},
    problem::exact::Slot,
};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};

/// The traces say nothing of GPU memory, and so each thousandth of a GPU has one part of it.
const GPU_MEMORY: Bytes = Bytes(1000);

/// Everything that a move changes.
pub(super) struct Ground<'a> {
    pub(super) classes: &'a [Demand],
    pub(super) cluster: &'a mut Cluster,
    pub(super) policy: &'a mut dyn Policy,
    pub(super) population: &'a mut Population,
    pub(super) now: u64,
}

impl Placer for Ground<'_> {
    fn best(&mut self, class: usize) -> Option<Slot> {
        let decision = self.policy.decide(self.cluster, class)?;
        Some(slot(decision))
    }

    fn came(&mut self, class: usize, at: &Slot) {
        let taken = self.take(class, decision(at));
        taken.expect("the search puts nobody where there is no room");
    }

    fn left(&mut self, class: usize, at: &Slot) {
        let decision = decision(at);
        self.cluster.release(&self.classes[class], decision);
        self.policy.removed(self.cluster, class, decision);
    }
}

impl Ground<'_> {
    /// A pod leaves where it is and comes there, only if the room is there.
    pub(super) fn switch(
        &mut self,
        class: usize,
        from: Decision,
        to: Decision,
    ) -> Result<(), TakeError> {
        self.cluster.release(&self.classes[class], from);
        self.policy.removed(self.cluster, class, from);
        self.take(class, to)
    }

    pub(super) fn take(&mut self, class: usize, decision: Decision) -> Result<(), TakeError> {
        self.cluster.take(&self.classes[class], decision)?;
        self.policy.placed(self.cluster, class, decision);
        Ok(())
    }
}

pub(super) fn slot(decision: Decision) -> Slot {
    Slot {
        node: decision.node,
        gpus: decision.gpus.indices().collect(),
    }
}

pub(super) fn decision(slot: &Slot) -> Decision {
    Decision {
        node: slot.node,
        gpus: slot.gpus.iter().copied().collect(),
    }
}

/// Every node when it is empty. GPUs of a model are one kind of node and one device.
pub(crate) fn rooms(trace: &Trace) -> Vec<Room> {
    trace.nodes.iter().map(room).collect()
}

fn room(row: &NodeRow) -> Room {
    let gpu = GpuRoom {
        device: row.model.into(),
        compute: WHOLE_GPU,
        memory: GPU_MEMORY,
        empty: true,
        tenant: None,
    };
    Room {
        kind: row.model.into(),
        cpu: CpuMilli(row.cpu_milli),
        memory: Bytes(row.memory_mib),
        slices: PODS_PER_NODE_MAX.into(),
        gpus: vec![gpu; row.gpus.into()],
    }
}

/// What each class takes, in the core's terms.
pub(crate) fn classes(trace: &Trace) -> Vec<packing::Demand> {
    let models = u8::try_from(trace.models.len()).expect("models are numbered with a byte");
    let class = |demand: &Demand| {
        let milli = u64::from(demand.gpu_milli);
        let take = Take {
            compute: GpuMilli(milli),
            memory: Bytes(milli),
        };
        let good = |model: u8| demand.gpus == 0 || demand.models.has(model);
        packing::Demand {
            cpu: CpuMilli(demand.cpu_milli),
            memory: Bytes(demand.memory_mib),
            tenant: 0,
            gpus: match demand.gpus {
                0 => Gpus::None,
                _ if demand.is_share() => Gpus::Share,
                count => Gpus::Whole(count.into()),
            },
            takes: (0..models)
                .map(|model| (demand.gpus > 0 && good(model)).then_some(take))
                .collect(),
            kinds: (0..models.max(1)).map(good).collect(),
        }
    };
    trace.classes.iter().map(class).collect()
}
