//! The journal in one redb file: two-phase commits, one writer, snapshots woven into the appends.
//!
//! redb keeps the file consistent; checksums, sequence numbers and the hash chain of the records
//! make sure that what it returns is what was written. Damage is reported, never repaired.

mod read;
mod storage;
#[cfg(test)]
mod tests;

use super::{
    AppendError, Batch, Journal, Mark, ReplayError, Replayed, SNAPSHOT_BYTES, SNAPSHOT_RECORDS,
    Snapshot, record,
};
use redb::{Database, ReadableTable as _, TableDefinition, WriteTransaction};
use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};
use storage::Watched;

pub use read::RedbReader;
pub use storage::{FileStorage, Storage};

/// Batches by the sequence number of their first record.
const BATCHES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("batches");
/// Chunks of snapshots by sequence number and position.
const SNAPSHOTS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("snapshots");
/// Notes about the journal itself.
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

/// Note: how everything else is written.
const FORM: &str = "form";
/// The form this version writes and reads.
const FORM_1: &str = "dovetail-journal/1";
/// Note: the mark of the newest batch.
const END: &str = "end";
/// Note: the mark of the snapshot, its chunks and the SHA-256 of its bytes.
const SNAPSHOT: &str = "snapshot";

/// Bytes of a snapshot written with one append, so that none of them takes long.
const CHUNK_BYTES: usize = 1 << 20;
/// Rows dropped with one append.
const DROPS_MAX: usize = 64;
/// Memory for redb's page cache: the journal is appended to, and read only on start.
const CACHE_BYTES: usize = 16 << 20;

/// The database, absent while it is opened again.
type Shared = Arc<RwLock<Option<Arc<Database>>>>;

/// A journal in a redb file.
#[derive(Debug)]
pub struct RedbJournal<S: Storage = FileStorage> {
    storage: S,
    shared: Shared,
    fate: storage::Fate,
    mark: Mark,
    since_snapshot: (u64, u64),
    staged: Option<Staged>,
    /// Something that a newer snapshot replaced may still be in the file.
    litter: bool,
}

/// A snapshot on its way into the file.
#[derive(Debug)]
struct Staged {
    mark: Mark,
    chunks: VecDeque<Vec<u8>>,
    written: u32,
    digest: String,
}

impl RedbJournal<FileStorage> {
    /// Opens the journal of a data directory, or makes an empty one, and replays it.
    pub fn open(data_dir: &Path) -> Result<(Self, Replayed), ReplayError> {
        Self::open_in(FileStorage::in_dir(data_dir))
    }
}

impl<S: Storage> RedbJournal<S> {
    /// Opens a journal wherever it is stored.
    pub fn open_in(storage: S) -> Result<(Self, Replayed), ReplayError> {
        let fate = storage::Fate::default();
        let (database, replayed) = open_database(&storage, &fate, |reading| reading.replay(None))?;
        let journal = Self {
            storage,
            shared: Arc::new(RwLock::new(Some(database))),
            fate,
            mark: replayed.mark,
            since_snapshot: (replayed.records, replayed.bytes),
            staged: None,
            litter: true,
        };
        Ok((journal, replayed))
    }

    /// Reads beside this writer.
    pub fn reader(&self) -> RedbReader {
        RedbReader::new(Arc::clone(&self.shared), self.storage.path().to_owned())
    }

    fn database(&self) -> Option<Arc<Database>> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.clone()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(Mark, u64), redb::Error> {
        let database = self.database().ok_or(redb::Error::DatabaseClosed)?;
        let (bytes, chain) = record::encode(batch, self.mark.chain);
        let mark = Mark {
            sequence: batch.last(),
            chain,
        };
        let mut write = database.begin_write()?;
        write.set_two_phase_commit(true);
        write.set_quick_repair(true);
        write
            .open_table(BATCHES)?
            .insert(batch.first, bytes.as_slice())?;
        write
            .open_table(META)?
            .insert(END, mark.to_text().as_str())?;
        let chores = self.chores(&write)?;
        write.commit()?;
        self.done(chores);
        Ok((mark, bytes.len() as u64))
    }

    /// A bounded piece of what is to be tidied, in the transaction of an append.
    fn chores(&self, write: &WriteTransaction) -> Result<Chore, redb::Error> {
        match &self.staged {
            Some(staged) => match staged.chunks.front() {
                Some(chunk) => {
                    let key = (staged.mark.sequence, staged.written);
                    write.open_table(SNAPSHOTS)?.insert(key, chunk.as_slice())?;
                    Ok(Chore::Chunk)
                }
                None => {
                    write
                        .open_table(META)?
                        .insert(SNAPSHOT, staged.note().as_str())?;
                    Ok(Chore::Snapshot)
                }
            },
            None if self.litter => Ok(Chore::Swept(sweep(write)?)),
            None => Ok(Chore::None),
        }
    }

    fn done(&mut self, chore: Chore) {
        match chore {
            Chore::None => {}
            Chore::Chunk => {
                if let Some(staged) = &mut self.staged {
                    staged.chunks.pop_front();
                    staged.written += 1;
                }
            }
            Chore::Snapshot => {
                self.staged = None;
                self.litter = true;
            }
            Chore::Swept(clean) => self.litter = !clean,
        }
    }

    fn reopen(&mut self) -> Result<Mark, ReplayError> {
        self.close();
        self.fate = storage::Fate::default();
        let (database, end) = open_database(&self.storage, &self.fate, read::Reading::end)?;
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(end)
    }

