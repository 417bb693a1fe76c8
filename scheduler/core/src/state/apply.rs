//! The one mutation of the durable state.

use super::{Member, Node, Phase, State, Workload};
use crate::event::{End, Event, RequestKey};
use dovetail_model::{
    grant::Placement,
    id::{Epoch, NodeName, SliceId, WorkloadId},
    report::ExitRecord,
    resources::Level,
    time::WallNs,
};
use thiserror::Error;

/// An event that does not follow from the state: the journal is not this state's, or a defect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// It names a workload that is not there.
    #[error("event names the unknown workload {0}")]
    UnknownWorkload(WorkloadId),
    /// It names a slice that is not there.
    #[error("event names the unknown slice {0}")]
    UnknownSlice(SliceId),
    /// It names a node that is not there.
    #[error("event names the unknown node {0}")]
    UnknownNode(NodeName),
}

impl State {
    /// Applies one event and counts it.
    pub fn apply(&mut self, event: &Event) -> Result<(), ApplyError> {
        self.revision.0 += 1;
        match event {
            Event::ClusterMade { cluster } => self.cluster = cluster.clone(),
            Event::TermStarted { term } => self.term = *term,
            Event::NodeReported { inventory } => self.node_reported(inventory.clone()),
            Event::NodeCordoned { node, why, request } => {
                self.node_mut(node)?.cordoned = Some(why.clone());
                self.remember(request, None);
            }
            Event::NodeUncordoned { node, request } => {
                self.node_mut(node)?.cordoned = None;
                self.remember(request, None);
            }
            Event::NodeForgotten { node, request } => {
                self.nodes
                    .remove(node)
                    .ok_or_else(|| ApplyError::UnknownNode(node.clone()))?;
                self.owners.retain(|_, owner| owner != node);
                self.remember(request, None);
            }
            Event::Submitted { .. } => self.submitted(event),
            Event::Placed {
                workload,
                placements,
                at,
            } => {
                self.placed(*workload, placements, *at)?;
            }
            Event::SliceStarted { slice, level } => self.slice_started(*slice, *level)?,
            Event::Released { slices } => self.released(slices)?,
            Event::SliceEnded { slice, exit } => self.slice_ended(*slice, exit)?,
            Event::CancelAsked { workload, request } => self.cancel_asked(*workload, request)?,
            Event::Requeued {
                workload,
                not_before,
            } => self.requeued(*workload, *not_before)?,
            Event::Ended { workload, end, at } => self.ended(*workload, end, *at)?,
            Event::Pruned {
                workloads,
                requests_before,
            } => self.pruned(workloads, *requests_before),
        }
        Ok(())
    }

    fn node_reported(&mut self, inventory: dovetail_model::node::Inventory) {
        let before = self.nodes.get(&inventory.node);
        let cordoned = before.and_then(|node| node.cordoned.clone());
        for gpu in before.into_iter().flat_map(|node| &node.inventory.gpus) {
            self.owners.remove(&gpu.uuid);
        }
        let name = &inventory.node;
        let gpus = inventory.gpus.iter();
        self.owners
            .extend(gpus.map(|gpu| (gpu.uuid.clone(), name.clone())));
        self.nodes.insert(
            name.clone(),
            Node {
                inventory,
                cordoned,
            },
        );
    }

    fn node_mut(&mut self, node: &NodeName) -> Result<&mut Node, ApplyError> {
        self.nodes
            .get_mut(node)
            .ok_or_else(|| ApplyError::UnknownNode(node.clone()))
    }

    fn submitted(&mut self, event: &Event) {
        let Event::Submitted {
            tenant,
            owner,
            spec,
            request,
        } = event
        else {
            return;
        };
        let id = WorkloadId(self.revision.0);
        let workload = Workload {
            id,
            tenant: tenant.clone(),
            owner: owner.clone(),
            spec: spec.clone(),
            submitted_at: request.at,
            attempt: 0,
            members: Vec::new(),
            placed_at: WallNs(0),
            cancelled: false,
            not_before: WallNs(0),
            end: None,
            changed: self.revision,
        };
        let names = self.live.entry(tenant.clone()).or_default();
        names.insert(workload.spec.name.clone(), id);
        self.workloads.insert(id, workload);
        self.remember(request, Some(id));
    }

