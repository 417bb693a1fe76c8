//! The heart: one input and the time in, effects out. It owns the state, and decides nothing
//! itself: each file below it is one step of the way through.

mod attempt;
mod cancel;
mod forecast;
mod grants;
mod moving;
mod node;
mod prune;
mod read;
mod resolve;
mod schedule;
mod session;
mod submit;
#[cfg(test)]
mod tests;
mod watch;

use crate::{
    decide::Board,
    effect::{Answer, Effect, Refusal, SolverCounters},
    event::Event,
    input::{Caller, Input, Mutation, ReplyId, Report, Request},
    policy::Policy,
    state::State,
    view::{ClusterView, Liveness, NodeView},
};
use dovetail_model::{
    id::{ClusterId, NodeName, SliceId, Term, WorkloadId},
    time::Now,
};
use forecast::Forecast;
use moving::Explaining;
use resolve::Asked;
use schedule::{InFlight, Round};
use session::Session;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use watch::Watch;

/// Order of the queue: higher priority first, then first come.
type QueueKey = (Reverse<i32>, WorkloadId);

/// The deterministic state machine. Equal inputs at equal times give equal effects.
#[derive(Debug)]
pub struct Engine {
    state: State,
    policy: Policy,
    /// What agents say: soft, lost with the process, told again within seconds.
    sessions: BTreeMap<NodeName, Session>,
    live: BTreeMap<NodeName, Liveness>,
    /// Derived from `state` and `live`: free room, and how good it is for whom.
    board: Board,
    /// Derived from `state`: what waits.
    pending: BTreeSet<QueueKey>,
    /// Boot time before which no lease can end.
    lease_due: u64,
    /// Boot time before which a workload is not tried again.
    backoff: BTreeMap<WorkloadId, u64>,
    /// Boot time by which a gang must run.
    start_by: BTreeMap<WorkloadId, u64>,
    /// Boot time at which gathered batch work is packed.
    window: Option<u64>,
    solve: Option<InFlight>,
    solves: u64,
    counters: SolverCounters,
    watch: Watch,
    forecast: Forecast,
    explaining: Option<Explaining>,
    plans_rejected: u64,
    ended: u64,
    prune_at: u64,
    /// When the newest input came.
    now: Now,
    /// What the end of this `handle` has to do.
    round: Round,
    touched: BTreeSet<WorkloadId>,
    dirty: BTreeSet<NodeName>,
    replies: Vec<(ReplyId, Caller, Later)>,
    effects: Vec<Effect>,
}

/// An answer that is made when everything that follows from the request has happened.
#[derive(Debug)]
enum Later {
    Workload(WorkloadId),
    Node(NodeName),
}

impl Engine {
    /// An engine over a recovered state, or over an empty one.
    pub fn new(state: State, policy: Policy) -> Self {
        let mut engine = Self {
            state,
            policy,
            sessions: BTreeMap::new(),
            live: BTreeMap::new(),
            board: Board::of(ClusterView::default(), policy),
            pending: BTreeSet::new(),
            lease_due: u64::MAX,
            backoff: BTreeMap::new(),
            start_by: BTreeMap::new(),
            window: None,
            solve: None,
            solves: 0,
            counters: SolverCounters::default(),
            watch: Watch::default(),
            forecast: Forecast::default(),
            explaining: None,
            plans_rejected: 0,
            ended: 0,
            prune_at: 0,
            now: Now::default(),
            round: Round::Full,
            touched: BTreeSet::new(),
            dirty: BTreeSet::new(),
            replies: Vec::new(),
            effects: Vec::new(),
        };
        engine.recover();
        engine
    }

