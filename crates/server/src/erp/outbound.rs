//! Messages to an ERP. The records lane is the outbox: a link reads it as a reader of its own, makes the message that an event asks for of
//! what the store has then, sends it, and only when it was taken saves how far it has come.
//!
//! So every message goes out in the order of the events, at least once over kills, and again only under the same BODID: the id of its
//! event. What the other side refuses for good holds the link up, aloud, until somebody decides. What waits for longer than the link
//! keeps it is given up and told, so that the log need not keep it for ever.

use super::config::{Link, Rules, Target, Verb as Said};
use super::files;
use super::http::{self, NotTaken};
use super::report::{self, About, Known};
use crate::mes::Manufacturing;
use crate::notes::{Notes, event_of};
use crate::secrets::Secrets;
use andon_api::ports::erp::{Decision, DecisionProblem, LinkView};
use andon_api::ports::orders::{BY_ERP, Orders as _, OrdersProblem};
use andon_b2mml::performance::OperationsResponse;
use andon_b2mml::verb::{ActionCriteria, Expression, Process, Sync, Verb};
use andon_b2mml::{ActionCode, DataArea, Message, OneOrMore, ResponseCode};
use andon_mes::job::JobState;
use andon_model::access::Principal;
use andon_model::event::{Event, JobChange, SealedEvent, SystemNote, What};
use andon_model::log::{Lane, Log, Positions, Seq, kind as frame_kind};
use andon_model::path::is_under;
use andon_model::record::Recorder;
use andon_model::text::counted;
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use andon_store::trace::TraceRepository as _;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What the names of the links' places in the log begin with.
pub const READERS: &str = "erp-";
/// How often the lane is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So much of the lane is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;
/// So many events that ask for a message are read ahead; further ones wait in the log.
const MOST_QUEUED: usize = 4_096;
/// Without a message, the place is saved after so many frames.
const SAVE_AFTER: u64 = 2_000;
/// The first wait after a failure, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A link that takes nothing for so long is told of.
const TELL_AFTER: Duration = Duration::from_secs(120);

/// What a link needs of the node.
#[derive(Clone)]
pub struct Parts {
    pub rules: Arc<Rules>,
    pub log: Arc<dyn Log>,
    pub store: Store,
    pub mes: Arc<Manufacturing>,
    pub secrets: Arc<Secrets>,
    pub recorder: Arc<dyn Recorder>,
    pub clock: Arc<dyn Clock>,
    pub notes: Notes,
}

/// What is kept of a link with its place in the lane.
#[derive(Serialize, Deserialize, Default, Clone, PartialEq, Eq, Debug)]
#[serde(default)]
struct Saved {
    /// Messages taken since there is the link.
    sent: u64,
    /// When the last one was, in µs since 1970.
    last_sent: Option<i64>,
    /// Messages given up.
    dropped: u64,
    /// The time of the last message's event, or of its counts, in µs since 1970.
    newest: i64,
}

/// What everybody may know of a link.
#[derive(Default)]
struct Status {
    saved: Saved,
    waiting: u64,
    failing: Option<Failing>,
    /// The other side refused the message: somebody has to decide.
    stands: bool,
    decided: Option<(Decision, Principal)>,
}

struct Failing {
    since: Timestamp,
    why: String,
    message: String,
    told: bool,
}

/// A link on which messages go out.
pub struct Outbound {
    pub link: Link,
    parts: Parts,
    status: Mutex<Status>,
    wake: Notify,
}

/// Where the work on the lane is.
struct Place {
    /// Dealt with up to here.
    seq: Seq,
    saved_at: Seq,
    /// Read up to here.
    read: Seq,
    /// Events that may ask for a message, with their places.
    queue: VecDeque<(Seq, Event)>,
    retry: Duration,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Now,
    After(Duration),
}

impl Outbound {
    pub fn new(link: Link, parts: Parts) -> Arc<Self> {
        Arc::new(Self { link, parts, status: Mutex::default(), wake: Notify::new() })
    }

