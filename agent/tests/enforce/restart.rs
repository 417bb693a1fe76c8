//! What an agent finds that was killed at any moment, and what it makes of it.

use crate::host::{self, CGROUPS, Host, await_true, grant, host, shell};
use dovetail_agent::enforce::StartError;
use dovetail_model::{grant::Grant, report::ExitCause, resources::Level};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

#[test]
fn an_agent_that_comes_back_finds_its_slices_running_and_limited() {
    let Some(mut host) = host() else { return };
    let grant = shell("echo up; sleep 600");
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "up");
    host.restart();
    let found = host.found(slice).unwrap();
    let descriptor = found.descriptor.unwrap();
    assert_eq!(
        (descriptor.placement, descriptor.cluster),
        (grant.placement.clone(), host::cluster())
    );
    assert_eq!(
        (descriptor.epoch, descriptor.level),
        (host::epoch(), Level::Shared)
    );
    assert_eq!(found.supervisor, Some(started.supervisor));
    assert!(found.has_processes && found.exit.is_none());
    assert_eq!(
        host.kernel_file("memory", slice, "memory.limit_in_bytes"),
        "67108864"
    );
    assert_eq!(host.kernel_file("cpu", slice, "cpu.cfs_quota_us"), "50000");
    // A second start of the same slice finds the first.
    assert_eq!(host.start(&grant).supervisor, started.supervisor);
    host.enforcer.kill(slice).unwrap();
    host::await_readable(&found.watch.unwrap());
}

#[test]
fn an_agent_that_comes_back_late_learns_the_exit_code() {
    let Some(mut host) = host() else { return };
    let grant = shell("echo bye; exit 5");
    let slice = grant.placement.slice;
    drop(host.start(&grant));
    await_true(|| host.enforcer.exit(slice).unwrap().is_some());
    host.restart();
    let exit = host.found(slice).unwrap().exit.unwrap();
    assert_eq!(
        (exit.cause, exit.output_tail.as_str()),
        (ExitCause::Exit(5), "bye\n")
    );
    assert!(
        exit.started_at
            .is_some_and(|started| started <= exit.ended_at)
    );
    let again = host
        .enforcer
        .start(&grant, &host::cluster(), host::epoch(), &[]);
    assert!(
        matches!(again, Err(StartError::AlreadyEnded(_))),
        "{again:?}"
    );
}

#[test]
fn a_half_made_leaf_is_removed_and_a_foreign_one_is_not() {
    let Some(host) = host() else { return };
    let half_made = grant(&["true"]).placement.slice;
    for controller in ["memory", "unified"] {
        fs::create_dir(host.leaf(controller, half_made)).unwrap();
    }
    let parent = host.leaf("memory", half_made).parent().unwrap().to_owned();
    fs::create_dir(parent.join("foreign")).unwrap();
    let found = host.enforcer.scan().unwrap();
    assert!(host.leaves(half_made).is_empty());
    let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["foreign"]);
    assert!(found[0].slice.is_none() && parent.join("foreign").exists());
    fs::remove_dir(parent.join("foreign")).unwrap();
}

#[test]
fn a_slice_whose_supervisor_was_killed_is_found_and_can_be_killed() {
    let Some(host) = host() else { return };
    let grant = shell("echo $$; sleep 600");
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "\n");
    kill(Pid::from_raw(started.supervisor.pid), Signal::SIGKILL).unwrap();
    host::await_readable(&started.watch.unwrap());
    let found = host.found(slice).unwrap();
    assert!(found.supervisor.is_none() && found.exit.is_none() && found.has_processes);
    assert!(found.descriptor.is_some());
    host.enforcer.kill(slice).unwrap();
    host.remove(slice);
    assert!(host.found(slice).is_none(), "nothing is left to tell of it");
}

/// How often an agent is killed while it starts a slice, and how much later each time.
const CUTS: u32 = 60;

const CUT_STEP: Duration = Duration::from_micros(50);

#[test]
fn a_start_cut_off_at_any_moment_leaves_nothing_unlimited() {
    let Some(host) = host() else { return };
    let slice = doomed_grant().placement.slice;
    let (mut nothing, mut made, mut running) = (0, 0, 0);
    for cut in 0..CUTS {
        // The last cuts come when the start is over, however slow the machine is.
        let late = if cut + 5 < CUTS {
            Duration::ZERO
        } else {
            Duration::from_secs(1)
        };
        start_and_kill_agent(&host, CUT_STEP * cut + late);
        let Some(found) = host.found(slice) else {
            assert!(host.leaves(slice).is_empty(), "cut {cut}");
            nothing += 1;
            continue;
        };
        if found.has_processes || found.supervisor.is_some() {
            running += 1;
        } else {
            made += 1;
        }
        assert!(found.descriptor.is_some(), "cut {cut}: {found:?}");
        assert_eq!(
            host.kernel_file("memory", slice, "memory.limit_in_bytes"),
            "67108864"
        );
        assert_eq!(host.kernel_file("cpu", slice, "cpu.cfs_quota_us"), "50000");
        assert_eq!(host.kernel_file("pids", slice, "pids.max"), "64");
        assert!(
            !host
                .kernel_file("devices", slice, "devices.list")
                .contains("a *:*")
        );
        host.enforcer.kill(slice).unwrap();
        if let Some(watch) = found.watch {
            host::await_readable(&watch);
        }
        host.remove(slice);
        host.enforcer.forget(slice).unwrap();
        assert!(
            host.found(slice).is_none() && host.leaves(slice).is_empty(),
            "cut {cut}"
        );
    }
    println!("{CUTS} cuts: {nothing} left nothing, {made} a slice without process, {running} ran");
    assert!(running > 0 && running < CUTS, "the cuts missed the start");
}

/// An agent of its own process starts a slice and is killed some time after it began to.
fn start_and_kill_agent(host: &Host, after: Duration) {
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "restart::an_agent_that_will_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .env("DOVETAIL_TEST_RUN_DIR", &host.config.run_dir)
        .env("DOVETAIL_TEST_PARENT", &host.config.cgroup_parent)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(agent.stdout.take().unwrap());
    let opened = output
        .lines()
        .any(|line| line.unwrap().contains("agent is open"));
    assert!(opened);
    thread::sleep(after);
    agent.kill().unwrap();
    agent.wait().unwrap();
}

fn doomed_grant() -> Grant {
    let mut grant = shell("sleep 600");
    grant.placement.slice = "w999999-1-0".parse().unwrap();
    grant
}

#[test]
#[ignore = "run by another test, which kills it"]
fn an_agent_that_will_be_killed() {
    let host = Host::new(Path::new(CGROUPS), |config| {
        config.run_dir = std::env::var_os("DOVETAIL_TEST_RUN_DIR").unwrap().into();
        config.cgroup_parent = std::env::var_os("DOVETAIL_TEST_PARENT").unwrap().into();
    });
    println!("agent is open");
    host.start(&doomed_grant());
    thread::sleep(Duration::from_secs(60));
    panic!("was not killed");
}
