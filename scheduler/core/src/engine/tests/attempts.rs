//! A workload's life: starts, ends, restarts, cancels.

use super::*;
use dovetail_model::workload::{Restart, RestartPolicy};

fn slice(id: WorkloadId, attempt: u32, member: u32) -> SliceId {
    SliceId {
        workload: id,
        attempt,
        member,
    }
}

#[test]
fn a_workload_runs_and_succeeds() {
    let mut world = World::new();
    world.node("n1", 8);
    let id = world.submit(share("a", 300)).workload.id;
    assert_eq!(world.state_of(id), WorkloadState::Running);
    world.exits(slice(id, 1, 0), ExitCause::Exit(0));
    assert_eq!(world.state_of(id), WorkloadState::Succeeded);
    let node = world.agents.values().next().unwrap();
    assert!(
        node.slices.is_empty(),
        "a durable end is acknowledged: {:?}",
        node.slices
    );
}

#[test]
fn a_place_is_free_only_when_the_node_has_confirmed() {
    let mut world = World::new();
    let node = world.node("n1", 1);
    let first = world.submit(whole("a", 1, 1)).workload.id;
    world.slow = true;
    world.cancel(first);
    let second = world.submit(whole("b", 1, 1)).workload.id;
    // A report from before the release: the slice's absence means nothing yet.
    world.agents.get_mut(&node).unwrap().slices.clear();
    let old = world.agents[&node].grants.epoch;
    world.agents.get_mut(&node).unwrap().grants.epoch.revision.0 -= 2;
    world.report(&node);
    assert_eq!(world.state_of(first), WorkloadState::Stopping);
    assert_eq!(world.state_of(second), WorkloadState::Pending);
    world.agents.get_mut(&node).unwrap().grants.epoch = old;
    world.report(&node);
    assert_eq!(world.state_of(first), WorkloadState::Cancelled);
    assert_eq!(world.state_of(second), WorkloadState::Reserved);
}

#[test]
fn a_released_slice_that_is_still_there_keeps_its_place() {
    let mut world = World::new();
    let node = world.node("n1", 1);
    let first = world.submit(whole("a", 1, 1)).workload.id;
    world.slow = true;
    world.cancel(first);
    world.report(&node);
    assert_eq!(world.state_of(first), WorkloadState::Stopping);
}

#[test]
fn cancelling_a_waiting_workload_ends_it_at_once() {
    let mut world = World::new();
    let id = world.submit(spec("a")).workload.id;
    assert_eq!(world.cancel(id).state, WorkloadState::Cancelled);
    assert_eq!(world.cancel(id).state, WorkloadState::Cancelled);
}

#[test]
fn a_gang_whose_member_fails_is_stopped_whole() {
    let mut world = World::new();
    world.node("n1", 8);
    world.node("n2", 8);
    let id = world.submit(whole("a", 8, 2)).workload.id;
    assert_eq!(world.state_of(id), WorkloadState::Running);
    world.exits(slice(id, 1, 1), ExitCause::Exit(3));
    let view = world.get(id);
    assert_eq!(view.state, WorkloadState::Failed);
    assert_eq!(
        view.workload.end.unwrap().0,
        crate::event::End::Failed(ExitCause::Exit(3))
    );
}

#[test]
fn a_gang_that_does_not_start_in_time_is_stopped_whole() {
    let mut world = World::new();
    world.node("n1", 8);
    world.slow = true;
    let id = world.submit(whole("a", 4, 2)).workload.id;
    world.passes(10 * SECOND_NS);
    let node = name("n1");
    world.report(&node);
    world.passes(14 * SECOND_NS);
    for _ in 0..4 {
        world.report(&node);
        world.passes(10 * SECOND_NS);
    }
    assert_eq!(world.state_of(id), WorkloadState::Stopping);
    world.slow = false;
    world.agents_obey();
    assert_eq!(world.state_of(id), WorkloadState::Failed);
}

#[test]
fn a_failed_attempt_is_tried_again_after_its_pause_and_not_for_ever() {
    let mut world = World::new();
    world.node("n1", 8);
    let mut spec = spec("a");
    spec.restart = Restart {
        policy: RestartPolicy::OnFailure,
        limit: 1,
        backoff_ns: SECOND_NS,
    };
    let id = world.submit(spec).workload.id;
    world.exits(slice(id, 1, 0), ExitCause::Exit(1));
    let reason = world.get(id).reason.unwrap();
    assert_eq!(
        reason,
        dovetail_model::reason::Reason::Backoff { seconds: 1 }
    );
    world.passes(SECOND_NS / 2);
    assert_eq!(world.state_of(id), WorkloadState::Pending);
    world.passes(SECOND_NS);
    assert_eq!(world.state_of(id), WorkloadState::Running);
    world.exits(slice(id, 2, 0), ExitCause::Oom);
    let view = world.get(id);
    assert_eq!(
        (view.state, view.workload.attempt),
        (WorkloadState::Failed, 2)
    );
}

#[test]
fn a_slice_of_an_attempt_that_is_over_is_stopped() {
    let mut world = World::new();
    let node = world.node("n1", 8);
    let id = world.submit(spec("a")).workload.id;
    world.exits(slice(id, 1, 0), ExitCause::Exit(0));
    world.slow = true;
    world
        .agents
        .get_mut(&node)
        .unwrap()
        .slices
        .insert(slice(id, 1, 0), SliceState::Running);
    world.report(&node);
    assert_eq!(world.agents[&node].grants.releases, [slice(id, 1, 0)]);
}

#[test]
fn a_slice_of_a_workload_nobody_knows_is_left_alone() {
    let mut world = World::new();
    let node = world.node("n1", 8);
    world
        .agents
        .get_mut(&node)
        .unwrap()
        .slices
        .insert(slice(WorkloadId(77), 1, 0), SliceState::Running);
    world.report(&node);
    assert_eq!(world.agents[&node].grants.releases, []);
}

#[test]
fn ended_workloads_are_remembered_up_to_a_limit() {
    let mut world = World::with(Policy {
        ended_max: 2,
        ..Policy::default()
    });
    for index in 0..40 {
        let id = world.submit(spec(&format!("a{index}"))).workload.id;
        world.cancel(id);
    }
    let known = world.engine.state().workloads().len();
    assert!((2..=20).contains(&known), "{known}");
    let newest = world.submit(spec("last")).workload.id;
    assert!(world.engine.state().workload(newest).is_some());
}
