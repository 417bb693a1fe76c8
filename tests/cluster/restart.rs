//! `kill -9` of every daemon: nothing that was acknowledged is lost, and nothing that runs stops.

use crate::{
    limits::{cores, place},
    support::{
        Client, Cluster, Ran, SpecExt as _, is_root, kernel, program_as, rpc, run, shell, sleeper,
    },
};
use dovetail_proto::v1::{Cause, SubmitWorkloadRequest, WorkloadState};
use std::{
    collections::BTreeSet,
    path::Path,
    thread::{self, sleep},
    time::Duration,
};

const CRASHES: u64 = 20;

/// Submits one workload after the other until the scheduler is gone; gives what was acknowledged.
fn submit_until_it_dies(client: &Client, round: u64) -> Vec<String> {
    let names = (0..).map(|number| format!("w-{round}-{number}"));
    let acknowledged = names.map_while(|name| client.try_submit(&sleeper(&name).whole(1, "")).ok());
    acknowledged.map(|workload| workload.id).collect()
}

#[test]
fn twenty_schedulers_killed_amid_submissions_lose_nothing_acknowledged() {
    // Two run and the others wait: both are state.
    let mut cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let mut acknowledged = BTreeSet::new();
    for round in 0..CRASHES {
        let client = cluster.client.clone();
        let submitter = thread::spawn(move || submit_until_it_dies(&client, round));
        // Another moment each time.
        sleep(Duration::from_millis(10 + round * 7 % 60));
        cluster.scheduler.kill();
        let ids = submitter.join().expect("it does not panic");
        acknowledged.extend(ids);
        cluster.crash_scheduler();
        let known: BTreeSet<String> = cluster
            .client
            .list(true)
            .into_iter()
            .map(|w| w.id)
            .collect();
        let lost: Vec<_> = acknowledged.difference(&known).collect();
        assert!(lost.is_empty(), "crash {round} lost {lost:?}");
    }
    assert!(
        acknowledged.len() > 20,
        "only {} were acknowledged",
        acknowledged.len()
    );
    let verdict = cluster.client.verify();
    assert!(verdict.equal, "{verdict:?}");
    println!(
        "{CRASHES} crashes, {} acknowledged, 0 lost, revision {}, state {}",
        acknowledged.len(),
        verdict.revision,
        verdict.memory_hash
    );
}

#[test]
fn a_workload_acknowledged_just_before_the_crash_is_there_after_it() {
    let mut cluster = Cluster::builder().start();
    for round in 0..5 {
        let id = cluster.client.submit(&sleeper(&format!("last-{round}")));
        cluster.scheduler.kill();
        cluster.crash_scheduler();
        let workload = cluster.client.get(&id);
        assert_eq!(workload.state(), WorkloadState::Pending);
        assert!(cluster.client.verify().equal);
    }
}

#[test]
fn what_runs_stays_where_it_is_while_the_scheduler_is_gone() {
    let mut cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let before = cluster
        .client
        .run(&shell("job", "echo $$; sleep 3600").share(300, ""));
    cluster.crash_scheduler();
    cluster.await_hosts();
    let verdict = cluster.client.verify();
    assert!(verdict.equal, "replayed, not rebuilt: {verdict:?}");
    let after = cluster
        .client
        .await_state(&before.id, WorkloadState::Running);
    assert_eq!(before.members[0].placement, after.members[0].placement);
    assert_eq!(after.attempt, 1);
    cluster.client.cancel(&before.id);
}

#[test]
fn a_workload_outlives_its_agent_limited_and_known() {
    let mut cluster = Cluster::small();
    let burner = shell("burner", "while :; do :; done").cpu(200);
    let before = cluster.client.run(&burner);
    let (node, slice) = place(&before);
    let processes = cluster.cgroups.processes(&node, &slice);
    cluster.hosts[0].agent.kill();
    if is_root() {
        let used = cores(&cluster, &node, &slice);
        assert!(used > 0.0 && used <= 0.22, "{used} cores without an agent");
        assert_eq!(processes, cluster.cgroups.processes(&node, &slice));
    }
    cluster.hosts[0].agent.restart();
    let after = cluster.client.until(&before.id, "known", |w| {
        w.state() == WorkloadState::Running && cluster.client.nodes_ready() == 1
    });
    assert_eq!(
        (after.attempt, &after.members[0].placement),
        (1, &before.members[0].placement)
    );
    assert!(cluster.client.node(&node).orphaned_slices.is_empty());
    assert_eq!(processes, cluster.cgroups.processes(&node, &slice));
    // The new agent can still end what the old one started.
    cluster.client.cancel(&before.id);
    for pid in processes {
        kernel::await_gone(pid);
    }
    cluster.await_nothing_left();
}

