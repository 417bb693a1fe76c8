//! A small seeded generator, so that a search is repeated to the bit on every machine.

/// `SplitMix64` of Steele, Lea and Flood.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, 1.
    #[allow(clippy::cast_precision_loss, reason = "24 bits are exact in an f32")]
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / 16_777_216.0
    }

    /// Mostly small, sometimes large: logarithms of these are spread evenly enough.
    pub(super) fn exponential(&mut self) -> f32 {
        -(1.0 - self.unit()).ln()
    }
}
