//! Printing: data to stdout, everything else to stderr.

mod explain;
mod map;
mod node;
mod workload;

pub(crate) use explain::explanation;
pub(crate) use map::slice_map;
pub(crate) use node::{node, nodes};
pub(crate) use workload::{placements, workload, workloads};

use crate::{args::Format, error::CliError, json};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use dovetail_proto::v1;
use prost::Message;
use std::{
    collections::{BTreeMap, HashMap},
    io::{ErrorKind, Write as _},
};
use tabled::{
    builder::Builder,
    settings::{Padding, Style},
};

/// Prints data. A reader that has gone away is no error: `dovetail ps | head`. Anything else is: who
/// keeps a report must know that it is whole.
pub(crate) fn data(text: &str) -> Result<(), CliError> {
    match write(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let why = format!("failed to write to standard output: {error}");
            Err(CliError::failure(why))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints what is told along the way.
pub(crate) fn tell(text: &str) {
    let _closed = write(text);
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Prints something about what is being done.
pub(crate) fn note(text: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints a reply, as a table or as the RPC's JSON.
pub(crate) fn reply<M: Message>(
    format: Format,
    message: &M,
    name: &str,
    table: impl FnOnce(&M) -> String,
) -> Result<(), CliError> {
    match format {
        // `main` lets nobody but a replay have a page.
        Format::Table | Format::Html => data(&table(message)),
        Format::Json => data(&json::text(message, name)?),
    }
}

/// Columns padded with spaces, without lines: easy to read and to cut.
fn columns(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut builder = Builder::default();
    builder.push_record(header.iter().copied());
    rows.into_iter().for_each(|row| builder.push_record(row));
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    let lines: Vec<String> = table
        .to_string()
        .lines()
        .map(|l| l.trim_end().to_owned())
        .collect();
    lines.join("\n") + "\n"
}

/// Name and value pairs, values aligned.
fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let shown = rows.iter().filter(|(_, value)| !value.is_empty());
    shown
        .map(|(name, value)| format!("{name:width$}  {value}\n"))
        .collect()
}

/// `pool=train, zone=a`, in the order of the keys.
fn labels(map: &HashMap<String, String>) -> String {
    let sorted: BTreeMap<_, _> = map.iter().collect();
    let shown = sorted.iter().map(|(key, value)| format!("{key}={value}"));
    shown.collect::<Vec<_>>().join(", ")
}

/// How long ago, in the one unit that matters.
fn age(since: Option<prost_types::Timestamp>) -> String {
    let Some(since) = since else {
        return "-".to_owned();
    };
    let seconds = (jiff::Timestamp::now().as_second() - since.seconds).max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// ISO 8601 in UTC.
fn time(at: Option<prost_types::Timestamp>) -> String {
    let stamp = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    stamp.map(|stamp| format!("{stamp:.0}")).unwrap_or_default()
}

fn bytes(value: u64) -> String {
    Bytes(value).to_string()
}

fn cpu(milli: u64) -> String {
    CpuMilli(milli).to_string()
}

fn gpu(milli: u32) -> String {
    GpuMilli(u64::from(milli)).to_string()
}

/// `PENDING` from `WORKLOAD_STATE_PENDING`.
fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

/// The state's name.
pub(crate) fn state(state: v1::WorkloadState) -> String {
    short(state.as_str_name(), "WORKLOAD_STATE_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_and_have_no_trailing_space() {
        let text = columns(
            &["A", "BB"],
            [
                vec!["long".to_owned(), "x".to_owned()],
                vec!["s".to_owned(), String::new()],
            ],
        );
        assert_eq!(text, "A     BB\nlong  x\ns\n");
    }
}
