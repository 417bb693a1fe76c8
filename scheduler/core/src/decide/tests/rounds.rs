//! Whole queues on one cluster.

use super::{
    ask,
    clusters::{asks, cluster, queue, wrongs},
    label, node, round, spec, taint, tenant, whole,
};
use crate::{
    decide::{Board, Round, place},
    plan::Step,
    policy::Policy,
    view::ClusterView,
};
use dovetail_model::{
    id::{Revision, WorkloadId},
    label::Toleration,
    units::CpuMilli,
};
use proptest::prelude::*;

fn greedy() -> Policy {
    Policy {
        solver: false,
        ..Policy::default()
    }
}

/// Every step of a round, in the order of the queue.
fn all_steps(round: &Round) -> Vec<Step> {
    let held = round.held.iter().flat_map(|held| &held.greedy.steps);
    let mut steps: Vec<Step> = round.plan.steps.iter().chain(held).cloned().collect();
    steps.sort_by_key(|step| step.workload);
    steps
}

#[test]
fn a_hundred_thousand_equal_waiters_cost_one_look() {
    let (tenant, mut spec) = (tenant("a"), spec("w"));
    spec.resources.cpu = CpuMilli(1_000_000);
    let view = ClusterView::of((0..200).map(|index| node(&format!("n{index}"), 8)));
    let queue = (1..=100_000).map(|id| ask(id, &tenant, &spec));
    // Without the memory of what failed this is 20 million looks at nodes, and the suite shows it.
    let round = round(&view, Revision(1), queue, &greedy());
    assert_eq!(round.plan.steps, []);
    assert_eq!(round.waiting.len(), 100_000);
}

#[test]
fn small_work_is_placed_behind_a_gang_that_does_not_fit() {
    let (tenant, mut big, small) = (tenant("a"), spec("big"), spec("small"));
    big.gang_size = 3;
    big.resources.gpu = Some(whole(8));
    let view = ClusterView::of([node("n1", 8), node("n2", 8)]);
    let queue = [ask(1, &tenant, &big), ask(2, &tenant, &small)];
    let round = round(&view, Revision(7), queue, &greedy());
    assert_eq!(round.waiting, [queue[0].workload]);
    assert_eq!(round.plan.steps.len(), 1);
    assert_eq!(round.plan.steps[0].workload, queue[1].workload);
    assert_eq!(round.plan.parent, Revision(7));
}

#[test]
fn requests_that_differ_in_labels_or_tolerations_alone_fail_and_fit_apart() {
    let (tenant, mut other, mut good) = (tenant("a"), spec("other"), spec("good"));
    let mut node = node("n1", 0);
    node.labels = [label("zone", "a")].into();
    node.taints = vec![taint("slow", "")];
    let plain = good.clone();
    good.tolerations = vec![Toleration::of(&node.taints[0])];
    other.tolerations.clone_from(&good.tolerations);
    other.node_selector = [label("zone", "b")].into();
    let view = ClusterView::of([node]);
    let queue = [&plain, &other, &good].map(|spec| (spec, tenant.clone()));
    let asks = (1..)
        .zip(&queue)
        .map(|(id, (spec, tenant))| ask(id, tenant, spec));
    let round = round(&view, Revision(1), asks, &greedy());
    assert_eq!(round.waiting, [1, 2].map(WorkloadId));
    assert_eq!(round.plan.steps.len(), 1);
}

proptest! {
    #[test]
    fn nothing_is_given_away_twice_and_everybody_is_placed_whole(
        view in cluster(),
        queue in queue(),
        solver in any::<bool>(),
    ) {
        let policy = Policy { solver, ..Policy::default() };
        let asks = asks(&queue);
        let round = round(&view, Revision(1), asks.iter().copied(), &policy);
        prop_assert_eq!(wrongs(&view, &asks, &all_steps(&round)), Vec::<String>::new());
        prop_assert_eq!(all_steps(&round).len() + round.waiting.len(), asks.len());
    }

    #[test]
    fn the_same_queue_gives_the_same_round(view in cluster(), queue in queue()) {
        let policy = Policy::default();
        let once = round(&view, Revision(1), asks(&queue), &policy);
        let again = round(&view, Revision(1), asks(&queue), &policy);
        prop_assert_eq!(once, again);
    }

    #[test]
    fn remembering_what_failed_changes_nothing(view in cluster(), mut queue in queue()) {
        // Every request twice, so that there is something to remember.
        queue.extend(queue.clone());
        let mut room = Board::of(view.clone(), greedy());
        let mut steps = Vec::new();
        for ask in asks(&queue) {
            if let Some(placements) = place(&mut room, &ask) {
                steps.push(Step { workload: ask.workload, placements });
            }
        }
        let round = round(&view, Revision(1), asks(&queue), &greedy());
        prop_assert_eq!(round.plan.steps, steps);
    }

    #[test]
    fn nobody_is_passed_over_who_fits(view in cluster(), queue in queue()) {
        let asks = asks(&queue);
        let round = round(&view, Revision(1), asks.iter().copied(), &greedy());
        for waiter in &round.waiting {
            // Room as the waiter found it: after those ahead, before everybody behind.
            let mut room = Board::of(view.clone(), greedy());
            let ahead = round.plan.steps.iter().filter(|step| step.workload < *waiter);
            for step in ahead {
                let tenant = &queue[usize::try_from(step.workload.0).unwrap() - 1].0;
                step.placements.iter().for_each(|p| assert!(room.take(p, tenant)));
            }
            let ask = asks.iter().find(|ask| ask.workload == *waiter).unwrap();
            prop_assert_eq!(place(&mut room, ask), None);
        }
    }
}
