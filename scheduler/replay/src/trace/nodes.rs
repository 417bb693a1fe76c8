//! The nodes' CSV: `sn,cpu_milli,memory_mib,gpu,model`.

use super::{
    NodeRow,
    csv::{Row, Table},
    error::TraceError,
};
use crate::cluster::GPUS_PER_NODE_MAX;
use std::{collections::BTreeSet, path::Path};

/// Most nodes: the largest cluster ten times over.
pub(super) const NODES_MAX: usize = 100_000;

/// Most GPU models: they are bits of a word.
const MODELS_MAX: usize = 64;

/// Ten thousand cores, and a thousand TiB: more than any host has.
pub(super) const CPU_MAX_MILLI: u64 = 10_000_000;
pub(super) const MEMORY_MAX_MIB: u64 = 1 << 30;

/// Nodes sorted by name, and the names of their models by number.
pub(super) fn read(path: &Path) -> Result<(Vec<NodeRow>, Vec<String>), TraceError> {
    let table = Table::read(path)?;
    let columns = Columns {
        name: table.column("sn")?,
        cpu: table.column("cpu_milli")?,
        memory: table.column("memory_mib")?,
        gpus: table.column("gpu")?,
        model: table.column("model")?,
    };
    let (mut nodes, mut models, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in table.rows().take(NODES_MAX + 1) {
        let row = row?;
        let node = columns.node(&row, &mut models)?;
        if !seen.insert(row.text(columns.name).to_owned()) {
            return Err(row.error(columns.name, "is the name of two nodes: name each once"));
        }
        nodes.push(node);
    }
    table.check_rows(nodes.len(), NODES_MAX)?;
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((nodes, models))
}

struct Columns {
    name: super::csv::Column,
    cpu: super::csv::Column,
    memory: super::csv::Column,
    gpus: super::csv::Column,
    model: super::csv::Column,
}

impl Columns {
    fn node(&self, row: &Row<'_>, models: &mut Vec<String>) -> Result<NodeRow, TraceError> {
        let gpus = row.number(self.gpus, 0..=GPUS_PER_NODE_MAX as u64, "GPUs")?;
        Ok(NodeRow {
            name: row.name(self.name)?.to_owned(),
            cpu_milli: row.number(self.cpu, 0..=CPU_MAX_MILLI, "thousandths of a core")?,
            memory_mib: row.number(self.memory, 0..=MEMORY_MAX_MIB, "MiB")?,
            gpus: u8::try_from(gpus).expect("it is at most 16"),
            model: self.model(row, models)?,
        })
    }

    fn model(&self, row: &Row<'_>, models: &mut Vec<String>) -> Result<u8, TraceError> {
        let text = row.text(self.model);
        let number = match models.iter().position(|known| known == text) {
            Some(number) => number,
            None if models.len() == MODELS_MAX => {
                let fix = format!("is one model more than {MODELS_MAX}: name fewer models");
                return Err(row.error(self.model, &fix));
            }
            None => {
                models.push(text.to_owned());
                models.len() - 1
            }
        };
        Ok(u8::try_from(number).expect("there are at most 64 models"))
    }
}