#[test]
fn what_ended_without_an_agent_has_its_exit_code() {
    let mut cluster = Cluster::small();
    let dir = cluster.dir().join("signals");
    std::fs::create_dir(&dir).expect("the directory is ours");
    let go = dir.join("go");
    let script = format!(
        "echo ready; while [ ! -e {} ]; do sleep 0.05; done; echo last words; exit 7",
        go.display()
    );
    let workload = cluster.client.run(&shell("job", &script));
    cluster.client.await_output(&workload.id, 0, "ready");
    let (node, slice) = place(&workload);
    let processes = cluster.cgroups.processes(&node, &slice);
    cluster.hosts[0].agent.kill();
    std::fs::write(&go, "").expect("the directory is ours");
    for pid in processes {
        kernel::await_gone(pid);
    }
    // Without cgroups nobody but the supervisor can say that it has ended.
    sleep(Duration::from_millis(500));
    cluster.hosts[0].agent.restart();
    let (ended, exit) = cluster.client.await_end(&workload.id);
    assert_eq!(ended.state(), WorkloadState::Failed, "{ended:#?}");
    assert_eq!((exit.cause(), exit.code), (Cause::Exit, 7));
    assert_eq!(exit.output_tail, "ready\nlast words\n");
    cluster.await_nothing_left();
}

#[test]
fn both_daemons_killed_at_once_come_back_to_the_same_work() {
    let mut cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let running = cluster.client.run(&sleeper("runs").whole(2, ""));
    let waiting = cluster.client.submit(&sleeper("waits").whole(1, ""));
    let (node, slice) = place(&running);
    let processes = cluster.cgroups.processes(&node, &slice);
    cluster.hosts[0].agent.kill();
    cluster.scheduler.kill();
    cluster.hosts[0].agent.restart();
    cluster.crash_scheduler();
    cluster.await_hosts();
    let after = cluster
        .client
        .await_state(&running.id, WorkloadState::Running);
    assert_eq!(running.members[0].placement, after.members[0].placement);
    assert_eq!(processes, cluster.cgroups.processes(&node, &slice));
    cluster.client.cancel(&running.id);
    cluster.client.await_state(&waiting, WorkloadState::Running);
    assert!(cluster.client.verify().equal);
}

#[test]
fn a_request_repeated_after_the_crash_is_the_same_request() {
    let mut cluster = Cluster::builder().start();
    let request = SubmitWorkloadRequest {
        request_id: "once".to_owned(),
        workload: Some(sleeper("job")),
        ..SubmitWorkloadRequest::default()
    };
    let submit = |client: &Client| {
        let reply = rpc(client.workloads().submit_workload(request.clone()));
        let workload = reply.expect("it is good").workload;
        workload.expect("a submission has a workload").id
    };
    let first = submit(&cluster.client);
    cluster.crash_scheduler();
    assert_eq!(first, submit(&cluster.client));
    assert_eq!(cluster.client.list(true).len(), 1);
}

fn start_again(program: &str, config: &Path) -> Ran {
    run(program_as(None, program).arg("--config").arg(config), "")
}

#[test]
fn a_second_daemon_on_the_same_files_gives_up_with_75() {
    let cluster = Cluster::small();
    let second = start_again("dovetail-scheduler", &cluster.config()).expect(75);
    assert!(
        second.stderr.contains("journal"),
        "it names what is taken: {second:#?}"
    );
    let second = start_again("dovetail-agent", cluster.hosts[0].config()).expect(75);
    assert!(
        second.stderr.contains("oak"),
        "it names what is taken: {second:#?}"
    );
    // The first ones are not disturbed.
    let workload = cluster.client.run(&sleeper("job"));
    cluster.client.cancel(&workload.id);
}

#[test]
fn asked_to_stop_the_daemons_end_with_0_and_leave_work_alone() {
    let mut cluster = Cluster::small();
    let workload = cluster.client.run(&sleeper("job"));
    let (node, slice) = place(&workload);
    let processes = cluster.cgroups.processes(&node, &slice);
    assert_eq!(cluster.hosts[0].agent.stop().code(), Some(0));
    assert_eq!(cluster.scheduler.stop().code(), Some(0));
    for pid in &processes {
        assert!(kernel::lives(*pid), "process {pid} was hurt");
    }
    cluster.hosts[0].agent.restart();
    cluster.crash_scheduler();
    cluster.await_hosts();
    cluster
        .client
        .await_state(&workload.id, WorkloadState::Running);
}
