//! A real child: this program starts itself, is confined, solves, dies and is started anew.

use dovetail_core::{
    decide::repair::verify,
    outcome::{Answer, SolveFailure, Status},
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    problem::{
        Limits, Problem, Task,
        exact::{Exact, Item, Node, Place, Slot},
        repair::{Repair, Resident},
    },
};
use dovetail_model::{
    id::{Name, Revision, WorkloadId},
    units::{Bytes, CpuMilli, GpuMilli},
};
use dovetail_solver::process::{Counters, Solver, confine, serve};
use std::{
    env, io,
    process::ExitCode,
    time::{Duration, Instant},
};

const CHILD: &str = "child-with-bytes";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    if args.next().as_deref() == Some(CHILD) {
        let bytes = args.next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let served =
            confine(bytes).is_ok() && serve(io::stdin().lock(), io::stdout().lock()).is_ok();
        return if served {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    problems_are_solved_by_a_child_that_outlives_each_of_them();
    a_repair_is_solved_by_the_child_and_holds();
    a_child_over_its_memory_is_a_failure();
    ExitCode::SUCCESS
}

fn solver(bytes: u64) -> Solver {
    let program = env::current_exe().expect("a running test has a path");
    let program = program
        .to_str()
        .expect("the build's paths are UTF-8")
        .to_owned();
    Solver::new(vec![program, CHILD.to_owned(), bytes.to_string()])
}

fn problems_are_solved_by_a_child_that_outlives_each_of_them() {
    let mut solver = solver(2 << 30);
    for id in 1..=3 {
        let outcome = solver.solve(&problem(id));
        let outcome = outcome.expect("the child answers in time");
        let Answer::Exact(answer) = outcome.answer else {
            panic!("an exact problem has an exact answer");
        };
        assert_eq!((outcome.problem, answer.status), (id, Status::Optimal));
        assert_eq!(answer.assignments.len(), 4);
    }
    let counters = Counters {
        runs: 3,
        kills: 0,
        failures: 0,
    };
    assert_eq!(solver.counters(), counters);
}

fn a_repair_is_solved_by_the_child_and_holds() {
    let mut solver = solver(2 << 30);
    let mut ask = |id, repair: &Repair| {
        let task = Task::Repair(repair.clone());
        let outcome = solver.solve(&Problem {
            task,
            ..problem(id)
        });
        match outcome.expect("the child answers in time").answer {
            Answer::Repair(answer) => answer,
            other => panic!("a repair is answered by one, not by {other:?}"),
        }
    };
    let mut repair = repair();
    let answer = ask(1, &repair).expect("the cheaper of the two shares joins the other");
    assert_eq!(verify(&repair, &answer), Ok(()));
    assert_eq!((answer.cost, answer.steps.len()), (7, 1));
    assert_eq!(answer.steps[0].resident, 1);
    for resident in &mut repair.residents {
        resident.move_cost = None;
    }
    assert_eq!(ask(2, &repair), None, "nobody may move");
}

/// Two nodes with two GPUs each, a share on both, and somebody wants two whole GPUs.
fn repair() -> Repair {
    let gpu = GpuRoom {
        device: 0,
        compute: GpuMilli(1000),
        memory: Bytes(1000 << 20),
        empty: true,
        tenant: None,
    };
    let node = Room {
        kind: 0,
        cpu: CpuMilli(8000),
        memory: Bytes(8 << 30),
        slices: 10,
        gpus: vec![gpu; 2],
    };
    let asks = |gpus: Gpus, milli: u64| Demand {
        cpu: CpuMilli(1000),
        memory: Bytes(1 << 20),
        tenant: 0,
        gpus,
        takes: vec![Some(Take {
            compute: GpuMilli(milli),
            memory: Bytes(milli << 20),
        })],
        kinds: vec![true],
    };
    let share_on = |node: usize, cost: u64| Resident {
        key: node as u64,
        class: 1,
        at: Slot {
            node,
            gpus: vec![0],
        },
        priority: 0,
        move_cost: Some(cost),
        stop_cost: None,
    };
    Repair {
        bare: vec![node.clone(), node],
        classes: vec![asks(Gpus::Whole(2), 1000), asks(Gpus::Share, 300)],
        residents: vec![share_on(0, 9), share_on(1, 7)],
        blocked: 0,
        members: 1,
        priority: 0,
        steps_max: 16,
        seed: 0,
    }
}

fn a_child_over_its_memory_is_a_failure() {
    let began = Instant::now();
    let failure = solver(1 << 20).solve(&problem(1));
    assert!(
        matches!(failure, Err(SolveFailure::Failed(_))),
        "{failure:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "it is not waited for"
    );
}

/// Room for four of six workloads.
fn problem(id: u64) -> Problem {
    let node = Node {
        name: Name::new("n").expect("it is a name"),
        cpu: CpuMilli(4000),
        memory: Bytes(64 << 30),
        slices: 1024,
        gpus: vec![],
    };
    let item = |workload| Item {
        workload: WorkloadId(workload),
        priority: 0,
        members: 1,
        tenant: 0,
        cpu: CpuMilli(1000),
        memory: Bytes(1 << 30),
        whole_gpus: 0,
        places: vec![Place {
            node: 0,
            gpus: vec![],
        }],
    };
    Problem {
        id,
        revision: Revision(1),
        limits: Limits {
            soft_ms: 10_000,
            hard_ms: 20_000,
            seed: 1,
        },
        task: Task::Exact(Exact {
            nodes: vec![node],
            items: (1..=6).map(item).collect(),
            start: vec![],
        }),
    }
}
