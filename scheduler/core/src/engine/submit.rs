//! Accepting a workload: everything that can be wrong with it is said at once, and nothing that
//! is wrong is remembered.

use super::{Done, Engine, Later, Round, resolve::Asked};
use crate::{
    decide::{self, Ask},
    effect::Refusal,
    event::Event,
    explain,
    input::Caller,
    view::{ClusterView, Liveness, NodeView},
};
use dovetail_model::{
    gpu::ModelPattern,
    id::WorkloadId,
    workload::{Owner, WorkloadSpec},
};
use std::{cmp::Reverse, sync::Arc};

impl Engine {
    pub(super) fn submit(
        &mut self,
        asked: Asked<'_>,
        spec: WorkloadSpec,
        owner: Owner,
    ) -> Result<Done, Refusal> {
        if let Some(done) = self.seen(&asked, None)? {
            return Ok(done);
        }
        self.expect_revision(asked.mutation.expected_revision)?;
        self.acceptable(asked.caller, &spec, &owner)?;
        if asked.mutation.validate_only {
            return Ok(Done::Checked);
        }
        let id = WorkloadId(self.state.revision().0 + 1);
        let priority = spec.priority;
        self.record(Event::Submitted {
            tenant: asked.caller.tenant.clone(),
            owner,
            spec: Arc::new(spec),
            request: asked.into_key(),
        });
        self.pending.insert((Reverse(priority), id));
        self.remember_arrival(id);
        self.round = std::mem::take(&mut self.round).newcomer(id);
        Ok(Done::Later(Later::Workload(id)))
    }

    fn acceptable(
        &mut self,
        caller: &Caller,
        spec: &WorkloadSpec,
        owner: &Owner,
    ) -> Result<(), Refusal> {
        if owner.uid != caller.owner.uid && !caller.operator {
            let why = format!(
                "only an operator may run work as another user than uid {}",
                caller.owner.uid
            );
            return Err(Refusal::Denied {
                verb: "run as another user",
                why,
            });
        }
        let mut invalid = self.unknown_models(spec);
        if owner.uid == 0 && !self.policy.root_workloads {
            let why = "work does not run as uid 0; name another user, or set \
                       `security.allow_root_workloads` in the scheduler's configuration";
            invalid.push(("workload.user".to_owned(), why.to_owned()));
        }
        if !invalid.is_empty() {
            return Err(Refusal::Invalid(invalid));
        }
        if let Some(by) = self.state.live_by_name(&caller.tenant, &spec.name) {
            return Err(Refusal::NameTaken {
                name: spec.name.clone(),
                by,
            });
        }
        if self.pending.len() >= self.policy.pending_max {
            return Err(Refusal::QueueFull {
                limit: self.policy.pending_max,
            });
        }
        self.could_ever_fit(caller, spec)
    }

    /// Models that no node has and nobody has ever heard of.
    fn unknown_models(&self, spec: &WorkloadSpec) -> Vec<(String, String)> {
        let Some(gpu) = &spec.resources.gpu else {
            return Vec::new();
        };
        let unknown = gpu
            .models
            .iter()
            .enumerate()
            .filter(|(_, model)| !self.knows(model));
        let field = |index| format!("workload.resources.gpu.models[{index}]");
        let why = |model| {
            format!(
                "nobody has ever heard of the model `{model}`; write for example H100, A100-40 or L4"
            )
        };
        unknown
            .map(|(index, model)| (field(index), why(model)))
            .collect()
    }

    fn knows(&self, model: &ModelPattern) -> bool {
        let mut gpus = self.board.view().nodes.iter().flat_map(|node| &node.gpus);
        model.is_known_family() || gpus.any(|gpu| model.matches(&gpu.model, &gpu.name))
    }

    /// At once, not after hours in the queue: no node could hold it even empty. Judged by what
    /// nodes declared, reachable or not. With no nodes yet, it waits.
    fn could_ever_fit(&mut self, caller: &Caller, spec: &WorkloadSpec) -> Result<(), Refusal> {
        if self.state.nodes().is_empty() {
            return Ok(());
        }
        let ask = Ask {
            workload: WorkloadId(0),
            attempt: 1,
            tenant: &caller.tenant,
            spec,
        };
        if decide::fits_empty(&mut self.board, &ask) {
            return Ok(());
        }
        let empty = self.empty_view();
        if decide::fits(&empty, &ask, &self.policy) {
            return Ok(());
        }
        let revision = self.state.revision();
        let explanation = explain::explain(&empty, &ask, &self.policy, revision, 0, 0);
        Err(Refusal::NeverFits(Box::new(explanation)))
    }

    /// Every declared node as if it were empty, healthy and in service.
    fn empty_view(&self) -> ClusterView {
        let nodes = self.state.nodes().iter().map(|(name, node)| {
            let mut view = NodeView::empty(name, node, &Liveness::default());
            view.closed = None;
            for gpu in &mut view.gpus {
                gpu.health = dovetail_model::gpu::GpuHealth::Ok;
            }
            view
        });
        ClusterView {
            nodes: nodes.collect(),
        }
    }
}

impl Round {
    /// A workload came: it alone has to be tried, for those that wait did not fit before.
    pub(super) fn newcomer(self, id: WorkloadId) -> Self {
        match self {
            Self::None => Self::Newcomers(vec![id]),
            Self::Newcomers(mut ids) => {
                ids.push(id);
                Self::Newcomers(ids)
            }
            Self::Full => Self::Full,
        }
    }
}
