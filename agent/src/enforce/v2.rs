//! Cgroup v2: one hierarchy, controllers switched on from the delegated directory downwards.

use super::{
    bpf,
    directory::{CgroupError, Directory},
    fence::Fence,
    tree::{
        Limit, Tree, Usage, descend, parts, pids_below, quota_and_period, remove_below, shares,
        signal_each,
    },
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Controllers that limits need.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
const SUBTREE_CONTROL: &str = "cgroup.subtree_control";
/// How often to look whether a leaf is frozen, and how long in between.
const FREEZE_LOOKS: u32 = 100;
const FREEZE_PAUSE: Duration = Duration::from_millis(2);

/// The parent directory of all leaves.
#[derive(Debug)]
pub(crate) struct V2 {
    parent: Directory,
}

impl V2 {
    /// Opens the parent directory.
    pub(crate) fn open(root: &Path, parent: &Path) -> Result<Self, CgroupError> {
        let parent = descend(Directory::open(root)?, parent)?;
        Ok(Self { parent })
    }

    /// Makes the parent directory and switches controllers on for its leaves: in directories made
    /// here, in the parent itself, which is ours, and at the root when a directory of ours is right
    /// below it. Everybody else's stay as they are.
    pub(crate) fn create(root: &Path, parent: &Path) -> Result<(), CgroupError> {
        let mut directory = Directory::open(root)?;
        let mut ours = true;
        for part in parts(parent) {
            let made = directory.make(&part)?;
            if made && ours {
                switch_on(&directory)?;
            }
            ours = made;
            directory = directory.child(&part)?;
        }
        switch_on(&directory)
    }

    /// Kills the leaf by one kernel call; false if this kernel has none.
    pub(super) fn kill_whole(&self, leaf: &str) -> Result<bool, CgroupError> {
        let group = match self.parent.child(leaf) {
            Err(error) if error.is_absent() => return Ok(false),
            group => group?,
        };
        if !group.has("cgroup.kill") {
            return Ok(false);
        }
        group.write("cgroup.kill", "1").map(|()| true)
    }

    fn limit_memory(group: &Directory, bytes: u64) -> Result<(), CgroupError> {
        group.write("memory.max", &bytes.to_string())?;
        if group.has("memory.swap.max") {
            group.write("memory.swap.max", "0")?;
        }
        // One process of a slice is never killed alone: half a slice is worth nothing.
        group.write("memory.oom.group", "1")
    }

    fn await_frozen(group: &Directory) -> Result<(), CgroupError> {
        for _ in 0..FREEZE_LOOKS {
            if group.keyed("cgroup.events", "frozen")? == 1 {
                break;
            }
            thread::sleep(FREEZE_PAUSE);
        }
        Ok(())
    }
}

/// Switches on each controller that the directory could give its children and does not yet.
fn switch_on(directory: &Directory) -> Result<(), CgroupError> {
    let available = directory.read("cgroup.controllers")?;
    let given = directory.read(SUBTREE_CONTROL)?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    CONTROLLERS
        .iter()
        .filter(|name| has(&available, name) && !has(&given, name))
        .try_for_each(|name| directory.write(SUBTREE_CONTROL, &format!("+{name}")))
}

/// The v2 weight that a v1 share corresponds to, as container runtimes convert it.
fn weight(shares: u64) -> u64 {
    1 + (shares.saturating_sub(2) * 9999) / 262_142
}

impl Tree for V2 {
    fn make(&self, leaf: &str) -> Result<(), CgroupError> {
        self.parent.make(leaf).map(drop)
    }

    fn limit(&self, leaf: &str, limit: Limit) -> Result<(), CgroupError> {
        let group = self.parent.child(leaf)?;
        match limit {
            Limit::Cpu { request, limit } => {
                let (quota, period) = quota_and_period(limit);
                group.write("cpu.weight", &weight(shares(request)).to_string())?;
                group.write("cpu.max", &format!("{quota} {period}"))
            }
            Limit::Memory(bytes) => Self::limit_memory(&group, bytes.0),
            Limit::Pids(most) => group.write("pids.max", &most.to_string()),
        }
    }

    fn fence(&self, leaf: &str, fence: &Fence) -> Result<(), CgroupError> {
        let group = self.parent.child(leaf)?;
        let failed = |action| {
            let path = group.path().to_owned();
            move |source| CgroupError::Device {
                action,
                path,
                source,
            }
        };
        let program = bpf::load_device_program(&fence.program()).map_err(failed("load"))?;
        bpf::attach_device_program(&group, &program).map_err(failed("attach"))
    }

    fn leaves(&self) -> Result<BTreeSet<String>, CgroupError> {
        Ok(self.parent.children()?.into_iter().collect())
    }

    fn entrances(&self, leaf: &str) -> Vec<PathBuf> {
        vec![self.parent.path().join(leaf).join("cgroup.procs")]
    }

    fn pids(&self, leaf: &str) -> Result<BTreeSet<i32>, CgroupError> {
        match self.parent.child(leaf).and_then(|group| pids_below(&group)) {
            Err(error) if error.is_absent() => Ok(BTreeSet::new()),
            found => found,
        }
    }

    fn kill_once(&self, leaf: &str) -> Result<(), CgroupError> {
        if self.kill_whole(leaf)? {
            return Ok(());
        }
        self.freeze(leaf, true)?;
        signal_each(&self.pids(leaf)?, Signal::KILL);
        self.freeze(leaf, false)
    }

    fn freeze(&self, leaf: &str, frozen: bool) -> Result<(), CgroupError> {
        let group = match self.parent.child(leaf) {
            Err(error) if error.is_absent() => return Ok(()),
            group => group?,
        };
        group.write("cgroup.freeze", if frozen { "1" } else { "0" })?;
        if frozen {
            Self::await_frozen(&group)
        } else {
            Ok(())
        }
    }

    fn usage(&self, leaf: &str) -> Result<Usage, CgroupError> {
        let group = self.parent.child(leaf)?;
        let memory_bytes = match group.number("memory.current") {
            Err(error) if error.is_absent() => 0,
            number => number?,
        };
        let cpu_us = group.keyed("cpu.stat", "usage_usec")?;
        Ok(Usage {
            cpu_ns: cpu_us.saturating_mul(1000),
            memory_bytes,
        })
    }

    fn oom_kills(&self, leaf: &str) -> Result<u64, CgroupError> {
        match self.parent.child(leaf)?.keyed("memory.events", "oom_kill") {
            Err(error) if error.is_absent() => Ok(0),
            count => count,
        }
    }

    fn oom_event(&self, _leaf: &str) -> Result<Option<OwnedFd>, CgroupError> {
        // memory.oom.group has the kernel kill the slice whole.
        Ok(None)
    }

    fn described(&self, leaf: &str) -> Result<Option<Directory>, CgroupError> {
        match self.parent.child(leaf) {
            Ok(directory) => Ok(Some(directory)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove_once(&self, leaf: &str) -> Result<(), CgroupError> {
        remove_below(&self.parent, leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::units::{Bytes, CpuMilli};
    use std::fs;

    /// A directory with the files the kernel would put there: the values are what is tested.
    fn leaf_with(files: &[&str]) -> (tempfile::TempDir, V2) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("p/leaf")).unwrap();
        for file in files {
            fs::write(root.path().join("p/leaf").join(file), "").unwrap();
        }
        let tree = V2::open(root.path(), Path::new("p")).unwrap();
        (root, tree)
    }

    #[test]
    fn limits_are_written_in_the_kernels_units() {
        let files = ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max"];
        let (root, tree) = leaf_with(&[&files[..], &["memory.oom.group", "pids.max"]].concat());
        let cpu = Limit::Cpu {
            request: CpuMilli(1000),
            limit: CpuMilli(1500),
        };
        for limit in [cpu, Limit::Memory(Bytes(64 << 20)), Limit::Pids(99)] {
            tree.limit("leaf", limit).unwrap();
        }
        let read = |file: &str| fs::read_to_string(root.path().join("p/leaf").join(file)).unwrap();
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(read("cpu.weight"), "39");
        assert_eq!(read("memory.max"), "67108864");
        assert_eq!(
            (read("memory.swap.max"), read("memory.oom.group")),
            ("0".into(), "1".into())
        );
        assert_eq!(read("pids.max"), "99");
    }

    #[test]
    fn a_limit_without_its_controller_is_an_error_with_value_and_path() {
        let (_root, tree) = leaf_with(&[]);
        let error = tree
            .limit("leaf", Limit::Memory(Bytes(800_000)))
            .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("failed to write `800000` to `"), "{text}");
        assert!(text.ends_with("/p/leaf/memory.max`"), "{text}");
        assert!(error.is_absent());
    }

    #[test]
    fn controllers_are_switched_on_in_our_directories_only() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("unit/ours")).unwrap();
        for group in ["", "unit", "unit/ours"] {
            fs::write(path(group).join("cgroup.controllers"), "cpu memory io").unwrap();
            fs::write(path(group).join(SUBTREE_CONTROL), "cpu").unwrap();
        }
        V2::create(root.path(), Path::new("unit/ours")).unwrap();
        let given = |group: &str| fs::read_to_string(path(group).join(SUBTREE_CONTROL)).unwrap();
        assert_eq!(given("unit/ours"), "+memory");
        assert_eq!((given(""), given("unit")), ("cpu".into(), "cpu".into()));
    }
}
