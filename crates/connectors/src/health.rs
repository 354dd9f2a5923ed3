//! How a connector is doing, in plain words: kept by its driver, read by anybody at any time.

use crate::TestReport;
use andon_bus::Arrivals;
use andon_model::plant::{ConnectorDef, Finding};
use andon_model::{Clock, Timestamp};
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rates are averaged over this time.
const WINDOW: Duration = Duration::from_secs(5);

/// Whether a connector is working.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorState {
    /// The device answers.
    Connected,
    /// The first attempt is under way.
    Connecting,
    /// The device does not answer, or the settings are wrong; it is tried again by itself.
    Failed,
    /// Switched off in the plant model.
    Disabled,
}

/// The last thing that went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// What, in plain words.
    pub text: String,
    /// What to try.
    pub remedy: String,
}

/// How a bridge to another broker is doing.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BridgeFigures {
    /// Messages that are to be sent and were not acknowledged yet.
    pub waiting_messages: u64,
    /// Bytes of their topics and payloads.
    pub waiting_bytes: u64,
    /// When the oldest of them was received here.
    pub oldest: Option<Timestamp>,
    /// Whether it has waited for longer than is to be borne.
    pub behind: bool,
    /// Messages sent since the start.
    pub sent: u64,
    /// Messages taken since the start.
    pub received: u64,
    /// Sent per second, averaged over some seconds.
    pub sent_per_s: f64,
    /// Taken per second, averaged over some seconds.
    pub received_per_s: f64,
    /// When the other side last acknowledged a message.
    pub last_success: Option<Timestamp>,
    /// Messages lost since there is this bridge.
    pub lost_messages: u64,
    /// Messages with QoS 0 that were not sent for want of a link, since the start.
    pub not_sent: u64,
    /// Messages that came back over a ring of bridges and went no further, since the start.
    pub looped: u64,
}

/// A connector's health at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ConnectorHealth {
    /// Its name in the plant model.
    pub name: String,
    /// `modbus`, …
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// Whether it should run.
    pub enabled: bool,
    /// Whether it does.
    pub state: ConnectorState,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// The smoothed time of a request, in ms; `None` before the first answer.
    pub latency_ms: Option<f64>,
    /// Samples brought per second, averaged over some seconds.
    pub samples_per_s: f64,
    /// Requests sent since the start.
    pub requests: u64,
    /// Requests that failed, connections that did not come about, and registers that began to be refused.
    pub errors: u64,
    /// The last thing that went wrong; kept after it is over.
    pub last_error: Option<LastError>,
    /// How many tags the device refuses now, though it answers.
    pub refused: usize,
    /// Where it connects to.
    pub endpoint: String,
    /// How many tags it feeds.
    pub tags: usize,
    /// Of a bridge to another broker.
    pub bridge: Option<BridgeFigures>,
}

#[derive(Debug)]
struct Figures {
    state: ConnectorState,
    since: Timestamp,
    latency_ms: Option<f64>,
    requests: u64,
    errors: u64,
    last_error: Option<LastError>,
    refused: usize,
    window_start: Duration,
    window_samples: u64,
    samples_per_s: f64,
}

/// A connector that does not run: it is switched off, or something is wrong with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Broken {
    /// As it stands in the plant model.
    pub def: ConnectorDef,
    text: String,
    remedy: String,
    since: Timestamp,
}

impl Broken {
    /// One that cannot run for the first of these findings, or that is switched off, as of `now`.
    #[must_use]
    pub fn new(def: &ConnectorDef, findings: Vec<Finding>, now: Timestamp) -> Self {
        let first = findings.into_iter().next();
        let (text, remedy) = first.map(|finding| (finding.message, finding.remedy)).unwrap_or_default();
        Self { def: def.clone(), text, remedy, since: now }
    }

    /// How it is doing.
    #[must_use]
    pub fn report(&self, clock: &Arc<dyn Clock>) -> ConnectorHealth {
        let state = if self.def.enabled { ConnectorState::Failed } else { ConnectorState::Disabled };
        let figures = Health::new(state, clock.clone());
        if self.def.enabled {
            figures.failed(self.text.clone(), &self.remedy);
        }
        ConnectorHealth { since: self.since, ..figures.report(&self.def, String::new(), 0) }
    }

    /// That it does not work, and why.
    #[must_use]
    pub fn test(&self) -> TestReport {
        let detail =
            if self.def.enabled { format!("{}; {}", self.text, self.remedy) } else { "it is switched off".to_owned() };
        TestReport { ok: false, detail }
    }
}

