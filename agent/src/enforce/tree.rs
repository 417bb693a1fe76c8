//! One view of cgroup v1, v2 and the two mounted together: a leaf per slice, its limits, its
//! processes, its end.

use super::{
    directory::{CgroupError, Directory},
    fence::Fence,
    v1::V1,
    v2::V2,
};
use dovetail_model::units::{Bytes, CpuMilli};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Deepest nesting of groups that a slice may have made in its leaf, and most of them: what is
/// beyond is left to the next attempt.
const NESTED_DEPTH_MAX: u32 = 16;
/// Pause between two rounds of killing or removing.
const ROUND_PAUSE: Duration = Duration::from_millis(5);

const CGROUP_V1_MAGIC: i64 = 0x0027_e0eb;
const CGROUP_V2_MAGIC: i64 = 0x6367_7270;

/// How cgroups are mounted on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all.
    V2,
    /// Controllers on v1, and a v2 hierarchy beside them.
    Hybrid,
    /// None that can be used.
    None,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "cgroup v1",
            Self::V2 => "cgroup v2",
            Self::Hybrid => "cgroup v1 and v2",
            Self::None => "no cgroups",
        })
    }
}

impl Layout {
    /// What is mounted at a root.
    pub(crate) fn of(root: &Path) -> Self {
        let magic = |path: &Path| Directory::open(path).and_then(|found| found.magic()).ok();
        if magic(root) == Some(CGROUP_V2_MAGIC) {
            return Self::V2;
        }
        let v1 = V1::CONTROLLERS
            .iter()
            .any(|controller| magic(&root.join(controller)) == Some(CGROUP_V1_MAGIC));
        let unified = magic(&root.join(UNIFIED)) == Some(CGROUP_V2_MAGIC);
        match (v1, unified) {
            (true, true) => Self::Hybrid,
            (true, false) => Self::V1,
            (false, _) => Self::None,
        }
    }
}

/// Where the v2 hierarchy is when v1 has the controllers.
pub(super) const UNIFIED: &str = "unified";

/// One limit of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Limit {
    /// CPU guaranteed in proportion, and CPU at most.
    Cpu { request: CpuMilli, limit: CpuMilli },
    /// Memory, with swap.
    Memory(Bytes),
    /// Processes and threads.
    Pids(u64),
}

/// What a slice has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU time.
    pub(crate) cpu_ns: u64,
    /// Memory in use now.
    pub(crate) memory_bytes: u64,
}

/// Where the leaves are: enough for another process to find them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TreePlace {
    pub(crate) layout: Layout,
    pub(crate) root: PathBuf,
    pub(crate) parent: PathBuf,
}

impl TreePlace {
    /// Opens the tree; its parent directories must exist.
    pub(crate) fn open(&self) -> Result<Option<Box<dyn Tree>>, CgroupError> {
        Ok(match self.layout {
            Layout::V2 => Some(Box::new(V2::open(&self.root, &self.parent)?)),
            Layout::V1 | Layout::Hybrid => Some(Box::new(V1::open(&self.root, &self.parent)?)),
            Layout::None => None,
        })
    }

    /// Makes the parent directories, and opens the tree.
    pub(crate) fn create(&self) -> Result<Option<Box<dyn Tree>>, CgroupError> {
        match self.layout {
            Layout::V2 => V2::create(&self.root, &self.parent)?,
            Layout::V1 | Layout::Hybrid => V1::create(&self.root, &self.parent)?,
            Layout::None => {}
        }
        self.open()
    }
}

/// The leaves of one parent directory.
pub(crate) trait Tree: fmt::Debug + Send + Sync {
    /// Makes a leaf, without limits; it may exist.
    fn make(&self, leaf: &str) -> Result<(), CgroupError>;
    /// Sets a limit.
    fn limit(&self, leaf: &str, limit: Limit) -> Result<(), CgroupError>;
    /// Lets the leaf open these devices and no other.
    fn fence(&self, leaf: &str, fence: &Fence) -> Result<(), CgroupError>;
    /// Names of all leaves.
    fn leaves(&self) -> Result<BTreeSet<String>, CgroupError>;
    /// The files that a process writes `0` to so that it is in the leaf.
    fn entrances(&self, leaf: &str) -> Vec<PathBuf>;
    /// The processes in the leaf and below it.
    fn pids(&self, leaf: &str) -> Result<BTreeSet<i32>, CgroupError>;
    /// Kills what is in the leaf, once: what it forks meanwhile is left to the next round.
    fn kill_once(&self, leaf: &str) -> Result<(), CgroupError>;
    /// Stops or continues every process of the leaf.
    fn freeze(&self, leaf: &str, frozen: bool) -> Result<(), CgroupError>;
    /// What the leaf has used.
    fn usage(&self, leaf: &str) -> Result<Usage, CgroupError>;
    /// Processes of the leaf that the kernel killed for its memory limit.
    fn oom_kills(&self, leaf: &str) -> Result<u64, CgroupError>;
    /// Becomes readable when the leaf runs out of memory, where the kernel does not kill it whole.
    fn oom_event(&self, leaf: &str) -> Result<Option<OwnedFd>, CgroupError>;
    /// The directory that carries the leaf's descriptor, if the leaf exists.
    fn described(&self, leaf: &str) -> Result<Option<Directory>, CgroupError>;
    /// Removes the leaf, once; the directory with the descriptor goes last.
    fn remove_once(&self, leaf: &str) -> Result<(), CgroupError>;
}

