//! A log, a recorder and a clock in memory. The log outlives the parts around it, as a disk outlives a kill.

use crate::server;
use andon_model::access::Principal;
use andon_model::event::{Event, SealedEvent, SystemNote, What};
use andon_model::log::{
    AppendError, Frame, FrameKind, Gap, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError, kind,
};
use andon_model::plant::{Equipment, Interpolation, Level, Plant, Profile, TagDef};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock, DataType, EquipmentPath, TagPath, Timestamp};
use andon_store::{PostgresSettings, Store};
use sqlx::Connection;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// A clock turned by hand; each look moves it on by a microsecond, so that no two ids are of one instant.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_795_000_000_000_000)))
    }
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.micros(), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::SeqCst))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

#[derive(Default)]
struct Lines {
    frames: Vec<Frame>,
    freed: u64,
    snapshots: HashMap<String, Snapshot>,
}

/// The records lane in memory; every frame is durable at once.
#[derive(Default)]
pub struct MemLog(Mutex<Lines>);

impl MemLog {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }
    /// The ids of the events, in the order of the log.
    pub fn event_ids(&self) -> Vec<Uuid> {
        let lines = self.0.lock().unwrap();
        let events = lines.frames.iter().filter(|frame| frame.kind == kind::EVENT);
        events.map(|frame| serde_json::from_slice::<SealedEvent>(&frame.payload).unwrap().event.id).collect()
    }
    /// Frees the first `count` frames, as retention does.
    pub fn free(&self, count: u64) {
        self.0.lock().unwrap().freed = count;
    }
    pub fn snapshot(&self, reader: &str) -> Option<Snapshot> {
        self.0.lock().unwrap().snapshots.get(reader).cloned()
    }
    pub fn put_event(&self, event: Event) -> Arc<SealedEvent> {
        let mut sealed = SealedEvent { seq: Seq(0), event, prev: "0".repeat(64), hash: "f".repeat(64) };
        sealed.seq = self.append(Lane::Records, kind::EVENT, &serde_json::to_vec(&sealed).unwrap()).unwrap();
        Arc::new(sealed)
    }
}

impl Log for MemLog {
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        assert_eq!(lane, Lane::Records, "the store uses the records lane only");
        let mut lines = self.0.lock().unwrap();
        let seq = Seq(lines.frames.len() as u64 + 1);
        let payload = bytes::Bytes::copy_from_slice(payload);
        let received = Timestamp::from_micros(0);
        lines.frames.push(Frame { seq, kind, node: Uuid::nil(), epoch: 1, received, payload });
        Ok(seq)
    }
    fn durable(&self, _: Lane, _: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }
    fn ready(&self, _: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(async { Ok(()) })
    }
    fn durable_seq(&self, _: Lane) -> Seq {
        Seq(self.0.lock().unwrap().frames.len() as u64)
    }
    fn first_seq(&self, _: Lane) -> Seq {
        Seq(self.0.lock().unwrap().freed + 1)
    }
    /// A few frames at a time, whatever `max_bytes` says, so that readers must come back.
    fn read(&self, _: Lane, from: Seq, _: usize) -> Result<ReadBatch, ReadError> {
        let lines = self.0.lock().unwrap();
        let mut batch = ReadBatch { next: from, ..ReadBatch::default() };
        if from.0 <= lines.freed {
            batch.gaps.push(Gap { from, to: Seq(lines.freed), reason: "freed by retention".into() });
            batch.next = Seq(lines.freed + 1);
        }
        batch.frames = lines.frames.iter().filter(|frame| frame.seq >= batch.next).take(3).cloned().collect();
        if let Some(last) = batch.frames.last() {
            batch.next = last.seq.next();
        }
        Ok(batch)
    }
    fn register_reader(&self, _: &str, _: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }
    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        let state = bytes::Bytes::copy_from_slice(state);
        self.0.lock().unwrap().snapshots.insert(reader.to_owned(), Snapshot { positions, state });
        Ok(())
    }
    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.snapshot(reader))
    }
}

/// What the recorder does with the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Records it.
    Record,
    /// Is busy: not recorded, try again.
    Busy,
    /// The power goes before the frame is on disk.
    CutBefore,
    /// The frame is on disk, then the power goes before the answer.
    CutAfter,
}

/// Records into a [`MemLog`], or not, as told; recorded without end once the orders run out.
pub struct FateRecorder {
    pub log: Arc<MemLog>,
    pub fates: Mutex<VecDeque<Fate>>,
}

impl FateRecorder {
    pub fn new(log: &Arc<MemLog>, fates: impl IntoIterator<Item = Fate>) -> Arc<Self> {
        Arc::new(Self { log: log.clone(), fates: Mutex::new(fates.into_iter().collect()) })
    }
}

