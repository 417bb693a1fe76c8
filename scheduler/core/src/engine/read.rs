//! Answering questions: from the state and what agents said, changing nothing.

use super::{Engine, resolve::may_see, schedule::ask};
use crate::{
    decide::{self, Ask},
    effect::{Answer, NodeReply, Refusal, Status, WorkloadView},
    event::End,
    explain,
    input::{Caller, Filter, Request},
    state::{Member, Phase, Workload, WorkloadState},
    view::{Liveness, NodeView},
};
use dovetail_model::{
    gpu::GpuHealth,
    id::{NodeName, WorkloadId},
    reason::Reason,
    time::SECOND_NS,
    units::{GpuMilli, WHOLE_GPU},
    workload::WorkloadSpec,
};
use std::{cmp::Reverse, collections::BTreeMap};

/// Why requests wait that were looked at already: those that ask alike wait for the same reason.
type Reasons<'w> = BTreeMap<decide::Class<'w>, Option<Reason>>;

impl Engine {
    pub(super) fn read(&mut self, caller: &Caller, request: Request) -> Result<Answer, Refusal> {
        let revision = self.state.revision();
        match request {
            Request::Get { workload } => {
                let workload = Box::new(self.show(caller, self.resolve(caller, &workload)?));
                Ok(Answer::Workload {
                    workload: Some(workload),
                    revision,
                })
            }
            Request::List { filter } => Ok(self.list(caller, &filter)),
            Request::Plan { spec } => Ok(self.plan(caller, &spec)),
            Request::Nodes { names, strict } => {
                if strict {
                    names.iter().try_for_each(|name| self.known_node(name))?;
                }
                Ok(Answer::Nodes {
                    nodes: self.show_nodes(&names),
                    revision,
                })
            }
            Request::Status => Ok(Answer::Status(Box::new(self.status()))),
            Request::Explain { .. } => unreachable!("its answer may have to wait"),
            Request::Submit { .. }
            | Request::Cancel { .. }
            | Request::Cordon { .. }
            | Request::Forget { .. }
            | Request::Enroll { .. } => unreachable!("mutations are not read"),
        }
    }

    fn list(&self, caller: &Caller, filter: &Filter) -> Answer {
        let before = filter.before.unwrap_or(WorkloadId(u64::MAX));
        let matching = self.state.workloads().range(..before).rev().map(|(_, w)| w);
        let mut page = matching
            .filter(|w| may_see(caller, w))
            .filter(|w| w.is_live() || filter.include_ended)
            .filter(|w| {
                filter
                    .queue
                    .as_ref()
                    .is_none_or(|queue| w.spec.queue == *queue)
            })
            .filter(|w| filter.states.is_empty() || filter.states.contains(&self.state_of(w)));
        let mut reasons = Reasons::new();
        let workloads: Vec<WorkloadView> = page
            .by_ref()
            .take(filter.limit)
            .map(|w| self.show_beside(caller, w, &mut reasons))
            .collect();
        let more = page.next().is_some();
        let next = workloads
            .last()
            .filter(|_| more)
            .map(|view| view.workload.id);
        Answer::Workloads {
            workloads,
            next,
            revision: self.state.revision(),
        }
    }

    pub(super) fn explain(&self, workload: &Workload) -> explain::Explanation {
        let ask = ask(workload);
        let position = self.position(workload);
        let revision = self.state.revision();
        let length = self.pending.len();
        let mut explanation = explain::explain(
            self.board.view(),
            &ask,
            &self.policy,
            revision,
            position,
            length,
        );
        if workload.is_pending() {
            explanation.reason = Some(self.reason(workload, &mut Reasons::new()));
        } else {
            explanation.reason = None;
            explanation.remedies.clear();
        }
        explanation
    }

    /// Position in the queue from 1; 0: it does not wait.
    fn position(&self, workload: &Workload) -> usize {
        if !workload.is_pending() {
            return 0;
        }
        let key = (Reverse(workload.spec.priority), workload.id);
        self.pending.range(..=key).count()
    }

    /// Where it would go now, after everything that waits with at least its priority.
    fn plan(&mut self, caller: &Caller, spec: &WorkloadSpec) -> Answer {
        let next = WorkloadId(self.state.revision().0 + 1);
        let ask = Ask {
            workload: next,
            attempt: 1,
            tenant: &caller.tenant,
            spec,
        };
        let placements = decide::find(&mut self.board, &ask);
        let revision = self.state.revision();
        let waiters = self
            .pending
            .iter()
            .filter(|key| key.0 <= Reverse(spec.priority))
            .count();
        let explanation = placements.is_none().then(|| {
            let length = self.pending.len() + 1;
            Box::new(explain::explain(
                self.board.view(),
                &ask,
                &self.policy,
                revision,
                waiters + 1,
                length,
            ))
        });
        Answer::Plan {
            placements,
            explanation,
            revision,
        }
    }

    pub(super) fn show(&self, caller: &Caller, workload: &Workload) -> WorkloadView {
        self.show_beside(caller, workload, &mut Reasons::new())
    }

