//! The readings of one request, row by row.

use super::names::{Names, SeriesId, Target};
use super::{MAX_READINGS, too_many};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_access::table;
use andon_bus::PlantView;
use andon_model::access::{Action, Denied, Grant};
use andon_model::{DataType, Sample, StatusCode, Timestamp, Value};
use std::fmt;
use std::sync::Arc;

/// The most refused rows that are told one by one; the others are counted.
const MAX_TOLD: usize = 10_000;

/// Where the caller may write, as it is when the request comes.
pub(crate) struct Rights(Vec<Grant>);

impl Rights {
    pub(crate) fn of(app: &App, caller: &Caller) -> Self {
        Self(app.accounts.grants(&caller.who))
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
    },
}

/// What to do about a tag that there is not.
const ADD_IT: &str = "add the tag to the plant model first";

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(words) => f.write_str(words),
            Self::Denied(denied) => write!(f, "{denied}"),
            Self::Unknown(path) => write!(f, "{path} is not known here; {ADD_IT}"),
            Self::Unfit { path, wanted } => write!(f, "the value of {path} is not a {}", wanted.name()),
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
    /// What the form counts.
    pub(crate) counts: &'static str,
    samples: Vec<Sample>,
    refused: Vec<Refused>,
    refused_rows: usize,
}

impl<'p> Batch<'p> {
    pub(crate) fn new(
        plant: &'p Arc<PlantView>,
        rights: Rights,
        mut names: Names,
        received: Timestamp,
        partial: bool,
    ) -> Self {
        names.begin(plant);
        let (samples, refused) = (Vec::new(), Vec::new());
        Self { plant, rights, names, received, partial, counts: "reading", samples, refused, refused_rows: 0 }
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
        if self.refused.len() < MAX_TOLD {
            self.refused.push(Refused { counts: self.counts, row, fault });
        }
        self.partial
    }

    /// The series of this head, if one of its fields was found before.
    pub(crate) fn series(&mut self, head: &str) -> Option<SeriesId> {
        self.names.find(head)
    }

    /// The tag of the field, if it was found before and the caller may write it.
    /// # Errors
    /// The caller may not.
    pub(crate) fn known(&self, series: SeriesId, place: usize, name: &str) -> Result<Option<Target>, Fault> {
        let Some(target) = self.names.field(series, place, name) else { return Ok(None) };
        if let Some(tag) = self.plant.tag(target.id) {
            self.rights.check(tag.path.as_str()).map_err(Fault::Denied)?;
        }
        Ok(Some(target))
    }

    /// Looks for the tag at `path` and remembers it as `name` of the series `head`.
    /// # Errors
    /// The caller may not write there, or there is no such tag.
    pub(crate) fn find(&mut self, head: &str, name: &str, path: &str) -> Result<Target, Fault> {
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
            && let Some(target) = self.known(series, 0, "")?
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
    /// The value does not fit the tag.
    pub(crate) fn add(
        &mut self,
        target: Target,
        value: &Value,
        quality: StatusCode,
        time: Option<Timestamp>,
    ) -> Result<(), Fault> {
        let unfit = || {
            let path = self.plant.tag(target.id).map(|tag| tag.path.to_string()).unwrap_or_default();
            Fault::Unfit { path, wanted: target.data_type }
        };
        let value = value.coerce(target.data_type).ok_or_else(unfit)?;
        let source_ts = time.unwrap_or(self.received);
        self.samples.push(Sample { tag: target.id, value, quality, source_ts, received_ts: self.received });
        Ok(())
    }

    /// # Errors
    /// There are too many readings in this request.
    pub(crate) fn within_limit(&self) -> Result<(), Problem> {
        if self.samples.len() > MAX_READINGS { Err(too_many()) } else { Ok(()) }
    }

    /// The names for the next request, the readings, the refused rows and their number.
    pub(crate) fn end(self) -> (Names, Vec<Sample>, Vec<Refused>, usize) {
        (self.names, self.samples, self.refused, self.refused_rows)
    }
}

/// At most 300 bytes of what a stranger wrote: more than a path can have.
fn shorten(text: &str) -> String {
    const MOST: usize = 300;
    if text.len() <= MOST {
        return text.to_owned();
    }
    let end = (0..=MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}
