//! Broken surroundings: a lost GPU, no driver, a bad configuration, a full disk.

use crate::support::{
    Cluster, Ran, SpecExt as _, eventually, kernel::Tmpfs, needs_root, program_as, run, sleeper,
};
use dovetail_proto::v1::{GpuHealth, WorkloadState};
use std::{fs, path::Path};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

#[test]
fn a_lost_gpu_takes_away_only_its_own_capacity() {
    let cluster = Cluster::builder()
        .host("maple", "L4-24", 2)
        .host("rowan", "L4-24", 2)
        .start();
    let client = &cluster.client;
    let running = ["a", "b"].map(|name| client.run(&sleeper(name).share(500, "")));
    cluster.host("maple").set(0, "lost=true");
    eventually("the loss is reported", || {
        let lost = client.node("maple").gpus[0].health() != GpuHealth::Ok;
        lost.then_some(())
    });
    assert_eq!(client.node("maple").gpus[1].health(), GpuHealth::Ok);
    for workload in &running {
        let now = client.get(&workload.id);
        assert_eq!(
            now.state(),
            WorkloadState::Running,
            "nothing running is touched: {now:#?}"
        );
        assert_eq!(now.members[0].placement, workload.members[0].placement);
    }
    for workload in &running {
        client.cancel(&workload.id);
    }
    // Three GPUs are left, and every one of them can be had.
    let all: Vec<_> = (0..4)
        .map(|number| client.submit(&sleeper(&format!("work-{number}")).whole(1, "")))
        .collect();
    for id in &all[..3] {
        let workload = client.await_state(id, WorkloadState::Running);
        let place = workload.members[0].placement.clone().expect("a place");
        assert!(
            place.node == "rowan" || place.gpus[0].index == 1,
            "{place:?}"
        );
    }
    let waiting = client.get(&all[3]);
    assert_eq!(waiting.state(), WorkloadState::Pending);
    cluster.host("maple").set(0, "lost=false");
    client.await_state(&all[3], WorkloadState::Running);
}

#[test]
fn a_host_without_the_drivers_library_is_a_cpu_only_node() {
    let cluster = Cluster::builder()
        .host("oak", "L4-24", 4)
        .nvml_library("/nonexistent/libnvidia-ml.so.1")
        .start();
    let node = cluster.client.node("oak");
    assert!(node.gpus.is_empty());
    assert!(node.allocatable_cpu_milli > 0);
    let workload = cluster.client.run(&sleeper("cpu-only"));
    cluster.client.cancel(&workload.id);
    let log = cluster.hosts[0].agent.log();
    assert!(log.contains("libnvidia-ml"), "the log says why: {log}");
}

#[test]
fn a_library_that_is_no_nvml_is_a_cpu_only_node_too() {
    let cluster = Cluster::builder()
        .host("oak", "L4-24", 1)
        .nvml_library("/etc/passwd")
        .start();
    assert!(cluster.client.node("oak").gpus.is_empty());
    let workload = cluster.client.run(&sleeper("cpu-only"));
    cluster.client.cancel(&workload.id);
}

fn with_config(program: &str, config: &Path) -> Ran {
    run(program_as(None, program).arg("--config").arg(config), "")
}

