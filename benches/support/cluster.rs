//! A mixed cluster of any size and the work that comes to it, the same on every machine.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

use dovetail_core::{
    decide::{Ask, instances},
    effect::Effect,
    engine::Engine,
    input::{Caller, Input, Mutation, ReplyId, Request, SessionId},
    policy::Policy,
    state::State,
    view::{ClusterView, GpuView, NodeView},
};
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    id::{BootId, ClusterId, GpuUuid, NodeName, Tenant, WorkloadId},
    label::Labels,
    node::Inventory,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    time::Now,
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadKind, WorkloadSpec},
};

/// The time at which everything happens.
pub(crate) const NOW: Now = Now {
    boot_ns: 1_000_000_000,
    wall_ns: 1_700_000_000_000_000_000,
};

/// Full name, GiB and number of the GPUs, and cores, of every so many-th node: half of the nodes
/// are of the first kind.
const KINDS: [(&str, u64, u32, u64); 8] = [
    ("NVIDIA H100 80GB HBM3", 80, 8, 128),
    ("NVIDIA H100 80GB HBM3", 80, 8, 128),
    ("NVIDIA H100 80GB HBM3", 80, 8, 128),
    ("NVIDIA H100 80GB HBM3", 80, 8, 128),
    ("NVIDIA A100-SXM4-40GB", 40, 8, 96),
    ("NVIDIA A10", 24, 4, 64),
    ("Tesla T4", 16, 2, 96),
    ("Tesla V100-SXM2-32GB", 32, 8, 96),
];

/// Of a hundred workloads so many ask for this: milli of a share, whole GPUs, cores.
const WORK: [(u64, Option<u64>, u32, u64); 20] = [
    (9, None, 0, 4),
    (4, None, 0, 12),
    (3, Some(110), 0, 2),
    (6, Some(220), 0, 4),
    (5, Some(270), 0, 6),
    (5, Some(320), 0, 8),
    (6, Some(470), 0, 6),
    (4, Some(500), 0, 8),
    (4, Some(650), 0, 9),
    (9, Some(810), 0, 10),
    (2, Some(900), 0, 4),
    (12, None, 1, 8),
    (10, None, 1, 10),
    (6, None, 1, 12),
    (3, None, 2, 16),
    (2, None, 2, 24),
    (2, None, 4, 32),
    (1, None, 4, 48),
    (4, None, 8, 64),
    (3, None, 8, 88),
];

/// Sizes of memory: as many classes of work for each row above.
const GIBS: [u64; 5] = [4, 8, 16, 24, 30];

/// A node as its agent reports it.
pub(crate) fn inventory(index: u32) -> Inventory {
    let (name, gib, count, cores) = KINDS[index as usize % KINDS.len()];
    let gpu = |gpu| GpuInfo {
        uuid: GpuUuid(format!("GPU-{index}-{gpu}").into()),
        index: gpu,
        name: name.to_owned(),
        model: GpuModel::of(name, Bytes(gib << 30)),
        memory: Bytes(gib << 30),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: String::new(),
    };
    Inventory {
        node: NodeName::new(&format!("node-{index}")).expect("a valid name"),
        boot_id: BootId("boot".into()),
        agent_version: String::new(),
        cpu: CpuMilli(cores * 1000),
        memory: Bytes(1 << 40),
        gpus: (0..count).map(gpu).collect(),
        level: Level::Shared,
        enforces: vec![],
        not_enforced: vec![],
        labels: Labels::new(),
        taints: vec![],
    }
}

/// The same nodes as deciding sees them, empty.
pub(crate) fn view(nodes: u32) -> ClusterView {
    ClusterView::of((0..nodes).map(|index| node_view(&inventory(index))))
}

fn node_view(inventory: &Inventory) -> NodeView {
    let count = u32::try_from(inventory.gpus.len()).unwrap_or(0);
    let node = instances::node(inventory.node.as_str(), count);
    let gpus = node.gpus.iter().zip(&inventory.gpus);
    let gpus = gpus.map(|(view, info)| GpuView {
        name: info.name.clone(),
        model: info.model.clone(),
        memory_total: info.memory,
        memory_free: info.memory,
        ..view.clone()
    });
    NodeView {
        cpu_total: inventory.cpu,
        cpu_free: inventory.cpu,
        memory_total: inventory.memory,
        memory_free: inventory.memory,
        gpus: gpus.collect(),
        ..node.clone()
    }
}

/// Memory of a GPU by kind of node.
pub(crate) fn memories_gib() -> impl Iterator<Item = u64> {
    KINDS.iter().map(|(_, gib, ..)| *gib)
}

/// The kind of the node with this name.
pub(crate) fn kind_of(name: &NodeName) -> u32 {
    let index = name.as_str().trim_start_matches("node-").parse();
    let index: u32 = index.expect("the nodes here are numbered");
    // Of eight kinds the first four are one.
    match index % 8 {
        0..=3 => 0,
        kind => kind,
    }
}

