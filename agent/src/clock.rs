//! The clocks of this machine: the only place of the agent that reads them for `Now`.

use dovetail_model::time::{Now, SECOND_NS};
use rustix::time::{ClockId, clock_gettime};

/// This moment.
pub fn now() -> Now {
    Now {
        boot_ns: read(ClockId::Boottime),
        wall_ns: read(ClockId::Realtime),
    }
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(SECOND_NS).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back_and_the_wall_is_in_this_century() {
        let (first, second) = (now(), now());
        assert!(second.boot_ns >= first.boot_ns);
        assert!(first.wall_ns > 1_600_000_000 * SECOND_NS);
    }
}
