//! How long the output of a slice is kept after the scheduler has its end.

use dovetail_model::id::SliceId;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Slices whose output is kept: on most hosts the run directory is memory.
const KEPT: usize = 32;
/// After this long nobody asks any more.
const AGE: Duration = Duration::from_secs(3600);

/// Ended slices, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Retention {
    ended: VecDeque<(Instant, SliceId)>,
}

impl Retention {
    /// Keeps one more, and says which must go.
    pub(super) fn add(&mut self, slice: SliceId) -> Vec<SliceId> {
        self.ended.retain(|(_, known)| *known != slice);
        self.ended.push_back((Instant::now(), slice));
        let mut old = Vec::new();
        while let Some((at, slice)) = self.ended.front().copied() {
            if self.ended.len() <= KEPT && at.elapsed() < AGE {
                break;
            }
            self.ended.pop_front();
            old.push(slice);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::tests::id;

    #[test]
    fn the_oldest_go_first_and_nothing_is_counted_twice() {
        let mut retention = Retention::default();
        let kept = u64::try_from(KEPT).unwrap();
        for workload in 0..kept {
            assert_eq!(retention.add(id(workload)), []);
        }
        assert_eq!(retention.add(id(0)), []);
        assert_eq!(retention.add(id(kept)), [id(1)]);
        assert_eq!(retention.add(id(kept + 1)), [id(2)]);
    }
}
