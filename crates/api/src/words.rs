//! Events in words: the one line a person reads.

use andon_model::access::Principal;
use andon_model::event::{AlarmState, Event, Step, What};
use andon_model::plant::Plant;

/// The title of a path's tag or equipment, or the path itself.
fn title<'a>(plant: &'a Plant, path: &'a str) -> &'a str {
    let tag = || plant.tags.iter().find(|t| t.path.as_str() == path).map(|t| t.title.as_str());
    let equipment = || plant.equipment.iter().find(|e| e.path.as_str() == path).map(|e| e.title.as_str());
    tag().or_else(equipment).unwrap_or(path)
}

/// One line about an event, without the name of the person.
#[must_use]
pub fn summary(event: &Event, plant: &Plant) -> String {
    let unit = || {
        let tag = plant.tags.iter().find(|t| t.path.as_str() == event.path);
        tag.and_then(|t| t.unit.as_ref()).map(|u| format!("\u{202f}{}", u.symbol())).unwrap_or_default()
    };
    let state_word = |value: &andon_model::Value| {
        let tag = plant.tags.iter().find(|t| t.path.as_str() == event.path)?;
        let number = value.as_f64().filter(|n| n.fract() == 0.0)?;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number that names a state")]
        tag.states.get(&(number as i64)).cloned()
    };
    let shown = |value: &andon_model::Value| state_word(value).unwrap_or_else(|| format!("{value}{}", unit()));
    match &event.what {
        What::Alarm(change) => match change.to {
            AlarmState::Unacknowledged => format!("{}: {}", change.message, shown(&change.value)),
            AlarmState::Acknowledged => format!("{} acknowledged", change.message),
            AlarmState::ReturnedToNormalUnacknowledged => {
                format!("{} returned to normal, not yet acknowledged", change.message)
            }
            AlarmState::Normal
                if change.from == AlarmState::ReturnedToNormalUnacknowledged && event.by != Principal::SYSTEM =>
            {
                format!("{} acknowledged; it was back to normal", change.message)
            }
            AlarmState::Normal => format!("{} back to normal", change.message),
        },
        What::Command(step) => {
            let what = format!("{} → {}", title(plant, &event.path), shown(&step.value));
            let why = step.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
            match step.step {
                Step::Intent => format!("{what}, accepted"),
                Step::Confirmed => format!("{what}, confirmed"),
                Step::Refused => format!("{what}, refused{why}"),
                Step::Failed => format!("{what}, failed{why}"),
                Step::Expired => format!("{what}, expired{why}"),
                Step::Unknown => format!("{what}, outcome unknown{why}"),
            }
        }
        What::Connection(change) => {
            let word = if change.connected { "connected" } else { "not connected" };
            let why = if change.reason.is_empty() { String::new() } else { format!(": {}", change.reason) };
            format!("{} {} {word}{why}", change.protocol, change.name)
        }
        What::User(change) => {
            let words = change.action.replace('_', " ");
            change.detail.as_ref().map_or(words.clone(), |d| format!("{words}: {d}"))
        }
        What::Configuration(change) => {
            let first = change.changes.first().map(|c| format!(": {c}")).unwrap_or_default();
            let more = change.changes.len().saturating_sub(1);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("plant model version {}{first}{rest}", change.version)
        }
        What::System(note) => note.text.clone(),
        What::Note(note) => note.text.clone(),
        What::Trace(change) => {
            let words = change.action.replace('_', " ");
            let more = change.detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default();
            format!("{}: {words}{more}", change.shown)
        }
    }
}
