//! Numbers for what repeats: kinds of GPUs, kinds of nodes, tenants, and classes of work.
//!
//! What a class may use is found by asking the rules about an empty node of each kind and an empty
//! GPU of each device, so every rule counts here without being named. What changes with time is in
//! the rooms.

use super::super::{Ask, pack, rule};
use crate::{
    packing::{Demand, GpuRoom, Gpus, Room, Take},
    policy::Policy,
    view::{GpuView, NodeView},
};
use dovetail_model::{
    gpu::GpuHealth,
    id::{Tenant, WorkloadId},
    label::{Labels, Taint, Toleration},
    resources::{GpuAmount, Level, Resources},
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
    workload::WorkloadSpec,
};
use std::collections::BTreeMap;

/// Sharers of a GPU that already has several tenants: nobody may join them.
const NOBODY: u32 = u32::MAX;
/// A tenant whose number nobody has asked for.
const STRANGER: u32 = u32::MAX - 1;
/// The tenant of everybody, where tenants may share GPUs.
const EVERYBODY: u32 = 0;

/// Most classes that are known: where every request differs from all others, old ones make room.
const CLASSES_MAX: usize = 8192;

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct ClassId(pub(super) u32);

/// Knows every number.
#[derive(Debug, Clone)]
pub(super) struct Interner {
    policy: Policy,
    /// An empty GPU of each device.
    devices: Vec<GpuView>,
    /// An empty node of each kind.
    kinds: Vec<Kind>,
    /// The room of such a node, with what its first one has.
    empties: Vec<Room>,
    kind_numbers: BTreeMap<KindKey, u32>,
    tenants: BTreeMap<Tenant, u32>,
    /// Every class, by what tells them apart.
    order: Vec<ClassId>,
    classes: Vec<Class>,
    /// By class: the number of its shape.
    shape_of: Vec<usize>,
    /// Classes that differ in memory alone are of one shape.
    shapes: BTreeMap<Shape, usize>,
}

#[derive(Debug, Clone)]
struct Kind {
    empty: NodeView,
    devices: Vec<u32>,
}

/// What nodes of a kind have in common: devices, cores, about as much memory, the level, and what
/// operators said of them.
type KindKey = (Vec<u32>, u64, u64, Level, Labels, Vec<Taint>);

/// Everything of a request that tells classes apart.
type Key<'a> = (u32, &'a Resources, &'a Labels, &'a [Toleration]);

/// The same but for memory.
type Shape = (u32, Resources, Labels, Vec<Toleration>);

/// A class, and who stands for it before the rules.
#[derive(Debug, Clone)]
struct Class {
    tenant: Tenant,
    spec: WorkloadSpec,
    demand: Demand,
}

