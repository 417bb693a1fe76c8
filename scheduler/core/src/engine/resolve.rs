//! Finding what a request names, and whether the caller may.

use super::{Done, Engine, Later};
use crate::{
    effect::Refusal,
    event::RequestKey,
    input::{Caller, Mutation, WorkloadRef},
    state::Workload,
};
use dovetail_model::{
    id::{Name, NodeName, Revision, WorkloadId},
    time::Now,
};

/// A mutating request: who asks, as which request, and when.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) caller: &'a Caller,
    pub(super) mutation: Mutation,
    pub(super) now: Now,
}

impl Asked<'_> {
    /// What is remembered of it.
    pub(super) fn into_key(self) -> RequestKey {
        RequestKey {
            tenant: self.caller.tenant.clone(),
            id: self.mutation.request_id,
            digest: self.mutation.digest,
            at: self.now.wall(),
        }
    }
}

impl Engine {
    /// The workload, if the caller may see it. What they may not see does not exist for them.
    pub(super) fn resolve(
        &self,
        caller: &Caller,
        reference: &WorkloadRef,
    ) -> Result<&Workload, Refusal> {
        let id = match reference {
            WorkloadRef::Id(id) => Some(*id),
            WorkloadRef::Name(name) => self.named(caller, name),
        };
        let workload = id.and_then(|id| self.state.workload(id));
        workload
            .filter(|w| may_see(caller, w))
            .ok_or_else(|| Refusal::NotFound {
                what: "workload",
                name: match reference {
                    WorkloadRef::Id(id) => id.to_string(),
                    WorkloadRef::Name(name) => name.to_string(),
                },
            })
    }

    /// The caller's live workload of this name; for operators, else the only live one there is;
    /// else the newest that has ended.
    fn named(&self, caller: &Caller, name: &Name) -> Option<WorkloadId> {
        let own = || self.state.live_by_name(&caller.tenant, name);
        let only = || {
            let mut all = self.state.live_everywhere(name);
            all.next()
                .filter(|_| caller.operator && all.next().is_none())
        };
        own()
            .or_else(only)
            .or_else(|| self.newest_ended(caller, name))
    }

    fn newest_ended(&self, caller: &Caller, name: &Name) -> Option<WorkloadId> {
        let ended = self
            .state
            .workloads()
            .values()
            .rev()
            .filter(|w| !w.is_live());
        let mut named = ended.filter(|w| w.spec.name == *name && may_see(caller, w));
        named.next().map(|w| w.id)
    }

    pub(super) fn known_node(&self, name: &NodeName) -> Result<(), Refusal> {
        if self.state.nodes().contains_key(name) {
            return Ok(());
        }
        Err(Refusal::NotFound {
            what: "node",
            name: name.to_string(),
        })
    }

    /// What the request came to before, if it was seen before.
    pub(super) fn seen(
        &self,
        asked: &Asked<'_>,
        node: Option<&NodeName>,
    ) -> Result<Option<Done>, Refusal> {
        let (caller, mutation) = (asked.caller, &asked.mutation);
        let Some(record) = self.state.request(&caller.tenant, &mutation.request_id) else {
            return Ok(None);
        };
        if record.digest != mutation.digest {
            return Err(Refusal::RequestIdReused {
                request_id: mutation.request_id.clone(),
            });
        }
        let later = match (record.workload, node) {
            (Some(id), _) => Later::Workload(id),
            (None, Some(node)) => Later::Node(node.clone()),
            // Equal digests come from equal requests, so this is one that names neither.
            (None, None) => return Ok(Some(Done::Checked)),
        };
        Ok(Some(Done::Later(later)))
    }

    pub(super) fn expect_revision(&self, expected: Option<Revision>) -> Result<(), Refusal> {
        let actual = self.state.revision();
        match expected {
            Some(expected) if expected != actual => {
                Err(Refusal::RevisionMoved { expected, actual })
            }
            _ => Ok(()),
        }
    }
}

/// Whether the workload exists for the caller.
pub(super) fn may_see(caller: &Caller, workload: &Workload) -> bool {
    caller.operator || workload.tenant == caller.tenant
}

pub(super) fn operators_only(caller: &Caller, verb: &'static str) -> Result<(), Refusal> {
    if caller.operator {
        return Ok(());
    }
    let why = "only an operator may; operators are named in `security.operators` of the \
               scheduler's configuration";
    Err(Refusal::Denied {
        verb,
        why: why.to_owned(),
    })
}
