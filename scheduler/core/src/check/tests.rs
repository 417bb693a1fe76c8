//! Valid plans are accepted; each way to spoil one is refused, with its own reason.

use super::*;
use crate::event::{Event, RequestKey};
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel, ModelPattern},
    grant::GpuGrant,
    id::{BootId, GpuUuid, Name, Revision, Tenant},
    label::{LabelKey, LabelValue, Taint, TaintEffect, Toleration},
    node::{Inventory, SLICES_MAX},
    resources::{GpuAmount, GpuRequest, GpuShare},
    time::WallNs,
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadSpec},
};
use std::collections::BTreeSet;

const GIB: u64 = 1 << 30;
const H100: &str = "NVIDIA H100 80GB HBM3";

/// A state, what is known of its nodes, and a plan for it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) live: BTreeMap<NodeName, Liveness>,
    pub(crate) policy: Policy,
    pub(crate) plan: Plan,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn label(key: &str, value: &str) -> (LabelKey, LabelValue) {
    (LabelKey::new(key).unwrap(), LabelValue::new(value).unwrap())
}

fn taint(key: &str, value: &str) -> Taint {
    let (key, value) = label(key, value);
    Taint {
        key,
        value,
        effect: TaintEffect::NoSchedule,
    }
}

fn gpu(node: &str, index: u32) -> GpuInfo {
    GpuInfo {
        uuid: GpuUuid(format!("{node}-{index}").into()),
        index,
        name: H100.to_owned(),
        model: GpuModel::of(H100, Bytes(80 * GIB)),
        memory: Bytes(80 * GIB),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: String::new(),
    }
}

fn inventory(node: &str) -> Inventory {
    Inventory {
        node: name(node),
        boot_id: BootId("b".into()),
        agent_version: String::new(),
        cpu: CpuMilli(8000),
        memory: Bytes(64 * GIB),
        gpus: (0..4).map(|index| gpu(node, index)).collect(),
        level: Level::Shared,
        enforces: vec![],
        not_enforced: vec![],
        labels: [label("zone", "a")].into(),
        taints: vec![taint("dedicated", "ml")],
    }
}

fn request(id: &str) -> RequestKey {
    let tenant = Tenant("uid:1".into());
    RequestKey {
        tenant,
        id: id.to_owned(),
        digest: String::new(),
        at: WallNs(1),
    }
}

fn spec(text: &str, amount: Option<GpuAmount>, gang_size: u32) -> WorkloadSpec {
    let mut spec = WorkloadSpec::example(text);
    spec.gang_size = gang_size;
    spec.node_selector = [label("zone", "a")].into();
    spec.tolerations = vec![Toleration::of(&taint("dedicated", "ml"))];
    let models = vec![ModelPattern::new("H100")];
    spec.resources.gpu = amount.map(|amount| GpuRequest { amount, models });
    spec
}

const SHARE: GpuAmount = GpuAmount::Share(GpuShare::Compute(GpuMilli(300)));
const WHOLE: GpuAmount = GpuAmount::Whole { count: 2 };

