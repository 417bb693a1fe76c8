//! How a batch lies on disk: framed records with checksums, chained to the batch before.
//!
//! ```text
//! batch  = chain (32 bytes) | record*
//! record = len u32 | crc32c u32 | seq u64 | term u64 | kind u16 | schema u16 | body
//! chain  = SHA-256(chain of the batch before | record*)
//! ```
//!
//! Integers are little-endian; `len` counts the body, the checksum covers everything after itself.

use super::Batch;
use dovetail_core::event::Event;
use dovetail_model::id::Term;
use sha2::{Digest as _, Sha256};
use std::fmt;
use thiserror::Error;

/// Bytes before a record's body.
const HEADER_BYTES: usize = 28;
/// Bytes of a hash.
const CHAIN_BYTES: usize = 32;
/// Records of this kind hold an event.
const KIND_EVENT: u16 = 1;
/// How an event's body is written: JSON of `dovetail_core::event::Event`.
const SCHEMA_EVENT_JSON: u16 = 1;

/// Hash over every batch up to one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain(pub [u8; CHAIN_BYTES]);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Chain {
    /// The hash of an empty journal.
    pub const EMPTY: Self = Self([0; CHAIN_BYTES]);

    /// A hash from its 64 hex digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; CHAIN_BYTES];
        if text.len() != 2 * CHAIN_BYTES || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    fn next(self, records: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(records);
        Self(hash.finalize().into())
    }
}

/// What is wrong with a batch on disk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("record {sequence}: {what}")]
pub struct RecordError {
    /// The record that should have been there.
    pub sequence: u64,
    /// What is wrong.
    pub what: String,
}

/// A batch as bytes, and the chain after it.
pub(super) fn encode(batch: &Batch, before: Chain) -> (Vec<u8>, Chain) {
    let mut bytes = vec![0; CHAIN_BYTES];
    for (sequence, event) in (batch.first..).zip(&batch.events) {
        let body = serde_json::to_vec(event).expect("events have only string keys");
        put(&mut bytes, sequence, batch.term, &body);
    }
    let chain = before.next(&bytes[CHAIN_BYTES..]);
    bytes[..CHAIN_BYTES].copy_from_slice(&chain.0);
    (bytes, chain)
}

fn put(bytes: &mut Vec<u8>, sequence: u64, term: Term, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a request, and so an event, is below 1 MiB");
    let start = bytes.len();
    bytes.extend(length.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(term.0.to_le_bytes());
    bytes.extend(KIND_EVENT.to_le_bytes());
    bytes.extend(SCHEMA_EVENT_JSON.to_le_bytes());
    bytes.extend(body);
    let checksum = crc32c::crc32c(&bytes[start + 8..]);
    bytes[start + 4..start + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// The batch that these bytes hold, if they are exactly what was written after `before`.
pub(super) fn decode(
    first: u64,
    bytes: &[u8],
    before: Chain,
) -> Result<(Batch, Chain), RecordError> {
    let error = |sequence, what: &str| RecordError {
        sequence,
        what: what.to_owned(),
    };
    let (chain, mut rest) = bytes
        .split_first_chunk::<CHAIN_BYTES>()
        .ok_or_else(|| error(first, "the batch is cut"))?;
    let records = rest;
    let mut batch = Batch {
        first,
        ..Batch::default()
    };
    let mut sequence = first;
    while !rest.is_empty() {
        let (record, after) = take(rest).ok_or_else(|| error(sequence, "the record is cut"))?;
        let (term, event) = record
            .read(sequence)
            .map_err(|what| RecordError { sequence, what })?;
        batch.term = term;
        batch.events.push(event);
        rest = after;
        sequence += 1;
    }
    let expected = before.next(records);
    if expected.0 != *chain {
        return Err(error(first, "its hash does not follow the batch before"));
    }
    if batch.events.is_empty() {
        return Err(error(first, "the batch is empty"));
    }
    Ok((batch, expected))
}

struct Record<'a> {
    checksum: u32,
    covered: &'a [u8],
}

fn take(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (covered, after) = rest.split_at_checked(length.checked_add(HEADER_BYTES - 8)?)?;
    let checksum = u32::from_le_bytes(*checksum);
    Some((Record { checksum, covered }, after))
}

impl Record<'_> {
    fn read(&self, expected: u64) -> Result<(Term, Event), String> {
        if crc32c::crc32c(self.covered) != self.checksum {
            return Err("its checksum is wrong".to_owned());
        }
        let (sequence, rest) = number(self.covered);
        let (term, rest) = number(rest);
        let (kind, rest) = short(rest);
        let (schema, body) = short(rest);
        if sequence != expected {
            return Err(format!("it says that it is record {sequence}"));
        }
        if (kind, schema) != (KIND_EVENT, SCHEMA_EVENT_JSON) {
            return Err(format!(
                "kind {kind} with schema {schema} is unknown to this version"
            ));
        }
        let event = serde_json::from_slice(body)
            .map_err(|error| format!("this version cannot read its event: {error}"))?;
        Ok((Term(term), event))
    }
}

fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let (value, rest) = bytes
        .split_first_chunk()
        .expect("`take` leaves a whole header");
    (u64::from_le_bytes(*value), rest)
}

fn short(bytes: &[u8]) -> (u16, &[u8]) {
    let (value, rest) = bytes
        .split_first_chunk()
        .expect("`take` leaves a whole header");
    (u16::from_le_bytes(*value), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dovetail_model::id::ClusterId;

    fn batch() -> Batch {
        let made = |name: &str| Event::ClusterMade {
            cluster: ClusterId(name.into()),
        };
        Batch {
            term: Term(3),
            first: 7,
            events: vec![made("a"), Event::TermStarted { term: Term(3) }, made("b")],
        }
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let before = Chain([9; 32]);
        let (bytes, chain) = encode(&batch(), before);
        assert_eq!(decode(7, &bytes, before), Ok((batch(), chain)));
        assert_eq!(Chain::from_hex(&chain.to_string()), Some(chain));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (bytes, _) = encode(&batch(), Chain::default());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(7, &damaged, Chain::default()).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(
                decode(7, &bytes[..length], Chain::default()).is_err(),
                "cut at {length}"
            );
        }
    }

    #[test]
    fn a_batch_elsewhere_in_the_journal_is_noticed() {
        let (bytes, chain) = encode(&batch(), Chain::default());
        assert!(
            decode(8, &bytes, Chain::default()).is_err(),
            "another sequence"
        );
        assert!(decode(7, &bytes, chain).is_err(), "another batch before");
    }

    #[test]
    fn the_damaged_record_is_named() {
        let (mut bytes, _) = encode(&batch(), Chain::default());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(decode(7, &bytes, Chain::default()).unwrap_err().sequence, 9);
    }
}
