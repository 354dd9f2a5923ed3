//! What an aggregate over a scan asks for: by what it groups, of which rows, and what it calculates of them.
//!
//! Conditions and calculations between the scan and the aggregate are taken into the expressions, so that all that is left is
//! evaluated over the columns of a block.

use super::super::scan::{Feed, ScanExec};
use super::groups::{Column, Group, Sums};
use crate::error::SqlError;
use crate::functions::bin::{self, Bin};
use crate::functions::sum::WIDE;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column as PhysicalColumn, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use std::borrow::Cow;
use std::sync::Arc;

type Expression = Arc<dyn PhysicalExpr>;

/// What groups are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Path,
    /// The beginning of a stretch so many µs wide.
    Begin(i64),
}

/// What is calculated for each group; of which input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Average(usize),
    Minimum(usize),
    Maximum(usize),
    Sum(usize),
    /// The sum of whole numbers.
    Total(usize),
    /// How many are not null.
    Count(usize),
    /// Of rows.
    Rows,
}

/// What is summed up.
#[derive(Debug, Clone, PartialEq)]
struct Input {
    /// `None`: rows are counted.
    of: Option<Expression>,
    /// Only of these rows.
    filter: Option<Expression>,
}

/// The plan below an aggregate, down to its scan.
pub(super) struct Below {
    pub(super) feed: Feed,
    condition: Option<Expression>,
    /// The columns that the aggregate sees, as expressions over those of the scan.
    columns: Vec<Expression>,
}

/// What is calculated of the rows.
#[derive(Debug, Clone)]
pub(super) enum Inputs {
    /// The numbers of the rows as they are.
    Value,
    /// Expressions, over the columns that are asked for by their numbers in the view.
    Expressions { columns: Arc<[usize]>, condition: Option<Expression>, inputs: Arc<[Evaluated]> },
}

/// An [`Input`] that is evaluated.
#[derive(Debug, Clone)]
pub(super) struct Evaluated(Input);

