//! Who is in the cluster, where, and until when.

use crate::cluster::Decision;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// A pod that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    pub(super) class: usize,
    pub(super) decision: Decision,
    /// When it was started here.
    pub(super) since: u64,
}

/// Pods by the number of their arrival.
#[derive(Debug, Default)]
pub(super) struct Population {
    live: BTreeMap<usize, Live>,
    ends: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Population {
    pub(super) fn add(&mut self, key: usize, ends: u64, live: Live) {
        self.live.insert(key, live);
        self.ends.push(Reverse((ends, key)));
    }

    /// The next who leaves by this time, and when.
    pub(super) fn leaving_by(&mut self, at: u64) -> Option<(u64, Live)> {
        let Reverse((ends, key)) = *self.ends.peek()?;
        if ends > at {
            return None;
        }
        self.ends.pop();
        let live = self.live.remove(&key).expect("who ends is live until then");
        Some((ends, live))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Live)> {
        self.live.iter().map(|(key, live)| (*key, live))
    }

    /// The pod runs there from now on; since when it ran where it was.
    pub(super) fn moved(&mut self, key: usize, decision: Decision, now: u64) -> u64 {
        let live = self.live.get_mut(&key).expect("only who is live is moved");
        live.decision = decision;
        std::mem::replace(&mut live.since, now)
    }
}
