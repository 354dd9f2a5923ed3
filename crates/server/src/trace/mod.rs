//! Traceability on a running node: what stations say becomes passes of units in the store, finished units get their certificates, people ask.
//!
//! [`steps`] turns what stations said into steps of the store, [`certify`] makes certificates, [`show`], [`change`], [`stock`] and [`vessel`] answer people. What
//! readings of a station mean is decided in `andon-mes` (`pass`), what stands recorded in `andon-store` (`trace`).
//!
//! # Exactly once
//! The lane of samples is read on its own, beside the shop floor. What comes of it, what is remembered of the stations and how far the lane
//! was read are one transaction: after a kill the same readings are read again, from the same memory, and give the same passes. Certificates
//! are made of what the store says is due, and are due no more in the transaction that keeps them.

mod certify;
mod change;
mod show;
mod steps;
mod stock;
mod vessel;

pub use show::units_of;

use crate::mes::Manufacturing;
use crate::notes::Notes;
use crate::records::complain_of;
use andon_access::Accounts;
use andon_access::signing::SigningKey;
use andon_bus::Bus;
use andon_mes::certificate::{Hex, PublicKey};
use andon_mes::master::MasterData;
use andon_mes::pass::{Follower, Heard, Pass, Remark};
use andon_model::log::{Frame, Lane, Log, Positions, Seq, kind};
use andon_model::sample_codec::decode_samples;
use andon_model::{Clock, Timestamp};
use andon_store::trace::{READER, TraceRepository};
use andon_store::{OutboxRepository, Store, StoreError};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bytes of log at a time.
const READ_BYTES: usize = 256 << 10;
/// How often to look whether the log has grown.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long after a failure it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// Readings that belong to no unit yet are kept so often; until then they would be read again.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How often it is kept how far the lane was read, where nothing of it is about units.
const LET_GO_EVERY: Duration = Duration::from_secs(60);
/// The most remarks of one stretch of the lane that are told; of more it is told how many.
const REMARKS: usize = 100;

/// What makes traceability.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// The log.
    pub log: Arc<dyn Log>,
    /// The live plant.
    pub bus: Arc<Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the node says about itself.
    pub notes: Notes,
    /// Who may come in.
    pub accounts: Arc<Accounts>,
    /// Orders and machines.
    pub mes: Arc<Manufacturing>,
    /// What signs certificates.
    pub key: SigningKey,
    /// The node's own id.
    pub node: Uuid,
}

struct State {
    follower: Follower,
    master: Arc<MasterData>,
}

/// Traceability.
pub struct Traceability {
    parts: Parts,
    state: Mutex<State>,
    /// Whoever makes a certificate or gives an identity waits here for its turn.
    turn: tokio::sync::Mutex<()>,
    /// Whoever asks what went into what.
    reach: tokio::sync::Mutex<()>,
    /// When people changed something last, in microseconds since 1970.
    changed_at: AtomicI64,
}

/// What was read and is not in the store yet.
#[derive(Default)]
struct Unkept {
    passes: Vec<Pass>,
    remarks: Vec<(String, Remark)>,
    more_remarks: usize,
    changed: BTreeSet<String>,
    upto: Option<Seq>,
}

/// How far the lane was read.
#[derive(Default)]
struct Reading {
    next: Seq,
    unkept: Unkept,
    /// When something was kept last, by the monotonic clock, as the next.
    kept_at: Duration,
    /// Not before this are certificates tried again.
    certify_from: Duration,
}

impl Reading {
    fn from(next: Seq) -> Self {
        Self { next, ..Self::default() }
    }
}

impl Unkept {
    fn is_to_be_told(&self) -> bool {
        !self.passes.is_empty() || !self.remarks.is_empty()
    }
}

