//! The state file of a simulated host: fixed layout, mapped by every process that reads or writes it.
//!
//! The host's own facts never change after creation. Each GPU has a sequence lock: a writer holds
//! the file's advisory lock, makes the sequence odd, writes, and makes it even; a reader takes a copy
//! and retries when the sequence was odd or moved. All words are atomics, so a reader never tears.

mod layout;
mod mapping;
mod record;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use crate::host_file::MAX_GPUS;
pub(crate) use layout::{EVENTS, HostRecord};
pub use layout::{EventRing, GpuRecord, ProcessRecord, ProcessTable};
use mapping::{Access, Mapping};
pub use record::Text;
use record::{Record, decode, encode};

/// First word of the file; the last byte is the version of the layout.
const MAGIC: u64 = u64::from_be_bytes(*b"DVTLGPU\x01");
const HEADER_WORDS: usize = 1 + HostRecord::WORDS;
/// The sequence, then the record.
const SLOT_WORDS: usize = 1 + GpuRecord::WORDS;
/// Reads of a moving record before a writer is taken for dead in the middle of its update.
const MAX_READ_ATTEMPTS: u32 = 20_000;

/// A mapped state file.
#[derive(Debug)]
pub(crate) struct State {
    file: File,
    path: PathBuf,
    mapping: Mapping,
    host: HostRecord,
    /// Orders the threads of this process, which share one advisory lock.
    writer: Mutex<()>,
    writable: bool,
}

/// Why a state file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to create state file `{}`", path.display())]
pub struct CreateStateError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a state file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStateError {
    /// It is absent or may not be read.
    #[error("failed to open state file `{}`; is this the directory of a simulated host?", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not a state file of this version.
    #[error("`{}` is not a state file of this version; create the host again", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
    },
}

/// Why a state file could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateStateError {
    /// The file could be opened for reading only.
    #[error("state file `{}` is read-only for this user", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The advisory lock was not granted.
    #[error("failed to lock state file `{}`", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl State {
    /// Writes a new state file; it appears whole or not at all.
    pub(crate) fn create(
        path: &Path,
        host: &HostRecord,
        gpus: &[GpuRecord],
    ) -> Result<(), CreateStateError> {
        let mut words = vec![MAGIC];
        words.extend(encode(host));
        for gpu in gpus {
            words.push(0);
            words.extend(encode(gpu));
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        publish(path, &bytes).map_err(|source| CreateStateError {
            path: path.to_owned(),
            source,
        })
    }

    /// Maps a state file, for writing where permitted.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenStateError> {
        let failed = |source| OpenStateError::Open {
            path: path.to_owned(),
            source,
        };
        let (file, access) = open_file(path).map_err(failed)?;
        let words = usize::try_from(file.metadata().map_err(failed)?.len() / 8).unwrap_or(0);
        let layout = || OpenStateError::Layout {
            path: path.to_owned(),
        };
        if words < HEADER_WORDS {
            return Err(layout());
        }
        let mapping = Mapping::new(&file, words, access).map_err(failed)?;
        let host: HostRecord = decode(&load(&mapping.words()[1..HEADER_WORDS]));
        let gpus = usize::try_from(host.gpu_count).unwrap_or(usize::MAX);
        let magic = mapping.words()[0].load(Ordering::Relaxed);
        if magic != MAGIC || gpus > MAX_GPUS || words != HEADER_WORDS + gpus * SLOT_WORDS {
            return Err(layout());
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            mapping,
            host,
            writer: Mutex::new(()),
            writable: access == Access::ReadWrite,
        })
    }

    /// What never changes about the host.
    pub(crate) fn host(&self) -> &HostRecord {
        &self.host
    }

    pub(crate) fn gpu_count(&self) -> usize {
        usize::try_from(self.host.gpu_count).expect("checked against MAX_GPUS when opened")
    }

    /// A consistent copy of one GPU's record.
    pub(crate) fn read(&self, gpu: usize) -> Option<GpuRecord> {
        let (sequence, words) = self.slot(gpu)?;
        let mut copy = load(words);
        for _ in 0..MAX_READ_ATTEMPTS {
            let before = sequence.load(Ordering::Acquire);
            copy = load(words);
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && sequence.load(Ordering::Relaxed) == before {
                break;
            }
            std::thread::yield_now();
        }
        Some(decode(&copy))
    }

    /// Changes one GPU's record as a whole; `None` if there is no such GPU.
    pub(crate) fn update<T>(
        &self,
        gpu: usize,
        change: impl FnOnce(&mut GpuRecord) -> T,
    ) -> Result<Option<T>, UpdateStateError> {
        if !self.writable {
            return Err(UpdateStateError::ReadOnly {
                path: self.path.clone(),
            });
        }
        let Some((sequence, words)) = self.slot(gpu) else {
            return Ok(None);
        };
        let _thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _process = FileLock::take(&self.file).map_err(|source| UpdateStateError::Lock {
            path: self.path.clone(),
            source,
        })?;
        let mut record: GpuRecord = decode(&load(words));
        let result = change(&mut record);
        store(sequence, words, &encode(&record));
        Ok(Some(result))
    }

    fn slot(&self, gpu: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        let slots = self.mapping.words()[HEADER_WORDS..].chunks_exact(SLOT_WORDS);
        slots
            .into_iter()
            .nth(gpu)
            .and_then(<[AtomicU64]>::split_first)
    }
}

/// The advisory lock of the state file, released when dropped.
struct FileLock<'a>(&'a File);

impl<'a> FileLock<'a> {
    fn take(file: &'a File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }
}

impl Drop for FileLock<'_> {
    fn drop(&mut self) {
        // Closing the file releases the lock as well, so a failure here costs nothing lasting.
        self.0.unlock().ok();
    }
}

fn load(words: &[AtomicU64]) -> Vec<u64> {
    words
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect()
}

/// Publishes a record. The sequence becomes the next odd number even if a writer died on one.
fn store(sequence: &AtomicU64, words: &[AtomicU64], values: &[u64]) {
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    fence(Ordering::Release);
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

fn open_file(path: &Path) -> io::Result<(File, Access)> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok((file, Access::ReadWrite)),
        Err(error) if is_read_only(&error) => Ok((File::open(path)?, Access::ReadOnly)),
        Err(error) => Err(error),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn publish(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    std::fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests;
