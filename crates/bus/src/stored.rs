//! How far samples are safely stored. [`crate::spool`] writes it, everybody may read it.

use andon_model::{Sample, TagId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct StoredUpTo {
    marks: Mutex<Marks>,
    /// How many of the samples handed out by the bus are stored or told lost; [`NOBODY_STORES`] while no spool runs.
    settled: watch::Sender<u64>,
}

/// Nothing that is published will be stored, so nobody need wait for it.
const NOBODY_STORES: u64 = u64::MAX;

impl Default for StoredUpTo {
    fn default() -> Self {
        Self { marks: Mutex::default(), settled: watch::Sender::new(NOBODY_STORES) }
    }
}

#[derive(Debug, Default)]
struct Marks {
    by_tag: HashMap<TagId, Timestamp, foldhash::fast::RandomState>,
    all: Option<Timestamp>,
}

impl Marks {
    fn raise(&mut self, samples: &[Sample]) {
        for sample in samples {
            let mark = self.by_tag.entry(sample.tag).or_insert(sample.source_ts);
            *mark = (*mark).max(sample.source_ts);
        }
    }
}

impl StoredUpTo {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `samples` became durable beside the spool.
    pub(crate) fn note(&self, samples: &[Sample]) {
        self.marks().raise(samples);
    }

    /// Notes that `samples` are durable, and with them everything published before. Marks never go back.
    pub(crate) fn advance(&self, samples: &[Sample]) {
        let mut marks = self.marks();
        marks.raise(samples);
        let newest = samples.iter().map(|sample| sample.received_ts).max();
        marks.all = marks.all.max(newest);
        drop(marks);
        self.settle(samples.len());
    }

    /// A spool stores what is handed out from now on; `handed` samples were before.
    pub(crate) fn begin(&self, handed: u64) {
        self.settled.send_replace(handed);
    }

    /// So many samples more are stored, or will never be.
    pub(crate) fn settle(&self, samples: usize) {
        self.settled.send_modify(|settled| *settled = settled.saturating_add(samples as u64));
    }

    /// The spool has ended.
    pub(crate) fn end(&self) {
        self.settled.send_replace(NOBODY_STORES);
    }

    /// Resolves when the first `handed` samples are settled.
    pub(crate) fn settled(&self, handed: u64) -> impl Future<Output = ()> + Send + 'static {
        let mut settled = self.settled.subscribe();
        async move {
            // The bus is gone together with the sender: nothing is left to wait for.
            let _ = settled.wait_for(|settled| *settled >= handed).await;
        }
    }

    pub(crate) fn tag(&self, tag: TagId) -> Option<Timestamp> {
        self.marks().by_tag.get(&tag).copied()
    }

    pub(crate) fn all(&self) -> Option<Timestamp> {
        self.marks().all
    }
}
