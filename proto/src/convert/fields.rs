//! Collects every bad field of a message while it is read, each with its path.

use super::{
    VIOLATIONS_MAX, Violation, Violations,
    enums::WireEnum,
    time::{Span, duration_ns},
};
use dovetail_model::id::Name;
use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

/// Most bad elements named of one list or map, so that other fields are named too.
const ELEMENTS_MAX: usize = 5;
/// Most characters of a text shown back to who sent it.
const SHOWN_CHARS: usize = 40;

/// The path being read, and what was found wrong so far.
#[derive(Debug)]
pub(crate) struct Fields {
    path: String,
    found: Vec<Violation>,
    more: usize,
}

impl Fields {
    /// Reads a message that people know by this name; empty: by its fields alone.
    pub(crate) fn at(root: &str) -> Self {
        Self {
            path: root.to_owned(),
            found: Vec::new(),
            more: 0,
        }
    }

    /// The value, if nothing was found wrong with any field.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Violations> {
        if let Some(value) = value.filter(|_| self.found.is_empty()) {
            return Ok(value);
        }
        if self.more > 0 {
            let description = format!("and {} more are wrong", self.more);
            self.found.truncate(VIOLATIONS_MAX - 1);
            self.found.push(Violation {
                field: self.path,
                description,
            });
        }
        Err(Violations(self.found))
    }

    /// Notes a bad field. An empty name is the path itself.
    pub(crate) fn bad(&mut self, field: &str, description: impl Into<String>) {
        if self.found.len() >= VIOLATIONS_MAX {
            self.more += 1;
            return;
        }
        let field = self.joined(field);
        self.found.push(Violation {
            field,
            description: description.into(),
        });
    }

    fn joined(&self, field: &str) -> String {
        let glued = self.path.is_empty() || field.is_empty() || field.starts_with('[');
        let dot = if glued { "" } else { "." };
        format!("{}{dot}{field}", self.path)
    }

    /// Reads the inside of a field.
    pub(crate) fn within<T>(&mut self, field: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.joined(field);
        let outer = std::mem::replace(&mut self.path, outer);
        let value = read(self);
        self.path = outer;
        value
    }

    /// A message that must be there.
    pub(crate) fn required<T>(&mut self, field: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.bad(field, "is required");
        }
        value
    }

    /// A number within its range.
    pub(crate) fn range<T>(&mut self, field: &str, value: T, range: &RangeInclusive<T>) -> Option<T>
    where
        T: PartialOrd + Display,
    {
        if range.contains(&value) {
            return Some(value);
        }
        let (low, high) = (range.start(), range.end());
        self.bad(field, format!("must be {low} to {high}, got {value}"));
        None
    }

    /// A name of a node, workload or queue.
    pub(crate) fn name(&mut self, field: &str, text: &str) -> Option<Name> {
        if text.is_empty() {
            self.bad(
                field,
                "is required: 1 to 63 lower-case letters, digits, '-' and '.'",
            );
            return None;
        }
        let name = Name::new(text);
        if let Err(error) = &name {
            self.bad(field, error.to_string());
        }
        name.ok()
    }

    /// An id in its one spelling.
    pub(crate) fn parsed<T: std::str::FromStr>(
        &mut self,
        field: &str,
        text: &str,
        example: &str,
    ) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            let got = shown(text);
            self.bad(field, format!("must be an id such as {example}, got {got}"));
        }
        value
    }

    /// A line for people: bounded, and without characters that change a terminal or a log.
    pub(crate) fn line(&mut self, field: &str, text: &str, max_bytes: usize) -> Option<()> {
        if text.len() > max_bytes {
            let length = text.len();
            self.bad(
                field,
                format!("must be at most {max_bytes} bytes, got {length}"),
            );
            None
        } else if text.chars().any(char::is_control) {
            let got = shown(text);
            self.bad(field, format!("must have no control characters, got {got}"));
            None
        } else {
            Some(())
        }
    }

    /// A line that must say something.
    pub(crate) fn filled_line(&mut self, field: &str, text: &str, max_bytes: usize) -> Option<()> {
        if text.trim().is_empty() {
            self.bad(field, "must not be empty");
            return None;
        }
        self.line(field, text, max_bytes)
    }

    /// No more elements than allowed. More are not looked at.
    pub(crate) fn count(&mut self, field: &str, count: usize, max: usize) -> Option<()> {
        if count <= max {
            return Some(());
        }
        self.bad(
            field,
            format!("must have at most {max} elements, got {count}"),
        );
        None
    }

    /// Every element of a list, read; the first bad ones are named.
    pub(crate) fn each<T, U>(
        &mut self,
        field: &str,
        list: impl IntoIterator<Item = T>,
        mut read: impl FnMut(&mut Self, T) -> Option<U>,
    ) -> Option<Vec<U>> {
        let mut values = Vec::new();
        let mut bad = 0;
        for (index, element) in list.into_iter().enumerate() {
            match self.within(&format!("{field}[{index}]"), |fields| read(fields, element)) {
                Some(value) => values.push(value),
                None => bad += 1,
            }
            if bad == ELEMENTS_MAX {
                break;
            }
        }
        (bad == 0).then_some(values)
    }

    /// Every entry of a map by key, so that the same message always gives the same answer; the
    /// first bad ones are named.
    pub(crate) fn entries<K: Ord, V>(
        &mut self,
        field: &str,
        map: impl IntoIterator<Item = (String, String)>,
        mut read: impl FnMut(&mut Self, String, String) -> Option<(K, V)>,
    ) -> Option<BTreeMap<K, V>> {
        let sorted: BTreeMap<String, String> = map.into_iter().collect();
        let mut entries = BTreeMap::new();
        let mut bad = 0;
        for (key, value) in sorted {
            let path = entry(field, &key);
            match self.within(&path, |fields| read(fields, key, value)) {
                Some((key, value)) => drop(entries.insert(key, value)),
                None => bad += 1,
            }
            if bad == ELEMENTS_MAX {
                break;
            }
        }
        (bad == 0).then_some(entries)
    }

    /// A time span in nanoseconds, within its range.
    pub(crate) fn span(
        &mut self,
        field: &str,
        wire: prost_types::Duration,
        range: &RangeInclusive<u64>,
    ) -> Option<u64> {
        let (low, high) = (Span(*range.start()), Span(*range.end()));
        let Some(ns) = duration_ns(&wire) else {
            let seconds = wire.seconds;
            self.bad(
                field,
                format!(
                    "must be {low} to {high}, got {seconds} s and {} ns",
                    wire.nanos
                ),
            );
            return None;
        };
        self.range(field, Span(ns), &(low..=high))
            .map(|span| span.0)
    }

    /// An enum that must be one of a table's.
    pub(crate) fn choice<W: WireEnum, M: Copy>(
        &mut self,
        field: &str,
        number: i32,
        table: &[(W, M)],
    ) -> Option<M> {
        let chosen = table.iter().find(|(wire, _)| wire.number() == number);
        if chosen.is_none() {
            let names = W::names(table.iter().map(|(wire, _)| *wire));
            let got = W::name_of(number)
                .map_or_else(|| format!("the unknown number {number}"), str::to_owned);
            self.bad(field, format!("must be {names}, got {got}"));
        }
        chosen.map(|(_, model)| *model)
    }

    /// An enum whose number 0 means a default.
    pub(crate) fn choice_or<W: WireEnum, M: Copy>(
        &mut self,
        field: &str,
        number: i32,
        table: &[(W, M)],
        default: M,
    ) -> Option<M> {
        if number == 0 {
            Some(default)
        } else {
            self.choice(field, number, table)
        }
    }
}

/// A text in backticks, cut and with control characters made visible.
pub(crate) fn shown(text: &str) -> String {
    format!("`{}`", visible(text))
}

/// The path of a map's entry, its key cut and with control characters made visible.
fn entry(map: &str, key: &str) -> String {
    format!("{map}[\"{}\"]", visible(key))
}

fn visible(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_CHARS).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}
