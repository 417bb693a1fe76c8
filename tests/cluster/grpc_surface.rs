//! Strangers' clients: grpcurl finds everything by reflection, and drives a workload through it.

use crate::support::{
    Cluster, Ran, SpecExt as _, UNIX_FLAG_BROKEN, find_grpcurl, is_root, needs_root, run, sleeper,
};
use dovetail_proto::v1::WorkloadState;
use serde_json::{Value, json};
use std::process::Command;

const SERVICES: [&str; 4] = [
    "dovetail.v1.AdminService",
    "dovetail.v1.AgentService",
    "dovetail.v1.NodeService",
    "dovetail.v1.WorkloadService",
];

fn host_of_four() -> Cluster {
    Cluster::builder().host("oak", "A100-40", 4).start()
}

/// A submission as a person would write it.
pub(crate) fn submission(name: &str, gang_size: u32, gpu: &Value) -> Value {
    json!({
        "request_id": format!("by-hand-{name}"),
        "workload": {
            "name": name,
            "kind": "WORKLOAD_KIND_SERVICE",
            "argv": ["/bin/sleep", "3600"],
            "user": if is_root() { "nobody" } else { "" },
            "gang_size": gang_size,
            "resources": {
                "cpu_milli": 500,
                "memory_bytes": "67108864",
                "gpu": gpu,
                "minimum_level": if is_root() { "LEVEL_SHARED" } else { "LEVEL_NONE" },
            },
        },
    })
}

/// Calls a method of WorkloadService that must succeed.
fn call(cluster: &Cluster, method: &str, request: &Value) -> Option<Value> {
    let method = format!("dovetail.v1.WorkloadService/{method}");
    let ran = cluster.grpcurl(&[&method], &request.to_string())?;
    Some(ran.expect(0).json())
}

#[test]
fn grpcurl_lists_and_describes_everything() {
    let cluster = Cluster::small();
    let Some(list) = cluster.grpcurl(&["list"], "") else {
        return;
    };
    let list = list.expect(0).stdout;
    for service in SERVICES.iter().chain(&["grpc.health.v1.Health"]) {
        assert!(list.lines().any(|line| line == *service), "{list}");
    }
    let words = |words: &[&str]| {
        cluster
            .grpcurl(words, "")
            .expect("it is there")
            .expect(0)
            .stdout
    };
    let methods = words(&["list", "dovetail.v1.WorkloadService"]);
    for method in [
        "SubmitWorkload",
        "ExplainWorkload",
        "PlanPlacement",
        "ReadLogs",
    ] {
        assert!(methods.contains(method), "{methods}");
    }
    let described = words(&["describe", "dovetail.v1.WorkloadSpec"]);
    for field in [
        "repeated string argv = 3;",
        "uint32 gang_size = 9;",
        "reserved",
    ] {
        assert!(described.contains(field), "{described}");
    }
    assert!(
        described.contains("no shell"),
        "comments travel with the schema: {described}"
    );
}

#[test]
fn both_versions_of_reflection_answer() {
    let cluster = Cluster::small();
    for version in ["v1", "v1alpha"] {
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let Some(ran) = cluster.grpcurl(&[&method], "{\"list_services\": \"\"}") else {
            return;
        };
        let answer = ran.expect(0).json();
        let names = answer["listServicesResponse"]["service"].to_string();
        for service in SERVICES {
            assert!(names.contains(service), "{version}: {names}");
        }
    }
}

#[test]
fn every_service_says_that_it_is_healthy() {
    let cluster = Cluster::small();
    for service in SERVICES.iter().chain(&[""]) {
        let request = json!({ "service": service }).to_string();
        let Some(ran) = cluster.grpcurl(&["grpc.health.v1.Health/Check"], &request) else {
            return;
        };
        assert_eq!(ran.expect(0).json()["status"], "SERVING", "{service}");
    }
    let request = json!({ "service": "dovetail.v1.Unknown" }).to_string();
    let unknown = cluster.grpcurl(&["grpc.health.v1.Health/Check"], &request);
    assert_eq!(code(&unknown.expect("it is there")), 5, "NOT_FOUND");
}

/// The status code that grpcurl says it got.
pub(crate) fn code(ran: &Ran) -> i64 {
    let error: Value = serde_json::from_str(&ran.stderr)
        .unwrap_or_else(|error| panic!("no status ({error}): {ran:#?}"));
    error["code"].as_i64().expect("a status has a code")
}

