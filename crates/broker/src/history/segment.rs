//! A file of kept messages: records one behind the other, and beside a finished one an index of topics to places.
//!
//! `<first number>.log` begins with [`MAGIC`]; a record is its length, the CRC32C of its body (both little-endian), and the
//! body: a tag, and a message with its number and its place in the lane, or what was lost. `<first number>.idx` holds what is
//! needed to read only some topics; it is made anew from the records where it is missing or damaged.
//!
//! **Damage.** Where no whole record stands but one stands behind it, what lies between is damaged, and stays as it is. Where none
//! stands behind it in the file that was written last, it is the end that a kill or a power cut tore: it is cut off.

use super::lock;
use crate::frames::{FrameError, Input, blob, number, put_message};
use crate::message::Message;
use andon_model::Timestamp;
use andon_wire::mqtt::TopicName;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What a file of records begins with; the last byte is the format's version.
pub(crate) const MAGIC: &[u8; 8] = b"ANDONKP\x01";
/// What an index begins with.
const INDEX_MAGIC: &[u8; 8] = b"ANDONKI\x01";
/// The length and the checksum before a body.
const HEAD: u64 = 8;
/// No body is larger: a packet cannot be.
const BODY_MOST: u32 = 272 << 20;
/// How much is read at a place before it is known how long the record is.
const PEEK: usize = 4096;
/// How much is read in one go where a record is looked for.
const WINDOW: usize = 64 << 10;
/// So many bytes of what may be records are compared with their checksums behind damage; then what follows counts as damaged. Payloads
/// that look like the begins of records would keep the start waiting.
const COMPARED: u64 = 256 << 20;

mod tag {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const LOST: u8 = 2;
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A kept message.
    Message { no: u64, seq: u64, message: Arc<Message> },
    /// Messages that could not be kept.
    Lost { no: u64, count: u64, at: Timestamp },
}

impl Record {
    /// Whether it was written behind a record with this number. One that was not is what a failed write has left.
    fn is_behind(&self, last_no: u64) -> bool {
        match self {
            Self::Message { no, .. } => *no > last_no,
            Self::Lost { no, .. } => *no >= last_no,
        }
    }
}

/// Where messages of a topic are: number and offset, ascending.
type Places = Vec<(u64, u32)>;

/// What is in a file, by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) last_no: u64,
    /// The last place in the lane.
    pub(crate) last_seq: u64,
    /// The times of the first and the last record.
    pub(crate) times: Times,
    pub(crate) topics: BTreeMap<TopicName, Places>,
    /// What was lost: number, how many, when.
    pub(crate) lost: Vec<(u64, u64, Timestamp)>,
    /// Bytes of records that could not be read when this was made.
    pub(crate) damaged: u64,
}

impl Index {
    pub(crate) fn note(&mut self, record: &Record, offset: u32) {
        match record {
            Record::Message { no, seq, message } => {
                self.last_no = *no;
                self.last_seq = self.last_seq.max(*seq);
                self.note_time(message.received);
                if let Some(places) = self.topics.get_mut(&message.topic) {
                    places.push((*no, offset));
                } else {
                    self.topics.insert(message.topic.compact(), vec![(*no, offset)]);
                }
            }
            Record::Lost { no, count, at } => {
                self.last_no = *no;
                self.note_time(*at);
                self.lost.push((*no, *count, *at));
            }
        }
    }

    /// Nothing was in the file, not even damage.
    fn is_empty(&self) -> bool {
        self.times.is_none() && self.damaged == 0
    }

    fn note_time(&mut self, at: Timestamp) {
        let (first, last) = self.times.unwrap_or((at, at));
        self.times = Some((first.min(at), last.max(at)));
    }

    fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        out.extend_from_slice(INDEX_MAGIC);
        number(&mut out, self.last_no);
        number(&mut out, self.last_seq);
        out.put_u8(u8::from(self.times.is_some()));
        if let Some((first, last)) = self.times {
            out.put_i64(first.micros());
            out.put_i64(last.micros());
        }
        number(&mut out, self.damaged);
        number(&mut out, self.lost.len() as u64);
        for (no, count, at) in &self.lost {
            number(&mut out, *no);
            number(&mut out, *count);
            out.put_i64(at.micros());
        }
        number(&mut out, self.topics.len() as u64);
        for (topic, places) in &self.topics {
            blob(&mut out, topic.as_bytes());
            number(&mut out, places.len() as u64);
            let mut before = (0, 0);
            for (no, offset) in places {
                number(&mut out, no - before.0);
                number(&mut out, u64::from(offset - before.1));
                before = (*no, *offset);
            }
        }
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    fn decode(bytes: Bytes) -> Result<Self, FrameError> {
        let body = bytes.len().checked_sub(4).ok_or(FrameError::Truncated)?;
        let crc = u32::from_be_bytes(bytes.slice(body..).as_ref().try_into().unwrap_or_default());
        let bytes = bytes.slice(..body);
        if !bytes.starts_with(INDEX_MAGIC) || crc32c::crc32c(&bytes) != crc {
            return Err(FrameError::Field("index"));
        }
        let mut input = Input(bytes.slice(INDEX_MAGIC.len()..));
        let (last_no, last_seq) = (input.number()?, input.number()?);
        let times = input.optional(|i| Ok((i.time()?, i.time()?)))?;
        let damaged = input.number()?;
        let lost = input.list(|i| Ok((i.number()?, i.number()?, i.time()?)))?;
        let topics = input.list(|i| {
            let topic = i.topic_name()?;
            let mut before = (0_u64, 0_u32);
            let places = i.list(|i| {
                let ahead = (i.number()?, i.small::<u32>("offset")?);
                let sum = before.0.checked_add(ahead.0).zip(before.1.checked_add(ahead.1));
                before = sum.ok_or(FrameError::Field("place"))?;
                Ok(before)
            })?;
            Ok((topic, places))
        })?;
        Ok(Self { last_no, last_seq, times, topics: topics.into_iter().collect(), lost, damaged })
    }
}

fn encode(record: &Record, out: &mut BytesMut) {
    let begin = out.len();
    out.put_u64(0);
    match record {
        Record::Message { no, seq, message } => {
            out.put_u8(tag::MESSAGE);
            number(out, *no);
            number(out, *seq);
            put_message(out, message);
        }
        Record::Lost { no, count, at } => {
            out.put_u8(tag::LOST);
            number(out, *no);
            number(out, *count);
            out.put_i64(at.micros());
        }
    }
    let body = out.get(begin + HEAD as usize..).unwrap_or_default();
    let (length, crc) = (u32::try_from(body.len()).unwrap_or(u32::MAX), crc32c::crc32c(body));
    if let Some(head) = out.get_mut(begin..begin + HEAD as usize) {
        let (first, second) = head.split_at_mut(4);
        first.copy_from_slice(&length.to_le_bytes());
        second.copy_from_slice(&crc.to_le_bytes());
    }
}

fn decode(body: Bytes) -> Result<Record, FrameError> {
    let mut input = Input(body);
    let record = match input.byte()? {
        tag::MESSAGE => {
            let (no, seq) = (input.number()?, input.number()?);
            Record::Message { no, seq, message: Arc::new(input.message()?) }
        }
        tag::LOST => Record::Lost { no: input.number()?, count: input.number()?, at: input.time()? },
        _ => return Err(FrameError::Field("tag")),
    };
    if input.0.is_empty() { Ok(record) } else { Err(FrameError::Trailing) }
}

/// Reads the record at `offset`, and where the next one begins. `None`: there is none that is whole.
pub(crate) fn read_at(file: &File, offset: u64) -> io::Result<Option<(Record, u64)>> {
    let mut peek = [0_u8; PEEK];
    let got = read_some(file, &mut peek, offset)?;
    let there = peek.get(..got).unwrap_or_default();
    let Some((head, begin)) = there.split_at_checked(HEAD as usize) else { return Ok(None) };
    let word = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let (length, crc) = (word(0), word(4));
    if length == 0 || length > BODY_MOST {
        return Ok(None);
    }
    let length = length as usize;
    let body = if let Some(body) = begin.get(..length) {
        Bytes::copy_from_slice(body)
    } else {
        if offset.saturating_add(HEAD).saturating_add(length as u64) > file.metadata()?.len() {
            return Ok(None);
        }
        let mut body = vec![0; length];
        if read_some(file, &mut body, offset + HEAD)? < length {
            return Ok(None);
        }
        Bytes::from(body)
    };
    if crc32c::crc32c(&body) != crc {
        return Ok(None);
    }
    Ok(decode(body).ok().map(|record| (record, offset + HEAD + length as u64)))
}

/// What stands behind a place where no whole record is.
#[derive(Debug, PartialEq, Eq)]
enum Behind {
    /// No whole record.
    Nothing,
    /// A whole record, there.
    Record(u64),
    /// That is not known: too much there looks like records.
    Unknown,
}