impl Traceability {
    /// As it was when the node stopped.
    /// # Errors
    /// The records cannot be read.
    pub async fn open(parts: Parts) -> Result<Arc<Self>> {
        parts.log.register_reader(READER, &[Lane::Samples]).context("traceability cannot read the log")?;
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        for (station, text) in parts.store.trace_stations().await? {
            match serde_json::from_str(&text) {
                Ok(kept) => drop(heard.insert(station, kept)),
                Err(error) => tracing::error!(station, %error, "what a station said before the start cannot be read"),
            }
        }
        let key = PublicKey(Hex(parts.key.public())).to_string();
        if let Some(former) = parts.store.trace_last_key().await?.filter(|former| *former != key) {
            let words = format!(
                "certificates are signed with the key {key} from now on; those before were signed with {former}, and are verified with its \
                 public half alone. If tls/signing-key.pem was lost, restore it from a backup with keys before the next unit is finished"
            );
            parts.notes.say("", "signing_key", words);
        }
        let state = Mutex::new(State { follower: Follower::new(heard), master: Arc::default() });
        Ok(Arc::new(Self {
            parts,
            state,
            turn: Default::default(),
            reach: Default::default(),
            changed_at: AtomicI64::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the stations of the model in force.
    pub fn follow(&self) {
        let view = self.parts.bus.plant();
        let master = self.parts.mes.master_data();
        let stations =
            master.machines.iter().filter_map(|(path, machine)| Some((path.clone(), machine.station.clone()?)));
        let stations = stations.collect();
        let mut state = self.state();
        state.follower.set_stations(stations, |tag| view.id_of(tag.as_str()));
        state.master = master;
    }

    /// Follows until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let next = loop {
            match self.parts.store.applied(READER, Lane::Samples).await {
                Ok(seq) => break seq.next(),
                Err(error) => {
                    complain_of("traceability cannot begin", &error);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(AFTER_ERROR) => {}
                    }
                }
            }
        };
        let mut reading = Reading::from(next);
        loop {
            let pause = match self.round(&mut reading, stop.is_cancelled()).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    complain_of("traceability cannot go on", &*error);
                    AFTER_ERROR
                }
            };
            if stop.is_cancelled() {
                return;
            }
            if pause > Duration::ZERO {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    /// Reads on and keeps what there is to keep; `false`: there is no more now.
    async fn round(&self, reading: &mut Reading, stops: bool) -> anyhow::Result<bool> {
        // What could not be kept before comes first; it is not read a second time.
        if reading.unkept.is_to_be_told() {
            self.keep(&mut reading.unkept).await?;
        }
        let read = self.read_once(reading.next, &mut reading.unkept).await?;
        if let Some((after, _)) = read {
            reading.next = after;
        }
        let now = self.parts.clock.monotonic();
        let since = now.saturating_sub(reading.kept_at);
        let unkept = &mut reading.unkept;
        let is_due = if unkept.changed.is_empty() { since >= LET_GO_EVERY } else { since >= KEEP_EVERY };
        if unkept.is_to_be_told() || (unkept.upto.is_some() && (is_due || stops)) {
            self.keep(unkept).await?;
            reading.kept_at = now;
        }
        // Everything that came until then is in the store. A certificate that fails holds up no reading.
        let heard_until = read.map_or_else(|| self.parts.clock.now(), |(_, received)| received);
        if now >= reading.certify_from
            && let Err(error) = self.certify_due(heard_until).await
        {
            complain_of("a certificate could not be made", &error);
            reading.certify_from = now + AFTER_ERROR;
        }
        Ok(read.is_some())
    }

    /// Reads frames from here on; returns where to go on, and when the last of them came. `None`: there are none.
    async fn read_once(&self, from: Seq, unkept: &mut Unkept) -> anyhow::Result<Option<(Seq, Timestamp)>> {
        let durable = self.parts.log.durable_seq(Lane::Samples);
        if durable < from {
            return Ok(None);
        }
        if self.state().follower.stations().is_empty() {
            // Nothing of it can be about a unit.
            unkept.upto = Some(durable);
            return Ok(Some((durable.next(), self.parts.clock.now())));
        }
        let log = self.parts.log.clone();
        let batch = tokio::task::spawn_blocking(move || log.read(Lane::Samples, from, READ_BYTES)).await??;
        if batch.next <= from {
            return Ok(None);
        }
        for gap in &batch.gaps {
            let words =
                format!("readings {} to {} are lost: units that passed meanwhile are not known", gap.from.0, gap.to.0);
            self.parts.notes.say("", "trace_gap", words);
        }
        let mut state = self.state();
        for frame in &batch.frames {
            take(&mut state.follower, frame, unkept);
        }
        unkept.upto = Some(Seq(batch.next.0 - 1));
        let received = batch.frames.last().map_or(Timestamp::from_micros(0), |frame| frame.received);
        Ok(Some((batch.next, received)))
    }

    /// Keeps what was read, with how far that is.
    async fn keep(&self, unkept: &mut Unkept) -> Result<(), StoreError> {
        let Some(upto) = unkept.upto else { return Ok(()) };
        self.record(unkept, upto).await?;
        *unkept = Unkept::default();
        let log = self.parts.log.clone();
        let positions = Positions { samples: upto, ..Positions::default() };
        let saved = tokio::task::spawn_blocking(move || log.save_snapshot(READER, positions, &[])).await;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the log did not hear how far traceability has come"),
            Err(error) => tracing::warn!(%error, "the log did not hear how far traceability has come"),
        }
        Ok(())
    }
}

fn take(follower: &mut Follower, frame: &Frame, unkept: &mut Unkept) {
    if frame.kind != kind::SAMPLES {
        return;
    }
    match decode_samples(&frame.payload) {
        Ok(samples) => {
            let told = follower.take(&samples);
            unkept.passes.extend(told.passes);
            for remark in told.remarks {
                if unkept.remarks.len() < REMARKS {
                    unkept.remarks.push(remark);
                } else {
                    unkept.more_remarks += 1;
                }
            }
            unkept.changed.extend(told.changed);
        }
        Err(error) => tracing::error!(seq = frame.seq.0, %error, "a frame of samples cannot be read"),
    }
}

#[cfg(test)]
mod tests;
