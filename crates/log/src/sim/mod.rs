//! Simulated disks and a hand-turned clock, for this crate's proofs and for other crates' tests.
//!
//! - [`MemDisk`] keeps files in memory; [`MemDisk::kill`] is the end of a process that could not say goodbye.
//! - [`RecordingDisk`] also writes a [`Journal`]; its [`Journal::cuts`] are all the moments at which the power may fail, and
//!   [`Cut::states`] the disks that may be found then.
//! - [`FaultyDisk`] fails the n-th call.
//! - [`HandClock`] stands still until a test turns it.
//!
//! **The model of a power cut.** Bytes are written in sectors of 512 bytes. What was synced is there. Of what was not,
//! every sector is there or not, independently, or torn: its first part new and the rest old, or the other way round. Names (create,
//! rename, remove) last when their folder was synced; of the others any subset is there. A sync that failed has
//! lost what it should have saved, although the running system still shows it, and later syncs do not bring it back.

mod clock;
mod crash;
mod faults;
mod mem;

pub use clock::HandClock;
pub use crash::{Cut, Journal};
pub use faults::{Fault, FaultyDisk};
pub use mem::{MemDisk, RecordingDisk};

use crate::options::Random;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that look random and come from a seed (SplitMix64).
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The same seed gives the same numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `bound` (0 when `bound` is 0).
    #[must_use]
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next_u64() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// True once in `n` times.
    #[must_use]
    pub fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
