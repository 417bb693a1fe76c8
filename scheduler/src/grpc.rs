//! The gRPC services on the Unix socket: they translate, and decide nothing.

mod admin;
mod agent;
mod connections;
mod logs;
mod node;
mod show;
mod status;
mod too_large;
mod who;
mod workload;

use crate::{drive::Handle, journal::Reader, sessions::Sessions};
use dovetail_core::{
    effect::Answer,
    input::{Caller, Request, WorkloadRef},
};
use dovetail_model::id::{ClusterId, Term};
use dovetail_proto::v1::{
    admin_service_server::AdminServiceServer, agent_service_server::AgentServiceServer,
    node_service_server::NodeServiceServer, workload_service_server::WorkloadServiceServer,
};
use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};
use tokio::{net::UnixListener, sync::Semaphore};
use tonic::{Status, server::NamedService, transport::Server};
use tonic_health::server::{HealthReporter, health_reporter};
use tonic_reflection::server::Builder as Reflection;
use who::Identity;

/// Largest request of a user: a workload with all its arguments and environment is smaller.
const USER_MESSAGE_MAX_BYTES: usize = 256 << 10;
/// Largest message of an agent: a full report of 1024 slices with their last output is smaller
/// only if few of them end at once; agents send the rest later.
const AGENT_MESSAGE_MAX_BYTES: usize = 1 << 20;
/// Bytes of requests under way: they bound the memory that waiting submissions take.
const IN_FLIGHT_MAX_BYTES: usize = 64 << 20;
/// Requests under way on one connection.
const PER_CONNECTION: usize = 32;
/// Streams open on one connection; one of them may be an agent's session.
const STREAMS_MAX: u32 = 64;
/// Bytes of headers.
const HEADERS_MAX_BYTES: u32 = 16 << 10;
/// A peer that does not answer pings is gone.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// How long it may take to answer one.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What every service needs.
#[derive(Clone)]
pub struct Api {
    handle: Handle,
    sessions: Arc<Sessions>,
    journal: Arc<dyn Reader>,
    identity: Identity,
    in_flight: Arc<Semaphore>,
    /// The state's hash is dear: one at a time.
    hashing: Arc<Semaphore>,
    born: Arc<Born>,
}

/// What does not change as long as the process lives.
#[derive(Debug, Clone, Default)]
pub struct Born {
    /// The cluster.
    pub cluster: ClusterId,
    /// The scheduler's term.
    pub term: Term,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Services in front of a drive.
    pub fn new(
        handle: Handle,
        sessions: Arc<Sessions>,
        journal: Arc<dyn Reader>,
        operators: BTreeSet<u32>,
        born: Born,
    ) -> Self {
        Self {
            handle,
            sessions,
            journal,
            identity: Identity::new(operators),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX_BYTES)),
            hashing: Arc::new(Semaphore::new(1)),
            born: Arc::new(born),
        }
    }

    /// Serves until `stop`, then lets requests under way finish.
    pub async fn serve(
        self,
        listener: UnixListener,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let identity = self.identity.clone();
        let connections = connections::accept(listener, move |uid| identity.is_operator(uid));
        let (health, health_service) = health_reporter();
        serving(&health).await;
        let user = USER_MESSAGE_MAX_BYTES;
        let workloads = WorkloadServiceServer::new(self.clone()).max_decoding_message_size(user);
        let nodes = NodeServiceServer::new(self.clone()).max_decoding_message_size(user);
        let admin = AdminServiceServer::new(self.clone()).max_decoding_message_size(user);
        let agents =
            AgentServiceServer::new(self).max_decoding_message_size(AGENT_MESSAGE_MAX_BYTES);
        let v1 = reflection()
            .build_v1()
            .expect("the compiled schema is whole");
        let v1alpha = reflection()
            .build_v1alpha()
            .expect("the compiled schema is whole");
        Server::builder()
            .layer(too_large::TooLargeLayer)
            .concurrency_limit_per_connection(PER_CONNECTION)
            .load_shed(true)
            .max_concurrent_streams(STREAMS_MAX)
            .http2_max_header_list_size(HEADERS_MAX_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(health_service)
            .add_service(v1)
            .add_service(v1alpha)
            .add_service(workloads)
            .add_service(nodes)
            .add_service(admin)
            .add_service(agents)
            .serve_with_incoming_shutdown(connections, stop)
            .await
    }

    async fn ask(&self, caller: Caller, request: Request) -> Result<Answer, Status> {
        let reply = self.handle.ask(caller, request).await;
        reply.map_err(status::unanswered)?.map_err(status::refusal)
    }
}

/// Recovery is over when this is called: everything serves, and the server as a whole.
async fn serving(health: &HealthReporter) {
    let serving = tonic_health::ServingStatus::Serving;
    for name in [
        "",
        WorkloadServiceServer::<Api>::NAME,
        NodeServiceServer::<Api>::NAME,
        AdminServiceServer::<Api>::NAME,
        AgentServiceServer::<Api>::NAME,
    ] {
        health.set_service_status(name, serving).await;
    }
}

fn reflection() -> Reflection<'static> {
    Reflection::configure()
        .register_encoded_file_descriptor_set(dovetail_proto::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .include_reflection_service(false)
}

/// A workload as the caller names it: an id if it looks like one, else a name.
fn workload_ref(text: &str) -> Result<WorkloadRef, Status> {
    let name =
        dovetail_proto::convert::request::workload_id("id", text).map_err(status::violations)?;
    if let Ok(id) = name.parse() {
        return Ok(WorkloadRef::Id(id));
    }
    let name = name
        .parse()
        .map_err(|error: dovetail_model::id::NameError| {
            status::violations(dovetail_proto::convert::Violations::one(
                "id",
                error.to_string(),
            ))
        })?;
    Ok(WorkloadRef::Name(name))
}
