//! What the kernel says: cgroups, processes, attributes. Nothing here asks the product.

use super::{PATIENCE, eventually};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const ROOT: &str = "/sys/fs/cgroup";
/// The agent's own group for supervisors: it stays as long as the agent's parent.
const SUPERVISORS: &str = "supervisors";

/// The cgroups of one cluster, in every hierarchy that is mounted.
#[derive(Debug)]
pub(crate) struct Cgroups {
    parent: String,
}

impl Cgroups {
    pub(crate) fn new(parent: String) -> Self {
        Self { parent }
    }

    /// The parent's name.
    pub(crate) fn parent(&self) -> &str {
        &self.parent
    }

    /// A slice's directory: that of a v1 controller, or the one of v2.
    pub(crate) fn leaf(&self, controller: &str, node: &str, slice: &str) -> PathBuf {
        let root = Path::new(ROOT);
        let v1 = root.join(controller).join(&self.parent);
        let parent = if v1.exists() {
            v1
        } else {
            root.join(&self.parent)
        };
        parent.join(node).join(slice)
    }

    /// CPU time of a slice.
    pub(crate) fn cpu(&self, node: &str, slice: &str) -> Duration {
        let v1 = self.leaf("cpuacct", node, slice).join("cpuacct.usage");
        if let Ok(text) = fs::read_to_string(v1) {
            return Duration::from_nanos(text.trim().parse().expect("a count of nanoseconds"));
        }
        let stat = read(&self.leaf("cpu", node, slice).join("cpu.stat"));
        Duration::from_micros(field(&stat, "usage_usec").expect("v2 counts CPU time"))
    }

    /// How often a slice was throttled.
    pub(crate) fn throttled(&self, node: &str, slice: &str) -> u64 {
        let stat = read(&self.leaf("cpu", node, slice).join("cpu.stat"));
        field(&stat, "nr_throttled").expect("the cpu controller counts it")
    }

    /// Processes of a slice.
    pub(crate) fn processes(&self, node: &str, slice: &str) -> Vec<Pid> {
        pids(&self.leaf("cpu", node, slice))
    }

    /// Slices' directories, processes and attributes that exist.
    pub(crate) fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for directory in self.directories() {
            let name = directory.file_name().unwrap_or_default();
            let depth = directory.components().count() - self.depth_of(&directory);
            if depth > 1 && name != SUPERVISORS {
                left.push(directory.display().to_string());
            }
            let processes = pids(&directory);
            left.extend(
                processes
                    .iter()
                    .map(|pid| format!("process {pid} {}", command_of(*pid))),
            );
            let attributes = xattr::list(&directory).into_iter().flatten();
            let ours = attributes.filter(|name| name.to_string_lossy().starts_with("user."));
            left.extend(ours.map(|name| format!("{} has {name:?}", directory.display())));
        }
        left
    }

    /// Components of the path to the cluster's parent.
    fn depth_of(&self, directory: &Path) -> usize {
        let parent = std::ffi::OsStr::new(&self.parent);
        let components = directory.components();
        1 + components
            .take_while(|component| component.as_os_str() != parent)
            .count()
    }

    pub(crate) fn exists(&self) -> bool {
        !self.directories().is_empty()
    }

    /// Every directory from the parents down.
    fn directories(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        let parents = hierarchies()
            .into_iter()
            .map(|root| root.join(&self.parent));
        let mut todo: Vec<PathBuf> = parents.filter(|parent| parent.is_dir()).collect();
        while let Some(directory) = todo.pop() {
            todo.extend(subdirectories(&directory));
            all.push(directory);
        }
        all
    }

    /// Ends what runs in them, and removes them.
    pub(crate) fn remove(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let directories = self.directories();
            if directories.is_empty() || Instant::now() >= end {
                return;
            }
            for pid in directories.iter().flat_map(|directory| pids(directory)) {
                kill(pid, Signal::SIGKILL).ok();
            }
            // The deepest first; one with a dying process goes in the next round.
            for directory in directories.iter().rev() {
                fs::remove_dir(directory).ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where hierarchies are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let root = PathBuf::from(ROOT);
    let mut all = subdirectories(&root);
    all.push(root);
    all
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// A kernel file's text.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn pids(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    let numbers = text.lines().filter_map(|line| line.parse().ok());
    numbers
        .filter(|number| *number > 0)
        .map(Pid::from_raw)
        .collect()
}

fn command_of(pid: Pid) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Whether a process lives, apart from one that only waits to be reaped.
pub(crate) fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Processes that have a file below this directory open, other than this one.
fn users_of(directory: &Path) -> Vec<Pid> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = names.filter(|name| *name != own && name.bytes().all(|b| b.is_ascii_digit()));
    let users = numbers.filter(|number| has_open(number, directory));
    users
        .filter_map(|number| number.parse().ok().map(Pid::from_raw))
        .collect()
}

fn has_open(pid: &str, directory: &Path) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target.starts_with(directory))
}

/// Supervisors of slices whose files are below this directory.
pub(crate) fn supervisors_in(directory: &Path) -> Vec<String> {
    let users = users_of(directory).into_iter().map(command_of);
    users.filter(|line| line.contains(" supervise ")).collect()
}

/// Ends every process that has a file below this directory open, and what it has started.
pub(crate) fn kill_users_of(directory: &Path) {
    for pid in users_of(directory) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|word| word.parse().ok());
        for process in [pid].into_iter().chain(children.map(Pid::from_raw)) {
            kill(process, Signal::SIGKILL).ok();
        }
    }
}

/// Waits until a process is gone.
pub(crate) fn await_gone(pid: Pid) {
    eventually(&format!("process {pid} is gone"), || {
        (!lives(pid)).then_some(())
    });
}

/// A small disk, unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    dir: tempfile::TempDir,
}

impl Tmpfs {
    /// Needs root.
    pub(crate) fn mount(mib: u32) -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let disk = Self { dir };
        disk.mount_with(MsFlags::empty(), mib);
        disk
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn resize(&self, mib: u32) {
        self.mount_with(MsFlags::MS_REMOUNT, mib);
    }

    fn mount_with(&self, flags: MsFlags, mib: u32) {
        let options = format!("size={mib}m");
        let kind = Some("tmpfs");
        mount(kind, self.path(), kind, flags, Some(&*options)).expect("root may mount");
    }

    /// Takes every byte that is left.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.filler()).expect("a file needs no room");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    /// Undoes `fill`.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        umount2(self.path(), MntFlags::MNT_DETACH).expect("it was mounted");
    }
}

/// Processes whose command line has this path.
pub(crate) fn mentioning(path: &Path) -> Vec<Pid> {
    let path = path.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pids = names.filter_map(|name| name.parse().ok().map(Pid::from_raw));
    pids.filter(|pid| command_of(*pid).contains(&path))
        .collect()
}
