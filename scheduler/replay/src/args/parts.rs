//! Quantities of `--mode churn`, read as decimals and kept as integers.

use std::str::FromStr;
use thiserror::Error;

/// GPU in demand at a time, in thousandths of the cluster's: 0.95 is 950.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load(u64);

/// Why a text is no load.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no load: write a part of the cluster's GPUs from 0.01 to 2, such as 0.95")]
pub struct LoadError(String);

/// Moves per 100 000 arrivals: 1.3 per 100 is 1300.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moves(u64);

/// Why a text is no number of moves.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no number of moves: write how many per 100 arrivals from 0 to 1000, such as 1.3")]
pub struct MovesError(String);

impl Load {
    /// If nothing else is asked for: so full that large work finds it hard to get in.
    pub const DEFAULT: Self = Self(950);

    /// In thousandths.
    pub fn permille(self) -> u64 {
        self.0
    }
}

impl Moves {
    /// If nothing else is asked for.
    pub const DEFAULT: Self = Self(1300);

    /// Per 100 000 arrivals.
    pub fn per_100_000(self) -> u64 {
        self.0
    }
}

impl FromStr for Load {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let load = thousandths(text).filter(|load| (10..=2000).contains(load));
        load.map(Self).ok_or_else(|| LoadError(beginning(text)))
    }
}

impl FromStr for Moves {
    type Err = MovesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moves = thousandths(text).filter(|moves| *moves <= 1_000_000);
        moves.map(Self).ok_or_else(|| MovesError(beginning(text)))
    }
}

/// `0.95` is 950; nothing for what is no decimal with at most three digits after the point.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !digits(whole) || !digits(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<3}").parse().ok()
}

fn beginning(text: &str) -> String {
    text.chars().take(20).collect()
}
