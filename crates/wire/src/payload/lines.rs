//! Line protocol in a message to readings.

use super::TagTypes;
use super::convert::{self, MAX_TEXT};
use super::read::{Output, reading};
use super::settings::no_such_tag;
use super::template::Template;
use crate::line_protocol::{self, FieldValue, Precision};
use andon_model::{DataType, StatusCode, Timestamp, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The tag that got no value, where it is known, and why.
type Unread = (Option<Arc<str>>, String);

/// How to name the tags of a text of line protocol.
pub(super) struct Lines<'l> {
    pub(super) template: &'l Template,
    pub(super) precision: Precision,
    pub(super) types: &'l TagTypes,
    pub(super) wildcards: &'l [&'l str],
}

impl Lines<'_> {
    pub(super) fn read(&self, text: &str, received: Timestamp, out: &mut Output) {
        let mut known: HashMap<Arc<str>, DataType> = HashMap::new();
        for line in line_protocol::parse(text, self.precision) {
            let point = match line {
                Ok(point) => point,
                Err(error) => {
                    out.error(None, error.to_string());
                    continue;
                }
            };
            let stamp = match point.time.map(|time| convert::plausible(time, received)) {
                None => (received, StatusCode::GOOD),
                Some(Ok(time)) => (time, StatusCode::GOOD),
                Some(Err(message)) => {
                    out.error(None, format!("line {}: {message}; the received time is used", point.line));
                    (received, StatusCode::UNCERTAIN)
                }
            };
            for (name, value) in &point.fields {
                let result = self.field(&point, name, value, &mut known);
                match result {
                    Ok((tag, value)) => out.readings.push(reading(tag, value, stamp)),
                    Err((tag, message)) => out.error(tag, format!("line {}: {message}", point.line)),
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count above 2^63 keeps its size, not its last digits")]
    fn field(
        &self,
        point: &line_protocol::Point<'_>,
        name: &str,
        value: &FieldValue<'_>,
        known: &mut HashMap<Arc<str>, DataType>,
    ) -> Result<(Arc<str>, Value), Unread> {
        let path = self.template.fill_from(self.wildcards, point, name);
        let path = path.map_err(|tag| (None, format!("the point has no tag \"{}\"", convert::shorten(&tag))))?;
        let (tag, wanted) = match known.get_key_value(&*path) {
            Some((tag, wanted)) => (Arc::clone(tag), *wanted),
            None => {
                let wanted = (self.types)(&path).ok_or_else(|| (None, no_such_tag(&path)))?;
                let tag: Arc<str> = path.into();
                known.insert(Arc::clone(&tag), wanted);
                (tag, wanted)
            }
        };
        let raw = match value {
            FieldValue::Float(number) => Value::Double(*number),
            FieldValue::Integer(number) => Value::Int64(*number),
            FieldValue::Unsigned(number) => i64::try_from(*number).map_or(Value::Double(*number as f64), Value::Int64),
            FieldValue::Boolean(state) => Value::Boolean(*state),
            FieldValue::Text(text) if text.len() > MAX_TEXT => {
                return Err((Some(tag), format!("a text of {} bytes; at most {MAX_TEXT} are kept", text.len())));
            }
            FieldValue::Text(text) => Value::String(text.as_ref().into()),
        };
        match raw.coerce(wanted) {
            Some(value) => Ok((tag, value)),
            None => Err((Some(tag), format!("the field \"{name}\" does not fit the tag's type {}", wanted.name()))),
        }
    }
}
