//! A client that waits: calls with a deadline, and states that are reached or not.

use super::{PATIENCE, eventually};
use dovetail_proto::v1::{
    CancelWorkloadRequest, Cause, CordonNodeRequest, ExitRecord, GetNodeRequest, GetStatusRequest,
    GetStatusResponse, GetVersionRequest, GetVersionResponse, GetWorkloadRequest, ListNodesRequest,
    ListWorkloadsRequest, Node, NodeState, OutputStream, ReadLogsRequest, SubmitWorkloadRequest,
    UncordonNodeRequest, VerifyJournalRequest, VerifyJournalResponse, Workload, WorkloadSpec,
    WorkloadState, admin_service_client::AdminServiceClient,
    node_service_client::NodeServiceClient, workload_service_client::WorkloadServiceClient,
};
use std::{
    future::Future,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};

/// One call; longer hangs.
const CALL: Duration = Duration::from_secs(15);

static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// Connections live on it, so that they answer pings while a test waits for something else.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let built = builder.worker_threads(2).enable_all().build();
        built.expect("threads can be started")
    })
}

/// Waits for an answer.
pub(crate) fn rpc<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    let answer = runtime().block_on(async { tokio::time::timeout(CALL, call).await });
    let late = || Err(Status::new(Code::DeadlineExceeded, "no answer in time"));
    answer.unwrap_or_else(|_| late()).map(Response::into_inner)
}

/// A request id that no one has used.
pub(crate) fn request_id() -> String {
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id())
}