    /// The name of its place in the log.
    pub fn reader(&self) -> String {
        format!("{READERS}{}", self.link.name)
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is.
    pub fn view(&self) -> LinkView {
        let status = self.status();
        let state = match (&status.failing, status.stands) {
            (_, true) => "stands",
            (Some(_), false) => "failing",
            (None, false) => "in_order",
        };
        let failing = status.failing.as_ref();
        LinkView {
            name: self.link.name.clone(),
            sends_to: sends_to(&self.link),
            takes_from: self.link.in_folder.as_ref().map(|folder| folder.display().to_string()),
            state: state.to_owned(),
            sent: status.saved.sent,
            last_sent_ms: status.saved.last_sent.map(|at| Timestamp::from_micros(at).millis()),
            waiting: status.waiting,
            failing_since_ms: failing.map(|failing| failing.since.millis()),
            why: failing.map(|failing| failing.why.clone()),
            message: failing.map(|failing| failing.message.clone()),
            dropped: status.saved.dropped,
        }
    }

    /// What everybody should know as long as it is so.
    pub fn warning(&self) -> Option<String> {
        let status = self.status();
        let failing = status.failing.as_ref().filter(|failing| failing.told)?;
        let waits = counted(status.waiting, "message waits", "messages wait");
        Some(format!(
            "The link {} to the ERP takes nothing since {}: {} ({waits}).",
            self.link.name, failing.since, failing.why
        ))
    }

    /// Notes what somebody decided; the task does it.
    pub fn decide(&self, what: Decision, by: Principal) -> Result<(), DecisionProblem> {
        let mut status = self.status();
        let open = status.stands || (what == Decision::Retry && status.failing.is_some());
        if !open {
            let words = format!("the link {} does not stand at a message", self.link.name);
            return Err(DecisionProblem::Nothing(words));
        }
        status.decided = Some((what, by));
        drop(status);
        self.wake.notify_one();
        Ok(())
    }

    /// Sends what is to be sent, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut place = loop {
            match self.begin().await {
                Ok(place) => break place,
                Err(why) => {
                    self.fails(why, String::new());
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY.1) => {}
                    }
                }
            }
        };
        self.status().failing = None;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = self.step(&mut place) => next,
            };
            let Next::After(wait) = next else { continue };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        if place.seq > place.saved_at {
            let _ = self.save(&mut place).await;
        }
    }

    /// Finds how far it has come. A new link begins with what happens from now on.
    async fn begin(&self) -> Result<Place, String> {
        let (log, reader) = (self.parts.log.clone(), self.reader());
        let found = tokio::task::spawn_blocking(move || {
            log.register_reader(&reader, &[Lane::Records]).map_err(|error| error.to_string())?;
            let end = log.durable_seq(Lane::Records);
            let snapshot = log.load_snapshot(&reader).map_err(|error| error.to_string())?;
            Ok::<_, String>((snapshot, end))
        });
        let (snapshot, end) = found.await.map_err(|error| error.to_string())??;
        let fresh = snapshot.is_none();
        let (seq, saved) = match snapshot {
            Some(snapshot) => {
                let saved = serde_json::from_slice(&snapshot.state)
                    .map_err(|error| format!("how far it has come cannot be read: {error}"))?;
                (snapshot.positions.records.min(end), saved)
            }
            None => (end, Saved { newest: self.parts.clock.now().micros(), ..Saved::default() }),
        };
        self.status().saved = saved;
        let mut place = Place { seq, saved_at: seq, read: seq, queue: VecDeque::new(), retry: RETRY.0 };
        if fresh {
            self.save(&mut place).await?;
        }
        Ok(place)
    }

    async fn save(&self, place: &mut Place) -> Result<(), String> {
        let state = serde_json::to_vec(&self.status().saved).map_err(|error| error.to_string())?;
        let (log, reader, seq) = (self.parts.log.clone(), self.reader(), place.seq);
        let mut positions = Positions::default();
        positions.set(Lane::Records, seq);
        let saved = tokio::task::spawn_blocking(move || log.save_snapshot(&reader, positions, &state)).await;
        saved.map_err(|error| error.to_string())?.map_err(|error| andon_model::error::causes(&error))?;
        place.saved_at = seq;
        Ok(())
    }

    /// One message, or one part of the lane.
    async fn step(&self, place: &mut Place) -> Next {
        if place.queue.len() < MOST_QUEUED
            && let Err(why) = self.read(place).await
        {
            return self.again(place, why, String::new());
        }
        self.count_waiting(place);
        let Some((seq, event)) = place.queue.front().cloned() else { return self.idle(place).await };
        let bod_id = event.id.to_string();
        let message = match self.message_of(&event, &bod_id).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => {
                place.queue.pop_front();
                place.seq = seq;
                return Next::Now;
            }
            Err(problem) => Err(NotTaken::Later(problem.to_string())),
        };
        // Only what would be sent can wait for too long.
        if self.is_given_up(place, seq, &event).await {
            return Next::Now;
        }
        let sent = match message {
            Ok(message) => self.deliver(seq, &bod_id, message).await,
            Err(not_made) => Err(not_made),
        };
        match sent {
            Ok(sent) => self.taken(place, seq, event.at, sent).await,
            Err(NotTaken::Later(why)) => self.again(place, why, bod_id),
            Err(NotTaken::Never(why)) => self.stands(why, bod_id),
        }
    }

    /// Reads on. What of the lane cannot be read any more is told.
    async fn read(&self, place: &mut Place) -> Result<(), String> {
        let end = self.parts.log.durable_seq(Lane::Records);
        if place.read >= end {
            return Ok(());
        }
        let (log, from) = (self.parts.log.clone(), place.read.next());
        let batch = tokio::task::spawn_blocking(move || log.read(Lane::Records, from, READ_BYTES)).await;
        let batch = batch.map_err(|error| error.to_string())?.map_err(|error| andon_model::error::causes(&error))?;
        for gap in &batch.gaps {
            let words = format!(
                "Of the records {} to {} nothing was told to the ERP by the link {}: {}.",
                gap.from.0, gap.to.0, self.link.name, gap.reason
            );
            self.parts.notes.say("", "erp_dropped", words);
        }
        for frame in &batch.frames {
            if frame.kind != frame_kind::EVENT {
                continue;
            }
            match serde_json::from_slice::<SealedEvent>(&frame.payload) {
                Ok(sealed) if about(&sealed.event).is_some() => place.queue.push_back((frame.seq, sealed.event)),
                Ok(_) => {}
                Err(error) => {
                    let words = format!(
                        "Of the record {} nothing was told to the ERP by the link {}: {error}.",
                        frame.seq.0, self.link.name
                    );
                    self.parts.notes.say("", "erp_dropped", words);
                }
            }
        }
        place.read = Seq(batch.next.0.saturating_sub(1)).max(place.read);
        if place.queue.is_empty() {
            place.seq = place.read;
        }
        Ok(())
    }

    /// What waits, as far as it was read.
    fn count_waiting(&self, place: &Place) {
        self.status().waiting = place.queue.len() as u64;
    }

    /// Nothing waits: counts may be due, and the place may be worth saving.
    async fn idle(&self, place: &mut Place) -> Next {
        if place.read < self.parts.log.durable_seq(Lane::Records) {
            return Next::Now;
        }
        if let Some(at) = self.counts_due() {
            let bod_id = format!("counts-{}-{}", self.link.name, at.millis());
            let message = match self.counts(at, &bod_id).await {
                Ok(message) => message,
                Err(problem) => return self.again(place, problem.to_string(), bod_id),
            };
            match message {
                None => self.status().saved.newest = at.micros(),
                Some(message) => {
                    return match self.deliver(place.seq, &bod_id, message).await {
                        Ok(sent) => self.taken(place, place.seq, at, sent).await,
                        Err(NotTaken::Later(why)) => self.again(place, why, bod_id),
                        // Counts are told anew the next time: nothing is lost with these.
                        Err(NotTaken::Never(why)) => {
                            self.parts.notes.say(
                                "",
                                "erp_counts_refused",
                                format!("The link {}: {why}.", self.link.name),
                            );
                            self.status().saved.newest = at.micros();
                            Next::Now
                        }
                    };
                }
            }
        }
        if self.status().failing.take().is_some_and(|failing| failing.told) {
            self.in_order_again();
        }
        if place.seq.0.saturating_sub(place.saved_at.0) >= SAVE_AFTER
            && let Err(why) = self.save(place).await
        {
            return self.again(place, why, String::new());
        }
        Next::After(LOOK_EVERY)
    }

    /// The full interval for which counts are due. Those of an interval in which something newer was told are left out.
    fn counts_due(&self) -> Option<Timestamp> {
        let every = i64::try_from(self.link.counts?.as_micros()).ok()?;
        let now = self.parts.clock.now().micros();
        let at = now - now.rem_euclid(every);
        (at > self.status().saved.newest).then(|| Timestamp::from_micros(at))
    }

    /// What waits for too long is given up, and told.
    async fn is_given_up(&self, place: &mut Place, seq: Seq, event: &Event) -> bool {
        if self.parts.clock.now().since(event.at) <= self.link.keep {
            return false;
        }
        let words = format!(
            "The link {} to the ERP gave a message up that it could not send for {} days: {} of {}.",
            self.link.name,
            self.link.keep.as_secs() / 86_400,
            event.id,
            event.at
        );
        self.parts.notes.say("", "erp_dropped", words);
        self.gone(place, seq);
        if let Err(why) = self.save(place).await {
            tracing::error!(link = self.link.name, why, "how far a link to the ERP has come cannot be saved");
        }
        true
    }

    fn gone(&self, place: &mut Place, seq: Seq) {
        place.queue.pop_front();
        place.seq = seq;
        let mut status = self.status();
        status.saved.dropped = status.saved.dropped.saturating_add(1);
        (status.stands, status.failing) = (false, None);
    }

    /// The other side has it, or somebody gave it up.
    async fn taken(&self, place: &mut Place, seq: Seq, at: Timestamp, sent: bool) -> Next {
        if place.queue.front().is_some_and(|(first, _)| *first == seq) {
            place.queue.pop_front();
        }
        place.seq = place.seq.max(seq);
        let told = {
            let mut status = self.status();
            if sent {
                status.saved.sent = status.saved.sent.saturating_add(1);
                status.saved.last_sent = Some(self.parts.clock.now().micros());
            } else {
                status.saved.dropped = status.saved.dropped.saturating_add(1);
            }
            status.saved.newest = status.saved.newest.max(at.micros());
            status.failing.take().is_some_and(|failing| failing.told)
        };
        if told {
            self.in_order_again();
        }
        place.retry = RETRY.0;
        // Not saved, it is sent again after a restart, under the same id.
        if let Err(why) = self.save(place).await {
            return self.again(place, why, String::new());
        }
        Next::Now
    }

    fn in_order_again(&self) {
        let words = format!("The link {} to the ERP is in order again.", self.link.name);
        self.parts.notes.say("", "erp_in_order", words);
    }

    fn fails(&self, why: String, message: String) {
        let now = self.parts.clock.now();
        let tell = {
            let mut status = self.status();
            let failing = status.failing.get_or_insert_with(|| Failing {
                since: now,
                why: String::new(),
                message: String::new(),
                told: false,
            });
            (failing.why, failing.message) = (why.clone(), message);
            let tell = !failing.told && now.since(failing.since) >= TELL_AFTER;
            failing.told |= tell;
            tell
        };
        if tell {
            let words = format!(
                "The link {} to the ERP takes nothing since {TELL_AFTER:?}: {why}. It is tried again.",
                self.link.name
            );
            self.parts.notes.say("", "erp_failing", words);
        } else {
            tracing::info!(link = self.link.name, why, "a message to the ERP was not taken; it is tried again");
        }
    }

    /// It is tried again, each time later.
    fn again(&self, place: &mut Place, why: String, message: String) -> Next {
        self.fails(why, message);
        if self.status().decided.take().is_some() {
            place.retry = RETRY.0;
        }
        let wait = place.retry;
        place.retry = (place.retry * 2).min(RETRY.1);
        Next::After(wait)
    }
}

