//! What goes to the solver, and what comes back.

use super::{
    clusters::{asks, cluster, queue, wrongs},
    round,
};
use crate::{
    decide::{Ask, Held, Round, hold::integers, instances, plan_of},
    outcome::{Answer, Assigned, Outcome, Stats, Status},
    policy::Policy,
    problem::{
        Problem, Task,
        exact::{Assignment, Exact, INTEGERS_MAX, NODES_MAX, Slot},
        window::{Effort, Packed},
    },
    view::ClusterView,
};
use dovetail_model::{
    id::{Revision, WorkloadId},
    workload::WorkloadKind,
};
use proptest::prelude::*;

fn decide(instance: &instances::Instance, policy: &Policy) -> Round {
    round(&instance.view, Revision(5), instance.queue(), policy)
}

fn outcome(problem: &Problem, assignments: Vec<Assignment>) -> Outcome {
    Outcome {
        problem: problem.id,
        answer: Answer::Exact(Assigned {
            status: Status::Optimal,
            assignments,
            stats: Stats::default(),
        }),
        elapsed_us: 0,
    }
}

fn exact(problem: &Problem) -> &Exact {
    let Task::Exact(exact) = &problem.task else {
        panic!("a stranded gang is an exact problem: {problem:?}");
    };
    exact
}

fn assignments(outcome: &mut Outcome) -> &mut Vec<Assignment> {
    let Answer::Exact(answer) = &mut outcome.answer else {
        panic!("an exact problem has an exact answer");
    };
    &mut answer.assignments
}

fn assignment(item: usize, members: &[(usize, std::ops::Range<usize>)]) -> Assignment {
    let slot = |(node, gpus): &(usize, std::ops::Range<usize>)| Slot {
        node: *node,
        gpus: gpus.clone().collect(),
    };
    Assignment {
        item,
        members: members.iter().map(slot).collect(),
    }
}

/// One of the small ones on each node, and a member of the gang beside each.
fn spread() -> Vec<Assignment> {
    vec![
        assignment(2, &[(0, 3..8), (1, 3..8)]),
        assignment(0, &[(0, 0..3)]),
        assignment(1, &[(1, 0..3)]),
    ]
}

#[test]
fn a_gang_that_best_fit_strands_goes_to_the_solver() {
    let instance = instances::stranded_gang();
    let round = decide(&instance, &Policy::default());
    let held = round.held.unwrap();
    assert_eq!(round.plan.steps, [], "batch work waits for the answer");
    assert_eq!(exact(&held.problem).nodes.len(), 2);
    let items: Vec<u64> = exact(&held.problem)
        .items
        .iter()
        .map(|i| i.workload.0)
        .collect();
    assert_eq!(items, [1, 2, 3]);
    let started: Vec<usize> = exact(&held.problem).start.iter().map(|a| a.item).collect();
    assert_eq!(started, [0, 1], "greedy places the two small ones only");
    let node = |index: usize| exact(&held.problem).start[index].members[0].node;
    assert_eq!(node(0), node(1), "and puts them on one node");
    assert_eq!(held.greedy.steps.len(), 2);
    assert_eq!(held.greedy.parent, Revision(5));
}

#[test]
fn without_a_solver_the_greedy_answer_is_committed_at_once() {
    let instance = instances::stranded_gang();
    let policy = Policy {
        solver: false,
        ..Policy::default()
    };
    let round = decide(&instance, &policy);
    assert_eq!(round.held, None);
    assert_eq!(round.plan.steps.len(), 2);
}

#[test]
fn services_do_not_wait_for_the_solver() {
    let mut instance = instances::stranded_gang();
    instance.specs[0].kind = WorkloadKind::Service;
    instance.specs[1].kind = WorkloadKind::Session;
    let round = decide(&instance, &Policy::default());
    assert_eq!(round.held, None);
    assert_eq!(round.plan.steps.len(), 2);
}

#[test]
fn a_better_answer_becomes_a_plan_that_places_everybody() {
    let instance = instances::stranded_gang();
    let (view, asks) = (&instance.view, instance.queue());
    let held = decide(&instance, &Policy::default()).held.unwrap();
    let answer = outcome(&held.problem, spread());
    let plan = plan_of(&held, &answer, &asks, view).unwrap();
    let order: Vec<u64> = plan.steps.iter().map(|step| step.workload.0).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(wrongs(view, &asks, &plan.steps), Vec::<String>::new());
}

