//! The small views: made when they are read, from what the caller sees then.

use super::samples::{self, Target, severity};
use super::time;
use super::whole::{Make, Whole};
use crate::engine::Caller;
use crate::error::SqlError;
use crate::ports::{EventQuery, EventRow, Last};
use andon_model::{TagId, Value};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Events read at a time.
const PAGE: u32 = 1000;

fn fields(view: &str) -> Option<Vec<Field>> {
    let text = |name: &str| Field::new(name, DataType::Utf8View, true);
    let must = |name: &str| Field::new(name, DataType::Utf8View, false);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    Some(match view {
        "last_values" => vec![
            must("path"),
            Field::new("ts", time(), false),
            number("value"),
            text("text"),
            must("quality"),
            must("status"),
            Field::new("status_code", DataType::Int64, false),
            text("raw"),
            text("unit"),
            Field::new("stale", DataType::Boolean, false),
        ],
        "tags" => vec![
            must("path"),
            must("id"),
            must("title"),
            must("type"),
            text("unit"),
            number("low"),
            number("high"),
            Field::new("digits", DataType::Int32, true),
            Field::new("stepped", DataType::Boolean, false),
            must("equipment"),
            text("description"),
            Field::new("number", DataType::Int64, false),
        ],
        "equipment" => vec![must("path"), must("level"), must("title"), text("parent")],
        "gaps" => vec![Field::new("since", time(), false), Field::new("until", time(), false), must("reason")],
        "events" => vec![
            Field::new("at", time(), false),
            must("kind"),
            Field::new("severity", DataType::Int32, false),
            must("severity_name"),
            must("path"),
            must("by"),
            must("detail"),
            must("id"),
            Field::new("seq", DataType::Int64, false),
        ],
        _ => return None,
    })
}

/// The columns of a view.
pub(super) fn columns(view: &str) -> Option<SchemaRef> {
    Some(Arc::new(Schema::new(fields(view)?)))
}

/// The view of that name.
pub(super) fn view(name: &str, caller: &Caller) -> Option<Arc<dyn TableProvider>> {
    let schema = columns(name)?;
    let caller = caller.clone();
    Some(match name {
        "events" => Arc::new(Events { caller, schema }),
        "last_values" => Arc::new(LastValues { caller, schema }),
        "gaps" => Arc::new(Whole(Made { schema, caller, columns: gaps })),
        "tags" => Arc::new(Whole(Made { schema, caller, columns: tags })),
        _ => Arc::new(Whole(Made { schema, caller, columns: equipment })),
    })
}

/// A view whose columns are made of what the caller sees.
#[derive(Clone)]
struct Made {
    schema: SchemaRef,
    caller: Caller,
    columns: fn(&Caller) -> Vec<ArrayRef>,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Made")
    }
}

impl Make for Made {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn make(self) -> Result<RecordBatch> {
        self.caller.still()?;
        Ok(RecordBatch::try_new(self.schema.clone(), (self.columns)(&self.caller))?)
    }
}

fn must<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(texts.map(Some).collect::<StringViewArray>())
}

fn maybe<T: AsRef<str>>(texts: impl Iterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(texts.collect::<StringViewArray>())
}

fn numbers(numbers: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(numbers.collect::<Float64Array>())
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times.collect::<Vec<_>>()).with_timezone("UTC"))
}

/// `last_values`: only of the tags, and only the columns, that are asked for.
#[derive(Debug)]
struct LastValues {
    caller: Caller,
    schema: SchemaRef,
}

/// The columns `columns` of the last values of some tags, in the order of their paths.
#[derive(Debug, Clone)]
struct LastOf {
    caller: Caller,
    schema: SchemaRef,
    columns: Arc<[usize]>,
    targets: Arc<[Target]>,
}

#[async_trait]
impl TableProvider for LastValues {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(samples::taken_exactly(filters, samples::about_path))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters: Vec<&Expr> = filters.iter().collect();
        let targets = samples::targets(&self.caller, state, &filters)?.into();
        let columns: Arc<[usize]> =
            projection.map_or_else(|| (0..self.schema.fields().len()).collect(), |columns| columns.as_slice().into());
        let schema = Arc::new(self.schema.project(&columns)?);
        let rows = LastOf { caller: self.caller.clone(), schema, columns, targets };
        Whole(rows).scan(state, None, &[], limit).await
    }
}

impl Make for LastOf {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn make(self) -> Result<RecordBatch> {
        self.caller.still()?;
        let catalog = &self.caller.ports.catalog;
        let rows: Vec<(&Target, Last)> =
            self.targets.iter().filter_map(|target| Some((target, catalog.last(target.id)?))).collect();
        let columns = self.columns.iter().map(|column| self.column(*column, &rows)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.schema, columns, &options)?)
    }
}

impl LastOf {
    fn column(&self, column: usize, rows: &[(&Target, Last)]) -> ArrayRef {
        let last = || rows.iter().map(|(_, last)| last);
        let good = |last: &&Last| !last.quality.is_bad();
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.to_string()),
            _ => None,
        };
        let raw = |value: &Value| match value {
            Value::Null => None,
            other => Some(other.to_string()),
        };
        match column {
            0 => must(rows.iter().map(|(target, _)| &*target.path)),
            1 => times(last().map(|last| last.ts)),
            2 => numbers(last().map(|last| Some(last).filter(good)?.value.as_f64())),
            3 => maybe(last().map(|last| text(&Some(last).filter(good)?.value))),
            4 => must(last().map(|last| severity(last.quality))),
            5 => must(last().map(|last| last.quality.to_string())),
            6 => Arc::new(last().map(|last| Some(i64::from(last.quality.0))).collect::<Int64Array>()),
            7 => maybe(last().map(|last| raw(&last.value))),
            8 => {
                let tags = self.caller.ports.catalog.tags();
                let units: HashMap<TagId, &str> =
                    tags.iter().filter_map(|tag| Some((tag.id, tag.unit.as_deref()?))).collect();
                maybe(rows.iter().map(|(target, _)| units.get(&target.id)))
            }
            _ => Arc::new(last().map(|last| Some(last.stale)).collect::<BooleanArray>()),
        }
    }
}

