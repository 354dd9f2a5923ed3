//! One alarm of the plant: its machine, what is recorded of it, and the steps between the two.
//!
//! The machine runs ahead; a step becomes visible when its event is durable. Steps of one alarm are recorded one
//! after the other, so that the records lane tells them in their order even when the disk refuses for a while.

use crate::engine::AcknowledgeError;
use crate::machine::{Cause, Machine, Rule, step};
use crate::status::{Shown, limit_of};
use andon_model::access::Principal;
use andon_model::event::{AlarmChange, AlarmState, Event, What};
use andon_model::log::{AppendError, Seq};
use andon_model::plant::AlarmDef;
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Steps of one alarm that may wait to be recorded. When it is full the machine stands still; the newest value is kept
/// and looked at when there is room again, so the state comes right while some chatter goes unrecorded.
const WAITING_MAX: usize = 16;

pub(crate) type Reply = oneshot::Sender<Result<AlarmState, AcknowledgeError>>;

/// A step that is not durable yet.
#[derive(Debug)]
pub(crate) struct Step {
    /// The id of its event, kept over retries.
    pub(crate) id: Uuid,
    pub(crate) cause: Cause,
    pub(crate) at: Timestamp,
    pub(crate) source_at: Option<Timestamp>,
    /// The occurrence that this step begins, should it begin one.
    pub(crate) occurrence: Uuid,
    pub(crate) by: Principal,
    pub(crate) note: Option<String>,
    pub(crate) value: Value,
    pub(crate) quality: StatusCode,
    /// Who waits to hear of it.
    pub(crate) reply: Option<Reply>,
}

/// Where the first waiting step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recording {
    /// Not with the recorder.
    Idle,
    /// With the recorder; the number was the last durable one before.
    UnderWay(Seq),
    /// Refused by the recorder; will be tried again.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Alarm {
    pub(crate) def: AlarmDef,
    pub(crate) tag: Option<TagId>,
    pub(crate) machine: Machine,
    /// What is durable; `None`: normal.
    pub(crate) shown: Option<Shown>,
    pub(crate) waiting: VecDeque<Step>,
    pub(crate) recording: Recording,
    /// The newest sample, by source time.
    pub(crate) last: Option<Sample>,
    /// A sample came while the machine stood still.
    pub(crate) owed: bool,
    /// Taken out of the plant model; kept until that is recorded.
    pub(crate) removed: bool,
    /// When a timer will look at it next.
    pub(crate) wake: Option<Duration>,
}

impl Alarm {
    pub(crate) fn new(def: AlarmDef, tag: Option<TagId>, shown: Option<Shown>, now: Duration) -> Self {
        let state = shown.as_ref().map_or(AlarmState::Normal, |shown| shown.state);
        Self {
            machine: Machine::new(Rule::of(&def), state, now),
            def,
            tag,
            shown,
            waiting: VecDeque::new(),
            recording: Recording::Idle,
            last: None,
            owed: false,
            removed: false,
            wake: None,
        }
    }

    pub(crate) fn shown_state(&self) -> AlarmState {
        self.shown.as_ref().map_or(AlarmState::Normal, |shown| shown.state)
    }

    pub(crate) fn stands_still(&self) -> bool {
        self.waiting.len() >= WAITING_MAX || self.removed
    }

    /// The occurrence that the machine is in, `None` while it is normal: what is shown, moved on by what waits.
    pub(crate) fn live_occurrence(&self) -> Option<Uuid> {
        self.live().1
    }

    /// State and occurrence after everything that waits.
    fn live(&self) -> (AlarmState, Option<Uuid>) {
        let shown = (self.shown_state(), self.shown.as_ref().map(|shown| shown.occurrence));
        self.waiting.iter().fold(shown, |(state, occurrence), waiting| match step(state, waiting.cause) {
            Some(AlarmState::Normal) => (AlarmState::Normal, None),
            Some(to) => (to, occurrence.or(Some(waiting.occurrence))),
            None => (state, occurrence),
        })
    }

    /// The event of the first waiting step. Steps that no longer change anything (the one before them was withdrawn)
    /// are dropped.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        loop {
            let first = self.waiting.front()?;
            let from = self.shown_state();
            let Some(to) = step(from, first.cause) else {
                self.waiting.pop_front();
                continue;
            };
            let occurrence = self.shown.as_ref().map_or(first.occurrence, |shown| shown.occurrence);
            let change = AlarmChange {
                alarm: self.def.name.clone(),
                occurrence,
                from,
                to,
                priority: self.def.priority,
                condition: self.def.condition.word().to_owned(),
                message: self.def.message.clone(),
                value: first.value.clone(),
                quality: first.quality,
                limit: limit_of(&self.def),
                note: first.note.clone(),
            };
            return Some(Event {
                id: first.id,
                at: first.at,
                source_at: first.source_at,
                path: self.def.tag.to_string(),
                by: first.by.clone(),
                what: What::Alarm(change),
            });
        }
    }

    /// The first waiting step is durable.
    pub(crate) fn recorded(&mut self, event: &Event) {
        if let What::Alarm(change) = &event.what {
            self.shown = Shown::after(self.shown.take(), event, change);
        }
        self.recording = Recording::Idle;
        if let Some(reply) = self.waiting.pop_front().and_then(|done| done.reply) {
            let _ = reply.send(Ok(self.shown_state()));
        }
    }

    /// The first waiting step could not be recorded. Acknowledgements are withdrawn and their people told; everything
    /// else is a fact of the process, and waits.
    pub(crate) fn refused(&mut self, error: &AppendError) {
        self.recording = Recording::Refused;
        let (withdrawn, facts): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|waiting| waiting.cause == Cause::Acknowledged);
        self.waiting = facts;
        for reply in withdrawn.into_iter().filter_map(|withdrawn| withdrawn.reply) {
            let _ = reply.send(Err(AcknowledgeError::NotRecorded(error.clone())));
        }
        self.machine.set_state(self.live().0);
    }
}
