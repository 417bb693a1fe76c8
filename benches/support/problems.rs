//! The problems of the solver and of repair, on the mixed cluster when so much of it is taken.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

use super::cluster;
use dovetail_core::{
    decide::{self, Board},
    packing::{Demand, GpuRoom, Gpus, Mix, Room, Take},
    policy::Policy,
    problem::{
        exact::Slot,
        fluid::Fluid,
        repair::{Repair, Resident, STEPS_MAX},
        window::{Class, Put, Window},
    },
    view::{ClusterView, NodeView},
};
use dovetail_model::{
    grant::Placement,
    resources::{GpuAmount, GpuShare},
    units::{Bytes, GpuMilli, WHOLE_GPU},
    workload::WorkloadSpec,
};
use std::collections::BTreeMap;

/// Different requests come again after so many.
const MIX_LENGTH: u64 = 500;
/// What placing a workload is worth beside its GPU.
const POD_WORTH: u64 = 50;
/// A workload of the mix that takes eight whole GPUs.
pub(crate) const LARGE: u64 = 8;

/// The cluster while work comes, and where everybody is.
pub(crate) struct Loaded {
    /// Free room.
    pub(crate) board: Board,
    /// Who is where; everybody has one member.
    pub(crate) placed: Vec<(u64, Placement)>,
    /// Workloads that came.
    pub(crate) arrived: u64,
}

impl Loaded {
    /// So many workloads came one after the other.
    pub(crate) fn after(nodes: u32, arrivals: u64) -> Self {
        let board = Board::of(cluster::view(nodes), Policy::default());
        let mut loaded = Self {
            board,
            placed: Vec::new(),
            arrived: 0,
        };
        (0..arrivals).for_each(|_| loaded.come());
        loaded
    }

    /// So much came that a large workload finds no place.
    pub(crate) fn until_blocked(nodes: u32) -> Self {
        let mut loaded = Self::after(nodes, cluster::arrived(nodes, 80));
        let (spec, tenant) = (cluster::spec(LARGE), cluster::tenant());
        while decide::find(&mut loaded.board, &cluster::ask(LARGE, &tenant, &spec)).is_some() {
            loaded.come();
        }
        loaded
    }

    /// The next workload comes.
    pub(crate) fn come(&mut self) {
        let (spec, tenant) = (cluster::spec(self.arrived), cluster::tenant());
        let ask = cluster::ask(self.arrived, &tenant, &spec);
        let placements = decide::place(&mut self.board, &ask).into_iter().flatten();
        self.placed
            .extend(placements.map(|place| (self.arrived, place)));
        self.arrived += 1;
    }

    /// The next so many workloads as a window, with the online plan for them.
    pub(crate) fn window(mut self, count: u64) -> Window {
        let nodes: Vec<Room> = self.board.view().nodes.iter().map(room).collect();
        let first = self.arrived;
        self.placed.clear();
        (0..count).for_each(|_| self.come());
        let mut index: BTreeMap<Demand, usize> = BTreeMap::new();
        let mut window = Window {
            nodes,
            classes: Vec::new(),
            start: Vec::new(),
            seed: 1,
        };
        for number in first..first + count {
            let spec = cluster::spec(number);
            let class = *index.entry(demand(&spec)).or_insert(window.classes.len());
            if class == window.classes.len() {
                window.classes.push(waiting(&spec));
            }
            window.classes[class].count += 1;
        }
        let put = |(number, placement): &(u64, Placement)| {
            let Slot { node, gpus } = slot(self.board.view(), placement);
            let class = index[&demand(&cluster::spec(*number))];
            Put { class, node, gpus }
        };
        window.start = self.placed.iter().map(put).collect();
        window
    }

    /// A large workload is blocked; shares and whole GPUs of ones may move for it.
    pub(crate) fn repair(&self) -> Repair {
        let mut bare: Vec<Room> = cluster_rooms(self.board.view());
        let (mut classes, mut residents) = (vec![demand(&cluster::spec(LARGE))], Vec::new());
        for (number, placement) in &self.placed {
            let demand = demand(&cluster::spec(*number));
            let at = slot(self.board.view(), placement);
            if demand.gpu_count() != 1 {
                bare[at.node].take(&demand, &at.gpus);
                continue;
            }
            let known = classes.iter().position(|class| *class == demand);
            let class = known.unwrap_or_else(|| {
                classes.push(demand);
                classes.len() - 1
            });
            let milli = placement.gpus[0].compute.0;
            residents.push(Resident {
                key: *number,
                class,
                at,
                priority: 0,
                move_cost: Some(Resident::cost_of_move(milli, 1)),
                stop_cost: None,
            });
        }
        Repair {
            bare,
            classes,
            residents,
            blocked: 0,
            members: 1,
            priority: 0,
            steps_max: STEPS_MAX,
            seed: 1,
        }
    }
}

