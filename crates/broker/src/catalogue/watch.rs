//! Looking at messages as they come, within bounds: whoever looks slowly misses some and is told how many.

use super::Catalogue;
use super::topic::{PAYLOAD_KEPT, kept_content_type};
use crate::message::Message;
use andon_model::Timestamp;
use andon_wire::mqtt::{QoS, Text, TopicFilter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Messages that may wait for somebody who looks.
const WAITING: usize = 128;
/// How many may look at a time.
pub(super) const WATCHES: usize = 32;

/// A message as somebody sees it who looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its topic.
    pub topic: Box<str>,
    /// The first [`PAYLOAD_KEPT`] bytes of its payload.
    pub payload: Box<[u8]>,
    /// The size of its payload, in bytes.
    pub size: usize,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// When it came.
    pub received: Timestamp,
    /// The client that published it; `None`: the node itself.
    pub publisher: Option<Text>,
    /// Its content type, cut where it is longer than 256 bytes.
    pub content_type: Option<Text>,
}

impl Seen {
    fn of(message: &Message) -> Self {
        Self {
            topic: message.topic.as_str().into(),
            payload: message.payload.get(..PAYLOAD_KEPT).unwrap_or(&message.payload).into(),
            size: message.payload.len(),
            qos: message.qos,
            retain: message.retain,
            received: message.received,
            publisher: message.publisher.clone(),
            content_type: message.content_type.as_ref().map(kept_content_type),
        }
    }
}

#[derive(Debug)]
pub(super) struct Watcher {
    filter: TopicFilter,
    to: mpsc::Sender<Seen>,
    skipped: AtomicU64,
}

impl Watcher {
    pub(super) fn tell(&self, message: &Message) {
        if !self.filter.matches(message.topic.as_str()) {
            return;
        }
        match self.to.try_reserve() {
            Ok(place) => place.send(Seen::of(message)),
            Err(_) => drop(self.skipped.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Somebody who looks at the messages under a topic filter. Ends when dropped.
#[derive(Debug)]
pub struct Watch {
    catalogue: Arc<Catalogue>,
    watcher: Arc<Watcher>,
    from: mpsc::Receiver<Seen>,
}

/// Too many look already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WATCHES} look at messages already")]
pub struct TooManyWatches;

impl Watch {
    pub(super) fn new(catalogue: Arc<Catalogue>, filter: TopicFilter) -> Result<Self, TooManyWatches> {
        let (to, from) = mpsc::channel(WAITING);
        let watcher = Arc::new(Watcher { filter, to, skipped: AtomicU64::new(0) });
        let mut watchers = catalogue.watchers_mut();
        if watchers.len() >= WATCHES {
            return Err(TooManyWatches);
        }
        watchers.push(watcher.clone());
        catalogue.watching.store(watchers.len(), Ordering::Relaxed);
        drop(watchers);
        Ok(Self { catalogue, watcher, from })
    }

    /// What it looks at.
    #[must_use]
    pub fn filter(&self) -> &TopicFilter {
        &self.watcher.filter
    }

    /// The next message; waits for it.
    pub async fn next(&mut self) -> Option<Seen> {
        self.from.recv().await
    }

    /// A message that is there already.
    pub fn try_next(&mut self) -> Option<Seen> {
        self.from.try_recv().ok()
    }

    /// How many were skipped since this was last asked.
    pub fn take_skipped(&self) -> u64 {
        self.watcher.skipped.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = self.catalogue.watchers_mut();
        watchers.retain(|one| !Arc::ptr_eq(one, &self.watcher));
        self.catalogue.watching.store(watchers.len(), Ordering::Relaxed);
    }
}
