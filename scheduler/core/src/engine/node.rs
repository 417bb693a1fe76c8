//! Nodes coming, changing, being kept out of service and being given up.

use super::{
    Done, Engine, Later, Round,
    resolve::{Asked, operators_only},
    session::ended_by,
};
use crate::{
    effect::{Answer, Refusal},
    event::Event,
    input::Caller,
};
use dovetail_model::{
    id::{NodeName, SliceId},
    node::Inventory,
    report::ExitCause,
    time::Now,
};

impl Engine {
    pub(super) fn enroll(
        &mut self,
        caller: &Caller,
        inventory: Inventory,
        now: Now,
    ) -> Result<Answer, Refusal> {
        operators_only(caller, "enrol a node")?;
        self.own_devices(&inventory)?;
        self.inventory(inventory, now);
        Ok(Answer::Enrolled {
            cluster: self.state.cluster().clone(),
            term: self.state.term(),
        })
    }

    /// A GPU belongs to one node: a second claim is a cloned or forged one.
    fn own_devices(&self, inventory: &Inventory) -> Result<(), Refusal> {
        for gpu in &inventory.gpus {
            let owner = self.state.owner(&gpu.uuid);
            if let Some(name) = owner.filter(|name| **name != inventory.node) {
                return Err(Refusal::Precondition {
                    kind: "DUPLICATE_DEVICE",
                    subject: gpu.uuid.to_string(),
                    why: format!("the GPU belongs to node {name}; if that node is gone, forget it"),
                });
            }
        }
        Ok(())
    }

    /// What a node has, if that is news. A new boot id means that no slice survived.
    pub(super) fn inventory(&mut self, inventory: Inventory, now: Now) {
        let name = inventory.node.clone();
        let known = self.state.nodes().get(&name).map(|node| &node.inventory);
        if known == Some(&inventory) {
            return;
        }
        if known.is_some_and(|known| known.boot_id != inventory.boot_id) {
            self.lose_slices(&name, now);
        }
        self.record(Event::NodeReported { inventory });
        self.refresh(&name);
        self.dirty.insert(name);
        self.round = Round::Full;
    }

    pub(super) fn cordon(
        &mut self,
        asked: Asked<'_>,
        node: NodeName,
        why: Option<String>,
    ) -> Result<Done, Refusal> {
        operators_only(asked.caller, "cordon or uncordon a node")?;
        if let Some(done) = self.seen(&asked, Some(&node))? {
            return Ok(done);
        }
        self.expect_revision(asked.mutation.expected_revision)?;
        self.known_node(&node)?;
        if !asked.mutation.validate_only {
            let request = asked.into_key();
            self.record(match why {
                Some(why) => Event::NodeCordoned {
                    node: node.clone(),
                    why,
                    request,
                },
                None => Event::NodeUncordoned {
                    node: node.clone(),
                    request,
                },
            });
            self.refresh(&node);
            self.round = Round::Full;
        }
        Ok(Done::Later(Later::Node(node)))
    }

    pub(super) fn forget(&mut self, asked: Asked<'_>, node: &NodeName) -> Result<Answer, Refusal> {
        operators_only(asked.caller, "forget a node")?;
        if self.seen(&asked, None)?.is_some() {
            return Ok(Answer::Forgotten { lost: Vec::new() });
        }
        self.expect_revision(asked.mutation.expected_revision)?;
        self.known_node(node)?;
        if self.sessions.get(node).is_some_and(|s| s.reachable) {
            return Err(Refusal::Precondition {
                kind: "NODE_STATE",
                subject: node.to_string(),
                why: "the node reports; stop its agent and wait until it is UNREACHABLE, or \
                      cordon it instead"
                    .to_owned(),
            });
        }
        if asked.mutation.validate_only {
            return Ok(Answer::Forgotten { lost: Vec::new() });
        }
        let lost = self.lose_slices(node, asked.now);
        self.record(Event::NodeForgotten {
            node: node.clone(),
            request: asked.into_key(),
        });
        self.sessions.remove(node);
        self.live.remove(node);
        self.refresh(node);
        Ok(Answer::Forgotten { lost })
    }

    fn lose_slices(&mut self, node: &NodeName, now: Now) -> Vec<SliceId> {
        let lost: Vec<SliceId> = self
            .state
            .held_on(node)
            .map(|(_, member)| member.placement.slice)
            .collect();
        for slice in &lost {
            self.slice_ended(*slice, node, ended_by(ExitCause::NodeLost, now));
        }
        lost
    }
}
