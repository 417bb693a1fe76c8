//! The agents' side of the world: sessions, kernels and crashes.

use super::{Checked, Happening, MS, SECOND, World};
use crate::{kernel::KernelSlice, oracle};
use dovetail_agent::agent::{self, Report as AgentReport};
use dovetail_core::input::{Caller, Input, ReplyId, Report, Request, SessionId};
use dovetail_model::{
    grant::{Grant, GrantSet},
    id::{ClusterId, Epoch, SliceId, Tenant},
    report::ExitCause,
    resources::Level,
    workload::{Owner, WorkloadKind},
};

impl World {
    pub(super) fn agent_starts(&mut self, node: usize) -> Checked {
        let now = self.time();
        if self.nodes[node].agent.is_some() {
            return Ok(());
        }
        let effects = self.nodes[node].start(now);
        self.obey(node, effects)?;
        self.connect_soon(node);
        Ok(())
    }

    pub(super) fn connect_soon(&mut self, node: usize) {
        let (life, pause) = (self.nodes[node].life, self.rng.between(5, 1500) * MS);
        self.at(pause, Happening::Connects { node, life });
    }

    pub(super) fn connects(&mut self, node: usize) -> Checked {
        if self.nodes[node].session.is_some() || self.nodes[node].agent.is_none() {
            return Ok(());
        }
        if self.scheduler.engine.is_none() {
            self.connect_soon(node);
            return Ok(());
        }
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let inventory = self.nodes[node].inventory();
        let (name, boot_id) = (inventory.node.clone(), inventory.boot_id.clone());
        let owner = Owner {
            uid: 0,
            gid: 0,
            groups: vec![],
        };
        let caller = Caller {
            tenant: Tenant("uid:0".into()),
            owner,
            operator: true,
        };
        let request = Request::Enroll {
            inventory: Box::new(inventory),
        };
        // Numbers of clients' requests never come this far.
        let reply = ReplyId(u64::MAX - self.sessions);
        self.input(Input::Request {
            reply,
            caller,
            request,
        })?;
        self.nodes[node].session = Some(session);
        self.input(Input::AgentConnected {
            node: name,
            boot_id,
            session,
        })?;
        self.tell(node, agent::Input::LinkUp(ClusterId("sim".into())))
    }

    pub(super) fn breaks(&mut self, node: usize) -> Checked {
        let Some(session) = self.nodes[node].session.take() else {
            return Ok(());
        };
        let name = self.nodes[node].name.clone();
        self.input(Input::AgentDisconnected {
            node: name,
            session,
        })?;
        if self.nodes[node].agent.is_some() {
            self.tell(node, agent::Input::LinkDown)?;
            self.connect_soon(node);
        }
        Ok(())
    }

    pub(super) fn granted(&mut self, session: SessionId, node: usize, grants: GrantSet) -> Checked {
        if self.nodes[node].session != Some(session) {
            return Ok(());
        }
        self.tell(node, agent::Input::Grants(grants))
    }

    pub(super) fn reported(
        &mut self,
        session: SessionId,
        node: usize,
        report: AgentReport,
    ) -> Checked {
        if self.nodes[node].session != Some(session) {
            return Ok(());
        }
        let report = match report {
            AgentReport::Inventory(inventory) => Report::Inventory(Box::new(inventory)),
            AgentReport::Sample(sample) => Report::Sample(sample),
            AgentReport::Usage(usage) => Report::Usage(usage),
            AgentReport::Slices(slices) => Report::Slices(slices),
        };
        let name = self.nodes[node].name.clone();
        self.input(Input::Report {
            node: name,
            session,
            report,
        })
    }

    pub(super) fn tell(&mut self, node: usize, input: agent::Input) -> Checked {
        let now = self.time();
        let Some(agent) = &mut self.nodes[node].agent else {
            return Ok(());
        };
        let effects = agent.handle(input, now);
        let due = agent.next_deadline();
        self.obey(node, effects)?;
        if let Some(due) = due {
            let (life, delay) = (self.nodes[node].life, due.saturating_sub(self.now).max(MS));
            self.at(delay, Happening::AgentTick { node, life });
        }
        Ok(())
    }

    /// Carries out an agent's effects in order; it may die between any two of them.
    pub(super) fn obey(&mut self, node: usize, effects: Vec<agent::Effect>) -> Checked {
        for effect in effects {
            if self.in_trouble() && self.rng.chance(1) {
                self.crash_agent(node);
                return Ok(());
            }
            self.obey_one(node, effect)?;
        }
        Ok(())
    }

