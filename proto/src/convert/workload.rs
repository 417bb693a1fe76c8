//! A submitted workload, from and to the wire.

use super::{
    Fields, Violations,
    enums::{KINDS, RESTART_POLICIES, RUNTIMES, kind_to_wire, restart_policy_to_wire},
    fields::shown,
    label, resources,
    time::duration,
};
use crate::v1;
use dovetail_model::{
    id::{Name, WorkloadId},
    label::NODE_SELECTOR_MAX,
    time::SECOND_NS,
    workload::{
        GANG_SIZE, LABELS_MAX, LIST_MAX, LIST_MAX_BYTES, Movable, PRIORITY, RESERVED_ENV,
        RESERVED_ENV_PREFIX, RESTART_COST_SECONDS, Restart, RestartPolicy, WorkloadSpec,
        default_queue,
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};

/// Longest path Linux takes, its final NUL included.
const PATH_MAX_BYTES: usize = 4095;
/// Longest user name the C library takes.
const USER_MAX_BYTES: usize = 256;
/// Longest key and value of a label.
const LABEL_MAX_BYTES: usize = 63;
/// Longest run, from a second to a year.
const MAX_RUNTIME_NS: RangeInclusive<u64> = SECOND_NS..=(365 * 86_400 * SECOND_NS);
/// From the stop signal to the kill.
const STOP_GRACE_NS: RangeInclusive<u64> = 0..=(3600 * SECOND_NS);
/// First pause between attempts.
const BACKOFF_NS: RangeInclusive<u64> = 0..=(3600 * SECOND_NS);
/// Signals of every Linux architecture; real-time signals have no agreed meaning.
const STOP_SIGNAL: RangeInclusive<u32> = 1..=31;
/// Further attempts.
const RESTART_LIMIT: RangeInclusive<u32> = 1..=1000;
/// Grace where none is said.
const STOP_GRACE_DEFAULT_NS: u64 = 10 * SECOND_NS;
/// SIGTERM.
const STOP_SIGNAL_DEFAULT: u32 = 15;

/// Reads a submitted workload, fills in its defaults, or names every bad field.
pub fn spec(wire: v1::WorkloadSpec) -> Result<WorkloadSpec, Violations> {
    let mut fields = Fields::at("workload");
    let spec = read(wire, &mut fields);
    fields.finish(spec)
}

pub(super) fn read(wire: v1::WorkloadSpec, fields: &mut Fields) -> Option<WorkloadSpec> {
    let name = read_name(&wire.name, fields);
    let kind = fields.choice("kind", wire.kind, &KINDS);
    let argv = read_argv(wire.argv, fields);
    let env = read_env(wire.env, fields);
    let workdir = read_workdir(wire.workdir, fields);
    let user = read_user(wire.user, fields);
    let gang_size = fields.range("gang_size", or(wire.gang_size, 1), &GANG_SIZE);
    let priority = fields.range("priority", wire.priority, &PRIORITY);
    let queue = if wire.queue.is_empty() {
        Some(default_queue())
    } else {
        fields.name("queue", &wire.queue)
    };
    let labels = read_labels(wire.labels, fields);
    let resources = fields
        .required("resources", wire.resources)
        .and_then(|wire| fields.within("resources", |fields| resources::read(wire, fields)));
    let runtime = fields.choice_or("runtime", wire.runtime, &RUNTIMES, ());
    let max_runtime_ns = match wire.max_runtime {
        None => Some(None),
        Some(span) => fields.span("max_runtime", span, &MAX_RUNTIME_NS).map(Some),
    };
    let stop_signal = fields
        .range(
            "stop_signal",
            or(wire.stop_signal, STOP_SIGNAL_DEFAULT),
            &STOP_SIGNAL,
        )
        .and_then(|signal| i32::try_from(signal).ok());
    let stop_grace_ns = match wire.stop_grace {
        None => Some(STOP_GRACE_DEFAULT_NS),
        Some(span) => fields.span("stop_grace", span, &STOP_GRACE_NS),
    };
    let restart = match wire.restart {
        None => Some(Restart::default()),
        Some(restart) => fields.within("restart", |fields| read_restart(restart, fields)),
    };
    let selector = wire.node_selector;
    let node_selector = label::read_all("node_selector", selector, NODE_SELECTOR_MAX, fields);
    let tolerations = label::read_tolerations(wire.tolerations, fields);
    let movable = match wire.movable {
        None => Some(None),
        Some(movable) => fields
            .within("movable", |fields| read_movable(movable, fields))
            .map(Some),
    };
    runtime?;
    Some(WorkloadSpec {
        name: name?,
        kind: kind?,
        argv: argv?,
        env: env?,
        workdir: workdir?,
        user: user?,
        gang_size: gang_size?,
        priority: priority?,
        queue: queue?,
        labels: labels?,
        resources: resources?,
        max_runtime_ns: max_runtime_ns?,
        stop_signal: stop_signal?,
        stop_grace_ns: stop_grace_ns?,
        restart: restart?,
        node_selector: node_selector?,
        tolerations: tolerations?,
        movable: movable?,
    })
}

fn read_name(wire: &str, fields: &mut Fields) -> Option<Name> {
    let name = fields.name("name", wire);
    if wire.parse::<WorkloadId>().is_ok() {
        let why = "looks like an id, which would be taken for another workload";
        fields.bad("name", why);
    }
    name
}

/// The value, or what 0 means.
fn or(value: u32, default: u32) -> u32 {
    if value == 0 { default } else { value }
}

fn read_argv(wire: Vec<String>, fields: &mut Fields) -> Option<Vec<String>> {
    let Some(program) = wire.first() else {
        fields.bad("argv", "is required: the program and its arguments");
        return None;
    };
    let program = read_program(program, fields);
    fields.count("argv", wire.len(), LIST_MAX)?;
    // The kernel counts the NUL that ends each.
    let size = wire.iter().map(|argument| argument.len() + 1).sum();
    fits("argv", size, fields)?;
    let argv = fields.each("argv", wire, |fields, argument| {
        no_nul("", &argument, fields).map(|()| argument)
    });
    program.and(argv)
}

fn read_program(program: &str, fields: &mut Fields) -> Option<()> {
    if program.is_empty() {
        fields.bad("argv[0]", "must be a program, got an empty text");
        return None;
    }
    if program.contains('/') && !program.starts_with('/') {
        let got = shown(program);
        fields.bad(
            "argv[0]",
            format!(
                "must be an absolute path, or a name without '/' to look up in PATH, got {got}"
            ),
        );
        return None;
    }
    Some(())
}

fn fits(field: &str, bytes: usize, fields: &mut Fields) -> Option<()> {
    if bytes <= LIST_MAX_BYTES {
        return Some(());
    }
    fields.bad(
        field,
        format!("must be at most {LIST_MAX_BYTES} bytes in all, got {bytes}"),
    );
    None
}

fn no_nul(field: &str, text: &str, fields: &mut Fields) -> Option<()> {
    if text.contains('\0') {
        fields.bad(field, "must not contain a NUL byte");
        return None;
    }
    Some(())
}

fn read_env(
    wire: HashMap<String, String>,
    fields: &mut Fields,
) -> Option<BTreeMap<String, String>> {
    fields.count("env", wire.len(), LIST_MAX)?;
    let size = wire
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    fits("env", size, fields)?;
    fields.entries("env", wire, |fields, name, value| {
        read_env_name(&name, fields)?;
        no_nul("", &value, fields).map(|()| (name, value))
    })
}

fn read_env_name(name: &str, fields: &mut Fields) -> Option<()> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        fields.bad(
            "",
            "must be named with letters, digits and '_', not beginning with a digit",
        );
        return None;
    }
    if RESERVED_ENV.contains(&name) || name.starts_with(RESERVED_ENV_PREFIX) {
        fields.bad("", "is set by Dovetail and cannot be set here: remove it");
        return None;
    }
    Some(())
}

