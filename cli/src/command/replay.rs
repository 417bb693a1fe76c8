//! `dovetail replay`: what a placement policy makes of a trace. No scheduler is asked.

use crate::{
    args::{Format, Global},
    error::{CliError, exit},
    output,
};
use dovetail_replay::ReplayArgs;

pub(crate) fn run(global: &Global, args: &ReplayArgs) -> Result<u8, CliError> {
    let report = dovetail_replay::run(args).map_err(|error| CliError::usage(chain(&error)))?;
    match global.output {
        Format::Table => output::data(&report.to_string()),
        Format::Json => output::data(&report.json()),
    }
    Ok(exit::DONE)
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
