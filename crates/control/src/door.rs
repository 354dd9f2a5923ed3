//! The door.

use crate::check::{Checked, Refusal, check, same, shown};
use crate::memory::{Asked, Finished, Memory, Running};
use andon_bus::{Bus, NewestSubscription, PlantView, ids, replay};
use andon_model::access::Gate;
use andon_model::command::{CommandDoor, CommandReport, CommandRequest, WriteError, Written};
use andon_model::event::{CommandStep, Event, Step, What};
use andon_model::log::{AppendError, Lane, Log, Positions, ReadError, SnapshotError};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock, Sample, Timestamp, Value};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The reader's name in the log.
const READER: &str = "control";
/// Commands that may be under way at once.
const RUNNING_MAX: usize = 256;
/// What a connector gets on top of the command's life and the read-back's time before we stop waiting for it.
const CONNECTOR_GRACE: Duration = Duration::from_secs(1);
/// How long a busy records lane is waited for.
const BUSY_WITHIN: Duration = Duration::from_secs(2);
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long a stop waits for commands under way.
const STOP_WITHIN: Duration = Duration::from_secs(5);
const NODE_STOPPED: &str = "the node stopped before the outcome was known; look at the device before you send it again";

mod phase {
    pub(super) const STARTING: u8 = 0;
    pub(super) const OPEN: u8 = 1;
    pub(super) const STOPPING: u8 = 2;
}

/// The one door for commands. Refuses everything until [`Door::recover`] has succeeded.
pub struct Door(Arc<Inner>);

struct Inner {
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    log: Arc<dyn Log>,
    memory: Mutex<Memory>,
    phase: AtomicU8,
}

/// Why the door stays shut after a start. Repair the log or the disk; then restart, or call [`Door::recover`] again.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The events cannot be read.
    #[error("could not read earlier commands from the log")]
    Read(#[from] ReadError),
    /// The reader cannot be registered.
    #[error("could not register the reader of commands")]
    Snapshot(#[from] SnapshotError),
    /// The outcome `unknown` of a command that was cut short could not be recorded.
    #[error("could not record how an earlier command ended")]
    Record(#[from] AppendError),
    /// The reading task was cut short.
    #[error("reading earlier commands was cut short")]
    CutShort,
}

/// What a start found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Commands whose outcome is remembered.
    pub finished: usize,
    /// Commands that the last stop cut short; they are `unknown` now.
    pub unknown: usize,
}

/// How a command went, before it is recorded.
struct Outcome {
    step: Step,
    read_back: Option<Sample>,
    detail: Option<String>,
    recorded: bool,
}

impl Outcome {
    fn new(step: Step, detail: impl Into<String>) -> Self {
        Self { step, read_back: None, detail: Some(detail.into()), recorded: true }
    }

    const fn confirmed(held: Sample) -> Self {
        Self { step: Step::Confirmed, read_back: Some(held), detail: None, recorded: true }
    }

    fn with(mut self, read_back: Option<Sample>) -> Self {
        self.read_back = read_back;
        self
    }

    const fn unrecorded(mut self) -> Self {
        self.recorded = false;
        self
    }
}

impl Door {
    /// A door that is still shut: call [`Door::recover`].
    #[must_use]
    pub fn new(
        bus: Arc<Bus>,
        recorder: Arc<dyn Recorder>,
        gate: Arc<dyn Gate>,
        clock: Arc<dyn Clock>,
        log: Arc<dyn Log>,
    ) -> Arc<Self> {
        let (memory, phase) = (Mutex::default(), AtomicU8::new(phase::STARTING));
        Arc::new(Self(Arc::new(Inner { bus, recorder, gate, clock, log, memory, phase })))
    }

    /// Reads how earlier commands ended and records `unknown` for those that the last stop cut short; nothing is sent.
    /// Then the door is open. After [`Bus::set_plant`].
    /// # Errors
    /// The door stays shut; may be tried again.
    pub async fn recover(&self) -> Result<Recovered, RecoverError> {
        let inner = self.0.clone();
        let task = tokio::task::spawn_blocking(move || inner.read_back());
        task.await.map_err(|_| RecoverError::CutShort)??;
        let recovered = self.0.settle_undecided().await?;
        self.0.phase.store(phase::OPEN, Ordering::Release);
        Ok(recovered)
    }

    /// Saves what the door remembers every minute. At `stop` the door shuts, commands under way get five seconds to
    /// end, and it is saved once more; what has not ended then is `unknown` at the next start.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(SAVE_EVERY) => false,
            };
            if stopping {
                self.0.phase.store(phase::STOPPING, Ordering::Release);
                self.0.wait_for_running().await;
            }
            let inner = self.0.clone();
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || inner.save()).await {
                tracing::warn!(%error, "finished commands were not saved; a restart will replay more events");
            }
            if stopping {
                return;
            }
        }
    }
}

