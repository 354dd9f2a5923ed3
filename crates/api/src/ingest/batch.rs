//! The readings of one request, row by row.

use super::names::{Names, SeriesId, Target};
use super::{MAX_MONTHS, MAX_READINGS, too_many, too_many_months};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_access::table;
use andon_bus::PlantView;
use andon_model::access::{Action, Denied, Grant};
use andon_model::path::LONGEST;
use andon_model::{DataType, Sample, StatusCode, Timestamp, Value};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The most refused rows that are told one by one; the others are counted.
const MAX_TOLD: usize = 10_000;
/// The most bytes of the reasons that are told; what comes behind is counted.
const MAX_TOLD_BYTES: usize = 1 << 20;
/// The mean length of a month, µs: near enough to count them.
const MONTH_US: i64 = 2_629_746_000_000;
/// The most bytes of one text of a reason that are told.
const MAX_TEXT: usize = 300;

/// Where the caller may write, as it is when the request comes.
pub(crate) struct Rights(Vec<Grant>);

impl Rights {
    pub(crate) fn of(app: &App, caller: &Caller) -> Self {
        Self(app.accounts.grants(&caller.who))
    }

    /// Whether the caller may write anywhere: otherwise the body need not be looked at.
    /// # Errors
    /// The caller may write nowhere.
    pub(crate) fn check_any(&self) -> Result<(), Denied> {
        let needed = table::needed(Action::Publish);
        let any = self.0.iter().any(|grant| grant.role >= needed);
        if any { Ok(()) } else { Err(Denied { action: Action::Publish, branch: String::new(), needed }) }
    }

    fn check(&self, path: &str) -> Result<(), Denied> {
        table::authorise(&self.0, Action::Publish, path)
    }
}

/// Why a row is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It cannot be read; in words.
    Unreadable(String),
    /// The caller may not write there.
    Denied(Denied),
    /// There is no such tag.
    Unknown(String),
    /// The value is not of the tag's type.
    Unfit {
        /// The tag.
        path: String,
        /// Its type.
        wanted: DataType,
        /// The value as it was written, cut short.
        found: String,
    },
}

/// A value as a fault shows it.
pub(crate) fn found(written: &str) -> String {
    const MOST: usize = 60;
    match written.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", written.get(..end).unwrap_or_default()),
        None => written.to_owned(),
    }
}

/// What a value of this type is.
const fn kind_words(wanted: DataType) -> &'static str {
    match wanted {
        DataType::Boolean => "true or false (boolean)",
        DataType::Int64 => "a whole number (int64)",
        DataType::Double => "a number (double)",
        DataType::String => "a text (string)",
    }
}

/// Whether a text is a number with a decimal comma, perhaps with points between its thousands.
fn has_decimal_comma(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.trim_start_matches(['-', '+']).split_once(',').is_some_and(|(whole, part)| digits(whole) && digits(part))
}

impl Fault {
    /// The same with what a stranger wrote cut short; and its bytes.
    fn bounded(mut self) -> (Self, usize) {
        let text = match &mut self {
            Self::Unreadable(text) | Self::Unknown(text) | Self::Unfit { path: text, .. } => text,
            Self::Denied(denied) => &mut denied.branch,
        };
        if text.len() > MAX_TEXT {
            *text = shorten(text);
        }
        let bytes = text.len();
        (self, bytes)
    }
}

/// What to do about a tag that there is not.
const ADD_IT: &str = "add the tag to the plant model first";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(words) => f.write_str(words),
            Self::Denied(denied) => write!(f, "{denied}"),
            Self::Unknown(path) => write!(f, "{} is not known here; {ADD_IT}", path.escape_debug()),
            Self::Unfit { path, wanted, found } => {
                write!(f, "{found:?} is no value of {path}, which is {}", kind_words(*wanted))?;
                if has_decimal_comma(found) && matches!(wanted, DataType::Double | DataType::Int64) {
                    f.write_str("; decimals take a point")?;
                }
                Ok(())
            }
        }
    }
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What the form counts: `line 3`, `reading 7`.
    pub(crate) counts: &'static str,
    /// Its number, from 1.
    pub(crate) row: usize,
    pub(crate) fault: Fault,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.counts, self.row, self.fault)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused.fault {
            Fault::Denied(denied) => denied.into(),
            Fault::Unknown(path) => Self::not_found(&path).remedy(ADD_IT),
            Fault::Unreadable(_) | Fault::Unfit { .. } => Self::bad_request(refused),
        }
    }
}

/// The readings of one request.
pub(crate) struct Batch<'p> {
    plant: &'p Arc<PlantView>,
    rights: Rights,
    names: Names,
    received: Timestamp,
    /// Go on after a refused row.
    partial: bool,
    /// A reading without a time is refused.
    timed: bool,
    /// What the form counts.
    pub(crate) counts: &'static str,
    samples: Vec<Sample>,
    /// The months in which there are readings, and that of the last one.
    months: HashSet<i64>,
    month: Option<i64>,
    refused: Vec<Refused>,
    refused_rows: usize,
    /// Bytes of the reasons in `refused`.
    told_bytes: usize,
}

