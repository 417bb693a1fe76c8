//! Scores of classes on nodes, with the largest of every block of nodes beside them.
//!
//! A row is a class, a column a node; columns are in the order that breaks ties. A decision reads
//! the maxima, then one block. Changed nodes are listed once for all rows, and each row remembers
//! how far it has read the list.

use super::classes::ClassId;
use std::cmp::Reverse;

/// A node in the order of ties.
pub(super) type Column = u32;

/// A score; larger is better, and 0 is no fit.
pub(super) type Value = u16;

/// Columns whose largest score is kept.
const BLOCK: usize = 64;
/// Most rows: the least recently used makes room. 512 rows of 10 000 nodes are 10 MiB.
const ROWS_MAX: usize = 512;
/// Rows that were not asked for during so many decisions are only brought up to date when they are.
const IDLE_AFTER: u64 = 8192;

/// Rows computed anew in one go: each costs about a millisecond on 10 000 nodes, and decisions wait
/// meanwhile.
const ROWS_ANEW: usize = 2;

/// Scores by class and node.
#[derive(Debug, Clone, Default)]
pub(super) struct Matrix {
    /// By class.
    rows: Vec<Option<Row>>,
    live: usize,
    columns: usize,
    /// Columns as they changed.
    changes: Vec<Column>,
    /// By column: how long the list was after its newest change.
    newest: Vec<usize>,
    decisions: u64,
}

#[derive(Debug, Clone)]
struct Row {
    values: Vec<Value>,
    maxima: Vec<Value>,
    /// How much of the list is in the values; nothing if they were never computed.
    read: Option<usize>,
    used: u64,
}

impl Matrix {
    /// Forgets every score: there are so many columns now.
    pub(super) fn reset(&mut self, columns: usize) {
        self.columns = columns;
        self.changes.clear();
        self.newest = vec![0; columns];
        for row in self.rows.iter_mut().flatten() {
            row.read = None;
        }
    }

    /// Forgets every row: classes are numbered anew.
    pub(super) fn forget(&mut self) {
        self.rows.clear();
        self.live = 0;
    }

    /// A node's room changed.
    pub(super) fn changed(&mut self, column: Column) {
        // A list that is as long as a row saves nothing over computing the row anew.
        if self.changes.len() > self.columns {
            self.shorten();
        }
        self.changes.push(column);
        self.newest[column as usize] = self.changes.len();
    }

    /// Makes a row for the class if it has none.
    pub(super) fn admit(&mut self, class: ClassId) {
        let index = class.0 as usize;
        if self.rows.len() <= index {
            self.rows.resize(index + 1, None);
        }
        if self.rows[index].is_some() {
            return;
        }
        if self.live >= ROWS_MAX {
            self.evict();
        }
        self.live += 1;
        self.rows[index] = Some(Row {
            values: Vec::new(),
            maxima: Vec::new(),
            read: None,
            used: self.decisions,
        });
    }

    /// The column with the largest score, the first of equals.
    pub(super) fn best(
        &mut self,
        class: ClassId,
        score: impl Fn(Column) -> Value,
    ) -> Option<Column> {
        self.decisions += 1;
        let row = self.rows.get_mut(class.0 as usize)?.as_mut()?;
        row.used = self.decisions;
        row.follow(&self.changes, &self.newest, self.columns, score);
        row.best()
    }

    /// The columns with the largest scores of a row that is up to date, best first.
    pub(super) fn top(&self, class: ClassId, most: usize) -> Vec<Column> {
        let row = self.rows.get(class.0 as usize).and_then(Option::as_ref);
        let values = row.map_or(&[][..], |row| &row.values);
        let columns = (0..).zip(values).filter(|(_, value)| **value > 0);
        let mut best: Vec<(Reverse<Value>, Column)> = columns
            .map(|(column, value)| (Reverse(*value), column))
            .collect();
        best.sort_unstable();
        best.truncate(most);
        best.into_iter().map(|(_, column)| column).collect()
    }

    /// Brings the rows that are in use up to date. A changed node is looked at once for all rows;
    /// `alone` is the score in a row that is computed by itself.
    pub(super) fn catch_up<L>(
        &mut self,
        look: impl Fn(Column) -> L,
        score: impl Fn(&mut L, ClassId) -> Value,
        alone: impl Fn(Column, ClassId) -> Value,
    ) {
        let oldest = self.decisions.saturating_sub(IDLE_AFTER);
        let rows = || (0..).map(ClassId).zip(&self.rows);
        let busy = |row: &&Row| row.read.is_some() && row.used >= oldest;
        let read = rows().filter_map(|(_, row)| row.as_ref().filter(busy)?.read);
        let first = read.min().unwrap_or(self.changes.len());
        for (position, column) in (1..).zip(&self.changes).skip(first) {
            if self.newest[*column as usize] != position {
                continue;
            }
            let mut looked = look(*column);
            for (class, row) in (0..).map(ClassId).zip(&mut self.rows) {
                let behind = |row: &&mut Row| row.read.is_some_and(|read| read < position);
                let busy = |row: &&mut Row| row.used >= oldest;
                if let Some(row) = row.as_mut().filter(busy).filter(behind) {
                    row.set(*column, score(&mut looked, class));
                }
            }
        }
        let length = self.changes.len();
        let busy = self
            .rows
            .iter_mut()
            .flatten()
            .filter(|row| row.used >= oldest);
        busy.filter(|row| row.read.is_some())
            .for_each(|row| row.read = Some(length));
        self.make_anew(oldest, &alone);
        self.shorten();
    }

