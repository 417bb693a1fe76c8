//! Everything that goes out of the engine.

use crate::{
    event::Event,
    explain::Explanation,
    input::{ReplyId, SessionId},
    problem::Problem,
    state::{Node, Workload, WorkloadState},
    view::NodeView,
};
use dovetail_model::{
    grant::{GrantSet, Placement},
    id::{ClusterId, Name, NodeName, Revision, SliceId, Term, WorkloadId},
    node::Sample,
    reason::Reason,
    units::GpuMilli,
};
use std::collections::BTreeMap;

/// One thing to carry out. Everything after a `Journal` waits until it is durable.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Make an event durable.
    Journal(Event),
    /// Hand a problem to the solver.
    Solve(Box<Problem>),
    /// Tell an agent what shall be on its node.
    Send {
        /// The node.
        node: NodeName,
        /// The session to send it on; if it has ended, nothing is lost.
        session: SessionId,
        /// What shall be.
        grants: Box<GrantSet>,
    },
    /// Answer a request.
    Reply {
        /// Which.
        reply: ReplyId,
        /// With what.
        answer: Result<Answer, Refusal>,
    },
    /// End an agent's session: it is not, or no longer, the node's.
    Close {
        /// The session.
        session: SessionId,
        /// Why, for its log.
        why: String,
    },
    /// A person should know.
    Alert(String),
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Answer {
    /// One workload; absent with `validate_only`.
    Workload {
        /// The workload.
        workload: Option<Box<WorkloadView>>,
        /// The revision after the change.
        revision: Revision,
    },
    /// Workloads, and where the next page begins.
    Workloads {
        /// Newest first.
        workloads: Vec<WorkloadView>,
        /// Where the next page begins, if there is one.
        next: Option<WorkloadId>,
        /// The revision they were read at.
        revision: Revision,
    },
    /// Why a workload waits or runs where it runs.
    Explanation {
        /// The workload.
        workload: Box<WorkloadView>,
        /// Why.
        explanation: Box<Explanation>,
    },
    /// What would happen.
    Plan {
        /// Where each member would go now; absent: it would wait.
        placements: Option<Vec<Placement>>,
        /// Why it would wait.
        explanation: Option<Box<Explanation>>,
        /// The revision it was computed at.
        revision: Revision,
    },
    /// Nodes by name.
    Nodes {
        /// The nodes.
        nodes: Vec<NodeReply>,
        /// The revision they were read at.
        revision: Revision,
    },
    /// Slices lost with a forgotten node.
    Forgotten {
        /// The slices.
        lost: Vec<SliceId>,
    },
    /// The cluster an agent enrolled in.
    Enrolled {
        /// Its identity.
        cluster: ClusterId,
        /// The scheduler's term.
        term: Term,
    },
    /// Counters.
    Status(Box<Status>),
}

/// Why a request is not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Fields are wrong: all of them, with paths as in the schema.
    Invalid(Vec<(String, String)>),
    /// There is no such thing.
    NotFound {
        /// `workload` or `node`.
        what: &'static str,
        /// As the caller named it.
        name: String,
    },
    /// A live workload of the tenant has this name.
    NameTaken {
        /// The name.
        name: Name,
        /// Whose it is.
        by: WorkloadId,
    },
    /// The request id was used with another body.
    RequestIdReused {
        /// The id.
        request_id: String,
    },
    /// No node could ever hold it, even empty.
    NeverFits(Box<Explanation>),
    /// The state does not allow it.
    Precondition {
        /// Stable token of what is wrong, for example `NODE_STATE`.
        kind: &'static str,
        /// What it is about.
        subject: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The revision is another than the caller expected.
    RevisionMoved {
        /// Expected.
        expected: Revision,
        /// Actual.
        actual: Revision,
    },
    /// Too much waits already.
    QueueFull {
        /// The most that may wait.
        limit: usize,
    },
    /// The caller may not do this.
    Denied {
        /// What they may not do.
        verb: &'static str,
        /// Why, and who may.
        why: String,
    },
}

/// A workload as callers see it.
#[derive(Debug, Clone)]
pub struct WorkloadView {
    /// What is durable.
    pub workload: Workload,
    /// Its state in one word.
    pub state: WorkloadState,
    /// Each member's state in one word, by rank.
    pub member_states: Vec<WorkloadState>,
    /// Why it waits.
    pub reason: Option<Reason>,
    /// CPU time by rank, as last reported.
    pub cpu_used_ns: Vec<u64>,
    /// The caller may see the values of env.
    pub show_env: bool,
}

/// A node as callers see it.
#[derive(Debug, Clone)]
pub struct NodeReply {
    /// Its name.
    pub name: NodeName,
    /// What is durable.
    pub node: Node,
    /// Its free room.
    pub view: NodeView,
    /// Its agent reports.
    pub reachable: bool,
    /// Wall time of the last report.
    pub last_report: Option<u64>,
    /// What it measured last.
    pub sample: Option<Sample>,
    /// Slices there that nobody here knows.
    pub orphaned: Vec<String>,
    /// The workload names of the slices on it.
    pub slice_names: BTreeMap<SliceId, (Name, Placement)>,
}

/// Counters of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The cluster.
    pub cluster: ClusterId,
    /// The term.
    pub term: Term,
    /// The revision.
    pub revision: Revision,
    /// Hash of the durable state.
    pub hash: String,
    /// Workloads waiting.
    pub pending: usize,
    /// Workloads placed.
    pub placed: usize,
    /// Nodes that report.
    pub ready: usize,
    /// Nodes that do not.
    pub unreachable: usize,
    /// What the solver did.
    pub solver: SolverCounters,
    /// Plans and steps the check refused.
    pub plans_rejected: u64,
    /// GPU compute given to slices.
    pub gpu_used: GpuMilli,
    /// GPU compute of every usable GPU.
    pub gpu: GpuMilli,
}

/// What the solver did since this engine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SolverCounters {
    /// Problems handed over.
    pub runs: u64,
    /// Outcomes better than the greedy plan.
    pub improved: u64,
    /// Times the greedy plan was used instead of an outcome.
    pub fallbacks: u64,
    /// Processes killed for overrunning their limit.
    pub kills: u64,
    /// How far the newest window stayed below the ceiling of what any packing is worth, in
    /// thousandths of the ceiling.
    pub gap_permille: Option<u64>,
    /// GPU compute of the expected mix that would fit into the empty cluster.
    pub mix_fits: Option<GpuMilli>,
}