impl<'p> Batch<'p> {
    pub(crate) fn new(
        plant: &'p Arc<PlantView>,
        rights: Rights,
        mut names: Names,
        received: Timestamp,
        partial: bool,
    ) -> Self {
        names.begin(plant, &rights.0);
        let (samples, refused) = (Vec::new(), Vec::new());
        Self {
            plant,
            rights,
            names,
            received,
            partial,
            timed: false,
            counts: "reading",
            samples,
            months: HashSet::new(),
            month: None,
            refused,
            refused_rows: 0,
            told_bytes: 0,
        }
    }

    /// From now on refuses readings without a time, which otherwise get the time when they came.
    pub(crate) fn want_times(&mut self) {
        self.timed = true;
    }

    /// Room for so many more readings.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.samples.reserve(more.min(MAX_READINGS));
    }

    /// The branch that stands before every path.
    pub(crate) fn branch(&self) -> &str {
        self.names.branch()
    }

    /// The readings so far: the mark to which [`Batch::refuse`] goes back.
    pub(crate) fn mark(&self) -> usize {
        self.samples.len()
    }

    /// Refuses a row, with the readings that it gave since `mark`. False when nothing more need be read.
    pub(crate) fn refuse(&mut self, mark: usize, row: usize, fault: Fault) -> bool {
        self.samples.truncate(mark);
        self.refused_rows += 1;
        if self.refused.len() < MAX_TOLD && self.told_bytes < MAX_TOLD_BYTES {
            let (fault, bytes) = fault.bounded();
            self.told_bytes += bytes;
            self.refused.push(Refused { counts: self.counts, row, fault });
        }
        self.partial
    }

    /// The series of this head, if one of its fields was found before.
    pub(crate) fn series(&self, head: &str) -> Option<SeriesId> {
        self.names.find(head)
    }

    /// The tag of the field, if it was found before and the caller may write it.
    /// # Errors
    /// The caller may not.
    pub(crate) fn known(&mut self, series: SeriesId, name: &str) -> Result<Option<Target>, Fault> {
        let Some(field) = self.names.field(series, name) else { return Ok(None) };
        let Some(target) = self.names.target(field) else { return Ok(None) };
        if !self.names.is_allowed(field) {
            if let Some(tag) = self.plant.tag(target.id) {
                self.rights.check(tag.path.as_str()).map_err(Fault::Denied)?;
            }
            self.names.allow(field);
        }
        Ok(Some(target))
    }

    /// Looks for the tag at `path` and remembers it as `name` of the series `head`.
    /// # Errors
    /// It is longer than any path, the caller may not write there, or there is no such tag.
    pub(crate) fn find(&mut self, head: &str, name: &str, path: &str) -> Result<Target, Fault> {
        if path.len() > LONGEST {
            let (begin, bytes) = (path.chars().take(40).collect::<String>(), path.len());
            return Err(Fault::Unreadable(format!(
                "the path that begins with {begin:?} has {bytes} bytes; write the path of a tag, of at most {LONGEST}"
            )));
        }
        self.rights.check(path).map_err(Fault::Denied)?;
        let unknown = || Fault::Unknown(shorten(path));
        let id = self.plant.id_of(path).ok_or_else(unknown)?;
        let data_type = self.plant.tag(id).ok_or_else(unknown)?.data_type;
        let target = Target { id, data_type };
        self.names.add(head, name, target);
        Ok(target)
    }

    /// The tag at this path, where a whole path stands in each row.
    /// # Errors
    /// As [`Batch::find`].
    pub(crate) fn tag(&mut self, path: &str) -> Result<Target, Fault> {
        if let Some(series) = self.names.find(path)
            && let Some(target) = self.known(series, "")?
        {
            return Ok(target);
        }
        if self.branch().is_empty() {
            return self.find(path, "", path);
        }
        let whole = format!("{}/{path}", self.branch());
        self.find(path, "", &whole)
    }

    /// Adds a reading.
    /// # Errors
    /// The value does not fit the tag, there is no time where there must be one, or it has no date.
    pub(crate) fn add(
        &mut self,
        target: Target,
        value: &Value,
        quality: StatusCode,
        time: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let unfit = || {
            let path = self.plant.tag(target.id).map(|tag| tag.path.to_string()).unwrap_or_default();
            Fault::Unfit { path, wanted: target.data_type, found: found(&value.to_string()) }
        };
        let value = value.coerce(target.data_type).ok_or_else(unfit)?;
        if self.timed && time.is_none() {
            return Err(Fault::Unreadable("there is no time; each row of an import has one".to_owned()));
        }
        let source_ts = time.unwrap_or(self.received);
        if !source_ts.has_date() {
            return Err(Fault::Unreadable(format!(
                "the time {source_ts} lies outside of the years 0000 to 9999; is it in the unit that \"precision\" says?"
            )));
        }
        let month = source_ts.micros().div_euclid(MONTH_US);
        if self.month != Some(month) {
            self.month = Some(month);
            self.months.insert(month);
        }
        self.samples.push(Sample { tag: target.id, value, quality, source_ts, received_ts: self.received });
        Ok(())
    }

    /// # Errors
    /// There are too many readings in this request, or they reach over too many months.
    pub(crate) fn within_limit(&self) -> Result<(), Problem> {
        if self.samples.len() > MAX_READINGS {
            return Err(too_many());
        }
        if self.months.len() > MAX_MONTHS { Err(too_many_months()) } else { Ok(()) }
    }

    /// The names for the next request, the readings, the refused rows and their number.
    pub(crate) fn end(self) -> (Names, Vec<Sample>, Vec<Refused>, usize) {
        (self.names, self.samples, self.refused, self.refused_rows)
    }
}

