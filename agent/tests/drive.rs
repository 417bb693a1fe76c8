//! The agent as a process, at the scheduler's end of its socket: real slices of real processes.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use dovetail_model::{
    grant::{Grant, GrantSet, Placement},
    id::{ClusterId, Epoch, Name, Revision, SliceId, Term, WorkloadId},
    report::{ExitCause, ExitRecord, SliceReport, SliceState},
    resources::Level,
    units::{Bytes, CpuMilli},
    workload::{Owner, WorkloadSpec},
};
use dovetail_proto::{
    convert::{grant::grant_set_to_wire, report::slice_report},
    sample::SampleDecoder,
    v1::{
        EnrollRequest, EnrollResponse, Inventory, OutputChunk, OutputStream, ReadOutput,
        SessionRequest, SessionResponse,
        agent_service_server::{AgentService, AgentServiceServer},
        session_request::Message,
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getegid, geteuid},
};
use nvidia_ml::{CreateOptions, Host, HostFile, library};
use std::{
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::UnixListener,
    sync::{Mutex, mpsc},
    time::{sleep, timeout},
};
use tokio_stream::{
    Stream,
    wrappers::{ReceiverStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

const PATIENCE: Duration = Duration::from_secs(20);

type Down = mpsc::Sender<Result<SessionResponse, Status>>;

#[derive(Clone)]
struct Service {
    sessions: mpsc::Sender<(Streaming<SessionRequest>, Down)>,
    inventory: Arc<Mutex<Option<Inventory>>>,
}

#[tonic::async_trait]
impl AgentService for Service {
    async fn enroll(
        &self,
        request: Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        *self.inventory.lock().await = request.into_inner().inventory;
        Ok(Response::new(EnrollResponse {
            cluster_id: "ours".to_owned(),
            term: 1,
        }))
    }

    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (down, stream) = mpsc::channel(64);
        let session = (request.into_inner(), down);
        self.sessions.send(session).await.unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// A socket, an agent, and the open session between them.
struct Node {
    name: String,
    directory: tempfile::TempDir,
    agent: Child,
    service: Service,
    sessions: mpsc::Receiver<(Streaming<SessionRequest>, Down)>,
    session: Option<(Streaming<SessionRequest>, Down)>,
    revision: u64,
}

impl Node {
    /// `more` is added to the configuration.
    async fn start(name: &str, more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        let (sessions, accepted) = mpsc::channel(4);
        let service = Service {
            sessions,
            inventory: Arc::default(),
        };
        let server = AgentServiceServer::new(service.clone());
        let server = Server::builder().add_service(server);
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });
        let root = directory.path().display();
        let parent = parent(name);
        let text = format!(
            "node = '{name}'\nscheduler_socket = '{root}/socket'\nstate_dir = '{root}/state'\n\
             run_dir = '{root}/run'\ncgroup_parent = '{parent}'\nunconfined = true\n{more}"
        );
        fs::write(directory.path().join("agent.toml"), text).unwrap();
        let agent = spawn(directory.path());
        let mut node = Self {
            name: name.to_owned(),
            directory,
            agent,
            service,
            sessions: accepted,
            session: None,
            revision: 0,
        };
        node.open().await;
        node
    }

    async fn open(&mut self) {
        let opened = timeout(PATIENCE, self.sessions.recv()).await;
        self.session = Some(opened.expect("the agent connects").unwrap());
    }

    fn signal(&self, signal: Signal) {
        kill(pid(&self.agent), signal).unwrap();
    }

    /// Kills the agent without a warning.
    fn crash(&mut self) {
        self.signal(Signal::SIGKILL);
        self.agent.wait().unwrap();
        self.session = None;
    }

    async fn restart(&mut self) {
        self.agent = spawn(self.directory.path());
        self.open().await;
        let damaged = self.file("state/spool.damaged-1");
        assert!(!damaged.exists(), "a kill must not cost the spool");
    }

    fn grant(&self, workload: u64, script: &str) -> Grant {
        let node = Name::new(&self.name).unwrap();
        let mut spec = WorkloadSpec::example("job");
        spec.argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        spec.resources.minimum_level = Level::None;
        spec.stop_grace_ns = 1_000_000_000;
        Grant {
            placement: Placement {
                slice: id(workload),
                node: node.clone(),
                cpu: CpuMilli(100),
                memory: Bytes(64 << 20),
                gpus: Vec::new(),
            },
            spec: spec.into(),
            owner: Owner {
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
                groups: Vec::new(),
            },
            gang_nodes: vec![node],
        }
    }

    async fn send(&mut self, grants: Vec<Grant>, releases: &[u64], acknowledged: &[u64]) {
        self.revision += 1;
        let ids = |workloads: &[u64]| workloads.iter().map(|w| id(*w)).collect();
        let set = GrantSet {
            cluster: ClusterId("ours".into()),
            epoch: Epoch {
                term: Term(1),
                revision: Revision(self.revision),
            },
            grants,
            releases: ids(releases),
            acknowledged_exits: ids(acknowledged),
        };
        let message = SessionResponse {
            grants: Some(grant_set_to_wire(&set)),
            ..SessionResponse::default()
        };
        self.tell(message).await;
    }

    async fn tell(&mut self, message: SessionResponse) {
        let (_, down) = self.session.as_ref().unwrap();
        down.send(Ok(message)).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        let (up, _) = self.session.as_mut().unwrap();
        let message = timeout(PATIENCE, up.message()).await;
        let message = message.expect("the agent reports").unwrap();
        message.expect("the session is open").message.unwrap()
    }

    /// Waits for a report of this revision about which something holds.
    async fn until(&mut self, holds: impl Fn(&SliceReport) -> bool) -> SliceReport {
        let began = Instant::now();
        let mut last = None;
        while began.elapsed() < PATIENCE {
            let Message::Slices(wire) = self.next().await else {
                continue;
            };
            let report = slice_report(wire).unwrap();
            if report.obeyed.revision.0 >= self.revision && holds(&report) {
                return report;
            }
            last = Some(report);
        }
        panic!("not reported in time; last: {last:?}")
    }

    async fn until_state(&mut self, workload: u64, state: &SliceState) {
        self.until(|report| state_of(report, workload) == Some(state))
            .await;
    }

    async fn until_exited(&mut self, workload: u64) -> ExitRecord {
        let exited = |report: &SliceReport| {
            matches!(state_of(report, workload), Some(SliceState::Exited(_)))
        };
        let report = self.until(exited).await;
        match state_of(&report, workload) {
            Some(SliceState::Exited(record)) => record.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn read(&mut self, workload: u64) -> OutputChunk {
        let read = ReadOutput {
            read_id: 9,
            slice_id: id(workload).to_string(),
            stream: OutputStream::Stdout.into(),
            max_bytes: 100,
            ..ReadOutput::default()
        };
        self.tell(SessionResponse {
            reads: vec![read],
            ..SessionResponse::default()
        })
        .await;
        loop {
            if let Message::Output(chunk) = self.next().await {
                return chunk;
            }
        }
    }

    /// A file that a script of this node writes.
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.agent.kill());
        drop(self.agent.wait());
        let root = Path::new("/sys/fs/cgroup");
        let mounts = fs::read_dir(root).into_iter().flatten().flatten();
        for mount in mounts.map(|m| m.path()).chain([root.to_owned()]) {
            remove_cgroups(&mount.join(parent(&self.name)));
        }
    }
}

/// Leaves first; what is busy stays.
fn remove_cgroups(path: &Path) {
    for child in fs::read_dir(path).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&child.path());
        }
    }
    drop(fs::remove_dir(path));
}

