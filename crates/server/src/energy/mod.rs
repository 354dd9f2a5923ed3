//! Meters on a running node: what they say becomes energy of quarter hours in the store.
//!
//! # Exactly once
//! The lane of samples is read on its own, beside the shop floor. What is remembered of the meters and how far the lane was read are one
//! transaction, and every quarter hour is written as a whole, in the place of what was there: after a kill the same readings are read again, from
//! the same memory, and give the same quarter hours.
//!
//! What is asked in between sees what is kept and, over it, what is read and not kept yet.

use crate::notes::Notes;
use crate::records::complain_of;
use andon_bus::PlantView;
use andon_mes::energy::meter::{Meter, MeterRule, Oddity, Quarter, Reads};
use andon_mes::master::{MasterData, MeterPoint};
use andon_model::log::{Frame, Lane, Log, Positions, Seq, kind};
use andon_model::sample_codec::decode_samples;
use andon_model::{Clock, Sample, TagId, Timestamp};
use andon_store::energy::{EnergyKeep, EnergyRepository, READER, StoredQuarter};
use andon_store::{OutboxRepository, Store, StoreError};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of log at a time.
const READ_BYTES: usize = 256 << 10;
/// How often to look whether the log has grown.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long after a failure it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How often what was read is kept; until then it would be read again.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How often it is kept how far the lane was read, where no meter said anything.
const LET_GO_EVERY: Duration = Duration::from_secs(60);
/// The most quarter hours that wait to be kept before the next stretch of the lane is read.
const UNKEPT: usize = 10_000;
/// The most quarter hours of one transaction.
const AT_ONCE: usize = 5_000;
/// The most remarks of one stretch of the lane that are told.
const REMARKS: usize = 100;
/// Quarter hours that are read from the store at once.
const READ_ROWS: usize = 20_000;

/// A meter of the model in force.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Its name.
    pub name: String,
    /// Its number in the store.
    pub number: u32,
    /// What the model says of it.
    pub point: MeterPoint,
    /// Until when it has been heard, in µs since 1970.
    pub until_us: Option<i64>,
}

/// What is remembered of a meter, and of which device it is.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Heard {
    tag: TagId,
    reads: Reads,
    factor: f64,
    meter: Meter,
}

#[derive(Default)]
struct State {
    followed: Arc<Vec<Followed>>,
    /// The meters that a tag speaks for: number, place in the list, rule.
    tags: HashMap<TagId, Vec<(u32, usize, MeterRule)>>,
    /// By number, also of meters that are followed no more since the start.
    heard: BTreeMap<u32, Heard>,
    changed: BTreeSet<u32>,
    /// By quarter hour and meter.
    unkept: BTreeMap<(i64, u32), Quarter>,
}

/// Meters.
pub struct Meters {
    store: Store,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    state: Mutex<State>,
    /// Who keeps waits here for its turn, and so does who asks for what is kept.
    turn: tokio::sync::RwLock<()>,
    /// Until when what meters said is counted, in µs since 1970.
    heard_until: AtomicI64,
}

/// How far the lane was read.
#[derive(Default)]
pub struct Reading {
    next: Seq,
    upto: Option<Seq>,
    /// When something was kept last, by the monotonic clock.
    kept_at: Duration,
}

