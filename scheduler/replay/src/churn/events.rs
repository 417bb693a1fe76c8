//! Event files: who comes when and for how long. They name pods by their place in a list and hold
//! nothing else of it.
//!
//! Little endian: `dvchurn1`, seed u64, arrivals per 1000 lifetimes u64, pods in the list u16,
//! lifetimes u8 (0 exponential, 1 log-normal), events u32; then for each event the ticks since the
//! one before u16, the pod u16 and its lifetime in ticks u24.

use clap::ValueEnum;
use serde::Serialize;
use thiserror::Error;

/// Ticks of a mean lifetime: gaps between arrivals are some hundred of them.
pub const LIFETIME_TICKS: u64 = 1 << 20;
/// Longest lifetime in a file. Files end after 6 mean lifetimes, and so no longer one differs.
pub(super) const LIFETIME_TICKS_MAX: u64 = (1 << 24) - 1;

const MAGIC: &[u8; 8] = b"dvchurn1";
const HEADER_BYTES: usize = 31;
const EVENT_BYTES: usize = 7;

/// How lifetimes are distributed; the mean is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Lifetimes {
    /// Without memory.
    Exponential,
    /// With sigma 2: most are short, and few very long ones make up the load.
    LogNormal,
}

/// What events follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Random seed.
    pub seed: u64,
    /// The rate of arrivals.
    pub arrivals_per_1000_lifetimes: u64,
    /// Pods in the list that is drawn from.
    pub pods: u16,
    /// How lifetimes are distributed.
    pub lifetimes: Lifetimes,
}

/// One arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// When, in ticks from the start.
    pub at: u64,
    /// Which pod of the list, sorted by name.
    pub pod: usize,
    /// How long it stays, in ticks.
    pub lifetime: u64,
}

/// All arrivals, first to last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// What they follow from.
    pub source: Source,
    /// Arrivals.
    pub events: Vec<Event>,
}

/// Why bytes are no event file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EventsError {
    /// They do not begin as one.
    #[error("it is no event file of this version: take one from `scheduler/replay/events`")]
    Header,
    /// There are more or fewer than the header says.
    #[error("it is cut off or has something behind it: copy it anew")]
    Length,
    /// An event names a pod that the list has not got.
    #[error("event {0} names a pod beyond the list")]
    Pod(usize),
}

impl Events {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventsError> {
        let (header, rest) = bytes
            .split_at_checked(HEADER_BYTES)
            .ok_or(EventsError::Header)?;
        if &header[..8] != MAGIC {
            return Err(EventsError::Header);
        }
        let source = Source {
            seed: number(&header[8..16]),
            arrivals_per_1000_lifetimes: number(&header[16..24]),
            pods: u16::from_le_bytes([header[24], header[25]]),
            lifetimes: match header[26] {
                0 => Lifetimes::Exponential,
                1 => Lifetimes::LogNormal,
                _ => return Err(EventsError::Header),
            },
        };
        let (rows, beyond) = rest.as_chunks::<EVENT_BYTES>();
        if rows.len() as u64 != number(&header[27..31]) || !beyond.is_empty() {
            return Err(EventsError::Length);
        }
        let mut at = 0;
        let events = rows.iter().enumerate().map(|(index, row)| {
            at += number(&row[..2]);
            let pod = u16::from_le_bytes([row[2], row[3]]);
            (pod < source.pods)
                .then_some(Event {
                    at,
                    pod: pod.into(),
                    lifetime: number(&row[4..]),
                })
                .ok_or(EventsError::Pod(index))
        });
        let events = events.collect::<Result<_, _>>()?;
        Ok(Self { source, events })
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let put = |bytes: &mut Vec<u8>, number: u64, width: usize| {
            bytes.extend(&number.to_le_bytes()[..width]);
        };
        put(&mut bytes, self.source.seed, 8);
        put(&mut bytes, self.source.arrivals_per_1000_lifetimes, 8);
        put(&mut bytes, self.source.pods.into(), 2);
        put(&mut bytes, self.source.lifetimes as u64, 1);
        put(&mut bytes, self.events.len() as u64, 4);
        let mut before = 0;
        for event in &self.events {
            put(&mut bytes, event.at - before, 2);
            put(&mut bytes, event.pod as u64, 2);
            put(&mut bytes, event.lifetime, 3);
            before = event.at;
        }
        bytes
    }
}

fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
