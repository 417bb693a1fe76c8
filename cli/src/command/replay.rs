//! `dovetail replay`: what a placement policy makes of a trace. No scheduler is asked.

use crate::{
    args::{Format, Global},
    error::{CliError, exit},
    output,
};
use dovetail_replay::{Detail, ReplayArgs, RunError};

pub(crate) fn run(global: &Global, args: &ReplayArgs) -> Result<u8, CliError> {
    let detail = match global.output {
        Format::Html => Detail::Pictures,
        Format::Table | Format::Json => Detail::Numbers,
    };
    let replayed = dovetail_replay::run(args, detail).map_err(failed)?;
    match global.output {
        Format::Html => output::data(&replayed.html()),
        Format::Table => output::data(&replayed.table().to_string()),
        Format::Json => output::data(&replayed.json()),
    }?;
    Ok(exit::DONE)
}

/// Files and flags are the caller's to mend; a policy that breaks a rule is not.
fn failed(error: RunError) -> CliError {
    match &error {
        RunError::Flags(_) | RunError::Trace(_) | RunError::ChurnPods { .. } => {
            CliError::usage(chain(&error))
        }
        RunError::Replay(_) | RunError::Backlog(_) => CliError::failure(chain(&error)),
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
