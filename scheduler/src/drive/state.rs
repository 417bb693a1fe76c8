//! The thread that owns the engine.

use super::{
    BATCH_MAX, Parcel, Progress, Shared,
    handle::{Message, Reply},
    one_at_a_time,
    outlet::{Outgoing, Outlet},
    take,
};
use dovetail_core::{
    batch::Batch,
    effect::Effect,
    engine::Engine,
    input::{Input, ReplyId},
};
use dovetail_model::{id::ClusterId, time::Now};
use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, atomic::AtomicBool, mpsc as blocking},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::sleep,
};

/// The thread turns at least this often, so that the watchdog sees it.
const TURN_MAX: Duration = Duration::from_secs(1);

pub(super) struct StateThread {
    engine: Engine,
    inbox: mpsc::Receiver<Message>,
    parcels: blocking::Sender<Parcel>,
    disk: Arc<Semaphore>,
    snapshot_due: Arc<AtomicBool>,
    progress: Arc<Progress>,
    clock: fn() -> Now,
    replies: BTreeMap<ReplyId, oneshot::Sender<Reply>>,
    asked: u64,
    outlet: Outlet,
    batch: Batch,
    /// Inputs in the batch.
    inputs: usize,
}

impl StateThread {
    pub(super) fn new(
        engine: Engine,
        inbox: mpsc::Receiver<Message>,
        parcels: blocking::Sender<Parcel>,
        outlet: Outlet,
        shared: Shared,
    ) -> Self {
        let Shared {
            snapshot_due,
            progress,
            clock,
        } = shared;
        Self {
            engine,
            inbox,
            parcels,
            disk: one_at_a_time(),
            snapshot_due,
            progress,
            clock,
            replies: BTreeMap::new(),
            asked: 0,
            outlet,
            batch: Batch::default(),
            inputs: 0,
        }
    }

    /// Works until it is told to stop, or nobody can ask any more, or the disk thread is gone.
    pub(super) async fn run(mut self, fresh: ClusterId) {
        let effects = self.engine.start(fresh, (self.clock)());
        self.park(effects);
        let mut messages = Vec::with_capacity(BATCH_MAX);
        loop {
            self.progress.state_turns();
            let (room, pause) = (BATCH_MAX - self.inputs, self.pause());
            tokio::select! {
                biased;
                permit = Arc::clone(&self.disk).acquire_owned(), if !self.batch.is_empty() => {
                    if !permit.is_ok_and(|permit| self.hand_over(permit)) {
                        return;
                    }
                    // While the disk works, and nobody waits for an answer.
                    self.engine.catch_up();
                }
                count = self.inbox.recv_many(&mut messages, room), if room > 0 => {
                    if count == 0 || !self.take_in(&mut messages) {
                        break;
                    }
                }
                () = sleep(pause) => self.tick(),
            }
        }
        if let Ok(permit) = Arc::clone(&self.disk).acquire_owned().await {
            self.hand_over(permit);
        }
    }

    /// Until the engine wants to be told that time has passed.
    fn pause(&self) -> Duration {
        let now = (self.clock)().boot_ns;
        let due = self.engine.next_deadline();
        due.map_or(TURN_MAX, |due| {
            Duration::from_nanos(due.saturating_sub(now)).min(TURN_MAX)
        })
    }

    fn tick(&mut self) {
        let now = (self.clock)();
        if self
            .engine
            .next_deadline()
            .is_some_and(|due| due <= now.boot_ns)
        {
            let effects = self.engine.handle(Input::Tick, now);
            self.park(effects);
        }
    }

    /// False: it was told to stop.
    fn take_in(&mut self, messages: &mut Vec<Message>) -> bool {
        let now = (self.clock)();
        for message in messages.drain(..) {
            let input = match message {
                Message::Input(input) => input,
                Message::Stop => return false,
                Message::Ask {
                    caller,
                    request,
                    reply,
                } => {
                    self.asked += 1;
                    self.replies.insert(ReplyId(self.asked), reply);
                    Input::Request {
                        reply: ReplyId(self.asked),
                        caller,
                        request,
                    }
                }
            };
            self.inputs += 1;
            let effects = self.engine.handle(input, now);
            self.park(effects);
        }
        // Inputs that brought nothing about, as samples do, must not fill a batch that is never
        // handed over.
        if self.batch.is_empty() {
            self.inputs = 0;
        }
        true
    }

    /// Lets out what promises nothing, and keeps the rest until its batch is durable.
    fn park(&mut self, effects: Vec<Effect>) {
        self.batch.add(effects);
        for effect in self.batch.take_at_once() {
            if let Some(outgoing) = self.outgoing(effect) {
                self.outlet.carry_out(outgoing);
            }
        }
    }

    /// An effect with its way out; nothing: nobody waits for it.
    fn outgoing(&mut self, effect: Effect) -> Option<Outgoing> {
        Some(match effect {
            Effect::Journal(_) => unreachable!("the batch keeps events apart"),
            Effect::Reply { reply, answer } => {
                Outgoing::Reply(self.replies.remove(&reply)?, Box::new(answer))
            }
            Effect::Send {
                session, grants, ..
            } => Outgoing::Send(session, grants),
            Effect::Close { session, why } => Outgoing::Close(session, why),
            Effect::Solve(problem) => Outgoing::Solve(problem),
            Effect::Alert(text) => Outgoing::Alert(text),
        })
    }

    /// Gives the batch to the disk thread. False: it is gone.
    fn hand_over(&mut self, permit: OwnedSemaphorePermit) -> bool {
        let (events, parked) = mem::take(&mut self.batch).split();
        self.inputs = 0;
        let out = parked
            .into_iter()
            .filter_map(|effect| self.outgoing(effect))
            .collect();
        let state = self.engine.state();
        let revision = state.revision().0;
        let due = !events.is_empty() && take(&self.snapshot_due);
        let parcel = Parcel {
            first: revision + 1 - events.len() as u64,
            events,
            term: state.term(),
            out,
            snapshot: due.then(|| state.clone()),
            permit,
        };
        self.parcels.send(parcel).is_ok()
    }
}
