//! A daemon of the product: its log in a file, ended by pid.

use super::{PATIENCE, programs::program};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    config: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts it with this configuration; its log lies beside.
    pub(crate) fn start(name: &'static str, config: &Path) -> Self {
        let log = config.with_extension("log");
        let child = spawn(name, config, &log);
        Self {
            name,
            config: config.to_owned(),
            log,
            child,
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid is positive"))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().expect("it is this one's child");
    }

    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(self.name, &self.config, &self.log);
    }

    /// As the service manager stops it.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).ok();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is this one's child") {
                return status;
            }
            if began.elapsed() > PATIENCE {
                self.kill();
                panic!("{} does not end: {}", self.name, self.log());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(name: &str, config: &Path, log: &Path) -> Child {
    let file = File::options().create(true).append(true).open(log);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    Command::new(program(name))
        .arg("--config")
        .arg(config)
        .env(
            "RUST_LOG",
            std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}
