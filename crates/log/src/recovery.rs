//! Opening a lane after any end: a clean close, a kill, a power cut, damage.
//!
//! Only the last segment is read through. The ones before it were complete and synced when the next was begun; they are
//! checked frame by frame when somebody reads them.

use crate::commit::Active;
use crate::disk::{Disk, DiskFile, OpenMode, read_full_at, write_full_at};
use crate::frame::{FRAME_HEADER, FrameHeader, HeaderFound, SEGMENT_HEADER, Seed, SegmentHeader};
use crate::reading::damage_gap;
use crate::segment::{Damage, Found, Segment, WINDOW_BYTES, Window, first_seq_of};
use andon_model::Timestamp;
use andon_model::log::{Gap, Lane, Seq};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes are zeroed in blocks of this size, and only where they are not zero yet.
const BLOCK_BYTES: usize = 4096;

/// Why a lane could not be opened.
#[derive(Debug)]
pub(crate) enum RecoverError {
    Io(PathBuf, io::Error),
    Unknown(PathBuf, u16),
}

/// What recovery found and made of it.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub segments: BTreeMap<u64, Arc<Segment>>,
    pub active: Option<Active>,
    /// The highest number, synced.
    pub durable: u64,
    /// The highest epoch seen.
    pub epoch: u64,
    pub torn_bytes: u64,
    pub damage: Vec<Gap>,
    /// Names of the files in the lane's folder.
    pub names: Vec<String>,
}

/// The salt and highest epoch that the segments' heads name, for when the node file is lost.
pub(crate) fn heads(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<SegmentHeader>> {
    let names = disk.list(dir)?;
    let mut found = Vec::new();
    for name in names.iter().filter(|name| first_seq_of(name).is_some()) {
        let file = disk.open(&dir.join(name), OpenMode::Read)?;
        if let HeaderFound::Valid(header) = read_head(&*file)? {
            found.push(header);
        }
    }
    Ok(found)
}

fn read_head(file: &dyn DiskFile) -> io::Result<HeaderFound> {
    let mut bytes = [0; SEGMENT_HEADER];
    let read = read_full_at(file, &mut bytes, 0)?;
    Ok(SegmentHeader::decode(bytes.get(..read).unwrap_or_default()))
}

/// What recovery must know of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub lane: Lane,
    pub node: Uuid,
    pub salt: u64,
    pub now: Timestamp,
}

/// Opens one lane: afterwards everything it holds is on disk and nothing else can come back.
pub(crate) fn recover(disk: &dyn Disk, dir: &Path, context: Context) -> Result<Recovered, RecoverError> {
    let mut out =
        Recovered { names: disk.list(dir).map_err(|e| RecoverError::Io(dir.to_owned(), e))?, ..Recovered::default() };
    let firsts: BTreeMap<u64, String> = out.names.iter().filter_map(|n| Some((first_seq_of(n)?, n.clone()))).collect();
    let mut newer: Option<Timestamp> = None;
    // The newest first: a segment whose head is lost takes the age of the one after it.
    for (first, name) in firsts.into_iter().rev() {
        let path = dir.join(name);
        let failed = |error| RecoverError::Io(path.clone(), error);
        let is_last = newer.is_none();
        let file = disk.open(&path, if is_last { OpenMode::Write } else { OpenMode::Read }).map_err(failed)?;
        let size = file.size().map_err(failed)?;
        let head = match read_head(&*file) {
            Ok(HeaderFound::Unknown(version)) => return Err(RecoverError::Unknown(path, version)),
            Ok(HeaderFound::Valid(header)) if header.lane == context.lane && header.first_seq == first => Some(header),
            Err(error) if is_last => return Err(failed(error)),
            _ => None,
        };
        let created = head.map_or(newer.unwrap_or(context.now), |header| header.created);
        newer = Some(created);
        out.epoch = out.epoch.max(head.map_or(0, |header| header.epoch));
        let seed = Seed::new(context.salt, context.lane, first);
        let segment = Arc::new(Segment::new(first, path.clone(), size, created, seed, size));
        out.segments.insert(first, Arc::clone(&segment));
        if is_last {
            out.open_last(file, segment, head.is_some(), context).map_err(failed)?;
        } else if head.is_none() {
            out.damage.push(head_gap(&segment));
        }
    }
    // A name that a killed process gave may still be in memory only.
    disk.sync_dir(dir).map_err(|error| RecoverError::Io(dir.to_owned(), error))?;
    Ok(out)
}

