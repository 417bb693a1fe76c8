//! Between the well-known time types and nanoseconds.

use dovetail_model::time::{SECOND_NS, WallNs};
use prost_types::{Duration, Timestamp};
use std::fmt;

/// A moment on the wire.
pub fn timestamp(wall: WallNs) -> Timestamp {
    let (seconds, nanos) = split(wall.0);
    Timestamp { seconds, nanos }
}

/// A moment from the wire; none if it is before 1970, after 2554 or not normalised.
pub fn wall(wire: &Timestamp) -> Option<WallNs> {
    join(wire.seconds, wire.nanos).map(WallNs)
}

/// A time span on the wire.
pub fn duration(ns: u64) -> Duration {
    let (seconds, nanos) = split(ns);
    Duration { seconds, nanos }
}

/// A time span from the wire; none if it is negative, beyond 584 years or not normalised.
pub fn duration_ns(wire: &Duration) -> Option<u64> {
    join(wire.seconds, wire.nanos)
}

fn split(ns: u64) -> (i64, i32) {
    let seconds = i64::try_from(ns / SECOND_NS).expect("2^64 ns are less than 2^63 s");
    let nanos = i32::try_from(ns % SECOND_NS).expect("less than 10^9");
    (seconds, nanos)
}

fn join(seconds: i64, nanos: i32) -> Option<u64> {
    let nanos = u64::try_from(nanos).ok().filter(|n| *n < SECOND_NS)?;
    u64::try_from(seconds)
        .ok()?
        .checked_mul(SECOND_NS)?
        .checked_add(nanos)
}

/// Nanoseconds as people write them: `365 days`, `1 h`, `1.5 s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR_NS: u64 = 3600 * SECOND_NS;
        const DAY_NS: u64 = 24 * HOUR_NS;
        let (seconds, rest) = (self.0 / SECOND_NS, self.0 % SECOND_NS);
        if self.0 >= DAY_NS && self.0.is_multiple_of(DAY_NS) {
            let days = self.0 / DAY_NS;
            write!(f, "{days} day{}", if days == 1 { "" } else { "s" })
        } else if self.0 >= HOUR_NS && self.0.is_multiple_of(HOUR_NS) {
            write!(f, "{} h", self.0 / HOUR_NS)
        } else if rest == 0 {
            write!(f, "{seconds} s")
        } else {
            let digits = format!("{rest:09}");
            write!(f, "{seconds}.{} s", digits.trim_end_matches('0'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_to_the_nanosecond() {
        for ns in [0, 1, SECOND_NS - 1, SECOND_NS, u64::MAX] {
            assert_eq!(duration_ns(&duration(ns)), Some(ns));
            assert_eq!(wall(&timestamp(WallNs(ns))), Some(WallNs(ns)));
        }
    }

    #[test]
    fn times_that_are_none_are_refused() {
        let bad = [
            (-1, 0),
            (0, -1),
            (1, -1),
            (0, 1_000_000_000),
            (i64::MAX, 0),
            (i64::MIN, i32::MIN),
        ];
        for (seconds, nanos) in bad {
            assert_eq!(duration_ns(&Duration { seconds, nanos }), None);
            assert_eq!(wall(&Timestamp { seconds, nanos }), None);
        }
    }

    #[test]
    fn spans_are_shown_in_the_unit_people_would_choose() {
        let show = |ns: u64| Span(ns).to_string();
        assert_eq!(show(365 * 86_400 * SECOND_NS), "365 days");
        assert_eq!(show(86_400 * SECOND_NS), "1 day");
        assert_eq!(show(3600 * SECOND_NS), "1 h");
        assert_eq!(show(SECOND_NS * 3 / 2), "1.5 s");
        assert_eq!(show(0), "0 s");
    }
}
