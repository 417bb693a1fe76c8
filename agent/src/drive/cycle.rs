//! The event loop: one input at a time, and what follows from it.

use super::{
    RunError,
    disk::Disk,
    notify::{self, Watchdog},
    set_up,
    worker::{Done, Order, Worker},
};
use crate::{
    agent::{Agent, Effect, Input},
    clock,
    config::Reserve,
    enforce::FoundSlice,
    link::{Link, LinkEvent, Outbox},
    observe::{
        Enforcement, Identity,
        gpu::{GpuMonitor, GpuReading},
        host::{Capacity, HostReader},
        inventory,
    },
    telemetry::chain,
};
use dovetail_model::{id::SliceId, node::Inventory};
use std::{collections::VecDeque, io, os::fd::OwnedFd, path::PathBuf, time::Duration};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, info, warn};

const SAMPLE: Duration = Duration::from_secs(1);
/// Samples from one report of usage to the next.
const SAMPLES_PER_USAGE: u32 = 10;
/// Effects that may wait; above it nothing new is taken from the scheduler.
const EFFECTS_MAX: usize = 4096;
/// Without an answer of the worker or the disk for this long there is no progress.
const STUCK: Duration = Duration::from_secs(60);
/// Between two looks at what is under way then.
const LOOK: Duration = Duration::from_millis(20);
/// For what is under way when the agent is told to stop.
const STOP: Duration = Duration::from_secs(5);

/// Everything the loop owns.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) agent: Agent,
    pub(super) effects: VecDeque<Effect>,
    /// A write is under way; with the slices whose records it drops.
    pub(super) writing: Option<Vec<SliceId>>,
    pub(super) disk: Disk,
    pub(super) worker: Worker,
    pub(super) outbox: Outbox,
    pub(super) readings: Vec<GpuReading>,
    pub(super) dev_root: PathBuf,
    pub(super) sources: Sources,
    pub(super) channels: Channels,
    pub(super) link: Option<Link>,
}

/// What the host says.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) identity: Identity,
    pub(super) capacity: Capacity,
    pub(super) reserve: Reserve,
    pub(super) enforcement: Enforcement,
    pub(super) host: HostReader,
    pub(super) gpus: GpuMonitor,
    /// The host could not be read, and that was said.
    pub(super) complained: bool,
}

/// What comes in, and the inventory for enrolling.
#[derive(Debug)]
pub(super) struct Channels {
    pub(super) link: mpsc::Receiver<LinkEvent>,
    pub(super) done: mpsc::Receiver<Done>,
    pub(super) written: mpsc::Receiver<()>,
    pub(super) inventory: watch::Sender<Inventory>,
}

impl Sources {
    pub(super) fn inventory(&self, readings: &[GpuReading]) -> Inventory {
        inventory(
            &self.identity,
            self.capacity,
            self.reserve,
            readings,
            &self.enforcement,
        )
    }
}

impl Cycle {
    /// Runs until the process is told to stop.
    pub(super) async fn run(mut self) -> Result<(), RunError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(set_up("SIGTERM"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(set_up("SIGINT"))?;
        let mut samples = interval(SAMPLE);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watchdog = Watchdog::new();
        let mut count = 0;
        self.observed();
        if let Some(link) = self.link.take() {
            tokio::spawn(link.run());
        }
        notify::ready("observing, enforcing, and looking for the scheduler");
        loop {
            self.carry_out();
            let deadline = self.until_deadline();
            let listening = self.effects.len() < EFFECTS_MAX;
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                done = self.channels.done.recv() => {
                    let done = done.ok_or(RunError::ThreadEnded("enforce"))?;
                    self.done(done);
                }
                written = self.channels.written.recv() => {
                    written.ok_or(RunError::ThreadEnded("spool"))?;
                    self.written();
                }
                Some(event) = self.channels.link.recv(), if listening => self.linked(event),
                _ = samples.tick() => {
                    self.observed();
                    if count % SAMPLES_PER_USAGE == 0 {
                        self.ask_usage();
                    }
                    count += 1;
                    if !self.worker.is_stuck(STUCK) {
                        watchdog.progress();
                    }
                }
                () = sleep(deadline) => self.input(Input::Tick),
            }
        }
        self.stop().await;
        Ok(())
    }

    pub(super) fn input(&mut self, input: Input) {
        self.effects.extend(self.agent.handle(input, clock::now()));
    }

