//! The file as written, and its checks: every wrong value is found, with its line and the fix.

use super::{
    Config, LogFormat, Problem,
    quantity::{MS_NS, duration_ns},
};
use dovetail_core::{policy::Policy, problem::Limits};
use dovetail_model::units::Bytes;
use nix::unistd::{Uid, User};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    ops::{Range, RangeInclusive},
    path::PathBuf,
};
use toml::Spanned;

/// Longest path of a Unix socket: the kernel's `sun_path` holds 108 bytes with the final NUL.
const SOCKET_PATH_MAX_BYTES: usize = 107;
/// Time a solve may take.
const SOLVE_MS: RangeInclusive<u64> = 1..=60_000;
/// Less address space starts no process, more is no limit.
const SOLVER_MEMORY: RangeInclusive<u64> = (256 << 20)..=(1 << 40);
/// Agents report each 5 s: a shorter lease would flap.
const LEASE_MS: RangeInclusive<u64> = 6_000..=3_600_000;
/// Workloads that may wait.
const PENDING: RangeInclusive<u64> = 1..=1_000_000;

/// The file. Absent keys have defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    data_dir: Option<Spanned<String>>,
    socket: Option<Spanned<String>>,
    socket_mode: Option<Spanned<String>>,
    security: RawSecurity,
    solver: RawSolver,
    lease: RawLease,
    limits: RawLimits,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSecurity {
    operators: Option<Vec<Spanned<String>>>,
    allow_root_workloads: Option<bool>,
    tenants_share_gpus: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSolver {
    enabled: Option<bool>,
    soft_limit: Option<Spanned<String>>,
    hard_limit: Option<Spanned<String>>,
    memory_limit: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLease {
    duration: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLimits {
    max_pending: Option<Spanned<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: Option<Spanned<String>>,
}

/// The typed configuration, or everything that is wrong.
pub(super) fn check(raw: RawConfig, text: &str) -> Result<Config, Vec<Problem>> {
    let mut check = Check {
        text,
        problems: Vec::new(),
    };
    let defaults = Policy::default();
    let limits = check.limits(&raw.solver, defaults.limits);
    let policy = Policy {
        tenants_share_gpus: raw.security.tenants_share_gpus.unwrap_or(false),
        root_workloads: raw.security.allow_root_workloads.unwrap_or(false),
        pending_max: check.pending(raw.limits.max_pending, defaults.pending_max),
        solver: raw.solver.enabled.unwrap_or(true),
        limits,
        lease_ns: check.time_ms("lease.duration", raw.lease.duration, "15s", &LEASE_MS) * MS_NS,
        ..defaults
    };
    let config = Config {
        data_dir: check.path("data_dir", raw.data_dir, "/var/lib/dovetail/scheduler"),
        socket: check.socket(raw.socket),
        socket_mode: check.mode(raw.socket_mode),
        operators: check.operators(raw.security.operators),
        policy,
        solver_memory: check.memory(raw.solver.memory_limit),
        log: check.format(raw.log.format),
    };
    if check.problems.is_empty() {
        Ok(config)
    } else {
        check.problems.sort_by_key(|problem| problem.line);
        Err(check.problems)
    }
}

struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a problem at a place in the text; an empty range is a default.
    fn bad(&mut self, key: &str, span: &Range<usize>, text: String) {
        let line = match span.end {
            0 => 0,
            _ => 1 + self.text[..span.start].matches('\n').count(),
        };
        self.problems.push(Problem {
            line,
            key: key.to_owned(),
            text,
        });
    }

    fn path(&mut self, key: &str, value: Option<Spanned<String>>, default: &str) -> PathBuf {
        let (text, span) = or(value, default);
        if !text.starts_with('/') || text.contains('\0') {
            self.bad(
                key,
                &span,
                format!("must be an absolute path, got `{text}`"),
            );
        }
        PathBuf::from(text)
    }

    fn socket(&mut self, value: Option<Spanned<String>>) -> PathBuf {
        let span = value.as_ref().map(Spanned::span).unwrap_or_default();
        let path = self.path("socket", value, "/run/dovetail/scheduler.sock");
        let length = path.as_os_str().len();
        if length > SOCKET_PATH_MAX_BYTES {
            let text = format!(
                "must be at most {SOCKET_PATH_MAX_BYTES} bytes, got {length}: choose a shorter path"
            );
            self.bad("socket", &span, text);
        }
        path
    }

    fn mode(&mut self, value: Option<Spanned<String>>) -> u32 {
        let (text, span) = or(value, "0666");
        let mode = u32::from_str_radix(&text, 8).ok();
        let mode = mode.filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
        if mode.is_none() {
            let text = format!("must be octal permissions from \"0600\" to \"0777\", got `{text}`");
            self.bad("socket_mode", &span, text);
        }
        mode.unwrap_or_default()
    }

    fn operators(&mut self, value: Option<Vec<Spanned<String>>>) -> BTreeSet<u32> {
        let names = value.unwrap_or_else(|| vec![Spanned::new(0..0, "root".to_owned())]);
        let mut uids = BTreeSet::from([Uid::effective().as_raw()]);
        for name in names {
            match uid_of(name.get_ref()) {
                Ok(uid) => {
                    uids.insert(uid);
                }
                Err(text) => self.bad("security.operators", &name.span(), text),
            }
        }
        uids
    }

    fn limits(&mut self, raw: &RawSolver, defaults: Limits) -> Limits {
        let soft_ms = self.time_ms(
            "solver.soft_limit",
            raw.soft_limit.clone(),
            "250ms",
            &SOLVE_MS,
        );
        let hard_ms = self.time_ms(
            "solver.hard_limit",
            raw.hard_limit.clone(),
            "500ms",
            &SOLVE_MS,
        );
        if soft_ms > hard_ms {
            let span = raw.hard_limit.as_ref().or(raw.soft_limit.as_ref());
            let span = span.map(Spanned::span).unwrap_or_default();
            let text = format!("must be at least soft_limit, {soft_ms}ms, got {hard_ms}ms");
            self.bad("solver.hard_limit", &span, text);
        }
        Limits {
            soft_ms,
            hard_ms,
            ..defaults
        }
    }

    fn time_ms(
        &mut self,
        key: &str,
        value: Option<Spanned<String>>,
        default: &str,
        range: &RangeInclusive<u64>,
    ) -> u64 {
        let (text, span) = or(value, default);
        let ms = duration_ns(&text).map(|ns| ns / MS_NS);
        let ms = ms.filter(|ms| range.contains(ms));
        if ms.is_none() {
            let (low, high) = (range.start(), range.end());
            let text = format!(
                "must be a time from {low}ms to {high}ms such as \"{default}\", got `{text}`"
            );
            self.bad(key, &span, text);
        }
        ms.unwrap_or_default()
    }

    fn memory(&mut self, value: Option<Spanned<String>>) -> Bytes {
        let (text, span) = or(value, "1GiB");
        let bytes = text.parse::<Bytes>().ok();
        let bytes = bytes.filter(|bytes| SOLVER_MEMORY.contains(&bytes.0));
        if bytes.is_none() {
            let (low, high) = (Bytes(*SOLVER_MEMORY.start()), Bytes(*SOLVER_MEMORY.end()));
            let text =
                format!("must be a size from {low} to {high} such as \"1GiB\", got `{text}`");
            self.bad("solver.memory_limit", &span, text);
        }
        bytes.unwrap_or_default()
    }

    fn pending(&mut self, value: Option<Spanned<u64>>, default: usize) -> usize {
        let Some(value) = value else {
            return default;
        };
        let count = *value.get_ref();
        if !PENDING.contains(&count) {
            let (low, high) = (PENDING.start(), PENDING.end());
            let text = format!("must be {low} to {high}, got {count}");
            self.bad("limits.max_pending", &value.span(), text);
        }
        usize::try_from(count).unwrap_or(default)
    }

    fn format(&mut self, value: Option<Spanned<String>>) -> LogFormat {
        let (text, span) = or(value, "text");
        match text.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                let text = format!("must be \"text\" or \"json\", got `{other}`");
                self.bad("log.format", &span, text);
                LogFormat::Text
            }
        }
    }
}

fn or(value: Option<Spanned<String>>, default: &str) -> (String, Range<usize>) {
    match value {
        Some(value) => (value.get_ref().clone(), value.span()),
        None => (default.to_owned(), 0..0),
    }
}

/// Uid of a user named by name or number.
fn uid_of(name: &str) -> Result<u32, String> {
    if let Ok(uid) = name.parse() {
        return Ok(uid);
    }
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!(
            "names the user `{name}`, who does not exist here: create the user, or remove the name"
        )),
        Err(error) => Err(format!(
            "names the user `{name}`, who cannot be looked up: {error}"
        )),
    }
}
