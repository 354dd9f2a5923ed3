//! The bytes of a segment: its header and its frames. Format version 1, little-endian.
//!
//! ```text
//! segment header, 96 bytes                          frame header, 44 bytes, then the payload
//!   0  magic "ANDONLOG"                               0  length u32: header and payload
//!   8  format version u16                             4  header CRC u32: seed, offset, bytes 8..44, length
//!  10  the same, every bit inverted                   8  payload CRC u32
//!  12  lane u8, 3 zero bytes                         12  kind u16, 14 kind version u8, 15 flags u8 (1: a mark)
//!  16  node id, 16 bytes                             16  epoch u64
//!  32  epoch u64                                     24  seq u64
//!  40  first seq u64: the segment's id               32  received i64, microseconds
//!  48  created i64, microseconds                     40  back u32: frames since the first one of its group
//!  56  salt u64
//!  64  28 zero bytes, 92 CRC u32 of bytes 0..92
//! ```
//! All CRCs are CRC32C. The frame's header CRC starts from a *seed* made of the salt, the lane and the segment's id, and
//! covers the frame's place in the file: a frame of another life, lane or place never passes, and somebody who may
//! choose a payload cannot plant a frame in it without knowing the salt. Bytes 0..12 keep their meaning for ever.
//!
//! A *mark* is a frame without payload and without a number of its own; its `seq` is the next number. It says: all
//! before is synced. One is written when the log closes.

use andon_model::Timestamp;
use andon_model::log::{Frame, FrameKind, Lane, Seq};
use bytes::Bytes;
use uuid::Uuid;

/// Length of a segment's header in bytes.
pub(crate) const SEGMENT_HEADER: usize = 96;
/// Length of a frame's header in bytes.
pub(crate) const FRAME_HEADER: usize = 44;
const MAGIC: &[u8; 8] = b"ANDONLOG";
const MARK: u8 = 1;

/// Reads `N` bytes at `at`; `None` past the end.
pub(crate) fn take<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Overwrites `bytes[at..]` with `value`; the caller has made room.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

const fn lane_number(lane: Lane) -> u8 {
    match lane {
        Lane::Records => 0,
        Lane::Messages => 1,
        Lane::Samples => 2,
    }
}

/// What all frames of a segment have mixed into their checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn new(salt: u64, lane: Lane, first_seq: u64) -> Self {
        let crc = crc32c::crc32c(&salt.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &[lane_number(lane)]);
        Self(crc32c::crc32c_append(crc, &first_seq.to_le_bytes()))
    }

    fn of_header(self, offset: u64, length: u32, rest: &[u8]) -> u32 {
        let crc = crc32c::crc32c_append(self.0, &offset.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, rest);
        crc32c::crc32c_append(crc, &length.to_le_bytes())
    }
}

/// A segment's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub lane: Lane,
    pub node: Uuid,
    pub epoch: u64,
    pub first_seq: u64,
    pub created: Timestamp,
    pub salt: u64,
}

/// What the first bytes of a segment are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeaderFound {
    Valid(SegmentHeader),
    /// All zero: the segment was never written.
    Empty,
    /// Written by a program that this one does not know.
    Unknown(u16),
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        put(&mut out, 0, MAGIC);
        put(&mut out, 8, &crate::FORMAT_VERSION.to_le_bytes());
        put(&mut out, 10, &(!crate::FORMAT_VERSION).to_le_bytes());
        put(&mut out, 12, &[lane_number(self.lane)]);
        put(&mut out, 16, self.node.as_bytes());
        put(&mut out, 32, &self.epoch.to_le_bytes());
        put(&mut out, 40, &self.first_seq.to_le_bytes());
        put(&mut out, 48, &self.created.micros().to_le_bytes());
        put(&mut out, 56, &self.salt.to_le_bytes());
        let crc = crc32c::crc32c(out.get(..92).unwrap_or_default());
        put(&mut out, 92, &crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> HeaderFound {
        if bytes.iter().take(SEGMENT_HEADER).all(|byte| *byte == 0) {
            return HeaderFound::Empty;
        }
        Self::decode_written(bytes).unwrap_or(HeaderFound::Damaged)
    }

    fn decode_written(bytes: &[u8]) -> Option<HeaderFound> {
        let version = u16::from_le_bytes(take(bytes, 8)?);
        if bytes.get(..8)? != MAGIC || u16::from_le_bytes(take(bytes, 10)?) != !version {
            return None;
        }
        if version != crate::FORMAT_VERSION {
            return Some(HeaderFound::Unknown(version));
        }
        if u32::from_le_bytes(take(bytes, 92)?) != crc32c::crc32c(bytes.get(..92)?) {
            return None;
        }
        let number = *bytes.get(12)?;
        Some(HeaderFound::Valid(Self {
            lane: Lane::ALL.into_iter().find(|lane| lane_number(*lane) == number)?,
            node: Uuid::from_bytes(take(bytes, 16)?),
            epoch: u64::from_le_bytes(take(bytes, 32)?),
            first_seq: u64::from_le_bytes(take(bytes, 40)?),
            created: Timestamp::from_micros(i64::from_le_bytes(take(bytes, 48)?)),
            salt: u64::from_le_bytes(take(bytes, 56)?),
        }))
    }
}

