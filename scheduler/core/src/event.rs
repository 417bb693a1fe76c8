//! Everything durable that can happen. The journal holds these, never inputs.

use dovetail_model::{
    grant::Placement,
    id::{ClusterId, NodeName, SliceId, Tenant, Term, WorkloadId},
    node::Inventory,
    report::{ExitCause, ExitRecord},
    resources::Level,
    time::WallNs,
    workload::{Owner, WorkloadSpec},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One durable fact. Applying the same events in the same order gives the same state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The cluster began. The first event of every journal.
    ClusterMade {
        /// Its identity.
        cluster: ClusterId,
    },
    /// A scheduler took over.
    TermStarted {
        /// Its term.
        term: Term,
    },
    /// A node told everything it has, for the first time or because something changed.
    NodeReported {
        /// What it has.
        inventory: Inventory,
    },
    /// Nothing new goes to the node.
    NodeCordoned {
        /// The node.
        node: NodeName,
        /// Why, for people.
        why: String,
        /// The request that asked for it.
        request: RequestKey,
    },
    /// The node takes new work again.
    NodeUncordoned {
        /// The node.
        node: NodeName,
        /// The request that asked for it.
        request: RequestKey,
    },
    /// The node will not come back.
    NodeForgotten {
        /// The node.
        node: NodeName,
        /// The request that asked for it.
        request: RequestKey,
    },
    /// A workload was accepted. Its id is this event's revision.
    Submitted {
        /// Whose it is.
        tenant: Tenant,
        /// Whom it runs as.
        owner: Owner,
        /// What it is.
        spec: Arc<WorkloadSpec>,
        /// The request that brought it.
        request: RequestKey,
    },
    /// A workload was given its places, all of them.
    Placed {
        /// The workload.
        workload: WorkloadId,
        /// By rank; the attempt is in the slice ids.
        placements: Vec<Placement>,
        /// When.
        at: WallNs,
    },
    /// A slice's process runs.
    SliceStarted {
        /// The slice.
        slice: SliceId,
        /// The enforcement it has.
        level: Level,
    },
    /// Slices shall be stopped. They hold their places until they are gone.
    Released {
        /// The slices, all of one workload.
        slices: Vec<SliceId>,
    },
    /// Nothing of a slice is left on its node: its place is free.
    SliceEnded {
        /// The slice.
        slice: SliceId,
        /// How it ended.
        exit: ExitRecord,
    },
    /// Somebody asked for the workload's end.
    CancelAsked {
        /// The workload.
        workload: WorkloadId,
        /// The request that asked.
        request: RequestKey,
    },
    /// The attempt is over and there will be another.
    Requeued {
        /// The workload.
        workload: WorkloadId,
        /// Not before this moment.
        not_before: WallNs,
    },
    /// The workload is over.
    Ended {
        /// The workload.
        workload: WorkloadId,
        /// How.
        end: End,
        /// When.
        at: WallNs,
    },
    /// Workloads that ended long ago, and requests older than the window, were dropped.
    Pruned {
        /// Workloads dropped.
        workloads: Vec<WorkloadId>,
        /// Requests older than this were dropped.
        requests_before: WallNs,
    },
}

/// Identity of a mutating request: repeating it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// Whose id it is.
    pub tenant: Tenant,
    /// Chosen by the caller.
    pub id: String,
    /// Digest of the body, so that the same id with another body is noticed.
    pub digest: String,
    /// When it was accepted.
    pub at: WallNs,
}

/// How a workload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Every member did what it was asked to.
    Succeeded,
    /// Some member did not, for this reason.
    Failed(ExitCause),
    /// Somebody asked for it.
    Cancelled,
    /// Its node was lost.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As journals hold them from before there were labels, taints and movable work.
    const OLD_REPORT: &str = r#"{"NodeReported":{"inventory":{"node":"n1","boot_id":"b","agent_version":"0.1.0","cpu":8000,"memory":1073741824,"gpus":[],"level":"Shared","enforces":[],"not_enforced":[]}}}"#;
    const OLD_SUBMISSION: &str = r#"{"Submitted":{"tenant":"uid:1","owner":{"uid":1,"gid":1,"groups":[]},"spec":{"name":"a","kind":"Batch","argv":["/bin/true"],"env":{},"workdir":"/","user":"","gang_size":1,"priority":0,"queue":"default","labels":{},"resources":{"cpu":1000,"cpu_limit":1000,"memory":1073741824,"gpu":null,"minimum_level":"Shared"},"max_runtime_ns":null,"stop_signal":15,"stop_grace_ns":10000000000,"restart":{"policy":"Never","limit":3,"backoff_ns":1000000000}},"request":{"tenant":"uid:1","id":"r","digest":"d","at":1}}}"#;

    #[test]
    fn old_records_read_as_they_were_meant_and_are_written_as_they_were() {
        for old in [OLD_REPORT, OLD_SUBMISSION] {
            let event: Event = serde_json::from_str(old).unwrap();
            if let Event::NodeReported { inventory } = &event {
                assert!(inventory.labels.is_empty() && inventory.taints.is_empty());
            }
            if let Event::Submitted { spec, .. } = &event {
                assert_eq!(**spec, WorkloadSpec::example("a"));
            }
            assert_eq!(serde_json::to_string(&event).unwrap(), old);
        }
    }
}
