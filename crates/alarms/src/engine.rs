//! All alarms of the node: samples and time in, recorded transitions out.

use crate::alarm::{Alarm, Recording, Step};
use crate::machine::{Rule, Transition};
use crate::status::{AlarmStatus, Shown};
use andon_bus::{AllSubscription, Bus, PlantView, ids, is_late, replay};
use andon_model::access::Principal;
use andon_model::event::{AlarmState, Event, What};
use andon_model::log::{AppendError, Lane, Log, Positions, ReadError, Seq, SnapshotError};
use andon_model::record::Recorder;
use andon_model::{Clock, Sample, StatusCode, TagId, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The reader's name in the log.
const READER: &str = "alarms";
/// The version of the snapshot's state.
const VERSION: u8 = 1;
/// Batches that may wait between the bus and the alarms; then publishers wait.
const SUBSCRIPTION_BATCHES: usize = 64;
/// The longest pause between two looks at the time; also how soon what was refused is tried again.
const TICK: Duration = Duration::from_secs(1);
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for transitions that are being recorded.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// The most that a sample's time on the way to us is taken off the start of a delay.
const AGE_MAX: Duration = Duration::from_secs(10);
/// The longest note that is taken, in characters.
const NOTE_CHARS_MAX: usize = 1000;

/// Why an acknowledgement was not taken. The text is for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    /// No such alarm, or it was taken out of the plant model.
    #[error("there is no alarm \"{name}\" any more")]
    NoSuchAlarm {
        /// The name given.
        name: String,
    },
    /// It has been normal since, or was raised anew.
    #[error("\"{name}\" has changed since you saw it: that occurrence is over; look at the list again")]
    Stale {
        /// The alarm.
        name: String,
    },
    /// Somebody was faster.
    #[error("\"{name}\" is already acknowledged")]
    Already {
        /// The alarm.
        name: String,
    },
    /// The note is too long.
    #[error("the note is longer than {NOTE_CHARS_MAX} characters")]
    NoteTooLong,
    /// It could not be made durable, so it does not count.
    #[error("the acknowledgement could not be recorded, so it does not count: {0}")]
    NotRecorded(AppendError),
}

/// Why earlier alarms could not be read back. May be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The events cannot be read.
    #[error("could not read earlier alarms from the log")]
    Read(#[from] ReadError),
    /// The reader cannot be registered.
    #[error("could not register the reader of alarms")]
    Snapshot(#[from] SnapshotError),
}

/// What a start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Alarms that are not normal.
    pub standing: usize,
    /// Events of alarms replayed after the snapshot.
    pub replayed: u64,
}

/// The alarm engine. Shared as `Arc<Engine>`.
pub struct Engine {
    /// For the tasks that wait for the recorder.
    me: Weak<Self>,
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    desk: Mutex<Desk>,
    version: watch::Sender<u64>,
}

/// Everything under the lock.
#[derive(Default)]
struct Desk {
    alarms: BTreeMap<u32, Alarm>,
    by_name: HashMap<String, u32>,
    by_tag: HashMap<TagId, Arc<[u32]>>,
    timers: BTreeSet<(Duration, u32)>,
    next_key: u32,
    /// The recorder's last refusal, until it takes something again.
    failure: Option<AppendError>,
    /// Refused steps are tried again from then on.
    retry_at: Option<Duration>,
    /// Transitions recorded since the last snapshot.
    changed: bool,
    recovered: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    alarms: BTreeMap<String, Shown>,
}

