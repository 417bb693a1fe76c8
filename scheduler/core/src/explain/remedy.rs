//! Changes to a request that make it fit now. Each was tried before it is offered.

mod nodes;

use super::Remedy;
use crate::{
    decide::{self, Ask},
    policy::Policy,
    view::ClusterView,
};
use dovetail_model::{
    gpu::{GpuModel, ModelPattern},
    label::{LabelKey, LabelValue, Toleration},
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{GANG_SIZE, MEMORY_BYTES, WorkloadSpec},
};
use std::collections::BTreeSet;

/// Most models that are offered instead of the one asked for.
const MODELS_OFFERED: usize = 3;
/// Enforcement that people can ask for by name, weakest first.
const LEVELS: [Level; 3] = [Level::None, Level::Shared, Level::Isolated];
const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// The smallest change of each kind that is enough alone; if no kind is, one of several together.
pub(super) fn remedies(view: &ClusterView, ask: &Ask<'_>, policy: &Policy) -> Vec<Remedy> {
    let trial = Trial { view, ask, policy };
    let knobs = knobs(ask.spec);
    let alone = knobs.iter().filter_map(|knob| trial.largest(knob, &[]));
    let alone = alone.chain(trial.models()).chain(trial.of_nodes());
    let mut changes: Vec<Vec<Change>> = alone.map(|change| vec![change]).collect();
    if changes.is_empty() {
        changes.extend(trial.together(&knobs));
    }
    changes.iter().map(|changes| remedy(changes)).collect()
}

fn remedy(changes: &[Change]) -> Remedy {
    let join = |part: fn(&Change) -> String, by: &str| {
        let parts: Vec<String> = changes.iter().map(part).collect();
        parts.join(by)
    };
    Remedy {
        text: join(Change::text, " and "),
        flags: join(Change::flags, " "),
    }
}

/// One change of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Gang(u32),
    Gpus(u32),
    Compute(GpuMilli),
    GpuMemory(Bytes),
    Cpu(CpuMilli),
    Memory(Bytes),
    Level(Level),
    Model(GpuModel),
    /// Ask for this value of the label, or not for the label at all.
    Label(LabelKey, Option<LabelValue>),
    Toleration(Toleration),
}

impl Change {
    fn apply(&self, spec: &mut WorkloadSpec) {
        let resources = &mut spec.resources;
        match self {
            Self::Gang(members) => spec.gang_size = *members,
            Self::Cpu(cpu) => resources.cpu = *cpu,
            Self::Memory(memory) => resources.memory = *memory,
            Self::Level(level) => resources.minimum_level = *level,
            Self::Label(key, Some(value)) => {
                spec.node_selector.insert(key.clone(), value.clone());
            }
            Self::Label(key, None) => drop(spec.node_selector.remove(key)),
            Self::Toleration(toleration) => spec.tolerations.push(toleration.clone()),
            Self::Gpus(_) | Self::Compute(_) | Self::GpuMemory(_) | Self::Model(_) => {
                if let Some(request) = &mut resources.gpu {
                    self.apply_to_gpu(request);
                }
            }
        }
    }

