//! Events in words: the one line a person reads.

use andon_model::access::Principal;
use andon_model::event::{AlarmState, Event, JobChange, Step, What};
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
        What::Machine(change) => {
            let note = change.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
            format!("{} put right: {}{note}", title(plant, &event.path), change.says)
        }
        What::Order(change) => {
            let why = change.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
            format!("order {} {}{why}", change.number, change.action)
        }
        What::Job(change) => job(change),
        What::Trace(change) => {
            let words = change.action.replace('_', " ");
            let more = change.detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default();
            format!("{}: {words}{more}", change.shown)
        }
        What::Tool(change) => {
            let why = change.reason.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            let more = change.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            let words = match change.action.as_str() {
                "mount" => "mounted",
                "unmount" => "taken off",
                "correct" => "mounting put right",
                "renew" => "renewed",
                "used" => "used before, as people say",
                "warn" => "near its end",
                "end" => "at its end",
                other => other,
            };
            format!("tool {} {words}{more}{why}", change.tool)
        }
        What::Maintenance(change) => {
            let why = change.reason.as_ref().or(change.detail.as_ref()).map(|why| format!(" ({why})"));
            format!("maintenance {} {}: {}{}", change.number, change.state, change.action, why.unwrap_or_default())
        }
    }
}

/// One line about a job order: what happened, or what was counted.
fn job(change: &JobChange) -> String {
    let counted =
        [(change.good_millionths, "good"), (change.scrap_millionths, "scrap"), (change.rework_millionths, "rework")];
    let counted: Vec<_> = counted
        .into_iter()
        .filter(|(millionths, _)| *millionths != 0)
        .map(|(millionths, word)| format!("{} {word}", amount(millionths)))
        .collect();
    let done = if counted.is_empty() { change.action.clone() } else { counted.join(", ") };
    let why = change.reason.as_ref().or(change.detail.as_ref()).map(|why| format!(" ({why})")).unwrap_or_default();
    format!("job {} {}: {done}{why}", change.number, change.state)
}

/// Millionths as people write them, without needless zeros: `12`, `0.25`, `-3.000001`.
fn amount(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let (whole, part) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    let text = format!("{sign}{whole}.{part:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::summary;
    use andon_model::Timestamp;
    use andon_model::access::Principal;
    use andon_model::event::{Event, JobChange, OrderChange, What};
    use andon_model::plant::Plant;
    use uuid::Uuid;

    fn said(what: What) -> String {
        let (id, at, by) = (Uuid::nil(), Timestamp::default(), Principal::SYSTEM);
        summary(&Event { id, at, source_at: None, path: String::new(), by, what }, &Plant::default())
    }

    #[test]
    fn orders_and_jobs_are_told_with_their_numbers_and_counts() {
        let order = |detail: Option<&str>| OrderChange {
            order: Uuid::nil(),
            number: "4711".to_owned(),
            action: "released".to_owned(),
            state: "Released".to_owned(),
            detail: detail.map(str::to_owned),
        };
        assert_eq!(said(What::Order(order(None))), "order 4711 released");
        assert_eq!(said(What::Order(order(Some("4 jobs")))), "order 4711 released: 4 jobs");
        let job = JobChange {
            job: Uuid::nil(),
            number: "4711/10".to_owned(),
            action: "begin".to_owned(),
            state: "Running".to_owned(),
            good_millionths: 0,
            scrap_millionths: 0,
            rework_millionths: 0,
            reason: None,
            detail: None,
        };
        assert_eq!(said(What::Job(job.clone())), "job 4711/10 Running: begin");
        let counted = JobChange {
            good_millionths: 12_000_000,
            scrap_millionths: -250_000,
            reason: Some("Jam".to_owned()),
            ..job
        };
        assert_eq!(said(What::Job(counted)), "job 4711/10 Running: 12 good, -0.25 scrap (Jam)");
    }
}
