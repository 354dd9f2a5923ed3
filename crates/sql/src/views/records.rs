//! `report_…`: orders, jobs, lots, what went into what, figures of hours and days, as the records have them.
//!
//! The names and columns are those of the views in the records database itself, a promise of the manual. They are read page by page, only the
//! columns that are asked for; what a condition says about a number or a path, or about when an hour begins, is handed on so that rows are found
//! by an index, and every condition is looked at here once more.
//!
//! **Rights.** Rows come only as the caller's branches show them, below every condition; each page asks again.

use super::samples::{Span, named, span_about};
use super::time;
use crate::engine::Caller;
use crate::error::SqlError;
use crate::ports::{Pages, RecordColumn, RecordQuery, RecordRows};
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
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
use std::fmt;
use std::sync::Arc;

/// Rows read at a time.
const PAGE: u32 = 5_000;
/// Texts of one condition that are looked up, at most; with more, every row is looked at.
const LOOKED_UP: usize = 500;

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Whole,
    /// In millionths; shown as a number.
    Amount,
    Time,
}

impl Kind {
    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Whole => DataType::Int64,
            Self::Amount => DataType::Float64,
            Self::Time => time(),
        }
    }
}

/// A view: its columns, and by which of them rows are looked up.
struct View {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    looked_up: &'static [&'static str],
}

use Kind::{Amount, Text, Time, Whole};

const FIGURES: &[(&str, Kind)] = &[
    ("path", Text),
    ("begins", Time),
    ("production_s", Amount),
    ("setup_s", Amount),
    ("delay_s", Amount),
    ("minor_stop_s", Amount),
    ("idle_s", Amount),
    ("unknown_s", Amount),
    ("planned_down_s", Amount),
    ("off_shift_s", Amount),
    ("good", Amount),
    ("scrap", Amount),
    ("rework", Amount),
    ("planned_run_s", Amount),
    ("planned_run_good_s", Amount),
];

static VIEWS: [View; 7] = [
    View {
        name: "report_orders",
        columns: &[
            ("id", Text),
            ("number", Text),
            ("material", Text),
            ("revision", Text),
            ("title", Text),
            ("quantity", Amount),
            ("unit", Text),
            ("state", Text),
            ("priority", Whole),
            ("due", Time),
            ("source", Text),
            ("note", Text),
            ("created", Time),
        ],
        looked_up: &["number"],
    },
    View {
        name: "report_jobs",
        columns: &[
            ("id", Text),
            ("number", Text),
            ("order_number", Text),
            ("material", Text),
            ("operation", Text),
            ("title", Text),
            ("equipment", Text),
            ("state", Text),
            ("substate", Text),
            ("quantity", Amount),
            ("booked_good", Amount),
            ("booked_scrap", Amount),
            ("booked_rework", Amount),
            ("planned_start", Time),
            ("planned_end", Time),
            ("started", Time),
            ("ended", Time),
        ],
        looked_up: &["number", "order_number"],
    },
    View {
        name: "report_job_times",
        columns: &[("job_number", Text), ("equipment", Text), ("from_time", Time), ("to_time", Time)],
        looked_up: &["job_number", "equipment"],
    },
    View {
        name: "report_lots",
        columns: &[
            ("id", Text),
            ("kind", Text),
            ("material", Text),
            ("revision", Text),
            ("number", Text),
            ("state", Text),
            ("made", Amount),
            ("received", Amount),
            ("consumed", Amount),
            ("place", Text),
            ("is_in_several_places", Whole),
            ("job_id", Text),
            ("made_at", Time),
        ],
        looked_up: &["number"],
    },
    View {
        name: "report_genealogy",
        columns: &[
            ("from_id", Text),
            ("from_material", Text),
            ("from_number", Text),
            ("to_id", Text),
            ("to_material", Text),
            ("to_number", Text),
            ("quantity", Amount),
            ("position", Text),
            ("equipment", Text),
            ("job_id", Text),
            ("at_time", Time),
            ("removed_time", Time),
        ],
        looked_up: &["from_number", "to_number"],
    },
    View { name: "report_hours", columns: FIGURES, looked_up: &["path"] },
    View { name: "report_days", columns: FIGURES, looked_up: &["path"] },
];

impl View {
    fn named(name: &str) -> Option<&'static Self> {
        VIEWS.iter().find(|view| view.name == name)
    }

    /// As in the database's views, any column may be null.
    fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(&str, Kind)| Field::new(*name, kind.data_type(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Whether its rows are for all or for none.
    fn is_of_lots(&self) -> bool {
        matches!(self.name, "report_lots" | "report_genealogy")
    }

    /// When an hour or a day begins, as far as a condition says.
    fn begins(&self, filter: &Expr) -> Option<Span> {
        self.columns.iter().any(|(name, _)| *name == "begins").then(|| span_about("begins", filter)).flatten()
    }

    /// By which texts of which column a condition finds its rows.
    fn texts(&self, filter: &Expr) -> Option<(&'static str, Vec<String>)> {
        let by = |column: &&'static str| {
            let texts = named(column, filter).filter(|texts| (1..=LOOKED_UP).contains(&texts.len()))?;
            Some((*column, texts.into_iter().map(str::to_owned).collect()))
        };
        self.looked_up.iter().find_map(by)
    }
}

