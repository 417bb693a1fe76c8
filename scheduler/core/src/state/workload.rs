//! A workload's life as the journal knows it.

use crate::event::End;
use dovetail_model::{
    grant::Placement,
    id::{Epoch, Revision, Tenant, WorkloadId},
    report::ExitRecord,
    resources::Level,
    time::WallNs,
    workload::{Owner, WorkloadSpec},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A workload, alive or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Its id.
    pub id: WorkloadId,
    /// Whose it is.
    pub tenant: Tenant,
    /// Whom it runs as.
    pub owner: Owner,
    /// What was submitted.
    pub spec: Arc<WorkloadSpec>,
    /// When it was accepted.
    pub submitted_at: WallNs,
    /// Newest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Members of the newest attempt, by rank; empty while it waits.
    pub members: Vec<Member>,
    /// When the newest attempt was placed.
    pub placed_at: WallNs,
    /// Somebody asked for its end.
    pub cancelled: bool,
    /// The next attempt is not before this moment.
    pub not_before: WallNs,
    /// How and when it ended.
    pub end: Option<(End, WallNs)>,
    /// Revision of its last change.
    pub changed: Revision,
}

/// One member of the newest attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where it is and what it holds.
    pub placement: Placement,
    /// What is known of it.
    pub phase: Phase,
    /// It shall stop: the agent must have obeyed at least this before its absence counts.
    pub released: Option<Epoch>,
    /// The enforcement it has.
    pub level: Option<Level>,
    /// How it ended.
    pub exit: Option<ExitRecord>,
}

/// What is known of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It has a place.
    Reserved,
    /// Its process runs.
    Running,
    /// Nothing of it is left on the node.
    Gone,
}

/// Where a workload is in its life, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadState {
    /// Waits for a place.
    Pending,
    /// Has a place.
    Reserved,
    /// Being started.
    Starting,
    /// Runs.
    Running,
    /// Being stopped.
    Stopping,
    /// Every member ended well.
    Succeeded,
    /// Some member did not.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Its node was lost.
    Lost,
}

impl Member {
    /// Whether it still takes room on its node.
    pub fn holds_place(&self) -> bool {
        self.phase != Phase::Gone
    }
}

impl Workload {
    /// Not ended.
    pub fn is_live(&self) -> bool {
        self.end.is_none()
    }

    /// Waits for a place.
    pub fn is_pending(&self) -> bool {
        self.is_live() && self.members.is_empty()
    }

    /// Has places and has not ended.
    pub fn is_placed(&self) -> bool {
        self.is_live() && !self.members.is_empty()
    }

    /// Some member was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.is_placed() && (self.cancelled || self.members.iter().any(|m| m.released.is_some()))
    }

    /// Every member runs.
    pub fn is_running(&self) -> bool {
        self.is_placed() && self.members.iter().all(|m| m.phase == Phase::Running)
    }

    /// No member holds a place any more.
    pub fn is_drained(&self) -> bool {
        self.is_placed() && self.members.iter().all(|m| !m.holds_place())
    }
}
