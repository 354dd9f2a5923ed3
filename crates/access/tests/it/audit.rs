//! The audit trail over the real log, over one that holds back, and over one that lies.

use andon_access::audit::{self, AuditRecorder, OpenError};
use andon_log::sim::{HandClock, MemDisk, SeededRandom};
use andon_log::{DurableLog, LogOptions};
use andon_model::access::Principal;
use andon_model::event::{Event, SystemNote, What};
use andon_model::log::{
    AppendError, Frame, FrameKind, Gap, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError, kind,
};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Timestamp};
use bytes::Bytes;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

fn note(n: u128) -> Event {
    Event {
        id: Uuid::from_u128(n),
        at: Timestamp::from_millis(1_790_000_000_000),
        source_at: None,
        path: "works/line1".to_owned(),
        by: Principal::SYSTEM,
        what: What::System(SystemNote {
            action: "started".to_owned(),
            text: format!("note {n}: „Grüße“ \"quoted\" \\ \n"),
        }),
    }
}

fn open(disk: &MemDisk) -> Arc<DurableLog> {
    let clock = Arc::new(HandClock::new(Timestamp::from_millis(0)));
    let log =
        DurableLog::open(Path::new("/log"), Uuid::from_u128(7), LogOptions::small(), Arc::new(disk.clone()), clock);
    log.unwrap().0
}

async fn record(recorder: &AuditRecorder, numbers: std::ops::Range<u128>) {
    for n in numbers {
        recorder.record(note(n)).await.unwrap();
    }
}

/// A log whose frames a test may alter, that may say "busy", and whose "durable" may be held back.
struct FakeLog {
    frames: Mutex<Vec<Frame>>,
    gaps: Mutex<Vec<Gap>>,
    busy: AtomicBool,
    /// What is durable.
    durable: watch::Sender<u64>,
    holds: bool,
}

impl FakeLog {
    fn new(holds: bool) -> Arc<Self> {
        let (frames, gaps, busy) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { frames, gaps, busy, durable: watch::Sender::new(0), holds })
    }

    fn of(frames: Vec<Frame>) -> Arc<Self> {
        let log = Self::new(false);
        log.durable.send_replace(frames.last().map_or(0, |f| f.seq.0));
        *log.frames.lock().unwrap() = frames;
        log
    }

    fn frames(&self) -> Vec<Frame> {
        self.frames.lock().unwrap().clone()
    }
}