/// Kills everything in a leaf; whether nothing was left in time.
pub(crate) fn kill_all(
    tree: &dyn Tree,
    leaf: &str,
    patience: Duration,
) -> Result<bool, CgroupError> {
    let end = Instant::now() + patience;
    loop {
        if tree.pids(leaf)?.is_empty() {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        tree.kill_once(leaf)?;
        thread::sleep(ROUND_PAUSE);
    }
}

/// Kills what is in a leaf and removes it; whether it was gone in time.
pub(crate) fn remove_all(
    tree: &dyn Tree,
    leaf: &str,
    patience: Duration,
) -> Result<bool, CgroupError> {
    let end = Instant::now() + patience;
    loop {
        tree.kill_once(leaf)?;
        match tree.remove_once(leaf) {
            Ok(()) => return Ok(true),
            // A process that has ended keeps its group busy until its parent has looked.
            Err(error) if error.errno() != Some(libc::EBUSY) => return Err(error),
            Err(_) if Instant::now() >= end => return Ok(false),
            Err(_) => thread::sleep(ROUND_PAUSE),
        }
    }
}

/// Sends a signal to each process; one that has just ended is no error.
pub(crate) fn signal_each(pids: &BTreeSet<i32>, signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(pid = pid.as_raw_nonzero(), %error, "process not signalled");
        }
    }
}

/// The directory at a relative path, through real directories only.
pub(super) fn descend(root: Directory, path: &Path) -> Result<Directory, CgroupError> {
    parts(path).try_fold(root, |directory, part| directory.child(&part))
}

/// The names on a relative path.
pub(super) fn parts(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

/// Processes in a group and all below it.
pub(super) fn pids_below(group: &Directory) -> Result<BTreeSet<i32>, CgroupError> {
    let mut found = BTreeSet::new();
    collect_pids(group, NESTED_DEPTH_MAX, &mut found)?;
    Ok(found)
}

fn collect_pids(
    group: &Directory,
    depth: u32,
    found: &mut BTreeSet<i32>,
) -> Result<(), CgroupError> {
    let text = group.read("cgroup.procs")?;
    // 0 stands for a process of another pid namespace: it cannot be named from here.
    found.extend(
        text.lines()
            .filter_map(|line| line.parse::<i32>().ok())
            .filter(|pid| *pid > 0),
    );
    if depth == 0 {
        return Ok(());
    }
    for name in group.children()? {
        match group
            .child(&name)
            .and_then(|child| collect_pids(&child, depth - 1, found))
        {
            Err(error) if error.is_absent() => {}
            other => other?,
        }
    }
    Ok(())
}

/// Removes a group and what the slice nested in it.
pub(super) fn remove_below(parent: &Directory, name: &str) -> Result<(), CgroupError> {
    match parent.child(name) {
        Err(error) if error.is_absent() => Ok(()),
        Err(error) => Err(error),
        Ok(group) => {
            remove_children(&group, NESTED_DEPTH_MAX)?;
            parent.remove(name)
        }
    }
}

fn remove_children(group: &Directory, depth: u32) -> Result<(), CgroupError> {
    for name in group.children()? {
        if depth > 0 {
            match group.child(&name) {
                Err(error) if error.is_absent() => continue,
                child => remove_children(&child?, depth - 1)?,
            }
        }
        group.remove(&name)?;
    }
    Ok(())
}

/// CPU weight of v1 in the kernel's range.
pub(super) fn shares(request: CpuMilli) -> u64 {
    (request.0.saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// CPU quota and period in microseconds. The kernel takes no quota below a millisecond, so tiny
/// limits are spread over a longer period.
pub(super) fn quota_and_period(limit: CpuMilli) -> (u64, u64) {
    let period = if limit.0 < 10 { 1_000_000 } else { 100_000 };
    (limit.0.saturating_mul(period) / 1000, period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_exact_and_never_below_a_millisecond() {
        assert_eq!(quota_and_period(CpuMilli(200)), (20_000, 100_000));
        assert_eq!(quota_and_period(CpuMilli(2500)), (250_000, 100_000));
        assert_eq!(quota_and_period(CpuMilli(10)), (1000, 100_000));
        assert_eq!(quota_and_period(CpuMilli(1)), (1000, 1_000_000));
    }

    #[test]
    fn shares_stay_in_the_kernels_range() {
        assert_eq!(
            [1, 1000, 500_000].map(|m| shares(CpuMilli(m))),
            [2, 1024, 262_144]
        );
    }

    #[test]
    fn a_directory_without_cgroups_has_no_layout() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Layout::of(directory.path()), Layout::None);
        assert_eq!(Layout::of(&directory.path().join("absent")), Layout::None);
    }
}
