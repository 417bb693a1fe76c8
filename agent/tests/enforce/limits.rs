//! What a slice is held to: CPU, memory, processes, devices.

use crate::host::{CGROUPS, Host, await_true, grant, host, host_at, shell};
use dovetail_agent::enforce::{DeviceNode, Layout};
use dovetail_model::{report::ExitCause, resources::Level, units::CpuMilli};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_cpu_burner_stays_within_its_limit_and_is_throttled() {
    let Some(host) = host() else { return };
    let mut burner = shell("while :; do :; done");
    Arc::make_mut(&mut burner.spec).resources.cpu_limit = CpuMilli(200);
    let slice = burner.placement.slice;
    host.start(&burner);
    let before = (host.enforcer.usage(slice).unwrap().cpu_ns, Instant::now());
    thread::sleep(Duration::from_millis(4500));
    let after = (host.enforcer.usage(slice).unwrap().cpu_ns, Instant::now());
    let elapsed_ns = (after.1 - before.1).as_nanos();
    let milli = u128::from(after.0 - before.0) * 1000 / elapsed_ns;
    println!("{milli} of 200 thousandths of a core");
    assert!((50..=220).contains(&milli), "{milli}");
    let stat = host.kernel_file("cpu", slice, "cpu.stat");
    let throttled = stat
        .lines()
        .find_map(|line| line.strip_prefix("nr_throttled "))
        .unwrap();
    assert!(throttled.parse::<u64>().unwrap() > 0, "{stat}");
}

#[test]
fn a_memory_hog_is_killed_by_the_kernel_and_told_as_oom() {
    let Some(host) = host() else { return };
    let hog = grant(&["/usr/bin/tail", "/dev/zero"]);
    let slice = hog.placement.slice;
    assert_eq!(host.run(&hog).cause, ExitCause::Oom);
    assert_eq!(
        host.kernel_file("memory", slice, "memory.limit_in_bytes"),
        "67108864"
    );
    assert!(host.enforcer.oom_kills(slice).unwrap() >= 1);
}

#[test]
fn when_one_process_runs_out_of_memory_the_whole_slice_ends() {
    let Some(host) = host() else { return };
    let record = host.run(&shell("tail /dev/zero & sleep 600"));
    assert_eq!(record.cause, ExitCause::Oom);
}

#[test]
fn a_fork_bomb_is_stopped_by_the_process_limit() {
    let Some(host) = host_at(Path::new(CGROUPS), |config| config.pids_max = 20) else {
        return;
    };
    let bomb = shell("bomb() { bomb | bomb & }; bomb; sleep 600");
    let slice = bomb.placement.slice;
    host.start(&bomb);
    await_true(|| host.kernel_file("pids", slice, "pids.events") != "max 0");
    let now: u64 = host
        .kernel_file("pids", slice, "pids.current")
        .parse()
        .unwrap();
    assert!(now <= 20, "{now} processes");
    host.enforcer.kill(slice).unwrap();
    host.remove(slice);
    assert!(host.leaves(slice).is_empty());
}

/// Two GPUs' nodes without a driver behind them: an open gives ENXIO unless a fence forbids it.
fn gpu_nodes(host: &Host) -> [DeviceNode; 2] {
    [240, 241].map(|minor| {
        let path = host.config.dev_root.join(format!("nvidia{minor}"));
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&path, SFlag::S_IFCHR, mode, makedev(195, minor)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        host.enforcer
            .gpu_device(u32::try_from(minor).unwrap())
            .unwrap()
            .unwrap()
    })
}

fn another_gpu_is_fenced_off(host: &Host) {
    fs::set_permissions(host.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [own, other] = gpu_nodes(host);
    let script = format!(
        "for node in {} {} /dev/null /dev/zero /dev/urandom; do (exec 3<>$node) 2>&1; done; \
         mknod {}/made c 195 241 2>&1; echo done",
        own.path.display(),
        other.path.display(),
        host.root.path().display(),
    );
    let grant = shell(&script);
    let slice = grant.placement.slice;
    assert_eq!(host.run_with(&grant, &[own]).cause, ExitCause::Exit(0));
    let output = host.stdout(slice);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 4, "{output}");
    assert!(
        lines[0].ends_with("nvidia240: No such device or address"),
        "{output}"
    );
    assert!(
        lines[1].ends_with("nvidia241: Operation not permitted"),
        "{output}"
    );
    assert!(lines[2].ends_with("Operation not permitted"), "{output}");
    assert!(
        host.enforcer
            .capabilities()
            .enforces
            .contains(&"devices".to_owned())
    );
}

#[test]
fn a_slice_cannot_open_another_gpu_on_v1() {
    let Some(host) = host() else { return };
    another_gpu_is_fenced_off(&host);
}

#[test]
fn a_slice_cannot_open_another_gpu_by_a_device_program_on_v2() {
    let root = Path::new(CGROUPS).join("unified");
    let Some(host) = host_at(&root, |_| {}) else {
        return;
    };
    assert_eq!(host.enforcer.layout(), Layout::V2);
    another_gpu_is_fenced_off(&host);
}

#[test]
fn v1_alone_holds_a_slice_as_well() {
    // Links to the hierarchies, without the unified one.
    let root = tempfile::tempdir().unwrap();
    for name in ["cpu", "cpuacct", "devices", "freezer", "memory", "pids"] {
        std::os::unix::fs::symlink(Path::new(CGROUPS).join(name), root.path().join(name)).unwrap();
    }
    let Some(host) = host_at(root.path(), |_| {}) else {
        return;
    };
    assert_eq!(host.enforcer.layout(), Layout::V1);
    assert_eq!(host.enforcer.capabilities().level, Level::Shared);
    let sleeper = shell("trap '' TERM; (setsid sleep 600 &); echo up; while :; do sleep 1; done");
    let slice = sleeper.placement.slice;
    host.start(&sleeper);
    host.await_output(slice, "up");
    assert_eq!(
        host.found(slice).unwrap().descriptor.unwrap().placement,
        sleeper.placement
    );
    host.enforcer.kill(slice).unwrap();
    host.remove(slice);
    assert!(host.leaves(slice).is_empty());
}

#[test]
fn a_frozen_slice_uses_no_cpu_and_can_be_killed() {
    let Some(host) = host() else { return };
    let grant = shell("while :; do :; done");
    let slice = grant.placement.slice;
    host.start(&grant);
    host.enforcer.freeze(slice, true).unwrap();
    let before = host.enforcer.usage(slice).unwrap();
    thread::sleep(Duration::from_millis(500));
    let after = host.enforcer.usage(slice).unwrap();
    assert_eq!(before.cpu_ns, after.cpu_ns);
    assert!(after.elapsed_ns - before.elapsed_ns >= 500_000_000);
    host.enforcer.kill(slice).unwrap();
    host.remove(slice);
}

#[test]
fn a_slice_that_nests_cgroups_is_removed_with_them() {
    let Some(host) = host() else { return };
    let own = grant(&["true"]).placement.slice;
    let parent = host.leaf("freezer", own).parent().unwrap().to_owned();
    let mut nesting = shell("");
    let slice = nesting.placement.slice;
    Arc::make_mut(&mut nesting.spec).argv[2] = format!(
        "mkdir -p {0}/{1}/in/in && echo $$ > {0}/{1}/in/in/cgroup.procs && echo up; \
         trap '' TERM; while :; do sleep 1; done",
        parent.display(),
        slice,
    );
    host.start(&nesting);
    host.await_output(slice, "up");
    host.enforcer.kill(slice).unwrap();
    host.remove(slice);
    assert!(host.leaves(slice).is_empty());
}
