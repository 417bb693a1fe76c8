//! What the scheduler is told, and when.

use super::{Agent, Effect, HEARTBEAT_NS, Report};
use dovetail_model::{
    id::{ClusterId, SliceId},
    node::{Inventory, SLICES_MAX},
    report::{SliceReport, SliceState, SliceStatus},
    resources::Level,
    time::Now,
};

impl Agent {
    pub(super) fn link_up(&mut self, cluster: ClusterId) {
        if self.is_foreign(&cluster) {
            self.refuse_cluster(&cluster);
        }
        self.link = Some(cluster);
        self.resend();
    }

    pub(super) fn resend(&mut self) {
        if let Some(inventory) = self.inventory.clone() {
            self.send(Report::Inventory(inventory));
        }
        self.unreported = true;
    }

    pub(super) fn inventory_changed(&mut self, inventory: Inventory) {
        if self.inventory.as_ref() != Some(&inventory) {
            self.send(Report::Inventory(inventory.clone()));
            self.inventory = Some(inventory);
            self.changed = true;
        }
    }

    /// Without a session nothing is sent: everything is told anew when there is one.
    pub(super) fn send(&mut self, report: Report) {
        if self.link.is_some() {
            self.effects.push(Effect::Send(report));
        }
    }

    /// Tells what exists, on every change and as the heartbeat.
    pub(super) fn report(&mut self, now: Now) {
        let Some(cluster) = &self.link else {
            return;
        };
        let quiet = now.boot_ns < self.reported_at.saturating_add(HEARTBEAT_NS);
        if quiet && !self.unreported {
            return;
        }
        let report = if self.is_foreign(cluster) {
            self.all_orphaned()
        } else {
            self.slice_report()
        };
        self.unreported = false;
        self.reported_at = now.boot_ns;
        self.effects.push(Effect::Send(Report::Slices(report)));
    }

    /// To another cluster's scheduler: nothing of it was obeyed, and nothing here is its own.
    fn all_orphaned(&self) -> SliceReport {
        let ids = self.slices.keys().map(SliceId::to_string);
        SliceReport {
            orphaned: ids.chain(self.foreign_names()).take(SLICES_MAX).collect(),
            ..SliceReport::default()
        }
    }

    fn slice_report(&self) -> SliceReport {
        let status = |slice, state, level| SliceStatus {
            slice,
            state,
            level,
        };
        let existing = self
            .slices
            .iter()
            .map(|(id, slice)| status(*id, slice.state(), slice.level));
        let ended = self.exits.iter().map(|(id, end)| {
            let exited = SliceState::Exited(end.record.clone());
            status(*id, exited, end.level)
        });
        let waiting = self
            .waiting
            .iter()
            .map(|id| status(*id, SliceState::Waiting, Level::None));
        let is_unnamed = |id: &SliceId| {
            let named = self.named.as_ref();
            named.is_some_and(|named| !named.contains(id))
        };
        let unnamed = self
            .slices
            .iter()
            .filter(|(id, slice)| !slice.is_leaving() && is_unnamed(id))
            .map(|(id, _)| id.to_string());
        SliceReport {
            obeyed: self.highest.as_ref().map(|(_, e)| *e).unwrap_or_default(),
            slices: existing.chain(ended).chain(waiting).collect(),
            orphaned: unnamed
                .chain(self.foreign_names())
                .take(SLICES_MAX)
                .collect(),
        }
    }

    fn foreign_names(&self) -> impl Iterator<Item = String> {
        self.foreign
            .iter()
            .map(|found| format!("{}@{}", found.placement.slice, found.cluster))
    }
}
