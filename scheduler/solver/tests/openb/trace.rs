//! The published traces as rooms and demands, where they are.

use dovetail_core::packing::{Demand, GpuRoom, Gpus, Room, Take};
use dovetail_model::units::{Bytes, CpuMilli, GpuMilli};
use std::{collections::BTreeMap, env, fs, path::PathBuf};

/// Traces that may be there.
pub(crate) const NAMES: [&str; 5] = ["default", "cpu100", "gpushare40", "gpuspec10", "multigpu20"];

const MIB: u64 = 1 << 20;
/// Members per node, as in the published protocol.
const SLICES: u32 = 1001;
/// Memory of a GPU: the traces ask for none.
const DEVICE: Bytes = Bytes(32 << 30);

/// An empty cluster, and the pods by class.
pub(crate) struct Trace {
    pub(crate) nodes: Vec<(Room, u64)>,
    pub(crate) classes: Vec<(Demand, u64)>,
    /// Class of each pod, sorted by the pod's name.
    pub(crate) pods: Vec<usize>,
    pub(crate) folder: PathBuf,
}

/// A trace; says why not if there is none.
pub(crate) fn read(name: &str) -> Option<Trace> {
    let Some(root) = env::var_os("DOVETAIL_DATA") else {
        println!("skipped: DOVETAIL_DATA does not name the folder of the published traces");
        return None;
    };
    let folder = PathBuf::from(root).join("openb");
    let pods = folder.join(format!("openb_pod_list_{name}.csv"));
    if !pods.is_file() {
        println!("skipped: there is no {}", pods.display());
        return None;
    }
    let shapes = shapes(&rows(&folder.join("openb_node_list_gpu_node.csv")));
    let mut models: Vec<&String> = shapes.keys().map(|(.., model)| model).collect();
    models.sort();
    models.dedup();
    let device = |model: &String| models.binary_search(&model).unwrap();
    let kinds: Vec<usize> = shapes.keys().map(|(.., model)| device(model)).collect();
    let room = |(kind, ((cpu, memory, gpus, model), count)): (usize, (&Shape, &u64))| {
        let gpu = GpuRoom {
            device: u32::try_from(device(model)).unwrap(),
            compute: GpuMilli(1000),
            memory: DEVICE,
            empty: true,
            tenant: None,
        };
        let room = Room {
            kind: u32::try_from(kind).unwrap(),
            cpu: CpuMilli(*cpu),
            memory: Bytes(memory * MIB),
            slices: SLICES,
            gpus: vec![gpu; usize::try_from(*gpus).unwrap()],
        };
        (room, *count)
    };
    let nodes = shapes.iter().enumerate().map(room).collect();
    let mut table = rows(&pods);
    table.sort_by(|a, b| a["name"].cmp(&b["name"]));
    let demands: Vec<Demand> = table
        .iter()
        .map(|row| demand(row, &models, &kinds))
        .collect();
    let mut counts: BTreeMap<&Demand, u64> = BTreeMap::new();
    for demand in &demands {
        *counts.entry(demand).or_default() += 1;
    }
    let classes: Vec<(Demand, u64)> = counts.iter().map(|(d, n)| ((*d).clone(), *n)).collect();
    let class = |demand| classes.binary_search_by(|(d, _)| d.cmp(demand)).unwrap();
    let pods = demands.iter().map(class).collect();
    Some(Trace {
        nodes,
        classes,
        pods,
        folder,
    })
}

type Shape = (u64, u64, u64, String);
pub(crate) type Row = BTreeMap<String, String>;

fn shapes(rows: &[Row]) -> BTreeMap<Shape, u64> {
    let mut shapes = BTreeMap::new();
    for row in rows {
        let number = |column: &str| row[column].parse().unwrap();
        let shape = (
            number("cpu_milli"),
            number("memory_mib"),
            number("gpu"),
            row["model"].clone(),
        );
        *shapes.entry(shape).or_default() += 1;
    }
    shapes
}

