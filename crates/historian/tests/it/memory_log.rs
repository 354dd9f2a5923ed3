//! A log in memory that keeps its promises to the letter: what a snapshot lets go of is gone at once.

use andon_model::log::{
    AppendError, Frame, FrameKind, Gap, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError, kind,
};
use andon_model::{BoxFuture, Sample, Timestamp, sample_codec};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

#[derive(Default)]
pub struct MemoryLog {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    frames: BTreeMap<u64, Frame>,
    last: u64,
    snapshots: BTreeMap<String, Snapshot>,
    received: i64,
    restarts: u64,
}

impl MemoryLog {
    /// Appends a batch, durable at once, received one second after the one before.
    pub fn write(&self, samples: &[Sample]) -> Seq {
        self.push(kind::SAMPLES, &sample_codec::encode_samples(samples))
    }

    pub fn push(&self, kind: FrameKind, payload: &[u8]) -> Seq {
        let mut state = self.state();
        state.last += 1;
        state.received += 1_000_000;
        let (seq, received) = (Seq(state.last), Timestamp::from_micros(state.received));
        let frame = Frame {
            seq,
            kind,
            node: Uuid::nil(),
            epoch: 1 + state.restarts,
            received,
            payload: Bytes::copy_from_slice(payload),
        };
        state.frames.insert(seq.0, frame);
        seq
    }

    /// Deletes a stretch of a tag, durable at once.
    pub fn delete(&self, tag: u32, from: i64, to: i64) -> Seq {
        self.push(kind::DELETE, format!(r#"{{"tag":{tag},"from":{from},"to":{to}}}"#).as_bytes())
    }

    /// The next frame is received this much later.
    pub fn let_pass(&self, seconds: i64) {
        self.state().received += seconds * 1_000_000;
    }

    /// The node was down since the last frame; the next one is of its next run.
    pub fn restart_node(&self) {
        self.state().restarts += 1;
    }

    /// The day in which the newest frame was, or the next will be, received: days since 1970-01-01.
    pub fn today(&self) -> i64 {
        self.state().received / 86_400_000_000
    }

    /// Retention took it.
    pub fn drop_frame(&self, seq: Seq) {
        self.state().frames.remove(&seq.0);
    }

    pub fn kept(&self) -> usize {
        self.state().frames.len()
    }

    pub fn snapshot_position(&self) -> Seq {
        self.state().snapshots.get("historian").map_or(Seq(0), |snapshot| snapshot.positions.samples)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for MemoryLog {
    fn append(&self, _lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        Ok(self.push(kind, payload))
    }

    fn durable(&self, _lane: Lane, _seq: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }

    fn ready(&self, _lane: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }

    fn durable_seq(&self, _lane: Lane) -> Seq {
        Seq(self.state().last)
    }

    fn first_seq(&self, _lane: Lane) -> Seq {
        Seq(self.state().frames.keys().next().copied().unwrap_or(0))
    }

    fn read(&self, _lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError> {
        let state = self.state();
        let mut batch = ReadBatch { next: from, ..ReadBatch::default() };
        let mut bytes = 0;
        for seq in from.0.max(1)..=state.last {
            if bytes > max_bytes {
                break;
            }
            match state.frames.get(&seq) {
                Some(frame) => {
                    bytes += frame.payload.len();
                    batch.frames.push(frame.clone());
                }
                None => match batch.gaps.last_mut() {
                    Some(gap) if gap.to.next() == Seq(seq) => gap.to = Seq(seq),
                    _ => batch.gaps.push(Gap { from: Seq(seq), to: Seq(seq), reason: "freed by retention".to_owned() }),
                },
            }
            batch.next = Seq(seq + 1);
        }
        Ok(batch)
    }

    fn register_reader(&self, _reader: &str, _lanes: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        let mut inner = self.state();
        inner.snapshots.insert(reader.to_owned(), Snapshot { positions, state: Bytes::copy_from_slice(state) });
        inner.frames.retain(|seq, _| *seq > positions.samples.0);
        Ok(())
    }

    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.state().snapshots.get(reader).cloned())
    }
}
