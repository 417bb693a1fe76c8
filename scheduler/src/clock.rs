//! The machine's clocks, read here and nowhere else.

use dovetail_model::time::Now;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// This moment. Boot time counts suspended time too, as leases must.
pub fn now() -> Now {
    Now {
        boot_ns: read(ClockId::CLOCK_BOOTTIME),
        wall_ns: read(ClockId::CLOCK_REALTIME),
    }
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("Linux has had both clocks since 2.6.39");
    let nanos = Duration::from(time).as_nanos();
    u64::try_from(nanos).expect("2^64 ns are 584 years")
}
