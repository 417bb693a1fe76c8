//! Looks on while a policy decides, and keeps what the pictures of a report show.

use crate::{
    cluster::{Cluster, Decision, GpuSet},
    curve::Curve,
    decimal::Decimal,
    fragmentation::Fragmentation,
    policy::{Policy, Scoring},
    trace::Trace,
    usage,
};
use std::collections::BTreeMap;

/// What the pictures of one run show.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Part of the free GPU that typical pods cannot use, in percent, by arrived percent.
    pub fragmentation: BTreeMap<u64, Decimal>,
    /// Pods that are placed at the end: class, and where.
    pub placed: Vec<(usize, Decision)>,
    /// How long each decision took, in nanoseconds, shortest first.
    pub decisions_ns: Vec<u64>,
}

/// A policy that is looked at.
pub(crate) struct Observer<'a> {
    inner: Box<dyn Policy>,
    trace: &'a Trace,
    scale: Curve,
    arrived_milli: u64,
    sampled: Option<u64>,
    fragmentation: Option<Fragmentation>,
    /// By node, GPUs and class: how many.
    placed: BTreeMap<(usize, u16, usize), u32>,
    own_cpu_us: u64,
}

impl<'a> Observer<'a> {
    /// Samples the fragmentation only if that is wanted: it takes longer than deciding.
    pub(crate) fn new(inner: Box<dyn Policy>, trace: &'a Trace, samples: bool) -> Self {
        Self {
            inner,
            trace,
            scale: Curve::new(trace.cluster().capacity_milli()),
            arrived_milli: 0,
            sampled: None,
            fragmentation: samples.then(|| Fragmentation::new(trace)),
            placed: BTreeMap::new(),
            own_cpu_us: 0,
        }
    }

    /// CPU that looking on took, in microseconds: it is no cost of the policy.
    pub(crate) fn own_cpu_us(&self) -> u64 {
        self.own_cpu_us
    }

    /// The pictures but for the times, which the replay takes.
    pub(crate) fn finish(mut self, cluster: &Cluster) -> Picture {
        self.sample(cluster);
        let placed = self.placed.into_iter();
        let fragmentation = self.fragmentation.map(Fragmentation::into_points);
        Picture {
            fragmentation: fragmentation.unwrap_or_default(),
            placed: placed.flat_map(one_by_one).collect(),
            decisions_ns: Vec::new(),
        }
    }

    fn arrived_percent(&self) -> u64 {
        self.scale.percent(self.arrived_milli).units / 100
    }

    fn sample(&mut self, cluster: &Cluster) {
        let percent = self.arrived_percent();
        let Some(fragmentation) = &mut self.fragmentation else {
            return;
        };
        let before = usage::thread_cpu_us();
        fragmentation.sample(percent, cluster);
        self.sampled = Some(percent);
        self.own_cpu_us += usage::thread_cpu_us().saturating_sub(before);
    }
}

fn one_by_one(
    ((node, gpus, class), count): ((usize, u16, usize), u32),
) -> impl Iterator<Item = (usize, Decision)> {
    let gpus = GpuSet(gpus);
    (0..count).map(move |_| (class, Decision { node, gpus }))
}

impl Policy for Observer<'_> {
    /// As little as possible is done here: the time of a decision is taken around it.
    fn decide(&mut self, cluster: &Cluster, class: usize) -> Option<Decision> {
        self.arrived_milli += self.trace.classes[class].total_milli();
        self.inner.decide(cluster, class)
    }

    fn placed(&mut self, cluster: &Cluster, class: usize, decision: Decision) {
        let place = (decision.node, decision.gpus.0, class);
        *self.placed.entry(place).or_default() += 1;
        if self.fragmentation.is_some() && self.sampled != Some(self.arrived_percent()) {
            self.sample(cluster);
        }
        self.inner.placed(cluster, class, decision);
    }

    fn removed(&mut self, cluster: &Cluster, class: usize, decision: Decision) {
        let place = (decision.node, decision.gpus.0, class);
        if let Some(count) = self.placed.get_mut(&place) {
            *count -= 1;
        }
        self.inner.removed(cluster, class, decision);
    }

    fn scoring(&self) -> Option<Scoring<'_>> {
        self.inner.scoring()
    }
}
