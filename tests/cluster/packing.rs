//! The named instance: what the greedy packer strands, the exact solver places.

use crate::support::{Cluster, SpecExt as _, sleeper};
use dovetail_proto::v1::WorkloadState;

const HOSTS: [&str; 2] = ["maple", "rowan"];

#[test]
fn three_three_and_a_gang_of_two_fives_all_fit_on_two_hosts_of_eight() {
    let builder = HOSTS.iter().fold(Cluster::builder(), |builder, name| {
        builder.host(name, "L4-24", 8)
    });
    let cluster = builder.start();
    let client = &cluster.client;
    let before = client.status().solver.unwrap_or_default();
    for host in HOSTS {
        client.cordon(host);
    }
    let specs = [
        sleeper("three-a").whole(3, "L4"),
        sleeper("three-b").whole(3, "L4"),
        sleeper("five-five").whole(5, "L4").gang(2),
    ];
    let ids = specs.map(|spec| client.submit(&spec));
    for id in &ids {
        assert_eq!(client.get(id).state(), WorkloadState::Pending);
    }
    for host in HOSTS {
        client.uncordon(host);
    }
    for id in &ids {
        client.await_state(id, WorkloadState::Running);
    }
    let status = client.status();
    let after = status.solver.unwrap_or_default();
    println!(
        "solver: {} runs, {} improved, {} fallbacks, {} kills",
        after.runs - before.runs,
        after.improved - before.improved,
        after.fallbacks - before.fallbacks,
        after.kills - before.kills
    );
    assert!(after.runs > before.runs, "the solver was asked: {after:?}");
    assert!(
        after.improved > before.improved,
        "and was better: {after:?}"
    );
    assert_eq!(
        (after.fallbacks, after.kills),
        (before.fallbacks, before.kills)
    );
    assert_eq!(status.plans_rejected, 0);
    for host in HOSTS {
        let used: u32 = client
            .node(host)
            .gpus
            .iter()
            .map(|gpu| gpu.used_milli)
            .sum();
        assert_eq!(used, 8000, "{host} is full");
    }
}

#[test]
fn without_the_solver_the_same_work_still_runs_but_the_gang_waits() {
    let builder = HOSTS.iter().fold(Cluster::builder(), |builder, name| {
        builder.host(name, "L4-24", 8)
    });
    let cluster = builder.settings("[solver]\nenabled = false\n").start();
    let client = &cluster.client;
    for host in HOSTS {
        client.cordon(host);
    }
    let threes = ["three-a", "three-b"].map(|name| client.submit(&sleeper(name).whole(3, "L4")));
    let gang = client.submit(&sleeper("five-five").whole(5, "L4").gang(2));
    for host in HOSTS {
        client.uncordon(host);
    }
    for id in &threes {
        client.await_state(id, WorkloadState::Running);
    }
    let gang = client.get(&gang);
    assert_eq!(
        gang.state(),
        WorkloadState::Pending,
        "greedy strands it: {gang:#?}"
    );
    assert!(gang.reason.is_some(), "and says why");
    assert_eq!(client.status().solver.unwrap_or_default().runs, 0);
}
