//! The agents' sessions: what goes down to each, bounded, with only the newest desired state kept.

use dovetail_core::input::SessionId;
use dovetail_model::{grant::GrantSet, id::NodeName};
use dovetail_proto::{convert::grant::grant_set_to_wire, v1};
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

/// Reads of output that may wait for one agent.
const READS_MAX: usize = 256;
/// Reads in one message, as the schema says.
const READS_PER_MESSAGE: usize = 16;
/// How long an agent may take for a piece of output; said in `ReadError::Overdue`.
const READ_MAX: Duration = Duration::from_secs(5);

/// Every session by id.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: Mutex<BTreeMap<SessionId, Arc<Session>>>,
    opened: AtomicU64,
}

/// One agent's session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    node: NodeName,
    outbox: Mutex<Outbox>,
    filled: Notify,
    reads: AtomicU64,
}

/// What waits to go down to an agent.
#[derive(Debug, Default)]
struct Outbox {
    grants: Option<Box<GrantSet>>,
    resend: bool,
    reads: VecDeque<v1::ReadOutput>,
    waiting: BTreeMap<u64, oneshot::Sender<v1::OutputChunk>>,
    closed: Option<String>,
}

/// What a session has to say next.
#[derive(Debug)]
pub enum Down {
    /// This.
    Message(Box<v1::SessionResponse>),
    /// Nothing any more, for this reason.
    Closed(String),
}

/// Why a piece of output was not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The node's agent has no session.
    #[error("node {0} does not report, so its output cannot be read now")]
    Unreachable(NodeName),
    /// Its agent does not answer.
    #[error("node {0} did not answer within 5 s")]
    Overdue(NodeName),
    /// Too many read there.
    #[error("too many people read output of node {0}")]
    Busy(NodeName),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    /// Opens a session; ids grow, so that a newer one is told from an older.
    pub fn open(&self, node: NodeName) -> Arc<Session> {
        let id = SessionId(1 + self.opened.fetch_add(1, Ordering::Relaxed));
        let session = Arc::new(Session {
            id,
            node,
            outbox: Mutex::default(),
            filled: Notify::new(),
            reads: AtomicU64::new(0),
        });
        lock(&self.by_id).insert(id, Arc::clone(&session));
        session
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, id: SessionId) {
        lock(&self.by_id).remove(&id);
    }

    /// Sends a desired state; one that waits is replaced.
    pub(crate) fn send(&self, id: SessionId, grants: Box<GrantSet>) {
        self.with(id, |outbox| outbox.grants = Some(grants));
    }

    /// Ends a session.
    pub(crate) fn close(&self, id: SessionId, why: String) {
        self.with(id, |outbox| outbox.closed = Some(why));
    }

    /// Ends every session.
    pub fn close_all(&self, why: &str) {
        let all: Vec<SessionId> = lock(&self.by_id).keys().copied().collect();
        for id in all {
            self.close(id, why.to_owned());
        }
    }

    fn with(&self, id: SessionId, change: impl FnOnce(&mut Outbox)) {
        // A session that has ended gets nothing; the agent is told again on its next one.
        let session = lock(&self.by_id).get(&id).cloned();
        if let Some(session) = session {
            change(&mut lock(&session.outbox));
            session.filled.notify_one();
        }
    }

    /// Reads a piece of output on a node.
    pub async fn read(
        &self,
        node: &NodeName,
        read: v1::ReadOutput,
    ) -> Result<v1::OutputChunk, ReadError> {
        let newest = lock(&self.by_id)
            .values()
            .rev()
            .find(|s| s.node == *node)
            .cloned();
        let session = newest.ok_or_else(|| ReadError::Unreachable(node.clone()))?;
        let (id, chunk) = session.ask(read)?;
        match timeout(READ_MAX, chunk).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(_)) => Err(ReadError::Unreachable(node.clone())),
            Err(_) => {
                lock(&session.outbox).waiting.remove(&id);
                Err(ReadError::Overdue(node.clone()))
            }
        }
    }
}

impl Session {
    /// Its id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Its node.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Asks the agent for its inventory and an absolute sample.
    pub fn resend(&self) {
        lock(&self.outbox).resend = true;
        self.filled.notify_one();
    }

    /// Passes a piece of output to who asked for it.
    pub fn answer(&self, chunk: v1::OutputChunk) {
        let waiting = lock(&self.outbox).waiting.remove(&chunk.read_id);
        if let Some(waiting) = waiting {
            // Who asked may have gone.
            waiting.send(chunk).ok();
        }
    }