    /// Computes a few of the rows that lost their scores, the most recently used first.
    fn make_anew(&mut self, oldest: u64, alone: &impl Fn(Column, ClassId) -> Value) {
        let rows = (0..).map(ClassId).zip(&mut self.rows);
        let lost = rows.filter_map(|(class, row)| Some((class, row.as_mut()?)));
        let busy = |row: &Row| row.read.is_none() && row.used >= oldest;
        let mut lost: Vec<_> = lost.filter(|(_, row)| busy(row)).collect();
        lost.sort_by_key(|(_, row)| Reverse(row.used));
        for (class, row) in lost.into_iter().take(ROWS_ANEW) {
            let of_class = |column| alone(column, class);
            row.follow(&self.changes, &self.newest, self.columns, of_class);
        }
    }

    /// Begins the list anew; rows that have not read all of it are computed anew.
    fn shorten(&mut self) {
        let length = self.changes.len();
        for row in self.rows.iter_mut().flatten() {
            row.read = (row.read == Some(length)).then_some(0);
        }
        for column in self.changes.drain(..) {
            self.newest[column as usize] = 0;
        }
    }

    fn evict(&mut self) {
        let live = self.rows.iter_mut().filter(|row| row.is_some());
        let oldest = live.min_by_key(|row| row.as_ref().map(|row| row.used));
        if let Some(row) = oldest {
            *row = None;
            self.live -= 1;
        }
    }
}

impl Row {
    /// Computes the scores that changed since the row was last read.
    fn follow(
        &mut self,
        changes: &[Column],
        newest: &[usize],
        columns: usize,
        score: impl Fn(Column) -> Value,
    ) {
        match self.read.replace(changes.len()) {
            Some(read) => {
                for (position, column) in (1..).zip(changes).skip(read) {
                    // Changed again further on: then is early enough.
                    if newest[*column as usize] == position {
                        self.set(*column, score(*column));
                    }
                }
            }
            None => {
                self.values.clear();
                self.values
                    .extend((0..columns).map(|column| score(column_of(column))));
                self.maxima.clear();
                self.maxima.extend(self.values.chunks(BLOCK).map(largest));
            }
        }
    }

    fn set(&mut self, column: Column, value: Value) {
        let column = column as usize;
        let block = column / BLOCK;
        let before = std::mem::replace(&mut self.values[column], value);
        if value == before {
            return;
        }
        if value >= self.maxima[block] {
            self.maxima[block] = value;
        } else if before == self.maxima[block] {
            let begin = block * BLOCK;
            let end = self.values.len().min(begin + BLOCK);
            self.maxima[block] = largest(&self.values[begin..end]);
        }
    }

    fn best(&self) -> Option<Column> {
        let best = largest(&self.maxima);
        if best == 0 {
            return None;
        }
        let block = self.maxima.iter().position(|value| *value == best)?;
        let begin = block * BLOCK;
        let within = self.values[begin..].iter().position(|v| *v == best)?;
        Some(column_of(begin + within))
    }
}

fn largest(values: &[Value]) -> Value {
    values.iter().fold(0, |most, value| most.max(*value))
}

fn column_of(index: usize) -> Column {
    Column::try_from(index).expect("a cluster has fewer nodes than a u32 counts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn the_best_column_is_the_first_with_the_largest_score(
            columns in 1..300_usize,
            steps in vec((0..4_u32, 0..300_usize, 0..6_u16, 0..5_u8), 1..200),
        ) {
            let mut matrix = Matrix::default();
            matrix.reset(columns);
            let mut truth = vec![vec![0_u16; columns]; 4];
            for (class, column, value, then) in steps {
                let (class, column) = (class as usize, column % columns);
                truth.iter_mut().for_each(|row| row[column] = value);
                truth[class][column] = value / 2;
                matrix.changed(column_of(column));
                let id = ClassId(u32::try_from(class).unwrap());
                match then {
                    0 => matrix.catch_up(
                        |column| column as usize,
                        |column, id| truth[id.0 as usize][*column],
                        |column, id| truth[id.0 as usize][column as usize],
                    ),
                    1 => {
                        matrix.admit(id);
                        let row = &truth[class];
                        let found = matrix.best(id, |column| row[column as usize]);
                        let most = row.iter().max().filter(|most| **most > 0);
                        let first = most.and_then(|most| row.iter().position(|v| v == most));
                        prop_assert_eq!(found, first.map(column_of));
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_least_recently_used_row_makes_room() {
        let mut matrix = Matrix::default();
        matrix.reset(1);
        let classes = u32::try_from(ROWS_MAX).unwrap() + 1;
        for class in (0..classes).map(ClassId) {
            matrix.admit(class);
            assert_eq!(matrix.best(class, |_| 1), Some(0));
        }
        let kept = matrix.rows.iter().map(Option::is_some);
        assert_eq!(kept.clone().filter(|kept| *kept).count(), ROWS_MAX);
        assert_eq!(kept.clone().position(|kept| !kept), Some(0));
        matrix.admit(ClassId(0));
        assert_eq!(matrix.best(ClassId(0), |_| 1), Some(0), "and comes back");
    }
}
