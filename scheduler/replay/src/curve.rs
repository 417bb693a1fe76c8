//! The allocation curve: how much GPU is in use when so much has arrived, as published.

use crate::decimal::{Decimal, divide_half_even};
use std::collections::BTreeMap;

/// Collects the curve, one arrival after the other.
#[derive(Debug)]
pub struct Curve {
    capacity_milli: u64,
    /// By arrived percent: the sum of the allocated hundredths of a percent, and of how many.
    columns: BTreeMap<u64, (u64, u64)>,
}

impl Curve {
    /// An empty curve of a cluster with so much GPU, which is not zero.
    pub fn new(capacity_milli: u64) -> Self {
        Self {
            capacity_milli,
            columns: BTreeMap::new(),
        }
    }

    /// After an arrival: GPU that has arrived, refused or not, and GPU in use.
    pub fn push(&mut self, arrived_milli: u64, allocated_milli: u64) {
        let column = self.part(arrived_milli, 100);
        let (sum, count) = self.columns.entry(column).or_default();
        *sum += divide_half_even(
            u128::from(allocated_milli) * 10_000,
            self.capacity_milli.into(),
        );
        *count += 1;
    }

    /// Percent of a quantity of GPU, with two digits.
    pub fn percent(&self, milli: u64) -> Decimal {
        Decimal::hundredths(self.part(milli, 10_000))
    }

    /// Mean allocated percent by arrived percent. A percent at which nothing arrived takes the
    /// mean of its neighbours, as published.
    pub fn points(&self) -> BTreeMap<u64, Decimal> {
        let last = self.columns.keys().last().copied().unwrap_or(0);
        let point = |percent| Some((percent, self.at(percent)?));
        (0..=last).filter_map(point).collect()
    }

    fn at(&self, percent: u64) -> Option<Decimal> {
        let near = percent.saturating_sub(1)..=percent + 1;
        let range = match self.columns.get(&percent) {
            Some(_) => percent..=percent,
            None => near,
        };
        let columns = self.columns.range(range).map(|(_, column)| column);
        let (sum, count) = columns.fold((0, 0), |(s, n), (sum, count)| (s + sum, n + count));
        (count > 0).then(|| Decimal::hundredths(divide_half_even(sum.into(), count.into())))
    }

    fn part(&self, milli: u64, whole: u64) -> u64 {
        let product = u128::from(milli) * u128::from(whole);
        divide_half_even(product, self.capacity_milli.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_mean_of_its_arrivals_and_a_hole_that_of_its_neighbours() {
        let mut curve = Curve::new(100_000);
        curve.push(1000, 1000);
        curve.push(1400, 1000);
        curve.push(1500, 1400);
        curve.push(4000, 2010);
        let points: Vec<_> = curve
            .points()
            .into_iter()
            .map(|(x, y)| (x, y.units))
            .collect();
        assert_eq!(points, [(0, 100), (1, 100), (2, 140), (3, 170), (4, 201)]);
    }
}
