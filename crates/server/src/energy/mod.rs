//! Meters on a running node: what they say becomes energy of quarter hours in the store.
//!
//! # Exactly once
//! The lane of samples is read on its own, beside the shop floor. What is remembered of the meters and how far the lane was read are one
//! transaction, and every quarter hour is written as a whole, in the place of what was there: after a kill the same readings are read again, from
//! the same memory, and give the same quarter hours.
//!
//! Where more waits to be kept than fits into memory, quarter hours go before what is remembered: read again, they are the same.
//!
//! What is asked in between sees what is kept and, over it, what is read and not kept yet.

use crate::notes::Notes;
use crate::records::complain_of;
use andon_bus::PlantView;
use andon_mes::energy::QUARTER_US;
use andon_mes::energy::meter::{Meter, MeterRule, Oddity, Quarter, Reads};
use andon_mes::energy::trail::{Drawn, Trail};
use andon_mes::energy::window::Amount;
use andon_mes::master::{MasterData, MeterPoint};
use andon_model::log::{Frame, Lane, Log, Positions, Seq, kind};
use andon_model::sample_codec::decode_samples;
use andon_model::{Clock, Sample, TagId, Timestamp};
use andon_store::energy::{EnergyKeep, EnergyRepository, READER, StoredQuarter, StoredSum};
use andon_store::{OutboxRepository, Store, StoreError};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::{Discriminant, discriminant};
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
/// So many quarter hours may wait to be kept; before the next reading is taken up they are. One reading is of 32 days at most.
const UNKEPT: usize = 10_000;
/// The most quarter hours of one transaction.
const AT_ONCE: usize = 5_000;
/// The most remarks of one stretch of the lane that are told.
const REMARKS: usize = 100;
/// What is odd of a meter in the same way again within this time, in µs by its readings, is told once: an hour.
const AGAIN_US: i64 = 4 * QUARTER_US;
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
    /// The meters that a tag speaks for: number and rule.
    tags: HashMap<TagId, Vec<(u32, MeterRule)>>,
    /// By number, also of meters that are followed no more since the start.
    heard: BTreeMap<u32, Heard>,
    changed: BTreeSet<u32>,
    /// By quarter hour and meter.
    unkept: BTreeMap<(i64, u32), Quarter>,
    /// The last readings of each meter since the start.
    trails: HashMap<u32, Trail>,
    /// When what is odd of a meter was told last, in its way.
    told: HashMap<(u32, Discriminant<Oddity>), i64>,
}

/// What is odd in a reading.
#[derive(Clone, Copy, Debug)]
struct Remark {
    /// The meter's number.
    meter: u32,
    oddity: Oddity,
    /// What it showed, in its tag's unit.
    value: f64,
}

/// Meters.
pub struct Meters {
    store: Store,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    state: Mutex<State>,
    /// How far the lane was read; `None`: as far as is kept. Whoever reads on holds it.
    reading: tokio::sync::Mutex<Option<Reading>>,
    /// Who keeps waits here for its turn, and so does who asks for what is kept.
    turn: tokio::sync::RwLock<()>,
    /// Until when what meters said is counted, in µs since 1970.
    heard_until: AtomicI64,
}

