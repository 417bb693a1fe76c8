//! Carries out the agent's effects in their order. What is not durable yet holds back all that
//! comes after it.

use super::{
    cycle::Cycle,
    worker::{Full, Order},
};
use crate::agent::{Effect, SpoolWrite};
use dovetail_model::id::{GpuUuid, SliceId};
use std::path::PathBuf;
use tracing::{debug, error};

impl Cycle {
    /// As far as it goes now: to a write that is under way, or to a worker that is full.
    pub(super) fn carry_out(&mut self) {
        while self.writing.is_none() {
            let Some(effect) = self.effects.pop_front() else {
                return;
            };
            if let Effect::Spool(write) = effect {
                self.write(write);
                continue;
            }
            if self.perform(&effect).is_err() {
                self.effects.push_front(effect);
                return;
            }
        }
    }

    /// Writes that follow each other become durable together.
    fn write(&mut self, first: SpoolWrite) {
        let mut batch = vec![first];
        while let Some(Effect::Spool(_)) = self.effects.front() {
            if let Some(Effect::Spool(write)) = self.effects.pop_front() {
                batch.push(write);
            }
        }
        self.writing = Some(dropped(&batch));
        self.disk.write(batch);
    }

    /// The batch under way is durable: files of ends that the scheduler has may go.
    pub(super) fn written(&mut self) {
        for slice in self.writing.take().into_iter().flatten() {
            if self.worker.order(Order::Forget(slice)).is_err() {
                debug!(%slice, "its record stays until the next start of the agent");
            }
        }
    }

    /// Fails if the worker takes no more now.
    fn perform(&self, effect: &Effect) -> Result<(), Full> {
        let order = match effect {
            Effect::Start(grant, epoch) => {
                let cluster = self.agent.cluster().cloned().unwrap_or_default();
                let devices = self.device_nodes(grant.placement.gpus.iter().map(|g| &g.uuid));
                Order::Start {
                    grant: grant.clone(),
                    cluster,
                    epoch: *epoch,
                    devices,
                }
            }
            Effect::Stop { slice, signal, .. } => Order::Stop(*slice, *signal),
            Effect::Kill(slice) => Order::Kill(*slice),
            Effect::Remove(slice) => Order::Remove(*slice),
            Effect::Send(report) => {
                self.outbox.put(report.clone());
                return Ok(());
            }
            Effect::Alert(text) => {
                error!("{text}");
                return Ok(());
            }
            Effect::Spool(_) => return Ok(()),
        };
        self.worker.order(order)
    }

    /// Device nodes of these GPUs; one without a node cannot be fenced in and is left to the start
    /// to complain about.
    fn device_nodes<'a>(&self, uuids: impl Iterator<Item = &'a GpuUuid>) -> Vec<PathBuf> {
        let facts = |uuid: &GpuUuid| {
            self.readings
                .iter()
                .find(|r| r.facts.uuid == *uuid)
                .map(|r| &r.facts)
        };
        uuids
            .filter_map(facts)
            .filter_map(|facts| facts.device_node(&self.dev_root))
            .collect()
    }
}

fn dropped(batch: &[SpoolWrite]) -> Vec<SliceId> {
    let slice = |write: &SpoolWrite| match write {
        SpoolWrite::DropExit(slice) => Some(*slice),
        SpoolWrite::Highest(..) | SpoolWrite::Exit(..) => None,
    };
    batch.iter().filter_map(slice).collect()
}
