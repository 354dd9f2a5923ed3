//! What flows: of each topic that was published, its last message and how often one comes.
//!
//! **Purpose.** A person sees what there is on the broker, and reads the last value of a topic, without subscribing.
//!
//! **Idea.** It stands beside the broker's state and sees each message once it counts: when it is handed on to the mapping. A message on a
//! known topic takes a look-up and the topic's own lock; those who look take that lock for one topic at a time, and never the state's. The
//! tree by levels is made by those who look, out of the topics that are new since somebody last looked.
//!
//! **Invariants**
//! - It holds at most so many topics, and so many bytes of names and payloads. What is beyond is not listed, counted, and told.
//! - A message on a known topic allocates nothing, but for a payload longer than any before it.
//! - It keeps no part of what was read from a connection: only copies of its own.
//! - Commands and `$SYS` are not in it. After a start it knows the retained messages, and no counts.
//!
//! Start reading at [`Catalogue::note`].

mod rate;
mod topic;
mod tree;
mod watch;

pub use andon_wire::payload::PayloadKind;
pub use topic::{PAYLOAD_KEPT, TopicInfo};
pub use tree::{Level, LevelRow};
pub use watch::{Seen, TooManyWatches, Watch};

use crate::message::Message;
use andon_model::Timestamp;
use andon_wire::mqtt::TopicFilter;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;
use topic::{Room, Topic};
use tree::Tree;
use watch::Watcher;

/// Where there is no room for a new topic, those that have been silent for so long are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(86_400);
/// How often it is looked for such topics at most.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Figures of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CatalogueFigures {
    /// Topics listed.
    pub topics: usize,
    /// The most topics that are listed.
    pub topics_most: usize,
    /// About how many bytes they take.
    pub bytes: usize,
    /// The most bytes that they may take.
    pub bytes_most: usize,
    /// Messages on topics that are not listed, because there is no room.
    pub not_listed: u64,
    /// Messages of which the payload was not kept, because there is no room.
    pub left_out: u64,
    /// Topics that were forgotten to make room.
    pub forgotten: u64,
}

type Topics = HashMap<Arc<str>, Arc<Topic>, foldhash::fast::RandomState>;

