//! The thread that makes batches durable and then lets their effects out.
//!
//! A full disk stops it, and does not end it: a batch that found no room promised nothing, so it is
//! written again, into a file that was opened anew, until there is room. Any other failure ends the
//! scheduler: after a failed sync nobody knows what the disk holds, and only a new start finds out.

use super::{
    DriveError, FreeSpace, Parcel, RESERVE_BYTES, Shared, Snapshots,
    handle::{Gate, Pass},
    outlet::Outlet,
};
use crate::journal::{AppendError, Batch, Journal, Mark, Snapshot};
use dovetail_core::state::State;
use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// How often a full disk is tried again, and free space is looked at when nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct DiskThread {
    pub(super) batches: Receiver<Parcel>,
    pub(super) journal: Box<dyn Journal>,
    pub(super) gate: Arc<Gate>,
    pub(super) outlet: Outlet,
    pub(super) shared: Shared,
    pub(super) free_space: FreeSpace,
    pub(super) snapshots: Snapshots,
    /// A snapshot is being written out as bytes.
    pub(super) snapshotting: bool,
}

impl DiskThread {
    /// Works until the state thread has ended.
    pub(super) fn run(mut self) -> Result<(), DriveError> {
        loop {
            // One system call a write: a burst must meet "nothing new" before "nothing".
            self.look();
            match self.batches.recv_timeout(LOOK_EVERY) {
                Ok(parcel) => {
                    self.shared.progress.disk_begins();
                    self.deliver(parcel).map_err(|error| {
                        self.gate.set(Pass::Closed);
                        DriveError::Journal(error)
                    })?;
                    self.shared.progress.disk_rests();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if self.gate.get() == Pass::Closed => {
                    return Ok(());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(DriveError::StateThread),
            }
        }
    }

    fn deliver(&mut self, parcel: Parcel) -> Result<(), AppendError> {
        if !parcel.events.is_empty() {
            let batch = Batch {
                term: parcel.term,
                first: parcel.first,
                events: parcel.events,
            };
            self.make_durable(&batch)?;
            self.snapshot(parcel.snapshot);
        }
        drop(parcel.permit);
        for outgoing in parcel.out {
            self.outlet.carry_out(outgoing);
        }
        Ok(())
    }

    fn make_durable(&mut self, batch: &Batch) -> Result<(), AppendError> {
        let mut result = self.journal.append(batch);
        while let Err(AppendError::Full { .. }) = result {
            match self.gate.get() {
                Pass::Closed => return result,
                Pass::Nothing => {}
                pass @ (Pass::Everything | Pass::NothingNew) => {
                    tracing::error!(
                        "the disk of `data_dir` is full: nothing is accepted until there is room"
                    );
                    self.gate.change(pass, Pass::Nothing);
                }
            }
            thread::sleep(LOOK_EVERY);
            self.shared.progress.disk_begins();
            result = match self.journal.recover(batch) {
                Ok(true) => Ok(()),
                Ok(false) => self.journal.append(batch),
                Err(error) => Err(error),
            };
        }
        if result.is_ok() && self.gate.get() == Pass::Nothing {
            tracing::info!("the disk of `data_dir` has room again");
            self.gate.change(Pass::Nothing, Pass::NothingNew);
        }
        result
    }

    /// Lets nothing new in while there is little room: what runs must still be able to end.
    fn look(&self) {
        let low = (self.free_space)().is_some_and(|free| free < RESERVE_BYTES);
        match (self.gate.get(), low) {
            (Pass::Everything, true) => {
                tracing::error!(
                    reserve_bytes = RESERVE_BYTES,
                    "the disk of `data_dir` is nearly full: new work is refused until there is room"
                );
                self.gate.change(Pass::Everything, Pass::NothingNew);
            }
            (Pass::NothingNew, false) => {
                tracing::info!("new work is accepted again");
                self.gate.change(Pass::NothingNew, Pass::Everything);
            }
            _ => {}
        }
    }

    /// Has a snapshot written out as bytes beside the appends, and gives finished ones to the
    /// journal.
    fn snapshot(&mut self, state: Option<State>) {
        if let Some(state) = state {
            let (mark, finished) = (self.journal.mark(), self.snapshots.0.clone());
            let write = move || {
                let bytes = state.to_bytes();
                // The receiver is gone only if the scheduler stops.
                finished.send(Snapshot { mark, bytes }).ok();
            };
            match thread::Builder::new()
                .name("snapshot".to_owned())
                .spawn(write)
            {
                Ok(_) => self.snapshotting = true,
                Err(error) => tracing::warn!(%error, "failed to start the snapshot; trying later"),
            }
            return;
        }
        match self.snapshots.1.try_recv() {
            Ok(snapshot) => {
                let Mark { sequence, .. } = snapshot.mark;
                tracing::info!(sequence, bytes = snapshot.bytes.len(), "snapshot taken");
                self.snapshotting = false;
                self.journal.offer(snapshot);
            }
            Err(_) if !self.snapshotting && self.journal.snapshot_due() => {
                self.shared.snapshot_due.store(true, Ordering::Relaxed);
            }
            Err(_) => {}
        }
    }
}
