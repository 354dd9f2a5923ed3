//! `samples`: history, read tag by tag.
//!
//! What a predicate says about the tag (its path) is decided once for each tag, what it says about the time becomes the
//! range of each scan; both are exact, so that nothing is filtered again and a `LIMIT` ends the reading. Partitions
//! hold neighbouring tags; within each, rows are ordered by (path, ts), which is declared.
//!
//! **Rights.** The tags of a scan come from the catalogue through what the caller sees, before any predicate; each block of rows
//! asks again.

use super::steps::{self, Step, Work};
use super::time;
use crate::engine::{BATCH, Caller};
use crate::functions::bin::{Bin, width_us};
use crate::ports::{Blocks, Rows, Summed};
use andon_model::column::{Quality, Values};
use andon_model::{StatusCode, TagId, Value};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The columns, in order.
#[must_use]
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8View, false),
            Field::new("ts", time(), false),
            Field::new("value", DataType::Float64, true),
            Field::new("text", DataType::Utf8View, true),
            Field::new("quality", DataType::Utf8View, false),
            Field::new("status", DataType::Utf8View, false),
            Field::new("status_code", DataType::Int64, false),
            Field::new("raw", DataType::Utf8View, true),
        ]))
    });
    SCHEMA.clone()
}

/// A tag to read.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: TagId,
    pub(crate) path: Arc<str>,
}

/// The view.
#[derive(Debug)]
pub(crate) struct Samples {
    caller: Caller,
}

impl Samples {
    pub(crate) const fn new(caller: Caller) -> Self {
        Self { caller }
    }
}

/// The half-open range of times that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Span {
    pub(super) const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    pub(super) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// For the beginnings of stretches so wide, in place of the times in them: a stretch begins in this span just when
    /// its times lie in the one that is returned.
    fn of_stretches(self, width_us: i64) -> Self {
        let up = |at: i64| match at {
            i64::MIN | i64::MAX => at,
            at => at.saturating_add(at.wrapping_neg().rem_euclid(width_us)),
        };
        Self { from: up(self.from), to: up(self.to) }
    }

    const fn is_empty(self) -> bool {
        self.from >= self.to
    }
}

/// Whether an expression is about the path alone, so that it can be decided once for each tag.
fn about_path(expr: &Expr) -> bool {
    if expr.is_volatile() {
        return false;
    }
    let (mut path, mut else_) = (false, false);
    let walked = expr.apply(|node| {
        match node {
            Expr::Column(column) if column.name == "path" => path = true,
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarSubquery(_)
            | Expr::SetComparison(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::Placeholder(_)
            | Expr::AggregateFunction(_)
            | Expr::WindowFunction(_) => else_ = true,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.is_ok() && path && !else_
}

/// A literal point in time, as the smallest µs that is not before it, and whether it lies exactly on that µs.
fn literal_micros(expr: &Expr) -> Option<(i64, bool)> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampSecond(Some(t), Some(_)) => Some((t.checked_mul(1_000_000)?, true)),
        ScalarValue::TimestampMillisecond(Some(t), Some(_)) => Some((t.checked_mul(1000)?, true)),
        ScalarValue::TimestampMicrosecond(Some(t), Some(_)) => Some((*t, true)),
        ScalarValue::TimestampNanosecond(Some(t), Some(_)) => {
            let exact = t.rem_euclid(1000) == 0;
            Some((t.div_euclid(1000) + i64::from(!exact), exact))
        }
        _ => None,
    }
}

/// Whether a type holds all of our times, to the last digit.
fn is_finer(to: &DataType) -> bool {
    matches!(to, DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, Some(_)))
}

/// Whether an expression is the column of times, also where the planner compares it in a finer unit.
fn is_ts(name: &str, expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name == name,
        Expr::Cast(cast) => is_finer(cast.field.data_type()) && is_ts(name, &cast.expr),
        _ => false,
    }
}