fn demand(row: &Row, models: &[&String], kinds: &[usize]) -> Demand {
    let number = |column: &str| row[column].parse::<u64>().unwrap();
    let (count, milli) = (number("num_gpu"), number("gpu_milli").min(1000));
    let share = count == 1 && milli < 1000;
    let take = Take {
        compute: GpuMilli(milli),
        memory: if share { Bytes(0) } else { DEVICE },
    };
    let wanted = row.get("gpu_spec").map_or("", String::as_str);
    let wanted: Vec<&str> = wanted.split('|').filter(|m| !m.is_empty()).collect();
    let will_do = |model: &str| wanted.is_empty() || wanted.contains(&model);
    Demand {
        cpu: CpuMilli(number("cpu_milli")),
        memory: Bytes(number("memory_mib") * MIB),
        tenant: 0,
        gpus: match count {
            0 => Gpus::None,
            1 if share => Gpus::Share,
            more => Gpus::Whole(u32::try_from(more).unwrap()),
        },
        takes: models
            .iter()
            .map(|model| will_do(model).then_some(take))
            .collect(),
        kinds: kinds
            .iter()
            .map(|device| will_do(models[*device]))
            .collect(),
    }
}

/// Rows of a table by their header.
pub(crate) fn rows(path: &PathBuf) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let fields = header.iter().zip(line.split(','));
        fields
            .map(|(name, field)| ((*name).to_owned(), field.to_owned()))
            .collect()
    };
    lines.map(row).collect()
}

impl Trace {
    /// GPU that a class asks for, in thousandths.
    pub(crate) fn milli(&self, class: usize) -> u64 {
        let demand = &self.classes[class].0;
        let take = demand.takes.iter().flatten().next();
        take.map_or(0, |take| take.compute.0 * u64::from(demand.gpu_count()))
    }

    /// GPU of the cluster, in thousandths.
    pub(crate) fn cluster_milli(&self) -> u64 {
        self.nodes
            .iter()
            .map(|(room, count)| room.compute().0 * count)
            .sum()
    }

    /// So many billionths of the mix in hundredths of a percent of the cluster's GPUs; without
    /// what fits nowhere.
    pub(crate) fn hundredths_of_load(&self, billionths: u64) -> u64 {
        let fits = |class: &usize| {
            let mut rooms = self.nodes.iter();
            rooms.any(|(room, _)| room.fits(&self.classes[*class].0))
        };
        let classes = (0..self.classes.len()).filter(fits);
        let mix: u64 = classes
            .map(|class| self.milli(class) * self.classes[class].1)
            .sum();
        let part = u128::from(mix) * u128::from(billionths) / 100_000;
        u64::try_from(part / u128::from(self.cluster_milli())).unwrap_or(u64::MAX)
    }

    /// Classes and how many of each have come when so much of the cluster's GPUs is asked for.
    pub(crate) fn arrived(&self, name: &str, seed: u64, thousandths: u64) -> Vec<(usize, u64)> {
        let bytes = fs::read(self.folder.join(format!("order_{name}.u16"))).unwrap();
        let mut rest = bytes.as_slice();
        let mut order: &[u8] = &[];
        for _ in FIRST_SEED..=seed {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            let bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap() * 2;
            (order, rest) = after.split_at(bytes);
        }
        let (mut counts, mut asked) = (BTreeMap::new(), 0);
        for pod in order.chunks_exact(2) {
            let class = self.pods[usize::from(u16::from_le_bytes([pod[0], pod[1]]))];
            asked += self.milli(class);
            // The published figure is rounded.
            if asked * 200_000 > self.cluster_milli() * (2 * thousandths + 1) {
                break;
            }
            *counts.entry(class).or_default() += 1;
        }
        counts.into_iter().collect()
    }
}

const FIRST_SEED: u64 = 42;
