//! A column: the complete contents of one host of a class.

use super::packing::{Packing, Slots};
use std::collections::BTreeMap;

/// Works with how many of each, ascending.
pub(super) type Contents = Vec<(u32, u32)>;

/// The complete contents of one host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// Class of the host.
    pub(super) host: usize,
    /// Each work with its slots, in the order in which they were put.
    pub(super) steps: Vec<(u32, Slots)>,
    /// The same, counted.
    pub(super) contents: Contents,
    /// Worth of the contents less the cost of the host.
    pub(super) value: f64,
}

impl Column {
    pub(super) fn of<P: Packing>(packing: &P, host: usize, steps: Vec<(u32, Slots)>) -> Self {
        let mut works: Vec<u32> = steps.iter().map(|(work, _)| *work).collect();
        works.sort_unstable();
        let runs = works.chunk_by(|a, b| a == b);
        let contents: Contents = runs.map(|run| (run[0], count(run.len()))).collect();
        let worth =
            |(work, count): &(u32, u32)| packing.works()[*work as usize].worth * f64::from(*count);
        let value = contents.iter().map(worth).sum::<f64>() - packing.hosts()[host].cost;
        Self {
            host,
            steps,
            contents,
            value,
        }
    }

    /// How often it can be used with what is left of each work.
    pub(super) fn times_within(&self, left: &[u32]) -> u32 {
        let times = self.contents.iter();
        let each = times.map(|(work, count)| left[*work as usize] / count);
        each.min().unwrap_or(0)
    }
}

/// Lengths here are of what fits in one host.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Columns, each once.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) all: Vec<Column>,
    known: BTreeMap<(usize, Contents), usize>,
}

impl Columns {
    /// Keeps a column unless it is known or empty.
    pub(super) fn add(&mut self, column: Column) -> bool {
        if column.contents.is_empty() || self.place(&column).is_some() {
            return false;
        }
        let key = (column.host, column.contents.clone());
        self.known.insert(key, self.all.len());
        self.all.push(column);
        true
    }

    /// Where a column is, if one of its host and contents is known.
    pub(super) fn place(&self, column: &Column) -> Option<usize> {
        let key = (column.host, column.contents.clone());
        self.known.get(&key).copied()
    }
}
