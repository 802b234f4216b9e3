//! Numbers that look random and are the same in every run, on every platform.

/// The SplitMix64 generator of Steele, Lea and Flood (2014): one word of state, no dependency, and
/// far better than sample data needs. Never for secrets: those come from the operating system.
pub(super) struct Random(u64);

impl Random {
    /// Starts the sequence that belongs to `seed` and `stream`; different streams are independent.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut start = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        Self(start.next())
    }

    /// Returns a number below `bound`; `bound` is at least 1.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The high 32 bits scaled to the range; the bias of at most one in 2^32 does not matter
        // here.
        let scaled = (self.next() >> 32) * u64::from(bound);
        u32::try_from(scaled >> 32)
            .expect("the product of two 32-bit numbers has a 32-bit upper half")
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