impl Engine {
    /// An engine without alarms: then [`Engine::set_plant`], [`Engine::recover`], [`Engine::run`].
    #[must_use]
    pub fn new(bus: Arc<Bus>, recorder: Arc<dyn Recorder>, log: Arc<dyn Log>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            bus,
            recorder,
            log,
            clock,
            desk: Mutex::default(),
            version: watch::Sender::new(0),
        })
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new version of the plant. Alarms that stay by name keep their state; one that was taken out while it
    /// was not normal becomes normal, with an event. Within a tokio runtime.
    pub fn set_plant(&self, plant: &PlantView) {
        let now = self.clock.monotonic();
        let mut desk = self.desk();
        let wanted: HashMap<&str, _> = plant.plant.alarms.iter().map(|def| (def.name.as_str(), def)).collect();
        let gone: Vec<_> =
            desk.by_name.iter().filter(|(name, _)| !wanted.contains_key(name.as_str())).map(|(_, key)| *key).collect();
        for key in gone {
            self.remove(&mut desk, key, now);
        }
        let mut looked_at = Vec::new();
        for def in &plant.plant.alarms {
            let tag = plant.id_of(def.tag.as_str());
            if let Some(key) = desk.adopt(def, tag, now) {
                looked_at.push((key, tag));
            }
        }
        desk.index();
        // A new or changed alarm looks at the value as it is. Not at the start: what the last run left may be old.
        let looked_at = if desk.recovered { looked_at } else { Vec::new() };
        for (key, tag) in looked_at {
            if let Some(sample) = tag.and_then(|tag| self.bus.last(tag)) {
                self.feed_alarm(&mut desk, key, &sample);
            }
        }
        desk.schedule_all();
        drop(desk);
        self.bump();
    }

    /// Reads back which alarms stood before the restart, after [`Engine::set_plant`] and before [`Engine::run`].
    /// An alarm that is no longer in the plant is passed over. Blocking file I/O.
    /// # Errors
    /// The log cannot be read; alarms then begin as normal.
    pub fn recover(&self) -> Result<Recovered, RecoverError> {
        self.log.register_reader(READER, &[Lane::Records])?;
        let (mut alarms, after) = self.load();
        let mut replayed = 0;
        replay::events(&*self.log, after, |_, event| {
            if let What::Alarm(change) = &event.what {
                replayed += 1;
                if let Some(shown) = Shown::after(alarms.remove(&change.alarm), &event, change) {
                    alarms.insert(change.alarm.clone(), shown);
                }
            }
        })?;
        let now = self.clock.monotonic();
        let mut desk = self.desk();
        let mut recovered = Recovered { standing: 0, replayed };
        for (name, shown) in alarms {
            let Some(alarm) = desk.by_name.get(&name).copied().and_then(|key| desk.alarms.get_mut(&key)) else {
                continue;
            };
            let last = alarm.last.take();
            *alarm = Alarm { last, ..Alarm::new(alarm.def.clone(), alarm.tag, Some(shown), now) };
            recovered.standing += 1;
        }
        desk.recovered = true;
        desk.schedule_all();
        drop(desk);
        self.bump();
        Ok(recovered)
    }

    fn load(&self) -> (BTreeMap<String, Shown>, Seq) {
        let unusable = |why: &dyn std::fmt::Display| {
            tracing::warn!("the saved alarms cannot be used, all events are replayed: {why}");
            (BTreeMap::new(), Seq(0))
        };
        match self.log.load_snapshot(READER) {
            Ok(None) => (BTreeMap::new(), Seq(0)),
            Err(error) => unusable(&error),
            Ok(Some(snapshot)) => match serde_json::from_slice::<Saved>(&snapshot.state) {
                Ok(saved) if saved.version == VERSION => (saved.alarms, snapshot.positions.records),
                Ok(saved) => unusable(&format!("format version {} is unknown", saved.version)),
                Err(error) => unusable(&error),
            },
        }
    }

    /// Watches every sample published from this call on, and the time, until `stop`. Then what is being recorded gets
    /// five seconds, and the states are saved.
    pub fn run(self: Arc<Self>, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        // Subscribed here and not at the first poll, so that nothing published in between is missed.
        let samples = self.bus.subscribe_all(SUBSCRIPTION_BATCHES);
        self.watch(samples, stop)
    }

    async fn watch(self: Arc<Self>, mut samples: AllSubscription, stop: CancellationToken) {
        let mut save = tokio::time::interval(SAVE_EVERY);
        save.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut saving = tokio::spawn(std::future::ready(()));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // Beside the watching, so that the disk's pace is not the alarms'.
                _ = save.tick(), if saving.is_finished() => saving = tokio::spawn(self.clone().save()),
                batch = samples.next() => match batch {
                    Some(batch) => self.feed(&batch),
                    None => break,
                },
                () = tokio::time::sleep(self.until_next_timer()) => self.tick(),
            }
        }
        while let Some(batch) = samples.try_next() {
            self.feed(&batch);
        }
        drop(samples);
        self.wait_for_recorder().await;
        let _ = saving.await;
        self.save().await;
    }

    fn until_next_timer(&self) -> Duration {
        let now = self.clock.monotonic();
        let next = self.desk().timers.first().map_or(TICK, |(due, _)| due.saturating_sub(now));
        next.min(TICK)
    }

    /// Every alarm that is not normal, the most urgent first: by priority, then active before returned, then newest first.
    /// Only what is durable.
    #[must_use]
    pub fn list(&self) -> Vec<AlarmStatus> {
        let desk = self.desk();
        let mut list: Vec<_> =
            desk.alarms.values().filter_map(|alarm| Some(alarm.shown.as_ref()?.status(&alarm.def))).collect();
        let rank = |status: &AlarmStatus| match status.state {
            AlarmState::Unacknowledged => 0,
            AlarmState::Acknowledged => 1,
            AlarmState::ReturnedToNormalUnacknowledged => 2,
            AlarmState::Normal => 3,
        };
        list.sort_by(|a, b| {
            let newest_first = b.raised_at.cmp(&a.raised_at);
            a.priority.cmp(&b.priority).then(rank(a).cmp(&rank(b))).then(newest_first).then(a.name.cmp(&b.name))
        });
        list
    }

    /// A number that grows whenever [`Engine::list`] or [`Engine::failure`] has changed.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Why transitions cannot be recorded at the moment, for a banner on every screen; `None`: all is well.
    /// While this is set the list may be behind the plant.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let failure = self.desk().failure.clone()?;
        let remedy = match failure {
            AppendError::Poisoned { .. } | AppendError::Closed => "restart the node; the list may be behind the plant",
            _ => "free space on the node's disk; the list may be behind the plant until then",
        };
        Some(format!("alarms cannot be recorded: {failure}; {remedy}"))
    }

    /// A person has seen this occurrence of an alarm. Resolves when that is durable, with the state that follows.
    /// Whether the person may is for the caller to check.
    /// # Errors
    /// [`AcknowledgeError`]; it does not count then.
    pub async fn acknowledge(
        &self,
        name: &str,
        occurrence: Uuid,
        by: Principal,
        note: Option<String>,
    ) -> Result<AlarmState, AcknowledgeError> {
        if note.as_deref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
            return Err(AcknowledgeError::NoteTooLong);
        }
        let reply = self.begin_acknowledge(name, occurrence, by, note)?;
        reply.await.unwrap_or(Err(AcknowledgeError::NotRecorded(AppendError::Closed)))
    }

    fn begin_acknowledge(
        &self,
        name: &str,
        occurrence: Uuid,
        by: Principal,
        note: Option<String>,
    ) -> Result<oneshot::Receiver<Result<AlarmState, AcknowledgeError>>, AcknowledgeError> {
        let now = self.clock.monotonic();
        let mut desk = self.desk();
        let failure = desk.failure.clone();
        let missing = || AcknowledgeError::NoSuchAlarm { name: name.to_owned() };
        let key = *desk.by_name.get(name).ok_or_else(missing)?;
        let alarm = desk.alarms.get_mut(&key).ok_or_else(missing)?;
        if alarm.live_occurrence() != Some(occurrence) {
            return Err(AcknowledgeError::Stale { name: name.to_owned() });
        }
        if alarm.recording == Recording::Refused || alarm.stands_still() {
            let busy = AppendError::Busy { lane: Lane::Records, pending_bytes: 0 };
            return Err(AcknowledgeError::NotRecorded(failure.unwrap_or(busy)));
        }
        let already = || AcknowledgeError::Already { name: name.to_owned() };
        let transition = alarm.machine.acknowledge(now).ok_or_else(already)?;
        let (sender, reply) = oneshot::channel();
        let mut step = self.step_of(alarm, &transition, None);
        (step.by, step.note, step.reply) = (by, note, Some(sender));
        alarm.waiting.push_back(step);
        self.record_next(&mut desk, key);
        Ok(reply)
    }

    /// Looks at samples from the bus.
    fn feed(&self, samples: &[Sample]) {
        let mut desk = self.desk();
        for sample in samples {
            let Some(keys) = desk.by_tag.get(&sample.tag).cloned() else { continue };
            for key in keys.iter() {
                self.feed_alarm(&mut desk, *key, sample);
            }
        }
        self.run_timers(&mut desk);
    }

    fn feed_alarm(&self, desk: &mut Desk, key: u32, sample: &Sample) {
        let (now, age) = (self.clock.monotonic(), self.clock.now().since(sample.received_ts));
        let at = now.saturating_sub(age.min(AGE_MAX));
        // What was due before this sample was caused by the one before it.
        self.tick_alarm(desk, key, at);
        let Some(alarm) = desk.alarms.get_mut(&key) else { return };
        let late = alarm.last.as_ref().is_some_and(|last| is_late(sample, last));
        if !late {
            alarm.last = Some(sample.clone());
        }
        if alarm.stands_still() {
            alarm.owed = true;
            return;
        }
        let transitions = match late {
            false => alarm.machine.feed(at, &sample.value, sample.quality),
            true if sample.quality.is_bad() => Vec::new(),
            true => alarm.machine.hear(at),
        };
        self.take(desk, key, &transitions, Some(sample));
    }

    fn tick_alarm(&self, desk: &mut Desk, key: u32, now: Duration) {
        let Some(alarm) = desk.alarms.get_mut(&key) else { return };
        if alarm.stands_still() {
            alarm.owed = true;
            return;
        }
        let transitions = alarm.machine.tick(now);
        self.take(desk, key, &transitions, None);
    }

    /// Time has passed.
    fn tick(&self) {
        let now = self.clock.monotonic();
        let mut desk = self.desk();
        self.run_timers(&mut desk);
        if desk.retry_at.is_some_and(|at| at <= now) {
            desk.retry_at = None;
            let refused = |alarm: &Alarm| alarm.recording == Recording::Refused;
            let keys: Vec<_> = desk.alarms.iter().filter(|(_, alarm)| refused(alarm)).map(|(key, _)| *key).collect();
            for key in keys {
                if let Some(alarm) = desk.alarms.get_mut(&key) {
                    alarm.recording = Recording::Idle;
                }
                self.record_next(&mut desk, key);
            }
        }
    }

    fn run_timers(&self, desk: &mut Desk) {
        let now = self.clock.monotonic();
        while let Some((due, key)) = desk.timers.first().copied().filter(|(due, _)| *due <= now) {
            desk.timers.remove(&(due, key));
            if let Some(alarm) = desk.alarms.get_mut(&key) {
                alarm.wake = None;
            }
            self.tick_alarm(desk, key, now);
        }
    }

    /// Queues transitions of an alarm for recording, and sets its timer.
    fn take(&self, desk: &mut Desk, key: u32, transitions: &[Transition], sample: Option<&Sample>) {
        let Some(alarm) = desk.alarms.get_mut(&key) else { return };
        for transition in transitions {
            let step = self.step_of(alarm, transition, sample);
            alarm.waiting.push_back(step);
        }
        schedule(&mut desk.timers, key, alarm);
        if !transitions.is_empty() {
            self.record_next(desk, key);
        }
    }

    fn step_of(&self, alarm: &Alarm, transition: &Transition, sample: Option<&Sample>) -> Step {
        let ago = self.clock.monotonic().saturating_sub(transition.at);
        let last = alarm.last.as_ref();
        Step {
            id: ids::new_id(&*self.clock),
            cause: transition.cause,
            at: self.clock.now().minus(ago),
            // A delay ends in the node, not at the source.
            source_at: sample.map(|sample| sample.source_ts),
            occurrence: ids::new_id(&*self.clock),
            by: Principal::SYSTEM,
            note: None,
            value: last.map_or(Value::Null, |last| last.value.clone()),
            quality: last.map_or(StatusCode::BAD_WAITING_FOR_INITIAL_DATA, |last| last.quality),
            reply: None,
        }
    }

    fn remove(&self, desk: &mut Desk, key: u32, now: Duration) {
        let Some(alarm) = desk.alarms.get_mut(&key) else { return };
        desk.by_name.remove(&alarm.def.name);
        let transition = alarm.machine.remove(now);
        if let Some(wake) = alarm.wake.take() {
            desk.timers.remove(&(wake, key));
        }
        if let Some(transition) = transition {
            let mut step = self.step_of(alarm, &transition, None);
            step.note = Some("taken out of the plant model".to_owned());
            alarm.waiting.push_back(step);
        }
        alarm.removed = true;
        if alarm.waiting.is_empty() {
            desk.alarms.remove(&key);
        } else {
            self.record_next(desk, key);
        }
    }

    /// Hands the first waiting step of an alarm to the recorder, unless one is there already. The call is made under
    /// the lock, so that the lane tells steps of all alarms in their order; the waiting is done by a task of its own.
    fn record_next(&self, desk: &mut Desk, key: u32) {
        let Some(alarm) = desk.alarms.get_mut(&key).filter(|alarm| alarm.recording == Recording::Idle) else { return };
        let Some(event) = alarm.next_event() else {
            if alarm.removed {
                desk.alarms.remove(&key);
            }
            return;
        };
        alarm.recording = Recording::UnderWay(self.log.durable_seq(Lane::Records));
        let durable = self.recorder.record(event.clone());
        let me = self.me.clone();
        // Ends with the log's answer, which always comes; holds the engine only weakly.
        tokio::spawn(async move {
            let result = durable.await;
            if let Some(engine) = me.upgrade() {
                engine.settle(key, &event, result.map(|_| ()));
            }
        });
    }

    /// The recorder has answered.
    fn settle(&self, key: u32, event: &Event, result: Result<(), AppendError>) {
        let mut desk = self.desk();
        let Some(alarm) = desk.alarms.get_mut(&key) else { return };
        match result {
            Ok(()) => {
                alarm.recorded(event);
                let owed = std::mem::take(&mut alarm.owed).then(|| alarm.last.clone());
                desk.failure = None;
                desk.changed = true;
                self.record_next(&mut desk, key);
                match owed {
                    Some(Some(sample)) => self.feed_alarm(&mut desk, key, &sample),
                    Some(None) => self.tick_alarm(&mut desk, key, self.clock.monotonic()),
                    None => {}
                }
            }
            Err(error) => {
                if desk.failure.is_none() {
                    tracing::error!(%error, "alarms cannot be recorded");
                }
                if let Some(alarm) = desk.alarms.get_mut(&key) {
                    alarm.refused(&error);
                }
                desk.failure = Some(error);
                desk.retry_at.get_or_insert(self.clock.monotonic() + TICK);
            }
        }
        drop(desk);
        self.bump();
    }

    fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    async fn wait_for_recorder(&self) {
        let mut version = self.subscribe();
        let under_way = |alarm: &Alarm| matches!(alarm.recording, Recording::UnderWay(_));
        let wait = async { while self.desk().alarms.values().any(under_way) && version.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(STOP_WITHIN, wait).await;
    }

    /// Saves what is shown. The position never passes an event that is not in it.
    async fn save(self: Arc<Self>) {
        let durable = self.log.durable_seq(Lane::Records);
        let saved = {
            let mut desk = self.desk();
            if !std::mem::take(&mut desk.changed) {
                return;
            }
            let position = desk.alarms.values().fold(durable, |position, alarm| match alarm.recording {
                Recording::UnderWay(since) => position.min(since),
                Recording::Idle | Recording::Refused => position,
            });
            let named = |alarm: &Alarm| Some((alarm.def.name.clone(), alarm.shown.clone()?));
            let alarms = desk.alarms.values().filter_map(named).collect();
            (position, Saved { version: VERSION, alarms })
        };
        let log = self.log.clone();
        let task = tokio::task::spawn_blocking(move || {
            let state = serde_json::to_vec(&saved.1).unwrap_or_default();
            log.save_snapshot(READER, Positions { records: saved.0, ..Positions::default() }, &state)
        });
        if let Ok(Err(error)) = task.await {
            tracing::warn!(%error, "alarms were not saved; a restart will replay more events");
            self.desk().changed = true;
        }
    }
}

