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

    /// Nanoseconds are rounded towards the past, since a [`Timestamp`] counts microseconds.
    fn timestamp(self, number: i64) -> Option<Timestamp> {
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
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Names and values in the order written; at least one.
    pub fields: Vec<(Cow<'a, str>, FieldValue<'a>)>,
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
        self.skip_to_a_point();
        let start = self.cursor.at;
        self.cursor.peek()?;
        let result = point(&mut self.cursor, self.line, self.precision);
        let result = result.map_err(|fault| {
            // A text whose closing quote is missing has eaten the lines below: start again behind the first of them.
            let stopped = self.cursor.at;
            if fault == LineFault::OpenQuote {
                self.cursor.at = start;
            }
            let before = self.cursor.text.get(start..stopped).unwrap_or_default();
            let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
            let line = self.line + if fault == LineFault::OpenQuote { 0 } else { newlines(before) };
            self.cursor.skip_line();
            LineError { line, column, fault }
        });
        self.line += self.cursor.text.get(start..self.cursor.at).map_or(0, newlines);
        Some(result)
    }
}

impl Lines<'_> {
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

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

fn point<'a>(cursor: &mut Cursor<'a>, line: usize, precision: Precision) -> Result<Point<'a>, LineFault> {
    let measurement = cursor.name(b", ");
    if measurement.is_empty() {
        return Err(LineFault::NoName("measurement"));
    }
    let tags = tags(cursor)?;
    cursor.skip_blanks();
    let fields = fields(cursor)?;
    cursor.skip_blanks();
    let stamp = cursor.until_blank();
    let time = match stamp {
        "" => None,
        digits => {
            let number = digits.parse().ok().and_then(|number| precision.timestamp(number));
            Some(number.ok_or_else(|| LineFault::BadTime(excerpt(digits)))?)
        }
    };
    cursor.skip_blanks();
    cursor.end_of_line()?;
    Ok(Point { line, measurement, tags, fields, time })
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

fn tags<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Pair<'a>>, LineFault> {
    let mut tags = Vec::new();
    while cursor.take(b',') {
        let key = cursor.name(b",= ");
        if key.is_empty() {
            return Err(LineFault::NoName("tag"));
        }
        if !cursor.take(b'=') {
            return Err(LineFault::NoTagValue(excerpt(&key)));
        }
        let value = cursor.name(b",= ");
        if value.is_empty() {
            return Err(LineFault::NoTagValue(excerpt(&key)));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

fn fields<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<(Cow<'a, str>, FieldValue<'a>)>, LineFault> {
    if matches!(cursor.peek(), None | Some(b'\n' | b'\r')) {
        return Err(LineFault::NoFields);
    }
    let mut fields = Vec::with_capacity(1);
    loop {
        let key = cursor.name(b",= ");
        if key.is_empty() {
            return Err(LineFault::NoName("field"));
        }
        if !cursor.take(b'=') {
            return Err(LineFault::NoFieldValue(excerpt(&key)));
        }
        let value = if cursor.take(b'"') {
            FieldValue::Text(cursor.quoted()?)
        } else {
            let word = cursor.until(b", \t\r\n");
            if word.is_empty() {
                return Err(LineFault::NoFieldValue(excerpt(&key)));
            }
            scalar(word).ok_or_else(|| LineFault::BadValue(excerpt(word)))?
        };
        fields.push((key, value));
        if !cursor.take(b',') {
            return match cursor.peek() {
                None | Some(b' ' | b'\t' | b'\r' | b'\n') => Ok(fields),
                Some(_) => Err(LineFault::Trailing(excerpt(cursor.until_blank()))),
            };
        }
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

    /// `stops` are ASCII, so the slice ends on a character's border.
    fn until(&mut self, stops: &[u8]) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(|b| stops.contains(&b)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn until_blank(&mut self) -> &'a str {
        self.until(b" \t\r\n")
    }

    /// A measurement, key or tag value: up to an unescaped stop or the end of the line. A backslash before a stop
    /// takes it literally; before anything else it is itself.
    fn name(&mut self, stops: &[u8]) -> Cow<'a, str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        while let Some(byte) = bytes.get(self.at) {
            if *byte == b'\\' && bytes.get(self.at + 1).is_some_and(|next| stops.contains(next)) {
                escaped = true;
                self.at += 2;
            } else if stops.contains(byte) || matches!(byte, b'\n' | b'\r') {
                break;
            } else {
                self.at += 1;
            }
        }
        let raw = self.text.get(start..self.at).unwrap_or_default();
        if escaped { Cow::Owned(unescape(raw, stops)) } else { Cow::Borrowed(raw) }
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
        Ok(if escaped { Cow::Owned(unescape(raw, b"\"\\")) } else { Cow::Borrowed(raw) })
    }
}

fn unescape(raw: &str, escapable: &[u8]) -> String {
    let mut plain = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().filter(|n| u8::try_from(*n).is_ok_and(|byte| escapable.contains(&byte)));
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
