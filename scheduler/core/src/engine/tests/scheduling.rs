//! Who starts when, and what the solver has to do with it.

use super::*;
use crate::{
    outcome::{Answer, Assigned, Outcome, SolveFailure, Stats, Status},
    problem::{
        Task,
        exact::{Assignment, Exact, Slot},
    },
};
use dovetail_model::workload::WorkloadKind;

#[test]
fn higher_priority_goes_first_and_equals_first_come() {
    let mut world = World::new();
    let low = world.submit(whole("low", 8, 1)).workload.id;
    let mut urgent = whole("urgent", 8, 1);
    urgent.priority = 10;
    let urgent = world.submit(urgent).workload.id;
    let later = world.submit(whole("later", 8, 1)).workload.id;
    world.node("n1", 8);
    world.passes(SECOND_NS);
    assert_eq!(world.state_of(urgent), WorkloadState::Running);
    assert_eq!(world.state_of(low), WorkloadState::Pending);
    world.exits(
        SliceId {
            workload: urgent,
            attempt: 1,
            member: 0,
        },
        ExitCause::Exit(0),
    );
    world.passes(SECOND_NS);
    assert_eq!(world.state_of(low), WorkloadState::Running);
    assert_eq!(world.state_of(later), WorkloadState::Pending);
}

#[test]
fn small_work_fills_the_room_a_waiting_gang_cannot_use() {
    let mut world = World::new();
    world.node("n1", 8);
    world.submit(whole("first", 5, 1));
    let big = world.submit(whole("big", 4, 1)).workload.id;
    let small = world.submit(share("small", 500)).workload.id;
    world.passes(SECOND_NS);
    assert_eq!(world.state_of(big), WorkloadState::Pending);
    assert_eq!(world.state_of(small), WorkloadState::Running);
}

#[test]
fn gangs_are_placed_whole_or_not_at_all() {
    let mut world = World::new();
    world.node("n1", 8);
    world.node("n2", 4);
    world.submit(whole("first", 1, 1));
    let gang = world.submit(whole("gang", 4, 3));
    assert_eq!(gang.state, WorkloadState::Pending);
    assert!(gang.workload.members.is_empty());
    assert_eq!(gang.reason.unwrap().token(), "GangIncomplete");
}

#[test]
fn tenants_do_not_share_a_gpu() {
    let mut world = World::new();
    world.node("n1", 1);
    world.submit(share("a", 300));
    let other = workload(world.try_submit(1001, "r", share("b", 300)).unwrap());
    assert_eq!(other.state, WorkloadState::Pending);
    let same = world.submit(share("c", 300));
    assert_eq!(same.state, WorkloadState::Reserved);
}

/// Two nodes of eight GPUs: 3, 3 and a gang of two fives. Greedy puts both threes on one node.
fn stranded() -> (World, [WorkloadId; 3]) {
    let mut world = World::new();
    let ids = [whole("a", 3, 1), whole("b", 3, 1), whole("gang", 5, 2)]
        .map(|spec| world.submit(spec).workload.id);
    world.node("n1", 8);
    world.node("n2", 8);
    world.passes(SECOND_NS);
    (world, ids)
}

fn exact(problem: &Problem) -> &Exact {
    let Task::Exact(exact) = &problem.task else {
        panic!("a stranded gang is an exact problem: {problem:?}");
    };
    exact
}

fn answer(problem: &Problem) -> Outcome {
    let slot = |node, gpus: std::ops::Range<usize>| Slot {
        node,
        gpus: gpus.collect(),
    };
    let exact = exact(problem);
    let item = |id: WorkloadId| exact.items.iter().position(|i| i.workload == id).unwrap();
    let ids: Vec<WorkloadId> = exact.items.iter().map(|i| i.workload).collect();
    let members = [
        vec![slot(0, 0..3)],
        vec![slot(1, 0..3)],
        vec![slot(0, 3..8), slot(1, 3..8)],
    ];
    let mut sorted = ids;
    sorted.sort_unstable();
    let assignments = sorted.iter().zip(members);
    Outcome {
        problem: problem.id,
        answer: Answer::Exact(Assigned {
            status: Status::Optimal,
            assignments: assignments
                .map(|(id, members)| Assignment {
                    item: item(*id),
                    members,
                })
                .collect(),
            stats: Stats::default(),
        }),
        elapsed_us: 0,
    }
}

