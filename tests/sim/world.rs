//! Time, the network, the disk and the faults: a queue of what happens next.

#[path = "agents.rs"]
mod agents;
#[path = "requests.rs"]
mod requests;

use crate::{client::Clients, node::Node, oracle, rng::Rng, scheduler::Scheduler};
use dovetail_agent::agent::{self, Report as AgentReport};
use dovetail_core::{
    input::{Input, SessionId},
    problem::Problem,
};
use dovetail_model::{grant::GrantSet, id::SliceId, report::ExitCause, time::Now};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt,
    hash::{Hash as _, Hasher as _},
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// How long faults and requests go on, and how long everything may take to settle after them.
const TROUBLE: u64 = 60 * SECOND;
const CALM: u64 = 90 * SECOND;
const WALL: u64 = 1_700_000_000 * SECOND;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    SchedulerStarts,
    Written {
        life: u64,
    },
    SchedulerTick {
        life: u64,
    },
    ToScheduler {
        session: SessionId,
        node: usize,
        report: AgentReport,
    },
    ToAgent {
        session: SessionId,
        node: usize,
        grants: Box<GrantSet>,
    },
    AgentStarts {
        node: usize,
    },
    Connects {
        node: usize,
        life: u64,
    },
    AgentTick {
        node: usize,
        life: u64,
    },
    AgentHears {
        node: usize,
        life: u64,
        input: Box<agent::Input>,
    },
    ProcessEnds {
        node: usize,
        boot: u64,
        slice: SliceId,
        cause: ExitCause,
    },
    ClientThinks,
    Asks {
        number: u64,
    },
    Solved {
        life: u64,
        problem: Box<Problem>,
    },
    SchedulerCrashes,
    AgentCrashes,
    HostCrashes,
    SessionBreaks,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<String>,
    pub(crate) trace: u64,
    pub(crate) totals: Totals,
}

/// What happened, so that a run that tested nothing is noticed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) acknowledged: u64,
    pub(crate) ended: u64,
    pub(crate) gangs_started: u64,
    pub(crate) scheduler_crashes: u64,
    pub(crate) agent_crashes: u64,
    pub(crate) host_crashes: u64,
    pub(crate) solves: u64,
    pub(crate) simulated_seconds: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.acknowledged += other.acknowledged;
        self.ended += other.ended;
        self.gangs_started += other.gangs_started;
        self.scheduler_crashes += other.scheduler_crashes;
        self.agent_crashes += other.agent_crashes;
        self.host_crashes += other.host_crashes;
        self.solves += other.solves;
        self.simulated_seconds += other.simulated_seconds;
    }
}

impl Totals {
    pub(crate) fn assert_everything_happened(&self) {
        assert!(self.acknowledged > 0, "nothing was acknowledged");
        assert!(self.ended > 0 && self.gangs_started > 0, "nothing ran");
        assert!(self.solves > 0, "the solver was never asked");
        assert!(
            self.scheduler_crashes > 0 && self.agent_crashes > 0,
            "no process crashed"
        );
        assert!(self.host_crashes > 0, "no host crashed");
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} simulated hours, {} happenings, {} acknowledged, {} slices ended, {} gangs, \
             {} solves; crashes: {} scheduler, {} agent, {} host",
            self.simulated_seconds / 3600,
            self.events,
            self.acknowledged,
            self.ended,
            self.gangs_started,
            self.solves,
            self.scheduler_crashes,
            self.agent_crashes,
            self.host_crashes
        )
    }
}

pub(crate) struct World {
    rng: Rng,
    now: u64,
    order: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    scheduler: Scheduler,
    nodes: Vec<Node>,
    clients: Clients,
    sessions: u64,
    trace: std::hash::DefaultHasher,
    totals: Totals,
    tick_at: Option<u64>,
}