#[test]
fn a_bad_configuration_ends_a_daemon_with_64_and_the_line_at_fault() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let missing = dir.path().join("missing.toml");
    let bad = dir.path().join("bad.toml");
    for program in ["dovetail-agent", "dovetail-scheduler"] {
        let ran = with_config(program, &missing).expect(64);
        assert!(ran.stderr.contains("missing.toml"), "{ran:#?}");
        fs::write(&bad, "# a comment\nno_such_key = 1\n").expect("the directory is ours");
        let ran = with_config(program, &bad).expect(64);
        assert!(
            ran.stderr.contains("no_such_key") && ran.stderr.contains("line 2"),
            "{ran:#?}"
        );
    }
    fs::write(
        &bad,
        "\nnode = 'Not A Name'\n[output]\nmax_bytes = '1KiB'\n",
    )
    .expect("ours");
    let ran = with_config("dovetail-agent", &bad).expect(64);
    for part in ["line 2", "node", "line 4", "max_bytes"] {
        assert!(ran.stderr.contains(part), "{part} in {ran:#?}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_ends_a_daemon_with_74_and_its_name() {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    // A file where a directory should be stops root too.
    let blocked = dir.path().join("blocked");
    fs::write(&blocked, "").expect("the directory is ours");
    let (path, socket) = (blocked.join("data"), dir.path().join("s"));
    let config = dir.path().join("daemon.toml");
    let text = format!(
        "data_dir = '{}'\nsocket = '{}'\n",
        path.display(),
        socket.display()
    );
    fs::write(&config, text).expect("the directory is ours");
    let ran = with_config("dovetail-scheduler", &config).expect(74);
    assert!(ran.stderr.contains(&*path.to_string_lossy()), "{ran:#?}");
    let text = format!(
        "node = 'oak'\nstate_dir = '{0}'\nrun_dir = '{0}'\nscheduler_socket = '{1}'\n\
         cgroup_parent = 'dovetail-cluster-none'\nunconfined = true\n",
        path.display(),
        socket.display()
    );
    fs::write(&config, text).expect("the directory is ours");
    let ran = with_config("dovetail-agent", &config).expect(74);
    assert!(ran.stderr.contains(&*path.to_string_lossy()), "{ran:#?}");
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().cloned();
    info.map(|info| info.reason).unwrap_or_default()
}

/// Submits large workloads until one is refused; gives the ids, and the refusal.
fn submit_until_full(cluster: &Cluster) -> (Vec<String>, Status) {
    let mut ids = Vec::new();
    for number in 0..1000 {
        let mut spec = sleeper(&format!("work-{number}"));
        spec.argv.push("x".repeat(100 << 10));
        match cluster.client.try_submit(&spec) {
            Ok(workload) => ids.push(workload.id),
            Err(status) => return (ids, status),
        }
    }
    panic!("a disk of some MiB took {} workloads of 100 KiB", ids.len());
}

fn assert_all_known(cluster: &Cluster, ids: &[String]) {
    for id in ids {
        assert_eq!(cluster.client.get(id).id, *id, "it was acknowledged");
    }
}

#[test]
fn a_full_disk_refuses_new_work_clearly_and_loses_nothing() {
    if !needs_root("mounting a small disk") {
        return;
    }
    let disk = Tmpfs::mount(28);
    let data = disk.path().join("journal");
    let mut cluster = Cluster::builder().data_dir(&data).start();
    let (ids, status) = submit_until_full(&cluster);
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(reason(&status).starts_with("DISK"), "{status:?}");
    assert!(status.message().contains("free some space"), "{status:?}");
    let details = status.get_error_details();
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{status:?}");
    assert!(!ids.is_empty());
    // The crash comes while a write waits for room: it was promised to nobody.
    cluster.scheduler.kill();
    disk.resize(256);
    cluster.crash_scheduler();
    assert_all_known(&cluster, &ids);
    assert!(cluster.client.verify().equal);
    cluster.client.submit(&sleeper("later"));
    drop(cluster);
}

#[test]
fn not_one_byte_free_is_survived_too() {
    if !needs_root("mounting a small disk") {
        return;
    }
    let disk = Tmpfs::mount(64);
    let data = disk.path().join("journal");
    let mut cluster = Cluster::builder().data_dir(&data).start();
    let first = cluster.client.submit(&sleeper("first"));
    disk.fill();
    // Whether it is refused before or by the failing write: nothing is said to be done that is not.
    let mut acknowledged = vec![first];
    let refused = (0..200).find_map(|number| {
        let mut spec = sleeper(&format!("work-{number}"));
        spec.argv.push("x".repeat(100 << 10));
        match cluster.client.try_submit(&spec) {
            Ok(workload) => {
                acknowledged.push(workload.id);
                None
            }
            Err(status) => Some(status),
        }
    });
    let refused = refused.expect("there is no room");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    disk.empty();
    let later = eventually("there is room again", || {
        cluster.client.try_submit(&sleeper("later")).ok()
    });
    acknowledged.push(later.id);
    assert_all_known(&cluster, &acknowledged);
    cluster.crash_scheduler();
    assert_all_known(&cluster, &acknowledged);
    assert!(cluster.client.verify().equal);
    drop(cluster);
}
