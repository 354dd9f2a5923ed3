//! The life of a bridge: it connects, works, loses the link, waits and begins again; all the while it looks after what waits.

use super::link::Link;
use super::rules::Rule;
use super::scouting::Run;
use super::sending::{Online, next_taken};
use super::sieve::{Item, Sieve, Tap};
use super::state::{Session, State};
use super::status::{LinkState, Notice, Status, Trouble, brief};
use super::{BridgeOptions, Dial, Ears, reader_name};
use crate::broker::Broker;
use andon_bus::ids::new_id;
use andon_model::log::{Lane, Log, Positions, Seq, SnapshotError};
use andon_model::{Clock, Timestamp};
use andon_wire::mqtt::TopicName;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// How often everything that hangs on the clock is looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// How often what waits is looked after while there is no link.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// How often the state is saved, if it changed.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Losses are told when none came for this long, or …
const TELL_AFTER: Duration = Duration::from_secs(5);
/// … at the latest after this.
const TELL_AT_LATEST: Duration = Duration::from_secs(600);
/// So many messages keep their identifier over a lost link: with those of the next link they are fewer than there are identifiers.
const UNDER_WAY: usize = 30_000;
/// How long a stop waits in all until losses are kept; those that are not are told again after the start.
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// A link that lasted this long ends a row of failures.
const GOOD_LINK: Duration = Duration::from_secs(10);

/// One message of those that are to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The number of its frame in the lane.
    Frame(u64),
    /// A retained message of before the bridge, by its topic here.
    Retained(TopicName),
}

/// The first message that was not answered when the other side ended the link.
#[derive(Clone, Debug)]
pub(super) struct Suspect {
    pub(super) which: Which,
    /// How many links in a row ended so.
    ends: u32,
}

impl Suspect {
    /// Whether it is this one: its number in the lane, or 0 and the topic of a retained message.
    pub(super) fn is(&self, seq: u64, topic: Option<&TopicName>) -> bool {
        match &self.which {
            Which::Frame(suspect) => *suspect == seq,
            Which::Retained(suspect) => seq == 0 && Some(suspect) == topic,
        }
    }

    /// It is sent alone, so that it is certain whether it is the one.
    pub(super) const fn is_alone(&self) -> bool {
        self.ends >= 2
    }

    /// It is the one.
    pub(super) const fn is_certain(&self) -> bool {
        self.ends >= 4
    }
}

/// A bridge at work.
pub(super) struct Task {
    pub(super) broker: Arc<Broker>,
    pub(super) log: Arc<dyn Log>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: Arc<BridgeOptions>,
    pub(super) status: Arc<Status>,
    pub(super) sieve: Arc<Sieve>,
    pub(super) state: State,
    /// One for each stretch of the state.
    pub(super) runs: Vec<Run>,
    /// Something is to be saved.
    pub(super) dirty: bool,
    /// How much of the lane there is.
    pub(super) lane: watch::Receiver<u64>,
    /// Under which identifiers messages were under way when the last link ended.
    pub(super) under_way: HashMap<u64, u16>,
    /// The message at which the other side has ended the link.
    pub(super) suspect: Option<Suspect>,
    /// Retained messages of before that were passed over, until all of them are sent.
    pub(super) passed_over: Vec<TopicName>,
    /// When what waits longest was received.
    pub(super) oldest: Option<Timestamp>,
    dial: Option<Arc<dyn Dial>>,
    ears: Arc<dyn Ears>,
    reader: String,
    tap: Arc<Tap>,
    passing: mpsc::Receiver<Item>,
    saving: Option<JoinHandle<Result<(), SnapshotError>>>,
    saved_at: Instant,
    /// Whether losses are kept that are being told.
    telling: Option<JoinHandle<Vec<bool>>>,
    /// How long no new loss came before they are told: [`TELL_AFTER`], and twice as long after each time that they could not be kept.
    tell_after: Duration,
    /// How much was lost when it was last looked at, when that changed, and when the first of it was.
    losses: (u64, Instant, Instant),
    behind: bool,
    /// The last that was told is that there is a link.
    told_up: bool,
    /// Attempts that failed one after the other.
    failures: u32,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.broker.taps.remove(&self.tap);
    }
}