impl World {
    /// Nodes `a` and `b`; workloads: a share, whole GPUs, CPU only, a gang of two; and a valid plan.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            live: BTreeMap::new(),
            policy: Policy::default(),
            plan: Plan::default(),
        };
        for node in ["a", "b"] {
            world.apply(Event::NodeReported {
                inventory: inventory(node),
            });
            let live = Liveness {
                reachable: true,
                external: vec![],
            };
            world.live.insert(name(node), live);
        }
        let share = world.submit("uid:1", spec("share", Some(SHARE), 1));
        let whole = world.submit("uid:1", spec("whole", Some(WHOLE), 1));
        let plain = world.submit("uid:1", spec("plain", None, 1));
        let gang = world.submit("uid:2", spec("gang", Some(SHARE), 2));
        world.plan.parent = world.state.revision();
        world.plan.steps = vec![
            world.step(share, &[("a", &[0])]),
            world.step(whole, &[("a", &[1, 2])]),
            world.step(plain, &[("b", &[])]),
            world.step(gang, &[("a", &[3]), ("b", &[0])]),
        ];
        world
    }

    pub(crate) fn apply(&mut self, event: Event) {
        self.state.apply(&event).unwrap();
    }

    fn submit(&mut self, tenant: &str, spec: WorkloadSpec) -> WorkloadId {
        let owner = Owner {
            uid: 1,
            gid: 1,
            groups: vec![],
        };
        let request = request(spec.name.as_str());
        let tenant = Tenant(tenant.into());
        self.apply(Event::Submitted {
            tenant,
            owner,
            spec: spec.into(),
            request,
        });
        WorkloadId(self.state.revision().0)
    }

    /// The step that gives these GPUs by rank.
    fn step(&self, id: WorkloadId, places: &[(&str, &[u32])]) -> Step {
        let workload = self.state.workload(id).unwrap();
        let resources = &workload.spec.resources;
        let grant = |node: &str, index: u32| {
            let (compute, memory) = match resources.gpu.as_ref().unwrap().amount {
                GpuAmount::Share(share) => share.on(Bytes(80 * GIB)),
                GpuAmount::Whole { .. } => (GpuMilli(1000), Bytes(80 * GIB)),
            };
            GpuGrant {
                uuid: GpuUuid(format!("{node}-{index}").into()),
                index,
                compute,
                memory,
            }
        };
        let ranks = (0_u32..).zip(places);
        let placements = ranks.map(|(member, (node, gpus))| Placement {
            slice: SliceId {
                workload: id,
                attempt: workload.attempt + 1,
                member,
            },
            node: name(node),
            cpu: resources.cpu,
            memory: resources.memory,
            gpus: gpus.iter().map(|index| grant(node, *index)).collect(),
        });
        Step {
            workload: id,
            placements: placements.collect(),
        }
    }

    /// One more workload in the plan.
    fn add(&mut self, tenant: &str, spec: WorkloadSpec, places: &[(&str, &[u32])]) {
        let id = self.submit(tenant, spec);
        let step = self.step(id, places);
        self.plan.steps.push(step);
    }

    /// The node as it declares itself from now on.
    fn change(&mut self, node: &str, change: impl FnOnce(&mut Inventory)) {
        let mut inventory = inventory(node);
        change(&mut inventory);
        self.apply(Event::NodeReported { inventory });
    }

    fn member(&mut self, step: usize, rank: usize) -> &mut Placement {
        &mut self.plan.steps[step].placements[rank]
    }

    fn grant(&mut self, step: usize) -> &mut GpuGrant {
        &mut self.member(step, 0).gpus[0]
    }

    fn rejected(&self) -> Vec<Rejection> {
        let rejected = plan(&self.state, &self.live, &self.policy, &self.plan);
        rejected
            .into_iter()
            .map(|(_, rejection)| rejection)
            .collect()
    }
}

