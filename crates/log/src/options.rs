//! The log's settings and their defaults.

use andon_model::log::Lane;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// When a lane's segment may be freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepPolicy {
    /// As soon as every registered reader has passed it (with none registered: at the lane's limit).
    UntilRead,
    /// Only when the lane's limit is exceeded, read or not.
    ByRetention,
}

/// How much a lane keeps. A segment over a limit is freed even when a reader still needs it; that reader gets a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LaneRetention {
    /// The most bytes of segment files; `None`: no limit.
    pub max_bytes: Option<u64>,
    /// The greatest age of a segment's newest frame; `None`: no limit. Whole segments are freed, and never the one
    /// that is being written.
    pub max_age: Option<Duration>,
    /// What happens below the limits.
    pub keep: KeepPolicy,
    /// What a reader still needs is kept beyond the limits up to so many bytes of segment files; `None`: it is not.
    pub held_bytes: Option<u64>,
}

/// Where the log gets its one random number from: the salt of its checksums.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// A number nobody outside can guess.
    fn next_u64(&self) -> u64;
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn next_u64(&self) -> u64 {
        // The standard library keys its hasher from the operating system's random source.
        std::collections::hash_map::RandomState::new().hash_one(0_u64)
    }
}

/// The log's settings. Bounds are applied when the log opens; see each field.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The size of a full-grown segment of `messages` and `samples`, in bytes (at least 1 KiB). A frame that is larger gets a segment
    /// of its own.
    pub segment_bytes: u64,
    /// The same for `records`.
    pub records_segment_bytes: u64,
    /// The size of a lane's first segment, in bytes (at least 1 KiB); each next one is twice as large until it is full-grown, so that a
    /// small installation stays small and a first start is quick.
    pub first_segment_bytes: u64,
    /// A group of this many bytes is committed at once.
    pub group_bytes: usize,
    /// The longest a frame waits for others while the disk is busy.
    pub group_delay: Duration,
    /// A group that got no further frame for this long is committed (at least 10 µs).
    pub group_idle: Duration,
    /// The most bytes of a lane that wait to be written, the group in flight included; beyond, `append` says `Busy`.
    pub max_pending_bytes: usize,
    /// The largest payload, in bytes (at most 1 GiB).
    pub max_frame_bytes: usize,
    /// The most bytes of recent frames kept in memory, per lane.
    pub tail_bytes: usize,
    /// What each lane keeps, in the order of [`Lane::ALL`].
    pub retention: [LaneRetention; 3],
    /// Space held ready for `records` when the disk is full, in bytes (rounded up to whole segments).
    pub records_reserve_bytes: u64,
    /// Threads write and tidy (the normal case). `false`: nothing happens until [`crate::DurableLog::step`] is called, so that a
    /// simulation can replay every step from one seed.
    pub background: bool,
    /// The source of the checksums' salt.
    pub random: Arc<dyn Random>,
}

const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_secs(86_400);

impl Default for LogOptions {
    fn default() -> Self {
        let records = LaneRetention { max_bytes: None, max_age: None, keep: KeepPolicy::ByRetention, held_bytes: None };
        let messages = LaneRetention {
            max_bytes: Some(2048 * MIB),
            max_age: Some(DAY * 7),
            keep: KeepPolicy::ByRetention,
            held_bytes: Some(4096 * MIB),
        };
        let samples =
            LaneRetention { max_bytes: Some(8192 * MIB), max_age: None, keep: KeepPolicy::UntilRead, held_bytes: None };
        Self {
            segment_bytes: 64 * MIB,
            records_segment_bytes: 16 * MIB,
            first_segment_bytes: MIB,
            group_bytes: 256 << 10,
            group_delay: Duration::from_millis(2),
            group_idle: Duration::from_micros(50),
            max_pending_bytes: 32 << 20,
            max_frame_bytes: 16 << 20,
            tail_bytes: 8 << 20,
            retention: [records, messages, samples],
            records_reserve_bytes: 64 * MIB,
            background: true,
            random: Arc::new(OsRandom),
        }
    }
}

impl LogOptions {
    /// Small files and no reserve: for tests and for the smallest devices.
    #[must_use]
    pub fn small() -> Self {
        Self {
            segment_bytes: MIB,
            records_segment_bytes: 256 << 10,
            first_segment_bytes: 64 << 10,
            records_reserve_bytes: 0,
            ..Self::default()
        }
    }

    /// The size of a lane's full-grown segment.
    pub(crate) fn lane_segment_bytes(&self, lane: Lane) -> u64 {
        let wanted = if lane == Lane::Records { self.records_segment_bytes } else { self.segment_bytes };
        wanted.clamp(1 << 10, 1 << 32)
    }

    /// The size of the segment that follows one of `former` bytes (`None`: the first).
    pub(crate) fn next_segment_bytes(&self, lane: Lane, former: Option<u64>) -> u64 {
        let full = self.lane_segment_bytes(lane);
        let first = self.first_segment_bytes.max(1 << 10);
        // One that came back from a backup may be cut to what it held.
        former.map_or(first, |former| former.saturating_mul(2).max(first)).min(full)
    }

    /// How many reserve segments a lane holds.
    pub(crate) fn reserve_segments(&self, lane: Lane) -> usize {
        if lane != Lane::Records {
            return 0;
        }
        usize::try_from(self.records_reserve_bytes.div_ceil(self.lane_segment_bytes(lane)))
            .unwrap_or(usize::MAX)
            .min(1024)
    }

    /// The largest payload, within the format's limit.
    pub(crate) fn frame_limit(&self) -> usize {
        self.max_frame_bytes.min(1 << 30)
    }
}
