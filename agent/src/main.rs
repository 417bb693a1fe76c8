//! `dovetail-agent`: reads the arguments, and hands over. Exit codes: 64 for a wrong command line
//! or configuration, 74 for a host that cannot be used, 75 for a second agent.

use clap::Parser;
use dovetail_agent::{config::Config, drive, supervise, telemetry};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

const EX_USAGE: u8 = 64;
const EX_IOERR: u8 = 74;

/// The Dovetail node agent: reads this host, holds every workload to its slice, reports to the
/// scheduler. Stopping it leaves the workloads running.
#[derive(Debug, Parser)]
#[command(name = "dovetail-agent", version)]
struct Arguments {
    /// Configuration file; without one, every setting is the default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit: 0 if it is good, 64 with the line at fault if not
    #[arg(long)]
    check_config: bool,
    /// Print the settings in force as a configuration file and exit
    #[arg(long)]
    print_config: bool,
    /// Print what this host has, measures and runs, every ten seconds; enforce nothing, obey nobody
    #[arg(long)]
    observe_only: bool,
}

fn main() -> ExitCode {
    // A supervisor is this program too, started by the agent: it takes no arguments of people.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "supervise")
    {
        return supervise::main_from_stdin();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { EX_USAGE } else { 0 };
            return finish(error.print(), code);
        }
    };
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return finish(say(&telemetry::chain(&error)), EX_USAGE),
    };
    if arguments.print_config {
        return finish(io::stdout().write_all(config.to_toml().as_bytes()), 0);
    }
    if arguments.check_config {
        return finish(writeln!(io::stdout(), "configuration is good"), 0);
    }
    telemetry::start(config.log_format);
    let result = if arguments.observe_only {
        drive::observe_only(&config)
    } else {
        drive::run(config)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => finish(say(&telemetry::chain(&error)), error.exit_code()),
    }
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "dovetail-agent: {text}")
}

fn finish(printed: io::Result<()>, code: u8) -> ExitCode {
    ExitCode::from(if printed.is_ok() { code } else { EX_IOERR })
}