impl CommandDoor for Door {
    fn submit(&self, request: CommandRequest) -> BoxFuture<'static, CommandReport> {
        Box::pin(self.0.clone().submit(request))
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn submit(self: Arc<Self>, request: CommandRequest) -> CommandReport {
        let (request_id, plant) = (request.id, self.bus.plant());
        let asked = Asked::of(&request, path_of(&plant, &request));
        match self.admit(&request, &asked) {
            Admitted::Now(sender) => {
                let report = sender.subscribe();
                // A task of its own: the caller may go away, the command goes on.
                tokio::spawn(self.supervise(request, asked, plant, sender));
                report_from(request_id, report).await
            }
            Admitted::Before(report) => report_from(request_id, report).await,
            Admitted::Done(report) => report,
            Admitted::Not(refusal) => {
                let outcome = self.refuse(&request, &asked, &refusal).await;
                CommandReport { id: request.id, outcome: outcome.step, read_back: None, detail: outcome.detail }
            }
        }
    }

    /// Looks the id up, and takes a place among those under way.
    fn admit(&self, request: &CommandRequest, asked: &Asked) -> Admitted {
        match self.phase.load(Ordering::Acquire) {
            phase::OPEN => {}
            phase::STARTING => return Admitted::Not(Refusal::Starting),
            _ => return Admitted::Not(Refusal::Stopping),
        }
        let since = self.log.durable_seq(Lane::Records);
        let mut memory = self.memory();
        if let Some(finished) = memory.finished(request.id) {
            let same = finished.asked == *asked;
            return if same { Admitted::Done(finished.report()) } else { Admitted::Not(Refusal::IdReused) };
        }
        if let Some(running) = memory.running.get(&request.id) {
            let same = running.asked == *asked;
            return if same { Admitted::Before(running.report.clone()) } else { Admitted::Not(Refusal::IdReused) };
        }
        if memory.running.len() >= RUNNING_MAX {
            return Admitted::Not(Refusal::TooMany);
        }
        let sender = watch::Sender::new(None);
        let running = Running { asked: asked.clone(), since, report: sender.subscribe() };
        memory.running.insert(request.id, running);
        Admitted::Now(sender)
    }

    /// Carries the command out in a task of its own; should that one panic, the outcome is unknown, and recorded.
    async fn supervise(
        self: Arc<Self>,
        request: CommandRequest,
        asked: Asked,
        plant: Arc<PlantView>,
        sender: watch::Sender<Option<CommandReport>>,
    ) {
        let task = tokio::spawn({
            let (inner, request, asked) = (self.clone(), request.clone(), asked.clone());
            async move { inner.carry_out(&request, &asked, &plant).await }
        });
        let outcome = match task.await {
            Ok(outcome) => outcome,
            Err(_) => {
                let outcome =
                    Outcome::new(Step::Unknown, "a part of the program failed while the command was under way");
                self.conclude(&request, &asked, outcome).await
            }
        };
        let Outcome { step, read_back, detail, recorded } = outcome;
        let finished = Finished { id: request.id, asked, outcome: step, read_back, detail, recorded };
        let report = finished.report();
        self.memory().finish(finished);
        sender.send_replace(Some(report));
    }