/// Looks for a whole record behind `at`, where none is. Its number is above `last_no`, as all that were written later are.
///
/// The length at `at` is believed first: where only a body is damaged nothing within it is taken for a record.
fn look_behind(file: &File, at: u64, size: u64, last_no: u64, compared: &mut u64) -> io::Result<Behind> {
    let is_record =
        |at: u64| Ok::<_, io::Error>(read_at(file, at)?.is_some_and(|(record, _)| record.is_behind(last_no)));
    let mut head = [0; HEAD as usize];
    let got = read_some(file, &mut head, at)?;
    if let Some(length) = plausible(head.get(..got).unwrap_or_default(), size - at) {
        let next = at + HEAD + u64::from(length);
        if next < size && is_record(next)? {
            return Ok(Behind::Record(next));
        }
    }
    // With one byte of the body, which is its tag.
    const BEGIN: usize = HEAD as usize + 1;
    let mut window = vec![0; WINDOW];
    let mut from = at + 1;
    loop {
        let got = read_some(file, &mut window, from)?;
        let there = window.get(..got).unwrap_or_default();
        for (place, begin) in (from..).zip(there.windows(BEGIN)) {
            let Some(length) = plausible(begin, size - place) else { continue };
            *compared = compared.saturating_add(u64::from(length));
            if *compared > COMPARED {
                return Ok(Behind::Unknown);
            }
            if is_record(place)? {
                return Ok(Behind::Record(place));
            }
        }
        if got < WINDOW {
            return Ok(Behind::Nothing);
        }
        from += (WINDOW - BEGIN + 1) as u64;
    }
}

/// The length of the body, if this can be the begin of a record with so many bytes from there on.
fn plausible(begin: &[u8], there: u64) -> Option<u32> {
    let (length, rest) = begin.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    let known = rest.get(4).is_none_or(|tag| matches!(*tag, tag::MESSAGE | tag::LOST));
    (known && length > 0 && length <= BODY_MOST && HEAD + u64::from(length) <= there).then_some(length)
}

fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The file that is being written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    pub(crate) size: u64,
    /// When it was begun.
    pub(crate) begun: Timestamp,
    /// Read by others too, who wait for no disk.
    pub(crate) index: Arc<Mutex<Index>>,
    /// So far it is synced.
    synced: u64,
    /// The last sync failed: the kernel may take for clean what never came to the disk.
    failed: bool,
    scratch: BytesMut,
}

impl Active {
    pub(crate) fn create(dir: &Path, first_no: u64, now: Timestamp) -> io::Result<Self> {
        let path = dir.join(format!("{first_no:020}.log"));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
        file.write_all(MAGIC)?;
        // Before its name is: else a power cut may leave a name with nothing in it that is known.
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        let (size, index, scratch) = (MAGIC.len() as u64, Arc::default(), BytesMut::new());
        Ok(Self { path, file: Arc::new(file), size, begun: now, index, synced: size, failed: false, scratch })
    }

    /// Appends records; those behind a failed write are not there.
    pub(crate) fn append<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<()> {
        self.scratch.clear();
        let mut at = self.size;
        let mut places = Vec::new();
        for record in records {
            let before = self.scratch.len();
            encode(record, &mut self.scratch);
            places.push((record, u32::try_from(at).map_err(io::Error::other)?));
            at += (self.scratch.len() - before) as u64;
        }
        if let Err(error) = self.file.write_all_at(&self.scratch, self.size) {
            // What of it came through is not there; that it cannot be cut off either changes nothing.
            let _ = self.file.set_len(self.size);
            return Err(error);
        }
        let mut index = lock(&self.index);
        places.iter().for_each(|(record, offset)| index.note(record, *offset));
        drop(index);
        self.size = at;
        Ok(())
    }

    /// Syncs what was written. What a failed sync was to bring to the disk is read again and written again first.
    /// # Errors
    /// The disk fails, or has already lost what a failed sync was to bring there; then the next start reads it from the lane.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.synced == self.size {
            return Ok(());
        }
        if self.failed {
            self.write_again()?;
        }
        self.failed = true;
        self.file.sync_data()?;
        (self.failed, self.synced) = (false, self.size);
        Ok(())
    }

    fn write_again(&self) -> io::Result<()> {
        let mut at = self.synced;
        while at < self.size {
            let (_, next) = read_at(&self.file, at)?.ok_or_else(|| io::Error::other("lost in a sync that failed"))?;
            let mut record = vec![0; usize::try_from(next - at).unwrap_or(0)];
            read_some(&self.file, &mut record, at)?;
            self.file.write_all_at(&record, at)?;
            at = next;
        }
        Ok(())
    }

    /// Syncs the records and writes the index: nothing more will come.
    pub(crate) fn seal(&mut self) -> io::Result<Sealed> {
        self.sync()?;
        // Nobody else changes it, so what is told of it is what was encoded.
        let (encoded, told) = {
            let index = lock(&self.index);
            (index.encode(), (index.last_no, index.last_seq, index.times))
        };
        Sealed::write(self.path.clone(), self.size, &encoded, told)
    }
}