    fn ask(
        &self,
        mut read: v1::ReadOutput,
    ) -> Result<(u64, oneshot::Receiver<v1::OutputChunk>), ReadError> {
        let mut outbox = lock(&self.outbox);
        if outbox.closed.is_some() {
            return Err(ReadError::Unreachable(self.node.clone()));
        }
        if outbox.waiting.len() >= READS_MAX {
            return Err(ReadError::Busy(self.node.clone()));
        }
        let id = 1 + self.reads.fetch_add(1, Ordering::Relaxed);
        let (sender, chunk) = oneshot::channel();
        read.read_id = id;
        outbox.waiting.insert(id, sender);
        outbox.reads.push_back(read);
        drop(outbox);
        self.filled.notify_one();
        Ok((id, chunk))
    }

    /// Waits for something to go down.
    pub async fn next(&self) -> Down {
        loop {
            if let Some(down) = lock(&self.outbox).next() {
                return down;
            }
            self.filled.notified().await;
        }
    }
}

impl Outbox {
    fn next(&mut self) -> Option<Down> {
        if let Some(why) = &self.closed {
            let why = why.clone();
            // Whoever waits for output is told at once.
            self.waiting.clear();
            return Some(Down::Closed(why));
        }
        if self.grants.is_none() && !self.resend && self.reads.is_empty() {
            return None;
        }
        let reads = self.reads.len().min(READS_PER_MESSAGE);
        Some(Down::Message(Box::new(v1::SessionResponse {
            grants: self.grants.take().map(|grants| grant_set_to_wire(&grants)),
            resend: mem::take(&mut self.resend),
            reads: self.reads.drain(..reads).collect(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::id::{ClusterId, Epoch, Name, Revision, Term};

    fn node() -> NodeName {
        Name::new("n1").unwrap()
    }

    fn grants(revision: u64) -> Box<GrantSet> {
        Box::new(GrantSet {
            cluster: ClusterId("c".into()),
            epoch: Epoch {
                term: Term(1),
                revision: Revision(revision),
            },
            grants: vec![],
            releases: vec![],
            acknowledged_exits: vec![],
        })
    }

    async fn message(session: &Session) -> v1::SessionResponse {
        match session.next().await {
            Down::Message(message) => *message,
            Down::Closed(why) => panic!("closed: {why}"),
        }
    }

    #[tokio::test]
    async fn only_the_newest_desired_state_goes_down() {
        let sessions = Sessions::default();
        let session = sessions.open(node());
        for revision in 1..=5 {
            sessions.send(session.id(), grants(revision));
        }
        assert_eq!(message(&session).await.grants.unwrap().revision, 5);
        session.resend();
        let next = message(&session).await;
        assert!(next.grants.is_none() && next.resend);
    }

    #[tokio::test]
    async fn output_comes_back_to_who_asked() {
        let sessions = Arc::new(Sessions::default());
        let session = sessions.open(node());
        let reading = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.read(&node(), v1::ReadOutput::default()).await }
        });
        let read_id = message(&session).await.reads[0].read_id;
        session.answer(v1::OutputChunk {
            read_id,
            data: b"hello".to_vec(),
            ..v1::OutputChunk::default()
        });
        assert_eq!(reading.await.unwrap().unwrap().data, b"hello");
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_does_not_answer_is_not_waited_for_long() {
        let sessions = Sessions::default();
        let missing = sessions.read(&node(), v1::ReadOutput::default()).await;
        assert_eq!(missing, Err(ReadError::Unreachable(node())));
        let session = sessions.open(node());
        let late = sessions.read(&node(), v1::ReadOutput::default()).await;
        assert_eq!(late, Err(ReadError::Overdue(node())));
        assert!(
            lock(&session.outbox).waiting.is_empty(),
            "nothing is left behind"
        );
    }

    #[tokio::test]
    async fn a_closed_session_says_why_and_takes_no_more() {
        let sessions = Sessions::default();
        let session = sessions.open(node());
        sessions.close(session.id(), "fenced".to_owned());
        assert!(matches!(session.next().await, Down::Closed(why) if why == "fenced"));
        let read = sessions.read(&node(), v1::ReadOutput::default()).await;
        assert_eq!(read, Err(ReadError::Unreachable(node())));
        sessions.forget(session.id());
        sessions.send(session.id(), grants(1));
    }
}
