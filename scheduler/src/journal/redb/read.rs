//! Reading the redb journal: on start, and beside the writer to verify it.

use super::{BATCHES, END, FORM, FORM_1, META, SNAPSHOT, SNAPSHOTS, Shared};
use crate::journal::{Mark, Reader, Replay, ReplayError, Replayed};
use redb::{Database, ReadTransaction, ReadableDatabase as _};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
    thread,
};

/// Reads beside the writer.
#[derive(Debug, Clone)]
pub struct RedbReader {
    shared: Shared,
    path: PathBuf,
}

impl RedbReader {
    pub(super) fn new(shared: Shared, path: PathBuf) -> Self {
        Self { shared, path }
    }
}

impl Reader for RedbReader {
    fn replay(&self, at: Option<u64>) -> Result<Replayed, ReplayError> {
        let shared = self
            .shared
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let database = shared.ok_or_else(|| read_error(&self.path, redb::Error::DatabaseClosed))?;
        let path = self.path.clone();
        guarded(move || Reading::begin(&database, &path)?.replay(at))?
    }
}

/// What is noted about the snapshot in force.
pub(super) struct Note {
    pub(super) mark: Mark,
    chunks: u32,
    digest: String,
}

impl Note {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.rsplitn(3, ' ');
        let digest = words.next()?.to_owned();
        let chunks = words.next()?.parse().ok()?;
        let mark = Mark::from_text(words.next()?)?;
        Some(Self {
            mark,
            chunks,
            digest,
        })
    }
}

/// SHA-256 in hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Runs what reads redb in a thread of its own: on a damaged file redb may panic.
pub(super) fn guarded<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReplayError> {
    thread::spawn(read).join().map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        ReplayError::Damaged {
            sequence: 0,
            what: format!("reading it panicked: {}", text.unwrap_or("no message")),
        }
    })
}

/// Damage that redb found is damage; everything else is a disk that does not answer.
pub(super) fn read_error(path: &Path, error: impl Into<redb::Error>) -> ReplayError {
    match error.into() {
        redb::Error::Corrupted(what) => ReplayError::Damaged { sequence: 0, what },
        other => ReplayError::Read {
            path: path.to_owned(),
            source: Box::new(other),
        },
    }
}

/// One consistent look at the file.
pub(super) struct Reading {
    read: ReadTransaction,
    path: PathBuf,
}

impl Reading {
    pub(super) fn begin(database: &Database, path: &Path) -> Result<Self, ReplayError> {
        let read = database
            .begin_read()
            .map_err(|error| read_error(path, error))?;
        let path = path.to_owned();
        Ok(Self { read, path })
    }

    fn error(&self, error: impl Into<redb::Error>) -> ReplayError {
        read_error(&self.path, error)
    }

    fn note(&self, key: &str) -> Result<Option<String>, ReplayError> {
        let table = self.read.open_table(META).map_err(|e| self.error(e))?;
        let note = table.get(key).map_err(|e| self.error(e))?;
        Ok(note.map(|note| note.value().to_owned()))
    }

    /// The mark of the newest batch.
    pub(super) fn end(&self) -> Result<Mark, ReplayError> {
        let Some(text) = self.note(END)? else {
            return Ok(Mark::default());
        };
        Mark::from_text(&text).ok_or_else(|| ReplayError::Damaged {
            sequence: 0,
            what: format!("its end is noted as `{text}`"),
        })
    }

    /// The state as the file gives it.
    pub(super) fn replay(&self, at: Option<u64>) -> Result<Replayed, ReplayError> {
        let form = self.note(FORM)?.unwrap_or_default();
        if form != FORM_1 {
            return Err(ReplayError::Form {
                path: self.path.clone(),
                found: form,
                expected: FORM_1,
            });
        }
        let (mut replay, after) = match self.note(SNAPSHOT)? {
            Some(text) => self.snapshot(&text, at)?,
            None => (Replay::from_nothing(at), 0),
        };
        let batches = self.read.open_table(BATCHES).map_err(|e| self.error(e))?;
        for row in batches.range(after + 1..).map_err(|e| self.error(e))? {
            let (first, bytes) = row.map_err(|e| self.error(e))?;
            if !replay.batch(first.value(), bytes.value())? {
                break;
            }
        }
        replay.finish(self.end()?)
    }

    fn snapshot(&self, text: &str, at: Option<u64>) -> Result<(Replay, u64), ReplayError> {
        let damaged = |sequence, what: &str| ReplayError::Damaged {
            sequence,
            what: format!("the snapshot {what}"),
        };
        let note = Note::parse(text).ok_or_else(|| damaged(0, "is noted in an unknown form"))?;
        let sequence = note.mark.sequence;
        let table = self.read.open_table(SNAPSHOTS).map_err(|e| self.error(e))?;
        let mut bytes = Vec::new();
        for chunk in 0..note.chunks {
            let chunk = table.get((sequence, chunk)).map_err(|e| self.error(e))?;
            let chunk = chunk.ok_or_else(|| damaged(sequence, "misses a chunk"))?;
            bytes.extend(chunk.value());
        }
        if digest(&bytes) != note.digest {
            return Err(damaged(sequence, "has another hash than was noted"));
        }
        Ok((Replay::from_snapshot(note.mark, &bytes, at)?, sequence))
    }
}
