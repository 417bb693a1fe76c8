//! What the engine asks of the solver beside stranded gangs: windows of waiting work, and prices.

use super::*;
use crate::{
    outcome::{Answer, Outcome, SolveFailure},
    packing::{NodePrices, Prices},
    problem::{
        Task,
        window::{Effort, Packed, Put, Window},
    },
};

/// One GPU, and shares of 500, 700 and 300 that wait for it together. Greedy places 500 and 300.
fn waiting() -> (World, [WorkloadId; 3]) {
    let mut world = World::new();
    let ids = [("a", 500), ("b", 700), ("c", 300)]
        .map(|(name, milli)| world.submit(share(name, milli)).workload.id);
    world.node("n1", 1);
    world.passes(SECOND_NS);
    (world, ids)
}

fn window(world: &World) -> &Window {
    assert_eq!(world.solves.len(), 1);
    let Task::Window(window) = &world.solves[0].task else {
        panic!("three shares are a window: {:?}", world.solves[0]);
    };
    window
}

/// A put of every class with a worth like this on the only GPU.
fn puts(window: &Window, worths: &[u64]) -> Vec<Put> {
    let class = |worth: &u64| {
        let mut classes = window.classes.iter();
        classes.position(|class| class.worth == *worth).unwrap()
    };
    let put = |worth| Put {
        class: class(worth),
        node: 0,
        gpus: vec![0],
    };
    worths.iter().map(put).collect()
}

fn answers(world: &mut World, puts: Vec<Put>) {
    let problem = world.solves[0].id;
    let outcome = Outcome {
        problem,
        answer: Answer::Window(Packed {
            puts,
            ceiling: 1400,
            coarsening_permille: 0,
            effort: Effort::default(),
        }),
        elapsed_us: 0,
    };
    world.input(Input::Solved {
        problem,
        outcome: Ok(outcome),
    });
}

#[test]
fn a_window_has_what_was_placed_and_what_was_not_and_begins_with_the_greedy_plan() {
    let (mut world, ids) = waiting();
    let window = window(&world);
    let mut worths: Vec<u64> = window.classes.iter().map(|class| class.worth).collect();
    worths.sort_unstable();
    assert_eq!(worths, [360, 560, 760]);
    assert_eq!(window.start, puts(window, &[560, 360]));
    assert_eq!(window.nodes.len(), 1);
    assert!(window.nodes[0].gpus[0].empty, "as before they were placed");
    for id in ids {
        assert_eq!(world.get(id).reason.unwrap().token(), "AwaitingSolver");
    }
}

#[test]
fn a_better_packing_is_carried_out_and_its_gap_to_the_ceiling_is_told() {
    let (mut world, [a, b, c]) = waiting();
    let task = window(&world);
    let better = puts(task, &[760, 360]);
    answers(&mut world, better);
    let states = [a, b, c].map(|id| world.state_of(id));
    let running = WorkloadState::Running;
    assert_eq!(states, [WorkloadState::Pending, running, running]);
    let counters = world.engine.solver_counters();
    assert_eq!((counters.improved, counters.fallbacks), (1, 0));
    assert_eq!(counters.gap_permille, Some(200), "1120 of 1400");
}

#[test]
fn an_answer_that_does_not_fit_is_refused_and_the_greedy_plan_is_carried_out() {
    let wrongs: [fn(&mut Vec<Put>); 6] = [
        |puts| puts[0].class = 9,
        |puts| puts[0].node = 1,
        |puts| puts[0].gpus = vec![1],
        |puts| puts[0].gpus = vec![0, 0],
        |puts| puts[0].gpus.clear(),
        |puts| puts.extend(puts.clone()),
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let (mut world, [a, b, c]) = waiting();
        let task = window(&world);
        let mut bad = puts(task, &[760, 360]);
        wrong(&mut bad);
        answers(&mut world, bad);
        let states = [a, b, c].map(|id| world.state_of(id));
        let running = WorkloadState::Running;
        assert_eq!(
            states,
            [running, WorkloadState::Pending, running],
            "{number}"
        );
        assert_eq!(world.engine.solver_counters().fallbacks, 1, "{number}");
    }
}

