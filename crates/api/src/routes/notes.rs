//! Notes: what people write about a time and a place.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::routes::timeline;
use crate::views::EventView;
use andon_model::access::Action;
use andon_model::event::{Note, What};
use andon_model::{Timestamp, text};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use std::time::Duration;
use utoipa::ToSchema;

/// The longest text, in characters.
const TEXT_LIMIT: usize = 2_000;
/// A note may be about what is still to come, for so long.
const AHEAD: Duration = Duration::from_secs(366 * 86_400);

/// What to write down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// The tag or equipment it is about.
    path: String,
    /// 1 to 2,000 characters; lines may break.
    text: String,
    /// When it was, in ms since 1970 UTC, at most a year ahead; now if missing.
    at_ms: Option<i64>,
    /// Until when, after `at_ms` and at most a year ahead; an instant if missing.
    until_ms: Option<i64>,
}

impl NewNote {
    /// What is wrong with it, or the time and the note.
    fn check(&self, now: Timestamp) -> Result<(Timestamp, Note), Problem> {
        let text = self.text.trim();
        let length = text.chars().count();
        if length == 0 || length > TEXT_LIMIT {
            let words = format!("\"text\" has {length} characters; write 1 to {TEXT_LIMIT}");
            return Err(Problem::bad_request(words));
        }
        text::check_lines(text).map_err(|hidden| Problem::bad_request(format!("\"text\": {hidden}")))?;
        let time = |name: &str, ms: i64| {
            let time = Timestamp::from_millis(ms);
            let fits = ms >= 0 && time.since(now) <= AHEAD;
            fits.then_some(time).ok_or_else(|| {
                Problem::bad_request(format!(
                    "\"{name}\" must be from 1970 to a year ahead, in milliseconds since 1970"
                ))
            })
        };
        let at = self.at_ms.map_or(Ok(now), |ms| time("at_ms", ms))?;
        let until = self.until_ms.map(|ms| time("until_ms", ms)).transpose()?;
        if until.is_some_and(|until| until <= at) {
            return Err(Problem::bad_request("\"until_ms\" must be after \"at_ms\""));
        }
        Ok((at, Note { text: text.to_owned(), until }))
    }
}

/// Writes a note into the timeline, for good: like every event it is part of the audit trail.
#[utoipa::path(post, path = "/api/notes", request_body = NewNote,
    responses((status = 201, body = EventView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<NewNote>,
) -> Result<(StatusCode, Json<EventView>), Problem> {
    let plant = app.bus.plant();
    let equipment = || plant.plant.equipment.iter().any(|e| e.path.as_str() == wish.path);
    let known = plant.id_of(&wish.path).is_some() || equipment();
    if !known || !caller.sees(&app, &wish.path) {
        return Err(Problem::not_found(&wish.path));
    }
    caller.may(&app, Action::Acknowledge, &wish.path)?;
    let (at, note) = wish.check(app.clock.now())?;
    let sealed = app.record(&caller, &wish.path, Some(at), What::Note(note)).await.map_err(Problem::unavailable)?;
    Ok((StatusCode::CREATED, Json(timeline::view(&app, &sealed))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_note_says_why() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let note = |text: &str, at_ms, until_ms| {
            let (path, text) = ("works".to_owned(), text.to_owned());
            NewNote { path, text, at_ms, until_ms }.check(now).map_err(|problem| format!("{problem:?}"))
        };
        assert_eq!(note(" belt changed\n", None, None), Ok((now, Note { text: "belt changed".into(), until: None })));
        let (from, to) = (Timestamp::from_millis(5), Timestamp::from_millis(6));
        assert_eq!(note("é", Some(5), Some(6)), Ok((from, Note { text: "é".into(), until: Some(to) })));
        let year = 367 * 86_400_000;
        for (text, at, until, word) in [
            (" ", None, None, "0 characters"),
            (&*"x".repeat(2001), None, None, "2001 characters"),
            ("a\u{202e}b", None, None, "U+202E"),
            ("a", Some(-1), None, "at_ms"),
            ("a", Some(i64::MAX), None, "at_ms"),
            ("a", Some(now.millis() + year), None, "at_ms"),
            ("a", Some(5), Some(5), "until_ms"),
            ("a", Some(5), Some(i64::MIN), "until_ms"),
        ] {
            let error = note(text, at, until).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
