//! Recomputing the state from a snapshot and the batches after it, checking every one.

use super::{Chain, Mark, ReplayError, record};
use dovetail_core::state::State;

/// A recomputed state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The state.
    pub state: State,
    /// Where the journal ends, or where reading was to end.
    pub mark: Mark,
    /// Records read after the snapshot.
    pub records: u64,
    /// Bytes of those records.
    pub bytes: u64,
}

/// A replay under way.
#[derive(Debug)]
pub(crate) struct Replay {
    done: Replayed,
    /// Stop after this revision.
    at: Option<u64>,
}

impl Replay {
    /// From the beginning.
    pub(crate) fn from_nothing(at: Option<u64>) -> Self {
        let done = Replayed {
            state: State::default(),
            mark: Mark::default(),
            records: 0,
            bytes: 0,
        };
        Self { done, at }
    }

    /// From a snapshot.
    pub(crate) fn from_snapshot(
        mark: Mark,
        bytes: &[u8],
        at: Option<u64>,
    ) -> Result<Self, ReplayError> {
        let damaged = |what| ReplayError::Damaged {
            sequence: mark.sequence,
            what,
        };
        if let Some(wanted) = at.filter(|wanted| *wanted < mark.sequence) {
            return Err(ReplayError::Dropped {
                wanted,
                snapshot: mark.sequence,
            });
        }
        let state = State::from_bytes(bytes)
            .map_err(|error| damaged(format!("the snapshot cannot be read: {error}")))?;
        if state.revision().0 != mark.sequence {
            let revision = state.revision();
            return Err(damaged(format!(
                "the snapshot says that it is of revision {revision}"
            )));
        }
        let mut replay = Self::from_nothing(at);
        replay.done.state = state;
        replay.done.mark = mark;
        Ok(replay)
    }

    /// Reads the next batch. False: everything wanted has been read.
    pub(crate) fn batch(&mut self, first: u64, bytes: &[u8]) -> Result<bool, ReplayError> {
        let expected = self.done.mark.sequence + 1;
        if self.is_done() {
            return Ok(false);
        }
        if first != expected {
            return Err(ReplayError::Damaged {
                sequence: expected,
                what: format!("the batch is missing; the next one begins at {first}"),
            });
        }
        let (batch, chain) =
            record::decode(first, bytes, self.done.mark.chain).map_err(|error| {
                ReplayError::Damaged {
                    sequence: error.sequence,
                    what: error.what,
                }
            })?;
        for (sequence, event) in (first..).zip(&batch.events) {
            if self.is_done() {
                return Ok(false);
            }
            self.done
                .state
                .apply(event)
                .map_err(|source| ReplayError::Event { sequence, source })?;
            self.done.mark.sequence = sequence;
            self.done.records += 1;
        }
        self.done.mark.chain = chain;
        self.done.bytes += bytes.len() as u64;
        Ok(true)
    }

    fn is_done(&self) -> bool {
        self.at.is_some_and(|at| self.done.mark.sequence >= at)
    }

    /// The state, if the journal ends where it says it does.
    pub(crate) fn finish(self, end: Mark) -> Result<Replayed, ReplayError> {
        let Mark { sequence, chain } = self.done.mark;
        let cut = self.at.is_some_and(|at| at < end.sequence);
        if !cut && (sequence, chain) != (end.sequence, end.chain) {
            return Err(ReplayError::Damaged {
                sequence: sequence + 1,
                what: format!(
                    "the journal should end at {} with hash {}",
                    end.sequence, end.chain
                ),
            });
        }
        Ok(self.done)
    }
}

impl Mark {
    /// As text, for the journal's own notes.
    pub(super) fn to_text(self) -> String {
        format!("{} {}", self.sequence, self.chain)
    }

    /// From text.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (sequence, chain) = text.split_once(' ')?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            chain: Chain::from_hex(chain)?,
        })
    }
}
