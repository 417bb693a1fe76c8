//! The thread that waits for the solver, so that nobody else does.

use super::Handle;
use dovetail_core::{
    input::Input,
    outcome::{Outcome, SolveFailure},
    problem::Problem,
};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Problems that may wait: the engine has one in flight, and gives up on it when it is overdue.
const PROBLEMS_MAX: usize = 2;

/// Solves problems, within their limits.
pub trait Solve: Send {
    /// The outcome, or why there is none.
    fn solve(&mut self, problem: &Problem) -> Result<Outcome, SolveFailure>;
}

/// Starts the thread; problems go into the channel, outcomes come back as inputs.
pub(super) fn start(
    solver: Box<dyn Solve>,
    handle: Handle,
) -> io::Result<SyncSender<Box<Problem>>> {
    let (problems, inbox) = sync_channel(PROBLEMS_MAX);
    thread::Builder::new()
        .name("solver".to_owned())
        .spawn(move || run(solver, &handle, &inbox))?;
    Ok(problems)
}

fn run(mut solver: Box<dyn Solve>, handle: &Handle, inbox: &Receiver<Box<Problem>>) {
    for problem in inbox {
        let outcome = solver.solve(&problem);
        if let Err(failure) = &outcome {
            tracing::warn!(
                problem = problem.id,
                ?failure,
                "no outcome; the greedy plan is used"
            );
        }
        let input = Input::Solved {
            problem: problem.id,
            outcome,
        };
        if !handle.feed_blocking(input) {
            return;
        }
    }
}