    async fn carry_out(&self, request: &CommandRequest, asked: &Asked, plant: &PlantView) -> Outcome {
        let accepted = self.clock.monotonic();
        let checked = match check(plant, &*self.gate, request).and_then(|checked| {
            self.claim(request)?;
            Ok(checked)
        }) {
            Ok(checked) => checked,
            Err(refusal) => return self.refuse(request, asked, &refusal).await,
        };
        if self.time_left(accepted, &checked).is_none() {
            return self.conclude(request, asked, expired(&checked)).await;
        }
        let intent = Outcome { step: Step::Intent, read_back: None, detail: None, recorded: true };
        if let Err(error) = self.record(request, asked, &intent).await {
            return Outcome::new(Step::Refused, Refusal::from(error).to_string()).unrecorded();
        }
        let outcome = self.execute(request, &checked, plant, accepted).await;
        self.conclude(request, asked, outcome).await
    }

    /// Takes the tag for this command.
    fn claim(&self, request: &CommandRequest) -> Result<(), Refusal> {
        let mut memory = self.memory();
        if memory.tags.contains_key(&request.tag) {
            return Err(Refusal::TagBusy);
        }
        memory.tags.insert(request.tag, request.id);
        Ok(())
    }

    /// What is left of the command's life by the monotonic clock; `None`: nothing.
    fn time_left(&self, accepted: Duration, checked: &Checked) -> Option<Duration> {
        let age = self.clock.monotonic().saturating_sub(accepted);
        checked.life.checked_sub(age).filter(|left| !left.is_zero())
    }

    /// To the wire, and what the device says of it. The intent is durable.
    async fn execute(
        &self,
        request: &CommandRequest,
        checked: &Checked,
        plant: &PlantView,
        accepted: Duration,
    ) -> Outcome {
        let Some(actuator) = self.bus.actuator(request.tag) else {
            let detail = "not connected: nothing writes this tag at the moment; is its connector enabled?";
            return Outcome::new(Step::Failed, detail);
        };
        let mut reports = self.bus.subscribe_newest(Some(HashSet::from([request.tag])));
        let _what_was_before = reports.try_next();
        let confirm_within = Duration::from_millis(checked.rule.confirm_within_ms);
        let Some(left) = self.time_left(accepted, checked) else { return expired(checked) };
        let sent = self.clock.now();
        let write = actuator.write(request.tag, checked.value.clone(), sent.plus(left));
        let show = |value: &Value| plant.tag(request.tag).map_or_else(|| value.to_string(), |tag| shown(tag, value));
        match timeout(left + confirm_within + CONNECTOR_GRACE, write).await {
            Ok(Ok(Written::ReadBack(held))) => judge(checked, held, show),
            Ok(Ok(Written::Sent)) => await_report(&mut reports, sent, confirm_within, checked, show).await,
            Ok(Err(WriteError::NoAnswer(why))) => {
                let seen = observe(&mut reports, sent, confirm_within, |_| true).await.last;
                Outcome::new(Step::Unknown, format!("no answer: {why}{}", since_then(seen.as_ref(), show))).with(seen)
            }
            Ok(Err(WriteError::NotSent(_))) if self.time_left(accepted, checked).is_none() => expired(checked),
            Ok(Err(error)) => Outcome::new(Step::Failed, error.to_string()),
            Err(_) => {
                let seen = reports.try_next().into_iter().rfind(|sample| sample.received_ts >= sent);
                let detail = "the connector did not say in time what became of the write";
                Outcome::new(Step::Unknown, format!("{detail}{}", since_then(seen.as_ref(), show))).with(seen)
            }
        }
    }

    /// Records a refusal. When that fails, the refusal still stands: nothing was sent.
    async fn refuse(&self, request: &CommandRequest, asked: &Asked, refusal: &Refusal) -> Outcome {
        let outcome = Outcome::new(Step::Refused, refusal.to_string());
        if let Err(error) = self.record(request, asked, &outcome).await {
            tracing::warn!(%error, path = asked.path, "a refused command was not recorded");
        }
        outcome
    }

    /// Makes the outcome durable. An outcome that cannot be recorded is not known to anybody after a restart.
    async fn conclude(&self, request: &CommandRequest, asked: &Asked, outcome: Outcome) -> Outcome {
        match self.record(request, asked, &outcome).await {
            Ok(()) => outcome,
            Err(error) => {
                let step = match outcome.step {
                    Step::Confirmed => "confirmed",
                    Step::Failed => "failed",
                    Step::Expired => "expired",
                    _ => "unknown",
                };
                let detail = format!("the outcome ({step}) could not be recorded: {error}");
                Outcome::new(Step::Unknown, detail).with(outcome.read_back).unrecorded()
            }
        }
    }