impl Interner {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            devices: Vec::new(),
            kinds: Vec::new(),
            empties: Vec::new(),
            kind_numbers: BTreeMap::new(),
            tenants: BTreeMap::new(),
            order: Vec::new(),
            classes: Vec::new(),
            shape_of: Vec::new(),
            shapes: BTreeMap::new(),
        }
    }

    /// Forgets every class if there are too many. True: numbers that were given mean nothing now.
    pub(super) fn forget_if_many(&mut self) -> bool {
        let many = self.classes.len() >= CLASSES_MAX;
        if many {
            self.classes.clear();
            self.shape_of.clear();
            self.shapes.clear();
            self.order.clear();
        }
        many
    }

    /// A node of each kind with nothing on it and CPU and memory without end, by kind.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &NodeView> {
        self.kinds.iter().map(|kind| &kind.empty)
    }

    /// An empty node of each kind, by kind.
    pub(super) fn empties(&self) -> &[Room] {
        &self.empties
    }

    /// What members take, by class.
    pub(super) fn demands(&self) -> impl Iterator<Item = &Demand> {
        self.classes.iter().map(|class| &class.demand)
    }

    pub(super) fn demand(&self, class: ClassId) -> &Demand {
        &self.classes[class.0 as usize].demand
    }

    /// The class of a workload.
    pub(super) fn class(&mut self, ask: &Ask<'_>) -> ClassId {
        let tenant = self.tenant(ask.tenant);
        match self.place_of(key(tenant, ask.spec)) {
            Ok(place) => self.order[place],
            Err(place) => {
                let number = ClassId(number_of(self.classes.len()));
                self.classes.push(self.make(ask, tenant));
                let shape = self.number_shape(ask.spec, tenant);
                self.shape_of.push(shape);
                self.order.insert(place, number);
                number
            }
        }
    }

    /// How many shapes there are.
    pub(super) fn shapes(&self) -> usize {
        self.shapes.len()
    }

    /// The shape of a class, below `shapes`.
    pub(super) fn shape(&self, class: ClassId) -> usize {
        self.shape_of[class.0 as usize]
    }

    fn number_shape(&mut self, spec: &WorkloadSpec, tenant: u32) -> usize {
        let resources = Resources {
            memory: Bytes::ZERO,
            cpu_limit: CpuMilli::ZERO,
            ..spec.resources.clone()
        };
        let (selector, tolerations) = (spec.node_selector.clone(), spec.tolerations.clone());
        let next = self.shapes.len();
        let shape = (tenant, resources, selector, tolerations);
        *self.shapes.entry(shape).or_insert(next)
    }

    /// What a member of this workload takes.
    pub(super) fn describe(&self, ask: &Ask<'_>) -> Demand {
        let known = self.known_tenant(ask.tenant);
        // A tenant that nobody has heard of is on no GPU.
        let tenant = known.unwrap_or(STRANGER);
        match self.place_of(key(tenant, ask.spec)) {
            Ok(place) => self.demand(self.order[place]).clone(),
            Err(_) => self.make(ask, tenant).demand,
        }
    }

    /// Where a class stands in the order, or would stand.
    fn place_of(&self, wanted: Key<'_>) -> Result<usize, usize> {
        self.order.binary_search_by(|number| {
            let class = &self.classes[number.0 as usize];
            key(class.demand.tenant, &class.spec).cmp(&wanted)
        })
    }

    /// The room of a node; `kind` is what it was before, if it is known.
    pub(super) fn room(&mut self, node: &NodeView, kind: Option<u32>) -> Room {
        let known = kind.filter(|kind| same_kind(&self.kinds[*kind as usize].empty, node));
        let kind = known.unwrap_or_else(|| self.kind(node));
        let closed = node.closed.is_some();
        let left = NodeView::SLICES_LIMIT.saturating_sub(node.slices);
        let mut gpus = Vec::with_capacity(node.gpus.len());
        for (index, gpu) in node.gpus.iter().enumerate() {
            let device = self.kinds[kind as usize].devices[index];
            gpus.push(self.gpu(gpu, device));
        }
        Room {
            kind,
            cpu: node.cpu_free,
            memory: node.memory_free,
            slices: if closed { 0 } else { left },
            gpus,
        }
    }

    fn gpu(&mut self, gpu: &GpuView, device: u32) -> GpuRoom {
        let usable = gpu.health == GpuHealth::Ok;
        GpuRoom {
            device,
            compute: if usable {
                gpu.compute_free
            } else {
                GpuMilli::ZERO
            },
            memory: if usable { gpu.memory_free } else { Bytes::ZERO },
            empty: gpu.is_empty(),
            tenant: self.tenant_on(gpu),
        }
    }

    fn tenant_on(&mut self, gpu: &GpuView) -> Option<u32> {
        let (_, first) = gpu.holders.first()?;
        let alone = gpu.holders.iter().all(|(_, tenant)| tenant == first);
        if self.policy.tenants_share_gpus || alone {
            Some(self.tenant(first))
        } else {
            Some(NOBODY)
        }
    }

    fn tenant(&mut self, tenant: &Tenant) -> u32 {
        if let Some(known) = self.known_tenant(tenant) {
            return known;
        }
        let number = number_of(self.tenants.len());
        self.tenants.insert(tenant.clone(), number);
        number
    }

    fn known_tenant(&self, tenant: &Tenant) -> Option<u32> {
        if self.policy.tenants_share_gpus {
            return Some(EVERYBODY);
        }
        self.tenants.get(tenant).copied()
    }

    fn kind(&mut self, node: &NodeView) -> u32 {
        let devices: Vec<u32> = node.gpus.iter().map(|gpu| self.device(gpu)).collect();
        let (cores, memory) = size(node);
        let key = (
            devices.clone(),
            cores,
            memory,
            node.level,
            node.labels.clone(),
            node.taints.clone(),
        );
        if let Some(known) = self.kind_numbers.get(&key) {
            return *known;
        }
        let number = number_of(self.kinds.len());
        let empty = emptied(node);
        for class in &mut self.classes {
            class.learn_kind(&empty, &self.policy);
        }
        self.empties.push(empty_room(node, number, &devices));
        self.kinds.push(Kind { empty, devices });
        self.kind_numbers.insert(key, number);
        number
    }

    fn device(&mut self, gpu: &GpuView) -> u32 {
        let mut devices = self.devices.iter();
        if let Some(known) = devices.position(|device| same_device(device, gpu)) {
            return number_of(known);
        }
        let empty = emptied_gpu(gpu);
        for class in &mut self.classes {
            class.learn_device(&empty, &self.policy);
        }
        self.devices.push(empty);
        number_of(self.devices.len() - 1)
    }

    fn make(&self, ask: &Ask<'_>, tenant: u32) -> Class {
        let gpus = match ask.resources().gpu.as_ref().map(|gpu| gpu.amount) {
            None => Gpus::None,
            Some(GpuAmount::Share(_)) => Gpus::Share,
            Some(GpuAmount::Whole { count }) => Gpus::Whole(count),
        };
        let demand = Demand {
            cpu: ask.resources().cpu,
            memory: ask.resources().memory,
            tenant,
            gpus,
            takes: Vec::new(),
            kinds: Vec::new(),
        };
        let (spec, tenant) = (bare(ask.spec), ask.tenant.clone());
        let mut class = Class {
            tenant,
            spec,
            demand,
        };
        for device in &self.devices {
            class.learn_device(device, &self.policy);
        }
        for kind in &self.kinds {
            class.learn_kind(&kind.empty, &self.policy);
        }
        class
    }
}

