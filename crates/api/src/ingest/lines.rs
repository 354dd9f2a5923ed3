//! Line protocol: a measurement and a field are a path; between them, where it is wanted, the values of the tags in the
//! order of their keys.

use super::batch::{Batch, Fault};
use crate::problem::Problem;
use andon_model::{StatusCode, Value};
use andon_wire::line_protocol::{FieldValue, Precision, Row, Rows, read_head};

/// Bytes of a short line, to guess how many there are.
const SHORT_LINE: usize = 40;

/// Reads every line; `with_tags`: their values are levels of the path.
/// # Errors
/// There are too many readings.
pub(crate) fn read(text: &str, precision: Precision, with_tags: bool, batch: &mut Batch<'_>) -> Result<(), Problem> {
    batch.counts = "line";
    // Room is made with the first good row: a body of nothing good needs none.
    let mut reserved = false;
    let mut rows = Rows::new(text, precision);
    while let Some(row) = rows.next() {
        let mark = batch.mark();
        let refused = match row {
            // The error names the line, and so does the refusal.
            Err(error) => Some((error.line, Fault::Unreadable(format!("column {}: {}", error.column, error.fault)))),
            Ok(row) => line(&row, with_tags, batch).err().map(|fault| (row.line, fault)),
        };
        if let Some((line, fault)) = refused
            && !batch.refuse(mark, line, fault)
        {
            return Ok(());
        }
        if !reserved && batch.mark() > 0 {
            reserved = true;
            batch.reserve(text.len() / SHORT_LINE);
        }
        batch.within_limit()?;
    }
    Ok(())
}

fn line(row: &Row<'_, '_>, with_tags: bool, batch: &mut Batch<'_>) -> Result<(), Fault> {
    let series = batch.series(row.head);
    for (name, value) in row.fields.iter() {
        let known = series.map(|series| batch.known(series, name)).transpose()?.flatten();
        let target = match known {
            Some(target) => target,
            None => {
                let path = path(batch.branch(), row.head, with_tags, name)?;
                batch.find(row.head, name, &path)?
            }
        };
        batch.add(target, &as_value(value)?, StatusCode::GOOD, row.time)?;
    }
    Ok(())
}

/// `<branch>/<measurement>/<tag values in the order of their keys>/<field>`.
fn path(branch: &str, head: &str, with_tags: bool, field: &str) -> Result<String, Fault> {
    let (measurement, mut tags) = read_head(head).map_err(|fault| Fault::Unreadable(fault.to_string()))?;
    tags.sort_by(|(a, _), (b, _)| a.cmp(b));
    if !with_tags {
        tags.clear();
    }
    let levels = [branch, &*measurement].into_iter().chain(tags.iter().map(|(_, value)| &**value)).chain([field]);
    Ok(levels.filter(|level| !level.is_empty()).collect::<Vec<_>>().join("/"))
}

fn as_value(field: &FieldValue<'_>) -> Result<Value, Fault> {
    Ok(match field {
        FieldValue::Float(f) => Value::Double(*f),
        FieldValue::Integer(i) => Value::Int64(*i),
        FieldValue::Unsigned(u) => Value::Int64(
            i64::try_from(*u)
                .map_err(|_| Fault::Unreadable(format!("{u} is beyond 63 bits, and no tag can hold it")))?,
        ),
        FieldValue::Boolean(b) => Value::Boolean(*b),
        FieldValue::Text(t) => Value::String(t.as_ref().into()),
    })
}