    async fn record(&self, request: &CommandRequest, asked: &Asked, outcome: &Outcome) -> Result<(), AppendError> {
        let step = CommandStep {
            command: request.id,
            step: outcome.step,
            value: asked.value.clone(),
            before: self.bus.last(request.tag).map(|sample| sample.value).filter(|_| outcome.step == Step::Intent),
            read_back: outcome.read_back.as_ref().map(|sample| sample.value.clone()),
            reason: request.reason.clone(),
            via: request.via.name().to_owned(),
            detail: outcome.detail.clone(),
        };
        let event = Event {
            id: ids::new_id(&*self.clock),
            at: self.clock.now(),
            source_at: outcome.read_back.as_ref().map(|sample| sample.source_ts),
            path: asked.path.clone(),
            by: request.by.clone(),
            what: What::Command(step),
        };
        self.make_durable(event).await
    }

    /// Records an event; waits a little while the lane is busy.
    async fn make_durable(&self, event: Event) -> Result<(), AppendError> {
        let until = Instant::now() + BUSY_WITHIN;
        loop {
            match self.recorder.record(event.clone()).await {
                Err(busy @ AppendError::Busy { .. }) if Instant::now() < until => {
                    let ready = tokio::time::timeout_at(until, self.log.ready(Lane::Records)).await;
                    ready.map_err(|_| busy)??;
                }
                result => return result.map(|_| ()),
            }
        }
    }

    /// Reads snapshot and events. Blocking.
    fn read_back(&self) -> Result<(), RecoverError> {
        self.log.register_reader(READER, &[Lane::Records])?;
        let plant = self.bus.plant();
        let mut memory = Memory::default();
        let mut after = andon_model::log::Seq(0);
        match self.log.load_snapshot(READER) {
            Ok(Some(snapshot)) => match memory.decode(&snapshot.state) {
                Ok(()) => after = snapshot.positions.records,
                Err(error) => tracing::warn!(error, "the saved commands cannot be used; all events are replayed"),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the saved commands cannot be used; all events are replayed"),
        }
        replay::events(&*self.log, after, |seq, event| {
            if let What::Command(step) = event.what.clone() {
                let tag = plant.id_of(&event.path);
                memory.replay(seq, event, &step, tag);
            }
        })?;
        *self.memory() = memory;
        Ok(())
    }

    /// Records `unknown` for the intents without outcome, oldest first.
    async fn settle_undecided(&self) -> Result<Recovered, RecoverError> {
        let mut unknown = 0;
        loop {
            let Some((seq, intent)) = self.memory().undecided.first_key_value().map(|(s, e)| (*s, e.clone())) else {
                break;
            };
            if let What::Command(step) = &intent.what {
                let outcome = CommandStep {
                    step: Step::Unknown,
                    before: None,
                    detail: Some(NODE_STOPPED.to_owned()),
                    ..step.clone()
                };
                let event = Event {
                    id: ids::new_id(&*self.clock),
                    at: self.clock.now(),
                    source_at: None,
                    what: What::Command(outcome.clone()),
                    ..intent.clone()
                };
                self.make_durable(event.clone()).await?;
                self.memory().replay(seq, event, &outcome, None);
                unknown += 1;
            }
            self.memory().undecided.remove(&seq);
        }
        Ok(Recovered { finished: self.memory().len(), unknown })
    }

    async fn wait_for_running(&self) {
        let until = Instant::now() + STOP_WITHIN;
        loop {
            let report = self.memory().running.values().next().map(|running| running.report.clone());
            let Some(mut report) = report else { return };
            if tokio::time::timeout_at(until, report.wait_for(Option::is_some)).await.is_err() {
                return;
            }
        }
    }

    /// Saves finished commands. Blocking.
    fn save(&self) -> Result<(), SnapshotError> {
        // Read before the memory is: what is durable by now is in the memory, or of a command under way.
        let durable = self.log.durable_seq(Lane::Records);
        let (position, state) = {
            let mut memory = self.memory();
            if !std::mem::take(&mut memory.changed) {
                return Ok(());
            }
            (memory.position(durable), memory.encode())
        };
        self.log.save_snapshot(READER, Positions { records: position, ..Positions::default() }, &state).inspect_err(
            |_| {
                self.memory().changed = true;
            },
        )
    }
}

enum Admitted {
    /// New: carry it out and send its report here.
    Now(watch::Sender<Option<CommandReport>>),
    /// The same command is under way.
    Before(watch::Receiver<Option<CommandReport>>),
    /// The same command has ended.
    Done(CommandReport),
    Not(Refusal),
}

fn path_of<'a>(plant: &'a PlantView, request: &CommandRequest) -> &'a str {
    plant.tag(request.tag).map_or("", |tag| tag.path.as_str())
}

