//! The file that describes a simulated host: parsed, checked, and typed before anything is made.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::models::{Model, find_model, model_keys};
use crate::quantity::Bytes;

/// Most GPUs on one simulated host: the largest real hosts have 16.
pub const MAX_GPUS: usize = 32;
/// Most CPUs on one simulated host; the kernel's own limit is 8 192.
const MAX_CPUS: u32 = 4_096;
/// Least memory of a simulated host; below this `/proc/meminfo` would have rows of zero.
const MIN_MEMORY: Bytes = Bytes(64 << 20);
/// Longest host name, as in DNS labels; it must fit the state file.
const MAX_NAME: usize = 63;
/// Longest driver version; NVML's own buffer is 80 bytes.
const MAX_DRIVER_VERSION: usize = 32;

/// A simulated host, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Unique name; UUIDs are derived from it.
    pub name: String,
    /// Logical CPUs, 1 to 4 096.
    pub cpus: u32,
    /// Memory of the host.
    pub memory: Bytes,
    /// Driver version that NVML reports.
    pub driver_version: String,
    /// GPUs, in the order of their indexes.
    pub gpus: Vec<GpuGroup>,
}

/// Several GPUs of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuGroup {
    /// The model.
    pub model: &'static Model,
    /// How many, at least 1.
    pub count: usize,
}

