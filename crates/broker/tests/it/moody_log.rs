//! A log that is slow, full, damaged or done for, as a test wants it.

use andon_model::BoxFuture;
use andon_model::log::*;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What the log does at the moment.
#[derive(Clone, PartialEq, Debug)]
pub enum Mood {
    Well,
    /// Frames are taken; none becomes durable.
    Holding,
    /// Frames are not taken.
    Refusing(AppendError),
    /// Frames are taken; making them durable fails.
    Failing(AppendError),
}

/// The real log with moods.
pub struct MoodyLog {
    inner: Arc<dyn Log>,
    mood: watch::Sender<Mood>,
    held_at: Mutex<Option<Seq>>,
    /// Frames that the disk damaged.
    pub damaged: Mutex<Vec<Range<u64>>>,
    /// Nothing can be read just now.
    pub unreadable: AtomicBool,
}

impl MoodyLog {
    pub fn over(inner: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            mood: watch::Sender::new(Mood::Well),
            held_at: Mutex::new(None),
            damaged: Mutex::default(),
            unreadable: AtomicBool::new(false),
        })
    }
    pub fn set(&self, mood: Mood) {
        *self.held_at.lock().unwrap() = (mood != Mood::Well).then(|| self.inner.durable_seq(Lane::Messages));
        self.mood.send_replace(mood);
    }
}

impl Log for MoodyLog {
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        match &*self.mood.borrow() {
            Mood::Refusing(error) => Err(error.clone()),
            _ => self.inner.append(lane, kind, payload),
        }
    }
    fn durable(&self, lane: Lane, seq: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        let (mut mood, inner) = (self.mood.subscribe(), self.inner.durable(lane, seq));
        Box::pin(async move {
            let now = mood.wait_for(|m| *m != Mood::Holding).await.unwrap().clone();
            match now {
                Mood::Failing(error) => Err(error),
                _ => inner.await,
            }
        })
    }
    fn ready(&self, lane: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        let (mut mood, inner) = (self.mood.subscribe(), self.inner.ready(lane));
        Box::pin(async move {
            let _ = mood.wait_for(|m| *m == Mood::Well).await.unwrap().clone();
            inner.await
        })
    }
    fn durable_seq(&self, lane: Lane) -> Seq {
        self.held_at.lock().unwrap().unwrap_or_else(|| self.inner.durable_seq(lane))
    }
    fn first_seq(&self, lane: Lane) -> Seq {
        self.inner.first_seq(lane)
    }
    fn read(&self, lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(ReadError::Io { lane, seq: from, source: std::io::Error::other("the cable is loose") });
        }
        let mut batch = self.inner.read(lane, from, max_bytes)?;
        let damaged = self.damaged.lock().unwrap();
        batch.frames.retain(|frame| !damaged.iter().any(|range| range.contains(&frame.seq.0)));
        Ok(batch)
    }
    fn register_reader(&self, reader: &str, lanes: &[Lane]) -> Result<(), SnapshotError> {
        self.inner.register_reader(reader, lanes)
    }
    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        self.inner.save_snapshot(reader, positions, state)
    }
    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        self.inner.load_snapshot(reader)
    }
}
