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

/// The most memory that the process has held since [`forget_peak`]; zero if the kernel does not
/// say.
pub fn peak_rss_bytes() -> u64 {
    let kib = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    u64::try_from(kib).unwrap_or(0) * 1024
}

/// Lets the peak start anew from what is held now, so that each run has its own. A kernel that
/// cannot is no error: the peak is then that of all runs so far, which is never too little.
pub fn forget_peak() {
    const PEAK: &[u8] = b"5";
    let _refused = std::fs::write("/proc/self/clear_refs", PEAK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_that_was_forgotten_does_not_count() {
        let large = vec![1_u8; 256 << 20];
        assert!(large.iter().map(|byte| u64::from(*byte)).sum::<u64>() > 0);
        let before = peak_rss_bytes();
        drop(large);
        forget_peak();
        assert!(peak_rss_bytes() + (128 << 20) < before);
    }
}
