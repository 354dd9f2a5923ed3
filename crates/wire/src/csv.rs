//! CSV: a text to records of cells (RFC 4180), one after the other.
//!
//! The first line decides what separates cells: a comma, a semicolon or a tab, whichever comes first in it. A cell in quotes
//! may hold separators, line breaks and doubled quotes. Lines without any cell are skipped, and a byte order mark at the
//! start is.
//!
//! A cell in quotes is told apart from a bare one, since an empty bare cell means nothing and an empty quoted one an empty
//! text. The `csv` crate gives both as the same empty cell; therefore it does not serve here.
//!
//! **Invariants**: no input panics; a wrong record is an error with its line, and the records after it are still read;
//! memory is bounded by the longest record.
//!
//! Start reading at [`Records::next`].

use std::borrow::Cow;

/// A cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell<'a> {
    /// What it holds.
    pub text: Cow<'a, str>,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

impl Cell<'_> {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.quoted && self.text.is_empty()
    }
}

/// A record that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct CsvError {
    /// Where it starts, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: CsvFault,
}

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CsvFault {
    /// A cell without its closing quote.
    #[error("a cell has no closing quote")]
    OpenQuote,
    /// Something between a closing quote and the separator.
    #[error(
        "there is something between a closing quote and the end of its cell; double a quote that belongs to the text"
    )]
    BehindQuote,
}

/// The records of a text.
#[derive(Debug)]
pub struct Records<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    separator: u8,
    cells: Vec<Cell<'a>>,
}

/// A record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a, 'r> {
    /// The line it starts on, from 1.
    pub line: usize,
    /// At least one.
    pub cells: &'r [Cell<'a>],
}

impl<'a> Records<'a> {
    /// Begins with the first record.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let head = text.trim_start_matches(['\r', '\n']).bytes().take_while(|byte| !matches!(byte, b'\r' | b'\n'));
        let separator = head.into_iter().find(|byte| matches!(byte, b',' | b';' | b'\t')).unwrap_or(b',');
        Self { text, at: 0, line: 1, separator, cells: Vec::new() }
    }

    /// The same, for the rest of a text whose beginning was read elsewhere.
    #[must_use]
    pub const fn with_separator(text: &'a str, separator: u8) -> Self {
        Self { text, at: 0, line: 1, separator, cells: Vec::new() }
    }

    /// What separates cells.
    #[must_use]
    pub const fn separator(&self) -> u8 {
        self.separator
    }

    /// How far reading has come, in bytes of the text, without a byte order mark.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The line that comes next, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// The next record; `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "a record borrows what the next one is read into")]
    pub fn next(&mut self) -> Option<Result<Record<'a, '_>, CsvError>> {
        while self.line_end() {}
        self.peek()?;
        let (start, line) = (self.at, self.line);
        self.cells.clear();
        loop {
            match self.cell() {
                Ok(cell) => self.cells.push(cell),
                Err(fault) => {
                    // An open quote has eaten the lines below: start again behind its first line.
                    if fault == CsvFault::OpenQuote {
                        (self.at, self.line) = (start, line);
                    }
                    while self.peek().is_some() && !self.line_end() {
                        self.at += 1;
                    }
                    return Some(Err(CsvError { line, fault }));
                }
            }
            if self.peek() == Some(self.separator) {
                self.at += 1;
            } else {
                self.line_end();
                return Some(Ok(Record { line, cells: &self.cells }));
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes a line end, if there is one here.
    fn line_end(&mut self) -> bool {
        let length = match self.peek() {
            Some(b'\r') if self.text.as_bytes().get(self.at + 1) == Some(&b'\n') => 2,
            Some(b'\r' | b'\n') => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    /// Up to a separator, a line end or the end; all of them are ASCII, so a slice ends on a character's border.
    fn cell(&mut self) -> Result<Cell<'a>, CsvFault> {
        if self.peek() == Some(b'"') {
            self.at += 1;
            return self.quoted();
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| byte != self.separator && !matches!(byte, b'\r' | b'\n')) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Cell { text: text.trim_matches(' ').into(), quoted: false })
    }

    fn quoted(&mut self) -> Result<Cell<'a>, CsvFault> {
        let start = self.at;
        let mut doubled = false;
        loop {
            match self.peek() {
                None => return Err(CsvFault::OpenQuote),
                Some(b'"') if self.text.as_bytes().get(self.at + 1) == Some(&b'"') => {
                    doubled = true;
                    self.at += 2;
                }
                Some(b'"') => break,
                Some(byte) => {
                    self.line += usize::from(byte == b'\n');
                    self.at += 1;
                }
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        match self.peek() {
            Some(byte) if byte != self.separator && !matches!(byte, b'\r' | b'\n') => Err(CsvFault::BehindQuote),
            _ => {
                let text = if doubled { raw.replace("\"\"", "\"").into() } else { raw.into() };
                Ok(Cell { text, quoted: true })
            }
        }
    }
}

/// Appends a cell that reads back as this text: quoted where it must be, and where it is empty.
pub fn put_text(out: &mut String, text: &str) {
    let bare = !text.is_empty()
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains(['"', ',', ';', '\t', '\r', '\n', '\u{feff}']);
    if bare {
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<Result<(usize, Vec<String>), CsvError>> {
        let mut records = Records::new(text);
        let mut all = Vec::new();
        while let Some(record) = records.next() {
            let shown = |cell: &Cell<'_>| if cell.is_nothing() { "-".to_owned() } else { cell.text.to_string() };
            all.push(record.map(|record| (record.line, record.cells.iter().map(shown).collect())));
        }
        all
    }

    fn check(text: &str, expected: &[(usize, &[&str])]) {
        let expected: Vec<_> =
            expected.iter().map(|(line, cells)| Ok((*line, cells.iter().map(|c| (*c).to_owned()).collect()))).collect();
        assert_eq!(all(text), expected, "{text:?}");
    }

    #[test]
    fn cells_are_read_as_others_write_them() {
        check("a,b\r\n1,2\r\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\u{feff}a;b\n\n\n1,5; x \n;", &[(1, &["a", "b"]), (4, &["1,5", "x"]), (5, &["-", "-"])]);
        check("a\tb\n\"1\t\"\"2\"\"\n3\"\t\"\"\nc\t", &[(1, &["a", "b"]), (2, &["1\t\"2\"\n3", ""]), (4, &["c", "-"])]);
    }

    #[test]
    fn a_wrong_record_is_named_and_the_next_is_read() {
        let told: Vec<_> = all("a,b\n\"1\"x,2\n3,\"open\n5,6").into_iter().map(|r| r.map(|(line, _)| line)).collect();
        let [behind, open] =
            [(2, CsvFault::BehindQuote), (3, CsvFault::OpenQuote)].map(|(line, fault)| Err(CsvError { line, fault }));
        assert_eq!(told, [Ok(1), behind, open, Ok(4)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(texts in proptest::collection::vec("[a-c ,;\"\\r\\n\\té]{0,6}", 1..5)) {
            let mut line = "x,y\n".to_owned();
            for (place, text) in texts.iter().enumerate() {
                if place > 0 {
                    line.push(',');
                }
                put_text(&mut line, text);
            }
            let read = all(&line);
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(read[1].as_ref().map(|(_, cells)| cells), Ok(&texts));
        }

        #[test]
        fn no_text_panics_and_reading_ends(text in "[a,;\"\\r\\n\\t]{0,40}") {
            prop_assert!(all(&text).len() <= text.len());
        }
    }
}
