//! The pods' CSV: `name,cpu_milli,memory_mib,num_gpu,gpu_milli` and, where there is one, `gpu_spec`.

use super::{
    csv::{Column, Row, Table},
    error::TraceError,
    nodes::{CPU_MAX_MILLI, MEMORY_MAX_MIB},
};
use crate::{
    cluster::GPUS_PER_NODE_MAX,
    demand::{Demand, Models, WHOLE},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Most pods of a file: a hundred times the published ones.
const PODS_MAX: usize = 1_000_000;

/// Most different texts of wanted models.
const SPECS_MAX: usize = 4096;

/// What a file of pods says.
#[derive(Debug)]
pub(super) struct Pods {
    pub(super) classes: Vec<Demand>,
    pub(super) specs: Vec<String>,
    /// Class of each pod, sorted by the pod's name.
    pub(super) pods: Vec<usize>,
}

impl Pods {
    /// The demand of a pod.
    pub(super) fn demand(&self, pod: usize) -> &Demand {
        &self.classes[self.pods[pod]]
    }
}

/// The models named by a text such as `T4|P100`.
pub(super) fn models_of(spec: &str) -> impl Iterator<Item = &str> {
    spec.split('|').filter(|model| !model.is_empty())
}

/// Reads the pods; models are numbered as in `models`.
pub(super) fn read(path: &Path, models: &[String]) -> Result<Pods, TraceError> {
    let table = Table::read(path)?;
    let columns = Columns::of(&table)?;
    let (mut pods, mut names, mut specs) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for row in table.rows().take(PODS_MAX + 1) {
        let row = row?;
        let name = row.name(columns.name)?;
        if !names.insert(name.to_owned()) {
            return Err(row.error(columns.name, "is the name of two pods: name each once"));
        }
        let spec = columns.spec.map_or("", |column| row.text(column));
        specs.insert(spec.to_owned());
        if let (Some(column), true) = (columns.spec, specs.len() > SPECS_MAX) {
            let fix = format!("is one list of models more than {SPECS_MAX}: use fewer");
            return Err(row.error(column, &fix));
        }
        pods.push((name.to_owned(), columns.demand(&row)?, spec.to_owned()));
    }
    table.check_rows(pods.len(), PODS_MAX)?;
    pods.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    Ok(intern(pods, specs.into_iter().collect(), models))
}

fn intern(pods: Vec<(String, Demand, String)>, specs: Vec<String>, models: &[String]) -> Pods {
    let mut known: BTreeMap<Demand, usize> = BTreeMap::new();
    let mut classes = Vec::new();
    let class = |(_, demand, spec): (String, Demand, String)| {
        let number = specs.binary_search(&spec).expect("every text was gathered");
        let demand = Demand {
            models: mask(&spec, models),
            spec: u16::try_from(number).expect("there are at most 4096"),
            ..demand
        };
        *known.entry(demand).or_insert_with(|| {
            classes.push(demand);
            classes.len() - 1
        })
    };
    let pods = pods.into_iter().map(class).collect();
    Pods {
        classes,
        specs,
        pods,
    }
}

/// Models that no node has are no bits: a pod that wants no other fits nowhere.
fn mask(spec: &str, models: &[String]) -> Models {
    let mut wanted = models_of(spec).peekable();
    if wanted.peek().is_none() {
        return Models::ANY;
    }
    let numbers = wanted.filter_map(|name| models.iter().position(|model| model == name));
    Models(numbers.fold(0, |mask, number| mask | 1 << number))
}

struct Columns {
    name: Column,
    cpu: Column,
    memory: Column,
    gpus: Column,
    milli: Column,
    spec: Option<Column>,
}

impl Columns {
    fn of(table: &Table) -> Result<Self, TraceError> {
        Ok(Self {
            name: table.column("name")?,
            cpu: table.column("cpu_milli")?,
            memory: table.column("memory_mib")?,
            gpus: table.column("num_gpu")?,
            milli: table.column("gpu_milli")?,
            spec: table.optional_column("gpu_spec"),
        })
    }

    /// What a row asks for, models apart.
    fn demand(&self, row: &Row<'_>) -> Result<Demand, TraceError> {
        let gpus = row.number(self.gpus, 0..=GPUS_PER_NODE_MAX as u64, "GPUs")?;
        let gpus = u8::try_from(gpus).expect("it is at most 16");
        Ok(Demand {
            cpu_milli: row.number(self.cpu, 0..=CPU_MAX_MILLI, "thousandths of a core")?,
            memory_mib: row.number(self.memory, 0..=MEMORY_MAX_MIB, "MiB")?,
            gpus,
            gpu_milli: self.milli(row, gpus)?,
            models: Models::ANY,
            spec: 0,
        })
    }

    /// As published: more than a whole GPU is a whole one, and nothing of no GPU is nothing.
    fn milli(&self, row: &Row<'_>, gpus: u8) -> Result<u16, TraceError> {
        let milli = row.number(self.milli, 0..=u64::MAX, "thousandths of a GPU")?;
        let milli = u16::try_from(milli).unwrap_or(WHOLE).min(WHOLE);
        match gpus {
            0 => Ok(0),
            1 if milli == 0 => Err(row.error(self.milli, "is nothing of one GPU: write 1 to 1000")),
            1 => Ok(milli),
            _ if milli < WHOLE => Err(row.error(
                self.milli,
                "is a part of several GPUs: write 1000, or 1 in `num_gpu`",
            )),
            _ => Ok(milli),
        }
    }
}
