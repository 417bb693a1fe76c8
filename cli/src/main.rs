//! `dovetail`: submit work, see where it is and why it waits. A gRPC client, and the demo.

mod args;
mod client;
mod command;
mod demo;
mod error;
mod json;
mod output;
mod spec;

use args::{Cli, Command, Format, NodeCommand};
use clap::Parser as _;
use error::CliError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(CliError::failure(format!("failed to start: {error}"))),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::note(&error.to_string());
            ExitCode::from(error.exit_code)
        }
    }
}

async fn run(cli: Cli) -> Result<u8, CliError> {
    let global = cli.global;
    if global.output == Format::Html && !matches!(cli.command, Command::Replay(_)) {
        let error = CliError::usage("`-o html` is for `dovetail replay` alone");
        return Err(error.help("use `-o table` or `-o json`"));
    }
    match cli.command {
        Command::Submit(args) => command::submit::run(&global, args).await,
        Command::Ps(args) => command::ps::run(&global, args).await,
        Command::Get(args) => command::get::run(&global, args).await,
        Command::Explain(args) => command::explain::run(&global, args).await,
        Command::Plan(args) => command::plan::run(&global, args).await,
        Command::Cancel(args) => command::cancel::run(&global, args).await,
        Command::Logs(args) => command::logs::run(&global, args).await,
        Command::Node {
            command: NodeCommand::List,
        } => command::node::list(&global).await,
        Command::Node {
            command: NodeCommand::Get { name },
        } => command::node::get(&global, name).await,
        Command::Node {
            command: NodeCommand::Map { names },
        } => command::node::map(&global, names).await,
        Command::Node {
            command: NodeCommand::Cordon { name, reason },
        } => command::node::cordon(&global, name, reason).await,
        Command::Node {
            command: NodeCommand::Uncordon { name },
        } => command::node::uncordon(&global, name).await,
        Command::Node {
            command: NodeCommand::Forget { name },
        } => command::node::forget(&global, name).await,
        Command::Status(args) => command::status::run(&global, args).await,
        Command::Replay(args) => command::replay::run(&global, &args),
        Command::Demo(args) => demo::run(args).await,
    }
}
