//! Why a statement has no answer, with its SQLSTATE.

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use std::time::Duration;

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It cannot be understood, or names what does not exist.
    #[error("{0}")]
    Invalid(String),
    /// A text is taken for a time, and is none.
    #[error("\"{0}\" is not a time; {instead}", instead = instead(.0))]
    BadTime(String),
    /// A function cannot follow what it was told, such as a pattern.
    #[error("{0}")]
    BadParameter(String),
    /// PostgreSQL has it, and Andon has not.
    #[error("{0}")]
    Unsupported(String),
    /// It divides by zero.
    #[error("division by zero; NULLIF(x, 0) makes it null")]
    DivisionByZero,
    /// It names a table that does not exist.
    #[error("{0}")]
    NoTable(String),
    /// It names a column that does not exist.
    #[error("{0}")]
    NoColumn(String),
    /// It calls a function that does not exist.
    #[error("{0}")]
    NoFunction(String),
    /// A whole number is greater than any of its type.
    #[error("bigint out of range")]
    OutOfRange,
    /// It would do more than read.
    #[error(
        "{what} is refused: only SELECT, WITH, VALUES, SHOW and EXPLAIN are answered here, and nothing is changed or read from files"
    )]
    Refused {
        /// What it is.
        what: String,
    },
    /// The text is too long or too deep.
    #[error("the statement is too {what}: at most {limit}")]
    TooBig {
        /// In which way.
        what: &'static str,
        /// The limit with its unit.
        limit: String,
    },
    /// Too many queries at a time.
    #[error(
        "there was no place for the query: {running} are running and {waiting} others wait; try again in a minute, and CLOSE cursors of yours that are half read. If it happens often, an administrator can raise [sql] queries in the settings"
    )]
    Busy {
        /// How many run.
        running: usize,
        /// How many wait.
        waiting: usize,
    },
    /// It took too long.
    #[error("the query was ended after {} s; ask for fewer tags or a shorter time, or raise [sql] seconds in the settings", .0.as_secs())]
    TimedOut(Duration),
    /// Nobody took its rows while others waited.
    #[error("the query was ended: none of its rows were taken for {} s while others waited for its place; run it again and take its rows without a pause, or ask for fewer", .0.as_secs())]
    NotTaken(Duration),
    /// It needed too much memory.
    #[error(
        "the query needs more than {mib} MiB; ask for fewer tags or a shorter time, sort less, or raise [sql] memory_mib in the settings"
    )]
    TooMuchMemory {
        /// The limit.
        mib: usize,
    },
    /// It has too many rows.
    #[error("the answer has more than {0} rows; add a LIMIT, aggregate, or raise [sql] rows in the settings")]
    TooManyRows(u64),
    /// The caller may not look at anything, or no longer at what the query reads.
    #[error("{0}")]
    NotAllowed(String),
    /// The client asked for it to end.
    #[error("the query was cancelled at the client's request")]
    Cancelled,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
    /// A part of history that the query wants is damaged; the words name the file and what to do.
    #[error("{0}")]
    Damaged(String),
    /// Reading or computing failed.
    #[error("{0}")]
    Failed(String),
}

impl SqlError {
    /// The SQLSTATE (PostgreSQL 17, appendix A).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "42601",
            Self::BadTime(_) => "22007",
            Self::BadParameter(_) => "22023",
            Self::NoTable(_) => "42P01",
            Self::NoColumn(_) => "42703",
            Self::NoFunction(_) => "42883",
            Self::DivisionByZero => "22012",
            Self::OutOfRange => "22003",
            Self::Refused { .. } => "25006",
            Self::Unsupported(_) => "0A000",
            Self::NotAllowed(_) => "42501",
            Self::TooBig { .. } => "54001",
            Self::Busy { .. } => "53300",
            Self::TimedOut(_) | Self::NotTaken(_) | Self::Cancelled => "57014",
            Self::TooMuchMemory { .. } => "53200",
            Self::TooManyRows(_) => "54000",
            Self::Stopping => "57P01",
            Self::Damaged(_) => "XX001",
            Self::Failed(_) => "58030",
        }
    }

    /// What a planner or an operator said, in our words.
    #[must_use]
    pub fn from_engine(error: &DataFusionError, memory_mib: usize) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            if let Some(ours) = inner.downcast_ref::<Self>() {
                return ours.clone();
            }
            cause = inner.source();
        }
        match error.find_root() {
            DataFusionError::External(inner) if inner.is::<Self>() => {
                inner.downcast_ref::<Self>().cloned().unwrap_or(Self::Stopping)
            }
            DataFusionError::ResourcesExhausted(_) => Self::TooMuchMemory { mib: memory_mib },
            DataFusionError::ArrowError(inner, _) if matches!(**inner, ArrowError::DivideByZero) => {
                Self::DivisionByZero
            }
            DataFusionError::ArrowError(inner, _) if matches!(**inner, ArrowError::ArithmeticOverflow(_)) => {
                Self::OutOfRange
            }
            DataFusionError::SchemaError(inner, _) => match &**inner {
                SchemaError::FieldNotFound { field, valid_fields } => Self::NoColumn(no_column(field, valid_fields)),
                _ => Self::Invalid(words(error)),
            },
            DataFusionError::Plan(what) | DataFusionError::Execution(what) if is_missing(what, "table '") => {
                Self::NoTable(words(error))
            }
            DataFusionError::Plan(what)
                if is_missing(what, "table function '") || what.starts_with("Invalid function '") =>
            {
                Self::NoFunction(words(error))
            }
            DataFusionError::Execution(_) | DataFusionError::ArrowError(..) => Self::Invalid(words(error)),
            DataFusionError::SQL(..) | DataFusionError::Plan(_) => Self::Invalid(words(error)),
            DataFusionError::NotImplemented(_) | DataFusionError::Diagnostic(..) => Self::Invalid(words(error)),
            _ => Self::Failed(words(error)),
        }
    }
}

