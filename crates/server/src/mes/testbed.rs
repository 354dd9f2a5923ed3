//! A node in a box, for tests of the shop floor, of orders and of units: a log, a store, a bus, a plant, and a clock that a test turns.
//!
//! [`Testbed::say`] is what machines say, [`Testbed::go_on`] reads it, [`Testbed::killed`] ends the node and starts it again. The tests
//! beside it add what their subject needs; what is read and written are real files in a folder that goes with the bed.

use super::Manufacturing;
use crate::notes::Notes;
use andon_access::AuditRecorder;
use andon_api::ports::mes::{KpiAnswer, Mes as _, Window};
use andon_bus::Bus;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::access::Principal;
use andon_model::log::{Lane, Log, Seq, kind};
use andon_model::plant::Plant;
use andon_model::sample_codec::encode_samples;
use andon_model::{Clock, Sample, StatusCode, Timestamp, Value};
use andon_store::documents::{self, Document};
use andon_store::{PlantRepository as _, Store};
use andon_testkit::clock::ManualClock;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The node's own id.
pub const NODE: Uuid = Uuid::from_u128(1);

// States, as PackML numbers them.
pub const STARTING: i64 = 3;
pub const IDLE: i64 = 4;
pub const SUSPENDED: i64 = 5;
pub const EXECUTE: i64 = 6;
pub const HELD: i64 = 11;

/// When a test begins.
pub fn begins() -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T08:00:00Z").expect("a time")
}

/// So many minutes after the beginning.
pub fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(begins().micros() + minutes * 60_000_000)
}

/// From and to so many minutes after the beginning.
pub fn window(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

/// The plant that a document describes.
pub fn plant_of(text: &str) -> Plant {
    let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
    documents::parse(&[document], &crate::adapters::Checks).expect("a good model")
}

/// A node's shop floor, and what it stands on.
pub struct Testbed {
    pub mes: Arc<Manufacturing>,
    pub log: Arc<DurableLog>,
    pub store: Store,
    pub bus: Arc<Bus>,
    pub clock: Arc<ManualClock>,
    pub recorder: Arc<AuditRecorder>,
    pub notes: Notes,
    /// Where its files are.
    pub folder: TempDir,
    stop: CancellationToken,
    /// Where the shop floor reads on.
    next: Seq,
}

impl Testbed {
    /// A new node at the beginning.
    pub async fn new(plant: &str) -> Self {
        Self::new_at(begins(), plant).await
    }

    /// A new node at a moment.
    pub async fn new_at(now: Timestamp, plant: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::open(folder, Arc::new(ManualClock::new(now)), plant).await
    }

    /// A node over what is in the folder; the plant is taken when there is none in it.
    async fn open(folder: TempDir, clock: Arc<ManualClock>, plant: &str) -> Self {
        let handed: Arc<dyn Clock> = clock.clone();
        let (log, _) =
            DurableLog::open(&folder.path().join("log"), NODE, LogOptions::default(), Arc::new(OsDisk), handed.clone())
                .expect("a log");
        let shared: Arc<dyn Log> = log.clone();
        let store = Store::open(&folder.path().join("records.sqlite"), handed.clone()).await.expect("a store");
        if store.current_plant().await.expect("a model").0.version == 0 {
            store.apply_plant(0, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        }
        let bus = Bus::new(handed.clone());
        let (plant, ids) = store.current_plant().await.expect("a model");
        bus.set_plant(Arc::new(plant), ids);
        let recorder = AuditRecorder::open(shared.clone()).expect("a recorder");
        let stop = CancellationToken::new();
        let relay = {
            let (store, recorder, log, stop) = (store.clone(), recorder.clone(), shared.clone(), stop.clone());
            async move { store.relay(recorder, log, stop).await }
        };
        // Ends with `stop`.
        tokio::spawn(relay);
        let notes = Notes::new().0;
        let mes = Manufacturing::open(store.clone(), shared, bus.clone(), handed, notes.clone()).await.expect("opened");
        mes.follow().await.expect("followed");
        let next = mes.first();
        Self { mes, log, store, bus, clock, recorder, notes, folder, stop, next }
    }

    /// What came in one frame.
    pub async fn take(&self, samples: &[Sample]) {
        let seq = self.log.append(Lane::Samples, kind::SAMPLES, &encode_samples(samples)).expect("taken");
        self.log.durable(Lane::Samples, seq).await.expect("durable");
    }

    /// Readings of tags under `works/line` at minutes, as one frame that comes now.
    pub async fn say(&self, readings: &[(&str, i64, i64)]) {
        let received_ts = self.clock.now();
        let view = self.bus.plant();
        let sample = |(tag, minute, value): &(&str, i64, i64)| Sample {
            tag: view.id_of(&format!("works/line/{tag}")).expect("a tag"),
            value: Value::Int64(*value),
            quality: StatusCode::GOOD,
            source_ts: at(*minute),
            received_ts,
        };
        let samples: Vec<_> = readings.iter().map(sample).collect();
        self.take(&samples).await;
    }

    /// The shop floor reads what came.
    pub async fn read(&mut self) {
        self.next = self.mes.read_on(Some(self.next)).await;
    }

    /// Reads what came, and keeps what is over.
    pub async fn go_on(&mut self) {
        self.read().await;
        self.mes.tick().await.expect("kept");
    }

    /// At a minute, with what machines say then.
    pub async fn at_minute(&mut self, minute: i64, readings: &[(&str, i64)]) {
        self.clock.set(at(minute));
        let readings: Vec<_> = readings.iter().map(|(tag, value)| (*tag, minute, *value)).collect();
        if !readings.is_empty() {
            self.say(&readings).await;
        }
        self.go_on().await;
    }

    /// Killed, started again and gone on.
    pub async fn killed(self) -> Self {
        let mut again = self.killed_before_it_reads().await;
        again.go_on().await;
        again
    }

    /// Killed and started again; nothing has been read yet.
    pub async fn killed_before_it_reads(self) -> Self {
        self.stop.cancel();
        // What is not durable is gone, as after a kill.
        self.store.close().await.expect("closed");
        drop(self.mes);
        self.log.close();
        drop(self.log);
        // The plant is in the store.
        Self::open(self.folder, self.clock, "").await
    }

    /// A path's KPIs between two minutes.
    pub async fn kpis(&self, path: &str, from: i64, to: i64) -> KpiAnswer {
        self.mes.kpis(path.to_owned(), window(from, to)).await.expect("an answer")
    }
}
