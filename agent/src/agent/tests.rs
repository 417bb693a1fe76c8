//! The agent's rules, one by one.

use super::*;
use dovetail_model::{
    gpu::{GpuHealth, GpuInfo, GpuModel},
    grant::GpuGrant,
    id::{BootId, GpuUuid, Revision, Term, WorkloadId},
    label::Labels,
    report::{ExitCause, SliceState},
    time::{SECOND_NS, WallNs},
    units::{Bytes, CpuMilli, GpuMilli},
    workload::{Owner, WorkloadSpec},
};

const DEVICE: u64 = 80 << 30;

pub(crate) fn node() -> NodeName {
    NodeName::new("a").unwrap()
}

pub(crate) fn ours() -> ClusterId {
    ClusterId("ours".into())
}

fn uuid(index: u32) -> GpuUuid {
    GpuUuid(format!("GPU-{index}").into())
}

pub(crate) fn inventory() -> Inventory {
    let gpu = |index| GpuInfo {
        uuid: uuid(index),
        index,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        model: GpuModel::from_short("H100-80"),
        memory: Bytes(DEVICE),
        health: GpuHealth::Ok,
        share_level: Level::Shared,
        whole_level: Level::Isolated,
        pci_bus_id: String::new(),
    };
    Inventory {
        node: node(),
        boot_id: BootId("boot".into()),
        agent_version: "0".to_owned(),
        cpu: CpuMilli(8000),
        memory: Bytes(32 << 30),
        gpus: vec![gpu(0), gpu(1)],
        level: Level::Shared,
        enforces: Vec::new(),
        not_enforced: Vec::new(),
        labels: Labels::new(),
        taints: Vec::new(),
    }
}

pub(crate) fn id(workload: u64) -> SliceId {
    SliceId {
        workload: WorkloadId(workload),
        attempt: 1,
        member: 0,
    }
}

/// Half of one GPU, two of eight cores, a quarter of the memory.
pub(crate) fn placement(workload: u64, gpu: u32) -> Placement {
    Placement {
        slice: id(workload),
        node: node(),
        cpu: CpuMilli(2000),
        memory: Bytes(8 << 30),
        gpus: vec![GpuGrant {
            uuid: uuid(gpu),
            index: gpu,
            compute: GpuMilli(500),
            memory: Bytes(DEVICE / 2),
        }],
    }
}

pub(crate) fn grant(workload: u64, gpu: u32) -> Grant {
    Grant {
        placement: placement(workload, gpu),
        spec: WorkloadSpec::example("w").into(),
        owner: Owner {
            uid: 1000,
            gid: 1000,
            groups: Vec::new(),
        },
        gang_nodes: vec![node()],
    }
}

pub(crate) fn epoch(term: u64, revision: u64) -> Epoch {
    Epoch {
        term: Term(term),
        revision: Revision(revision),
    }
}

pub(crate) fn set(revision: u64, grants: Vec<Grant>) -> GrantSet {
    GrantSet {
        cluster: ours(),
        epoch: epoch(1, revision),
        grants,
        releases: Vec::new(),
        acknowledged_exits: Vec::new(),
    }
}

fn releasing(revision: u64, releases: &[u64]) -> GrantSet {
    GrantSet {
        releases: releases.iter().map(|w| id(*w)).collect(),
        ..set(revision, Vec::new())
    }
}

pub(crate) fn exit(code: i32) -> ExitRecord {
    ExitRecord {
        cause: ExitCause::Exit(code),
        started_at: Some(WallNs(1)),
        ended_at: WallNs(2),
        output_tail: "tail".to_owned(),
    }
}

pub(crate) fn config() -> AgentConfig {
    AgentConfig { node: node() }
}

fn found(workload: u64, cluster: &ClusterId) -> Found {
    Found {
        placement: placement(workload, 0),
        cluster: cluster.clone(),
        epoch: epoch(1, 5),
        level: Level::Shared,
        exit: None,
    }
}

/// An agent with a clock.
struct Node {
    agent: Agent,
    boot_ns: u64,
}

