//! Connecting to the scheduler.

use crate::{args::Global, error::CliError};
use dovetail_proto::v1::{
    admin_service_client::AdminServiceClient, node_service_client::NodeServiceClient,
    workload_service_client::WorkloadServiceClient,
};
use std::{future::Future, time::Duration};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

/// Largest reply taken: ten thousand nodes of eight GPUs.
const REPLY_MAX_BYTES: usize = 64 << 20;

/// One connection, and how long a call may take.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
    timeout: Duration,
}

impl Client {
    /// Connects, or says what to start.
    pub(crate) async fn connect(global: &Global) -> Result<Self, CliError> {
        let timeout = global.call_timeout();
        let uri = format!("unix:{}", global.socket.display());
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| CliError::usage(format!("--socket is no path: {error}")))?;
        let connected = tokio::time::timeout(timeout, endpoint.connect()).await;
        match connected {
            Ok(Ok(channel)) => Ok(Self { channel, timeout }),
            Ok(Err(error)) => Err(CliError::unreachable(&global.socket, &error)),
            Err(_) => Err(CliError::deadline(timeout.as_secs())),
        }
    }

    /// Workloads.
    pub(crate) fn workloads(&self) -> WorkloadServiceClient<Channel> {
        WorkloadServiceClient::new(self.channel.clone()).max_decoding_message_size(REPLY_MAX_BYTES)
    }

    /// Nodes.
    pub(crate) fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone()).max_decoding_message_size(REPLY_MAX_BYTES)
    }

    /// The scheduler itself.
    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Waits for a reply no longer than the caller wants to.
    pub(crate) async fn call<T>(
        &self,
        reply: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(self.timeout, reply).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(CliError::from(status)),
            Err(_) => Err(CliError::deadline(self.timeout.as_secs())),
        }
    }
}

/// A request id nobody has used.
pub(crate) fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
