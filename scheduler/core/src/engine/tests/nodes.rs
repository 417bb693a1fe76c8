//! Nodes coming, going, rebooting and being taken out of service.

use super::*;
use crate::decide::tests::{label, taint};
use dovetail_model::label::Toleration;

#[test]
fn a_reboot_loses_the_slices_and_nothing_else() {
    let mut world = World::new();
    world.node("n1", 8);
    world.node("n2", 8);
    let first = world.submit(whole("a", 8, 1)).workload.id;
    let second = world.submit(whole("b", 8, 1)).workload.id;
    let node = world.get(first).workload.members[0]
        .placement
        .node
        .to_string();
    let mut rebooted = inventory(&node, 8);
    rebooted.boot_id = BootId("boot-2".into());
    world.enroll(rebooted).unwrap();
    assert_eq!(world.state_of(first), WorkloadState::Lost);
    assert_eq!(world.state_of(second), WorkloadState::Running);
}

#[test]
fn an_agent_restart_with_the_same_boot_changes_nothing() {
    let mut world = World::new();
    let node = world.node("n1", 8);
    let id = world.submit(whole("a", 8, 1)).workload.id;
    let slices = world.agents[&node].slices.clone();
    let session = world.agents[&node].session;
    world.input(Input::AgentDisconnected {
        node: node.clone(),
        session,
    });
    world.enroll(inventory("n1", 8)).unwrap();
    world.connect("n1");
    world.agents.get_mut(&node).unwrap().slices = slices;
    world.report(&node);
    assert_eq!(world.state_of(id), WorkloadState::Running);
}

#[test]
fn a_node_that_does_not_report_gets_nothing_new_and_keeps_what_it_has() {
    let mut world = World::new();
    world.node("n1", 2);
    let first = world.submit(whole("a", 1, 1)).workload.id;
    world.passes(16 * SECOND_NS);
    let second = world.submit(whole("b", 1, 1));
    assert_eq!(second.reason.unwrap().token(), "NodeUnreachable");
    assert_eq!(world.state_of(first), WorkloadState::Running);
    world.report(&name("n1"));
    assert_eq!(world.state_of(second.workload.id), WorkloadState::Running);
}

#[test]
fn a_report_of_a_session_that_was_replaced_is_not_heard() {
    let mut world = World::new();
    let node = world.node("n1", 8);
    let id = world.submit(spec("a")).workload.id;
    let old = world.agents[&node].session;
    world.connect("n1");
    world.report(&node);
    let report = SliceReport {
        obeyed: dovetail_model::id::Epoch {
            term: dovetail_model::id::Term(9),
            ..Default::default()
        },
        ..Default::default()
    };
    world.cancel(id);
    world.input(Input::Report {
        node,
        session: old,
        report: Report::Slices(report),
    });
    assert_ne!(world.state_of(id), WorkloadState::Pending);
}

#[test]
fn cordoned_nodes_take_nothing_new() {
    let mut world = World::new();
    world.node("n1", 8);
    let first = world.submit(spec("a")).workload.id;
    world.cordon("n1", Some("fan"));
    let second = world.submit(spec("b"));
    assert_eq!(
        second.reason.unwrap().to_string(),
        "the node is cordoned: fan"
    );
    assert_eq!(world.state_of(first), WorkloadState::Running);
    world.cordon("n1", None);
    assert_eq!(world.state_of(second.workload.id), WorkloadState::Running);
}

#[test]
fn only_operators_touch_nodes() {
    let mut world = World::new();
    world.node("n1", 8);
    let mutation = world.mutation("c");
    let cordon = Request::Cordon {
        mutation: mutation.clone(),
        node: name("n1"),
        why: None,
    };
    let forget = Request::Forget {
        mutation,
        node: name("n1"),
    };
    let enroll = Request::Enroll {
        inventory: Box::new(inventory("n2", 8)),
    };
    for request in [cordon, forget, enroll] {
        let refusal = world.ask(caller(1000, false), request).unwrap_err();
        assert!(matches!(refusal, Refusal::Denied { .. }), "{refusal:?}");
    }
}

