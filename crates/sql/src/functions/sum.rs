//! `sum` of whole numbers: an error where it is beyond their type, as in PostgreSQL.
//!
//! The engine's own begins again at the other end. Here it adds up in 128 bits, which no number of rows fills, and the sum is looked at
//! once, at its end. All else is the engine's.

use crate::error::SqlError;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    utils::AggregateOrderSensitivity,
};
use std::sync::Arc;

/// In what whole numbers are added up.
pub(crate) const WIDE: DataType = DataType::Decimal128(38, 0);

/// `sum`, with the engine's own behind it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    engines: Arc<AggregateUDF>,
}

impl Sum {
    pub(super) fn registered() -> AggregateUDF {
        AggregateUDF::from(Self { engines: datafusion::functions_aggregate::sum::sum_udaf() })
    }
}

/// The result in 128 bits, if it is of whole numbers.
fn wide(result: &FieldRef) -> Option<FieldRef> {
    (*result.data_type() == DataType::Int64).then(|| Arc::new(Field::new(result.name(), WIDE, true)))
}

fn widened(columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    Ok(columns.iter().map(|column| cast(column, &WIDE)).collect::<std::result::Result<_, _>>()?)
}

/// A sum in 128 bits as the number that it is to be.
fn narrow(sum: i128) -> Result<i64, SqlError> {
    i64::try_from(sum).map_err(|_| SqlError::OutOfRange)
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        self.engines.name()
    }

    fn signature(&self) -> &Signature {
        self.engines.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match wide(&args.return_field) {
            Some(return_field) => {
                Ok(Box::new(Wide(self.engines.accumulator(AccumulatorArgs { return_field, ..args })?)))
            }
            None => self.engines.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let return_field = wide(&args.return_field).unwrap_or_else(|| Arc::clone(&args.return_field));
        self.engines.state_fields(StateFieldsArgs { return_field, ..args })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.engines.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match wide(&args.return_field) {
            Some(return_field) => {
                let inner = self.engines.create_groups_accumulator(AccumulatorArgs { return_field, ..args })?;
                Ok(Box::new(WideGroups(inner)))
            }
            None => self.engines.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match wide(&args.return_field).filter(|_| !args.is_distinct) {
            Some(return_field) => {
                let inner = self.engines.create_sliding_accumulator(AccumulatorArgs { return_field, ..args })?;
                Ok(Box::new(Wide(inner)))
            }
            None => self.engines.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.engines.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.engines.inner().set_monotonicity(data_type)
    }
}

/// One sum.
#[derive(Debug)]
struct Wide(Box<dyn Accumulator>);

impl Accumulator for Wide {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&widened(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&widened(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.0.evaluate()? {
            ScalarValue::Decimal128(sum, ..) => ScalarValue::Int64(sum.map(narrow).transpose()?),
            other => other,
        })
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

/// One sum for each group.
struct WideGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for WideGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.0.update_batch(&widened(values)?, group_indices, filter, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.0.evaluate(emit_to)?;
        let sums = sums.as_primitive::<Decimal128Type>();
        let narrowed = sums.try_unary::<_, Int64Type, _>(narrow)?;
        Ok(Arc::new(Int64Array::from(narrowed.into_data())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.0.merge_batch(states, group_indices, groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&widened(values)?, filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
