//! What moving others would do for a workload that fits nowhere: told to people, and not carried out.
//!
//! A bounded search answers at once. Only if it finds nothing, the exact model is asked about the few
//! nodes where a way is likely, and the explanation waits for it as long as a person would.

use super::{Engine, resolve::may_see, schedule::ask};
use crate::{
    check,
    decide::{
        self,
        repair::{Bounds, ByScore, Mover, Posed, Selected, propose, select, verify},
    },
    effect::{Answer, Effect},
    explain::{Move, Moving},
    input::{Caller, ReplyId, WorkloadRef},
    outcome::{self, Outcome},
    problem::{Limits, Problem, Task, repair::Repaired},
    state::{Member, State, Workload},
};
use dovetail_model::{
    id::{NodeName, WorkloadId},
    time::Now,
};

/// Somebody waits for the answer, and everybody else behind him.
const BOUNDS: Bounds = Bounds {
    looks: 1000,
    seats: 200,
};
/// Nodes to vacate that the exact model is asked about together.
const VACATED: usize = 8;
/// What a person hardly notices, and what he waits for at most.
const LIMITS: Limits = Limits {
    soft_ms: 50,
    hard_ms: 500,
    seed: 1,
};
/// Time from the hard limit until an answer is no longer waited for.
const GRACE_NS: u64 = 250_000_000;

/// An explanation that waits for the exact model; one at a time, others are answered without it.
#[derive(Debug)]
pub(super) struct Explaining {
    problem: u64,
    deadline: u64,
    reply: ReplyId,
    caller: Caller,
    workload: WorkloadId,
    few: Selected,
}

impl Engine {
    /// Answers why a workload waits or runs where it runs, now or when the exact model has answered.
    pub(super) fn explain_to(&mut self, reply: ReplyId, caller: Caller, named: &WorkloadRef) {
        let id = match self.resolve(&caller, named) {
            Ok(workload) => workload.id,
            Err(refusal) => return self.reply(reply, Err(refusal)),
        };
        let found = self.posed(id, |engine, posed| {
            let mut placer = ByScore::new(engine.board.scorer(), posed.repair());
            let found = propose(posed.repair(), &mut placer, BOUNDS);
            let moving = engine.moving(posed, found);
            let open = moving.moves.is_empty() && moving.movable > 0;
            let asks = open && engine.may_ask_for_moves();
            let few = asks.then(|| select(posed.repair(), &[VACATED]).pop());
            (moving, few.flatten())
        });
        let (moving, few) = found.unzip();
        match few.flatten().filter(|few| !few.repair.residents.is_empty()) {
            Some(few) => self.ask_for_moves(reply, caller, id, few),
            None => self.reply_explained(reply, &caller, id, moving),
        }
    }

    /// When an explanation is no longer held back.
    pub(super) fn explanation_due(&self) -> Option<u64> {
        self.explaining.as_ref().map(|waits| waits.deadline)
    }

    /// Whether the problem was one of an explanation; then that is given, with an answer that holds.
    pub(super) fn moves_solved(&mut self, problem: u64, outcome: Option<&Outcome>) -> bool {
        let waits = self.explaining.take_if(|waits| waits.problem == problem);
        let Some(waits) = waits else {
            return false;
        };
        let answer = match outcome.map(|outcome| &outcome.answer) {
            Some(outcome::Answer::Repair(answer)) => answer.clone(),
            _ => None,
        };
        let answer = answer.filter(|answer| verify(&waits.few.repair, answer).is_ok());
        let answer = answer.map(|answer| waits.few.in_the_whole(answer));
        // Posed anew: if the cluster is another by now, the answer holds there too or is none.
        let moving = self.posed(waits.workload, |engine, posed| {
            let holds = |answer: &Repaired| verify(posed.repair(), answer).is_ok();
            engine.moving(posed, answer.filter(holds))
        });
        self.reply_explained(waits.reply, &waits.caller, waits.workload, moving);
        true
    }

    /// Nobody waits longer for moves than this.
    pub(super) fn give_up_on_moves(&mut self, now: Now) {
        let overdue = self.explaining.as_ref();
        let overdue = overdue.filter(|waits| now.boot_ns >= waits.deadline);
        if let Some(problem) = overdue.map(|waits| waits.problem) {
            self.moves_solved(problem, None);
        }
    }

