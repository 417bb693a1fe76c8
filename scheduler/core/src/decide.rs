//! Deciding: which workload goes where, on a view of the cluster, changing nothing durable.
//!
//! `rule` says what fits and why not, `score` which fit is best, `board` keeps the scores, `pack`
//! places one workload, `round` a whole queue, `hold` and `window` what the solver should look at again,
//! and `repair` what little work has to move so that something large fits.

mod answer;
pub mod board;
mod hold;
pub mod instances;
mod pack;
pub mod repair;
mod round;
pub(crate) mod rule;
pub mod score;
#[cfg(test)]
pub(crate) mod tests;
mod window;

use dovetail_model::{
    id::{Tenant, WorkloadId},
    resources::Resources,
    workload::WorkloadSpec,
};

pub use answer::plan_of;
pub use board::Board;
pub use hold::Held;
pub use pack::{find, fits, fits_empty, place};
pub(crate) use pack::{members, members_in};
pub(crate) use round::{Class, class};
pub use round::{Round, round};

/// A workload that wants a place.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Its id.
    pub workload: WorkloadId,
    /// The attempt to place, from 1.
    pub attempt: u32,
    /// Whose it is.
    pub tenant: &'a Tenant,
    /// What it is.
    pub spec: &'a WorkloadSpec,
}

impl<'a> Ask<'a> {
    /// What each member asks for.
    pub fn resources(&self) -> &'a Resources {
        &self.spec.resources
    }
}
