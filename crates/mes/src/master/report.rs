//! `[[report]]`: which reports the node makes by itself, and when.

use super::index::Index;
use super::{NAME_LIMIT, is_name, needed};
use andon_model::settings::Table;
use std::time::Duration;

/// What is made a report of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// Each shift of the place's calendar.
    Shift,
    /// Each day of the place's calendar.
    Day,
}

impl ReportKind {
    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::Day => "day",
        }
    }
}

/// A report that is made again and again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportSchedule {
    /// Of what.
    pub kind: ReportKind,
    /// The path of the place.
    pub at: String,
    /// So long after the end of the shift or day, so that what comes late is in it.
    pub after: Duration,
    /// Where its files are written, below the node's folder of reports; `None`: it is kept in the records alone.
    pub folder: Option<String>,
    /// It is deleted so long after it was made; `None`: never.
    pub keep: Option<Duration>,
}

/// The longest name of a folder, in bytes.
const FOLDER_LIMIT: usize = 200;
const DAY: Duration = Duration::from_secs(86_400);
/// What came late is waited for so long.
const AFTER: Duration = Duration::from_secs(600);
/// A report is kept so long at least: longer than its window is caught up with, so that it is not made a second time.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// No longer than a century.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<ReportSchedule> {
    table.only(&["kind", "at", "after", "folder", "keep"]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"line1-shift\"");
        table.found("name", format!("{name:?} is no name of a report"), &remedy);
    }
    let mut kind = None;
    if needed(table, "kind", "write kind = \"shift\" or kind = \"day\"").is_some() {
        table.text("kind", |text| {
            kind = [ReportKind::Shift, ReportKind::Day].into_iter().find(|kind| kind.word() == text);
            kind.map(drop).ok_or_else(|| "write \"shift\" or \"day\"".to_owned())
        });
    }
    let at = needed(table, "at", "write the path of the place: at = \"works/line1\"");
    if let Some(path) = &at {
        // Only of a place with machines there is something to tell, and only of them is it known when a shift ends.
        let no_machine = |(message, _)| (message, "add a [[machine]] of it".to_owned());
        if let Err((message, remedy)) = index.equipment(path).and_then(|()| index.followed(path).map_err(no_machine)) {
            table.found("at", message, &remedy);
        }
    }
    let after = table.span("after", &(Duration::ZERO..=2 * DAY)).unwrap_or(AFTER);
    let folder = table.text("folder", check_folder);
    let keep = table.span("keep", &(KEPT..=LONGEST));
    Some(ReportSchedule { kind: kind?, at: at?, after, folder, keep })
}

/// A folder below another, by names that every file system takes.
fn check_folder(text: &str) -> Result<(), String> {
    let fits = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if text.len() <= FOLDER_LIMIT && text.split('/').all(fits) {
        return Ok(());
    }
    Err(format!(
        "write the name of a folder below the node's folder of reports, such as \"line1\" or \"line1/shifts\": letters a-z, digits, `-`, `_`, `.`, at most {FOLDER_LIMIT} bytes"
    ))
}
