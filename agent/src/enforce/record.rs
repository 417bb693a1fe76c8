//! A slice's own directory below the run directory: the supervisor's lock, the exit record, the
//! output.
//!
//! The lock is held by the supervisor from before it exists until it ends, however it ends: the
//! agent takes it, and hands it over as the supervisor's standard output. No pid is guessed.

use super::{
    process::{Process, boot_id},
    tree::Usage,
};
use dovetail_model::report::ExitRecord;
use nix::fcntl::{FcntlArg, fcntl};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};
use thiserror::Error;

const LOCK: &str = "supervisor";
const EXIT: &str = "exit.json";
const EXIT_RESERVED: &str = "exit.json.new";
const DESCRIPTOR: &str = "descriptor.json";
const LOG: &str = "supervisor.log";

/// Space kept for an exit record, so that a disk that fills up later cannot lose it: four kibibytes
/// of output at six bytes per escaped byte, and the rest of the record.
const EXIT_RESERVED_BYTES: u64 = 32 << 10;
/// Longest record read.
const RECORD_MAX_BYTES: u64 = 1 << 20;

/// Why a slice's own directory could not be used.
#[derive(Debug, Error)]
#[error("failed to {action} `{}`", path.display())]
pub struct RecordError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Who supervises a slice, as it says itself in its lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) boot_id: String,
    pub(crate) supervisor: Process,
    /// The slice's first process: leader of its session.
    pub(crate) child: Option<Process>,
}

/// How a slice ended and what it had used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    pub(crate) record: ExitRecord,
    pub(crate) usage: Usage,
    pub(crate) elapsed_ns: u64,
}

/// A slice's own directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordDirectory(PathBuf);

impl RecordDirectory {
    pub(crate) fn new(run_dir: &Path, slice: &str) -> Self {
        Self(run_dir.join(slice))
    }

    /// Makes the directory, for the agent's eyes only.
    pub(crate) fn make(&self) -> Result<(), RecordError> {
        let made = DirBuilder::new().mode(0o700).create(&self.0);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(|error| self.failed("make", "", error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Takes the lock; nothing if a supervisor has it.
    pub(crate) fn lock(&self) -> Result<Option<File>, RecordError> {
        let failed = |error| self.failed("lock", LOCK, error);
        let file = self.create(LOCK).map_err(failed)?;
        match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&whole_file())) {
            Ok(_) => {
                file.set_len(0).map_err(failed)?;
                Ok(Some(file))
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Whether a supervisor, or an agent about to start one, has the lock.
    pub(crate) fn is_locked(&self) -> Result<bool, RecordError> {
        let failed = |error| self.failed("examine", LOCK, error);
        let file = match File::open(self.0.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(failed)?,
        };
        let mut lock = whole_file();
        fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut lock)).map_err(|e| failed(e.into()))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Who has the lock, if it has said so.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, RecordError> {
        self.read(LOCK)
    }

    /// Makes room for the exit record.
    pub(crate) fn reserve_exit(&self) -> Result<(), RecordError> {
        let failed = |error| self.failed("reserve", EXIT_RESERVED, error);
        let file = self.create(EXIT_RESERVED).map_err(failed)?;
        rustix::fs::fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            0,
            EXIT_RESERVED_BYTES,
        )
        .map_err(|errno| failed(errno.into()))
    }

    /// Writes the exit record into the room kept for it, and makes it durable.
    pub(crate) fn write_exit(&self, ending: &Ending) -> Result<(), RecordError> {
        let json = serde_json::to_vec(ending).expect("plain data with text keys has a JSON form");
        let failed = |error| self.failed("write", EXIT_RESERVED, error);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.0.join(EXIT_RESERVED))
            .map_err(failed)?;
        file.write_all(&json).map_err(failed)?;
        file.set_len(json.len() as u64).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.publish(EXIT_RESERVED, EXIT)
    }

    /// The exit record, if the slice has ended.
    pub(crate) fn ending(&self) -> Result<Option<Ending>, RecordError> {
        self.read(EXIT)
    }

    /// Keeps a descriptor where there is no cgroup to carry it.
    pub(crate) fn write_descriptor(&self, json: &[u8]) -> Result<(), RecordError> {
        const NEW: &str = "descriptor.json.new";
        let failed = |error| self.failed("write", NEW, error);
        let mut file = self.create(NEW).map_err(failed)?;
        file.set_len(0).map_err(failed)?;
        file.write_all(json).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.publish(NEW, DESCRIPTOR)
    }

    /// A descriptor kept here.
    pub(crate) fn descriptor<T: DeserializeOwned>(&self) -> Result<Option<T>, RecordError> {
        self.read(DESCRIPTOR)
    }

    /// Forgets the descriptor: the slice is gone.
    pub(crate) fn remove_descriptor(&self) -> Result<(), RecordError> {
        match fs::remove_file(self.0.join(DESCRIPTOR)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| self.failed("remove", DESCRIPTOR, error)),
        }
    }

