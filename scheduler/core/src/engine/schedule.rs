//! Rounds: who is tried when, what is committed at once, and what waits for the solver.

use super::Engine;
use crate::{
    check::{self, Rejection},
    commit,
    decide::{self, Ask, Held},
    effect::Effect,
    event::Event,
    outcome::{Answer, Outcome, SolveFailure},
    plan::{Plan, Step},
    problem::{Task, window::Put},
    state::Workload,
};
use dovetail_model::{
    id::{NodeName, WorkloadId},
    time::Now,
    workload::WorkloadKind,
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Time from a solve's hard limit until its answer is no longer waited for.
const SOLVE_GRACE_NS: u64 = 250_000_000;

/// Who has to be tried at the end of this `handle`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Round {
    /// Nobody: nothing changed that could make a waiter fit.
    #[default]
    None,
    /// Only these: there is no more room than before, and all others did not fit in it.
    Newcomers(Vec<WorkloadId>),
    /// Everybody: there may be more room.
    Full,
}

/// A problem the solver works on.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) deadline: u64,
    held: Held,
}

impl InFlight {
    fn holds(&self, id: WorkloadId) -> bool {
        self.held.workloads.contains(&id)
    }
}

impl Engine {
    /// Places what can be placed now.
    pub(super) fn schedule(&mut self, now: Now) {
        self.give_up_on_solver(now);
        let closing = self.window.is_some_and(|end| now.boot_ns >= end);
        if closing {
            self.window = None;
            self.round = Round::Full;
        }
        let round = std::mem::take(&mut self.round);
        let alone = matches!(round, Round::Newcomers(_));
        let tried = self.candidates(&round);
        if tried.is_empty() {
            return;
        }
        if !closing {
            self.open_window(&tried, now);
        }
        // In an open window only what may not wait is looked at; the rest will be packed together.
        if self.window.is_some() && tried.iter().all(|id| self.is_batch(*id)) {
            return;
        }
        let tried = if self.window.is_some() {
            self.candidates(&Round::Full)
        } else {
            tried
        };
        if !alone || !self.place_alone(&tried, now) {
            self.run_round(&tried, now);
        }
    }

    /// A newcomer that fits needs no round: nobody who waits would have fitted in this room, and
    /// nothing is kept for the solver. True: it is placed.
    fn place_alone(&mut self, tried: &[WorkloadId], now: Now) -> bool {
        let [id] = tried else { return false };
        if self.solve.is_some() || self.window.is_some() {
            return false;
        }
        let Some(workload) = self.state.workload(*id) else {
            return false;
        };
        let ask = ask(workload);
        let Some(placements) = decide::find(&mut self.board, &ask) else {
            return false;
        };
        let steps = vec![Step {
            workload: *id,
            placements,
        }];
        let plan = Plan {
            parent: self.state.revision(),
            steps,
        };
        self.commit_fresh(&plan, now);
        true
    }

    fn run_round(&mut self, tried: &[WorkloadId], now: Now) {
        let workloads = tried.iter().filter_map(|id| self.state.workload(*id));
        let asks = workloads.map(ask);
        let revision = self.state.revision();
        // One solve at a time, and none while batch work is still being gathered.
        let may_solve = self.policy.solver
            && self.solve.is_none()
            && self.window.is_none()
            && self.watch.allows(now.boot_ns);
        let problem = may_solve.then_some(self.solves + 1);
        let decided = decide::round(&mut self.board, revision, asks, problem);
        let mut plan = decided.plan;
        if self.window.is_some() {
            plan.steps.retain(|step| !self.is_batch(step.workload));
        }
        self.commit_fresh(&plan, now);
        if let Some(held) = decided.held {
            self.hold(held, now);
        }
    }

