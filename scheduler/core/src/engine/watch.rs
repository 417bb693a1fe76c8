//! Watching the solver: one that has to be killed again and again is left alone for a while.

use dovetail_model::time::SECOND_NS;
use std::collections::VecDeque;

/// So many kills within `WITHIN_NS` switch the window engine off for `OFF_NS`.
const KILLS_MAX: usize = 3;
const WITHIN_NS: u64 = 600 * SECOND_NS;
const OFF_NS: u64 = 300 * SECOND_NS;

/// Kills, and until when the solver is left alone.
#[derive(Debug, Default)]
pub(super) struct Watch {
    kills: VecDeque<u64>,
    off_until: Option<u64>,
}

impl Watch {
    /// Whether the solver may be asked at this boot time.
    pub(super) fn allows(&self, boot_ns: u64) -> bool {
        self.off_until.is_none_or(|until| boot_ns >= until)
    }

    /// Its process had to be killed. What a person should know, if that was once too often.
    pub(super) fn killed(&mut self, boot_ns: u64) -> Option<String> {
        self.kills.push_back(boot_ns);
        let recent = |at: &u64| boot_ns.saturating_sub(*at) <= WITHIN_NS;
        while self.kills.front().is_some_and(|at| !recent(at)) {
            self.kills.pop_front();
        }
        if self.kills.len() < KILLS_MAX {
            return None;
        }
        self.kills.clear();
        self.off_until = Some(boot_ns + OFF_NS);
        Some(format!(
            "the solver was killed {KILLS_MAX} times within {} minutes; work that waits is packed \
             without it for {} minutes",
            WITHIN_NS / SECOND_NS / 60,
            OFF_NS / SECOND_NS / 60
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60 * SECOND_NS;

    #[test]
    fn three_kills_in_ten_minutes_are_too_many_for_five() {
        let mut watch = Watch::default();
        assert_eq!([0, 5].map(|at| watch.killed(at * MINUTE)), [None, None]);
        assert!(watch.allows(9 * MINUTE));
        assert!(watch.killed(10 * MINUTE).is_some());
        assert!(!watch.allows(15 * MINUTE - 1));
        assert!(watch.allows(15 * MINUTE));
    }

    #[test]
    fn kills_far_apart_do_no_harm() {
        let mut watch = Watch::default();
        let kills = [0, 6, 11, 17, 22].map(|at| watch.killed(at * MINUTE));
        assert!(kills.iter().all(Option::is_none));
        assert!(watch.allows(22 * MINUTE));
    }
}
