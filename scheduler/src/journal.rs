//! What is durable: batches of events in one order, and now and then a snapshot of the state.

pub mod memory;
mod record;
pub mod redb;
mod replay;

use dovetail_core::{event::Event, state::ApplyError};
use dovetail_model::id::Term;
use std::{io, path::PathBuf};
use thiserror::Error;

pub use record::{Chain, RecordError};
pub(crate) use replay::Replay;
pub use replay::Replayed;

/// Records after which a snapshot is due: replaying as many takes well under a second.
pub const SNAPSHOT_RECORDS: u64 = 50_000;
/// Bytes of records after which a snapshot is due.
pub const SNAPSHOT_BYTES: u64 = 64 << 20;

/// Events that become durable together, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The term they belong to.
    pub term: Term,
    /// Sequence number of the first event: the revision it leads to.
    pub first: u64,
    /// The events, at least one.
    pub events: Vec<Event>,
}

/// A place in the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Sequence number of the newest event.
    pub sequence: u64,
    /// Hash over every batch up to it.
    pub chain: Chain,
}

/// The state at a place in the journal.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where.
    pub mark: Mark,
    /// `State::to_bytes`.
    pub bytes: Vec<u8>,
}

/// A durable log with one writer.
pub trait Journal: Send {
    /// Makes a batch durable. After `Ok` it survives every crash; after an error nobody knows.
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError>;

    /// The newest batch that is durable.
    fn mark(&self) -> Mark;

    /// Enough was appended since the last snapshot.
    fn snapshot_due(&self) -> bool;

    /// Takes a snapshot. It becomes durable, and what it replaces is dropped, in the course of
    /// the next appends; until then the older snapshot and every batch since it stay.
    fn offer(&mut self, snapshot: Snapshot);

    /// Makes good a failure that said it could be: afterwards appending may be tried again. `Ok` tells
    /// whether the batch that failed is durable after all.
    fn recover(&mut self, batch: &Batch) -> Result<bool, AppendError>;
}

/// Reads what is durable beside the writer.
pub trait Reader: Send + Sync {
    /// The state as snapshot and batches give it, at the revision `at` or the newest before it.
    fn replay(&self, at: Option<u64>) -> Result<Replayed, ReplayError>;
}

/// Why a batch is not known to be durable.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The disk is full and nothing was promised: `recover` may be tried when there is room.
    #[error("failed to write to the journal `{}`: the disk is full", path.display())]
    Full {
        /// The journal.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The disk failed. What it holds is unknown until the journal is opened again.
    #[error("failed to write to the journal `{}`", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The batch does not follow the newest one: a defect of the caller.
    #[error("batch begins at sequence {got}, {expected} is next")]
    Sequence {
        /// What is next.
        expected: u64,
        /// What came.
        got: u64,
    },
}

/// Why the state cannot be recomputed. Nothing has been repaired.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The journal cannot be read.
    #[error("failed to read the journal `{}`", path.display())]
    Read {
        /// The journal.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is written in a form this version does not know.
    #[error("journal `{}` has the form `{found}`, this version reads `{expected}`", path.display())]
    Form {
        /// The journal.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this version reads.
        expected: &'static str,
    },
    /// It is damaged.
    #[error("journal is damaged at sequence {sequence}: {what}")]
    Damaged {
        /// Where.
        sequence: u64,
        /// What is wrong there.
        what: String,
    },
    /// An event does not follow from the state before it.
    #[error("journal's event {sequence} does not follow from the events before it")]
    Event {
        /// Which.
        sequence: u64,
        /// Why.
        #[source]
        source: ApplyError,
    },
    /// The wanted revision is older than the snapshot.
    #[error("revision {wanted} is older than the journal's snapshot at {snapshot}")]
    Dropped {
        /// What was wanted.
        wanted: u64,
        /// What there is.
        snapshot: u64,
    },
}

impl Batch {
    /// Sequence number of the last event.
    pub fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }
}