impl Node {
    fn recovered(recovered: Recovered) -> Self {
        let agent = Agent::new(config(), recovered);
        let mut node = Self { agent, boot_ns: 0 };
        node.handle(Input::InventoryChanged(inventory()));
        node
    }

    fn fresh() -> Self {
        let mut node = Self::recovered(Recovered::default());
        node.handle(Input::LinkUp(ours()));
        node
    }

    /// One running slice, w1.
    fn running() -> Self {
        let mut node = Self::fresh();
        node.handle(Input::Grants(set(1, vec![grant(1, 0)])));
        node.handle(Input::Started(id(1), Level::Shared));
        node
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let now = Now {
            boot_ns: self.boot_ns,
            wall_ns: 7,
        };
        self.agent.handle(input, now)
    }

    fn after(&mut self, seconds: u64) -> Vec<Effect> {
        self.boot_ns += seconds * SECOND_NS;
        self.handle(Input::Tick)
    }

    fn states(&mut self) -> Vec<(u64, SliceState)> {
        let report = last_report(&self.handle(Input::Resend)).expect("asked for");
        report
            .slices
            .into_iter()
            .map(|s| (s.slice.workload.0, s.state))
            .collect()
    }
}

fn last_report(effects: &[Effect]) -> Option<SliceReport> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Send(Report::Slices(report)) => Some(report.clone()),
        _ => None,
    })
}

fn starts(effects: &[Effect]) -> Vec<u64> {
    let start = |effect: &Effect| match effect {
        Effect::Start(grant, _) => Some(grant.placement.slice.workload.0),
        _ => None,
    };
    effects.iter().filter_map(start).collect()
}

fn acts(effects: &[Effect]) -> Vec<&Effect> {
    let sends = |effect: &&Effect| !matches!(effect, Effect::Send(_));
    effects.iter().filter(sends).collect()
}

#[test]
fn a_grant_is_started_once_and_only_after_its_epoch_is_durable() {
    let mut node = Node::fresh();
    let effects = node.handle(Input::Grants(set(1, vec![grant(1, 0)])));
    assert_eq!(
        acts(&effects),
        [
            &Effect::Spool(SpoolWrite::Highest(ours(), epoch(1, 1))),
            &Effect::Start(Box::new(grant(1, 0)), epoch(1, 1)),
        ]
    );
    assert_eq!(node.states(), [(1, SliceState::Starting)]);
    node.handle(Input::Started(id(1), Level::Shared));
    let again = node.handle(Input::Grants(set(2, vec![grant(1, 0)])));
    assert_eq!(starts(&again), [0; 0]);
    assert_eq!(node.states(), [(1, SliceState::Running)]);
}

#[test]
fn an_older_desired_state_is_not_obeyed() {
    let mut node = Node::running();
    node.handle(Input::Grants(set(5, vec![grant(1, 0)])));
    let effects = node.handle(Input::Grants(releasing(4, &[1])));
    assert!(acts(&effects).is_empty());
}

#[test]
fn a_slice_missing_from_the_desired_state_runs_on_as_orphaned() {
    let mut node = Node::running();
    let effects = node.handle(Input::Grants(set(2, Vec::new())));
    assert_eq!(acts(&effects).len(), 1, "only the epoch is spooled");
    let report = last_report(&effects).unwrap();
    assert_eq!(report.orphaned, ["w1-1-0"]);
    assert_eq!(report.slices[0].state, SliceState::Running);
}