    pub(super) fn obey_one(&mut self, node: usize, effect: agent::Effect) -> Checked {
        match effect {
            agent::Effect::Spool(write) => self.nodes[node].kernel.spool(write),
            agent::Effect::Start(grant, epoch) => self.start(node, *grant, epoch)?,
            agent::Effect::Stop {
                slice,
                kill_after_ns,
                ..
            } => {
                let delay = self.rng.below(kill_after_ns.min(3 * SECOND));
                self.end_later(node, slice, ExitCause::Signal(15), delay);
            }
            agent::Effect::Kill(slice) => self.end_later(node, slice, ExitCause::Signal(9), 0),
            agent::Effect::Remove(slice) => {
                self.nodes[node].kernel.slices.remove(&slice);
                self.hears(node, 2 * MS, agent::Input::Removed(slice));
            }
            agent::Effect::Send(report) => {
                if let Some(session) = self.nodes[node].session {
                    let latency = self.latency();
                    self.at(
                        latency,
                        Happening::ToScheduler {
                            session,
                            node,
                            report,
                        },
                    );
                }
            }
            agent::Effect::Alert(_) => {}
        }
        Ok(())
    }

    pub(super) fn start(&mut self, node: usize, grant: Grant, epoch: Epoch) -> Checked {
        let slice = grant.placement.slice;
        oracle::starts_nothing_that_is_over(slice, &self.scheduler.durable)?;
        let kernel = &mut self.nodes[node].kernel;
        let cluster = ClusterId("sim".into());
        let service = grant.spec.kind == WorkloadKind::Service;
        let made = KernelSlice {
            grant,
            cluster,
            epoch,
            exit: None,
        };
        kernel.slices.insert(slice, made);
        oracle::kernel_is_not_oversubscribed(&self.nodes[node])?;
        let delay = self.rng.between(1, 50) * MS;
        self.hears(node, delay, agent::Input::Started(slice, Level::Shared));
        if !service {
            let cause = ExitCause::Exit(i32::from(self.rng.chance(200)));
            let delay = self.rng.between(100, 20_000) * MS;
            self.end_later(node, slice, cause, delay);
        }
        Ok(())
    }

    pub(super) fn hears(&mut self, node: usize, delay: u64, input: agent::Input) {
        let life = self.nodes[node].life;
        self.at(
            delay,
            Happening::AgentHears {
                node,
                life,
                input: Box::new(input),
            },
        );
    }

    pub(super) fn end_later(&mut self, node: usize, slice: SliceId, cause: ExitCause, delay: u64) {
        let boot = self.nodes[node].kernel.boot;
        self.at(
            delay,
            Happening::ProcessEnds {
                node,
                boot,
                slice,
                cause,
            },
        );
    }

    pub(super) fn process_ends(
        &mut self,
        node: usize,
        boot: u64,
        slice: SliceId,
        cause: ExitCause,
    ) -> Checked {
        let now = self.time();
        let kernel = &mut self.nodes[node].kernel;
        if kernel.boot != boot {
            return Ok(());
        }
        match kernel.end(slice, cause, now) {
            Some(record) => self.tell(node, agent::Input::Ended(slice, record)),
            None => Ok(()),
        }
    }

    pub(super) fn some_node(&mut self) -> usize {
        let count = self.nodes.len() as u64;
        usize::try_from(self.rng.below(count)).expect("small")
    }

    pub(super) fn agent_crashes(&mut self) {
        let node = self.some_node();
        if self.nodes[node].agent.is_some() {
            self.crash_agent(node);
        }
    }

    pub(super) fn crash_agent(&mut self, node: usize) {
        self.totals.agent_crashes += 1;
        self.forget_session(node);
        self.nodes[node].crash_agent();
        let pause = self.rng.between(10, 4000) * MS;
        self.at(pause, Happening::AgentStarts { node });
    }

    pub(super) fn host_crashes(&mut self) {
        self.totals.host_crashes += 1;
        let node = self.some_node();
        self.forget_session(node);
        self.nodes[node].crash_host();
        let pause = self.rng.between(500, 20_000) * MS;
        self.at(pause, Happening::AgentStarts { node });
    }

    /// Nobody tells the scheduler: it finds out by the silence, or by the next session.
    pub(super) fn forget_session(&mut self, node: usize) {
        self.nodes[node].session = None;
    }
}
