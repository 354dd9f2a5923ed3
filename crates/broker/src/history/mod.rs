//! Kept messages: what rules say is to be kept of topics, to be read later.
//!
//! **Purpose.** A topic is not only its last message: who comes later reads what was said in the last days.
//!
//! **Idea.** When a message counts it gets the next number, under the state's lock, and a place in a line. A task of its own
//! writes the line into files of the rule's folder. So the numbers are in the order in which messages were handed out, and a
//! subscriber that came at a number gets those before it from here and those after it as they come: none twice, none not.
//!
//! **Invariants**
//! - The line has bounds. Of messages that are in the lane only the place stands in it beyond [`LINE_BYTES`]; others are lost
//!   to history then, and that is written down in their place.
//! - The broker's snapshot is saved after all that was in the line is synced: what a kill takes is read from the lane again.
//! - Whoever reads takes no lock of the state's, and a bounded number of messages at a time. No lock but that of the one who writes
//!   is held while the disk is waited for, and nobody else takes that one.
//! - Nobody reads beyond what all rules have written: numbers come in order, whichever rule's they are.
//! - What is missing is told with what is there.

#[cfg(test)]
mod damage_tests;
mod house;
#[cfg(test)]
mod line_tests;
#[cfg(test)]
mod reading_tests;
#[cfg(test)]
mod replay_tests;
mod segment;
mod store;
#[cfg(test)]
mod tests;

use crate::message::Message;
use andon_model::Timestamp;
use andon_model::log::{Log, Seq};
use andon_wire::mqtt::TopicFilter;
use house::House;
use segment::Record;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Shown, Store, Wanted};
use tokio::sync::{Notify, watch};

/// How many bytes of messages stand in the line.
const LINE_BYTES: usize = 8 << 20;
/// How many messages stand in the line, with what is in the lane alone.
const LINE: usize = 200_000;
/// How many messages are written at once.
const AT_ONCE: usize = 4096;
/// About how many bytes of messages that are in the lane alone are read at once.
const READ_BYTES: usize = 8 << 20;
/// How often what was written is synced, without anybody waiting for it.
pub(crate) const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What a rule says is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The rule's name.
    pub rule: Arc<str>,
    /// Which topics it is for.
    pub filter: TopicFilter,
    /// For how long.
    pub age: Duration,
    /// How many bytes at the most.
    pub bytes: u64,
}

/// What is to be kept of which topics. Asked for every message while the broker holds its lock: it looks up and does nothing else.
pub trait Keeping: Send + Sync {
    /// What is to be kept of a topic.
    fn of(&self, topic: &str) -> Option<Arc<Keep>>;
    /// All that rules say.
    fn all(&self) -> Vec<Arc<Keep>>;
}

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Up to then, about.
    pub until: Timestamp,
    /// How many messages, if that is known.
    pub messages: Option<u64>,
    /// Why.
    pub why: String,
    /// It may be of topics under one of these.
    pub topics: Vec<TopicFilter>,
}

/// A kept message.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its number, in the order in which messages came.
    pub no: u64,
    /// The message.
    pub message: Arc<Message>,
}

/// A part of what was asked for.
#[derive(Debug, Default)]
pub struct Page {
    /// Messages with their numbers, in the order in which they came.
    pub messages: Vec<Kept>,
    /// What is not there among them.
    pub missing: Vec<Missing>,
    /// Where to go on.
    pub next: u64,
    /// There is no more, as of [`Page::written`].
    pub end: bool,
    /// Up to this number everything was written when this was read.
    pub(crate) written: u64,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// Messages under one of these.
    pub filters: Vec<TopicFilter>,
    /// Received then or later.
    pub from: Timestamp,
    /// Received before.
    pub until: Timestamp,
    /// With numbers after this one; 0: all.
    pub after: u64,
    /// So many at the most.
    pub limit: usize,
    /// About so many bytes at the most.
    pub bytes: usize,
}

/// Figures of kept messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryFigures {
    /// Bytes on disk.
    pub bytes: u64,
    /// Messages that could not be kept since the start.
    pub lost: u64,
}

/// A message in the line.
#[derive(Debug)]
pub(crate) struct Waiting {
    no: u64,
    seq: Seq,
    keep: Arc<Keep>,
    /// `None`: it is in the lane alone.
    message: Option<Arc<Message>>,
}

