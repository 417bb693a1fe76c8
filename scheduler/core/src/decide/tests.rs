//! What the tests of deciding share, and the tests of whole queues.

pub(crate) mod clusters;
mod holding;
mod packing;
mod rounds;

use super::{Ask, Board, Round};
use crate::{policy::Policy, view::ClusterView};
use dovetail_model::{
    id::{Revision, SliceId, Tenant, WorkloadId},
    label::{LabelKey, LabelValue, Taint, TaintEffect},
    resources::{GpuAmount, GpuRequest, GpuShare},
    units::GpuMilli,
    workload::WorkloadSpec,
};

pub(crate) use super::instances::node;

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant(name.into())
}

pub(crate) fn spec(name: &str) -> WorkloadSpec {
    WorkloadSpec::example(name)
}

pub(crate) fn ask<'a>(id: u64, tenant: &'a Tenant, spec: &'a WorkloadSpec) -> Ask<'a> {
    Ask {
        workload: WorkloadId(id),
        attempt: 1,
        tenant,
        spec,
    }
}

pub(crate) fn label(key: &str, value: &str) -> (LabelKey, LabelValue) {
    (LabelKey::new(key).unwrap(), LabelValue::new(value).unwrap())
}

pub(crate) fn taint(key: &str, value: &str) -> Taint {
    let (key, value) = label(key, value);
    Taint {
        key,
        value,
        effect: TaintEffect::NoSchedule,
    }
}

pub(crate) fn whole(count: u32) -> GpuRequest {
    GpuRequest {
        amount: GpuAmount::Whole { count },
        models: Vec::new(),
    }
}

pub(crate) fn share(milli: u64) -> GpuRequest {
    GpuRequest {
        amount: GpuAmount::Share(GpuShare::Compute(GpuMilli(milli))),
        models: Vec::new(),
    }
}

pub(crate) fn slice(workload: u64) -> SliceId {
    SliceId {
        workload: WorkloadId(workload),
        attempt: 1,
        member: 0,
    }
}

/// A round on these nodes, which leaves them as they were.
pub(crate) fn round<'a>(
    view: &ClusterView,
    revision: Revision,
    queue: impl IntoIterator<Item = Ask<'a>>,
    policy: &Policy,
) -> Round {
    let mut board = Board::of(view.clone(), *policy);
    let round = super::round(&mut board, revision, queue, policy.solver.then_some(9));
    assert_eq!(board.view(), view);
    round
}
