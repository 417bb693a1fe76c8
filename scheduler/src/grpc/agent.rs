//! AgentService: enrolment, and the one stream of each agent.

use super::{Api, status};
use crate::sessions::{Down, Session};
use dovetail_core::{
    effect::Answer,
    input::{Caller, Input, Report, Request as Ask},
};
use dovetail_proto::{
    convert::{Violations, node, report},
    sample::SampleDecoder,
    v1,
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

/// Messages on their way down that the transport has not taken yet: the outbox coalesces the rest.
const DOWN_MAX: usize = 2;
/// How long an agent may take to say hello.
const HELLO_MAX: Duration = Duration::from_secs(5);

/// What goes down to an agent.
pub(super) type DownStream =
    Pin<Box<dyn Stream<Item = Result<v1::SessionResponse, Status>> + Send>>;

fn operators_only(caller: &Caller) -> Result<(), Status> {
    if caller.operator {
        return Ok(());
    }
    let why = "only an operator may; operators are named in `security.operators` of the \
               scheduler's configuration";
    Err(status::denied("speak as an agent", why))
}

#[tonic::async_trait]
impl v1::agent_service_server::AgentService for Api {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let caller = self.identity.caller(&request)?;
        operators_only(&caller)?;
        let wire = request.into_inner().inventory;
        let wire =
            wire.ok_or_else(|| status::violations(Violations::one("inventory", "is required")))?;
        let inventory = node::inventory(wire).map_err(status::violations)?;
        let inventory = Box::new(inventory);
        let Answer::Enrolled { cluster, term } =
            self.ask(caller, Ask::Enroll { inventory }).await?
        else {
            return Err(status::mismatched("a node was to be enrolled"));
        };
        Ok(Response::new(v1::EnrollResponse {
            cluster_id: cluster.to_string(),
            term: term.0,
        }))
    }

    type SessionStream = DownStream;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<DownStream>, Status> {
        operators_only(&self.identity.caller(&request)?)?;
        // Answered at once: the agent's client waits for this before it says hello.
        let (down, stream) = mpsc::channel(DOWN_MAX);
        tokio::spawn(run(self.clone(), request.into_inner(), down));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

type DownSender = mpsc::Sender<Result<v1::SessionResponse, Status>>;

/// One session from hello to its end.
async fn run(api: Api, mut up: Streaming<v1::SessionRequest>, down: DownSender) {
    let hello = match timeout(HELLO_MAX, first(&mut up)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(status)) => return say(&down, status).await,
        Err(_) => return say(&down, hello_missing()).await,
    };
    let session = api.sessions.open(hello.node.clone());
    tracing::info!(node = %session.node(), session = session.id().0, "agent connected");
    let connected = Input::AgentConnected {
        node: hello.node,
        boot_id: hello.boot_id,
        session: session.id(),
    };
    if api.handle.feed(connected).await {
        let ended = tokio::select! {
            status = upward(&api, &session, &mut up) => status,
            status = downward(&session, &down) => status,
        };
        if let Some(status) = ended {
            tracing::warn!(node = %session.node(), why = status.message(), "agent's session ended");
            say(&down, status).await;
        }
    }
    api.sessions.forget(session.id());
    let disconnected = Input::AgentDisconnected {
        node: session.node().clone(),
        session: session.id(),
    };
    // False means that the scheduler stops: there is nobody to tell.
    api.handle.feed(disconnected).await;
    tracing::info!(node = %session.node(), session = session.id().0, "agent disconnected");
}

async fn say(down: &DownSender, status: Status) {
    // The agent may have gone.
    down.send(Err(status)).await.ok();
}

fn hello_missing() -> Status {
    status::violations(Violations::one("hello", "is required, first and once"))
}

async fn first(up: &mut Streaming<v1::SessionRequest>) -> Result<node::Hello, Status> {
    let message = up.message().await?.and_then(|request| request.message);
    let Some(v1::session_request::Message::Hello(hello)) = message else {
        return Err(hello_missing());
    };
    node::hello(&hello).map_err(status::violations)
}

/// Passes what the agent sends to the engine. Nothing: the agent has gone.
async fn upward(
    api: &Api,
    session: &Session,
    up: &mut Streaming<v1::SessionRequest>,
) -> Option<Status> {
    let mut samples = SampleDecoder::default();
    while let Some(request) = up.next().await {
        // A broken connection ends a session as a closed one does.
        let message = request.ok()?.message;
        let Some(message) = message else {
            return Some(status::violations(Violations::one(
                "message",
                "is required",
            )));
        };
        let report = match read(session, &mut samples, message) {
            Ok(Some(report)) => report,
            Ok(None) => continue,
            Err(violations) => return Some(status::violations(violations)),
        };
        let input = Input::Report {
            node: session.node().clone(),
            session: session.id(),
            report,
        };
        if !api.handle.feed(input).await {
            return Some(status::unanswered(crate::drive::AskError::Stopping));
        }
    }
    None
}

/// A report for the engine, or something that ends here.
fn read(
    session: &Session,
    samples: &mut SampleDecoder,
    message: v1::session_request::Message,
) -> Result<Option<Report>, Violations> {
    use v1::session_request::Message;
    match message {
        Message::Hello(_) => Err(Violations::one("hello", "comes first and once")),
        Message::Inventory(wire) => {
            let inventory = node::inventory(wire)?;
            if inventory.node != *session.node() {
                let text = format!("must be the session's node, {}", session.node());
                return Err(Violations::one("inventory.node", text));
            }
            Ok(Some(Report::Inventory(Box::new(inventory))))
        }
        Message::Sample(wire) => Ok(sample(session, samples, &wire)),
        Message::Usage(wire) => report::usage(wire).map(|usage| Some(Report::Usage(usage))),
        Message::Slices(wire) => {
            report::slice_report(wire).map(|slices| Some(Report::Slices(slices)))
        }
        Message::Output(chunk) => {
            session.answer(chunk);
            Ok(None)
        }
    }
}

/// A sample that cannot be read is not worth a session: the agent is asked for a whole one.
fn sample(session: &Session, samples: &mut SampleDecoder, wire: &v1::Sample) -> Option<Report> {
    match samples.decode(wire) {
        Ok(sample) => Some(Report::Sample(sample)),
        Err(gap) => {
            tracing::debug!(node = %session.node(), %gap, "sample is asked for again");
            session.resend();
            None
        }
    }
}

/// Sends what waits for the agent.
async fn downward(session: &Arc<Session>, down: &DownSender) -> Option<Status> {
    loop {
        match session.next().await {
            Down::Message(message) => {
                if down.send(Ok(*message)).await.is_err() {
                    return None;
                }
            }
            Down::Closed(why) => {
                let node = session.node().to_string();
                return Some(status::precondition("AGENT_SESSION", &node, &why));
            }
        }
    }
}
