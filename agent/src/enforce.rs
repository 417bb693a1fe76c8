//! Slices in the kernel: made with their limits, watched, stopped, removed, and found again after
//! a restart.
//!
//! The kernel is the truth of what exists: this keeps no list of slices. Calls may wait for the
//! kernel for some seconds; none may be made from an async task.

pub(crate) mod bpf;
pub(crate) mod descriptor;
pub(crate) mod directory;
pub(crate) mod environment;
pub(crate) mod fence;
pub(crate) mod output;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod record;
mod scan;
mod start;
mod stop;
pub(crate) mod tree;
pub(crate) mod v1;
pub(crate) mod v2;

pub use descriptor::Descriptor;
pub use directory::CgroupError;
pub use fence::DeviceNode;
pub use output::{Chunk, Stream};
pub use probe::Capabilities;
pub use process::{Process, boot_id};
pub use record::RecordError;
pub use scan::{FoundSlice, ScanError};
pub use start::{StartError, Started};
pub use stop::{Removal, StopError};
pub use tree::Layout;

use crate::clock;
use dovetail_model::{
    id::SliceId,
    report::{ExitRecord, SliceUsage},
    units::Bytes,
};
use process::Family;
use record::{Ending, RecordDirectory};
use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Component, PathBuf},
};
use thiserror::Error;
use tree::{Tree, TreePlace, Usage};

/// Where supervisors are, beside the leaves: the agent's unit may come and go without them.
pub(crate) const SUPERVISORS: &str = "supervisors";

/// Where slices are made and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforceConfig {
    /// Where cgroups are mounted.
    pub cgroup_root: PathBuf,
    /// Parent of all leaves, relative to `cgroup_root`.
    pub cgroup_parent: PathBuf,
    /// Where exit records and output are.
    pub run_dir: PathBuf,
    /// Where device nodes are.
    pub dev_root: PathBuf,
    /// Most bytes kept of each output stream of a slice.
    pub output_max_bytes: u64,
    /// Most processes and threads of a slice.
    pub pids_max: u64,
    /// Start slices even where their limits cannot be enforced.
    pub unconfined: bool,
    /// This program, to be run as `supervise`.
    pub supervisor_exe: PathBuf,
}

/// Why slices cannot be made on this host at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The parent's path leads out of the cgroup tree.
    #[error("cgroup parent `{}` must be a relative path of plain names", .0.display())]
    Parent(PathBuf),
    /// The run directory cannot be made.
    #[error("failed to make run directory `{}`", path.display())]
    RunDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Cgroups refused in a way that is no lack of permission.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Why a slice could not be examined.