impl Recovered {
    fn open_last(
        &mut self,
        file: Arc<dyn DiskFile>,
        segment: Arc<Segment>,
        headed: bool,
        context: Context,
    ) -> io::Result<()> {
        let found = scan(&*file, &segment)?;
        self.epoch = self.epoch.max(found.epoch);
        self.durable = found.next_seq.saturating_sub(1);
        self.torn_bytes = found.torn_bytes;
        self.damage.extend(found.damage.iter().map(|(from, to)| damage_gap(*from, *to, &segment)));
        let holds_frames = found.end > SEGMENT_HEADER as u64;
        if !headed && holds_frames {
            // The frames carry all that is needed; only the head is lost. With just the unproven group behind it,
            // it may have been torn together with that group, and is no damage.
            if found.unproven > SEGMENT_HEADER as u64 {
                self.damage.push(head_gap(&segment));
            }
            let Context { lane, node, salt, .. } = context;
            let (epoch, first_seq, created) = (found.epoch, segment.first, segment.created);
            write_full_at(&*file, &SegmentHeader { lane, node, epoch, first_seq, created, salt }.encode(), 0)?;
        }
        settle(&*file, &segment, &found, !headed && holds_frames)?;
        segment.set_end(found.end);
        self.active = Some(Active { file, segment, end: found.end, header_written: headed || holds_frames });
        Ok(())
    }
}

/// A damaged head loses no frame.
fn head_gap(segment: &Segment) -> Gap {
    Gap {
        from: Seq(segment.first),
        to: Seq(segment.first.saturating_sub(1)),
        reason: format!("the head of {} cannot be read; its frames are served", segment.path.display()),
    }
}

/// What the last segment holds.
#[derive(Debug)]
pub(crate) struct Scan {
    pub next_seq: u64,
    /// Where the good frames end.
    pub end: u64,
    /// From here to `end` nothing proves that it was synced.
    unproven: u64,
    epoch: u64,
    torn_bytes: u64,
    damage: Vec<(u64, u64)>,
}

/// Reads the last segment through. See the crate's invariants for what tells damage from a torn tail.
pub(crate) fn scan(file: &dyn DiskFile, segment: &Segment) -> io::Result<Scan> {
    let start = SEGMENT_HEADER as u64;
    let mut window = Window::new(file, segment.seed, segment.size);
    let mut scan =
        Scan { next_seq: segment.first, end: start, unproven: start, epoch: 0, torn_bytes: 0, damage: Vec::new() };
    loop {
        match window.frame_at(scan.end)? {
            Found::Frame(header, _) if header.seq == scan.next_seq => {
                if header.mark {
                    // It proves what stands before it, not itself.
                    scan.unproven = scan.end;
                } else {
                    if header.back == 0 {
                        scan.unproven = scan.end;
                    }
                    segment.note_place(header.seq, scan.end);
                    scan.next_seq += 1;
                }
                scan.epoch = scan.epoch.max(header.epoch);
                scan.end += header.length as u64;
            }
            _ => {
                let way = match damaged_mark(&mut window, scan.next_seq, scan.end)? {
                    None => proof_of_damage(&mut window, scan.next_seq, scan.end)?,
                    found => found,
                };
                let Some((header, offset)) = way else { break };
                let (from, to) = (scan.next_seq, header.seq - 1);
                segment.note_damage(from, Damage { to, next_offset: offset });
                scan.damage.push((from, to));
                (scan.next_seq, scan.end, scan.unproven) = (header.seq, offset, offset);
            }
        }
    }
    scan.torn_bytes = torn_bytes(file, scan.end, segment.size)?;
    Ok(scan)
}