fn read_workdir(workdir: String, fields: &mut Fields) -> Option<String> {
    if workdir.is_empty() {
        return Some("/".to_owned());
    }
    if !workdir.starts_with('/') {
        let got = shown(&workdir);
        fields.bad(
            "workdir",
            format!("must be an absolute path, beginning with '/', got {got}"),
        );
        return None;
    }
    fields.line("workdir", &workdir, PATH_MAX_BYTES)?;
    Some(workdir)
}

/// Whether such a user exists, and may be named, is the scheduler's to say.
fn read_user(user: String, fields: &mut Fields) -> Option<String> {
    fields.line("user", &user, USER_MAX_BYTES)?;
    if user.contains([':', '/']) || user.contains(char::is_whitespace) {
        let got = shown(&user);
        fields.bad(
            "user",
            format!("must be a user's name or number, got {got}"),
        );
        return None;
    }
    Some(user)
}

fn read_labels(
    wire: HashMap<String, String>,
    fields: &mut Fields,
) -> Option<BTreeMap<String, String>> {
    fields.count("labels", wire.len(), LABELS_MAX)?;
    fields.entries("labels", wire, |fields, key, value| {
        if key.is_empty() {
            fields.bad("", "must have a key");
            return None;
        }
        fields.line("", &key, LABEL_MAX_BYTES)?;
        let read = fields.line("", &value, LABEL_MAX_BYTES);
        read.map(|()| (key, value))
    })
}