/// A frame's header, as it stands in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    /// Header and payload, in bytes.
    pub length: usize,
    pub payload_crc: u32,
    pub kind: FrameKind,
    pub mark: bool,
    pub epoch: u64,
    pub seq: u64,
    pub received: Timestamp,
    /// Frames since the first one of its group.
    pub back: u32,
}

impl FrameHeader {
    /// The number of the first frame of this one's group: all before it was synced when this was written.
    pub(crate) const fn group_first(&self) -> u64 {
        self.seq.saturating_sub(self.back as u64)
    }

    /// Reads the fields without any check.
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            length: u32::from_le_bytes(take(bytes, 0)?) as usize,
            payload_crc: u32::from_le_bytes(take(bytes, 8)?),
            kind: FrameKind { kind: u16::from_le_bytes(take(bytes, 12)?), version: *bytes.get(14)? },
            mark: bytes.get(15)? & MARK != 0,
            epoch: u64::from_le_bytes(take(bytes, 16)?),
            seq: u64::from_le_bytes(take(bytes, 24)?),
            received: Timestamp::from_micros(i64::from_le_bytes(take(bytes, 32)?)),
            back: u32::from_le_bytes(take(bytes, 40)?),
        })
    }

    /// The header at the start of `bytes` if its checksum holds for `offset` and the frame ends before `limit`.
    pub(crate) fn check(bytes: &[u8], seed: Seed, offset: u64, limit: u64) -> Option<Self> {
        let length = u32::from_le_bytes(take(bytes, 0)?);
        if (length as usize) < FRAME_HEADER || offset.checked_add(u64::from(length))? > limit {
            return None;
        }
        let found = u32::from_le_bytes(take(bytes, 4)?);
        (found == seed.of_header(offset, length, bytes.get(8..FRAME_HEADER)?)).then(|| Self::parse(bytes))?
    }

    /// The header at the start of bytes that this process wrote itself.
    pub(crate) fn trusted(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes).filter(|header| header.length >= FRAME_HEADER && header.length <= bytes.len())
    }

    /// Whether `payload` is the one the header speaks of.
    pub(crate) fn holds(&self, payload: &[u8]) -> bool {
        payload.len() + FRAME_HEADER == self.length && crc32c::crc32c(payload) == self.payload_crc
    }

    /// The frame as a reader gets it.
    pub(crate) const fn frame(&self, node: Uuid, payload: Bytes) -> Frame {
        Frame { seq: Seq(self.seq), kind: self.kind, node, epoch: self.epoch, received: self.received, payload }
    }
}

