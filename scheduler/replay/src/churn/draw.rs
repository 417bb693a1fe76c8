//! Draws from continuous distributions in integers, equal to the bit on every machine.

use crate::rng::Rng;

/// Fraction bits of what is drawn.
pub(super) const FRACTION_BITS: u32 = 32;

/// ln 2 and 1 / ln 2, times 2^64.
const LN_2: u128 = 0xb172_17f7_d1cf_79ab;
const LOG2_E: i128 = 0x1_7154_7652_b82f_e177;

/// One, with 62 fraction bits.
const ONE_62: u128 = 1 << 62;

/// Exponential with mean 1.
pub(super) fn exponential(rng: &mut Rng) -> u64 {
    minus_ln(rng.next().max(1))
}

/// e^(2 z + shift) with z normal: log-normal with sigma 2, at most 2^40. A shift of -2 makes the
/// mean 1; +2 is what somebody sees who comes at any moment, who meets long lives more often.
pub(super) fn log_normal(rng: &mut Rng, shift: i64) -> u64 {
    exp(2 * normal(rng) + (shift << FRACTION_BITS))
}

/// -ln(u / 2^64), for u not zero, by squaring: each square that passes 2 is one more bit.
fn minus_ln(u: u64) -> u64 {
    let zeros = u.leading_zeros();
    let mut x = u128::from(u << zeros);
    let mut fraction = 0_u64;
    for _ in 0..FRACTION_BITS {
        x = (x * x) >> 63;
        fraction <<= 1;
        if x >> 64 == 1 {
            fraction |= 1;
            x >>= 1;
        }
    }
    let minus_log2 = (u64::from(zeros + 1) << FRACTION_BITS) - fraction;
    u64::try_from((u128::from(minus_log2) * LN_2) >> 64).expect("at most 64 ln 2")
}

/// Standard normal, by Marsaglia's polar method.
fn normal(rng: &mut Rng) -> i64 {
    loop {
        let mut signed = || i128::from(rng.next().cast_signed() >> 32);
        let (u, v) = (signed(), signed());
        let square = (u * u + v * v).unsigned_abs();
        if square == 0 || square >= ONE_62 {
            continue;
        }
        let square = u64::try_from(square << 2).expect("it is below 1");
        let ratio = (u128::from(minus_ln(square)) << 65) / u128::from(square);
        let root = (ratio << FRACTION_BITS).isqrt().cast_signed();
        return i64::try_from((u * root) >> 31).expect("it is below 10");
    }
}

/// e^x, at most 2^40.
fn exp(x: i64) -> u64 {
    let log2 = (i128::from(x) * LOG2_E) >> 64;
    let (whole, fraction) = (log2 >> FRACTION_BITS, log2 & 0xffff_ffff);
    let (mut power, mut root) = (ONE_62, 2 * ONE_62);
    for bit in (0..FRACTION_BITS).rev() {
        root = (root << 62).isqrt();
        if fraction >> bit & 1 == 1 {
            power = (power * root) >> 62;
        }
    }
    let shift = i128::from(62 - FRACTION_BITS) - whole.min(40);
    let value = match u32::try_from(shift) {
        Ok(right) => power.checked_shr(right).unwrap_or(0),
        Err(_) => power << shift.unsigned_abs(),
    };
    u64::try_from(value)
        .unwrap_or(u64::MAX)
        .min(1 << (40 + FRACTION_BITS).min(63))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: u64 = 1 << FRACTION_BITS;

    fn near(found: u64, wanted: u64, tolerance: u64) {
        assert!(
            found.abs_diff(wanted) <= tolerance,
            "{found} is not {wanted}"
        );
    }

    #[test]
    fn logarithm_and_exponential_are_right_to_nine_digits() {
        near(minus_ln(u64::MAX), 0, 4);
        near(minus_ln(1 << 63), 2_977_044_472, 4);
        near(minus_ln(1 << 60), 4 * 2_977_044_472, 8);
        near(exp(0), ONE, 0);
        near(exp(ONE.cast_signed()), 11_674_931_555, 8);
        near(exp(-2 * ONE.cast_signed()), 581_260_615, 4);
        near(exp(10 * ONE.cast_signed()), 94_602_950_235_157, 1 << 18);
    }

    #[test]
    fn means_and_shares_are_those_of_the_distributions() {
        let mut rng = Rng::new(7);
        let draws = 200_000_u64;
        let sum: u64 = (0..draws).map(|_| exponential(&mut rng)).sum();
        near(sum / draws, ONE, ONE / 100);
        let below = |limit: i64, rng: &mut Rng| {
            let all = (0..draws).filter(|_| normal(rng) < limit * ONE.cast_signed());
            all.count() as u64 * 1000 / draws
        };
        near(below(0, &mut rng), 500, 4);
        near(below(1, &mut rng), 841, 4);
        near(below(-2, &mut rng), 22, 2);
        // Half of the lives are shorter than e^-2.
        let short = (0..draws).filter(|_| log_normal(&mut rng, -2) < 581_260_615);
        near(short.count() as u64 * 1000 / draws, 500, 4);
    }
}
