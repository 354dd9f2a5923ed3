//! How far samples are safely stored. [`crate::spool`] writes it, everybody may read it.

use andon_model::{Sample, TagId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct StoredUpTo {
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    by_tag: HashMap<TagId, Timestamp>,
    all: Option<Timestamp>,
}

impl StoredUpTo {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `samples` are durable, and with them everything published before. Marks never go back.
    pub(crate) fn advance(&self, samples: &[Sample]) {
        let mut marks = self.marks();
        for sample in samples {
            let mark = marks.by_tag.entry(sample.tag).or_insert(sample.source_ts);
            *mark = (*mark).max(sample.source_ts);
        }
        let newest = samples.iter().map(|sample| sample.received_ts).max();
        marks.all = marks.all.max(newest);
    }

    pub(crate) fn tag(&self, tag: TagId) -> Option<Timestamp> {
        self.marks().by_tag.get(&tag).copied()
    }

    pub(crate) fn all(&self) -> Option<Timestamp> {
        self.marks().all
    }
}