impl Outbound {
    /// The other side refused the message for good: told at once, and nothing goes before somebody has decided.
    fn stands(&self, why: String, message: String) -> Next {
        let new = {
            let mut status = self.status();
            let new = !status.stands;
            status.stands = true;
            let since = status.failing.take().map_or_else(|| self.parts.clock.now(), |failing| failing.since);
            status.failing = Some(Failing { since, why: why.clone(), message: message.clone(), told: true });
            new
        };
        if new {
            let name = &self.link.name;
            let words = format!(
                "The link {name} to the ERP stands: the message {message} was refused: {why}. Put right what is wrong there and send it \
                 again with POST /api/erp/{name}/retry, or give it up with POST /api/erp/{name}/skip."
            );
            self.parts.notes.say("", "erp_stands", words);
        }
        Next::After(RETRY.1)
    }

    /// Records that a message is skipped; it is not before that is on disk.
    async fn skipped(&self, bod_id: &str, by: Principal) -> Result<(), NotTaken> {
        let words = format!("The message {bod_id} to the ERP over the link {} was skipped.", self.link.name);
        let what = What::System(SystemNote { action: "erp_skipped".to_owned(), text: words });
        let event = Event { by, ..event_of(&*self.parts.clock, "", what) };
        let recorded = self.parts.recorder.record(event).await;
        recorded.map(drop).map_err(|error| NotTaken::Never(format!("that it is skipped cannot be recorded: {error}")))
    }

