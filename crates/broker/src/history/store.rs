//! The kept messages of one rule: a folder of files, the oldest of which go when their time is over or there are too many bytes.

use super::segment::{Active, Index, Record, Sealed, read_at};
use super::{Keep, Kept, Missing, lock};
use andon_model::Timestamp;
use andon_wire::mqtt::{TopicFilter, TopicName};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file is finished when it is a sixteenth of what may be kept, by bytes and by time, within these bounds.
const PARTS: u32 = 16;
const FILE_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(16 << 20);
/// Under so many filters, as a rule is changed, it is known what is kept; under more it may be any topic.
const FILTERS: usize = 8;
/// What is known of the folder itself.
const ABOUT: &str = "about.json";
/// The version of what is written there.
const FORMAT: u32 = 1;

/// What is kept of a rule, and since when it is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct About {
    format: u32,
    rule: String,
    /// The filters that the rule has had, the present one last.
    #[serde(default)]
    filters: Vec<String>,
    age_s: u64,
    bytes: u64,
    /// Before that nothing is here, µs since 1970.
    since_us: i64,
    /// That is so because it was freed; else because nothing was kept yet.
    freed: bool,
    /// The last place in the lane of what was freed; 0: of none.
    #[serde(default)]
    freed_seq: u64,
}

impl About {
    /// Writes down what is known at first. `freed`: something may have been here before.
    fn begin(dir: &Path, keep: &Keep, now: Timestamp, freed: bool) -> io::Result<Self> {
        let about = Self {
            format: FORMAT,
            rule: keep.rule.to_string(),
            filters: vec![keep.filter.as_str().to_owned()],
            age_s: keep.age.as_secs(),
            bytes: keep.bytes,
            since_us: now.micros(),
            freed,
            freed_seq: 0,
        };
        save(dir, &about)?;
        Ok(about)
    }
}

/// What is known of a folder; `None`: it is damaged.
fn read_about(dir: &Path) -> io::Result<Option<About>> {
    let bytes = std::fs::read(dir.join(ABOUT))?;
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Ok(None) };
    let format = json.get("format").and_then(serde_json::Value::as_u64);
    if format.is_some_and(|format| format != u64::from(FORMAT)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "of a newer version of the program"));
    }
    Ok(serde_json::from_value(json).ok())
}

/// The folder of a rule, for who writes it.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    about: About,
    sealed: Vec<Arc<Sealed>>,
    active: Option<Active>,
    shown: Arc<Shown>,
}

/// The folder of a rule, for who reads it. Its lock is held for a moment, and never while the disk is waited for.
#[derive(Debug)]
pub(crate) struct Shown {
    seen: Mutex<Seen>,
    bytes: AtomicU64,
}

/// What is in the folder of a rule at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    about: Arc<About>,
    sealed: Arc<[Arc<Sealed>]>,
    active: Option<(Arc<File>, Arc<Mutex<Index>>)>,
}

impl Shown {
    pub(crate) fn now(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Where a message is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) no: u64,
    pub(crate) topic: TopicName,
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
}

/// What a store has of what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ascending by number.
    pub(crate) places: Vec<Place>,
    /// There may be more behind this number; `None`: all is there.
    pub(crate) more_behind: Option<u64>,
    pub(crate) missing: Vec<(u64, Missing)>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) filters: &'a [TopicFilter],
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Numbers after this one.
    pub(crate) after: u64,
    /// About so many places.
    pub(crate) most: usize,
}

