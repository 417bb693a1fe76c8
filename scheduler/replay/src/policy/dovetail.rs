//! The product's own online decision, on a view of the replayed cluster.

use super::Policy;
use crate::{
    cluster::{Cluster, Decision, PODS_PER_NODE_MAX},
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
    grant::{GpuGrant, Placement},
    id::{GpuUuid, Name, SliceId, Tenant, WorkloadId},
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
    /// The nodes of the view when they are empty.
    empty: Vec<NodeView>,
    /// By node of the view: what is on it.
    on: Vec<Vec<Placement>>,
    /// By node of the replayed cluster: index into the view.
    index: Vec<usize>,
    rules: Rules,
    tenant: Tenant,
    specs: Vec<WorkloadSpec>,
    workload: WorkloadId,
}

impl Dovetail {
    pub(super) fn new(trace: &Trace) -> Self {
        let nodes = (0..).zip(&trace.nodes);
        let specs = trace.classes.iter().map(|demand| spec(trace, demand));
        let view = ClusterView::of(nodes.map(|(rank, row)| node(trace, rank, row)));
        let index = (0..trace.nodes.len())
            .map(|rank| view.index_of(&name(&format!("node-{rank}"))))
            .map(|index| index.expect("every node is in the view"));
        Self {
            index: index.collect(),
            empty: view.nodes.clone(),
            on: vec![Vec::new(); view.nodes.len()],
            view,
            rules: Rules::default(),
            tenant: Tenant("replay".to_owned()),
            specs: specs.collect(),
            workload: WorkloadId(0),
        }
    }
}

impl Policy for Dovetail {
    fn decide(&mut self, _: &Cluster, class: usize) -> Option<Decision> {
        self.workload.0 += 1;
        let ask = Ask {
            workload: self.workload,
            attempt: 1,
            tenant: &self.tenant,
            spec: &self.specs[class],
        };
        let placements = decide::place(&mut self.view, &ask, &self.rules)?;
        let placement = placements.first()?;
        let index = self.view.index_of(&placement.node)?;
        let node = usize::try_from(self.view.nodes[index].tie).ok()?;
        let gpus = placement.gpus.iter().map(|gpu| gpu.index as usize);
        let gpus = gpus.collect();
        // Its room is taken when the replay says so.
        self.rebuild(index);
        Some(Decision { node, gpus })
    }

    fn placed(&mut self, _: &Cluster, class: usize, decision: Decision) {
        let index = self.index[decision.node];
        let placement = self.placement(class, decision);
        self.view.nodes[index].take(&placement, &self.tenant);
        self.on[index].push(placement);
    }

    fn removed(&mut self, _: &Cluster, class: usize, decision: Decision) {
        let index = self.index[decision.node];
        let gone = self.placement(class, decision);
        let same = |one: &Placement| {
            (one.cpu, one.memory, &one.gpus) == (gone.cpu, gone.memory, &gone.gpus)
        };
        if let Some(at) = self.on[index].iter().position(same) {
            self.on[index].remove(at);
        }
        self.rebuild(index);
    }
}

impl Dovetail {
    fn rebuild(&mut self, index: usize) {
        let mut node = self.empty[index].clone();
        for placement in &self.on[index] {
            node.take(placement, &self.tenant);
        }
        self.view.nodes[index] = node;
    }

    /// A pod of this class there; equal pods are told apart by nothing.
    fn placement(&self, class: usize, decision: Decision) -> Placement {
        let empty = &self.empty[self.index[decision.node]];
        let resources = &self.specs[class].resources;
        let grant = |index: usize| {
            let gpu = &empty.gpus[index];
            let amount = resources.gpu.as_ref().map(|request| request.amount);
            let (compute, memory) = match amount {
                Some(GpuAmount::Share(share)) => share.on(gpu.memory_total),
                Some(GpuAmount::Whole { .. }) | None => (WHOLE_GPU, gpu.memory_total),
            };
            GpuGrant {
                uuid: gpu.uuid.clone(),
                index: gpu.index,
                compute,
                memory,
            }
        };
        Placement {
            slice: SliceId {
                workload: self.workload,
                attempt: 1,
                member: 0,
            },
            node: empty.name.clone(),
            cpu: resources.cpu,
            memory: resources.memory,
            gpus: decision.gpus.indices().map(grant).collect(),
        }
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
