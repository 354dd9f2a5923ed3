//! What is kept, table by table, in statements that both databases understand.

mod accounts;
mod energy;
mod erp;
mod floor;
mod labour;
mod logbook;
mod maintenance;
mod orders;
mod outbox;
mod plant;
mod report;
pub(crate) mod rows;
mod timeline;
mod tools;
mod trace;

use crate::error::StoreError;
use crate::sql::Statement;
use andon_model::Timestamp;
use andon_model::access::PrincipalKind;

/// The end of what lasts: it comes after every other, so that rows are found by it.
const NEVER: Timestamp = Timestamp::MAX;

/// An end out of a row; `None`: it lasts.
fn some_end(end: Timestamp) -> Option<Timestamp> {
    (end != NEVER).then_some(end)
}

/// Runs what keeps a processor busy (a large model is seconds of it) beside the threads that everything else runs on.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })
}

/// JSON out of a row.
fn from_json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged { what, reason: error.to_string() })
}

/// JSON into a row.
fn to_json<T: serde::Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Damaged { what, reason: error.to_string() })
}

/// A principal's kind as a bare word, so that people can read and search the column.
fn kind_word(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Person => "person",
        PrincipalKind::Token => "token",
        PrincipalKind::Device => "device",
        PrincipalKind::System => "system",
        PrincipalKind::Anonymous => "anonymous",
    }
}

/// The other way.
fn to_kind(word: &str) -> Result<PrincipalKind, StoreError> {
    from_json(&format!("\"{word}\""), "principal")
}

/// On or below one of the branches.
fn push_below(query: &mut Statement, column: &'static str, branches: &[String]) {
    query.push("(");
    for (number, branch) in branches.iter().enumerate() {
        query.push(if number > 0 { " OR " } else { "" }).push(column).push(" = ").push_bind(branch.as_str());
        // '0' is the character after '/': the range holds exactly the paths below the branch.
        query.push(" OR (").push(column).push(" > ").push_bind(format!("{branch}/"));
        query.push(" AND ").push(column).push(" < ").push_bind(format!("{branch}0")).push(")");
    }
    query.push(")");
}

/// What a folded text has to look like to have a text in it; the text's own signs of a pattern mean themselves.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "%"
}
