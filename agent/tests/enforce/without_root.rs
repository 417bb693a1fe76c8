//! What is left without root: a delegated group, or nothing but processes.

use crate::host::{self, CGROUPS, Host, NOBODY, grant, lives, shell};
use dovetail_agent::enforce::Layout;
use dovetail_model::{report::ExitCause, resources::Level, units::Bytes};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn without_cgroups_a_slice_runs_unconfined_and_dies_whole() {
    let nothing = tempfile::tempdir().unwrap();
    let host = Host::new(nothing.path(), |_| {});
    let capabilities = host.enforcer.capabilities();
    assert_eq!(
        (capabilities.level, capabilities.enforces.len()),
        (Level::None, 0)
    );
    assert!(
        capabilities
            .not_enforced
            .iter()
            .any(|reason| reason.starts_with("memory: "))
    );
    let grant = shell(
        "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$; sleep 600' &); sleep 0.3; echo up; \
         while :; do sleep 1; done",
    );
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "up");
    let daemon: i32 = host.stdout(slice).lines().next().unwrap().parse().unwrap();
    let found = host.found(slice).unwrap();
    assert!(found.has_processes && found.descriptor.unwrap().level == Level::None);
    assert!(host.enforcer.usage(slice).unwrap().memory > Bytes(0));
    host.enforcer.kill(slice).unwrap();
    assert_eq!(host.await_exit(slice, started).cause, ExitCause::Evicted);
    assert!(
        !lives(daemon),
        "a daemon that left its session has survived"
    );
    host.remove(slice);
    assert!(!host.found(slice).unwrap().has_processes);
}

#[test]
fn without_cgroups_a_slice_is_refused_unless_that_is_allowed() {
    let nothing = tempfile::tempdir().unwrap();
    let host = Host::new(nothing.path(), |config| config.unconfined = false);
    let grant = grant(&["true"]);
    let refused = host
        .enforcer
        .start(&grant, &host::cluster(), host::epoch(), &[]);
    let text = refused.unwrap_err().to_string();
    assert!(
        text.starts_with("limits cannot be enforced here (cpu: no cgroups"),
        "{text}"
    );
    assert!(host.enforcer.scan().unwrap().is_empty());
}

/// Runs one test of this file as nobody, with copies of the programs that nobody may run.
fn as_nobody(test: &str, cgroup: Option<&Path>) {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: becoming nobody needs root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let copy = |from: &Path, name: &str| {
        let to = place.path().join(name);
        fs::copy(from, &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let tests = copy(&std::env::current_exe().unwrap(), "tests");
    let agent = copy(Path::new(env!("CARGO_BIN_EXE_dovetail-agent")), "agent");
    let enter = cgroup.map_or_else(String::new, |group| {
        format!("echo $$ > {}/agent/cgroup.procs &&", group.display())
    });
    let script = format!("{enter} exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"");
    let output = Command::new("/bin/sh")
        .args(["-c", &script, "sh"])
        .arg(tests)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("DOVETAIL_TEST_SUPERVISOR", agent)
        .env("TMPDIR", place.path())
        .env(
            "DOVETAIL_TEST_PARENT",
            cgroup.and_then(Path::file_name).unwrap_or_default(),
        )
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{errors}"
    );
}

#[test]
fn without_root_slices_run_unconfined_and_the_reasons_are_told() {
    as_nobody("without_root::nobody_runs_slices_unconfined", None);
}

#[test]
#[ignore = "run as nobody by another test"]
fn nobody_runs_slices_unconfined() {
    let host = Host::new(Path::new(CGROUPS), |_| {});
    let capabilities = host.enforcer.capabilities();
    assert_eq!(
        (host.enforcer.layout(), capabilities.level),
        (Layout::None, Level::None)
    );
    let reason = &capabilities.not_enforced[0];
    assert!(
        reason.contains("Permission denied") && reason.contains("Delegate=yes"),
        "{reason}"
    );
    let record = host.run(&shell("id -u; exit 3"));
    assert_eq!(
        (record.cause, record.output_tail.as_str()),
        (ExitCause::Exit(3), "65534\n")
    );
    let mut somebody = shell("id -u");
    somebody.owner.uid = 0;
    let refused = host
        .enforcer
        .start(&somebody, &host::cluster(), host::epoch(), &[]);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "cannot run as uid 0: the agent runs as uid 65534; run the agent as root"
    );
}

/// A v2 group that belongs to nobody, as a unit with `Delegate=yes` and `User=nobody` gets it.
struct Delegated(PathBuf);

impl Delegated {
    fn new() -> Option<Self> {
        let unified = Path::new(CGROUPS).join("unified");
        if !nix::unistd::geteuid().is_root() || !unified.join("cgroup.procs").exists() {
            println!("skipped: delegating needs root and a v2 hierarchy");
            return None;
        }
        let group = unified.join(format!("dovetail-test-delegated-{}", std::process::id()));
        fs::create_dir_all(group.join("agent")).unwrap();
        for group in [&group, &group.join("agent")] {
            for file in [
                "",
                "cgroup.procs",
                "cgroup.threads",
                "cgroup.subtree_control",
            ] {
                chown(group.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Some(Self(group))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in [self.0.join("agent"), self.0.clone()] {
            fs::remove_dir(group).unwrap();
        }
    }
}

#[test]
fn a_delegated_group_is_enough_to_hold_and_kill_a_slice() {
    let Some(delegated) = Delegated::new() else {
        return;
    };
    as_nobody(
        "without_root::nobody_uses_a_delegated_group",
        Some(&delegated.0),
    );
}

#[test]
#[ignore = "run as nobody by another test"]
fn nobody_uses_a_delegated_group() {
    let parent = PathBuf::from(std::env::var_os("DOVETAIL_TEST_PARENT").unwrap());
    let host = Host::new(&Path::new(CGROUPS).join("unified"), |config| {
        config.cgroup_parent = parent.join("slices");
    });
    let capabilities = host.enforcer.capabilities();
    println!("{capabilities:?}");
    assert_eq!(host.enforcer.layout(), Layout::V2);
    assert_eq!(capabilities.enforces, ["kill"]);
    for name in ["memory", "devices", "containment"] {
        assert!(
            capabilities
                .not_enforced
                .iter()
                .any(|reason| reason.starts_with(name)),
            "{name}"
        );
    }
    let grant = shell("cat /proc/self/cgroup; (setsid sleep 600 &); echo up; sleep 600");
    let slice = grant.placement.slice;
    let started = host.start(&grant);
    host.await_output(slice, "up");
    let leaf = format!("0::/{}/{slice}\n", host.config.cgroup_parent.display());
    assert!(host.stdout(slice).contains(&leaf), "{}", host.stdout(slice));
    assert!(host.found(slice).unwrap().descriptor.is_some());
    host.enforcer.kill(slice).unwrap();
    assert_eq!(host.await_exit(slice, started).cause, ExitCause::Evicted);
    host.remove(slice);
    assert!(
        !host
            .config
            .cgroup_root
            .join(&host.config.cgroup_parent)
            .join(slice.to_string())
            .exists()
    );
}