type Checked = Result<(), String>;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = u32::try_from(rng.between(2, 6)).expect("small");
        let nodes = (0..count)
            .map(|i| Node::new(i, if rng.chance(700) { 4 } else { 2 }))
            .collect();
        Self {
            rng,
            now: SECOND,
            order: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            scheduler: Scheduler::new(),
            nodes,
            clients: Clients::default(),
            sessions: 0,
            trace: std::hash::DefaultHasher::new(),
            totals: Totals::default(),
            tick_at: None,
        }
    }

    pub(crate) fn run(mut self) -> Outcome {
        let violation = self.go().err();
        self.totals.simulated_seconds = self.now / SECOND;
        Outcome {
            violation,
            trace: self.trace.finish(),
            totals: self.totals,
        }
    }

    fn go(&mut self) -> Checked {
        self.at(0, Happening::SchedulerStarts);
        for node in 0..self.nodes.len() {
            let delay = self.rng.between(0, 500) * MS;
            self.at(delay, Happening::AgentStarts { node });
        }
        self.at(100 * MS, Happening::ClientThinks);
        self.plan_faults();
        while let Some(Reverse((time, order))) = self.queue.pop() {
            if time > TROUBLE + CALM {
                break;
            }
            self.now = self.now.max(time);
            let happening = self
                .happenings
                .remove(&order)
                .expect("what is queued is kept");
            self.totals.events += 1;
            (time, format!("{happening:?}")).hash(&mut self.trace);
            self.happen(happening)?;
        }
        self.judge_the_end()
    }

    fn plan_faults(&mut self) {
        for _ in 0..self.rng.below(5) {
            let time = self.rng.below(TROUBLE);
            self.at(time, Happening::SchedulerCrashes);
        }
        for _ in 0..self.rng.below(8) {
            let time = self.rng.below(TROUBLE);
            self.at(time, Happening::AgentCrashes);
        }
        for _ in 0..self.rng.below(3) {
            let time = self.rng.below(TROUBLE);
            self.at(time, Happening::HostCrashes);
        }
        for _ in 0..self.rng.below(10) {
            let time = self.rng.below(TROUBLE);
            self.at(time, Happening::SessionBreaks);
        }
    }

    fn at(&mut self, delay: u64, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse((self.now + delay, self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn time(&self) -> Now {
        Now {
            boot_ns: self.now,
            wall_ns: WALL + self.now,
        }
    }

    fn in_trouble(&self) -> bool {
        self.now < TROUBLE
    }

    /// Mostly quick, sometimes slow enough to arrive after what was sent later.
    fn latency(&mut self) -> u64 {
        if self.in_trouble() && self.rng.chance(30) {
            self.rng.between(1, 8) * SECOND
        } else {
            self.rng.between(1, 20) * MS
        }
    }

    fn happen(&mut self, happening: Happening) -> Checked {
        match happening {
            Happening::SchedulerStarts => self.scheduler_starts(),
            Happening::Written { life } if life == self.scheduler.life => self.written(),
            Happening::SchedulerTick { life } if life == self.scheduler.life => {
                self.tick_at = None;
                self.input(Input::Tick)
            }
            Happening::ToScheduler {
                session,
                node,
                report,
            } => self.reported(session, node, report),
            Happening::ToAgent {
                session,
                node,
                grants,
            } => self.granted(session, node, *grants),
            Happening::AgentStarts { node } => self.agent_starts(node),
            Happening::Connects { node, life } if life == self.nodes[node].life => {
                self.connects(node)
            }
            Happening::AgentTick { node, life } if life == self.nodes[node].life => {
                self.tell(node, agent::Input::Tick)
            }
            Happening::AgentHears { node, life, input } if life == self.nodes[node].life => {
                self.tell(node, *input)
            }
            Happening::ProcessEnds {
                node,
                boot,
                slice,
                cause,
            } => self.process_ends(node, boot, slice, cause),
            Happening::ClientThinks => {
                self.client_thinks();
                Ok(())
            }
            Happening::Asks { number } => self.asks(number),
            Happening::Solved { life, problem } if life == self.scheduler.life => {
                self.solved(&problem)
            }
            Happening::SchedulerCrashes => self.scheduler_crashes(),
            Happening::AgentCrashes => {
                self.agent_crashes();
                Ok(())
            }
            Happening::HostCrashes => {
                self.host_crashes();
                Ok(())
            }
            Happening::SessionBreaks => {
                let node = self.some_node();
                self.breaks(node)
            }
            // Meant for a life that is over.
            Happening::Written { .. }
            | Happening::SchedulerTick { .. }
            | Happening::Connects { .. }
            | Happening::AgentTick { .. }
            | Happening::AgentHears { .. }
            | Happening::Solved { .. } => Ok(()),
        }
    }

    fn judge_the_end(&mut self) -> Checked {
        let state = &self.scheduler.durable;
        oracle::nothing_acknowledged_is_lost(state, &self.clients)?;
        for id in &self.clients.cancelled {
            if state.workload(*id).is_some_and(|w| w.is_live()) {
                return Err(format!("{id} was cancelled and still lives"));
            }
        }
        if let Some((_, asked)) = self.clients.open.first_key_value() {
            return Err(format!("request {} was never answered", asked.id));
        }
        oracle::agrees(state, &self.nodes)
    }
}
