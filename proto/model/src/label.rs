//! Labels that sort nodes, and taints that keep work off them, in the form Kubernetes gives both.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use thiserror::Error;

/// Longest part of a key after its prefix, and longest value, in bytes.
pub const PART_MAX_BYTES: usize = 63;
/// Longest prefix of a key: a DNS name's.
pub const PREFIX_MAX_BYTES: usize = 253;
/// Most labels of a node.
pub const NODE_LABELS_MAX: usize = 64;
/// Most taints of a node, and so most tolerations that can be of use to a workload there.
pub const TAINTS_MAX: usize = 16;
/// Most labels that a workload asks of its nodes.
pub const NODE_SELECTOR_MAX: usize = 16;
/// Most tolerations of a workload.
pub const TOLERATIONS_MAX: usize = TAINTS_MAX;
/// Most characters of a bad text that are shown back.
const SHOWN_CHARS: usize = 80;

/// Labels by key.
pub type Labels = BTreeMap<LabelKey, LabelValue>;

/// Why a text is no key or no value of a label.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// It is no key.
    #[error(
        "`{0}` is no label key: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, after a DNS name and '/' if need be"
    )]
    Key(String),
    /// It is no value.
    #[error(
        "`{0}` is no label value: use at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    )]
    Value(String),
}

/// The key of a label or taint: `pool`, or with a prefix `example.com/pool`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelKey(String);

/// The value of a label or taint; it may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelValue(String);

impl LabelKey {
    /// Takes a valid key, or says why it is none.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        let (prefix, name) = text
            .rsplit_once('/')
            .map_or((None, text), |(prefix, name)| (Some(prefix), name));
        if prefix.is_none_or(is_dns_name) && is_part(name) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LabelError::Key(cut(text)))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// Takes a valid value, or says why it is none.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() || is_part(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(LabelError::Value(cut(text)))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_part(text: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let ends_well = bytes.first().is_some_and(edge) && bytes.last().is_some_and(edge);
    bytes.len() <= PART_MAX_BYTES
        && ends_well
        && bytes.iter().all(|b| edge(b) || b"-_.".contains(b))
}

fn is_dns_name(text: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends_well = bytes.first().is_some_and(edge) && bytes.last().is_some_and(edge);
        ends_well && bytes.iter().all(|b| edge(b) || *b == b'-')
    };
    text.len() <= PREFIX_MAX_BYTES && text.split('.').all(is_label)
}

/// A hostile text must not fill a log or a reply, nor move a terminal's cursor.
fn cut(text: &str) -> String {
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    start.escape_debug().to_string()
}

impl fmt::Display for LabelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LabelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a taint does to work that does not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TaintEffect {
    /// It is not placed on the node. What runs there goes on.
    NoSchedule,
}

impl TaintEffect {
    /// Every effect there is.
    pub const ALL: [Self; 1] = [Self::NoSchedule];

    /// The effect of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
        }
    }
}

/// Keeps work off a node that does not say that it bears it. A node has one of each key at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// What it is about.
    pub key: LabelKey,
    /// More about it; may be empty.
    pub value: LabelValue,
    /// What it does.
    pub effect: TaintEffect,
}

impl fmt::Display for Taint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let equals = if self.value.as_str().is_empty() {
            ""
        } else {
            "="
        };
        let effect = self.effect.name();
        write!(f, "{}{equals}{}:{effect}", self.key, self.value)
    }
}

/// Taints that a workload bears.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Toleration {
    /// Every taint of this key.
    Exists {
        /// The taint's key.
        key: LabelKey,
    },
    /// The taint of this key and value.
    Equal {
        /// The taint's key.
        key: LabelKey,
        /// The taint's value.
        value: LabelValue,
    },
}

impl Toleration {
    /// The toleration that bears this taint and no more than it must.
    pub fn of(taint: &Taint) -> Self {
        let key = taint.key.clone();
        if taint.value.as_str().is_empty() {
            return Self::Exists { key };
        }
        Self::Equal {
            key,
            value: taint.value.clone(),
        }
    }
}

impl fmt::Display for Toleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { key } => write!(f, "{key}"),
            Self::Equal { key, value } => write!(f, "{key}={value}"),
        }
    }
}

/// `zone=a, example.com/pool=train`.
pub fn shown(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_name_and_perhaps_a_prefix() {
        let longest = format!("{}/{}", "a".repeat(253), "B".repeat(63));
        for good in ["a", "A.b_c-9", "example.com/pool", "x/y", longest.as_str()] {
            assert_eq!(
                LabelKey::new(good).map(|key| key.to_string()),
                Ok(good.to_owned())
            );
        }
        let too_long = ["a".repeat(64), format!("{}/a", "a".repeat(254))];
        let bad = [
            "",
            "/",
            "a/",
            "/a",
            "-a",
            "a-",
            "a b",
            "ä",
            "a=b",
            "Example.com/a",
            "a..b/c",
            "a/b/c",
            "a_b/c",
            "a\n",
        ];
        for bad in bad.into_iter().chain(too_long.iter().map(String::as_str)) {
            assert!(LabelKey::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_may_be_empty() {
        let longest = "x".repeat(63);
        for good in ["", "a", "A100-40.b_c", longest.as_str()] {
            assert!(LabelValue::new(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(64);
        for bad in [" ", "-", "a/b", "a,", "\u{1b}[31m", too_long.as_str()] {
            assert!(LabelValue::new(bad).is_err(), "{bad}");
        }
        let shown = LabelValue::new("\u{1b}[31m").unwrap_err().to_string();
        assert!(!shown.chars().any(char::is_control), "{shown}");
    }

    #[test]
    fn taints_and_tolerations_read_as_kubernetes_writes_them() {
        let key = LabelKey::new("dedicated").unwrap();
        let mut taint = Taint {
            key,
            value: LabelValue::new("ml").unwrap(),
            effect: TaintEffect::NoSchedule,
        };
        assert_eq!(taint.to_string(), "dedicated=ml:NoSchedule");
        assert_eq!(Toleration::of(&taint).to_string(), "dedicated=ml");
        taint.value = LabelValue::default();
        assert_eq!(taint.to_string(), "dedicated:NoSchedule");
        assert_eq!(Toleration::of(&taint).to_string(), "dedicated");
        assert_eq!(
            TaintEffect::named("NoSchedule"),
            Some(TaintEffect::NoSchedule)
        );
        assert_eq!(TaintEffect::named("NoExecute"), None);
    }
}
