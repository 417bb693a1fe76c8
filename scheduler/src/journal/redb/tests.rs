//! The journal on disk: replay, snapshots, damage and disks that lie.

use super::*;
use crate::journal::{Chain, Reader as _};
use dovetail_core::event::{Event, RequestKey};
use dovetail_model::{
    id::{ClusterId, Tenant, Term},
    time::WallNs,
    workload::{Owner, WorkloadSpec},
};
use redb::StorageBackend;
use std::{io, os::unix::fs::FileExt as _, path::PathBuf, sync::Mutex};

mod crash;
mod full;

/// Submissions of workloads named after their sequence number.
fn batch(first: u64, count: u64) -> Batch {
    let events = (first..first + count).map(|sequence| {
        let name = format!("job-{sequence}");
        Event::Submitted {
            tenant: Tenant("uid:1000".into()),
            owner: Owner {
                uid: 1000,
                gid: 1000,
                groups: vec![],
            },
            spec: WorkloadSpec::example(&name).into(),
            request: RequestKey {
                tenant: Tenant("uid:1000".into()),
                id: name,
                digest: "d".to_owned(),
                at: WallNs(sequence),
            },
        }
    });
    Batch {
        term: Term(1),
        first,
        events: events.collect(),
    }
}

fn append_all(journal: &mut impl Journal, sizes: &[u64]) {
    for size in sizes {
        let first = journal.mark().sequence + 1;
        journal.append(&batch(first, *size)).unwrap();
    }
}

fn snapshot(journal: &RedbJournal) -> Snapshot {
    let replayed = journal.reader().replay(None).unwrap();
    Snapshot {
        mark: replayed.mark,
        bytes: replayed.state.to_bytes(),
    }
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, empty) = RedbJournal::open(dir.path()).unwrap();
    assert_eq!((empty.mark, empty.records), (Mark::default(), 0));
    append_all(&mut journal, &[1, 3, 7]);
    let (mark, live) = (journal.mark(), journal.reader().replay(None).unwrap());
    drop(journal);
    let (_, replayed) = RedbJournal::open(dir.path()).unwrap();
    assert_eq!((replayed.mark, replayed.records), (mark, 11));
    assert_eq!(replayed.state.hash(), live.state.hash());
    assert_eq!(replayed.state.workloads().len(), 11);
}

#[test]
fn a_batch_that_does_not_follow_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[2]);
    for first in [1, 2, 4] {
        let refused = journal.append(&batch(first, 1)).unwrap_err();
        assert!(
            matches!(refused, AppendError::Sequence { expected: 3, .. }),
            "{refused}"
        );
    }
}

#[test]
fn two_writers_never_share_a_journal() {
    let dir = tempfile::tempdir().unwrap();
    let first = RedbJournal::open(dir.path()).unwrap();
    assert!(matches!(
        RedbJournal::open(dir.path()),
        Err(ReplayError::Read { .. })
    ));
    drop(first);
    RedbJournal::open(dir.path()).unwrap();
}

#[test]
fn a_snapshot_replaces_the_batches_before_it_and_the_state_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[900, 900]);
    let taken = snapshot(&journal);
    assert!(
        taken.bytes.len() > CHUNK_BYTES,
        "the snapshot has several chunks"
    );
    journal.offer(taken.clone());
    append_all(&mut journal, &[1; 8]);
    let live = journal.reader().replay(None).unwrap();
    assert_eq!(live.records, 8, "only what follows the snapshot is read");
    let older = journal.reader().replay(Some(taken.mark.sequence - 1));
    assert!(
        matches!(older, Err(ReplayError::Dropped { .. })),
        "the batches before are gone"
    );
    drop(journal);
    let (mut journal, replayed) = RedbJournal::open(dir.path()).unwrap();
    assert_eq!(replayed, live);
    let newer = snapshot(&journal);
    journal.offer(newer);
    append_all(&mut journal, &[1; 8]);
    assert!(!journal.litter, "what the newer snapshot replaced is swept");
    assert_eq!(
        journal
            .reader()
            .replay(None)
            .unwrap()
            .state
            .workloads()
            .len(),
        1816
    );
}

#[test]
fn the_state_of_an_older_revision_can_be_read_beside_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[3, 3]);
    let older = journal.reader().replay(Some(4)).unwrap();
    assert_eq!((older.mark.sequence, older.state.workloads().len()), (4, 4));
}

