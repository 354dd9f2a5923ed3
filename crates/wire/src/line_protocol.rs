//! The InfluxDB line protocol: text lines to points.
//!
//! ```text
//! measurement[,tag=value…] field=value[,field=value…] [timestamp]
//! ```
//! After the InfluxDB 1.8 and 2.x line protocol reference: backslash escapes, `i` and `u` integers, five spellings of
//! each boolean, quoted strings that may hold line breaks, `#` comments, and a precision that the caller knows from
//! the request. Names are borrowed from the input unless they hold an escape.
//!
//! **Invariants**: no input panics; a wrong line yields one [`LineError`] with its number, and the lines after it are
//! still read; NaN and the infinities are refused; memory is bounded by the input.
//!
//! Start reading at [`parse`].

use andon_model::Timestamp;
use std::borrow::Cow;

/// The unit in which timestamps are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Precision {
    /// `ns`, the default of the protocol.
    #[default]
    Nanoseconds,
    /// `us`.
    Microseconds,
    /// `ms`.
    Milliseconds,
    /// `s`.
    Seconds,
    /// `m`, of the 1.x interface.
    Minutes,
    /// `h`, of the 1.x interface.
    Hours,
}

impl Precision {
    /// Reads the words of the `precision` parameter: `ns n us u µ ms s m h`. `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "ns" | "n" => Self::Nanoseconds,
            "us" | "u" | "µ" | "µs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            "m" => Self::Minutes,
            "h" => Self::Hours,
            _ => return None,
        })
    }

    /// The time that a number in this unit since 1970 stands for; `None` when it is out of range. Nanoseconds are rounded
    /// towards the past, since a [`Timestamp`] counts microseconds.
    #[must_use]
    pub fn timestamp(self, number: i64) -> Option<Timestamp> {
        let micros = match self {
            Self::Nanoseconds => Some(number.div_euclid(1000)),
            Self::Microseconds => Some(number),
            Self::Milliseconds => number.checked_mul(1000),
            Self::Seconds => number.checked_mul(1_000_000),
            Self::Minutes => number.checked_mul(60_000_000),
            Self::Hours => number.checked_mul(3_600_000_000),
        };
        micros.map(Timestamp::from_micros)
    }
}

/// The value of a field.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue<'a> {
    /// `1.5`, always finite.
    Float(f64),
    /// `3i`.
    Integer(i64),
    /// `3u`.
    Unsigned(u64),
    /// `t`, `false`, …
    Boolean(bool),
    /// `"text"`.
    Text(Cow<'a, str>),
}

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub struct Point<'a> {
    /// The number of the line it starts on, from 1.
    pub line: usize,
    /// What was measured.
    pub measurement: Cow<'a, str>,
    /// Names and values in the order written.
    pub tags: Vec<Pair<'a>>,
    /// Names and values in the order written; at least one.
    pub fields: Vec<FieldPair<'a>>,
    /// When, where the line says so.
    pub time: Option<Timestamp>,
}

impl Point<'_> {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct LineError {
    /// From 1.
    pub line: usize,
    /// The byte in the line where reading stopped, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineFault {
    /// A measurement, tag or field without a name.
    #[error("a {0} has no name")]
    NoName(&'static str),
    /// A tag without `=value`.
    #[error("the tag \"{0}\" has no value; write `{0}=value`, or leave it out")]
    NoTagValue(String),
    /// A tag such as `a=b=c`.
    #[error("the tag \"{0}\" has a second \"=\"; write `\\=` for one that belongs to the name or the value")]
    SecondEquals(String),
    /// Nothing after the tags.
    #[error("the line has no field; write a space and `name=value` after the measurement and its tags")]
    NoFields,
    /// A field without `=value`.
    #[error("the field \"{0}\" has no value; write `{0}=1.5`")]
    NoFieldValue(String),
    /// A text without its closing quote.
    #[error("a text has no closing quote")]
    OpenQuote,
    /// Not a number, a boolean or a quoted text.
    #[error(
        "\"{0}\" is no value: write 1.5, 3i, 3u, true or \"text\" in double quotes; a number must be finite and fit 64 bits"
    )]
    BadValue(String),
    /// Not a whole number, or out of range for the precision.
    #[error("\"{0}\" is no timestamp in the stated precision")]
    BadTime(String),
    /// Something after the timestamp or directly behind a quoted text.
    #[error("there is something after the end: \"{0}\"")]
    Trailing(String),
}