/// Whether the engine says that it did not find something.
fn is_missing(what: &str, begins: &str) -> bool {
    what.starts_with(begins) && what.lines().next().unwrap_or_default().ends_with("' not found")
}

/// Which column there is not, and which there are.
fn no_column(asked: &Column, there_are: &[Column]) -> String {
    /// Tables that are joined have more than anybody reads.
    const MOST: usize = 30;
    let mut names: Vec<&str> = Vec::new();
    for column in there_are {
        if !names.contains(&column.name()) {
            names.push(column.name());
        }
    }
    if let Some(table) = &asked.relation
        && there_are.iter().all(|column| column.relation.as_ref() != Some(table))
    {
        let mut tables: Vec<&str> = there_are.iter().filter_map(|c| Some(c.relation.as_ref()?.table())).collect();
        tables.dedup();
        let read = if tables.is_empty() { String::new() } else { format!("; it reads {}", tables.join(", ")) };
        return format!("nothing in FROM goes by the name \"{}\"{read}", table.table());
    }
    let near = names.iter().find(|name| is_near(&asked.name().to_lowercase(), &name.to_lowercase()));
    let near = near.map(|name| format!(", did you mean \"{name}\"?")).unwrap_or_default();
    let of = asked.relation.as_ref().map(|table| format!(" of {}", table.table())).unwrap_or_default();
    let listed = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    let rest = names.len().saturating_sub(MOST);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let there_are = if names.is_empty() { String::new() } else { format!("\nThere are: {listed}{rest}.") };
    format!("there is no column \"{}\"{of}{near}{there_are}", asked.name())
}

/// What to write in the place of a text that is no time.
fn instead(text: &str) -> &'static str {
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" | "-infinity" => {
            "leave this bound out, or write the last day there is, '9999-12-31', or the first, '0001-01-01'"
        }
        "now" => "write now()",
        "today" => "write current_date",
        "epoch" => "write '1970-01-01'",
        _ => "write it as '2026-11-01 08:00', '2026-11-01 08:00:00+01' or '2026-11-01T08:00:00Z', or a date alone",
    }
}

/// The message without what the engine says of itself, which says nothing to a reader.
fn words(error: &DataFusionError) -> String {
    const PREFIXES: [&str; 7] = [
        "Error during planning: ",
        "SQL error: ",
        "Execution error: ",
        "Schema error: ",
        "Arrow error: ",
        "Parser error: ",
        "Internal error: ",
    ];
    let text = error.strip_backtrace();
    // What was being done stands before, what was wrong behind; and an error of its own asks for a report to its makers.
    let text = text.rsplit("\ncaused by\n").next().unwrap_or(&text);
    let mut text = text.split("\nThis issue was likely caused by a bug in DataFusion").next().unwrap_or(text).trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    let parser = text.strip_prefix("ParserError(\"").and_then(|text| text.strip_suffix("\")"));
    let text = parser.map_or_else(|| text.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"));
    // Several things may have been tried.
    let text = text.replace(PREFIXES[0], "");
    let text = near_only(&text);
    // What the engine still reads itself, such as to_timestamp(text).
    if text.contains("parsing timestamp") { format!("{text}; write a time as '2026-11-01 08:00:00'") } else { text }
}

/// Without a suggestion that is not near what was written: the engine takes the nearest there is, however far.
fn near_only(text: &str) -> String {
    const ASKS: &str = "Did you mean '";
    let asked = text.split_once("Invalid function '").and_then(|(_, rest)| rest.split(['\n', '\'', ' ']).next());
    let Some((before, (suggested, after))) =
        text.split_once(ASKS).and_then(|(before, rest)| Some((before, rest.split_once("'?")?)))
    else {
        return text.to_owned();
    };
    let plain = |name: &str| name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_lowercase();
    let is_near = asked.is_some_and(|asked| is_near(&plain(asked), &plain(suggested)));
    if is_near { text.to_owned() } else { format!("{}{after}", before.trim_end()) }
}

/// Whether two names differ by slips of the hand: two letters at most, and fewer than every other one.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    // Levenshtein's distance, row by row.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut above = std::mem::replace(&mut row[0], at + 1);
        for (place, theirs) in other.iter().enumerate() {
            let changed = above + usize::from(letter != theirs);
            above = row[place + 1];
            row[place + 1] = changed.min(above + 1).min(row[place] + 1);
        }
    }
    row.last().is_some_and(|distance| *distance <= 2 && distance * 2 < one.len().max(other.len()))
}

impl From<SqlError> for DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let there_are: Vec<Column> =
            ["samples.path", "samples.value", "tags.path", "tags.type"].map(Column::from).into();
        assert_eq!(
            no_column(&Column::from("valeu"), &there_are),
            "there is no column \"valeu\", did you mean \"value\"?\nThere are: path, value, type."
        );
        assert_eq!(
            no_column(&Column::from("tags.temperature"), &there_are),
            "there is no column \"temperature\" of tags\nThere are: path, value, type."
        );
        assert_eq!(
            no_column(&Column::from("x.value"), &there_are),
            "nothing in FROM goes by the name \"x\"; it reads samples, tags"
        );
        assert_eq!(
            near_only("Invalid function 'averge'.\nDid you mean 'average'?"),
            "Invalid function 'averge'.\nDid you mean 'average'?"
        );
        assert_eq!(
            near_only("Invalid function 'time_bukkit'.\nDid you mean 'to_unixtime'?"),
            "Invalid function 'time_bukkit'."
        );
        assert_eq!(near_only("something else"), "something else");
    }
}
