//! A log in memory that can be told to refuse.

use andon_model::log::*;
use andon_model::{BoxFuture, Timestamp};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

#[derive(Clone)]
pub struct MemLog {
    inner: Arc<Mutex<Inner>>,
    /// `Ok`: appended frames become durable; `Err`: they never will, and appending fails alike.
    health: Arc<watch::Sender<Result<(), AppendError>>>,
}

#[derive(Default)]
struct Inner {
    lanes: HashMap<Lane, Vec<Frame>>,
    snapshots: HashMap<String, Snapshot>,
    frame_bytes_max: Option<usize>,
    /// The next [`Log::durable`] waits until this is told.
    sync: Option<Arc<Notify>>,
}

impl MemLog {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { inner: Arc::default(), health: Arc::new(watch::Sender::new(Ok(()))) })
    }
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
    pub fn set_health(&self, health: Result<(), AppendError>) {
        self.health.send_modify(|now| *now = health);
    }
    pub fn set_frame_bytes_max(&self, bytes: usize) {
        self.inner().frame_bytes_max = Some(bytes);
    }
    /// Holds back the answer to the next append; the frame itself is durable at once, as after a slow `fdatasync`.
    pub fn hold_next_answer(&self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        self.inner().sync = Some(notify.clone());
        notify
    }
    pub fn frames(&self, lane: Lane) -> Vec<Frame> {
        self.inner().lanes.get(&lane).cloned().unwrap_or_default()
    }
}

impl Log for MemLog {
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        self.health.borrow().clone()?;
        let mut inner = self.inner();
        if let Some(limit) = inner.frame_bytes_max.filter(|limit| payload.len() > *limit) {
            return Err(AppendError::TooLarge { bytes: payload.len(), limit });
        }
        let frames = inner.lanes.entry(lane).or_default();
        let seq = Seq(frames.len() as u64 + 1);
        let payload = Bytes::copy_from_slice(payload);
        frames.push(Frame { seq, kind, node: Uuid::nil(), epoch: 1, received: Timestamp::MIN, payload });
        Ok(seq)
    }
    fn durable(&self, _: Lane, _: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        let health = self.health.borrow().clone();
        let sync = self.inner().sync.take();
        Box::pin(async move {
            if let Some(sync) = sync {
                sync.notified().await;
            }
            health
        })
    }
    fn ready(&self, _: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        let mut health = self.health.subscribe();
        Box::pin(async move {
            let _ = health.wait_for(Result::is_ok).await;
            Ok(())
        })
    }
    fn durable_seq(&self, lane: Lane) -> Seq {
        Seq(self.frames(lane).len() as u64)
    }
    fn first_seq(&self, _: Lane) -> Seq {
        Seq(1)
    }
    fn read(&self, lane: Lane, from: Seq, _: usize) -> Result<ReadBatch, ReadError> {
        // Three frames at a time, so that readers must come back.
        let frames: Vec<_> = self.frames(lane).into_iter().filter(|frame| frame.seq >= from).take(3).collect();
        let next = frames.last().map_or(from, |frame| frame.seq.next());
        Ok(ReadBatch { frames, gaps: Vec::new(), next })
    }
    fn register_reader(&self, _: &str, _: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }
    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        let snapshot = Snapshot { positions, state: Bytes::copy_from_slice(state) };
        self.inner().snapshots.insert(reader.to_owned(), snapshot);
        Ok(())
    }
    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.inner().snapshots.get(reader).cloned())
    }
}
