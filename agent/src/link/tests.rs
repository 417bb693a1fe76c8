//! The link against a real server on a real socket.

use super::*;
use crate::agent::{Report, tests};
use dovetail_model::{id::SliceId, report::SliceReport};
use dovetail_proto::{
    convert::grant::grant_set_to_wire,
    v1::{
        EnrollResponse, OutputChunk,
        agent_service_server::{AgentService, AgentServiceServer},
    },
};
use std::{pin::Pin, sync::Arc};
use tokio::{net::UnixListener, sync::Mutex, task::JoinHandle};
use tokio_stream::{Stream, StreamExt, wrappers::UnixListenerStream};
use tonic::{Request, Response, transport::Server};

type Down = mpsc::Sender<Result<SessionResponse, Status>>;

/// A scheduler that hands its sessions to the test.
#[derive(Clone)]
struct Peer {
    sessions: mpsc::Sender<(Streaming<SessionRequest>, Down)>,
    enrolled: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl AgentService for Peer {
    async fn enroll(
        &self,
        request: Request<EnrollRequest>,
    ) -> Result<Response<EnrollResponse>, Status> {
        let inventory = request.into_inner().inventory.unwrap();
        self.enrolled.lock().await.push(inventory.node);
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
        let (down, stream) = mpsc::channel(8);
        self.sessions
            .send((request.into_inner(), down))
            .await
            .unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

struct Wire {
    directory: tempfile::TempDir,
    peer: Peer,
    sessions: mpsc::Receiver<(Streaming<SessionRequest>, Down)>,
    events: mpsc::Receiver<LinkEvent>,
    outbox: Outbox,
    _inventory: watch::Sender<Inventory>,
}

impl Wire {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sessions, accepted) = mpsc::channel(4);
        let (events, received) = mpsc::channel(16);
        let (inventory, watched) = watch::channel(tests::inventory());
        let outbox = Outbox::default();
        let link = Link {
            socket: directory.path().join("socket"),
            node: tests::node(),
            boot_id: BootId("boot".into()),
            inventory: watched,
            outbox: outbox.clone(),
            events,
        };
        tokio::spawn(link.run());
        let enrolled = Arc::default();
        Self {
            directory,
            peer: Peer { sessions, enrolled },
            sessions: accepted,
            events: received,
            outbox,
            _inventory: inventory,
        }
    }

    fn serve(&self) -> JoinHandle<()> {
        let path = self.directory.path().join("socket");
        drop(std::fs::remove_file(&path));
        let incoming = UnixListenerStream::new(UnixListener::bind(path).unwrap());
        let service = AgentServiceServer::new(self.peer.clone());
        let server = Server::builder().add_service(service);
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    }

    /// Hello has come, and the link says that it is up.
    async fn open(&mut self) -> (Streaming<SessionRequest>, Down) {
        let (mut up, down) = self.sessions.recv().await.unwrap();
        let hello = up.message().await.unwrap().unwrap().message;
        assert!(matches!(hello, Some(Message::Hello(hello)) if hello.node == "a"));
        let event = self.events.recv().await;
        assert!(matches!(event, Some(LinkEvent::Up(cluster)) if cluster == tests::ours()));
        (up, down)
    }
}

#[tokio::test]
async fn a_session_is_opened_when_the_scheduler_appears_and_again_when_it_returns() {
    let mut wire = Wire::new();
    sleep(Duration::from_millis(100)).await;
    for round in 1..=2 {
        let server = wire.serve();
        let (_up, down) = wire.open().await;
        assert_eq!(wire.peer.enrolled.lock().await.len(), round);
        drop(down);
        assert!(matches!(wire.events.recv().await, Some(LinkEvent::Down)));
        server.abort();
    }
}

#[tokio::test]
async fn desired_states_come_in_and_reports_go_out() {
    let mut wire = Wire::new();
    let _server = wire.serve();
    let (mut up, down) = wire.open().await;
    let set = tests::set(7, vec![tests::grant(1, 0)]);
    let message = SessionResponse {
        grants: Some(grant_set_to_wire(&set)),
        resend: true,
        reads: vec![ReadOutput::default(); 40],
    };
    down.send(Ok(message)).await.unwrap();
    assert!(matches!(wire.events.recv().await, Some(LinkEvent::Resend)));
    let event = wire.events.recv().await;
    assert!(matches!(event, Some(LinkEvent::Grants(got)) if got == set));
    let event = wire.events.recv().await;
    assert!(matches!(event, Some(LinkEvent::Reads(reads)) if reads.len() == 16));
    wire.outbox.put_chunk(OutputChunk::default());
    let sent = up.message().await.unwrap().unwrap().message;
    assert!(matches!(sent, Some(Message::Output(_))));
}

#[tokio::test]
async fn a_desired_state_that_is_not_valid_is_dropped_and_the_session_stays() {
    let mut wire = Wire::new();
    let _server = wire.serve();
    let (_up, down) = wire.open().await;
    let mut bad = grant_set_to_wire(&tests::set(7, vec![tests::grant(1, 0)]));
    bad.grants[0].spec = None;
    for (grants, resend) in [(Some(bad), false), (None, true)] {
        let message = SessionResponse {
            grants,
            resend,
            reads: Vec::new(),
        };
        down.send(Ok(message)).await.unwrap();
    }
    assert!(matches!(wire.events.recv().await, Some(LinkEvent::Resend)));
}

#[tokio::test]
async fn only_the_newest_report_of_a_kind_is_kept() {
    let outbox = Outbox::default();
    let orphaned = |n: usize| SliceReport {
        orphaned: vec![SliceId::to_string(&tests::id(1)); n],
        ..SliceReport::default()
    };
    for count in 0..100 {
        outbox.put(Report::Slices(orphaned(count)));
    }
    for read_id in 0..100 {
        outbox.put_chunk(OutputChunk {
            read_id,
            ..OutputChunk::default()
        });
    }
    let (requests, stream) = mpsc::channel(64);
    let pump = outbox.clone();
    let pump = tokio::spawn(async move { pump.pump(requests).await });
    sleep(Duration::from_millis(50)).await;
    pump.abort();
    let sent: Vec<SessionRequest> = ReceiverStream::new(stream).collect().await;
    assert_eq!(sent.len(), 33, "one report, and 32 pieces");
    assert!(
        matches!(&sent[0].message, Some(Message::Slices(report)) if report.orphaned.len() == 99)
    );
    assert!(matches!(&sent[1].message, Some(Message::Output(chunk)) if chunk.read_id == 68));
}
