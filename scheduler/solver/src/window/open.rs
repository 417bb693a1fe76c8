//! Hosts one by one, with what is in them, and the pass that fills them until nothing left fits.

use super::{
    column::Column,
    packing::{Packing, Slots},
};

/// A host and what is put in it.
#[derive(Debug, Clone)]
pub(super) struct Open<F> {
    pub(super) host: usize,
    pub(super) fill: F,
    pub(super) steps: Vec<(u32, Slots)>,
    /// Hosts with equal numbers have equal contents.
    group: usize,
}

/// Hosts with contents, empty ones too, and what is left to place.
#[derive(Debug)]
pub(super) struct Opened<'a, P: Packing> {
    packing: &'a P,
    pub(super) all: Vec<Open<P::Fill>>,
    pub(super) left: Vec<u32>,
    groups: usize,
}

impl<'a, P: Packing> Opened<'a, P> {
    /// All hosts, still empty; in order of their classes.
    pub(super) fn empty(packing: &'a P) -> Self {
        Self {
            packing,
            all: Vec::new(),
            left: packing.works().iter().map(|work| work.count).collect(),
            groups: 0,
        }
    }

    /// Hosts of one class with these contents.
    pub(super) fn open(&mut self, host: usize, steps: &[(u32, Slots)], times: u32) {
        let mut fill = self.packing.empty(host);
        let mut kept = Vec::with_capacity(steps.len());
        for (work, slots) in steps {
            let left = &mut self.left[*work as usize];
            if *left >= times && self.packing.put(&mut fill, *work as usize, *slots) {
                *left -= times;
                kept.push((*work, *slots));
            }
        }
        let open = Open {
            host,
            fill,
            steps: kept,
            group: self.groups,
        };
        self.groups += 1;
        self.all.extend(std::iter::repeat_n(open, times as usize));
    }

    /// Opens what columns say and leaves the other hosts empty.
    pub(super) fn of(packing: &'a P, columns: &[Column], used: &[u32]) -> Self {
        let mut opened = Self::empty(packing);
        let mut hosts: Vec<u32> = packing.hosts().iter().map(|h| h.count).collect();
        for (column, times) in columns.iter().zip(used) {
            if *times > 0 {
                hosts[column.host] -= times;
                opened.open(column.host, &column.steps, *times);
            }
        }
        for (host, count) in hosts.into_iter().enumerate() {
            opened.open(host, &[], count);
        }
        opened
    }

    /// Puts what is left wherever it fits, most worth first, so that afterwards nothing fits.
    pub(super) fn fill(&mut self) {
        let works = self.packing.works();
        let mut order: Vec<usize> = (0..works.len()).collect();
        order.sort_by(|a, b| works[*b].worth.total_cmp(&works[*a].worth).then(a.cmp(b)));
        self.fill_in_order(&order);
    }

    /// The same in a given order.
    pub(super) fn fill_in_order(&mut self, order: &[usize]) {
        for work in order {
            self.fill_with(*work);
        }
    }

    fn fill_with(&mut self, work: usize) {
        // A group that did not take it once will not take it again.
        let mut full = vec![false; self.groups];
        let mut index = 0;
        while self.left[work] > 0 && index < self.all.len() {
            let open = &mut self.all[index];
            if full.get(open.group).copied().unwrap_or(false) {
                index += 1;
                continue;
            }
            let opens = open.steps.is_empty();
            let cost = if opens {
                self.packing.hosts()[open.host].cost
            } else {
                0.0
            };
            let worth = self.packing.works()[work].worth > cost;
            match worth
                .then(|| self.packing.add(&mut open.fill, work))
                .flatten()
            {
                Some(slots) => {
                    open.steps
                        .push((u32::try_from(work).unwrap_or(u32::MAX), slots));
                    open.group = self.groups;
                    self.groups += 1;
                    self.left[work] -= 1;
                }
                None => {
                    if let Some(full) = full.get_mut(open.group) {
                        *full = true;
                    }
                    index += 1;
                }
            }
        }
    }

    /// Worth of all that is placed less the cost of the hosts in use.
    pub(super) fn value(&self) -> f64 {
        let value = |open: &Open<P::Fill>| {
            let worth = open
                .steps
                .iter()
                .map(|(work, _)| self.packing.works()[*work as usize].worth);
            if open.steps.is_empty() {
                0.0
            } else {
                worth.sum::<f64>() - self.packing.hosts()[open.host].cost
            }
        };
        self.all.iter().map(value).sum()
    }
}
