//! The way into the engine: bounded, and honest about not taking something.

use dovetail_core::{
    effect::{Answer, Refusal},
    input::{Caller, Input, Request},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// How long a request waits for its answer. What it changed stays, and is found by its request id.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// An answer, or why there is none.
pub(super) type Reply = Result<Answer, Refusal>;

/// One thing for the state thread.
#[derive(Debug)]
pub(super) enum Message {
    Ask {
        caller: Caller,
        request: Request,
        reply: oneshot::Sender<Reply>,
    },
    Input(Input),
    Stop,
}

/// Puts inputs to the engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: mpsc::Sender<Message>,
    gate: Arc<Gate>,
}

/// Why the engine did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// Too much is waiting already.
    #[error("the scheduler has too much to do")]
    Busy,
    /// The answer takes too long. What was asked may still happen.
    #[error("no answer came within {} s; ask again with the same request_id", ANSWER_MAX.as_secs())]
    Overdue,
    /// The disk has too little room to accept new work.
    #[error(
        "the disk of `data_dir` is nearly full: new work is refused, cancelling is not; free some space"
    )]
    DiskLow,
    /// The disk is full.
    #[error("the disk of `data_dir` is full: nothing can be made durable; free some space")]
    DiskFull,
    /// The scheduler stops.
    #[error("the scheduler is stopping")]
    Stopping,
}

/// What the disk lets through.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

/// States of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Pass {
    Everything = 0,
    NothingNew = 1,
    Nothing = 2,
    Closed = 3,
}

impl Gate {
    pub(super) fn set(&self, pass: Pass) {
        self.0.store(pass as u8, Ordering::Relaxed);
    }

    /// Changes the state, unless it has become another meanwhile.
    pub(super) fn change(&self, from: Pass, to: Pass) {
        let (from, to) = (from as u8, to as u8);
        // An error means that it has: the other change stays.
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .ok();
    }

    pub(super) fn get(&self) -> Pass {
        match self.0.load(Ordering::Relaxed) {
            0 => Pass::Everything,
            1 => Pass::NothingNew,
            2 => Pass::Nothing,
            _ => Pass::Closed,
        }
    }

    fn check(&self, request: &Request) -> Result<(), AskError> {
        match self.get() {
            Pass::Everything => Ok(()),
            Pass::NothingNew if matches!(request, Request::Submit { .. }) => Err(AskError::DiskLow),
            Pass::NothingNew => Ok(()),
            Pass::Nothing => Err(AskError::DiskFull),
            Pass::Closed => Err(AskError::Stopping),
        }
    }
}

impl Handle {
    pub(super) fn new(queue: mpsc::Sender<Message>, gate: Arc<Gate>) -> Self {
        Self { queue, gate }
    }

    /// Asks, and waits until the answer is durable.
    pub async fn ask(&self, caller: Caller, request: Request) -> Result<Reply, AskError> {
        self.gate.check(&request)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Ask {
            caller,
            request,
            reply,
        };
        self.queue.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AskError::Busy,
            mpsc::error::TrySendError::Closed(_) => AskError::Stopping,
        })?;
        match timeout(ANSWER_MAX, answer).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(AskError::Stopping),
            Err(_) => Err(match self.gate.check(&Request::Status) {
                Err(disk) => disk,
                Ok(()) => AskError::Overdue,
            }),
        }
    }

    /// Feeds what an agent says, waiting for room. False: nobody takes inputs any more.
    pub async fn feed(&self, input: Input) -> bool {
        self.queue.send(Message::Input(input)).await.is_ok()
    }

    pub(super) fn feed_blocking(&self, input: Input) -> bool {
        self.queue.blocking_send(Message::Input(input)).is_ok()
    }

    /// Takes no more requests, makes durable what was taken, and ends the threads.
    pub async fn stop(&self) {
        self.gate.set(Pass::Closed);
        // An error means that the thread has ended already.
        self.queue.send(Message::Stop).await.ok();
    }
}
