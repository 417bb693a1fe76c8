//! When a search ends: by counts, the same on every machine, or by time as well.

use std::time::{Duration, Instant};

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rounds of column generation before the first dive.
    pub rounds: u32,
    /// Random fillings of each class of hosts in a round.
    pub trials: u32,
    /// Looks at a work while hosts are filled by greed, in all rounds together: more hosts and more
    /// works make fewer rounds, the same ones on every machine.
    pub looks: u64,
    /// Dives to an integer answer; all but the first free a part of the best and dive again.
    pub dives: u32,
    /// Tries of each depth-first search, which begins where greed finds nothing; 0 for none.
    pub tries: u32,
    /// When to stop by the clock; only production does.
    pub time: Option<Time>,
}

/// Limits by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// Nothing new is begun after this.
    pub soft: Duration,
    /// What is under way is given up after this.
    pub hard: Duration,
}

impl Default for Limits {
    /// For a backlog of thousands on a cluster of any size: most of a second of one core.
    fn default() -> Self {
        Self {
            rounds: 80,
            trials: 24,
            looks: 100_000_000,
            dives: 3,
            tries: 3000,
            time: None,
        }
    }
}

/// Limits of a search under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    began: Instant,
    time: Option<Time>,
}

impl Clock {
    pub(super) fn start(limits: &Limits) -> Self {
        Self {
            began: Instant::now(),
            time: limits.time,
        }
    }

    /// Whether something new may be begun.
    pub(super) fn is_open(&self) -> bool {
        self.time
            .is_none_or(|time| self.began.elapsed() < time.soft)
    }

    /// Whether what is under way may go on.
    pub(super) fn is_running(&self) -> bool {
        self.time
            .is_none_or(|time| self.began.elapsed() < time.hard)
    }

    /// Time until what is under way is given up.
    pub(super) fn left(&self) -> Option<Duration> {
        let time = self.time?;
        Some(time.hard.saturating_sub(self.began.elapsed()))
    }

    /// The same limits with this much kept free at their ends, as of now.
    pub(super) fn rest(&self, kept: Duration) -> Option<Time> {
        let time = self.time?;
        let hard = time.hard.saturating_sub(self.began.elapsed() + kept);
        Some(Time {
            soft: time.soft.saturating_sub(self.began.elapsed()).min(hard),
            hard,
        })
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn clock(soft: Duration, hard: Duration) -> Clock {
        let time = Some(Time { soft, hard });
        let limits = Limits {
            time,
            ..Limits::default()
        };
        Clock::start(&limits)
    }

    #[test]
    fn nothing_new_is_begun_after_the_soft_limit_and_nothing_goes_on_after_the_hard_one() {
        let states = [
            clock(LONG, LONG),
            clock(Duration::ZERO, LONG),
            clock(Duration::ZERO, Duration::ZERO),
            Clock::start(&Limits::default()),
        ];
        let states = states.map(|clock| (clock.is_open(), clock.is_running()));
        assert_eq!(
            states,
            [(true, true), (false, true), (false, false), (true, true)]
        );
    }

    #[test]
    fn what_is_kept_free_is_taken_off_both_ends() {
        let rest = clock(LONG, 2 * LONG).rest(LONG).unwrap();
        assert!(rest.hard <= LONG && rest.soft <= rest.hard);
        let none = clock(LONG, LONG).rest(LONG).unwrap();
        assert_eq!((none.soft, none.hard), (Duration::ZERO, Duration::ZERO));
    }
}