/// What flows.
#[derive(Debug)]
pub struct Catalogue {
    most: usize,
    /// By name, with a quick hash of a key that nobody knows.
    topics: RwLock<Topics>,
    room: Room,
    not_listed: AtomicU64,
    forgotten: AtomicU64,
    /// A topic found no room since it was last looked for some.
    full: AtomicBool,
    /// New since the tree was last brought up to date; forgotten ones begin the tree anew.
    fresh: Mutex<Vec<Arc<Topic>>>,
    generation: AtomicU64,
    tree: Mutex<Tree>,
    looked: Mutex<Option<Timestamp>>,
    watchers: RwLock<Vec<Arc<Watcher>>>,
    watching: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalogue {
    /// An empty one that lists at most `topics` topics, which take at most `bytes` bytes.
    #[must_use]
    pub fn new(topics: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            most: topics,
            topics: RwLock::default(),
            room: Room { most: bytes, taken: AtomicUsize::new(0), left_out: AtomicU64::new(0) },
            not_listed: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            full: AtomicBool::new(false),
            fresh: Mutex::default(),
            generation: AtomicU64::new(0),
            tree: Mutex::default(),
            looked: Mutex::default(),
            watchers: RwLock::default(),
            watching: AtomicUsize::new(0),
        })
    }

    /// A message was published, and counts. Budget: 150 ns of a core on a known topic; of 100,000 in random order each waits for
    /// memory, for up to a microsecond (`examples/bench_catalogue.rs`).
    pub fn note(&self, message: &Message) {
        self.see(message, true);
        if self.watching.load(Ordering::Relaxed) > 0 {
            let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner).clone();
            watchers.iter().for_each(|watcher| watcher.tell(message));
        }
    }

    /// A retained message was there at the start: it is the last one, and no message of this run.
    pub fn begin_with(&self, message: &Message) {
        self.see(message, false);
    }

    fn see(&self, message: &Message, counts: bool) {
        if let Some(topic) = self.find(message.topic.as_str()) {
            return topic.note(message, &self.room, counts);
        }
        if message.topic.is_server_owned() || self.most == 0 {
            return;
        }
        match self.add(message) {
            Some(topic) => topic.note(message, &self.room, counts),
            None => {
                self.not_listed.fetch_add(1, Ordering::Relaxed);
                self.full.store(true, Ordering::Relaxed);
            }
        }
    }

    fn find(&self, topic: &str) -> Option<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    fn topics_mut(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn watchers_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Watcher>>> {
        self.watchers.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, message: &Message) -> Option<Arc<Topic>> {
        let mut topics = self.topics_mut();
        // Somebody else may have been faster.
        if let Some(known) = topics.get(message.topic.as_str()) {
            return Some(known.clone());
        }
        if topics.len() >= self.most {
            return None;
        }
        let topic = Arc::new(Topic::new(message, &self.room)?);
        topics.insert(topic.name.clone(), topic.clone());
        // Within the lock, so that a topic that is forgotten at once is not added after that.
        lock(&self.fresh).push(topic.clone());
        Some(topic)
    }

    /// Makes room where some is wanted; true when messages found none since this was last true, at most once in [`LOOK_EVERY`].
    pub fn keep_house(&self, now: Timestamp) -> bool {
        if !self.full.load(Ordering::Relaxed) {
            return false;
        }
        {
            let mut looked = lock(&self.looked);
            if looked.is_some_and(|at| now.since(at) < LOOK_EVERY) {
                return false;
            }
            *looked = Some(now);
        }
        self.full.store(false, Ordering::Relaxed);
        let old = |topic: &Topic| now.since(topic.received()) > FORGET_AFTER;
        let all = self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect::<Vec<_>>();
        let gone: Vec<_> = all.into_iter().filter(|topic| old(topic)).collect();
        if !gone.is_empty() {
            let mut topics = self.topics_mut();
            for topic in &gone {
                if topics.remove(&topic.name).is_some() {
                    self.room.give_back(topic.weight());
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                }
            }
            lock(&self.fresh).clear();
            self.generation.fetch_add(1, Ordering::Release);
            drop(topics);
            // Of the old generation: whoever looks next makes it anew. Until then it holds nothing of what is gone.
            lock(&self.tree).forget();
        }
        true
    }

    /// The last message of a topic.
    #[must_use]
    pub fn topic(&self, topic: &str, now: Timestamp) -> Option<TopicInfo> {
        self.find(topic).map(|topic| topic.info(now))
    }

    /// The topics under any of these filters, by name.
    #[must_use]
    pub fn topics_under(&self, filters: &[TopicFilter]) -> Vec<Arc<str>> {
        let all = self.topics.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect::<Vec<_>>();
        let mut under: Vec<_> = all.into_iter().filter(|topic| filters.iter().any(|f| f.matches(topic))).collect();
        under.sort_unstable();
        under
    }

    /// Whether a topic is listed that is under one filter of each kind, and of which `sees` says yes.
    #[must_use]
    pub fn any_under(&self, asked: &[TopicFilter], own: &[TopicFilter], sees: impl Fn(&str) -> bool) -> bool {
        let under = |filters: &[TopicFilter], topic: &str| filters.iter().any(|filter| filter.matches(topic));
        self.topics_under(asked).iter().any(|topic| under(own, topic) && sees(topic))
    }

    /// How often a topic has been published, and when last: for those who look whether anything is new.
    #[must_use]
    pub fn mark(&self, topic: &str) -> Option<(u64, Timestamp)> {
        self.find(topic).map(|topic| (topic.count(), topic.received()))
    }

    /// Brings the tree up to date.
    fn tree(&self) -> MutexGuard<'_, Tree> {
        let mut tree = lock(&self.tree);
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = std::mem::take(&mut *lock(&self.fresh));
        let generation = self.generation.load(Ordering::Acquire);
        if tree.generation == generation {
            drop(topics);
            fresh.iter().for_each(|topic| tree.insert(topic));
        } else {
            let all: Vec<_> = topics.values().cloned().collect();
            drop(topics);
            *tree = Tree::default();
            tree.generation = generation;
            all.iter().for_each(|topic| tree.insert(topic));
        }
        tree
    }

    /// A level of the tree of topics: the first one, or the one below `under`; at most `limit` rows after the first
    /// `skip`. `sees`: whether a topic may be seen; `None`: all may. Takes some milliseconds for 100,000 topics.
    #[must_use]
    pub fn level(
        &self,
        under: Option<&str>,
        skip: usize,
        limit: usize,
        now: Timestamp,
        sees: Option<&dyn Fn(&str) -> bool>,
    ) -> Level {
        self.tree().level(under, skip, limit, now, sees)
    }

    /// Topics whose name holds `text` and that may be seen, in the order of their names, at most `limit`; and how many there are.
    #[must_use]
    pub fn search(
        &self,
        text: &str,
        limit: usize,
        now: Timestamp,
        sees: Option<&dyn Fn(&str) -> bool>,
    ) -> (Vec<TopicInfo>, usize) {
        let wanted = text.to_lowercase();
        let all = self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect::<Vec<_>>();
        let mut found: Vec<_> = all
            .into_iter()
            .filter(|topic| topic.name.to_lowercase().contains(&wanted) && sees.is_none_or(|sees| sees(&topic.name)))
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let total = found.len();
        (found.into_iter().take(limit).map(|topic| topic.info(now)).collect(), total)
    }

    /// Looks at messages under a filter from now on.
    /// # Errors
    /// Too many do already.
    pub fn watch(self: &Arc<Self>, filter: TopicFilter) -> Result<Watch, TooManyWatches> {
        Watch::new(self.clone(), filter)
    }

    /// Its figures.
    #[must_use]
    pub fn figures(&self) -> CatalogueFigures {
        CatalogueFigures {
            topics: self.topics.read().unwrap_or_else(PoisonError::into_inner).len(),
            topics_most: self.most,
            bytes: self.room.taken.load(Ordering::Relaxed),
            bytes_most: self.room.most,
            not_listed: self.not_listed.load(Ordering::Relaxed),
            left_out: self.room.left_out.load(Ordering::Relaxed),
            forgotten: self.forgotten.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests;
