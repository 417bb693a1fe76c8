//! What a cluster has and what a mix asks for, in all, by resource.

use crate::aggregate::{Aggregate, Pool, master::float};
use dovetail_core::packing::{Demand, Gpus};

/// Sums by resource.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    /// GPUs, by their compute.
    pub(super) gpu: f64,
    cpu: f64,
    memory: f64,
    slots: f64,
}

impl Totals {
    pub(super) fn of_cluster(aggregate: &Aggregate) -> Self {
        let sum = |of: &dyn Fn(&Pool) -> u128| {
            float(aggregate.pools.iter().map(of).fold(0, u128::saturating_add))
        };
        let compute = |pool: &Pool| {
            let bins = pool.bins.iter();
            bins.map(|bin| u128::from(bin.compute) * bin.count).sum()
        };
        Self {
            gpu: sum(&compute) / 1000.0,
            cpu: sum(&|pool| pool.cpu),
            memory: sum(&|pool| pool.memory),
            slots: sum(&|pool| pool.slots),
        }
    }

    pub(super) fn of_mix(aggregate: &Aggregate, demands: &[&Demand], weights: &[u64]) -> Self {
        let mut totals = Self::default();
        for (demand, weight) in demands.iter().zip(weights) {
            let weight = float((*weight).into());
            totals.gpu += gpus(aggregate, demand) * weight;
            totals.cpu += float(demand.cpu.0.into()) * weight;
            totals.memory += float(demand.memory.0.into()) * weight;
            totals.slots += weight;
        }
        totals
    }

    /// The load at which the first resource would be gone if it could be cut freely.
    pub(super) fn most_of(&self, asks: &Self) -> f64 {
        let each = [
            (self.gpu, asks.gpu),
            (self.cpu, asks.cpu),
            (self.memory, asks.memory),
            (self.slots, asks.slots),
        ];
        let most = each.iter().filter(|(_, asks)| *asks > 0.0);
        most.map(|(has, asks)| has / asks).fold(f64::MAX, f64::min)
    }

    /// The load at which as much GPU is asked for as there is; of work without GPUs, what fits.
    pub(super) fn full_of(&self, asks: &Self) -> f64 {
        if asks.gpu > 0.0 {
            self.gpu / asks.gpu
        } else {
            self.most_of(asks)
        }
    }

    /// GPUs that a member takes; what takes none is worth as large a part of the cluster's GPUs as
    /// the largest part that it takes of anything.
    pub(super) fn worth(&self, aggregate: &Aggregate, demand: &Demand) -> f64 {
        if demand.gpus != Gpus::None {
            return gpus(aggregate, demand);
        }
        let part = |takes: u64, of: f64| float(takes.into()) / of.max(1.0);
        let part = part(demand.cpu.0, self.cpu).max(part(demand.memory.0, self.memory));
        part * self.gpu.max(1.0)
    }
}

/// GPUs that a member takes, on the device where it takes least.
fn gpus(aggregate: &Aggregate, demand: &Demand) -> f64 {
    let devices = aggregate.pools.iter().flat_map(|pool| &pool.bins);
    let takes = devices.filter_map(|bin| demand.take_of(bin.device));
    let each = takes.map(|take| take.compute.0).min().unwrap_or(0);
    float(u128::from(each) * u128::from(demand.gpu_count())) / 1000.0
}
