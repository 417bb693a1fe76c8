//! A journal in memory that loses what a crash would lose, for the simulator and for tests.

use super::{
    AppendError, Batch, Journal, Mark, Reader, Replay, ReplayError, Replayed, Snapshot, record,
};
use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What the next appends shall do, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing bad.
    None,
    /// The disk is full: nothing is written.
    Full,
    /// The disk fails, and nothing is durable.
    Lost,
    /// The disk fails, but the batch is durable.
    Kept,
}

/// A disk: what is durable, and what a crash loses. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    snapshot: Option<(Mark, Vec<u8>)>,
    /// First sequence, bytes and the mark after it.
    durable: Vec<(u64, Vec<u8>, Mark)>,
    pending: VecDeque<(u64, Vec<u8>, Mark)>,
    offered: Option<Snapshot>,
    faults: VecDeque<Fault>,
    snapshot_records: u64,
}

impl MemoryJournal {
    /// An empty disk that wants a snapshot after so many records.
    pub fn new(snapshot_records: u64) -> Self {
        let journal = Self::default();
        journal.disk().snapshot_records = snapshot_records;
        journal
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans what the next appends do.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.disk().faults.extend(faults);
    }

    /// Writes a batch without making it durable.
    pub fn write(&self, batch: &Batch) -> Result<(), AppendError> {
        let mut disk = self.disk();
        let before = disk.newest();
        let expected = before.sequence + 1;
        if batch.first != expected {
            return Err(AppendError::Sequence {
                expected,
                got: batch.first,
            });
        }
        let (bytes, chain) = record::encode(batch, before.chain);
        let mark = Mark {
            sequence: batch.last(),
            chain,
        };
        disk.pending.push_back((batch.first, bytes, mark));
        Ok(())
    }

    /// Makes everything written durable.
    pub fn sync(&self) {
        let mut disk = self.disk();
        let written: Vec<_> = disk.pending.drain(..).collect();
        disk.durable.extend(written);
        disk.install();
    }

    /// Loses what is not durable, but for the oldest `kept` batches that had reached the disk.
    pub fn crash(&self, kept: usize) {
        let mut disk = self.disk();
        let kept = kept.min(disk.pending.len());
        let survivors: Vec<_> = disk.pending.drain(..kept).collect();
        disk.durable.extend(survivors);
        disk.pending.clear();
        disk.offered = None;
        disk.faults.clear();
    }

    /// Batches written and not durable.
    pub fn pending(&self) -> usize {
        self.disk().pending.len()
    }
}

impl Disk {
    fn newest(&self) -> Mark {
        self.pending
            .back()
            .map_or_else(|| self.end(), |(_, _, mark)| *mark)
    }

    fn end(&self) -> Mark {
        let snapshot = self.snapshot.as_ref().map(|(mark, _)| *mark);
        let last = self.durable.last().map(|(_, _, mark)| *mark);
        last.or(snapshot).unwrap_or_default()
    }

    fn install(&mut self) {
        if let Some(Snapshot { mark, bytes }) = self.offered.take() {
            self.durable.retain(|(first, _, _)| *first > mark.sequence);
            self.snapshot = Some((mark, bytes));
        }
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let fault = self.disk().faults.pop_front().unwrap_or(Fault::None);
        let broken = || AppendError::Broken {
            path: PathBuf::from("memory"),
            source: Box::new(io::Error::other("injected")),
        };
        match fault {
            Fault::None => {
                self.write(batch)?;
                self.sync();
                Ok(())
            }
            Fault::Full => Err(AppendError::Full {
                path: PathBuf::from("memory"),
                source: io::ErrorKind::StorageFull.into(),
            }),
            Fault::Lost => Err(broken()),
            Fault::Kept => {
                self.write(batch)?;
                self.sync();
                Err(broken())
            }
        }
    }

    fn mark(&self) -> Mark {
        self.disk().end()
    }

    fn snapshot_due(&self) -> bool {
        let disk = self.disk();
        let since = disk.snapshot.as_ref().map_or(0, |(mark, _)| mark.sequence);
        disk.offered.is_none()
            && disk.snapshot_records > 0
            && disk.end().sequence - since >= disk.snapshot_records
    }

    fn offer(&mut self, snapshot: Snapshot) {
        self.disk().offered = Some(snapshot);
    }

    fn recover(&mut self, batch: &Batch) -> Result<bool, AppendError> {
        Ok(self.disk().end().sequence >= batch.last())
    }
}

impl Reader for MemoryJournal {
    fn replay(&self, at: Option<u64>) -> Result<Replayed, ReplayError> {
        let disk = self.disk();
        let mut replay = match &disk.snapshot {
            Some((mark, bytes)) => Replay::from_snapshot(*mark, bytes, at)?,
            None => Replay::from_nothing(at),
        };
        for (first, bytes, _) in &disk.durable {
            if !replay.batch(*first, bytes)? {
                break;
            }
        }
        replay.finish(disk.end())
    }
}
