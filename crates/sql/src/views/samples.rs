//! `samples`: history, read tag by tag.
//!
//! What a predicate says about the tag (its path) is decided once for each tag, what it says about the time becomes the
//! range of each scan; both are exact, so that nothing is filtered again and a `LIMIT` ends the reading. Partitions
//! hold neighbouring tags; within each, rows are ordered by (path, ts), which is declared.
//!
//! **Rights.** The tags of a scan come from the catalogue through what the caller sees, before any predicate; each block of rows
//! asks again.

use super::like::like;
use super::scan::{Feed, Parts, ScanExec};
use super::time;
use crate::engine::Caller;
use crate::functions::bin::{Bin, width_us};
use crate::ports::Rows;
use andon_model::column::{Quality, Values};
use andon_model::{StatusCode, TagId, Value};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::BTreeSet;
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

    pub(super) const fn is_empty(self) -> bool {
        self.from >= self.to
    }
}

impl fmt::Display for Span {
    /// As it follows other words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |t: i64| andon_model::Timestamp::from_micros(t);
        if self.from != i64::MIN {
            write!(f, ", from={}", at(self.from))?;
        }
        if self.to != i64::MAX {
            write!(f, ", to={}", at(self.to))?;
        }
        Ok(())
    }
}

/// Which conditions the reading itself sees to, so that nobody need look at the rows again.
pub(super) fn taken_exactly(filters: &[&Expr], takes: impl Fn(&Expr) -> bool) -> Vec<TableProviderFilterPushDown> {
    let taken = |filter: &&Expr| match takes(filter) {
        true => TableProviderFilterPushDown::Exact,
        false => TableProviderFilterPushDown::Unsupported,
    };
    filters.iter().map(taken).collect()
}

/// Whether an expression is about the path alone, so that it can be decided once for each tag.
pub(super) fn about_path(expr: &Expr) -> bool {
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

pub(super) fn span_of(expr: &Expr) -> Option<Span> {
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

/// The texts that a predicate names one by one for a column, each once: `path = 'a'`, `path IN ('a', 'b')`. No other text can fulfil it.
pub(super) fn named<'e>(name: &str, filter: &'e Expr) -> Option<BTreeSet<&'e str>> {
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == name);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_it(left) => Some([text(right)?].into()),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_it(right) => Some([text(left)?].into()),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut either = named(name, left)?;
            either.append(&mut named(name, right)?);
            Some(either)
        }
        Expr::InList(within) if !within.negated && is_it(&within.expr) => within.list.iter().map(text).collect(),
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
pub(super) fn targets(caller: &Caller, state: &dyn Session, filters: &[&Expr]) -> Result<Vec<Target>> {
    let catalog = &caller.ports.catalog;
    let tags = match filters.iter().find_map(|filter| named("path", filter)) {
        Some(paths) => paths.into_iter().filter_map(|path| Some((catalog.at(path)?, path.into()))).collect(),
        None => catalog.paths(),
    };
    let seen = tags.into_iter().filter(|(_, path)| caller.sees(path));
    let mut seen: Vec<Target> = seen.map(|(id, path)| Target { id, path }).collect();
    let paths: Vec<&str> = seen.iter().map(|target| &*target.path).collect();
    let mut keep = kept(state, &paths, filters)?.into_iter();
    seen.retain(|_| keep.next().unwrap_or(false));
    seen.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    Ok(seen)
}

/// Which of these paths all the predicates keep.
pub(super) fn kept(state: &dyn Session, paths: &[&str], filters: &[&Expr]) -> Result<Vec<bool>> {
    let mut keep = vec![true; paths.len()];
    let (alike, others): (Vec<&Expr>, Vec<&Expr>) = filters.iter().partition(|filter| pattern(filter).is_some());
    for pattern in alike.into_iter().filter_map(pattern) {
        keep.iter_mut().zip(paths).for_each(|(keep, path)| *keep = *keep && like(pattern, path));
    }
    if others.is_empty() || paths.is_empty() {
        return Ok(keep);
    }
    let schema = Arc::new(Schema::new(vec![Field::new("path", DataType::Utf8View, false)]));
    let all: StringViewArray = paths.iter().map(Some).collect();
    let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(all)])?;
    let plain = DFSchema::try_from(schema)?;
    for filter in others {
        let unqualified = filter.clone().transform(|node| {
            Ok(match node {
                Expr::Column(column) => Transformed::yes(Expr::Column(Column::from_name(column.name))),
                other => Transformed::no(other),
            })
        })?;
        let physical = state.create_physical_expr(unqualified.data, &plain)?;
        let decided = physical.evaluate(&batch)?.into_array(paths.len())?;
        let decided = decided
            .as_any()
            .downcast_ref::<BooleanArray>()
            .ok_or_else(|| DataFusionError::Plan("a predicate about the path is not a condition".to_owned()))?;
        for (keep, decided) in keep.iter_mut().zip(decided) {
            *keep &= decided == Some(true);
        }
    }
    Ok(keep)
}

/// The pattern of `path LIKE 'pattern'`.
fn pattern(filter: &Expr) -> Option<&str> {
    let Expr::Like(like) = filter else { return None };
    let plain = !like.negated && !like.case_insensitive && matches!(like.escape_char, None | Some('\\'));
    let of_path = matches!(&*like.expr, Expr::Column(column) if column.name == "path");
    text(&like.pattern).filter(|_| plain && of_path)
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
        Ok(taken_exactly(filters, |filter| about_path(filter) || span_of(filter).is_some()))
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
        let parts = Parts::new(&targets, state.config().target_partitions());
        let source = Source { caller: self.caller.clone(), parts, span };
        Ok(Arc::new(ScanExec::new(Feed::Samples(source), projection, limit)?))
    }
}

/// What is read: tags, in partitions of neighbours, and the range of times.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) caller: Caller,
    pub(super) parts: Parts<Target>,
    pub(super) span: Span,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tags={}", self.parts.count())?;
        if let [part] = self.parts.all()
            && let [one] = &**part
        {
            write!(f, " ({})", one.path)?;
        }
        self.span.fmt(f)
    }
}

/// All columns of some rows of one tag.
pub(crate) fn batch_of(path: &str, rows: &Rows) -> Result<RecordBatch> {
    let len = rows.ts.len();
    let mut arrays = vec![repeated(&mut None, path, len)];
    arrays.extend((1..schema().fields().len()).map(|column| column_of(column, rows, 0, len)));
    Ok(RecordBatch::try_new(schema(), arrays)?)
}

/// What rows are before any were read.
pub(super) const fn no_rows() -> Rows {
    Rows { ts: Vec::new(), values: Values::Double(Vec::new()), quality: Quality::Same(0) }
}

/// `text` in `len` rows; made once and then sliced.
pub(super) fn repeated(made: &mut Option<ArrayRef>, text: &str, len: usize) -> ArrayRef {
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

pub(super) fn column_of(column: usize, rows: &Rows, at: usize, to: usize) -> ArrayRef {
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
pub(super) fn values(rows: &Rows, at: usize, to: usize) -> ArrayRef {
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
pub(super) fn texts(rows: &Rows, at: usize, to: usize) -> ArrayRef {
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
