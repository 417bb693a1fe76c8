//! Carrying out effects once their batch is durable. Nothing here waits for anybody.

use super::handle::Reply;
use crate::sessions::Sessions;
use dovetail_core::{input::SessionId, problem::Problem};
use dovetail_model::grant::GrantSet;
use std::sync::{Arc, mpsc::SyncSender};
use tokio::sync::oneshot;

/// An effect that leaves the process.
#[derive(Debug)]
pub(super) enum Outgoing {
    Reply(oneshot::Sender<Reply>, Box<Reply>),
    Send(SessionId, Box<GrantSet>),
    Close(SessionId, String),
    Solve(Box<Problem>),
    Alert(String),
}

/// Where effects go.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) sessions: Arc<Sessions>,
    /// Problems that somebody waits for.
    pub(super) problems: SyncSender<Box<Problem>>,
    /// Problems that nobody waits for.
    pub(super) background: SyncSender<Box<Problem>>,
}

impl Outlet {
    pub(super) fn carry_out(&self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Reply(reply, answer) => {
                // Who asked may have gone; the change stays and is found by its request id.
                reply.send(*answer).ok();
            }
            Outgoing::Send(session, grants) => self.sessions.send(session, grants),
            Outgoing::Close(session, why) => self.sessions.close(session, why),
            Outgoing::Solve(problem) => {
                let id = problem.id;
                let lane = if problem.task.is_background() {
                    &self.background
                } else {
                    &self.problems
                };
                if lane.try_send(problem).is_err() {
                    // The engine uses its own plan when the answer is overdue.
                    tracing::warn!(problem = id, "the solver is busy; the problem is dropped");
                }
            }
            Outgoing::Alert(text) => tracing::error!(alert = %text, "a person should know"),
        }
    }
}
