//! How long to wait before the next attempt: doubling, capped, and spread so that a cluster's
//! agents do not return in step.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(200);
/// Ten thousand agents are back within this time of their scheduler's return, and not at once.
const MOST: Duration = Duration::from_secs(10);

/// Pauses of one row of failures.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Any time up to a ceiling that doubles with each failure.
    pub(super) fn pause(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random() % micros.max(1))
    }

    fn ceiling(&self) -> Duration {
        FIRST.saturating_mul(1 << self.failures.min(16)).min(MOST)
    }
}

/// The standard library seeds each state from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_ten_seconds_and_are_spread() {
        let mut backoff = Backoff::default();
        for failures in 0..100 {
            assert!(backoff.ceiling() >= FIRST && backoff.ceiling() <= MOST);
            let ceiling = backoff.ceiling();
            assert!(backoff.pause() < ceiling, "{failures}");
        }
        let pauses: Vec<Duration> = (0..200).map(|_| backoff.pause()).collect();
        let below = pauses.iter().filter(|p| **p < MOST / 2).count();
        assert!(
            (40..160).contains(&below),
            "{below} of 200 below the middle"
        );
    }
}
