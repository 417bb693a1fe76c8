//! A full disk: nothing is promised, nothing is lost, and work goes on when there is room.

use super::*;
use std::process::Command;

/// A backend whose disk takes no more than so many bytes.
#[derive(Debug, Clone)]
struct SmallStorage {
    inner: FileStorage,
    room: Arc<Mutex<u64>>,
    sync_fails: Arc<Mutex<bool>>,
}

#[derive(Debug)]
struct SmallBackend {
    inner: redb::backends::FileBackend,
    room: Arc<Mutex<u64>>,
    sync_fails: Arc<Mutex<bool>>,
}

impl Storage for SmallStorage {
    type Backend = SmallBackend;
    fn open(&self) -> io::Result<SmallBackend> {
        Ok(SmallBackend {
            inner: self.inner.open()?,
            room: Arc::clone(&self.room),
            sync_fails: Arc::clone(&self.sync_fails),
        })
    }
    fn path(&self) -> &Path {
        self.inner.path()
    }
}

impl StorageBackend for SmallBackend {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        if *self.sync_fails.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset + data.len() as u64 > *self.room.lock().unwrap() {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOSPC));
        }
        self.inner.write(offset, data)
    }
}

fn small(dir: &Path) -> SmallStorage {
    SmallStorage {
        inner: FileStorage::in_dir(dir),
        room: Arc::new(Mutex::new(u64::MAX)),
        sync_fails: Arc::default(),
    }
}

/// Fills the disk; returns the batch that did not fit.
fn fill(journal: &mut impl Journal) -> Batch {
    for _ in 0..1000 {
        let next = batch(journal.mark().sequence + 1, 100);
        match journal.append(&next) {
            Ok(()) => {}
            Err(AppendError::Full { .. }) => return next,
            Err(error) => panic!("a full disk is no broken one: {error:?}"),
        }
    }
    panic!("the disk never became full");
}

#[test]
fn a_full_disk_promises_nothing_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let storage = small(dir.path());
    let (mut journal, _) = RedbJournal::open_in(storage.clone()).unwrap();
    append_all(&mut journal, &[100]);
    let length = std::fs::metadata(storage.path()).unwrap().len();
    *storage.room.lock().unwrap() = length;
    let refused = fill(&mut journal);
    let before = journal.mark();
    assert!(
        journal.recover(&refused).is_ok_and(|durable| !durable),
        "it is not there"
    );
    assert_eq!(journal.mark(), before);
    *storage.room.lock().unwrap() = u64::MAX;
    assert!(journal.recover(&refused).is_ok_and(|durable| !durable));
    journal.append(&refused).unwrap();
    let (mark, replayed) = (journal.mark(), journal.reader().replay(None).unwrap());
    assert_eq!(replayed.mark, mark);
    assert_eq!(replayed.state.workloads().len() as u64, mark.sequence);
}

#[test]
fn a_sync_that_finds_the_disk_full_is_never_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let storage = small(dir.path());
    let (mut journal, _) = RedbJournal::open_in(storage.clone()).unwrap();
    *storage.sync_fails.lock().unwrap() = true;
    let failed = journal.append(&batch(1, 1)).unwrap_err();
    assert!(matches!(failed, AppendError::Broken { .. }), "{failed:?}");
}

/// A real one: a small tmpfs. Needs root, and is skipped, saying so, without.
#[test]
fn a_real_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mount.is_ok_and(|done| done.status.success()) {
        println!("skipped: mounting a tmpfs needs root");
        return;
    }
    let ballast = dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let result = std::panic::catch_unwind(|| {
        let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
        let refused = fill(&mut journal);
        std::fs::remove_file(&ballast).unwrap();
        assert!(journal.recover(&refused).is_ok_and(|durable| !durable));
        journal.append(&refused).unwrap();
        let mark = journal.mark();
        drop(journal);
        let (_, replayed) = RedbJournal::open(dir.path()).unwrap();
        assert_eq!(replayed.mark, mark);
        assert_eq!(replayed.state.workloads().len() as u64, mark.sequence);
    });
    assert!(
        Command::new("umount")
            .arg(dir.path())
            .status()
            .unwrap()
            .success()
    );
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
