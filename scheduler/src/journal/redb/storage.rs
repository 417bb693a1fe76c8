//! Where the redb file lies, and what became of its writes.

use redb::{BackendError, StorageBackend, backends::FileBackend};
use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Name of the file in the data directory.
const FILE: &str = "journal.redb";
/// Name of the file while it is made.
const NEW_FILE: &str = "journal.redb.new";

/// A place for a journal, which can be opened again.
pub trait Storage: Send + Sync + 'static {
    /// What redb reads and writes.
    type Backend: StorageBackend;

    /// Opens it; an empty one is made if there is none.
    fn open(&self) -> io::Result<Self::Backend>;

    /// For messages.
    fn path(&self) -> &Path;
}

/// A file in the data directory.
#[derive(Debug, Clone)]
pub struct FileStorage {
    dir: PathBuf,
    path: PathBuf,
}

impl FileStorage {
    /// The journal's file in this directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            path: dir.join(FILE),
        }
    }

    /// Makes the file complete under another name first: a crash while redb makes it would leave
    /// one that it cannot open.
    fn make(&self) -> io::Result<()> {
        let new = self.dir.join(NEW_FILE);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let database = redb::Database::create(&new).map_err(io::Error::other)?;
        super::prepare(&database).map_err(io::Error::other)?;
        drop(database);
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(&self.dir)?.sync_all()
    }
}

impl Storage for FileStorage {
    type Backend = FileBackend;

    fn open(&self) -> io::Result<FileBackend> {
        if !self.path.try_exists()? {
            self.make()?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        FileBackend::new(file).map_err(io::Error::other)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// The first write or sync that failed. redb's own errors do not tell the two apart, and they mean
/// opposite things: a write that found the disk full promised nothing and may be repeated, after a
/// failed sync nobody knows what the disk holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<Mutex<Option<Failure>>>);

#[derive(Debug, Clone, Copy)]
enum Failure {
    Full(i32),
    Other,
}

impl Fate {
    /// The disk was full, and nothing worse.
    pub(super) fn full(&self) -> Option<io::Error> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Failure::Full(code)) => Some(io::Error::from_raw_os_error(code)),
            Some(Failure::Other) | None => None,
        }
    }

    fn note(&self, failure: Failure) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *first = match (*first, failure) {
            (None | Some(Failure::Full(_)), Failure::Other) => Some(Failure::Other),
            (None, full) => Some(full),
            (known, _) => known,
        };
    }

    fn write<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let full = matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            );
            let code = error.raw_os_error().filter(|_| full);
            self.note(code.map_or(Failure::Other, Failure::Full));
        }
        result
    }
}

/// A backend whose failures are noted.
#[derive(Debug)]
pub(super) struct Watched<B> {
    inner: B,
    fate: Fate,
}

impl<B> Watched<B> {
    pub(super) fn new(inner: B, fate: Fate) -> Self {
        Self { inner, fate }
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fate.write(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner
            .sync_data()
            .inspect_err(|_| self.fate.note(Failure::Other))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fate.write(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }
}