/// If the hole is a damaged mark, the frame that follows it.
///
/// Nothing else puts frame `seq` there: a frame's place is part of its checksum.
fn damaged_mark(window: &mut Window<'_>, seq: u64, hole: u64) -> io::Result<Option<(FrameHeader, u64)>> {
    let after = hole + FRAME_HEADER as u64;
    Ok(match window.frame_at(after)? {
        Found::Frame(header, _) if header.seq == seq && header.back == 0 && !header.mark => Some((header, after)),
        _ => None,
    })
}

/// Whether the hole at `seq` had been synced: then the first good frame behind it, to go on with.
///
/// It had been if any frame behind it belongs to a later group, for that group was written after the sync.
fn proof_of_damage(window: &mut Window<'_>, seq: u64, hole: u64) -> io::Result<Option<(FrameHeader, u64)>> {
    let Some(first) = window.search(hole + 1, |header| header.seq >= seq)? else { return Ok(None) };
    let (mut header, mut offset) = first;
    loop {
        if header.group_first() > seq || (header.mark && header.seq >= seq) {
            return Ok(Some(first));
        }
        let after = offset + header.length as u64;
        match window.search(after, |header| header.seq >= seq)? {
            Some(next) => (header, offset) = next,
            None => return Ok(None),
        }
    }
}

/// How many bytes after `end` are not zero, counted to the last of them.
fn torn_bytes(file: &dyn DiskFile, end: u64, size: u64) -> io::Result<u64> {
    let mut torn_end = end;
    for_each_piece(file, end, size, |bytes, offset| {
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            torn_end = offset + at as u64 + 1;
        }
        Ok(())
    })?;
    Ok(torn_end - end)
}

/// Makes what was found last: the unproven frames are written again, the torn tail is zeroed, then one sync.
///
/// Written again, because after a failed sync in an earlier life the page cache may show bytes that the disk never
/// got, and would call them clean. The same bytes over themselves do no harm if the power fails now.
fn settle(file: &dyn DiskFile, segment: &Segment, scan: &Scan, head_changed: bool) -> io::Result<()> {
    if !head_changed && scan.unproven == scan.end && scan.torn_bytes == 0 {
        return Ok(());
    }
    // The head belongs to the first group.
    let from = if scan.unproven <= SEGMENT_HEADER as u64 { 0 } else { scan.unproven };
    for_each_piece(file, from, scan.end, |bytes, offset| write_full_at(file, bytes, offset))?;
    for_each_piece(file, scan.end, scan.end + scan.torn_bytes, |bytes, offset| {
        for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                let zeros = [0; BLOCK_BYTES];
                let at = offset + (number * BLOCK_BYTES) as u64;
                write_full_at(file, zeros.get(..block.len()).unwrap_or_default(), at)?;
            }
        }
        Ok(())
    })?;
    tracing::debug!(path = %segment.path.display(), torn = scan.torn_bytes, "settled the last segment");
    file.sync_data()
}

fn for_each_piece(
    file: &dyn DiskFile,
    from: u64,
    to: u64,
    mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; WINDOW_BYTES.min(usize::try_from(to.saturating_sub(from)).unwrap_or(WINDOW_BYTES))];
    let mut offset = from;
    while offset < to {
        let wanted = buffer.len().min(usize::try_from(to - offset).unwrap_or(usize::MAX));
        let Some(piece) = buffer.get_mut(..wanted) else { break };
        let read = read_full_at(file, piece, offset)?;
        if read == 0 {
            break;
        }
        each(piece.get(..read).unwrap_or_default(), offset)?;
        offset += read as u64;
    }
    Ok(())
}
