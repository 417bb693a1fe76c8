//! The demo's daemons: started from beside this program, logs in a file, stopped by pid.

use crate::error::CliError;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long a daemon may take to stop when it is asked to.
const STOP: Duration = Duration::from_secs(10);

/// A program that lies beside this one.
pub(super) fn sibling(name: &str) -> Result<PathBuf, CliError> {
    let me = std::env::current_exe()
        .map_err(|error| CliError::failure(format!("failed to find this program: {error}")))?;
    let path = me.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    let message = format!(
        "`{}` is missing; the demo starts the real programs",
        path.display()
    );
    Err(CliError::failure(message).help("run it as `./dev demo`, which builds them"))
}

/// A daemon that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it with its output in `log`.
    pub(super) fn start(program: &Path, args: &[&str], log: &Path) -> Result<Self, CliError> {
        let failed = |what: &str, error: &std::io::Error| {
            CliError::failure(format!("failed to {what}: {error}"))
        };
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|error| failed(&format!("open `{}`", log.display()), &error))?;
        let copy = file
            .try_clone()
            .map_err(|error| failed("share the log", &error))?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::from(copy))
            .stderr(Stdio::from(file))
            .spawn()
            .map_err(|error| failed(&format!("start `{}`", program.display()), &error))?;
        Ok(Self { child })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and reaps it.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself; both calls then say so, and that is fine.
        let _ended = self
            .child
            .kill()
            .and_then(|()| self.child.wait().map(|_| ()));
    }

    /// Asks it to stop, and kills it if it does not.
    pub(super) async fn stop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ended = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let end = tokio::time::Instant::now() + STOP;
        while self.runs() && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill();
    }

    /// Whether it has not ended.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end; its error output becomes ours if it fails.
pub(super) fn run(program: &Path, args: &[&str]) -> Result<String, CliError> {
    let shown = program.display();
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| CliError::failure(format!("failed to run `{shown}`: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(CliError::failure(format!(
        "`{shown}` failed: {}",
        why.trim()
    )))
}