#[test]
fn a_release_stops_then_kills_then_removes_and_only_then_is_it_gone() {
    let mut node = Node::running();
    let effects = node.handle(Input::Grants(releasing(2, &[1])));
    assert!(effects.contains(&Effect::Stop {
        slice: id(1),
        signal: 15,
        kill_after_ns: 10 * SECOND_NS
    }));
    assert!(!node.after(9).contains(&Effect::Kill(id(1))));
    assert!(node.after(1).contains(&Effect::Kill(id(1))));
    let mut signal = exit(0);
    signal.cause = ExitCause::Signal(9);
    let effects = node.handle(Input::Ended(id(1), signal.clone()));
    signal.cause = ExitCause::Evicted;
    assert_eq!(
        acts(&effects),
        [
            &Effect::Spool(SpoolWrite::Exit(id(1), signal.clone())),
            &Effect::Remove(id(1))
        ]
    );
    assert_eq!(node.states(), [(1, SliceState::Stopping)]);
    node.handle(Input::Removed(id(1)));
    assert_eq!(node.states(), [(1, SliceState::Exited(signal))]);
    let mut set = set(3, Vec::new());
    set.acknowledged_exits.push(id(1));
    let effects = node.handle(Input::Grants(set));
    assert!(effects.contains(&Effect::Spool(SpoolWrite::DropExit(id(1)))));
    assert_eq!(node.states(), []);
}

#[test]
fn a_release_of_a_slice_being_made_stops_it_as_soon_as_it_runs() {
    let mut node = Node::fresh();
    node.handle(Input::Grants(set(1, vec![grant(1, 0)])));
    let effects = node.handle(Input::Grants(releasing(2, &[1])));
    assert_eq!(acts(&effects).len(), 1, "only the epoch is spooled");
    let effects = node.handle(Input::Started(id(1), Level::Shared));
    assert!(matches!(acts(&effects)[..], [Effect::Stop { .. }]));
}

#[test]
fn an_unknown_released_slice_is_absent_already() {
    let mut node = Node::fresh();
    let effects = node.handle(Input::Grants(releasing(1, &[9])));
    assert_eq!(acts(&effects).len(), 1);
    let report = last_report(&effects).unwrap();
    assert_eq!((report.obeyed, report.slices.len()), (epoch(1, 1), 0));
}

#[test]
fn an_end_is_never_followed_by_another_start() {
    let mut node = Node::running();
    node.handle(Input::Ended(id(1), exit(3)));
    node.handle(Input::Removed(id(1)));
    assert_eq!(node.states(), [(1, SliceState::Exited(exit(3)))]);
    let effects = node.handle(Input::Grants(set(2, vec![grant(1, 0)])));
    assert_eq!(starts(&effects), [0; 0]);
}

#[test]
fn what_is_busy_is_killed_and_removed_again() {
    let mut node = Node::running();
    node.handle(Input::Ended(id(1), exit(0)));
    node.handle(Input::RemoveBusy(id(1)));
    let effects = node.after(1);
    assert_eq!(
        acts(&effects),
        [&Effect::Kill(id(1)), &Effect::Remove(id(1))]
    );
}

#[test]
fn a_slice_waits_for_the_room_of_one_that_leaves() {
    let mut node = Node::fresh();
    node.handle(Input::Grants(set(1, vec![grant(1, 0), grant(2, 0)])));
    node.handle(Input::Started(id(1), Level::Shared));
    let mut next = releasing(2, &[1]);
    next.grants = vec![grant(2, 0), grant(3, 0)];
    assert_eq!(starts(&node.handle(Input::Grants(next))), [0; 0]);
    assert!(node.states().contains(&(3, SliceState::Waiting)));
    node.handle(Input::Ended(id(1), exit(0)));
    assert_eq!(starts(&node.handle(Input::Removed(id(1)))), [3]);
}

#[test]
fn what_can_never_fit_fails_and_says_why() {
    let mut node = Node::fresh();
    let grants = vec![grant(1, 0), grant(2, 0), grant(3, 0)];
    let effects = node.handle(Input::Grants(set(1, grants)));
    assert_eq!(starts(&effects), [1, 2]);
    let states = node.states();
    let SliceState::Exited(record) = &states[2].1 else {
        panic!("{states:?}")
    };
    let ExitCause::StartFailed(why) = &record.cause else {
        panic!("{record:?}")
    };
    assert_eq!(
        why,
        "GPU GPU-0 would be over-allocated: 1.5 of 1 with what is held already"
    );
}

