//! A real child: this program starts itself, is confined, solves, dies and is started anew.

use dovetail_core::{
    outcome::{Answer, SolveFailure, Status},
    problem::{
        Limits, Problem, Task,
        exact::{Exact, Item, Node, Place},
    },
};
use dovetail_model::{
    id::{Name, Revision, WorkloadId},
    units::{Bytes, CpuMilli},
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