impl Store {
    /// Opens or makes the folder of a rule.
    pub(crate) fn open(dir: PathBuf, keep: Option<&Keep>, now: Timestamp) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let about = match read_about(&dir) {
            Ok(Some(about)) => about,
            // What was known of those that are there is not known any more: until now some may be missing.
            Ok(None) => {
                let keep = keep.ok_or_else(|| {
                    let words = "what is known of the folder is damaged; a rule of the same name makes it anew";
                    io::Error::new(io::ErrorKind::InvalidData, words)
                })?;
                tracing::error!(path = %dir.join(ABOUT).display(), "what is known of kept MQTT messages is damaged and made anew");
                About::begin(&dir, keep, now, true)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                About::begin(&dir, keep.ok_or(error)?, now, false)?
            }
            Err(error) => return Err(error),
        };
        let numbers = files_of(&dir)?;
        let last = numbers.last().copied();
        let mut sealed = Vec::new();
        for first_no in numbers {
            let path = dir.join(format!("{first_no:020}.log"));
            match Sealed::open(path.clone(), first_no, Some(first_no) == last) {
                Ok(file) => sealed.extend(file.map(Arc::new)),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a file of kept MQTT messages cannot be read and is left alone");
                    sealed.push(Arc::new(Sealed::unreadable(path, first_no)));
                }
            }
        }
        let seen = Seen { about: Arc::new(about.clone()), sealed: Arc::default(), active: None };
        let shown = Arc::new(Shown { seen: Mutex::new(seen), bytes: AtomicU64::new(0) });
        let store = Self { dir, about, sealed, active: None, shown };
        store.show();
        Ok(store)
    }

    /// Shows who reads what there is now.
    fn show(&self) {
        let active = self.active.as_ref().map(|active| (active.file.clone(), active.index.clone()));
        let seen = Seen { about: Arc::new(self.about.clone()), sealed: self.sealed.as_slice().into(), active };
        *lock(&self.shown.seen) = seen;
        self.shown.bytes.store(self.bytes(), Ordering::Relaxed);
    }

    pub(crate) const fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    pub(crate) fn rule(&self) -> &str {
        &self.about.rule
    }

    /// The rule says what, how long and how much from now on.
    pub(crate) fn set(&mut self, keep: &Keep) -> io::Result<()> {
        let filter = keep.filter.as_str();
        let about = &self.about;
        if (about.age_s, about.bytes) == (keep.age.as_secs(), keep.bytes) && about.filters.iter().any(|f| f == filter) {
            return Ok(());
        }
        let mut about = About { age_s: keep.age.as_secs(), bytes: keep.bytes, ..about.clone() };
        about.filters.retain(|known| known != filter);
        about.filters.push(filter.to_owned());
        if about.filters.len() > FILTERS {
            about.filters = vec!["#".to_owned(), filter.to_owned()];
        }
        save(&self.dir, &about)?;
        self.about = about;
        self.show();
        Ok(())
    }

    pub(crate) fn last_no(&self) -> u64 {
        let active = self.active.as_ref().map(|active| lock(&active.index).last_no);
        self.sealed.iter().map(|sealed| sealed.last_no).chain(active).max().unwrap_or(0)
    }

    /// Up to which place in the lane what was kept is freed again; 0: nothing is.
    pub(crate) const fn freed_seq(&self) -> u64 {
        self.about.freed_seq
    }

    /// The last place in the lane of which the message is here, or was.
    pub(crate) fn last_seq(&self) -> u64 {
        self.sealed.iter().map(|sealed| sealed.last_seq).fold(self.about.freed_seq, u64::max)
    }

    /// Adds the places in the lane behind `seq` whose messages are here, as an earlier run has left them. Of what cannot be read
    /// nothing is here.
    pub(crate) fn add_seqs_behind(&self, seq: u64, seqs: &mut HashSet<u64>) {
        for sealed in self.sealed.iter().filter(|sealed| sealed.last_seq > seq) {
            let file = sealed.index().and_then(|index| Ok((index, File::open(&sealed.path)?)));
            let (index, file) = match file {
                Ok(file) => file,
                Err(error) => {
                    tracing::error!(path = %sealed.path.display(), %error, "kept messages cannot be read");
                    continue;
                }
            };
            let offsets = index.topics.values().flatten().map(|(_, offset)| u64::from(*offset));
            let kept = offsets.filter_map(|offset| match read_at(&file, offset) {
                Ok(Some((Record::Message { seq, .. }, _))) => Some(seq),
                _ => None,
            });
            seqs.extend(kept.filter(|own| *own > seq));
        }
    }

    /// When the last of what is here came, by the clock of then.
    pub(crate) fn last_time(&self) -> Option<Timestamp> {
        self.sealed.iter().filter_map(|sealed| sealed.times).map(|(_, last)| last).max()
    }

    fn bytes(&self) -> u64 {
        self.sealed.iter().map(|sealed| sealed.size).sum::<u64>() + self.active.as_ref().map_or(0, |a| a.size)
    }

    /// Appends records with ascending numbers.
    pub(crate) fn append(&mut self, records: &[Record], now: Timestamp) -> io::Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        if self.active.as_ref().is_some_and(|active| active.size >= self.file_bytes()) {
            self.seal()?;
        }
        let active = match &mut self.active {
            Some(active) => active,
            none => {
                let (Record::Message { no, .. } | Record::Lost { no, .. }) = first;
                none.insert(Active::create(&self.dir, *no, now)?)
            }
        };
        let is_new = lock(&active.index).last_no == 0;
        let appended = active.append(records.iter());
        if is_new {
            self.show();
        }
        self.shown.bytes.store(self.bytes(), Ordering::Relaxed);
        appended
    }

    fn file_bytes(&self) -> u64 {
        (self.about.bytes / u64::from(PARTS)).clamp(*FILE_BYTES.start(), *FILE_BYTES.end())
    }

    /// Finishes the file that is being written; where the disk fails it stays as it is.
    fn seal(&mut self) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        self.sealed.push(Arc::new(active.seal()?));
        self.active = None;
        self.show();
        Ok(())
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.active.as_mut().map_or(Ok(()), Active::sync)
    }

    /// Has another file in the place of the one that is being written: the disk fails as a test wants it.
    #[cfg(test)]
    pub(super) fn swap_file(&mut self, file: Arc<File>) -> Option<Arc<File>> {
        let before = self.active.as_mut().map(|active| std::mem::replace(&mut active.file, file));
        self.show();
        before
    }

    /// Lets go of what is past its time or beyond the bound; false: nothing is left, and there is no rule any more. What is past its time
    /// goes by `counted`, which is `now` as far as that can be believed.
    pub(crate) fn keep_house(&mut self, now: Timestamp, counted: Timestamp, has_rule: bool) -> io::Result<bool> {
        let age = Duration::from_secs(self.about.age_s);
        let part = (age / PARTS).max(Duration::from_secs(1));
        // Where it was begun by a clock that was ahead, its time would never come.
        let is_full = |active: &Active| now < active.begun || now.since(active.begun) >= part;
        // Where that fails, for the disk is full, there is all the more reason to let go of what may go.
        let sealed = if self.active.as_ref().is_some_and(is_full) { self.seal() } else { Ok(()) };
        let mut bytes = self.bytes();
        let begin = counted.minus(age);
        while let Some(oldest) = self.sealed.first() {
            let past = oldest.times.is_none_or(|(_, last)| last < begin);
            if !past && bytes <= self.about.bytes {
                break;
            }
            // Told before it is done, so that no kill lets it pass for whole.
            let last = oldest.times.map_or(self.about.since_us, |(_, last)| last.micros());
            self.about.since_us = self.about.since_us.max(last.saturating_add(1));
            self.about.freed = true;
            self.about.freed_seq = self.about.freed_seq.max(oldest.last_seq);
            save(&self.dir, &self.about)?;
            oldest.remove()?;
            bytes = bytes.saturating_sub(oldest.size);
            self.sealed.remove(0);
            self.show();
        }
        sealed?;
        let empty = !has_rule && self.sealed.is_empty() && self.active.is_none();
        if empty {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(!empty)
    }
}

