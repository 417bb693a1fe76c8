//! Tells the service manager that the agent is ready, and that it makes progress.

use sd_notify::NotifyState;
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// Feeds the watchdog for as long as work comes back from the threads it was given to.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Half of what the service manager waits.
    every: Option<Duration>,
    fed: Instant,
}

impl Watchdog {
    pub(super) fn new() -> Self {
        Self {
            every: sd_notify::watchdog_enabled().map(|limit| limit / 2),
            fed: Instant::now(),
        }
    }

    /// To be called only after something was done.
    pub(super) fn progress(&mut self) {
        if self.every.is_some_and(|every| self.fed.elapsed() >= every) {
            tell(NotifyState::Watchdog);
            self.fed = Instant::now();
        }
    }
}

pub(super) fn ready(status: &str) {
    tell(NotifyState::Ready);
    tell(NotifyState::Status(status));
}

pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Outside a service this does nothing.
fn tell(state: NotifyState<'_>) {
    match sd_notify::notify(&[state]) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => debug!(%error, "not told"),
        Err(error) => warn!(%error, "the service manager was not told"),
    }
}
