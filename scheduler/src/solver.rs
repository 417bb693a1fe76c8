//! The solver's process: this program once more, started by the drive's solver thread.

use crate::{
    config::Config,
    drive::{Solve, Solvers},
};
use dovetail_core::{
    outcome::{Outcome, SolveFailure},
    problem::Problem,
};
use dovetail_solver::process::{FrameError, Solver, confine, serve};
use std::io;
use thiserror::Error;

/// This program, even after its file was replaced by a newer one.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Why the solver's process ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// It could not be confined, so it did not begin.
    #[error("failed to confine the solver's process")]
    Confine(#[source] io::Error),
    /// Its pipes broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// The solvers that a configuration asks for.
pub fn for_config(config: &Config) -> Solvers {
    Solvers {
        awaited: one(config),
        background: one(config),
    }
}

fn one(config: &Config) -> Box<dyn Solve> {
    if !config.policy.solver {
        return Box::new(NoSolver);
    }
    let command = [
        THIS_PROGRAM,
        "solver",
        "--memory-bytes",
        &config.solver_memory.0.to_string(),
    ];
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Box::new(Process(Solver::new(command)))
}

/// Is the solver's process until its parent closes the pipe.
pub fn run(memory_bytes: u64) -> Result<(), ServeError> {
    confine(memory_bytes).map_err(ServeError::Confine)?;
    serve(io::stdin().lock(), io::stdout().lock())?;
    Ok(())
}

#[derive(Debug)]
struct Process(Solver);

impl Solve for Process {
    fn solve(&mut self, problem: &Problem) -> Result<Outcome, SolveFailure> {
        self.0.solve(problem)
    }
}

/// The solver is switched off.
#[derive(Debug, Clone, Copy)]
struct NoSolver;

impl Solve for NoSolver {
    fn solve(&mut self, _: &Problem) -> Result<Outcome, SolveFailure> {
        Err(SolveFailure::Disabled)
    }
}
