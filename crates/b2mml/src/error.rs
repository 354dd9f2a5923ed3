//! What is wrong with a message or a value, said so that the sender's side can mend it.

use crate::area::ApplicationArea;
use andon_model::text::shown;
use std::borrow::Cow;
use std::fmt;

/// A text is not a value of its type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{value}\" {why}")]
pub struct WrongValue {
    /// The text, or its beginning.
    pub value: String,
    /// What is wrong with it; continues a sentence that begins with the value.
    pub why: Cow<'static, str>,
}

impl WrongValue {
    /// How many characters of a wrong value are shown.
    const SHOWN: usize = 60;

    pub(crate) fn new(value: &str, why: impl Into<Cow<'static, str>>) -> Self {
        let mut end = value.char_indices().map(|(at, _)| at).skip(Self::SHOWN);
        let value = match end.next() {
            Some(end) => format!("{}…", shown(&value[..end])),
            None => shown(value).into_owned(),
        };
        Self { value, why: why.into() }
    }
}

/// A message cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    /// Where: `ProcessOperationsSchedule/DataArea/OperationsSchedule[1]/OperationsRequest[2]/Priority`, counted from 1 where an element may
    /// occur more than once; empty when it is about the message as a whole.
    pub path: String,
    /// What is wrong there.
    pub problem: Problem,
    /// Who sent it and under which id, when that much could be read: a confirmation can name it.
    pub application_area: Option<Box<ApplicationArea>>,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Missing(element) if self.path.is_empty() => write!(f, "{element} is missing"),
            problem if self.path.is_empty() => write!(f, "{problem}"),
            problem => write!(f, "{}: {problem}", self.path),
        }
    }
}

impl std::error::Error for ReadError {}

/// What is wrong with a message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Longer than [`crate::MAX_BYTES`].
    #[error("the message has {0} bytes; at most {max} are taken", max = crate::MAX_BYTES)]
    TooLong(usize),
    /// Another encoding than UTF-8.
    #[error("the message is not UTF-8 ({0}); no other encoding is taken")]
    NotUtf8(String),
    /// No XML, or not well-formed.
    #[error("line {line}: this is no well-formed XML: {why}")]
    NoXml {
        /// The line, from 1.
        line: usize,
        /// The parser's word.
        why: String,
    },
    /// It has a DOCTYPE or names an entity that XML itself does not know.
    #[error("line {line}: {what}: a message with its own entities is not taken")]
    Entities {
        /// The line, from 1.
        line: usize,
        /// What it has.
        what: String,
    },
    /// More of something than is taken.
    #[error("line {line}: more than {most} {of}")]
    TooMany {
        /// The line, from 1.
        line: usize,
        /// The bound.
        most: usize,
        /// Of what.
        of: &'static str,
    },
    /// The outermost element is in another namespace.
    #[error("the outermost element is in {0}, not in http://www.mesa.org/xml/B2MML (B2MML 7)")]
    Namespace(String),
    /// It is a message that this crate does not know.
    #[error("no message that is understood here; understood are ConfirmBOD and {0}")]
    Unknown(String),
    /// A required element is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A required attribute is not there.
    #[error("the attribute {0} is missing")]
    MissingAttribute(&'static str),
    /// An element that may occur once is there more often.
    #[error("is there {0} times; at most one is taken")]
    Repeated(usize),
    /// An element that must have a value has none.
    #[error("is empty")]
    Empty,
    /// Its text is not of its type.
    #[error(transparent)]
    Value(#[from] WrongValue),
}
