//! What a request costs inside the engine: a share submitted, decided, committed and granted, and
//! what a what-if costs, at three sizes of cluster with eight GPUs a node.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dovetail_core::{
    effect::Effect,
    engine::Engine,
    input::{Caller, Input, Mutation, ReplyId, Request, SessionId},
    policy::Policy,
    state::State,
};
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    id::{BootId, ClusterId, GpuUuid, NodeName, Tenant},
    label::Labels,
    node::Inventory,
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    time::Now,
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadKind, WorkloadSpec},
};
use std::hint::black_box;

const NAME: &str = "NVIDIA H100 80GB HBM3";
const NOW: Now = Now {
    boot_ns: 1_000_000_000,
    wall_ns: 1_700_000_000_000_000_000,
};
const SIZES: [u32; 3] = [20, 200, 2000];

fn inventory(index: u32) -> Inventory {
    let gpu = |gpu| GpuInfo {
        uuid: GpuUuid(format!("GPU-{index}-{gpu}")),
        index: gpu,
        name: NAME.to_owned(),
        model: GpuModel::of(NAME, Bytes(80 << 30)),
        memory: Bytes(80 << 30),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: String::new(),
    };
    Inventory {
        node: NodeName::new(&format!("node-{index}")).expect("a valid name"),
        boot_id: BootId("boot".to_owned()),
        agent_version: String::new(),
        cpu: CpuMilli(96_000),
        memory: Bytes(1 << 40),
        gpus: (0..8).map(gpu).collect(),
        level: Level::Shared,
        enforces: vec![],
        not_enforced: vec![],
        labels: Labels::new(),
        taints: vec![],
    }
}

fn caller(uid: u32) -> Caller {
    let owner = Owner {
        uid,
        gid: uid,
        groups: vec![],
    };
    Caller {
        tenant: Tenant(format!("uid:{uid}")),
        owner,
        operator: uid == 0,
    }
}

fn ask(engine: &mut Engine, number: u64, request: Request, uid: u32) -> Vec<Effect> {
    let input = Input::Request {
        reply: ReplyId(number),
        caller: caller(uid),
        request,
    };
    engine.handle(input, NOW)
}

/// An engine whose nodes have all reported.
fn cluster(nodes: u32) -> Engine {
    let mut engine = Engine::new(State::default(), Policy::default());
    drop(engine.start(ClusterId("bench".to_owned()), NOW));
    for index in 0..nodes {
        let inventory = inventory(index);
        let (node, boot_id) = (inventory.node.clone(), inventory.boot_id.clone());
        let request = Request::Enroll {
            inventory: Box::new(inventory),
        };
        drop(ask(&mut engine, u64::from(index), request, 0));
        let session = SessionId(u64::from(index));
        drop(engine.handle(
            Input::AgentConnected {
                node,
                boot_id,
                session,
            },
            NOW,
        ));
    }
    engine
}

fn spec(number: u64) -> Box<WorkloadSpec> {
    let mut spec = WorkloadSpec::example(&format!("w-{number}"));
    spec.kind = WorkloadKind::Service;
    let amount = GpuAmount::Share(GpuShare::Compute(GpuMilli(300)));
    spec.resources.gpu = Some(GpuRequest {
        amount,
        models: vec![],
    });
    Box::new(spec)
}

fn submit(engine: &mut Engine, number: u64) -> Vec<Effect> {
    let id = number.to_string();
    let mutation = Mutation {
        request_id: id.clone(),
        digest: id,
        validate_only: false,
        expected_revision: None,
    };
    let owner = caller(1000).owner;
    ask(
        engine,
        number,
        Request::Submit {
            mutation,
            spec: spec(number),
            owner,
        },
        1000,
    )
}

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.sample_size(10);
    for nodes in SIZES {
        group.bench_function(format!("submit_and_place/{nodes}_nodes"), |b| {
            let mut engine = cluster(nodes);
            let mut number = 0;
            b.iter_batched(
                || (),
                |()| {
                    number += 1;
                    // Emptied before it is full, so that every submit is placed.
                    if number % (u64::from(nodes) * 8) == 0 {
                        engine = cluster(nodes);
                    }
                    black_box(submit(&mut engine, number))
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("plan/{nodes}_nodes"), |b| {
            let mut engine = cluster(nodes);
            b.iter(|| black_box(ask(&mut engine, 1, Request::Plan { spec: spec(1) }, 1000)));
        });
    }
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
