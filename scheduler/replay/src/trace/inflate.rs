//! Inflating a trace to a wanted demand, by the published rule: shuffle, then copy or drop pods
//! at random until the demand is met.

use super::{error::TraceError, pods::Pods};
use crate::{decimal::Decimal, rng::Rng};
use std::{path::Path, str::FromStr};
use thiserror::Error;

/// Most arrivals of one replay.
pub(super) const ARRIVALS_MAX: usize = 4_000_000;

/// The largest pod, in thousandths of a GPU: published orders miss the demand by at most one pod.
const POD_MAX_MILLI: u64 = 16_000;

/// Demand as a part of the cluster's GPUs, in thousandths: 1.3 is 1300.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandRatio(u64);

/// Why a text is no demand.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no demand: write a part of the cluster's GPUs from 0.001 to 10, such as 1.3")]
pub struct DemandRatioError(String);

impl FromStr for DemandRatio {
    type Err = DemandRatioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || DemandRatioError(text.chars().take(20).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 3 || !digits(whole) || !digits(fraction) {
            return Err(bad());
        }
        let milli = format!("{whole}{fraction:0<3}")
            .parse()
            .map_err(|_| bad())?;
        (1..=10_000)
            .contains(&milli)
            .then_some(Self(milli))
            .ok_or_else(bad)
    }
}

impl std::fmt::Display for DemandRatio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (units, places) = (self.0, 3);
        Decimal { units, places }.fmt(f)
    }
}

impl DemandRatio {
    /// Thousandths of a GPU that are asked for, of a cluster with so many.
    pub fn of(self, capacity_milli: u64) -> u64 {
        capacity_milli * self.0 / 1000
    }
}

/// Pods as they arrive, drawn with this seed until they ask for `target` thousandths of a GPU.
pub(super) fn draw(
    path: &Path,
    pods: &Pods,
    target: u64,
    seed: u64,
) -> Result<Vec<usize>, TraceError> {
    let mut rng = Rng::new(seed);
    let mut order: Vec<usize> = (0..pods.pods.len()).collect();
    rng.shuffle(&mut order);
    let mut total = total(pods, &order);
    while total > target {
        let dropped = order.swap_remove(rng.below(order.len()));
        total -= pods.demand(dropped).total_milli();
    }
    let failed = |fix: &str| TraceError::Draw {
        path: path.to_owned(),
        fix: fix.to_owned(),
    };
    if pods.classes.iter().all(|demand| demand.gpus == 0) {
        return Err(failed("no pod asks for a GPU, so no demand can be met"));
    }
    loop {
        let pod = rng.below(pods.pods.len());
        let demand = pods.demand(pod);
        // Per GPU, as published: a pod with several GPUs may exceed the target.
        if total + u64::from(demand.gpu_milli) > target {
            return Ok(order);
        }
        if order.len() == ARRIVALS_MAX {
            let fix =
                format!("more than {ARRIVALS_MAX} pods would arrive: give a lower `--demand`");
            return Err(failed(&fix));
        }
        total += demand.total_milli();
        order.push(pod);
    }
}

/// A published order must be one for the wanted demand.
pub(super) fn check(
    path: &Path,
    pods: &Pods,
    order: &[usize],
    target: u64,
) -> Result<(), TraceError> {
    let asked = total(pods, order);
    if asked.abs_diff(target) <= POD_MAX_MILLI {
        return Ok(());
    }
    Err(TraceError::Draw {
        path: path.to_owned(),
        fix: format!(
            "the order asks for {} GPUs and `--demand` for {}: give the demand it was made for, or \
             no order",
            asked / 1000,
            target / 1000
        ),
    })
}

fn total(pods: &Pods, order: &[usize]) -> u64 {
    order
        .iter()
        .map(|pod| pods.demand(*pod).total_milli())
        .sum()
}
