//! Cgroup v1: one hierarchy per controller; where v2 is mounted beside it, a directory there for
//! the descriptor and the kill.

use super::{
    directory::{CgroupError, Directory},
    fence::Fence,
    tree::{
        Limit, Tree, UNIFIED, Usage, descend, parts, pids_below, quota_and_period, remove_below,
        shares, signal_each,
    },
    v2::V2,
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{Mode, OFlags, openat},
    process::Signal,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often to look whether a leaf is frozen, and how long in between.
const FREEZE_LOOKS: u32 = 100;
const FREEZE_PAUSE: Duration = Duration::from_millis(2);

const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";
const OOM_CONTROL: &str = "memory.oom_control";

/// The parent's directory in every hierarchy.
#[derive(Debug)]
pub(crate) struct V1 {
    controllers: BTreeMap<&'static str, Directory>,
    unified: Option<V2>,
}

impl V1 {
    /// Every hierarchy that is used.
    pub(crate) const CONTROLLERS: [&'static str; 6] =
        ["cpu", "cpuacct", "devices", "freezer", "memory", "pids"];

    /// Opens the parent's directories; a hierarchy that is not mounted is left out.
    pub(crate) fn open(root: &Path, parent: &Path) -> Result<Self, CgroupError> {
        let mut controllers = BTreeMap::new();
        for name in Self::CONTROLLERS {
            match Directory::open(&root.join(name)).and_then(|top| descend(top, parent)) {
                Ok(directory) => drop(controllers.insert(name, directory)),
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        let unified = match V2::open(&root.join(UNIFIED), parent) {
            Ok(unified) => Some(unified),
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            controllers,
            unified,
        })
    }

    /// Makes the parent's directories in every mounted hierarchy.
    pub(crate) fn create(root: &Path, parent: &Path) -> Result<(), CgroupError> {
        for name in Self::CONTROLLERS.into_iter().chain([UNIFIED]) {
            let mut directory = match Directory::open(&root.join(name)) {
                Err(error) if error.is_absent() => continue,
                top => top?,
            };
            for part in parts(parent) {
                directory.make(&part)?;
                directory = directory.child(&part)?;
            }
        }
        Ok(())
    }

    fn leaf(&self, controller: &'static str, leaf: &str) -> Result<Directory, CgroupError> {
        let missing = || CgroupError::Access {
            action: "find the controller",
            path: PathBuf::from(controller),
            source: std::io::Error::from_raw_os_error(libc::ENOENT),
        };
        self.controllers
            .get(controller)
            .ok_or_else(missing)?
            .child(leaf)
    }

    fn limit_cpu(&self, leaf: &str, limit: Limit) -> Result<(), CgroupError> {
        let Limit::Cpu { request, limit } = limit else {
            return Ok(());
        };
        let group = self.leaf("cpu", leaf)?;
        let (quota, period) = quota_and_period(limit);
        group.write("cpu.shares", &shares(request).to_string())?;
        group.write("cpu.cfs_period_us", &period.to_string())?;
        group.write("cpu.cfs_quota_us", &quota.to_string())
    }

    fn limit_memory(&self, leaf: &str, bytes: u64) -> Result<(), CgroupError> {
        let group = self.leaf("memory", leaf)?;
        group.write("memory.limit_in_bytes", &bytes.to_string())?;
        if group.has(MEMORY_AND_SWAP) {
            group.write(MEMORY_AND_SWAP, &bytes.to_string())?;
        }
        Ok(())
    }

    /// Kills what the freezer holds still, so that nothing forks away meanwhile.
    fn kill_frozen(&self, leaf: &str) -> Result<(), CgroupError> {
        if self.controllers.contains_key("freezer") {
            self.freeze(leaf, true)?;
        }
        signal_each(&self.pids(leaf)?, Signal::KILL);
        Ok(())
    }

    fn await_frozen(group: &Directory) -> Result<(), CgroupError> {
        for _ in 0..FREEZE_LOOKS {
            if group.read("freezer.state")?.trim() == "FROZEN" {
                break;
            }
            thread::sleep(FREEZE_PAUSE);
        }
        Ok(())
    }

    /// The leaf's directories but the one with the descriptor, then that one.
    fn in_removal_order(&self) -> impl Iterator<Item = &Directory> {
        let last = if self.unified.is_some() {
            ""
        } else {
            DESCRIBED
        };
        let others = self
            .controllers
            .iter()
            .filter(move |(name, _)| **name != last);
        others
            .map(|(_, directory)| directory)
            .chain(self.controllers.get(last))
    }
}

/// The hierarchy that carries the descriptor where v2 is not mounted.
const DESCRIBED: &str = "freezer";

impl Tree for V1 {
    fn make(&self, leaf: &str) -> Result<(), CgroupError> {
        for parent in self.controllers.values() {
            parent.make(leaf)?;
        }
        self.unified
            .as_ref()
            .map_or(Ok(()), |unified| unified.make(leaf))
    }

    fn limit(&self, leaf: &str, limit: Limit) -> Result<(), CgroupError> {
        match limit {
            Limit::Cpu { .. } => self.limit_cpu(leaf, limit),
            Limit::Memory(bytes) => self.limit_memory(leaf, bytes.0),
            Limit::Pids(most) => self
                .leaf("pids", leaf)?
                .write("pids.max", &most.to_string()),
        }
    }

    fn fence(&self, leaf: &str, fence: &Fence) -> Result<(), CgroupError> {
        let group = self.leaf("devices", leaf)?;
        group.write("devices.deny", "a")?;
        fence
            .v1_rules()
            .try_for_each(|rule| group.write("devices.allow", &rule))
    }

    fn leaves(&self) -> Result<BTreeSet<String>, CgroupError> {
        let mut names = BTreeSet::new();
        for parent in self.controllers.values() {
            names.extend(parent.children()?);
        }
        if let Some(unified) = &self.unified {
            names.extend(unified.leaves()?);
        }
        Ok(names)
    }

    fn entrances(&self, leaf: &str) -> Vec<PathBuf> {
        let own = self.controllers.values().map(|parent| parent.path());
        let mut files: Vec<PathBuf> = own
            .map(|parent| parent.join(leaf).join("cgroup.procs"))
            .collect();
        files.extend(
            self.unified
                .iter()
                .flat_map(|unified| unified.entrances(leaf)),
        );
        files
    }

    fn pids(&self, leaf: &str) -> Result<BTreeSet<i32>, CgroupError> {
        let mut found = match &self.unified {
            Some(unified) => unified.pids(leaf)?,
            None => BTreeSet::new(),
        };
        for parent in self.controllers.values() {
            match parent.child(leaf).and_then(|group| pids_below(&group)) {
                Ok(pids) => found.extend(pids),
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn kill_once(&self, leaf: &str) -> Result<(), CgroupError> {
        let by_kernel = match &self.unified {
            Some(unified) => unified.kill_whole(leaf)?,
            None => false,
        };
        if !by_kernel {
            self.kill_frozen(leaf)?;
        }
        // What is frozen does not die, whoever froze it.
        match self.freeze(leaf, false) {
            Err(error) if error.is_absent() => Ok(()),
            thawed => thawed,
        }
    }

    fn freeze(&self, leaf: &str, frozen: bool) -> Result<(), CgroupError> {
        let group = match self.leaf("freezer", leaf) {
            Err(error) if error.is_absent() => return Ok(()),
            group => group?,
        };
        if frozen {
            group.write("freezer.state", "FROZEN")?;
            Self::await_frozen(&group)
        } else {
            group.write("freezer.state", "THAWED")
        }
    }

    fn usage(&self, leaf: &str) -> Result<Usage, CgroupError> {
        let read = |controller, file: &str| {
            if self.controllers.contains_key(controller) {
                self.leaf(controller, leaf)?.number(file)
            } else {
                Ok(0)
            }
        };
        Ok(Usage {
            cpu_ns: read("cpuacct", "cpuacct.usage")?,
            memory_bytes: read("memory", "memory.usage_in_bytes")?,
        })
    }

    fn oom_kills(&self, leaf: &str) -> Result<u64, CgroupError> {
        if !self.controllers.contains_key("memory") {
            return Ok(0);
        }
        self.leaf("memory", leaf)?.keyed(OOM_CONTROL, "oom_kill")
    }

    fn oom_event(&self, leaf: &str) -> Result<Option<OwnedFd>, CgroupError> {
        if !self.controllers.contains_key("memory") {
            return Ok(None);
        }
        let group = self.leaf("memory", leaf)?;
        let failed = |errno: rustix::io::Errno| CgroupError::Access {
            action: "watch",
            path: group.path().join(OOM_CONTROL),
            source: errno.into(),
        };
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let control = openat(&group, OOM_CONTROL, flags, Mode::empty()).map_err(failed)?;
        let registration = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        group.write("cgroup.event_control", &registration)?;
        Ok(Some(event))
    }

    fn described(&self, leaf: &str) -> Result<Option<Directory>, CgroupError> {
        if let Some(unified) = &self.unified {
            return unified.described(leaf);
        }
        match self.leaf(DESCRIBED, leaf) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove_once(&self, leaf: &str) -> Result<(), CgroupError> {
        for parent in self.in_removal_order() {
            remove_below(parent, leaf)?;
        }
        self.unified
            .as_ref()
            .map_or(Ok(()), |unified| unified.remove_once(leaf))
    }
}
