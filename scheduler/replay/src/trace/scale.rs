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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::{trace, whole};

    fn three_nodes() -> Trace {
        let mut trace = trace(&[(whole(1), 2), (whole(2), 1)]);
        trace.arrivals = vec![1, 0, 0];
        let node = |name: &str| NodeRow {
            name: name.to_owned(),
            cpu_milli: 1,
            memory_mib: 1,
            gpus: 1,
            model: 0,
        };
        trace.nodes = ["c", "a", "b"].map(node).to_vec();
        trace
    }

    #[test]
    fn copies_follow_each_other_and_names_stay_different() {
        let scaled = three_nodes().scaled(2).unwrap();
        let names: Vec<&str> = scaled.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["c", "c-1", "a", "a-1", "b", "b-1"]);
        assert_eq!(scaled.arrivals, [1, 1, 0, 0, 0, 0]);
        assert_eq!(scaled.pods, [0, 0, 0, 0, 1, 1]);
        assert_eq!(three_nodes().scaled(1).unwrap(), three_nodes());
    }

    #[test]
    fn too_many_copies_are_refused_with_what_can_be_had() {
        let error = three_nodes().scaled(NODES_MAX).unwrap_err().to_string();
        assert!(error.contains("--scale` 33333 at most"), "{error}");
    }
}
