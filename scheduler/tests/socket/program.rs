//! The program under test, in a directory of its own.

use dovetail_proto::v1::{
    self, admin_service_client::AdminServiceClient, agent_service_client::AgentServiceClient,
    node_service_client::NodeServiceClient, workload_service_client::WorkloadServiceClient,
};
use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};
use tonic::transport::{Channel, Endpoint};

/// A start or a stop that takes longer hangs.
const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Program {
    dir: TempDir,
    child: Child,
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dovetail-scheduler"))
}

fn spawn(dir: &Path, environment: &[(&str, &str)]) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    command()
        .arg("--config")
        .arg(dir.join("scheduler.toml"))
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

impl Program {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(environment: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::start_at(dir, &data, environment).await
    }

    /// With its data in a directory of the test.
    pub(crate) async fn start_in(data: &Path) -> Self {
        Self::start_at(tempfile::tempdir().unwrap(), data, &[]).await
    }

    async fn start_at(dir: TempDir, data: &Path, environment: &[(&str, &str)]) -> Self {
        let (data, socket) = (data.display(), dir.path().join("s"));
        let config = format!(
            "data_dir = \"{data}\"\nsocket = \"{}\"\n[security]\nallow_root_workloads = true\n",
            socket.display()
        );
        std::fs::write(dir.path().join("scheduler.toml"), config).unwrap();
        let child = spawn(dir.path(), environment);
        let mut program = Self { dir, child };
        program.wait_until_it_serves().await;
        program
    }

    /// Runs it to its end.
    pub(crate) async fn run(arguments: &[&str]) -> Output {
        timeout(LONG, command().args(arguments).output())
            .await
            .unwrap()
            .unwrap()
    }

    /// Runs it once more with the same configuration, expecting it to end.
    pub(crate) async fn second(&self) -> Output {
        let config = self.dir.path().join("scheduler.toml");
        Self::run(&["--config", config.to_str().unwrap()]).await
    }

    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.dir.path(), &[]);
        self.wait_until_it_serves().await;
    }

    async fn wait_until_it_serves(&mut self) {
        for _ in 0..400 {
            if let Ok(channel) = self.endpoint().connect().await {
                let request = v1::GetVersionRequest {};
                if AdminServiceClient::new(channel)
                    .get_version(request)
                    .await
                    .is_ok()
                {
                    return;
                }
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("it ended with {status}: {}", self.log());
            }
            sleep(Duration::from_millis(25)).await;
        }
        panic!("it does not serve: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// SIGKILL, as a crash.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, as the service manager.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        )
        .unwrap();
        timeout(LONG, self.child.wait()).await.unwrap().unwrap()
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("unix:{}", self.socket().display())).unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.endpoint().connect().await.unwrap()
    }

    pub(crate) async fn workloads(&self) -> WorkloadServiceClient<Channel> {
        WorkloadServiceClient::new(self.channel().await)
    }

    pub(crate) async fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel().await)
    }

    pub(crate) async fn agents(&self) -> AgentServiceClient<Channel> {
        AgentServiceClient::new(self.channel().await)
    }

    async fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel().await)
    }

    pub(crate) async fn status(&self) -> v1::GetStatusResponse {
        let request = v1::GetStatusRequest {};
        self.admin()
            .await
            .get_status(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn version(&self) -> v1::GetVersionResponse {
        let request = v1::GetVersionRequest {};
        self.admin()
            .await
            .get_version(request)
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn verify(&self) -> v1::VerifyJournalResponse {
        let request = v1::VerifyJournalRequest {};
        self.admin()
            .await
            .verify_journal(request)
            .await
            .unwrap()
            .into_inner()
    }
}

/// A small CPU-only workload.
pub(crate) fn spec(name: &str) -> v1::WorkloadSpec {
    v1::WorkloadSpec {
        name: name.to_owned(),
        kind: v1::WorkloadKind::Service.into(),
        argv: vec!["/bin/true".to_owned()],
        resources: Some(v1::Resources {
            cpu_milli: 500,
            memory_bytes: 64 << 20,
            ..v1::Resources::default()
        }),
        ..v1::WorkloadSpec::default()
    }
}

pub(crate) fn submission(request_id: &str, name: &str) -> v1::SubmitWorkloadRequest {
    v1::SubmitWorkloadRequest {
        request_id: request_id.to_owned(),
        workload: Some(spec(name)),
        ..v1::SubmitWorkloadRequest::default()
    }
}
