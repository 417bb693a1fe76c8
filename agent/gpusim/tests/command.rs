//! The command as people and scripts use it: several processes at once on one host's state.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};

use nvidia_ml::{Host, library};

const HOST: &str = "name = 'cmd'\ncpus = 4\nmemory = '8Gi'\n[[gpu]]\nmodel = 'L4-24'\ncount = 2\n";

fn gpusim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dovetail-gpusim"))
        .args(arguments)
        .output()
        .unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = gpusim(arguments);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {failed}");
    String::from_utf8(output.stdout).unwrap()
}

fn refuse(arguments: &[&str]) -> String {
    let output = gpusim(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Makes a host in `directory/host` and returns its path and what the command said.
fn create(directory: &Path, first_minor: &str) -> (String, String) {
    let (file, host) = (directory.join("host.toml"), directory.join("host"));
    std::fs::write(&file, HOST).unwrap();
    let library = library().unwrap();
    let host = host.to_str().unwrap();
    let said = succeed(&[
        "create",
        "--file",
        file.to_str().unwrap(),
        "--dir",
        host,
        "--first-minor",
        first_minor,
        "--library",
        library.to_str().unwrap(),
    ]);
    (host.to_owned(), said)
}

#[test]
fn what_is_set_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (host, _) = create(directory.path(), "0");
    let pid = std::process::id().to_string();
    succeed(&[
        "set",
        "--dir",
        &host,
        "--gpu",
        "1",
        "utilization=64",
        "power=60",
        "memory-used=3Gi",
    ]);
    succeed(&[
        "process", "add", "--dir", &host, "--gpu", "0", "--pid", &pid, "--memory", "2Gi",
    ]);
    let shown = succeed(&["show", "--dir", &host]);
    assert!(shown.contains("3072/23034 MiB  64 %  60 W"), "{shown}");
    assert!(
        shown.contains(&format!("process {pid}  2048 MiB")),
        "{shown}"
    );
    succeed(&[
        "process", "remove", "--dir", &host, "--gpu", "0", "--pid", &pid,
    ]);
    succeed(&["set", "--dir", &host, "--gpu", "0", "lost=true"]);
    let shown = succeed(&["show", "--dir", &host]);
    assert!(
        shown.contains("LOST") && !shown.contains("process"),
        "{shown}"
    );
}

#[test]
fn wrong_use_is_refused_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let (host, _) = create(directory.path(), "0");
    let gpu = ["--dir", &host, "--gpu", "0"];
    let set = |setting: &str| refuse(&[&["set"], &gpu[..], &[setting]].concat());
    assert!(set("speed=1").contains("use one of utilization"));
    assert!(set("utilization=200").contains("from 0 to 100"));
    let missing = refuse(&["set", "--dir", &host, "--gpu", "2", "lost=true"]);
    assert!(
        missing.contains("GPU 2 does not exist: host `cmd` has 2"),
        "{missing}"
    );
    let remove = refuse(&[&["process", "remove"], &gpu[..], &["--pid", "1"]].concat());
    assert!(
        remove.contains("process 1 is not listed on GPU 0"),
        "{remove}"
    );
    let nowhere = refuse(&["show", "--dir", directory.path().to_str().unwrap()]);
    assert!(
        nowhere.contains("is this the directory of a simulated host?"),
        "{nowhere}"
    );
}

#[test]
fn several_processes_change_one_host_at_once_and_lose_nothing() {
    const WRITERS: u32 = 12;
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = create(directory.path(), "0");
    let children: Vec<_> = (1..=WRITERS)
        .map(|ghost| {
            Command::new(env!("CARGO_BIN_EXE_dovetail-gpusim"))
                .args(["process", "add", "--dir", &path, "--gpu", "0", "--ghost"])
                .args(["--memory", "1Mi", "--pid", &ghost.to_string()])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let host = Host::open(Path::new(&path)).unwrap();
    let gpu = host.gpu(0).unwrap().read().unwrap();
    assert_eq!(gpu.memory_used().0, u64::from(WRITERS) << 20);
}

#[test]
fn device_nodes_have_the_minors_asked_for_or_are_said_to_be_skipped() {
    let directory = tempfile::tempdir().unwrap();
    let (path, said) = create(directory.path(), "16");
    let node = Path::new(&path).join("dev/nvidia17");
    if said.contains("devices  skipped: no permission") {
        assert!(!node.exists());
        return;
    }
    let major_and_minor = {
        use std::os::unix::fs::MetadataExt;
        let number = std::fs::metadata(&node).unwrap().rdev();
        (nix::sys::stat::major(number), nix::sys::stat::minor(number))
    };
    assert_eq!(major_and_minor, (195, 17));
    // No driver stands behind the node; a fence answers EPERM instead.
    let error = File::open(&node).unwrap_err();
    assert_ne!(error.raw_os_error(), Some(libc::ENOENT));
}
