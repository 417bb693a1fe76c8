//! Why a trace cannot be replayed, with the place in the file and what to write instead.

use std::{fmt, io, path::PathBuf};
use thiserror::Error;

/// A field of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; the header is the first.
    pub line: usize,
    /// The column's name in the header.
    pub column: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column } = self;
        write!(f, "`{}` line {line}, column `{column}`", path.display())
    }
}

/// Why a trace cannot be replayed.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is longer than any trace.
    #[error("failed to read `{}`: it is longer than {limit} bytes; no trace is", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Most bytes.
        limit: u64,
    },
    /// A line is not text.
    #[error("failed to read `{}` line {line}: it is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A column is missing.
    #[error("failed to read `{}` line 1: there is no column `{column}`; the header has {header}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// The columns that are there.
        header: String,
    },
    /// A row has too few or too many fields.
    #[error("failed to read `{}` line {line}: it has {found} fields and the header has {wanted}; quoted fields are not read", path.display())]
    Fields {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Fields of the row.
        found: usize,
        /// Fields of the header.
        wanted: usize,
    },
    /// A field does not say what it must.
    #[error("failed to read {place}: `{value}` {fix}")]
    Value {
        /// Where.
        place: Place,
        /// The beginning of the field.
        value: String,
        /// What is wrong, and what to write.
        fix: String,
    },
    /// There is nothing in the file, or too much.
    #[error("failed to read `{}`: it has {found} rows; write 1 to {limit}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Rows found, at least.
        found: usize,
        /// Most rows.
        limit: usize,
    },
    /// Nothing can be measured in parts of no GPU.
    #[error("failed to read `{}`: no node has a GPU; write a number in column `gpu`", path.display())]
    NoGpus {
        /// The file.
        path: PathBuf,
    },
    /// An order or ranks are not those of this trace.
    #[error("failed to read the order for seed {seed} from `{}`: {fix}", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// The seed.
        seed: u64,
        /// What is wrong, and what to do.
        fix: String,
    },
    /// The demand cannot be reached.
    #[error("failed to draw arrivals from `{}`: {fix}", path.display())]
    Draw {
        /// The file of the pods.
        path: PathBuf,
        /// What is wrong, and what to do.
        fix: String,
    },
    /// Copies would make it too large.
    #[error(
        "failed to copy the trace {copies} times: it has {one} {what}: give `--scale` {most} at most"
    )]
    Scale {
        /// Copies wanted.
        copies: usize,
        /// What there is too much of.
        what: &'static str,
        /// How many there are of it.
        one: usize,
        /// Copies that can be had.
        most: usize,
    },
}
