//! The scheduler's program on its Unix socket: real processes, a real journal, a real client.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "socket/agent.rs"]
mod agent;
#[path = "socket/discovery.rs"]
mod discovery;
#[path = "socket/disk.rs"]
mod disk;
#[path = "socket/program.rs"]
mod program;
#[path = "socket/solver.rs"]
mod solver;
#[path = "socket/strangers.rs"]
mod strangers;

use dovetail_proto::v1;
use program::{Program, spec, submission};
use tonic::Code;
use tonic_types::StatusExt as _;

#[tokio::test]
async fn a_workload_is_accepted_once_and_shown() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let first = workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap()
        .into_inner();
    let id = first.workload.as_ref().unwrap().id.clone();
    let again = workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        again.workload.unwrap().id,
        id,
        "the same request is the same workload"
    );
    let mut other = submission("r1", "a");
    other.workload.as_mut().unwrap().priority = 5;
    let reused = workloads.submit_workload(other).await.unwrap_err();
    assert_eq!(reused.code(), Code::AlreadyExists);
    let details = reused.get_error_details();
    assert_eq!(
        details.error_info().unwrap().reason,
        "IDEMPOTENCY_KEY_REUSED"
    );
    let taken = workloads
        .submit_workload(submission("r2", "a"))
        .await
        .unwrap_err();
    assert_eq!(
        taken.get_error_details().error_info().unwrap().reason,
        "NAME_TAKEN"
    );
}

#[tokio::test]
async fn a_waiting_workload_is_shown_explained_and_cancelled() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let reply = workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    let id = reply.into_inner().workload.unwrap().id;
    for name in [id.as_str(), "a"] {
        let get = v1::GetWorkloadRequest {
            id: name.to_owned(),
        };
        let shown = workloads
            .get_workload(get)
            .await
            .unwrap()
            .into_inner()
            .workload
            .unwrap();
        assert_eq!(
            (shown.id.as_str(), shown.state()),
            (id.as_str(), v1::WorkloadState::Pending)
        );
        assert_eq!(shown.reason.unwrap().token, "NoNodes");
    }
    let list = workloads
        .list_workloads(v1::ListWorkloadsRequest::default())
        .await
        .unwrap();
    assert_eq!(list.into_inner().workloads.len(), 1);
    let explain = v1::ExplainWorkloadRequest { id: id.clone() };
    let why = workloads
        .explain_workload(explain)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(why.queue_position, 1);
    let cancel = v1::CancelWorkloadRequest {
        request_id: "r3".to_owned(),
        id,
        ..v1::CancelWorkloadRequest::default()
    };
    let ended = workloads
        .cancel_workload(cancel)
        .await
        .unwrap()
        .into_inner()
        .workload
        .unwrap();
    assert_eq!(ended.state(), v1::WorkloadState::Cancelled);
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    for n in 0..5 {
        workloads
            .submit_workload(submission(&format!("r{n}"), &format!("w{n}x")))
            .await
            .unwrap();
    }
    let (mut token, mut names) = (String::new(), vec![]);
    loop {
        let list = v1::ListWorkloadsRequest {
            page_size: 2,
            page_token: token,
            ..v1::ListWorkloadsRequest::default()
        };
        let page = workloads.list_workloads(list).await.unwrap().into_inner();
        names.extend(page.workloads.into_iter().map(|w| w.spec.unwrap().name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["w4x", "w3x", "w2x", "w1x", "w0x"]);
}

#[tokio::test]
async fn bad_input_names_every_field_and_changes_nothing() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let before = program.status().await;
    let mut bad = submission("", "A B");
    let workload = bad.workload.as_mut().unwrap();
    workload.kind = 77;
    workload.gang_size = 5000;
    workload.priority = 9999;
    let resources = workload.resources.as_mut().unwrap();
    resources.cpu_milli = 0;
    resources.gpu = Some(v1::GpuRequest {
        amount: Some(v1::gpu_request::Amount::Whole(v1::WholeGpus { count: 65 })),
        models: vec![],
    });
    let refused = workloads.submit_workload(bad).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    let fields: Vec<&str> = details
        .bad_request()
        .unwrap()
        .field_violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    for field in [
        "request_id",
        "workload.name",
        "workload.kind",
        "workload.gang_size",
        "workload.priority",
        "workload.resources.cpu_milli",
    ] {
        assert!(fields.contains(&field), "{field} is missing in {fields:?}");
    }
    let mut unknown = submission("r", "a");
    unknown.workload.as_mut().unwrap().user = "no-such-user".to_owned();
    let refused = workloads.submit_workload(unknown).await.unwrap_err();
    let details = refused.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "workload.user"
    );
    for id in ["", "w999", "NO"] {
        let get = v1::GetWorkloadRequest { id: id.to_owned() };
        let code = workloads.get_workload(get).await.unwrap_err().code();
        assert_eq!(
            code,
            if id == "w999" {
                Code::NotFound
            } else {
                Code::InvalidArgument
            }
        );
    }
    let after = program.status().await;
    assert_eq!(
        (before.revision, before.state_hash),
        (after.revision, after.state_hash)
    );
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_refused_as_too_large() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let mut large = submission("r1", "a");
    large
        .workload
        .as_mut()
        .unwrap()
        .argv
        .push("x".repeat(2 << 20));
    let refused = workloads.submit_workload(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(
        refused.get_error_details().error_info().unwrap().reason,
        "MESSAGE_TOO_LARGE"
    );
    workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
}

