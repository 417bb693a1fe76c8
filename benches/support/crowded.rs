//! A cluster full of work that may be moved, and a large workload that fits nowhere in it.

use super::cluster::{self, NOW};
use dovetail_core::{
    engine::Engine,
    event::{Event, RequestKey},
    input::{Input, Request, SessionId, WorkloadRef},
    policy::Policy,
    state::State,
};
use dovetail_model::{
    grant::{GpuGrant, Placement},
    id::{ClusterId, SliceId, Tenant, WorkloadId},
    node::Inventory,
    resources::{GpuAmount, GpuRequest, GpuShare},
    time::WallNs,
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
    workload::{Movable, Owner, WorkloadKind, WorkloadSpec},
};

/// What is on each node, and who is blocked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    /// For people.
    pub(crate) name: &'static str,
    /// GPUs of each node that are left free.
    free: usize,
    /// Compute of each resident; 1000 is a whole GPU.
    milli: u64,
    /// Residents of each other GPU.
    on_gpu: u64,
    /// Residents without a GPU.
    on_host: u64,
    /// Every resident asks for something else.
    distinct: bool,
    /// Members of the blocked, of eight GPUs each.
    members: u32,
    /// Cores of each of them.
    cores: u64,
}

const PLAIN: Crowd = Crowd {
    name: "",
    free: 1,
    milli: 1000,
    on_gpu: 1,
    on_host: 0,
    distinct: false,
    members: 1,
    cores: 8,
};

/// What is easy, what is hopeless, and what is as hard as can be.
pub(crate) const CROWDS: [Crowd; 6] = [
    Crowd {
        name: "jobs_of_one_gpu",
        ..PLAIN
    },
    Crowd {
        name: "no_gpu_free",
        free: 0,
        ..PLAIN
    },
    Crowd {
        name: "all_different",
        distinct: true,
        ..PLAIN
    },
    Crowd {
        name: "small_shares",
        milli: 110,
        on_gpu: 2,
        free: 0,
        distinct: true,
        ..PLAIN
    },
    Crowd {
        name: "gang_of_sixteen",
        members: 16,
        ..PLAIN
    },
    Crowd {
        name: "cores_taken",
        free: 8,
        on_host: 60,
        distinct: true,
        cores: 80,
        ..PLAIN
    },
];

/// The engine, and the question why the blocked waits.
pub(crate) fn engine(crowd: Crowd, nodes: u32) -> (Engine, impl Fn(u64) -> Input) {
    let mut state = State::default();
    for index in 0..nodes {
        let inventory = cluster::inventory(index);
        apply(&mut state, Event::NodeReported { inventory });
    }
    for index in 0..nodes {
        fill(&mut state, crowd, &cluster::inventory(index));
    }
    let mut large = WorkloadSpec::example("blocked");
    large.resources.gpu = gpus(GpuAmount::Whole { count: 8 });
    large.resources.cpu = CpuMilli(crowd.cores * 1000);
    large.gang_size = crowd.members;
    let blocked = submit(&mut state, large);
    let mut engine = Engine::new(state, Policy::default());
    drop(engine.start(ClusterId("bench".into()), NOW));
    for index in 0..nodes {
        let Inventory { node, boot_id, .. } = cluster::inventory(index);
        let connected = Input::AgentConnected {
            node,
            boot_id,
            session: SessionId(index.into()),
        };
        drop(engine.handle(connected, NOW));
    }
    let explain = move |number| {
        let workload = WorkloadRef::Id(blocked);
        cluster::request(number, Request::Explain { workload }, 1000)
    };
    (engine, explain)
}

fn fill(state: &mut State, crowd: Crowd, inventory: &Inventory) {
    let taken = inventory.gpus.len().saturating_sub(crowd.free);
    for gpu in &inventory.gpus[..taken] {
        for _ in 0..crowd.on_gpu {
            let amount = match crowd.milli {
                1000 => GpuAmount::Whole { count: 1 },
                milli => GpuAmount::Share(GpuShare::Compute(GpuMilli(milli))),
            };
            let memory = gpu.memory.0 * crowd.milli / WHOLE_GPU.0;
            let grant = GpuGrant {
                uuid: gpu.uuid.clone(),
                index: gpu.index,
                compute: GpuMilli(crowd.milli),
                memory: Bytes(memory),
            };
            resident(state, crowd, inventory, Some((amount, grant)));
        }
    }
    for _ in 0..crowd.on_host {
        resident(state, crowd, inventory, None);
    }
}

fn resident(
    state: &mut State,
    crowd: Crowd,
    inventory: &Inventory,
    gpu: Option<(GpuAmount, GpuGrant)>,
) {
    let number = state.revision().0;
    let mut spec = WorkloadSpec::example(&format!("w-{number}"));
    spec.kind = WorkloadKind::Service;
    spec.movable = Some(Movable {
        restart_cost_seconds: u32::try_from(number % 977).unwrap_or(0),
    });
    spec.resources.cpu = CpuMilli(1000);
    spec.resources.memory = Bytes(1 << 30);
    if crowd.distinct {
        spec.resources.memory = Bytes((1 << 30) + (number << 12));
    }
    spec.resources.gpu = gpu.as_ref().and_then(|(amount, _)| gpus(*amount));
    let (cpu, memory) = (spec.resources.cpu, spec.resources.memory);
    let workload = submit(state, spec);
    let placement = Placement {
        slice: SliceId {
            workload,
            attempt: 1,
            member: 0,
        },
        node: inventory.node.clone(),
        cpu,
        memory,
        gpus: gpu.into_iter().map(|(_, grant)| grant).collect(),
    };
    apply(
        state,
        Event::Placed {
            workload,
            placements: vec![placement],
            at: WallNs(1),
        },
    );
}

fn gpus(amount: GpuAmount) -> Option<GpuRequest> {
    let models = Vec::new();
    Some(GpuRequest { amount, models })
}

fn submit(state: &mut State, spec: WorkloadSpec) -> WorkloadId {
    let id = state.revision().0.to_string();
    let tenant = cluster::tenant();
    let (uid, gid, groups) = (1000, 1000, Vec::new());
    let submitted = Event::Submitted {
        tenant: Tenant(tenant.0.clone()),
        owner: Owner { uid, gid, groups },
        spec: spec.into(),
        request: RequestKey {
            tenant,
            digest: id.clone(),
            id,
            at: WallNs(1),
        },
    };
    apply(state, submitted);
    WorkloadId(state.revision().0)
}

fn apply(state: &mut State, event: Event) {
    state.apply(&event).expect("events follow from one another");
}
