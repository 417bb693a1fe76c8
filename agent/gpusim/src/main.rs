//! The `dovetail-gpusim` command: makes simulated GPU hosts and changes their state.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let mut output = std::io::stdout().lock();
    match cli::run(cli::Command::parse(), &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
