//! How a slice starts, what it is told, and how it ends.

use crate::host::{self, CGROUPS, Host, NOBODY, grant, host, host_at, lives, shell};
use dovetail_agent::enforce::{ReadFrom, Removal, StartError, Stream};
use dovetail_model::{
    grant::Grant,
    report::{ExitCause, TAIL_MAX_BYTES},
    time::SECOND_NS,
    workload::Owner,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

fn start_failure(host: &Host, grant: &Grant) -> String {
    match host.run(grant).cause {
        ExitCause::StartFailed(why) => why,
        other => panic!("started: {other:?}"),
    }
}

#[test]
fn a_workload_runs_as_its_owner_with_nothing_of_ours() {
    let Some(host) = host() else { return };
    let script = "id -u; id -g; id -G; grep -E 'NoNewPrivs|CapEff' /proc/self/status; umask; \
                  ls /proc/self/fd | wc -l; ulimit -c; cat; ps -o sid= -p $$ | tr -d ' '; echo $$";
    let mut grant = shell(script);
    grant.owner = Owner {
        uid: NOBODY,
        gid: 65534,
        groups: vec![65534, 12345],
    };
    let slice = grant.placement.slice;
    let record = host.run(&grant);
    let output = host.stdout(slice);
    assert_eq!(
        record.cause,
        ExitCause::Exit(0),
        "{output}{}",
        record.output_tail
    );
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..3], ["65534", "65534", "65534 12345"], "{output}");
    assert_eq!(
        lines[3..5],
        ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"],
        "{output}"
    );
    // Standard input, output, error, and the directory that ls itself reads.
    assert_eq!(lines[5..8], ["0022", "4", "0"], "{output}");
    assert_eq!(lines[8], lines[9], "leader of its own session: {output}");
}

#[test]
fn the_environment_is_the_workloads_and_dovetails_alone() {
    let Some(host) = host() else { return };
    let mut grant = grant(&["env"]);
    Arc::make_mut(&mut grant.spec).env =
        BTreeMap::from([("MINE".to_owned(), "a secret".to_owned())]);
    let slice = grant.placement.slice;
    assert_eq!(host.run(&grant).cause, ExitCause::Exit(0));
    let output = host.stdout(slice);
    for expected in [
        "MINE=a secret",
        "RANK=0",
        "CUDA_VISIBLE_DEVICES=",
        "DOVETAIL_NODE=node-a",
    ] {
        assert!(
            output.lines().any(|line| line == expected),
            "{expected}: {output}"
        );
    }
    assert!(!output.contains("CARGO"), "{output}");
    let kept = fs::read_dir(host.config.run_dir.join(slice.to_string())).unwrap();
    for file in kept.map(|entry| entry.unwrap().path()) {
        let is_output = file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("stdout.");
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        // The workload printed it; the exit record holds the end of what it printed.
        let may_hold = is_output || file.ends_with("exit.json");
        assert!(may_hold || !text.contains("a secret"), "{}", file.display());
    }
}

#[test]
fn after_kill_and_remove_nothing_is_left() {
    let Some(host) = host() else { return };
    let stubborn = shell(
        "trap '' TERM INT HUP; \
         (setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &) ; \
         sleep 0.3; echo up; while :; do sleep 1; done",
    );
    let slice = stubborn.placement.slice;
    let started = host.start(&stubborn);
    host.await_output(slice, "up");
    let daemon: i32 = host.stdout(slice).lines().next().unwrap().parse().unwrap();
    assert!(lives(daemon) && !host.leaves(slice).is_empty());
    host.enforcer.kill(slice).unwrap();
    let supervisor = started.supervisor.pid;
    // Killed because somebody wanted it, and the record says so.
    assert_eq!(host.await_exit(slice, started).cause, ExitCause::Evicted);
    host.remove(slice);
    assert!(!lives(daemon) && !lives(supervisor));
    assert!(host.leaves(slice).is_empty());
    let found = host.found(slice).unwrap();
    assert!(found.descriptor.is_none() && found.supervisor.is_none() && !found.has_processes);
    assert!(found.exit.is_some());
    host.enforcer.forget(slice).unwrap();
    assert!(host.found(slice).is_none());
}