/// The workload of this number: any hundred in a row are the mix, in an order without pattern.
pub(crate) fn spec(number: u64) -> WorkloadSpec {
    // 37 and 100 have no common divisor, so every draw of a hundred comes once.
    let mut draw = number * 37 % 100;
    let row = WORK.iter().find(|(percent, ..)| {
        let here = draw < *percent;
        draw = draw.wrapping_sub(*percent);
        here
    });
    let (_, milli, wholes, cores) = row.expect("the percents sum up to a hundred");
    let mut spec = WorkloadSpec::example(&format!("w-{number}"));
    spec.kind = WorkloadKind::Service;
    spec.resources.cpu = CpuMilli(cores * 1000);
    spec.resources.cpu_limit = spec.resources.cpu;
    let gib = GIBS[usize::try_from(number / 100).unwrap_or(0) % GIBS.len()];
    spec.resources.memory = Bytes(gib << 30);
    let share = milli.map(|milli| GpuAmount::Share(GpuShare::Compute(GpuMilli(milli))));
    let whole = (*wholes > 0).then_some(GpuAmount::Whole { count: *wholes });
    spec.resources.gpu = share.or(whole).map(|amount| GpuRequest {
        amount,
        models: vec![],
    });
    spec
}

/// Compute that a workload asks for.
pub(crate) fn milli(spec: &WorkloadSpec) -> u64 {
    match spec.resources.gpu.as_ref().map(|gpu| gpu.amount) {
        Some(GpuAmount::Share(GpuShare::Compute(milli))) => milli.0,
        Some(GpuAmount::Whole { count }) => u64::from(count) * 1000,
        Some(GpuAmount::Share(_)) | None => 0,
    }
}

/// Compute of all GPUs of so many nodes.
pub(crate) fn capacity_milli(nodes: u32) -> u64 {
    let gpus = |index: u32| u64::from(KINDS[index as usize % KINDS.len()].2);
    (0..nodes).map(gpus).sum::<u64>() * 1000
}

/// How many workloads of the mix ask for so many percent of all GPUs.
pub(crate) fn arrived(nodes: u32, percent: u64) -> u64 {
    let wanted = capacity_milli(nodes) * percent / 100;
    let mut asked = 0;
    let more = |number: &u64| {
        asked += milli(&spec(*number));
        asked < wanted
    };
    (0..).take_while(more).count() as u64
}

/// A workload as it asks for a place.
pub(crate) fn ask<'a>(number: u64, tenant: &'a Tenant, spec: &'a WorkloadSpec) -> Ask<'a> {
    Ask {
        workload: WorkloadId(number + 1),
        attempt: 1,
        tenant,
        spec,
    }
}

/// Whose everything is.
pub(crate) fn tenant() -> Tenant {
    caller(1000).tenant
}

fn caller(uid: u32) -> Caller {
    let owner = Owner {
        uid,
        gid: uid,
        groups: vec![],
    };
    Caller {
        tenant: Tenant(format!("uid:{uid}").into()),
        owner,
        operator: uid == 0,
    }
}

/// A request of this user.
pub(crate) fn request(number: u64, request: Request, uid: u32) -> Input {
    Input::Request {
        reply: ReplyId(number),
        caller: caller(uid),
        request,
    }
}

/// The submission of a workload.
pub(crate) fn submission(number: u64) -> Input {
    let id = number.to_string();
    let mutation = Mutation {
        request_id: id.clone(),
        digest: id,
        validate_only: false,
        expected_revision: None,
    };
    let (spec, owner) = (Box::new(spec(number)), caller(1000).owner);
    let submit = Request::Submit {
        mutation,
        spec,
        owner,
    };
    request(number, submit, 1000)
}

/// An engine whose nodes have all reported.
pub(crate) fn engine(nodes: u32) -> Engine {
    let mut engine = Engine::new(State::default(), Policy::default());
    drop(engine.start(ClusterId("bench".into()), NOW));
    for index in 0..nodes {
        let inventory = inventory(index);
        let (node, boot_id) = (inventory.node.clone(), inventory.boot_id.clone());
        let enroll = Request::Enroll {
            inventory: Box::new(inventory),
        };
        let number = u64::from(index);
        drop(engine.handle(request(number, enroll, 0), NOW));
        let connected = Input::AgentConnected {
            node,
            boot_id,
            session: SessionId(number),
        };
        drop(engine.handle(connected, NOW));
    }
    engine
}

/// Whether a workload was placed by what caused these effects.
pub(crate) fn placed(effects: &[Effect]) -> bool {
    let placed = |effect: &Effect| {
        matches!(
            effect,
            Effect::Journal(dovetail_core::event::Event::Placed { .. })
        )
    };
    effects.iter().any(placed)
}