#[test]
fn a_malformed_answer_is_no_plan() {
    let instance = instances::stranded_gang();
    let (view, asks) = (&instance.view, instance.queue());
    let held = decide(&instance, &Policy::default()).held.unwrap();
    let problem = held.problem.clone();
    let refused = |change: fn(&mut Outcome)| {
        let mut answer = outcome(&problem, spread());
        change(&mut answer);
        plan_of(&held, &answer, &asks, view).is_none()
    };
    assert!(!refused(|_| {}));
    assert!(refused(|o| o.problem += 1), "another problem");
    assert!(refused(|o| assignments(o)[0].item = 3), "unknown item");
    assert!(refused(|o| assignments(o)[0].item = 1), "an item twice");
    assert!(
        refused(|o| assignments(o)[0].members.truncate(1)),
        "half a gang"
    );
    assert!(
        refused(|o| assignments(o)[1].members[0].node = 2),
        "unknown node"
    );
    assert!(
        refused(|o| assignments(o)[1].members[0].gpus[0] = 8),
        "unknown GPU"
    );
    assert!(
        refused(|o| assignments(o)[1].members[0].gpus[0] = 1),
        "a GPU twice"
    );
    assert!(
        refused(|o| assignments(o)[1].members[0].gpus.truncate(2)),
        "too few GPUs"
    );
    assert!(plan_of(&held, &outcome(&problem, spread()), &asks[1..], view).is_none());
}

/// The start of a window is the greedy plan, and all of it is batch work.
fn windows(view: &ClusterView, asks: &[Ask<'_>], held: &Held) -> Result<(), TestCaseError> {
    let Task::Window(window) = &held.problem.task else {
        panic!("rounds make exact problems and windows")
    };
    let answer = Outcome {
        problem: held.problem.id,
        answer: Answer::Window(Packed {
            puts: window.start.clone(),
            ceiling: 0,
            coarsening_permille: 0,
            effort: Effort::default(),
        }),
        elapsed_us: 0,
    };
    let plan = plan_of(held, &answer, asks, view);
    prop_assert_eq!(plan.as_ref(), Some(&held.greedy));
    let counted: u32 = window.classes.iter().map(|class| class.count).sum();
    prop_assert_eq!(counted as usize, held.workloads.len());
    prop_assert!(held.workloads.len() > window.start.len(), "somebody waits");
    for id in &held.workloads {
        let ask = asks.iter().find(|ask| ask.workload == *id).unwrap();
        prop_assert_eq!(ask.spec.kind, WorkloadKind::Batch);
        prop_assert_eq!(ask.spec.gang_size, 1);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        // Most queues strand nobody, or nobody for whom there would be room.
        max_global_rejects: 100_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_problem_is_small_and_its_start_is_the_greedy_plan(
        view in cluster(),
        queue in queue(),
        tenants_share_gpus in any::<bool>(),
    ) {
        let policy = Policy { tenants_share_gpus, ..Policy::default() };
        let asks = asks(&queue);
        let round = round(&view, Revision(1), asks.iter().copied(), &policy);
        prop_assume!(round.held.is_some());
        let held = round.held.unwrap();
        let Task::Exact(problem) = &held.problem.task else {
            return windows(&view, &asks, &held);
        };
        prop_assert!(problem.nodes.len() <= NODES_MAX);
        prop_assert!(problem.items.iter().map(integers).sum::<usize>() <= INTEGERS_MAX);
        let start = outcome(&held.problem, problem.start.clone());
        let plan = plan_of(&held, &start, &asks, &view);
        prop_assert_eq!(plan.as_ref(), Some(&held.greedy));
        let committed = |id: WorkloadId| round.plan.steps.iter().any(|s| s.workload == id);
        prop_assert!(problem.items.iter().all(|item| !committed(item.workload)));
        prop_assert!(problem.items.len() > problem.start.len(), "somebody is stranded");
        let kind = |id: WorkloadId| {
            asks.iter().find(|ask| ask.workload == id).map(|ask| ask.spec.kind)
        };
        let mut steps = held.greedy.steps.iter();
        prop_assert!(steps.all(|step| kind(step.workload) == Some(WorkloadKind::Batch)));
    }
}