impl Desk {
    /// Takes over an alarm of the plant; gives its key when it is new or its rule has changed.
    fn adopt(&mut self, def: &andon_model::plant::AlarmDef, tag: Option<TagId>, now: Duration) -> Option<u32> {
        if let Some(key) = self.by_name.get(&def.name).copied() {
            let alarm = self.alarms.get_mut(&key)?;
            let rule = Rule::of(def);
            let changed = rule != Rule::of(&alarm.def);
            if changed {
                alarm.machine.set_rule(rule);
            }
            (alarm.def, alarm.tag) = (def.clone(), tag);
            return changed.then_some(key);
        }
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        self.by_name.insert(def.name.clone(), key);
        self.alarms.insert(key, Alarm::new(def.clone(), tag, None, now));
        Some(key)
    }

    fn index(&mut self) {
        let mut by_tag: HashMap<TagId, Vec<u32>> = HashMap::new();
        for (key, alarm) in self.alarms.iter().filter(|(_, alarm)| !alarm.removed) {
            if let Some(tag) = alarm.tag {
                by_tag.entry(tag).or_default().push(*key);
            }
        }
        self.by_tag = by_tag.into_iter().map(|(tag, keys)| (tag, keys.into())).collect();
    }

    fn schedule_all(&mut self) {
        self.timers.clear();
        for (key, alarm) in &mut self.alarms {
            alarm.wake = None;
            schedule(&mut self.timers, *key, alarm);
        }
    }
}

/// Sets the alarm's timer. A timer that rings too early does no harm: it is set anew then. So a `silent` alarm, whose
/// deadline moves with every sample, costs nothing here.
fn schedule(timers: &mut BTreeSet<(Duration, u32)>, key: u32, alarm: &mut Alarm) {
    let Some(due) = alarm.machine.deadline().filter(|_| !alarm.removed) else { return };
    if alarm.wake.is_none_or(|wake| due < wake) {
        if let Some(wake) = alarm.wake.replace(due) {
            timers.remove(&(wake, key));
        }
        timers.insert((due, key));
    }
}
