//! Repairs of a replay: what they may move, what they moved, and what they took.

use super::{
    ground::{self, Ground},
    naive,
};
use crate::{
    cluster::{Decision, TakeError},
    demand::Demand,
    trace::Trace,
    usage,
};
use dovetail_core::{
    decide::repair::{Bounds, ByScore, Effort, search, verify},
    packing::{self, Room},
    problem::repair::{Repair, Repaired, Resident, STEPS_MAX},
};
use dovetail_solver::{Stop, repair as exact};

/// Moves that may be saved up for a bad time.
const SAVED_MOVES_MAX: u64 = 240;
/// Moves that are kept for whoever needs several GPUs: small work finds a place again by itself.
const KEPT_MOVES: u64 = SAVED_MOVES_MAX / 2;
/// What one move is worth as a unit of account.
const PARTS: u64 = 10_000;

/// Nodes of the exact model's search tree: the same answer on every machine.
const EXACT_STOP: Stop = Stop::Nodes(16);

/// Every pod costs the same to restart per GPU: traces say nothing of it.
const RESTART_COST: u64 = 1;

/// How many pods may be moved: so many per 10 000 arrivals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveBudget {
    /// 130 are 1.3 moves per 100 arrivals.
    pub per_10_000_arrivals: u64,
}

/// What repairs did, and what they may still do.
#[derive(Debug)]
pub struct Repairs {
    /// Blocked pods for which something could be moved.
    pub asked: u64,
    /// How many of them the search solved.
    pub by_search: u64,
    /// How many only the exact model solved.
    pub by_exact: u64,
    /// Pods that were refused though an independent, naive search finds moves that help.
    pub missed: u64,
    /// Pods moved.
    pub moves: u64,
    /// CPU of each search in microseconds, in order of arrival.
    pub cpu_us: Vec<u64>,
    /// CPU of each exact model in microseconds, with its columns.
    pub exact_us: Vec<(u64, usize)>,
    /// What each search took, in counts.
    pub efforts: Vec<Effort>,
    budget: MoveBudget,
    saved_parts: u64,
    bare: Vec<Room>,
    classes: Vec<packing::Demand>,
}

/// A pod that was moved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) demand: Demand,
    /// Ticks since it had been started where it was.
    pub(super) ran_ticks: u64,
}

/// A repair that was carried out.
#[derive(Debug)]
pub(super) struct Found {
    /// Where the blocked pod is now.
    pub(super) decision: Decision,
    pub(super) moved: Vec<Moved>,
}

impl Repairs {
    pub(super) fn new(trace: &Trace, budget: MoveBudget) -> Self {
        Self {
            asked: 0,
            by_search: 0,
            by_exact: 0,
            missed: 0,
            moves: 0,
            cpu_us: Vec::new(),
            exact_us: Vec::new(),
            efforts: Vec::new(),
            budget,
            saved_parts: 0,
            bare: ground::rooms(trace),
            classes: ground::classes(trace),
        }
    }

    /// One more arrival.
    pub(super) fn earn(&mut self) {
        let saved = self.saved_parts + self.budget.per_10_000_arrivals;
        self.saved_parts = saved.min(SAVED_MOVES_MAX * PARTS);
    }

    /// Moves allowed for a pod: two for each GPU, one for a share. More would disturb more than it
    /// places.
    fn allowed(&self, demand: &Demand) -> u32 {
        let kept = if demand.gpus > 1 { 0 } else { KEPT_MOVES };
        let saved = (self.saved_parts / PARTS).saturating_sub(kept);
        let saved = u32::try_from(saved).unwrap_or(STEPS_MAX);
        let worth = if demand.is_share() {
            1
        } else {
            2 * u32::from(demand.gpus.max(1))
        };
        saved.min(worth).min(STEPS_MAX)
    }

    /// Moves others so that one of this class fits, if that is possible and allowed.
    pub(super) fn repair(
        &mut self,
        ground: &mut Ground<'_>,
        class: usize,
        measuring: bool,
    ) -> Result<Option<Found>, TakeError> {
        let steps_max = self.allowed(&ground.classes[class]);
        if steps_max == 0 {
            return Ok(None);
        }
        self.asked += 1;
        let problem = self.problem(ground, class, steps_max);
        let searched = self.search(ground, &problem);
        let answer = searched.or_else(|| self.solve(&problem));
        let Some(answer) = answer else {
            let missed = measuring && naive::fits_after_moves(ground, class, steps_max);
            self.missed += u64::from(missed);
            return Ok(None);
        };
        verify(&problem, &answer).expect("the search and the model answer what holds");
        self.carry_out(ground, &problem, &answer).map(Some)
    }

    fn search(&mut self, ground: &mut Ground<'_>, problem: &Repair) -> Option<Repaired> {
        let before_us = usage::thread_cpu_us();
        let bounds = Bounds::default();
        let (answer, effort) = match ground.policy.scoring() {
            Some(scoring) => search(problem, &mut ByScore::new(scoring.scorer, problem), bounds),
            None => search(problem, ground, bounds),
        };
        let took_us = usage::thread_cpu_us().saturating_sub(before_us);
        self.cpu_us.push(took_us);
        self.efforts.push(effort);
        self.by_search += u64::from(answer.is_some());
        answer
    }

    fn solve(&mut self, problem: &Repair) -> Option<Repaired> {
        let before_us = usage::thread_cpu_us();
        let answer = exact::solve_on_few(problem, EXACT_STOP);
        let took_us = usage::thread_cpu_us().saturating_sub(before_us);
        self.exact_us.push((took_us, answer.columns));
        self.by_exact += u64::from(answer.repaired.is_some());
        answer.repaired
    }

    fn problem(&self, ground: &Ground<'_>, blocked: usize, steps_max: u32) -> Repair {
        let resident = |(key, live): (usize, &super::population::Live)| Resident {
            key: key as u64,
            class: live.class,
            at: ground::slot(live.decision),
            priority: 0,
            move_cost: Some(Resident::cost_of_move(
                ground.classes[live.class].total_milli(),
                RESTART_COST,
            )),
            stop_cost: None,
        };
        let scoring = ground.policy.scoring();
        let bare = scoring.map_or(&self.bare[..], |scoring| scoring.bare);
        let classes = scoring.map_or(&self.classes[..], |scoring| scoring.classes);
        Repair {
            bare: bare.to_vec(),
            classes: classes.to_vec(),
            residents: ground.population.all().map(resident).collect(),
            blocked,
            members: 1,
            priority: 0,
            steps_max,
            seed: 0,
        }
    }

    fn carry_out(
        &mut self,
        ground: &mut Ground<'_>,
        problem: &Repair,
        answer: &Repaired,
    ) -> Result<Found, TakeError> {
        let mut moved = Vec::new();
        for step in &answer.steps {
            let resident = &problem.residents[step.resident];
            let to = ground::decision(step.to.as_ref().expect("nobody may be stopped"));
            let key = usize::try_from(resident.key).expect("it was an arrival's number");
            let since = ground.population.moved(key, to, ground.now);
            ground.switch(resident.class, ground::decision(&resident.at), to)?;
            moved.push(Moved {
                demand: ground.classes[resident.class],
                ran_ticks: ground.now - since,
            });
        }
        self.moves += moved.len() as u64;
        self.saved_parts -= moved.len() as u64 * PARTS;
        let decision = ground::decision(&answer.slots[0]);
        ground.take(problem.blocked, decision)?;
        Ok(Found { decision, moved })
    }
}