/// At most [`MAX_TEXT`] bytes of what a stranger wrote: more than a path can have.
pub(crate) fn shorten(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::{Form, csv, json, lines};
    use super::*;
    use andon_model::access::Role;
    use andon_wire::line_protocol::Precision;

    /// What is told of a body that a caller of one branch, or of none, sends to an empty plant.
    fn told(form: Form, text: &str, timed: bool) -> (Vec<Refused>, usize) {
        let plant = Arc::new(PlantView::default());
        let rights = Rights(vec![Grant { role: Role::Operator, branch: "mine".to_owned() }]);
        let mut batch = Batch::new(&plant, rights, Names::new(form, ""), Timestamp::from_millis(0), true);
        if timed {
            batch.want_times();
        }
        let read = match form {
            Form::Csv => csv::read(text, Precision::Milliseconds, &mut batch),
            Form::Json => json::read(text, Precision::Milliseconds, &mut batch),
            Form::Lines | Form::Influx => lines::read(text, Precision::Milliseconds, true, &mut batch),
        };
        read.expect("readable");
        let (_, samples, refused, rows) = batch.end();
        assert!(samples.is_empty());
        (refused, rows)
    }

    fn bytes(refused: &[Refused]) -> usize {
        refused.iter().map(|refused| refused.to_string().len()).sum()
    }

    #[test]
    fn a_long_name_is_refused_before_anything_and_kept_short() {
        let name = "x".repeat(1_000_000);
        for (form, text) in [
            (Form::Csv, format!("ts,{name}\n{}", "1,1\n".repeat(5000))),
            (Form::Lines, format!("{name} a=1\n{name} b=1\n")),
            (Form::Json, format!("{{\"path\":\"{name}\",\"ts\":1,\"value\":1}}")),
        ] {
            let (refused, rows) = told(form, &text, false);
            assert_eq!(refused.len(), rows.min(MAX_TOLD));
            assert!(bytes(&refused) < 200 * refused.len(), "{form:?}: {} bytes", bytes(&refused));
            let words = refused.first().expect("a row").to_string();
            assert!(words.contains("bytes; write the path of a tag, of at most 255"), "{words}");
        }
        let (refused, _) = told(Form::Json, &format!("{{\"path\":\"{name}\"}}"), false);
        assert!(bytes(&refused) < 400, "{refused:?}");
    }

    #[test]
    fn the_reasons_that_are_told_are_bounded_in_bytes() {
        let path = "y".repeat(LONGEST);
        let (refused, rows) =
            told(Form::Csv, &format!("path,ts,value\n{}", format!("{path},1,1\n").repeat(9000)), false);
        assert_eq!(rows, 9000, "all are counted");
        assert_eq!(refused.len(), MAX_TOLD_BYTES.div_ceil(LONGEST));
        assert!(matches!(refused.first().map(|refused| &refused.fault), Some(Fault::Denied(_))));
    }

    #[test]
    fn a_request_reaches_over_so_many_months_at_most() {
        let plant = Arc::new(PlantView::default());
        let mut batch =
            Batch::new(&plant, Rights(Vec::new()), Names::new(Form::Lines, ""), Timestamp::from_millis(0), true);
        let target = Target { id: andon_model::TagId(1), data_type: DataType::Double };
        let mut add = |month: i64| {
            let time = Some(Timestamp::from_micros(month * MONTH_US));
            batch.add(target, &Value::Double(1.0), StatusCode::GOOD, time).expect("a date");
            batch.within_limit()
        };
        // Again and again the same ones are no more.
        for month in (0..MAX_MONTHS as i64).chain((0..MAX_MONTHS as i64).rev()) {
            assert!(add(month).is_ok(), "{month}");
        }
        assert!(add(-1).is_err());
    }

    #[test]
    fn whoever_may_write_nowhere_is_told_at_once() {
        let grant = |role| Rights(vec![Grant { role, branch: "a".to_owned() }]);
        assert!(grant(Role::Operator).check_any().is_ok());
        assert!(grant(Role::Viewer).check_any().is_err() && Rights(Vec::new()).check_any().is_err());
    }
}
