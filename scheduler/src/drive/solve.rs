//! The thread that waits for the solver, so that nobody else does.

use super::Handle;
use dovetail_core::{
    input::Input,
    outcome::{Outcome, SolveFailure},
    problem::Problem,
};
use std::{
    fmt, io,
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

/// Two at the same time, so that nobody waits behind what nobody waits for.
pub struct Solvers {
    /// For problems that somebody waits for.
    pub awaited: Box<dyn Solve>,
    /// For the others.
    pub background: Box<dyn Solve>,
}

impl fmt::Debug for Solvers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Solvers")
    }
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
                "no outcome; what was planned without it is used"
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
