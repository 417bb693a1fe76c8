//! The scheduler's and the clients' side of the world.

use super::{Checked, Happening, MS, SECOND, World};
use crate::{oracle, scheduler::Step};
use dovetail_core::{
    effect::{Answer, Effect, Refusal},
    event::Event,
    input::{Input, ReplyId},
    outcome::SolveFailure,
    problem::Problem,
};
use dovetail_solver::{Session, Stop};

impl World {
    pub(super) fn scheduler_starts(&mut self) -> Checked {
        // It may have crashed twice before it came back.
        if self.scheduler.engine.is_some() {
            return Ok(());
        }
        let step = self.scheduler.start(self.time());
        oracle::nothing_acknowledged_is_lost(&self.scheduler.durable, &self.clients)?;
        self.step(step)
    }

    pub(super) fn scheduler_crashes(&mut self) -> Checked {
        self.totals.scheduler_crashes += 1;
        self.scheduler.crash();
        self.tick_at = None;
        for node in 0..self.nodes.len() {
            self.breaks(node)?;
        }
        let pause = self.rng.between(10, 3000) * MS;
        self.at(pause, Happening::SchedulerStarts);
        Ok(())
    }

    pub(super) fn input(&mut self, input: Input) -> Checked {
        let step = self.scheduler.handle(input, self.time());
        self.step(step)
    }

    pub(super) fn step(&mut self, step: Step) -> Checked {
        if step.write_began {
            let life = self.scheduler.life;
            let disk = self.rng.between(1, 10) * MS;
            self.at(disk, Happening::Written { life });
        }
        for effect in step.effects {
            self.carry_out(effect)?;
        }
        if let Some(engine) = &self.scheduler.engine {
            oracle::book_is_not_oversubscribed(engine.state())?;
            let due = engine.next_deadline();
            self.schedule_tick(due);
        }
        Ok(())
    }

    pub(super) fn schedule_tick(&mut self, due: Option<u64>) {
        let Some(due) = due.map(|due| due.max(self.now + MS)) else {
            return;
        };
        if self.tick_at.is_none_or(|at| due < at) {
            self.tick_at = Some(due);
            let life = self.scheduler.life;
            self.at(due - self.now, Happening::SchedulerTick { life });
        }
    }

    pub(super) fn written(&mut self) -> Checked {
        let (step, events) = self.scheduler.written();
        for event in &events {
            oracle::freed_only_when_gone(event, &self.nodes, &self.scheduler.durable)?;
            self.totals.ended += u64::from(matches!(event, Event::SliceEnded { .. }));
            let gang = matches!(event, Event::Placed { placements, .. } if placements.len() > 1);
            self.totals.gangs_started += u64::from(gang);
        }
        oracle::one_workload_a_request(&self.scheduler.durable)?;
        self.step(step)
    }

    pub(super) fn carry_out(&mut self, effect: Effect) -> Checked {
        match effect {
            Effect::Journal(_) => unreachable!("the batch keeps events"),
            Effect::Alert(text) => {
                if text.contains("was refused") {
                    return Err(format!("the check refused a plan: {text}"));
                }
                Ok(())
            }
            Effect::Solve(problem) => {
                self.totals.solves += 1;
                let (life, time) = (self.scheduler.life, self.rng.between(5, 900) * MS);
                self.at(time, Happening::Solved { life, problem });
                Ok(())
            }
            Effect::Send {
                node,
                session,
                grants,
            } => {
                let index = self
                    .nodes
                    .iter()
                    .position(|n| n.name == node)
                    .expect("a known node");
                let copies = if self.in_trouble() && self.rng.chance(20) {
                    2
                } else {
                    1
                };
                for _ in 0..copies {
                    let latency = self.latency();
                    let grants = grants.clone();
                    self.at(
                        latency,
                        Happening::ToAgent {
                            session,
                            node: index,
                            grants,
                        },
                    );
                }
                Ok(())
            }
            Effect::Close { session, .. } => {
                let node = self.nodes.iter().position(|n| n.session == Some(session));
                node.map_or(Ok(()), |node| self.breaks(node))
            }
            Effect::Reply { reply, answer } => self.replied(reply, &answer),
        }
    }

    pub(super) fn solved(&mut self, problem: &Problem) -> Checked {
        let outcome = if self.rng.chance(300) {
            Err(SolveFailure::Killed)
        } else {
            Ok(Session::default().solve_until(problem, Stop::Nodes(1000)))
        };
        self.input(Input::Solved {
            problem: problem.id,
            outcome,
        })
    }

    pub(super) fn client_thinks(&mut self) {
        if !self.in_trouble() {
            return;
        }
        let number = self.clients.think(&mut self.rng);
        self.at(0, Happening::Asks { number });
        let pause = self.rng.between(50, 1500) * MS;
        self.at(pause, Happening::ClientThinks);
    }

    /// Sends a request, and again as long as there is no answer.
    pub(super) fn asks(&mut self, number: u64) -> Checked {
        let Some(asked) = self.clients.open.get(&number).cloned() else {
            return Ok(());
        };
        self.at(2 * SECOND, Happening::Asks { number });
        let (caller, request) = (asked.caller, asked.request);
        self.input(Input::Request {
            reply: ReplyId(number),
            caller,
            request,
        })
    }

    pub(super) fn replied(&mut self, reply: ReplyId, answer: &Result<Answer, Refusal>) -> Checked {
        // Some answers are lost on the way, and the client asks again.
        if self.in_trouble() && self.rng.chance(50) {
            return Ok(());
        }
        self.totals.acknowledged += u64::from(self.clients.answered(reply.0, answer)?);
        Ok(())
    }
}
