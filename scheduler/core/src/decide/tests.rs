//! What the tests of deciding share, and the tests of whole queues.

pub(crate) mod clusters;
mod holding;
mod packing;
mod rounds;

use super::Ask;
use dovetail_model::{
    id::{SliceId, Tenant, WorkloadId},
    label::{LabelKey, LabelValue, Taint, TaintEffect},
    resources::{GpuAmount, GpuRequest, GpuShare},
    units::GpuMilli,
    workload::WorkloadSpec,
};

pub(crate) use super::instances::node;

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant(name.to_owned())
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
