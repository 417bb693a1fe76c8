//! A cluster of real processes on this machine, gone without a trace when it is dropped.

use super::{
    Client, Daemon, Host, PATIENCE, Ran,
    command::{grpcurl, program_as, run},
    host::{Plan, Site},
    kernel::{self, Cgroups},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};
use tempfile::TempDir;

/// Clusters that run at once: more would only wait for the same two cores.
const AT_ONCE: usize = 2;

static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The right to run a cluster.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// Waits for it.
    pub(crate) fn wait() -> Self {
        let (count, freed) = &RUNNING;
        let count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = freed
            .wait_while(count, |count| *count >= AT_ONCE)
            .unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        Self(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (count, freed) = &RUNNING;
        *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        freed.notify_one();
    }
}

/// What a cluster shall be.
#[derive(Debug, Default)]
pub(crate) struct ClusterBuilder {
    hosts: Vec<Plan>,
    settings: String,
    data_dir: Option<PathBuf>,
}

impl ClusterBuilder {
    /// A host with GPUs.
    pub(crate) fn host(mut self, name: &str, model: &'static str, gpus: usize) -> Self {
        self.hosts.push(Plan {
            name: name.to_owned(),
            model,
            gpus,
            nvml_library: None,
            settings: String::new(),
        });
        self
    }

    /// The driver's library of the last host, where it is another than the simulated one.
    pub(crate) fn nvml_library(mut self, library: &str) -> Self {
        let host = self.hosts.last_mut().expect("a host was named before");
        host.nvml_library = Some(library.to_owned());
        self
    }

    /// More of the last host's agent's configuration.
    pub(crate) fn agent_settings(mut self, toml: &str) -> Self {
        let host = self.hosts.last_mut().expect("a host was named before");
        host.settings.push_str(toml);
        self
    }

    /// A host without GPUs.
    pub(crate) fn cpu_host(self, name: &str) -> Self {
        self.host(name, "", 0)
    }

    /// More of the scheduler's configuration.
    pub(crate) fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self
    }

    /// The journal elsewhere than in the cluster's own directory.
    pub(crate) fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts it, and waits until every host has reported.
    pub(crate) fn start(self) -> Cluster {
        let permit = Permit::wait();
        let dir = tempfile::tempdir().expect("there is room for a directory");
        // Work runs as another user and must be able to pass through.
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(dir.path(), open).expect("the directory is ours");
        let socket = dir.path().join("s");
        let data = self.data_dir.unwrap_or_else(|| dir.path().join("journal"));
        let config = dir.path().join("scheduler.toml");
        let text = format!(
            "data_dir = '{}'\nsocket = '{}'\n{}",
            data.display(),
            socket.display(),
            self.settings
        );
        fs::write(&config, text).expect("the directory is ours");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut cluster = Cluster {
            hosts: Vec::new(),
            scheduler: Daemon::start("dovetail-scheduler", &config),
            client: Client::new(&socket),
            cgroups: Cgroups::new(format!("dovetail-cluster-{}-{number}", std::process::id())),
            socket,
            dir,
            _permit: permit,
        };
        cluster.await_scheduler();
        for (index, plan) in self.hosts.iter().enumerate() {
            let site = Site {
                dir: cluster.dir.path(),
                socket: &cluster.socket,
                cgroup_parent: cluster.cgroups.parent(),
            };
            let host = Host::start(index, plan, site);
            cluster.hosts.push(host);
        }
        cluster.await_hosts();
        cluster
    }
}

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) hosts: Vec<Host>,
    pub(crate) scheduler: Daemon,
    pub(crate) client: Client,
    pub(crate) cgroups: Cgroups,
    socket: PathBuf,
    dir: TempDir,
    _permit: Permit,
}

impl Cluster {
    pub(crate) fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// One host without GPUs, for what needs none.
    pub(crate) fn small() -> Self {
        Self::builder().cpu_host("oak").start()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("scheduler.toml")
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        let mut hosts = self.hosts.iter();
        hosts
            .find(|host| host.name == name)
            .expect("it was planned")
    }

    /// Waits until the scheduler answers; a client made before must be made anew.
    pub(crate) fn await_scheduler(&mut self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let client = Client::new(&self.socket);
            if client.version().is_ok() {
                self.client = client;
                return;
            }
            let ended = self.scheduler.has_ended();
            assert!(
                !ended && Instant::now() < end,
                "the scheduler does not serve: {}",
                self.scheduler.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until every agent has a session.
    pub(crate) fn await_hosts(&mut self) {
        let wanted = self.hosts.len();
        let end = Instant::now() + PATIENCE;
        while self.client.nodes_ready() != wanted {
            let ended = self.hosts.iter_mut().find_map(|host| {
                let ended = host.agent.has_ended();
                ended.then(|| host.agent.log())
            });
            let late = Instant::now() >= end;
            assert!(
                ended.is_none() && !late,
                "not every host reports: {}",
                ended.unwrap_or_else(|| self.logs())
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// `kill -9` of the scheduler, and a new one on the same journal.
    pub(crate) fn crash_scheduler(&mut self) {
        self.scheduler.restart();
        self.await_scheduler();
    }

    /// Every daemon's log, for a failed test's message.
    pub(crate) fn logs(&self) -> String {
        let agents = self
            .hosts
            .iter()
            .map(|host| (&*host.name, host.agent.log()));
        let all = [("scheduler", self.scheduler.log())]
            .into_iter()
            .chain(agents);
        all.map(|(name, log)| format!("== {name}\n{log}")).collect()
    }

    /// The command line as this user.
    pub(crate) fn dovetail_as(&self, uid: Option<u32>, words: &[&str]) -> Ran {
        let mut command = program_as(uid, "dovetail");
        run(command.arg("--socket").arg(&self.socket).args(words), "")
    }

    /// The command line as this test's user.
    pub(crate) fn dovetail(&self, words: &[&str]) -> Ran {
        self.dovetail_as(None, words)
    }

    /// grpcurl; None where there is none.
    pub(crate) fn grpcurl(&self, words: &[&str], input: &str) -> Option<Ran> {
        grpcurl(&self.socket, words, input)
    }

    /// Waits until no slice, no process and no cgroup of it is left, and says what is.
    pub(crate) fn await_nothing_left(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut left = self.cgroups.left();
            left.extend(kernel::supervisors_in(self.dir.path()));
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left: {left:#?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
        for host in &mut self.hosts {
            host.agent.kill();
        }
        self.scheduler.kill();
        self.cgroups.remove();
        kernel::kill_users_of(self.dir.path());
        let left = self.cgroups.exists();
        if !std::thread::panicking() {
            assert!(!left, "cgroups of {} are left", self.cgroups.parent());
        }
    }
}
