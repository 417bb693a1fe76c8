//! The durable state: what the journal says, and nothing else. `apply` is its only mutation.

mod apply;
mod workload;

use crate::event::RequestKey;
use dovetail_model::{
    id::{ClusterId, GpuUuid, Name, NodeName, Revision, SliceId, Tenant, Term, WorkloadId},
    node::Inventory,
    time::WallNs,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

pub use apply::ApplyError;
pub use workload::{Member, Phase, Workload, WorkloadState};

/// Everything durable. Two equal states have equal hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    cluster: ClusterId,
    term: Term,
    revision: Revision,
    nodes: BTreeMap<NodeName, Node>,
    workloads: BTreeMap<WorkloadId, Workload>,
    requests: BTreeMap<Tenant, BTreeMap<String, RequestRecord>>,
    /// Derived from `workloads`: slices that hold a place on a node.
    #[serde(skip)]
    held: BTreeMap<NodeName, BTreeSet<SliceId>>,
    /// Derived from `nodes`: whose each GPU is.
    #[serde(skip)]
    owners: BTreeMap<GpuUuid, NodeName>,
    /// Derived from `workloads`: live workloads by name.
    #[serde(skip)]
    live: BTreeMap<Tenant, BTreeMap<Name, WorkloadId>>,
}

/// A node as it declared itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it has.
    pub inventory: Inventory,
    /// Why nothing new goes there, if so.
    pub cordoned: Option<String>,
}

/// What became of a mutating request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Digest of its body.
    pub digest: String,
    /// When it was accepted.
    pub at: WallNs,
    /// The workload it made or touched, if it was about one.
    pub workload: Option<WorkloadId>,
}

impl State {
    /// The cluster's identity.
    pub fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    /// The newest scheduler's term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Number of events applied.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Every node by name.
    pub fn nodes(&self) -> &BTreeMap<NodeName, Node> {
        &self.nodes
    }

    /// The node that declared this GPU.
    pub fn owner(&self, gpu: &GpuUuid) -> Option<&NodeName> {
        self.owners.get(gpu)
    }

    /// Every workload by id.
    pub fn workloads(&self) -> &BTreeMap<WorkloadId, Workload> {
        &self.workloads
    }

    /// One workload.
    pub fn workload(&self, id: WorkloadId) -> Option<&Workload> {
        self.workloads.get(&id)
    }

    /// A tenant's live workload of this name.
    pub fn live_by_name(&self, tenant: &Tenant, name: &Name) -> Option<WorkloadId> {
        self.live.get(tenant)?.get(name).copied()
    }

    /// Live workloads of this name, of every tenant.
    pub fn live_everywhere<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = WorkloadId> + 'a {
        self.live
            .values()
            .filter_map(move |names| names.get(name).copied())
    }

    /// Whether a request older than this is remembered.
    pub fn has_request_before(&self, moment: WallNs) -> bool {
        self.requests
            .values()
            .flat_map(BTreeMap::values)
            .any(|request| request.at < moment)
    }

    /// What became of a request.
    pub fn request(&self, tenant: &Tenant, id: &str) -> Option<&RequestRecord> {
        self.requests.get(tenant)?.get(id)
    }

    /// How many requests are remembered.
    pub fn request_count(&self) -> usize {
        self.requests.values().map(BTreeMap::len).sum()
    }

    /// Members that hold a place on the node, with the workloads they are of.
    pub fn held_on<'a>(
        &'a self,
        node: &NodeName,
    ) -> impl Iterator<Item = (&'a Workload, &'a Member)> {
        let slices = self.held.get(node).into_iter().flatten();
        slices.filter_map(|slice| self.held(*slice))
    }

    /// The member that is this slice, of the newest attempt.
    pub fn member(&self, slice: SliceId) -> Option<&Member> {
        self.held(slice).map(|(_, member)| member)
    }

    fn held(&self, slice: SliceId) -> Option<(&Workload, &Member)> {
        let workload = self.workloads.get(&slice.workload)?;
        let member = workload.members.get(slice.member as usize)?;
        (member.placement.slice == slice).then_some((workload, member))
    }

    /// The state as bytes: a snapshot, and what the hash is computed over.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("the state has only string keys and serialisable values")
    }

    /// The state a snapshot holds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut state: Self = serde_json::from_slice(bytes)?;
        state.derive();
        Ok(state)
    }

    /// SHA-256 of the durable state, in hex.
    pub fn hash(&self) -> String {
        Sha256::digest(self.to_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn remember(&mut self, key: &RequestKey, workload: Option<WorkloadId>) {
        let record = RequestRecord {
            digest: key.digest.clone(),
            at: key.at,
            workload,
        };
        self.requests
            .entry(key.tenant.clone())
            .or_default()
            .insert(key.id.clone(), record);
    }

    /// Rebuilds what is derived.
    fn derive(&mut self) {
        self.held.clear();
        self.live.clear();
        self.owners.clear();
        for (name, node) in &self.nodes {
            let gpus = node.inventory.gpus.iter();
            self.owners
                .extend(gpus.map(|gpu| (gpu.uuid.clone(), name.clone())));
        }
        for workload in self.workloads.values() {
            if workload.is_live() {
                let names = self.live.entry(workload.tenant.clone()).or_default();
                names.insert(workload.spec.name.clone(), workload.id);
            }
            for member in workload.members.iter().filter(|m| m.holds_place()) {
                let slices = self.held.entry(member.placement.node.clone()).or_default();
                slices.insert(member.placement.slice);
            }
        }
    }
}
