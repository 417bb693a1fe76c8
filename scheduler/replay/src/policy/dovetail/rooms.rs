//! A trace in the words of packing: rooms, demands, kinds of node, and the mix.

use crate::{
    cluster::PODS_PER_NODE_MAX,
    demand,
    trace::{NodeRow, Trace},
};
use dovetail_core::packing::{Demand, GpuRoom, Gpus, Mix, Room, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli, WHOLE_GPU};

/// Memory of every GPU: the traces say nothing about it, and so each thousandth of a GPU has a
/// thousandth of the memory.
const GPU_MEMORY: Bytes = Bytes(1000 << 20);

/// What nodes of a kind have in common: all but the name.
type Shape = (u64, u64, u8, u8);

/// The empty nodes, the one that wins ties first.
pub fn rooms(trace: &Trace) -> Vec<Room> {
    let shapes = shapes(trace);
    let kind = |row| shapes.binary_search(&shape(row)).unwrap_or(shapes.len());
    let rows = trace.nodes.iter();
    rows.map(|row| room(kind(row), shape(row))).collect()
}

/// One empty node of each kind, by kind.
pub fn kinds(trace: &Trace) -> Vec<Room> {
    let shapes = shapes(trace).into_iter().enumerate();
    shapes.map(|(kind, shape)| room(kind, shape)).collect()
}

/// What the classes ask for, by class.
pub fn demands(trace: &Trace) -> Vec<Demand> {
    let shapes = shapes(trace);
    let models = 0..u8::try_from(trace.models.len()).expect("few models");
    let of = |class: &demand::Demand| Demand {
        cpu: CpuMilli(class.cpu_milli),
        memory: mib(class.memory_mib),
        tenant: 0,
        gpus: match class.gpus {
            0 => Gpus::None,
            _ if class.is_share() => Gpus::Share,
            count => Gpus::Whole(count.into()),
        },
        takes: models.clone().map(|model| take(class, model)).collect(),
        kinds: vec![true; shapes.len()],
    };
    trace.classes.iter().map(of).collect()
}

/// How often each class is in the file of pods.
pub fn mix(trace: &Trace) -> Mix {
    let mut counts = vec![0; trace.classes.len()];
    for class in &trace.pods {
        counts[*class] += 1;
    }
    Mix::of(demands(trace).into_iter().zip(counts))
}

fn take(class: &demand::Demand, model: u8) -> Option<Take> {
    let part = u64::from(class.gpu_milli);
    (class.gpus > 0 && class.models.has(model)).then_some(Take {
        compute: GpuMilli(part),
        memory: Bytes(GPU_MEMORY.0 / WHOLE_GPU.0 * part),
    })
}

fn shapes(trace: &Trace) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = trace.nodes.iter().map(shape).collect();
    shapes.sort_unstable();
    shapes.dedup();
    shapes
}

fn shape(row: &NodeRow) -> Shape {
    (row.cpu_milli, row.memory_mib, row.gpus, row.model)
}

fn room(kind: usize, (cpu_milli, memory_mib, gpus, model): Shape) -> Room {
    let gpu = GpuRoom {
        device: model.into(),
        compute: WHOLE_GPU,
        memory: GPU_MEMORY,
        empty: true,
        tenant: None,
    };
    Room {
        kind: u32::try_from(kind).expect("no more kinds than nodes"),
        cpu: CpuMilli(cpu_milli),
        memory: mib(memory_mib),
        slices: PODS_PER_NODE_MAX.into(),
        gpus: vec![gpu; gpus.into()],
    }
}

fn mib(amount: u64) -> Bytes {
    Bytes(amount << 20)
}
