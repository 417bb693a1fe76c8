//! Everything that comes into the engine.

use crate::{
    outcome::{Outcome, SolveFailure},
    state::WorkloadState,
};
use dovetail_model::{
    id::{BootId, Name, NodeName, Revision, Tenant, WorkloadId},
    node::{Inventory, Sample},
    report::{SliceReport, SliceUsage},
    workload::{Owner, WorkloadSpec},
};

/// Names a request, so that its reply finds the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// Names a session of an agent: a newer one fences the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// One thing that happened outside.
#[derive(Debug, Clone)]
pub enum Input {
    /// Somebody asks.
    Request {
        /// Where the reply goes.
        reply: ReplyId,
        /// Who asks.
        caller: Caller,
        /// What.
        request: Request,
    },
    /// An agent opened a session.
    AgentConnected {
        /// Its node.
        node: NodeName,
        /// The kernel's boot id.
        boot_id: BootId,
        /// Its session.
        session: SessionId,
    },
    /// An agent's session ended.
    AgentDisconnected {
        /// Its node.
        node: NodeName,
        /// The session that ended.
        session: SessionId,
    },
    /// An agent reports.
    Report {
        /// Its node.
        node: NodeName,
        /// Its session.
        session: SessionId,
        /// What it says.
        report: Report,
    },
    /// The solver answered, or will not.
    Solved {
        /// The problem's id.
        problem: u64,
        /// Its outcome.
        outcome: Result<Outcome, SolveFailure>,
    },
    /// Time passed.
    Tick,
}

/// What an agent says.
#[derive(Debug, Clone)]
pub enum Report {
    /// What the node has.
    Inventory(Box<Inventory>),
    /// What it measured.
    Sample(Sample),
    /// What its slices used.
    Usage(Vec<SliceUsage>),
    /// What exists on it.
    Slices(SliceReport),
}

/// Who asks, from the socket's peer credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose workloads are theirs.
    pub tenant: Tenant,
    /// Whom their work runs as, if they name nobody.
    pub owner: Owner,
    /// May do everything.
    pub operator: bool,
}

/// What the mutating requests have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// Chosen by the caller.
    pub request_id: String,
    /// Digest of the body without the request id.
    pub digest: String,
    /// Only check.
    pub validate_only: bool,
    /// The revision the caller decided on, if it wants to be sure of it.
    pub expected_revision: Option<Revision>,
}

/// A workload as callers name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkloadRef {
    /// By id.
    Id(WorkloadId),
    /// By name: a live one, else the newest that has ended.
    Name(Name),
}

/// What somebody asks.
#[derive(Debug, Clone)]
pub enum Request {
    /// Accept a workload.
    Submit {
        /// Idempotency.
        mutation: Mutation,
        /// What to run.
        spec: Box<WorkloadSpec>,
        /// Whom it runs as: the spec's user, looked up; the caller if it names none.
        owner: Owner,
    },
    /// End a workload.
    Cancel {
        /// Idempotency.
        mutation: Mutation,
        /// Which.
        workload: WorkloadRef,
    },
    /// Show a workload.
    Get {
        /// Which.
        workload: WorkloadRef,
    },
    /// Show workloads, newest first.
    List {
        /// Which.
        filter: Filter,
    },
    /// Say why.
    Explain {
        /// Which.
        workload: WorkloadRef,
    },
    /// Say what if.
    Plan {
        /// What to try.
        spec: Box<WorkloadSpec>,
    },
    /// Show nodes.
    Nodes {
        /// Only these; empty: every node.
        names: Vec<NodeName>,
        /// Fail if one of them is unknown.
        strict: bool,
    },
    /// Keep new work off a node, or let it in again.
    Cordon {
        /// Idempotency.
        mutation: Mutation,
        /// Which node.
        node: NodeName,
        /// Why; absent: uncordon.
        why: Option<String>,
    },
    /// Give up a node.
    Forget {
        /// Idempotency.
        mutation: Mutation,
        /// Which node.
        node: NodeName,
    },
    /// Make a node known.
    Enroll {
        /// What it has.
        inventory: Box<Inventory>,
    },
    /// Show the engine's counters and the state's hash.
    Status,
}

/// Which workloads to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this queue.
    pub queue: Option<Name>,
    /// Only these states; empty: every state.
    pub states: Vec<WorkloadState>,
    /// Also workloads that have ended.
    pub include_ended: bool,
    /// Only workloads with smaller ids: where the page before ended.
    pub before: Option<WorkloadId>,
    /// At most this many.
    pub limit: usize,
}
