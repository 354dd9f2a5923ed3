//! `samples_by_minute`, `samples_by_hour`, `samples_by_day`: history summed up.
//!
//! Each is a query over `samples` that is put in the place of its name, so that conditions, rights and
//! [sums that history knows](super::summary) work as there.

use super::samples::Samples;
use super::time;
use crate::engine::Caller;
use crate::functions::bin::Bin;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{avg, count, max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit};
use std::sync::{Arc, LazyLock};

/// The width of the stretches of a view, in seconds; `None` if it is none of these.
fn width(view: &str) -> Option<i64> {
    match view {
        "samples_by_minute" => Some(60),
        "samples_by_hour" => Some(3_600),
        "samples_by_day" => Some(86_400),
        _ => None,
    }
}

/// The columns of such a view.
pub(super) fn columns(view: &str) -> Option<SchemaRef> {
    static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
        let number = |name| Field::new(name, DataType::Float64, true);
        let count = |name| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8View, false),
            Field::new("ts", time(), true),
            count("rows"),
            count("numbers"),
            number("average"),
            number("min"),
            number("max"),
            number("sum"),
        ]))
    });
    width(view).map(|_| COLUMNS.clone())
}

/// Such a view; `None` if it is none of these.
pub(super) fn view(name: &str, caller: &Caller) -> Result<Option<Arc<dyn TableProvider>>> {
    let Some(seconds) = width(name) else { return Ok(None) };
    let samples = provider_as_source(Arc::new(Samples::new(caller.clone())));
    let width = IntervalMonthDayNano::new(0, 0, seconds * 1_000_000_000);
    let width = lit(ScalarValue::IntervalMonthDayNano(Some(width)));
    let value = || col("value");
    let summed = LogicalPlanBuilder::scan("samples", samples, None)?.aggregate(
        [col("path"), Bin::registered().call(vec![width, col("ts")])],
        [count(lit(1_i64)), count(value()), avg(value()), min(value()), max(value()), sum(value())],
    )?;
    let schema = summed.schema().clone();
    let names = columns(name).unwrap_or_else(|| Arc::new(Schema::empty()));
    let columns = schema.columns().into_iter().zip(names.fields());
    let named = summed.project(columns.map(|(column, field)| Expr::Column(column).alias(field.name())))?;
    Ok(Some(Arc::new(ViewTable::new(named.build()?, None))))
}