/// How many messages were lost and it is not written down yet, by rule.
type Lost = BTreeMap<Arc<str>, (Arc<Keep>, u64)>;

#[derive(Default)]
struct Line {
    waiting: Vec<Waiting>,
    bytes: usize,
    last_no: u64,
    lost: Lost,
    /// In a replay: what is kept already.
    already: Option<Already>,
}

/// What of the lane is kept already.
#[derive(Default)]
struct Already {
    seqs: HashSet<u64>,
    /// Up to which place each rule has freed it again.
    freed: BTreeMap<Arc<str>, u64>,
}

impl Already {
    fn has(&self, rule: &str, seq: Seq) -> bool {
        self.seqs.contains(&seq.0) || self.freed.get(rule).is_some_and(|freed| seq.0 <= *freed)
    }
}

/// What was taken from the line.
struct Taken {
    waiting: VecDeque<Waiting>,
    lost: Lost,
    last_no: u64,
}

/// How far what was written is synced, and how often that failed.
#[derive(Clone, Copy)]
struct Synced {
    up_to: u64,
    failures: u64,
}

/// The folders of rules, for who writes them: one task, which holds this while the disk does what it does.
type Stores = BTreeMap<String, Store>;

#[derive(Default)]
struct Rules {
    all: Vec<Arc<Keep>>,
    /// They are new.
    fresh: bool,
}

