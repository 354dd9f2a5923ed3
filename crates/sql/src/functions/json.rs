//! Parts of JSON: `detail -> 'limit'`, `detail ->> 'message'`, `json_extract_path_text(detail, 'value', 'Double')`.
//!
//! Only the way to the part is read; the part itself stays the text that it was.

use crate::error::SqlError;
use arrow::array::{Array, AsArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What `->` is a spelling of.
pub(crate) const GET: &str = "json_get";
/// What `->>` is a spelling of.
pub(crate) const GET_TEXT: &str = "json_get_text";

/// All of them.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let of = |(name, as_text, by_path)| {
        let signature = Signature::user_defined(Volatility::Immutable);
        Arc::new(ScalarUDF::from(Json { name, as_text, by_path, signature }))
    };
    [
        (GET, false, false),
        (GET_TEXT, true, false),
        ("json_extract_path", false, true),
        ("json_extract_path_text", true, true),
    ]
    .into_iter()
    .map(of)
    .collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Json {
    name: &'static str,
    /// A text is given without its quotes, and a JSON null as none.
    as_text: bool,
    /// Any number of steps, each a text; otherwise one, a text or a number.
    by_path: bool,
    signature: Signature,
}

/// A step down.
enum Step<'a> {
    Key(&'a str),
    Item(i64),
}

/// The JSON behind a step; `None` if there is none.
fn step<'a>(json: &'a RawValue, step: &Step<'_>) -> Option<&'a RawValue> {
    let text = json.get();
    match step {
        Step::Key(key) if text.starts_with('{') => {
            serde_json::from_str::<BTreeMap<String, &'a RawValue>>(text).ok()?.remove(*key)
        }
        Step::Item(item) if text.starts_with('[') => {
            let mut items = serde_json::from_str::<Vec<&'a RawValue>>(text).ok()?;
            // From the end, if it is negative.
            let item = usize::try_from(*item)
                .ok()
                .or_else(|| items.len().checked_sub(usize::try_from(item.unsigned_abs()).ok()?));
            item.filter(|item| *item < items.len()).map(|item| items.swap_remove(item))
        }
        _ => None,
    }
}

/// The part of a JSON text behind some steps.
/// # Errors
/// It is no JSON.
fn part<'a>(json: &'a str, steps: &[Step<'_>]) -> Result<Option<&'a RawValue>, SqlError> {
    let whole = serde_json::from_str::<&RawValue>(json).map_err(|error| {
        SqlError::BadParameter(format!("\"{}\" is not JSON: {error}", json.chars().take(60).collect::<String>()))
    })?;
    Ok(steps.iter().try_fold(whole, |json, by| step(json, by)))
}

/// A part as text; a JSON null is none.
/// # Errors
/// It holds half a character (`\ud800`) or a NUL, which no text here can hold. PostgreSQL refuses them, too.
fn text_of(part: &RawValue) -> Result<Option<String>, SqlError> {
    match part.get() {
        "null" => Ok(None),
        quoted if quoted.starts_with('"') => {
            let text = serde_json::from_str::<String>(quoted).ok().filter(|text| !text.contains('\0'));
            text.map(Some).ok_or_else(|| {
                let shown: String = quoted.chars().take(60).collect();
                SqlError::BadParameter(format!(
                    "{shown} is no text: it holds half a character, or a NUL; -> gives it as JSON"
                ))
            })
        }
        other => Ok(Some(other.to_owned())),
    }
}

impl ScalarUDFImpl for Json {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [_, steps @ ..] = types else { return exec_err!("{} takes JSON and a key", self.name) };
        if steps.is_empty() || !self.by_path && steps.len() > 1 {
            return exec_err!("{} takes JSON and a key", self.name);
        }
        let step = |given: &DataType| {
            if given.is_integer() && !self.by_path { DataType::Int64 } else { DataType::Utf8View }
        };
        Ok(std::iter::once(DataType::Utf8View).chain(steps.iter().map(step)).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one_for_all = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one_for_all { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let Some((json, steps)) = arrays.split_first() else { return exec_err!("{} takes JSON and a key", self.name) };
        let json = cast(json, &DataType::Utf8View)?;
        let json = json.as_string_view();
        let mut parts = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            if json.is_null(row) || steps.iter().any(|step| step.is_null(row)) {
                parts.append_null();
                continue;
            }
            let one = |step: &'_ arrow::array::ArrayRef| match step.data_type() {
                DataType::Int64 => Some(step.as_primitive::<Int64Type>().value(row)),
                _ => None,
            };
            let texts: Vec<Option<&str>> =
                steps.iter().map(|step| step.as_string_view_opt().map(|texts| texts.value(row))).collect();
            let found = if self.by_path {
                by_path(json.value(row), &texts)?
            } else {
                let steps: Vec<Step<'_>> = steps
                    .iter()
                    .zip(&texts)
                    .filter_map(|(step, text)| text.map(Step::Key).or_else(|| one(step).map(Step::Item)))
                    .collect();
                part(json.value(row), &steps)?
            };
            match found {
                Some(part) if self.as_text => parts.append_option(text_of(part)?),
                found => parts.append_option(found.map(RawValue::get)),
            }
        }
        let parts = parts.finish();
        if is_one_for_all {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&parts, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(parts)))
    }
}

/// The same with texts only, of which one that is a number may also count the items of a list.
fn by_path<'a>(json: &'a str, path: &[Option<&str>]) -> Result<Option<&'a RawValue>, SqlError> {
    let mut found = part(json, &[])?;
    for key in path {
        let (Some(here), Some(key)) = (found, key) else { return Ok(None) };
        found = match key.parse() {
            Ok(item) if here.get().starts_with('[') => step(here, &Step::Item(item)),
            _ => step(here, &Step::Key(key)),
        };
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_postgres_gives() {
        let json = r#" {"a": {"b": [1, 2.50, "x\"y", null, true]}, "a b": null, "n": -1e3} "#;
        let at = |path: &[&str]| {
            let path: Vec<_> = path.iter().copied().map(Some).collect();
            by_path(json, &path).expect("JSON").map(|part| (part.get().to_owned(), text_of(part).expect("a text")))
        };
        assert_eq!(at(&["a", "b", "1"]), Some(("2.50".to_owned(), Some("2.50".to_owned()))));
        assert_eq!(at(&["a", "b", "2"]), Some((r#""x\"y""#.to_owned(), Some("x\"y".to_owned()))));
        assert_eq!(at(&["a", "b", "-1"]), Some(("true".to_owned(), Some("true".to_owned()))));
        assert_eq!(at(&["a", "b", "3"]), Some(("null".to_owned(), None)));
        assert_eq!(at(&["a b"]), Some(("null".to_owned(), None)));
        for nowhere in [&["a", "b", "5"][..], &["a", "b", "-6"], &["c"], &["n", "x"], &["a", "b", "x"]] {
            assert_eq!(at(nowhere), None, "{nowhere:?}");
        }
        for no_text in [r#"{"a": "\ud800"}"#, r#"{"a": "x\u0000"}"#] {
            let part = by_path(no_text, &[Some("a")]).expect("JSON").expect("there");
            assert_eq!(text_of(part).map_err(|why| why.code()), Err("22023"), "{no_text}");
        }
        assert!(by_path("{", &[Some("a")]).is_err() && by_path("", &[]).is_err());
    }
}
