//! How much room a placement spoils or mends, in a hundred levels.
//!
//! Levels are coarse on purpose: places that differ by little are equals, the first of them in the
//! fixed order is taken, and so work gathers on few nodes. Finer scores pack measurably worse.

/// Level `k` is reached from `ceil(1000 ln(k / (100 - k)))` thousandths of a GPU on: steep about
/// zero, where one place must be told from another, and flat where all is good or bad.
const FROM_MILLI: [i64; 99] = [
    -4595, -3891, -3476, -3178, -2944, -2751, -2586, -2442, -2313, -2197, -2090, -1992, -1900,
    -1815, -1734, -1658, -1585, -1516, -1450, -1386, -1324, -1265, -1208, -1152, -1098, -1045,
    -994, -944, -895, -847, -800, -753, -708, -663, -619, -575, -532, -489, -447, -405, -363, -322,
    -281, -241, -200, -160, -120, -80, -40, 0, 41, 81, 121, 161, 201, 242, 282, 323, 364, 406, 448,
    490, 533, 576, 620, 664, 709, 754, 801, 848, 896, 945, 995, 1046, 1099, 1153, 1209, 1266, 1325,
    1387, 1451, 1517, 1586, 1659, 1735, 1816, 1901, 1993, 2091, 2198, 2314, 2443, 2587, 2752, 2945,
    3179, 3477, 3892, 4596,
];

/// Most that a table entry is from zero.
const SPAN_MILLI: i64 = 4600;

/// The level of each loss or gain that is not beyond the span, looked up instead of searched for.
#[derive(Debug, Clone)]
pub(super) struct Levels(Vec<u8>);

impl Levels {
    pub(super) fn new() -> Self {
        Self((-SPAN_MILLI..=SPAN_MILLI).map(level).collect())
    }

    /// 0 to 99, more for more thousandths of a GPU that become useful.
    pub(super) fn of(&self, gain_milli: i64) -> i64 {
        let place = gain_milli.clamp(-SPAN_MILLI, SPAN_MILLI) + SPAN_MILLI;
        usize::try_from(place).map_or(0, |place| self.0[place].into())
    }
}

fn level(gain_milli: i64) -> u8 {
    let reached = FROM_MILLI.partition_point(|from| *from <= gain_milli);
    u8::try_from(reached).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_rises_and_is_the_same_on_both_sides_of_zero() {
        assert!(FROM_MILLI.is_sorted());
        for (from, mirror) in FROM_MILLI.iter().zip(FROM_MILLI.iter().rev()) {
            assert!((0..=1).contains(&(from + mirror)), "{from} and {mirror}");
        }
    }

    #[test]
    fn nothing_gained_is_the_middle_and_beyond_the_span_nothing_changes() {
        let levels = Levels::new();
        assert_eq!(
            [-1, 0, 40, 41].map(|gain| levels.of(gain)),
            [49, 50, 50, 51]
        );
        assert_eq!(levels.of(i64::MIN / 2), levels.of(-SPAN_MILLI));
        assert_eq!((levels.of(-SPAN_MILLI), levels.of(SPAN_MILLI)), (0, 99));
    }

    proptest::proptest! {
        #[test]
        fn the_lookup_is_the_search(gain in -9000_i64..9000) {
            assert_eq!(Levels::new().of(gain), i64::from(level(gain)));
        }
    }
}