fn tags(caller: &Caller) -> Vec<ArrayRef> {
    let mut tags = caller.ports.catalog.tags();
    tags.retain(|tag| caller.sees(&tag.path));
    tags.sort_by(|a, b| a.path.cmp(&b.path));
    let equipment = |path: &str| path.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned());
    vec![
        must(tags.iter().map(|tag| &*tag.path)),
        must(tags.iter().map(|tag| &tag.uuid)),
        must(tags.iter().map(|tag| &tag.title)),
        must(tags.iter().map(|tag| tag.data_type)),
        maybe(tags.iter().map(|tag| tag.unit.as_deref())),
        numbers(tags.iter().map(|tag| tag.range.map(|range| range.0))),
        numbers(tags.iter().map(|tag| tag.range.map(|range| range.1))),
        Arc::new(tags.iter().map(|tag| tag.digits.map(i32::from)).collect::<Int32Array>()),
        Arc::new(tags.iter().map(|tag| Some(tag.stepped)).collect::<BooleanArray>()),
        must(tags.iter().map(|tag| equipment(&tag.path))),
        maybe(tags.iter().map(|tag| Some(tag.description.as_str()).filter(|text| !text.is_empty()))),
        Arc::new(tags.iter().map(|tag| Some(i64::from(tag.id.0))).collect::<Int64Array>()),
    ]
}

fn equipment(caller: &Caller) -> Vec<ArrayRef> {
    let mut all = caller.ports.catalog.equipment();
    all.retain(|equipment| caller.sees(&equipment.path));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    vec![
        must(all.iter().map(|equipment| &equipment.path)),
        must(all.iter().map(|equipment| equipment.level)),
        must(all.iter().map(|equipment| &equipment.title)),
        maybe(all.iter().map(|equipment| equipment.parent.as_deref())),
    ]
}

/// Whoever sees something of history sees where it is incomplete: a gap is of all tags.
fn gaps(caller: &Caller) -> Vec<ArrayRef> {
    let gaps = if caller.branches.is_empty() { Vec::new() } else { caller.ports.history.gaps() };
    vec![
        times(gaps.iter().map(|gap| gap.from.micros())),
        times(gaps.iter().map(|gap| gap.to.micros())),
        must(gaps.iter().map(|gap| &gap.reason)),
    ]
}

/// `events`: read in pages, newest first; a range of `at` is handed down.
#[derive(Debug)]
struct Events {
    caller: Caller,
    schema: SchemaRef,
}

#[derive(Debug)]
struct EventPages {
    caller: Caller,
    schema: SchemaRef,
    from_us: Option<i64>,
    to_us: Option<i64>,
}

#[async_trait]
impl TableProvider for Events {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let taken = |filter: &&Expr| match super::samples::span_about("at", filter).is_some() {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(taken).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let spans = filters.iter().filter_map(|filter| super::samples::span_about("at", filter));
        let span = spans.fold(super::samples::Span::ALL, super::samples::Span::and);
        let pages = EventPages {
            caller: self.caller.clone(),
            schema: self.schema.clone(),
            from_us: Some(span.from).filter(|from| *from != i64::MIN),
            to_us: Some(span.to).filter(|to| *to != i64::MAX),
        };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(pages)];
        Ok(Arc::new(StreamingTableExec::try_new(self.schema.clone(), parts, projection, [], false, limit)?))
    }
}

impl PartitionStream for EventPages {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (caller, schema) = (self.caller.clone(), self.schema.clone());
        let first = EventQuery {
            from_us: self.from_us,
            to_us: self.to_us,
            branches: caller.branches.to_vec(),
            before: None,
            limit: PAGE,
        };
        let pages = futures_util::stream::try_unfold(Some(first), move |query| {
            let (caller, schema) = (caller.clone(), schema.clone());
            async move {
                let Some(query) = query else { return Ok(None) };
                caller.still()?;
                let page = caller.ports.catalog.events(query.clone()).await.map_err(SqlError::Failed)?;
                let full = page.len() == PAGE as usize;
                let next = page.last().filter(|_| full).map(|last| EventQuery { before: Some(last.seq), ..query });
                Ok(Some((events(&schema, &page)?, next)))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), pages))
    }
}

fn events(schema: &SchemaRef, rows: &[EventRow]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        times(rows.iter().map(|event| event.at)),
        must(rows.iter().map(|event| event.kind)),
        Arc::new(rows.iter().map(|event| Some(i32::from(event.severity))).collect::<Int32Array>()),
        must(rows.iter().map(|event| grave(event.severity))),
        must(rows.iter().map(|event| &event.path)),
        must(rows.iter().map(|event| &event.by)),
        must(rows.iter().map(|event| &event.detail)),
        must(rows.iter().map(|event| &event.id)),
        Arc::new(rows.iter().map(|event| i64::try_from(event.seq).ok()).collect::<Int64Array>()),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The word that the timeline has for a severity.
const fn grave(severity: u8) -> &'static str {
    match severity {
        1 => "critical",
        2 => "high",
        3 => "medium",
        4 => "low",
        _ => "info",
    }
}