#[tokio::test]
async fn validate_only_and_expected_revision_change_nothing() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let before = program.status().await.revision;
    let mut check = submission("r1", "a");
    check.validate_only = true;
    let checked = workloads
        .submit_workload(check)
        .await
        .unwrap()
        .into_inner()
        .workload
        .unwrap();
    assert_eq!(
        (checked.id.as_str(), checked.spec.unwrap().queue.as_str()),
        ("", "default")
    );
    let mut late = submission("r2", "a");
    late.expected_revision = before + 7;
    assert_eq!(
        workloads.submit_workload(late).await.unwrap_err().code(),
        Code::Aborted
    );
    assert_eq!(program.status().await.revision, before);
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let mut program = Program::start().await;
    let mut acknowledged = vec![];
    for round in 0..3 {
        let mut workloads = program.workloads().await;
        for n in 0..20 {
            let name = format!("j-{round}-{n}");
            let reply = workloads
                .submit_workload(submission(&name, &name))
                .await
                .unwrap();
            acknowledged.push((reply.into_inner().workload.unwrap().id, name));
        }
        let before = program.version().await.term;
        program.kill().await;
        program.restart().await;
        assert_eq!(program.version().await.term, before + 1);
        let mut workloads = program.workloads().await;
        for (id, name) in &acknowledged {
            let get = v1::GetWorkloadRequest { id: id.clone() };
            let shown = workloads
                .get_workload(get)
                .await
                .unwrap()
                .into_inner()
                .workload
                .unwrap();
            assert_eq!(shown.spec.unwrap().name, *name);
        }
        let verified = program.verify().await;
        assert!(verified.equal, "{verified:?}");
        assert_eq!(verified.memory_hash, program.status().await.state_hash);
    }
}

#[tokio::test]
async fn a_request_that_was_answered_before_a_crash_is_answered_the_same_after_it() {
    let mut program = Program::start().await;
    let first = program
        .workloads()
        .await
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    let id = first.into_inner().workload.unwrap().id;
    program.kill().await;
    program.restart().await;
    let again = program
        .workloads()
        .await
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    assert_eq!(again.into_inner().workload.unwrap().id, id);
}

