//! Acts on the difference between what shall be and what exists.

use super::{
    Agent, Effect, SpoolWrite,
    admit::{Room, Verdict},
    slice::{Ended, Slice, not_started},
};
use dovetail_model::{
    grant::Grant, id::SliceId, node::SLICES_MAX, report::ExitRecord, resources::Level, time::Now,
};

impl Agent {
    pub(super) fn reconcile(&mut self, now: Now) {
        self.remove_ended();
        let before = std::mem::take(&mut self.waiting);
        self.start_wanted(now);
        if self.waiting != before {
            self.unreported = true;
        }
    }

    /// Starts what fits, in the order of ids; the rest waits, or has failed.
    fn start_wanted(&mut self, now: Now) {
        if self.wanted.is_empty() {
            return;
        }
        // Before the first inventory nothing is known to fit.
        let Some(inventory) = self.inventory.clone() else {
            self.waiting = self.wanted.keys().copied().collect();
            return;
        };
        let mut room = Room::of(&inventory);
        for slice in self.slices.values() {
            room.take(&slice.placement, slice.is_leaving());
        }
        for found in &self.foreign {
            room.take(&found.placement, false);
        }
        for (id, grant) in std::mem::take(&mut self.wanted) {
            match self.verdict(&room, &grant) {
                Verdict::Fits => {
                    room.take(&grant.placement, false);
                    self.start(id, grant);
                }
                Verdict::Waits => {
                    self.waiting.insert(id);
                    self.wanted.insert(id, grant);
                }
                Verdict::Never(why) => self.refuse(id, not_started(why, now)),
            }
        }
    }

    fn verdict(&self, room: &Room<'_>, grant: &Grant) -> Verdict {
        let placement = &grant.placement;
        if placement.node != self.config.node {
            let (there, here) = (&placement.node, &self.config.node);
            return Verdict::Never(format!("granted on node {there}, this is node {here}"));
        }
        // A report names them all.
        if self.slices.len() + self.exits.len() >= SLICES_MAX {
            return Verdict::Waits;
        }
        room.admit(placement, grant.spec.resources.minimum_level)
    }

    fn start(&mut self, id: SliceId, grant: Grant) {
        let epoch = self.highest.as_ref().map(|(_, e)| *e).unwrap_or_default();
        self.slices.insert(id, Slice::starting(&grant));
        self.effects.push(Effect::Start(Box::new(grant), epoch));
        self.unreported = true;
    }

    /// It ends without having been: nothing of it is in the kernel.
    fn refuse(&mut self, id: SliceId, record: ExitRecord) {
        let write = SpoolWrite::Exit(id, record.clone());
        self.effects.push(Effect::Spool(write));
        let level = Level::None;
        self.exits.insert(id, Ended { record, level });
        self.unreported = true;
    }
}