    /// Sends a message, unless the link stands and nobody has decided. `false`: somebody gave it up.
    async fn deliver(&self, seq: Seq, bod_id: &str, message: Message) -> Result<bool, NotTaken> {
        let decided = self.status().decided.take();
        let stands = std::mem::take(&mut self.status().stands);
        match decided {
            Some((Decision::Skip, by)) if stands => {
                self.skipped(bod_id, by).await?;
                return Ok(false);
            }
            None if stands => {
                let mut status = self.status();
                status.stands = true;
                let why = status.failing.as_ref().map(|failing| failing.why.clone()).unwrap_or_default();
                return Err(NotTaken::Never(why));
            }
            _ => {}
        }
        let text = message.write();
        match &self.link.target {
            Some(Target::Http(remote)) => http::send(remote, &self.parts.secrets, text).await?,
            Some(Target::Folder(folder)) => {
                let name = format!("{:020}-{bod_id}.xml", seq.0);
                let folder = folder.clone();
                let put = tokio::task::spawn_blocking(move || files::put(&folder, &name, text.as_bytes())).await;
                let put = put.map_err(|error| NotTaken::Later(error.to_string()))?;
                put.map_err(|error| NotTaken::Later(format!("the file cannot be written: {error}")))?;
            }
            None => {}
        }
        Ok(true)
    }