/// Reads `text` line by line.
///
/// ```
/// use andon_wire::line_protocol::{Precision, parse};
/// let point = parse("oven,line=2 temperature=181.5 1700000000", Precision::Seconds).next();
/// assert_eq!(point.and_then(Result::ok).map(|p| p.fields.len()), Some(1));
/// ```
#[must_use]
pub fn parse(text: &str, precision: Precision) -> Lines<'_> {
    Lines { cursor: Cursor { text, at: 0 }, line: 1, precision }
}

/// The lines of a text; see [`parse`].
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    cursor: Cursor<'a>,
    line: usize,
    precision: Precision,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Point<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields = Vec::with_capacity(1);
        let read = self.line_with(|cursor| head(cursor), &mut fields)?;
        Some(read.map(|(line, (measurement, tags), time)| Point { line, measurement, tags, fields, time }))
    }
}

/// A line's number, its head, and its time.
type Read<T> = (usize, T, Option<Timestamp>);

impl<'a> Lines<'a> {
    /// Reads the next line: its head with `head`, its fields into `fields`, which it empties first.
    fn line_with<T>(
        &mut self,
        head: impl FnOnce(&mut Cursor<'a>) -> Result<T, LineFault>,
        fields: &mut Vec<FieldPair<'a>>,
    ) -> Option<Result<Read<T>, LineError>> {
        self.skip_to_a_point();
        let (start, line) = (self.cursor.at, self.line);
        self.cursor.peek()?;
        fields.clear();
        let read = || {
            let head = head(&mut self.cursor)?;
            let time = body(&mut self.cursor, self.precision, fields)?;
            Ok((line, head, time))
        };
        let result = match read() {
            Ok(read) => {
                // Only a quoted text can hold a line break, so most lines need not be looked through for them.
                self.line += 1;
                if fields.iter().any(|(_, value)| matches!(value, FieldValue::Text(_))) {
                    self.line = line + newlines(self.cursor.text.get(start..self.cursor.at).unwrap_or_default());
                }
                Ok(read)
            }
            Err(fault) => Err(self.recover(start, fault)),
        };
        Some(result)
    }

    /// Goes on behind a wrong line.
    fn recover(&mut self, start: usize, fault: LineFault) -> LineError {
        // A text whose closing quote is missing has eaten the lines below: start again behind the first of them.
        let stopped = self.cursor.at;
        if fault == LineFault::OpenQuote {
            self.cursor.at = start;
        }
        let before = self.cursor.text.get(start..stopped).unwrap_or_default();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
        let line = self.line + if fault == LineFault::OpenQuote { 0 } else { newlines(before) };
        self.cursor.skip_line();
        self.line += self.cursor.text.get(start..self.cursor.at).map_or(0, newlines);
        LineError { line, column, fault }
    }

    /// Over blank lines, comments and leading blanks.
    fn skip_to_a_point(&mut self) {
        loop {
            match self.cursor.peek() {
                Some(b'\n') => {
                    self.cursor.at += 1;
                    self.line += 1;
                }
                Some(b' ' | b'\t' | b'\r') => self.cursor.at += 1,
                Some(b'#') => self.cursor.skip_to_line_end(),
                _ => return,
            }
        }
    }
}

/// The lines of a text for whoever knows most heads already: nothing is allocated for a line, but for names and texts with
/// escapes. The head (measurement and tags) is handed out as written; [`read_head`] takes it apart.
///
/// ```
/// use andon_wire::line_protocol::{Precision, Rows};
/// let mut rows = Rows::new("oven,line=2 temperature=181.5 1700000000", Precision::Seconds);
/// assert_eq!(rows.next().and_then(Result::ok).map(|row| row.head), Some("oven,line=2"));
/// ```
#[derive(Debug)]
pub struct Rows<'a> {
    lines: Lines<'a>,
    fields: Vec<FieldPair<'a>>,
}

