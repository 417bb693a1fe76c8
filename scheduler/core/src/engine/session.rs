//! What agents say, and how long it counts.

use super::{Engine, Round};
use crate::{effect::Effect, event::Event, input::SessionId, policy::Policy, state::Phase};
use dovetail_model::{
    id::{BootId, Epoch, NodeName, SliceId},
    node::Sample,
    report::{ExitCause, ExitRecord, SliceReport, SliceState, SliceStatus, SliceUsage},
    time::Now,
    units::Bytes,
};
use std::collections::{BTreeMap, BTreeSet};

/// The newest of each kind of report of one node.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) connected: bool,
    /// Its lease runs: it reported, or was connected, recently.
    pub(super) reachable: bool,
    pub(super) heard_boot_ns: u64,
    pub(super) heard_wall_ns: u64,
    pub(super) obeyed: Epoch,
    /// Newest desired state sent, and when.
    pub(super) sent: Option<(Epoch, u64)>,
    pub(super) starting: BTreeSet<SliceId>,
    /// Ends it reports: acknowledged as soon as they are durable.
    pub(super) exited: BTreeSet<SliceId>,
    /// Slices of attempts that are over: to be stopped.
    pub(super) strays: BTreeSet<SliceId>,
    pub(super) sample: Option<Sample>,
    pub(super) usage: BTreeMap<SliceId, SliceUsage>,
    pub(super) orphaned: Vec<String>,
}

impl Session {
    pub(super) fn lease_end(&self, policy: &Policy) -> Option<u64> {
        self.reachable.then(|| self.heard_boot_ns + policy.lease_ns)
    }
}

impl Engine {
    pub(super) fn agent_connected(
        &mut self,
        node: NodeName,
        boot_id: &BootId,
        session: SessionId,
        now: Now,
    ) {
        let known = self.state.nodes().get(&node).map(|n| &n.inventory.boot_id);
        if known != Some(boot_id) {
            let why = format!("node {node} has not enrolled with this boot id; enrol first");
            return self.effects.push(Effect::Close { session, why });
        }
        if let Some(old) = self.sessions.get(&node).filter(|old| old.connected) {
            let why = format!("a newer session of node {node} took over");
            self.effects.push(Effect::Close {
                session: old.id,
                why,
            });
        }
        let fresh = Session {
            id: session,
            connected: true,
            reachable: true,
            heard_boot_ns: now.boot_ns,
            heard_wall_ns: now.wall_ns,
            obeyed: Epoch::default(),
            sent: None,
            starting: BTreeSet::new(),
            exited: BTreeSet::new(),
            strays: BTreeSet::new(),
            sample: None,
            usage: BTreeMap::new(),
            orphaned: Vec::new(),
        };
        self.sessions.insert(node.clone(), fresh);
        self.lease_begins(now);
        self.set_reachable(&node, true);
        self.dirty.insert(node);
    }

    /// New work goes elsewhere at once; what runs there is left alone.
    pub(super) fn agent_disconnected(&mut self, node: &NodeName, session: SessionId) {
        let Some(known) = self.sessions.get_mut(node).filter(|s| s.id == session) else {
            return;
        };
        known.connected = false;
        self.set_reachable(node, false);
    }

    pub(super) fn expire_leases(&mut self, now: Now) {
        if now.boot_ns < self.lease_due {
            return;
        }
        let ended = |s: &Session| {
            s.lease_end(&self.policy)
                .is_some_and(|end| now.boot_ns >= end)
        };
        let sessions = self.sessions.iter();
        let expired = sessions.filter(|(_, session)| ended(session));
        let expired: Vec<NodeName> = expired.map(|(node, _)| node.clone()).collect();
        for node in expired {
            if let Some(session) = self.sessions.get_mut(&node) {
                session.reachable = false;
            }
            self.set_reachable(&node, false);
            self.effects
                .push(Effect::Alert(format!("node {node} does not report")));
        }
        let ends = self
            .sessions
            .values()
            .filter_map(|s| s.lease_end(&self.policy));
        self.lease_due = ends.min().unwrap_or(u64::MAX);
    }

    /// Signs of life only put the end of leases off, so the earliest needs no other care than this.
    fn lease_begins(&mut self, now: Now) {
        self.lease_due = self.lease_due.min(now.boot_ns + self.policy.lease_ns);
    }

    /// Notes a sign of life. False: it is from a session that is no longer the node's.
    pub(super) fn heard(&mut self, node: &NodeName, session: SessionId, now: Now) -> bool {
        let Some(known) = self.sessions.get_mut(node).filter(|s| s.id == session) else {
            return false;
        };
        known.heard_boot_ns = now.boot_ns;
        known.heard_wall_ns = now.wall_ns;
        let returned = known.connected && !known.reachable;
        known.reachable = true;
        self.lease_begins(now);
        if returned {
            self.set_reachable(node, true);
        }
        true
    }

    fn set_reachable(&mut self, node: &NodeName, reachable: bool) {
        let liveness = self.live.entry(node.clone()).or_default();
        if liveness.reachable != reachable {
            liveness.reachable = reachable;
            self.refresh(node);
            if reachable {
                self.round = Round::Full;
            }
        }
    }