    fn reply_explained(
        &mut self,
        reply: ReplyId,
        caller: &Caller,
        id: WorkloadId,
        moving: Option<Moving>,
    ) {
        let answer = self.resolve(caller, &WorkloadRef::Id(id)).map(|workload| {
            let mut explanation = Box::new(self.explain(workload));
            explanation.moving = moving.map(|moving| self.veiled(caller, moving));
            Answer::Explanation {
                workload: Box::new(self.show(caller, workload)),
                explanation,
            }
        });
        self.reply(reply, answer);
    }

    /// Without the names of work that the caller may not see.
    fn veiled(&self, caller: &Caller, mut moving: Moving) -> Moving {
        for one in &mut moving.moves {
            let workload = self.state.workload(one.workload);
            let visible = workload.is_some_and(|workload| may_see(caller, workload));
            one.name.take_if(|_| !visible);
        }
        moving
    }

    fn may_ask_for_moves(&self) -> bool {
        let free = self.policy.solver && self.explaining.is_none();
        free && self.watch.allows(self.now.boot_ns)
    }

    fn ask_for_moves(
        &mut self,
        reply: ReplyId,
        caller: Caller,
        workload: WorkloadId,
        few: Selected,
    ) {
        self.solves += 1;
        self.effects.push(Effect::Solve(Box::new(Problem {
            id: self.solves,
            revision: self.state.revision(),
            limits: LIMITS,
            task: Task::Repair(few.repair.clone()),
        })));
        self.explaining = Some(Explaining {
            problem: self.solves,
            deadline: self.now.boot_ns + LIMITS.hard_ms * 1_000_000 + GRACE_NS,
            reply,
            caller,
            workload,
            few,
        });
    }

    /// Does this with the question who could move for a waiting workload, if it is worth asking: it
    /// is a gang or wants GPUs, and fits nowhere now.
    pub(super) fn posed<T>(
        &mut self,
        id: WorkloadId,
        ask_it: impl FnOnce(&Self, &Posed<'_>) -> T,
    ) -> Option<T> {
        let workload = self.state.workload(id).filter(|w| w.is_pending())?;
        let spec = &workload.spec;
        let large = spec.gang_size > 1 || spec.resources.gpu.is_some();
        let blocked = ask(workload);
        if !large || decide::find(&mut self.board, &blocked).is_some() {
            return None;
        }
        let posed = Posed::new(&mut self.board, blocked, |node| movers(&self.state, node));
        Some(ask_it(self, &posed))
    }

    /// The answer for people; no moves if there is none, or if it does not hold on the state itself,
    /// of which rooms are only a picture.
    fn moving(&self, posed: &Posed<'_>, answer: Option<Repaired>) -> Moving {
        let proposal = answer.and_then(|answer| self.proposal(posed, &answer));
        Moving {
            movable: posed.movers().len(),
            ..proposal.unwrap_or_default()
        }
    }

    /// The same, or nothing if it does not hold.
    pub(super) fn proposal(&self, posed: &Posed<'_>, answer: &Repaired) -> Option<Moving> {
        let (moves, blocked) = posed.steps(&self.board, answer)?;
        check::moves(&self.state, &self.live, &self.policy, &moves, &blocked).ok()?;
        let steps = answer.steps.iter();
        let movers = steps.map(|step| &posed.movers()[step.resident]);
        let moves = moves.into_iter().zip(movers).map(|(step, mover)| {
            Some(Move {
                workload: step.workload,
                name: Some(mover.ask.spec.name.clone()),
                from: mover.at.clone(),
                to: step.placements.into_iter().next()?,
                cost_seconds: mover.cost,
            })
        });
        Some(Moving {
            moves: moves.collect::<Option<_>>()?,
            placements: blocked.placements,
            cost_seconds: answer.cost,
            ..Moving::default()
        })
    }
}

/// Who may move off a node. A gang would have to be stopped and placed whole, so it stays.
fn movers<'s>(state: &'s State, node: &NodeName) -> Vec<Mover<'s>> {
    let held = state.held_on(node);
    held.filter_map(|(workload, member)| mover(workload, member))
        .collect()
}

fn mover<'s>(workload: &'s Workload, member: &'s Member) -> Option<Mover<'s>> {
    let movable = workload.spec.movable?;
    let stays = workload.spec.gang_size > 1 || !workload.is_placed() || workload.is_stopping();
    let parts = member.placement.gpus.len().max(1) as u64;
    (!stays).then(|| Mover {
        ask: ask(workload),
        at: &member.placement,
        cost: u64::from(movable.restart_cost_seconds) * parts,
    })
}