/// A line of [`Rows`].
#[derive(Debug)]
pub struct Row<'a, 'r> {
    /// The number of the line it starts on, from 1.
    pub line: usize,
    /// Measurement and tags as written; not checked yet.
    pub head: &'a str,
    /// Names and values in the order written; at least one. Values may be taken out.
    pub fields: &'r mut [FieldPair<'a>],
    /// When, where the line says so.
    pub time: Option<Timestamp>,
}

impl<'a> Rows<'a> {
    /// Begins with the first line.
    #[must_use]
    pub fn new(text: &'a str, precision: Precision) -> Self {
        Self { lines: parse(text, precision), fields: Vec::new() }
    }

    /// The next line; `None` at the end. A wrong line is an error, and the lines after it are still read.
    #[expect(clippy::should_implement_trait, reason = "a row borrows what the next one is read into")]
    pub fn next(&mut self) -> Option<Result<Row<'a, '_>, LineError>> {
        let read = self.lines.line_with(|cursor| whole_head(cursor), &mut self.fields)?;
        Some(read.map(|(line, head, time)| Row { line, head, fields: &mut self.fields, time }))
    }
}

/// A name and its value.
pub type FieldPair<'a> = (Cow<'a, str>, FieldValue<'a>);

/// Measurement and tags of a [`Row::head`].
pub type Head<'a> = (Cow<'a, str>, Vec<Pair<'a>>);

/// Takes a [`Row::head`] apart: the measurement, and the tags in the order written.
/// # Errors
/// A tag without name or value, or with two values.
pub fn read_head(text: &str) -> Result<Head<'_>, LineFault> {
    head(&mut Cursor { text, at: 0 })
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// The head without looking into it.
fn whole_head<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, LineFault> {
    let (head, _) = cursor.raw_name(Stops::HEAD);
    if head.is_empty() || head.starts_with(',') { Err(LineFault::NoName("measurement")) } else { Ok(head) }
}

fn head<'a>(cursor: &mut Cursor<'a>) -> Result<Head<'a>, LineFault> {
    let measurement = cursor.name(Stops::MEASUREMENT);
    if measurement.is_empty() {
        return Err(LineFault::NoName("measurement"));
    }
    Ok((measurement, tags(cursor)?))
}

/// What stands behind the head: the fields and the time.
fn body<'a>(
    cursor: &mut Cursor<'a>,
    precision: Precision,
    into: &mut Vec<FieldPair<'a>>,
) -> Result<Option<Timestamp>, LineFault> {
    cursor.skip_blanks();
    fields(cursor, into)?;
    cursor.skip_blanks();
    let stamp = cursor.until(Stops::BLANK);
    let time = match stamp {
        "" => None,
        digits => {
            let number = digits.parse().ok().and_then(|number| precision.timestamp(number));
            Some(number.ok_or_else(|| LineFault::BadTime(excerpt(digits)))?)
        }
    };
    cursor.skip_blanks();
    cursor.end_of_line()?;
    Ok(time)
}

/// A tag's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

