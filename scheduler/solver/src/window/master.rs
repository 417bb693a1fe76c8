//! The master program: how many hosts of each class get which contents, in fractions.

use super::{column::Column, packing::Packing};
use crate::lp::{Lp, Method, Row};
use std::time::Duration;

/// Parts smaller than this are the simplex method's rounding.
pub(super) const TINY: f64 = 1e-6;

/// Rows for works and hosts, columns as they come.
#[derive(Debug)]
pub(super) struct Master {
    lp: Lp,
    works: Vec<Row>,
    hosts: Vec<Row>,
    counts: Vec<f64>,
}

/// What the program says.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) value: f64,
    /// By column.
    pub(super) times: Vec<f64>,
    /// By work: what placing one more would add beside its price.
    pub(super) gains: Vec<f64>,
    /// By host: what one more would add.
    pub(super) rents: Vec<f64>,
}

impl Master {
    pub(super) fn new<P: Packing>(packing: &P) -> Self {
        let mut lp = Lp::default();
        let least = f64::NEG_INFINITY;
        let works = packing.works().iter();
        let works = works.map(|w| lp.row(least, w.count.into())).collect();
        let counts: Vec<f64> = packing.hosts().iter().map(|h| h.count.into()).collect();
        let hosts = counts.iter().map(|count| lp.row(least, *count)).collect();
        Self {
            lp,
            works,
            hosts,
            counts,
        }
    }

    pub(super) fn add(&mut self, column: &Column) {
        let mut entries = vec![(self.hosts[column.host], 1.0)];
        let contents = column.contents.iter();
        entries.extend(contents.map(|(work, n)| (self.works[*work as usize], f64::from(*n))));
        let most = self.counts[column.host];
        self.lp.column(column.value, 0.0, most, &entries);
    }

    /// The column is used so often, at least and at most.
    pub(super) fn bound(&mut self, column: usize, least: u32, most: u32) {
        self.lp.set_bounds(column, least.into(), most.into());
    }

    /// The optimum, within this time.
    pub(super) fn solve<P: Packing>(
        &mut self,
        packing: &P,
        time: Option<Duration>,
    ) -> Option<Answer> {
        self.lp.set_time_limit(time);
        let answer = self.lp.solve(Method::Simplex)?;
        let (prices, rents) = answer.duals.split_at(self.works.len());
        let gains = packing.works().iter().zip(prices);
        Some(Answer {
            value: answer.value,
            times: answer.columns,
            gains: gains
                .map(|(w, price)| (w.worth - price.max(0.0)).max(0.0))
                .collect(),
            rents: rents.iter().map(|rent| rent.max(0.0)).collect(),
        })
    }
}