    /// The same, among others.
    fn show_beside<'w>(
        &self,
        caller: &Caller,
        workload: &'w Workload,
        reasons: &mut Reasons<'w>,
    ) -> WorkloadView {
        let used = |member: &Member| {
            let session = self.sessions.get(&member.placement.node)?;
            session
                .usage
                .get(&member.placement.slice)
                .map(|usage| usage.cpu_ns)
        };
        WorkloadView {
            state: self.state_of(workload),
            member_states: workload
                .members
                .iter()
                .map(|m| self.member_state(m))
                .collect(),
            reason: (workload.is_pending()).then(|| self.reason(workload, reasons)),
            cpu_used_ns: workload
                .members
                .iter()
                .map(|m| used(m).unwrap_or(0))
                .collect(),
            show_env: caller.operator || caller.owner.uid == workload.owner.uid,
            workload: workload.clone(),
        }
    }

    fn reason<'w>(&self, workload: &'w Workload, reasons: &mut Reasons<'w>) -> Reason {
        if let Some(until) = self.backoff.get(&workload.id) {
            let left = until.saturating_sub(self.now.boot_ns);
            return Reason::Backoff {
                seconds: left.div_ceil(SECOND_NS),
            };
        }
        if self.awaits_solver(workload.id) {
            return Reason::AwaitingSolver;
        }
        let ask = ask(workload);
        let find = || explain::dominant(&self.board, &ask);
        let reason = reasons.entry(decide::class(&ask)).or_insert_with(find);
        // What fits is placed in this round or the next.
        reason.clone().unwrap_or(Reason::AwaitingSolver)
    }

    fn state_of(&self, workload: &Workload) -> WorkloadState {
        match &workload.end {
            Some((End::Succeeded, _)) => WorkloadState::Succeeded,
            Some((End::Failed(_), _)) => WorkloadState::Failed,
            Some((End::Cancelled, _)) => WorkloadState::Cancelled,
            Some((End::Lost, _)) => WorkloadState::Lost,
            None if workload.is_pending() => WorkloadState::Pending,
            None if workload.is_stopping() => WorkloadState::Stopping,
            None => {
                let members = workload.members.iter().filter(|m| m.holds_place());
                members
                    .map(|m| self.member_state(m))
                    .min()
                    .unwrap_or(WorkloadState::Stopping)
            }
        }
    }

    fn member_state(&self, member: &Member) -> WorkloadState {
        let placement = &member.placement;
        let session = self.sessions.get(&placement.node);
        match member.phase {
            Phase::Gone => match &member.exit {
                Some(exit) if exit.cause.is_success() => WorkloadState::Succeeded,
                Some(exit) if exit.cause == dovetail_model::report::ExitCause::NodeLost => {
                    WorkloadState::Lost
                }
                Some(exit) if exit.cause == dovetail_model::report::ExitCause::Evicted => {
                    WorkloadState::Cancelled
                }
                _ => WorkloadState::Failed,
            },
            _ if member.released.is_some() => WorkloadState::Stopping,
            Phase::Running => WorkloadState::Running,
            Phase::Reserved if session.is_some_and(|s| s.starting.contains(&placement.slice)) => {
                WorkloadState::Starting
            }
            Phase::Reserved => WorkloadState::Reserved,
        }
    }

    pub(super) fn show_nodes(&self, names: &[NodeName]) -> Vec<NodeReply> {
        let wanted = |name: &NodeName| names.is_empty() || names.contains(name);
        self.state
            .nodes()
            .keys()
            .filter(|name| wanted(name))
            .filter_map(|n| self.show_node(n))
            .collect()
    }

    fn show_node(&self, name: &NodeName) -> Option<NodeReply> {
        let node = self.state.nodes().get(name)?;
        let liveness = self
            .live
            .get(name)
            .cloned()
            .unwrap_or_else(Liveness::default);
        let session = self.sessions.get(name);
        let named = |(workload, member): (&Workload, &Member)| {
            let named = (workload.spec.name.clone(), member.placement.clone());
            (member.placement.slice, named)
        };
        Some(NodeReply {
            name: name.clone(),
            node: node.clone(),
            view: NodeView::of(&self.state, name, node, &liveness),
            reachable: session.is_some_and(|s| s.reachable),
            last_report: session.map(|s| s.heard_wall_ns),
            sample: session.and_then(|s| s.sample.clone()),
            orphaned: session.map(|s| s.orphaned.clone()).unwrap_or_default(),
            slice_names: self.state.held_on(name).map(named).collect(),
        })
    }

    fn status(&self) -> Status {
        let gpus = self.board.view().nodes.iter().flat_map(|node| &node.gpus);
        let usable = gpus.filter(|gpu| gpu.health == GpuHealth::Ok);
        let (all, free) = usable.fold((GpuMilli::ZERO, GpuMilli::ZERO), |(all, free), gpu| {
            (all.plus(WHOLE_GPU), free.plus(gpu.compute_free))
        });
        let ready = self.sessions.values().filter(|s| s.reachable).count();
        Status {
            cluster: self.state.cluster().clone(),
            term: self.state.term(),
            revision: self.state.revision(),
            hash: self.state.hash(),
            pending: self.pending.len(),
            placed: self
                .state
                .workloads()
                .values()
                .filter(|w| w.is_placed())
                .count(),
            ready,
            unreachable: self.state.nodes().len() - ready.min(self.state.nodes().len()),
            solver: self.solver_counters(),
            plans_rejected: self.plans_rejected,
            gpu_used: all.minus(free),
            gpu: all,
        }
    }
}
