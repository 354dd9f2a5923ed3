//! The newest durable frames in memory, so that live readers do not touch files.

use crate::frame::{FRAME_HEADER, FrameHeader};
use andon_model::log::ReadBatch;
use bytes::Bytes;
use std::collections::VecDeque;
use uuid::Uuid;

/// Frames are kept in pieces of about this size. A reader that keeps a payload keeps its piece alive, no more.
const PIECE_BYTES: usize = 32 << 10;

#[derive(Debug)]
struct Piece {
    first: u64,
    last: u64,
    bytes: Bytes,
}

/// A bounded, gap-free run of the newest frames. When full, the oldest pieces go; they are on disk.
#[derive(Debug)]
pub(crate) struct Tail {
    pieces: VecDeque<Piece>,
    bytes: usize,
    limit: usize,
}

impl Tail {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, limit }
    }

    /// Adds frames; `places` gives number and place within `group` of each, ascending.
    pub(crate) fn push(&mut self, group: &[u8], places: &[(u64, usize)]) {
        if self.limit == 0 {
            return;
        }
        let mut rest = places.iter().copied().peekable();
        while let Some((first, start)) = rest.next() {
            let mut last = first;
            let mut end = group.len();
            while let Some(&(seq, at)) = rest.peek() {
                if at - start >= PIECE_BYTES {
                    end = at;
                    break;
                }
                last = seq;
                rest.next();
            }
            let bytes = Bytes::copy_from_slice(group.get(start..end).unwrap_or_default());
            self.bytes += bytes.len();
            self.pieces.push_back(Piece { first, last, bytes });
        }
        while self.bytes > self.limit {
            let Some(oldest) = self.pieces.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
        }
    }

    /// The pieces that hold `from` and what follows, about `max_bytes`; empty when `from` is older than the tail.
    pub(crate) fn pieces(&self, from: u64, max_bytes: usize) -> Vec<Bytes> {
        let index = self.pieces.partition_point(|piece| piece.last < from);
        if self.pieces.get(index).is_none_or(|piece| piece.first > from) {
            return Vec::new();
        }
        let mut bytes = 0_usize;
        let wanted = self.pieces.iter().skip(index).take_while(|piece| {
            let before = bytes;
            bytes = bytes.saturating_add(piece.bytes.len());
            // One piece more than fits: the first one may begin long before `from`.
            before < max_bytes.saturating_add(PIECE_BYTES)
        });
        wanted.map(|piece| piece.bytes.clone()).collect()
    }
}

/// Takes frames `from..=durable` out of pieces of the tail.
pub(crate) fn read_pieces(
    pieces: &[Bytes],
    node: Uuid,
    from: u64,
    durable: u64,
    max_bytes: usize,
    batch: &mut ReadBatch,
) {
    let mut taken = 0_usize;
    for piece in pieces {
        let mut at = 0;
        while let Some(header) = piece.get(at..).and_then(FrameHeader::trusted) {
            let end = at + header.length;
            if header.seq > durable || taken >= max_bytes.max(1) {
                return;
            }
            if header.seq >= from {
                batch.frames.push(header.frame(node, piece.slice(at + FRAME_HEADER..end)));
                batch.next = andon_model::log::Seq(header.seq.saturating_add(1));
                taken = taken.saturating_add(header.length);
            }
            at = end;
        }
    }
}
