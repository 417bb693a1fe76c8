//! Nodes that fall silent, are told by a stranger, or have a driver that hangs.

use crate::{
    limits::place,
    support::{Cluster, SpecExt as _, eventually, is_root, kernel, shell, sleeper},
};
use dovetail_proto::v1::{Cause, GpuHealth, NodeState, WorkloadState};
use std::fs;

/// As short as the scheduler allows.
const LEASE: &str = "[lease]\nduration = '6s'\n";

#[test]
fn a_silent_node_is_unreachable_and_what_runs_there_stays_counted() {
    let mut cluster = Cluster::builder()
        .settings(LEASE)
        .host("oak", "L4-24", 2)
        .start();
    let running = cluster.client.run(&sleeper("runs").whole(2, ""));
    cluster.hosts[0].agent.kill();
    let client = cluster.client.clone();
    eventually("the lease is over", || {
        let state = client.node("oak").state();
        (state == NodeState::Unreachable).then_some(())
    });
    let used: u32 = client
        .node("oak")
        .gpus
        .iter()
        .map(|gpu| gpu.used_milli)
        .sum();
    assert_eq!(used, 2000, "nobody knows that it has ended");
    assert_eq!(client.get(&running.id).state(), WorkloadState::Running);
    let waiting = client.submit(&sleeper("waits").cpu(100));
    assert_eq!(client.get(&waiting).state(), WorkloadState::Pending);
    cluster.hosts[0].agent.restart();
    cluster.await_hosts();
    client.await_state(&waiting, WorkloadState::Running);
    let after = client.get(&running.id);
    assert_eq!((after.state(), after.attempt), (WorkloadState::Running, 1));
}

#[test]
fn a_node_that_is_given_up_loses_its_slices_and_its_capacity() {
    let mut cluster = Cluster::builder()
        .settings(LEASE)
        .host("oak", "L4-24", 1)
        .start();
    let running = cluster.client.run(&sleeper("runs").whole(1, ""));
    let early = cluster.dovetail(&["node", "forget", "oak"]).expect(1);
    assert!(
        !early.stderr.is_empty(),
        "a node that reports is not given up"
    );
    cluster.hosts[0].agent.kill();
    let client = cluster.client.clone();
    eventually("the lease is over", || {
        let state = client.node("oak").state();
        (state == NodeState::Unreachable).then_some(())
    });
    let forgotten = cluster.dovetail(&["node", "forget", "oak"]).expect(0);
    let (_, slice) = place(&running);
    assert!(forgotten.stdout.contains(&slice), "{forgotten:#?}");
    let lost = client.get(&running.id);
    assert_eq!(
        (lost.state(), lost.cause()),
        (WorkloadState::Lost, Cause::NodeLost)
    );
    cluster.dovetail(&["node", "get", "oak"]).expect(4);
}

#[test]
fn a_scheduler_without_its_journal_is_not_obeyed() {
    let mut cluster = Cluster::small();
    let workload = cluster.client.run(&shell("job", "echo $$; sleep 3600"));
    let (node, slice) = place(&workload);
    let pids = cluster.cgroups.processes(&node, &slice);
    // As after an operator's mistake: the same socket, an empty data_dir, another cluster.
    cluster.scheduler.kill();
    fs::remove_dir_all(cluster.dir().join("journal")).expect("it is ours");
    cluster.crash_scheduler();
    let client = cluster.client.clone();
    eventually("the node says what it has", || {
        let orphans = (client.nodes_ready() == 1).then(|| client.node("oak").orphaned_slices);
        orphans.filter(|orphans| orphans.iter().any(|orphan| orphan.contains(&slice)))
    });
    if is_root() {
        assert_eq!(pids, cluster.cgroups.processes(&node, &slice));
        assert!(pids.iter().all(|pid| kernel::lives(*pid)), "work was hurt");
    }
    // Nor does it get new work: two schedulers would share out the same GPUs.
    let id = client.submit(&sleeper("new"));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_ne!(client.get(&id).state(), WorkloadState::Running);
}

#[test]
fn a_driver_that_hangs_takes_its_gpus_and_not_the_node() {
    let cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    let client = &cluster.client;
    let running = client.run(&sleeper("runs").share(300, ""));
    for gpu in 0..2 {
        cluster.host("oak").set(gpu, "hang-ms=60000");
    }
    eventually("the hang is noticed", || {
        let gpus = client.node("oak").gpus;
        gpus.iter()
            .any(|gpu| gpu.health() == GpuHealth::Unresponsive)
            .then_some(())
    });
    assert_eq!(client.node("oak").state(), NodeState::Ready);
    assert_eq!(client.get(&running.id).state(), WorkloadState::Running);
    // Work without a GPU starts and stops as ever.
    let cpu = client.run(&sleeper("cpu"));
    client.cancel(&cpu.id);
    client.cancel(&running.id);
}

#[test]
fn a_cordoned_node_gets_nothing_new_and_keeps_what_it_has() {
    let cluster = Cluster::small();
    let client = &cluster.client;
    let running = client.run(&sleeper("runs"));
    let words = ["node", "cordon", "oak", "--reason", "a fan is loud"];
    cluster.dovetail(&words).expect(0);
    let waiting = client.submit(&sleeper("waits"));
    let explained = cluster.dovetail(&["explain", &waiting]).expect(0);
    assert!(explained.stdout.contains("a fan is loud"), "{explained:#?}");
    assert_eq!(client.get(&running.id).state(), WorkloadState::Running);
    cluster.dovetail(&["node", "uncordon", "oak"]).expect(0);
    client.await_state(&waiting, WorkloadState::Running);
}