    /// Closes the file. In a thread of its own: redb may panic over a damaged one here, too.
    fn close(&self) {
        let database = self
            .shared
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Err(error) = read::guarded(move || drop(database)) {
            tracing::error!(%error, "failed to close the journal");
        }
    }

    fn broken(&self, source: impl std::error::Error + Send + Sync + 'static) -> AppendError {
        AppendError::Broken {
            path: self.storage.path().to_owned(),
            source: Box::new(source),
        }
    }
}

impl<S: Storage> Drop for RedbJournal<S> {
    fn drop(&mut self) {
        self.close();
    }
}

/// What was tidied beside an append.
enum Chore {
    None,
    Chunk,
    Snapshot,
    Swept(bool),
}

impl Staged {
    fn note(&self) -> String {
        format!("{} {} {}", self.mark.to_text(), self.written, self.digest)
    }
}

impl<S: Storage> Journal for RedbJournal<S> {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let expected = self.mark.sequence + 1;
        if batch.first != expected || batch.events.is_empty() {
            return Err(AppendError::Sequence {
                expected,
                got: batch.first,
            });
        }
        match self.commit(batch) {
            Ok((mark, bytes)) => {
                self.mark = mark;
                self.since_snapshot.0 += batch.events.len() as u64;
                self.since_snapshot.1 += bytes;
                Ok(())
            }
            Err(error) => Err(match self.fate.full() {
                Some(source) => AppendError::Full {
                    path: self.storage.path().to_owned(),
                    source,
                },
                None => self.broken(error),
            }),
        }
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn snapshot_due(&self) -> bool {
        let (records, bytes) = self.since_snapshot;
        self.staged.is_none() && (records >= SNAPSHOT_RECORDS || bytes >= SNAPSHOT_BYTES)
    }

    fn offer(&mut self, snapshot: Snapshot) {
        let chunks = snapshot.bytes.chunks(CHUNK_BYTES).map(<[u8]>::to_vec);
        self.since_snapshot = (0, 0);
        self.staged = Some(Staged {
            mark: snapshot.mark,
            chunks: chunks.collect(),
            written: 0,
            digest: read::digest(&snapshot.bytes),
        });
    }

    /// Opens the file anew: whatever the failed descriptor still held is gone, and the file says
    /// itself how far it came.
    fn recover(&mut self, batch: &Batch) -> Result<bool, AppendError> {
        let before = self.mark;
        // What had been staged is of unknown fate; the next snapshot replaces it.
        self.staged = None;
        self.litter = true;
        let end = self.reopen().map_err(|error| match self.fate.full() {
            Some(source) => AppendError::Full {
                path: self.storage.path().to_owned(),
                source,
            },
            None => self.broken(error),
        })?;
        let (_, chain) = record::encode(batch, before.chain);
        let after = Mark {
            sequence: batch.last(),
            chain,
        };
        if end == before {
            return Ok(false);
        }
        if end == after {
            self.mark = after;
            return Ok(true);
        }
        Err(self.broken(ReplayError::Damaged {
            sequence: end.sequence,
            what: "after the disk was full the journal ended elsewhere".to_owned(),
        }))
    }
}

/// Opens the file and reads something of it, in a thread of its own: over a damaged file redb may
/// panic, even when it is closed again.
fn open_database<S: Storage, T: Send + 'static>(
    storage: &S,
    fate: &storage::Fate,
    look: impl FnOnce(&read::Reading) -> Result<T, ReplayError> + Send + 'static,
) -> Result<(Arc<Database>, T), ReplayError> {
    let path = storage.path().to_owned();
    let backend = storage.open().map_err(|error| ReplayError::Read {
        path: path.clone(),
        source: Box::new(error),
    })?;
    let watched = Watched::new(backend, fate.clone());
    read::guarded(move || {
        let open = || {
            let database = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create_with_backend(watched)?;
            prepare(&database)?;
            Ok::<_, redb::Error>(database)
        };
        let database = open().map_err(|error| read::read_error(&path, error))?;
        let seen = look(&read::Reading::begin(&database, &path)?)?;
        Ok((Arc::new(database), seen))
    })?
}

/// Makes the tables of an empty file.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    if write.list_tables()?.next().is_some() {
        write.abort()?;
        return Ok(());
    }
    write.set_two_phase_commit(true);
    write.set_quick_repair(true);
    write.open_table(BATCHES)?;
    write.open_table(SNAPSHOTS)?;
    write.open_table(META)?.insert(FORM, FORM_1)?;
    write.commit()?;
    Ok(())
}

/// Drops some of what the snapshot in force has replaced. True: nothing is left of it.
fn sweep(write: &WriteTransaction) -> Result<bool, redb::Error> {
    let snapshot = match write.open_table(META)?.get(SNAPSHOT)? {
        Some(note) => read::Note::parse(note.value()).map_or(0, |note| note.mark.sequence),
        None => 0,
    };
    let mut batches = write.open_table(BATCHES)?;
    let old = batches
        .extract_from_if(..=snapshot, |_, _| true)?
        .take(DROPS_MAX);
    let mut dropped = 0;
    for row in old {
        row?;
        dropped += 1;
    }
    let mut chunks = write.open_table(SNAPSHOTS)?;
    let others = chunks.extract_from_if::<(u64, u32), _>(.., |(of, _), _| of != snapshot)?;
    for row in others.take(DROPS_MAX) {
        row?;
        dropped += 1;
    }
    Ok(dropped == 0)
}
