//! Telling agents what shall be on their nodes.

use super::Engine;
use crate::effect::Effect;
use dovetail_model::{
    grant::{Grant, GrantSet},
    id::{Epoch, NodeName},
    time::Now,
};

impl Engine {
    /// Sends the whole desired state of every node something changed on.
    pub(super) fn send_grants(&mut self, now: Now) {
        for node in std::mem::take(&mut self.dirty) {
            let Some(session) = self.sessions.get(&node).filter(|s| s.connected) else {
                continue;
            };
            let (id, grants) = (session.id, self.desired(&node));
            let epoch = grants.epoch;
            if let Some(session) = self.sessions.get_mut(&node) {
                session.sent = Some((epoch, now.boot_ns));
            }
            let grants = Box::new(grants);
            self.effects.push(Effect::Send {
                node,
                session: id,
                grants,
            });
        }
    }

    /// Everything that shall be on a node, as of now.
    fn desired(&self, node: &NodeName) -> GrantSet {
        let mut set = GrantSet {
            cluster: self.state.cluster().clone(),
            epoch: Epoch {
                term: self.state.term(),
                revision: self.state.revision(),
            },
            grants: Vec::new(),
            releases: Vec::new(),
            acknowledged_exits: Vec::new(),
        };
        for (workload, member) in self.state.held_on(node) {
            if member.released.is_some() {
                set.releases.push(member.placement.slice);
                continue;
            }
            set.grants.push(Grant {
                placement: member.placement.clone(),
                spec: workload.spec.clone(),
                owner: workload.owner.clone(),
                gang_nodes: workload
                    .members
                    .iter()
                    .map(|m| m.placement.node.clone())
                    .collect(),
            });
        }
        if let Some(session) = self.sessions.get(node) {
            set.releases.extend(&session.strays);
            let held = |slice| self.state.member(slice).is_some_and(|m| m.holds_place());
            let durable = session.exited.iter().copied().filter(|slice| !held(*slice));
            set.acknowledged_exits.extend(durable);
        }
        set
    }
}
