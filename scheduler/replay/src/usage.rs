//! What a replay costs the machine.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// CPU of the calling thread so far, in microseconds; zero if the kernel does not say.
pub fn thread_cpu_us() -> u64 {
    let used = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| {
        (usage.user_time() + usage.system_time()).num_microseconds()
    });
    u64::try_from(used).unwrap_or(0)
}

/// The most memory that the process has ever held; zero if the kernel does not say.
pub fn peak_rss_bytes() -> u64 {
    let kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kib).unwrap_or(0) * 1024
}
