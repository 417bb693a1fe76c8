//! Nodes in the order that breaks ties, and what is seen there.

use super::matrix::Column;
use crate::{
    decide::score::{Looked, Scorer, Seen},
    packing::Room,
    view::ClusterView,
};

/// Nodes in the order that breaks ties.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// By column: the node's index in the view.
    pub(super) node: Vec<usize>,
    /// By index in the view: its column.
    pub(super) of: Vec<Column>,
    /// A node came or went since.
    pub(super) stale: bool,
}

impl Columns {
    /// The columns of these nodes.
    pub(super) fn of(view: &ClusterView) -> Self {
        let mut node: Vec<usize> = (0..view.nodes.len()).collect();
        node.sort_by_key(|index| {
            let node = &view.nodes[*index];
            (node.tie, &node.name)
        });
        let mut of = vec![0; node.len()];
        for (column, index) in (0..).zip(&node) {
            of[*index] = column;
        }
        Self {
            node,
            of,
            stale: false,
        }
    }
}

/// Everything that a score is made of but the demand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    scorer: &'a Scorer,
    rooms: &'a [Room],
    seen: &'a [Seen],
    columns: &'a Columns,
}

impl<'a> Places<'a> {
    pub(super) fn of(
        scorer: &'a Scorer,
        rooms: &'a [Room],
        seen: &'a [Seen],
        columns: &'a Columns,
    ) -> Self {
        Self {
            scorer,
            rooms,
            seen,
            columns,
        }
    }

    pub(super) fn look(self, column: Column) -> Looked<'a> {
        let node = self.columns.node[column as usize];
        self.scorer.look_again(&self.rooms[node], &self.seen[node])
    }
}
