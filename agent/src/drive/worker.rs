//! The thread that touches the kernel for slices: one order after the other, so that a slow one
//! delays the next order and not the heartbeat.

use super::retention::Retention;
use crate::{
    agent::Found,
    enforce::{DeviceNode, Enforcer, FoundSlice, ReadFrom, Removal, StartError, Stream},
    telemetry::chain,
};
use dovetail_model::{
    grant::Grant,
    id::{ClusterId, Epoch, SliceId},
    report::{ExitCause, ExitRecord, SliceUsage},
    resources::Level,
};
use dovetail_proto::v1::{OutputChunk, OutputStream, ReadOutput};
use std::{
    collections::BTreeSet,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

/// Orders that may wait: several for each slice.
const ORDERS_MAX: usize = 4096;
/// Longest piece of output, as the contract says.
const READ_MAX_BYTES: u64 = 64 << 10;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Start {
        grant: Box<Grant>,
        cluster: ClusterId,
        epoch: Epoch,
        devices: Vec<PathBuf>,
    },
    Stop(SliceId, i32),
    Kill(SliceId),
    Remove(SliceId),
    /// Its supervisor has ended: how did it end?
    Examine(SliceId),
    Usage(Vec<SliceId>),
    Read(ReadOutput),
    /// The scheduler has its end: the output may go when it is old.
    Forget(SliceId),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Done {
    /// It runs; the descriptor becomes readable when its supervisor ends.
    Started(SliceId, Level, Option<OwnedFd>),
    StartFailed(SliceId, String),
    Ended(SliceId, ExitRecord),
    Removed(SliceId),
    RemoveBusy(SliceId),
    Used(Vec<SliceUsage>),
    Read(OutputChunk),
}

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Worker {
    orders: mpsc::Sender<Order>,
    /// Since when the thread has been at its present order.
    busy: Arc<Mutex<Option<Instant>>>,
}

/// The queue is full: try again later.
#[derive(Debug)]
pub(super) struct Full;

impl Worker {
    pub(super) fn start(enforcer: Enforcer, done: mpsc::Sender<Done>) -> io::Result<Self> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let busy = Arc::default();
        let hand = Hand {
            enforcer,
            done,
            unwatched: BTreeSet::new(),
            retention: Retention::default(),
        };
        let shared = Arc::clone(&busy);
        thread::Builder::new()
            .name("enforce".to_owned())
            .spawn(move || hand.run(received, &shared))?;
        Ok(Self { orders, busy })
    }

    pub(super) fn order(&self, order: Order) -> Result<(), Full> {
        self.orders.try_send(order).map_err(|_| Full)
    }

    /// For tasks that may wait for room.
    pub(super) fn orders(&self) -> mpsc::Sender<Order> {
        self.orders.clone()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy_since().is_some() || self.orders.capacity() < ORDERS_MAX
    }

    pub(super) fn is_stuck(&self, limit: Duration) -> bool {
        self.busy_since().is_some_and(|at| at.elapsed() > limit)
    }

    fn busy_since(&self) -> Option<Instant> {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread owns.
struct Hand {
    enforcer: Enforcer,
    done: mpsc::Sender<Done>,
    /// Slices whose supervisor was killed: nobody says when they end.
    unwatched: BTreeSet<SliceId>,
    retention: Retention,
}

impl Hand {
    fn run(mut self, mut orders: mpsc::Receiver<Order>, busy: &Mutex<Option<Instant>>) {
        let set = |at| *busy.lock().unwrap_or_else(PoisonError::into_inner) = at;
        while let Some(order) = orders.blocking_recv() {
            set(Some(Instant::now()));
            for done in self.carry_out(order) {
                if self.done.blocking_send(done).is_err() {
                    return;
                }
            }
            set(None);
        }
    }

    fn carry_out(&mut self, order: Order) -> Vec<Done> {
        match order {
            Order::Start {
                grant,
                cluster,
                epoch,
                devices,
            } => vec![self.start(&grant, &cluster, epoch, &devices)],
            Order::Stop(slice, signal) => {
                complain(slice, "stopped", self.enforcer.stop(slice, signal));
                Vec::new()
            }
            Order::Kill(slice) => {
                complain(slice, "killed", self.enforcer.kill(slice));
                Vec::new()
            }
            Order::Remove(slice) => vec![self.remove(slice)],
            Order::Examine(slice) => self.examine(slice),
            Order::Usage(slices) => self.usage(&slices),
            Order::Read(read) => vec![Done::Read(self.read(&read))],
            Order::Forget(slice) => {
                for old in self.retention.add(slice) {
                    complain(old, "forgotten", self.enforcer.forget(old));
                }
                Vec::new()
            }
        }
    }

    fn start(
        &mut self,
        grant: &Grant,
        cluster: &ClusterId,
        epoch: Epoch,
        devices: &[PathBuf],
    ) -> Done {
        let slice = grant.placement.slice;
        // Without a fence nothing depends on the nodes, and a simulated host may have none.
        let fenced = self
            .enforcer
            .capabilities()
            .enforces
            .iter()
            .any(|limit| limit == "devices");
        let devices = if fenced { devices } else { &[] };
        let nodes: io::Result<Vec<DeviceNode>> =
            devices.iter().map(|path| DeviceNode::read(path)).collect();
        let nodes = match nodes {
            Ok(nodes) => nodes,
            Err(error) => {
                let why = format!("failed to read the device nodes {devices:?}: {error}");
                return Done::StartFailed(slice, why);
            }
        };
        match self.enforcer.start(grant, cluster, epoch, &nodes) {
            Ok(started) => Done::Started(slice, started.level, started.watch),
            Err(StartError::AlreadyEnded(_)) => match self.enforcer.exit(slice) {
                Ok(Some(record)) => Done::Ended(slice, record),
                Ok(None) => Done::StartFailed(slice, "its exit record is gone".to_owned()),
                Err(error) => Done::StartFailed(slice, chain(&error)),
            },
            Err(error) => Done::StartFailed(slice, chain(&error)),
        }
    }

    fn remove(&mut self, slice: SliceId) -> Done {
        self.unwatched.remove(&slice);
        match self.enforcer.remove(slice) {
            Ok(Removal::Removed) => Done::Removed(slice),
            Ok(Removal::Busy(why)) => {
                debug!(%slice, why, "not removed yet");
                Done::RemoveBusy(slice)
            }
            Err(error) => {
                warn!(%slice, error = %chain(&error), "not removed; trying again");
                Done::RemoveBusy(slice)
            }
        }
    }

    /// Its supervisor is gone: with a record, or killed.
    fn examine(&mut self, slice: SliceId) -> Vec<Done> {
        match self.enforcer.exit(slice) {
            Ok(Some(record)) => return vec![Done::Ended(slice, record)],
            Ok(None) => {}
            Err(error) => warn!(%slice, error = %chain(&error), "exit record not read"),
        }
        warn!(%slice, "its supervisor ended without a record; watching its processes instead");
        self.unwatched.insert(slice);
        self.look_at_unwatched()
    }

    /// Ends of slices that nobody supervises, by their processes being gone.
    fn look_at_unwatched(&mut self) -> Vec<Done> {
        if self.unwatched.is_empty() {
            return Vec::new();
        }
        let found = match self.enforcer.scan() {
            Ok(found) => found,
            Err(error) => {
                warn!(error = %chain(&error), "slices without a supervisor not looked at");
                return Vec::new();
            }
        };
        let lives = |slice: &SliceId| {
            let same = |found: &&FoundSlice| found.slice == Some(*slice);
            let lives = |found: &FoundSlice| found.has_processes && found.exit.is_none();
            found.iter().find(same).is_some_and(lives)
        };
        let ended: Vec<SliceId> = self
            .unwatched
            .iter()
            .filter(|s| !lives(s))
            .copied()
            .collect();
        let end = |slice: SliceId| {
            self.unwatched.remove(&slice);
            let record = self.enforcer.exit(slice).ok().flatten();
            Done::Ended(slice, record.unwrap_or_else(unknown_end))
        };
        ended.into_iter().map(end).collect()
    }

    fn usage(&mut self, slices: &[SliceId]) -> Vec<Done> {
        let usage = |slice: &SliceId| {
            let usage = self.enforcer.usage(*slice);
            // It may be starting, or have just left.
            usage
                .inspect_err(|error| debug!(%slice, error = %chain(error), "usage not read"))
                .ok()
        };
        let used: Vec<SliceUsage> = slices.iter().filter_map(usage).collect();
        let mut done = self.look_at_unwatched();
        done.push(Done::Used(used));
        done
    }

    fn read(&self, read: &ReadOutput) -> OutputChunk {
        let chunk = OutputChunk {
            read_id: read.read_id,
            ..OutputChunk::default()
        };
        match self.piece(read) {
            Ok((offset, data, ended)) => OutputChunk {
                data,
                offset,
                ended,
                ..chunk
            },
            Err(error) => OutputChunk { error, ..chunk },
        }
    }

    fn piece(&self, read: &ReadOutput) -> Result<(u64, Vec<u8>, bool), String> {
        let slice: SliceId = read
            .slice_id
            .parse()
            .map_err(|error| format!("slice_id: {error}"))?;
        let stream = match read.stream() {
            OutputStream::Stderr => Stream::Stderr,
            OutputStream::Stdout | OutputStream::Unspecified => Stream::Stdout,
        };
        let place = if read.from_end {
            ReadFrom::End(read.offset)
        } else {
            ReadFrom::Start(read.offset)
        };
        // Asked first: what is written between the two questions is still read.
        let over = self.enforcer.exit(slice).map_err(|error| chain(&error))?;
        let most = u64::from(read.max_bytes).clamp(1, READ_MAX_BYTES);
        let chunk = self
            .enforcer
            .read_output(slice, stream, place, most)
            .map_err(|error| chain(&error))?;
        let read_to = chunk.offset + u64::try_from(chunk.bytes.len()).unwrap_or(u64::MAX);
        let ended = over.is_some() && read_to >= chunk.end;
        Ok((chunk.offset, chunk.bytes, ended))
    }
}

fn complain(slice: SliceId, what: &str, result: Result<(), impl std::error::Error>) {
    if let Err(error) = result {
        warn!(%slice, error = %chain(&error), "slice not {what}");
    }
}

/// A supervisor that is killed takes the exit code with it.
pub(super) fn unknown_end() -> ExitRecord {
    info!("a slice without a supervisor has ended; how is not known");
    ExitRecord {
        cause: ExitCause::Signal(libc::SIGKILL),
        started_at: None,
        ended_at: crate::clock::now().wall(),
        output_tail: "[the supervisor was killed: how the process ended is not known]".to_owned(),
    }
}

/// A slice of ours as the agent sees it; none if it is gone from the kernel.
pub(super) fn found(slice: &FoundSlice) -> Option<Found> {
    let descriptor = slice.descriptor.clone()?;
    let over = !slice.has_processes && slice.supervisor.is_none();
    let exit = slice.exit.clone();
    Some(Found {
        placement: descriptor.placement,
        cluster: descriptor.cluster,
        epoch: descriptor.epoch,
        level: descriptor.level,
        exit: exit.or_else(|| over.then(unknown_end)),
    })
}
