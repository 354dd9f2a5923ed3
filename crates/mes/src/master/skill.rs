//! `[[skill]]`: what somebody must have learned to do some work.

use super::{NAME_LIMIT, is_name, line, lines};
use andon_model::settings::Table;

/// What somebody must have learned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skill {
    /// What people call it; its name where nothing else is said.
    pub title: String,
    /// More about it: how it is learned, who teaches it.
    pub description: String,
}

pub(super) fn read(table: &mut Table<'_, '_>, name: &str) -> Skill {
    table.only(&["title", "description"]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"Brazing\"");
        table.found("name", format!("{name:?} is no name of a skill"), &remedy);
    }
    let title = line(table, "title").unwrap_or_else(|| name.to_owned());
    let description = lines(table, "description").unwrap_or_default();
    Skill { title, description }
}
