//! A simulated host: one directory with the library, its state, a capacity view and device nodes.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::clock::since_boot_ns;
use crate::device_nodes::{DeviceNodes, LAST_GPU_MINOR, make_device_nodes};
use crate::host_file::HostFile;
use crate::inventory::{gpu_records, host_record};
use crate::proc_view::write_proc_view;
use crate::process::{AddProcessError, Process};
use crate::setting::Setting;
use crate::state::{CreateStateError, GpuRecord, OpenStateError, State, UpdateStateError};

/// Name of the state file; the library looks for it beside itself.
pub(crate) const STATE_FILE: &str = "state";
/// The name under which clients load NVML.
const LIBRARY_FILE: &str = "libnvidia-ml.so.1";
const LIBRARY_LINK: &str = "libnvidia-ml.so";

/// What a host file does not say.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// The built library, copied into the host's directory.
    pub library: PathBuf,
    /// Device minor of GPU 0. Hosts on one machine need disjoint ranges.
    pub first_minor: u32,
}

/// Why a host directory was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateHostError {
    /// The directory already holds a host.
    #[error("`{}` already holds a simulated host; remove it or name another directory", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// The GPUs would need device minors that are taken by other nodes.
    #[error(
        "{gpus} GPUs from minor {first_minor} reach beyond {LAST_GPU_MINOR}; use a lower --first-minor"
    )]
    Minors {
        /// GPUs of the host.
        gpus: usize,
        /// The first minor asked for.
        first_minor: u32,
    },
    /// A file or directory could not be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The library could not be copied.
    #[error("failed to copy the library `{}`; build it with `cargo build -p dovetail-gpusim`", library.display())]
    Library {
        /// The library.
        library: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state file could not be made.
    #[error(transparent)]
    State(#[from] CreateStateError),
    /// The state file that was just made could not be opened.
    #[error(transparent)]
    Open(#[from] OpenStateError),
}

/// Why a GPU was not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The host has fewer GPUs.
    #[error("GPU {gpu} does not exist: host `{host}` has {count}")]
    NoSuchGpu {
        /// The index asked for.
        gpu: usize,
        /// Name of the host.
        host: String,
        /// GPUs of the host.
        count: usize,
    },
    /// The state could not be changed.
    #[error(transparent)]
    Update(#[from] UpdateStateError),
    /// The process could not be added.
    #[error(transparent)]
    Process(#[from] AddProcessError),
}

/// A simulated host, open for reading and changing.
#[derive(Debug)]
pub struct Host {
    directory: PathBuf,
    state: State,
}

impl Host {
    /// Makes the directory of a simulated host. The state file is written last, so that a
    /// half-made directory is never taken for a host.
    ///
    /// # Errors
    /// When the directory already holds a host, or something in it cannot be written.
    pub fn create(
        directory: &Path,
        file: &HostFile,
        options: &CreateOptions,
    ) -> Result<(Self, DeviceNodes), CreateHostError> {
        let state_path = directory.join(STATE_FILE);
        if state_path.exists() {
            return Err(CreateHostError::Exists {
                directory: directory.to_owned(),
            });
        }
        let gpus = gpu_records(file, minors(file, options.first_minor)?);
        fs::create_dir_all(directory).map_err(failed_to_write(directory))?;
        copy_library(&options.library, directory)?;
        let proc = directory.join("proc");
        write_proc_view(&proc, file).map_err(failed_to_write(&proc))?;
        let dev = directory.join("dev");
        let minors = gpus.iter().map(|gpu| gpu.minor);
        let nodes = make_device_nodes(&dev, minors).map_err(failed_to_write(&dev))?;
        State::create(&state_path, &host_record(file), &gpus)?;
        Ok((Self::open(directory)?, nodes))
    }

    /// Opens the directory of a simulated host.
    ///
    /// # Errors
    /// When there is no state file of this version in it.
    pub fn open(directory: &Path) -> Result<Self, OpenStateError> {
        let state = State::open(&directory.join(STATE_FILE))?;
        Ok(Self {
            directory: directory.to_owned(),
            state,
        })
    }

    /// Name of the host.
    #[must_use]
    pub fn name(&self) -> String {
        self.state.host().name.to_string()
    }

    /// Driver version that NVML reports.
    #[must_use]
    pub fn driver_version(&self) -> String {
        self.state.host().driver_version.to_string()
    }

    /// Logical CPUs of the host.
    #[must_use]
    pub fn cpus(&self) -> u64 {
        self.state.host().cpus
    }

    /// The library for clients of this host.
    #[must_use]
    pub fn library(&self) -> PathBuf {
        self.directory.join(LIBRARY_FILE)
    }

    /// The root of the capacity view of `/proc`.
    #[must_use]
    pub fn proc_root(&self) -> PathBuf {
        self.directory.join("proc")
    }

    /// The directory of the device nodes.
    #[must_use]
    pub fn device_root(&self) -> PathBuf {
        self.directory.join("dev")
    }

    /// GPUs of the host.
    #[must_use]
    pub fn gpu_count(&self) -> usize {
        self.state.gpu_count()
    }

    /// One GPU, by index.
    ///
    /// # Errors
    /// When the host has fewer GPUs.
    pub fn gpu(&self, index: usize) -> Result<Gpu<'_>, HostError> {
        let gpu = Gpu { host: self, index };
        if index < self.gpu_count() {
            Ok(gpu)
        } else {
            Err(gpu.missing())
        }
    }
}

/// One GPU of an open host.
#[derive(Debug, Clone, Copy)]
pub struct Gpu<'a> {
    host: &'a Host,
    index: usize,
}

impl Gpu<'_> {
    /// Everything the GPU reports now.
    ///
    /// # Errors
    /// When the host has fewer GPUs.
    pub fn read(&self) -> Result<GpuRecord, HostError> {
        self.host
            .state
            .read(self.index)
            .ok_or_else(|| self.missing())
    }

    /// Changes one value.
    ///
    /// # Errors
    /// When the state file is read-only or cannot be locked.
    pub fn set(&self, setting: Setting) -> Result<(), HostError> {
        let now_ns = since_boot_ns();
        let change = |gpu: &mut GpuRecord| setting.apply(gpu, now_ns);
        self.host
            .state
            .update(self.index, change)?
            .ok_or_else(|| self.missing())
    }

    /// Takes the GPU off the bus, or brings it back.
    ///
    /// # Errors
    /// As [`Gpu::set`].
    pub fn set_lost(&self, lost: bool) -> Result<(), HostError> {
        self.set(Setting::Lost(lost))
    }

    /// Sets the share of time with a kernel running, in percent.
    ///
    /// # Errors
    /// As [`Gpu::set`].
    pub fn set_utilization(&self, percent: u32) -> Result<(), HostError> {
        self.set(Setting::Utilization(percent))
    }

    /// Adds a process, or replaces its entry.
    ///
    /// # Errors
    /// When the process does not exist, asks for more memory than is free, or the table is full.
    pub fn add_process(&self, process: &Process) -> Result<(), HostError> {
        let change = |gpu: &mut GpuRecord| gpu.add_process(process);
        let added = self
            .host
            .state
            .update(self.index, change)?
            .ok_or_else(|| self.missing())?;
        Ok(added?)
    }

    /// Removes a process; false if it was not listed.
    ///
    /// # Errors
    /// As [`Gpu::set`].
    pub fn remove_process(&self, pid: u32) -> Result<bool, HostError> {
        let change = |gpu: &mut GpuRecord| gpu.processes.remove(pid);
        self.host
            .state
            .update(self.index, change)?
            .ok_or_else(|| self.missing())
    }

    fn missing(&self) -> HostError {
        let (host, count) = (self.host.name(), self.host.gpu_count());
        HostError::NoSuchGpu {
            gpu: self.index,
            host,
            count,
        }
    }
}

/// The device minors of the host's GPUs.
fn minors(file: &HostFile, first_minor: u32) -> Result<Range<u64>, CreateHostError> {
    let gpus = file.gpu_count();
    let first = u64::from(first_minor);
    let end = first + gpus as u64;
    if end > u64::from(LAST_GPU_MINOR) + 1 {
        return Err(CreateHostError::Minors { gpus, first_minor });
    }
    Ok(first..end)
}

fn failed_to_write(path: &Path) -> impl FnOnce(io::Error) -> CreateHostError {
    let path = path.to_owned();
    move |source| CreateHostError::Write { path, source }
}

/// Copies the library. A link would not do: the dynamic loader tells libraries apart by inode, so
/// two hosts in one process would share one.
fn copy_library(library: &Path, directory: &Path) -> Result<(), CreateHostError> {
    let copy = directory.join(LIBRARY_FILE);
    fs::copy(library, &copy).map_err(|source| CreateHostError::Library {
        library: library.to_owned(),
        source,
    })?;
    let link = directory.join(LIBRARY_LINK);
    match symlink(LIBRARY_FILE, &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed_to_write(&link)(error))
        }
        _ => Ok(()),
    }
}
