//! People's word on what a machine was in.

use super::{Manufacturing, State};
use andon_api::ports::mes::{CorrectionWish, MesProblem, Said};
use andon_bus::ids::new_id;
use andon_mes::element::Seen;
use andon_mes::floor::{change, past, touched};
use andon_mes::packml;
use andon_mes::steps::Interval;
use andon_mes::unit::{Change, Correction};
use andon_model::access::Principal;
use andon_model::event::{Event, MachineCorrection, What};
use andon_store::floor::{FloorRepository, StoredCorrection};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the answer waits for the event to be in the records lane.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);
/// The longest span that is put right at once.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// As it is kept: `{"reason": "Mechanical/Jam"}`, `{"state": "Held"}`, `{"as_recorded": true}`, each with a `note` or without.
fn to_json(said: &Said, note: Option<&str>) -> serde_json::Value {
    let mut change = match said {
        Said::Reason(name) => json!({ "reason": name }),
        Said::State(name) => json!({ "state": name }),
        Said::AsRecorded => json!({ "as_recorded": true }),
    };
    if let Some(note) = note {
        change["note"] = json!(note);
    }
    change
}

/// What the person wrote about it.
pub(super) fn note_of(change: &serde_json::Value) -> Option<String> {
    change.get("note")?.as_str().map(str::to_owned)
}

/// In words, as events tell it.
pub(super) fn words(said: &Said) -> String {
    match said {
        Said::Reason(name) => format!("reason {name}"),
        Said::State(name) => format!("state {name}"),
        Said::AsRecorded => "as recorded".to_owned(),
    }
}

/// From how it is kept.
pub(super) fn said_of(change: &serde_json::Value) -> Option<Said> {
    let text = |key: &str| change.get(key)?.as_str().map(str::to_owned);
    text("reason")
        .map(Said::Reason)
        .or_else(|| text("state").map(Said::State))
        .or_else(|| change.get("as_recorded").map(|_| Said::AsRecorded))
}

fn change_of(state: &State, said: &Said) -> Option<Change> {
    Some(match said {
        Said::Reason(name) => Change::Reason(*state.reasons.get(name)?),
        Said::State(name) => Change::State(Seen::producing(packml::State::from_name(name)?)),
        Said::AsRecorded => Change::AsRecorded,
    })
}

/// A kept correction, as the log takes it.
pub(super) fn of_stored(state: &State, stored: &StoredCorrection) -> Option<Correction> {
    let change = change_of(state, &said_of(&stored.change)?)?;
    Some(Correction { from: stored.from, to: stored.to, change, by: stored.by, at: stored.at })
}

impl Manufacturing {
    /// Takes a person's word; its number. Durable and in every KPI when it returns. The same key again changes nothing.
    pub(super) async fn put_right(&self, wish: CorrectionWish, by: Principal) -> Result<u32, MesProblem> {
        let change = |own: Arc<Self>| async move { own.put_right_in_turn(wish, by).await };
        let (number, told) = self.to_the_end(change, MesProblem::Failed).await?;
        if let Some(event) = told {
            self.store.relay_now(event, RECORDED_WITHIN).await?;
        }
        Ok(number)
    }

    async fn put_right_in_turn(&self, wish: CorrectionWish, by: Principal) -> Result<(u32, Option<Uuid>), MesProblem> {
        let _turn = self.turn.write().await;
        let unit = self.state().units.get(&wish.path).copied();
        let unit = unit.ok_or_else(|| MesProblem::NoMachine(wish.path.clone()))?;
        let said = to_json(&wish.said, wish.note.as_deref());
        if let Some(known) = self.store.floor_correction_of(wish.key).await? {
            let same = (known.unit, known.by, known.from, known.to, &known.change)
                == (unit.0, by.id, wish.from, wish.to, &said);
            let other = "another correction was made with this key; make a new one for each";
            return if same { Ok((known.number, None)) } else { Err(MesProblem::Conflict(other.to_owned())) };
        }
        let now = self.clock.now();
        let number = self.store.floor_last_correction().await?.saturating_add(1);
        let (settings, correction) = {
            let state = self.state();
            let change = change_of(&state, &wish.said).ok_or_else(|| match &wish.said {
                Said::Reason(name) => MesProblem::Refused(
                    format!("there is no reason \"{name}\""),
                    "choose one of /api/mes/reasons, or add a [[reason]]".to_owned(),
                ),
                _ => MesProblem::Refused(
                    "there is no such state".to_owned(),
                    "write a PackML state, such as Execute or Held".to_owned(),
                ),
            })?;
            let settings = state
                .follower
                .floor()
                .settings_of(unit)
                .cloned()
                .ok_or_else(|| MesProblem::NoMachine(wish.path.clone()))?;
            (settings, Correction { from: wish.from, to: wish.to, change, by: by.id, at: now })
        };
        if wish.to > now || wish.to <= wish.from || wish.to.since(wish.from) > LONGEST {
            return Err(MesProblem::Refused(
                format!("the span from {} to {} cannot be put right", wish.from, wish.to),
                "end it after its beginning, not later than now, and at most 31 days later".to_owned(),
            ));
        }
        let kept_until = self.state().follower.floor().kept_until();
        let (slots, window) = touched(settings.rules, wish.from, wish.to, kept_until);
        let batch = if slots.is_empty() {
            andon_mes::floor::Batch::default()
        } else {
            let hours = self.kept_hours(unit, window).await?;
            let mut corrections = self.said_of(unit, window).await?;
            corrections.push((number, correction.clone()));
            let state = self.state();
            let log = past(state.follower.floor(), unit, window, &hours, corrections);
            let before: Vec<_> = hours.into_iter().filter(|hour| slots.contains(&hour.hour)).collect();
            change(unit, &settings, &log, &state.counts_as(), &before)
        };
        let stored = StoredCorrection {
            number,
            unit: unit.0,
            from: wish.from,
            to: wish.to,
            change: said,
            by: by.id,
            at: now,
            key: wish.key,
        };
        let says = words(&wish.said);
        let what = What::Machine(MachineCorrection { number, until: wish.to, says, note: wish.note });
        let event = Event { id: new_id(&*self.clock), at: now, source_at: Some(wish.from), path: wish.path, by, what };
        let told = event.id;
        self.keep(&batch, vec![(stored, event)]).await?;
        // It was taken: the span was looked at above.
        let _ = self.state().follower.floor_mut().correct(unit, number, correction);
        Ok((number, Some(told)))
    }

    /// What people put right of a machine over a window.
    pub(super) async fn put_right_in(
        &self,
        path: &str,
        window: Interval<()>,
    ) -> Result<Vec<StoredCorrection>, MesProblem> {
        let unit = self.state().units.get(path).copied().ok_or_else(|| MesProblem::NoMachine(path.to_owned()))?;
        Ok(self.store.floor_corrections(unit.0, window.from, window.to).await?)
    }
}
