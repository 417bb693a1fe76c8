//! Identities: each kind its own type, so that a node's name is never taken for a workload's.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Longest name of a node, workload or queue, in bytes: a DNS label's.
pub const NAME_MAX_BYTES: usize = 63;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no name: use 1 to 63 lower-case letters, digits, '-' and '.', with a letter or digit at both ends"
)]
pub struct NameError(pub String);

/// A name people gave: of a node, a workload or a queue. As every identity here, it is copied and compared
/// without going to the heap, unless it is long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(SmolStr);

/// The name of a node.
pub type NodeName = Name;

impl Name {
    /// Takes a valid name, or says why it is none.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| edge(byte) || byte == b'-' || byte == b'.';
        let bytes = text.as_bytes();
        let ends_well =
            bytes.first().is_some_and(|b| edge(*b)) && bytes.last().is_some_and(|b| edge(*b));
        if bytes.len() <= NAME_MAX_BYTES && ends_well && bytes.iter().all(|b| inner(*b)) {
            Ok(Self(text.into()))
        } else {
            // A hostile name must not fill a log or a reply.
            Err(NameError(text.chars().take(NAME_MAX_BYTES + 1).collect()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub SmolStr);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Identity of a cluster, drawn once when its journal is made.
    ClusterId
);
text_id!(
    /// The kernel's boot id of a node.
    BootId
);
text_id!(
    /// The driver's identity of a GPU.
    GpuUuid
);
text_id!(
    /// Tenant, derived from the caller's identity: `uid:1000`.
    Tenant
);

/// Id of a workload: the journal's sequence number of its acceptance. Written `w12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkloadId(pub u64);

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no id")]
pub struct IdError(pub String);

impl FromStr for WorkloadId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.strip_prefix('w')
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| IdError(text.chars().take(NAME_MAX_BYTES).collect()))
    }
}

/// Id of a slice: workload, attempt (from 1) and member (from 0). Written `w12-1-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceId {
    /// The workload.
    pub workload: WorkloadId,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The member's rank, from 0.
    pub member: u32,
}

impl fmt::Display for SliceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.workload, self.attempt, self.member)
    }
}

impl FromStr for SliceId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError(text.chars().take(NAME_MAX_BYTES).collect());
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or_else(bad);
        let id = Self {
            workload: next()?.parse()?,
            attempt: next()?.parse().map_err(|_| bad())?,
            member: next()?.parse().map_err(|_| bad())?,
        };
        // Only the canonical spelling: the id is a directory name too.
        if parts.next().is_none() && id.to_string() == text {
            Ok(id)
        } else {
            Err(bad())
        }
    }
}

impl Serialize for SliceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SliceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A scheduler's reign: it grows with every start.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Term(pub u64);

/// Number of events ever journaled.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Order of desired states: an agent obeys nothing older than the newest it has obeyed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch {
    /// The scheduler's term.
    pub term: Term,
    /// Its revision.
    pub revision: Revision,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels_with_dots() {
        for good in ["a", "node-07", "chat.svc", &"x".repeat(63)] {
            assert_eq!(Name::new(good).map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "-a",
            "a-",
            ".a",
            "A",
            "a b",
            "a/b",
            "ä",
            &"x".repeat(64),
            "a\n",
        ] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slice_ids_have_one_spelling() {
        let id = SliceId {
            workload: WorkloadId(12),
            attempt: 1,
            member: 3,
        };
        assert_eq!(id.to_string(), "w12-1-3");
        assert_eq!("w12-1-3".parse(), Ok(id));
        for bad in [
            "w12-1",
            "w12-1-3-4",
            "12-1-3",
            "w12-01-3",
            "w+12-1-3",
            "w12-1--3",
            "../x",
        ] {
            assert!(bad.parse::<SliceId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn epochs_order_by_term_first() {
        let epoch = |t, r| Epoch {
            term: Term(t),
            revision: Revision(r),
        };
        assert!(epoch(2, 1) > epoch(1, 9) && epoch(1, 9) > epoch(1, 8));
    }
}