/// Why a host file was refused.
#[derive(Debug, thiserror::Error)]
pub enum HostFileError {
    /// The file could not be read.
    #[error("failed to read host file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not TOML, or has an unknown, missing or mistyped field.
    #[error("failed to parse host file `{}`", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Some fields are out of range; all of them are listed.
    #[error("host file `{}` is not valid:{faults}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One line for each field, with the fix.
        faults: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHostFile {
    name: String,
    cpus: u32,
    memory: String,
    #[serde(default = "default_driver_version")]
    driver_version: String,
    #[serde(default)]
    gpu: Vec<RawGpuGroup>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGpuGroup {
    model: String,
    #[serde(default = "one")]
    count: usize,
}

fn default_driver_version() -> String {
    "580.95.05".to_owned()
}

fn one() -> usize {
    1
}

impl HostFile {
    /// Reads and checks a host file.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or a field is unknown, missing or out of range.
    pub fn read(path: &Path) -> Result<Self, HostFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| HostFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses and checks the text of a host file; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`HostFile::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, HostFileError> {
        let raw: RawHostFile = toml::from_str(text).map_err(|source| HostFileError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let mut faults = Faults::default();
        let host = Self::check(raw, &mut faults);
        if faults.0.is_empty() {
            return Ok(host);
        }
        Err(HostFileError::Invalid {
            path: path.to_owned(),
            faults: faults.0,
        })
    }

    /// GPUs of all groups together.
    #[must_use]
    pub fn gpu_count(&self) -> usize {
        self.gpus.iter().map(|group| group.count).sum()
    }

    /// The model of each GPU, by index.
    pub fn gpu_models(&self) -> impl Iterator<Item = &'static Model> {
        self.gpus
            .iter()
            .flat_map(|group| std::iter::repeat_n(group.model, group.count))
    }

    fn check(raw: RawHostFile, faults: &mut Faults) -> Self {
        let host = Self {
            memory: check_memory(&raw.memory, faults),
            gpus: check_groups(&raw.gpu, faults),
            name: raw.name,
            cpus: raw.cpus,
            driver_version: raw.driver_version,
        };
        if !is_host_name(&host.name) {
            let fix = "use 1 to 63 of a-z, 0-9, `-` and `.`, beginning with a letter or digit";
            faults.add("name", &host.name, fix);
        }
        if host.cpus == 0 || host.cpus > MAX_CPUS {
            faults.add("cpus", host.cpus, &format!("use 1 to {MAX_CPUS}"));
        }
        if !is_driver_version(&host.driver_version) {
            faults.add(
                "driver_version",
                &host.driver_version,
                "use numbers such as `580.95.05`",
            );
        }
        host
    }
}

/// The faults found so far, one indented line each.
#[derive(Debug, Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, field: &str, value: impl std::fmt::Display, fix: &str) {
        write!(self.0, "\n  {field}: `{value}` is not allowed; {fix}")
            .expect("writing to a string does not fail");
    }
}

fn check_memory(text: &str, faults: &mut Faults) -> Bytes {
    match text.parse::<Bytes>() {
        Ok(memory) if memory >= MIN_MEMORY => memory,
        Ok(memory) => {
            faults.add("memory", memory, &format!("use at least {MIN_MEMORY}"));
            memory
        }
        Err(_) => {
            faults.add("memory", text, "write a quantity such as `512Gi` or `2Ti`");
            Bytes(0)
        }
    }
}

fn check_groups(raw: &[RawGpuGroup], faults: &mut Faults) -> Vec<GpuGroup> {
    let mut groups = Vec::new();
    for (index, group) in raw.iter().enumerate() {
        let Some(model) = find_model(&group.model) else {
            let known = model_keys().collect::<Vec<_>>().join(", ");
            faults.add(
                &format!("gpu[{index}].model"),
                &group.model,
                &format!("use one of {known}"),
            );
            continue;
        };
        if group.count == 0 || group.count > MAX_GPUS {
            let field = format!("gpu[{index}].count");
            faults.add(&field, group.count, &format!("use 1 to {MAX_GPUS}"));
        }
        groups.push(GpuGroup {
            model,
            count: group.count.min(MAX_GPUS + 1),
        });
    }
    let total: usize = groups.iter().map(|group| group.count).sum();
    if groups.iter().all(|group| group.count <= MAX_GPUS) && total > MAX_GPUS {
        faults.add(
            "gpu",
            total,
            &format!("a host has at most {MAX_GPUS} GPUs in all"),
        );
    }
    groups
}

fn is_host_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_NAME
        && name.bytes().next().is_some_and(allowed)
        && name
            .bytes()
            .all(|byte| allowed(byte) || byte == b'-' || byte == b'.')
}

fn is_driver_version(version: &str) -> bool {
    version.len() <= MAX_DRIVER_VERSION
        && version.split('.').count() >= 2
        && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = HostFile::parse(text, Path::new("host.toml")).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}\n{}", source.unwrap_or_default())
    }

    #[test]
    fn a_mixed_host_is_read_in_the_order_of_its_groups() {
        let text = "name = 'mixed'\ncpus = 64\nmemory = '512Gi'\n\
                    [[gpu]]\nmodel = 'L4-24'\ncount = 2\n[[gpu]]\nmodel = 'A100-40'\n";
        let host = HostFile::parse(text, Path::new("host.toml")).unwrap();
        let names: Vec<_> = host.gpu_models().map(|model| model.key).collect();
        assert_eq!(names, ["L4-24", "L4-24", "A100-40"]);
        assert_eq!(host.driver_version, "580.95.05");
        assert_eq!(host.memory, Bytes(512 << 30));
    }

    #[test]
    fn an_unknown_field_is_refused_by_name_and_line() {
        let message = refusal("name = 'a'\ncpus = 1\nmemory = '1Gi'\ncolour = 'red'\n");
        assert!(message.contains("host.toml"), "{message}");
        assert!(
            message.contains("colour") && message.contains("line 4"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_field_is_refused_by_name() {
        assert!(refusal("name = 'a'\nmemory = '1Gi'\n").contains("cpus"));
    }

    #[test]
    fn every_field_out_of_range_is_named_with_its_fix() {
        let text = "name = 'Bad Name'\ncpus = 0\nmemory = '2 terabytes'\ndriver_version = 'new'\n\
                    [[gpu]]\nmodel = 'H1000'\n[[gpu]]\nmodel = 'L4-24'\ncount = 99\n";
        let message = refusal(text);
        for expected in [
            "name: `Bad Name`",
            "cpus: `0` is not allowed; use 1 to 4096",
            "memory: `2 terabytes` is not allowed; write a quantity",
            "driver_version: `new`",
            "gpu[0].model: `H1000` is not allowed; use one of A30-24, A100-40",
            "gpu[1].count: `99` is not allowed; use 1 to 32",
        ] {
            assert!(
                message.contains(expected),
                "{expected} is missing in {message}"
            );
        }
    }

    #[test]
    fn more_gpus_than_a_host_may_have_are_refused() {
        let text = "name = 'a'\ncpus = 1\nmemory = '1Gi'\n\
                    [[gpu]]\nmodel = 'L4-24'\ncount = 20\n[[gpu]]\nmodel = 'T4-16'\ncount = 13\n";
        assert!(refusal(text).contains("gpu: `33` is not allowed; a host has at most 32"));
    }
}