    /// Begins a term. `fresh` becomes the cluster's identity if the state has none yet.
    pub fn start(&mut self, fresh: ClusterId, now: Now) -> Vec<Effect> {
        if self.state.cluster().0.is_empty() {
            self.record(Event::ClusterMade { cluster: fresh });
        }
        self.record(Event::TermStarted {
            term: Term(self.state.term().0 + 1),
        });
        self.recover_timers(now);
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// Takes one input and returns what follows from it, in order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Request {
                reply,
                caller,
                request,
            } => self.request(reply, caller, request, now),
            Input::AgentConnected {
                node,
                boot_id,
                session,
            } => {
                self.agent_connected(node, &boot_id, session, now);
            }
            Input::AgentDisconnected { node, session } => self.agent_disconnected(&node, session),
            Input::Report {
                node,
                session,
                report,
            } => self.report(&node, session, report, now),
            Input::Solved { problem, outcome } => self.solved(problem, outcome, now),
            Input::Tick => {}
        }
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// Boot time at which `Tick` is due, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<u64> {
        let leases = (self.lease_due < u64::MAX).then_some(self.lease_due);
        let timers = self.backoff.values().chain(self.start_by.values()).copied();
        let solve = self.solve.as_ref().map(|solve| solve.deadline);
        let prune = (self.prune_at > 0).then_some(self.prune_at);
        leases
            .into_iter()
            .chain(timers)
            .chain(self.window)
            .chain(self.prices_due())
            .chain(self.explanation_due())
            .chain(solve)
            .chain(prune)
            .min()
    }

    /// Work that can wait until the effects of `handle` are on their way; without it, the next
    /// decision does it.
    pub fn catch_up(&mut self) {
        self.board.catch_up();
    }

    /// What is durable, once the effects of every `handle` so far are carried out.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the solver did.
    pub fn solver_counters(&self) -> SolverCounters {
        SolverCounters {
            mix_fits: self.forecast.fits(),
            ..self.counters
        }
    }

    /// Plans and steps the check refused; more than 0 is a defect.
    pub fn plans_rejected(&self) -> u64 {
        self.plans_rejected
    }

    fn request(&mut self, reply: ReplyId, caller: Caller, request: Request, now: Now) {
        let answer = match request {
            Request::Submit {
                mutation,
                spec,
                owner,
            } => self.submit(asked(&caller, mutation, now), *spec, owner),
            Request::Cancel { mutation, workload } => {
                self.cancel(asked(&caller, mutation, now), &workload)
            }
            Request::Cordon {
                mutation,
                node,
                why,
            } => self.cordon(asked(&caller, mutation, now), node, why),
            Request::Forget { mutation, node } => {
                let answer = self.forget(asked(&caller, mutation, now), &node);
                return self.reply(reply, answer);
            }
            Request::Enroll { inventory } => {
                let answer = self.enroll(&caller, *inventory, now);
                return self.reply(reply, answer);
            }
            Request::Explain { workload } => return self.explain_to(reply, caller, &workload),
            read @ (Request::Get { .. }
            | Request::List { .. }
            | Request::Plan { .. }
            | Request::Nodes { .. }
            | Request::Status) => {
                let answer = self.read(&caller, read);
                return self.reply(reply, answer);
            }
        };
        match answer {
            Ok(Done::Later(later)) => self.replies.push((reply, caller, later)),
            Ok(Done::Checked) => {
                let revision = self.state.revision();
                self.reply(
                    reply,
                    Ok(Answer::Workload {
                        workload: None,
                        revision,
                    }),
                );
            }
            Err(refusal) => self.reply(reply, Err(refusal)),
        }
    }

    fn report(
        &mut self,
        node: &NodeName,
        session: crate::input::SessionId,
        report: Report,
        now: Now,
    ) {
        if !self.heard(node, session, now) {
            return;
        }
        match report {
            Report::Inventory(inventory) => self.inventory(*inventory, now),
            Report::Sample(sample) => self.sampled(node, sample),
            Report::Usage(usage) => self.used(node, usage),
            Report::Slices(report) => self.slices(node, report, now),
        }
    }

    fn reply(&mut self, reply: ReplyId, answer: Result<Answer, Refusal>) {
        self.effects.push(Effect::Reply { reply, answer });
    }

    /// Makes an event durable: the only way the state changes.
    fn record(&mut self, event: Event) {
        self.state
            .apply(&event)
            .expect("the engine records only what follows from its state");
        self.effects.push(Effect::Journal(event));
    }

    /// Everything that follows from what has just happened.
    fn settle(&mut self, now: Now) {
        self.expire(now);
        self.settle_attempts(now);
        self.schedule(now);
        self.refresh_prices(now);
        self.give_up_on_moves(now);
        self.prune(now);
        self.send_grants(now);
        for (reply, caller, later) in std::mem::take(&mut self.replies) {
            let answer = self.answer_later(&caller, later);
            self.reply(reply, Ok(answer));
        }
    }

    fn answer_later(&self, caller: &Caller, later: Later) -> Answer {
        let revision = self.state.revision();
        match later {
            Later::Workload(id) => {
                let workload = self
                    .state
                    .workload(id)
                    .map(|w| Box::new(self.show(caller, w)));
                Answer::Workload { workload, revision }
            }
            Later::Node(name) => Answer::Nodes {
                nodes: self.show_nodes(&[name]),
                revision,
            },
        }
    }

    /// Makes the node's view follow the state, and its grants with it.
    fn refresh(&mut self, name: &NodeName) {
        let Some(node) = self.state.nodes().get(name) else {
            self.board.remove(name);
            return;
        };
        let liveness = self.live.entry(name.clone()).or_default();
        self.board
            .put(NodeView::of(&self.state, name, node, liveness));
        self.take_held(name);
    }

    /// A slice of this workload changed on this node.
    fn touch(&mut self, slice: SliceId, node: &NodeName) {
        self.touched.insert(slice.workload);
        self.dirty.insert(node.clone());
    }

    fn recover(&mut self) {
        let names: Vec<NodeName> = self.state.nodes().keys().cloned().collect();
        names.iter().for_each(|name| self.refresh(name));
        for workload in self.state.workloads().values() {
            if workload.is_pending() {
                self.pending
                    .insert((Reverse(workload.spec.priority), workload.id));
            }
            self.ended += u64::from(!workload.is_live());
            self.touched.insert(workload.id);
        }
        let ids: Vec<WorkloadId> = self.state.workloads().keys().copied().collect();
        ids.into_iter().for_each(|id| self.remember_arrival(id));
    }
}

/// What a mutating request came to.
#[derive(Debug)]
enum Done {
    /// Answer when everything has settled.
    Later(Later),
    /// It was only to be checked, and is fine.
    Checked,
}

fn asked(caller: &Caller, mutation: Mutation, now: Now) -> Asked<'_> {
    Asked {
        caller,
        mutation,
        now,
    }
}