/// The figures of one running connector.
#[derive(Debug)]
pub struct Health {
    figures: Mutex<Figures>,
    /// How far its readings have come.
    pub(crate) arrivals: Arrivals,
    clock: ClockHandle,
}

/// A clock has no `Debug`.
struct ClockHandle(Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Health {
    /// A connector in this state, as of now.
    #[must_use]
    pub fn new(state: ConnectorState, clock: Arc<dyn Clock>) -> Self {
        let figures = Figures {
            state,
            since: clock.now(),
            latency_ms: None,
            requests: 0,
            errors: 0,
            last_error: None,
            refused: 0,
            window_start: clock.monotonic(),
            window_samples: 0,
            samples_per_s: 0.0,
        };
        Self { figures: Mutex::new(figures), arrivals: Arrivals::default(), clock: ClockHandle(clock) }
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half done.
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> ConnectorState {
        self.lock().state
    }

    /// Enters a state; staying in it keeps its time.
    pub fn enter(&self, state: ConnectorState) {
        let now = self.clock.0.now();
        let mut figures = self.lock();
        if figures.state != state {
            figures.state = state;
            figures.since = now;
        }
        if state != ConnectorState::Connected {
            figures.samples_per_s = 0.0;
            figures.window_samples = 0;
        }
    }

    /// A request was answered (an exception is an answer).
    pub fn answered(&self, latency: Duration) {
        let ms = latency.as_secs_f64() * 1000.0;
        let mut figures = self.lock();
        figures.requests += 1;
        figures.latency_ms = Some(figures.latency_ms.map_or(ms, |before| before + (ms - before) / 8.0));
    }

    /// A request was sent and failed.
    pub fn unanswered(&self) {
        self.lock().requests += 1;
    }

    /// Something went wrong.
    pub fn failed(&self, text: String, remedy: &str) {
        let at = self.clock.0.now();
        let mut figures = self.lock();
        figures.errors += 1;
        figures.last_error = Some(LastError { at, text, remedy: remedy.to_owned() });
    }

    /// So many tags are refused now.
    pub fn refuses(&self, tags: usize) {
        self.lock().refused = tags;
    }

    /// Samples were published.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn brought(&self, samples: usize) {
        let now = self.clock.0.monotonic();
        let mut figures = self.lock();
        figures.window_samples += samples as u64;
        let elapsed = now.saturating_sub(figures.window_start);
        if elapsed >= WINDOW {
            figures.samples_per_s = figures.window_samples as f64 / elapsed.as_secs_f64();
            figures.window_start = now;
            figures.window_samples = 0;
        } else if figures.samples_per_s == 0.0 && elapsed >= Duration::from_secs(1) {
            figures.samples_per_s = figures.window_samples as f64 / elapsed.as_secs_f64();
        }
    }

    /// The health of a connector: what it is and how it is doing.
    #[must_use]
    pub fn report(&self, def: &ConnectorDef, endpoint: String, tags: usize) -> ConnectorHealth {
        let figures = self.lock();
        ConnectorHealth {
            name: def.name.clone(),
            kind: def.kind.clone(),
            title: def.title.clone(),
            enabled: def.enabled,
            state: figures.state,
            since: figures.since,
            latency_ms: figures.latency_ms,
            samples_per_s: figures.samples_per_s,
            requests: figures.requests,
            errors: figures.errors,
            last_error: figures.last_error.clone(),
            refused: figures.refused,
            endpoint,
            tags,
            bridge: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::SystemClock;

    #[test]
    fn what_does_not_run_says_why_and_since_when() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let def = |enabled| ConnectorDef {
            name: "a".to_owned(),
            kind: "modbus".to_owned(),
            title: "A".to_owned(),
            enabled,
            settings: serde_json::Value::Null,
        };
        let finding =
            |text: &str| Finding { pointer: Vec::new(), message: text.to_owned(), remedy: "mend it".to_owned() };
        let now = Timestamp::from_millis(5);
        let broken = Broken::new(&def(true), vec![finding("no"), finding("neither")], now);
        let report = broken.report(&clock);
        let error = report.last_error.expect("it failed");
        assert_eq!((report.state, report.since, report.tags), (ConnectorState::Failed, now, 0));
        assert_eq!((error.text.as_str(), error.remedy.as_str()), ("no", "mend it"));
        assert_eq!(broken.test(), TestReport { ok: false, detail: "no; mend it".to_owned() });
        let off = Broken::new(&def(false), Vec::new(), now);
        assert_eq!((off.report(&clock).state, off.report(&clock).last_error), (ConnectorState::Disabled, None));
        assert_eq!(off.test().detail, "it is switched off");
    }
}