#[test]
fn a_snapshot_is_due_after_many_records() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[1]);
    assert!(!journal.snapshot_due());
    journal.since_snapshot.0 = SNAPSHOT_RECORDS;
    assert!(journal.snapshot_due());
    let taken = snapshot(&journal);
    journal.offer(taken);
    assert!(!journal.snapshot_due(), "one is on its way");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Whatever is appended, in batches of any size, with snapshots in between and the file closed
    /// and opened at any time: replaying gives the state that applying the events gives.
    #[test]
    fn replaying_gives_the_same_state(steps in proptest::collection::vec((1..40_u64, 0..4_u8), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, replayed) = RedbJournal::open(dir.path()).unwrap();
        let mut state = replayed.state;
        for (size, then) in steps {
            let next = batch(journal.mark().sequence + 1, size);
            next.events.iter().for_each(|event| state.apply(event).unwrap());
            journal.append(&next).unwrap();
            match then {
                0 => {
                    let taken = snapshot(&journal);
                    journal.offer(taken);
                }
                1 => {
                    drop(journal);
                    let (again, replayed) = RedbJournal::open(dir.path()).unwrap();
                    proptest::prop_assert_eq!(replayed.state.hash(), state.hash());
                    journal = again;
                }
                _ => {}
            }
        }
        proptest::prop_assert_eq!(journal.reader().replay(None).unwrap().state.hash(), state.hash());
    }
}

#[test]
fn a_half_made_file_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal.redb.new"), b"half").unwrap();
    RedbJournal::open(dir.path()).unwrap();
    assert!(!dir.path().join("journal.redb.new").exists());
}

/// A file that is not what was written: what it returns is right, or it is refused.
fn opens_right_or_not_at_all(dir: &Path, expected: &Replayed) -> bool {
    match RedbJournal::open(dir) {
        Ok((_, replayed)) => {
            assert_eq!(replayed, *expected, "damage went unnoticed");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn a_flipped_byte_is_detected_or_provably_unused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[1, 2, 3]);
    let expected = journal.reader().replay(None).unwrap();
    drop(journal);
    let path = dir.path().join("journal.redb");
    let original = std::fs::read(&path).unwrap();
    let used: Vec<usize> = (0..original.len())
        .filter(|at| original[*at] != 0)
        .collect();
    let samples: usize = std::env::var("DOVETAIL_FLIPS").map_or(150, |n| n.parse().unwrap());
    let mut detected = 0;
    for at in used.iter().step_by((used.len() / samples).max(1)) {
        std::fs::write(&path, &original).unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[original[*at] ^ 0x10], *at as u64)
            .unwrap();
        detected += usize::from(!opens_right_or_not_at_all(dir.path(), &expected));
    }
    assert!(detected > 0, "some bytes are in use");
}

#[test]
fn a_lost_batch_and_a_lost_tail_name_the_sequence() {
    for lost in [2, 4] {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
        append_all(&mut journal, &[1, 2, 3]);
        let database = journal.database().unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(BATCHES).unwrap().remove(lost).unwrap();
        write.commit().unwrap();
        drop((database, journal));
        let Err(ReplayError::Damaged { sequence, .. }) = RedbJournal::open(dir.path()) else {
            panic!("the loss went unnoticed");
        };
        assert_eq!(sequence, lost);
    }
}

#[test]
fn a_damaged_record_is_named_even_if_redb_does_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = RedbJournal::open(dir.path()).unwrap();
    append_all(&mut journal, &[1, 2, 3]);
    let database = journal.database().unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(BATCHES).unwrap();
        let mut bytes = table.get(2).unwrap().unwrap().value().to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        table.insert(2, bytes.as_slice()).unwrap();
    }
    write.commit().unwrap();
    drop((database, journal));
    let Err(ReplayError::Damaged { sequence, .. }) = RedbJournal::open(dir.path()) else {
        panic!("the damage went unnoticed");
    };
    assert_eq!(sequence, 3, "the second record of the second batch");
}

#[test]
fn a_form_of_another_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = RedbJournal::open(dir.path()).unwrap();
    let database = journal.database().unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(META)
        .unwrap()
        .insert(FORM, "dovetail-journal/99")
        .unwrap();
    write.commit().unwrap();
    drop((database, journal));
    let Err(refused) = RedbJournal::open(dir.path()) else {
        panic!("an unknown form was read");
    };
    assert!(matches!(refused, ReplayError::Form { .. }), "{refused}");
}

#[test]
fn the_hash_chain_begins_empty() {
    assert_eq!(Mark::default().chain, Chain::EMPTY);
    let note = Mark::default().to_text();
    assert_eq!(Mark::from_text(&note), Some(Mark::default()));
    let made = ClusterId("x".into());
    assert_ne!(
        record::encode(
            &Batch {
                term: Term(0),
                first: 1,
                events: vec![Event::ClusterMade { cluster: made }]
            },
            Chain::EMPTY
        )
        .1,
        Chain::EMPTY
    );
}
