//! The product's own online decision, on a view of the replayed cluster.

use super::Policy;
use crate::{
    cluster::{Cluster, Decision, GpuSet, PODS_PER_NODE_MAX},
    demand::Demand,
    trace::{NodeRow, Trace},
};
use dovetail_core::{
    decide::{self, Ask},
    policy::Policy as Rules,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel, ModelPattern},
    grant::Placement,
    id::{GpuUuid, Name, Tenant, WorkloadId},
    label::Labels,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
    workload::WorkloadSpec,
};

/// Memory of every GPU: the traces say nothing about it, and so each thousandth of a GPU has a
/// thousandth of the memory.
const GPU_MEMORY: Bytes = Bytes(1000 << 20);

/// The product's own online decision.
#[derive(Debug)]
pub(super) struct Dovetail {
    view: ClusterView,
    rules: Rules,
    tenant: Tenant,
    specs: Vec<WorkloadSpec>,
    workload: WorkloadId,
}

impl Dovetail {
    pub(super) fn new(trace: &Trace) -> Self {
        let nodes = (0..).zip(&trace.nodes);
        let specs = trace.classes.iter().map(|demand| spec(trace, demand));
        Self {
            view: ClusterView::of(nodes.map(|(rank, row)| node(trace, rank, row))),
            rules: Rules::default(),
            tenant: Tenant("replay".to_owned()),
            specs: specs.collect(),
            workload: WorkloadId(0),
        }
    }
}

impl Policy for Dovetail {
    /// Takes the room of what it decides at once, as the product does.
    fn decide(&mut self, _: &Cluster, class: usize) -> Option<Decision> {
        self.workload.0 += 1;
        let ask = Ask {
            workload: self.workload,
            attempt: 1,
            tenant: &self.tenant,
            spec: &self.specs[class],
        };
        let placements = decide::place(&mut self.view, &ask, &self.rules)?;
        self.decision(placements.first()?)
    }

    fn placed(&mut self, _: &Cluster, _: usize, _: Decision) {}
}

impl Dovetail {
    fn decision(&self, placement: &Placement) -> Option<Decision> {
        let view = &self.view.nodes[self.view.index_of(&placement.node)?];
        let gpus = placement.gpus.iter().map(|gpu| 1 << gpu.index);
        Some(Decision {
            node: usize::try_from(view.tie).ok()?,
            gpus: GpuSet(gpus.fold(0, |set, bit: u16| set | bit)),
        })
    }
}

/// The tie rank is the node's place in the replayed cluster.
fn node(trace: &Trace, rank: u32, row: &NodeRow) -> NodeView {
    let (cpu, memory) = (CpuMilli(row.cpu_milli), mib(row.memory_mib));
    NodeView {
        // Names of a trace need not be names of the product.
        name: name(&format!("node-{rank}")),
        tie: rank.into(),
        closed: None,
        labels: Labels::new(),
        taints: Vec::new(),
        cpu_total: cpu,
        cpu_free: cpu,
        memory_total: memory,
        memory_free: memory,
        slices: NodeView::SLICES_LIMIT - u32::from(PODS_PER_NODE_MAX),
        level: Level::Isolated,
        gpus: (0..row.gpus.into())
            .map(|index| gpu(rank, index, &trace.models[usize::from(row.model)]))
            .collect(),
    }
}

fn gpu(node: u32, index: u32, model: &str) -> GpuView {
    GpuView {
        uuid: GpuUuid(format!("GPU-{node}-{index}")),
        index,
        name: model.to_owned(),
        model: GpuModel::of(model, GPU_MEMORY),
        health: GpuHealth::Ok,
        memory_total: GPU_MEMORY,
        memory_free: GPU_MEMORY,
        compute_free: WHOLE_GPU,
        share_level: Level::Isolated,
        whole_level: Level::Isolated,
        holders: Vec::new(),
        external: Bytes::ZERO,
    }
}

fn spec(trace: &Trace, demand: &Demand) -> WorkloadSpec {
    let mut spec = WorkloadSpec::example("pod");
    let cpu = CpuMilli(demand.cpu_milli);
    spec.resources.cpu = cpu;
    spec.resources.cpu_limit = cpu;
    spec.resources.memory = mib(demand.memory_mib);
    let request = || GpuRequest {
        amount: if demand.is_share() {
            GpuAmount::Share(GpuShare::Compute(GpuMilli(demand.gpu_milli.into())))
        } else {
            let count = demand.gpus.into();
            GpuAmount::Whole { count }
        },
        models: trace
            .spec_models(demand.spec)
            .map(ModelPattern::new)
            .collect(),
    };
    spec.resources.gpu = (demand.gpus > 0).then(request);
    spec
}

fn mib(amount: u64) -> Bytes {
    Bytes(amount << 20)
}

fn name(text: &str) -> Name {
    Name::new(text).expect("letters, a hyphen and digits are a name")
}