/// The columns of a view.
pub(super) fn columns(view: &str) -> Option<SchemaRef> {
    Some(View::named(view)?.schema())
}

/// The view of that name.
pub(super) fn view(name: &str, caller: &Caller) -> Option<Arc<dyn TableProvider>> {
    let view = View::named(name)?;
    Some(Arc::new(Records { view, caller: caller.clone(), schema: view.schema() }))
}

struct Records {
    view: &'static View,
    caller: Caller,
    schema: SchemaRef,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view.name)
    }
}

#[async_trait]
impl TableProvider for Records {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let helps = |filter: &&Expr| match self.view.texts(filter).is_some() || self.view.begins(filter).is_some() {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(helps).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all);
        let schema: SchemaRef = Arc::new(self.schema.project(columns)?);
        let span = filters.iter().filter_map(|filter| self.view.begins(filter)).fold(Span::ALL, Span::and);
        let query = RecordQuery {
            view: self.view.name,
            columns: columns.iter().filter_map(|at| self.view.columns.get(*at)).map(|(name, _)| *name).collect(),
            branches: self.caller.branches.to_vec(),
            texts: filters.iter().filter_map(|filter| self.view.texts(filter)).collect(),
            from_us: Some(span.from).filter(|from| *from != i64::MIN),
            to_us: Some(span.to).filter(|to| *to != i64::MAX),
            page: limit.and_then(|limit| u32::try_from(limit).ok()).map_or(PAGE, |limit| limit.clamp(1, PAGE)),
        };
        let scan = Scan { view: self.view, caller: self.caller.clone(), schema: schema.clone(), query };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(scan)];
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, [], false, limit)?))
    }
}

/// What is read of a view.
struct Scan {
    view: &'static View,
    caller: Caller,
    schema: SchemaRef,
    query: RecordQuery,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view.name)
    }
}

impl PartitionStream for Scan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reader = Reader { view: self.view, caller: self.caller.clone(), schema: self.schema.clone(), pages: None };
        let query = self.query.clone();
        let batches = futures_util::stream::try_unfold((reader, Some(query)), |(mut reader, query)| async move {
            if let Some(query) = query
                && !reader.begin(query)
            {
                return Ok(None);
            }
            Ok(reader.next().await?.map(|batch| (batch, (reader, None))))
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

struct Reader {
    view: &'static View,
    caller: Caller,
    schema: SchemaRef,
    pages: Option<Box<dyn Pages>>,
}

impl Reader {
    /// Begins to read; `false` if all of it is hidden from the caller.
    fn begin(&mut self, query: RecordQuery) -> bool {
        if !self.is_shown() {
            return false;
        }
        self.pages = Some(self.caller.ports.records.open(query));
        true
    }

    fn is_shown(&self) -> bool {
        !self.view.is_of_lots() || self.caller.ports.records.sees_lots(&self.caller.branches)
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(pages) = &mut self.pages else { return Ok(None) };
        let page = pages.next().await.map_err(|unreadable| SqlError::Failed(unreadable.to_string()))?;
        // Asked behind the reading: a page may have taken long.
        self.caller.still()?;
        if !self.is_shown() {
            let changed = "your rights or the stations were changed while the query ran; run it again";
            return Err(SqlError::NotAllowed(changed.to_owned()).into());
        }
        page.map(|page| batch(&self.schema, page)).transpose()
    }
}

/// Rows as the engine takes them. What does not have the type of its column is an error of whoever handed it in.
fn batch(schema: &SchemaRef, page: RecordRows) -> Result<RecordBatch> {
    let columns = schema.fields().iter().zip(page.columns).map(|(field, column)| array(field.data_type(), column));
    let options = RecordBatchOptions::new().with_row_count(Some(page.rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns.collect(), &options)?)
}

fn array(to: &DataType, column: RecordColumn) -> ArrayRef {
    /// Millionths in one.
    const ONE: f64 = 1_000_000.0;
    match column {
        RecordColumn::Texts(texts) => Arc::new(texts.iter().map(Option::as_deref).collect::<StringViewArray>()),
        RecordColumn::Numbers(numbers) => match to {
            DataType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from(numbers).with_timezone("UTC")),
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 9 billion a quantity is shown to the last digit but one"
            )]
            DataType::Float64 => {
                Arc::new(numbers.iter().map(|number| number.map(|n| n as f64 / ONE)).collect::<Float64Array>())
            }
            _ => Arc::new(Int64Array::from(numbers)),
        },
    }
}
