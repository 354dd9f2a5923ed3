//! Reading a lane by number: from memory when recent, else from its segments, with what is missing said.

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::frame::FRAME_HEADER;
use crate::lane::LaneCore;
use crate::lock;
use crate::segment::{Damage, Found, Segment, Window};
use crate::tail::read_pieces;
use andon_model::log::{Gap, ReadBatch, ReadError, Seq};
use std::io;
use std::sync::Arc;

/// Reads durable frames from `from` on; see [`andon_model::log::Log::read`].
pub(crate) fn read(core: &LaneCore, disk: &dyn Disk, from: u64, max_bytes: usize) -> Result<ReadBatch, ReadError> {
    let durable = core.durable_seq();
    let mut next = from.max(1);
    let mut batch = ReadBatch { next: Seq(next), ..ReadBatch::default() };
    if next > durable {
        return Ok(batch);
    }
    let pieces = lock(&core.tail).pieces(next, max_bytes);
    if !pieces.is_empty() {
        read_pieces(&pieces, core.node, next, durable, max_bytes, &mut batch);
        return Ok(batch);
    }
    let mut taken = 0;
    while next <= durable && (taken == 0 || taken < max_bytes) {
        let Some((segment, last)) = segment_of(core, next, durable) else { break };
        if next < segment.first {
            let reason = format!("freed by the {} lane's retention", core.lane.name());
            batch.gaps.push(Gap { from: Seq(next), to: Seq(segment.first - 1), reason });
            next = segment.first;
        }
        let mut pass =
            Pass { core, segment: &segment, last, from: next, max_bytes, taken: &mut taken, batch: &mut batch };
        match pass.run(disk) {
            Ok(after) => next = after,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let freed = !lock(&core.segments).contains_key(&segment.first);
                if !freed {
                    next = pass.note_missing_file();
                }
            }
            Err(_) if !batch.frames.is_empty() => break,
            Err(source) => return Err(ReadError::Io { lane: core.lane, seq: Seq(next), source }),
        }
        batch.next = Seq(next);
    }
    Ok(batch)
}

/// The segment that holds `seq` (or the first one after it), and its last durable number.
fn segment_of(core: &LaneCore, seq: u64, durable: u64) -> Option<(Arc<Segment>, u64)> {
    let segments = lock(&core.segments);
    let found = segments.range(..=seq).next_back().or_else(|| segments.iter().next());
    let segment = found.map(|(_, segment)| Arc::clone(segment))?;
    let following = segments.range(segment.first.saturating_add(1)..).next();
    let last = following.map_or(durable, |(first, _)| first - 1).min(durable);
    Some((segment, last))
}

/// One pass over one segment.
struct Pass<'a> {
    core: &'a LaneCore,
    segment: &'a Segment,
    /// The last number to serve.
    last: u64,
    /// The first number to serve.
    from: u64,
    max_bytes: usize,
    taken: &'a mut usize,
    batch: &'a mut ReadBatch,
}

impl Pass<'_> {
    /// Serves what it can; gives the number to go on with.
    fn run(&mut self, disk: &dyn Disk) -> io::Result<u64> {
        let file = disk.open(&self.segment.path, OpenMode::Read)?;
        let file: &dyn DiskFile = &*file;
        let mut window = Window::new(file, self.segment.seed, self.segment.end());
        let (mut seq, mut offset) = self.segment.seek(self.from);
        while seq <= self.last && (*self.taken == 0 || *self.taken < self.max_bytes) {
            if let Some(known) = self.segment.damage_at(seq).filter(|known| offset < known.next_offset) {
                self.add_gap(seq, known.to);
                (seq, offset) = (known.to + 1, known.next_offset);
                continue;
            }
            match window.frame_at(offset)? {
                Found::Frame(header, _) if header.mark && header.seq == seq => offset += header.length as u64,
                Found::Frame(header, payload) if !header.mark && header.seq == seq => {
                    self.segment.note_place(seq, offset);
                    if seq >= self.from {
                        *self.taken = self.taken.saturating_add(FRAME_HEADER + payload.len());
                        self.batch.frames.push(header.frame(self.core.node, payload));
                    }
                    (seq, offset) = (seq + 1, offset + header.length as u64);
                }
                Found::BadPayload(header) if !header.mark && header.seq == seq => {
                    self.note_damage(seq, Damage { to: seq, next_offset: offset + header.length as u64 });
                }
                _ => {
                    let damage = find_way(&mut window, seq, self.last, offset)?;
                    self.note_damage(seq, damage);
                }
            }
        }
        Ok(seq.max(self.from))
    }

    fn note_damage(&self, from: u64, damage: Damage) {
        if self.segment.note_damage(from, damage) && damage.to >= from {
            self.core.report_damage(damage_gap(from, damage.to, self.segment));
        }
    }

    /// Adds the part of a damaged stretch that was asked for.
    fn add_gap(&mut self, from: u64, to: u64) {
        let from = from.max(self.from);
        if from <= to {
            self.batch.gaps.push(damage_gap(from, to, self.segment));
        }
    }

    /// The file is gone although nobody freed it.
    fn note_missing_file(&mut self) -> u64 {
        self.note_damage(self.segment.first, Damage { to: self.last, next_offset: self.segment.size });
        self.add_gap(self.segment.first, self.last);
        self.last.saturating_add(1)
    }
}

pub(crate) fn damage_gap(from: u64, to: u64, segment: &Segment) -> Gap {
    Gap { from: Seq(from), to: Seq(to), reason: format!("damaged in {}", segment.path.display()) }
}

/// Where a segment goes on after bytes that make no sense at `offset`, where `seq` should stand.
///
/// `to` below `seq` means that no number is lost, only the bytes between.
fn find_way(window: &mut Window<'_>, seq: u64, last: u64, offset: u64) -> io::Result<Damage> {
    let found = window.search(offset + 1, |header| (seq..=last.saturating_add(1)).contains(&header.seq))?;
    Ok(match found {
        Some((header, next_offset)) => Damage { to: header.seq - 1, next_offset },
        // What comes after `last` later is looked for again.
        None => Damage { to: last, next_offset: offset + 1 },
    })
}
