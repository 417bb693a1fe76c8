//! The spool's own thread: a slow disk delays what depends on it, and nothing else.

use crate::{agent::SpoolWrite, spool::Spool, telemetry::chain};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::mpsc;
use tracing::{error, info};

/// Between two attempts to write.
const RETRY: Duration = Duration::from_secs(1);
/// Attempts between two complaints.
const COMPLAIN_EVERY: u32 = 60;

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Disk {
    batches: SyncSender<Vec<SpoolWrite>>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Starts the thread; each batch that is durable is said on `done`.
    pub(super) fn start(spool: Spool, done: mpsc::Sender<()>) -> io::Result<Self> {
        let (batches, received) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || run(spool, &received, &done))?;
        Ok(Self { batches, thread })
    }

    /// Closes the file well. Nothing may be under way.
    pub(super) fn close(self) {
        drop(self.batches);
        if self.thread.join().is_err() {
            error!("the spool's thread panicked; the next start looks at the file");
        }
    }

    /// Writes a batch. There is never more than one under way.
    pub(super) fn write(&self, batch: Vec<SpoolWrite>) {
        // The thread ends only when this end is dropped.
        if self.batches.try_send(batch).is_err() {
            error!("the spool's thread is gone; nothing more becomes durable");
        }
    }
}

fn run(mut spool: Spool, batches: &Receiver<Vec<SpoolWrite>>, done: &mpsc::Sender<()>) {
    while let Ok(batch) = batches.recv() {
        until_written(&mut spool, &batch);
        if done.blocking_send(()).is_err() {
            return;
        }
    }
}

/// What depends on the batch waits: nothing may leave before it is durable.
fn until_written(spool: &mut Spool, batch: &[SpoolWrite]) {
    let mut failures = 0;
    while let Err(error) = spool.write(batch) {
        if failures % COMPLAIN_EVERY == 0 {
            error!(error = %chain(&error), "workloads run on, but nothing new is obeyed or reported until this succeeds");
        }
        failures += 1;
        thread::sleep(RETRY);
    }
    if failures > 0 {
        info!(failures, "the spool is written again");
    }
}
