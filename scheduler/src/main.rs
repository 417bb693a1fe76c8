//! `dovetail-scheduler`: reads its arguments and configuration, and wires the parts together.

#![forbid(unsafe_code)]

use clap::Parser as _;
use dovetail_scheduler::{
    cli::{Args, Role},
    config::Config,
    run::{self, EXIT_USAGE, RunError},
    solver, telemetry,
};
use std::{
    error::Error,
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            return error
                .print()
                .map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    match act(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn act(args: &Args) -> Result<(), RunError> {
    if let Some(Role::Solver { memory_bytes }) = args.role {
        return solver::run(memory_bytes).map_err(RunError::Solver);
    }
    let config = Config::load(args.config.as_deref())?;
    if args.check_config {
        return writeln!(stdout(), "configuration is good")
            .map_err(|error| RunError::System("say that the configuration is good", error));
    }
    if args.print_config {
        return writeln!(stdout(), "{config}")
            .map_err(|error| RunError::System("print the configuration", error));
    }
    telemetry::init(config.log);
    let solvers = solver::for_config(&config);
    run::run(config, solvers)
}

/// The error and its causes, in one line.
fn say(error: &RunError) {
    let mut line = format!("dovetail-scheduler: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        line = format!("{line}: {inner}");
        cause = inner.source();
    }
    // Nobody is left to tell if stderr is gone.
    writeln!(stderr(), "{line}").ok();
}
