//! Small windows: each workload an item of the exact model, from the best packing known.

use crate::{
    Stop,
    exact::{self, Rank},
};
use dovetail_core::{
    packing::{Demand, Gpus, Room},
    problem::{
        exact::{
            Assignment, Exact, Gpu, GpuTake, INTEGERS_MAX, Item, NODES_MAX, Node, Place, Slot,
        },
        window::{Put, Window},
    },
};
use dovetail_model::id::{NodeName, WorkloadId};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
};

/// The best packing, no worse than these puts, which hold; nothing if the window is not small.
pub(super) fn solve(problem: &Window, puts: &[Put], stop: Stop) -> Option<Vec<Put>> {
    let nodes: Vec<usize> = (0..problem.nodes.len())
        .filter(|node| {
            let mut classes = problem.classes.iter();
            classes.any(|class| problem.nodes[*node].fits(&class.demand))
        })
        .collect();
    if nodes.len() > NODES_MAX {
        return None;
    }
    let classes = items(problem, &nodes)?;
    let exact = Exact {
        nodes: nodes
            .iter()
            .map(|node| room(*node, &problem.nodes[*node]))
            .collect::<Option<_>>()?,
        items: classes
            .iter()
            .map(|class| item(problem, &nodes, *class))
            .collect(),
        start: start(&nodes, &classes, puts),
    };
    let found = exact::best(&exact, &ranks(problem, &classes), stop)?;
    let puts = found.iter().flat_map(|assignment| {
        assignment.members.iter().map(|slot| Put {
            class: classes[assignment.item],
            node: nodes[slot.node],
            gpus: slot.gpus.clone(),
        })
    });
    Some(puts.collect())
}

/// The class of each item; nothing if there are too many of them for an exact model.
fn items(problem: &Window, nodes: &[usize]) -> Option<Vec<usize>> {
    let mut items = Vec::new();
    let mut integers = 0;
    for (index, class) in problem.classes.iter().enumerate() {
        let rooms = || nodes.iter().map(|node| &problem.nodes[*node]);
        let columns = |room: &Room| 1 + room.fitting(&class.demand).count();
        let here = rooms().filter(|room| room.fits(&class.demand));
        let each = 1 + here.map(columns).sum::<usize>();
        let most: usize = rooms().map(|room| alone(room, &class.demand)).sum();
        let count = most.min(class.count as usize);
        integers += each * count;
        if integers > INTEGERS_MAX {
            return None;
        }
        items.extend(std::iter::repeat_n(index, count));
    }
    Some(items)
}

/// How many of one demand a room takes, up to what no exact model holds.
fn alone(room: &Room, demand: &Demand) -> usize {
    let mut room = room.clone();
    let mut count = 0;
    while count < INTEGERS_MAX && room.fits(demand) {
        let gpus: Vec<usize> = room
            .fitting(demand)
            .take(demand.gpu_count() as usize)
            .collect();
        room.take(demand, &gpus);
        count += 1;
    }
    count
}

fn room(index: usize, room: &Room) -> Option<Node> {
    let gpu = |gpu: &dovetail_core::packing::GpuRoom| Gpu {
        compute: gpu.compute,
        memory: gpu.memory,
        empty: gpu.empty,
    };
    Some(Node {
        name: NodeName::new(&index.to_string()).ok()?,
        cpu: room.cpu,
        memory: room.memory,
        slices: room.slices,
        gpus: room.gpus.iter().map(gpu).collect(),
    })
}

fn item(problem: &Window, nodes: &[usize], index: usize) -> Item {
    let class = &problem.classes[index];
    let demand = &class.demand;
    let place = |(node, at): (usize, &usize)| {
        let room = &problem.nodes[*at];
        let take = |gpu: usize| {
            let take = demand.take_of(room.gpus[gpu].device)?;
            Some(GpuTake {
                gpu,
                compute: take.compute,
                memory: take.memory,
            })
        };
        room.fits(demand).then(|| Place {
            node,
            gpus: room.fitting(demand).filter_map(take).collect(),
        })
    };
    Item {
        workload: WorkloadId(index as u64),
        priority: class.priority,
        members: 1,
        tenant: demand.tenant,
        cpu: demand.cpu,
        memory: demand.memory,
        whole_gpus: match demand.gpus {
            Gpus::Whole(count) => count,
            Gpus::None | Gpus::Share => 0,
        },
        places: nodes.iter().enumerate().filter_map(place).collect(),
    }
}

/// These puts as assignments of the first items of their classes.
fn start(nodes: &[usize], classes: &[usize], puts: &[Put]) -> Vec<Assignment> {
    let mut free: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for (item, class) in classes.iter().enumerate() {
        free.entry(*class).or_default().push_back(item);
    }
    let assigned = puts.iter().filter_map(|put| {
        let node = nodes.binary_search(&put.node).ok()?;
        Some(Assignment {
            item: free.get_mut(&put.class)?.pop_front()?,
            members: vec![Slot {
                node,
                gpus: put.gpus.clone(),
            }],
        })
    });
    assigned.collect()
}

/// Items by tier, the highest first, each with its class's worth.
fn ranks(problem: &Window, classes: &[usize]) -> Vec<Rank> {
    let mut ranks: BTreeMap<Reverse<i32>, Rank> = BTreeMap::new();
    for (item, class) in classes.iter().enumerate() {
        let class = &problem.classes[*class];
        let rank = ranks.entry(Reverse(class.priority)).or_default();
        rank.push((item, class.worth));
    }
    ranks.into_values().collect()
}
