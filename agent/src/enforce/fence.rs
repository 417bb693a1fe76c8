//! Which device nodes a slice may open: the harmless ones and its own GPUs.

use super::bpf::Instruction;
use rustix::fs::{FileType, major, minor, stat};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A character device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Where it is.
    pub path: PathBuf,
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
}

impl DeviceNode {
    /// Reads the numbers of a character device.
    pub fn read(path: &Path) -> io::Result<Self> {
        let found = stat(path)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let (major, minor) = (major(found.st_rdev), minor(found.st_rdev));
        Ok(Self {
            path: path.to_owned(),
            major,
            minor,
        })
    }
}

/// What every process of every slice may open: null, zero, full, random, urandom, tty and ptmx.
const COMMON: [(u32, u32); 7] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2)];
/// Pseudo terminals: all minors.
const PTS_MAJOR: u32 = 136;
/// What every slice with a GPU needs beside the GPU's own node.
const GPU_CONTROL: [&str; 3] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"];

/// The devices of one slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fence {
    devices: Vec<(u32, u32)>,
}

impl Fence {
    /// A slice's own devices, with the driver's control nodes if it has any.
    pub(crate) fn of(devices: &[DeviceNode], dev_root: &Path) -> io::Result<Self> {
        let mut allowed: Vec<(u32, u32)> = devices.iter().map(|d| (d.major, d.minor)).collect();
        if !devices.is_empty() {
            for name in GPU_CONTROL {
                match DeviceNode::read(&dev_root.join(name)) {
                    Ok(node) => allowed.push((node.major, node.minor)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Self { devices: allowed })
    }

    fn allowed(&self) -> impl Iterator<Item = (u32, u32)> {
        COMMON.into_iter().chain(self.devices.iter().copied())
    }

    /// Lines for `devices.allow`. Nothing may make nodes.
    pub(crate) fn v1_rules(&self) -> impl Iterator<Item = String> {
        let exact = self
            .allowed()
            .map(|(major, minor)| format!("c {major}:{minor} rw"));
        exact.chain([format!("c {PTS_MAJOR}:* rw")])
    }

    /// The same as a program for the kernel.
    pub(crate) fn program(&self) -> Vec<Instruction> {
        let mut program = refuse_unless_opened();
        program.extend(allow_major(PTS_MAJOR));
        for (major, minor) in self.allowed() {
            program.extend(allow_node(major, minor));
        }
        program.extend([Instruction::set(RESULT, 0), Instruction::exit()]);
        program
    }
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const TYPE_CHARACTER: i32 = 2;
const ACCESS_MAKE_NODE: i32 = 1;

/// Reads the context (access and type in one word, major, minor) and refuses everything that is
/// not the opening of a character device.
fn refuse_unless_opened() -> Vec<Instruction> {
    vec![
        Instruction::load(TYPE, CONTEXT, 0),
        Instruction::copy(ACCESS, TYPE),
        Instruction::and(TYPE, 0xffff),
        Instruction::skip_if_equal(TYPE, TYPE_CHARACTER, 2),
        Instruction::set(RESULT, 0),
        Instruction::exit(),
        Instruction::shift_right(ACCESS, 16),
        Instruction::and(ACCESS, ACCESS_MAKE_NODE),
        Instruction::skip_if_equal(ACCESS, 0, 2),
        Instruction::set(RESULT, 0),
        Instruction::exit(),
        Instruction::load(MAJOR, CONTEXT, 4),
        Instruction::load(MINOR, CONTEXT, 8),
    ]
}

fn allow_major(major: u32) -> [Instruction; 3] {
    [
        Instruction::skip_unless_equal(MAJOR, major.cast_signed(), 2),
        Instruction::set(RESULT, 1),
        Instruction::exit(),
    ]
}

fn allow_node(major: u32, minor: u32) -> [Instruction; 4] {
    [
        Instruction::skip_unless_equal(MAJOR, major.cast_signed(), 3),
        Instruction::skip_unless_equal(MINOR, minor.cast_signed(), 2),
        Instruction::set(RESULT, 1),
        Instruction::exit(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_the_common_nodes_and_the_slices_own() {
        let own = DeviceNode {
            path: PathBuf::from("/dev/nvidia3"),
            major: 195,
            minor: 3,
        };
        let fence = Fence::of(&[own], Path::new("/nonexistent")).unwrap();
        let rules: Vec<String> = fence.v1_rules().collect();
        assert!(rules.contains(&"c 195:3 rw".to_owned()) && rules.contains(&"c 1:3 rw".to_owned()));
        assert!(
            rules
                .iter()
                .all(|rule| !rule.contains('m') && !rule.starts_with('b'))
        );
        assert_eq!(rules.len(), COMMON.len() + 2);
    }

    #[test]
    fn a_regular_file_is_no_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DeviceNode::read(file.path()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        let null = DeviceNode::read(Path::new("/dev/null")).unwrap();
        assert_eq!((null.major, null.minor), (1, 3));
    }
}
