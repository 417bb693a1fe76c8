//! The node's will: what shall be and what is come in, what to do about the difference goes out.
//! No clock, no I/O, no threads: `drive` feeds it and carries out its effects.

mod admit;

mod obey;
#[cfg(test)]
mod properties;
mod reconcile;
mod report;
mod slice;
#[cfg(test)]
pub(crate) mod tests;

use dovetail_model::{
    grant::{Grant, GrantSet, Placement},
    id::{ClusterId, Epoch, NodeName, SliceId},
    node::{Inventory, Sample},
    report::{ExitRecord, SliceReport, SliceUsage},
    resources::Level,
    time::Now,
};
use slice::{Ended, Slice};
use std::collections::{BTreeMap, BTreeSet};

/// Longest silence of a connected agent; the scheduler's contract says five seconds.
pub const HEARTBEAT_NS: u64 = 4 * dovetail_model::time::SECOND_NS;

/// What an agent is told once.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// This node.
    pub node: NodeName,
}

/// What an earlier process of this agent left behind.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// From the spool: the newest desired state obeyed.
    pub highest: Option<(ClusterId, Epoch)>,
    /// From the kernel: slices that exist.
    pub found: Vec<Found>,
    /// From the spool: ends that were not acknowledged yet.
    pub exits: Vec<(SliceId, ExitRecord)>,
}

/// A slice that exists in the kernel, as its descriptor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The slice and what it holds.
    pub placement: Placement,
    /// The cluster that granted it.
    pub cluster: ClusterId,
    /// The desired state it was started for.
    pub epoch: Epoch,
    /// The enforcement it has.
    pub level: Level,
    /// How it ended, if it did.
    pub exit: Option<ExitRecord>,
}

/// Everything that comes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// A session with the scheduler of this cluster is open.
    LinkUp(ClusterId),
    /// The session is gone.
    LinkDown,
    /// The scheduler missed something and wants everything again.
    Resend,
    /// What shall be.
    Grants(GrantSet),
    /// The slice's process runs.
    Started(SliceId, Level),
    /// The slice could not be made.
    StartFailed(SliceId, String),
    /// The slice's process has ended.
    Ended(SliceId, ExitRecord),
    /// Nothing of the slice is left in the kernel.
    Removed(SliceId),
    /// Something of the slice could not be removed yet.
    RemoveBusy(SliceId),
    /// What the node has.
    InventoryChanged(Inventory),
    /// What the node measured.
    Sampled(Sample),
    /// What its slices have used.
    Used(Vec<SliceUsage>),
    /// Time has passed.
    Tick,
}

/// Everything that goes out, to be carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Must be durable before any later effect is carried out.
    Spool(SpoolWrite),
    /// Make this slice and start its process, for the desired state of this epoch.
    Start(Box<Grant>, Epoch),
    /// Ask the slice's processes to end.
    Stop {
        /// The slice.
        slice: SliceId,
        /// The signal that asks.
        signal: i32,
        /// A [`Effect::Kill`] follows after this long, unless it has ended.
        kill_after_ns: u64,
    },
    /// Kill every process of the slice.
    Kill(SliceId),
    /// Remove what is left of the slice in the kernel.
    Remove(SliceId),
    /// Tell the scheduler.
    Send(Report),
    /// Tell the operator: a person must act.
    Alert(String),
}

/// A fact that must survive this process, and that the kernel cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolWrite {
    /// The newest desired state obeyed.
    Highest(ClusterId, Epoch),
    /// How a slice ended.
    Exit(SliceId, ExitRecord),
    /// The scheduler has made this end durable.
    DropExit(SliceId),
}

/// One message to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Everything the node has.
    Inventory(Inventory),
    /// What it measured.
    Sample(Sample),
    /// What its slices have used.
    Usage(Vec<SliceUsage>),
    /// What exists on it.
    Slices(SliceReport),
}