fn read_restart(wire: v1::Restart, fields: &mut Fields) -> Option<Restart> {
    let default = Restart::default();
    let policy = fields.choice_or(
        "policy",
        wire.policy,
        &RESTART_POLICIES,
        RestartPolicy::Never,
    );
    let limit = fields.range("limit", or(wire.limit, default.limit), &RESTART_LIMIT);
    let backoff_ns = match wire.backoff {
        None => Some(default.backoff_ns),
        Some(span) => fields.span("backoff", span, &BACKOFF_NS),
    };
    Some(Restart {
        policy: policy?,
        limit: limit?,
        backoff_ns: backoff_ns?,
    })
}

fn read_movable(wire: v1::Movable, fields: &mut Fields) -> Option<Movable> {
    let restart_cost_seconds = fields.range(
        "restart_cost_seconds",
        wire.restart_cost_seconds,
        &RESTART_COST_SECONDS,
    )?;
    Some(Movable {
        restart_cost_seconds,
    })
}

/// A workload on the wire, with every default said.
pub fn spec_to_wire(spec: &WorkloadSpec) -> v1::WorkloadSpec {
    let entries = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    v1::WorkloadSpec {
        name: spec.name.to_string(),
        kind: kind_to_wire(spec.kind).into(),
        argv: spec.argv.clone(),
        env: entries(&spec.env),
        workdir: spec.workdir.clone(),
        user: spec.user.clone(),
        gang_size: spec.gang_size,
        priority: spec.priority,
        queue: spec.queue.to_string(),
        labels: entries(&spec.labels),
        resources: Some(resources::to_wire(&spec.resources)),
        runtime: v1::Runtime::Exec.into(),
        max_runtime: spec.max_runtime_ns.map(duration),
        stop_signal: spec.stop_signal.unsigned_abs(),
        stop_grace: Some(duration(spec.stop_grace_ns)),
        restart: Some(v1::Restart {
            policy: restart_policy_to_wire(spec.restart.policy).into(),
            limit: spec.restart.limit,
            backoff: Some(duration(spec.restart.backoff_ns)),
        }),
        node_selector: label::all_to_wire(&spec.node_selector),
        tolerations: label::tolerations_to_wire(&spec.tolerations),
        movable: spec.movable.map(|movable| v1::Movable {
            restart_cost_seconds: movable.restart_cost_seconds,
        }),
    }
}

#[cfg(test)]
mod tests;