type Mutation = (&'static str, fn(&mut World));

/// The reason each mutation must be refused with, and the mutation.
const MUTATIONS: [Mutation; 39] = [
    ("FromTheFuture", |w| {
        w.plan.parent = Revision(w.state.revision().0 + 1);
    }),
    ("UnknownWorkload", |w| {
        w.plan.steps[0].workload = WorkloadId(999);
    }),
    ("Over", |w| {
        let workload = w.plan.steps[0].workload;
        w.apply(Event::Ended {
            workload,
            end: crate::event::End::Cancelled,
            at: WallNs(2),
        });
    }),
    ("PlacedAlready", |w| {
        let step = w.plan.steps[0].clone();
        let (workload, placements) = (step.workload, step.placements);
        w.apply(Event::Placed {
            workload,
            placements,
            at: WallNs(2),
        });
    }),
    ("Twice", |w| {
        let again = w.plan.steps[0].clone();
        w.plan.steps.push(again);
    }),
    ("WrongMemberCount", |w| {
        drop(w.plan.steps[3].placements.pop());
    }),
    ("WrongSlice", |w| w.member(3, 1).slice.member = 0),
    ("WrongSlice", |w| w.member(0, 0).slice.attempt = 2),
    ("WrongSlice", |w| w.plan.steps[3].placements.swap(0, 1)),
    ("UnknownNode", |w| w.member(2, 0).node = name("c")),
    ("NodeCordoned", |w| {
        let (node, why) = (name("b"), String::new());
        w.plan.steps.truncate(3);
        w.apply(Event::NodeCordoned {
            node,
            why,
            request: request("c"),
        });
    }),
    ("NodeUnreachable", |w| {
        w.plan.steps.truncate(3);
        w.live.get_mut(&name("b")).unwrap().reachable = false;
    }),
    ("NodeUnreachable", |w| {
        w.plan.steps.truncate(3);
        w.live.remove(&name("b"));
    }),
    ("WrongLabel", |w| {
        w.plan.steps.truncate(3);
        w.change("b", |i| i.labels = [label("zone", "b")].into());
    }),
    ("WrongLabel", |w| {
        w.plan.steps.truncate(3);
        w.change("b", |i| i.labels.clear());
    }),
    ("Tainted", |w| {
        w.plan.steps.truncate(3);
        w.change("b", |i| i.taints.push(taint("slow", "")));
    }),
    ("Tainted", |w| {
        w.plan.steps.truncate(3);
        w.change("b", |i| i.taints = vec![taint("dedicated", "web")]);
    }),
    ("Tainted", |w| {
        let mut wide = spec("wide", None, 1);
        let key = label("zone", "").0;
        wide.tolerations = vec![Toleration::Exists { key }];
        w.add("uid:1", wide, &[("b", &[])]);
    }),
    ("WrongCpu", |w| w.member(2, 0).cpu = CpuMilli(999)),
    ("WrongMemory", |w| w.member(2, 0).memory = Bytes(1)),
    ("LevelTooWeak", |w| {
        w.plan.steps.truncate(3);
        w.change("b", |inventory| inventory.level = Level::None);
    }),
    ("LevelTooWeak", |w| {
        w.change("a", |inventory| inventory.gpus[0].share_level = Level::None);
    }),
    ("UnexpectedGpus", |w| {
        let grant = w.grant(0).clone();
        w.member(2, 0).gpus.push(grant);
    }),
    ("WrongGpuCount", |w| w.member(0, 0).gpus.clear()),
    ("WrongGpuCount", |w| drop(w.member(1, 0).gpus.pop())),
    ("SameGpuTwice", |w| {
        let grant = w.grant(1).clone();
        w.member(1, 0).gpus[1] = grant;
    }),
    ("UnknownGpu", |w| {
        w.grant(0).uuid = GpuUuid("b-0".into());
    }),
    ("WrongGpuIndex", |w| w.grant(0).index = 7),
    ("GpuUnhealthy", |w| {
        w.change("a", |i| i.gpus[0].health = GpuHealth::Lost);
    }),
    ("WrongModel", |w| {
        w.change("a", |i| i.gpus[0].model = GpuModel::from_short("A100-80"));
        w.change("a", |i| {
            i.gpus[0].model = GpuModel::from_short("A100-80");
            i.gpus[0].name = "NVIDIA A100".to_owned();
        });
    }),
    ("WrongGpuCompute", |w| w.grant(0).compute = GpuMilli(299)),
    ("WrongGpuCompute", |w| w.grant(1).compute = GpuMilli(500)),
    ("WrongGpuMemory", |w| w.grant(0).memory = Bytes(1)),
    ("CpuOver", |w| {
        let mut wide = spec("wide", None, 1);
        wide.resources.cpu = CpuMilli(7001);
        w.add("uid:1", wide, &[("b", &[])]);
    }),
    ("MemoryOver", |w| {
        let mut wide = spec("wide", None, 1);
        wide.resources.memory = Bytes(63 * GIB);
        w.add("uid:1", wide, &[("b", &[])]);
    }),
    ("GpuComputeOver", |w| {
        let most = GpuAmount::Share(GpuShare::Both(GpuMilli(701), Bytes(GIB)));
        w.add("uid:1", spec("most", Some(most), 1), &[("a", &[0])]);
        w.plan.steps[4].placements[0].gpus[0].memory = Bytes(GIB);
    }),
    ("GpuMemoryOver", |w| {
        w.live.get_mut(&name("a")).unwrap().external = vec![Bytes(60 * GIB)];
    }),
    ("WholeGpuShared", |w| {
        w.add(
            "uid:1",
            spec("another", Some(GpuAmount::Whole { count: 1 }), 1),
            &[("a", &[0])],
        );
    }),
    ("WholeGpuForeign", |w| {
        w.live.get_mut(&name("a")).unwrap().external = vec![Bytes(0), Bytes(1)];
    }),
];

/// `WrongCpu` from `WrongCpu { asked: …`.
fn variant(rejection: &Rejection) -> String {
    let text = format!("{rejection:?}");
    text.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

#[test]
fn a_valid_plan_is_accepted() {
    assert_eq!(World::new().rejected(), []);
}

#[test]
fn every_mutation_is_refused_with_its_reason() {
    for (expected, mutate) in MUTATIONS {
        let mut world = World::new();
        mutate(&mut world);
        // A plan from the future is refused whole; of every other one a single step.
        let rejected = world.rejected();
        let reasons: BTreeSet<String> = rejected.iter().map(variant).collect();
        assert_eq!(
            reasons,
            BTreeSet::from([expected.to_owned()]),
            "{rejected:?}"
        );
        assert!(
            rejected.len() == 1 || expected == "FromTheFuture",
            "{rejected:?}"
        );
    }
}

#[test]
fn tenants_meet_on_a_gpu_only_if_the_policy_says_so() {
    let mut world = World::new();
    world.add("uid:2", spec("stranger", Some(SHARE), 1), &[("a", &[0])]);
    assert_eq!(
        world.rejected(),
        [Rejection::TenantsMixed(GpuUuid("a-0".into()))]
    );
    world.policy.tenants_share_gpus = true;
    assert_eq!(world.rejected(), []);
}

#[test]
fn a_share_of_all_compute_leaves_memory_to_others_where_a_whole_gpu_does_not() {
    let mut world = World::new();
    world.live.get_mut(&name("b")).unwrap().external = vec![Bytes(0), Bytes(GIB)];
    let all = GpuAmount::Share(GpuShare::Both(GpuMilli(1000), Bytes(GIB)));
    world.add("uid:1", spec("all", Some(all), 1), &[("b", &[1])]);
    assert_eq!(world.rejected(), []);
    let whole = GpuAmount::Whole { count: 1 };
    world.plan.steps.pop();
    world.add("uid:1", spec("one", Some(whole), 1), &[("b", &[1])]);
    assert_eq!(
        world.rejected(),
        [Rejection::WholeGpuForeign(GpuUuid("b-1".into()))]
    );
}

#[test]
fn a_node_has_an_end_to_its_slices() {
    let mut world = World::new();
    world.change("b", |inventory| inventory.cpu = CpuMilli(10_000_000));
    world.change("b", |inventory| {
        inventory.cpu = CpuMilli(10_000_000);
        inventory.memory = Bytes(10_000 * GIB);
    });
    for index in 0..SLICES_MAX {
        world.add(
            "uid:1",
            spec(&format!("small-{index}"), None, 1),
            &[("b", &[])],
        );
    }
    let reasons: BTreeSet<String> = world.rejected().iter().map(variant).collect();
    assert_eq!(reasons, BTreeSet::from(["TooManySlices".to_owned()]));
}

#[test]
fn every_reason_is_tried() {
    let source = include_str!("rejection.rs");
    let variants = source.lines().filter_map(|line| {
        let word = line.strip_prefix("    ")?.split(['(', ' ']).next()?;
        word.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| word.to_owned())
    });
    let all: BTreeSet<String> = variants.collect();
    // Moves are tried where they come from, with the engine.
    let elsewhere = ["TenantsMixed", "TooManySlices", "NotMovable"];
    let tried: BTreeSet<String> = MUTATIONS
        .iter()
        .map(|m| m.0)
        .chain(elsewhere)
        .map(str::to_owned)
        .collect();
    assert_eq!(all, tried);
}