    /// The file for what the supervisor itself has to say.
    pub(crate) fn log(&self) -> Result<File, RecordError> {
        let open = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.0.join(LOG));
        open.map_err(|error| self.failed("open", LOG, error))
    }

    /// What the supervisor said last, for an error's text.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read(self.0.join(LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines()
            .last()
            .unwrap_or("it said nothing")
            .chars()
            .take(512)
            .collect()
    }

    /// Removes everything.
    pub(crate) fn remove(&self) -> Result<(), RecordError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|error| self.failed("remove", "", error)),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        options.open(self.0.join(name))
    }

    fn publish(&self, from: &str, to: &str) -> Result<(), RecordError> {
        let done = fs::rename(self.0.join(from), self.0.join(to))
            .and_then(|()| File::open(&self.0)?.sync_all());
        done.map_err(|error| self.failed("publish", to, error))
    }

    /// Reads a record; one that is not whole is none.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RecordError> {
        let failed = |error| self.failed("read", name, error);
        let path = self.0.join(name);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > RECORD_MAX_BYTES => return Ok(None),
            Ok(_) => {}
        }
        let json = fs::read(&path).map_err(failed)?;
        Ok(serde_json::from_slice(&json).ok())
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> RecordError {
        RecordError {
            action,
            path: self.0.join(name),
            source,
        }
    }
}

impl Identity {
    /// The calling process as a supervisor.
    pub(crate) fn current() -> io::Result<Self> {
        Ok(Self {
            boot_id: boot_id()?,
            supervisor: Process::current()?,
            child: None,
        })
    }

    /// Writes itself into the lock.
    pub(crate) fn write(&self, lock: &mut File) -> io::Result<()> {
        let json = serde_json::to_vec(self).map_err(io::Error::other)?;
        // One write over what was there: a reader sees the old or the new, which is never shorter.
        lock.seek(SeekFrom::Start(0))?;
        lock.write_all_at(&json, 0)
    }
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).expect("lock types are small numbers"),
        l_whence: i16::try_from(libc::SEEK_SET).expect("seek origins are small numbers"),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::{report::ExitCause, time::WallNs};

    fn directory() -> (tempfile::TempDir, RecordDirectory) {
        let run = tempfile::tempdir().unwrap();
        let record = RecordDirectory::new(run.path(), "w1-1-0");
        record.make().unwrap();
        (run, record)
    }

    fn ending(tail: &str) -> Ending {
        let record = ExitRecord {
            cause: ExitCause::Exit(3),
            started_at: None,
            ended_at: WallNs(1),
            output_tail: tail.to_owned(),
        };
        Ending {
            record,
            usage: Usage::default(),
            elapsed_ns: 5,
        }
    }

    #[test]
    fn a_lock_is_held_until_its_last_holder_is_gone() {
        let (_run, record) = directory();
        assert!(!record.is_locked().unwrap());
        let lock = record.lock().unwrap().unwrap();
        let handed_over = lock.try_clone().unwrap();
        drop(lock);
        assert!(record.is_locked().unwrap());
        assert!(record.lock().unwrap().is_none());
        drop(handed_over);
        assert!(!record.is_locked().unwrap());
    }

    #[test]
    fn an_exit_record_survives_whole_in_the_room_kept_for_it() {
        let (_run, record) = directory();
        record.reserve_exit().unwrap();
        assert_eq!(record.ending().unwrap(), None);
        // The worst tail there can be.
        let worst = ending(&"\u{1}".repeat(4096));
        let json = serde_json::to_vec(&worst).unwrap();
        assert!((json.len() as u64) < EXIT_RESERVED_BYTES);
        record.write_exit(&worst).unwrap();
        assert_eq!(record.ending().unwrap(), Some(worst));
    }

    #[test]
    fn a_torn_record_is_no_record() {
        let (_run, record) = directory();
        fs::write(record.path().join(EXIT), "{\"record\":").unwrap();
        assert_eq!(record.ending().unwrap(), None);
        fs::write(record.path().join(LOCK), "").unwrap();
        assert_eq!(record.identity().unwrap(), None);
    }
}
