//! What is refused by its words, before a plan is made: statements that do more than read.
//!
//! [`crate::guard`] looks at the plan as well; this is for what has none, or another fault that would be told first.

use crate::error::SqlError;
use datafusion::sql::sqlparser::ast::{self, Query, SetExpr};
use datafusion::sql::sqlparser::tokenizer::Token;

/// Refuses what would do more than read before the planner looks at it, and finds something else wrong with it.
pub(crate) fn only_reading(statement: &ast::Statement) -> Result<(), SqlError> {
    match statement {
        ast::Statement::Query(_) | ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => Ok(()),
        other => Err(refused(&other.to_string())),
    }
}

/// Why a query, which may stand within another, is refused: it would change or lock something.
pub(crate) fn more_than_reads(query: &Query) -> Option<SqlError> {
    if let Some(lock) = query.locks.first() {
        return Some(SqlError::Refused { what: format!("SELECT {}", lock.to_string().to_uppercase()) });
    }
    match &*query.body {
        SetExpr::Select(select) if select.into.is_some() => Some(SqlError::Refused { what: "SELECT INTO".to_owned() }),
        SetExpr::Insert(statement)
        | SetExpr::Update(statement)
        | SetExpr::Delete(statement)
        | SetExpr::Merge(statement) => Some(refused(&statement.to_string())),
        _ => None,
    }
}

/// A refusal that names a statement by its first words.
pub(crate) fn refused(statement: &str) -> SqlError {
    let is_word = |word: &&str| word.bytes().all(|b| b.is_ascii_uppercase());
    let words: Vec<&str> = statement.split_whitespace().take(2).take_while(is_word).collect();
    SqlError::Refused { what: if words.is_empty() { "this statement".to_owned() } else { words.join(" ") } }
}

/// A statement of PostgreSQL's that does more than read and cannot be read here, by its first word.
pub(crate) fn unread(tokens: &[Token]) -> Option<String> {
    const WORDS: [&str; 9] =
        ["DO", "REINDEX", "REFRESH", "COPY", "CLUSTER", "CHECKPOINT", "IMPORT", "SECURITY", "REASSIGN"];
    let first = tokens.iter().find(|token| !matches!(token, Token::Whitespace(_)))?;
    let Token::Word(word) = first else { return None };
    let word = word.value.to_ascii_uppercase();
    WORDS.contains(&word.as_str()).then_some(word)
}
