//! CSV files in chunks. The node reads the rows themselves; here only their borders are found, and the first line, which names the columns.

use super::{CHUNK_BYTES, CHUNK_READINGS, CHUNK_ROWS, Chunk, Map, Position, Rows};
use andon_wire::csv::{Records, put_text};
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The longest row, in bytes.
const MAX_ROW: usize = 1 << 20;

/// A CSV file.
pub(super) struct Source {
    input: BufReader<File>,
    /// The first line as the node is to read it.
    head: String,
    chunk_rows: usize,
    at: Position,
}

impl Source {
    /// Opens the file and goes on behind `done`.
    pub(super) fn open(file: &Path, map: &Map, done: Position) -> Result<Self> {
        let opened = File::open(file).with_context(|| format!("could not read {}", file.display()))?;
        let mut source =
            Self { input: BufReader::new(opened), head: String::new(), chunk_rows: 1, at: Position::default() };
        let mut first = String::new();
        while first.trim_start_matches('\u{feff}').trim().is_empty() {
            first.clear();
            if source.row(&mut first)? == 0 {
                bail!(
                    "it has no first line that names the columns\n  try: path,ts,value,quality, or ts and a column for each tag, named by its path"
                );
            }
        }
        let mut records = Records::new(&first);
        let separator = char::from(records.separator());
        let cells = records
            .next()
            .transpose()?
            .map(|record| record.cells.iter().map(|cell| cell.text.to_string()).collect::<Vec<_>>());
        let targets = map.targets(&cells.unwrap_or_default())?;
        if targets.iter().any(|target| target.contains(['\n', '\r'])) {
            bail!("a column's name holds a line break\n  try: --map, or another name in the file");
        }
        for (place, target) in targets.iter().enumerate() {
            if place > 0 {
                source.head.push(separator);
            }
            put_text(&mut source.head, target);
        }
        source.head.push('\n');
        source.chunk_rows = (CHUNK_READINGS / targets.len().max(1)).clamp(1, CHUNK_ROWS);
        if done != Position::default() {
            source.input.seek(SeekFrom::Start(done.offset))?;
            source.at = done;
        }
        Ok(source)
    }

    /// Appends a row, which may have line breaks in quotes; its bytes, 0 at the end.
    fn row(&mut self, into: &mut String) -> Result<usize> {
        let start = into.len();
        let (mut bytes, mut quotes) = (Vec::new(), 0);
        loop {
            let room = (MAX_ROW - bytes.len()) as u64;
            let read = self.input.by_ref().take(room).read_until(b'\n', &mut bytes)?;
            let fresh = bytes.get(bytes.len() - read..).unwrap_or_default();
            quotes += fresh.iter().filter(|byte| **byte == b'"').count();
            // A row ends with its line, unless a quote is open.
            if read == 0 || (bytes.ends_with(b"\n") && quotes % 2 == 0) {
                break;
            }
            if bytes.len() >= MAX_ROW {
                bail!(
                    "the row at line {} is longer than {MAX_ROW} bytes\n  try: look for a quote that is never closed",
                    self.at.row + 1
                );
            }
        }
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count().max(usize::from(!bytes.is_empty()));
        into.push_str(std::str::from_utf8(&bytes).with_context(|| format!("line {} is not UTF-8", self.at.row + 1))?);
        self.at.row += lines as u64;
        self.at.offset += bytes.len() as u64;
        Ok(into.len() - start)
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>> {
        // The body's first line is the head, so its second one is the next of the file.
        let first = self.at.row;
        let mut body = self.head.clone();
        let mut rows = 0;
        while rows < self.chunk_rows && body.len() < CHUNK_BYTES && self.row(&mut body)? > 0 {
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        Ok(Some(Chunk { body: body.into(), kind: "text/csv", rows: Rows::From(first), then: self.at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_between_rows_and_go_on_anywhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.csv");
        let mut text = "\u{feff}\n\"Name\",ts,value\n".to_owned();
        for n in 0..CHUNK_ROWS + 3 {
            text.push_str(&format!("a/b,{n},\"two\nlines \"\"{n}\"\"\"\r\n"));
        }
        std::fs::write(&file, text.trim_end()).expect("written");
        let map = Map(vec![("path".to_owned(), "Name".to_owned())]);
        let mut whole = Source::open(&file, &map, Position::default()).expect("open");
        let first = whole.next().expect("good").expect("a chunk");
        let second = whole.next().expect("good").expect("a chunk");
        assert!(whole.next().expect("good").is_none());
        assert!(first.body.starts_with(b"path,ts,value\na/b,0,\"two\nlines \"\"0\"\"\"\r\n"));
        assert_eq!((first.rows.row(2), second.rows.row(2)), (3, 3 + 2 * CHUNK_ROWS as u64));
        assert_eq!(second.then.offset, std::fs::metadata(&file).expect("meta").len());
        let mut later = Source::open(&file, &map, first.then).expect("open");
        assert_eq!(later.next().expect("good").expect("a chunk").body, second.body);
    }

    #[test]
    fn an_open_quote_ends_with_a_word_and_not_with_the_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.csv");
        std::fs::write(&file, format!("path,ts,value\na/b,1,\"{}", "x\n".repeat(MAX_ROW))).expect("written");
        let mut source = Source::open(&file, &Map(Vec::new()), Position::default()).expect("open");
        let error = source.next().err().expect("refused").to_string();
        assert!(error.starts_with("the row at line 2 is longer"), "{error}");
    }
}
