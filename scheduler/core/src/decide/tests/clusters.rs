//! Random clusters and queues, and an account of what a plan takes that shares nothing with deciding.

use super::{
    super::{Ask, instances::node},
    label, taint,
};
use crate::{
    plan::Step,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    gpu::{GpuHealth, GpuModel, ModelPattern},
    grant::Placement,
    id::{Tenant, WorkloadId},
    label::{Labels, Taint, Toleration},
    reason::Reason,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{WorkloadKind, WorkloadSpec},
};
use proptest::{collection::vec, option, prelude::*};
use std::collections::BTreeSet;

const GIB: u64 = 1 << 30;
const MODELS: [(&str, u64); 3] = [
    ("NVIDIA H100 80GB HBM3", 80),
    ("NVIDIA A100-SXM4-40GB", 40),
    ("NVIDIA L4", 24),
];

/// A tenant and what it submits.
pub(crate) type Submission = (Tenant, WorkloadSpec);

/// A cluster of a few nodes, some of them with nothing, closed, foreign or broken.
pub(crate) fn cluster() -> impl Strategy<Value = ClusterView> {
    let machine = (
        0..3_usize,
        0..5_u32,
        1..24_u64,
        1..64_u64,
        0..12_u32,
        any::<u32>(),
    );
    vec(machine, 1..6).prop_map(|machines| {
        let nodes = machines.into_iter().enumerate();
        ClusterView::of(nodes.map(|(index, machine)| random_node(index, machine)))
    })
}

fn random_node(
    index: usize,
    (model, gpus, cpu, memory, odd, noise): (usize, u32, u64, u64, u32, u32),
) -> NodeView {
    let mut node = node(&format!("node-{index}"), gpus);
    (node.cpu_total, node.cpu_free) = (CpuMilli(cpu * 1000), CpuMilli(cpu * 1000));
    (node.memory_total, node.memory_free) = (Bytes(memory * GIB), Bytes(memory * GIB));
    let (name, gib) = MODELS[model];
    for gpu in &mut node.gpus {
        gpu.name = name.to_owned();
        (gpu.memory_total, gpu.memory_free) = (Bytes(gib * GIB), Bytes(gib * GIB));
        gpu.model = GpuModel::of(name, gpu.memory_total);
    }
    let some = noise as usize % node.gpus.len().max(1);
    match noise % 5 {
        0 => {}
        zone => node.labels = [label("zone", if zone < 3 { "a" } else { "b" })].into(),
    }
    match (odd, node.gpus.get_mut(some)) {
        (0, _) => node.closed = Some(Reason::NodeUnreachable),
        (1, Some(gpu)) => gpu.health = GpuHealth::Lost,
        (2, Some(gpu)) => {
            gpu.external = Bytes(GIB);
            gpu.memory_free = gpu.memory_total.minus(Bytes(GIB));
        }
        (3, _) => node.level = Level::None,
        (4, _) => node.slices = 1022,
        (5, _) => node.taints = vec![taint("slow", "")],
        (6, _) => node.taints = vec![taint("dedicated", "ml"), taint("slow", "")],
        _ => {}
    }
    node
}

/// A queue in order: priority, then first come.
pub(crate) fn queue() -> impl Strategy<Value = Vec<Submission>> {
    vec(submission(), 1..14).prop_map(|mut queue| {
        queue.sort_by_key(|(_, spec)| -spec.priority);
        queue
    })
}

/// Anything somebody may submit.
pub(crate) fn submission() -> impl Strategy<Value = Submission> {
    let level = prop_oneof![
        4 => Just(Level::Shared),
        1 => Just(Level::None),
        1 => Just(Level::Isolated)
    ];
    let size = (1..5_u32, 100..9000_u64, 1..17_u64, where_to());
    (
        0..2_u32,
        0..4_u32,
        -1..2_i32,
        size,
        option::weighted(0.8, gpus()),
        level,
    )
        .prop_map(
            |(tenant, kind, priority, (gang_size, cpu, memory, nodes), gpu, level)| {
                let mut spec = WorkloadSpec::example("w");
                spec.kind = match kind {
                    0 => WorkloadKind::Service,
                    _ => WorkloadKind::Batch,
                };
                (spec.priority, spec.gang_size) = (priority, gang_size);
                spec.resources.cpu = CpuMilli(cpu);
                spec.resources.cpu_limit = CpuMilli(cpu);
                spec.resources.memory = Bytes(memory * GIB);
                spec.resources.gpu = gpu;
                spec.resources.minimum_level = level;
                (spec.node_selector, spec.tolerations) = nodes;
                (Tenant(format!("uid:{tenant}").into()), spec)
            },
        )
}

/// Labels that are asked for, and tolerations: mostly none.
fn where_to() -> impl Strategy<Value = (Labels, Vec<Toleration>)> {
    let labels = prop_oneof![
        6 => Just(Labels::new()),
        1 => Just([label("zone", "a")].into()),
        1 => Just([label("zone", "b")].into()),
        1 => Just([label("pool", "x"), label("zone", "b")].into()),
    ];
    let slow = || Toleration::Exists {
        key: label("slow", "").0,
    };
    let dedicated = |value| Toleration::of(&taint("dedicated", value));
    let tolerations = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![slow()]),
        1 => Just(vec![dedicated("ml"), slow()]),
        1 => Just(vec![slow(), dedicated("web")]),
    ];
    (labels, tolerations)
}