#[test]
fn services_never_wait_for_a_window() {
    let mut world = World::new();
    world.node("n1", 1);
    let service = |name, milli| {
        let mut service = share(name, milli);
        service.kind = dovetail_model::workload::WorkloadKind::Service;
        service
    };
    // Several of them wait together, with batch work.
    world.cordon("n1", Some("closed"));
    let ids = ["s", "t"].map(|name| world.submit(service(name, 300)).workload.id);
    let batch = ["a", "b"].map(|name| world.submit(share(name, 200)).workload.id);
    world.cordon("n1", None);
    let running = WorkloadState::Running;
    assert_eq!(ids.map(|id| world.state_of(id)), [running; 2]);
    let pending = WorkloadState::Pending;
    assert_eq!(batch.map(|id| world.state_of(id)), [pending; 2]);
}

#[test]
fn three_kills_are_told_to_people_and_then_work_is_packed_without_the_solver() {
    let mut world = World::new();
    world.node("n0", 1);
    for round in 0..3 {
        world.submit(share(&format!("w{round}"), 10));
        world.passes(10 * SECOND_NS);
        assert_eq!(world.alerts, Vec::<String>::new());
        let problem = world.fluids.last().unwrap().id;
        let outcome = Err(SolveFailure::Killed);
        world.input(Input::Solved { problem, outcome });
    }
    assert_eq!(world.alerts.len(), 1);
    assert!(
        world.alerts[0].contains("killed 3 times"),
        "{:?}",
        world.alerts
    );
    let ids = [("a", 500), ("b", 700), ("c", 300)]
        .map(|(name, milli)| world.submit(share(name, milli)).workload.id);
    world.passes(SECOND_NS);
    world.node("n1", 1);
    world.passes(SECOND_NS);
    assert_eq!(world.solves.len(), 0);
    assert!(
        ids.iter()
            .all(|id| world.state_of(*id) == WorkloadState::Running)
    );
}

#[test]
fn prices_are_asked_for_when_something_came_and_not_more_often_than_every_five_seconds() {
    let mut world = World::new();
    world.node("n1", 2);
    world.submit(share("a", 300));
    assert_eq!(world.fluids.len(), 1);
    world.submit(share("b", 300));
    world.passes(SECOND_NS);
    assert_eq!(world.fluids.len(), 1, "one at a time");
    let priced = |world: &mut World| {
        let problem = world.fluids.last().unwrap().clone();
        let Task::Fluid(fluid) = &problem.task else {
            panic!("only prices are asked for in the background")
        };
        let classes = fluid.mix.classes.len();
        let outcome = Outcome {
            problem: problem.id,
            answer: Answer::Fluid(Prices {
                nodes: vec![NodePrices {
                    slices: vec![0; 1001],
                    plan: vec![0; classes],
                    ..NodePrices::default()
                }],
                headroom_billionths: 500_000_000,
            }),
            elapsed_us: 0,
        };
        world.input(Input::Solved {
            problem: problem.id,
            outcome: Ok(outcome),
        });
        fluid
            .mix
            .classes
            .iter()
            .map(|(_, weight)| weight)
            .sum::<u64>()
    };
    let weight = priced(&mut world);
    let fits = world.engine.solver_counters().mix_fits;
    assert_eq!(fits, Some(GpuMilli(weight * 300 / 2)));
    world.passes(10 * SECOND_NS);
    assert_eq!(world.fluids.len(), 2, "b came");
    priced(&mut world);
    world.passes(60 * SECOND_NS);
    assert_eq!(world.fluids.len(), 2, "nothing came");
}

#[test]
fn without_nodes_nothing_is_due_and_a_solver_that_is_left_alone_is_not_asked_for_prices() {
    let mut world = World::new();
    world.submit(share("early", 10));
    world.passes(SECOND_NS);
    let due = world.engine.next_deadline();
    assert!(due.is_none_or(|due| due > world.now.boot_ns), "{due:?}");
    world.node("n1", 1);
    for round in 0..3 {
        world.submit(share(&format!("w{round}"), 10));
        world.passes(10 * SECOND_NS);
        let problem = world.fluids.last().unwrap().id;
        let outcome = Err(SolveFailure::Killed);
        world.input(Input::Solved { problem, outcome });
    }
    let asked = world.fluids.len();
    world.submit(share("late", 10));
    world.passes(60 * SECOND_NS);
    assert_eq!(world.fluids.len(), asked);
    let due = world.engine.next_deadline();
    assert!(due.is_none_or(|due| due > world.now.boot_ns), "{due:?}");
}
