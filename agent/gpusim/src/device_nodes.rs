//! Device nodes of a simulated host, with the real major and minor numbers.
//!
//! No driver stands behind them: opening one answers `ENXIO`, or `EPERM` where a device fence
//! forbids it, so that a fence can be tested.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// Major of `nvidiactl` and `nvidiaN`.
pub const NVIDIA_MAJOR: u64 = 195;
/// Major of `nvidia-uvm`: dynamic on real hosts, listed in `/proc/devices` here as there.
pub const UVM_MAJOR: u64 = 511;
/// Minor of `nvidiactl`; 254 is `nvidia-modeset`.
const CONTROL_MINOR: u64 = 255;
/// Highest minor of a GPU.
pub(crate) const LAST_GPU_MINOR: u32 = 253;

/// Whether the device nodes were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceNodes {
    /// All of them.
    Made,
    /// None, because this user may not.
    Skipped {
        /// Why, and what would help.
        reason: String,
    },
}

/// Makes `nvidiaN` for each minor, `nvidiactl` and `nvidia-uvm`.
pub(crate) fn make_device_nodes(
    directory: &Path,
    minors: impl Iterator<Item = u64>,
) -> io::Result<DeviceNodes> {
    fs::create_dir_all(directory)?;
    let gpus = minors.map(|minor| (format!("nvidia{minor}"), NVIDIA_MAJOR, minor));
    let common = [
        ("nvidiactl".to_owned(), NVIDIA_MAJOR, CONTROL_MINOR),
        ("nvidia-uvm".to_owned(), UVM_MAJOR, 0),
    ];
    for (name, major, minor) in gpus.chain(common) {
        match make_node(&directory.join(&name), major, minor) {
            Err(Errno::EPERM | Errno::EACCES) => {
                return Ok(DeviceNodes::Skipped {
                    reason: format!("no permission to make `{name}`; run as root for device nodes"),
                });
            }
            made => made?,
        }
    }
    Ok(DeviceNodes::Made)
}

fn make_node(path: &Path, major: u64, minor: u64) -> Result<(), Errno> {
    let mode = Mode::from_bits_truncate(0o666);
    match mknod(path, SFlag::S_IFCHR, mode, makedev(major, minor)) {
        Err(Errno::EEXIST) => return Ok(()),
        made => made?,
    }
    // The umask took its share; the driver's nodes are open to everyone.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
}
