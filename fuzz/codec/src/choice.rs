//! Where a generator gets its decisions from: a seed, or the bytes that a guided fuzzer hands in.

/// A stream of decisions that is the same for the same seed, or the same bytes.
#[derive(Clone, Debug)]
pub struct Choice<'a> {
    given: &'a [u8],
    state: u64,
}

impl<'a> Choice<'a> {
    /// From a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { given: &[], state: seed }
    }

    /// From bytes; when they are used up, from what follows out of a fixed seed.
    #[must_use]
    pub const fn from_bytes(given: &'a [u8]) -> Self {
        Self { given, state: 0x5EED }
    }

    /// Any number. SplitMix64.
    pub fn any(&mut self) -> u64 {
        if let Some((first, rest)) = self.given.split_first_chunk::<8>() {
            self.given = rest;
            return u64::from_le_bytes(*first);
        }
        if let Some((first, rest)) = self.given.split_first() {
            self.given = rest;
            return u64::from(*first);
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `most`; 0 if `most` is 0.
    pub fn below(&mut self, most: usize) -> usize {
        let most = u64::try_from(most).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.any() % most).unwrap_or(0)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        self.any().to_le_bytes()[0]
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A number of 16 bits, often one at an edge.
    pub fn short(&mut self) -> u16 {
        match self.below(4) {
            0 => self.of(&[0, 1, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF]),
            _ => u16::from_le_bytes([self.byte(), self.byte()]),
        }
    }

    /// A number of 32 bits, often one at an edge.
    pub fn long(&mut self) -> u32 {
        match self.below(4) {
            0 => self.of(&[0, 1, 127, 128, 16_383, 16_384, 2_097_151, 268_435_455, 0x7FFF_FFFF, u32::MAX]),
            _ => u32::from(self.short()) << 16 | u32::from(self.short()),
        }
    }
}
