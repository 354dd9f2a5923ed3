//! CSV: a reading in each row (`path`, `ts`, `value`, and `quality` if wanted), or a time in each row and a column for each tag.

use super::batch::{self, Batch, Fault};
use super::names::Target;
use crate::problem::Problem;
use andon_model::{DataType, StatusCode, Timestamp, Value};
use andon_wire::csv::{Cell, Records};
use andon_wire::line_protocol::Precision;
use std::collections::HashSet;

/// The most columns.
const MAX_COLUMNS: usize = 10_000;

/// Which cell holds what.
enum Columns {
    /// A reading in each row.
    Long { path: usize, ts: usize, value: usize, quality: Option<usize>, columns: usize },
    /// A tag, or why there is none, for each column but that of the time and those without a name.
    Wide { ts: usize, tags: Vec<Option<Result<Target, Fault>>> },
}

/// Reads every row.
/// # Errors
/// The first line does not say which column holds what, or there are too many readings.
pub(crate) fn read(text: &str, precision: Precision, batch: &mut Batch<'_>) -> Result<(), Problem> {
    batch.counts = "line";
    let mut records = Records::new(text);
    let columns = match records.next() {
        Some(head) => columns(head.map_err(Problem::bad_request)?.cells, batch)?,
        None => return Err(Problem::bad_request("there is no first line that names the columns").remedy(REMEDY)),
    };
    while let Some(record) = records.next() {
        let mark = batch.mark();
        let refused = match record {
            Err(error) => Some((error.line, Fault::Unreadable(error.fault.to_string()))),
            Ok(record) => row(record.cells, &columns, precision, batch).err().map(|fault| (record.line, fault)),
        };
        if let Some((line, fault)) = refused
            && !batch.refuse(mark, line, fault)
        {
            return Ok(());
        }
        batch.within_limit()?;
    }
    Ok(())
}

const REMEDY: &str =
    "name the columns path, ts, value and, if wanted, quality; or ts and a column for each tag, named by its path";

fn columns(cells: &[Cell<'_>], batch: &mut Batch<'_>) -> Result<Columns, Problem> {
    let refused = |words: String| Problem::bad_request(words).remedy(REMEDY);
    if cells.len() > MAX_COLUMNS {
        let words = format!("the first line names {} columns, and there may be {MAX_COLUMNS}", cells.len());
        return Err(Problem::bad_request(words).remedy("send the tags in several requests, or as path, ts, value"));
    }
    let names: Vec<&str> = cells.iter().map(|cell| &*cell.text).collect();
    let mut before = HashSet::with_capacity(names.len());
    // A column without a name is left out.
    if let Some(name) = names.iter().find(|name| !name.is_empty() && !before.insert(**name)) {
        return Err(refused(format!("the column {:?} comes twice", short(name))));
    }
    let place = |wanted: &str| names.iter().position(|name| *name == wanted);
    let needed = |wanted: &str| {
        place(wanted)
            .ok_or_else(|| refused(format!("there is no column {wanted:?}; the first line names {}", listed(&names))))
    };
    let ts = needed("ts")?;
    let Some(path) = place("path") else {
        let mut tags = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            tags.push((place != ts && !name.is_empty()).then(|| batch.tag(name)));
        }
        return Ok(Columns::Wide { ts, tags });
    };
    let (value, quality) = (needed("value")?, place("quality"));
    match names.iter().find(|name| !["path", "ts", "value", "quality", ""].contains(name)) {
        Some(name) => Err(refused(format!("the column {:?} is not known; without a name it is left out", short(name)))),
        None => Ok(Columns::Long { path, ts, value, quality, columns: names.len() }),
    }
}

