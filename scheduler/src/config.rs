//! The configuration file: read, checked whole, and turned into typed values before anything binds.

mod quantity;
mod raw;
#[cfg(test)]
mod tests;

use dovetail_core::{policy::Policy, problem::Limits};
use dovetail_model::units::Bytes;
use raw::RawConfig;
use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Where the configuration is looked for if nobody names a file.
pub const DEFAULT_PATH: &str = "/etc/dovetail/scheduler.toml";

/// Checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the journal lives.
    pub data_dir: PathBuf,
    /// The Unix socket to listen on.
    pub socket: PathBuf,
    /// Permissions of the socket.
    pub socket_mode: u32,
    /// Uids that may do everything; the scheduler's own is always one of them.
    pub operators: BTreeSet<u32>,
    /// What the engine follows.
    pub policy: Policy,
    /// Address space of the solver's process.
    pub solver_memory: Bytes,
    /// How log lines look.
    pub log: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML, or holds an unknown key or a value of the wrong type.
    #[error("{}: {detail}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected.
        detail: String,
    },
    /// Values are wrong: all of them.
    #[error("{}", lines(path, problems))]
    Values {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// One wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; 0: the value is a default.
    pub line: usize,
    /// The key with its section, for example `solver.soft_limit`.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

fn lines(path: &Path, problems: &[Problem]) -> String {
    let line = |p: &Problem| match p.line {
        0 => format!("{}: `{}` (default) {}", path.display(), p.key, p.text),
        line => format!("{}:{line}: `{}` {}", path.display(), p.key, p.text),
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads a file. Without a name, the default file if there is one, else the defaults.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let named = path.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        match std::fs::read_to_string(named) {
            Ok(text) => Self::parse(&text, named),
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Self::parse("", named)
            }
            Err(source) => Err(ConfigError::Read {
                path: named.to_owned(),
                source,
            }),
        }
    }

    /// Reads the text of a file; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            detail: error.to_string().trim_end().to_owned(),
        })?;
        raw::check(raw, text).map_err(|problems| ConfigError::Values {
            path: path.to_owned(),
            problems,
        })
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for Config {
    /// As a file that means the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &Path| toml::Value::String(path.display().to_string());
        let Policy {
            tenants_share_gpus,
            root_workloads,
            pending_max,
            solver,
            limits: Limits {
                soft_ms, hard_ms, ..
            },
            lease_ns,
            ..
        } = self.policy;
        let operators: Vec<String> = self
            .operators
            .iter()
            .map(|uid| format!("\"{uid}\""))
            .collect();
        writeln!(f, "data_dir = {}", text(&self.data_dir))?;
        writeln!(f, "socket = {}", text(&self.socket))?;
        writeln!(f, "socket_mode = \"{:04o}\"", self.socket_mode)?;
        writeln!(f, "\n[security]\noperators = [{}]", operators.join(", "))?;
        writeln!(f, "allow_root_workloads = {root_workloads}")?;
        writeln!(f, "tenants_share_gpus = {tenants_share_gpus}")?;
        writeln!(f, "\n[solver]\nenabled = {solver}")?;
        writeln!(
            f,
            "soft_limit = \"{soft_ms}ms\"\nhard_limit = \"{hard_ms}ms\""
        )?;
        writeln!(f, "memory_limit = \"{}\"", self.solver_memory.0)?;
        writeln!(
            f,
            "\n[lease]\nduration = \"{}ms\"",
            lease_ns / quantity::MS_NS
        )?;
        writeln!(f, "\n[limits]\nmax_pending = {pending_max}")?;
        write!(f, "\n[log]\nformat = \"{}\"", self.log)
    }
}