    fn apply_to_gpu(&self, request: &mut GpuRequest) {
        let share = match request.amount {
            GpuAmount::Share(share) => Some(share),
            GpuAmount::Whole { .. } => None,
        };
        match self {
            Self::Gpus(count) => request.amount = GpuAmount::Whole { count: *count },
            Self::Compute(compute) => {
                request.amount = GpuAmount::Share(match share {
                    Some(GpuShare::Both(_, memory)) => GpuShare::Both(*compute, memory),
                    _ => GpuShare::Compute(*compute),
                });
            }
            Self::GpuMemory(memory) => {
                request.amount = GpuAmount::Share(match share {
                    Some(GpuShare::Both(compute, _)) => GpuShare::Both(compute, *memory),
                    _ => GpuShare::Memory(*memory),
                });
            }
            Self::Model(model) => request.models = vec![ModelPattern::new(model.as_str())],
            Self::Gang(_)
            | Self::Cpu(_)
            | Self::Memory(_)
            | Self::Level(_)
            | Self::Label(..)
            | Self::Toleration(_) => {}
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Gang(1) => "start 1 member".to_owned(),
            Self::Gang(members) => format!("start {members} members"),
            Self::Gpus(1) => "take 1 whole GPU".to_owned(),
            Self::Gpus(count) => format!("take {count} whole GPUs"),
            Self::Compute(compute) => format!("take {compute} of a GPU"),
            Self::GpuMemory(memory) => format!("take {memory} of GPU memory"),
            Self::Cpu(cpu) => format!("take {cpu} CPU"),
            Self::Memory(memory) => format!("take {memory} of memory"),
            Self::Level(level) => format!("accept level {level}"),
            Self::Model(model) => format!("take {model}"),
            Self::Label(key, Some(value)) => format!("ask for the label {key}={value}"),
            Self::Label(key, None) => format!("ask for no label {key}"),
            Self::Toleration(toleration) => format!("tolerate the taint {toleration}"),
        }
    }

    fn flags(&self) -> String {
        match self {
            Self::Gang(members) => format!("--gang {members}"),
            Self::Gpus(count) => format!("--gpus {count}"),
            Self::Compute(compute) => format!("--gpus {compute}"),
            Self::GpuMemory(memory) => format!("--gpu-memory {}", size(*memory)),
            Self::Cpu(cpu) => format!("--cpu {cpu}"),
            Self::Memory(memory) => format!("--memory {}", size(*memory)),
            Self::Level(level) => format!("--minimum-level {level}"),
            Self::Model(model) => format!("--model {model}"),
            Self::Label(key, Some(value)) => format!("--node-selector {key}={value}"),
            Self::Label(key, None) => format!("--node-selector {key}-"),
            Self::Toleration(toleration) => format!("--toleration {toleration}"),
        }
    }
}

/// A size that reads back exactly.
fn size(bytes: Bytes) -> String {
    let units = [(GIB, "Gi"), (MIB, "Mi")];
    let exact = units.iter().find(|(unit, _)| bytes.0.is_multiple_of(*unit));
    exact.map_or_else(
        || bytes.0.to_string(),
        |(unit, suffix)| format!("{}{suffix}", bytes.0 / unit),
    )
}

/// An amount of a request that may be turned down.
struct Knob {
    /// It is turned below this.
    asked: u64,
    /// Steps it is turned in, coarse and readable ones first.
    units: &'static [u64],
    least: u64,
    change: fn(u64) -> Change,
}

/// What may be turned down, in the order it is offered.
fn knobs(spec: &WorkloadSpec) -> Vec<Knob> {
    let resources = &spec.resources;
    let knob = |asked, units, least, change| Knob {
        asked,
        units,
        least,
        change,
    };
    let mut knobs = Vec::new();
    if let Some(request) = &resources.gpu {
        gpu_knobs(request.amount, &mut knobs);
    }
    let gang = |members| Change::Gang(narrow(members));
    let least = u64::from(*GANG_SIZE.start());
    knobs.push(knob(spec.gang_size.into(), &[1], least, gang));
    let cpu = |milli| Change::Cpu(CpuMilli(milli));
    knobs.push(knob(resources.cpu.0, &[1000, 100, 10], 10, cpu));
    let memory = |bytes| Change::Memory(Bytes(bytes));
    let least = *MEMORY_BYTES.start();
    knobs.push(knob(resources.memory.0, &[GIB, MIB], least, memory));
    let weaker = LEVELS.iter().filter(|l| **l < resources.minimum_level);
    let level = |rank| Change::Level(LEVELS[usize::try_from(rank).unwrap_or(0)]);
    knobs.push(knob(weaker.count() as u64, &[1], 0, level));
    knobs.retain(|knob| knob.asked > knob.least);
    knobs
}

