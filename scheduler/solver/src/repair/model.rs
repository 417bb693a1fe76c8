//! The exact repair model: columns and rows, labelled, before any solver sees them.
//!
//! Equal residents in one place are a party, and equal ones anywhere are a group. Columns, all
//! integer: `stay[p]` and `stop[p]` (of a party), `come[c,n]` and `on[c,n,g]` (newcomers on a node
//! and its GPUs, of a group or of the blocked), and `tenant[n,g,t]` where tenants could meet.

use dovetail_core::{
    packing::{Demand, Gpus, Room},
    problem::{
        exact::Slot,
        repair::{INTEGERS_MAX, ROOMS_MAX, Repair},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a column means. Newcomers are numbered like the groups; the blocked come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Stay(usize),
    Stop(usize),
    Come(usize, usize),
    On(usize, usize, usize),
    Tenant(usize, usize, u32),
}

/// A linear constraint.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) terms: Vec<(Column, f64)>,
    pub(super) exactly: bool,
    pub(super) right: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.exactly { "=" } else { "<=" };
        let Self {
            label,
            terms,
            right,
            ..
        } = self;
        writeln!(f, "{label}: {terms:?} {sign} {right}")
    }
}

/// When newcomers need their room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Newcomers {
    /// When everybody has gone who goes.
    AfterAll,
    /// While everybody is still there.
    AtOnce,
}

/// Residents that differ by nothing but where they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) class: usize,
    pub(super) move_cost: Option<u64>,
    pub(super) stop_cost: Option<u64>,
}

/// Residents that differ by nothing.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) group: usize,
    pub(super) at: Slot,
    pub(super) residents: Vec<usize>,
}

/// Columns with their bounds, rows, and what to minimise.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) columns: BTreeMap<Column, (f64, f64)>,
    pub(super) rows: Vec<Row>,
    pub(super) cost: Vec<(Column, f64)>,
    pub(super) groups: Vec<Group>,
    pub(super) parties: Vec<Party>,
}