#[tokio::test]
async fn exit_codes_say_what_is_wrong() {
    let program = Program::start().await;
    let second = program.second().await;
    assert_eq!(second.status.code(), Some(75));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("already uses the data directory"), "{text}");
    for (arguments, text, code) in [
        (&["--no-such-flag"][..], "unexpected argument", 64),
        (
            &["--config", "/nonexistent.toml"],
            "failed to read the configuration",
            64,
        ),
        (&["--version"], "", 0),
        (&["--help"], "", 0),
    ] {
        let done = Program::run(arguments).await;
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
        assert!(
            String::from_utf8(done.stderr).unwrap().contains(text),
            "{arguments:?}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    std::fs::write(&config, "[lease]\nduration = \"1s\"\n").unwrap();
    let config = config.to_str().unwrap();
    let done = Program::run(&["--config", config, "--check-config"]).await;
    assert_eq!(done.status.code(), Some(64));
    assert!(
        String::from_utf8(done.stderr)
            .unwrap()
            .contains("c.toml:2: `lease.duration`")
    );
    let missing = format!(
        "data_dir = \"{0}/d\"\nsocket = \"{0}/no/s\"\n",
        dir.path().display()
    );
    std::fs::write(config, missing).unwrap();
    let done = Program::run(&["--config", config]).await;
    assert_eq!(done.status.code(), Some(74));
    assert!(
        String::from_utf8(done.stderr)
            .unwrap()
            .contains("does not exist; create it")
    );
    let printed = Program::run(&["--config", config, "--print-config"]).await;
    assert!(
        String::from_utf8(printed.stdout)
            .unwrap()
            .contains("[solver]\nenabled = true")
    );
}

#[tokio::test]
async fn damage_stops_the_start_with_the_sequence_and_leaves_the_file_alone() {
    let mut program = Program::start().await;
    let mut workloads = program.workloads().await;
    for n in 0..5 {
        let name = format!("find-me-{n}");
        workloads
            .submit_workload(submission(&name, &name))
            .await
            .unwrap();
    }
    drop(workloads);
    program.stop().await;
    let path = program.dir().join("data/journal.redb");
    let mut bytes = std::fs::read(&path).unwrap();
    let wanted = b"find-me-3";
    let places: Vec<usize> = (0..bytes.len() - wanted.len())
        .filter(|at| &bytes[*at..at + wanted.len()] == wanted)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(&path, &bytes).unwrap();
    let done = program.second().await;
    assert_eq!(done.status.code(), Some(74));
    let text = String::from_utf8(done.stderr).unwrap();
    assert!(text.contains("damaged at sequence"), "{text}");
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_and_takes_the_socket_away() {
    let mut program = Program::start().await;
    let mut workloads = program.workloads().await;
    workloads
        .submit_workload(submission("r1", "a"))
        .await
        .unwrap();
    let begun = std::time::Instant::now();
    let status = program.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < std::time::Duration::from_secs(6));
    assert!(!program.socket().exists());
    program.restart().await;
    let get = v1::GetWorkloadRequest { id: "a".to_owned() };
    program.workloads().await.get_workload(get).await.unwrap();
}

#[tokio::test]
async fn plans_are_what_ifs() {
    let program = Program::start().await;
    let mut workloads = program.workloads().await;
    let plan = v1::PlanPlacementRequest {
        workload: Some(spec("a")),
    };
    let answer = workloads.plan_placement(plan).await.unwrap().into_inner();
    assert!(!answer.fits && answer.explanation.unwrap().reason.is_some());
    let list = workloads
        .list_workloads(v1::ListWorkloadsRequest::default())
        .await
        .unwrap();
    assert!(list.into_inner().workloads.is_empty());
}

#[tokio::test]
async fn the_service_manager_hears_ready_alive_and_stopping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let notify = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut program = Program::start_with(&[
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "300000"),
    ])
    .await;
    let mut heard = String::new();
    let mut buffer = [0; 256];
    while !heard.contains("WATCHDOG=1") {
        let length = notify.recv(&mut buffer).await.unwrap();
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(heard.starts_with("READY=1"), "{heard}");
    program.stop().await;
    while !heard.contains("STOPPING=1") {
        let length = notify.recv(&mut buffer).await.unwrap();
        heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
}