/// Puts a frame at the end of the open group; checksums and place follow in [`seal`].
pub(crate) fn push(group: &mut Vec<u8>, kind: FrameKind, epoch: u64, seq: u64, received: Timestamp, payload: &[u8]) {
    // Lengths are bounded by `LogOptions::frame_limit`, well below 4 GiB.
    let length = u32::try_from(FRAME_HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut header = [0; FRAME_HEADER];
    put(&mut header, 0, &length.to_le_bytes());
    put(&mut header, 12, &kind.kind.to_le_bytes());
    put(&mut header, 14, &[kind.version]);
    put(&mut header, 16, &epoch.to_le_bytes());
    put(&mut header, 24, &seq.to_le_bytes());
    put(&mut header, 32, &received.micros().to_le_bytes());
    group.extend_from_slice(&header);
    group.extend_from_slice(payload);
}

/// Writes place, group and checksums into the frame at the start of `bytes`.
fn seal_one(bytes: &mut [u8], seed: Seed, offset: u64, back: u32) {
    let Some((header, payload)) = bytes.split_at_mut_checked(FRAME_HEADER) else { return };
    put(header, 8, &crc32c::crc32c(payload).to_le_bytes());
    put(header, 40, &back.to_le_bytes());
    let length = u32::try_from(FRAME_HEADER + payload.len()).unwrap_or(u32::MAX);
    let crc = seed.of_header(offset, length, header.get(8..).unwrap_or_default());
    put(header, 4, &crc.to_le_bytes());
}

/// Seals all frames of a group that will stand at `offset`; calls `each` with every frame's number and place within `group`.
pub(crate) fn seal(group: &mut [u8], seed: Seed, offset: u64, mut each: impl FnMut(u64, usize)) {
    let mut at = 0;
    let mut back = 0_u32;
    while let Some(header) = group.get(at..).and_then(FrameHeader::trusted) {
        if let Some(bytes) = group.get_mut(at..at + header.length) {
            seal_one(bytes, seed, offset + at as u64, back);
        }
        each(header.seq, at);
        at += header.length;
        back = back.saturating_add(1);
    }
}

/// A mark: all before `next_seq` is synced.
pub(crate) fn mark(seed: Seed, offset: u64, epoch: u64, next_seq: u64, at: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_HEADER);
    push(&mut bytes, FrameKind { kind: 0, version: 1 }, epoch, next_seq, at, &[]);
    if let Some(flags) = bytes.get_mut(15) {
        *flags = MARK;
    }
    seal_one(&mut bytes, seed, offset, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: FrameKind = FrameKind { kind: 7, version: 3 };

    fn header() -> SegmentHeader {
        SegmentHeader {
            lane: Lane::Messages,
            node: Uuid::from_u128(5),
            epoch: 4,
            first_seq: 3,
            created: Timestamp::from_micros(2),
            salt: 1,
        }
    }

    fn group() -> Vec<u8> {
        let mut group = Vec::new();
        for (seq, payload) in [(10, &b"one"[..]), (11, b""), (12, b"three")] {
            push(&mut group, KIND, 9, seq, Timestamp::from_micros(77), payload);
        }
        group
    }

    #[test]
    fn a_segment_header_comes_back() {
        assert_eq!(SegmentHeader::decode(&header().encode()), HeaderFound::Valid(header()));
        assert_eq!(SegmentHeader::decode(&[0; SEGMENT_HEADER]), HeaderFound::Empty);
    }

    #[test]
    fn every_flipped_bit_of_a_segment_header_is_noticed() {
        for bit in 0..SEGMENT_HEADER * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(SegmentHeader::decode(&bytes), HeaderFound::Valid(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_known_to_be_one() {
        let mut bytes = header().encode();
        bytes[8..12].copy_from_slice(&[2, 0, 0xfd, 0xff]);
        assert_eq!(SegmentHeader::decode(&bytes), HeaderFound::Unknown(2));
    }

    #[test]
    fn sealed_frames_pass_only_at_their_place_and_in_their_segment() {
        let seed = Seed::new(1, Lane::Records, 10);
        let mut group = group();
        let mut places = Vec::new();
        seal(&mut group, seed, 500, |seq, at| places.push((seq, at)));
        assert_eq!(places, [(10, 0), (11, 47), (12, 91)]);
        for (index, (seq, at)) in places.into_iter().enumerate() {
            let offset = 500 + at as u64;
            let found = FrameHeader::check(&group[at..], seed, offset, 10_000).unwrap();
            assert_eq!((found.seq, found.kind, found.epoch, found.group_first()), (seq, KIND, 9, 10));
            assert_eq!(found.back as usize, index);
            assert!(found.holds(&group[at + FRAME_HEADER..at + found.length]));
            assert_eq!(FrameHeader::check(&group[at..], seed, offset + 1, 10_000), None, "another place");
            assert_eq!(FrameHeader::check(&group[at..], seed, offset, offset + 43), None, "past the end");
            for other in
                [Seed::new(2, Lane::Records, 10), Seed::new(1, Lane::Samples, 10), Seed::new(1, Lane::Records, 11)]
            {
                assert_eq!(FrameHeader::check(&group[at..], other, offset, 10_000), None, "another segment");
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let seed = Seed::new(1, Lane::Records, 10);
        let mut good = Vec::new();
        push(&mut good, KIND, 9, 10, Timestamp::from_micros(77), b"payload");
        seal(&mut good, seed, 0, |_, _| {});
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let passes = FrameHeader::check(&bytes, seed, 0, 10_000).is_some_and(|h| h.holds(&bytes[FRAME_HEADER..]));
            assert!(!passes, "bit {bit}");
        }
    }

    #[test]
    fn a_mark_carries_the_next_number() {
        let seed = Seed::new(1, Lane::Records, 10);
        let bytes = mark(seed, 64, 2, 33, Timestamp::from_micros(1));
        let found = FrameHeader::check(&bytes, seed, 64, 10_000).unwrap();
        assert!(found.mark && found.holds(&[]));
        assert_eq!((found.seq, found.group_first()), (33, 33));
    }
}
