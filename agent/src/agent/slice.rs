//! One slice from its start to its removal.

use super::{Agent, Effect, Found, SpoolWrite};
use dovetail_model::{
    grant::{Grant, Placement},
    id::SliceId,
    report::{ExitCause, ExitRecord, SliceState},
    resources::Level,
    time::{Now, SECOND_NS},
    units::WHOLE_GPU,
};

/// What asks a slice to end whose grant this process never saw: SIGTERM, then ten seconds.
const DEFAULT_STOP: StopRule = StopRule {
    signal: 15,
    grace_ns: 10 * SECOND_NS,
};
/// Between two attempts to kill, or to remove.
const RETRY_NS: u64 = SECOND_NS;
/// After so many attempts in vain the operator is told.
const ATTEMPTS_BEFORE_ALERT: u32 = 30;

/// How a slice is asked to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopRule {
    pub(super) signal: i32,
    pub(super) grace_ns: u64,
}

/// An end whose slice is gone from the kernel.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) record: ExitRecord,
    pub(super) level: Level,
}

/// What is going on with a slice in the kernel.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// A start was asked for and is not answered.
    Starting,
    Running,
    /// It was asked to end.
    Stopping,
    /// It has ended; `durable`: the spool has the record.
    Ended {
        record: ExitRecord,
        durable: bool,
    },
    /// Its removal was asked for.
    Removing(ExitRecord),
}

/// A slice that exists in the kernel, or may.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) placement: Placement,
    pub(super) level: Level,
    pub(super) phase: Phase,
    /// The scheduler has released it; that is never taken back.
    pub(super) released: bool,
    stop: StopRule,
    /// When to kill, or to try again to kill or remove.
    timer: Option<u64>,
    attempts: u32,
}

impl Slice {
    pub(super) fn starting(grant: &Grant) -> Self {
        Self {
            placement: grant.placement.clone(),
            level: Level::None,
            phase: Phase::Starting,
            released: false,
            stop: StopRule {
                signal: grant.spec.stop_signal,
                grace_ns: grant.spec.stop_grace_ns,
            },
            timer: None,
            attempts: 0,
        }
    }

    pub(super) fn found(found: Found) -> Self {
        let phase = match found.exit {
            None => Phase::Running,
            Some(record) => Phase::Ended {
                record,
                durable: false,
            },
        };
        Self {
            level: level_of(&found.placement, found.level),
            placement: found.placement,
            phase,
            released: false,
            stop: DEFAULT_STOP,
            timer: None,
            attempts: 0,
        }
    }

    /// The spool has its end already: what is left of it only has to be removed.
    pub(super) fn recovered_exit(&mut self, record: ExitRecord) {
        self.phase = Phase::Ended {
            record,
            durable: true,
        };
    }

    /// A later grant of a found slice says how to stop it.
    pub(super) fn learn(&mut self, grant: &Grant) {
        self.stop = StopRule {
            signal: grant.spec.stop_signal,
            grace_ns: grant.spec.stop_grace_ns,
        };
    }

    /// What it holds will be free without anybody doing anything more.
    pub(super) fn is_leaving(&self) -> bool {
        self.released || matches!(self.phase, Phase::Ended { .. } | Phase::Removing(_))
    }

    /// As the scheduler is told: an end counts only when the kernel has nothing left of it.
    pub(super) fn state(&self) -> SliceState {
        match self.phase {
            Phase::Starting => SliceState::Starting,
            Phase::Running => SliceState::Running,
            Phase::Stopping | Phase::Ended { .. } | Phase::Removing(_) => SliceState::Stopping,
        }
    }

    pub(super) fn timer(&self) -> Option<u64> {
        self.timer
    }

    /// Asks it to end; a start that is under way is only given a limit. Later calls do nothing.
    pub(super) fn release(&mut self, now: Now) -> Option<Effect> {
        let grace_ns = self.stop.grace_ns;
        let kill_at = now.boot_ns.saturating_add(grace_ns);
        match self.phase {
            Phase::Starting if !self.released => {
                self.timer = Some(kill_at);
                self.released = true;
                None
            }
            Phase::Running => {
                self.phase = Phase::Stopping;
                self.released = true;
                self.timer = Some(kill_at);
                self.attempts = 0;
                Some(Effect::Stop {
                    slice: self.placement.slice,
                    signal: self.stop.signal,
                    kill_after_ns: grace_ns,
                })
            }
            Phase::Starting | Phase::Stopping | Phase::Ended { .. } | Phase::Removing(_) => {
                self.released = true;
                None
            }
        }
    }

    /// The record as the scheduler shall see it: who was stopped for its sake did not fail.
    fn end_with(&mut self, mut record: ExitRecord) -> ExitRecord {
        if matches!(self.phase, Phase::Stopping) {
            record.cause = ExitCause::Evicted;
        }
        self.timer = None;
        self.attempts = 0;
        self.phase = Phase::Ended {
            record: record.clone(),
            durable: true,
        };
        record
    }

