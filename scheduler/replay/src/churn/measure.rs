//! What is measured of a replay with departures, in integers.

use super::{events::LIFETIME_TICKS, repairs::Moved};
use crate::{
    decimal::{Decimal, divide_half_even},
    demand::{Demand, WHOLE},
    replay::Failed,
};
use serde::Serialize;

/// The second half of a replay.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Who came.
    pub arrived: Failed,
    /// Who was refused.
    pub refused: Failed,
    /// Pods moved.
    pub moves: u64,
    capacity_milli: u64,
    ticks: u64,
    allocated_milli_ticks: u128,
    arrived_milli: u64,
    refused_milli: u64,
    moved_milli_ticks: u128,
}

/// Percents by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByKind {
    /// All of them.
    pub total: Decimal,
    /// Without a GPU.
    pub cpu_only: Decimal,
    /// With a part of one.
    pub share: Decimal,
    /// With one.
    pub gpu1: Decimal,
    /// With two.
    pub gpu2: Decimal,
    /// With three or four.
    pub gpu4: Decimal,
    /// With five or more.
    pub gpu8: Decimal,
}

impl Measured {
    pub(super) fn new(capacity_milli: u64) -> Self {
        Self {
            capacity_milli,
            ..Self::default()
        }
    }

    pub(super) fn passed(&mut self, ticks: u64, allocated_milli: u64) {
        self.ticks += ticks;
        self.allocated_milli_ticks += u128::from(ticks) * u128::from(allocated_milli);
    }

    pub(super) fn arrived(&mut self, demand: &Demand) {
        self.arrived.count(demand.kind());
        self.arrived_milli += demand.total_milli();
    }

    pub(super) fn refused(&mut self, demand: &Demand) {
        self.refused.count(demand.kind());
        self.refused_milli += demand.total_milli();
    }

    pub(super) fn moved(&mut self, moved: &[Moved]) {
        self.moves += moved.len() as u64;
        for one in moved {
            let milli = u128::from(one.demand.total_milli());
            self.moved_milli_ticks += milli * u128::from(one.ran_ticks);
        }
    }

    /// GPUs in use, of all there are, over time.
    pub fn allocated_percent(&self) -> Decimal {
        let all = u128::from(self.capacity_milli) * u128::from(self.ticks);
        percent(self.allocated_milli_ticks, all)
    }

    /// GPUs refused, of all that were asked for.
    pub fn refused_demand_percent(&self) -> Decimal {
        percent(self.refused_milli.into(), self.arrived_milli.into())
    }

    /// Pods refused, of those of their class that came.
    pub fn refused_percent(&self) -> ByKind {
        let of = |part: u64, whole: u64| percent(part.into(), whole.into());
        let (refused, arrived) = (&self.refused, &self.arrived);
        ByKind {
            total: of(refused.total, arrived.total),
            cpu_only: of(refused.cpu_only, arrived.cpu_only),
            share: of(refused.share, arrived.share),
            gpu1: of(refused.gpu1, arrived.gpu1),
            gpu2: of(refused.gpu2, arrived.gpu2),
            gpu4: of(refused.gpu4, arrived.gpu4),
            gpu8: of(refused.gpu8, arrived.gpu8),
        }
    }

    /// Pods moved for a hundred that came.
    pub fn moves_per_100(&self) -> Decimal {
        percent(self.moves.into(), self.arrived.total.into())
    }

    /// GPUs of moved pods times how long they had run where they were, in mean lifetimes: the work
    /// that is lost if it cannot be resumed.
    pub fn moved_gpu_lifetimes(&self) -> Decimal {
        let unit = u128::from(WHOLE) * u128::from(LIFETIME_TICKS);
        Decimal::hundredths(divide_half_even(100 * self.moved_milli_ticks, unit))
    }
}

/// Nothing of nothing is nothing.
fn percent(part: u128, whole: u128) -> Decimal {
    Decimal::hundredths(divide_half_even(10_000 * part, whole.max(1)))
}
