//! The engine driven by hand: a small world of callers and agents that do as they are told.

mod attempts;
mod moving;
mod nodes;
mod requests;
mod scheduling;
mod solving;

use super::Engine;
use crate::{
    effect::{Answer, Effect, Refusal, WorkloadView},
    event::Event,
    input::{Caller, Input, Mutation, ReplyId, Report, Request, SessionId, WorkloadRef},
    policy::Policy,
    problem::Problem,
    state::{State, WorkloadState},
};
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    grant::GrantSet,
    id::{BootId, ClusterId, GpuUuid, Name, NodeName, SliceId, Tenant, WorkloadId},
    label::Labels,
    node::Inventory,
    report::{ExitCause, ExitRecord, SliceReport, SliceState, SliceStatus},
    resources::{GpuAmount, GpuRequest, GpuShare, Level},
    time::{Now, SECOND_NS, WallNs},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadSpec},
};
use std::collections::BTreeMap;

const GIB: u64 = 1 << 30;

/// An engine, its journal, and agents that obey at once unless told to be slow.
struct World {
    engine: Engine,
    now: Now,
    journal: Vec<Event>,
    agents: BTreeMap<NodeName, Agent>,
    answers: BTreeMap<ReplyId, Result<Answer, Refusal>>,
    solves: Vec<Problem>,
    fluids: Vec<Problem>,
    alerts: Vec<String>,
    replies: u64,
    slow: bool,
}

struct Agent {
    session: SessionId,
    grants: GrantSet,
    slices: BTreeMap<SliceId, SliceState>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn caller(uid: u32, operator: bool) -> Caller {
    Caller {
        tenant: Tenant(format!("uid:{uid}").into()),
        owner: owner(uid),
        operator,
    }
}

fn owner(uid: u32) -> Owner {
    Owner {
        uid,
        gid: uid,
        groups: vec![],
    }
}

fn inventory(node: &str, gpus: u32) -> Inventory {
    let gpu = |index| GpuInfo {
        uuid: GpuUuid(format!("GPU-{node}-{index}").into()),
        index,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        model: GpuModel::of("NVIDIA H100 80GB HBM3", Bytes(80 * GIB)),
        memory: Bytes(80 * GIB),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: format!("00000000:{index:02x}:00.0"),
    };
    Inventory {
        node: name(node),
        boot_id: BootId("boot-1".into()),
        agent_version: "test".to_owned(),
        cpu: CpuMilli(64_000),
        memory: Bytes(512 * GIB),
        gpus: (0..gpus).map(gpu).collect(),
        level: Level::Shared,
        enforces: vec![],
        not_enforced: vec![],
        labels: Labels::new(),
        taints: vec![],
    }
}

fn spec(text: &str) -> WorkloadSpec {
    WorkloadSpec::example(text)
}

fn whole(text: &str, count: u32, gang: u32) -> WorkloadSpec {
    let mut spec = spec(text);
    spec.gang_size = gang;
    let amount = GpuAmount::Whole { count };
    spec.resources.gpu = Some(GpuRequest {
        amount,
        models: vec![],
    });
    spec
}

fn share(text: &str, milli: u64) -> WorkloadSpec {
    let mut spec = spec(text);
    let amount = GpuAmount::Share(GpuShare::Compute(GpuMilli(milli)));
    spec.resources.gpu = Some(GpuRequest {
        amount,
        models: vec![],
    });
    spec
}

impl World {
    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn with(policy: Policy) -> Self {
        let mut world = Self {
            engine: Engine::new(State::default(), policy),
            now: Now {
                boot_ns: SECOND_NS,
                wall_ns: 1_700_000_000 * SECOND_NS,
            },
            journal: vec![],
            agents: BTreeMap::new(),
            answers: BTreeMap::new(),
            solves: vec![],
            fluids: vec![],
            alerts: vec![],
            replies: 0,
            slow: false,
        };
        let effects = world.engine.start(ClusterId("test".into()), world.now);
        world.carry_out(effects);
        world
    }