impl Recorder for FateRecorder {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        let poisoned = || AppendError::Poisoned { lane: Lane::Records, reason: "the power is gone".into() };
        let answer = match self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Record) {
            Fate::Record => Ok(self.log.put_event(event)),
            Fate::Busy => Err(AppendError::Busy { lane: Lane::Records, pending_bytes: 1 }),
            Fate::CutBefore => Err(poisoned()),
            Fate::CutAfter => {
                self.log.put_event(event);
                Err(poisoned())
            }
        };
        Box::pin(async move { answer })
    }
}

pub async fn open(folder: &Path) -> Store {
    Store::open(&folder.join("store.db"), HandClock::new()).await.unwrap()
}

/// Where a store is kept, from one life of a process to the next.
pub enum Base {
    File(tempfile::TempDir),
    /// The address of a database.
    Server(String),
}

impl Base {
    pub fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }
    /// `None`: there is no PostgreSQL here.
    pub async fn server() -> Option<Self> {
        Some(Self::Server(server::database(server::shared()?).await))
    }
    /// Another one of the same kind.
    pub async fn other(&self) -> Self {
        match self {
            Self::File(_) => Self::file(),
            Self::Server(_) => Self::server().await.unwrap(),
        }
    }
    /// What stands in a column, past the store.
    pub async fn texts(&self, statement: &'static str) -> Vec<String> {
        self.texts_of(statement).await
    }
    /// As [`Base::texts`], of a statement that a test has made.
    pub async fn texts_of(&self, statement: &str) -> Vec<String> {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        match self {
            Self::File(folder) => {
                let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("store.db"));
                let mut db = sqlx::SqliteConnection::connect_with(&file).await.unwrap();
                sqlx::query_scalar(statement).fetch_all(&mut db).await.unwrap()
            }
            Self::Server(url) => {
                let mut db = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(statement).fetch_all(&mut db).await.unwrap()
            }
        }
    }
    /// Changes what stands there, past the store.
    pub async fn change(&self, statements: &str) {
        let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()));
        match self {
            Self::File(folder) => {
                let file = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("store.db"));
                let mut db = sqlx::SqliteConnection::connect_with(&file).await.unwrap();
                statements.execute(&mut db).await.unwrap();
            }
            Self::Server(url) => {
                let mut db = sqlx::PgConnection::connect(url).await.unwrap();
                statements.execute(&mut db).await.unwrap();
            }
        }
    }
    pub async fn open(&self) -> Store {
        self.open_at(HandClock::new()).await
    }
    pub async fn open_at(&self, clock: Arc<HandClock>) -> Store {
        match self {
            Self::File(folder) => Store::open(&folder.path().join("store.db"), clock).await.unwrap(),
            Self::Server(url) => {
                let settings = PostgresSettings::parse(url, None).unwrap();
                Store::open_postgres(&settings, clock).await.unwrap()
            }
        }
    }
}

/// Runs each case on a store of its own, once in a file and once on a server; a case takes the [`Base`], or those of a module the store.
macro_rules! on_both {
    ($cases:ident: $($case:ident)*) => {
        $(async fn $case(base: crate::fakes::Base) {
            $cases::$case(&base.open().await).await;
        })*
        crate::fakes::on_both! { $($case)* }
    };
    ($($case:ident)*) => {
        mod file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::fakes::Base::file()).await;
            })*
        }
        mod server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(base) = crate::fakes::Base::server().await {
                    super::$case(base).await;
                }
            })*
        }
    };
}
pub(crate) use on_both;

/// A plant of one machine with these tags, ids left to the store.
pub fn plant(tags: &[&str]) -> Plant {
    let machine = Equipment {
        path: EquipmentPath::parse("press").unwrap(),
        level: Level::Site,
        profile: Profile::Plant,
        title: "Press".into(),
        description: String::new(),
        keep_days: None,
    };
    Plant { equipment: vec![machine], tags: tags.iter().map(|name| tag(name)).collect(), ..Plant::default() }
}

pub fn tag(name: &str) -> TagDef {
    TagDef {
        id: Uuid::nil(),
        path: TagPath::parse(&format!("press/{name}")).unwrap(),
        title: name.to_owned(),
        description: String::new(),
        data_type: DataType::Double,
        unit: None,
        range: None,
        digits: None,
        states: [].into(),
        interpolation: Interpolation::Sloped,
        compress: None,
        keep_days: None,
        stale_after_ms: None,
        write: None,
        origin: None,
    }
}

/// An event of the node itself, the `number`-th.
pub fn note(number: u128, path: &str) -> Event {
    Event {
        id: Uuid::from_u128(number),
        at: Timestamp::from_millis(i64::try_from(number).unwrap()),
        source_at: None,
        path: path.to_owned(),
        by: Principal::SYSTEM,
        what: What::System(SystemNote { action: "started".into(), text: format!("note {number}") }),
    }
}