/// What a row of a host bounds, what is free of it, and how much of it a member takes.
type HostRow = (&'static str, f64, fn(&Demand) -> f64);

impl Model {
    /// None if the problem is too large for an exact model.
    pub(super) fn of(repair: &Repair, newcomers: Newcomers) -> Option<Self> {
        if repair.bare.len() > ROOMS_MAX {
            return None;
        }
        let mut model = Self::default();
        model.gather(repair);
        for index in 0..model.parties.len() {
            model.party(index);
        }
        for comer in 0..=model.groups.len() {
            model.comers(repair, comer);
            if model.columns.len() > INTEGERS_MAX {
                return None;
            }
        }
        model.steps(repair);
        for node in 0..repair.bare.len() {
            model.node(repair, node, Newcomers::AfterAll);
            if newcomers == Newcomers::AtOnce {
                model.node(repair, node, Newcomers::AtOnce);
            }
            for gpu in 0..repair.bare[node].gpus.len() {
                model.tenants(repair, node, gpu);
            }
        }
        Some(model)
    }

    fn gather(&mut self, repair: &Repair) {
        let mut parties: BTreeMap<(Group, usize, Vec<usize>), Vec<usize>> = BTreeMap::new();
        for (index, resident) in repair.residents.iter().enumerate() {
            let group = Group {
                class: resident.class,
                move_cost: resident.move_cost,
                stop_cost: repair.stop_cost(index),
            };
            let key = (group, resident.at.node, resident.at.gpus.clone());
            parties.entry(key).or_default().push(index);
        }
        for ((group, node, gpus), residents) in parties {
            if self.groups.last() != Some(&group) {
                self.groups.push(group);
            }
            self.parties.push(Party {
                group: self.groups.len() - 1,
                at: Slot { node, gpus },
                residents,
            });
        }
    }

    fn party(&mut self, index: usize) {
        let party = &self.parties[index];
        let group = &self.groups[party.group];
        let count = number(party.residents.len());
        let (stay, stop) = (Column::Stay(index), Column::Stop(index));
        let fixed = group.move_cost.is_none() && group.stop_cost.is_none();
        self.columns
            .insert(stay, (if fixed { count } else { 0.0 }, count));
        let moving = group.move_cost.map_or(0.0, float);
        self.cost.push((stay, -moving));
        if let Some(cost) = group.stop_cost {
            self.columns.insert(stop, (0.0, count));
            self.cost.push((stop, float(cost) - moving));
        }
    }

    /// What a comer takes.
    pub(super) fn demand<'a>(&self, repair: &'a Repair, comer: usize) -> &'a Demand {
        let class = self
            .groups
            .get(comer)
            .map_or(repair.blocked, |group| group.class);
        &repair.classes[class]
    }

    /// Who leaves comes somewhere or is stopped; all members of the blocked come.
    fn comers(&mut self, repair: &Repair, comer: usize) {
        let demand = self.demand(repair, comer);
        let mut all = Vec::new();
        let mut right = f64::from(repair.members);
        if let Some(group) = self.groups.get(comer) {
            let movable = group.move_cost.is_some();
            right = 0.0;
            for (index, party) in self.parties.iter().enumerate() {
                if party.group == comer {
                    right += number(party.residents.len());
                    all.push((Column::Stay(index), 1.0));
                    all.push((Column::Stop(index), 1.0));
                }
            }
            all.retain(|(column, _)| self.columns.contains_key(column));
            if !movable {
                self.row(format!("group {comer} stays or stops"), all, true, right);
                return;
            }
        }
        for (node, room) in repair.bare.iter().enumerate() {
            if room.fits(demand) {
                all.push((Column::Come(comer, node), 1.0));
                self.comers_on(comer, node, room, demand, right);
            }
        }
        self.row(
            format!("everybody of {comer} is somewhere"),
            all,
            true,
            right,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a comer on a node means both numbers and both things"
    )]
    fn comers_on(&mut self, comer: usize, node: usize, room: &Room, demand: &Demand, most: f64) {
        let come = Column::Come(comer, node);
        self.columns.insert(come, (0.0, most));
        let (each, most) = match demand.gpus {
            Gpus::None => return,
            Gpus::Share => (1.0, most),
            Gpus::Whole(count) => (f64::from(count), 1.0),
        };
        let mut terms = vec![(come, -each)];
        for gpu in room.fitting(demand) {
            let on = Column::On(comer, node, gpu);
            self.columns.insert(on, (0.0, most));
            terms.push((on, 1.0));
        }
        self.row(format!("GPUs of {comer} on node {node}"), terms, true, 0.0);
    }

    fn steps(&mut self, repair: &Repair) {
        let stay = (0..self.parties.len()).map(|index| (Column::Stay(index), -1.0));
        let right = number(repair.steps_limit()) - number(repair.residents.len());
        self.row("steps".to_owned(), stay.collect(), false, right);
    }

    /// CPU, memory, slices and GPUs of a node hold whoever is there.
    fn node(&mut self, repair: &Repair, node: usize, when: Newcomers) {
        let room = &repair.bare[node];
        let label = |what: &str| format!("{what} of node {node}, {when:?}");
        let host: [HostRow; 3] = [
            ("CPU", cores(room.cpu.0), |demand| cores(demand.cpu.0)),
            ("memory", mebibytes(room.memory.0), |demand| {
                mebibytes(demand.memory.0)
            }),
            ("slices", f64::from(room.slices), |_| 1.0),
        ];
        for (what, right, amount) in host {
            let come = |comer| Column::Come(comer, node);
            let (terms, used) = self.there(repair, node, None, when, &come, &amount);
            self.row(label(what), terms, false, right - used);
        }
        for (gpu, free) in room.gpus.iter().enumerate() {
            let on = |comer| Column::On(comer, node, gpu);
            let take = |demand: &Demand| demand.take_of(free.device);
            let compute = |demand: &Demand| take(demand).map_or(0.0, |take| cores(take.compute.0));
            let memory =
                |demand: &Demand| take(demand).map_or(0.0, |take| mebibytes(take.memory.0));
            let (terms, used) = self.there(repair, node, Some(gpu), when, &on, &compute);
            self.row(
                label(&format!("compute of GPU {gpu}")),
                terms,
                false,
                cores(free.compute.0) - used,
            );
            let (terms, used) = self.there(repair, node, Some(gpu), when, &on, &memory);
            self.row(
                label(&format!("memory of GPU {gpu}")),
                terms,
                false,
                mebibytes(free.memory.0) - used,
            );
        }
    }

    /// What everybody takes who is there: terms, and what is taken for certain.
    #[expect(
        clippy::too_many_arguments,
        reason = "a row is made of a place, a moment, and who takes how much there"
    )]
    fn there(
        &self,
        repair: &Repair,
        node: usize,
        gpu: Option<usize>,
        when: Newcomers,
        comer: &dyn Fn(usize) -> Column,
        amount: &dyn Fn(&Demand) -> f64,
    ) -> (Vec<(Column, f64)>, f64) {
        let (mut terms, mut used) = (Vec::new(), 0.0);
        for (index, party) in self.parties.iter().enumerate() {
            if party.at.node == node && gpu.is_none_or(|gpu| party.at.gpus.contains(&gpu)) {
                let each = amount(self.demand(repair, party.group));
                match when {
                    Newcomers::AfterAll => terms.push((Column::Stay(index), each)),
                    Newcomers::AtOnce => used += each * number(party.residents.len()),
                }
            }
        }
        // The blocked come when everybody has gone who goes.
        let comers = match when {
            Newcomers::AfterAll => self.groups.len() + 1,
            Newcomers::AtOnce => self.groups.len(),
        };
        for index in 0..comers {
            if self.columns.contains_key(&comer(index)) {
                terms.push((comer(index), amount(self.demand(repair, index))));
            }
        }
        (terms, used)
    }

    /// One tenant a GPU, where several could meet. Whole GPUs leave nothing to meet on.
    fn tenants(&mut self, repair: &Repair, node: usize, gpu: usize) {
        let mut sharers: Vec<(Column, u32, f64)> = Vec::new();
        for (index, party) in self.parties.iter().enumerate() {
            if party.at.node == node && party.at.gpus.contains(&gpu) {
                let demand = self.demand(repair, party.group);
                sharers.push((
                    Column::Stay(index),
                    demand.tenant,
                    number(party.residents.len()),
                ));
            }
        }
        for comer in 0..=self.groups.len() {
            let on = Column::On(comer, node, gpu);
            if let Some((_, most)) = self.columns.get(&on) {
                sharers.push((on, self.demand(repair, comer).tenant, *most));
            }
        }
        let tenants: BTreeSet<u32> = sharers.iter().map(|(_, tenant, _)| *tenant).collect();
        if tenants.len() < 2 {
            return;
        }
        let mut owners = Vec::new();
        for tenant in tenants {
            let owner = Column::Tenant(node, gpu, tenant);
            self.columns.insert(owner, (0.0, 1.0));
            owners.push((owner, 1.0));
        }
        for (column, tenant, most) in sharers {
            let terms = vec![(column, 1.0), (Column::Tenant(node, gpu, tenant), -most)];
            self.row(format!("{column:?} needs its tenant"), terms, false, 0.0);
        }
        self.row(
            format!("tenants of GPU {gpu} of node {node}"),
            owners,
            false,
            1.0,
        );
    }

    fn row(&mut self, label: String, terms: Vec<(Column, f64)>, exactly: bool, right: f64) {
        self.rows.push(Row {
            label,
            terms,
            exactly,
            right,
        });
    }
}

/// Thousandths as whole units, so that the numbers of a model are of one size.
#[allow(
    clippy::cast_precision_loss,
    reason = "an answer is verified in integers"
)]
fn cores(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

#[allow(
    clippy::cast_precision_loss,
    reason = "an answer is verified in integers"
)]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "an answer is verified in integers"
)]
fn float(cost: u64) -> f64 {
    cost as f64
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