impl Class {
    fn ask(&self) -> Ask<'_> {
        Ask {
            workload: WorkloadId(0),
            attempt: 1,
            tenant: &self.tenant,
            spec: &self.spec,
        }
    }

    fn learn_device(&mut self, empty: &GpuView, policy: &Policy) {
        let ask = self.ask();
        let request = ask.resources().gpu.as_ref();
        let take = request.and_then(|request| {
            let refused = rule::gpu_refusal(empty, request, &ask, policy);
            let grant = pack::grant(empty, &ask);
            refused.is_none().then_some(Take {
                compute: grant.compute,
                memory: grant.memory,
            })
        });
        self.demand.takes.push(take);
    }

    fn learn_kind(&mut self, empty: &NodeView, policy: &Policy) {
        let takes = rule::refusal(empty, &self.ask(), policy).is_none();
        self.demand.kinds.push(takes);
    }
}

fn key(tenant: u32, spec: &WorkloadSpec) -> Key<'_> {
    (
        tenant,
        &spec.resources,
        &spec.node_selector,
        &spec.tolerations,
    )
}

/// The request without what no rule looks at.
fn bare(spec: &WorkloadSpec) -> WorkloadSpec {
    WorkloadSpec {
        argv: Vec::new(),
        env: BTreeMap::new(),
        labels: BTreeMap::new(),
        ..spec.clone()
    }
}

/// Whether the nodes are the same but for names and what is on them.
fn same_kind(empty: &NodeView, node: &NodeView) -> bool {
    size(empty) == size(node)
        && empty.level == node.level
        && empty.labels == node.labels
        && empty.taints == node.taints
        && empty.gpus.len() == node.gpus.len()
        && empty
            .gpus
            .iter()
            .zip(&node.gpus)
            .all(|(a, b)| same_device(a, b))
}

/// Whether the GPUs are the same but for identity and what is on them.
fn same_device(one: &GpuView, other: &GpuView) -> bool {
    one.memory_total == other.memory_total
        && one.share_level == other.share_level
        && one.whole_level == other.whole_level
        && one.model == other.model
        && one.name == other.name
}

/// Whole cores, and memory to four binary digits: hosts of one make differ by what firmware keeps.
fn size(node: &NodeView) -> (u64, u64) {
    let memory = node.memory_total.0;
    let digits = memory
        .checked_ilog2()
        .map_or(0, |log| log.saturating_sub(3));
    (node.cpu_total.0 / 1000, memory >> digits << digits)
}

/// Boundless but for its GPUs: how much is free is the room's to say.
fn emptied(node: &NodeView) -> NodeView {
    NodeView {
        closed: None,
        cpu_free: CpuMilli(u64::MAX),
        memory_free: Bytes(u64::MAX),
        slices: 0,
        gpus: node.gpus.iter().map(emptied_gpu).collect(),
        ..node.clone()
    }
}

fn empty_room(node: &NodeView, kind: u32, devices: &[u32]) -> Room {
    let gpus = node.gpus.iter().zip(devices).map(|(gpu, device)| GpuRoom {
        device: *device,
        compute: WHOLE_GPU,
        memory: gpu.memory_total,
        empty: true,
        tenant: None,
    });
    Room {
        kind,
        cpu: node.cpu_total,
        memory: node.memory_total,
        slices: NodeView::SLICES_LIMIT,
        gpus: gpus.collect(),
    }
}

fn emptied_gpu(gpu: &GpuView) -> GpuView {
    GpuView {
        health: GpuHealth::Ok,
        memory_free: gpu.memory_total,
        compute_free: WHOLE_GPU,
        holders: Vec::new(),
        external: Bytes::ZERO,
        ..gpu.clone()
    }
}

fn number_of(index: usize) -> u32 {
    u32::try_from(index).expect("there are fewer kinds of things than a u32 counts")
}