impl Task {
    pub(super) async fn open(
        broker: Arc<Broker>,
        options: Arc<BridgeOptions>,
        dial: Option<Arc<dyn Dial>>,
        ears: Arc<dyn Ears>,
        status: Arc<Status>,
    ) -> Result<Self, SnapshotError> {
        let reader =
            reader_name(&options.name).ok_or_else(|| SnapshotError::BadName { reader: options.name.clone() })?;
        let (log, clock) = (broker.pipeline.log().clone(), broker.clock.clone());
        let filters: Vec<(String, bool)> = options.send.iter().map(Rule::remembered).collect();
        let now = clock.now();
        let loading = {
            let (log, reader) = (log.clone(), reader.clone());
            let session =
                Session { client_id: options.client_id.as_str().to_owned(), endpoint: options.endpoint.clone() };
            move || load(&*log, &reader, &filters, session, now)
        };
        let loaded = tokio::task::spawn_blocking(loading).await;
        let state = loaded.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(SnapshotError::Io { reader: reader.clone(), doing: "load", source })
        })?;
        let sieve = Arc::new(Sieve { rules: options.send.clone(), own: options.publisher() });
        let (tap, passing) = Tap::new(sieve.clone());
        broker.taps.add(&tap);
        let runs = state.stretches.iter().map(Run::of).collect();
        let now = Instant::now();
        Ok(Self {
            lane: broker.pipeline.lane(),
            broker,
            log,
            clock,
            options,
            status,
            sieve,
            losses: (state.lost_ever.messages, now, now),
            state,
            runs,
            dirty: false,
            suspect: None,
            passed_over: Vec::new(),
            oldest: None,
            dial,
            ears,
            reader,
            tap,
            passing,
            saving: None,
            telling: None,
            tell_after: TELL_AFTER,
            saved_at: now,
            behind: false,
            told_up: true,
            failures: 0,
            under_way: HashMap::new(),
        })
    }

    pub(super) fn tell(&self, notice: Notice) {
        self.ears.hear(notice);
    }

    /// Until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Some(link) = self.connect(&stop).await else { break };
            match link {
                Ok(link) => self.work(link, &stop).await,
                Err(trouble) => self.fail(trouble),
            }
            if !self.pause(&stop).await {
                break;
            }
        }
        self.tap.open.store(false, Ordering::Release);
        self.tell_losses(Some(Instant::now() + KEPT_WITHIN)).await;
        self.save_now().await;
    }

    /// Connects, or is switched off; `None`: stopped.
    async fn connect(&mut self, stop: &CancellationToken) -> Option<Result<Link, Trouble>> {
        let Some(dial) = self.dial.clone() else {
            self.idle_until(stop, None).await;
            return None;
        };
        let (options, bytes) = (self.options.clone(), self.broker.options.payload_bytes);
        let clean = self.is_clean();
        let mut opening = tokio::spawn(async move { Link::open(&options, &*dial, clean, bytes).await });
        let mut tick = interval(IDLE_TICK);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    opening.abort();
                    return None;
                }
                opened = &mut opening => {
                    let fault = |error: tokio::task::JoinError| Err(Trouble::new(error.to_string(), "report this as a fault of Andon"));
                    return Some(opened.unwrap_or_else(fault));
                }
                _ = tick.tick() => self.look_after(None).await,
            }
        }
    }

    /// What is to be subscribed to at the other side.
    pub(super) fn wanted(&self) -> Vec<(String, bool)> {
        self.options.receive.iter().map(Rule::remembered).collect()
    }

    /// Whether the other side keeps nothing for us between links.
    pub(super) fn is_clean(&self) -> bool {
        self.options.receive.is_empty()
    }

    /// The link did not come about, or is gone.
    fn fail(&mut self, trouble: Trouble) {
        tracing::debug!(bridge = self.options.name, "{}", trouble.text);
        if std::mem::replace(&mut self.told_up, false) {
            self.tell(Notice::Lost(trouble.clone()));
        }
        self.failures = self.failures.saturating_add(1);
        self.status.failed(trouble);
    }

    /// Waits before the next attempt: twice as long each time, up to the most, and not at the same moment as others. False: stopped.
    async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let doubled = self.options.retry_first.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let wait = doubled.min(self.options.retry_most);
        // From three quarters of it to all of it.
        let part = u32::try_from(new_id(&*self.clock).as_u128() & 0xFF).unwrap_or(0);
        let wait = wait * 3 / 4 + wait / 4 * part / 256;
        self.idle_until(stop, Some(Instant::now() + wait)).await;
        !stop.is_cancelled()
    }

    async fn idle_until(&mut self, stop: &CancellationToken, until: Option<Instant>) {
        let mut tick = interval(IDLE_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let over = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = over => return,
                _ = tick.tick() => self.look_after(None).await,
            }
        }
    }

    /// From the first packet behind CONNACK to the end of the link.
    async fn work(&mut self, link: Link, stop: &CancellationToken) {
        let begun = Instant::now();
        let stands = link.conn_ack.session_present && self.state.granted == self.wanted();
        if !stands && !self.state.granted.is_empty() {
            // Saved before anything is asked: neither the end of this link nor a kill must bring back what the other side has no more.
            self.state.granted.clear();
            self.dirty = true;
            self.save_now().await;
        }
        let mut online = match self.begin(link) {
            Ok(online) => online,
            Err(trouble) => return self.fail(trouble),
        };
        let end = self.serve(&mut online, stop).await;
        self.tap.open.store(false, Ordering::Release);
        while self.passing.try_recv().is_ok() {
            self.tap.missed.fetch_add(1, Ordering::Relaxed);
        }
        // Whoever writes may see it first.
        online.thrown_out |= end.is_err() && online.link.is_cut();
        if online.thrown_out && online.ready {
            let before = self.suspect.take();
            self.suspect = self.first_unanswered(&online).map(|which| {
                let before = before.filter(|suspect| suspect.which == which).map_or(0, |suspect| suspect.ends);
                Suspect { which, ends: before.saturating_add(1) }
            });
        }
        let flights =
            self.runs.iter().flat_map(|run| &run.window).filter(|flight| !flight.done && flight.packet_id != 0);
        self.under_way.extend(flights.map(|flight| (flight.seq, flight.packet_id)));
        if self.under_way.len() > UNDER_WAY {
            // Then what is sent again has a new identifier.
            self.under_way.clear();
        }
        self.runs.iter_mut().zip(&self.state.stretches).for_each(|(run, stretch)| *run = Run::of(stretch));
        if online.ready && begun.elapsed() >= GOOD_LINK {
            self.failures = 0;
        }
        match end {
            Ok(()) => online.link.close().await,
            Err(trouble) => {
                // It says nothing of what ended the link for another reason.
                let trouble = if online.thrown_out { self.named(trouble).await } else { trouble };
                self.fail(trouble);
                online.link.finish().await;
            }
        }
    }

    /// Of what is under way, what was sent first.
    fn first_unanswered(&self, online: &Online) -> Option<Which> {
        let runs = self.runs.iter().chain(online.owed.as_ref());
        let unanswered = runs.filter_map(|run| run.window.iter().find(|flight| !flight.done));
        let first = unanswered.min_by_key(|flight| flight.sent_at)?;
        Some(first.retained.clone().map_or(Which::Frame(first.seq), Which::Retained))
    }

    /// Where one and the same message ends the links, the trouble names it.
    async fn named(&self, trouble: Trouble) -> Trouble {
        let Some(suspect) = self.suspect.as_ref().filter(|suspect| suspect.is_certain()) else { return trouble };
        let topic = match &suspect.which {
            Which::Retained(topic) => Some(topic.clone()),
            Which::Frame(seq) => {
                let found = self.read(*seq, Some(*seq + 1)).await;
                found.and_then(|batch| batch.items.into_iter().next()).map(|item| item.message.topic.clone())
            }
        };
        let to = topic.map(|topic| format!(" to \"{}\"", brief(topic.as_str()))).unwrap_or_default();
        let text = format!(
            "the other side has ended {} links in a row at the same message{to}: {}",
            suspect.ends, trouble.text
        );
        let remedy = "look into its log why it does not take this message; or let the bridge pass over such messages: when_refused = \"skip\"";
        Trouble::new(text, remedy)
    }

    /// `Ok`: stopped.
    async fn serve(&mut self, online: &mut Online, stop: &CancellationToken) -> Result<(), Trouble> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What came in one piece with CONNACK.
        self.hear(online).await?;
        loop {
            let (reads, takes) = (online.may_read(), !online.taking.is_empty());
            let Online { link, taking, .. } = online;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                filled = link.fill(), if reads => {
                    if let Err(cut) = filled {
                        online.thrown_out |= cut.by_other_side;
                        return Err(cut.trouble);
                    }
                    self.hear(online).await?;
                }
                taken = next_taken(taking), if takes => self.taken(online, taken)?,
                item = self.passing.recv() => if let Some(item) = item {
                    self.pass(online, &item)?;
                },
                _ = self.lane.changed() => {}
                _ = tick.tick() => {
                    online.refill(self.options.catch_up_per_second, TICK);
                    self.look_after(Some(online)).await;
                    self.watch(online)?;
                }
            }
            self.pump(online).await?;
        }
    }

    /// A message that is not kept could not be sent.
    pub(super) fn missed(&self) {
        self.tap.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// The other side has granted everything: messages flow.
    pub(super) fn is_ready(&mut self) {
        self.tap.open.store(true, Ordering::Release);
        self.status.enter(LinkState::Connected);
        self.told_up = true;
        self.tell(Notice::Connected { waiting: self.state.waiting });
    }

    /// What hangs on the clock: counting what came, bounds, figures, notices, saving.
    async fn look_after(&mut self, online: Option<&mut Online>) {
        self.scout(online).await;
        self.keep_bounds().await;
        self.nothing_waits();
        let (waiting, lost, oldest) = (self.state.waiting, self.state.lost_ever, self.oldest);
        let missed = self.tap.missed.load(Ordering::Relaxed);
        self.tell_lag();
        let behind = self.behind;
        self.status.set(|report| {
            (report.waiting, report.lost, report.oldest, report.behind) = (waiting, lost, oldest, behind);
            (report.not_sent, report.looked) = (missed, true);
        });
        self.status.tick();
        self.tell_losses(None).await;
        if self.dirty
            && self.saved_at.elapsed() >= SAVE_EVERY
            && self.saving.as_ref().is_none_or(JoinHandle::is_finished)
        {
            self.save();
        }
    }

    fn tell_lag(&mut self) {
        let age = self.oldest.map(|oldest| self.clock.now().since(oldest));
        if let (Some(oldest), false) = (self.oldest.filter(|_| age >= Some(self.options.alarm_after)), self.behind) {
            self.behind = true;
            self.tell(Notice::Behind { oldest, waiting: self.state.waiting });
        } else if self.behind && age.is_none_or(|age| age < self.options.alarm_after / 2) {
            self.behind = false;
            self.tell(Notice::CaughtUp);
        }
    }

    /// Losses are told together, once a while without new ones went by. They are in the state until it is known that they are kept.
    /// `until`: they are told now, and it is waited so long until they are kept.
    async fn tell_losses(&mut self, until: Option<Instant>) {
        let (count, changed, first) = self.losses;
        let now = Instant::now();
        if self.state.lost_ever.messages != count {
            self.losses = (self.state.lost_ever.messages, now, if now - changed > TELL_AFTER { now } else { first });
            self.dirty = true;
        }
        self.told(until).await;
        let due = now - self.losses.1 >= self.tell_after || now - self.losses.2 >= TELL_AT_LATEST;
        if self.state.lost.is_empty() || self.telling.is_some() || !(due || until.is_some()) {
            return;
        }
        self.losses.2 = now;
        self.dirty = true;
        self.state.telling = std::mem::take(&mut self.state.lost);
        let keeping: Vec<_> = self.state.telling.iter().map(|lost| self.ears.lost(lost.clone())).collect();
        self.telling = Some(tokio::spawn(async move {
            let mut kept = Vec::with_capacity(keeping.len());
            for keeping in keeping {
                kept.push(keeping.await);
            }
            kept
        }));
        if until.is_some() {
            self.told(until).await;
        }
    }

    /// What became of the losses that are being told; `until`: waits so long, if nothing became of them yet.
    async fn told(&mut self, until: Option<Instant>) {
        let Some(telling) = self.telling.take_if(|telling| until.is_some() || telling.is_finished()) else { return };
        let kept = match until {
            Some(until) => timeout_at(until, telling).await.ok().and_then(Result::ok),
            None => telling.await.ok(),
        };
        let all = self.state.told(&kept.unwrap_or_default());
        self.tell_after = if all { TELL_AFTER } else { (self.tell_after * 2).min(TELL_AT_LATEST) };
        self.dirty = true;
        // What could not be kept is not told again at once.
        self.losses.1 = Instant::now();
    }

    fn save(&mut self) {
        let (log, reader, bytes) = (self.log.clone(), self.reader.clone(), self.state.encode());
        let at = Positions { messages: Seq(self.state.needed_from().saturating_sub(1)), ..Positions::default() };
        (self.dirty, self.saved_at) = (false, Instant::now());
        self.saving = Some(tokio::task::spawn_blocking(move || {
            log.save_snapshot(&reader, at, &bytes).inspect_err(|error| {
                tracing::error!(%error, reader, "could not save how far a bridge has come; what it sent since will be sent again after a restart");
            })
        }));
    }

    async fn save_now(&mut self) {
        if let Some(saving) = self.saving.take() {
            let _ = saving.await;
        }
        if self.dirty {
            self.save();
            if let Some(saving) = self.saving.take() {
                // A failure was logged.
                let _ = saving.await;
            }
        }
    }
}

/// The state as it was saved, or a new one, which is saved at once. Blocking.
fn load(
    log: &dyn Log,
    reader: &str,
    filters: &[(String, bool)],
    session: Session,
    now: Timestamp,
) -> Result<State, SnapshotError> {
    log.register_reader(reader, &[Lane::Messages])?;
    let unusable = |reason: String| SnapshotError::Unusable { reader: reader.to_owned(), reason };
    let mut state = match log.load_snapshot(reader)? {
        Some(snapshot) => State::decode(&snapshot.state).map_err(unusable)?,
        None => State::new(log.durable_seq(Lane::Messages).0, now),
    };
    state.told(&[]);
    let moved = state.move_to(session);
    let follows = state.follow(filters, now);
    if follows {
        // Other messages are to be sent now: they are counted from the first on. What is refused now was told already.
        state.take_again();
        state.count_anew(state.needed_from().saturating_sub(1));
    }
    if moved || follows {
        let at = Positions { messages: Seq(state.needed_from().saturating_sub(1)), ..Positions::default() };
        log.save_snapshot(reader, at, &state.encode())?;
    }
    Ok(state)
}