    /// Those to try, in queue order.
    fn candidates(&self, round: &Round) -> Vec<WorkloadId> {
        let waits = |id: &WorkloadId| {
            let held = self.solve.as_ref().is_some_and(|solve| solve.holds(*id));
            !held && !self.backoff.contains_key(id)
        };
        match round {
            Round::None => Vec::new(),
            Round::Full => self.pending.iter().map(|key| key.1).filter(waits).collect(),
            Round::Newcomers(ids) => {
                let key = |id: &WorkloadId| {
                    let workload = self.state.workload(*id).filter(|w| w.is_pending())?;
                    Some((Reverse(workload.spec.priority), *id))
                };
                let keys: BTreeSet<_> = ids.iter().filter(|id| waits(id)).filter_map(key).collect();
                keys.into_iter().map(|key| key.1).collect()
            }
        }
    }

    /// Several batch workloads wait and nobody has packed them yet: gather more for a moment. One
    /// alone has nothing to be packed with and is placed at once.
    fn open_window(&mut self, tried: &[WorkloadId], now: Now) {
        let batch = tried.iter().filter(|id| self.is_batch(**id)).count();
        if self.policy.solver && self.window.is_none() && batch > 1 {
            self.window = Some(now.boot_ns + self.policy.window_ns);
        }
    }

    fn is_batch(&self, id: WorkloadId) -> bool {
        self.state
            .workload(id)
            .is_some_and(|w| w.spec.kind == WorkloadKind::Batch)
    }

    /// Whether the solver has it, or batch work is being gathered that it belongs to.
    pub(super) fn awaits_solver(&self, id: WorkloadId) -> bool {
        let held = self.solve.as_ref().is_some_and(|solve| solve.holds(id));
        held || self.window.is_some() && self.is_batch(id)
    }

    fn hold(&mut self, held: Held, now: Now) {
        self.solves += 1;
        self.counters.runs += 1;
        let limit = held.problem.limits.hard_ms * 1_000_000 + SOLVE_GRACE_NS;
        self.effects
            .push(Effect::Solve(Box::new(held.problem.clone())));
        self.solve = Some(InFlight {
            deadline: now.boot_ns + limit,
            held,
        });
        self.refresh_held();
    }

    /// Room that is kept for the solver's answer is free for nobody else.
    pub(super) fn take_held(&mut self, node: &NodeName) {
        let steps = self.solve.iter().flat_map(|solve| &solve.held.greedy.steps);
        for step in steps {
            let Some(workload) = self.state.workload(step.workload) else {
                continue;
            };
            for placement in step.placements.iter().filter(|p| p.node == *node) {
                // A node that has gone since takes no room.
                let _known = self.board.take(placement, &workload.tenant);
            }
        }
    }

    fn refresh_held(&mut self) {
        let steps = self.solve.iter().flat_map(|solve| &solve.held.greedy.steps);
        let nodes: BTreeSet<NodeName> = nodes_of(steps);
        nodes.iter().for_each(|node| self.refresh(node));
    }

    /// The solver answered, or will not.
    pub(super) fn solved(
        &mut self,
        problem: u64,
        outcome: Result<Outcome, SolveFailure>,
        now: Now,
    ) {
        if outcome == Err(SolveFailure::Killed) {
            self.counters.kills += 1;
            let alert = self.watch.killed(now.boot_ns);
            self.effects.extend(alert.map(Effect::Alert));
        }
        let prices = match &outcome {
            Ok(Outcome {
                answer: Answer::Fluid(prices),
                ..
            }) => Some(prices.clone()),
            _ => None,
        };
        if self.priced(problem, prices) || self.moves_solved(problem, outcome.as_ref().ok()) {
            return;
        }
        let Some(solve) = self.solve.take_if(|solve| solve.held.problem.id == problem) else {
            return;
        };
        for node in nodes_of(&solve.held.greedy.steps) {
            self.refresh(&node);
        }
        let outcome = outcome.ok();
        self.note_gap(&solve.held, outcome.as_ref());
        let plan = outcome.and_then(|outcome| self.plan_of(&solve.held, &outcome));
        match plan {
            Some(plan) if self.would_commit(&plan) => {
                self.counters.improved += u64::from(plan.steps != solve.held.greedy.steps);
                self.commit_held(&plan, now);
            }
            _ => {
                self.counters.fallbacks += 1;
                self.commit_held(&solve.held.greedy, now);
            }
        }
        self.round = Round::Full;
    }