    /// What is due, if the timer has run out. The operator is told once when it does not help.
    fn run_timer(&mut self, now: Now) -> Vec<Effect> {
        if self.timer.is_none_or(|at| at > now.boot_ns) {
            return Vec::new();
        }
        let id = self.placement.slice;
        self.timer = Some(now.boot_ns.saturating_add(RETRY_NS));
        self.attempts += 1;
        let mut due = vec![Effect::Kill(id)];
        if matches!(self.phase, Phase::Removing(_)) {
            // Answered by Removed or RemoveBusy, which sets the timer again.
            self.timer = None;
            due.push(Effect::Remove(id));
        }
        if self.attempts == ATTEMPTS_BEFORE_ALERT {
            due.push(Effect::Alert(format!(
                "slice {id} does not go away: it was killed {ATTEMPTS_BEFORE_ALERT} times; \
                 look for its processes in state D"
            )));
        }
        due
    }
}

/// What a slice has where its cgroup has this: on GPUs that are its own, memory, compute and faults
/// are its own too, as long as the fence keeps others off.
fn level_of(placement: &Placement, cgroup: Level) -> Level {
    let whole = placement.gpus.iter().all(|gpu| gpu.compute == WHOLE_GPU);
    if cgroup >= Level::Shared && whole && !placement.gpus.is_empty() {
        Level::Isolated
    } else {
        cgroup
    }
}

impl Agent {
    pub(super) fn started(&mut self, id: SliceId, level: Level, now: Now) {
        let Some(slice) = self.slices.get_mut(&id).filter(is_starting) else {
            return;
        };
        slice.phase = Phase::Running;
        slice.level = level_of(&slice.placement, level);
        slice.timer = None;
        if slice.released {
            self.effects.extend(slice.release(now));
        }
        self.touch();
    }

    pub(super) fn start_failed(&mut self, id: SliceId, why: String, now: Now) {
        let Some(slice) = self.slices.get_mut(&id).filter(is_starting) else {
            return;
        };
        let record = slice.end_with(not_started(why, now));
        self.spool_exit(id, record);
    }

    pub(super) fn ended(&mut self, id: SliceId, exit: ExitRecord) {
        let alive = |slice: &&mut Slice| {
            matches!(
                slice.phase,
                Phase::Starting | Phase::Running | Phase::Stopping
            )
        };
        let Some(slice) = self.slices.get_mut(&id).filter(alive) else {
            return;
        };
        let record = slice.end_with(exit);
        self.spool_exit(id, record);
    }

    pub(super) fn removed(&mut self, id: SliceId) {
        let Some(slice) = self.slices.get(&id) else {
            return;
        };
        let Phase::Removing(record) = &slice.phase else {
            return;
        };
        let ended = Ended {
            record: record.clone(),
            level: slice.level,
        };
        self.slices.remove(&id);
        self.exits.insert(id, ended);
        self.touch();
    }

    pub(super) fn remove_busy(&mut self, id: SliceId, now: Now) {
        let removing = |slice: &&mut Slice| matches!(slice.phase, Phase::Removing(_));
        if let Some(slice) = self.slices.get_mut(&id).filter(removing) {
            slice.timer = Some(now.boot_ns.saturating_add(RETRY_NS));
        }
    }

    pub(super) fn run_timers(&mut self, now: Now) {
        let due = self.slices.values_mut().flat_map(|s| s.run_timer(now));
        self.effects.extend(due);
    }

    /// Asks for the removal of everything that has ended, its record being durable.
    pub(super) fn remove_ended(&mut self) {
        for (id, slice) in &mut self.slices {
            let Phase::Ended { record, durable } = &slice.phase else {
                continue;
            };
            let record = record.clone();
            if !*durable {
                let write = SpoolWrite::Exit(*id, record.clone());
                self.effects.push(Effect::Spool(write));
            }
            self.effects.push(Effect::Remove(*id));
            slice.phase = Phase::Removing(record);
        }
    }

    fn spool_exit(&mut self, id: SliceId, record: ExitRecord) {
        let write = SpoolWrite::Exit(id, record);
        self.effects.push(Effect::Spool(write));
        self.touch();
    }

    /// The difference, and what the scheduler knows, have to be looked at again.
    pub(super) fn touch(&mut self) {
        self.changed = true;
        self.unreported = true;
    }
}

fn is_starting(slice: &&mut Slice) -> bool {
    matches!(slice.phase, Phase::Starting)
}

/// The end of a slice whose process never ran.
pub(super) fn not_started(why: String, now: Now) -> ExitRecord {
    ExitRecord {
        cause: ExitCause::StartFailed(why),
        started_at: None,
        ended_at: now.wall(),
        output_tail: String::new(),
    }
}