/// Kept messages.
pub(crate) struct History {
    dir: Option<PathBuf>,
    line: Mutex<Line>,
    stores: Mutex<Stores>,
    /// The same folders for who reads them, and who writes them changes which. It and all below are held for a moment.
    shown: Mutex<Arc<[Arc<Shown>]>>,
    rules: Mutex<Rules>,
    pub(crate) wake: Notify,
    written: watch::Sender<u64>,
    synced: watch::Sender<Synced>,
    pub(crate) sync_wanted: AtomicBool,
    house: Mutex<House>,
    /// Something is kept, or was.
    any: AtomicBool,
    lost: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    /// Opens what earlier runs kept. A folder that cannot be used is left alone and told.
    pub(crate) fn open(dir: Option<&Path>, rules: Vec<Arc<Keep>>, now: Timestamp) -> Self {
        let mut stores = Stores::new();
        let entries = dir.and_then(|dir| std::fs::read_dir(dir).ok()).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let own = rules.iter().find(|keep| path.file_name().is_some_and(|name| *name == *folder_of(&keep.rule)));
            match Store::open(path.clone(), own.map(Arc::as_ref), now) {
                Ok(store) => drop(stores.insert(store.rule().to_owned(), store)),
                Err(error) => tracing::error!(path = %path.display(), %error, "kept MQTT messages cannot be used"),
            }
        }
        let last_no = stores.values().map(Store::last_no).max().unwrap_or(0);
        let house = House::open(dir, stores.values().filter_map(Store::last_time).max());
        let history = Self {
            dir: dir.map(Path::to_owned),
            line: Mutex::new(Line { last_no, ..Line::default() }),
            stores: Mutex::new(stores),
            shown: Mutex::default(),
            rules: Mutex::new(Rules { all: rules, fresh: false }),
            wake: Notify::new(),
            written: watch::channel(last_no).0,
            synced: watch::channel(Synced { up_to: last_no, failures: 0 }).0,
            sync_wanted: AtomicBool::new(false),
            house: Mutex::new(house),
            any: AtomicBool::new(false),
            lost: AtomicU64::new(0),
        };
        history.begin_rules(&mut lock(&history.stores), now);
        history.show(&lock(&history.stores));
        history
    }

    /// Makes a folder for each rule that has none, so that it is known since when it is whole.
    fn begin_rules(&self, stores: &mut Stores, now: Timestamp) {
        let rules = lock(&self.rules).all.clone();
        for keep in rules.iter().filter(|_| self.dir.is_some()) {
            if let Err(error) = self.store(stores, keep, now) {
                tracing::error!(rule = %keep.rule, %error, "the folder for kept MQTT messages cannot be made");
            }
        }
    }

    pub(crate) fn set_rules(&self, rules: Vec<Arc<Keep>>) {
        *lock(&self.rules) = Rules { all: rules, fresh: true };
        self.note_any();
        self.wake.notify_one();
    }

    /// Shows who reads which folders there are.
    fn show(&self, stores: &Stores) {
        *lock(&self.shown) = stores.values().map(|store| store.shown().clone()).collect();
        self.note_any();
    }

    fn shown(&self) -> Arc<[Arc<Shown>]> {
        lock(&self.shown).clone()
    }

    /// Whether anything is kept, or was.
    pub(crate) fn is_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    fn note_any(&self) {
        let any = self.dir.is_some() && !(lock(&self.rules).all.is_empty() && self.shown().is_empty());
        self.any.store(any, Ordering::Relaxed);
    }

    /// A replay of the lane begins behind `applied`: what is kept of it already is not kept twice.
    ///
    /// Every message is looked for itself, in all rules' files. That a rule has a later one says nothing: of what is written at once, a
    /// power cut may take any part, and another rule's. Nor does it help to ask its own rule alone, which may be another one since.
    pub(crate) fn begin_replay(&self, applied: Seq, durable: Seq) {
        let mut already = Already::default();
        // Of another lane, which was taken away since: nothing of this one is kept yet.
        for (rule, store) in lock(&self.stores).iter().filter(|(_, store)| store.last_seq() <= durable.0) {
            store.add_seqs_behind(applied.0, &mut already.seqs);
            already.freed.insert(rule.as_str().into(), store.freed_seq());
        }
        lock(&self.line).already = Some(already);
    }

    pub(crate) fn end_replay(&self) {
        lock(&self.line).already = None;
    }

    /// A message counts and is to be kept. Called while the state is held, so that numbers are in its order.
    pub(crate) fn offer(&self, seq: Seq, keep: Arc<Keep>, message: &Arc<Message>) {
        if self.dir.is_none() {
            return;
        }
        let mut line = lock(&self.line);
        if line.already.as_ref().is_some_and(|already| already.has(&keep.rule, seq)) {
            return;
        }
        line.last_no += 1;
        let no = line.last_no;
        let size = message.size();
        let fits = line.bytes.saturating_add(size) <= LINE_BYTES;
        if line.waiting.len() >= LINE || (!fits && seq.0 == 0) {
            line.lost.entry(keep.rule.clone()).or_insert_with(|| (keep, 0)).1 += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            line.bytes += if fits { size } else { 0 };
            line.waiting.push(Waiting { no, seq, keep, message: fits.then(|| message.clone()) });
        }
        drop(line);
        self.wake.notify_one();
    }

    /// The last number given.
    pub(crate) fn last_no(&self) -> u64 {
        lock(&self.line).last_no
    }

    /// Writes what is in the line, of which some is in the lane alone. Blocking.
    pub(crate) fn write_line(&self, log: &dyn Log, sync: bool, now: Timestamp) {
        let Taken { mut waiting, mut lost, last_no } = self.take();
        loop {
            let part = self.next_part(log, &mut waiting);
            let is_last = waiting.is_empty();
            let up_to = if is_last { last_no } else { part.last().map_or(last_no, |one| one.no) };
            // What was lost is written behind what was not.
            let lost = if is_last { std::mem::take(&mut lost) } else { Lost::new() };
            self.write(part, lost, up_to, sync && is_last, now);
            if is_last {
                return;
            }
        }
    }

    /// Takes what is in the line.
    fn take(&self) -> Taken {
        let mut line = lock(&self.line);
        line.bytes = 0;
        let last_no = line.last_no;
        Taken { waiting: std::mem::take(&mut line.waiting).into(), lost: std::mem::take(&mut line.lost), last_no }
    }

    /// Takes the next messages that are written at once, about [`READ_BYTES`] of them from the lane. Those that it has no more are
    /// without their message then.
    fn next_part(&self, log: &dyn Log, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let mut count = waiting.len().min(AT_ONCE);
        let (places, missing): (Vec<usize>, Vec<Seq>) = (waiting.iter().take(count).enumerate())
            .filter(|(_, one)| one.message.is_none())
            .map(|(place, one)| (place, one.seq))
            .unzip();
        let mut found = crate::fetch::Found::default();
        if !missing.is_empty() {
            match crate::fetch::read(log, &missing, READ_BYTES) {
                Ok((messages, looked_for)) => {
                    found = messages;
                    count = places.get(looked_for.max(1)).copied().unwrap_or(count);
                }
                Err(error) => tracing::error!(%error, "MQTT messages that are to be kept could not be read"),
            }
        }
        let found = |mut one: Waiting| {
            one.message = one.message.take().or_else(|| found.get(&one.seq).cloned());
            one
        };
        waiting.drain(..count).map(found).collect()
    }

    /// Writes what was taken, whose messages are there now but for those that the lane has no more, and behind it what was lost.
    fn write(&self, part: Vec<Waiting>, lost: Lost, last_no: u64, sync: bool, now: Timestamp) {
        let mut by_rule: BTreeMap<Arc<str>, (Arc<Keep>, Vec<Record>)> = BTreeMap::new();
        for Waiting { no, seq, keep, message } in part {
            let (_, records) = by_rule.entry(keep.rule.clone()).or_insert_with(|| (keep, Vec::new()));
            records.push(match message {
                Some(message) => Record::Message { no, seq: seq.0, message },
                None => {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    Record::Lost { no, count: 1, at: now }
                }
            });
        }
        for (rule, (keep, count)) in lost {
            let (_, records) = by_rule.entry(rule).or_insert_with(|| (keep, Vec::new()));
            records.push(Record::Lost { no: last_no, count, at: now });
        }
        let mut stores = lock(&self.stores);
        if std::mem::take(&mut lock(&self.rules).fresh) {
            self.begin_rules(&mut stores, now);
        }
        for (rule, (keep, records)) in by_rule {
            let written = self.store(&mut stores, &keep, now).and_then(|store| store.append(&records, now));
            if let Err(error) = written {
                tracing::error!(%rule, %error, "MQTT messages could not be kept");
                self.lose(rule, keep, &records);
            }
        }
        let failed = sync && self.sync(&mut stores);
        drop(stores);
        self.written.send_replace(last_no);
        if sync {
            self.synced.send_modify(|synced| match failed {
                true => synced.failures += 1,
                false => synced.up_to = last_no,
            });
        }
    }

    /// Records could not be written: that is to be written down in their place.
    fn lose(&self, rule: Arc<str>, keep: Arc<Keep>, records: &[Record]) {
        let messages = records.iter().filter(|record| matches!(record, Record::Message { .. })).count() as u64;
        let before: u64 = records.iter().map(|r| if let Record::Lost { count, .. } = r { *count } else { 0 }).sum();
        // What was lost before is counted already.
        self.lost.fetch_add(messages, Ordering::Relaxed);
        lock(&self.line).lost.entry(rule).or_insert_with(|| (keep, 0)).1 += messages + before;
    }

    /// Whether it failed; then it is tried again before long.
    fn sync(&self, stores: &mut Stores) -> bool {
        let mut failed = false;
        for (rule, store) in stores {
            if let Err(error) = store.sync() {
                tracing::error!(%rule, %error, "kept MQTT messages could not be synced");
                failed = true;
            }
        }
        if failed {
            self.sync_wanted.store(true, Ordering::Release);
        }
        failed
    }

    fn store<'s>(&self, stores: &'s mut Stores, keep: &Arc<Keep>, now: Timestamp) -> io::Result<&'s mut Store> {
        let rule = keep.rule.to_string();
        if self.dir.is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !stores.contains_key(&rule) {
            let dir = self.dir.as_ref().ok_or(io::ErrorKind::NotFound)?;
            let store = Store::open(dir.join(folder_of(&rule)), Some(keep), now)?;
            stores.insert(rule.clone(), store);
            self.show(stores);
        }
        let store = stores.get_mut(&rule).ok_or(io::ErrorKind::NotFound)?;
        store.set(keep)?;
        Ok(store)
    }

    /// Resolves when everything that is in the line now is synced; false: that failed.
    pub(crate) async fn settled(&self) -> bool {
        let last_no = self.last_no();
        let mut synced = self.synced.subscribe();
        let failures = synced.borrow().failures;
        loop {
            let now = *synced.borrow_and_update();
            if now.up_to >= last_no || now.failures != failures {
                return now.up_to >= last_no;
            }
            self.sync_wanted.store(true, Ordering::Release);
            self.wake.notify_one();
            if synced.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Resolves when everything up to a number is written, so that it can be read.
    pub(crate) async fn until_written(&self, no: u64) {
        let mut written = self.written.subscribe();
        // Its sender lives as long as this.
        let _ = written.wait_for(|written| *written >= no).await;
    }

    /// A page of what is kept. Blocking.
    /// # Errors
    /// The disk cannot be read at all.
    pub(crate) fn page(&self, query: &HistoryQuery) -> io::Result<Page> {
        /// How many places are looked at for a page, also where none is within the time asked for.
        const LOOKED_AT: usize = 4096;
        let written = *self.written.borrow();
        let most = query.limit.clamp(1, LOOKED_AT);
        let wanted = Wanted {
            filters: &query.filters,
            from: query.from,
            until: query.until,
            after: query.after,
            most: LOOKED_AT,
        };
        let found = self.shown().iter().map(|shown| shown.now().find(&wanted)).collect::<Vec<_>>();
        // Beyond the first of those that have more somebody else's may come between.
        let bound = found.iter().filter_map(|found| found.more_behind).min();
        let more = bound.is_some_and(|bound| bound < written);
        let mut places: Vec<_> = found.iter().flat_map(|found| found.places.iter()).collect();
        places.sort_unstable_by_key(|place| place.no);
        let mut page = Page { next: query.after, written, ..Page::default() };
        let mut bytes = 0;
        let mut all = true;
        // What one rule has behind what is written may come before what another has not got yet.
        let bound = bound.map_or(written, |bound| bound.min(written));
        let in_order = places.iter().filter(|place| place.no <= bound);
        for (looked_at, place) in in_order.enumerate() {
            if page.messages.len() >= most || bytes >= query.bytes || looked_at >= LOOKED_AT {
                all = false;
                break;
            }
            let read = store::read(place).unwrap_or_else(|error| {
                tracing::error!(%error, no = place.no, "a kept MQTT message cannot be read");
                None
            });
            match read {
                Some(kept) if kept.message.received >= query.from && kept.message.received < query.until => {
                    bytes += kept.message.size();
                    page.messages.push(kept);
                }
                Some(_) => {}
                None => {
                    let until = page.messages.last().map_or(query.from, |kept| kept.message.received);
                    let topics = TopicFilter::parse(place.topic.as_str()).into_iter().collect();
                    let why = "damaged on the disk".to_owned();
                    page.missing.push(Missing { until, messages: Some(1), why, topics });
                }
            }
            page.next = place.no;
        }
        page.end = all && !more;
        if page.end {
            // What is missing up to there is told now, and not once more to who goes on from here.
            page.next = page.next.max(written);
        }
        let next = page.next;
        let missing = found.into_iter().flat_map(|found| found.missing);
        page.missing.extend(missing.filter(|(no, _)| *no <= next).map(|(_, missing)| missing));
        Ok(page)
    }

    /// The number before the last `most` messages that are asked for. Blocking.
    /// # Errors
    /// The disk cannot be read at all.
    pub(crate) fn before_the_last(&self, query: &HistoryQuery, most: usize) -> io::Result<u64> {
        let HistoryQuery { filters, from, until, after, .. } = query;
        let wanted = Wanted { filters, from: *from, until: *until, after: *after, most };
        let mut numbers = Vec::new();
        for shown in self.shown().iter() {
            numbers.extend(shown.now().last(&wanted)?);
        }
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let first = numbers.get(most.saturating_sub(1)).or(numbers.last());
        Ok(first.map_or(*after, |no| no.saturating_sub(1)))
    }

    pub(crate) fn figures(&self) -> HistoryFigures {
        let bytes = self.shown().iter().map(|shown| shown.bytes()).sum();
        HistoryFigures { bytes, lost: self.lost.load(Ordering::Relaxed) }
    }
}

/// The folder of a rule, whose name may hold what a file's name must not: its checksum, and what of it is plain.
fn folder_of(rule: &str) -> String {
    let plain: String = rule.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    format!("{plain}.{:08x}", crc32c::crc32c(rule.as_bytes()))
}
