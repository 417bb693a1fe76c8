//! People: they submit, cancel, repeat what was not answered, and remember what was promised.

use crate::rng::Rng;
use dovetail_core::{
    effect::{Answer, Refusal},
    input::{Caller, Mutation, Request, WorkloadRef},
};
use dovetail_model::{
    id::{Tenant, WorkloadId},
    resources::{GpuAmount, GpuRequest, GpuShare},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, Restart, RestartPolicy, WorkloadKind, WorkloadSpec},
};
use std::collections::BTreeMap;

/// A request that was sent and not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) request: Request,
    pub(crate) caller: Caller,
}

#[derive(Debug, Default)]
pub(crate) struct Clients {
    sent: u64,
    pub(crate) open: BTreeMap<u64, Asked>,
    /// Promised: request id to workload.
    pub(crate) acknowledged: BTreeMap<String, WorkloadId>,
    pub(crate) cancelled: Vec<WorkloadId>,
}

impl Clients {
    /// A new request.
    pub(crate) fn think(&mut self, rng: &mut Rng) -> u64 {
        self.sent += 1;
        let known: Vec<WorkloadId> = self.acknowledged.values().copied().collect();
        let cancel = rng.chance(250).then(|| rng.pick(&known).copied()).flatten();
        let id = format!("r{}", self.sent);
        let mutation = Mutation {
            request_id: id.clone(),
            digest: id.clone(),
            validate_only: false,
            expected_revision: None,
        };
        let uid = 1000 + u32::from(rng.chance(300));
        let owner = Owner {
            uid,
            gid: uid,
            groups: vec![],
        };
        let operator = cancel.is_some();
        let caller = Caller {
            tenant: Tenant(format!("uid:{uid}").into()),
            owner: owner.clone(),
            operator,
        };
        let request = match cancel {
            Some(workload) => Request::Cancel {
                mutation,
                workload: WorkloadRef::Id(workload),
            },
            None => Request::Submit {
                mutation,
                spec: Box::new(spec(self.sent, rng)),
                owner,
            },
        };
        self.open.insert(
            self.sent,
            Asked {
                id,
                request,
                caller,
            },
        );
        self.sent
    }

    /// An answer came. What it promises is remembered for ever.
    pub(crate) fn answered(
        &mut self,
        number: u64,
        answer: &Result<Answer, Refusal>,
    ) -> Result<bool, String> {
        let Some(asked) = self.open.remove(&number) else {
            return Ok(false);
        };
        let Ok(Answer::Workload {
            workload: Some(view),
            ..
        }) = answer
        else {
            return Ok(false);
        };
        let id = view.workload.id;
        if matches!(asked.request, Request::Cancel { .. }) {
            self.cancelled.push(id);
            return Ok(false);
        }
        match self.acknowledged.insert(asked.id.clone(), id) {
            Some(before) if before != id => Err(format!(
                "I12: request {} was answered with {before} and {id}",
                asked.id
            )),
            _ => Ok(true),
        }
    }
}

fn spec(number: u64, rng: &mut Rng) -> WorkloadSpec {
    let mut spec = WorkloadSpec::example(&format!("job-{number}"));
    spec.kind = if rng.chance(300) {
        WorkloadKind::Service
    } else {
        WorkloadKind::Batch
    };
    spec.priority = i32::try_from(rng.below(3)).unwrap_or(0);
    spec.resources.cpu = CpuMilli(rng.between(1, 8) * 500);
    spec.resources.cpu_limit = spec.resources.cpu;
    spec.resources.memory = Bytes(rng.between(1, 16) << 30);
    spec.gang_size = if rng.chance(200) { 2 } else { 1 };
    let amount = match rng.below(4) {
        0 => None,
        1 => Some(GpuAmount::Whole {
            count: u32::try_from(rng.between(1, 4)).unwrap_or(1),
        }),
        _ => Some(GpuAmount::Share(GpuShare::Compute(GpuMilli(
            rng.between(1, 9) * 100,
        )))),
    };
    spec.resources.gpu = amount.map(|amount| GpuRequest {
        amount,
        models: vec![],
    });
    if rng.chance(300) {
        let policy = RestartPolicy::OnFailure;
        spec.restart = Restart {
            policy,
            limit: 2,
            backoff_ns: 1_000_000_000,
        };
    }
    spec
}
