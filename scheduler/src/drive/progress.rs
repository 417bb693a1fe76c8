//! Whether the threads get on: what the watchdog of the service manager is fed by.

use dovetail_model::time::{Now, SECOND_NS};
use std::sync::atomic::{AtomicU64, Ordering};

/// The state thread turns at least once a second.
const STATE_MAX_NS: u64 = 10 * SECOND_NS;
/// A write may take long on a disk under load; longer than this it hangs.
const DISK_MAX_NS: u64 = 15 * SECOND_NS;

/// When each thread was last seen at work.
#[derive(Debug)]
pub struct Progress {
    clock: fn() -> Now,
    state: AtomicU64,
    /// Since when the disk is at one write; 0: it waits for work.
    disk: AtomicU64,
}

impl Progress {
    pub(super) fn new(clock: fn() -> Now) -> Self {
        Self {
            clock,
            state: AtomicU64::new(clock().boot_ns),
            disk: AtomicU64::new(0),
        }
    }

    pub(super) fn state_turns(&self) {
        self.state.store((self.clock)().boot_ns, Ordering::Relaxed);
    }

    pub(super) fn disk_begins(&self) {
        self.disk.store((self.clock)().boot_ns, Ordering::Relaxed);
    }

    pub(super) fn disk_rests(&self) {
        self.disk.store(0, Ordering::Relaxed);
    }

    /// Neither thread hangs.
    pub fn is_made(&self) -> bool {
        let now = (self.clock)().boot_ns;
        let state = self.state.load(Ordering::Relaxed);
        let disk = self.disk.load(Ordering::Relaxed);
        let disk_works = disk == 0 || now.saturating_sub(disk) < DISK_MAX_NS;
        now.saturating_sub(state) < STATE_MAX_NS && disk_works
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late() -> Now {
        Now {
            boot_ns: 100 * SECOND_NS,
            wall_ns: 0,
        }
    }

    #[test]
    fn a_thread_that_hangs_is_noticed_and_one_that_waits_is_not() {
        let progress = Progress::new(late);
        assert!(progress.is_made());
        progress.disk.store(80 * SECOND_NS, Ordering::Relaxed);
        assert!(!progress.is_made(), "the disk hangs");
        progress.disk_rests();
        assert!(progress.is_made());
        progress.state.store(80 * SECOND_NS, Ordering::Relaxed);
        assert!(!progress.is_made(), "the state thread hangs");
        progress.state_turns();
        assert!(progress.is_made());
    }
}