/// Whether an expression is the column of times (1), or the beginning of the stretch in which they lie (its width, µs).
fn stretch_of(name: &str, expr: &Expr) -> Option<i64> {
    if is_ts(name, expr) {
        return Some(1);
    }
    match expr {
        Expr::Cast(cast) if is_finer(cast.field.data_type()) => stretch_of(name, &cast.expr),
        Expr::ScalarFunction(call) => {
            let [Expr::Literal(width, _), ts] = &call.args[..] else { return None };
            call.func.inner().downcast_ref::<Bin>()?;
            // In another zone a day begins at another time.
            width_us(width).filter(|_| matches!(ts, Expr::Column(column) if column.name == name))
        }
        _ => None,
    }
}

fn span_of(expr: &Expr) -> Option<Span> {
    span_about("ts", expr)
}

/// The range of times that an expression about the column `name` stands for, `None` if it is about anything else.
pub(super) fn span_about(name: &str, expr: &Expr) -> Option<Span> {
    match expr {
        Expr::Between(between) if !between.negated => {
            let width = stretch_of(name, &between.expr)?;
            let from = bound(Operator::GtEq, &between.low)?;
            Some(from.and(bound(Operator::LtEq, &between.high)?).of_stretches(width))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(span_about(name, left)?.and(span_about(name, right)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match stretch_of(name, left) {
            Some(width) => Some(bound(*op, right)?.of_stretches(width)),
            None => Some(bound(op.swap()?, left)?.of_stretches(stretch_of(name, right)?)),
        },
        _ => None,
    }
}

/// `ts <op> literal` as a range.
fn bound(op: Operator, literal: &Expr) -> Option<Span> {
    let (at, exact) = literal_micros(literal)?;
    let after = if exact { at.saturating_add(1) } else { at };
    Some(match op {
        Operator::GtEq => Span { from: at, to: i64::MAX },
        Operator::Gt => Span { from: after, to: i64::MAX },
        Operator::Lt => Span { from: i64::MIN, to: at },
        Operator::LtEq => Span { from: i64::MIN, to: after },
        Operator::Eq if exact => Span { from: at, to: after },
        Operator::Eq => Span { from: 0, to: 0 },
        _ => return None,
    })
}

/// The paths that a predicate names one by one, each once: `path = 'a'`, `path IN ('a', 'b')`. No other path can fulfil it.
fn named(filter: &Expr) -> Option<BTreeSet<&str>> {
    let is_path = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == "path");
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_path(left) => Some([text(right)?].into()),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_path(right) => Some([text(left)?].into()),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut either = named(left)?;
            either.append(&mut named(right)?);
            Some(either)
        }
        Expr::InList(within) if !within.negated && is_path(&within.expr) => within.list.iter().map(text).collect(),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
            text.as_deref()
        }
        _ => None,
    }
}

/// The tags that the caller sees and the predicates about the path keep, in the order of their paths.
fn targets(caller: &Caller, state: &dyn Session, filters: &[&Expr]) -> Result<Vec<Target>> {
    let catalog = &caller.ports.catalog;
    let tags = match filters.iter().find_map(|filter| named(filter)) {
        Some(paths) => paths.into_iter().filter_map(|path| Some((catalog.at(path)?, path.into()))).collect(),
        None => catalog.paths(),
    };
    let seen = tags.into_iter().filter(|(_, path)| caller.sees(path));
    let mut seen: Vec<Target> = seen.map(|(id, path)| Target { id, path }).collect();
    seen.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    if filters.is_empty() || seen.is_empty() {
        return Ok(seen);
    }
    let schema = Arc::new(Schema::new(vec![Field::new("path", DataType::Utf8View, false)]));
    let paths: StringViewArray = seen.iter().map(|target| Some(&*target.path)).collect();
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(paths)])?;
    let plain = DFSchema::try_from(schema)?;
    let mut keep = vec![true; seen.len()];
    for filter in filters {
        let unqualified = (*filter).clone().transform(|node| {
            Ok(match node {
                Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
                other => Transformed::no(other),
            })
        })?;
        let physical = state.create_physical_expr(unqualified.data, &plain)?;
        let decided = physical.evaluate(&batch)?.into_array(seen.len())?;
        let decided = decided
            .as_any()
            .downcast_ref::<BooleanArray>()
            .ok_or_else(|| DataFusionError::Plan("a predicate about the path is not a condition".to_owned()))?;
        for (keep, decided) in keep.iter_mut().zip(decided) {
            *keep &= decided == Some(true);
        }
    }
    let mut keep = keep.into_iter();
    seen.retain(|_| keep.next().unwrap_or(false));
    Ok(seen)
}

