//! The drive: nothing leaves before it is durable, whatever the disk does.

use super::*;
use crate::journal::{
    Batch, Mark, Reader as _,
    memory::{Fault, MemoryJournal},
};
use dovetail_core::{
    effect::{Answer, Refusal},
    input::{Caller, Input, Mutation, Report, Request, SessionId, WorkloadRef},
    outcome::{Outcome, SolveFailure},
    policy::Policy,
    problem::Problem,
};
use dovetail_model::{
    id::{NodeName, Tenant, WorkloadId},
    workload::{Owner, WorkloadSpec},
};
use std::{
    sync::{Condvar, Mutex, atomic::AtomicU64},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Solves nothing.
struct Idle;

impl Solve for Idle {
    fn solve(&mut self, _: &Problem) -> Result<Outcome, SolveFailure> {
        Err(SolveFailure::Disabled)
    }
}

/// A journal whose appends wait until they are let through.
struct Slow {
    inner: MemoryJournal,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Journal for Slow {
    fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let (open, changed) = &*self.open;
        let open = open.lock().unwrap();
        drop(changed.wait_while(open, |open| !*open).unwrap());
        self.inner.append(batch)
    }
    fn mark(&self) -> Mark {
        self.inner.mark()
    }
    fn snapshot_due(&self) -> bool {
        self.inner.snapshot_due()
    }
    fn offer(&mut self, snapshot: Snapshot) {
        self.inner.offer(snapshot);
    }
    fn recover(&mut self, batch: &Batch) -> Result<bool, AppendError> {
        self.inner.recover(batch)
    }
}

fn start(journal: impl Journal + 'static, free_space: FreeSpace) -> Drive {
    Drive::start(Parts {
        engine: Engine::new(State::default(), Policy::default()),
        journal: Box::new(journal),
        fresh: ClusterId("test".into()),
        sessions: Arc::default(),
        solvers: Solvers {
            awaited: Box::new(Idle),
            background: Box::new(Idle),
        },
        free_space,
        clock: crate::clock::now,
    })
    .unwrap()
}

fn plenty() -> FreeSpace {
    Box::new(|| None)
}

fn caller() -> Caller {
    Caller {
        tenant: Tenant("uid:7".into()),
        owner: Owner {
            uid: 7,
            gid: 7,
            groups: vec![],
        },
        operator: false,
    }
}

fn mutation(id: &str) -> Mutation {
    Mutation {
        request_id: id.to_owned(),
        digest: id.to_owned(),
        validate_only: false,
        expected_revision: None,
    }
}

fn submit(name: &str) -> Request {
    Request::Submit {
        mutation: mutation(name),
        spec: Box::new(WorkloadSpec::example(name)),
        owner: caller().owner,
    }
}

async fn submitted(drive: &Drive, name: &str) -> WorkloadId {
    match drive.handle.ask(caller(), submit(name)).await {
        Ok(Ok(Answer::Workload {
            workload: Some(view),
            ..
        })) => view.workload.id,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_it_is_durable() {
    let open = Arc::new((Mutex::new(false), Condvar::new()));
    let memory = MemoryJournal::default();
    let drive = start(
        Slow {
            inner: memory.clone(),
            open: Arc::clone(&open),
        },
        plenty(),
    );
    let (handle, reading) = (drive.handle.clone(), drive.handle.clone());
    let mut writing = tokio::spawn(async move { handle.ask(caller(), submit("a")).await });
    let mut reading = tokio::spawn(async move { reading.ask(caller(), Request::Status).await });
    let early = timeout(Duration::from_millis(300), async {
        tokio::select! { _ = &mut writing => {}, _ = &mut reading => {} }
    });
    assert!(
        early.await.is_err(),
        "an answer left before the write, or a read saw what is not durable"
    );
    assert_eq!(memory.mark().sequence, 0);
    *open.0.lock().unwrap() = true;
    open.1.notify_all();
    assert!(matches!(
        writing.await.unwrap(),
        Ok(Ok(Answer::Workload { .. }))
    ));
    assert!(matches!(reading.await.unwrap(), Ok(Ok(Answer::Status(_)))));
    let state = memory.replay(None).unwrap().state;
    assert_eq!(state.workloads().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_the_scheduler_unanswered() {
    for fault in [Fault::Lost, Fault::Kept] {
        let memory = MemoryJournal::default();
        memory.plan([Fault::None, fault]);
        let drive = start(memory.clone(), plenty());
        // The first batch is the term; wait until it is out.
        assert!(matches!(
            drive.handle.ask(caller(), Request::Status).await,
            Ok(Ok(_))
        ));
        let answer = drive.handle.ask(caller(), submit("a")).await;
        assert_eq!(answer.map(drop), Err(AskError::Stopping), "{fault:?}");
        assert!(
            matches!(drive.ended.await, Ok(Err(DriveError::Journal(_)))),
            "{fault:?}"
        );
        let again = drive.handle.ask(caller(), Request::Status).await;
        assert_eq!(again.map(drop), Err(AskError::Stopping));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_keeps_everybody_waiting_and_then_goes_on() {
    let memory = MemoryJournal::default();
    memory.plan([Fault::None, Fault::Full]);
    let drive = start(memory.clone(), plenty());
    assert!(matches!(
        drive.handle.ask(caller(), Request::Status).await,
        Ok(Ok(_))
    ));
    let handle = drive.handle.clone();
    let waiting = tokio::spawn(async move { handle.ask(caller(), submit("a")).await });
    sleep(Duration::from_millis(300)).await;
    let refused = drive.handle.ask(caller(), Request::Status).await;
    assert_eq!(refused.map(drop), Err(AskError::DiskFull));
    assert!(matches!(
        waiting.await.unwrap(),
        Ok(Ok(Answer::Workload { .. }))
    ));
    submitted(&drive, "b").await;
    assert_eq!(memory.replay(None).unwrap().state.workloads().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn little_room_refuses_new_work_only() {
    let free = Arc::new(AtomicU64::new(u64::MAX));
    let seen = Arc::clone(&free);
    let drive = start(
        MemoryJournal::default(),
        Box::new(move || Some(seen.load(Ordering::Relaxed))),
    );
    let id = submitted(&drive, "a").await;
    free.store(RESERVE_BYTES - 1, Ordering::Relaxed);
    sleep(Duration::from_millis(2500)).await;
    let refused = drive.handle.ask(caller(), submit("b")).await;
    assert_eq!(refused.map(drop), Err(AskError::DiskLow));
    let cancel = Request::Cancel {
        mutation: mutation("c"),
        workload: WorkloadRef::Id(id),
    };
    assert!(matches!(
        drive.handle.ask(caller(), cancel).await,
        Ok(Ok(_))
    ));
    free.store(u64::MAX, Ordering::Relaxed);
    sleep(Duration::from_millis(2500)).await;
    submitted(&drive, "b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_makes_durable_what_was_taken() {
    let memory = MemoryJournal::default();
    let drive = start(memory.clone(), plenty());
    let asks: Vec<_> = (0..200)
        .map(|n| {
            let handle = drive.handle.clone();
            tokio::spawn(async move { handle.ask(caller(), submit(&format!("j{n}"))).await })
        })
        .collect();
    sleep(Duration::from_millis(20)).await;
    drive.handle.stop().await;
    assert!(matches!(drive.ended.await, Ok(Ok(()))));
    let state = memory.replay(None).unwrap().state;
    for ask in asks {
        if let Ok(Ok(Answer::Workload {
            workload: Some(view),
            ..
        })) = ask.await.unwrap()
        {
            assert!(
                state.workload(view.workload.id).is_some(),
                "acknowledged and lost"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_taken_beside_the_work_and_give_the_same_state() {
    let memory = MemoryJournal::new(20);
    let drive = start(memory.clone(), plenty());
    for n in 0..120 {
        submitted(&drive, &format!("j{n}")).await;
    }
    // Writing one out takes a moment; the next batches take it in.
    let mut more = 120;
    while memory.replay(None).unwrap().records == memory.mark().sequence {
        assert!(more < 1000, "no snapshot is ever taken");
        submitted(&drive, &format!("j{more}")).await;
        more += 1;
    }
    let Ok(Ok(Answer::Status(status))) = drive.handle.ask(caller(), Request::Status).await else {
        panic!("no status");
    };
    let replayed = memory.replay(None).unwrap();
    assert_eq!(replayed.state.hash(), status.hash);
    assert_eq!(replayed.state.revision(), status.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_back_and_change_nothing() {
    let memory = MemoryJournal::default();
    let drive = start(memory.clone(), plenty());
    submitted(&drive, "a").await;
    let before = memory.mark();
    let mut spec = WorkloadSpec::example("a");
    spec.priority = 3;
    let again = Request::Submit {
        mutation: mutation("other"),
        spec: Box::new(spec),
        owner: caller().owner,
    };
    let refused = drive.handle.ask(caller(), again).await;
    assert!(
        matches!(refused, Ok(Err(Refusal::NameTaken { .. }))),
        "{refused:?}"
    );
    assert_eq!(memory.mark(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_sees_progress_while_nothing_happens() {
    let drive = start(MemoryJournal::default(), plenty());
    sleep(Duration::from_secs(2)).await;
    assert!(drive.progress.is_made());
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_bring_nothing_about_do_not_fill_the_way_in() {
    let drive = start(MemoryJournal::default(), plenty());
    let report = || Input::Report {
        node: NodeName::new("n1").unwrap(),
        session: SessionId(1),
        report: Report::Usage(vec![]),
    };
    for _ in 0..3 * BATCH_MAX {
        assert!(drive.handle.feed(report()).await);
    }
    let asked = drive.handle.ask(caller(), submit("a"));
    let answer = timeout(Duration::from_secs(5), asked).await;
    assert!(matches!(answer, Ok(Ok(Ok(_)))), "{answer:?}");
}
