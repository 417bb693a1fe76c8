//! Quantities as integers with their unit in the type, and how people write them.

#![deny(clippy::float_arithmetic)]

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Compute of a whole GPU, in thousandths.
pub const WHOLE_GPU: GpuMilli = GpuMilli(1000);

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// The sum, at most `u64::MAX`: quantities from outside must not wrap.
            #[must_use]
            pub fn plus(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, or nothing if more is taken than there is.
            pub fn checked_minus(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).map(Self)
            }

            /// The difference, at least zero.
            #[must_use]
            pub fn minus(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The product, at most `u64::MAX`.
            #[must_use]
            pub fn times(self, count: u64) -> Self {
                Self(self.0.saturating_mul(count))
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
                values.fold(Self::ZERO, Self::plus)
            }
        }
    };
}

quantity!(
    /// CPU in thousandths of a core.
    CpuMilli
);
quantity!(
    /// Bytes of memory, of the host or of a GPU.
    Bytes
);
quantity!(
    /// Compute of a GPU in thousandths.
    GpuMilli
);

impl fmt::Display for CpuMilli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thousandths(self.0, f)
    }
}

impl fmt::Display for GpuMilli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        thousandths(self.0, f)
    }
}

fn thousandths(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, rest) = (value / 1000, value % 1000);
    if rest == 0 {
        write!(f, "{whole}")
    } else {
        let digits = format!("{rest:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

const SUFFIXES: [(&str, u64); 11] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

impl fmt::Display for Bytes {
    /// The largest binary unit that leaves at most one decimal: `16 GiB`, `1.5 GiB`, `512 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("TiB", 1_u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        for (unit, size) in units {
            if self.0 >= size {
                let whole = self.0 / size;
                let tenth = (self.0 % size).saturating_mul(10) / size;
                return if tenth == 0 {
                    write!(f, "{whole} {unit}")
                } else {
                    write!(f, "{whole}.{tenth} {unit}")
                };
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no {what}: write {example}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
    example: &'static str,
}

impl QuantityError {
    fn new(text: &str, what: &'static str, example: &'static str) -> Self {
        Self {
            text: text.chars().take(40).collect(),
            what,
            example,
        }
    }
}

impl std::str::FromStr for Bytes {
    type Err = QuantityError;
    /// `16Gi` and `16GiB` are 2^34, `16G` and `16GB` are 16 * 10^9.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || {
            QuantityError::new(
                text,
                "size",
                "bytes, or a number with Ki, Mi, Gi, Ti, k, M, G or T, for example 16Gi",
            )
        };
        let trimmed = text.trim();
        let split = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, suffix) = trimmed.split_at(split);
        let suffix = suffix.trim();
        let suffix = suffix
            .strip_suffix('B')
            .filter(|s| !s.is_empty())
            .unwrap_or(suffix);
        let (_, size) = SUFFIXES
            .iter()
            .find(|(name, _)| *name == suffix)
            .ok_or_else(bad)?;
        scaled(number, *size).map(Self).ok_or_else(bad)
    }
}

impl std::str::FromStr for CpuMilli {
    type Err = QuantityError;
    /// `2` cores, `0.5` cores, `500m`.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || {
            QuantityError::new(
                text,
                "CPU amount",
                "cores such as 2 or 0.5, or thousandths such as 500m",
            )
        };
        milli(text.trim()).map(Self).ok_or_else(bad)
    }
}

impl std::str::FromStr for GpuMilli {
    type Err = QuantityError;
    /// `0.3`, `300m` or `30%` of a GPU.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError::new(text, "share of a GPU", "0.3, 300m or 30%");
        let text = text.trim();
        let value = match text.strip_suffix('%') {
            Some(percent) => scaled(percent, 10),
            None => milli(text),
        };
        value.map(Self).ok_or_else(bad)
    }
}

fn milli(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(number) => number
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| number.parse().ok())?,
        None => scaled(text, 1000),
    }
}

/// A decimal number times a scale, exact or nothing; more decimals than the scale holds are cut.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // More than 18 decimals are below every unit.
    let used = &fraction[..fraction.len().min(18)];
    let numerator: u128 = if used.is_empty() {
        0
    } else {
        used.parse().ok()?
    };
    let denominator = 10_u128.checked_pow(u32::try_from(used.len()).ok()?)?;
    let part = numerator
        .checked_mul(u128::from(scale))?
        .checked_div(denominator)?;
    whole
        .checked_mul(scale)?
        .checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_binary_and_decimal_suffixes() {
        let read = |text: &str| text.parse::<Bytes>().map(|b| b.0).ok();
        assert_eq!(read("16Gi"), Some(16 << 30));
        assert_eq!(read("16GiB"), Some(16 << 30));
        assert_eq!(read("16G"), Some(16_000_000_000));
        assert_eq!(read("1.5Ki"), Some(1536));
        assert_eq!(read("512"), Some(512));
        assert_eq!(read("512B"), Some(512));
        for bad in ["", "Gi", "-1", "1e3", "16X", "1.2.3", "99999999Ti"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn shares_read_fractions_thousandths_and_percent() {
        let read = |text: &str| text.parse::<GpuMilli>().map(|g| g.0).ok();
        assert_eq!(
            (read("0.3"), read("300m"), read("30%"), read("1")),
            (Some(300), Some(300), Some(300), Some(1000))
        );
        assert_eq!(read("0.3333"), Some(333));
        for bad in ["", "m", "%", "+1", "0,3"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!("0.25".parse::<CpuMilli>().map(|c| c.0), Ok(250));
    }

    #[test]
    fn quantities_are_shown_short_and_never_wrap() {
        assert_eq!(Bytes(16 << 30).to_string(), "16 GiB");
        assert_eq!(Bytes(1536 << 20).to_string(), "1.5 GiB");
        assert_eq!(CpuMilli(1500).to_string(), "1.5");
        assert_eq!(GpuMilli(250).to_string(), "0.25");
        assert_eq!(Bytes(u64::MAX).plus(Bytes(1)), Bytes(u64::MAX));
        assert_eq!(Bytes(1).checked_minus(Bytes(2)), None);
    }
}