    /// The message that an event asks for; `None`: none, for it is of another branch, or of an order that the ERP does not know.
    async fn message_of(&self, event: &Event, bod_id: &str) -> Result<Option<Message>, OrdersProblem> {
        let Some(what) = about(event) else { return Ok(None) };
        let known = match (&event.what, what) {
            (_, About::Job(job, _)) => self.parts.mes.counted_of_job(job).await?,
            (What::Order(change), About::Order) => self.parts.mes.counted(&change.number).await?,
            _ => None,
        };
        let Some((order, jobs)) = known else { return Ok(None) };
        if !self.is_told_of(&order.source) || !self.is_here(&jobs, what) {
            return Ok(None);
        }
        let known = self.with_uses(Known { order, jobs, used: HashMap::new() }).await?;
        let responses = report::response(&self.parts.rules, &known, event.at, what).into_iter().collect();
        self.message(responses, bod_id, event.at)
    }

    fn is_told_of(&self, source: &str) -> bool {
        self.link.all_orders || source == BY_ERP
    }

    fn is_here(&self, jobs: &[andon_mes::order::JobOrder], what: About) -> bool {
        let of = jobs.iter().filter(|job| match what {
            About::Job(own, _) => own == job.id,
            About::Order => true,
        });
        let mut places = of.flat_map(|job| {
            let decided = job.equipment.iter();
            decided.chain(job.alternatives.iter().filter(|_| job.equipment.is_none()))
        });
        places.any(|path| self.link.branches.iter().any(|branch| is_under(path, branch)))
    }

