//! Time as data: nothing here reads a clock.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A moment as the caller read it: durations come from `boot_ns`, labels from `wall_ns`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Nanoseconds since boot, suspended time included; never goes back.
    pub boot_ns: u64,
    /// Nanoseconds since 1970, by a clock that people may set.
    pub wall_ns: u64,
}

/// A moment of the wall clock, nanoseconds since 1970. For people; no duration is computed from it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallNs(pub u64);

impl Now {
    /// The wall clock's label of this moment.
    pub fn wall(self) -> WallNs {
        WallNs(self.wall_ns)
    }
}