async fn report_from(id: Uuid, mut report: watch::Receiver<Option<CommandReport>>) -> CommandReport {
    match report.wait_for(Option::is_some).await.map(|report| report.clone()) {
        Ok(Some(report)) => report,
        // Only when the program is being torn down: the next start records the outcome as unknown.
        _ => CommandReport {
            id,
            outcome: Step::Unknown,
            read_back: None,
            detail: Some("the node is stopping; the outcome will be recorded at its next start".to_owned()),
        },
    }
}

fn expired(checked: &Checked) -> Outcome {
    let detail = format!("not sent: its life of {} ms ran out before", checked.life.as_millis());
    Outcome::new(Step::Expired, detail)
}

/// The device was read again after the write.
fn judge(checked: &Checked, held: Sample, show: impl Fn(&Value) -> String) -> Outcome {
    if held.quality.is_bad() {
        let detail = format!("sent, but what was read back is bad: {}", held.quality.words());
        return Outcome::new(Step::Unknown, detail).with(Some(held));
    }
    if same(&checked.value, &held.value, checked.rule.tolerance) {
        return Outcome::confirmed(held);
    }
    let detail = format!("{} was written, but the device holds {}", show(&checked.value), show(&held.value));
    Outcome::new(Step::Failed, detail).with(Some(held))
}

/// The device took it; its own report tells whether it holds the value.
async fn await_report(
    reports: &mut NewestSubscription,
    sent: Timestamp,
    within: Duration,
    checked: &Checked,
    show: impl Fn(&Value) -> String,
) -> Outcome {
    let holds =
        |sample: &Sample| !sample.quality.is_bad() && same(&checked.value, &sample.value, checked.rule.tolerance);
    let seen = observe(reports, sent, within, holds).await;
    if let Some(held) = seen.accepted {
        return Outcome::confirmed(held);
    }
    let detail = format!("sent, but the device did not report the new value within {} ms", within.as_millis());
    Outcome::new(Step::Unknown, format!("{detail}{}", since_then(seen.last.as_ref(), show))).with(seen.last)
}

struct Seen {
    /// The first report that is as wanted.
    accepted: Option<Sample>,
    /// The last report, wanted or not.
    last: Option<Sample>,
}

/// Watches the tag's reports received since `sent` until one is accepted or the time is up.
async fn observe(
    reports: &mut NewestSubscription,
    sent: Timestamp,
    within: Duration,
    accept: impl Fn(&Sample) -> bool,
) -> Seen {
    let until = Instant::now() + within;
    let mut last = None;
    while let Ok(samples) = tokio::time::timeout_at(until, reports.next()).await {
        for sample in samples.into_iter().filter(|sample| sample.received_ts >= sent) {
            last = Some(sample.clone());
            if accept(&sample) {
                return Seen { accepted: Some(sample), last };
            }
        }
    }
    Seen { accepted: None, last }
}

fn since_then(seen: Option<&Sample>, show: impl Fn(&Value) -> String) -> String {
    match seen {
        Some(sample) if sample.quality.is_bad() => format!("; since then its value is bad: {}", sample.quality.words()),
        Some(sample) => format!("; since then the device says {}", show(&sample.value)),
        None => String::new(),
    }
}
