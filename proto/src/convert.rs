//! Between wire types and plain types: what comes in is checked whole, and every bad field is named.

pub mod enums;
mod fields;
pub mod grant;
pub mod label;
pub mod node;
pub mod reason;
pub mod report;
pub mod request;
pub mod resources;
pub mod time;
pub mod workload;

use std::fmt;
use thiserror::Error;

pub(crate) use fields::Fields;

/// Most violations in one answer. They travel in a trailer, and common clients take no more than
/// 16 KiB of those.
pub const VIOLATIONS_MAX: usize = 40;

/// One bad field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of proto field names, for example `workload.resources.gpu.share.compute_milli`.
    pub field: String,
    /// What is wrong, what is allowed and what came, for example `must be 1 to 1000, got 1500`.
    pub description: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.description)
    }
}

/// Every bad field of a message, at least one and at most [`VIOLATIONS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", joined(.0))]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// One bad field.
    pub fn one(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self(vec![Violation {
            field: field.into(),
            description: description.into(),
        }])
    }
}

fn joined(violations: &[Violation]) -> String {
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
