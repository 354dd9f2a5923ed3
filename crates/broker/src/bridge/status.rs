//! How a bridge is doing: kept by its task, read by anybody at any time.

use super::state::Amount;
use andon_model::{Clock, Timestamp};
use andon_wire::mqtt::Text;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rates are averaged over this time.
const WINDOW: Duration = Duration::from_secs(5);

/// Whether the link works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The other side let us in, granted every subscription and answers what it is asked.
    Connected,
    /// The first attempt is under way.
    Connecting,
    /// There is no link, or the other side does not answer; it is tried again by itself.
    Failed,
    /// Switched off: what is to be sent is kept.
    Off,
}

/// Why a link ended or did not come about, in plain words, and what to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub text: String,
    /// What to try.
    pub remedy: String,
}

impl Trouble {
    /// In plain words.
    pub fn new(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: remedy.into() }
    }
}

/// The most characters of a text of the other side that are shown to people.
const SHOWN: usize = 200;

/// A text of the other side, cut where it is too long for people; the cut is marked.
pub(super) fn brief(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The words that the other side gives with a reason, for the end of a sentence.
pub(super) fn words(reason: Option<&Text>) -> String {
    reason.map(|text| format!(": {:?}", brief(text.as_str()))).unwrap_or_default()
}

/// What a bridge tells those around it, once each time it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The link is there. `waiting`: what is to be caught up on.
    Connected {
        /// How much waits to be sent.
        waiting: Amount,
    },
    /// The link ended, or the first attempt failed; further attempts that fail are not told.
    Lost(Trouble),
    /// The oldest message that waits has waited for longer than is to be borne in silence.
    Behind {
        /// When it was received.
        oldest: Timestamp,
        /// How much waits.
        waiting: Amount,
    },
    /// It is so no more.
    CaughtUp,
}

/// The figures at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Whether the link works.
    pub state: LinkState,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was looked at what waits; until then these figures are not known.
    pub looked: bool,
    /// What is to be sent and was not acknowledged yet.
    pub waiting: Amount,
    /// When the oldest of it was received here.
    pub oldest: Option<Timestamp>,
    /// Whether it has waited for too long.
    pub behind: bool,
    /// Messages that the other side acknowledged, or that were sent with QoS 0, since the start.
    pub sent: u64,
    /// Messages taken from the other side since the start.
    pub received: u64,
    /// Sent per second, averaged over some seconds.
    pub sent_per_s: f64,
    /// Taken per second, averaged over some seconds.
    pub received_per_s: f64,
    /// When the other side last acknowledged a message.
    pub last_success: Option<Timestamp>,
    /// What was lost since there is this bridge.
    pub lost: Amount,
    /// Messages with QoS 0 that were not sent for want of a link or of room, since the start.
    pub not_sent: u64,
    /// Messages that came back over a ring of bridges and were not sent or taken again, since the start.
    pub looped: u64,
    /// Links that ended and attempts that failed since the start.
    pub failures: u64,
    /// The last thing that went wrong; kept after it is over.
    pub last_trouble: Option<(Timestamp, Trouble)>,
    /// From a message to its acknowledgement, smoothed, in ms.
    pub latency_ms: Option<f64>,
}

impl Report {
    /// Nothing has happened yet. `since`: since when it is in this state.
    #[must_use]
    pub fn new(state: LinkState, since: Timestamp) -> Self {
        Self {
            state,
            since,
            looked: false,
            waiting: Amount::default(),
            oldest: None,
            behind: false,
            sent: 0,
            received: 0,
            sent_per_s: 0.0,
            received_per_s: 0.0,
            last_success: None,
            lost: Amount::default(),
            not_sent: 0,
            looped: 0,
            failures: 0,
            last_trouble: None,
            latency_ms: None,
        }
    }
}

#[derive(Debug, Default)]
struct Rate {
    count: u64,
    per_s: f64,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn turn(&mut self, elapsed: Duration) {
        self.per_s = self.count as f64 / elapsed.as_secs_f64();
        self.count = 0;
    }
}

struct Figures {
    report: Report,
    window: Duration,
    sent: Rate,
    received: Rate,
}

/// The figures of one bridge.
pub(super) struct Status {
    figures: Mutex<Figures>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Status").finish_non_exhaustive()
    }
}

impl Status {
    pub(super) fn new(state: LinkState, clock: Arc<dyn Clock>) -> Self {
        let report = Report::new(state, clock.now());
        let window = clock.monotonic();
        let figures = Figures { report, window, sent: Rate::default(), received: Rate::default() };
        Self { figures: Mutex::new(figures), clock }
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn report(&self) -> Report {
        self.lock().report.clone()
    }

    /// Changes figures that stand for themselves.
    pub(super) fn set(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock().report);
    }

    /// Enters a state; staying in it keeps its time.
    pub(super) fn enter(&self, state: LinkState) {
        let now = self.clock.now();
        let mut figures = self.lock();
        if figures.report.state != state {
            (figures.report.state, figures.report.since) = (state, now);
        }
    }

    pub(super) fn failed(&self, trouble: Trouble) {
        let now = self.clock.now();
        let mut figures = self.lock();
        figures.report.failures += 1;
        figures.report.last_trouble = Some((now, trouble));
        drop(figures);
        self.enter(LinkState::Failed);
    }

    /// A message crossed; `latency`: how long its acknowledgement took, where there is one.
    pub(super) fn sent(&self, latency: Option<Duration>) {
        let now = self.clock.now();
        let mut figures = self.lock();
        figures.report.sent += 1;
        figures.sent.count += 1;
        if let Some(latency) = latency {
            let ms = latency.as_secs_f64() * 1000.0;
            let before = figures.report.latency_ms;
            figures.report.latency_ms = Some(before.map_or(ms, |before| before + (ms - before) / 8.0));
            figures.report.last_success = Some(now);
        }
    }

    pub(super) fn received(&self) {
        let mut figures = self.lock();
        figures.report.received += 1;
        figures.received.count += 1;
    }

    /// Turns the rates when their time is over.
    pub(super) fn tick(&self) {
        let now = self.clock.monotonic();
        let mut figures = self.lock();
        let elapsed = now.saturating_sub(figures.window);
        if elapsed >= WINDOW {
            figures.window = now;
            figures.sent.turn(elapsed);
            figures.received.turn(elapsed);
            (figures.report.sent_per_s, figures.report.received_per_s) = (figures.sent.per_s, figures.received.per_s);
        }
    }
}