/// The mix on the empty cluster.
pub(crate) fn fluid(nodes: u32) -> Fluid {
    let mut counts: BTreeMap<Room, u64> = BTreeMap::new();
    for room in cluster_rooms(&cluster::view(nodes)) {
        *counts.entry(room).or_default() += 1;
    }
    Fluid {
        nodes: counts.into_iter().collect(),
        mix: mix(MIX_LENGTH),
    }
}

fn mix(length: u64) -> Mix {
    let mut counts: BTreeMap<Demand, u64> = BTreeMap::new();
    for number in 0..length {
        *counts.entry(demand(&cluster::spec(number))).or_default() += 1;
    }
    Mix::of(counts)
}

/// What the ceiling is asked about: rooms by how many are equal, and demands with count and worth.
type Bounded = (Vec<(Room, u64)>, Vec<(Demand, u64, u64)>);

/// The question of the ceiling of a window.
pub(crate) fn ceiling(window: &Window) -> Bounded {
    let mut counts: BTreeMap<Room, u64> = BTreeMap::new();
    for room in &window.nodes {
        *counts.entry(room.clone()).or_default() += 1;
    }
    let class = |class: &Class| (class.demand.clone(), class.count.into(), class.worth);
    let classes = window.classes.iter().map(class);
    (counts.into_iter().collect(), classes.collect())
}

fn waiting(spec: &WorkloadSpec) -> Class {
    let milli = cluster::milli(spec);
    let host = spec.resources.cpu.0 / 40;
    Class {
        demand: demand(spec),
        count: 0,
        priority: 0,
        worth: POD_WORTH + if milli > 0 { milli } else { host },
    }
}

/// What a workload takes: kinds and devices are both the kinds of the mixed cluster.
fn demand(spec: &WorkloadSpec) -> Demand {
    let amount = spec.resources.gpu.as_ref().map(|gpu| gpu.amount);
    let take = |gib: u64| match amount? {
        GpuAmount::Share(GpuShare::Compute(milli)) => Some(Take {
            compute: milli,
            memory: Bytes((gib << 30) * milli.0 / WHOLE_GPU.0),
        }),
        GpuAmount::Share(_) => None,
        GpuAmount::Whole { .. } => Some(Take {
            compute: WHOLE_GPU,
            memory: Bytes(gib << 30),
        }),
    };
    Demand {
        cpu: spec.resources.cpu,
        memory: spec.resources.memory,
        tenant: 0,
        gpus: match amount {
            None => Gpus::None,
            Some(GpuAmount::Share(_)) => Gpus::Share,
            Some(GpuAmount::Whole { count }) => Gpus::Whole(count),
        },
        takes: cluster::memories_gib().map(take).collect(),
        kinds: cluster::memories_gib().map(|_| true).collect(),
    }
}

fn cluster_rooms(view: &ClusterView) -> Vec<Room> {
    let empty = |node: &NodeView| {
        let mut room = room(node);
        (room.cpu, room.memory) = (node.cpu_total, node.memory_total);
        room.slices = NodeView::SLICES_LIMIT;
        for (gpu, view) in room.gpus.iter_mut().zip(&node.gpus) {
            (gpu.compute, gpu.memory, gpu.empty) = (WHOLE_GPU, view.memory_total, true);
        }
        room
    };
    view.nodes.iter().map(empty).collect()
}

fn room(node: &NodeView) -> Room {
    let kind = cluster::kind_of(&node.name);
    let gpus = node.gpus.iter().map(|gpu| GpuRoom {
        device: kind,
        compute: GpuMilli(gpu.compute_free.0),
        memory: gpu.memory_free,
        empty: gpu.is_empty(),
        tenant: None,
    });
    Room {
        kind,
        cpu: node.cpu_free,
        memory: node.memory_free,
        slices: NodeView::SLICES_LIMIT - node.slices,
        gpus: gpus.collect(),
    }
}

fn slot(view: &ClusterView, placement: &Placement) -> Slot {
    let node = view.index_of(&placement.node).expect("it was placed there");
    let index = |gpu: u32| usize::try_from(gpu).unwrap_or(usize::MAX);
    let gpus = placement.gpus.iter().map(|grant| index(grant.index));
    Slot {
        node,
        gpus: gpus.collect(),
    }
}
