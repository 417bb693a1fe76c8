//! Ending a workload because somebody asked.

use super::{Done, Engine, Later, resolve::Asked, session::evicted};
use crate::{
    effect::Refusal,
    event::{End, Event},
    input::WorkloadRef,
};
use dovetail_model::{
    id::{SliceId, WorkloadId},
    time::Now,
};

impl Engine {
    pub(super) fn cancel(
        &mut self,
        asked: Asked<'_>,
        reference: &WorkloadRef,
    ) -> Result<Done, Refusal> {
        if let Some(done) = self.seen(&asked, None)? {
            return Ok(done);
        }
        self.expect_revision(asked.mutation.expected_revision)?;
        let workload = self.resolve(asked.caller, reference)?;
        let (id, live, pending) = (workload.id, workload.is_live(), workload.is_pending());
        if asked.mutation.validate_only {
            return Ok(Done::Checked);
        }
        if live {
            let now = asked.now;
            let request = asked.into_key();
            self.record(Event::CancelAsked {
                workload: id,
                request,
            });
            if pending {
                self.end(id, End::Cancelled, now);
            } else {
                self.release_all(id, now);
            }
        }
        Ok(Done::Later(Later::Workload(id)))
    }

    /// Tells every member that still holds a place to stop.
    pub(super) fn release_all(&mut self, id: WorkloadId, now: Now) {
        let Some(workload) = self.state.workload(id) else {
            return;
        };
        let held = workload
            .members
            .iter()
            .filter(|m| m.holds_place() && m.released.is_none());
        let slices: Vec<SliceId> = held.map(|m| m.placement.slice).collect();
        if slices.is_empty() {
            return;
        }
        for slice in &slices {
            let node = self.state.member(*slice).map(|m| m.placement.node.clone());
            node.into_iter().for_each(|node| self.touch(*slice, &node));
        }
        self.start_by.remove(&id);
        self.record(Event::Released {
            slices: slices.clone(),
        });
        // A planted bug for the simulator to find: a place is free before the node has confirmed.
        if cfg!(feature = "bug_free_without_confirmation") {
            for slice in slices {
                let node = self.state.member(slice).map(|m| m.placement.node.clone());
                node.into_iter()
                    .for_each(|node| self.slice_ended(slice, &node, evicted(now)));
            }
        }
    }
}
