//! Plain CSV as traces have it: a header, commas, no quotes; every error names line and column.

use super::error::{Place, TraceError};
use std::{
    fs::File,
    io::Read,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// Longest file: thirty times the longest published one.
const BYTES_MAX: u64 = 64 << 20;

/// Most characters of a bad field that are repeated in an error.
const SHOWN_MAX: usize = 40;

/// A file's text and its header.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    text: String,
    header: Vec<String>,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(usize);

/// One row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    table: &'a Table,
    line: usize,
    fields: Vec<&'a str>,
}

/// All bytes of a file, if it is no longer than the longest trace.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, TraceError> {
    let failed = |source| TraceError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut bounded = file.take(BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(TraceError::TooLong {
            path: path.to_owned(),
            limit: BYTES_MAX,
        });
    }
    Ok(bytes)
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, TraceError> {
        let text = String::from_utf8(read_bytes(path)?).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            TraceError::NotText {
                path: path.to_owned(),
                line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            }
        })?;
        let first = text.lines().next().unwrap_or_default();
        let names = first.trim_start_matches('\u{feff}').split(',');
        Ok(Self {
            path: path.to_owned(),
            header: names.map(|name| name.trim().to_owned()).collect(),
            text,
        })
    }

    pub(super) fn column(&self, name: &'static str) -> Result<Column, TraceError> {
        self.optional_column(name)
            .ok_or_else(|| TraceError::MissingColumn {
                path: self.path.clone(),
                column: name,
                header: shown(&format!("`{}`", self.header.join("`, `"))),
            })
    }

    pub(super) fn optional_column(&self, name: &str) -> Option<Column> {
        self.header.iter().position(|have| have == name).map(Column)
    }

    /// Rows after the header; empty lines are passed over.
    pub(super) fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, TraceError>> {
        let lines = (1..).zip(self.text.lines()).skip(1);
        lines
            .filter(|(_, text)| !text.trim().is_empty())
            .map(|(line, text)| self.row(line, text))
    }

    fn row<'a>(&'a self, line: usize, text: &'a str) -> Result<Row<'a>, TraceError> {
        // One field more than wanted is enough to know that there are too many.
        let wanted = self.header.len();
        let fields: Vec<&str> = text.split(',').map(str::trim).take(wanted + 1).collect();
        if fields.len() != wanted || text.contains('"') {
            return Err(TraceError::Fields {
                path: self.path.clone(),
                line,
                found: text.split(',').count(),
                wanted,
            });
        }
        let table = self;
        Ok(Row {
            table,
            line,
            fields,
        })
    }

    /// Says that there are no rows, or too many, unless there are some and not too many.
    pub(super) fn check_rows(&self, found: usize, limit: usize) -> Result<(), TraceError> {
        if (1..=limit).contains(&found) {
            return Ok(());
        }
        Err(TraceError::Rows {
            path: self.path.clone(),
            found,
            limit,
        })
    }
}

impl<'a> Row<'a> {
    pub(super) fn text(&self, column: Column) -> &'a str {
        self.fields[column.0]
    }

    /// A text that must not be empty.
    pub(super) fn name(&self, column: Column) -> Result<&'a str, TraceError> {
        let text = self.text(column);
        if text.is_empty() {
            return Err(self.error(column, "is empty: write a name"));
        }
        Ok(text)
    }

    /// A whole number in the range; `meaning` says what it counts.
    pub(super) fn number(
        &self,
        column: Column,
        range: RangeInclusive<u64>,
        meaning: &str,
    ) -> Result<u64, TraceError> {
        let text = self.text(column);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse()
            .ok()
            .filter(|number| digits && range.contains(number));
        number.ok_or_else(|| {
            let (least, most) = range.into_inner();
            let wrong = if digits {
                "is out of range"
            } else {
                "is no whole number"
            };
            self.error(
                column,
                &format!("{wrong}: write {least} to {most} {meaning}"),
            )
        })
    }

    /// Something is wrong with this field.
    pub(super) fn error(&self, column: Column, fix: &str) -> TraceError {
        TraceError::Value {
            place: Place {
                path: self.table.path.clone(),
                line: self.line,
                column: self.table.header[column.0].clone(),
            },
            value: shown(self.text(column)),
            fix: fix.to_owned(),
        }
    }
}

/// The beginning of a text, so that a hostile field does not fill the screen.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
