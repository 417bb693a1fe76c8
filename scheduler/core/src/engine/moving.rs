//! What moving others would do for a workload that fits nowhere: told to people, and not carried out.

use super::{Engine, schedule::ask};
use crate::{
    check,
    decide::{
        self,
        repair::{Bounds, ByScore, Mover, Posed, propose},
    },
    explain::{Move, Moving},
    problem::repair::Repaired,
    state::{Member, State, Workload},
};
use dovetail_model::id::{NodeName, WorkloadId};

/// Somebody waits for the answer, and everybody else behind him.
const BOUNDS: Bounds = Bounds {
    looks: 1000,
    seats: 200,
};

impl Engine {
    /// Moves of others that would let a waiting workload start, if they are worth looking for: it is
    /// a gang or wants GPUs, and fits nowhere now.
    pub(super) fn moving(&mut self, id: WorkloadId) -> Option<Moving> {
        let workload = self.state.workload(id).filter(|w| w.is_pending())?;
        let spec = &workload.spec;
        let large = spec.gang_size > 1 || spec.resources.gpu.is_some();
        let blocked = ask(workload);
        if !large || decide::fits_now(&mut self.board, &blocked) {
            return None;
        }
        let posed = Posed::new(&mut self.board, blocked, |node| movers(&self.state, node));
        let mut placer = ByScore::new(self.board.scorer(), posed.repair());
        let found = propose(posed.repair(), &mut placer, BOUNDS);
        let proposal = found.and_then(|answer| self.proposal(&posed, &answer));
        Some(proposal.unwrap_or_else(|| Moving {
            movable: posed.movers().len(),
            ..Moving::default()
        }))
    }

    /// The answer in terms of workloads and nodes; nothing if it does not hold on the state itself,
    /// of which rooms are only a picture.
    fn proposal(&self, posed: &Posed<'_>, answer: &Repaired) -> Option<Moving> {
        let (moves, blocked) = posed.steps(&self.board, answer)?;
        check::moves(&self.state, &self.live, &self.policy, &moves, &blocked).ok()?;
        let movers = answer
            .steps
            .iter()
            .map(|step| &posed.movers()[step.resident]);
        let moves = moves.into_iter().zip(movers).map(|(step, mover)| {
            Some(Move {
                workload: step.workload,
                name: mover.ask.spec.name.clone(),
                from: mover.at.clone(),
                to: step.placements.into_iter().next()?,
                cost_seconds: mover.cost,
            })
        });
        Some(Moving {
            movable: posed.movers().len(),
            moves: moves.collect::<Option<_>>()?,
            placements: blocked.placements,
            cost_seconds: answer.cost,
        })
    }
}

/// Who may move off a node. A gang would have to be stopped and placed whole, so it stays.
fn movers<'s>(state: &'s State, node: &NodeName) -> Vec<Mover<'s>> {
    let held = state.held_on(node);
    held.filter_map(|member| mover(state, member)).collect()
}

fn mover<'s>(state: &'s State, member: &'s Member) -> Option<Mover<'s>> {
    let workload: &Workload = state.workload(member.placement.slice.workload)?;
    let movable = workload.spec.movable?;
    let stays = workload.spec.gang_size > 1 || !workload.is_placed() || workload.is_stopping();
    let parts = member.placement.gpus.len().max(1) as u64;
    (!stays).then(|| Mover {
        ask: ask(workload),
        at: &member.placement,
        cost: u64::from(movable.restart_cost_seconds) * parts,
    })
}
