//! A host to test on: this machine's own cgroups, below a parent that is removed afterwards.

use dovetail_agent::enforce::{
    DeviceNode, EnforceConfig, Enforcer, FoundSlice, Layout, ReadFrom, Removal, Started, Stream,
};
use dovetail_model::{
    grant::{Grant, Placement},
    id::{ClusterId, Epoch, NodeName, Revision, SliceId, Term, WorkloadId},
    report::ExitRecord,
    units::{Bytes, CpuMilli},
    workload::{Owner, WorkloadSpec},
};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::geteuid,
};
use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";
pub(crate) const NOBODY: u32 = 65534;
const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Host {
    pub(crate) enforcer: Enforcer,
    pub(crate) config: EnforceConfig,
    pub(crate) root: TempDir,
}

/// A host whose limits hold; nothing, and a printed reason, where this user cannot have one.
pub(crate) fn host() -> Option<Host> {
    host_at(Path::new(CGROUPS), |_| {})
}

pub(crate) fn host_at(cgroup_root: &Path, change: impl FnOnce(&mut EnforceConfig)) -> Option<Host> {
    if !geteuid().is_root() {
        println!("skipped: making cgroups needs root");
        return None;
    }
    let host = Host::new(cgroup_root, change);
    if host.enforcer.layout() == Layout::None {
        println!("skipped: {:?}", host.enforcer.capabilities().not_enforced);
        return None;
    }
    Some(host)
}

impl Host {
    pub(crate) fn new(cgroup_root: &Path, change: impl FnOnce(&mut EnforceConfig)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut config = EnforceConfig {
            cgroup_root: cgroup_root.to_owned(),
            cgroup_parent: PathBuf::from(format!("dovetail-test-{}-{number}", std::process::id())),
            run_dir: root.path().join("run"),
            dev_root: root.path().join("dev"),
            output_max_bytes: 1 << 20,
            pids_max: 64,
            unconfined: true,
            supervisor_exe: supervisor(),
        };
        fs::create_dir(&config.dev_root).unwrap();
        change(&mut config);
        let enforcer = Enforcer::open(config.clone()).unwrap();
        Self {
            enforcer,
            config,
            root,
        }
    }

    /// As after a kill -9 of the agent: nothing is kept but what the kernel and the disk hold.
    pub(crate) fn restart(&mut self) {
        self.enforcer = Enforcer::open(self.config.clone()).unwrap();
    }

    pub(crate) fn start(&self, grant: &Grant) -> Started {
        self.start_with(grant, &[])
    }

    pub(crate) fn start_with(&self, grant: &Grant, devices: &[DeviceNode]) -> Started {
        self.enforcer
            .start(grant, &cluster(), epoch(), devices)
            .unwrap()
    }

    /// Starts, waits for the end and gives the record.
    pub(crate) fn run(&self, grant: &Grant) -> ExitRecord {
        self.run_with(grant, &[])
    }

    pub(crate) fn run_with(&self, grant: &Grant, devices: &[DeviceNode]) -> ExitRecord {
        let started = self.start_with(grant, devices);
        self.await_exit(grant.placement.slice, started)
    }

    pub(crate) fn await_exit(&self, slice: SliceId, started: Started) -> ExitRecord {
        if let Some(watch) = started.watch {
            await_readable(&watch);
        }
        self.enforcer
            .exit(slice)
            .unwrap()
            .expect("the slice has ended")
    }

    pub(crate) fn found(&self, slice: SliceId) -> Option<FoundSlice> {
        let found = self.enforcer.scan().unwrap();
        found.into_iter().find(|found| found.slice == Some(slice))
    }

    pub(crate) fn stdout(&self, slice: SliceId) -> String {
        let chunk = self
            .enforcer
            .read_output(slice, Stream::Stdout, ReadFrom::Start(0), 1 << 20)
            .unwrap();
        String::from_utf8(chunk.bytes).unwrap()
    }

    /// Waits until the slice has printed this.
    pub(crate) fn await_output(&self, slice: SliceId, text: &str) {
        await_true(|| self.stdout(slice).contains(text));
    }

    /// A kernel file of the slice, by its v1 controller.
    pub(crate) fn kernel_file(&self, controller: &str, slice: SliceId, file: &str) -> String {
        let leaf = self.leaf(controller, slice);
        fs::read_to_string(leaf.join(file))
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn leaf(&self, controller: &str, slice: SliceId) -> PathBuf {
        let parent = self
            .config
            .cgroup_root
            .join(controller)
            .join(&self.config.cgroup_parent);
        parent.join(slice.to_string())
    }

    /// Every directory of the slice that exists in any hierarchy.
    pub(crate) fn leaves(&self, slice: SliceId) -> Vec<PathBuf> {
        let all = hierarchies(&self.config.cgroup_root).into_iter();
        let leaves = all.map(|h| h.join(&self.config.cgroup_parent).join(slice.to_string()));
        leaves.filter(|leaf| leaf.exists()).collect()
    }

    pub(crate) fn remove(&self, slice: SliceId) {
        assert_eq!(self.enforcer.remove(slice).unwrap(), Removal::Removed);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for found in self.enforcer.scan().unwrap() {
            if let Some(slice) = found.slice {
                self.enforcer.kill(slice).unwrap();
                self.enforcer.remove(slice).unwrap();
            }
        }
        for hierarchy in hierarchies(&self.config.cgroup_root) {
            let parent = hierarchy.join(&self.config.cgroup_parent);
            for group in [parent.join("supervisors"), parent] {
                let end = Instant::now() + PATIENCE;
                while group.exists() && fs::remove_dir(&group).is_err() && Instant::now() < end {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

fn hierarchies(root: &Path) -> Vec<PathBuf> {
    let mounted = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    mounted
        .chain([root.to_owned()])
        .filter(|path| path.is_dir())
        .collect()
}

fn supervisor() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_BIN_EXE_dovetail-agent"));
    std::env::var_os("DOVETAIL_TEST_SUPERVISOR").map_or(own, PathBuf::from)
}

pub(crate) fn cluster() -> ClusterId {
    ClusterId("cluster-1".into())
}

pub(crate) fn epoch() -> Epoch {
    Epoch {
        term: Term(2),
        revision: Revision(7),
    }
}

/// A grant of half a core and 64 MiB for this user.
pub(crate) fn grant(argv: &[&str]) -> Grant {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let slice = SliceId {
        workload: WorkloadId(number),
        attempt: 1,
        member: 0,
    };
    let node = NodeName::new("node-a").unwrap();
    let mut spec = WorkloadSpec::example("test");
    spec.argv = argv.iter().map(|word| (*word).to_owned()).collect();
    spec.resources.cpu_limit = CpuMilli(500);
    let own = geteuid().as_raw();
    Grant {
        placement: Placement {
            slice,
            node: node.clone(),
            cpu: CpuMilli(500),
            memory: Bytes(64 << 20),
            gpus: Vec::new(),
        },
        spec: spec.into(),
        owner: Owner {
            uid: own,
            gid: own,
            groups: Vec::new(),
        },
        gang_nodes: vec![node],
    }
}

pub(crate) fn shell(script: &str) -> Grant {
    grant(&["/bin/sh", "-c", script])
}

pub(crate) fn await_true(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn await_readable(fd: &impl AsFd) {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(PATIENCE).unwrap();
    assert_eq!(
        poll(&mut fds, timeout).unwrap(),
        1,
        "the slice did not end in time"
    );
}

/// Whether a process lives, apart from one that only waits to be reaped.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
