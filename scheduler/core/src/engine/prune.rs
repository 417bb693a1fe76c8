//! Keeping what is remembered bounded.

use super::Engine;
use crate::event::Event;
use dovetail_model::{
    id::WorkloadId,
    time::{Now, SECOND_NS, WallNs},
};

/// How often old requests are dropped.
const EVERY_NS: u64 = 600 * SECOND_NS;
/// Most request ids remembered: about 200 MB; beyond this the oldest go before their time.
const REQUESTS_MAX: usize = 1_000_000;

impl Engine {
    /// Drops the workloads that ended first, once there are more than the policy keeps, and
    /// requests older than its window.
    pub(super) fn prune(&mut self, now: Now) {
        let surplus = self.ended.saturating_sub(self.policy.ended_max as u64);
        // In steps, so that not every end costs an event.
        let many = surplus > (self.policy.ended_max as u64 / 10).max(16);
        if now.boot_ns < self.prune_at && !many {
            return;
        }
        self.prune_at = now.boot_ns + EVERY_NS;
        let window = if self.state.request_count() > REQUESTS_MAX {
            self.policy.request_window_ns / 2
        } else {
            self.policy.request_window_ns
        };
        let requests_before = WallNs(now.wall_ns.saturating_sub(window));
        let workloads = self.oldest_ended(surplus);
        if workloads.is_empty() && !self.state.has_request_before(requests_before) {
            return;
        }
        self.ended -= workloads.len() as u64;
        self.record(Event::Pruned {
            workloads,
            requests_before,
        });
    }

    fn oldest_ended(&self, count: u64) -> Vec<WorkloadId> {
        let ended = self
            .state
            .workloads()
            .values()
            .filter_map(|w| w.end.as_ref().map(|e| (e.1, w.id)));
        let mut ended: Vec<(WallNs, WorkloadId)> = ended.collect();
        ended.sort_unstable();
        ended
            .into_iter()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
            .map(|e| e.1)
            .collect()
    }
}
