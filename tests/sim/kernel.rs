//! A model of one host's kernel and disk: what exists there survives the agent, and what is on
//! the disk survives the host.

use dovetail_agent::agent::{Found, SpoolWrite};
use dovetail_model::{
    grant::Grant,
    id::{BootId, ClusterId, Epoch, SliceId},
    report::{ExitCause, ExitRecord},
    resources::Level,
    time::Now,
};
use std::collections::BTreeMap;

/// A slice in the kernel.
#[derive(Debug, Clone)]
pub(crate) struct KernelSlice {
    pub(crate) grant: Grant,
    pub(crate) cluster: ClusterId,
    pub(crate) epoch: Epoch,
    /// How its process ended, as the supervisor wrote it down.
    pub(crate) exit: Option<ExitRecord>,
}

#[derive(Debug, Default)]
pub(crate) struct Kernel {
    pub(crate) boot: u64,
    pub(crate) slices: BTreeMap<SliceId, KernelSlice>,
    /// The agent's spool.
    pub(crate) highest: Option<(ClusterId, Epoch)>,
    pub(crate) exits: BTreeMap<SliceId, ExitRecord>,
}

impl Kernel {
    pub(crate) fn boot_id(&self) -> BootId {
        BootId(format!("boot-{}", self.boot).into())
    }

    /// Power is gone: processes and cgroups with it, the disk stays.
    pub(crate) fn reboot(&mut self) {
        self.boot += 1;
        self.slices.clear();
    }

    pub(crate) fn spool(&mut self, write: SpoolWrite) {
        match write {
            SpoolWrite::Highest(cluster, epoch) => self.highest = Some((cluster, epoch)),
            SpoolWrite::Exit(slice, record) => {
                self.exits.insert(slice, record);
            }
            SpoolWrite::DropExit(slice) => {
                self.exits.remove(&slice);
            }
        }
    }

    /// What a new agent finds.
    pub(crate) fn found(&self) -> Vec<Found> {
        let found = |slice: &KernelSlice| Found {
            placement: slice.grant.placement.clone(),
            cluster: slice.cluster.clone(),
            epoch: slice.epoch,
            level: Level::Shared,
            exit: slice.exit.clone(),
        };
        self.slices.values().map(found).collect()
    }

    /// The process ends; the first end counts. The record, if this was it.
    pub(crate) fn end(&mut self, slice: SliceId, cause: ExitCause, now: Now) -> Option<ExitRecord> {
        let known = self
            .slices
            .get_mut(&slice)
            .filter(|known| known.exit.is_none())?;
        let record = ExitRecord {
            cause,
            started_at: None,
            ended_at: now.wall(),
            output_tail: String::new(),
        };
        known.exit = Some(record.clone());
        Some(record)
    }
}