#[derive(Debug, Error)]
pub enum ExamineError {
    /// Its cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its own directory could not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its processes could not be read.
    #[error("failed to examine the processes of slice {slice}")]
    Process {
        /// The slice.
        slice: SliceId,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its output could not be read.
    #[error("failed to read {stream} of slice {slice}")]
    Output {
        /// The slice.
        slice: SliceId,
        /// Which output.
        stream: Stream,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not exist.
    #[error("slice {0} does not exist")]
    Absent(SliceId),
}

/// Makes and unmakes slices.
#[derive(Debug)]
pub struct Enforcer {
    config: EnforceConfig,
    place: TreePlace,
    tree: Option<Box<dyn Tree>>,
    probed: probe::Probed,
}

impl Enforcer {
    /// Finds out how cgroups are mounted, makes the parent, and tries which limits hold. Lacking
    /// permission is no error: it is among the capabilities.
    pub fn open(config: EnforceConfig) -> Result<Self, OpenError> {
        let plain = |part| matches!(part, Component::Normal(_));
        if config.cgroup_parent.as_os_str().is_empty()
            || !config.cgroup_parent.components().all(plain)
        {
            return Err(OpenError::Parent(config.cgroup_parent));
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.run_dir)
            .map_err(|source| OpenError::RunDir {
                path: config.run_dir.clone(),
                source,
            })?;
        let mut place = TreePlace {
            layout: Layout::of(&config.cgroup_root),
            root: config.cgroup_root.clone(),
            parent: config.cgroup_parent.clone(),
        };
        let (tree, probed) = probe::probe(&place, &config.dev_root)?;
        if tree.is_none() {
            place.layout = Layout::None;
        }
        Ok(Self {
            config,
            place,
            tree,
            probed,
        })
    }

    /// What holds here and what does not.
    pub fn capabilities(&self) -> &Capabilities {
        &self.probed.capabilities
    }

    /// How cgroups are mounted, or none if they cannot be used.
    pub fn layout(&self) -> Layout {
        self.place.layout
    }

    /// The device node of a GPU by its minor number; nothing if the host has none.
    pub fn gpu_device(&self, minor: u32) -> io::Result<Option<DeviceNode>> {
        match DeviceNode::read(&self.config.dev_root.join(format!("nvidia{minor}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// What a slice has used since its start.
    pub fn usage(&self, slice: SliceId) -> Result<SliceUsage, ExamineError> {
        let (usage, elapsed_ns) = match self.record(slice).ending()? {
            Some(Ending {
                usage, elapsed_ns, ..
            }) => (usage, elapsed_ns),
            None => self.current_usage(slice)?,
        };
        let memory = Bytes(usage.memory_bytes);
        Ok(SliceUsage {
            slice,
            cpu_ns: usage.cpu_ns,
            elapsed_ns,
            memory,
        })
    }

    fn current_usage(&self, slice: SliceId) -> Result<(Usage, u64), ExamineError> {
        let descriptor = self
            .descriptor(&slice.to_string())?
            .ok_or(ExamineError::Absent(slice))?;
        let elapsed_ns = clock::now().boot_ns.saturating_sub(descriptor.made_boot_ns);
        let usage = match &self.tree {
            Some(tree) => tree.usage(&slice.to_string())?,
            None => self.family_usage(slice)?,
        };
        Ok((usage, elapsed_ns))
    }

    fn family_usage(&self, slice: SliceId) -> Result<Usage, ExamineError> {
        let failed = |source| ExamineError::Process { slice, source };
        let Some(identity) = self.record(slice).identity()? else {
            return Ok(Usage::default());
        };
        let supervisor = identity.supervisor.pid;
        let (living_ns, memory_bytes) = Family::below(supervisor).map_err(failed)?.usage();
        let reaped_ns = process::reaped_cpu_ns(supervisor).map_err(failed)?;
        Ok(Usage {
            cpu_ns: living_ns.saturating_add(reaped_ns),
            memory_bytes,
        })
    }

    /// How many of a slice's processes the kernel has killed for its memory limit.
    pub fn oom_kills(&self, slice: SliceId) -> Result<u64, ExamineError> {
        match &self.tree {
            Some(tree) => Ok(tree.oom_kills(&slice.to_string())?),
            None => Ok(0),
        }
    }

    /// How a slice ended, if it did.
    pub fn exit(&self, slice: SliceId) -> Result<Option<ExitRecord>, RecordError> {
        Ok(self.record(slice).ending()?.map(|ending| ending.record))
    }

    /// A piece of a slice's output, from an offset or that far from its end. At most a mebibyte.
    pub fn read_output(
        &self,
        slice: SliceId,
        stream: Stream,
        place: ReadFrom,
        max_bytes: u64,
    ) -> Result<Chunk, ExamineError> {
        let (offset, from_end) = match place {
            ReadFrom::Start(offset) => (offset, false),
            ReadFrom::End(offset) => (offset, true),
        };
        let record = self.record(slice);
        match output::read(record.path(), stream, offset, max_bytes, from_end) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ExamineError::Absent(slice))
            }
            read => read.map_err(|source| ExamineError::Output {
                slice,
                stream,
                source,
            }),
        }
    }

    /// Drops a slice's exit record and output. The slice must have been removed.
    pub fn forget(&self, slice: SliceId) -> Result<(), RecordError> {
        self.record(slice).remove()
    }

    fn record(&self, slice: SliceId) -> RecordDirectory {
        self.record_named(&slice.to_string())
    }

    fn record_named(&self, name: &str) -> RecordDirectory {
        RecordDirectory::new(&self.config.run_dir, name)
    }

    /// The descriptor on a leaf, or in the slice's directory where leaves cannot carry one.
    fn descriptor(&self, name: &str) -> Result<Option<Descriptor>, ExamineError> {
        if let (Some(tree), true) = (&self.tree, self.probed.attributes) {
            let leaf = tree.described(name)?;
            return Ok(leaf.map_or(Ok(None), |leaf| Descriptor::read(&leaf))?);
        }
        Ok(self.record_named(name).descriptor()?)
    }
}

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// This many bytes after the beginning.
    Start(u64),
    /// This many bytes before the end.
    End(u64),
}
