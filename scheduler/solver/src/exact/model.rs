//! The exact model: columns and rows of a problem, labelled, before any solver sees them.
//!
//! Columns, all integer: `placed[i]` (0 or 1), `members[i,n]` (members of item i on node n),
//! `on[i,n,g]` (members of a share on a GPU; for whole GPUs, whether it is the item's), and
//! `tenant[n,g,t]` (0 or 1) where sharers of different tenants could meet on a GPU.

use dovetail_core::problem::exact::{Exact, Gpu, GpuTake, INTEGERS_MAX, Item, NODES_MAX, Place};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Placed(usize),
    Members(usize, usize),
    On(usize, usize, usize),
    Tenant(usize, usize, u32),
}

/// A linear constraint: the sum of `terms` is at most, or exactly, `right`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) terms: Vec<(Column, f64)>,
    pub(crate) exactly: bool,
    pub(crate) right: f64,
}

/// Columns with their bounds, and rows.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) columns: BTreeMap<Column, (f64, f64)>,
    pub(crate) rows: Vec<Row>,
}

impl Model {
    /// None if the problem is too large for an exact model.
    pub(crate) fn of(problem: &Exact) -> Option<Self> {
        if problem.nodes.len() > NODES_MAX {
            return None;
        }
        let mut model = Self::default();
        for (index, item) in problem.items.iter().enumerate() {
            model.item(problem, index, item);
            // Whoever makes problems counts these columns; those of tenants follow from them, at
            // most one for each `on`.
            if model.columns.len() > INTEGERS_MAX {
                return None;
            }
        }
        for node in 0..problem.nodes.len() {
            model.node(problem, node);
            for gpu in 0..problem.nodes[node].gpus.len() {
                model.gpu(problem, node, gpu);
            }
        }
        model.alike(problem);
        Some(model)
    }

    fn item(&mut self, problem: &Exact, index: usize, item: &Item) {
        self.columns.insert(Column::Placed(index), (0.0, 1.0));
        let members = f64::from(item.members);
        let mut gang = vec![(Column::Placed(index), -members)];
        for place in &item.places {
            let here = Column::Members(index, place.node);
            self.columns.insert(here, (0.0, members));
            gang.push((here, 1.0));
            if !place.gpus.is_empty() {
                self.gpus_of(problem, index, place);
            }
        }
        self.exactly(format!("gang of item {index}"), gang, 0.0);
    }

    /// Members here take their GPUs here.
    fn gpus_of(&mut self, problem: &Exact, index: usize, place: &Place) {
        let item = &problem.items[index];
        let (most, each) = match item.whole_gpus {
            0 => (f64::from(item.members), 1.0),
            count => (1.0, f64::from(count)),
        };
        let room = |gpu: usize| problem.nodes.get(place.node)?.gpus.get(gpu);
        let closed = |gpu: Option<&Gpu>| item.whole_gpus > 0 && gpu.is_some_and(|gpu| !gpu.empty);
        let mut terms = vec![(Column::Members(index, place.node), -each)];
        for take in &place.gpus {
            let on = Column::On(index, place.node, take.gpu);
            let most = if closed(room(take.gpu)) { 0.0 } else { most };
            self.columns.insert(on, (0.0, most));
            terms.push((on, 1.0));
        }
        self.exactly(
            format!("GPUs of item {index} on node {}", place.node),
            terms,
            0.0,
        );
    }