#[async_trait]
impl TableProvider for Samples {
    fn schema(&self) -> SchemaRef {
        schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let taken = |filter: &&Expr| match about_path(filter) || span_of(filter).is_some() {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(taken).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (of_path, of_time): (Vec<&Expr>, Vec<&Expr>) = filters.iter().partition(|filter| about_path(filter));
        let mut span = Span::ALL;
        for filter in of_time {
            // Only what was declared exact comes here.
            let one = span_of(filter);
            span = span.and(one.ok_or_else(|| DataFusionError::Internal(format!("{filter} was not taken")))?);
        }
        let targets = if span.is_empty() { Vec::new() } else { targets(&self.caller, state, &of_path)? };
        let source = Source::new(self.caller.clone(), &targets, span, state.config().target_partitions());
        Ok(Arc::new(SamplesExec::new(source, projection, limit)?))
    }
}

/// What is read: tags, in partitions of neighbours, and the range of times.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) caller: Caller,
    pub(super) parts: Arc<[Arc<[Target]>]>,
    tags: usize,
    span: Span,
}

impl Source {
    fn new(caller: Caller, targets: &[Target], span: Span, partitions: usize) -> Self {
        let tags = targets.len();
        let each = tags.div_ceil(partitions.clamp(1, tags.max(1))).max(1);
        let mut parts: Vec<Arc<[Target]>> = targets.chunks(each).map(Arc::from).collect();
        if parts.is_empty() {
            parts.push(Arc::new([]));
        }
        Self { caller, parts: parts.into(), tags, span }
    }

    /// Reads what is begun on it.
    pub(super) fn reader(&self) -> Reader {
        Reader { blocks: self.caller.ports.history.open(), span: self.span, path: "".into(), paths: None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tags={}", self.tags)?;
        if let [part] = &*self.parts
            && let [one] = &**part
        {
            write!(f, " ({})", one.path)?;
        }
        let at = |t: i64| andon_model::Timestamp::from_micros(t);
        if self.span.from != i64::MIN {
            write!(f, ", from={}", at(self.span.from))?;
        }
        if self.span.to != i64::MAX {
            write!(f, ", to={}", at(self.span.to))?;
        }
        Ok(())
    }
}

/// Reads the samples of some tags in a range of times.
#[derive(Debug, Clone)]
pub(super) struct SamplesExec {
    source: Source,
    columns: Arc<[usize]>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl SamplesExec {
    fn new(source: Source, projection: Option<&Vec<usize>>, limit: Option<usize>) -> Result<Self> {
        let all = schema();
        let columns: Arc<[usize]> =
            projection.map_or_else(|| (0..all.fields().len()).collect(), |p| p.as_slice().into());
        let projected: SchemaRef = Arc::new(all.project(&columns)?);
        let orderings = orderings(&projected, source.tags);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(projected, orderings),
            Partitioning::UnknownPartitioning(source.parts.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { source, columns, limit, properties: Arc::new(properties) })
    }

    /// What it reads, unless it stops before the end.
    pub(super) fn source(&self) -> Option<Source> {
        self.limit.is_none().then(|| self.source.clone())
    }

    /// Which columns of the view it gives.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }
}

/// (path, ts), and ts alone where there is one tag.
fn orderings(schema: &SchemaRef, tags: usize) -> Vec<LexOrdering> {
    let by = |name: &str| {
        let index = schema.index_of(name).ok()?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(name, index));
        Some(PhysicalSortExpr::new(column, SortOptions::new(false, false)))
    };
    let (path, ts) = (by("path"), by("ts"));
    let mut all = Vec::new();
    if tags <= 1 {
        all.extend(LexOrdering::new(ts.clone()));
    }
    // Without the path, the times of several tags have no order.
    if let Some(path) = path {
        all.extend(LexOrdering::new([Some(path), ts].into_iter().flatten()));
    }
    all
}

impl DisplayAs for SamplesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SamplesExec: {}", self.source)?;
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        let names: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for SamplesExec {
    fn name(&self) -> &'static str {
        "SamplesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let targets = self.source.parts.get(partition).cloned();
        let targets = targets.ok_or_else(|| DataFusionError::Internal("there is no such partition".to_owned()))?;
        let reading = Reading {
            reader: self.source.reader(),
            source: self.source.clone(),
            targets,
            next: 0,
            reading: false,
            shape: Shape { schema: self.schema(), columns: self.columns.clone() },
            left: self.limit.unwrap_or(usize::MAX),
        };
        Ok(steps::rows(self.schema(), reading))
    }
}

