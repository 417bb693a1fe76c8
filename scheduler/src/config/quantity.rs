//! Times as people write them in the configuration.

use dovetail_model::time::SECOND_NS;

/// Nanoseconds in a millisecond.
pub(super) const MS_NS: u64 = 1_000_000;

const UNITS: [(&str, u64); 4] = [
    ("ms", MS_NS),
    ("s", SECOND_NS),
    ("min", 60 * SECOND_NS),
    ("h", 3600 * SECOND_NS),
];

/// `250ms`, `15s`, `5min` or `1h`, in nanoseconds.
pub(super) fn duration_ns(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        assert_eq!(duration_ns("250ms"), Some(250 * MS_NS));
        assert_eq!(duration_ns(" 15 s "), Some(15 * SECOND_NS));
        assert_eq!(duration_ns("1h"), Some(3600 * SECOND_NS));
        for bad in ["", "15", "s", "-1s", "1.5s", "1d", "99999999999999999h"] {
            assert_eq!(duration_ns(bad), None, "{bad}");
        }
    }
}
