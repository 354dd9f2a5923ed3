//! Errors with their place, and the nearest known word.

pub(super) use andon_model::near::nearest;
use andon_model::text::shown;
use serde::Serialize;

/// What to do about a character that cannot be seen.
pub(super) const TYPE_AGAIN: &str = "delete the text and type it again; such characters come with copying";
/// The most errors that are told; the rest is counted.
const ERROR_LIMIT: usize = 100;

/// Something wrong in a document.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DocumentError {
    /// The document's name; empty when it is about none in particular.
    pub document: String,
    /// From 1; 0 where no line can be named.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl std::fmt::Display for DocumentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}:{}: ", self.document, self.line, self.column)?;
        }
        write!(f, "{}\n    try: {}", self.message, self.remedy)
    }
}

/// Where a key or value stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    document: usize,
    line: usize,
    column: usize,
}

impl Place {
    /// In no document.
    pub(super) const NONE: Self = Self { document: usize::MAX, line: 0, column: 0 };

    pub(super) const fn line(self) -> usize {
        self.line
    }

    pub(super) const fn new(document: usize, line: usize, column: usize) -> Self {
        Self { document, line, column }
    }
}

/// Collects what is wrong.
pub(super) struct Report {
    names: Vec<String>,
    errors: Vec<(Place, String, String)>,
    more: usize,
}

impl Report {
    pub(super) fn new(names: Vec<String>) -> Self {
        let names = names.into_iter().map(|name| shown(&name).replace('\n', " ")).collect();
        Self { names, errors: Vec::new(), more: 0 }
    }

    pub(super) fn add(&mut self, place: Place, message: impl Into<String>, remedy: impl Into<String>) {
        if self.errors.len() < ERROR_LIMIT {
            // What was hidden in the document must not hide in the message about it.
            let (message, remedy) = (message.into(), remedy.into());
            self.errors.push((place, shown(&message).into_owned(), shown(&remedy).into_owned()));
        } else {
            self.more += 1;
        }
    }

    /// Of which places something was said so far.
    pub(super) fn places(&self) -> Vec<Place> {
        self.errors.iter().map(|(place, ..)| *place).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// `plant.toml, line 12`: for messages that point at a second place.
    pub(super) fn name(&self, place: Place) -> String {
        match self.names.get(place.document) {
            Some(name) => format!("{name}, line {}", place.line),
            None => "the model in force".to_owned(),
        }
    }

    /// The errors in the order of the documents.
    pub(super) fn finish(mut self) -> Vec<DocumentError> {
        self.errors.sort_by_key(|(place, ..)| *place);
        let names = self.names;
        let mut errors: Vec<DocumentError> = self
            .errors
            .into_iter()
            .map(|(place, message, remedy)| DocumentError {
                document: names.get(place.document).cloned().unwrap_or_default(),
                line: place.line,
                column: place.column,
                message,
                remedy,
            })
            .collect();
        if self.more > 0 {
            errors.push(DocumentError {
                document: String::new(),
                line: 0,
                column: 0,
                message: format!("and {} more", self.more),
                remedy: "mend these first, then try again".to_owned(),
            });
        }
        errors
    }
}