fn tags<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Pair<'a>>, LineFault> {
    let mut tags = Vec::new();
    while cursor.take(b',') {
        let key = cursor.name(Stops::KEY);
        if key.is_empty() {
            return Err(LineFault::NoName("tag"));
        }
        if !cursor.take(b'=') {
            return Err(LineFault::NoTagValue(excerpt(&key)));
        }
        let value = cursor.name(Stops::KEY);
        if value.is_empty() {
            return Err(LineFault::NoTagValue(excerpt(&key)));
        }
        if cursor.peek() == Some(b'=') {
            return Err(LineFault::SecondEquals(excerpt(&key)));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

fn fields<'a>(cursor: &mut Cursor<'a>, fields: &mut Vec<FieldPair<'a>>) -> Result<(), LineFault> {
    if matches!(cursor.peek(), None | Some(b'\n' | b'\r')) {
        return Err(LineFault::NoFields);
    }
    loop {
        let key = cursor.name(Stops::KEY);
        if key.is_empty() {
            return Err(LineFault::NoName("field"));
        }
        if !cursor.take(b'=') {
            return Err(LineFault::NoFieldValue(excerpt(&key)));
        }
        let value = if cursor.take(b'"') {
            FieldValue::Text(cursor.quoted()?)
        } else {
            let word = cursor.until(Stops::VALUE);
            if word.is_empty() {
                return Err(LineFault::NoFieldValue(excerpt(&key)));
            }
            scalar(word).ok_or_else(|| LineFault::BadValue(excerpt(word)))?
        };
        fields.push((key, value));
        if !cursor.take(b',') {
            return match cursor.peek() {
                None | Some(b' ' | b'\t' | b'\r' | b'\n') => Ok(()),
                Some(_) => Err(LineFault::Trailing(excerpt(cursor.until(Stops::BLANK)))),
            };
        }
    }
}

/// Bytes at which a word ends, by their number.
#[derive(Clone, Copy)]
struct Stops(&'static [bool; 256]);

impl Stops {
    const MEASUREMENT: Self = Self(&Self::of(b", \n\r"));
    const HEAD: Self = Self(&Self::of(b" \n\r"));
    const KEY: Self = Self(&Self::of(b",= \n\r"));
    const VALUE: Self = Self(&Self::of(b", \t\r\n"));
    const BLANK: Self = Self(&Self::of(b" \t\r\n"));

    const fn of(bytes: &[u8]) -> [bool; 256] {
        let mut table = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = true;
            at += 1;
        }
        table
    }

    #[inline]
    fn has(self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(true)
    }

    /// What a backslash takes literally: a stop that is no line end.
    fn escapable(self, byte: u8) -> bool {
        self.has(byte) && !matches!(byte, b'\n' | b'\r')
    }
}

fn scalar(word: &str) -> Option<FieldValue<'static>> {
    match word {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(FieldValue::Boolean(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(FieldValue::Boolean(false)),
        _ => {}
    }
    if let Some(digits) = word.strip_suffix('i') {
        return digits.parse().ok().map(FieldValue::Integer);
    }
    if let Some(digits) = word.strip_suffix('u') {
        return digits.parse().ok().map(FieldValue::Unsigned);
    }
    // Rust also reads "inf" and "nan"; the protocol does not.
    let numeric = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    word.parse().ok().filter(|number: &f64| numeric && number.is_finite()).map(FieldValue::Float)
}

/// At most 40 characters, for an error message.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[derive(Debug, Clone)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn skip_to_line_end(&mut self) {
        while !matches!(self.peek(), None | Some(b'\n')) {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        self.skip_to_line_end();
        self.take(b'\n');
    }

    fn end_of_line(&mut self) -> Result<(), LineFault> {
        let before = self.at;
        self.take(b'\r');
        if self.peek().is_none() || self.take(b'\n') {
            return Ok(());
        }
        self.at = before;
        let rest = self.text.get(self.at..).unwrap_or_default();
        Err(LineFault::Trailing(excerpt(rest.lines().next().unwrap_or_default())))
    }

    /// Stops are ASCII, so the slice ends on a character's border.
    fn until(&mut self, stops: Stops) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(|byte| !stops.has(byte)) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// A measurement, key or tag value: up to an unescaped stop or the end of the line. A backslash before a stop
    /// takes it literally; before anything else it is itself.
    fn name(&mut self, stops: Stops) -> Cow<'a, str> {
        let (raw, escaped) = self.raw_name(stops);
        if escaped { Cow::Owned(unescape(raw, |byte| stops.escapable(byte))) } else { Cow::Borrowed(raw) }
    }

    /// The same as written, and whether it holds an escape.
    fn raw_name(&mut self, stops: Stops) -> (&'a str, bool) {
        let start = self.at;
        let mut escaped = false;
        while let Some(byte) = self.peek() {
            if stops.has(byte) {
                break;
            }
            self.at += 1;
            if byte == b'\\' && self.peek().is_some_and(|next| stops.escapable(next)) {
                escaped = true;
                self.at += 1;
            }
        }
        (self.text.get(start..self.at).unwrap_or_default(), escaped)
    }

    /// The text behind an opening quote; `\"` and `\\` are escapes, any other backslash is itself.
    fn quoted(&mut self) -> Result<Cow<'a, str>, LineFault> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        loop {
            match bytes.get(self.at) {
                None => return Err(LineFault::OpenQuote),
                Some(b'\\') if matches!(bytes.get(self.at + 1), Some(b'"' | b'\\')) => {
                    escaped = true;
                    self.at += 2;
                }
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(if escaped { Cow::Owned(unescape(raw, |byte| matches!(byte, b'"' | b'\\'))) } else { Cow::Borrowed(raw) })
    }
}