impl Seen {
    /// Which topics may be here, where some of those asked for may.
    fn concerned(&self, filters: &[TopicFilter]) -> Option<Vec<TopicFilter>> {
        let mut own: Vec<_> = self.about.filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()).collect();
        // A folder of before this was written down.
        if own.is_empty() {
            own.extend(TopicFilter::parse("#").ok());
        }
        own.iter().any(|own| filters.iter().any(|asked| asked.overlaps(own))).then_some(own)
    }

    /// The numbers of the last messages that are wanted, at least so many if there are; from the index alone, but where a file is
    /// only in part within the time asked for.
    pub(crate) fn last(&self, wanted: &Wanted<'_>) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        if let Some((file, index)) = &self.active {
            let (found, times) = {
                let index = lock(index);
                (places(&index, file, wanted), index.times)
            };
            add_numbers(found, times, wanted, &mut numbers)?;
        }
        for sealed in self.sealed.iter().rev() {
            if numbers.len() >= wanted.most {
                break;
            }
            if sealed.times.is_some_and(|(first, last)| last < wanted.from || first >= wanted.until) {
                continue;
            }
            // What cannot be read is told by whoever reads on from here.
            let (Ok(index), Ok(file)) = (sealed.index(), File::open(&sealed.path)) else { continue };
            add_numbers(places(&index, &Arc::new(file), wanted), index.times, wanted, &mut numbers)?;
        }
        Ok(numbers)
    }

    /// Where the messages are that are wanted, and what of them is missing.
    pub(crate) fn find(&self, wanted: &Wanted<'_>) -> Found {
        let topics = self.concerned(wanted.filters);
        let mut found = self.find_all(wanted, topics.as_deref().unwrap_or_default());
        // Where no topic of those asked for can be, nothing of them is missing.
        if topics.is_none() {
            found.missing.clear();
        }
        found
    }

    /// As [`Seen::find`], with all that is missing, whatever is asked for.
    fn find_all(&self, wanted: &Wanted<'_>, topics: &[TopicFilter]) -> Found {
        let mut found = Found::default();
        let missing =
            |until, messages, why: &str| Missing { until, messages, why: why.to_owned(), topics: topics.to_vec() };
        let damaged = |times: Option<(Timestamp, Timestamp)>| {
            missing(times.map_or(wanted.from, |(_, last)| last), None, "damaged on the disk")
        };
        let since = Timestamp::from_micros(self.about.since_us);
        if wanted.after == 0 && wanted.from < since {
            let why = if self.about.freed { "no longer kept" } else { "not kept yet" };
            found.missing.push((0, missing(since, None, why)));
        }
        for sealed in self.sealed.iter() {
            let outside = sealed.times.is_some_and(|(first, last)| last < wanted.from || first >= wanted.until);
            if sealed.last_no <= wanted.after || outside {
                continue;
            }
            if found.places.len() >= wanted.most {
                found.more_behind = found.places.last().map(|place| place.no);
                return found;
            }
            match sealed.index().and_then(|index| Ok((index, Arc::new(File::open(&sealed.path)?)))) {
                Ok((index, file)) => {
                    if index.damaged > 0 {
                        found.missing.push((sealed.last_no, damaged(sealed.times)));
                    }
                    gather(&index, &file, wanted, topics, &mut found);
                }
                Err(_) if sealed.is_gone() => {
                    let last = sealed.times.map_or(since, |(_, last)| last);
                    found.missing.push((sealed.last_no, missing(last, None, "no longer kept")));
                }
                Err(error) => {
                    tracing::error!(path = %sealed.path.display(), %error, "kept messages cannot be read");
                    found.missing.push((sealed.last_no, damaged(sealed.times)));
                }
            }
        }
        if let Some((file, index)) = &self.active {
            let index = lock(index);
            if found.places.len() >= wanted.most && index.last_no > wanted.after {
                found.more_behind = found.places.last().map(|place| place.no);
            } else {
                gather(&index, file, wanted, topics, &mut found);
            }
        }
        found
    }
}

