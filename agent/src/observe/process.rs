//! Whose a process is: a slice's, or somebody else's.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Tells processes of slices by the cgroup they are in.
#[derive(Debug, Clone)]
pub struct ProcessOwner {
    proc_root: PathBuf,
    /// `/dovetail.slice/`: part of the path of every leaf.
    parent: String,
}

impl ProcessOwner {
    /// For leaves below this parent.
    pub fn new(proc_root: &Path, cgroup_parent: &Path) -> Self {
        Self {
            proc_root: proc_root.to_owned(),
            parent: format!("/{}/", cgroup_parent.display()),
        }
    }

    /// Whether the process is in a slice. One that has ended is not.
    pub fn is_slice(&self, pid: u32) -> bool {
        // A simulated host has no processes of its own: its slices are real.
        let roots = [self.proc_root.as_path(), Path::new("/proc")];
        let read = |root: &Path| fs::read_to_string(root.join(format!("{pid}/cgroup"))).ok();
        roots
            .into_iter()
            .find_map(read)
            .is_some_and(|text| text.lines().any(|line| line.contains(&self.parent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_cgroup() {
        let root = tempfile::tempdir().unwrap();
        let process = |pid: u32, text: &str| {
            let directory = root.path().join(pid.to_string());
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("cgroup"), text).unwrap();
        };
        process(4_000_001, "12:pids:/\n0::/dovetail.slice/w1-1-0\n");
        process(4_000_002, "0::/user.slice/dovetail.slicex\n");
        let owner = ProcessOwner::new(root.path(), Path::new("dovetail.slice"));
        assert!(owner.is_slice(4_000_001));
        assert!(!owner.is_slice(4_000_002));
        assert!(!owner.is_slice(4_000_003), "there is no such process");
        assert!(!owner.is_slice(std::process::id()));
    }
}
