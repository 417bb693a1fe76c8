//! Numbers for what repeats: kinds of GPUs, kinds of nodes, tenants, and with them the classes of
//! work. What changes with time is in the rooms.

use super::{
    super::Ask,
    classes::{Class, ClassId, Classes},
};
use crate::{
    packing::{Demand, GpuRoom, Room},
    policy::Policy,
    view::{GpuView, NodeView},
};
use dovetail_model::{
    gpu::GpuHealth,
    id::Tenant,
    label::{Labels, Taint},
    resources::Level,
    units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU},
};
use std::collections::BTreeMap;

/// Sharers of a GPU that already has several tenants: nobody may join them.
const NOBODY: u32 = u32::MAX;
/// A tenant whose number nobody has asked for.
const STRANGER: u32 = u32::MAX - 1;
/// The tenant of everybody, where tenants may share GPUs.
const EVERYBODY: u32 = 0;

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
    classes: Classes,
}

#[derive(Debug, Clone)]
struct Kind {
    empty: NodeView,
    devices: Vec<u32>,
}

/// What nodes of a kind have in common: devices, cores, about as much memory, the level, and what
/// operators said of them.
type KindKey = (Vec<u32>, u64, u64, Level, Labels, Vec<Taint>);

impl Interner {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            devices: Vec::new(),
            kinds: Vec::new(),
            empties: Vec::new(),
            kind_numbers: BTreeMap::new(),
            tenants: BTreeMap::new(),
            classes: Classes::default(),
        }
    }

    /// A node of each kind with nothing on it and CPU and memory without end, by kind.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &NodeView> {
        self.kinds.iter().map(|kind| &kind.empty)
    }

    /// An empty node of each kind, by kind.
    pub(super) fn empties(&self) -> &[Room] {
        &self.empties
    }

    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Forgets every class if there are too many. True: numbers that were given mean nothing now.
    pub(super) fn forget_if_many(&mut self) -> bool {
        self.classes.forget_if_many()
    }

    /// The class of a workload.
    pub(super) fn class(&mut self, ask: &Ask<'_>) -> ClassId {
        let tenant = self.tenant(ask.tenant);
        if let Some(known) = self.classes.find(tenant, ask.spec) {
            return known;
        }
        let class = self.make(ask, tenant);
        self.classes.add(class)
    }

    /// What a member of this workload takes.
    pub(super) fn describe(&self, ask: &Ask<'_>) -> Demand {
        // A tenant that nobody has heard of is on no GPU.
        let tenant = self.known_tenant(ask.tenant).unwrap_or(STRANGER);
        match self.classes.find(tenant, ask.spec) {
            Some(known) => self.classes.demand(known).clone(),
            None => self.make(ask, tenant).into_demand(),
        }
    }

    fn make(&self, ask: &Ask<'_>, tenant: u32) -> Class {
        let mut class = Class::new(ask, tenant);
        for device in &self.devices {
            class.learn_device(device, &self.policy);
        }
        for kind in &self.kinds {
            class.learn_kind(&kind.empty, &self.policy);
        }
        class
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
        self.classes.learn_kind(&empty, &self.policy);
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
        self.classes.learn_device(&empty, &self.policy);
        self.devices.push(empty);
        number_of(self.devices.len() - 1)
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