    /// Rounded up to a millisecond, so that the tick does not come too early.
    fn until_deadline(&self) -> Duration {
        let Some(at) = self.agent.next_deadline() else {
            return SAMPLE;
        };
        let left = at.saturating_sub(clock::now().boot_ns);
        Duration::from_nanos(left).min(SAMPLE) + Duration::from_millis(1)
    }

    /// Reads the host, asks the GPUs, and takes their last answer.
    fn observed(&mut self) {
        self.readings = self.sources.gpus.poll().to_vec();
        self.sources.gpus.ask();
        let inventory = self.sources.inventory(&self.readings);
        self.channels.inventory.send_if_modified(|known| {
            let changed = *known != inventory;
            known.clone_from(&inventory);
            changed
        });
        self.input(Input::InventoryChanged(inventory));
        match self.sources.host.sample() {
            Ok(mut sample) => {
                self.sources.complained = false;
                let gpus = self.readings.iter();
                sample.gpus = gpus.map(|reading| reading.sample.clone()).collect();
                self.input(Input::Sampled(sample));
            }
            Err(error) if !self.sources.complained => {
                self.sources.complained = true;
                warn!(error = %chain(&error), "no measurements of the host until it can be read");
            }
            Err(_) => {}
        }
    }

    fn linked(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(cluster) => self.input(Input::LinkUp(cluster)),
            LinkEvent::Down => self.input(Input::LinkDown),
            LinkEvent::Grants(grants) => self.input(Input::Grants(grants)),
            LinkEvent::Resend => self.input(Input::Resend),
            LinkEvent::Reads(reads) => {
                for read in reads {
                    // Whoever reads asks again.
                    if self.worker.order(Order::Read(read)).is_err() {
                        warn!("too much to do to read output");
                    }
                }
            }
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Started(slice, level, watch) => {
                info!(%slice, %level, "slice started");
                self.input(Input::Started(slice, level));
                self.watch(slice, watch);
            }
            Done::StartFailed(slice, why) => {
                warn!(%slice, why, "slice not started");
                self.input(Input::StartFailed(slice, why));
            }
            Done::Ended(slice, exit) => {
                info!(%slice, cause = ?exit.cause, "slice ended");
                self.input(Input::Ended(slice, exit));
            }
            Done::Removed(slice) => self.input(Input::Removed(slice)),
            Done::RemoveBusy(slice) => self.input(Input::RemoveBusy(slice)),
            Done::Used(usage) => self.input(Input::Used(usage)),
            Done::Read(chunk) => self.outbox.put_chunk(chunk),
        }
    }

    /// Slices found alive are watched like those just started.
    pub(super) fn watch_found(&self, found: FoundSlice) {
        if let (Some(slice), Some(_), None) = (found.slice, &found.descriptor, &found.exit) {
            self.watch(slice, found.watch);
        }
    }

    /// Has the slice examined when its supervisor has ended.
    fn watch(&self, slice: SliceId, watch: Option<OwnedFd>) {
        let orders = self.worker.orders();
        tokio::spawn(async move {
            if let Some(watch) = watch
                && let Err(error) = ended(watch).await
            {
                warn!(%slice, %error, "supervisor not watched; looking at the slice now and then");
            }
            if orders.send(Order::Examine(slice)).await.is_err() {
                debug!(%slice, "the agent is ending; the next one looks at it");
            }
        });
    }

    fn ask_usage(&mut self) {
        let slices: Vec<SliceId> = self.agent.existing().collect();
        if !slices.is_empty() && self.worker.order(Order::Usage(slices)).is_err() {
            warn!("too much to do to read what slices have used");
        }
    }

    /// Finishes what is under way, so that nothing is left half-made. Workloads run on.
    async fn stop(mut self) {
        notify::stopping();
        let finished = async {
            while self.writing.is_some() || self.worker.is_busy() {
                tokio::select! {
                    Some(done) = self.channels.done.recv() => self.done(done),
                    Some(()) = self.channels.written.recv() => self.written(),
                    // Not every order is answered.
                    () = sleep(LOOK) => {}
                }
            }
        };
        if timeout(STOP, finished).await.is_err() {
            warn!("stopped while something was under way; the next start finds out how it ended");
        } else {
            self.disk.close();
        }
    }
}

/// Waits until the process of this descriptor has ended.
#[allow(
    deprecated,
    reason = "an owned descriptor keeps every promise that the unsafe successor asks for"
)]
async fn ended(watch: OwnedFd) -> io::Result<()> {
    AsyncFd::new(watch)?.readable().await.map(drop)
}