#[test]
fn a_slice_that_does_not_end_when_asked_is_killed_after_its_grace() {
    let Some(host) = host() else { return };
    let mut grant = shell("trap '' TERM; echo up; while :; do sleep 0.1; done");
    Arc::make_mut(&mut grant.spec).stop_grace_ns = SECOND_NS;
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "up");
    let asked = Instant::now();
    host.enforcer.stop(slice, 15).unwrap();
    assert_eq!(host.await_exit(slice, started).cause, ExitCause::Evicted);
    assert!(
        (900..5000).contains(&asked.elapsed().as_millis()),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn the_stop_signal_reaches_every_process() {
    let Some(host) = host() else { return };
    let mut grant = shell(
        "(trap 'echo child; exit' USR1; echo up; while :; do sleep 0.1; done) & \
         trap 'wait; echo parent; exit 0' USR1; wait; wait",
    );
    Arc::make_mut(&mut grant.spec).stop_signal = 10;
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "up");
    host.enforcer.stop(slice, 10).unwrap();
    host.await_exit(slice, started);
    let output = host.stdout(slice);
    assert!(
        output.contains("child") && output.contains("parent"),
        "{output}"
    );
}

#[test]
fn a_slice_that_runs_too_long_is_told_as_timeout() {
    let Some(host) = host() else { return };
    let mut grant = grant(&["sleep", "600"]);
    Arc::make_mut(&mut grant.spec).max_runtime_ns = Some(SECOND_NS / 2);
    assert_eq!(host.run(&grant).cause, ExitCause::Timeout);
}

#[test]
fn the_exit_code_and_signal_of_the_first_process_count() {
    let Some(host) = host() else { return };
    assert_eq!(host.run(&shell("exit 42")).cause, ExitCause::Exit(42));
    assert_eq!(
        host.run(&shell("kill -SEGV $$")).cause,
        ExitCause::Signal(11)
    );
    // A daemon left behind does not outlive it.
    let grant = shell("(setsid sleep 600 &); exit 7");
    let slice = grant.placement.slice;
    assert_eq!(host.run(&grant).cause, ExitCause::Exit(7));
    assert!(!host.found(slice).unwrap().has_processes);
}

#[test]
fn a_start_that_fails_says_what_and_why() {
    let Some(host) = host() else { return };
    let why = start_failure(&host, &grant(&["/no/such/program"]));
    assert_eq!(
        why,
        "failed to run `/no/such/program`: No such file or directory (os error 2)"
    );
    let why = start_failure(&host, &grant(&["no-such-program"]));
    assert_eq!(
        why,
        "failed to run `no-such-program`: No such file or directory (os error 2)"
    );
    let why = start_failure(&host, &grant(&["/etc/passwd"]));
    assert_eq!(
        why,
        "failed to run `/etc/passwd`: Permission denied (os error 13)"
    );
    let mut nowhere = grant(&["true"]);
    Arc::make_mut(&mut nowhere.spec).workdir = "/no/such/place".to_owned();
    let why = start_failure(&host, &nowhere);
    assert_eq!(
        why,
        "failed to go to the working directory `/no/such/place`: No such file or directory \
         (os error 2)"
    );
    let mut private = grant(&["true"]);
    private.owner = Owner {
        uid: NOBODY,
        gid: NOBODY,
        groups: Vec::new(),
    };
    Arc::make_mut(&mut private.spec).workdir = host.config.run_dir.to_str().unwrap().to_owned();
    let why = start_failure(&host, &private);
    assert!(why.ends_with("Permission denied (os error 13)"), "{why}");
}

#[test]
fn a_slice_with_a_living_supervisor_is_not_removed() {
    let Some(host) = host() else { return };
    let grant = shell("echo up; sleep 600");
    let slice = grant.placement.slice;
    host.start(&grant);
    host.await_output(slice, "up");
    match host.enforcer.remove(slice).unwrap() {
        Removal::Busy(why) => assert!(why.contains("supervisor"), "{why}"),
        Removal::Removed => panic!("removed under a living supervisor"),
    }
    assert!(host.found(slice).unwrap().has_processes);
}