fn gpus() -> impl Strategy<Value = GpuRequest> {
    let amount = prop_oneof![
        (1..5_u32).prop_map(|count| GpuAmount::Whole { count }),
        (1..101_u64).prop_map(|c| GpuAmount::Share(GpuShare::Compute(GpuMilli(c * 10)))),
        (1..50_u64).prop_map(|gib| GpuAmount::Share(GpuShare::Memory(Bytes(gib * GIB)))),
        (1..1001_u64, 1..50_u64).prop_map(|(c, gib)| {
            GpuAmount::Share(GpuShare::Both(GpuMilli(c), Bytes(gib * GIB)))
        }),
    ];
    let models = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec!["A100"]),
        1 => Just(vec!["H100-80", "L4"])
    ];
    (amount, models).prop_map(|(amount, models)| GpuRequest {
        amount,
        models: models.into_iter().map(ModelPattern::new).collect(),
    })
}

/// The queue as deciding takes it.
pub(crate) fn asks(queue: &[Submission]) -> Vec<Ask<'_>> {
    (1..)
        .zip(queue)
        .map(|(id, (tenant, spec))| Ask {
            workload: WorkloadId(id),
            attempt: 1,
            tenant,
            spec,
        })
        .collect()
}

/// What is wrong with these steps on this cluster, added up anew.
pub(crate) fn wrongs(view: &ClusterView, asks: &[Ask<'_>], steps: &[Step]) -> Vec<String> {
    let mut wrongs = Vec::new();
    for step in steps {
        let ask = asks.iter().find(|ask| ask.workload == step.workload);
        let ranks: Vec<u32> = step.placements.iter().map(|p| p.slice.member).collect();
        if ask.is_none_or(|ask| ranks != (0..ask.spec.gang_size).collect::<Vec<u32>>()) {
            wrongs.push(format!("{} is not whole", step.workload));
        }
    }
    for node in &view.nodes {
        let all = steps.iter().flat_map(|step| &step.placements);
        let here: Vec<&Placement> = all.filter(|p| p.node == node.name).collect();
        node_wrongs(node, &here, &mut wrongs);
        for placement in &here {
            let workload = placement.slice.workload;
            let ask = asks.iter().find(|ask| ask.workload == workload);
            if !ask.is_some_and(|ask| lets_in(node, ask)) {
                wrongs.push(format!("{} keeps {workload} off", node.name));
            }
        }
        for gpu in &node.gpus {
            gpu_wrongs(gpu, &here, asks, &mut wrongs);
        }
    }
    wrongs
}

/// Whether labels and taints of a node let a workload in. Written anew, without the rules.
pub(crate) fn lets_in(node: &NodeView, ask: &Ask<'_>) -> bool {
    let mut asked = ask.spec.node_selector.iter();
    let borne = |taint: &Taint| {
        ask.spec.tolerations.iter().any(|toleration| {
            let text = toleration.to_string();
            text == taint.key.as_str() || text == format!("{}={}", taint.key, taint.value)
        })
    };
    asked.all(|pair| node.labels.iter().any(|own| own == pair)) && node.taints.iter().all(borne)
}

fn node_wrongs(node: &NodeView, here: &[&Placement], wrongs: &mut Vec<String>) {
    let cpu: u64 = here.iter().map(|p| p.cpu.0).sum();
    let memory: u64 = here.iter().map(|p| p.memory.0).sum();
    if cpu > node.cpu_free.0 || memory > node.memory_free.0 {
        wrongs.push(format!("{} is given away twice", node.name));
    }
    let full = node.slices as usize + here.len() > 1024;
    if full || (node.closed.is_some() && !here.is_empty()) {
        wrongs.push(format!("{} takes no more", node.name));
    }
}

fn gpu_wrongs(gpu: &GpuView, here: &[&Placement], asks: &[Ask<'_>], wrongs: &mut Vec<String>) {
    let (mut compute, mut memory, mut tenants) = (0, 0, BTreeSet::new());
    for placement in here {
        for grant in placement.gpus.iter().filter(|grant| grant.uuid == gpu.uuid) {
            compute += grant.compute.0;
            memory += grant.memory.0;
            let workload = placement.slice.workload;
            let ask = asks.iter().find(|ask| ask.workload == workload);
            tenants.insert(ask.map(|ask| ask.tenant));
        }
    }
    if compute > gpu.compute_free.0 || memory > gpu.memory_free.0 {
        wrongs.push(format!("{} is given away twice", gpu.uuid));
    }
    if tenants.len() > 1 {
        wrongs.push(format!("{} has two tenants", gpu.uuid));
    }
    if compute > 0 && gpu.health != GpuHealth::Ok {
        wrongs.push(format!("{} is broken", gpu.uuid));
    }
}
