//! What must survive this process and the kernel cannot hold: the newest desired state obeyed, and
//! ends that were not acknowledged yet. Losing it never stops a workload.

use crate::{agent::SpoolWrite, telemetry::chain};
use dovetail_model::{
    id::{ClusterId, Epoch, SliceId},
    report::ExitRecord,
};
use redb::{Database, ReadOnlyDatabase, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};
use thiserror::Error;
use tracing::warn;

const FILE: &str = "spool.redb";
const HIGHEST: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("highest");
const EXITS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("exits");
/// The one key of its table.
const HIGHEST_KEY: &str = "highest";
/// Starts that a file may cost before it is taken for damaged.
const RECOVERIES_MAX: u64 = 3;
/// Damaged files kept for a person to look at; older ones are replaced.
const KEPT_DAMAGED: u32 = 4;

/// Why there is no spool.
#[derive(Debug, Error)]
pub enum OpenSpoolError {
    /// The directory or a file in it cannot be used.
    #[error("failed to open spool `{}`: check the directory's owner and the space on its disk", path.display())]
    Unusable {
        /// The spool's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A fresh one could not be made.
    #[error("failed to make spool `{}`: check the space on its disk", path.display())]
    Create {
        /// The spool's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

/// Why something is not durable yet. It is tried again: nothing is lost meanwhile.
#[derive(Debug, Error)]
#[error("failed to write spool `{}`: check the space on its disk", path.display())]
pub struct WriteSpoolError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What an earlier process wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// The newest desired state obeyed.
    pub highest: Option<(ClusterId, Epoch)>,
    /// Ends that were not acknowledged yet.
    pub exits: BTreeMap<SliceId, ExitRecord>,
}

/// A spool that was opened.
#[derive(Debug)]
pub struct Opened {
    /// For writing.
    pub spool: Spool,
    /// What was in it.
    pub contents: Contents,
    /// It was damaged: what was done about it, for the operator.
    pub warning: Option<String>,
}

/// The open file. One thread owns it; every write is durable when it returns.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    /// None after a failed write: redb wants to be opened anew.
    database: Option<Database>,
    /// What is durable: damage that shows only when the file is written costs nothing.
    contents: Contents,
}

impl Spool {
    /// Opens the spool in this directory, or makes it. A damaged one is set aside, and what is
    /// intact in it goes into a fresh one.
    pub fn open(directory: &Path) -> Result<Opened, OpenSpoolError> {
        let path = directory.join(FILE);
        let unusable = |source| OpenSpoolError::Unusable {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(unusable)?;
        let (contents, why) = match read(&path) {
            Ok((contents, 0)) => return Ok(Self::renew(&path, contents)?.opened(None)),
            Ok((contents, damaged)) => (contents, format!("{damaged} records are damaged")),
            Err(Unread::None) => (Contents::default(), String::new()),
            Err(Unread::Environment(source)) => return Err(unusable(source)),
            Err(Unread::Unclean) => (Contents::default(), "it cannot be recovered".to_owned()),
            Err(Unread::Damaged(why)) => (Contents::default(), why),
        };
        if why.is_empty() {
            return Ok(Self::create(&path, contents)?.opened(None));
        }
        let aside = set_aside(&path).map_err(unusable)?;
        let kept = contents.exits.len();
        let warning = format!(
            "spool `{}` was damaged ({why}) and set aside as `{}`; a fresh one has {kept} of its \
             exit records; workloads are not affected",
            path.display(),
            aside.display()
        );
        Ok(Self::create(&path, contents)?.opened(Some(warning)))
    }

    /// An old file is only read: redb may panic, even twice at once, when it writes to one whose
    /// damage was not noticed. Without space for a new file the old one has to do.
    fn renew(path: &Path, contents: Contents) -> Result<Self, OpenSpoolError> {
        Self::create(path, contents.clone()).or_else(|error| {
            warn!(error = %chain(&error), "the spool is not renewed; the old file is used");
            let database = guarded(AssertUnwindSafe(|| Ok(Database::open(path)?)));
            Ok(Self {
                path: path.to_owned(),
                database: Some(database.map_err(|_| error)?),
                contents,
            })
        })
    }

    fn opened(self, warning: Option<String>) -> Opened {
        Opened {
            contents: self.contents.clone(),
            spool: self,
            warning,
        }
    }

    /// Makes all of these durable, or none.
    pub fn write(&mut self, writes: &[SpoolWrite]) -> Result<(), WriteSpoolError> {
        let mut after = self.contents.clone();
        after.apply(writes);
        match self.try_write(writes) {
            Ok(()) => {}
            Err(Unread::Environment(source)) => return Err(self.failed(source)),
            Err(Unread::None) => self.replace(&after, "it is gone")?,
            Err(Unread::Unclean) => self.replace(&after, "it cannot be recovered")?,
            Err(Unread::Damaged(why)) => self.replace(&after, &why)?,
        }
        self.contents = after;
        Ok(())
    }

    fn try_write(&mut self, writes: &[SpoolWrite]) -> Result<(), Unread> {
        let database = self.database.take();
        let database = guarded(AssertUnwindSafe(|| {
            let database = match database {
                Some(database) => database,
                None => Database::open(&self.path)?,
            };
            commit(&database, writes)?;
            Ok(database)
        }))?;
        self.database = Some(database);
        Ok(())
    }

    /// The file cannot be written any more: a fresh one takes its place.
    fn replace(&mut self, contents: &Contents, why: &str) -> Result<(), WriteSpoolError> {
        let path = self.path.display();
        warn!(%path, why, "the spool is damaged; it is set aside and written anew; nothing is lost");
        match set_aside(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(error)),
            _ => {}
        }
        let fresh = Self::create(&self.path, contents.clone());
        *self = fresh.map_err(|error| self.failed(io::Error::other(error)))?;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> WriteSpoolError {
        WriteSpoolError {
            path: self.path.clone(),
            source,
        }
    }

    /// Under a temporary name first, so that a half-made file is never taken for a spool.
    fn create(path: &Path, contents: Contents) -> Result<Self, OpenSpoolError> {
        let half_made = path.with_extension("new");
        let make = || -> Result<Database, redb::Error> {
            remove_if_there(&half_made)?;
            let database = Database::create(&half_made)?;
            commit(&database, &contents.writes())?;
            drop(database);
            fs::rename(&half_made, path)?;
            sync_directory(path)?;
            Ok(Database::open(path)?)
        };
        let database = make().map_err(|source| OpenSpoolError::Create {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self {
            path: path.to_owned(),
            database: Some(database),
            contents,
        })
    }
}

impl Contents {
    fn apply(&mut self, writes: &[SpoolWrite]) {
        for write in writes {
            match write {
                SpoolWrite::Highest(cluster, epoch) => {
                    self.highest = Some((cluster.clone(), *epoch));
                }
                SpoolWrite::Exit(slice, record) => {
                    self.exits.insert(*slice, record.clone());
                }
                SpoolWrite::DropExit(slice) => {
                    self.exits.remove(slice);
                }
            }
        }
    }

    fn writes(&self) -> Vec<SpoolWrite> {
        let highest = self.highest.clone();
        let highest = highest.map(|(cluster, epoch)| SpoolWrite::Highest(cluster, epoch));
        let exits = self.exits.iter();
        let exits = exits.map(|(slice, record)| SpoolWrite::Exit(*slice, record.clone()));
        highest.into_iter().chain(exits).collect()
    }
}

fn commit(database: &Database, writes: &[SpoolWrite]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    {
        let mut highest = transaction.open_table(HIGHEST)?;
        let mut exits = transaction.open_table(EXITS)?;
        for write in writes {
            match write {
                SpoolWrite::Highest(cluster, epoch) => {
                    highest.insert(HIGHEST_KEY, sealed(&(cluster, epoch)).as_slice())?;
                }
                SpoolWrite::Exit(slice, record) => {
                    exits.insert(slice.to_string().as_str(), sealed(record).as_slice())?;
                }
                SpoolWrite::DropExit(slice) => {
                    exits.remove(slice.to_string().as_str())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Why a file was not read or written.
enum Unread {
    /// There is none.
    None,
    /// It was not closed.
    Unclean,
    /// A person can change that: nothing is set aside.
    Environment(io::Error),
    Damaged(String),
}

impl From<redb::Error> for Unread {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if source.kind() == ErrorKind::NotFound => Self::None,
            redb::Error::Io(source) if is_environment(&source) => Self::Environment(source),
            redb::Error::RepairAborted => Self::Unclean,
            redb::Error::DatabaseAlreadyOpen => {
                Self::Environment(io::Error::new(ErrorKind::ResourceBusy, error))
            }
            other => Self::Damaged(other.to_string()),
        }
    }
}

fn is_environment(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::PermissionDenied
            | ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::IsADirectory
    )
}

/// redb checks little when it opens a file quickly, and may panic over a damaged page.
fn guarded<T>(
    attempt: AssertUnwindSafe<impl FnOnce() -> Result<T, redb::Error>>,
) -> Result<T, Unread> {
    match catch_unwind(attempt) {
        Ok(result) => Ok(result?),
        Err(_) => Err(Unread::Damaged("a page cannot be used".to_owned())),
    }
}

/// Everything intact, and how many records are not.
fn read(path: &Path) -> Result<(Contents, usize), Unread> {
    let only_read = AssertUnwindSafe(|| read_all(&ReadOnlyDatabase::open(path)?));
    match guarded(only_read) {
        Err(Unread::Unclean) => recover(path),
        read => read,
    }
}

/// The last process did not close the file, so redb has to open it for writing first. Over damage
/// it may panic while it panics, which ends the process: the attempts are counted in a file.
fn recover(path: &Path) -> Result<(Contents, usize), Unread> {
    let count = path.with_extension("attempts");
    let attempts = fs::metadata(&count).map_or(0, |file| file.len());
    if attempts >= RECOVERIES_MAX {
        remove_if_there(&count).map_err(Unread::Environment)?;
        let why = format!("{attempts} attempts to open it failed");
        return Err(Unread::Damaged(why));
    }
    let counter = OpenOptions::new().create(true).append(true).open(&count);
    let noted = counter.and_then(|mut file| file.write_all(b"."));
    noted.map_err(Unread::Environment)?;
    let read = guarded(AssertUnwindSafe(|| read_all(&Database::open(path)?)));
    remove_if_there(&count).map_err(Unread::Environment)?;
    read
}

fn read_all(database: &impl ReadableDatabase) -> Result<(Contents, usize), redb::Error> {
    let transaction = database.begin_read()?;
    let mut contents = Contents::default();
    let mut damaged = 0;
    if let Some(bytes) = transaction.open_table(HIGHEST)?.get(HIGHEST_KEY)? {
        contents.highest = unsealed(bytes.value());
        damaged += usize::from(contents.highest.is_none());
    }
    for row in transaction.open_table(EXITS)?.iter()? {
        let (key, bytes) = row?;
        match (key.value().parse(), unsealed(bytes.value())) {
            (Ok(slice), Some(record)) => {
                contents.exits.insert(slice, record);
            }
            _ => damaged += 1,
        }
    }
    Ok((contents, damaged))
}

/// A checksum, then JSON: the database alone would not notice every flipped bit.
fn sealed<T: Serialize>(value: &T) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("plain data has a JSON form");
    let mut bytes = crc32c::crc32c(&json).to_le_bytes().to_vec();
    bytes.extend(json);
    bytes
}

fn unsealed<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (checksum, json) = bytes.split_first_chunk()?;
    let intact = u32::from_le_bytes(*checksum) == crc32c::crc32c(json);
    intact.then(|| serde_json::from_slice(json).ok())?
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let names = (1..=KEPT_DAMAGED).map(|n| path.with_extension(format!("damaged-{n}")));
    let mut names: Vec<PathBuf> = names.collect();
    let free = names.iter().position(|name| !name.exists());
    let aside = names.swap_remove(free.unwrap_or(names.len() - 1));
    fs::rename(path, &aside)?;
    sync_directory(path)?;
    Ok(aside)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A renamed file is durable only with its directory.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::{epoch, exit, id, ours};
    use std::os::unix::fs::FileExt;

    fn written(directory: &Path) -> Contents {
        let mut opened = Spool::open(directory).unwrap();
        assert_eq!(
            (opened.contents, opened.warning),
            (Contents::default(), None)
        );
        let spool = &mut opened.spool;
        spool
            .write(&[
                SpoolWrite::Highest(ours(), epoch(1, 1)),
                SpoolWrite::Exit(id(1), exit(1)),
            ])
            .unwrap();
        spool
            .write(&[
                SpoolWrite::Highest(ours(), epoch(1, 2)),
                SpoolWrite::Exit(id(2), exit(2)),
                SpoolWrite::DropExit(id(1)),
            ])
            .unwrap();
        Contents {
            highest: Some((ours(), epoch(1, 2))),
            exits: BTreeMap::from([(id(2), exit(2))]),
        }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let contents = written(directory.path());
        let opened = Spool::open(directory.path()).unwrap();
        assert_eq!((opened.contents, opened.warning), (contents, None));
    }

    #[test]
    fn nothing_is_lost_when_the_file_was_not_closed() {
        let directory = tempfile::tempdir().unwrap();
        let contents = written(directory.path());
        let path = directory.path().join(FILE);
        let opened = Spool::open(directory.path()).unwrap();
        // As a kill leaves it, while it is open.
        let killed = fs::read(&path).unwrap();
        drop(opened);
        fs::write(&path, killed).unwrap();
        let opened = Spool::open(directory.path()).unwrap();
        assert_eq!((opened.contents, opened.warning), (contents, None));
    }

    #[test]
    fn a_file_that_ends_the_process_again_and_again_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let opened = Spool::open(directory.path()).unwrap();
        let killed = fs::read(&path).unwrap();
        drop(opened);
        fs::write(&path, killed).unwrap();
        fs::write(path.with_extension("attempts"), "...").unwrap();
        let warning = Spool::open(directory.path()).unwrap().warning.unwrap();
        assert!(warning.contains("3 attempts"), "{warning}");
        assert!(!path.with_extension("attempts").exists());
    }

    #[test]
    fn a_file_that_is_no_database_is_set_aside_with_a_warning() {
        let directory = tempfile::tempdir().unwrap();
        for attempt in 1..=6 {
            let path = directory.path().join(FILE);
            fs::write(&path, format!("garbage {attempt}")).unwrap();
            let opened = Spool::open(directory.path()).unwrap();
            assert_eq!(opened.contents, Contents::default());
            let warning = opened.warning.unwrap();
            assert!(warning.contains("set aside"), "{warning}");
        }
        let count = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(count, 5, "the spool and four damaged ones");
    }

    #[test]
    fn no_flipped_byte_stops_the_agent_or_invents_a_record() {
        let directory = tempfile::tempdir().unwrap();
        let contents = written(directory.path());
        let path = directory.path().join(FILE);
        let intact = fs::read(&path).unwrap();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let mut warned = 0;
        // Most of the file is empty space, where nothing can be lost.
        let used = (0..intact.len()).filter(|at| intact[*at] != 0);
        let (mut tried, mut invented, mut lost) = (0, 0, 0);
        for offset in used.step_by(41) {
            tried += 1;
            fs::write(&path, &intact).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            let flipped = intact[offset] ^ 0x55;
            file.write_all_at(&[flipped], u64::try_from(offset).unwrap())
                .unwrap();
            let mut opened = Spool::open(directory.path()).unwrap();
            warned += usize::from(opened.warning.is_some());
            let highest = &opened.contents.highest;
            invented += usize::from(highest.is_some() && *highest != contents.highest);
            let mut exits = opened.contents.exits.iter();
            invented += usize::from(!exits.all(|row| row == (&id(2), &exit(2))));
            // Damage that shows only now must not lose what is written now.
            let write = SpoolWrite::Exit(id(3), exit(3));
            opened.spool.write(&[write]).unwrap();
            drop(opened);
            let again = Spool::open(directory.path()).unwrap();
            lost += usize::from(!again.contents.exits.contains_key(&id(3)));
        }
        std::panic::set_hook(hook);
        assert_eq!((invented, lost), (0, 0), "of {tried} damaged files");
        assert!(tried > 40 && warned > 5, "{warned} of {tried} noticed");
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_an_error_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Spool::open(&file).unwrap_err().to_string();
        assert!(error.contains("spool.redb"), "{error}");
    }
}