/// How far the lane was read.
#[derive(Default)]
struct Reading {
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
            reading: tokio::sync::Mutex::default(),
            turn: tokio::sync::RwLock::default(),
            heard_until: AtomicI64::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the meters of a model. What was said until now is taken up and kept as the meters before it say, so that a kill leaves nothing to
    /// be read by rules that did not hold.
    /// # Errors
    /// The records cannot be read or written.
    pub async fn follow(&self, master: &MasterData, view: &PlantView) -> Result<(), StoreError> {
        // Nobody reads on before the new meters are there.
        let mut reading = self.reading.lock().await;
        if let Err(error) = self.catch_up(&mut reading).await {
            // The shop floor has to follow the model all the same.
            complain_of("what meters said before the model changed is read by the new one", &*error);
        }
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
            tags.entry(tag).or_default().push((stored.number, point.rule));
            let (name, number, point) = (stored.name, stored.number, point.clone());
            followed.push(Followed { name, number, point, until_us: None });
        }
        let is_followed = |number: u32| followed.iter().any(|meter| meter.number == number);
        state.trails.retain(|number, _| is_followed(*number));
        state.told.retain(|(number, _), _| is_followed(*number));
        (state.followed, state.tags) = (Arc::new(followed), tags);
        Ok(())
    }

    /// Reads to where the log stands now and keeps it, if there are meters that it can be of.
    async fn catch_up(&self, reading: &mut Option<Reading>) -> Result<()> {
        if self.state().tags.is_empty() {
            return Ok(());
        }
        let reading = self.known(reading).await?;
        let until = self.log.durable_seq(Lane::Samples);
        while reading.next <= until && self.read_once(reading).await? {}
        Ok(self.keep(reading).await?)
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
        loop {
            let pause = match self.round(stop.is_cancelled()).await {
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
    pub(crate) async fn round(&self, stops: bool) -> Result<bool> {
        let mut reading = self.reading.lock().await;
        let reading = self.known(&mut reading).await?;
        let has_more = self.read_once(reading).await?;
        let since = self.clock.monotonic().saturating_sub(reading.kept_at);
        let is_changed = !self.state().changed.is_empty();
        let is_due = since >= if is_changed { KEEP_EVERY } else { LET_GO_EVERY };
        if is_due || stops {
            self.keep(reading).await?;
        }
        Ok(has_more)
    }

    /// How far the lane was read.
    async fn known<'r>(&self, reading: &'r mut Option<Reading>) -> Result<&'r mut Reading, StoreError> {
        let known = match reading.take() {
            Some(known) => known,
            None => Reading { next: self.store.applied(READER, Lane::Samples).await?.next(), ..Reading::default() },
        };
        Ok(reading.insert(known))
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
        for frame in &batch.frames {
            let read = self.take(frame, &mut remarks).await;
            if read.is_err() {
                self.tell(&remarks);
            }
            // What of it was taken up before that is not counted again: it is no later than what the meter said last.
            read?;
            (reading.next, reading.upto) = (frame.seq.next(), Some(frame.seq));
        }
        self.tell(&remarks);
        (reading.next, reading.upto) = (batch.next, Some(Seq(batch.next.0 - 1)));
        if let Some(last) = batch.frames.last() {
            self.heard_until.fetch_max(last.received.min(now).micros(), Ordering::AcqRel);
        }
        Ok(true)
    }

    /// Takes up what a frame says. No more than [`UNKEPT`] quarter hours, and those of one reading, wait at any moment.
    async fn take(&self, frame: &Frame, remarks: &mut Vec<Remark>) -> Result<(), StoreError> {
        let samples = samples_of(frame);
        let mut rest = samples.as_slice();
        loop {
            {
                let mut state = self.state();
                while let ([sample, more @ ..], true) = (rest, state.unkept.len() <= UNKEPT) {
                    take_sample(&mut state, sample, remarks);
                    rest = more;
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
            let _turn = self.turn.write().await;
            self.keep_quarters(0).await?;
        }
    }

    /// Tells people what meters did that is odd.
    fn tell(&self, remarks: &[Remark]) {
        let followed = self.state().followed.clone();
        for remark in remarks {
            if let Some(meter) = followed.iter().find(|meter| meter.number == remark.meter) {
                self.notes.say(&meter.point.at, "meter", words(meter, remark));
            }
        }
    }

    /// Keeps what was read, with how far that is.
    async fn keep(&self, reading: &mut Reading) -> Result<(), StoreError> {
        let Some(upto) = reading.upto else { return Ok(()) };
        let _turn = self.turn.write().await;
        // Too many for one transaction: they are the same when they are read again, so the first ones may go before.
        self.keep_quarters(AT_ONCE).await?;
        let (quarters, heard) = {
            let state = self.state();
            let text = |number: &u32| Some((*number, serde_json::to_string(state.heard.get(number)?).ok()?));
            (first_rows(&state), state.changed.iter().filter_map(text).collect())
        };
        self.store.energy_keep(EnergyKeep { heard, quarters, upto: Some(upto) }).await?;
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

    /// Keeps quarter hours until no more than `left` wait. Whoever asks for it has the turn to write.
    async fn keep_quarters(&self, left: usize) -> Result<(), StoreError> {
        loop {
            let quarters = {
                let state = self.state();
                if state.unkept.len() <= left {
                    return Ok(());
                }
                first_rows(&state)
            };
            let keys: Vec<(i64, u32)> = quarters.iter().map(|row| (row.quarter, row.meter)).collect();
            self.store.energy_keep(EnergyKeep { quarters, ..EnergyKeep::default() }).await?;
            let mut state = self.state();
            for key in &keys {
                state.unkept.remove(key);
            }
        }
    }

    /// What a meter counted between two moments (µs since 1970), by its last readings; `None`: they are not remembered any more.
    pub fn between(&self, meter: u32, from_us: i64, to_us: i64) -> Option<Drawn> {
        self.state().trails.get(&meter)?.between(from_us, to_us)
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
        let step = i64::try_from((READ_ROWS / meters.len()).max(1)).unwrap_or(1);
        let mut begin = from;
        while begin < to {
            let end = begin.saturating_add(step).min(to);
            let mut rows: BTreeMap<(i64, u32), StoredQuarter> = BTreeMap::new();
            {
                // For one step at a time: who waits to keep something must not wait for a year of an answer.
                let _turn = self.turn.read().await;
                for row in self.store.energy_quarters(meters, begin, end).await? {
                    rows.insert((row.quarter, row.meter), row);
                }
                rows.extend(self.unkept(meters, begin, end));
            }
            rows.values().for_each(&mut show);
            begin = end;
        }
        Ok(())
    }

    /// What whole quarter hours of each meter add up to, from one to before another; a meter without any is left out.
    /// # Errors
    /// The records cannot be read.
    pub async fn sums(&self, meters: &[u32], from: i64, to: i64) -> Result<BTreeMap<u32, Amount>, StoreError> {
        let mut sums: BTreeMap<u32, Amount> = BTreeMap::new();
        if meters.is_empty() || from >= to {
            return Ok(sums);
        }
        let (kept, first) = {
            let _turn = self.turn.read().await;
            let first = self.unkept(meters, from, to).keys().next().map_or(to, |(quarter, _)| *quarter);
            (self.store.energy_sums(meters, from, first).await?, first)
        };
        for StoredSum { meter, energy, estimated, metered_us } in kept {
            sums.insert(meter, Amount { energy, estimated, metered_us });
        }
        let add = |row: &StoredQuarter| {
            let StoredQuarter { meter, energy, estimated, metered_us, .. } = *row;
            *sums.entry(meter).or_default() += Amount { energy, estimated, metered_us };
        };
        self.quarters(meters, first, to, add).await?;
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

/// Those that are kept with the next transaction.
fn first_rows(state: &State) -> Vec<StoredQuarter> {
    state.unkept.iter().take(AT_ONCE).map(|((quarter, meter), row)| stored(*quarter, *meter, row)).collect()
}

fn samples_of(frame: &Frame) -> Vec<Sample> {
    if frame.kind != kind::SAMPLES {
        return Vec::new();
    }
    let samples = decode_samples(&frame.payload);
    let unread = |error: &_| tracing::error!(seq = frame.seq.0, %error, "a frame of samples cannot be read");
    samples.inspect_err(unread).unwrap_or_default()
}

fn take_sample(state: &mut State, sample: &Sample, remarks: &mut Vec<Remark>) {
    let State { tags, heard, changed, unkept, trails, told, .. } = state;
    let Some(meters) = tags.get(&sample.tag) else { return };
    let Some(value) = sample.value.as_f64().filter(|_| sample.quality.is_good()) else { return };
    // A source whose clock is ahead would say nothing new until then.
    let at = sample.source_ts.min(sample.received_ts).micros();
    for (number, rule) in meters {
        let Some(heard) = heard.get_mut(number) else { continue };
        let before = heard.meter;
        let keep = |quarter, row| {
            unkept.insert((quarter, *number), row);
        };
        if let Some(oddity) = heard.meter.read(rule, at, value, keep) {
            let key = (*number, discriminant(&oddity));
            let is_new = told.get(&key).is_none_or(|last| at.saturating_sub(*last) >= AGAIN_US);
            if is_new && remarks.len() < REMARKS {
                told.insert(key, at);
                remarks.push(Remark { meter: *number, oddity, value });
            }
        }
        if heard.meter == before {
            continue;
        }
        changed.insert(*number);
        let trail = trails.entry(*number).or_default();
        for meter in [before, heard.meter] {
            if let Some(until) = meter.until_us() {
                trail.push(until, meter.counted());
            }
        }
    }
}

/// What people are told of an odd reading.
fn words(meter: &Followed, remark: &Remark) -> String {
    let Followed { name, point, .. } = meter;
    let Remark { oddity, value, .. } = remark;
    let most = point.rule.most_kw;
    match oddity {
        Oddity::Reset => format!(
            "the meter {name} went back and is taken to have been reset; what it shows, {value}, was counted since. If its register has an end, write `rolls_over_at`"
        ),
        Oddity::WentBack => format!(
            "the meter {name} shows {value}, less than before, which no reset does; nothing is counted until it shows more than that, at the longest a day. If the device was exchanged, give the new one a tag of its own"
        ),
        Oddity::NotBelieved(amount) => format!(
            "the meter {name} went up by {amount} kWh at once, to {value}, which needs more than its `most_kw`{}; nothing was counted, and it goes on from there",
            most.map(|most| format!(" of {most}")).unwrap_or_default()
        ),
        Oddity::NoCount => match most.filter(|_| point.rule.reads == Reads::Power && value.is_finite()) {
            Some(most) => format!(
                "the meter {name} showed {value}, more than its `most_kw` of {most} allows; the reading was left out"
            ),
            None => format!("the meter {name} showed {value}, which no meter shows; the reading was left out"),
        },
    }
}

#[cfg(test)]
mod tests;
