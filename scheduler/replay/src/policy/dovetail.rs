//! The product's own online score, on rooms of the replayed cluster.

pub mod rooms;

use super::Policy;
use crate::{
    cluster::{Cluster, Decision, GpuSet},
    trace::Trace,
};
use dovetail_core::{
    decide::score::{Hosts, Scored, Scorer},
    packing::{Demand, Prices, Room},
};

/// The product's own online decision.
#[derive(Debug)]
pub struct Dovetail {
    scorer: Scorer,
    demands: Vec<Demand>,
    hosts: Vec<Hosts>,
    /// Rooms of the nodes, the one that wins ties first.
    rooms: Vec<Room>,
    /// By class, then by node; a row is made when its class first arrives.
    rows: Vec<Vec<Option<Scored>>>,
    placed: u64,
}

/// Placements between two looks for places that are short.
const REFRESH_EVERY: u64 = 50;

impl Dovetail {
    /// A policy for this trace, at these prices.
    pub fn new(trace: &Trace, prices: &Prices) -> Self {
        let (mix, kinds) = (rooms::mix(trace), rooms::kinds(trace));
        let scorer = Scorer::new(&mix, prices, &kinds);
        let demands = rooms::demands(trace);
        Self {
            hosts: demands.iter().map(|demand| scorer.hosts(demand)).collect(),
            scorer,
            demands,
            rooms: rooms::rooms(trace),
            rows: vec![Vec::new(); trace.classes.len()],
            placed: 0,
        }
    }

    fn refresh(&mut self) {
        let kinds = self.scorer.refresh(&self.rooms);
        if kinds.contains(&true) {
            for node in 0..self.rooms.len() {
                if kinds[self.rooms[node].kind as usize] {
                    self.rescore(node);
                }
            }
        }
    }

    fn rescore(&mut self, node: usize) {
        let looked = self.scorer.look(&self.rooms[node]);
        let classes = self.demands.iter().zip(&self.hosts);
        for (row, (demand, hosts)) in self.rows.iter_mut().zip(classes) {
            if !row.is_empty() {
                row[node] = looked.score(demand, hosts);
            }
        }
    }
}

impl Policy for Dovetail {
    fn decide(&mut self, _: &Cluster, class: usize) -> Option<Decision> {
        let demand = &self.demands[class];
        if self.rows[class].is_empty() {
            let hosts = &self.hosts[class];
            let score = |room| self.scorer.look(room).score(demand, hosts);
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
        self.rescore(node);
        self.placed += 1;
        if self.placed.is_multiple_of(REFRESH_EVERY) {
            self.refresh();
        }
    }
}
