//! Random numbers that follow from a seed.

/// SplitMix64: small, fast, and the same on every machine. Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of one seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The bias is bound / 2^64: nothing here notices it.
        self.next() % bound
    }

    /// From 0 up to, not including, 1.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits fill the mantissa.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn fractions_fill_the_unit() {
        let mut rng = Rng::new(1);
        let sum: f64 = (0..10_000).map(|_| rng.fraction()).sum();
        assert!((sum / 10_000.0 - 0.5).abs() < 0.02);
    }
}