/// The deterministic state machine. Equal inputs at equal times give equal effects.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    inventory: Option<Inventory>,
    /// The newest desired state obeyed.
    highest: Option<(ClusterId, Epoch)>,
    /// The cluster of the open session.
    link: Option<ClusterId>,
    /// Another cluster that the operator was told about.
    alerted: Option<ClusterId>,
    /// Grants of the newest desired state that are not started yet.
    wanted: BTreeMap<SliceId, Grant>,
    /// Every slice the newest desired state names; none before this process has got one.
    named: Option<BTreeSet<SliceId>>,
    /// Of `wanted`: those that do not fit until a slice has left.
    waiting: BTreeSet<SliceId>,
    /// What exists in the kernel, or may.
    slices: BTreeMap<SliceId, Slice>,
    /// What exists in the kernel for another cluster: it is never touched.
    foreign: Vec<Found>,
    /// Ends that are not acknowledged yet, of slices that are gone from the kernel.
    exits: BTreeMap<SliceId, Ended>,
    /// Something happened that the difference depends on.
    changed: bool,
    /// Something happened that the scheduler should know.
    unreported: bool,
    reported_at: u64,
    effects: Vec<Effect>,
}

impl Agent {
    /// An agent that goes on where an earlier process of it ended.
    pub fn new(config: AgentConfig, recovered: Recovered) -> Self {
        let highest = recovered.highest.or_else(|| newest(&recovered.found));
        let ours = |found: &Found| {
            highest
                .as_ref()
                .is_some_and(|(cluster, _)| *cluster == found.cluster)
        };
        let (own, foreign): (Vec<Found>, Vec<Found>) =
            recovered.found.into_iter().partition(|found| ours(found));
        let mut agent = Self {
            config,
            inventory: None,
            highest,
            link: None,
            alerted: None,
            wanted: BTreeMap::new(),
            named: None,
            waiting: BTreeSet::new(),
            slices: BTreeMap::new(),
            foreign,
            exits: BTreeMap::new(),
            changed: true,
            unreported: true,
            reported_at: 0,
            effects: Vec::new(),
        };
        agent.recover(own, recovered.exits);
        agent
    }

    /// Takes one input and returns what follows from it, in order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        match input {
            Input::LinkUp(cluster) => self.link_up(cluster),
            Input::LinkDown => self.link = None,
            Input::Resend => self.resend(),
            Input::Grants(set) => self.obey(set, now),
            Input::Started(slice, level) => self.started(slice, level, now),
            Input::StartFailed(slice, why) => self.start_failed(slice, why, now),
            Input::Ended(slice, exit) => self.ended(slice, exit),
            Input::Removed(slice) => self.removed(slice),
            Input::RemoveBusy(slice) => self.remove_busy(slice, now),
            Input::InventoryChanged(inventory) => self.inventory_changed(inventory),
            Input::Sampled(sample) => self.send(Report::Sample(sample)),
            Input::Used(usage) => self.send(Report::Usage(usage)),
            Input::Tick => {}
        }
        self.run_timers(now);
        if std::mem::take(&mut self.changed) {
            self.reconcile(now);
        }
        self.report(now);
        std::mem::take(&mut self.effects)
    }

    /// Boot time at which a [`Input::Tick`] is due, if nothing else comes in before.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.changed {
            return Some(0);
        }
        let heartbeat = self.link.as_ref().map(|_| self.reported_at + HEARTBEAT_NS);
        let timers = self.slices.values().filter_map(Slice::timer);
        heartbeat.into_iter().chain(timers).min()
    }

    /// The cluster this agent obeys: the first whose desired state it took.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.highest.as_ref().map(|(cluster, _)| cluster)
    }

    /// Slices that exist in the kernel, or may, apart from another cluster's.
    pub fn existing(&self) -> impl Iterator<Item = SliceId> {
        self.slices.keys().copied()
    }

    fn recover(&mut self, found: Vec<Found>, exits: Vec<(SliceId, ExitRecord)>) {
        for found in found {
            let id = found.placement.slice;
            self.slices.insert(id, Slice::found(found));
        }
        for (id, record) in exits {
            match self.slices.get_mut(&id) {
                // The spool's record was made first: a second end is the same end.
                Some(slice) => slice.recovered_exit(record),
                None => {
                    let level = Level::None;
                    self.exits.insert(id, Ended { record, level });
                }
            }
        }
    }
}

/// With the spool lost, the descriptors still say whom the slices belong to.
fn newest(found: &[Found]) -> Option<(ClusterId, Epoch)> {
    found
        .iter()
        .max_by_key(|found| found.epoch)
        .map(|found| (found.cluster.clone(), found.epoch))
}