    fn placed(
        &mut self,
        id: WorkloadId,
        placements: &[Placement],
        at: WallNs,
    ) -> Result<(), ApplyError> {
        let workload = self.workload_mut(id)?;
        workload.attempt += 1;
        workload.placed_at = at;
        workload.members = placements.iter().cloned().map(Member::reserved).collect();
        for placement in placements {
            self.held
                .entry(placement.node.clone())
                .or_default()
                .insert(placement.slice);
        }
        Ok(())
    }

    fn slice_started(&mut self, slice: SliceId, level: Level) -> Result<(), ApplyError> {
        let member = self.member_mut(slice)?;
        member.phase = Phase::Running;
        member.level = Some(level);
        Ok(())
    }

    fn released(&mut self, slices: &[SliceId]) -> Result<(), ApplyError> {
        let epoch = Epoch {
            term: self.term,
            revision: self.revision,
        };
        for slice in slices {
            self.member_mut(*slice)?.released = Some(epoch);
        }
        Ok(())
    }

    fn slice_ended(&mut self, slice: SliceId, exit: &ExitRecord) -> Result<(), ApplyError> {
        let member = self.member_mut(slice)?;
        member.phase = Phase::Gone;
        member.exit = Some(exit.clone());
        let node = member.placement.node.clone();
        if let Some(slices) = self.held.get_mut(&node) {
            slices.remove(&slice);
            if slices.is_empty() {
                self.held.remove(&node);
            }
        }
        Ok(())
    }

    fn cancel_asked(&mut self, id: WorkloadId, request: &RequestKey) -> Result<(), ApplyError> {
        self.workload_mut(id)?.cancelled = true;
        self.remember(request, Some(id));
        Ok(())
    }

    fn requeued(&mut self, id: WorkloadId, not_before: WallNs) -> Result<(), ApplyError> {
        let workload = self.workload_mut(id)?;
        workload.members.clear();
        workload.not_before = not_before;
        Ok(())
    }

    fn ended(&mut self, id: WorkloadId, end: &End, at: WallNs) -> Result<(), ApplyError> {
        let workload = self.workload_mut(id)?;
        workload.end = Some((end.clone(), at));
        let (tenant, name) = (workload.tenant.clone(), workload.spec.name.clone());
        if let Some(names) = self.live.get_mut(&tenant) {
            names.remove(&name);
            if names.is_empty() {
                self.live.remove(&tenant);
            }
        }
        Ok(())
    }

    fn pruned(&mut self, workloads: &[WorkloadId], requests_before: WallNs) {
        for id in workloads {
            self.workloads.remove(id);
        }
        for requests in self.requests.values_mut() {
            requests.retain(|_, request| request.at >= requests_before);
        }
        self.requests.retain(|_, requests| !requests.is_empty());
    }

    fn workload_mut(&mut self, id: WorkloadId) -> Result<&mut Workload, ApplyError> {
        let workload = self
            .workloads
            .get_mut(&id)
            .ok_or(ApplyError::UnknownWorkload(id))?;
        workload.changed = self.revision;
        Ok(workload)
    }

    fn member_mut(&mut self, slice: SliceId) -> Result<&mut Member, ApplyError> {
        let workload = self.workload_mut(slice.workload)?;
        let member = workload.members.get_mut(slice.member as usize);
        member
            .filter(|m| m.placement.slice == slice)
            .ok_or(ApplyError::UnknownSlice(slice))
    }
}

impl Member {
    fn reserved(placement: Placement) -> Self {
        Self {
            placement,
            phase: Phase::Reserved,
            released: None,
            level: None,
            exit: None,
        }
    }
}