/// Reads tag after tag.
pub(super) struct Reader {
    blocks: Box<dyn Blocks>,
    span: Span,
    path: Arc<str>,
    /// The path, repeated; grown to the longest batch so far and then only sliced.
    paths: Option<ArrayRef>,
}

impl Reader {
    /// Begins to read a tag.
    pub(super) fn begin(&mut self, target: &Target) {
        self.blocks.begin(target.id, self.span.from, self.span.to);
        (self.path, self.paths) = (target.path.clone(), None);
    }

    /// The next rows; `None` at the end. Blocks.
    pub(super) fn next(&mut self) -> Result<Option<Rows>> {
        let rows = self.blocks.next().transpose();
        rows.map_err(|reason| self.error(&reason))
    }

    /// The next rows, or what they add up to; `None` at the end. Blocks.
    pub(super) fn next_summed(&mut self, width_us: Option<i64>) -> Result<Option<Summed>> {
        let summed = self.blocks.next_summed(width_us).transpose();
        summed.map_err(|reason| self.error(&reason))
    }

    fn error(&self, reason: &str) -> DataFusionError {
        DataFusionError::Execution(format!("history of {}: {reason}", self.path))
    }
}

struct Reading {
    source: Source,
    targets: Arc<[Target]>,
    next: usize,
    reader: Reader,
    /// Whether a tag is being read.
    reading: bool,
    shape: Shape,
    left: usize,
}

impl Work for Reading {
    /// Reads on until there are rows for a batch: a block, or several where tags have few. Blocks.
    fn step(mut self) -> Result<Step<Self>> {
        let (mut made, mut batches) = (0, VecDeque::new());
        while self.left > 0 && made < BATCH / 4 {
            if !self.reading {
                let Some(target) = self.targets.get(self.next) else { return Ok(Step::Last(batches)) };
                self.next += 1;
                self.source.caller.still()?;
                self.reader.begin(target);
                self.reading = true;
            }
            let Some(rows) = self.reader.next()? else {
                self.reading = false;
                continue;
            };
            self.source.caller.still()?;
            let mut at = 0;
            let end = rows.ts.len().min(self.left);
            self.left -= end;
            made += end;
            while at < end {
                let to = (at + BATCH).min(end);
                batches.push_back(self.shape.batch(&mut self.reader, &rows, at, to)?);
                at = to;
            }
        }
        Ok(if self.left > 0 { Step::Rows(batches, self) } else { Step::Last(batches) })
    }
}

/// Which columns are made.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) schema: SchemaRef,
    pub(crate) columns: Arc<[usize]>,
}

