//! The product's own online score, on rooms of the replayed cluster.

pub mod rooms;

use super::Policy;
use crate::{
    cluster::{Cluster, Decision, GpuSet},
    trace::Trace,
};
use dovetail_core::{
    decide::score::{Scored, Scorer},
    packing::{Demand, Prices, Room},
};

/// The product's own online decision.
#[derive(Debug)]
pub struct Dovetail {
    scorer: Scorer,
    demands: Vec<Demand>,
    /// Rooms of the nodes, the one that wins ties first.
    rooms: Vec<Room>,
    /// By class, then by node; a row is made when its class first arrives.
    rows: Vec<Vec<Option<Scored>>>,
}

impl Dovetail {
    /// A policy for this trace, at these prices.
    pub fn new(trace: &Trace, prices: &Prices) -> Self {
        let (mix, kinds) = (rooms::mix(trace), rooms::kinds(trace));
        Self {
            scorer: Scorer::new(&mix, prices, &kinds),
            demands: rooms::demands(trace),
            rooms: rooms::rooms(trace),
            rows: vec![Vec::new(); trace.classes.len()],
        }
    }
}

impl Policy for Dovetail {
    fn decide(&mut self, _: &Cluster, class: usize) -> Option<Decision> {
        let demand = &self.demands[class];
        if self.rows[class].is_empty() {
            let score = |room| self.scorer.score(room, demand);
            self.rows[class] = self.rooms.iter().map(score).collect();
        }
        let mut best: Option<(u16, Decision)> = None;
        for (node, scored) in self.rows[class].iter().enumerate() {
            let Some(Scored { value, gpus }) = *scored else {
                continue;
            };
            if best.is_none_or(|(most, _)| value > most) {
                let gpus = GpuSet(u16::try_from(gpus).expect("nodes have at most 16 GPUs"));
                best = Some((value, Decision { node, gpus }));
            }
        }
        best.map(|(_, decision)| decision)
    }

    fn placed(&mut self, _: &Cluster, class: usize, Decision { node, gpus }: Decision) {
        let taken: Vec<usize> = (0..16).filter(|index| gpus.0 >> index & 1 == 1).collect();
        self.rooms[node].take(&self.demands[class], &taken);
        let looked = self.scorer.look(&self.rooms[node]);
        for (row, demand) in self.rows.iter_mut().zip(&self.demands) {
            if !row.is_empty() {
                row[node] = looked.score(demand);
            }
        }
    }
}
