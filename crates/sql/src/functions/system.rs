//! What PostgreSQL's clients call: versions, names, privileges. Nothing here reads or changes anything.

use crate::engine::{DATABASE, SCHEMA};
use crate::pg::{self, catalog};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

type Body = Arc<dyn Fn(&[ScalarValue]) -> ScalarValue + Send + Sync>;

/// A function of scalars, row by row.
struct Simple {
    name: &'static str,
    returns: DataType,
    signature: Signature,
    body: Body,
    /// Tells two of the same name apart.
    tag: String,
}

impl std::fmt::Debug for Simple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Simple {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.tag == other.tag
    }
}

impl Eq for Simple {}

impl Hash for Simple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, &self.tag).hash(state);
    }
}

impl ScalarUDFImpl for Simple {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_scalar { 1 } else { args.number_rows };
        let of_row = |row: usize| -> Result<ScalarValue> {
            let values = args.args.iter().map(|arg| match arg {
                ColumnarValue::Scalar(value) => Ok(value.clone()),
                ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
            });
            Ok((self.body)(&values.collect::<Result<Vec<_>>>()?))
        };
        if all_scalar {
            return Ok(ColumnarValue::Scalar(of_row(0)?));
        }
        let values = (0..rows).map(of_row).collect::<Result<Vec<_>>>()?;
        if values.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(&self.returns)));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}

fn simple(
    name: &'static str,
    returns: DataType,
    body: impl Fn(&[ScalarValue]) -> ScalarValue + Send + Sync + 'static,
) -> Arc<ScalarUDF> {
    let signature = Signature::one_of(
        vec![datafusion::logical_expr::TypeSignature::Nullary, datafusion::logical_expr::TypeSignature::VariadicAny],
        Volatility::Stable,
    );
    Arc::new(ScalarUDF::from(Simple { name, returns, signature, body: Arc::new(body), tag: String::new() }))
}

fn text(text: Option<&str>) -> ScalarValue {
    ScalarValue::Utf8View(text.map(str::to_owned))
}

fn number(value: Option<&ScalarValue>) -> Option<i64> {
    match value?.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

fn words(value: Option<&ScalarValue>) -> Option<String> {
    match value?.cast_to(&DataType::Utf8).ok()? {
        ScalarValue::Utf8(text) => text,
        _ => None,
    }
}

/// A function without arguments that gives `value`.
pub(super) fn constant(name: &'static str, value: &str) -> Arc<ScalarUDF> {
    let value = value.to_owned();
    let tag = value.clone();
    let signature = Signature::nullary(Volatility::Stable);
    let body: Body = Arc::new(move |_| text(Some(&value)));
    Arc::new(ScalarUDF::from(Simple { name, returns: DataType::Utf8View, signature, body, tag }))
}

/// All of them.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let version = format!("PostgreSQL {} (Andon {})", catalog::SERVER_VERSION, env!("CARGO_PKG_VERSION"));
    let mut all = vec![
        constant("version", &version),
        constant("current_database", DATABASE),
        constant("current_catalog", DATABASE),
        constant("current_schema", SCHEMA),
        constant("pg_client_encoding", "UTF8"),
        simple("current_schemas", DataType::Utf8View, |_| text(Some("{pg_catalog,public}"))),
        simple("format_type", DataType::Utf8View, |args| {
            text(
                number(args.first()).map(|oid| catalog::type_words(oid).unwrap_or_else(|| "???".to_owned())).as_deref(),
            )
        }),
        simple("pg_relation_name", DataType::Utf8View, |args| {
            let oid = number(args.first());
            text(oid.map(|oid| catalog::relation_name(oid).map_or_else(|| oid.to_string(), str::to_owned)).as_deref())
        }),
        simple("obj_description", DataType::Utf8View, |args| text(number(args.first()).and_then(catalog::comment))),
        simple("pg_get_function_result", DataType::Utf8View, |args| {
            text(number(args.first()).and_then(pg::functions::of).map(|function| function.result))
        }),
        simple("pg_get_function_arguments", DataType::Utf8View, |args| {
            text(number(args.first()).and_then(pg::functions::of).map(|function| function.arguments))
        }),
        simple("pg_get_function_identity_arguments", DataType::Utf8View, |args| {
            text(number(args.first()).and_then(pg::functions::of).map(|function| function.arguments))
        }),
        simple("current_setting", DataType::Utf8View, |args| {
            text(words(args.first()).as_deref().and_then(catalog::setting))
        }),
        simple("set_config", DataType::Utf8View, |args| text(words(args.get(1)).as_deref())),
        simple("pg_get_userbyid", DataType::Utf8View, |_| text(Some(DATABASE))),
        simple("pg_encoding_to_char", DataType::Utf8View, |_| text(Some("UTF8"))),
        simple("quote_ident", DataType::Utf8View, |args| {
            let name = words(args.first());
            let plain = |name: &str| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            let quoted =
                name.map(|name| if plain(&name) { name } else { format!("\"{}\"", name.replace('"', "\"\"")) });
            text(quoted.as_deref())
        }),
        simple("to_regclass", DataType::Int64, |args| {
            ScalarValue::Int64(words(args.first()).as_deref().and_then(catalog::relation_oid))
        }),
        simple("to_regtype", DataType::Int64, |args| {
            ScalarValue::Int64(words(args.first()).as_deref().and_then(catalog::type_oid))
        }),
        simple("pg_size_pretty", DataType::Utf8View, |args| {
            text(number(args.first()).map(|bytes| format!("{bytes} bytes")).as_deref())
        }),
    ];
    let truths = [
        ("pg_table_is_visible", true),
        ("pg_type_is_visible", true),
        ("pg_function_is_visible", true),
        ("has_table_privilege", true),
        ("has_schema_privilege", true),
        ("has_database_privilege", true),
        ("has_column_privilege", true),
        ("has_any_column_privilege", true),
        ("has_function_privilege", true),
        ("pg_is_in_recovery", false),
        ("pg_relation_is_publishable", false),
        ("pg_is_other_temp_schema", false),
        ("pg_column_is_updatable", false),
    ];
    all.extend(truths.map(|(name, yes)| simple(name, DataType::Boolean, move |_| ScalarValue::Boolean(Some(yes)))));
    let numbers = [
        ("pg_backend_pid", 1),
        ("pg_my_temp_schema", 0),
        ("pg_relation_size", 0),
        ("pg_table_size", 0),
        ("pg_total_relation_size", 0),
        ("pg_database_size", 0),
        ("txid_current", 1),
        ("pg_char_to_encoding", 6),
    ];
    all.extend(numbers.map(|(name, value)| simple(name, DataType::Int64, move |_| ScalarValue::Int64(Some(value)))));
    let nothings = [
        "pg_get_expr",
        "pg_get_viewdef",
        "pg_get_constraintdef",
        "pg_get_indexdef",
        "pg_get_triggerdef",
        "pg_get_ruledef",
        "pg_get_functiondef",
        "pg_get_function_sqlbody",
        "pg_get_partkeydef",
        "pg_get_serial_sequence",
        "pg_get_statisticsobjdef_columns",
        "col_description",
        "shobj_description",
        "array_to_string",
        "inet_server_addr",
        "inet_client_addr",
        "pg_tablespace_location",
        "pg_advisory_unlock_all",
    ];
    all.extend(nothings.map(|name| simple(name, DataType::Utf8View, |_| text(None))));
    all
}
