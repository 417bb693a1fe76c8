//! Gangs live and die together; attempts, limits of time and output.

use crate::support::{Cluster, SpecExt as _, shell, sleeper};
use dovetail_proto::v1::{Cause, WorkloadState};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

fn two_hosts() -> Cluster {
    Cluster::builder()
        .host("maple", "L4-24", 2)
        .host("rowan", "L4-24", 2)
        .start()
}

fn variables(output: &str) -> BTreeMap<String, String> {
    let pairs = output.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn every_member_of_a_gang_knows_its_rank_and_the_others() {
    let cluster = two_hosts();
    let spec = shell("train", "env; echo end=here; sleep 3600")
        .whole(2, "")
        .gang(2);
    let workload = cluster.client.run(&spec);
    let nodes: Vec<String> = workload
        .members
        .iter()
        .map(|member| member.placement.clone().expect("a place").node)
        .collect();
    assert_eq!(
        nodes.iter().collect::<BTreeSet<_>>().len(),
        2,
        "two each: {nodes:?}"
    );
    let mut ports = BTreeSet::new();
    for member in &workload.members {
        let output = cluster
            .client
            .await_output(&workload.id, member.index, "end=here");
        let env = variables(&output);
        let placement = member.placement.clone().expect("a place");
        let uuids: Vec<_> = placement.gpus.iter().map(|gpu| gpu.uuid.clone()).collect();
        assert_eq!(env["RANK"], member.index.to_string());
        assert_eq!(env["WORLD_SIZE"], "2");
        assert_eq!(env["MASTER_ADDR"], nodes[0]);
        assert_eq!(env["DOVETAIL_GANG_NODES"], nodes.join(","));
        assert_eq!(env["DOVETAIL_NODE"], placement.node);
        assert_eq!(env["CUDA_VISIBLE_DEVICES"], uuids.join(","));
        assert!(!env.contains_key("DOVETAIL_SOCKET"), "{env:?}");
        ports.insert(env["MASTER_PORT"].clone());
    }
    assert_eq!(ports.len(), 1, "all meet at one port");
}

#[test]
fn a_failing_member_stops_the_whole_gang() {
    let cluster = two_hosts();
    let script = "if [ $RANK = 1 ]; then sleep 1; exit 9; fi; sleep 3600";
    let id = cluster
        .client
        .submit(&shell("train", script).whole(2, "").gang(2));
    let (workload, first) = cluster.client.await_end(&id);
    assert_eq!(workload.state(), WorkloadState::Failed);
    assert_eq!(
        (workload.cause(), first.cause(), first.code),
        (Cause::Exit, Cause::Exit, 9)
    );
    let stopped = workload.members[0].exit.clone().expect("rank 0 ended too");
    assert_eq!(stopped.cause(), Cause::Evicted, "{workload:#?}");
    cluster.await_nothing_left();
}

#[test]
fn a_failed_attempt_is_followed_by_another_and_by_no_more_than_were_asked_for() {
    let cluster = Cluster::small();
    let third_time =
        "echo attempt of $DOVETAIL_SLICE; case $DOVETAIL_SLICE in *-3-0) exit 0;; esac; exit 5";
    let lucky = cluster
        .client
        .submit(&shell("lucky", third_time).restart(5, 50));
    let unlucky = cluster
        .client
        .submit(&shell("unlucky", "exit 6").restart(2, 50));
    let (lucky, _) = cluster.client.await_end(&lucky);
    assert_eq!(
        (lucky.state(), lucky.attempt),
        (WorkloadState::Succeeded, 3)
    );
    let (unlucky, exit) = cluster.client.await_end(&unlucky);
    assert_eq!(
        (unlucky.state(), unlucky.attempt),
        (WorkloadState::Failed, 3),
        "one and two more"
    );
    assert_eq!((exit.cause(), exit.code), (Cause::Exit, 6));
}

#[test]
fn a_workload_that_runs_too_long_is_ended() {
    let cluster = Cluster::small();
    let id = cluster
        .client
        .submit(&sleeper("slow").max_runtime(1).grace(1));
    let (workload, exit) = cluster.client.await_end(&id);
    assert_eq!(workload.state(), WorkloadState::Failed);
    assert_eq!(
        (workload.cause(), exit.cause()),
        (Cause::Timeout, Cause::Timeout)
    );
    let (from, to) = (
        exit.started_at.expect("it ran"),
        exit.ended_at.expect("it ended"),
    );
    let nanos =
        |at: prost_types::Timestamp| i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    let ran = nanos(to) - nanos(from);
    assert!(ran >= 1_000_000_000, "{ran} ns");
}

#[test]
fn a_program_that_does_not_exist_is_a_failed_start_that_says_so() {
    let cluster = Cluster::small();
    let mut spec = sleeper("typo");
    spec.argv = vec!["/bin/slepe".to_owned()];
    let (workload, exit) = cluster.client.await_end(&cluster.client.submit(&spec));
    assert_eq!(workload.cause(), Cause::StartFailed, "{workload:#?}");
    assert!(exit.message.contains("/bin/slepe"), "{exit:?}");
}

#[test]
fn logs_are_followed_to_the_end_through_the_command_line() {
    let cluster = Cluster::small();
    let script = "echo one; echo oops >&2; sleep 1; echo two; sleep 1; echo three";
    let id = cluster.client.submit(&shell("talker", script));
    cluster.client.await_output(&id, 0, "one");
    let followed = cluster
        .dovetail(&["--timeout", "30", "logs", "-f", &id])
        .expect(0);
    assert_eq!(followed.stdout, "one\ntwo\nthree\n");
    assert_eq!(followed.stderr, "oops\n");
    cluster.client.await_state(&id, WorkloadState::Succeeded);
    // What was written stays readable after the end, and its tail alone too.
    let whole = cluster.dovetail(&["logs", &id]).expect(0);
    assert_eq!(whole.stdout, "one\ntwo\nthree\n");
    let tail = cluster.dovetail(&["logs", "--tail", "6", &id]).expect(0);
    assert_eq!(tail.stdout, "three\n");
}

#[test]
fn a_cancelled_workload_gets_its_stop_signal_and_its_grace() {
    let cluster = Cluster::small();
    let script = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.1; done";
    let workload = cluster.client.run(&shell("polite", script).grace(30));
    cluster.client.await_output(&workload.id, 0, "ready");
    let began = std::time::Instant::now();
    cluster.client.cancel(&workload.id);
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "it did not wait for the grace to pass"
    );
    assert!(
        cluster
            .client
            .output(&workload.id, 0)
            .ends_with("goodbye\n")
    );
}
