//! Drives the engine: one thread owns it, one writes the journal, and nothing leaves before it is
//! durable.
//!
//! ```text
//! requests, reports -> queue -> state thread -> batch -> disk thread -> replies, grants, problems
//! ```
//!
//! While the disk writes one batch the state thread builds the next, on top of what is not durable
//! yet; every effect waits for its own batch and for all before it.

mod disk;
mod handle;
mod outlet;
mod progress;
mod solve;
mod state;
#[cfg(test)]
mod tests;

use crate::{
    journal::{AppendError, Journal, Snapshot},
    sessions::Sessions,
};
use disk::DiskThread;
use dovetail_core::{engine::Engine, event::Event, state::State};
use dovetail_model::{id::ClusterId, time::Now};
use outlet::{Outgoing, Outlet};
use state::StateThread;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc as blocking,
    },
    thread,
};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub use handle::{AskError, Handle};
pub use progress::Progress;
pub use solve::{Solve, Solvers};

use handle::Gate;

/// Inputs that may wait: more would only wait longer than their callers do.
const QUEUE_MAX: usize = 8192;
/// Inputs of one batch: it bounds how long one write takes and how much one crash undoes.
const BATCH_MAX: usize = 1024;
/// Free space on the journal's disk below which nothing new is accepted: what runs can still be
/// cancelled and can still end.
const RESERVE_BYTES: u64 = 16 << 20;

/// Tells the free space of the journal's disk.
pub type FreeSpace = Box<dyn Fn() -> Option<u64> + Send>;

/// What driving needs from outside.
pub struct Parts {
    /// The engine over the recovered state.
    pub engine: Engine,
    /// Where its events become durable.
    pub journal: Box<dyn Journal>,
    /// The identity of a cluster that begins with this journal.
    pub fresh: ClusterId,
    /// Where grants go.
    pub sessions: Arc<Sessions>,
    /// Who solves problems.
    pub solvers: Solvers,
    /// Free space of the journal's disk; absent: unknown.
    pub free_space: FreeSpace,
    /// The clock.
    pub clock: fn() -> Now,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}

/// A running drive.
#[derive(Debug)]
pub struct Drive {
    /// The way in.
    pub handle: Handle,
    /// How far the threads are.
    pub progress: Arc<Progress>,
    /// Resolves when driving has ended, by request or because it cannot go on.
    pub ended: oneshot::Receiver<Result<(), DriveError>>,
}

/// Why driving cannot go on. Nothing that was not durable has left.
#[derive(Debug, Error)]
pub enum DriveError {
    /// The journal does not take events any more.
    #[error(
        "failed to make events durable; stopping, so that a new start sees what the disk holds"
    )]
    Journal(#[source] AppendError),
    /// A thread cannot be started.
    #[error("failed to start a thread")]
    Thread(#[source] io::Error),
    /// The thread that owns the engine died: a defect.
    #[error("the state thread died")]
    StateThread,
}

/// A batch, and what may leave when it is durable.
#[derive(Debug)]
struct Parcel {
    events: Vec<Event>,
    /// Sequence number of the first event.
    first: u64,
    term: dovetail_model::id::Term,
    out: Vec<Outgoing>,
    /// The state after the batch, if a snapshot is due.
    snapshot: Option<State>,
    /// Dropped when the disk can take the next.
    permit: OwnedSemaphorePermit,
}

/// What the two threads share beside the parcels.
#[derive(Debug, Clone)]
struct Shared {
    /// The next batch shall bring the state along.
    snapshot_due: Arc<AtomicBool>,
    progress: Arc<Progress>,
    clock: fn() -> Now,
}

impl Drive {
    /// Starts the threads. The engine's term begins, and is durable before anything leaves.
    pub fn start(parts: Parts) -> Result<Self, DriveError> {
        let (inputs, inbox) = mpsc::channel(QUEUE_MAX);
        let gate = Arc::new(Gate::default());
        let progress = Arc::new(Progress::new(parts.clock));
        let handle = Handle::new(inputs, Arc::clone(&gate));
        let lane = |solver| solve::start(solver, handle.clone()).map_err(DriveError::Thread);
        let problems = lane(parts.solvers.awaited)?;
        let background = lane(parts.solvers.background)?;
        let (parcels, batches) = blocking::channel();
        let (end, ended) = oneshot::channel();
        let shared = Shared {
            snapshot_due: Arc::new(AtomicBool::new(parts.journal.snapshot_due())),
            progress: Arc::clone(&progress),
            clock: parts.clock,
        };
        let outlet = Outlet {
            sessions: parts.sessions,
            problems,
            background,
        };
        let state = StateThread::new(parts.engine, inbox, parcels, outlet.clone(), shared.clone());
        let disk = DiskThread {
            batches,
            journal: parts.journal,
            gate,
            outlet,
            shared,
            free_space: parts.free_space,
            snapshots: blocking::channel(),
            snapshotting: false,
        };
        // A runtime of its own, so that it ends when it is told to, and not when others end.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(DriveError::Thread)?;
        spawn("state", move || runtime.block_on(state.run(parts.fresh)))?;
        spawn("disk", move || {
            // The receiver is gone only if nobody waits for the end any more.
            end.send(disk.run()).ok();
        })?;
        Ok(Self {
            handle,
            progress,
            ended,
        })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), DriveError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(DriveError::Thread)
}

/// One batch at a time is on the disk.
fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

fn take(flag: &AtomicBool) -> bool {
    flag.swap(false, Ordering::Relaxed)
}

/// Snapshots on their way back from the thread that writes them out as bytes.
type Snapshots = (blocking::Sender<Snapshot>, blocking::Receiver<Snapshot>);