    /// How far a window stayed below its ceiling.
    fn note_gap(&mut self, held: &Held, outcome: Option<&Outcome>) {
        if let (Task::Window(window), Some(Answer::Window(packed))) =
            (&held.problem.task, outcome.map(|outcome| &outcome.answer))
        {
            let worth = |put: &Put| window.classes.get(put.class).map_or(0, |class| class.worth);
            let value: u64 = packed.puts.iter().map(worth).fold(0, u64::saturating_add);
            let short = u128::from(packed.ceiling.saturating_sub(value)) * 1000;
            let gap = short / u128::from(packed.ceiling.max(1));
            self.counters.gap_permille = u64::try_from(gap).ok();
        }
    }

    fn give_up_on_solver(&mut self, now: Now) {
        let overdue = self
            .solve
            .as_ref()
            .filter(|solve| now.boot_ns >= solve.deadline);
        if let Some(problem) = overdue.map(|solve| solve.held.problem.id) {
            let late = SolveFailure::Failed("no answer in time".to_owned());
            self.solved(problem, Err(late), now);
        }
    }

    fn plan_of(&self, held: &Held, outcome: &Outcome) -> Option<Plan> {
        let workloads = held
            .workloads
            .iter()
            .filter_map(|id| self.state.workload(*id));
        let asks: Vec<Ask<'_>> = workloads.map(ask).collect();
        decide::plan_of(held, outcome, &asks, self.board.view())
    }

    /// An answer is taken whole or not at all: half of it may be worse than the greedy plan.
    fn would_commit(&mut self, plan: &Plan) -> bool {
        let refused = check::plan(&self.state, &self.live, &self.policy, plan);
        refused.is_empty()
    }

    /// Makes the steps that fit the newest state durable; returns what does not fit it.
    fn commit(&mut self, plan: &Plan, now: Now) -> Vec<(Step, Rejection)> {
        let commit = commit::commit(&self.state, &self.live, &self.policy, plan);
        for step in commit.accepted {
            self.take_room(&step);
            self.place(step, now);
        }
        commit.rejected
    }

    fn take_room(&mut self, step: &Step) {
        let Some(workload) = self.state.workload(step.workload) else {
            return;
        };
        for placement in &step.placements {
            // The check has seen the node.
            let _known = self.board.take(placement, &workload.tenant);
        }
    }

    /// Commits a plan made from this very state: whatever is refused of it is a defect. True: all
    /// of it is committed.
    fn commit_fresh(&mut self, plan: &Plan, now: Now) -> bool {
        let rejected = self.commit(plan, now);
        let whole = rejected.is_empty();
        for (step, rejection) in rejected {
            self.plans_rejected += 1;
            let what = format!("a step of {} was refused: {rejection}", step.workload);
            self.effects.push(Effect::Alert(what));
        }
        whole
    }

    /// Commits what was kept waiting for the solver. Meanwhile a node may have gone or a workload
    /// been cancelled; what is refused for that stays in the queue, or is gone from it.
    fn commit_held(&mut self, plan: &Plan, now: Now) {
        let _moved = self.commit(plan, now);
    }

    fn place(&mut self, step: Step, now: Now) {
        let id = step.workload;
        let nodes = nodes_of([&step]);
        if let Some(workload) = self.state.workload(id) {
            self.pending.remove(&(Reverse(workload.spec.priority), id));
        }
        let placements = step.placements;
        self.record(Event::Placed {
            workload: id,
            placements,
            at: now.wall(),
        });
        self.await_start(id, now);
        self.dirty.extend(nodes);
    }
}

pub(super) fn ask(workload: &Workload) -> Ask<'_> {
    Ask {
        workload: workload.id,
        attempt: workload.attempt + 1,
        tenant: &workload.tenant,
        spec: &workload.spec,
    }
}

fn nodes_of<'s>(steps: impl IntoIterator<Item = &'s Step>) -> BTreeSet<NodeName> {
    let placements = steps.into_iter().flat_map(|step| &step.placements);
    placements.map(|placement| placement.node.clone()).collect()
}
