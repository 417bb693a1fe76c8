//! The product's own online decision, on a board of the replayed cluster.

use super::{Policy, Scoring};
use crate::{
    cluster::{Cluster, Decision, GpuSet, PODS_PER_NODE_MAX},
    demand::Demand,
    trace::{NodeRow, Trace},
};
use dovetail_core::{
    decide::{self, Ask, Board},
    packing::{self, History},
    policy::Policy as Rules,
    problem::fluid::Fluid,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel, ModelPattern},
    grant::{GpuGrant, Placement},
    id::{GpuUuid, Name, SliceId, Tenant, WorkloadId},
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
pub struct Dovetail {
    board: Board,
    /// The nodes when they are empty, by index in the board's view.
    empty: Vec<NodeView>,
    /// What is on each of them.
    on: Vec<Vec<Placement>>,
    /// By node of the replayed cluster: index in the board's view.
    index: Vec<usize>,
    /// By node of the replayed cluster: its room when it is empty.
    bare: Vec<packing::Room>,
    /// By class: what it takes.
    demands: Vec<packing::Demand>,
    /// The newest decision: its room is taken already.
    decided: Option<Decision>,
    tenant: Tenant,
    specs: Vec<WorkloadSpec>,
    workload: WorkloadId,
}

impl Dovetail {
    /// A policy that expects the trace's own mix, as the published ones do.
    pub fn new(trace: &Trace) -> Self {
        let nodes = (0..).zip(&trace.nodes);
        let view = ClusterView::of(nodes.map(|(rank, row)| node(trace, rank, row)));
        let specs = trace.classes.iter().map(|demand| spec(trace, demand));
        let index = (0..trace.nodes.len())
            .map(|rank| view.index_of(&name(&format!("node-{rank}"))))
            .map(|index| index.expect("every node is in the view"));
        let mut policy = Self {
            index: index.collect(),
            empty: view.nodes.clone(),
            on: vec![Vec::new(); view.nodes.len()],
            board: Board::of(view, Rules::default()),
            bare: Vec::new(),
            demands: Vec::new(),
            decided: None,
            tenant: Tenant("replay".into()),
            specs: specs.collect(),
            workload: WorkloadId(0),
        };
        policy.expect(trace);
        policy
    }

    fn expect(&mut self, trace: &Trace) {
        let specs = self.specs.iter();
        self.demands = specs
            .map(|spec| {
                let ask = ask(self.workload, &self.tenant, spec);
                self.board.demand(&ask).clone()
            })
            .collect();
        let mut history = History::default();
        for class in &trace.pods {
            history.record(&self.demands[*class], 1);
        }
        let fluid = Fluid {
            nodes: self.board.empty_nodes(),
            mix: history.mix([]),
        };
        let prices = dovetail_solver::fluid::solve(&fluid);
        let rooms = self.board.rooms();
        self.bare = self.index.iter().map(|i| rooms[*i].clone()).collect();
        self.board.expect(fluid.mix, prices);
    }
}

impl Policy for Dovetail {
    /// Takes the room of what it decides at once, as the product does.
    fn decide(&mut self, _: &Cluster, class: usize) -> Option<Decision> {
        self.workload.0 += 1;
        let ask = ask(self.workload, &self.tenant, &self.specs[class]);
        let placements = decide::place(&mut self.board, &ask)?;
        self.decided = self.decision(placements.first()?);
        self.decided
    }

    /// Scores follow after the decision, as in the product.
    fn placed(&mut self, _: &Cluster, class: usize, decision: Decision) {
        let placement = self.placement(class, decision);
        if self.decided.take() != Some(decision) {
            let taken = self.board.take(&placement, &self.tenant);
            debug_assert!(taken, "the board has all nodes of the trace");
        }
        self.on[self.index[decision.node]].push(placement);
        self.board.catch_up();
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
        let mut node = self.empty[index].clone();
        for placement in &self.on[index] {
            node.take(placement, &self.tenant);
        }
        self.board.put(node);
    }

    fn scoring(&self) -> Option<Scoring<'_>> {
        Some(Scoring {
            scorer: self.board.scorer(),
            bare: &self.bare,
            classes: &self.demands,
        })
    }
}

impl Dovetail {
    fn decision(&self, placement: &Placement) -> Option<Decision> {
        let view = self.board.view();
        let view = &view.nodes[view.index_of(&placement.node)?];
        let gpus = placement.gpus.iter().map(|gpu| 1 << gpu.index);
        Some(Decision {
            node: usize::try_from(view.tie).ok()?,
            gpus: GpuSet(gpus.fold(0, |set, bit: u16| set | bit)),
        })
    }

    /// A pod of this class there; equal pods are told apart by nothing.
    fn placement(&self, class: usize, decision: Decision) -> Placement {
        let empty = &self.empty[self.index[decision.node]];
        let resources = &self.specs[class].resources;
        let amount = resources.gpu.as_ref().map(|request| request.amount);
        let taken = empty.gpus.iter().enumerate();
        let taken = taken.filter(|(index, _)| decision.gpus.0 >> index & 1 == 1);
        let grant = |(_, gpu): (usize, &GpuView)| {
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
                workload: WorkloadId(0),
                attempt: 1,
                member: 0,
            },
            node: empty.name.clone(),
            cpu: resources.cpu,
            memory: resources.memory,
            gpus: taken.map(grant).collect(),
        }
    }
}

fn ask<'a>(workload: WorkloadId, tenant: &'a Tenant, spec: &'a WorkloadSpec) -> Ask<'a> {
    Ask {
        workload,
        attempt: 1,
        tenant,
        spec,
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
        uuid: GpuUuid(format!("GPU-{node}-{index}").into()),
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
