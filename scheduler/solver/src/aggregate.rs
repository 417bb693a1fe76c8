//! Nodes put together: pools of CPU, memory and GPUs in which work may be cut freely, and the ways
//! in which a class of work may use a pool.
//!
//! Whatever fits on the nodes fits in their pools, so that an optimum over pools is never below
//! one over nodes. What is kept of the nodes: which rooms a class fits in at all, how slices share
//! one GPU, and on how many nodes there is room for so many whole GPUs.

pub(crate) mod knapsack;
pub(crate) mod master;
mod pool;

pub(crate) use pool::{Bin, Pool, Slice};

use dovetail_core::packing::{Demand, Room};
use std::collections::BTreeMap;

/// Nodes of the whole cluster in a program.
const NODES: f64 = 1000.0;

/// One way to place a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) class: usize,
    pub(crate) pool: usize,
    pub(crate) cpu: u64,
    pub(crate) memory: u64,
    pub(crate) gpus: Uses,
}

/// What of the GPUs of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    Nothing,
    /// One of the pool's slices.
    Slice(usize),
    /// So many whole ones of one of the pool's bins.
    Whole {
        bin: usize,
        count: u32,
    },
}

/// Pools, and the ways of all classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aggregate {
    pub(crate) pools: Vec<Pool>,
    pub(crate) ways: Vec<Way>,
    pub(crate) classes: usize,
}

impl Aggregate {
    /// Nodes in a program by node: the numbers of all clusters are alike there.
    pub(crate) fn scale(&self) -> f64 {
        let nodes: u128 = self.pools.iter().map(|pool| pool.nodes).sum();
        NODES / master::float(nodes.max(1))
    }

    /// Puts rooms with equal keys together. Rooms of one key must be of one kind.
    pub(crate) fn of<K: Ord>(
        nodes: &[(Room, u64)],
        demands: &[&Demand],
        key: impl Fn(&Room) -> K,
    ) -> Self {
        let mut groups: BTreeMap<(u32, K), Vec<&(Room, u64)>> = BTreeMap::new();
        for node in nodes {
            if node.0.slices > 0 && node.1 > 0 {
                groups
                    .entry((node.0.kind, key(&node.0)))
                    .or_default()
                    .push(node);
            }
        }
        let mut all = Self {
            classes: demands.len(),
            ..Self::default()
        };
        for rooms in groups.values() {
            all.add(rooms, demands);
        }
        all
    }

    fn add(&mut self, rooms: &[&(Room, u64)], demands: &[&Demand]) {
        let fits = |demand: &Demand| rooms.iter().any(|(room, _)| room.fits(demand));
        let fitting: Vec<(usize, &Demand)> = (demands.iter().copied().enumerate())
            .filter(|(_, demand)| fits(demand))
            .collect();
        if fitting.is_empty() {
            return;
        }
        let mut pool = Pool::of(rooms);
        pool.slices = pool::slices_of(&pool.bins, &fitting);
        pool.gangs = pool::gangs_of(rooms, &fitting);
        for (class, demand) in fitting {
            let way = |gpus| Way {
                class,
                pool: self.pools.len(),
                cpu: demand.cpu.0,
                memory: demand.memory.0,
                gpus,
            };
            self.ways.extend(pool.uses(demand).into_iter().map(way));
        }
        self.pools.push(pool);
    }
}
