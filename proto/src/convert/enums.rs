//! Enums as tables, read in both directions.

use crate::v1;
use dovetail_model::{
    gpu::GpuHealth,
    label::TaintEffect,
    report::{ExitCause, SliceState},
    resources::Level,
    workload::{RestartPolicy, WorkloadKind},
};

/// A generated enum.
pub(crate) trait WireEnum: Copy {
    /// Its number on the wire.
    fn number(self) -> i32;
    /// The name in the schema of a number, if it has one.
    fn name_of(number: i32) -> Option<&'static str>;

    /// Names in a sentence: `A, B or C`.
    fn names(values: impl Iterator<Item = Self>) -> String {
        let names: Vec<&str> = values.filter_map(|v| Self::name_of(v.number())).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }
}

macro_rules! wire_enum {
    ($($name:ident),*) => {$(
        impl WireEnum for v1::$name {
            fn number(self) -> i32 {
                self as i32
            }
            fn name_of(number: i32) -> Option<&'static str> {
                Self::try_from(number).ok().map(|value| value.as_str_name())
            }
        }
    )*};
}

wire_enum!(
    Level,
    WorkloadKind,
    Runtime,
    RestartPolicy,
    GpuHealth,
    WorkloadState,
    OutputStream,
    TaintEffect,
    TolerationOperator
);

pub(crate) const KINDS: [(v1::WorkloadKind, WorkloadKind); 3] = [
    (v1::WorkloadKind::Batch, WorkloadKind::Batch),
    (v1::WorkloadKind::Service, WorkloadKind::Service),
    (v1::WorkloadKind::Session, WorkloadKind::Session),
];

pub(crate) const RUNTIMES: [(v1::Runtime, ()); 1] = [(v1::Runtime::Exec, ())];

pub(crate) const RESTART_POLICIES: [(v1::RestartPolicy, RestartPolicy); 3] = [
    (v1::RestartPolicy::Never, RestartPolicy::Never),
    (v1::RestartPolicy::OnFailure, RestartPolicy::OnFailure),
    (v1::RestartPolicy::Always, RestartPolicy::Always),
];

pub(crate) const LEVELS: [(v1::Level, Level); 7] = [
    (v1::Level::None, Level::None),
    (v1::Level::Shared, Level::Shared),
    (v1::Level::Policed, Level::Policed),
    (v1::Level::Cooperative, Level::Cooperative),
    (v1::Level::HardPerProcess, Level::HardPerProcess),
    (v1::Level::Hard, Level::Hard),
    (v1::Level::Isolated, Level::Isolated),
];

pub(crate) const GPU_HEALTHS: [(v1::GpuHealth, GpuHealth); 3] = [
    (v1::GpuHealth::Ok, GpuHealth::Ok),
    (v1::GpuHealth::Lost, GpuHealth::Lost),
    (v1::GpuHealth::Unresponsive, GpuHealth::Unresponsive),
];

pub(crate) const TAINT_EFFECTS: [(v1::TaintEffect, TaintEffect); 1] =
    [(v1::TaintEffect::NoSchedule, TaintEffect::NoSchedule)];

/// Whether every value is tolerated.
pub(crate) const TOLERATION_OPERATORS: [(v1::TolerationOperator, bool); 2] = [
    (v1::TolerationOperator::Equal, false),
    (v1::TolerationOperator::Exists, true),
];

/// A level on the wire.
pub fn level_to_wire(level: Level) -> v1::Level {
    match level {
        Level::None => v1::Level::None,
        Level::Shared => v1::Level::Shared,
        Level::Policed => v1::Level::Policed,
        Level::Cooperative => v1::Level::Cooperative,
        Level::HardPerProcess => v1::Level::HardPerProcess,
        Level::Hard => v1::Level::Hard,
        Level::Isolated => v1::Level::Isolated,
    }
}

/// A kind of work on the wire.
pub fn kind_to_wire(kind: WorkloadKind) -> v1::WorkloadKind {
    match kind {
        WorkloadKind::Batch => v1::WorkloadKind::Batch,
        WorkloadKind::Service => v1::WorkloadKind::Service,
        WorkloadKind::Session => v1::WorkloadKind::Session,
    }
}

/// A restart policy on the wire.
pub fn restart_policy_to_wire(policy: RestartPolicy) -> v1::RestartPolicy {
    match policy {
        RestartPolicy::Never => v1::RestartPolicy::Never,
        RestartPolicy::OnFailure => v1::RestartPolicy::OnFailure,
        RestartPolicy::Always => v1::RestartPolicy::Always,
    }
}

/// A GPU's health on the wire.
pub fn gpu_health_to_wire(health: GpuHealth) -> v1::GpuHealth {
    match health {
        GpuHealth::Ok => v1::GpuHealth::Ok,
        GpuHealth::Lost => v1::GpuHealth::Lost,
        GpuHealth::Unresponsive => v1::GpuHealth::Unresponsive,
    }
}

/// A taint's effect on the wire.
pub fn taint_effect_to_wire(effect: TaintEffect) -> v1::TaintEffect {
    match effect {
        TaintEffect::NoSchedule => v1::TaintEffect::NoSchedule,
    }
}

/// What ended an attempt, without its details.
pub fn cause_to_wire(cause: &ExitCause) -> v1::Cause {
    match cause {
        ExitCause::Exit(_) => v1::Cause::Exit,
        ExitCause::Signal(_) => v1::Cause::Signal,
        ExitCause::Oom => v1::Cause::Oom,
        ExitCause::Timeout => v1::Cause::Timeout,
        ExitCause::StartFailed(_) => v1::Cause::StartFailed,
        ExitCause::NodeLost => v1::Cause::NodeLost,
        ExitCause::Evicted => v1::Cause::Evicted,
    }
}

/// What a slice is doing, without its end.
pub fn slice_state_to_wire(state: &SliceState) -> v1::SliceState {
    match state {
        SliceState::Waiting => v1::SliceState::Waiting,
        SliceState::Starting => v1::SliceState::Starting,
        SliceState::Running => v1::SliceState::Running,
        SliceState::Stopping => v1::SliceState::Stopping,
        SliceState::Exited(_) => v1::SliceState::Exited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_agrees_with_its_way_back() {
        assert!(LEVELS.iter().all(|(w, m)| level_to_wire(*m) == *w));
        assert!(KINDS.iter().all(|(w, m)| kind_to_wire(*m) == *w));
        assert!(
            RESTART_POLICIES
                .iter()
                .all(|(w, m)| restart_policy_to_wire(*m) == *w)
        );
        assert!(
            GPU_HEALTHS
                .iter()
                .all(|(w, m)| gpu_health_to_wire(*m) == *w)
        );
        assert!(
            TAINT_EFFECTS
                .iter()
                .all(|(w, m)| taint_effect_to_wire(*m) == *w)
        );
        assert_eq!(TAINT_EFFECTS.len(), TaintEffect::ALL.len());
    }

    #[test]
    fn names_read_as_a_sentence() {
        let names = v1::WorkloadKind::names(KINDS.iter().map(|(wire, _)| *wire));
        assert_eq!(
            names,
            "WORKLOAD_KIND_BATCH, WORKLOAD_KIND_SERVICE or WORKLOAD_KIND_SESSION"
        );
        assert_eq!(
            v1::Runtime::names([v1::Runtime::Exec].into_iter()),
            "RUNTIME_EXEC"
        );
    }
}