#[test]
fn output_is_capped_and_its_end_is_kept() {
    let Some(host) = host_at(Path::new(CGROUPS), |config| {
        config.output_max_bytes = 64 << 10;
    }) else {
        return;
    };
    let grant = shell("seq 1 100000; echo the end; echo trouble >&2");
    let slice = grant.placement.slice;
    let record = host.run(&grant);
    assert!(record.output_tail.contains("the end\n"));
    assert!(record.output_tail.contains("trouble\n"));
    assert!(record.output_tail.len() <= TAIL_MAX_BYTES);
    let kept = fs::read_dir(host.config.run_dir.join(slice.to_string())).unwrap();
    let sizes = kept
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with("stdout."));
    assert!(
        sizes
            .map(|entry| entry.metadata().unwrap().len())
            .sum::<u64>()
            <= 64 << 10
    );
    let read = |place| {
        host.enforcer
            .read_output(slice, Stream::Stdout, place, 1 << 20)
            .unwrap()
    };
    let end = read(ReadFrom::End(8));
    assert_eq!(end.bytes, b"the end\n");
    assert_eq!(read(ReadFrom::Start(end.offset)).bytes, end.bytes);
    let all = read(ReadFrom::Start(0));
    assert!(all.offset > 0 && all.end == end.end);
}

#[test]
fn usage_outlives_the_slice() {
    let Some(host) = host() else { return };
    let grant = shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    let slice = grant.placement.slice;
    host.run(&grant);
    let used = host.enforcer.usage(slice).unwrap();
    assert!(used.cpu_ns > 0 && used.elapsed_ns > 0);
    host.remove(slice);
    assert_eq!(host.enforcer.usage(slice).unwrap(), used);
}

#[test]
fn a_supervisor_that_cannot_run_leaves_nothing() {
    let Some(host) = host_at(Path::new(CGROUPS), |config| {
        config.supervisor_exe = Path::new("/no/such/agent").to_owned();
    }) else {
        return;
    };
    let grant = grant(&["true"]);
    let failed = host
        .enforcer
        .start(&grant, &host::cluster(), host::epoch(), &[]);
    assert!(
        matches!(failed, Err(StartError::Spawn { .. })),
        "{failed:?}"
    );
    assert!(host.enforcer.scan().unwrap().is_empty());
    assert!(host.leaves(grant.placement.slice).is_empty());
}

#[test]
fn a_job_cut_short_starts_nothing() {
    let (mut agent, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_dovetail-agent"))
        .arg("supervise")
        .stdin(OwnedFd::from(theirs))
        .stdout(tempfile::tempfile().unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    agent.write_all(b"{\"leaf\":\"w1").unwrap();
    agent.shutdown(Shutdown::Write).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.starts_with("supervisor failed: EOF while parsing"),
        "{said}"
    );
    let mut reply = String::new();
    agent.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("{\"Refused\":"), "{reply}");
}

/// A run directory on a file system of 512 KiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(place.path());
        if !mount.status().is_ok_and(|status| status.success()) {
            println!("skipped: a small disk needs the right to mount");
            return None;
        }
        Some(Self(place))
    }

    fn fill(&self) {
        let full = fs::write(self.0.path().join("filler"), vec![0; 1 << 20]).unwrap_err();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status().unwrap();
        assert!(unmounted.success());
    }
}

#[test]
fn a_disk_that_fills_up_loses_output_but_no_exit_record() {
    let Some(disk) = SmallDisk::new() else { return };
    let run_dir = disk.0.path().join("run");
    let Some(host) = host_at(Path::new(CGROUPS), |config| config.run_dir = run_dir) else {
        return;
    };
    let running = shell("echo up; read line < /dev/null; sleep 1; seq 1 20000; exit 9");
    let slice = running.placement.slice;
    let started = host.start(&running);
    host.await_output(slice, "up");
    disk.fill();
    let record = host.await_exit(slice, started);
    assert_eq!(record.cause, ExitCause::Exit(9));
    assert!(
        record.output_tail.ends_with("20000\n"),
        "what the disk lost is in the record"
    );
    let log = fs::read_to_string(
        host.config
            .run_dir
            .join(slice.to_string())
            .join("supervisor.log"),
    );
    assert_eq!(log.unwrap(), "", "and the log had no room either");
    // The next one is refused in time, and leaves nothing.
    let next = shell("true");
    let refused = host
        .enforcer
        .start(&next, &host::cluster(), host::epoch(), &[])
        .unwrap_err();
    assert!(
        refused.to_string().contains("No space left on device"),
        "{refused}"
    );
    assert!(host.leaves(next.placement.slice).is_empty());
    assert!(host.found(next.placement.slice).is_none());
}