#[test]
fn a_failed_start_is_cleaned_up_before_it_is_reported() {
    let mut node = Node::fresh();
    node.handle(Input::Grants(set(1, vec![grant(1, 0)])));
    let effects = node.handle(Input::StartFailed(id(1), "no such program".to_owned()));
    assert!(matches!(
        acts(&effects)[..],
        [Effect::Spool(SpoolWrite::Exit(..)), Effect::Remove(_)]
    ));
    node.handle(Input::Removed(id(1)));
    assert!(matches!(&node.states()[..], [(1, SliceState::Exited(_))]));
}

#[test]
fn another_cluster_is_not_obeyed_and_the_operator_is_told_once() {
    let mut node = Node::running();
    let other = ClusterId("other".into());
    node.handle(Input::LinkDown);
    let effects = node.handle(Input::LinkUp(other.clone()));
    assert!(matches!(acts(&effects)[..], [Effect::Alert(_)]));
    let mut foreign = releasing(99, &[1]);
    foreign.cluster = other;
    let effects = node.handle(Input::Grants(foreign));
    assert_eq!(acts(&effects).len(), 0);
    let report = last_report(&node.handle(Input::Resend)).unwrap();
    assert_eq!(
        (report.obeyed, report.slices.len(), report.orphaned),
        (Epoch::default(), 0, vec!["w1-1-0".to_owned()])
    );
}

#[test]
fn a_restarted_agent_knows_what_runs_and_what_ended_meanwhile() {
    let mut ended = found(2, &ours());
    ended.exit = Some(exit(4));
    let mut node = Node::recovered(Recovered {
        highest: Some((ours(), epoch(1, 5))),
        found: vec![found(1, &ours()), ended],
        exits: vec![(id(3), exit(5))],
    });
    node.handle(Input::LinkUp(ours()));
    node.handle(Input::Removed(id(2)));
    assert_eq!(
        node.states(),
        [
            (1, SliceState::Running),
            (2, SliceState::Exited(exit(4))),
            (3, SliceState::Exited(exit(5)))
        ]
    );
    let report = last_report(&node.handle(Input::Resend)).unwrap();
    assert_eq!(report.orphaned, [""; 0], "nothing was desired yet");
    let grants = vec![grant(1, 0), grant(2, 0), grant(3, 0)];
    assert_eq!(starts(&node.handle(Input::Grants(set(6, grants)))), [0; 0]);
}

#[test]
fn another_clusters_slice_is_kept_and_counts() {
    let mut node = Node::recovered(Recovered {
        highest: Some((ours(), epoch(1, 5))),
        found: vec![found(1, &ClusterId("other".into()))],
        exits: Vec::new(),
    });
    node.handle(Input::LinkUp(ours()));
    let mut next = releasing(6, &[1]);
    next.grants = vec![grant(2, 0), grant(3, 0)];
    let effects = node.handle(Input::Grants(next));
    assert_eq!(starts(&effects), [2], "half of GPU 0 is taken");
    let report = last_report(&effects).unwrap();
    assert_eq!(report.orphaned, ["w1-1-0@other"]);
}

#[test]
fn a_lost_spool_does_not_make_the_node_obey_another_cluster() {
    let mut node = Node::recovered(Recovered {
        found: vec![found(1, &ours())],
        ..Recovered::default()
    });
    let effects = node.handle(Input::LinkUp(ClusterId("other".into())));
    assert!(matches!(acts(&effects)[..], [Effect::Alert(_)]));
}

#[test]
fn losing_the_scheduler_changes_nothing() {
    let mut node = Node::running();
    assert_eq!(node.handle(Input::LinkDown), []);
    assert_eq!(node.after(3600), []);
    assert_eq!(node.agent.next_deadline(), None);
    node.handle(Input::LinkUp(ours()));
    assert_eq!(node.states(), [(1, SliceState::Running)]);
}

#[test]
fn a_quiet_agent_is_heard_of_every_few_seconds() {
    let mut node = Node::running();
    assert_eq!(node.agent.next_deadline(), Some(HEARTBEAT_NS));
    assert_eq!(node.after(1), []);
    assert!(last_report(&node.after(3)).is_some());
}