impl Below {
    /// `None` where something else lies between.
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            let below = Self::of(filter.input())?;
            let own = below.resolve(filter.predicate())?;
            let condition = match below.condition.clone() {
                Some(other) => Arc::new(BinaryExpr::new(other, Operator::And, own)),
                None => own,
            };
            let columns = match filter.projection() {
                Some(kept) => kept.iter().map(|at| below.columns.get(*at).cloned()).collect::<Option<_>>()?,
                None => below.columns,
            };
            return filter.fetch().is_none().then_some(Self { condition: Some(condition), columns, ..below });
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let below = Self::of(projection.input())?;
            let columns = projection.expr().iter().map(|one| {
                // What comes out differently each time must not be calculated twice.
                if is_volatile(&one.expr) { None } else { below.resolve(&one.expr) }
            });
            return Some(Self { columns: columns.collect::<Option<_>>()?, ..below });
        }
        let scan = plan.downcast_ref::<ScanExec>()?;
        let feed = scan.feed()?.clone();
        let view = feed.schema();
        let column = |at: &usize| Arc::new(PhysicalColumn::new(view.field(*at).name(), *at)) as Expression;
        Some(Self { columns: scan.columns().iter().map(column).collect(), feed, condition: None })
    }

    /// An expression of the aggregate over the columns of the scan.
    fn resolve(&self, expr: &Expression) -> Option<Expression> {
        replace(expr, |column| self.columns.get(column.index()).cloned())
    }

    pub(super) fn key(&self, expr: &Expression) -> Option<Key> {
        let expr = self.resolve(expr)?;
        if let Some(column) = expr.downcast_ref::<PhysicalColumn>() {
            return (column.name() == "path").then_some(Key::Path);
        }
        let [width, ts] = ScalarFunctionExpr::try_downcast_func::<Bin>(&*expr)?.args() else { return None };
        let ts = ts.downcast_ref::<PhysicalColumn>()?;
        let width = bin::width_us(width.downcast_ref::<Literal>()?.value())?;
        (ts.name() == "ts").then_some(Key::Begin(width))
    }

    /// The figures, and what they are calculated of.
    pub(super) fn figures<'a>(
        &self,
        asked: impl Iterator<Item = (&'a AggregateFunctionExpr, Option<&'a Expression>)>,
    ) -> Option<(Vec<Figure>, Inputs)> {
        let mut inputs = Vec::new();
        let figures = asked.map(|(expr, filter)| self.figure(expr, filter, &mut inputs)).collect::<Option<_>>()?;
        Some((figures, self.inputs(inputs)?))
    }

    fn figure(
        &self,
        expr: &AggregateFunctionExpr,
        filter: Option<&Expression>,
        inputs: &mut Vec<Input>,
    ) -> Option<Figure> {
        if expr.is_distinct() || !expr.order_bys().is_empty() {
            return None;
        }
        let [of] = &expr.expressions()[..] else { return None };
        let of = self.resolve(of)?;
        let filter = match filter {
            Some(filter) => Some(self.resolve(filter)?),
            None => None,
        };
        let counts = expr.fun().name() == "count";
        // Columns that are never null, and `count(*)`, which is `count(1)`.
        let of_row = counts
            && (of
                .downcast_ref::<PhysicalColumn>()
                .is_some_and(|column| !self.feed.schema().field(column.index()).is_nullable())
                || of.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null()));
        if of_row && filter.is_none() {
            return Some(Figure::Rows);
        }
        // Figures of whole numbers other than their count and their sum are the engine's.
        let whole = of.data_type(&self.feed.schema()).ok()? == DataType::Int64;
        let input = Input { of: (!of_row).then_some(of), filter };
        let at = inputs.iter().position(|known| *known == input).unwrap_or_else(|| {
            inputs.push(input);
            inputs.len() - 1
        });
        Some(match expr.fun().name() {
            "avg" if !whole => Figure::Average(at),
            "min" if !whole => Figure::Minimum(at),
            "max" if !whole => Figure::Maximum(at),
            "sum" if whole => Figure::Total(at),
            "sum" => Figure::Sum(at),
            "count" => Figure::Count(at),
            _ => return None,
        })
    }

    /// The inputs as they are evaluated.
    fn inputs(&self, inputs: Vec<Input>) -> Option<Inputs> {
        let plain = |input: &Input| {
            let column = input.of.as_ref().and_then(|of| of.downcast_ref::<PhysicalColumn>());
            input.filter.is_none() && column.is_some_and(|column| self.feed.is_value(column.index()))
        };
        if self.condition.is_none() && matches!(self.feed, Feed::Samples(_)) && inputs.iter().all(plain) {
            return Some(Inputs::Value);
        }
        let mut columns = Vec::new();
        let mut onto = |expr: &Expression| {
            replace(expr, |column| {
                let at = columns.iter().position(|known| *known == column.index()).unwrap_or_else(|| {
                    columns.push(column.index());
                    columns.len() - 1
                });
                Some(Arc::new(PhysicalColumn::new(column.name(), at)))
            })
        };
        let mut all = |expr: Option<Expression>| expr.map_or(Some(None), |expr| onto(&expr).map(Some));
        let condition = all(self.condition.clone())?;
        let evaluated = inputs.into_iter().map(|Input { of, filter }| {
            let (of, filter) = (all(of)?, all(filter)?);
            Some(Evaluated(Input { of, filter }))
        });
        let inputs = evaluated.collect::<Option<_>>()?;
        Some(Inputs::Expressions { columns: columns.into(), condition, inputs })
    }
}

/// The expression with other expressions in the place of its columns.
fn replace(expr: &Expression, mut with: impl FnMut(&PhysicalColumn) -> Option<Expression>) -> Option<Expression> {
    let replaced = expr.clone().transform_down(|node| {
        let Some(column) = node.downcast_ref::<PhysicalColumn>() else { return Ok(Transformed::no(node)) };
        let other = with(column).ok_or_else(|| DataFusionError::Internal("there is no such column".to_owned()))?;
        Ok(Transformed::new(other, true, TreeNodeRecursion::Jump))
    });
    replaced.data().ok()
}

impl Inputs {
    /// How many sums are kept for each group.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Value => 1,
            Self::Expressions { inputs, .. } => inputs.len(),
        }
    }

    /// Over which columns of the view expressions are evaluated.
    pub(super) fn columns(&self) -> Arc<[usize]> {
        match self {
            Self::Value => Arc::new([]),
            Self::Expressions { columns, .. } => columns.clone(),
        }
    }

    /// The times of the rows that count, and a column for each input.
    pub(super) fn evaluate<'a>(
        &self,
        ts: Cow<'a, [i64]>,
        batch: &RecordBatch,
    ) -> Result<(Cow<'a, [i64]>, Vec<Column>)> {
        let Self::Expressions { condition, inputs, .. } = self else { return Ok((ts, Vec::new())) };
        let (mut ts, mut batch) = (ts, Cow::Borrowed(batch));
        if let Some(condition) = condition {
            let mask = mask(condition, &batch)?;
            if mask.true_count() < mask.len() {
                let times = filter(&Int64Array::from(ts.into_owned()), &mask)?;
                ts = Cow::Owned(times.as_primitive::<Int64Type>().values().to_vec());
                batch = Cow::Owned(filter_record_batch(&batch, &mask)?);
            }
        }
        if ts.is_empty() {
            return Ok((ts, Vec::new()));
        }
        let columns = inputs.iter().map(|input| input.column(&batch)).collect::<Result<_>>()?;
        Ok((ts, columns))
    }
}

