//! Committing a plan: step by step against the newest state, for it may have moved since the plan
//! was made. What still fits is accepted, the rest comes back with its reason.

use crate::{
    check::{self, Rejection},
    plan::{Plan, Step},
    policy::Policy,
    state::State,
    view::Liveness,
};
use dovetail_model::id::NodeName;
use std::collections::BTreeMap;

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Commit {
    /// To be made durable, in order.
    pub accepted: Vec<Step>,
    /// Not carried out, and why.
    pub rejected: Vec<(Step, Rejection)>,
}

/// Takes the steps that fit the newest state.
pub fn commit(
    state: &State,
    live: &BTreeMap<NodeName, Liveness>,
    policy: &Policy,
    plan: &Plan,
) -> Commit {
    let mut commit = Commit::default();
    for step in &plan.steps {
        let verdict = check::parent(state, plan)
            .and_then(|()| check::step(state, live, policy, &commit.accepted, step));
        match verdict {
            Ok(()) => commit.accepted.push(step.clone()),
            Err(rejection) => commit.rejected.push((step.clone(), rejection)),
        }
    }
    commit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::tests::World, event::Event};
    use dovetail_model::{id::Revision, time::WallNs};

    fn commit_of(world: &World) -> Commit {
        commit(&world.state, &world.live, &world.policy, &world.plan)
    }

    #[test]
    fn what_still_fits_is_accepted_and_the_rest_comes_back_with_its_reason() {
        let mut world = World::new();
        assert_eq!(commit_of(&world).accepted, world.plan.steps);
        let ended = world.plan.steps[1].workload;
        let (end, at) = (crate::event::End::Cancelled, WallNs(2));
        world.apply(Event::Ended {
            workload: ended,
            end,
            at,
        });
        let commit = commit_of(&world);
        let accepted: Vec<_> = commit.accepted.iter().map(|step| step.workload).collect();
        let others = world.plan.steps.iter().map(|step| step.workload);
        assert_eq!(
            accepted,
            others.filter(|id| *id != ended).collect::<Vec<_>>()
        );
        assert_eq!(
            commit.rejected,
            [(world.plan.steps[1].clone(), Rejection::Over(ended))]
        );
    }

    #[test]
    fn what_was_accepted_can_be_made_durable_and_then_is_refused() {
        let mut world = World::new();
        for step in commit_of(&world).accepted {
            let (workload, placements) = (step.workload, step.placements);
            let at = WallNs(2);
            world.apply(Event::Placed {
                workload,
                placements,
                at,
            });
        }
        let again = commit_of(&world);
        assert_eq!(again.accepted, []);
        let placed_already =
            |(step, why): &(Step, Rejection)| *why == Rejection::PlacedAlready(step.workload);
        assert!(again.rejected.iter().all(placed_already), "{again:?}");
    }

    #[test]
    fn nothing_of_a_plan_from_the_future_is_accepted() {
        let mut world = World::new();
        world.plan.parent = Revision(world.state.revision().0 + 1);
        let commit = commit_of(&world);
        assert_eq!((commit.accepted.len(), commit.rejected.len()), (0, 4));
    }
}