fn unescape(raw: &str, escapable: impl Fn(u8) -> bool) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().filter(|n| u8::try_from(*n).is_ok_and(&escapable));
        match next {
            Some(literal) if c == '\\' => {
                plain.push(literal);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(text: &str) -> Point<'_> {
        parse(text, Precision::Nanoseconds).next().expect("a line").expect("a good line")
    }

    fn fault(text: &str) -> String {
        parse(text, Precision::Nanoseconds).find_map(Result::err).expect("an error").to_string()
    }

    #[test]
    fn reads_every_kind_of_value() {
        let point = one(r#"m a=1,b=-2.5e3,c=3i,d=4u,e=T,f=false,g="x, \"y\" \\ z",h=.5,i=1. 1556813561098000999"#);
        let values: Vec<_> = point.fields.iter().map(|(_, value)| value.clone()).collect();
        assert_eq!(
            values,
            [
                FieldValue::Float(1.0),
                FieldValue::Float(-2500.0),
                FieldValue::Integer(3),
                FieldValue::Unsigned(4),
                FieldValue::Boolean(true),
                FieldValue::Boolean(false),
                FieldValue::Text(r#"x, "y" \ z"#.into()),
                FieldValue::Float(0.5),
                FieldValue::Float(1.0),
            ]
        );
        assert_eq!(point.time, Some(Timestamp::from_micros(1_556_813_561_098_000)));
    }

    #[test]
    fn escapes_stand_for_themselves() {
        let point = one(r"wea\,ther\ now,loc\=ation=us\ mid\,west,path=C:\dir te\ mp\==82");
        assert_eq!(point.measurement, "wea,ther now");
        assert_eq!(point.tag("loc=ation"), Some("us mid,west"));
        assert_eq!(point.tag("path"), Some(r"C:\dir"));
        assert_eq!(point.fields[0].0, "te mp=");
    }

    #[test]
    fn comments_blank_lines_and_windows_line_ends_are_fine() {
        let text = "# head\r\n\r\n  m v=1 1\r\n\tn v=2\r\n#end";
        let points: Vec<_> = parse(text, Precision::Seconds).map(|p| p.expect("good")).collect();
        assert_eq!(points.len(), 2);
        assert_eq!((points[0].line, points[1].line), (3, 4));
        assert_eq!(points[0].time, Some(Timestamp::from_micros(1_000_000)));
        assert_eq!(points[1].time, None);
    }

    #[test]
    fn a_text_may_hold_line_breaks_and_later_lines_keep_their_number() {
        let points: Vec<_> = parse("m v=\"a\nb\"\nn v=1", Precision::Nanoseconds).map(|p| p.expect("good")).collect();
        assert_eq!(points[0].fields[0].1, FieldValue::Text("a\nb".into()));
        assert_eq!(points[1].line, 3);
    }

    #[test]
    fn a_wrong_line_is_named_and_the_next_is_read() {
        let all: Vec<_> = parse("m v=1\nbad\nm v=\"open\nm v=2", Precision::Nanoseconds).collect();
        let lines: Vec<_> =
            all.iter().map(|r| r.as_ref().map(|p| p.line).map_err(|e| (e.line, e.fault.clone()))).collect();
        assert_eq!(lines, [Ok(1), Err((2, LineFault::NoFields)), Err((3, LineFault::OpenQuote)), Ok(4)]);
    }

    #[test]
    fn refuses_what_the_protocol_refuses() {
        for (text, expected) in [
            (",a=b v=1", "line 1, column 1: a measurement has no name"),
            ("m,=b v=1", "line 1, column 3: a tag has no name"),
            ("m,a v=1", "line 1, column 4: the tag \"a\" has no value; write `a=value`, or leave it out"),
            ("m,a= v=1", "line 1, column 5: the tag \"a\" has no value; write `a=value`, or leave it out"),
            ("m v", "line 1, column 4: the field \"v\" has no value; write `v=1.5`"),
            ("m v= 1", "line 1, column 5: the field \"v\" has no value; write `v=1.5`"),
            ("m v=1 soon", "line 1, column 11: \"soon\" is no timestamp in the stated precision"),
            ("m v=1 1 2", "line 1, column 9: there is something after the end: \"2\""),
            ("m v=\"a\"b", "line 1, column 9: there is something after the end: \"b\""),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
        for word in [
            "nan",
            "inf",
            "-inf",
            "1e999",
            "0x10",
            "9223372036854775808i",
            "-1u",
            "18446744073709551616u",
            "yes",
            "1i2",
        ] {
            assert!(fault(&format!("m v={word}")).contains("is no value"), "{word}");
        }
        assert!(parse("m v=1 9223372036854775807", Precision::Hours).next().is_some_and(|r| r.is_err()));
    }

    /// Every line as [`Rows`] reads it, put together as [`parse`] would.
    fn by_rows(text: &str, precision: Precision) -> Vec<Result<Point<'_>, usize>> {
        let mut rows = Rows::new(text, precision);
        let mut points = Vec::new();
        while let Some(row) = rows.next() {
            points.push(row.map_err(|error| error.line).and_then(|row| {
                let (measurement, tags) = read_head(row.head).map_err(|_| row.line)?;
                Ok(Point { line: row.line, measurement, tags, fields: row.fields.to_vec(), time: row.time })
            }));
        }
        points
    }

    fn escape(text: &str, stops: &str) -> String {
        text.chars().flat_map(|c| stops.contains(c).then_some('\\').into_iter().chain([c])).collect()
    }

    proptest! {
        #[test]
        fn nothing_panics_and_reading_ends(text in "[a-c\\\\=, \"#\\n\\r\\t0-9iutf.µ-]{0,80}") {
            let lines = newlines(&text) + 1;
            let read: Vec<_> = parse(&text, Precision::Milliseconds).collect();
            prop_assert!(read.len() <= lines);
            for result in read {
                prop_assert!((1..=lines).contains(&result.map_or_else(|e| e.line, |p| p.line)));
            }
        }

        #[test]
        fn rows_are_the_points(text in "(([ab\\\\]{1,2}(,a=b)*|#| )( |v=1|,|=|\"x\ny|\"| 7)*\n?)*") {
            let points: Vec<_> = parse(&text, Precision::Seconds).collect();
            // A head is taken apart only after its line was read, so that behind a wrong one reading goes on elsewhere.
            let head = |fault: &LineFault| matches!(fault, LineFault::NoName("measurement" | "tag") | LineFault::NoTagValue(_) | LineFault::SecondEquals(_));
            let same = points.iter().take_while(|point| !point.as_ref().is_err_and(|error| head(&error.fault))).count();
            let mut by_rows = by_rows(&text, Precision::Seconds);
            by_rows.truncate(same);
            let points = points.into_iter().take(same).map(|point| point.map_err(|error| error.line));
            prop_assert_eq!(by_rows, points.collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*") {
            let _ = parse(&text, Precision::Nanoseconds).count();
        }

        #[test]
        fn what_is_written_is_read(
            measurement in "[a-zé ,]{1,8}", key in "[a-z=, ]{1,8}", value in "[a-z=, ]{1,8}",
            text in "[ -~é\\n]{0,20}", number in proptest::num::f64::NORMAL, whole: i64, stamp: i64,
        ) {
            prop_assume!(!measurement.starts_with([' ', ',']));
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!(
                "{},{}={} n={number},i={whole}i,t=\"{quoted}\" {stamp}",
                escape(&measurement, ", "), escape(&key, "=, "), escape(&value, "=, "),
            );
            let point = parse(&line, Precision::Microseconds).next().expect("a line");
            let point = point.map_err(|e| TestCaseError::fail(format!("{e}: {line}")))?;
            prop_assert_eq!(&*point.measurement, &measurement);
            prop_assert_eq!(point.tag(&key), Some(&*value));
            prop_assert_eq!(&point.fields[0].1, &FieldValue::Float(number));
            prop_assert_eq!(&point.fields[1].1, &FieldValue::Integer(whole));
            prop_assert_eq!(&point.fields[2].1, &FieldValue::Text(text.into()));
            prop_assert_eq!(point.time, Some(Timestamp::from_micros(stamp)));
        }
    }
}
