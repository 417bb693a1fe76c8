//! What follows when members of a workload start, end or do not start in time.

use super::{Engine, Round};
use crate::{
    event::{End, Event},
    state::{Phase, Workload},
};
use dovetail_model::{
    id::WorkloadId,
    report::ExitCause,
    time::{Now, WallNs},
    workload::RestartPolicy,
};
use std::cmp::Reverse;

/// What to do about a workload.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// A member failed: the others must not go on alone.
    ReleaseRest,
    Again,
    End(End),
}

impl Engine {
    /// Looks at every workload something happened to.
    pub(super) fn settle_attempts(&mut self, now: Now) {
        for id in std::mem::take(&mut self.touched) {
            let Some(workload) = self.state.workload(id) else {
                continue;
            };
            if workload.is_running() {
                self.start_by.remove(&id);
            }
            match next(workload) {
                Next::Nothing => {}
                Next::ReleaseRest => self.release_all(id, now),
                Next::Again => self.requeue(id, now),
                Next::End(end) => self.end(id, end, now),
            }
        }
        // Releasing touches again what was just settled.
        self.touched.clear();
    }

    /// Timers that ran out: gangs that did not start, pauses that are over.
    pub(super) fn expire(&mut self, now: Now) {
        self.expire_leases(now);
        let late: Vec<WorkloadId> = due(&self.start_by, now);
        for id in late {
            self.start_by.remove(&id);
            let starting = self
                .state
                .workload(id)
                .is_some_and(|w| w.is_placed() && !w.is_running());
            if starting {
                self.release_all(id, now);
            }
        }
        for id in due(&self.backoff, now) {
            self.backoff.remove(&id);
            self.round = std::mem::take(&mut self.round).newcomer(id);
        }
    }

    fn requeue(&mut self, id: WorkloadId, now: Now) {
        let Some(workload) = self.state.workload(id) else {
            return;
        };
        let pause = workload.spec.restart.pause_ns(workload.attempt);
        let key = (Reverse(workload.spec.priority), id);
        let not_before = WallNs(now.wall_ns.saturating_add(pause));
        self.start_by.remove(&id);
        self.record(Event::Requeued {
            workload: id,
            not_before,
        });
        self.pending.insert(key);
        self.backoff.insert(id, now.boot_ns.saturating_add(pause));
        self.round = Round::Full;
    }

    pub(super) fn end(&mut self, id: WorkloadId, end: End, now: Now) {
        let Some(workload) = self.state.workload(id) else {
            return;
        };
        self.pending.remove(&(Reverse(workload.spec.priority), id));
        self.backoff.remove(&id);
        self.start_by.remove(&id);
        self.record(Event::Ended {
            workload: id,
            end,
            at: now.wall(),
        });
        self.ended += 1;
    }

    /// After a restart of the scheduler: pauses and start limits begin anew, at most as long.
    pub(super) fn recover_timers(&mut self, now: Now) {
        for workload in self.state.workloads().values() {
            if workload.is_pending() && workload.not_before.0 > now.wall_ns {
                let most = workload.spec.restart.pause_ns(workload.attempt);
                let left = (workload.not_before.0 - now.wall_ns).min(most);
                self.backoff.insert(workload.id, now.boot_ns + left);
            }
            if must_start(workload) {
                let by = now.boot_ns + self.policy.start_timeout_ns;
                self.start_by.insert(workload.id, by);
            }
        }
    }

    /// A gang was placed: it must run as a whole, soon.
    pub(super) fn await_start(&mut self, id: WorkloadId, now: Now) {
        if self.state.workload(id).is_some_and(must_start) {
            self.start_by
                .insert(id, now.boot_ns + self.policy.start_timeout_ns);
        }
    }
}

/// Only gangs: a single slice that cannot start says so itself.
fn must_start(workload: &Workload) -> bool {
    workload.spec.gang_size > 1
        && workload.is_placed()
        && !workload.is_stopping()
        && workload.members.iter().any(|m| m.phase == Phase::Reserved)
}

fn due(timers: &std::collections::BTreeMap<WorkloadId, u64>, now: Now) -> Vec<WorkloadId> {
    timers
        .iter()
        .filter(|(_, at)| **at <= now.boot_ns)
        .map(|(id, _)| *id)
        .collect()
}

fn next(workload: &Workload) -> Next {
    if workload.is_drained() {
        return drained(workload);
    }
    let failed = |exit: &dovetail_model::report::ExitRecord| !exit.cause.is_success();
    let broken = workload.is_placed()
        && workload
            .members
            .iter()
            .any(|m| m.exit.as_ref().is_some_and(failed));
    let more = workload
        .members
        .iter()
        .any(|m| m.holds_place() && m.released.is_none());
    if broken && more {
        Next::ReleaseRest
    } else {
        Next::Nothing
    }
}

fn drained(workload: &Workload) -> Next {
    if workload.cancelled {
        return Next::End(End::Cancelled);
    }
    let causes = || {
        workload
            .members
            .iter()
            .filter_map(|m| m.exit.as_ref())
            .map(|e| &e.cause)
    };
    let restart = &workload.spec.restart;
    let Some(cause) = failure(causes()) else {
        let again = restart.policy == RestartPolicy::Always;
        return if again {
            Next::Again
        } else {
            Next::End(End::Succeeded)
        };
    };
    let again = match restart.policy {
        RestartPolicy::Never => false,
        RestartPolicy::OnFailure => workload.attempt <= restart.limit,
        RestartPolicy::Always => true,
    };
    if again {
        Next::Again
    } else if cause == ExitCause::NodeLost {
        Next::End(End::Lost)
    } else {
        Next::End(End::Failed(cause))
    }
}

/// What went wrong first of all: a member's own failure, not that others were stopped for it.
fn failure<'a>(causes: impl Iterator<Item = &'a ExitCause>) -> Option<ExitCause> {
    let failed: Vec<&ExitCause> = causes.filter(|cause| !cause.is_success()).collect();
    let own = failed.iter().find(|cause| ***cause != ExitCause::Evicted);
    match own {
        Some(cause) => Some((*cause).clone()),
        None if failed.is_empty() => None,
        None => Some(ExitCause::StartFailed(
            "not every member started in time".to_owned(),
        )),
    }
}
