//! Everything the demo has running, and its end.

use super::{
    hosts::{self, HOSTS, Scene, text},
    process::{self, Daemon},
};
use crate::{
    args::{DemoArgs, Format, Global},
    client::{Client, request_id},
    error::CliError,
    output,
};
use dovetail_proto::v1::{
    CancelWorkloadRequest, ListNodesRequest, ListWorkloadsRequest, NodeState,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long anything in the demo is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// How long the last supervisors may take to leave.
const CGROUPS_PATIENCE: Duration = Duration::from_secs(3);

/// The scheduler, the agents, and where their files are.
pub(super) struct Stage {
    dir: PathBuf,
    socket: PathBuf,
    scheduler: Daemon,
    agents: Vec<Daemon>,
    client: Option<Client>,
    cgroup_parent: String,
    keep: bool,
    pub(super) root: bool,
}

impl Stage {
    /// Starts everything and waits until every host has reported.
    pub(super) async fn open(args: &DemoArgs) -> Result<Self, CliError> {
        let dir = directory(args)?;
        let root = nix::unistd::geteuid().is_root();
        let socket = dir.join("scheduler.sock");
        let config = dir.join("scheduler.toml");
        hosts::write(&config, &scheduler_file(&dir, &socket))?;
        let scheduler = start_scheduler(&dir)?;
        let mut stage = Self {
            cgroup_parent: format!("dovetail-demo-{}", std::process::id()),
            socket,
            scheduler,
            agents: Vec::new(),
            client: None,
            keep: false,
            root,

            dir,
        };
        match stage.fill().await {
            Ok(()) => Ok(stage),
            Err(error) => {
                stage.keep_the_logs();
                stage.close().await?;
                Err(error)
            }
        }
    }

    async fn fill(&mut self) -> Result<(), CliError> {
        self.connect().await?;
        self.start_agents()?;
        self.wait_for_hosts().await
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn client(&self) -> Result<&Client, CliError> {
        self.client
            .as_ref()
            .ok_or_else(|| CliError::failure("the scheduler is not connected"))
    }

    pub(super) fn scheduler_pid(&self) -> u32 {
        self.scheduler.pid()
    }

    /// `kill -9` of the scheduler, and a new one on the same journal.
    pub(super) async fn crash_scheduler(&mut self) -> Result<(), CliError> {
        self.scheduler.kill();
        self.client = None;
        self.scheduler = start_scheduler(&self.dir)?;
        self.connect().await?;
        self.wait_for_hosts().await
    }

    async fn connect(&mut self) -> Result<(), CliError> {
        let global = Global {
            socket: self.socket.clone(),
            output: Format::Table,
            timeout: None,
        };
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match Client::connect(&global).await {
                Ok(client) => break self.client = Some(client),
                Err(error) if !self.scheduler.runs() || tokio::time::Instant::now() >= end => {
                    return Err(error);
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
        Ok(())
    }

    fn start_agents(&mut self) -> Result<(), CliError> {
        let agent = process::sibling("dovetail-agent")?;
        let gpusim = process::sibling("dovetail-gpusim")?;
        let scene = Scene {
            dir: &self.dir,
            socket: &self.socket,
            gpusim: &gpusim,
            cgroup_parent: &self.cgroup_parent,
            root: self.root,
        };
        for (index, host) in HOSTS.iter().enumerate() {
            let config = hosts::make(index, host, &scene)?;
            let log = self.dir.join(format!("{}.log", host.name));
            self.agents
                .push(Daemon::start(&agent, &["--config", text(&config)?], &log)?);
        }
        Ok(())
    }

    async fn wait_for_hosts(&mut self) -> Result<(), CliError> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let client = self.client()?.clone();
            let request = ListNodesRequest::default();
            let nodes = client.call(client.nodes().list_nodes(request)).await?.nodes;
            let ready = nodes
                .iter()
                .filter(|node| node.state() == NodeState::Ready)
                .count();
            if ready == HOSTS.len() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                let message = format!("only {ready} of {} hosts have reported", HOSTS.len());
                return Err(CliError::failure(message));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Something went wrong: what the daemons said stays, and it is said where.
    pub(super) fn keep_the_logs(&mut self) {
        self.keep = true;
        self.say_where_the_logs_are();
    }

    fn say_where_the_logs_are(&self) {
        output::note(&format!("the daemons' logs are in {}", self.dir.display()));
        for name in ["scheduler"]
            .into_iter()
            .chain(HOSTS.iter().map(|host| host.name))
        {
            let text = fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap_or_default();
            if let Some(line) = text.lines().rev().find(|line| line.contains("ERROR")) {
                output::note(&format!("  {name}: {line}"));
            }
        }
    }

    /// Cancels what runs, stops the daemons, and leaves nothing behind.
    pub(super) async fn close(mut self) -> Result<(), CliError> {
        // Without a scheduler there is nobody to cancel anything.
        let emptied = match self.client {
            Some(_) => self.cancel_everything().await,
            None => Ok(()),
        };
        if emptied.is_err() {
            self.kill_what_is_left();
        }
        for agent in &mut self.agents {
            agent.stop().await;
        }
        self.scheduler.stop().await;
        self.remove_cgroups().await;
        emptied?;
        if self.keep {
            return Ok(());
        }
        fs::remove_dir_all(&self.dir).map_err(|error| {
            CliError::failure(format!(
                "failed to remove `{}`: {error}",
                self.dir.display()
            ))
        })
    }

    async fn cancel_everything(&mut self) -> Result<(), CliError> {
        let client = self.client()?.clone();
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut asked = std::collections::BTreeSet::new();
        loop {
            let request = ListWorkloadsRequest {
                page_size: 1000,
                ..Default::default()
            };
            let live = client
                .call(client.workloads().list_workloads(request))
                .await?
                .workloads;
            if live.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= end {
                return Err(CliError::failure(format!(
                    "{} workloads do not end",
                    live.len()
                )));
            }
            for workload in live
                .iter()
                .filter(|workload| asked.insert(workload.id.clone()))
            {
                let request = CancelWorkloadRequest {
                    request_id: request_id(),
                    id: workload.id.clone(),
                    ..Default::default()
                };
                client
                    .call(client.workloads().cancel_workload(request))
                    .await?;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Nobody answers, so nobody cancels: everything in the demo's own cgroups is killed.
    fn kill_what_is_left(&self) {
        output::note("the scheduler does not answer; killing the workloads of the demo");
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let roots = hierarchies.map(|entry| entry.path());
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            kill_below(&root.join(&self.cgroup_parent));
        }
    }

    /// The agents' empty parents, in every hierarchy. The last supervisors may still be leaving.
    async fn remove_cgroups(&self) {
        let end = tokio::time::Instant::now() + CGROUPS_PATIENCE;
        while !self.cgroups_are_gone() && tokio::time::Instant::now() < end {
            tokio::time::sleep(POLL).await;
        }
    }

    fn cgroups_are_gone(&self) -> bool {
        let Ok(hierarchies) = fs::read_dir("/sys/fs/cgroup") else {
            return true;
        };
        let roots = hierarchies.flatten().map(|entry| entry.path());
        let mut gone = true;
        for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let parent = root.join(&self.cgroup_parent);
            for host in &HOSTS {
                let host = parent.join(host.name);
                let _busy_or_absent = fs::remove_dir(host.join("supervisors"));
                let _busy_or_absent = fs::remove_dir(host);
            }
            let _busy_or_absent = fs::remove_dir(&parent);
            gone &= !parent.exists();
        }
        gone
    }
}

/// Kills every process in a cgroup and those below it, and removes the empty ones below.
fn kill_below(cgroup: &Path) {
    let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
        // It may have ended by itself.
        let _ended = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for below in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_below(&below.path());
            let _busy = fs::remove_dir(below.path());
        }
    }
}

fn directory(args: &DemoArgs) -> Result<PathBuf, CliError> {
    let dir = args.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("dovetail-demo-{}", std::process::id()))
    });
    if dir.exists() && fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::usage(format!("`{}` is not empty", dir.display()))
            .help("name a directory that does not exist yet; the demo removes it at the end"));
    }
    fs::create_dir_all(&dir).map_err(|error| {
        CliError::failure(format!("failed to make `{}`: {error}", dir.display()))
    })?;
    // Workloads run as another user and must be able to pass through.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&dir, open).map_err(|error| {
        CliError::failure(format!(
            "failed to open `{}` to others: {error}",
            dir.display()
        ))
    })?;
    Ok(dir)
}

fn scheduler_file(dir: &Path, socket: &Path) -> String {
    format!(
        "data_dir = \"{}/scheduler\"\nsocket = \"{}\"\n",
        dir.display(),
        socket.display()
    )
}

fn start_scheduler(dir: &Path) -> Result<Daemon, CliError> {
    let program = process::sibling("dovetail-scheduler")?;
    let config = dir.join("scheduler.toml");
    Daemon::start(
        &program,
        &["--config", text(&config)?],
        &dir.join("scheduler.log"),
    )
}
