//! Errors with their place, and the nearest known word.

use andon_model::text::shown;
use serde::Serialize;

/// What to do about a character that cannot be seen.
pub(super) const TYPE_AGAIN: &str = "delete the text and type it again; such characters come with copying";
/// The most errors that are told; the rest is counted.
const ERROR_LIMIT: usize = 100;
/// Beyond so many candidates no nearest word is looked for.
const CANDIDATE_LIMIT: usize = 5_000;

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

/// The candidate that a typing mistake could have meant.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let near = candidates.into_iter().take(CANDIDATE_LIMIT).map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour (optimal string alignment), without
/// regard to case.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (a, b) = (fold(a), fold(b));
    // rows[0] is the row being filled, rows[1] the one above it, rows[2] the one above that.
    let mut rows: [Vec<usize>; 3] = [(0..=b.len()).collect(), Vec::new(), Vec::new()];
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        rows.rotate_right(1);
        let [row, above, above2] = &mut rows;
        row.clear();
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut least = (cell(above, j) + usize::from(x != y)).min(cell(above, j + 1) + 1).min(cell(row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(cell(above2, j - 1) + 1);
            }
            row.push(least);
        }
    }
    rows[0].last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn counts_the_letters_that_differ() {
        for (a, b, wanted) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("Unit", "unit", 0),
            ("titel", "title", 1),
        ] {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }

    #[test]
    fn finds_the_word_that_was_meant_and_none_when_far_off() {
        let known = ["path", "title", "unit", "stale_after"];
        assert_eq!(nearest("titel", known), Some("title"));
        assert_eq!(nearest("staleafter", known), Some("stale_after"));
        assert_eq!(nearest("colour", known), None);
    }
}