impl Meters {
    /// As they were when the node stopped.
    /// # Errors
    /// The log cannot be read.
    pub fn open(store: Store, log: Arc<dyn Log>, clock: Arc<dyn Clock>, notes: Notes) -> Result<Arc<Self>> {
        log.register_reader(READER, &[Lane::Samples]).context("energy cannot read the log")?;
        Ok(Arc::new(Self {
            store,
            log,
            clock,
            notes,
            state: Mutex::default(),
            turn: tokio::sync::RwLock::default(),
            heard_until: AtomicI64::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the meters of a model.
    /// # Errors
    /// The records cannot be read or written.
    pub async fn follow(&self, master: &MasterData, view: &PlantView) -> Result<(), StoreError> {
        let names: Vec<String> = master.meters.keys().cloned().collect();
        let stored = if names.is_empty() { Vec::new() } else { self.store.energy_meters(names).await? };
        let mut state = self.state();
        let (mut followed, mut tags) = (Vec::new(), HashMap::<TagId, Vec<_>>::new());
        for (stored, point) in stored.into_iter().zip(master.meters.values()) {
            let Some(tag) = view.id_of(point.tag.as_str()) else { continue };
            let MeterRule { reads, factor, .. } = point.rule;
            let before = state.heard.get(&stored.number).copied().or_else(|| heard_of(&stored.name, &stored.heard));
            let mut heard = before.unwrap_or(Heard { tag, reads, factor, meter: Meter::default() });
            if (heard.tag, heard.reads, heard.factor) != (tag, reads, factor) {
                heard = Heard { tag, reads, factor, meter: heard.meter };
                heard.meter.exchanged();
            }
            state.heard.insert(stored.number, heard);
            tags.entry(tag).or_default().push((stored.number, followed.len(), point.rule));
            let (name, number, point) = (stored.name, stored.number, point.clone());
            followed.push(Followed { name, number, point, until_us: None });
        }
        (state.followed, state.tags) = (Arc::new(followed), tags);
        Ok(())
    }

    /// The meters of the model in force, by name.
    pub fn followed(&self) -> Vec<Followed> {
        let state = self.state();
        let until = |number| state.heard.get(&number).and_then(|heard| heard.meter.until_us());
        state.followed.iter().map(|meter| Followed { until_us: until(meter.number), ..meter.clone() }).collect()
    }

    /// Until when what meters said is counted.
    pub fn heard_until(&self) -> Timestamp {
        Timestamp::from_micros(self.heard_until.load(Ordering::Acquire))
    }

    /// Follows until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut reading = None;
        loop {
            let pause = match self.round(&mut reading, stop.is_cancelled()).await {
                Ok(true) => Duration::ZERO,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    complain_of("energy cannot go on", &*error);
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
    pub(crate) async fn round(&self, reading: &mut Option<Reading>, stops: bool) -> Result<bool> {
        let known = match reading.take() {
            Some(known) => known,
            None => Reading { next: self.store.applied(READER, Lane::Samples).await?.next(), ..Reading::default() },
        };
        let reading = reading.insert(known);
        // What could not be kept before comes first, so that no more than one stretch of the lane ever waits.
        if self.state().unkept.len() > UNKEPT {
            self.keep(reading).await?;
        }
        let has_more = self.read_once(reading).await?;
        let since = self.clock.monotonic().saturating_sub(reading.kept_at);
        let (is_changed, is_full) = {
            let state = self.state();
            (!state.changed.is_empty(), state.unkept.len() > UNKEPT)
        };
        let is_due = since >= if is_changed { KEEP_EVERY } else { LET_GO_EVERY };
        if is_full || (reading.upto.is_some() && (is_due || stops)) {
            self.keep(reading).await?;
        }
        Ok(has_more)
    }

    /// Reads frames; `false`: there are none.
    async fn read_once(&self, reading: &mut Reading) -> Result<bool> {
        // What comes after this is not known to have been read.
        let now = self.clock.now();
        let durable = self.log.durable_seq(Lane::Samples);
        if durable < reading.next {
            self.heard_until.fetch_max(now.micros(), Ordering::AcqRel);
            return Ok(false);
        }
        if self.state().tags.is_empty() {
            // Nothing of it can be of a meter.
            (reading.next, reading.upto) = (durable.next(), Some(durable));
            return Ok(true);
        }
        let (log, from) = (self.log.clone(), reading.next);
        let batch = tokio::task::spawn_blocking(move || log.read(Lane::Samples, from, READ_BYTES)).await??;
        if batch.next <= from {
            return Ok(false);
        }
        let mut remarks = Vec::new();
        {
            let mut state = self.state();
            for frame in &batch.frames {
                take(&mut state, frame, &mut remarks);
            }
        }
        self.tell(&remarks);
        (reading.next, reading.upto) = (batch.next, Some(Seq(batch.next.0 - 1)));
        if let Some(last) = batch.frames.last() {
            self.heard_until.fetch_max(last.received.min(now).micros(), Ordering::AcqRel);
        }
        Ok(true)
    }

    /// Tells people what meters did that is odd.
    fn tell(&self, remarks: &[(usize, Oddity)]) {
        let followed = self.state().followed.clone();
        for (at, oddity) in remarks {
            let Some(Followed { name, point, .. }) = followed.get(*at) else { continue };
            let words = match oddity {
                Oddity::Reset => format!(
                    "the meter {name} went back and is taken to have been reset; what it shows was counted since. If its register has an end, write `rolls_over_at`"
                ),
                Oddity::NotBelieved(amount) => format!(
                    "the meter {name} went up by {amount} kWh at once, which needs more than `most_kw`; nothing was counted, and it goes on from there"
                ),
                Oddity::NoCount => format!("the meter {name} showed what no meter shows; the reading was left out"),
            };
            self.notes.say(&point.at, "meter", words);
        }
    }

    /// Keeps what was read, with how far that is.
    async fn keep(&self, reading: &mut Reading) -> Result<(), StoreError> {
        let Some(upto) = reading.upto else { return Ok(()) };
        let _turn = self.turn.write().await;
        let (rows, heard) = {
            let state = self.state();
            let rows: Vec<_> =
                state.unkept.iter().map(|((quarter, meter), row)| stored(*quarter, *meter, row)).collect();
            let text = |number: &u32| Some((*number, serde_json::to_string(state.heard.get(number)?).ok()?));
            (rows, state.changed.iter().filter_map(text).collect())
        };
        // Too many for one transaction: they are the same when they are read again, so the first ones may go before.
        let mut rows = rows.chunks(AT_ONCE).peekable();
        let mut last = Vec::new();
        while let Some(quarters) = rows.next() {
            if rows.peek().is_none() {
                last = quarters.to_vec();
                break;
            }
            self.store.energy_keep(EnergyKeep { quarters: quarters.to_vec(), ..EnergyKeep::default() }).await?;
        }
        self.store.energy_keep(EnergyKeep { heard, quarters: last, upto: Some(upto) }).await?;
        {
            let mut state = self.state();
            state.unkept.clear();
            state.changed.clear();
        }
        (reading.upto, reading.kept_at) = (None, self.clock.monotonic());
        let log = self.log.clone();
        let positions = Positions { samples: upto, ..Positions::default() };
        let saved = tokio::task::spawn_blocking(move || log.save_snapshot(READER, positions, &[])).await;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the log did not hear how far energy has come"),
            Err(error) => tracing::warn!(%error, "the log did not hear how far energy has come"),
        }
        Ok(())
    }

    /// Shows every quarter hour of some meters, from one to before another, in the order of quarter hours and meters.
    /// # Errors
    /// The records cannot be read.
    pub async fn quarters(
        &self,
        meters: &[u32],
        from: i64,
        to: i64,
        mut show: impl FnMut(&StoredQuarter),
    ) -> Result<(), StoreError> {
        if meters.is_empty() || from >= to {
            return Ok(());
        }
        let _turn = self.turn.read().await;
        let unkept = self.unkept(meters, from, to);
        let step = i64::try_from((READ_ROWS / meters.len()).max(1)).unwrap_or(1);
        let mut begin = from;
        while begin < to {
            let end = begin.saturating_add(step).min(to);
            let mut rows: BTreeMap<(i64, u32), StoredQuarter> = BTreeMap::new();
            for row in self.store.energy_quarters(meters, begin, end, u32::MAX).await? {
                rows.insert((row.quarter, row.meter), row);
            }
            rows.extend(unkept.range((begin, 0)..(end, 0)).map(|(key, row)| (*key, *row)));
            rows.values().for_each(&mut show);
            begin = end;
        }
        Ok(())
    }

    /// What whole quarter hours of each meter add up to: energy, estimated, metered.
    /// # Errors
    /// The records cannot be read.
    pub async fn sums(&self, meters: &[u32], from: i64, to: i64) -> Result<Vec<StoredQuarter>, StoreError> {
        if meters.is_empty() || from >= to {
            return Ok(Vec::new());
        }
        let (mut sums, first) = {
            let _turn = self.turn.read().await;
            let first = self.unkept(meters, from, to).keys().next().map_or(to, |(quarter, _)| *quarter);
            (self.store.energy_sums(meters, from, first).await?, first)
        };
        self.quarters(meters, first, to, |row| sums.push(*row)).await?;
        Ok(sums)
    }

    fn unkept(&self, meters: &[u32], from: i64, to: i64) -> BTreeMap<(i64, u32), StoredQuarter> {
        let wanted: BTreeSet<u32> = meters.iter().copied().collect();
        let state = self.state();
        let rows = state.unkept.range((from, 0)..(to, 0)).filter(|((_, meter), _)| wanted.contains(meter));
        rows.map(|(key, row)| (*key, stored(key.0, key.1, row))).collect()
    }
}

fn heard_of(name: &str, text: &str) -> Option<Heard> {
    if text.is_empty() {
        return None;
    }
    let heard = serde_json::from_str(text);
    heard.inspect_err(|error| tracing::error!(name, %error, "what a meter said before the start cannot be read")).ok()
}

const fn stored(quarter: i64, meter: u32, row: &Quarter) -> StoredQuarter {
    let Quarter { energy, estimated, from_us, to_us, metered_us } = *row;
    StoredQuarter { meter, quarter, energy, estimated, from_us, to_us, metered_us }
}

fn take(state: &mut State, frame: &Frame, remarks: &mut Vec<(usize, Oddity)>) {
    if frame.kind != kind::SAMPLES {
        return;
    }
    match decode_samples(&frame.payload) {
        Ok(samples) => samples.iter().for_each(|sample| take_sample(state, sample, remarks)),
        Err(error) => tracing::error!(seq = frame.seq.0, %error, "a frame of samples cannot be read"),
    }
}

fn take_sample(state: &mut State, sample: &Sample, remarks: &mut Vec<(usize, Oddity)>) {
    let State { tags, heard, changed, unkept, .. } = state;
    let Some(meters) = tags.get(&sample.tag) else { return };
    let Some(value) = sample.value.as_f64().filter(|_| sample.quality.is_good()) else { return };
    // A source whose clock is ahead would say nothing new until then.
    let at = sample.source_ts.min(sample.received_ts).micros();
    for (number, place, rule) in meters {
        let Some(heard) = heard.get_mut(number) else { continue };
        let before = heard.meter;
        let keep = |quarter, row| {
            unkept.insert((quarter, *number), row);
        };
        if let Some(oddity) = heard.meter.read(rule, at, value, keep)
            && remarks.len() < REMARKS
        {
            remarks.push((*place, oddity));
        }
        if heard.meter != before {
            changed.insert(*number);
        }
    }
}

#[cfg(test)]
mod tests;
