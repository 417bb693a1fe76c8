//! Running a program to its end, and what it said.

use super::programs::{find_grpcurl, program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::Write as _,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// A program that runs longer hangs, and is killed.
const LONGEST: Duration = Duration::from_secs(60);

/// How a program ended, and its output.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit code; 128 and the signal if one ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Panics with everything it said unless it ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// The standard output as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }
}

/// Runs a command with this on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A program that does not read its input closes it: that is its right.
    stdin.write_all(input.as_bytes()).ok();
    drop(stdin);
    let (ended, end) = mpsc::channel::<()>();
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid is positive"));
    let watchdog = thread::spawn(move || {
        if end.recv_timeout(LONGEST) == Err(RecvTimeoutError::Timeout) {
            kill(pid, Signal::SIGKILL).ok();
        }
    });
    let output = child.wait_with_output().expect("it is this one's child");
    drop(ended);
    watchdog.join().expect("it does not panic");
    let signal = output.status.signal().map(|signal| 128 + signal);
    Ran {
        code: output.status.code().or(signal).expect("it has ended"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A program of the product, to be run as this user.
pub(crate) fn program_as(uid: Option<u32>, name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.env_remove("DOVETAIL_SOCKET").current_dir("/");
    if let Some(uid) = uid {
        // No privilege and no group of root's goes along.
        command.uid(uid).gid(uid);
    }
    command
}

/// What grpcurl 1.9.2 and 1.9.3 say to `-unix`: they dial TCP all the same, and take `unix://`.
pub(crate) const UNIX_FLAG_BROKEN: &str = "missing port in address";

/// Calls grpcurl on a socket; None where there is none.
pub(crate) fn grpcurl(socket: &Path, words: &[&str], input: &str) -> Option<Ran> {
    let program = find_grpcurl()?;
    let call = |address: &[&str]| {
        let mut command = Command::new(&program);
        command.args(["-plaintext", "-format-error", "-emit-defaults"]);
        if !input.is_empty() {
            command.args(["-d", "@"]);
        }
        run(command.args(address).args(words), input)
    };
    let path = socket.to_str().expect("a temporary path is UTF-8");
    let ran = call(&["-unix", path]);
    if ran.stderr.contains(UNIX_FLAG_BROKEN) {
        return Some(call(&[&format!("unix://{path}")]));
    }
    Some(ran)
}