/// A finished file.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    pub(crate) last_no: u64,
    pub(crate) last_seq: u64,
    pub(crate) size: u64,
    pub(crate) times: Times,
    /// It is let go of: that it is not there is no damage.
    gone: AtomicBool,
}

/// The times of the first and the last record.
type Times = Option<(Timestamp, Timestamp)>;

impl Sealed {
    /// Writes the index beside the records. Of the index are told the last number, the last place in the lane, and the times.
    fn write(path: PathBuf, size: u64, index: &[u8], told: (u64, u64, Times)) -> io::Result<Self> {
        let to = path.with_extension("idx");
        let new = path.with_extension("idx~new");
        let mut file = File::create(&new)?;
        file.write_all(index)?;
        file.sync_all()?;
        std::fs::rename(&new, &to)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(Self::of(path, size, told))
    }

    fn of(path: PathBuf, size: u64, (last_no, last_seq, times): (u64, u64, Times)) -> Self {
        Self { path, last_no, last_seq, size, times, gone: AtomicBool::new(false) }
    }

    /// A file that a run has left. Without its index it is read through. `None`: there is nothing in it, and it is removed.
    pub(crate) fn open(path: PathBuf, first_no: u64, is_last: bool) -> io::Result<Option<Self>> {
        let size = std::fs::metadata(&path)?.len();
        let index = std::fs::read(path.with_extension("idx"));
        if let Some(Index { last_no, last_seq, times, .. }) = index.ok().and_then(|i| Index::decode(i.into()).ok()) {
            return Ok(Some(Self::of(path, size, (last_no, last_seq, times))));
        }
        let file = File::options().read(true).write(true).open(&path)?;
        let mut magic = [0; 8];
        let known = read_some(&file, &mut magic, 0)? == magic.len() && magic == *MAGIC;
        if !known && magic.iter().zip(MAGIC).take(7).all(|(there, ours)| there == ours) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "of a newer version of the program"));
        }
        let (mut index, end) = read_through(&file, first_no, size)?;
        if index.is_empty() && !known && size >= MAGIC.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "of another program, or damaged"));
        }
        // A name that was made, and no more than a part of the first record.
        if index.is_empty() && (is_last || end == size) {
            std::fs::remove_file(&path)?;
            return Ok(None);
        }
        if is_last {
            file.set_len(end)?;
            file.sync_all()?;
        } else {
            index.damaged += size - end;
        }
        if index.times.is_none() {
            index.times = written_at(&path);
        }
        let told = (index.last_no, index.last_seq, index.times);
        Self::write(path, if is_last { end } else { size }, &index.encode(), told).map(Some)
    }

    /// A file that cannot be read, of which it is known that it is there: nothing behind it gets a number that it may have.
    pub(crate) fn unreadable(path: PathBuf, first_no: u64) -> Self {
        /// No record is smaller.
        const SMALLEST: u64 = HEAD + 4;
        let size = std::fs::metadata(&path).map_or(0, |about| about.len());
        let times = written_at(&path);
        Self::of(path, size, (first_no.saturating_add(size / SMALLEST), 0, times))
    }

    /// The index, from its file.
    pub(crate) fn index(&self) -> io::Result<Index> {
        let bytes = std::fs::read(self.path.with_extension("idx"))?;
        Index::decode(bytes.into()).map_err(io::Error::other)
    }

    /// Whether it is let go of, or about to be.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Removes it. What a kill leaves of that is a file without an index, which the next start reads through.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.gone.store(true, Ordering::Release);
        remove(&self.path.with_extension("idx"))?;
        remove(&self.path)
    }
}

/// The times of what is in a file, as far as its own time tells them.
fn written_at(path: &Path) -> Option<(Timestamp, Timestamp)> {
    let written = std::fs::metadata(path).and_then(|about| about.modified()).ok()?;
    let since = written.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((Timestamp::MIN, Timestamp::from_micros(0).plus(since)))
}

/// Removes a file; that it is not there is as good.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads all records of a file: what is in it, and where the last whole one ends.
fn read_through(file: &File, first_no: u64, size: u64) -> io::Result<(Index, u64)> {
    let mut index = Index { last_no: first_no.saturating_sub(1), ..Index::default() };
    let (mut at, mut compared) = (MAGIC.len() as u64, 0);
    while at < size {
        if let Some((record, next)) = read_at(file, at)?.filter(|(record, _)| record.is_behind(index.last_no)) {
            index.note(&record, u32::try_from(at).map_err(io::Error::other)?);
            at = next;
            continue;
        }
        let next = match look_behind(file, at, size, index.last_no, &mut compared)? {
            Behind::Nothing => break,
            Behind::Record(next) => next,
            Behind::Unknown => size,
        };
        index.damaged += next - at;
        at = next;
    }
    Ok((index, at.min(size)))
}