    fn node(&mut self, problem: &Exact, node: usize) {
        let room = &problem.nodes[node];
        let here: Vec<(Column, &Item)> = problem
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.places.iter().any(|place| place.node == node))
            .map(|(index, item)| (Column::Members(index, node), item))
            .collect();
        let terms = |of: fn(&Item) -> f64| here.iter().map(|(c, item)| (*c, of(item))).collect();
        self.at_most(
            format!("CPU of {}", room.name),
            terms(|i| cores(i.cpu.0)),
            cores(room.cpu.0),
        );
        let memory = mebibytes(room.memory.0);
        self.at_most(
            format!("memory of {}", room.name),
            terms(|i| mebibytes(i.memory.0)),
            memory,
        );
        self.at_most(
            format!("slices of {}", room.name),
            terms(|_| 1.0),
            f64::from(room.slices),
        );
    }

    fn gpu(&mut self, problem: &Exact, node: usize, gpu: usize) {
        let takers: Vec<(usize, &Item, GpuTake)> = problem
            .items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some((index, item, take(item, node, gpu)?)))
            .collect();
        if takers.is_empty() {
            return;
        }
        let room = &problem.nodes[node].gpus[gpu];
        let on = |index: usize| Column::On(index, node, gpu);
        let compute = takers
            .iter()
            .map(|(i, _, take)| (on(*i), cores(take.compute.0)));
        let label = format!("compute of GPU {gpu} of node {node}");
        self.at_most(label, compute.collect(), cores(room.compute.0));
        let memory = takers
            .iter()
            .map(|(i, _, take)| (on(*i), mebibytes(take.memory.0)));
        let label = format!("memory of GPU {gpu} of node {node}");
        self.at_most(label, memory.collect(), mebibytes(room.memory.0));
        self.tenants(node, gpu, &takers);
    }

    /// One tenant a GPU, where several could meet. Whole GPUs leave no compute to meet on.
    fn tenants(&mut self, node: usize, gpu: usize, takers: &[(usize, &Item, GpuTake)]) {
        let sharers = || takers.iter().filter(|(_, item, _)| item.whole_gpus == 0);
        let tenants: BTreeSet<u32> = sharers().map(|(_, item, _)| item.tenant).collect();
        if tenants.len() < 2 {
            return;
        }
        for (index, item, _) in sharers() {
            let owner = Column::Tenant(node, gpu, item.tenant);
            self.columns.insert(owner, (0.0, 1.0));
            let most = f64::from(item.members);
            let terms = vec![(Column::On(*index, node, gpu), 1.0), (owner, -most)];
            let label = format!("tenant of item {index} on GPU {gpu} of node {node}");
            self.at_most(label, terms, 0.0);
        }
        let owners = tenants.into_iter();
        let all = owners.map(|tenant| (Column::Tenant(node, gpu, tenant), 1.0));
        let label = format!("tenants of GPU {gpu} of node {node}");
        self.at_most(label, all.collect(), 1.0);
    }

    /// Of waiting items that ask for the same, the earlier goes first; it also spares the solver
    /// the search through their permutations.
    fn alike(&mut self, problem: &Exact) {
        let started: BTreeSet<usize> = problem.start.iter().map(|a| a.item).collect();
        let waiting: Vec<usize> = (0..problem.items.len())
            .filter(|index| !started.contains(index))
            .collect();
        for (position, later) in waiting.iter().enumerate() {
            let same = |earlier: &&usize| {
                let (one, other) = (&problem.items[**earlier], &problem.items[*later]);
                let workload = other.workload;
                Item {
                    workload,
                    ..one.clone()
                } == *other
            };
            if let Some(earlier) = waiting[..position].iter().rfind(same) {
                let terms = vec![
                    (Column::Placed(*later), 1.0),
                    (Column::Placed(*earlier), -1.0),
                ];
                self.at_most(format!("item {earlier} before item {later}"), terms, 0.0);
            }
        }
    }

    fn at_most(&mut self, label: String, terms: Vec<(Column, f64)>, right: f64) {
        self.rows.push(Row {
            label,
            terms,
            exactly: false,
            right,
        });
    }

    fn exactly(&mut self, label: String, terms: Vec<(Column, f64)>, right: f64) {
        self.rows.push(Row {
            label,
            terms,
            exactly: true,
            right,
        });
    }
}

/// What a member of an item takes of a GPU; None if it may not go there.
pub(crate) fn take(item: &Item, node: usize, gpu: usize) -> Option<GpuTake> {
    let place = item.places.iter().find(|place| place.node == node)?;
    place.gpus.iter().find(|take| take.gpu == gpu).copied()
}

/// Thousandths as units: HiGHS likes numbers near one.
#[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
pub(crate) fn cores(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

/// Bytes as MiB, exactly: a division by a power of two.
#[allow(clippy::cast_precision_loss, reason = "amounts are far below 2^53")]
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl fmt::Display for Model {
    /// One line a row, for people who wonder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let terms: Vec<String> = row
                .terms
                .iter()
                .map(|(c, k)| format!("{k} {c:?}"))
                .collect();
            let sign = if row.exactly { "=" } else { "<=" };
            writeln!(
                f,
                "{}: {} {sign} {}",
                row.label,
                terms.join(" + "),
                row.right
            )?;
        }
        Ok(())
    }
}
