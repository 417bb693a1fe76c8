//! Time since boot, the same for every process of the machine.
#![allow(
    unsafe_code,
    reason = "the standard library has no clock shared between processes"
)]

/// Nanoseconds since boot, counted while the machine is suspended too.
pub(crate) fn since_boot_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid place for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanoseconds
}