impl Shape {
    pub(super) fn batch(&self, reader: &mut Reader, rows: &Rows, at: usize, to: usize) -> Result<RecordBatch> {
        let len = to - at;
        let arrays = self.columns.iter().map(|column| -> Result<ArrayRef> {
            Ok(match column {
                0 => repeated(&mut reader.paths, &reader.path, len),
                other => column_of(*other, rows, at, to),
            })
        });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(len));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

/// All columns of some rows of one tag.
pub(crate) fn batch_of(path: &str, rows: &Rows) -> Result<RecordBatch> {
    let len = rows.ts.len();
    let mut arrays = vec![repeated(&mut None, path, len)];
    arrays.extend((1..schema().fields().len()).map(|column| column_of(column, rows, 0, len)));
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

/// `text` in `len` rows; made once and then sliced.
fn repeated(made: &mut Option<ArrayRef>, text: &str, len: usize) -> ArrayRef {
    match made {
        Some(array) if array.len() >= len => array.slice(0, len),
        _ => {
            let array: ArrayRef = Arc::new(same(text, len));
            *made = Some(array.clone());
            array
        }
    }
}

fn same(text: &str, len: usize) -> StringViewArray {
    let mut builder = StringViewBuilder::with_capacity(len);
    let short = text.len() <= 12; // Stands in the view itself; a longer one is stored once.
    let size = u32::try_from(text.len()).unwrap_or(0);
    let block = if short { 0 } else { builder.append_block(text.as_bytes().to_vec().into()) };
    for _ in 0..len {
        if short || builder.try_append_view(block, 0, size).is_err() {
            builder.append_value(text);
        }
    }
    builder.finish()
}

/// `good`, `uncertain` or `bad`.
pub(crate) const fn severity(status: StatusCode) -> &'static str {
    if status.is_bad() {
        "bad"
    } else if status.is_uncertain() {
        "uncertain"
    } else {
        "good"
    }
}

fn column_of(column: usize, rows: &Rows, at: usize, to: usize) -> ArrayRef {
    match column {
        1 => Arc::new(TimestampMicrosecondArray::from(rows.ts[at..to].to_vec()).with_timezone("UTC")),
        2 => values(rows, at, to),
        3 => texts(rows, at, to),
        4 => of_quality(&rows.quality, at, to, |status| severity(status).into()),
        5 => of_quality(&rows.quality, at, to, |status| {
            status.name().map_or_else(|| status.to_string().into(), Into::into)
        }),
        6 => match &rows.quality {
            Quality::Same(code) => Arc::new(Int64Array::from_value(i64::from(*code), to - at)),
            Quality::Each(codes) => {
                Arc::new(codes[at..to].iter().map(|code| Some(i64::from(*code))).collect::<Int64Array>())
            }
        },
        _ => raws(rows, at, to),
    }
}

/// The numbers, null where the quality is bad or there is no number.
/// Counts above 2^53 lose their last digits here; `raw` has them all.
fn values(rows: &Rows, at: usize, to: usize) -> ArrayRef {
    let all_good = matches!(rows.quality, Quality::Same(code) if !StatusCode(code).is_bad());
    if let (true, Values::Double(numbers)) = (all_good, &rows.values) {
        return Arc::new(Float64Array::from(numbers[at..to].to_vec()));
    }
    Arc::new((at..to).map(|row| number(rows, row)).collect::<Float64Array>())
}

/// The number of a row, unless its quality is bad.
pub(super) fn number(rows: &Rows, row: usize) -> Option<f64> {
    if rows.quality.get(row).is_bad() { None } else { rows.values.number(row) }
}

/// The texts of text tags, null where the quality is bad.
fn texts(rows: &Rows, at: usize, to: usize) -> ArrayRef {
    let Values::Mixed(values) = &rows.values else { return arrow::array::new_null_array(&DataType::Utf8View, to - at) };
    let text = |row: usize| match &values[row] {
        Value::String(text) if !rows.quality.get(row).is_bad() => Some(text),
        _ => None,
    };
    Arc::new((at..to).map(text).collect::<StringViewArray>())
}

/// What was stored, as text, whatever its quality; null where nothing is known.
fn raws(rows: &Rows, at: usize, to: usize) -> ArrayRef {
    let raw = |row: usize| match rows.values.get(row) {
        Value::Null => None,
        other => Some(other.to_string()),
    };
    Arc::new((at..to).map(raw).collect::<StringViewArray>())
}

fn of_quality(
    quality: &Quality,
    at: usize,
    to: usize,
    say: impl Fn(StatusCode) -> std::borrow::Cow<'static, str>,
) -> ArrayRef {
    match quality {
        Quality::Same(code) => Arc::new(same(&say(StatusCode(*code)), to - at)),
        Quality::Each(codes) => {
            let mut builder = StringViewBuilder::with_capacity(to - at).with_deduplicate_strings();
            let mut last: Option<(u32, std::borrow::Cow<'static, str>)> = None;
            for code in &codes[at..to] {
                if last.as_ref().is_none_or(|(known, _)| known != code) {
                    last = Some((*code, say(StatusCode(*code))));
                }
                if let Some((_, text)) = &last {
                    builder.append_value(text);
                }
            }
            Arc::new(builder.finish())
        }
    }
}
