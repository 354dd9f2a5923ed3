//! `[[calendar]]`: when something is meant to work.

use super::{list, needed};
use crate::calendar::{Calendar, Days, Exception, Minute, ShiftRule};
use crate::element::Planned;
use andon_model::settings::Table;
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::Value as Json;

/// The most shifts of a calendar, and the most exceptions.
const LIMIT: usize = 1_000;

pub(super) fn read(table: &mut Table<'_, '_>) -> Option<Calendar> {
    table.only(&["description", "time_zone", "shift", "exception"]);
    table.text("description", |_| Ok(()));
    let zone = needed(table, "time_zone", "write one of the IANA names: time_zone = \"Europe/Berlin\"");
    let shifts: Vec<_> = table.tables("shift", shift).into_iter().collect();
    let exceptions: Vec<_> = table.tables("exception", exception).into_iter().collect();
    for (key, count) in [("shift", shifts.len()), ("exception", exceptions.len())] {
        if count > LIMIT {
            table.found(key, format!("{count} are over the limit of {LIMIT}"), "take earlier ones out");
        }
    }
    let shifts: Option<Vec<_>> = shifts.into_iter().collect();
    let exceptions: Option<Vec<_>> = exceptions.into_iter().collect();
    match Calendar::new(&zone?, shifts?, exceptions?) {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            table.found_here(error.to_string(), "mend it");
            None
        }
    }
}

fn shift(table: &mut Table<'_, '_>) -> Option<ShiftRule> {
    table.only(&["name", "days", "from", "to", "breaks", "weeks", "turn", "since", "until"]);
    let name = needed(table, "name", "write what people call it: name = \"Early\"");
    let days = match table.map.get("days") {
        None => Days::parse("mon-sun").ok(),
        Some(_) => {
            let mut days = None;
            table.text("days", |text| Days::parse(text).map(|parsed| days = Some(parsed)));
            days
        }
    };
    let (from, to) = (minute(table, "from"), minute(table, "to"));
    let span = |text: &str| {
        let (from, to) = text.split_once('-')?;
        Some((Minute::parse(from.trim())?, Minute::parse(to.trim())?))
    };
    let breaks =
        list(table, "breaks", "a list of spans, such as [\"09:00-09:15\"]", |item| item.as_str().and_then(span));
    let week = |item: &Json| item.as_u64().and_then(|week| u8::try_from(week).ok());
    let weeks = list(table, "weeks", "a list of the weeks of a turn, counted from 1, such as [1, 3]", week);
    let turn = table.whole("turn", 1, 52).and_then(|turn| u8::try_from(turn).ok());
    if !weeks.is_empty() && turn.is_none() && !table.map.contains_key("turn") {
        table.found("weeks", "how many weeks a turn has is not said".to_owned(), "add `turn = 2`");
    }
    let (since, until) = (date(table, "since"), date(table, "until"));
    Some(ShiftRule {
        name: name?,
        days: days?,
        weeks,
        turn: turn.unwrap_or(1),
        from: from?,
        to: to?,
        breaks,
        since,
        until,
    })
}

fn minute(table: &mut Table<'_, '_>, key: &str) -> Option<Minute> {
    let text = needed(table, key, "write a time of day: \"06:00\"")?;
    Minute::parse(&text).or_else(|| table.wrong(key, "a time of day, such as \"06:00\""))
}

fn date(table: &mut Table<'_, '_>, key: &str) -> Option<NaiveDate> {
    let text = table.text(key, |_| Ok(()))?;
    text.parse().ok().or_else(|| table.wrong(key, "a date, such as \"2026-12-24\""))
}

const PLANNED: &[(&str, Planned)] =
    &[("off", Planned::Off), ("busy", Planned::Busy), ("break", Planned::Break), ("maintenance", Planned::Maintenance)];

fn exception(table: &mut Table<'_, '_>) -> Option<Exception> {
    table.only(&["name", "from", "to", "planned"]);
    let name = needed(table, "name", "write what people call it: name = \"Christmas\"");
    let planned = table.word("planned", PLANNED).unwrap_or(Planned::Off);
    let (from, to) = (wall(table, "from", false), wall(table, "to", true));
    Some(Exception { name: name?, from: from?, to: to?, planned })
}

/// A date with or without a time of day; a date alone is its beginning or, at the end of something, that of the next.
fn wall(table: &mut Table<'_, '_>, key: &str, ends: bool) -> Option<NaiveDateTime> {
    let text = needed(table, key, "write a date, \"2026-12-24\", or with the time, \"2026-12-24 14:00\"")?;
    let read = || {
        let (day, time) = text.split_once([' ', 'T']).map_or((text.as_str(), None), |(day, time)| (day, Some(time)));
        let day: NaiveDate = day.parse().ok()?;
        match time {
            Some(time) => Some(day.and_time(NaiveTime::parse_from_str(time, "%H:%M").ok()?)),
            None if ends => Some(day.succ_opt()?.and_time(NaiveTime::MIN)),
            None => Some(day.and_time(NaiveTime::MIN)),
        }
    };
    read().or_else(|| table.wrong(key, "a date, \"2026-12-24\", or with the time, \"2026-12-24 14:00\""))
}