fn gpu_knobs(amount: GpuAmount, knobs: &mut Vec<Knob>) {
    let compute = |asked: u64| Knob {
        asked,
        units: &[10, 1],
        least: 1,
        change: |milli| Change::Compute(GpuMilli(milli)),
    };
    let memory = |asked: Bytes| Knob {
        asked: asked.0,
        units: &[GIB, MIB],
        least: MIB,
        change: |bytes| Change::GpuMemory(Bytes(bytes)),
    };
    match amount {
        GpuAmount::Whole { count: 1 } => knobs.push(compute(1000)),
        GpuAmount::Whole { count } => knobs.push(Knob {
            asked: count.into(),
            units: &[1],
            least: 1,
            change: |count| Change::Gpus(narrow(count)),
        }),
        GpuAmount::Share(GpuShare::Compute(asked)) => knobs.push(compute(asked.0)),
        GpuAmount::Share(GpuShare::Memory(asked)) => knobs.push(memory(asked)),
        GpuAmount::Share(GpuShare::Both(asked, bytes)) => {
            knobs.extend([compute(asked.0), memory(bytes)]);
        }
    }
}

/// Tries changes of one workload on one view.
struct Trial<'t> {
    view: &'t ClusterView,
    ask: &'t Ask<'t>,
    policy: &'t Policy,
}

impl Trial<'_> {
    fn fits(&self, changes: &[Change]) -> bool {
        let mut spec = self.ask.spec.clone();
        changes.iter().for_each(|change| change.apply(&mut spec));
        let ask = Ask {
            spec: &spec,
            ..*self.ask
        };
        decide::fits(self.view, &ask, self.policy)
    }

    /// The largest amount that fits together with other changes, in the coarsest unit that has one.
    fn largest(&self, knob: &Knob, others: &[Change]) -> Option<Change> {
        let fits = |amount: u64| {
            let mut changes = others.to_vec();
            changes.push((knob.change)(amount));
            self.fits(&changes)
        };
        knob.units.iter().find_map(|unit| {
            let (least, most) = (knob.least.div_ceil(*unit), (knob.asked - 1) / unit);
            let count = largest_fitting(least, most, |count| fits(count * unit))?;
            Some((knob.change)(count * unit))
        })
    }

    /// Everything down to its least, then what need not be is put back, and the rest turned up.
    fn together(&self, knobs: &[Knob]) -> Option<Vec<Change>> {
        let turned_down = knobs.iter().map(|k| (Some(k), (k.change)(k.least)));
        let given_up = self.onto_every_node().into_iter().map(|c| (None, c));
        let mut turned: Vec<(Option<&Knob>, Change)> = turned_down.chain(given_up).collect();
        let changes = |turned: &[(Option<&Knob>, Change)]| {
            turned.iter().map(|(_, c)| c.clone()).collect::<Vec<_>>()
        };
        if !self.fits(&changes(&turned)) {
            return None;
        }
        let mut index = 0;
        while index < turned.len() {
            let (knob, lowest) = turned.remove(index);
            let others = changes(&turned);
            if self.fits(&others) {
                continue;
            }
            let larger = knob.and_then(|knob| self.largest(knob, &others));
            let change = larger.unwrap_or(lowest);
            turned.insert(index, (knob, change));
            index += 1;
        }
        Some(changes(&turned))
    }

    /// Other models, if some were named and there are others.
    fn models(&self) -> Vec<Change> {
        let request = self.ask.resources().gpu.as_ref();
        if request.is_none_or(|request| request.models.is_empty()) {
            return Vec::new();
        }
        let gpus = self.view.nodes.iter().flat_map(|node| &node.gpus);
        let models: BTreeSet<&GpuModel> = gpus.map(|gpu| &gpu.model).collect();
        let changes = models.into_iter().cloned().map(Change::Model);
        changes
            .filter(|change| self.fits(std::slice::from_ref(change)))
            .take(MODELS_OFFERED)
            .collect()
    }
}

/// The largest number in the range that fits: what fits with a number fits with every smaller one.
fn largest_fitting(least: u64, most: u64, fits: impl Fn(u64) -> bool) -> Option<u64> {
    if least > most || !fits(least) {
        return None;
    }
    let (mut good, mut bad) = (least, most + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