impl Log for FakeLog {
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        assert_eq!(lane, Lane::Records);
        if self.busy.load(Ordering::SeqCst) {
            return Err(AppendError::Busy { lane, pending_bytes: 1 });
        }
        let mut frames = self.frames.lock().unwrap();
        let seq = Seq(frames.len() as u64 + 1);
        let payload = Bytes::copy_from_slice(payload);
        frames.push(Frame { seq, kind, node: Uuid::nil(), epoch: 1, received: Timestamp::from_millis(0), payload });
        if !self.holds {
            self.durable.send_replace(seq.0);
        }
        Ok(seq)
    }
    fn durable(&self, _: Lane, seq: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        let mut durable = self.durable.subscribe();
        Box::pin(async move { durable.wait_for(|now| *now >= seq.0).await.map(drop).map_err(|_| AppendError::Closed) })
    }
    fn ready(&self, _: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn durable_seq(&self, _: Lane) -> Seq {
        Seq(*self.durable.borrow())
    }
    fn first_seq(&self, _: Lane) -> Seq {
        self.frames.lock().unwrap().first().map_or(Seq(0), |f| f.seq)
    }
    fn read(&self, lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError> {
        let (mut batch, mut bytes) = (ReadBatch { next: from, ..ReadBatch::default() }, 0);
        batch.gaps = self.gaps.lock().unwrap().iter().filter(|g| g.from >= from).cloned().collect();
        for frame in self.frames().into_iter().filter(|f| f.seq >= from && f.seq <= self.durable_seq(lane)) {
            if bytes >= max_bytes {
                break;
            }
            bytes += frame.payload.len();
            batch.next = frame.seq.next();
            batch.frames.push(frame);
        }
        Ok(batch)
    }
    fn register_reader(&self, _: &str, _: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }
    fn save_snapshot(&self, _: &str, _: Positions, _: &[u8]) -> Result<(), SnapshotError> {
        Ok(())
    }
    fn load_snapshot(&self, _: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(None)
    }
}

/// The frames of a trail of `count` events.
async fn trail(count: u128) -> Vec<Frame> {
    let log = FakeLog::new(false);
    record(&AuditRecorder::open(log.clone()).unwrap(), 0..count).await;
    log.frames()
}

#[tokio::test]
async fn the_chain_goes_on_over_restarts_and_verifies() {
    let disk = MemDisk::new();
    let mut head = "0".repeat(64);
    for start in 0..3 {
        let log = open(&disk);
        let recorder = AuditRecorder::open(log.clone()).unwrap();
        assert_eq!(recorder.head(), head, "it goes on where it ended");
        record(&recorder, start * 50..start * 50 + 50).await;
        head = recorder.head();
        let report = audit::verify(&*log, Some(&head)).unwrap();
        assert!(report.ok, "{}", report.detail);
        assert_eq!((report.events, report.head), (u64::try_from(start).unwrap() * 50 + 50, head.clone()));
        log.close();
    }
}

#[tokio::test]
async fn the_chain_goes_on_after_a_kill() {
    let disk = MemDisk::new();
    let log = open(&disk);
    let recorder = AuditRecorder::open(log.clone()).unwrap();
    record(&recorder, 0..20).await;
    let acknowledged = recorder.head();
    let disk = disk.kill();
    let log = open(&disk);
    record(&AuditRecorder::open(log.clone()).unwrap(), 20..40).await;
    let report = audit::verify(&*log, Some(&acknowledged)).unwrap();
    assert!(report.ok && report.events == 40, "{}", report.detail);
    log.close();
}

#[tokio::test]
async fn an_event_is_announced_in_order_and_only_after_it_is_durable() {
    let log = FakeLog::new(true);
    let recorder = AuditRecorder::open(log.clone()).unwrap();
    let mut listener = recorder.subscribe();
    let mut waiting: Vec<_> = (0..10).map(|n| recorder.record(note(n))).collect();
    assert_eq!(log.frames().len(), 10, "all are appended, in call order");
    // Nobody has heard of anything, and no writer has been answered.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(listener.try_recv().is_err());
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waiting[0].as_mut().poll(cx).is_pending())).await);
    log.durable.send_replace(4);
    for n in 0..4 {
        assert_eq!(listener.recv().await.unwrap().event.id, Uuid::from_u128(n));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(listener.try_recv().is_err(), "the fifth is not durable yet");
    log.durable.send_replace(10);
    for n in 4..10 {
        let heard = listener.recv().await.unwrap();
        assert_eq!((heard.event.id, heard.seq.0), (Uuid::from_u128(n), u64::try_from(n).unwrap() + 1));
    }
    for answer in waiting {
        answer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_at_once_are_announced_in_the_order_of_the_chain() {
    let disk = MemDisk::new();
    let log = open(&disk);
    let recorder = AuditRecorder::open(log.clone()).unwrap();
    let mut listener = recorder.subscribe();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u128 {
        let recorder = recorder.clone();
        writers.spawn(async move { record(&recorder, writer * 100..writer * 100 + 100).await });
    }
    let mut prev = "0".repeat(64);
    for seq in 1..=800 {
        let heard = listener.recv().await.unwrap();
        assert_eq!((heard.seq.0, &heard.prev), (seq, &prev));
        assert!(log.durable_seq(Lane::Records) >= heard.seq);
        prev.clone_from(&heard.hash);
    }
    writers.join_all().await;
    assert!(audit::verify(&*log, Some(&prev)).unwrap().ok);
    log.close();
}

#[tokio::test]
async fn an_event_is_announced_even_when_its_writer_has_gone() {
    let log = FakeLog::new(true);
    let recorder = AuditRecorder::open(log.clone()).unwrap();
    let mut listener = recorder.subscribe();
    drop(recorder.record(note(1)));
    log.durable.send_replace(1);
    assert_eq!(listener.recv().await.unwrap().event.id, Uuid::from_u128(1));
}

#[tokio::test]
async fn an_event_that_the_log_refuses_leaves_the_chain_whole() {
    let log = FakeLog::new(false);
    let recorder = AuditRecorder::open(log.clone()).unwrap();
    record(&recorder, 0..3).await;
    let head = recorder.head();
    log.busy.store(true, Ordering::SeqCst);
    assert!(matches!(recorder.record(note(3)).await, Err(AppendError::Busy { .. })));
    assert_eq!(recorder.head(), head);
    log.busy.store(false, Ordering::SeqCst);
    record(&recorder, 4..6).await;
    let report = audit::verify(&*log, Some(&recorder.head())).unwrap();
    assert!(report.ok && report.events == 5, "{}", report.detail);
}

#[tokio::test]
async fn any_changed_byte_is_found() {
    let frames = trail(40).await;
    assert!(audit::verify(&*FakeLog::of(frames.clone()), None).unwrap().ok);
    let random = SeededRandom::new(20_261_122);
    for round in 0..1000 {
        let which = random.below(frames.len());
        let mut changed = frames.clone();
        let mut bytes = changed[which].payload.to_vec();
        let at = random.below(bytes.len());
        bytes[at] ^= u8::try_from(1 + random.below(255)).unwrap();
        changed[which].payload = Bytes::from(bytes);
        let report = audit::verify(&*FakeLog::of(changed), None).unwrap();
        let seq = frames[which].seq.0;
        assert!(!report.ok, "round {round}: byte {at} of event {seq}");
        // The hash of an event stands in the next one too, but its own link breaks first.
        assert_eq!(report.first_bad, Some(seq), "round {round}: byte {at}: {}", report.detail);
        assert_eq!(report.events, seq - 1);
    }
}

#[tokio::test]
async fn a_blank_or_a_further_field_is_found_too() {
    for (from, to) in [("{\"event\"", "{ \"event\""), ("\"prev\":\"", "\"prev\": \""), ("\"}", "\",\"x\":1}")] {
        let mut frames = trail(3).await;
        let text = String::from_utf8(frames[1].payload.to_vec()).unwrap();
        let end = text.len() - 2;
        let other = if from == "\"}" { format!("{}{to}", &text[..end]) } else { text.replacen(from, to, 1) };
        assert_ne!(text, other);
        frames[1].payload = Bytes::from(other);
        assert_eq!(audit::verify(&*FakeLog::of(frames), None).unwrap().first_bad, Some(2), "{to}");
    }
}

/// Numbers the frames anew, as somebody would who rewrites the files.
fn renumbered(mut frames: Vec<Frame>) -> Arc<FakeLog> {
    for (frame, number) in frames.iter_mut().zip(1..) {
        frame.seq = Seq(number);
    }
    FakeLog::of(frames)
}

#[tokio::test]
async fn a_removed_doubled_or_moved_event_is_found_even_when_all_is_numbered_anew() {
    let frames = trail(12).await;
    for at in 0..11 {
        let mut removed = frames.clone();
        removed.remove(at);
        assert!(!audit::verify(&*renumbered(removed), None).unwrap().ok, "without event {}", at + 1);
        let mut doubled = frames.clone();
        doubled.insert(at, frames[at].clone());
        assert!(!audit::verify(&*renumbered(doubled), None).unwrap().ok, "event {} twice", at + 1);
        let mut moved = frames.clone();
        moved.swap(at, at + 1);
        assert!(!audit::verify(&*renumbered(moved), None).unwrap().ok, "events {} and the next swapped", at + 1);
        let mut hidden = frames.clone();
        hidden[at].kind = kind::GAP;
        assert!(!audit::verify(&*FakeLog::of(hidden), None).unwrap().ok, "event {} under another kind", at + 1);
    }
}

#[tokio::test]
async fn an_event_sealed_anew_breaks_the_next_link() {
    let mut frames = trail(5).await;
    let forger = FakeLog::of(frames[..2].to_vec());
    AuditRecorder::open(forger.clone()).unwrap().record(note(99)).await.unwrap();
    frames[2] = forger.frames()[2].clone();
    let report = audit::verify(&*FakeLog::of(frames), None).unwrap();
    assert_eq!(report.first_bad, Some(4), "{}", report.detail);
}

#[tokio::test]
async fn an_event_sealed_anew_is_found_even_when_the_next_one_is_made_to_point_to_it() {
    let mut frames = trail(5).await;
    let forger = FakeLog::of(frames[..2].to_vec());
    let forged = AuditRecorder::open(forger.clone()).unwrap().record(note(99)).await.unwrap();
    let replaced = audit::decode(frames[2].seq, &frames[2].payload).unwrap();
    let next = String::from_utf8(frames[3].payload.to_vec()).unwrap().replace(&replaced.hash, &forged.hash);
    assert!(next.contains(&forged.hash));
    frames[2] = forger.frames()[2].clone();
    frames[3].payload = Bytes::from(next);
    let report = audit::verify(&*FakeLog::of(frames), None).unwrap();
    assert_eq!(report.first_bad, Some(4), "{}", report.detail);
}

/// Two events as version 1 writes them; the second is of a kind that this version does not know. The hashes were
/// computed with another program.
const TRAIL_OF_VERSION_1: [&str; 2] = [
    r#"{"event":{"id":"00000000-0000-0000-0000-000000000001","at":1790000000000000,"path":"works/line1","by":{"id":"00000000-0000-0000-0000-000000000000","kind":"system"},"what":{"kind":"system","action":"started","text":"one"}},"prev":"0000000000000000000000000000000000000000000000000000000000000000","hash":"c1c9c91fbc2d99e6e72d4e3b714c384865cf7e5fcda166f2f9475c72f6559fd0"}"#,
    r#"{"event":{"id":"00000000-0000-0000-0000-000000000002","at":1790000000000001,"path":"","by":{"id":"00000000-0000-0000-0000-000000000000","kind":"system"},"what":{"kind":"of_a_later_version","more":[1,2.50]}},"prev":"c1c9c91fbc2d99e6e72d4e3b714c384865cf7e5fcda166f2f9475c72f6559fd0","hash":"a510c4af223a75e568811f1f636f654f206a9a7fb0404a8beb99294594ae60d8"}"#,
];

#[test]
fn a_trail_of_version_1_verifies_for_ever_whatever_its_events_say() {
    let frame = |(text, seq): (&str, u64)| Frame {
        seq: Seq(seq),
        kind: kind::EVENT,
        node: Uuid::nil(),
        epoch: 1,
        received: Timestamp::from_millis(0),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    };
    let frames: Vec<_> = TRAIL_OF_VERSION_1.into_iter().zip(1..).map(frame).collect();
    let report = audit::verify(&*FakeLog::of(frames), None).unwrap();
    let head = "a510c4af223a75e568811f1f636f654f206a9a7fb0404a8beb99294594ae60d8";
    assert_eq!((report.ok, report.events, report.head.as_str()), (true, 2, head), "{}", report.detail);
}

#[tokio::test]
async fn a_cut_off_end_is_found_with_a_hash_noted_elsewhere() {
    let frames = trail(10).await;
    let noted = audit::verify(&*FakeLog::of(frames.clone()), None).unwrap().head;
    let shorter = FakeLog::of(frames[..7].to_vec());
    assert!(audit::verify(&*shorter, None).unwrap().ok, "from the inside a shorter trail looks whole");
    let report = audit::verify(&*shorter, Some(&noted)).unwrap();
    assert!(!report.ok && report.detail.contains(&noted), "{}", report.detail);
    // A hash noted long ago still stands in a longer trail, in whatever case it was written down.
    let older = audit::verify(&*FakeLog::of(frames[..4].to_vec()), None).unwrap().head;
    let whole = FakeLog::of(frames);
    assert!(audit::verify(&*whole, Some(&format!(" {}\n", older.to_uppercase()))).unwrap().ok);
}

#[tokio::test]
async fn missing_numbers_are_reported_after_what_comes_before_them() {
    let mut frames = trail(10).await;
    let log = FakeLog::of(frames.clone());
    log.frames.lock().unwrap().remove(5);
    log.gaps.lock().unwrap().push(Gap { from: Seq(6), to: Seq(6), reason: "damaged on disk".to_owned() });
    let report = audit::verify(&*log, None).unwrap();
    assert_eq!((report.ok, report.first_bad, report.events), (false, Some(6), 5));
    assert!(report.detail.contains("damaged on disk"), "{}", report.detail);
    // A log that gives back less than it says it has.
    let silent = FakeLog::of(frames.clone());
    silent.frames.lock().unwrap().truncate(6);
    let report = audit::verify(&*silent, None).unwrap();
    assert_eq!((report.ok, report.first_bad, report.events), (false, Some(7), 6));
    // The oldest kept event follows what retention has freed; that is no damage.
    frames.drain(..4);
    assert!(audit::verify(&*FakeLog::of(frames), None).unwrap().ok);
}

#[tokio::test]
async fn a_damaged_end_stops_the_start_rather_than_beginning_a_second_chain() {
    let mut frames = trail(3).await;
    frames[2].payload = Bytes::from_static(b"{");
    assert!(matches!(AuditRecorder::open(FakeLog::of(frames)), Err(OpenError::DamagedEnd { seq: 3 })));
}

#[tokio::test]
async fn an_empty_trail_holds() {
    let log = FakeLog::new(false);
    let report = audit::verify(&*log, Some(&"0".repeat(64))).unwrap();
    assert_eq!((report.ok, report.events, report.first_bad), (true, 0, None));
    assert!(!audit::verify(&*log, Some(&"1".repeat(64))).unwrap().ok);
}
