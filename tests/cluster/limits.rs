//! Limits that bite on real processes, by the kernel's own numbers.

use crate::support::{Cluster, NOBODY, SpecExt as _, kernel, needs_root, shell, sleeper};
use dovetail_proto::v1::{Cause, Workload, WorkloadState};
use std::{
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

const MEASURE: Duration = Duration::from_secs(3);

/// Node and slice of the first member.
pub(crate) fn place(workload: &Workload) -> (String, String) {
    let member = workload.members.first().expect("it is placed");
    let placement = member.placement.clone().expect("a member has a place");
    (placement.node, placement.slice_id)
}

/// Cores that a slice uses, over a while.
pub(crate) fn cores(cluster: &Cluster, node: &str, slice: &str) -> f64 {
    let (began, before) = (Instant::now(), cluster.cgroups.cpu(node, slice));
    sleep(MEASURE);
    let used = cluster.cgroups.cpu(node, slice).saturating_sub(before);
    used.as_secs_f64() / began.elapsed().as_secs_f64()
}

#[test]
fn a_cpu_burner_with_200_milli_never_gets_more_than_0_22_cores() {
    if !needs_root("enforcing a limit") {
        return;
    }
    let cluster = Cluster::small();
    let two_loops = "while :; do :; done & while :; do :; done";
    let workload = cluster.client.run(&shell("burner", two_loops).cpu(200));
    let (node, slice) = place(&workload);
    let throttled = cluster.cgroups.throttled(&node, &slice);
    let used = cores(&cluster, &node, &slice);
    let more = cluster.cgroups.throttled(&node, &slice);
    println!("{used:.3} cores, nr_throttled {throttled} -> {more}");
    assert!(used <= 0.22, "{used} cores");
    assert!(
        used > 0.0 && more > throttled,
        "it is the limit that holds it"
    );
}

#[test]
fn a_memory_hog_is_killed_and_reported_as_out_of_memory() {
    if !needs_root("enforcing a limit") {
        return;
    }
    let cluster = Cluster::small();
    let hog = shell(
        "hog",
        "echo started; head -c 1000000000 /dev/zero | tail -c 900000000; echo survived; sleep 60",
    );
    let id = cluster.client.submit(&hog.memory(32));
    let (workload, exit) = cluster.client.await_end(&id);
    assert_eq!(workload.state(), WorkloadState::Failed, "{workload:#?}");
    assert_eq!(workload.cause(), Cause::Oom, "{workload:#?}");
    assert_eq!(exit.cause(), Cause::Oom);
    // On cgroup v1 the kernel kills one process and the supervisor the rest right after it, so the
    // shell may come to its next word; it must not come through its sleep.
    let tail = &exit.output_tail;
    assert!(tail.starts_with("started\n"), "{tail}");
    let ended = workload.ended_at.expect("it ended").seconds;
    let began = exit.started_at.expect("it started").seconds;
    assert!(
        ended - began < 30,
        "the whole slice is killed, not one process of it"
    );
    cluster.await_nothing_left();
}

#[test]
fn a_slice_opens_its_own_gpu_and_no_other() {
    if !needs_root("a device fence") {
        return;
    }
    let cluster = Cluster::builder().host("oak", "L4-24", 4).start();
    let devices = cluster.host("oak").device(0);
    let directory = devices.parent().expect("it was joined").to_owned();
    let script = format!(
        "cd {} && for d in nvidia[0-9] nvidiactl; do cat $d; done 2>&1; echo done; sleep 3600",
        directory.display()
    );
    // On any other GPU than the first one, so that no default passes for a fence.
    let first = cluster.client.run(&sleeper("first").whole(1, ""));
    let workload = cluster
        .client
        .run(&shell("fenced", &script).whole(1, "").env("LC_ALL", "C"));
    let granted = |w: &Workload| w.members[0].placement.clone().expect("a place").gpus[0].index;
    assert_ne!(granted(&first), granted(&workload));
    let output = cluster.client.await_output(&workload.id, 0, "done");
    for gpu in 0..4 {
        let line = format!("cat: nvidia{gpu}: ");
        let found = output.lines().find(|text| text.starts_with(&line));
        let found = found.unwrap_or_else(|| panic!("{line} in {output}"));
        let wanted = if gpu == granted(&workload) {
            // There is no driver behind the node: it is not the fence that refuses.
            "No such device or address"
        } else {
            "Operation not permitted"
        };
        assert!(
            found.ends_with(wanted),
            "granted {}: {output}",
            granted(&workload)
        );
    }
    assert!(
        output.contains("nvidiactl: No such device or address"),
        "{output}"
    );
}

#[test]
fn a_cpu_only_slice_opens_no_gpu_at_all() {
    if !needs_root("a device fence") {
        return;
    }
    let cluster = Cluster::builder().host("oak", "L4-24", 1).start();
    let device = cluster.host("oak").device(0);
    let control = device.with_file_name("nvidiactl");
    let script = format!(
        "cat {} {} 2>&1; echo done; sleep 3600",
        device.display(),
        control.display()
    );
    let workload = cluster
        .client
        .run(&shell("cpu", &script).env("LC_ALL", "C"));
    let output = cluster.client.await_output(&workload.id, 0, "done");
    assert_eq!(
        output.matches("Operation not permitted").count(),
        2,
        "{output}"
    );
}

#[test]
fn a_workload_runs_as_its_submitter() {
    if !needs_root("submitting as another user") {
        return;
    }
    let cluster = Cluster::small();
    let words = [
        "submit",
        "--name",
        "who",
        "--wait",
        "--",
        "/bin/sh",
        "-c",
        "id -u; id -g; id -G",
    ];
    cluster.dovetail_as(Some(NOBODY), &words).expect(0);
    let list = cluster.client.list(true);
    assert_eq!((&*list[0].tenant, list[0].uid), ("uid:65534", NOBODY));
    let output = cluster.client.output(&list[0].id, 0);
    assert_eq!(
        output, "65534\n65534\n65534\n",
        "no group of root's came along"
    );
}

#[test]
fn nothing_is_left_of_a_released_slice() {
    if !needs_root("making cgroups") {
        return;
    }
    let cluster = Cluster::builder().host("oak", "L4-24", 2).start();
    // It ignores the stop signal and has children in sessions and groups of their own.
    let script = "trap '' TERM; setsid sleep 3600 & sh -c 'trap \"\" TERM; sleep 3600' & \
                  echo ready; while :; do sleep 1; done";
    let spec = shell("stubborn", script).share(500, "").grace(1);
    let workload = cluster.client.run(&spec);
    cluster.client.await_output(&workload.id, 0, "ready");
    let (node, slice) = place(&workload);
    let processes = cluster.cgroups.processes(&node, &slice);
    assert!(processes.len() >= 3, "{processes:?}");
    assert!(
        cluster
            .cgroups
            .left()
            .iter()
            .any(|line| line.contains("user.")),
        "a slice says what it is: {:?}",
        cluster.cgroups.left()
    );
    cluster.client.cancel(&workload.id);
    // Cancelled means: nothing of it is left, not that it soon will be.
    for controller in ["cpu", "memory", "freezer", "unified"] {
        let leaf = cluster.cgroups.leaf(controller, &node, &slice);
        assert!(!leaf.exists(), "{}", leaf.display());
    }
    for pid in processes {
        assert!(!kernel::lives(pid), "process {pid} lives");
    }
    cluster.await_nothing_left();
    let gpu = cluster.client.node("oak").gpus.remove(0);
    assert_eq!((gpu.used_milli, gpu.slices.len()), (0, 0));
}

#[test]
fn the_limits_of_a_slice_are_in_the_kernels_files() {
    if !needs_root("enforcing limits") || !Path::new("/sys/fs/cgroup/memory").exists() {
        return;
    }
    let cluster = Cluster::small();
    let workload = cluster.client.run(&sleeper("held").cpu(250).memory(96));
    let (node, slice) = place(&workload);
    let number = |controller: &str, file: &str| -> i64 {
        let path = cluster.cgroups.leaf(controller, &node, &slice).join(file);
        kernel::read(&path).trim().parse().expect("a number")
    };
    let quota = number("cpu", "cpu.cfs_quota_us") * 1000 / number("cpu", "cpu.cfs_period_us");
    assert_eq!(quota, 250);
    assert_eq!(number("memory", "memory.limit_in_bytes"), 96 << 20);
    assert!(number("pids", "pids.max") > 0);
}
