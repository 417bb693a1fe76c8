//! `dovetail demo`: it tells its story, and leaves nothing behind.

use crate::support::{
    NOBODY, Permit, Ran, UNIX_FLAG_BROKEN, eventually, find_grpcurl, kernel, needs_root, program,
    program_as, run,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};
use tempfile::TempDir;

/// A demo under way, in a directory of its own.
struct Demo {
    child: Child,
    /// What the demo makes, and removes.
    dir: PathBuf,
    _above: TempDir,
    _permit: Permit,
}

impl Demo {
    fn start(uid: Option<u32>, flags: &[&str]) -> Self {
        let permit = Permit::wait();
        let above = tempfile::tempdir().expect("there is room for a directory");
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(above.path(), open).expect("the directory is ours");
        let dir = above.path().join("demo");
        let child = program_as(uid, "dovetail")
            .arg("demo")
            .args(flags)
            .arg("--dir")
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        Self {
            child,
            dir,
            _above: above,
            _permit: permit,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is positive"))
    }

    /// Waits for its end; gives its code and the rest of its output.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut said).expect("it speaks UTF-8");
        }
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).expect("it speaks UTF-8");
        }
        let status = self.child.wait().expect("it is this one's child");
        (status.code(), said)
    }

    fn assert_nothing_left(&self, said: &str) {
        assert!(!self.dir.exists(), "{} is left: {said}", self.dir.display());
        let parent = format!("dovetail-demo-{}", self.child.id());
        let cgroups = kernel::Cgroups::new(parent);
        assert!(!cgroups.exists(), "cgroups: {:?}", cgroups.left());
        eventually("no process of it lives", || {
            kernel::mentioning(&self.dir).is_empty().then_some(())
        });
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        kernel::kill_users_of(&self.dir);
        for pid in kernel::mentioning(&self.dir) {
            kill(pid, Signal::SIGKILL).ok();
        }
        kernel::Cgroups::new(format!("dovetail-demo-{}", self.child.id())).remove();
    }
}

fn tells_its_story(uid: Option<u32>, parts: &[&str]) {
    let mut demo = Demo::start(uid, &[]);
    let began = Instant::now();
    let (code, said) = demo.end();
    println!("{said}\ntook {:.1} s", began.elapsed().as_secs_f32());
    assert_eq!(code, Some(0), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    demo.assert_nothing_left(&said);
}

/// What is shown with or without root.
const STORY: [&str; 8] = [
    "alder",
    "chat-1",
    "pretrain",
    "five-five",
    "0 fallbacks",
    "killed with SIGKILL",
    "journal: equal",
    "Summary",
];

#[test]
fn the_demo_as_root_shows_limits_that_bite() {
    if !needs_root("showing limits") {
        return;
    }
    let parts = [&STORY[..], &["nr_throttled", "OOM"]].concat();
    tells_its_story(None, &parts);
}

#[test]
fn the_demo_without_root_says_what_is_not_enforced() {
    // Another user than this test's, where that can be chosen.
    let uid = needs_root("becoming another user").then_some(NOBODY);
    let program = program_as(None, "dovetail");
    if uid.is_some() && !may_be_run_by_others(Path::new(program.get_program())) {
        println!("skipped: nobody cannot reach {:?}", program.get_program());
        return;
    }
    let parts = [&STORY[..], &["not enforced"]].concat();
    tells_its_story(uid, &parts);
}

fn may_be_run_by_others(program: &Path) -> bool {
    program
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .all(|path| {
            let mode = fs::metadata(path).map_or(0, |found| found.permissions().mode());
            mode & 0o001 != 0
        })
}

/// Runs a line as a person pastes it, with the product and grpcurl in PATH.
fn paste(script: &str) -> Ran {
    let programs = [find_grpcurl(), Some(program("dovetail"))];
    let beside = programs.iter().flatten().filter_map(|found| found.parent());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = beside
        .map(Path::to_owned)
        .chain(std::env::split_paths(&path));
    let path = std::env::join_paths(path).expect("no directory has a colon");
    let mut command = Command::new("/bin/sh");
    run(command.args(["-c", script]).env("PATH", path), "")
}

#[test]
fn a_demo_that_is_kept_stays_up_until_it_is_interrupted_and_its_hints_work() {
    let mut demo = Demo::start(None, &["--keep"]);
    let stdout = demo.child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let kept = lines.any(|line| line.starts_with("Everything stays up"));
    assert!(kept, "{:?}", demo.end());
    let hints: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.contains("Ctrl-C here stops"))
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    let export = hints.iter().find(|line| line.starts_with("export "));
    let export = export.expect("the socket is said");
    let commands = hints.iter().filter(|line| !line.starts_with("export "));
    for line in commands.filter(|line| !line.starts_with("grpcurl") || find_grpcurl().is_some()) {
        let ran = paste(&format!("{export}; {line}"));
        if ran.stderr.contains(UNIX_FLAG_BROKEN) {
            println!("skipped: `{line}`: {}", ran.stderr);
            continue;
        }
        let ran = ran.expect(0);
        assert!(!ran.stdout.is_empty(), "`{line}`: {ran:#?}");
    }
    kill(demo.pid(), Signal::SIGINT).expect("it runs");
    let (code, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    demo.assert_nothing_left(&said);
}

#[test]
fn a_demo_interrupted_in_the_middle_cleans_up() {
    let mut demo = Demo::start(None, &[]);
    let stdout = demo.child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let begun = lines.any(|line| line.contains("half of them"));
    assert!(begun, "{:?}", demo.end());
    kill(demo.pid(), Signal::SIGINT).expect("it runs");
    // Whoever still writes to a closed pipe would end by that instead.
    lines.for_each(drop);
    let (code, said) = demo.end();
    assert_ne!(code, Some(0), "its story was not told");
    assert!(said.contains("interrupted"), "{said}");
    demo.assert_nothing_left(&said);
}