    /// With what went into what each job made.
    async fn with_uses(&self, mut known: Known) -> Result<Known, OrdersProblem> {
        known.used = uses(&self.parts.store, &known.jobs, self.parts.clock.now()).await?;
        Ok(known)
    }

    fn message(
        &self,
        responses: Vec<OperationsResponse>,
        bod_id: &str,
        at: Timestamp,
    ) -> Result<Option<Message>, OrdersProblem> {
        let Some(performance) = report::performance(bod_id, at, responses) else { return Ok(None) };
        let verb = match self.link.verb {
            Said::Process => {
                Verb::Process(Process { acknowledge_code: Some(ResponseCode::OnError), ..Process::default() })
            }
            Said::Sync => {
                let added = ActionCriteria {
                    action_expressions: vec![Expression { action: ActionCode::Add, about: None }],
                    ..ActionCriteria::default()
                };
                Verb::Sync(Sync { action_criteria: vec![added] })
            }
        };
        let data_area = DataArea::OperationsPerformance(verb, OneOrMore::one(performance));
        Ok(Some(Message { application_area: report::head(&self.parts.rules, bod_id, at)?, data_area }))
    }

    /// What has been counted of all that runs; `None`: nothing runs.
    async fn counts(&self, at: Timestamp, bod_id: &str) -> Result<Option<Message>, OrdersProblem> {
        let states = vec!["Running".to_owned(), "Interrupted".to_owned()];
        let list = self.parts.mes.jobs(None, states, self.link.branches.clone(), Uuid::nil()).await?;
        let orders: BTreeSet<String> = list.jobs.into_iter().map(|job| job.order).collect();
        let mut responses = Vec::new();
        for number in orders {
            let Some((order, jobs)) = self.parts.mes.counted(&number).await? else { continue };
            if !self.is_told_of(&order.source) || !self.is_here(&jobs, About::Order) {
                continue;
            }
            let known = self.with_uses(Known { order, jobs, used: HashMap::new() }).await?;
            responses.extend(report::response(&self.parts.rules, &known, at, About::Order));
        }
        self.message(responses, bod_id, at)
    }
}

/// What went into what each job made, where units are traced.
pub async fn uses(
    store: &Store,
    jobs: &[andon_mes::order::JobOrder],
    now: Timestamp,
) -> Result<HashMap<Uuid, Vec<andon_store::trace::JobUse>>, OrdersProblem> {
    let mut used = HashMap::new();
    for job in jobs {
        let (Some(path), Some(started)) = (&job.equipment, job.started) else { continue };
        let found = store.trace_used_for(job.id, path.clone(), started, job.ended.unwrap_or(now)).await?;
        used.insert(job.id, found);
    }
    Ok(used)
}

/// Where messages go, without what is secret about it.
pub fn sends_to(link: &Link) -> Option<String> {
    Some(match link.target.as_ref()? {
        Target::Http(remote) => remote.url.clone(),
        Target::Folder(folder) => folder.display().to_string(),
    })
}

/// What an ERP is told of an event; `None`: nothing.
fn about(event: &Event) -> Option<About> {
    match &event.what {
        What::Job(JobChange { job, action, state, .. }) => {
            let state = JobState::all().find(|known| known.to_string() == *state)?;
            let told = match action.as_str() {
                "begin" | "stop" | "abort" | "close" => true,
                // What people put right after the end.
                "count" => matches!(state, JobState::Ended(_)),
                _ => false,
            };
            told.then_some(About::Job(*job, state))
        }
        What::Order(change) => matches!(change.action.as_str(), "closed" | "cancelled").then_some(About::Order),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