impl Evaluated {
    fn column(&self, batch: &RecordBatch) -> Result<Column> {
        let Input { of, filter } = &self.0;
        let mask = match filter {
            Some(filter) => Some(mask(filter, batch)?),
            None => None,
        };
        let kept = mask.as_ref().map(|mask| NullBuffer::new(mask.values().clone()));
        let Some(of) = of else { return Ok(Column::Other(kept)) };
        let evaluated = match &mask {
            // A filter may stand there to keep an expression from rows on which it fails, such as a division by zero.
            Some(mask) if !is_plain(of) => of.evaluate_selection(batch, mask)?,
            _ => of.evaluate(batch)?,
        };
        Ok(Column::of(&evaluated.into_array(batch.num_rows())?, kept.as_ref()))
    }
}

/// Whether nothing is calculated, which fails on no row.
fn is_plain(expr: &Expression) -> bool {
    expr.downcast_ref::<PhysicalColumn>().is_some() || expr.downcast_ref::<Literal>().is_some()
}

/// Which rows fulfil a condition; where it is null they do not.
fn mask(condition: &Expression, batch: &RecordBatch) -> Result<BooleanArray> {
    let decided = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let decided = decided
        .as_any()
        .downcast_ref::<BooleanArray>()
        .ok_or_else(|| DataFusionError::Internal("a condition is neither true nor false".to_owned()))?;
    Ok(match decided.nulls() {
        Some(nulls) => BooleanArray::new(decided.values() & nulls.inner(), None),
        None => decided.clone(),
    })
}

impl Key {
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Path => DataType::Utf8View,
            Self::Begin(_) => crate::views::time(),
        }
    }
}

impl Figure {
    /// The types of its columns.
    pub(super) fn types(self, states: bool) -> Vec<DataType> {
        match self {
            Self::Average(_) if states => vec![DataType::UInt64, DataType::Float64],
            Self::Total(_) if states => vec![WIDE],
            Self::Count(_) | Self::Rows | Self::Total(_) => vec![DataType::Int64],
            _ => vec![DataType::Float64],
        }
    }

    /// The columns of this figure. Where nothing was counted there is no number.
    ///
    /// # Errors
    /// A sum of whole numbers is none that the column can hold.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    #[expect(clippy::cast_possible_wrap, reason = "a count of rows")]
    pub(super) fn columns(self, groups: &[Group], states: bool, into: &mut Vec<ArrayRef>) -> Result<()> {
        let number = |input: usize, of: fn(&Sums) -> f64| -> ArrayRef {
            let sums = groups.iter().map(|group| group.sums(input));
            Arc::new(sums.map(|sums| (sums.count > 0).then(|| of(sums))).collect::<Float64Array>())
        };
        let count = |of: &dyn Fn(&Group) -> u64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| Some(of(group) as i64)).collect::<Int64Array>())
        };
        if let Self::Average(input) = self
            && states
        {
            // A state without a count is passed over; one that counts nothing would be divided by.
            let counts = groups.iter().map(|group| group.sums(input).count);
            into.push(Arc::new(counts.map(|count| (count > 0).then_some(count)).collect::<UInt64Array>()));
        }
        into.push(match self {
            Self::Average(input) if states => number(input, |sums| sums.sum),
            Self::Average(input) => number(input, |sums| sums.sum / sums.count as f64),
            Self::Minimum(input) => number(input, |sums| sums.min),
            Self::Maximum(input) => number(input, |sums| sums.max),
            Self::Sum(input) => number(input, |sums| sums.sum),
            Self::Total(input) if states => {
                let totals = groups.iter().map(|group| {
                    let sums = group.sums(input);
                    (sums.count > 0).then_some(sums.whole)
                });
                Arc::new(totals.collect::<Decimal128Array>().with_data_type(WIDE))
            }
            Self::Total(input) => {
                let totals = groups.iter().map(|group| {
                    let sums = group.sums(input);
                    let total = (sums.count > 0).then(|| i64::try_from(sums.whole));
                    total.transpose().map_err(|_| SqlError::OutOfRange)
                });
                Arc::new(totals.collect::<std::result::Result<Int64Array, _>>()?)
            }
            Self::Count(input) => count(&|group| group.sums(input).count),
            Self::Rows => count(&|group| group.rows),
        });
        Ok(())
    }
}