    fn input(&mut self, input: Input) {
        let effects = self.engine.handle(input, self.now);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Journal(event) => self.journal.push(event),
                Effect::Solve(problem) if problem.task.is_background() => {
                    self.fluids.push(*problem);
                }
                Effect::Solve(problem) => self.solves.push(*problem),
                Effect::Send { node, grants, .. } => {
                    self.agents.get_mut(&node).unwrap().grants = *grants;
                }
                Effect::Reply { reply, answer } => {
                    assert!(
                        self.answers.insert(reply, answer).is_none(),
                        "one reply a request"
                    );
                }
                Effect::Alert(text) => self.alerts.push(text),
                Effect::Close { .. } => {}
            }
        }
        if !self.slow {
            self.agents_obey();
        }
    }

    /// Every agent does what its newest desired state says, and reports it.
    fn agents_obey(&mut self) {
        let nodes: Vec<NodeName> = self.agents.keys().cloned().collect();
        for node in nodes {
            let agent = self.agents.get_mut(&node).unwrap();
            let before = (agent.slices.clone(), agent.grants.epoch);
            for grant in &agent.grants.grants {
                agent
                    .slices
                    .entry(grant.placement.slice)
                    .or_insert(SliceState::Running);
            }
            for gone in agent
                .grants
                .releases
                .iter()
                .chain(&agent.grants.acknowledged_exits)
            {
                agent.slices.remove(gone);
            }
            let reported = (agent.slices.clone(), agent.grants.epoch) == before;
            if !reported || !agent.grants.releases.is_empty() {
                agent.grants.releases.clear();
                self.report(&node);
            }
        }
    }

    fn report(&mut self, node: &NodeName) {
        let agent = &self.agents[node];
        let status = |(slice, state): (&SliceId, &SliceState)| SliceStatus {
            slice: *slice,
            state: state.clone(),
            level: Level::Shared,
        };
        let report = SliceReport {
            obeyed: agent.grants.epoch,
            slices: agent.slices.iter().map(status).collect(),
            orphaned: vec![],
        };
        let session = agent.session;
        self.input(Input::Report {
            node: node.clone(),
            session,
            report: Report::Slices(report),
        });
    }

    fn exits(&mut self, slice: SliceId, cause: ExitCause) {
        let node = self
            .engine
            .state()
            .member(slice)
            .unwrap()
            .placement
            .node
            .clone();
        let exit = ExitRecord {
            cause,
            started_at: None,
            ended_at: WallNs(1),
            output_tail: String::new(),
        };
        self.agents
            .get_mut(&node)
            .unwrap()
            .slices
            .insert(slice, SliceState::Exited(exit));
        self.report(&node);
    }

    fn node(&mut self, node: &str, gpus: u32) -> NodeName {
        self.enroll(inventory(node, gpus)).unwrap();
        self.connect(node)
    }

    fn enroll(&mut self, inventory: Inventory) -> Result<Answer, Refusal> {
        self.ask(
            caller(0, true),
            Request::Enroll {
                inventory: Box::new(inventory),
            },
        )
    }

    fn connect(&mut self, node: &str) -> NodeName {
        let node = name(node);
        self.replies += 1;
        let session = SessionId(self.replies);
        let grants = GrantSet {
            cluster: ClusterId::default(),
            epoch: dovetail_model::id::Epoch::default(),
            grants: vec![],
            releases: vec![],
            acknowledged_exits: vec![],
        };
        let agent = Agent {
            session,
            grants,
            slices: BTreeMap::new(),
        };
        self.agents.insert(node.clone(), agent);
        let boot_id = self.engine.state().nodes()[&node].inventory.boot_id.clone();
        self.input(Input::AgentConnected {
            node: node.clone(),
            boot_id,
            session,
        });
        node
    }

    fn ask(&mut self, caller: Caller, request: Request) -> Result<Answer, Refusal> {
        self.replies += 1;
        let reply = ReplyId(self.replies);
        self.input(Input::Request {
            reply,
            caller,
            request,
        });
        self.answers
            .remove(&reply)
            .expect("every request is answered")
    }

    fn mutation(&self, id: &str) -> Mutation {
        Mutation {
            request_id: id.to_owned(),
            digest: id.to_owned(),
            validate_only: false,
            expected_revision: None,
        }
    }

    fn submit(&mut self, spec: WorkloadSpec) -> WorkloadView {
        let id = spec.name.to_string();
        workload(self.try_submit(1000, &id, spec).unwrap())
    }

    fn try_submit(&mut self, uid: u32, id: &str, spec: WorkloadSpec) -> Result<Answer, Refusal> {
        let mutation = self.mutation(id);
        self.ask(
            caller(uid, false),
            Request::Submit {
                mutation,
                spec: Box::new(spec),
                owner: owner(uid),
            },
        )
    }

    fn cancel(&mut self, id: WorkloadId) -> WorkloadView {
        let mutation = self.mutation(&format!("cancel-{id}"));
        let workload = WorkloadRef::Id(id);
        self::workload(
            self.ask(caller(1000, false), Request::Cancel { mutation, workload })
                .unwrap(),
        )
    }

    fn get(&mut self, id: WorkloadId) -> WorkloadView {
        let workload = WorkloadRef::Id(id);
        self::workload(
            self.ask(caller(1000, false), Request::Get { workload })
                .unwrap(),
        )
    }

    fn state_of(&mut self, id: WorkloadId) -> WorkloadState {
        self.get(id).state
    }

    fn cordon(&mut self, node: &str, why: Option<&str>) {
        self.replies += 1;
        let mutation = self.mutation(&format!("cordon-{}", self.replies));
        let why = why.map(str::to_owned);
        let request = Request::Cordon {
            mutation,
            node: name(node),
            why,
        };
        self.ask(caller(0, true), request).unwrap();
    }

    fn passes(&mut self, ns: u64) {
        self.now.boot_ns += ns;
        self.now.wall_ns += ns;
        self.input(Input::Tick);
    }

    /// The state recomputed from the journal alone.
    fn replayed(&self) -> State {
        let mut state = State::default();
        for event in &self.journal {
            state.apply(event).unwrap();
        }
        state
    }
}

impl Drop for World {
    /// Whatever a test did: the journal tells the whole state, and no plan was refused.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let state = self.engine.state();
            assert_eq!(
                self.replayed().hash(),
                state.hash(),
                "replay gives the same state"
            );
            assert_eq!(
                State::from_bytes(&state.to_bytes()).unwrap(),
                *state,
                "snapshots are whole"
            );
            assert_eq!(self.engine.plans_rejected(), 0, "the check refused a plan");
        }
    }
}

fn workload(answer: Answer) -> WorkloadView {
    let Answer::Workload {
        workload: Some(workload),
        ..
    } = answer
    else {
        panic!("expected a workload, got {answer:?}");
    };
    *workload
}
