//! What every scenario needs: a cluster of real processes, a client, and the kernel's own word.

#[path = "support/client.rs"]
mod client;
#[path = "support/command.rs"]
mod command;
#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/host.rs"]
mod host;
#[path = "support/kernel.rs"]
pub(crate) mod kernel;
#[path = "support/programs.rs"]
mod programs;
#[path = "support/spec.rs"]
mod spec;
#[path = "support/stage.rs"]
mod stage;

pub(crate) use client::{Client, rpc};
pub(crate) use command::{Ran, UNIX_FLAG_BROKEN, program_as, run};
pub(crate) use daemon::Daemon;
pub(crate) use host::Host;
pub(crate) use programs::{find_grpcurl, program};
pub(crate) use spec::{SpecExt, shell, sleeper};
pub(crate) use stage::{Cluster, Permit};

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Longer than anything takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// The user that work runs as when the tests run as root.
pub(crate) const NOBODY: u32 = 65534;

const POLL: Duration = Duration::from_millis(20);

/// Whether these tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// False, and says why, where only root can do what the test needs.
pub(crate) fn needs_root(why: &str) -> bool {
    if !is_root() {
        println!("skipped: {why} needs root");
    }
    is_root()
}

/// Waits until there is something, and gives it.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        sleep(POLL);
    }
}