/// What an index names.
fn places(index: &Index, file: &Arc<File>, wanted: &Wanted<'_>) -> Vec<Place> {
    let mut found = Found::default();
    gather(index, file, wanted, &[], &mut found);
    found.places
}

/// Adds the numbers of places that are within the time asked for, where all in their file are within `times`.
fn add_numbers(
    places: Vec<Place>,
    times: Option<(Timestamp, Timestamp)>,
    wanted: &Wanted<'_>,
    numbers: &mut Vec<u64>,
) -> io::Result<()> {
    let is_within = times.is_some_and(|(first, last)| first >= wanted.from && last < wanted.until);
    for place in places {
        let wanted =
            is_within || read(&place)?.is_none_or(|kept| (wanted.from..wanted.until).contains(&kept.message.received));
        numbers.extend(wanted.then_some(place.no));
    }
    Ok(())
}

/// Adds what an index names. What was lost may be of any of the rule's `topics`.
fn gather(index: &Index, file: &Arc<File>, wanted: &Wanted<'_>, topics: &[TopicFilter], found: &mut Found) {
    let begin = found.places.len();
    for (topic, places) in &index.topics {
        if !wanted.filters.iter().any(|filter| filter.matches(topic.as_str())) {
            continue;
        }
        let from = places.partition_point(|(no, _)| *no <= wanted.after);
        let rest = places.get(from..).unwrap_or_default();
        found.places.extend(rest.iter().map(|(no, offset)| Place {
            no: *no,
            topic: topic.clone(),
            file: file.clone(),
            offset: u64::from(*offset),
        }));
    }
    if let Some(own) = found.places.get_mut(begin..) {
        own.sort_unstable_by_key(|place| place.no);
    }
    let lost = index.lost.iter().filter(|(no, _, at)| *no > wanted.after && *at >= wanted.from && *at < wanted.until);
    found.missing.extend(lost.map(|(no, count, at)| {
        let why = "came faster than the disk took them".to_owned();
        (*no, Missing { until: *at, messages: Some(*count), why, topics: topics.to_vec() })
    }));
}

/// Reads the message at a place; `None`: it is damaged.
pub(crate) fn read(place: &Place) -> io::Result<Option<Kept>> {
    Ok(match read_at(&place.file, place.offset)? {
        Some((Record::Message { no, message, .. }, _)) if no == place.no => Some(Kept { no, message }),
        _ => None,
    })
}

/// The first numbers of the files in a folder, ascending. What a kill has left half done is removed.
fn files_of(dir: &Path) -> io::Result<Vec<u64>> {
    let (mut numbers, mut indexes) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let number = |end: &str| name.strip_suffix(end).and_then(|number| number.parse::<u64>().ok());
        if name == format!("{ABOUT}~new") || number(".idx~new").is_some() {
            std::fs::remove_file(entry.path())?;
        }
        numbers.extend(number(".log"));
        indexes.extend(number(".idx").map(|number| (number, entry.path())));
    }
    numbers.sort_unstable();
    for (_, orphan) in indexes.iter().filter(|(number, _)| numbers.binary_search(number).is_err()) {
        std::fs::remove_file(orphan)?;
    }
    Ok(numbers)
}

fn save(dir: &Path, about: &About) -> io::Result<()> {
    let new = dir.join(format!("{ABOUT}~new"));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(about).map_err(io::Error::other)?)?;
    file.sync_all()?;
    std::fs::rename(&new, dir.join(ABOUT))?;
    File::open(dir)?.sync_all()
}
