//! The configuration file: read whole, checked whole, before anything is touched.

mod labels;

use dovetail_model::{
    id::NodeName,
    label::{Labels, Taint},
    units::{Bytes, CpuMilli},
};
use labels::{RawTaint, ShownTaint, shown_labels, shown_taints};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Component, Path, PathBuf},
};
use thiserror::Error;
use toml::Spanned;

/// Least size of an output file: less would rotate in the middle of a line.
const OUTPUT_MIN_BYTES: u64 = 64 << 10;

/// Checked settings of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub node: NodeName,
    /// What it is called besides.
    pub labels: Labels,
    /// What keeps work off it, by key.
    pub taints: Vec<Taint>,
    /// The scheduler's Unix socket.
    pub scheduler_socket: PathBuf,
    /// What must survive a reboot.
    pub state_dir: PathBuf,
    /// What lives as long as the boot.
    pub run_dir: PathBuf,
    /// Path of the driver's management library, or a name that the loader finds.
    pub nvml_library: PathBuf,
    /// Where processes and capacities are read.
    pub proc_root: PathBuf,
    /// Where cgroups are mounted.
    pub cgroup_root: PathBuf,
    /// Parent of all leaves, relative to `cgroup_root`.
    pub cgroup_parent: PathBuf,
    /// Where device nodes are.
    pub dev_root: PathBuf,
    /// Kept back for the system.
    pub reserve: Reserve,
    /// Cap of each output file.
    pub output_max: Bytes,
    /// Start slices even where limits cannot be enforced.
    pub unconfined: bool,
    /// How log lines look.
    pub log_format: LogFormat,
}

/// What of the node slices never get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// CPU.
    pub cpu: CpuMilli,
    /// Memory.
    pub memory: Bytes,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors.
    Json,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no TOML, or a key is unknown or of the wrong type.
    #[error("configuration `{}` is not valid: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why, with the line.
        message: String,
    },
    /// Values are out of range; all of them are listed.
    #[error("configuration `{}` is not valid:{}", path.display(), listed(faults))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Each bad value.
        faults: Vec<Fault>,
    },
}

/// One bad value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file; none if the value is the host's.
    pub line: Option<usize>,
    /// Which key, what is wrong, and the fix.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConfig {
    node: Option<Spanned<String>>,
    scheduler_socket: Option<Spanned<String>>,
    state_dir: Option<Spanned<String>>,
    run_dir: Option<Spanned<String>>,
    nvml_library: Option<Spanned<String>>,
    proc_root: Option<Spanned<String>>,
    cgroup_root: Option<Spanned<String>>,
    cgroup_parent: Option<Spanned<String>>,
    dev_root: Option<Spanned<String>>,
    unconfined: bool,
    reserve: RawReserve,
    output: RawOutput,
    log: RawLog,
    labels: BTreeMap<String, Spanned<String>>,
    taints: Vec<RawTaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawReserve {
    cpu_milli: Option<u64>,
    memory_bytes: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawOutput {
    max_bytes: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawLog {
    format: LogFormat,
}

impl Config {
    /// Reads and checks a file; without one, every value is the default.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Self::parse("", Path::new("(defaults)"));
        };
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file; `path` is only named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let mut check = Check {
            text,
            faults: Vec::new(),
        };
        let config = check.config(raw);
        match config {
            Some(config) if check.faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Invalid {
                path: path.to_owned(),
                faults: check.faults,
            }),
        }
    }

    /// The settings in force, as a file that says the same.
    pub fn to_toml(&self) -> String {
        let path = |path: &Path| path.display().to_string();
        let shown = Shown {
            node: self.node.as_str(),
            scheduler_socket: path(&self.scheduler_socket),
            state_dir: path(&self.state_dir),
            run_dir: path(&self.run_dir),
            nvml_library: path(&self.nvml_library),
            proc_root: path(&self.proc_root),
            cgroup_root: path(&self.cgroup_root),
            cgroup_parent: path(&self.cgroup_parent),
            dev_root: path(&self.dev_root),
            unconfined: self.unconfined,
            reserve: ShownReserve {
                cpu_milli: self.reserve.cpu.0,
                memory_bytes: self.reserve.memory.0.to_string(),
            },
            output: ShownOutput {
                max_bytes: self.output_max.0.to_string(),
            },
            log: ShownLog {
                format: self.log_format,
            },
            labels: shown_labels(&self.labels),
            taints: shown_taints(&self.taints),
        };
        toml::to_string(&shown).expect("plain strings and numbers have a TOML form")
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    node: &'a str,
    scheduler_socket: String,
    state_dir: String,
    run_dir: String,
    nvml_library: String,
    proc_root: String,
    cgroup_root: String,
    cgroup_parent: String,
    dev_root: String,
    unconfined: bool,
    reserve: ShownReserve,
    output: ShownOutput,
    log: ShownLog,
    labels: BTreeMap<&'a str, &'a str>,
    taints: Vec<ShownTaint<'a>>,
}

#[derive(Serialize)]
struct ShownReserve {
    cpu_milli: u64,
    memory_bytes: String,
}

#[derive(Serialize)]
struct ShownOutput {
    max_bytes: String,
}

#[derive(Serialize)]
struct ShownLog {
    format: LogFormat,
}

