//! `extract` and `date_part`: seconds and milliseconds with their fraction, as in PostgreSQL. All else is the engine's.

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// `date_part`, with the engine's own behind it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Part {
    engines: Arc<ScalarUDF>,
    aliases: Vec<String>,
}

/// What `extract(part FROM time)` is a spelling of.
pub(crate) const EXTRACT: &str = "extract";

impl Part {
    pub(super) fn over(engines: Arc<ScalarUDF>) -> Self {
        let aliases = engines.aliases().iter().cloned().chain([EXTRACT.to_owned()]).collect();
        Self { engines, aliases }
    }
}

/// How many µs the unit of a fraction has; `None` for whole parts.
fn micros(part: &ScalarValue) -> Option<f64> {
    match part.try_as_str().flatten()?.trim_matches('\'').to_ascii_lowercase().as_str() {
        "second" | "seconds" | "sec" | "secs" | "s" => Some(1_000_000.0),
        "millisecond" | "milliseconds" | "msec" | "msecs" | "msecond" | "mseconds" | "ms" => Some(1000.0),
        _ => None,
    }
}

impl ScalarUDFImpl for Part {
    fn name(&self) -> &str {
        self.engines.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        self.engines.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.scalar_arguments {
            [Some(part), _] if micros(part).is_some() => Ok(Arc::new(Field::new(
                self.name(),
                DataType::Float64,
                args.arg_fields.iter().any(|of| of.is_nullable()),
            ))),
            _ => self.engines.return_field_from_args(args),
        }
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.engines.preimage(args, literal, info)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let micros = match args.args.first() {
            Some(ColumnarValue::Scalar(part)) => micros(part),
            _ => None,
        };
        let (Some(micros), Some(part)) = (micros, args.args.first_mut()) else {
            return self.engines.invoke_with_args(args);
        };
        *part = ColumnarValue::Scalar(ScalarValue::from("microsecond"));
        args.return_field = Arc::new(Field::new(self.name(), DataType::Int32, true));
        let divided = |whole: &ArrayRef| -> Result<ArrayRef> {
            let whole = cast(whole, &DataType::Float64)?;
            let parts: Float64Array = whole.as_primitive::<Float64Type>().unary(|whole| whole / micros);
            Ok(Arc::new(parts))
        };
        Ok(match self.engines.invoke_with_args(args)? {
            ColumnarValue::Array(whole) => ColumnarValue::Array(divided(&whole)?),
            ColumnarValue::Scalar(whole) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&divided(&whole.to_array()?)?, 0)?)
            }
        })
    }
}
