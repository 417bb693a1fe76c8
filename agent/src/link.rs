//! The one stream to the scheduler: kept open, opened again with growing pauses, and never a reason
//! for anything on the node to change.

mod backoff;
mod outbox;
#[cfg(test)]
mod tests;

use crate::telemetry::chain;
use backoff::Backoff;
use dovetail_model::{
    grant::GrantSet,
    id::{BootId, ClusterId, NodeName},
    node::Inventory,
};
use dovetail_proto::{
    convert::{
        Violations,
        grant::grant_set,
        node::{Hello, hello_to_wire, inventory_to_wire},
    },
    v1::{
        EnrollRequest, ReadOutput, SessionRequest, SessionResponse,
        agent_service_client::AgentServiceClient, session_request::Message,
    },
};
use hyper_util::rt::TokioIo;
pub use outbox::Outbox;
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use thiserror::Error;
use tokio::{
    net::UnixStream,
    sync::{mpsc, watch},
    time::{error::Elapsed, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};
use tower::service_fn;
use tracing::{debug, error, info, warn};

/// For connecting, for enrolling and for opening the session, each.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A scheduler that answers no ping for this long is gone, though its socket is open.
const PING: Duration = Duration::from_secs(5);
/// A session of at least this length was a good one: the pauses begin anew.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// Most bytes of a desired state: 1 024 grants, few of which have the longest environment.
const GRANTS_MAX_BYTES: usize = 64 << 20;
/// Most reads in one message, as the contract says.
const READS_MAX: usize = 16;

/// What comes from the scheduler.
#[derive(Debug)]
pub enum LinkEvent {
    /// A session with the scheduler of this cluster is open.
    Up(ClusterId),
    /// It is gone.
    Down,
    /// What shall be.
    Grants(GrantSet),
    /// The scheduler wants inventory and an absolute sample.
    Resend,
    /// The scheduler wants pieces of output.
    Reads(Vec<ReadOutput>),
}

/// What the link needs to know.
#[derive(Debug)]
pub struct Link {
    /// The scheduler's socket.
    pub socket: PathBuf,
    /// This node.
    pub node: NodeName,
    /// Of this boot.
    pub boot_id: BootId,
    /// The newest inventory, for enrolling.
    pub inventory: watch::Receiver<Inventory>,
    /// What is to be sent.
    pub outbox: Outbox,
    /// Where events go.
    pub events: mpsc::Sender<LinkEvent>,
}

/// Why a session did not open, or ended.
#[derive(Debug, Error)]
enum SessionError {
    #[error("failed to connect to `{}`", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: tonic::transport::Error,
    },
    #[error("the scheduler did not answer in {OPEN_TIMEOUT:?}")]
    Silent(#[from] Elapsed),
    #[error("the scheduler refused: {}", .0.message())]
    Refused(#[from] Box<Status>),
    #[error("the scheduler closed the session")]
    Closed,
    /// This program is ending.
    #[error("nobody listens to the link any more")]
    Unheard,
}

impl Link {
    /// Keeps a session open for as long as anybody listens.
    pub async fn run(self) {
        let mut backoff = Backoff::default();
        let mut quiet = false;
        loop {
            let began = Instant::now();
            let mut up = false;
            let why = match self.session(&mut up).await {
                Err(SessionError::Unheard) => return,
                Err(why) => why,
                Ok(()) => SessionError::Closed,
            };
            if up && self.events.send(LinkEvent::Down).await.is_err() {
                return;
            }
            if up && began.elapsed() >= GOOD_SESSION {
                backoff = Backoff::default();
            }
            let pause = backoff.pause();
            // One line a loss; the rest is for whoever looks closely.
            if up || !quiet {
                warn!(socket = %self.socket.display(), error = %chain(&why),
                    "no session with the scheduler; nothing on this node changes; trying again");
            } else {
                debug!(error = %chain(&why), ?pause, "still no session with the scheduler");
            }
            quiet = true;
            sleep(pause).await;
        }
    }

    async fn session(&self, up: &mut bool) -> Result<(), SessionError> {
        let channel = connect(&self.socket).await?;
        let mut client =
            AgentServiceClient::new(channel).max_decoding_message_size(GRANTS_MAX_BYTES);
        let inventory = inventory_to_wire(&self.inventory.borrow().clone());
        let request = EnrollRequest {
            inventory: Some(inventory),
        };
        let enrolled = timeout(OPEN_TIMEOUT, client.enroll(request)).await?;
        let enrolled = enrolled.map_err(Box::new)?.into_inner();
        self.outbox.clear();
        let (requests, stream) = mpsc::channel(1);
        let hello = hello_to_wire(&Hello {
            node: self.node.clone(),
            boot_id: self.boot_id.clone(),
        });
        let hello = SessionRequest {
            message: Some(Message::Hello(hello)),
        };
        requests
            .try_send(hello)
            .expect("a fresh channel has room for one");
        let opening = client.session(ReceiverStream::new(stream));
        let opened = timeout(OPEN_TIMEOUT, opening).await?.map_err(Box::new)?;
        *up = true;
        let cluster = ClusterId(enrolled.cluster_id.into());
        info!(%cluster, term = enrolled.term, "session with the scheduler is open");
        self.emit(LinkEvent::Up(cluster)).await?;
        tokio::select! {
            ended = self.receive(opened.into_inner()) => ended,
            () = self.outbox.pump(requests) => Ok(()),
        }
    }

    async fn receive(&self, mut stream: Streaming<SessionResponse>) -> Result<(), SessionError> {
        while let Some(message) = stream.message().await.map_err(Box::new)? {
            self.take(message).await?;
        }
        Ok(())
    }

    async fn take(&self, message: SessionResponse) -> Result<(), SessionError> {
        if message.resend {
            self.outbox.make_sample_absolute();
            self.emit(LinkEvent::Resend).await?;
        }
        if let Some(grants) = message.grants {
            match grant_set(grants) {
                Ok(grants) => self.emit(LinkEvent::Grants(grants)).await?,
                Err(violations) => refuse(&violations),
            }
        }
        if !message.reads.is_empty() {
            let mut reads = message.reads;
            reads.truncate(READS_MAX);
            self.emit(LinkEvent::Reads(reads)).await?;
        }
        Ok(())
    }

    async fn emit(&self, event: LinkEvent) -> Result<(), SessionError> {
        let sent = self.events.send(event).await;
        sent.map_err(|_| SessionError::Unheard)
    }
}

fn refuse(violations: &Violations) {
    error!(%violations, "desired state not obeyed: it is not valid; are scheduler and agent of one version?");
}

async fn connect(socket: &Path) -> Result<Channel, SessionError> {
    let path = socket.to_owned();
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    // The address is only the name that requests carry.
    Endpoint::from_static("http://scheduler")
        .connect_timeout(OPEN_TIMEOUT)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true)
        .connect_with_connector(connector)
        .await
        .map_err(|source| SessionError::Connect {
            socket: socket.to_owned(),
            source,
        })
}
