//! Takes the node with the largest score, the first of equals, and scores a node again only
//! after it has changed.

use super::{Policy, Scorer};
use crate::{
    cluster::{Cluster, Decision, GpuSet},
    demand::Demand,
};

/// Most remembered scores: 64 MiB of them. More than one cluster of 10,000 nodes needs.
const CELLS_MAX: usize = 8 << 20;

/// What is known of a class on a node.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Stale,
    Unfit,
    Fits(i32, GpuSet),
}

/// A policy made of a score.
#[derive(Debug)]
pub(super) struct Scored<S> {
    scorer: S,
    classes: Vec<Demand>,
    /// By class, then by node; a row is made when its class first arrives.
    rows: Vec<Option<Box<[Cell]>>>,
    cells: usize,
}

impl<S: Scorer> Scored<S> {
    pub(super) fn new(scorer: S, classes: &[Demand]) -> Self {
        Self {
            scorer,
            classes: classes.to_vec(),
            rows: vec![None; classes.len()],
            cells: 0,
        }
    }

    fn changed(&mut self, node: usize) {
        for row in self.rows.iter_mut().flatten() {
            row[node] = Cell::Stale;
        }
    }

    fn make_row(&mut self, class: usize, nodes: usize) {
        if self.rows[class].is_some() {
            return;
        }
        if self.cells + nodes > CELLS_MAX {
            self.rows.fill(None);
            self.cells = 0;
        }
        self.rows[class] = Some(vec![Cell::Stale; nodes].into_boxed_slice());
        self.cells += nodes;
    }
}

impl<S: Scorer> Policy for Scored<S> {
    fn decide(&mut self, cluster: &Cluster, class: usize) -> Option<Decision> {
        self.make_row(class, cluster.nodes().len());
        let demand = &self.classes[class];
        let row = self.rows[class].as_mut()?;
        let mut best: Option<(i32, Decision)> = None;
        for (index, (cell, node)) in row.iter_mut().zip(cluster.nodes()).enumerate() {
            if matches!(cell, Cell::Stale) {
                *cell = Cell::Unfit;
                if node.fits(demand) {
                    let (score, gpus) = self.scorer.score(node, demand);
                    *cell = Cell::Fits(score, gpus);
                }
            }
            if let Cell::Fits(score, gpus) = *cell
                && best.is_none_or(|(most, _)| score > most)
            {
                best = Some((score, Decision { node: index, gpus }));
            }
        }
        best.map(|(_, decision)| decision)
    }

    fn placed(&mut self, _: &Cluster, _: usize, decision: Decision) {
        self.changed(decision.node);
    }

    fn removed(&mut self, _: &Cluster, _: usize, decision: Decision) {
        self.changed(decision.node);
    }
}
