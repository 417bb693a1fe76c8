//! What waits to be sent: only the newest of each kind, so that a slow scheduler costs no memory
//! and gets no stale news.

use crate::agent::Report;
use dovetail_model::{
    node::{Inventory, Sample},
    report::{SliceReport, SliceUsage},
};
use dovetail_proto::{
    convert::{
        node::inventory_to_wire,
        report::{slice_report_to_wire, usage_to_wire},
    },
    sample::SampleEncoder,
    v1::{OutputChunk, SessionRequest, session_request::Message},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, mpsc};

/// Answers that wait; whoever asked for older ones asks again.
const CHUNKS_MAX: usize = 32;

/// Shared between the drive, which fills it, and the session, which empties it.
#[derive(Debug, Clone, Default)]
pub struct Outbox(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    inventory: Option<Inventory>,
    slices: Option<SliceReport>,
    usage: Option<Vec<SliceUsage>>,
    sample: Option<Sample>,
    chunks: VecDeque<OutputChunk>,
    absolute: bool,
}

impl Outbox {
    /// Puts a report in the place of an older one of its kind.
    pub fn put(&self, report: Report) {
        let mut pending = self.lock();
        match report {
            Report::Inventory(inventory) => pending.inventory = Some(inventory),
            Report::Slices(slices) => pending.slices = Some(slices),
            Report::Usage(usage) => pending.usage = Some(usage),
            Report::Sample(sample) => pending.sample = Some(sample),
        }
        drop(pending);
        self.0.filled.notify_one();
    }

    /// Adds a piece of output.
    pub fn put_chunk(&self, chunk: OutputChunk) {
        let mut pending = self.lock();
        if pending.chunks.len() >= CHUNKS_MAX {
            pending.chunks.pop_front();
        }
        pending.chunks.push_back(chunk);
        drop(pending);
        self.0.filled.notify_one();
    }

    /// The next sample refers to no earlier one.
    pub(super) fn make_sample_absolute(&self) {
        self.lock().absolute = true;
    }

    /// What was meant for an earlier session is not for the next.
    pub(super) fn clear(&self) {
        *self.lock() = Pending::default();
    }

    /// Sends what comes, for one session; returns when the session takes no more.
    pub(super) async fn pump(&self, requests: mpsc::Sender<SessionRequest>) {
        let mut samples = SampleEncoder::default();
        loop {
            while let Some(message) = self.take(&mut samples) {
                let message = Some(message);
                if requests.send(SessionRequest { message }).await.is_err() {
                    return;
                }
            }
            self.0.filled.notified().await;
        }
    }

    /// Facts before measurements; a sample is encoded only now, since one that was replaced was
    /// never sent.
    fn take(&self, samples: &mut SampleEncoder) -> Option<Message> {
        let mut pending = self.lock();
        if std::mem::take(&mut pending.absolute) {
            samples.reset();
        }
        if let Some(inventory) = pending.inventory.take() {
            return Some(Message::Inventory(inventory_to_wire(&inventory)));
        }
        if let Some(slices) = pending.slices.take() {
            return Some(Message::Slices(slice_report_to_wire(&slices)));
        }
        if let Some(usage) = pending.usage.take() {
            return Some(Message::Usage(usage_to_wire(&usage)));
        }
        if let Some(sample) = pending.sample.take() {
            return Some(Message::Sample(samples.encode(&sample)));
        }
        pending.chunks.pop_front().map(Message::Output)
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        let pending = self.0.pending.lock();
        pending.unwrap_or_else(PoisonError::into_inner)
    }
}