fn parent(name: &str) -> String {
    format!("dovetail-test-{name}-{}", std::process::id())
}

fn spawn(directory: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_dovetail-agent"))
        .arg("--config")
        .arg(directory.join("agent.toml"))
        .spawn()
        .unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn id(workload: u64) -> SliceId {
    SliceId {
        workload: WorkloadId(workload),
        attempt: 1,
        member: 0,
    }
}

fn state_of(report: &SliceReport, workload: u64) -> Option<&SliceState> {
    let mut slices = report.slices.iter();
    let status = slices.find(|status| status.slice == id(workload));
    status.map(|status| &status.state)
}

fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until_written(path: &Path) -> String {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{} is not written",
            path.display()
        );
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_granted_slice_runs_ends_and_is_forgotten_when_acknowledged() {
    let mut node = Node::start("runs", "").await;
    let grant = node.grant(1, "echo hello; exit 7");
    node.send(vec![grant.clone()], &[], &[]).await;
    let record = node.until_exited(1).await;
    assert_eq!(record.cause, ExitCause::Exit(7));
    assert_eq!(record.output_tail, "hello\n");
    let chunk = node.read(1).await;
    assert_eq!(
        (chunk.data.as_slice(), chunk.ended),
        (b"hello\n".as_slice(), true)
    );
    node.send(Vec::new(), &[], &[1]).await;
    node.until(|report| report.slices.is_empty()).await;
    let again = node.read(1).await;
    assert_eq!(again.data, b"hello\n", "output is kept for a while");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_failed_start_with_its_name() {
    let mut node = Node::start("missing", "").await;
    let mut grant = node.grant(1, "");
    Arc::make_mut(&mut grant.spec).argv = vec!["/no/such/program".to_owned()];
    node.send(vec![grant], &[], &[]).await;
    let record = node.until_exited(1).await;
    assert!(
        matches!(&record.cause, ExitCause::StartFailed(why) if why.contains("/no/such/program")),
        "{record:?}"
    );
}

#[tokio::test]
async fn a_killed_agent_leaves_its_slices_running_and_finds_them_again() {
    let mut node = Node::start("found", "").await;
    let script = format!("echo $$ > {}; sleep 600", node.file("pid").display());
    let grant = node.grant(1, &script);
    node.send(vec![grant.clone()], &[], &[]).await;
    node.until_state(1, &SliceState::Running).await;
    let process = until_written(&node.file("pid")).await;
    node.crash();
    sleep(Duration::from_millis(300)).await;
    assert!(lives(&process));
    node.restart().await;
    node.until_state(1, &SliceState::Running).await;
    node.send(vec![grant], &[], &[]).await;
    node.until_state(1, &SliceState::Running).await;
    assert_eq!(
        until_written(&node.file("pid")).await,
        process,
        "not started again"
    );
    node.send(Vec::new(), &[1], &[]).await;
    assert_eq!(node.until_exited(1).await.cause, ExitCause::Evicted);
    assert!(!lives(&process));
}

#[tokio::test]
async fn an_end_while_the_agent_is_away_is_known_when_it_is_back() {
    let mut node = Node::start("away", "").await;
    let go = node.file("go").display().to_string();
    let script = format!("while [ ! -e {go} ]; do sleep 0.05; done; echo bye; exit 5");
    let grant = node.grant(1, &script);
    node.send(vec![grant.clone()], &[], &[]).await;
    node.until_state(1, &SliceState::Running).await;
    node.crash();
    fs::write(&go, "").unwrap();
    sleep(Duration::from_millis(500)).await;
    node.restart().await;
    let record = node.until_exited(1).await;
    assert_eq!(
        (record.cause, record.output_tail.as_str()),
        (ExitCause::Exit(5), "bye\n")
    );
    node.send(vec![grant], &[], &[]).await;
    assert_eq!(
        node.until_exited(1).await.cause,
        ExitCause::Exit(5),
        "not started again"
    );
}

#[tokio::test]
async fn an_agent_told_to_stop_ends_well_and_leaves_the_slices_alone() {
    let mut node = Node::start("stop", "").await;
    let script = format!("echo $$ > {}; sleep 600", node.file("pid").display());
    let grant = node.grant(1, &script);
    node.send(vec![grant], &[], &[]).await;
    node.until_state(1, &SliceState::Running).await;
    let process = until_written(&node.file("pid")).await;
    node.signal(Signal::SIGTERM);
    let status = node.agent.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(lives(&process));
    node.restart().await;
    node.send(Vec::new(), &[1], &[]).await;
    node.until_exited(1).await;
    assert!(!lives(&process));
}

#[tokio::test]
async fn a_program_that_ignores_the_stop_signal_is_killed_after_its_grace() {
    let mut node = Node::start("deaf", "").await;
    let script = format!(
        "trap '' TERM; echo $$ > {}; while :; do sleep 1; done",
        node.file("pid").display()
    );
    let grant = node.grant(1, &script);
    node.send(vec![grant], &[], &[]).await;
    let process = until_written(&node.file("pid")).await;
    node.until_state(1, &SliceState::Running).await;
    let began = Instant::now();
    node.send(Vec::new(), &[1], &[]).await;
    node.until_exited(1).await;
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    assert!(!lives(&process));
}

#[tokio::test]
async fn a_simulated_host_is_enrolled_and_measured_with_its_gpus() {
    let text = "name = 'sim'\ncpus = 64\nmemory = '512Gi'\n[[gpu]]\nmodel = 'L4-24'\ncount = 8\n";
    let file = HostFile::parse(text, Path::new("host.toml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = CreateOptions {
        library: library().unwrap(),
        first_minor: 32,
    };
    let (host, _) = Host::create(directory.path(), &file, &options).unwrap();
    let more = format!(
        "nvml_library = '{}'\nproc_root = '{}'\n",
        host.library().display(),
        host.proc_root().display()
    );
    let mut node = Node::start("simulated", &more).await;
    let inventory = node.service.inventory.lock().await.clone().unwrap();
    assert_eq!(inventory.allocatable_cpu_milli, 63_500);
    assert_eq!(inventory.allocatable_memory_bytes, 511 << 30);
    assert_eq!(inventory.gpus.len(), 8);
    let mut samples = SampleDecoder::default();
    loop {
        if let Message::Sample(wire) = node.next().await {
            let sample = samples.decode(&wire).unwrap();
            assert_eq!(sample.gpus.len(), 8);
            assert_eq!(sample.gpus[3].utilization_percent, Some(0));
            return;
        }
    }
}