    pub(super) fn sampled(&mut self, node: &NodeName, sample: Sample) {
        let external: Vec<Bytes> = sample.gpus.iter().map(|gpu| gpu.external).collect();
        if let Some(session) = self.sessions.get_mut(node) {
            session.sample = Some(sample);
        }
        let liveness = self.live.entry(node.clone()).or_default();
        if liveness.external != external {
            liveness.external = external;
            self.refresh(node);
            self.round = Round::Full;
        }
    }

    pub(super) fn used(&mut self, node: &NodeName, usage: Vec<SliceUsage>) {
        if let Some(session) = self.sessions.get_mut(node) {
            session.usage = usage.into_iter().map(|row| (row.slice, row)).collect();
        }
    }

    /// What exists on the node: starts and ends become durable, and what was released and is no
    /// longer there is free.
    pub(super) fn slices(&mut self, node: &NodeName, report: SliceReport, now: Now) {
        for status in &report.slices {
            self.slice(node, status);
        }
        self.absent(node, &report, now);
        let strays = self.strays(node, &report);
        let held = |slice: &SliceId| self.state.member(*slice).is_some_and(|m| m.holds_place());
        let exited: BTreeSet<SliceId> = ids(&report, |s| matches!(s, SliceState::Exited(_)));
        let acknowledge = exited.iter().any(|slice| !held(slice));
        let Some(session) = self.sessions.get_mut(node) else {
            return;
        };
        // Heals whatever was lost on the way: an agent that is behind is told again.
        let behind = session
            .sent
            .is_some_and(|(epoch, at)| report.obeyed < epoch && now.boot_ns >= at + RESEND_NS);
        if acknowledge || behind || strays != session.strays {
            self.dirty.insert(node.clone());
        }
        session.obeyed = report.obeyed;
        session.starting = ids(&report, |s| matches!(s, SliceState::Starting));
        session.exited = exited;
        session.strays = strays;
        session.orphaned = report.orphaned;
    }

    fn slice(&mut self, node: &NodeName, status: &SliceStatus) {
        let slice = status.slice;
        let Some(member) = self.state.member(slice) else {
            return;
        };
        // A node speaks only for what was placed on it.
        if member.placement.node != *node || !member.holds_place() {
            return;
        }
        match &status.state {
            SliceState::Running if member.phase == Phase::Reserved => {
                self.record(Event::SliceStarted {
                    slice,
                    level: status.level,
                });
                self.touch(slice, node);
            }
            SliceState::Exited(exit) => self.slice_ended(slice, node, exit.clone()),
            SliceState::Waiting
            | SliceState::Starting
            | SliceState::Running
            | SliceState::Stopping => {}
        }
    }

    pub(super) fn slice_ended(&mut self, slice: SliceId, node: &NodeName, exit: ExitRecord) {
        self.record(Event::SliceEnded { slice, exit });
        self.touch(slice, node);
        self.refresh(node);
        self.round = Round::Full;
    }

    /// Released slices the agent no longer has, as of a desired state that named them.
    fn absent(&mut self, node: &NodeName, report: &SliceReport, now: Now) {
        let present: BTreeSet<SliceId> = report.slices.iter().map(|s| s.slice).collect();
        let confirmed =
            |released: Option<Epoch>| released.is_some_and(|epoch| report.obeyed >= epoch);
        let gone: Vec<SliceId> = self
            .state
            .held_on(node)
            .map(|(_, member)| member)
            .filter(|m| confirmed(m.released) && !present.contains(&m.placement.slice))
            .map(|m| m.placement.slice)
            .collect();
        for slice in gone {
            self.slice_ended(slice, node, evicted(now));
        }
    }

    /// Slices of workloads known here whose attempt is over. A workload nobody here has heard of
    /// is left alone: the journal may be older than the node.
    fn strays(&self, node: &NodeName, report: &SliceReport) -> BTreeSet<SliceId> {
        let over = |slice: SliceId| {
            let member = self.state.member(slice);
            let ours = member.is_some_and(|m| m.placement.node == *node && m.holds_place());
            !ours && self.state.workload(slice.workload).is_some()
        };
        let running = report
            .slices
            .iter()
            .filter(|s| !matches!(s.state, SliceState::Exited(_)));
        running
            .map(|s| s.slice)
            .filter(|slice| over(*slice))
            .collect()
    }
}

/// How long a desired state may stay unanswered before it is sent again.
const RESEND_NS: u64 = dovetail_model::time::SECOND_NS;

fn ids(report: &SliceReport, which: impl Fn(&SliceState) -> bool) -> BTreeSet<SliceId> {
    report
        .slices
        .iter()
        .filter(|s| which(&s.state))
        .map(|s| s.slice)
        .collect()
}

/// The end of a slice that was stopped for the scheduler's sake.
pub(super) fn evicted(now: Now) -> ExitRecord {
    ended_by(ExitCause::Evicted, now)
}

pub(super) fn ended_by(cause: ExitCause, now: Now) -> ExitRecord {
    ExitRecord {
        cause,
        started_at: None,
        ended_at: now.wall(),
        output_tail: String::new(),
    }
}