/// Collects every fault, so that a person fixes them in one go.
struct Check<'a> {
    text: &'a str,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn config(&mut self, raw: RawConfig) -> Option<Config> {
        let node = self.node(raw.node);
        let labels = self.labels(&raw.labels);
        let taints = self.taints(&raw.taints);
        let scheduler_socket = self.absolute(
            "scheduler_socket",
            raw.scheduler_socket,
            "/run/dovetail/scheduler.sock",
        );
        let state_dir = self.absolute("state_dir", raw.state_dir, "/var/lib/dovetail/agent");
        let run_dir = self.absolute("run_dir", raw.run_dir, "/run/dovetail/agent");
        let nvml_library = self.library(raw.nvml_library);
        let proc_root = self.absolute("proc_root", raw.proc_root, "/proc");
        let cgroup_root = self.absolute("cgroup_root", raw.cgroup_root, "/sys/fs/cgroup");
        let cgroup_parent = self.parent(raw.cgroup_parent);
        let dev_root = self.absolute("dev_root", raw.dev_root, "/dev");
        let reserve = Reserve {
            cpu: CpuMilli(raw.reserve.cpu_milli.unwrap_or(500)),
            memory: self.size("reserve.memory_bytes", raw.reserve.memory_bytes, 1 << 30, 0),
        };
        let output_max = self.size(
            "output.max_bytes",
            raw.output.max_bytes,
            64 << 20,
            OUTPUT_MIN_BYTES,
        );
        Some(Config {
            node: node?,
            labels,
            taints,
            scheduler_socket,
            state_dir,
            run_dir,
            nvml_library,
            proc_root,
            cgroup_root,
            cgroup_parent,
            dev_root,
            reserve,
            output_max,
            unconfined: raw.unconfined,
            log_format: raw.log.format,
        })
    }

    fn node(&mut self, raw: Option<Spanned<String>>) -> Option<NodeName> {
        let Some(raw) = raw else {
            return self.host_name();
        };
        let name = NodeName::new(raw.get_ref());
        if let Err(error) = &name {
            self.fault(&raw, format!("node: {error}"));
        }
        name.ok()
    }

    fn host_name(&mut self) -> Option<NodeName> {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let host = host.to_string_lossy().to_ascii_lowercase();
        let name = NodeName::new(&host);
        if let Err(error) = &name {
            self.faults.push(Fault {
                line: None,
                message: format!("the host name will not do for `node`: {error}; set `node`"),
            });
        }
        name.ok()
    }

    fn absolute(&mut self, key: &str, raw: Option<Spanned<String>>, default: &str) -> PathBuf {
        let Some(raw) = raw else {
            return PathBuf::from(default);
        };
        let path = PathBuf::from(raw.get_ref());
        if !path.is_absolute() || has_parent(&path) {
            let shown = path.display();
            let why = format!("{key}: `{shown}` must be an absolute path without `..`");
            self.fault(&raw, why);
        }
        path
    }

    fn library(&mut self, raw: Option<Spanned<String>>) -> PathBuf {
        let Some(raw) = raw else {
            return PathBuf::from("libnvidia-ml.so.1");
        };
        let path = PathBuf::from(raw.get_ref());
        if !path.is_absolute() && path.components().count() != 1 {
            let why = "nvml_library: must be an absolute path, or a file name for the loader";
            self.fault(&raw, why.to_owned());
        }
        path
    }

    fn parent(&mut self, raw: Option<Spanned<String>>) -> PathBuf {
        let Some(raw) = raw else {
            return PathBuf::from("dovetail.slice/dovetail-workloads.service");
        };
        let path = PathBuf::from(raw.get_ref());
        let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || path.as_os_str().is_empty() {
            let shown = path.display();
            let why = format!(
                "cgroup_parent: `{shown}` must be relative to cgroup_root, for example dovetail.slice"
            );
            self.fault(&raw, why);
        }
        path
    }

    fn size(&mut self, key: &str, raw: Option<Spanned<String>>, default: u64, least: u64) -> Bytes {
        let Some(raw) = raw else {
            return Bytes(default);
        };
        match raw.get_ref().parse::<Bytes>() {
            Ok(size) if size.0 >= least => return size,
            Ok(size) => self.fault(&raw, format!("{key}: {size} is less than {}", Bytes(least))),
            Err(error) => self.fault(&raw, format!("{key}: {error}")),
        }
        Bytes(default)
    }

    fn fault(&mut self, value: &Spanned<String>, message: String) {
        let before = &self.text[..value.span().start.min(self.text.len())];
        let line = Some(before.matches('\n').count() + 1);
        self.faults.push(Fault { line, message });
    }
}

fn has_parent(path: &Path) -> bool {
    path.components().any(|part| part == Component::ParentDir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("agent.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_file_says_the_defaults() {
        let sample = parse(include_str!("../../deploy/config/agent.toml"));
        assert_eq!(sample, parse(""));
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let config = parse("node = 'x'\nunconfined = true\n[log]\nformat = 'json'").unwrap();
        assert_eq!(parse(&config.to_toml()), Ok(config));
    }

    #[test]
    fn every_bad_value_is_named_with_its_line_and_the_fix() {
        let error = parse(
            "node = 'No Name'\nstate_dir = 'here'\ncgroup_parent = '/x'\n\
             [output]\nmax_bytes = '1K'\n[reserve]\nmemory_bytes = 'much'\n",
        )
        .unwrap_err();
        for expected in [
            "line 1: node: `No Name` is no name",
            "line 2: state_dir: `here` must be an absolute path",
            "line 3: cgroup_parent: `/x` must be relative",
            "line 5: output.max_bytes: 1000 B is less than 64 KiB",
            "line 7: reserve.memory_bytes: `much` is no size",
        ] {
            assert!(error.contains(expected), "{expected} not in {error}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_with_the_line() {
        for (text, expected) in [
            ("\nnod = 'x'", "line 2"),
            ("[log]\nformat = 'xml'", "text"),
            ("unconfined = 'yes'", "boolean"),
            ("[reserve]\ncpu_milli = -1", "line 2"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{expected} not in {error}");
        }
    }
}
