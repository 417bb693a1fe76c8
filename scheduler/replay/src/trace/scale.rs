//! A cluster so many times as large under so many times the work, by copying both.

use super::{NodeRow, Trace, error::TraceError, inflate::ARRIVALS_MAX, nodes::NODES_MAX};

impl Trace {
    /// So many copies of every node and pod. Copies of a node follow it in the order that breaks
    /// ties, and copies of a pod arrive right after it, so that no copy fares better than another.
    pub fn scaled(self, copies: usize) -> Result<Self, TraceError> {
        limit("nodes", self.nodes.len(), copies, NODES_MAX)?;
        limit("arrivals", self.arrivals.len(), copies, ARRIVALS_MAX)?;
        let nodes = self.nodes.iter();
        Ok(Self {
            nodes: nodes
                .flat_map(|node| (0..copies).map(|copy| named(node, copy)))
                .collect(),
            pods: repeated(&self.pods, copies),
            arrivals: repeated(&self.arrivals, copies),
            ..self
        })
    }
}

/// The first copy keeps its name.
fn named(node: &NodeRow, copy: usize) -> NodeRow {
    let mut node = node.clone();
    if copy > 0 {
        node.name = format!("{}-{copy}", node.name);
    }
    node
}

fn repeated(classes: &[usize], copies: usize) -> Vec<usize> {
    let each = classes.iter();
    each.flat_map(|class| std::iter::repeat_n(*class, copies))
        .collect()
}

fn limit(what: &'static str, one: usize, copies: usize, limit: usize) -> Result<(), TraceError> {
    if one.saturating_mul(copies) <= limit {
        return Ok(());
    }
    Err(TraceError::Scale {
        copies,
        what,
        one,
        most: limit / one,
    })
}
