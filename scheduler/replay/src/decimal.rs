//! Decimal numbers for people and JSON, kept as integers until they are written.

use serde::{Serialize, Serializer};
use std::fmt;

/// `units` of 10^-`places` each: `Decimal { units: 9523, places: 2 }` is 95.23.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    /// How many of the smallest unit.
    pub units: u64,
    /// Digits after the point.
    pub places: u8,
}

impl Decimal {
    /// A number with two digits after the point.
    pub fn hundredths(units: u64) -> Self {
        Self { units, places: 2 }
    }

    /// A number with six digits after the point.
    pub fn millionths(units: u64) -> Self {
        Self { units, places: 6 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(self.places.into());
        let (whole, rest) = (self.units / scale, self.units % scale);
        if self.places == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{rest:0width$}", width = self.places.into())
    }
}

impl Serialize for Decimal {
    /// JSON has one kind of number: the nearest double to the decimal is written, which reads
    /// back as the same digits.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nearest: f64 = self
            .to_string()
            .parse()
            .map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(nearest)
    }
}

/// The whole number nearest to `part / whole`; halves go to the even one, as in the published
/// analysis.
///
/// # Panics
///
/// If `whole` is zero, or the result is more than 64 bits hold.
pub fn divide_half_even(part: u128, whole: u128) -> u64 {
    let (quotient, rest) = (part / whole, part % whole);
    let up = match (rest * 2).cmp(&whole) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    u64::try_from(quotient + u128::from(up)).expect("percentages and means fit in 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_with_all_their_digits() {
        assert_eq!(Decimal::hundredths(9503).to_string(), "95.03");
        assert_eq!(Decimal::millionths(7).to_string(), "0.000007");
        let json = serde_json::to_string(&Decimal::hundredths(9523)).unwrap();
        assert_eq!(json, "95.23");
    }

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let of_two = |part| divide_half_even(part, 2);
        assert_eq!([1, 3, 5, 7].map(of_two), [0, 2, 2, 4]);
        assert_eq!(divide_half_even(2, 3), 1);
        assert_eq!(divide_half_even(1, 3), 0);
    }
}