/// One connection to a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
}

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        let _context = runtime().enter();
        let uri = format!("unix:{}", socket.display());
        let endpoint = Endpoint::from_shared(uri).expect("a path is a URI's path");
        Self {
            channel: endpoint.connect_lazy(),
        }
    }

    pub(crate) fn workloads(&self) -> WorkloadServiceClient<Channel> {
        WorkloadServiceClient::new(self.channel.clone())
    }

    pub(crate) fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    pub(crate) fn version(&self) -> Result<GetVersionResponse, Status> {
        rpc(self.admin().get_version(GetVersionRequest {}))
    }

    pub(crate) fn status(&self) -> GetStatusResponse {
        rpc(self.admin().get_status(GetStatusRequest {})).expect("the scheduler answers")
    }

    pub(crate) fn verify(&self) -> VerifyJournalResponse {
        rpc(self.admin().verify_journal(VerifyJournalRequest {})).expect("the journal is read")
    }

    pub(crate) fn try_submit(&self, spec: &WorkloadSpec) -> Result<Workload, Status> {
        let request = SubmitWorkloadRequest {
            request_id: request_id(),
            workload: Some(spec.clone()),
            ..SubmitWorkloadRequest::default()
        };
        let reply = rpc(self.workloads().submit_workload(request))?;
        Ok(reply.workload.expect("a submission has a workload"))
    }

    /// Submits, and gives the id.
    #[track_caller]
    pub(crate) fn submit(&self, spec: &WorkloadSpec) -> String {
        match self.try_submit(spec) {
            Ok(workload) => workload.id,
            Err(status) => panic!("{} is refused: {status:?}", spec.name),
        }
    }

    /// Submits, waits until it runs, and gives it.
    #[track_caller]
    pub(crate) fn run(&self, spec: &WorkloadSpec) -> Workload {
        let id = self.submit(spec);
        self.await_state(&id, WorkloadState::Running)
    }

    pub(crate) fn get(&self, id: &str) -> Workload {
        let request = GetWorkloadRequest { id: id.to_owned() };
        let reply = rpc(self.workloads().get_workload(request)).expect("it was submitted");
        reply.workload.expect("a reply has a workload")
    }

    pub(crate) fn list(&self, include_ended: bool) -> Vec<Workload> {
        let mut client = self.workloads();
        let mut page = String::new();
        let mut all = Vec::new();
        loop {
            let request = ListWorkloadsRequest {
                include_ended,
                page_size: 1000,
                page_token: page,
                ..ListWorkloadsRequest::default()
            };
            let reply = rpc(client.list_workloads(request)).expect("a list is given");
            all.extend(reply.workloads);
            page = reply.next_page_token;
            if page.is_empty() {
                return all;
            }
        }
    }

    /// Waits for a workload to become so.
    #[track_caller]
    pub(crate) fn until(&self, id: &str, what: &str, is: impl Fn(&Workload) -> bool) -> Workload {
        let end = Instant::now() + PATIENCE;
        loop {
            let workload = self.get(id);
            if is(&workload) {
                return workload;
            }
            assert!(Instant::now() < end, "not `{what}`: {workload:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub(crate) fn await_state(&self, id: &str, state: WorkloadState) -> Workload {
        self.until(id, state.as_str_name(), |w| w.state() == state)
    }

    /// Waits for the end, and gives the first member's record too.
    #[track_caller]
    pub(crate) fn await_end(&self, id: &str) -> (Workload, ExitRecord) {
        let ended = self.until(id, "ended", |w| w.cause() != Cause::Unspecified);
        let exits = ended
            .members
            .iter()
            .filter_map(|member| member.exit.clone());
        let first = exits.min_by_key(|exit| exit.ended_at.map(|at| (at.seconds, at.nanos)));
        (ended, first.unwrap_or_default())
    }

    pub(crate) fn try_cancel(&self, id: &str) -> Result<(), Status> {
        let request = CancelWorkloadRequest {
            request_id: request_id(),
            id: id.to_owned(),
            ..CancelWorkloadRequest::default()
        };
        rpc(self.workloads().cancel_workload(request)).map(|_| ())
    }

    /// Cancels, and waits until nothing of it is left.
    #[track_caller]
    pub(crate) fn cancel(&self, id: &str) -> Workload {
        self.try_cancel(id).expect("it can be cancelled");
        self.await_state(id, WorkloadState::Cancelled)
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        let request = GetNodeRequest {
            name: name.to_owned(),
        };
        let reply = rpc(self.nodes().get_node(request)).expect("the node is known");
        reply.node.expect("a reply has a node")
    }

    pub(crate) fn nodes_ready(&self) -> usize {
        let Ok(reply) = rpc(self.nodes().list_nodes(ListNodesRequest::default())) else {
            return 0;
        };
        let ready = |node: &&Node| node.state() == NodeState::Ready;
        reply.nodes.iter().filter(ready).count()
    }

    pub(crate) fn cordon(&self, name: &str) {
        let request = CordonNodeRequest {
            request_id: request_id(),
            name: name.to_owned(),
            ..CordonNodeRequest::default()
        };
        rpc(self.nodes().cordon_node(request)).expect("an operator may");
    }

    pub(crate) fn uncordon(&self, name: &str) {
        let request = UncordonNodeRequest {
            request_id: request_id(),
            name: name.to_owned(),
            ..UncordonNodeRequest::default()
        };
        rpc(self.nodes().uncordon_node(request)).expect("an operator may");
    }

    /// What a member has written to its standard output so far.
    pub(crate) fn output(&self, id: &str, member: u32) -> String {
        let request = ReadLogsRequest {
            id: id.to_owned(),
            member,
            ..ReadLogsRequest::default()
        };
        let mut client = self.workloads();
        runtime().block_on(async {
            let Ok(reply) = client.read_logs(request).await else {
                return String::new();
            };
            let mut stream = reply.into_inner();
            let mut bytes = Vec::new();
            while let Ok(Some(chunk)) = stream.message().await {
                if chunk.stream() == OutputStream::Stdout {
                    bytes.extend(chunk.data);
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    /// Waits until a member has written this, and gives all it wrote.
    pub(crate) fn await_output(&self, id: &str, member: u32, text: &str) -> String {
        eventually(&format!("{id} writes `{text}`"), || {
            Some(self.output(id, member)).filter(|output| output.contains(text))
        })
    }
}
