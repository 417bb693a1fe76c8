//! Byte quantities as people write them: `4Gi`, `512Mi`, `2Ti`, `80G`, `1024`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// Why a text is not a number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a number of bytes; write for example `512Mi`, `80Gi`, `2Ti` or `1073741824`"
)]
pub struct ParseBytesError {
    text: String,
}

/// Binary suffixes first, so that `Ki` is not read as `K`.
const SUFFIXES: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let (digits, unit) = SUFFIXES
            .iter()
            .find_map(|(suffix, unit)| Some((trimmed.strip_suffix(suffix)?, *unit)))
            .unwrap_or((trimmed, 1));
        let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        all_digits
            .then(|| digits.parse::<u64>().ok()?.checked_mul(unit).map(Self))
            .flatten()
            .ok_or_else(|| ParseBytesError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SUFFIXES[..4]
            .iter()
            .rev()
            .find(|(_, unit)| self.0 != 0 && self.0.is_multiple_of(*unit));
        match binary {
            Some((suffix, unit)) => write!(formatter, "{}{suffix}", self.0 / unit),
            None => write!(formatter, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_in_binary_decimal_and_plain_units() {
        assert_eq!("4Gi".parse(), Ok(Bytes(4 << 30)));
        assert_eq!("2Ti".parse(), Ok(Bytes(2 << 40)));
        assert_eq!("3G".parse(), Ok(Bytes(3_000_000_000)));
        assert_eq!("1024".parse(), Ok(Bytes(1024)));
    }

    #[test]
    fn what_is_not_a_quantity_is_refused() {
        for text in ["", "Gi", "-1", "+1", "1.5Gi", "4 GB", "99999999999Ti"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_quantity_is_shown_in_its_largest_exact_unit() {
        assert_eq!(Bytes(81_559 << 20).to_string(), "81559Mi");
        assert_eq!(Bytes(2 << 40).to_string(), "2Ti");
        assert_eq!(Bytes(0).to_string(), "0");
    }
}