#[test]
fn a_node_is_forgotten_only_when_it_does_not_report() {
    let mut world = World::new();
    world.node("n1", 8);
    let id = world.submit(spec("a")).workload.id;
    let forget = |world: &mut World, id: &str| {
        let mutation = world.mutation(id);
        world.ask(
            caller(0, true),
            Request::Forget {
                mutation,
                node: name("n1"),
            },
        )
    };
    let refusal = forget(&mut world, "f1").unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Precondition {
            kind: "NODE_STATE",
            ..
        }
    ));
    world.passes(16 * SECOND_NS);
    let Ok(Answer::Forgotten { lost }) = forget(&mut world, "f2") else {
        panic!()
    };
    assert_eq!(lost.len(), 1);
    assert_eq!(world.state_of(id), WorkloadState::Lost);
    assert!(world.engine.state().nodes().is_empty());
}

#[test]
fn a_gpu_belongs_to_one_node() {
    let mut world = World::new();
    world.node("n1", 8);
    let mut clone = inventory("n2", 0);
    clone.gpus = inventory("n1", 1).gpus;
    let refusal = world.enroll(clone).unwrap_err();
    assert!(matches!(
        refusal,
        Refusal::Precondition {
            kind: "DUPLICATE_DEVICE",
            ..
        }
    ));
}

#[test]
fn capacity_may_shrink_under_running_slices() {
    let mut world = World::new();
    world.node("n1", 2);
    let first = world.submit(whole("a", 2, 1)).workload.id;
    let mut sick = inventory("n1", 2);
    sick.gpus[1].health = GpuHealth::Lost;
    sick.cpu = CpuMilli(1500);
    world.enroll(sick).unwrap();
    assert_eq!(world.state_of(first), WorkloadState::Running);
    let second = world.submit(spec("b"));
    assert_eq!(second.state, WorkloadState::Pending);
}

fn labelled(node: &str, labels: &[(&str, &str)], taints: &[(&str, &str)]) -> Inventory {
    let mut inventory = inventory(node, 0);
    inventory.labels = labels.iter().map(|(k, v)| label(k, v)).collect();
    inventory.taints = taints.iter().map(|(k, v)| taint(k, v)).collect();
    inventory
}

#[test]
fn labels_and_taints_that_change_hold_for_new_work_and_hurt_nothing_that_runs() {
    let mut world = World::new();
    world.node("n1", 0);
    world.enroll(labelled("n1", &[("zone", "a")], &[])).unwrap();
    let mut picky = spec("picky");
    picky.node_selector = [label("zone", "a")].into();
    let first = world.submit(picky.clone()).workload.id;
    assert_eq!(world.state_of(first), WorkloadState::Running);
    world.node("n2", 0);
    world
        .enroll(labelled("n2", &[("zone", "a")], &[("slow", "")]))
        .unwrap();
    world
        .enroll(labelled("n1", &[], &[("dedicated", "ml")]))
        .unwrap();
    assert_eq!(world.state_of(first), WorkloadState::Running);
    picky.name = name("second");
    picky.tolerations = vec![Toleration::of(&taint("dedicated", "ml"))];
    picky.node_selector = [label("zone", "a")].into();
    let refusal = world.try_submit(1000, "never", picky.clone()).unwrap_err();
    assert!(matches!(refusal, Refusal::NeverFits(_)), "{refusal:?}");
    // Once a node says that it has the label, there is a place.
    world
        .enroll(labelled("n1", &[("zone", "a")], &[("dedicated", "ml")]))
        .unwrap();
    let second = world.submit(picky);
    assert_eq!(world.state_of(second.workload.id), WorkloadState::Running);
    let node = world.get(second.workload.id).workload.members[0]
        .placement
        .node
        .clone();
    assert_eq!(node, name("n1"));
}

#[test]
fn work_that_waits_for_a_label_starts_when_a_node_gets_it() {
    let mut world = World::new();
    let mut picky = spec("picky");
    picky.node_selector = [label("zone", "a")].into();
    let id = world.submit(picky).workload.id;
    world.node("n1", 0);
    assert_eq!(world.get(id).reason.unwrap().token(), "NodeLabelMismatch");
    world.enroll(labelled("n1", &[("zone", "a")], &[])).unwrap();
    assert_eq!(world.state_of(id), WorkloadState::Running);
}
