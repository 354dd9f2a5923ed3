//! What the door remembers: commands under way, and how the last ones ended.
//!
//! The same id gives the same report, over restarts too. The snapshot holds finished commands only; its position in
//! the records lane never passes the start of a command that is under way, so that a restart finds its intent.

use andon_model::access::Principal;
use andon_model::command::{CommandReport, CommandRequest};
use andon_model::event::{CommandStep, Event, Step};
use andon_model::log::Seq;
use andon_model::{Sample, StatusCode, TagId, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use tokio::sync::watch;
use uuid::Uuid;

/// How many finished commands are remembered; then the oldest is forgotten.
pub(crate) const FINISHED_MAX: usize = 10_000;

/// The version of the snapshot's state.
const VERSION: u8 = 1;

/// What a command asked for: a second one with the same id must ask the same.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The tag's path: a restart knows it from the events.
    pub(crate) path: String,
    pub(crate) value: Value,
    pub(crate) by: Principal,
}

impl Asked {
    pub(crate) fn of(request: &CommandRequest, path: &str) -> Self {
        Self { path: path.to_owned(), value: request.value.clone(), by: request.by.clone() }
    }
}

/// How a command ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) id: Uuid,
    pub(crate) asked: Asked,
    pub(crate) outcome: Step,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read_back: Option<Sample>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// False when the outcome could not be recorded: then a snapshot must not hide the intent from the next start.
    #[serde(skip, default = "yes")]
    pub(crate) recorded: bool,
}

const fn yes() -> bool {
    true
}

impl Finished {
    pub(crate) fn report(&self) -> CommandReport {
        CommandReport {
            id: self.id,
            outcome: self.outcome,
            read_back: self.read_back.clone(),
            detail: self.detail.clone(),
        }
    }

    /// From the event of an outcome. The event has only the value that was read back; its times are the event's.
    fn from_event(event: &Event, step: &CommandStep, tag: Option<TagId>) -> Self {
        let read_back = step.read_back.clone().zip(tag).map(|(value, tag)| Sample {
            tag,
            value,
            quality: StatusCode::GOOD,
            source_ts: event.at,
            received_ts: event.at,
        });
        let asked = Asked { path: event.path.clone(), value: step.value.clone(), by: event.by.clone() };
        Self { id: step.command, asked, outcome: step.step, read_back, detail: step.detail.clone(), recorded: true }
    }
}

/// A command under way.
pub(crate) struct Running {
    pub(crate) asked: Asked,
    /// The last durable record before it began.
    pub(crate) since: Seq,
    /// Its report, once there is one.
    pub(crate) report: watch::Receiver<Option<CommandReport>>,
}

/// Everything the door remembers.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) running: HashMap<Uuid, Running>,
    /// Which command holds which tag.
    pub(crate) tags: HashMap<TagId, Uuid>,
    finished: HashMap<Uuid, Finished>,
    order: VecDeque<Uuid>,
    /// Intents found at start whose outcome is not known, in their order.
    pub(crate) undecided: BTreeMap<Seq, Event>,
    /// No snapshot goes past this: behind it is an intent whose outcome could not be recorded.
    floor: Option<Seq>,
    /// Changes since the last snapshot.
    pub(crate) changed: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u8,
    finished: Vec<Finished>,
}

impl Memory {
    pub(crate) fn finished(&self, id: Uuid) -> Option<&Finished> {
        self.finished.get(&id)
    }

    /// How many finished commands are remembered.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// Remembers an outcome. The first one of an id stands.
    pub(crate) fn finish(&mut self, finished: Finished) {
        let id = finished.id;
        let since = self.running.remove(&id).map(|running| running.since);
        if !finished.recorded {
            self.floor = self.floor.into_iter().chain(since).min();
        }
        self.tags.retain(|_, holder| *holder != id);
        if self.finished.contains_key(&id) {
            return;
        }
        self.changed = true;
        self.finished.insert(id, finished);
        self.order.push_back(id);
        while self.order.len() > FINISHED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.finished.remove(&oldest);
            }
        }
    }

    /// Takes in an event of the records lane, at start.
    pub(crate) fn replay(&mut self, seq: Seq, event: Event, step: &CommandStep, tag: Option<TagId>) {
        if step.step == Step::Intent {
            if !self.finished.contains_key(&step.command) {
                self.undecided.insert(seq, event);
            }
            return;
        }
        self.undecided.retain(|_, intent| command_of(intent) != Some(step.command));
        self.finish(Finished::from_event(&event, step, tag));
    }

    /// Up to where the records lane is in the snapshot, given what is durable now.
    pub(crate) fn position(&self, durable: Seq) -> Seq {
        let running = self.running.values().map(|running| running.since);
        let undecided = self.undecided.keys().map(|seq| Seq(seq.0.saturating_sub(1)));
        running.chain(undecided).chain(self.floor).fold(durable, Seq::min)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let finished = self.order.iter().filter_map(|id| self.finished.get(id));
        let finished = finished.filter(|finished| finished.recorded).cloned().collect();
        serde_json::to_vec(&Saved { version: VERSION, finished }).unwrap_or_default()
    }

    /// Takes in a snapshot's state.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<(), String> {
        let saved: Saved = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if saved.version != VERSION {
            return Err(format!("format version {} is unknown", saved.version));
        }
        saved.finished.into_iter().for_each(|finished| self.finish(finished));
        self.changed = false;
        Ok(())
    }
}

fn command_of(event: &Event) -> Option<Uuid> {
    match &event.what {
        andon_model::event::What::Command(step) => Some(step.command),
        _ => None,
    }
}
