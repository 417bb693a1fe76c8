//! Wrong input gets the promised status, with every bad field named, and changes nothing.

use crate::{
    grpc_surface::{code, submission},
    support::{Cluster, NOBODY, SpecExt as _, is_root, needs_root, rpc, sleeper},
};
use dovetail_proto::v1::{
    GpuRequest, GpuShare, PlanPlacementRequest, Restart, SubmitWorkloadRequest, WorkloadSpec,
    gpu_request::Amount,
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// One way to be wrong, and the field that says so.
type Fault = (&'static str, fn(&mut WorkloadSpec));

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

fn share(compute_milli: Option<u32>, memory_bytes: Option<u64>) -> Option<GpuRequest> {
    let share = GpuShare {
        compute_milli,
        memory_bytes,
    };
    Some(GpuRequest {
        amount: Some(Amount::Share(share)),
        models: vec![],
    })
}

/// Each field out of its range, one at a time.
const FAULTS: [Fault; 38] = [
    ("workload.name", |w| w.name.clear()),
    ("workload.name", |w| w.name = "a".repeat(64)),
    ("workload.name", |w| w.name = "Chat".to_owned()),
    ("workload.name", |w| w.name = "chat-".to_owned()),
    ("workload.kind", |w| w.kind = 0),
    ("workload.kind", |w| w.kind = 99),
    ("workload.argv", |w| w.argv.clear()),
    ("workload.argv", |w| w.argv = vec!["x".to_owned(); 257]),
    ("workload.argv", |w| w.argv.push("x".repeat(128 << 10))),
    ("workload.argv[0]", |w| w.argv[0] = "bin/true".to_owned()),
    ("workload.argv[1]", |w| w.argv[1] = "a\0b".to_owned()),
    ("workload.env[\"9A\"]", |w| {
        w.env.insert("9A".to_owned(), String::new());
    }),
    ("workload.env[\"RANK\"]", |w| {
        w.env.insert("RANK".to_owned(), "1".to_owned());
    }),
    ("workload.env[\"DOVETAIL_X\"]", |w| {
        w.env.insert("DOVETAIL_X".to_owned(), String::new());
    }),
    ("workload.env", |w| {
        w.env = (0..257).map(|i| (format!("A{i}"), String::new())).collect();
    }),
    ("workload.workdir", |w| w.workdir = "tmp".to_owned()),
    ("workload.user", |w| w.user = "no-such-user".to_owned()),
    ("workload.gang_size", |w| w.gang_size = 1025),
    ("workload.priority", |w| w.priority = 1001),
    ("workload.priority", |w| w.priority = -1001),
    ("workload.queue", |w| w.queue = "Big".to_owned()),
    ("workload.labels", |w| {
        w.labels = (0..65).map(|i| (format!("l{i}"), String::new())).collect();
    }),
    ("workload.labels[\"l\"]", |w| {
        w.labels.insert("l".to_owned(), "v".repeat(64));
    }),
    ("workload.resources", |w| w.resources = None),
    ("workload.resources.cpu_milli", |w| {
        w.resources().cpu_milli = 0;
    }),
    ("workload.resources.cpu_milli", |w| {
        w.resources().cpu_milli = 4_096_001;
    }),
    ("workload.resources.cpu_limit_milli", |w| {
        w.resources().cpu_limit_milli = Some(499);
    }),
    ("workload.resources.memory_bytes", |w| {
        w.resources().memory_bytes = (4 << 20) - 1;
    }),
    ("workload.resources.memory_bytes", |w| {
        w.resources().memory_bytes = (64 << 40) + 1;
    }),
    ("workload.resources.minimum_level", |w| {
        w.resources().minimum_level = 42;
    }),
    ("workload.resources.gpu", |w| {
        w.resources().gpu = Some(GpuRequest::default());
    }),
    ("workload.resources.gpu.share.compute_milli", |w| {
        w.resources().gpu = share(Some(1001), None);
    }),
    ("workload.resources.gpu.share.memory_bytes", |w| {
        w.resources().gpu = share(None, Some(1));
    }),
    ("workload.runtime", |w| w.runtime = 3),
    ("workload.max_runtime", |w| w.max_runtime = seconds(0)),
    ("workload.stop_signal", |w| w.stop_signal = 32),
    ("workload.stop_grace", |w| w.stop_grace = seconds(3601)),
    ("workload.restart.limit", |w| {
        w.restart = Some(Restart {
            limit: 1001,
            ..Restart::default()
        });
    }),
];

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().into_iter();
    bad.flat_map(|bad| &bad.field_violations)
        .map(|violation| violation.field.clone())
        .collect()
}

fn host_of_eight() -> Cluster {
    Cluster::builder().host("oak", "L4-24", 8).start()
}

#[test]
fn each_field_out_of_range_is_named_and_changes_nothing() {
    let cluster = host_of_eight();
    let before = cluster.client.status();
    for (field, spoil) in FAULTS {
        let mut spec = sleeper("good");
        spoil(&mut spec);
        let status = cluster.client.try_submit(&spec).expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        assert_eq!(fields(&status), [field], "{status:?}");
    }
    let after = cluster.client.status();
    assert_eq!(before.state_hash, after.state_hash);
    assert_eq!(before.revision, after.revision);
}

#[test]
fn every_bad_field_of_one_request_is_named_at_once() {
    let cluster = host_of_eight();
    let mut spec = sleeper("good").whole(65, "");
    spec.name.clear();
    spec.kind = 99;
    spec.priority = 2000;
    spec.resources().cpu_milli = 0;
    let request = SubmitWorkloadRequest {
        workload: Some(spec),
        ..SubmitWorkloadRequest::default()
    };
    let call = rpc(cluster.client.workloads().submit_workload(request));
    let status = call.expect_err("nothing of it is right");
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut named = fields(&status);
    named.sort();
    let wanted = [
        "request_id",
        "workload.kind",
        "workload.name",
        "workload.priority",
        "workload.resources.cpu_milli",
        "workload.resources.gpu.whole.count",
    ];
    assert_eq!(named, wanted);
}

#[test]
fn grpcurl_shows_the_bad_fields_of_a_request_by_hand() {
    let cluster = host_of_eight();
    let before = cluster.client.status().state_hash;
    let mut request = submission("by-hand", 1, &json!({ "whole": { "count": 99 } }));
    request["workload"]["kind"] = json!(99);
    request["workload"]["name"] = json!("");
    let method = ["dovetail.v1.WorkloadService/SubmitWorkload"];
    let Some(ran) = cluster.grpcurl(&method, &request.to_string()) else {
        return;
    };
    assert_eq!(code(&ran), 3, "INVALID_ARGUMENT: {ran:#?}");
    for field in [
        "workload.name",
        "workload.kind",
        "workload.resources.gpu.whole.count",
    ] {
        assert!(ran.stderr.contains(field), "{field} in {ran:#?}");
    }
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn what_no_node_could_ever_hold_is_refused_at_once() {
    let cluster = host_of_eight();
    let before = cluster.client.status().state_hash;
    for spec in [
        sleeper("nine").whole(9, "L4"),
        sleeper("gang").whole(8, "L4").gang(2),
        sleeper("cpu").cpu(97_000),
        sleeper("memory").memory(2 << 20),
    ] {
        let status = cluster.client.try_submit(&spec).expect_err(&spec.name);
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        let details = status.get_error_details();
        let failure = details.precondition_failure().expect("what is violated");
        assert_eq!(failure.violations[0].r#type, "NEVER_FITS", "{status:?}");
        let info = details.error_info().expect("a reason for programs");
        assert_eq!(info.reason, "NEVER_FITS");
    }
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn a_model_nobody_has_heard_of_is_a_bad_field() {
    let cluster = host_of_eight();
    let before = cluster.client.status().state_hash;
    let spec = sleeper("odd").share(100, "Voodoo2");
    let status = cluster.client.try_submit(&spec).expect_err("no such model");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(fields(&status), ["workload.resources.gpu.models[0]"]);
    assert!(status.message().contains("Voodoo2"), "{status:?}");
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn a_body_of_two_mebibytes_is_refused_before_it_is_read() {
    let cluster = host_of_eight();
    let before = cluster.client.status().state_hash;
    let spec = sleeper("big").env("BIG", "x".repeat(2 << 20));
    let status = cluster.client.try_submit(&spec).expect_err("too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn a_request_id_means_one_body() {
    let cluster = Cluster::builder().start();
    let request = SubmitWorkloadRequest {
        request_id: "once".to_owned(),
        workload: Some(sleeper("one")),
        ..SubmitWorkloadRequest::default()
    };
    let submit = |request: &SubmitWorkloadRequest| {
        rpc(cluster.client.workloads().submit_workload(request.clone()))
    };
    let first = submit(&request).expect("it is good").workload;
    let before = cluster.client.status().state_hash;
    let again = submit(&request).expect("it is the same").workload;
    assert_eq!(first.map(|w| w.id), again.map(|w| w.id));
    let mut other = request.clone();
    other.workload = Some(sleeper("two"));
    let status = submit(&other).expect_err("another body");
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    let named = SubmitWorkloadRequest {
        request_id: "twice".to_owned(),
        ..request
    };
    let status = submit(&named).expect_err("the name is taken");
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn only_operators_touch_nodes_and_other_users() {
    if !needs_root("calling as another user") {
        return;
    }
    let cluster = Cluster::small();
    let before = cluster.client.status().state_hash;
    let cordoned = cluster.dovetail_as(Some(NOBODY), &["node", "cordon", "oak"]);
    let cordoned = cordoned.expect(6);
    assert!(
        cordoned.stderr.contains("security.operators"),
        "{cordoned:#?}"
    );
    let words = [
        "submit",
        "--name",
        "x",
        "--user",
        "daemon",
        "--",
        "/bin/true",
    ];
    cluster.dovetail_as(Some(NOBODY), &words).expect(6);
    let verified = cluster.dovetail_as(Some(NOBODY), &["status", "--verify"]);
    verified.expect(6);
    assert_eq!(before, cluster.client.status().state_hash);
}

#[test]
fn work_does_not_run_as_root_unless_the_scheduler_allows_it() {
    if !is_root() {
        return;
    }
    let cluster = Cluster::small();
    let mut spec = sleeper("root");
    spec.user.clear();
    let status = cluster.client.try_submit(&spec).expect_err("uid 0");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert_eq!(fields(&status), ["workload.user"]);
    assert!(
        status.message().contains("allow_root_workloads"),
        "{status:?}"
    );
}

#[test]
fn checking_only_changes_nothing_and_a_moved_revision_is_aborted() {
    let cluster = host_of_eight();
    let before = cluster.client.status();
    let submit = |validate_only, expected_revision| {
        let request = SubmitWorkloadRequest {
            request_id: format!("check-{expected_revision}"),
            workload: Some(sleeper("job").whole(1, "")),
            validate_only,
            expected_revision,
        };
        rpc(cluster.client.workloads().submit_workload(request))
    };
    let checked = submit(true, 0).expect("nothing is wrong with it").workload;
    assert_eq!(checked.map(|w| w.id).as_deref(), Some(""));
    let status = submit(false, before.revision + 100).expect_err("another revision");
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    let after = cluster.client.status();
    assert_eq!(
        (before.revision, &before.state_hash),
        (after.revision, &after.state_hash)
    );
    let accepted = submit(false, before.revision).expect("it is the revision");
    assert!(accepted.revision > before.revision);
}

#[test]
fn planning_says_where_and_changes_nothing() {
    let cluster = host_of_eight();
    let before = cluster.client.status().state_hash;
    let plan = |spec: WorkloadSpec| {
        let request = PlanPlacementRequest {
            workload: Some(spec),
        };
        rpc(cluster.client.workloads().plan_placement(request)).expect("a plan")
    };
    let fits = plan(sleeper("job").whole(8, ""));
    assert!(fits.fits && fits.placements[0].gpus.len() == 8, "{fits:#?}");
    assert_eq!(before, cluster.client.status().state_hash);
    cluster.client.run(&sleeper("one").share(100, ""));
    let waits = plan(sleeper("job").whole(8, ""));
    let why = waits.explanation.and_then(|explained| explained.reason);
    assert!(!waits.fits && waits.placements.is_empty() && why.is_some());
}

#[test]
fn the_environment_of_others_is_not_shown() {
    if !needs_root("calling as another user") {
        return;
    }
    let cluster = Cluster::builder().start();
    let mut spec = sleeper("job").env("TOKEN", "very-secret");
    spec.user = "daemon".to_owned();
    let id = cluster.client.submit(&spec);
    let own = cluster.client.get(&id).spec.expect("a workload has a spec");
    assert_eq!(own.env["TOKEN"], "very-secret", "an operator sees it");
    for words in [
        vec!["-o", "json", "get", &id],
        vec!["-o", "json", "ps", "-a"],
    ] {
        let seen = cluster.dovetail_as(Some(NOBODY), &words);
        assert!(!seen.stdout.contains("very-secret"), "{seen:#?}");
    }
}
