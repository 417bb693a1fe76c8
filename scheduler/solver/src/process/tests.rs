//! The parent against children that hang, lie, die and answer.

use super::*;
use dovetail_core::problem::{
    Limits, Task,
    exact::{Assignment, Exact},
};

fn problem(id: u64) -> Problem {
    let limits = Limits {
        soft_ms: 100,
        hard_ms: 200,
        seed: 1,
    };
    Problem {
        id,
        revision: dovetail_model::id::Revision(1),
        limits,
        task: Task::Exact(Exact {
            nodes: vec![],
            items: vec![],
            start: vec![],
        }),
    }
}

fn shell(script: &str) -> Solver {
    Solver::new(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
}

#[test]
fn a_child_that_hangs_is_killed_and_started_anew() {
    let told = tempfile::tempdir().unwrap();
    let pids = told.path().join("pids");
    let mut solver = shell(&format!("echo $$ >> {}; exec sleep 60", pids.display()));
    for _ in 0..2 {
        assert_eq!(solver.solve(&problem(1)), Err(SolveFailure::Killed));
    }
    let pids = std::fs::read_to_string(&pids).unwrap();
    let pids: Vec<&str> = pids.lines().collect();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let gone = !std::path::Path::new("/proc").join(pid).exists();
        assert!(gone, "{pid} lives on");
    }
    let counters = Counters {
        runs: 2,
        kills: 2,
        failures: 0,
    };
    assert_eq!(solver.counters(), counters);
}

#[test]
fn a_child_that_dies_or_lies_is_a_failure_and_is_started_anew() {
    for script in [
        "exit 3",
        "printf 'xxxxxxxx'",
        "printf '\\002\\000\\000\\000{}'",
        "printf '\\377\\377\\377\\377'",
    ] {
        let mut solver = shell(script);
        for _ in 0..2 {
            let failure = solver.solve(&problem(1));
            assert!(
                matches!(failure, Err(SolveFailure::Failed(_))),
                "{script}: {failure:?}"
            );
        }
        assert_eq!(solver.counters().failures, 2, "{script}");
    }
}

/// What a child that answers this problem sends, as text for `printf`.
fn answer(id: u64) -> String {
    let mut frame = Vec::new();
    let outcome = Session::default().solve(&problem(id));
    write_frame(&mut frame, &serde_json::to_vec(&outcome).unwrap()).unwrap();
    frame.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

#[test]
fn a_child_that_does_not_read_holds_nobody_up() {
    let mut solver = shell("exec sleep 60");
    let mut large = problem(1);
    let item = Assignment {
        item: 0,
        members: vec![],
    };
    // More than a pipe holds.
    large.task = Task::Exact(Exact {
        nodes: vec![],
        items: vec![],
        start: vec![item; 100_000],
    });
    let began = Instant::now();
    assert_eq!(solver.solve(&large), Err(SolveFailure::Killed));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_answer_that_comes_late_is_not_taken_for_the_next_one() {
    let mut solver = shell(&format!("sleep 0.4; printf '{}'; exec sleep 60", answer(1)));
    assert_eq!(solver.solve(&problem(1)), Err(SolveFailure::Killed));
    let mut patient = problem(2);
    patient.limits.hard_ms = 20_000;
    // The second child says the same, and by then it is an answer to something else.
    let stray = solver.solve(&patient);
    let why = "problem 2 was asked and 1 answered".to_owned();
    assert_eq!(stray, Err(SolveFailure::Failed(why)));
    patient.id = 1;
    assert_eq!(solver.solve(&patient).map(|o| o.problem), Ok(1));
}

#[test]
fn a_missing_program_is_a_failure() {
    let mut solver = Solver::new(vec!["/nonexistent/solver".to_owned()]);
    let failure = solver.solve(&problem(1));
    assert!(matches!(failure, Err(SolveFailure::Failed(_))));
}

#[test]
fn problems_are_served_until_the_pipe_closes() {
    let mut input = Vec::new();
    for id in [4, 5] {
        write_frame(&mut input, &serde_json::to_vec(&problem(id)).unwrap()).unwrap();
    }
    let mut output = Vec::new();
    serve(input.as_slice(), &mut output).unwrap();
    let mut output = output.as_slice();
    for id in [4, 5] {
        let bytes = read_frame(&mut output).unwrap().unwrap();
        let outcome: Outcome = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(outcome.problem, id);
    }
    assert!(read_frame(&mut output).unwrap().is_none());
}