#[test]
fn grpcurl_drives_a_share_and_a_gang_from_submit_to_cancel() {
    let cluster = host_of_four();
    let share = json!({ "share": { "compute_milli": 300 }, "models": ["A100"] });
    let Some(reply) = call(&cluster, "SubmitWorkload", &submission("chat", 1, &share)) else {
        return;
    };
    let chat = reply["workload"]["id"].as_str().expect("an id").to_owned();
    let whole = json!({ "whole": { "count": 1 } });
    let reply = call(&cluster, "SubmitWorkload", &submission("train", 2, &whole));
    let gang = reply.expect("it is there")["workload"]["id"].clone();
    let gang = gang.as_str().expect("an id").to_owned();
    for id in [&chat, &gang] {
        cluster.client.await_state(id, WorkloadState::Running);
    }
    let request = json!({ "id": gang });
    let got = call(&cluster, "GetWorkload", &request).expect("it is there");
    let members = got["workload"]["members"].as_array().expect("members");
    assert_eq!(members.len(), 2, "{got:#}");
    for member in members {
        assert_eq!(member["state"], "WORKLOAD_STATE_RUNNING");
        assert_eq!(member["placement"]["gpus"][0]["computeMilli"], 1000);
    }
    let explained = call(&cluster, "ExplainWorkload", &json!({ "id": "chat" }));
    let explained = explained.expect("it is there");
    assert!(explained["reason"].is_null(), "it runs: {explained:#}");
    assert_eq!(explained["nodes"][0]["node"], "oak", "{explained:#}");
    for id in [&chat, &gang] {
        let request = json!({ "request_id": format!("stop-{id}"), "id": id });
        call(&cluster, "CancelWorkload", &request);
        cluster.client.await_state(id, WorkloadState::Cancelled);
    }
}

/// The commands of the README's section on grpcurl, as a person pastes them, for this cluster.
fn readme_script(cluster: &Cluster) -> Option<String> {
    let readme = include_str!("../../README.md");
    let (_, section) = readme
        .split_once("grpcurl\n\n")
        .expect("the section is there");
    let (_, block) = section.split_once("```sh\n").expect("it has commands");
    let (block, _) = block.split_once("```").expect("the commands end");
    let (first, commands) = block.split_once('\n').expect("there are several lines");
    assert!(first.starts_with("socket="), "{first}");
    // What the README says to do as root.
    let commands = commands.replace("\"argv\"", "\"user\": \"nobody\", \"argv\"");
    let (grpcurl, socket) = (find_grpcurl()?, cluster.socket().display());
    let script = format!("set -e\nsocket={socket}\n{commands}");
    let script = script.replace("grpcurl ", &format!("{} ", grpcurl.display()));
    let probe = run(
        Command::new(&grpcurl).args(["-plaintext", "-unix", "/nowhere", "list"]),
        "",
    );
    Some(if probe.stderr.contains(UNIX_FLAG_BROKEN) {
        // What the README says to do with such a grpcurl.
        script
            .replace(" -unix", "")
            .replace(" $socket", " unix://$socket")
    } else {
        script
    })
}

#[test]
fn the_commands_of_the_readme_work() {
    if !needs_root("running work as nobody") {
        return;
    }
    let cluster = ["alder", "birch", "cedar"]
        .iter()
        .fold(Cluster::builder(), |builder, name| {
            builder.host(name, "H100-80", 8)
        })
        .start();
    let Some(script) = readme_script(&cluster) else {
        return;
    };
    let ran = run(Command::new("/bin/sh").args(["-c", &script]), "").expect(0);
    assert!(ran.stdout.contains("WorkloadService"), "{ran:#?}");
    let names: Vec<String> = cluster
        .client
        .list(true)
        .into_iter()
        .map(|w| w.id)
        .collect();
    assert_eq!(names.len(), 2, "{ran:#?}");
    cluster
        .client
        .await_state(&names[0], WorkloadState::Running);
    cluster
        .client
        .await_state(&names[1], WorkloadState::Cancelled);
}

#[test]
fn a_gang_that_waits_is_explained_per_node_and_gpu() {
    let cluster = host_of_four();
    cluster.client.run(&sleeper("first").share(500, ""));
    let gang = cluster.client.submit(&sleeper("gang").whole(2, "").gang(2));
    let Some(explained) = call(&cluster, "ExplainWorkload", &json!({ "id": gang })) else {
        return;
    };
    assert!(explained["reason"]["token"].is_string(), "{explained:#}");
    let node = &explained["nodes"][0];
    assert_eq!(node["node"], "oak");
    assert_eq!(node["membersFit"], 1, "three are free: {explained:#}");
    let gpus = node["gpus"].as_array().expect("every GPU has its verdict");
    let taken: Vec<_> = gpus
        .iter()
        .filter(|gpu| gpu["reason"]["token"].is_string())
        .collect();
    assert_eq!(gpus.len(), 4, "{explained:#}");
    assert_eq!(taken.len(), 1, "one is shared: {explained:#}");
    assert_eq!(taken[0]["freeMilli"], 500);
}

#[test]
fn a_list_of_large_workloads_comes_in_pages_that_any_client_takes() {
    let cluster = Cluster::builder().start();
    for number in 0..60 {
        let mut spec = sleeper(&format!("large-{number}"));
        spec.argv.push("x".repeat(100 << 10));
        cluster.client.submit(&spec);
    }
    // The client takes 4 MiB, as every gRPC client does that nobody configured.
    assert_eq!(cluster.client.list(false).len(), 60);
}
