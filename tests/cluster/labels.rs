//! Labels and taints from an agent's file to where work goes, and why it does not.

use crate::{
    grpc_surface::submission,
    limits::place,
    support::{Cluster, is_root, sleeper},
};
use dovetail_proto::v1::{Movable, Toleration, WorkloadState};
use serde_json::{Value, json};
use std::fs;
use tonic::Code;
use tonic_types::StatusExt as _;

const RESERVED: &str = "[labels]\nzone = 'b'\n'example.com/pool' = 'train'\n\
                        [[taints]]\nkey = 'dedicated'\nvalue = 'ml'\neffect = 'NoSchedule'\n";

/// One host for everybody, and one with another label that is kept for those who bear its taint.
fn two_zones() -> Cluster {
    Cluster::builder()
        .cpu_host("ash")
        .agent_settings("[labels]\nzone = 'a'\n")
        .cpu_host("yew")
        .agent_settings(RESERVED)
        .start()
}

fn tolerated(key: &str, value: &str) -> Toleration {
    Toleration {
        key: key.to_owned(),
        value: value.to_owned(),
        ..Toleration::default()
    }
}

#[test]
fn work_goes_where_its_labels_say_and_stays_off_taints_that_it_does_not_bear() {
    let cluster = two_zones();
    let client = &cluster.client;
    let (node, _) = place(&client.run(&sleeper("anywhere")));
    assert_eq!(node, "ash");
    let mut there = sleeper("there");
    there.node_selector.insert("zone".into(), "b".into());
    let refused = client.try_submit(&there).expect_err("it is tainted");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains("zone=b"), "{refused:?}");
    there.tolerations = vec![tolerated("dedicated", "ml")];
    let (node, _) = place(&client.run(&there));
    assert_eq!(node, "yew");
    let mut nowhere = sleeper("nowhere");
    nowhere.node_selector.insert("zone".into(), "c".into());
    let refused = client.try_submit(&nowhere).expect_err("no such zone");
    let details = refused.get_error_details();
    let failure = details.precondition_failure().expect("what is violated");
    assert_eq!(failure.violations[0].r#type, "NEVER_FITS", "{refused:?}");
    assert!(refused.message().contains("zone=c"), "{refused:?}");
}

#[test]
fn the_command_line_shows_labels_and_taints_and_says_what_would_help() {
    let cluster = two_zones();
    let list = cluster.dovetail(&["node", "list"]).expect(0).stdout;
    let shown = "example.com/pool=train,zone=b  dedicated=ml:NoSchedule";
    assert!(list.contains(shown), "{list}");
    let one = cluster.dovetail(&["node", "get", "yew"]).expect(0).stdout;
    assert!(one.contains("dedicated=ml:NoSchedule"), "{one}");
    let json = cluster.dovetail(&["-o", "json", "node", "get", "yew"]);
    let json: Value = serde_json::from_str(&json.expect(0).stdout).expect("JSON");
    assert_eq!(json["node"]["labels"]["zone"], "b", "{json:#}");
    assert_eq!(
        json["node"]["taints"][0]["effect"],
        "TAINT_EFFECT_NO_SCHEDULE"
    );
    // Only `ash` is open to it, and there is no room for a second one of its size.
    cluster.client.run(&sleeper_of("first", 90_000));
    let second = cluster.client.submit(&sleeper_of("second", 90_000));
    let why = cluster.dovetail(&["explain", &second]).expect(0).stdout;
    assert!(why.contains("dedicated=ml:NoSchedule"), "{why}");
    assert!(why.contains("--toleration dedicated=ml"), "{why}");
    let (user, level) = if is_root() {
        ("nobody", "shared")
    } else {
        ("", "none")
    };
    let words = [
        "submit",
        "--name",
        "third",
        "--user",
        user,
        "--minimum-level",
        level,
        "--cpu",
        "90",
        "--node-selector",
        "zone=b",
        "--toleration",
        "dedicated=ml",
        "--movable",
        "90",
        "--",
        "/bin/sleep",
        "3600",
    ];
    cluster.dovetail(&words).expect(0);
    let third = cluster.dovetail(&["get", "third"]).expect(0).stdout;
    assert!(third.contains("zone=b"), "{third}");
    assert!(
        third.contains("yes, at 90 s of work lost per member"),
        "{third}"
    );
}

fn sleeper_of(name: &str, cpu_milli: u64) -> dovetail_proto::v1::WorkloadSpec {
    use crate::support::SpecExt as _;
    sleeper(name).cpu(cpu_milli)
}

#[test]
fn a_stranger_asks_for_labels_tolerations_and_moves_by_hand() {
    let cluster = two_zones();
    let mut request = submission("by-hand", 1, &Value::Null);
    let workload = &mut request["workload"];
    workload["node_selector"] = json!({ "example.com/pool": "train" });
    workload["tolerations"] = json!([
        { "key": "dedicated", "operator": "TOLERATION_OPERATOR_EXISTS" }
    ]);
    workload["movable"] = json!({ "restart_cost_seconds": 600 });
    let submit = ["dovetail.v1.WorkloadService/SubmitWorkload"];
    let Some(ran) = cluster.grpcurl(&submit, &request.to_string()) else {
        return;
    };
    let reply = ran.expect(0).json();
    let id = reply["workload"]["id"].as_str().expect("an id").to_owned();
    cluster.client.await_state(&id, WorkloadState::Running);
    let running = cluster.client.get(&id);
    assert_eq!(place(&running).0, "yew");
    let spec = running.spec.expect("it was submitted");
    assert_eq!(
        spec.movable,
        Some(Movable {
            restart_cost_seconds: 600
        })
    );
    let nodes = cluster.grpcurl(&["dovetail.v1.NodeService/ListNodes"], "");
    let nodes = nodes.expect("it is there").expect(0).json();
    assert_eq!(nodes["nodes"][0]["labels"]["zone"], "a", "{nodes:#}");
    assert_eq!(nodes["nodes"][1]["taints"][0]["key"], "dedicated");
}

#[test]
fn labels_that_change_hold_after_the_agent_and_the_scheduler_have_been_restarted() {
    let mut cluster = two_zones();
    let running = cluster.client.run(&sleeper("runs"));
    let file = cluster.host("ash").config().to_owned();
    let text = fs::read_to_string(&file).expect("it was written");
    let tainted = format!("{text}[[taints]]\nkey = 'slow'\neffect = 'NoSchedule'\n");
    fs::write(&file, tainted.replace("zone = 'a'", "zone = 'z'")).expect("it is ours");
    cluster.hosts[0].agent.restart();
    cluster.await_hosts();
    cluster.crash_scheduler();
    cluster.await_hosts();
    let client = &cluster.client;
    let ash = client.node("ash");
    assert_eq!((ash.labels["zone"].as_str(), ash.taints.len()), ("z", 1));
    let after = client.get(&running.id);
    assert_eq!((after.state(), after.attempt), (WorkloadState::Running, 1));
    let mut slow = sleeper("slow");
    client.try_submit(&slow).expect_err("both are tainted");
    slow.node_selector.insert("zone".into(), "z".into());
    slow.tolerations = vec![tolerated("slow", "")];
    let (node, _) = place(&client.run(&slow));
    assert_eq!(node, "ash");
}