fn row(cells: &[Cell<'_>], columns: &Columns, precision: Precision, batch: &mut Batch<'_>) -> Result<(), Fault> {
    let cell = |place: usize| {
        let missing =
            || Fault::Unreadable(format!("there are {} cells, and column {} is missing", cells.len(), place + 1));
        cells.get(place).ok_or_else(missing)
    };
    match columns {
        Columns::Long { path, ts, value, quality, columns } => {
            if cells.len() > *columns {
                return Err(too_many_cells(cells.len()));
            }
            let target = batch.tag(&cell(*path)?.text)?;
            let time = time(cell(*ts)?, precision)?;
            let written = cell(*value)?;
            let value = value_of(written, target.data_type);
            let quality = match quality.map(cell).transpose()?.filter(|cell| !cell.is_nothing()) {
                Some(cell) => StatusCode::parse(&cell.text).ok_or_else(|| {
                    Fault::Unreadable(format!(
                        "{:?} is no quality: write good, uncertain, bad, or a StatusCode",
                        short(&cell.text)
                    ))
                })?,
                None if value == Some(Value::Null) => StatusCode::BAD_NO_DATA,
                None => StatusCode::GOOD,
            };
            add(batch, target, written, value, quality, time)
        }
        Columns::Wide { ts, tags } => {
            if cells.len() > tags.len() {
                return Err(too_many_cells(cells.len()));
            }
            let time = time(cell(*ts)?, precision)?;
            for (cell, tag) in cells.iter().zip(tags) {
                let Some(tag) = tag else { continue };
                if cell.is_nothing() {
                    continue;
                }
                let target = tag.clone()?;
                add(batch, target, cell, value_of(cell, target.data_type), StatusCode::GOOD, time)?;
            }
            Ok(())
        }
    }
}

fn too_many_cells(found: usize) -> Fault {
    Fault::Unreadable(format!(
        "there are {found} cells, more than columns; put a text with separators in double quotes"
    ))
}

/// Adds a reading; a value that could not be read does not fit.
fn add(
    batch: &mut Batch<'_>,
    target: Target,
    written: &Cell<'_>,
    value: Option<Value>,
    quality: StatusCode,
    time: Option<Timestamp>,
) -> Result<(), Fault> {
    // An infinite number fits no tag, and the batch knows how to say so; what it shows is what stands in the cell.
    let added = batch.add(target, &value.unwrap_or(Value::Double(f64::INFINITY)), quality, time);
    added.map_err(|fault| match fault {
        Fault::Unfit { path, wanted, .. } => Fault::Unfit { path, wanted, found: batch::found(&written.text) },
        other => other,
    })
}

/// The names of the columns, as many as fit a line.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 20;
    let told: Vec<String> = names.iter().take(MOST).map(|name| format!("{:?}", short(name))).collect();
    let more = names.len().saturating_sub(MOST);
    if more == 0 { told.join(", ") } else { format!("{} and {more} more", told.join(", ")) }
}

/// A whole number in the unit of the request, or RFC 3339; nothing: when it came.
fn time(cell: &Cell<'_>, precision: Precision) -> Result<Option<Timestamp>, Fault> {
    if cell.is_nothing() {
        return Ok(None);
    }
    let number = cell.text.parse().ok().and_then(|number| precision.timestamp(number));
    let time = number.or_else(|| Timestamp::parse_rfc3339(&cell.text));
    let wrong = || Fault::Unreadable(format!("{:?} is no time; write RFC 3339 or a whole number", short(&cell.text)));
    time.map(Some).ok_or_else(wrong)
}

/// The value in the words of the tag's type; `None`: it does not fit.
fn value_of(cell: &Cell<'_>, wanted: DataType) -> Option<Value> {
    if cell.is_nothing() {
        return Some(Value::Null);
    }
    let text = &*cell.text;
    match wanted {
        DataType::String => Some(Value::String(text.into())),
        DataType::Boolean => match text {
            "true" | "True" | "TRUE" | "t" | "1" => Some(Value::Boolean(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Some(Value::Boolean(false)),
            _ => None,
        },
        // 3.0 and 1e3 are whole numbers, too.
        DataType::Int64 => text.parse().map(Value::Int64).ok().or_else(|| number(text).map(Value::Double)),
        DataType::Double => number(text).map(Value::Double),
    }
}

/// Rust also reads "inf" and "nan"; no tag holds them.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
