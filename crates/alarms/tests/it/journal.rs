//! A records lane in memory: recorder and log in one, which can be told to refuse and to wait.

use andon_model::event::{AlarmChange, Event, SealedEvent, What};
use andon_model::log::*;
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Timestamp};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

pub type Refuses = Box<dyn Fn(&Event) -> bool + Send + Sync>;

pub struct Journal {
    pub events: Mutex<Vec<Event>>,
    refuses: Mutex<Option<Refuses>>,
    /// Records become durable only while this is open.
    gate: watch::Sender<bool>,
    snapshots: Mutex<HashMap<String, Snapshot>>,
}

impl Journal {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            refuses: Mutex::default(),
            gate: watch::Sender::new(true),
            snapshots: Mutex::default(),
        })
    }
    pub fn refuse(&self, which: impl Fn(&Event) -> bool + Send + Sync + 'static) {
        *self.refuses.lock().unwrap() = Some(Box::new(which));
    }
    pub fn accept_all(&self) {
        *self.refuses.lock().unwrap() = None;
    }
    pub fn set_open(&self, open: bool) {
        self.gate.send_replace(open);
    }
    pub fn changes(&self) -> Vec<AlarmChange> {
        let of = |event: &Event| match &event.what {
            What::Alarm(change) => Some(change.clone()),
            _ => None,
        };
        self.events.lock().unwrap().iter().filter_map(of).collect()
    }
    /// Alarm and state after each transition, one a line.
    pub fn story(&self) -> String {
        let line = |change: &AlarmChange| format!("{} {:?}", change.alarm, change.to);
        self.changes().iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A handle, so that one journal can be recorder and log of several doors.
pub struct JournalRef(pub Arc<Journal>);

impl Recorder for JournalRef {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        let journal = self.0.clone();
        Box::pin(async move {
            let refused = journal.refuses.lock().unwrap().as_ref().is_some_and(|refuses| refuses(&event));
            if refused {
                return Err(AppendError::DiskFull { lane: Lane::Records });
            }
            let _ = journal.gate.subscribe().wait_for(|open| *open).await;
            let mut events = journal.events.lock().unwrap();
            events.push(event.clone());
            let seq = Seq(events.len() as u64);
            Ok(Arc::new(SealedEvent { seq, event, prev: String::new(), hash: String::new() }))
        })
    }
}

impl Log for JournalRef {
    fn append(&self, lane: Lane, _: FrameKind, _: &[u8]) -> Result<Seq, AppendError> {
        Err(AppendError::DiskFull { lane })
    }
    fn durable(&self, _: Lane, _: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }
    fn ready(&self, _: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }
    fn durable_seq(&self, _: Lane) -> Seq {
        Seq(self.0.events.lock().unwrap().len() as u64)
    }
    fn first_seq(&self, _: Lane) -> Seq {
        Seq(1)
    }
    fn read(&self, _: Lane, from: Seq, _: usize) -> Result<ReadBatch, ReadError> {
        let frame = |(seq, event): (u64, &Event)| Frame {
            seq: Seq(seq),
            kind: kind::EVENT,
            node: Uuid::nil(),
            epoch: 1,
            received: Timestamp::MIN,
            payload: Bytes::from(serde_json::to_vec(event).unwrap()),
        };
        let events = self.0.events.lock().unwrap();
        let frames: Vec<_> = (1..).zip(events.iter()).filter(|(seq, _)| *seq >= from.0).take(2).map(frame).collect();
        let next = frames.last().map_or(from, |frame| frame.seq.next());
        Ok(ReadBatch { frames, gaps: Vec::new(), next })
    }
    fn register_reader(&self, _: &str, _: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }
    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        let snapshot = Snapshot { positions, state: Bytes::copy_from_slice(state) };
        self.0.snapshots.lock().unwrap().insert(reader.to_owned(), snapshot);
        Ok(())
    }
    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.0.snapshots.lock().unwrap().get(reader).cloned())
    }
}