#[test]
fn a_gang_that_greedy_strands_waits_for_the_solver_and_is_placed() {
    let (mut world, ids) = stranded();
    assert_eq!(world.solves.len(), 1);
    for id in ids {
        let view = world.get(id);
        assert_eq!(view.state, WorkloadState::Pending);
        assert_eq!(view.reason.unwrap().token(), "AwaitingSolver");
    }
    let problem = world.solves[0].clone();
    world.input(Input::Solved {
        problem: problem.id,
        outcome: Ok(answer(&problem)),
    });
    for id in ids {
        assert_eq!(world.state_of(id), WorkloadState::Running);
    }
    let counters = world.engine.solver_counters();
    assert_eq!(
        (
            counters.runs,
            counters.improved,
            counters.fallbacks,
            counters.kills
        ),
        (1, 1, 0, 0)
    );
}

#[test]
fn without_an_answer_the_greedy_plan_is_used() {
    for failure in [
        Some(SolveFailure::Killed),
        Some(SolveFailure::Failed("x".to_owned())),
        None,
    ] {
        let (mut world, [a, b, gang]) = stranded();
        let problem = world.solves[0].id;
        let killed = u64::from(failure == Some(SolveFailure::Killed));
        match failure {
            Some(failure) => world.input(Input::Solved {
                problem,
                outcome: Err(failure),
            }),
            None => world.passes(2 * SECOND_NS),
        }
        assert_eq!(world.state_of(a), WorkloadState::Running);
        assert_eq!(world.state_of(b), WorkloadState::Running);
        assert_eq!(world.state_of(gang), WorkloadState::Pending);
        let counters = world.engine.solver_counters();
        assert_eq!(
            (counters.runs, counters.fallbacks, counters.kills),
            (1, 1, killed)
        );
    }
}

#[test]
fn a_wrong_answer_is_refused_whole() {
    let (mut world, [a, _, gang]) = stranded();
    let problem = world.solves[0].clone();
    let mut outcome = answer(&problem);
    let Answer::Exact(answer) = &mut outcome.answer else {
        panic!("an exact problem has an exact answer");
    };
    answer.assignments[0].members[0].gpus = vec![3, 4, 5];
    world.input(Input::Solved {
        problem: problem.id,
        outcome: Ok(outcome),
    });
    assert_eq!(world.state_of(a), WorkloadState::Running);
    assert_eq!(world.state_of(gang), WorkloadState::Pending);
    assert_eq!(world.engine.solver_counters().fallbacks, 1);
}

#[test]
fn an_answer_to_another_problem_is_ignored() {
    let (mut world, [a, ..]) = stranded();
    let problem = world.solves[0].clone();
    world.input(Input::Solved {
        problem: problem.id + 1,
        outcome: Ok(answer(&problem)),
    });
    assert_eq!(world.state_of(a), WorkloadState::Pending);
}

#[test]
fn services_do_not_wait_for_the_solver() {
    let (mut world, _) = stranded();
    let mut service = share("service", 300);
    service.kind = WorkloadKind::Service;
    let service = world.submit(service).workload.id;
    assert_eq!(world.state_of(service), WorkloadState::Running);
}

#[test]
fn a_workload_cancelled_while_the_solver_works_stays_cancelled() {
    let (mut world, [a, _, gang]) = stranded();
    assert_eq!(world.cancel(a).state, WorkloadState::Cancelled);
    let problem = world.solves[0].clone();
    world.input(Input::Solved {
        problem: problem.id,
        outcome: Ok(answer(&problem)),
    });
    world.passes(SECOND_NS);
    assert_eq!(world.state_of(a), WorkloadState::Cancelled);
    assert_eq!(world.state_of(gang), WorkloadState::Running);
}
