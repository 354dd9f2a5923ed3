//! The two kinds of subscription, and what each does when its reader is slow.

use andon_model::{Sample, TagId};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, mpsc};

/// The last value of every tag, by its number.
pub(crate) type LastValues = RwLock<Vec<Option<Sample>>>;

/// Newest values: for screens. Never holds up a publisher; a slow reader sees fewer steps of each tag, never an old one.
///
/// Its memory is bounded by the number of tags. It begins with the last value of every tag asked for, so that there
/// is no gap between "now" and "from now on".
#[derive(Debug)]
pub struct NewestSubscription {
    pub(crate) shared: Arc<NewestShared>,
    pub(crate) last: Arc<LastValues>,
}

impl NewestSubscription {
    /// Waits until something has changed since the last call, then gives each changed tag's newest sample, once.
    /// May be dropped at any await without losing anything.
    pub async fn next(&mut self) -> Vec<Sample> {
        loop {
            let samples = self.try_next();
            if !samples.is_empty() {
                return samples;
            }
            self.shared.wake.notified().await;
        }
    }

    /// What has changed since the last call; empty if nothing has.
    pub fn try_next(&mut self) -> Vec<Sample> {
        let changed = self.shared.take();
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        changed.iter().filter_map(|id| last.get(id.0 as usize)?.clone()).collect()
    }

    /// From now on these tags only (`None`: all). Tags that are new come with their last value.
    pub fn set_filter(&mut self, filter: Option<HashSet<TagId>>) {
        let known = {
            let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
            last.iter().flatten().map(|sample| sample.tag).collect::<Vec<_>>()
        };
        self.shared.set_filter(filter, &known);
    }
}

#[derive(Debug)]
pub(crate) struct NewestShared {
    changed: Mutex<Changed>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Changed {
    filter: Option<HashSet<TagId>>,
    /// One bit for each tag number: already in `order`.
    marked: Vec<u64>,
    order: Vec<TagId>,
}

impl Changed {
    fn mark(&mut self, tag: TagId) {
        if self.filter.as_ref().is_some_and(|filter| !filter.contains(&tag)) {
            return;
        }
        let (word, bit) = (tag.0 as usize / 64, 1_u64 << (tag.0 % 64));
        if self.marked.len() <= word {
            self.marked.resize(word + 1, 0);
        }
        if let Some(bits) = self.marked.get_mut(word).filter(|bits| **bits & bit == 0) {
            *bits |= bit;
            self.order.push(tag);
        }
    }
}

impl NewestShared {
    pub(crate) fn new(filter: Option<HashSet<TagId>>, known: &[TagId]) -> Arc<Self> {
        let shared = Arc::new(Self { changed: Mutex::default(), wake: Notify::new() });
        shared.set_filter(filter, known);
        shared
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_filter(&self, filter: Option<HashSet<TagId>>, known: &[TagId]) {
        let mut changed = self.changed();
        let before = std::mem::replace(&mut changed.filter, filter);
        let waiting = std::mem::take(&mut changed.order);
        changed.marked.clear();
        let is_new = |tag: &&TagId| before.as_ref().is_some_and(|before| !before.contains(tag)) || before.is_none();
        waiting.iter().chain(known.iter().filter(is_new)).for_each(|tag| changed.mark(*tag));
        drop(changed);
        self.wake.notify_one();
    }

    /// Marks the tags of `samples` as changed. Every tag number in `samples` is one of the plant's.
    pub(crate) fn mark(&self, tags: &[TagId]) {
        let mut changed = self.changed();
        tags.iter().for_each(|tag| changed.mark(*tag));
        let any = !changed.order.is_empty();
        drop(changed);
        if any {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> Vec<TagId> {
        let mut changed = self.changed();
        let order = std::mem::take(&mut changed.order);
        for tag in &order {
            if let Some(bits) = changed.marked.get_mut(tag.0 as usize / 64) {
                *bits &= !(1_u64 << (tag.0 % 64));
            }
        }
        order
    }
}

/// Every sample, in the order of publishing: for alarms and the log. When it is full, publishers wait.
#[derive(Debug)]
pub struct AllSubscription {
    pub(crate) receiver: mpsc::Receiver<Arc<[Sample]>>,
}

impl AllSubscription {
    /// The next batch of at most 4,096 samples; `None` once the bus is gone.
    /// May be dropped at any await without losing anything.
    pub async fn next(&mut self) -> Option<Arc<[Sample]>> {
        self.receiver.recv().await
    }

    /// The next batch if one is waiting.
    pub fn try_next(&mut self) -> Option<Arc<[Sample]>> {
        self.receiver.try_recv().ok()
    }
}
