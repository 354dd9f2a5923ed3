//! Functions that make text, bounded: `repeat(x, 1000000000)` is not memory that the engine asks for beforehand.
//!
//! Before one of them is called with a batch, how long its answer can be is added up; above [`MOST`] the query ends. What is left in
//! memory after the call is at most that, and the count of such calls in a statement is bounded by [`MOST_CALLS`]. All of them together make
//! at most [`TOGETHER`] of one batch: where there are many, each has its share.

use crate::error::SqlError;
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, Int64Array, LargeStringArray, StringArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of text that one call makes of a batch of rows.
const MOST: u64 = 16 << 20;
/// The same of all calls of a statement.
const TOGETHER: u64 = 128 << 20;
/// The most such calls in a statement.
const MOST_CALLS: usize = 64;

/// How much text each call of a statement may make of a batch of rows; said once the calls are counted.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<AtomicU64>);

impl Default for Share {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(MOST)))
    }
}

impl Share {
    fn among(&self, calls: usize) {
        let calls = u64::try_from(calls).unwrap_or(u64::MAX).max(1);
        self.0.store(MOST.min(TOGETHER / calls), Ordering::Relaxed);
    }

    fn most(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

// Functions are the same whatever their share is: one statement has one.
impl PartialEq for Share {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Share {}

impl Hash for Share {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// How long the answer of a row can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Grows {
    /// The first, so often as the second says.
    Repeated,
    /// As the second says, in characters.
    Padded,
    /// The first, in which the third takes the place of the second.
    Replaced,
    /// The first, in which the third takes the place of anything.
    Matched,
    /// All of them.
    Joined,
    /// The first, twice: as hexadecimal digits.
    Encoded,
    /// As a pattern says, the second: no part of it makes more than twenty times its own length.
    Formatted,
}

/// The engine's functions that can make more text than they were given.
const FUNCTIONS: [(&str, Grows); 10] = [
    ("repeat", Grows::Repeated),
    ("lpad", Grows::Padded),
    ("rpad", Grows::Padded),
    ("replace", Grows::Replaced),
    ("regexp_replace", Grows::Matched),
    ("concat", Grows::Joined),
    ("concat_ws", Grows::Joined),
    ("encode", Grows::Encoded),
    (super::clock::TO_CHAR, Grows::Formatted),
    ("date_format", Grows::Formatted),
];

/// One of them, with the engine's own behind it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    name: &'static str,
    engines: Arc<ScalarUDF>,
    /// Its other names, but those that are functions of their own here.
    aliases: Vec<String>,
    grows: Grows,
    share: Share,
}

/// All of them, for the engine's own.
pub(super) fn bounded(share: &Share, engines: impl Fn(&str) -> Option<Arc<ScalarUDF>>) -> Vec<Arc<ScalarUDF>> {
    let is_one = |alias: &String| FUNCTIONS.iter().any(|(name, _)| name == alias);
    let of = |(name, grows)| {
        let found = engines(name)?;
        let engines = found.inner().downcast_ref::<Bounded>().map_or(&found, |ours| &ours.engines).clone();
        let aliases = engines.aliases().iter().filter(|alias| !is_one(alias)).cloned().collect();
        Some(Arc::new(ScalarUDF::from(Bounded { name, engines, aliases, grows, share: share.clone() })))
    };
    FUNCTIONS.into_iter().filter_map(of).collect()
}

/// Counts the calls, and gives each its share.
/// # Errors
/// There are more of them in the statement than it may have.
pub(crate) fn check_calls(plan: &LogicalPlan, share: &Share) -> Result<(), SqlError> {
    let mut calls = 0;
    let counted = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let is_one = |name: &str| name == JOIN || FUNCTIONS.iter().any(|(one, _)| *one == name);
                calls += usize::from(matches!(part, Expr::ScalarFunction(call) if is_one(call.func.name())));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    counted.map_err(|error| SqlError::from_engine(&error, 0))?;
    if calls <= MOST_CALLS {
        share.among(calls);
        return Ok(());
    }
    Err(SqlError::Invalid(format!(
        "the statement calls functions that make text {calls} times, and at most {MOST_CALLS} are allowed: repeat, lpad, rpad, replace, regexp_replace, concat, concat_ws, encode, to_char, date_format and ||"
    )))
}

impl Grows {
    /// At most so many bytes, over all rows.
    fn bytes(self, args: &[ColumnarValue], rows: usize) -> u64 {
        let lengths: Vec<Lengths<'_>> = args.iter().map(Lengths::of).collect();
        let at = |place: usize, row: usize| lengths.get(place).map_or(0, |lengths| lengths.at(row));
        let row = |row: usize| match self {
            Self::Repeated => at(0, row).saturating_mul(at(1, row)),
            // A character has at most four bytes.
            Self::Padded => at(1, row).saturating_mul(if at(2, row) > 1 { 4 } else { 1 }),
            Self::Replaced => {
                at(0, row).saturating_add((at(0, row) / at(1, row).max(1) + 1).saturating_mul(at(2, row)))
            }
            Self::Matched => at(0, row).saturating_add((at(0, row) + 1).saturating_mul(at(2, row))),
            Self::Encoded => at(0, row).saturating_mul(2),
            Self::Formatted => at(1, row).saturating_mul(20),
            Self::Joined => lengths.iter().fold(0, |all: u64, lengths| all.saturating_add(lengths.at(row))),
        };
        let is_one_for_all = args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        (0..if is_one_for_all { 1 } else { rows }).map(row).fold(0, u64::saturating_add)
    }

    fn check(self, name: &str, share: &Share, args: &[ColumnarValue], rows: usize) -> Result<()> {
        let (bytes, most) = (self.bytes(args, rows), share.most());
        if bytes <= most {
            return Ok(());
        }
        let words = format!(
            "{name} would make {bytes} bytes of text of {rows} rows, and at most {most} are allowed; make shorter texts, or of fewer rows, or fewer of them in one statement"
        );
        Err(SqlError::Invalid(words).into())
    }
}

/// What an argument says for each row: the bytes of a text, or a number.
enum Lengths<'a> {
    Same(u64),
    Numbers(&'a Int64Array),
    Texts(&'a StringArray),
    Views(&'a StringViewArray),
    Large(&'a LargeStringArray),
    Bytes(&'a BinaryArray),
    ByteViews(&'a BinaryViewArray),
    /// Another type, as the engine shows it.
    Other,
}

impl<'a> Lengths<'a> {
    fn of(arg: &'a ColumnarValue) -> Self {
        match arg {
            ColumnarValue::Scalar(one) => {
                let text = one.try_as_str().flatten().map(|text| text.len() as u64);
                let bytes = || match one {
                    ScalarValue::Binary(bytes) | ScalarValue::BinaryView(bytes) | ScalarValue::LargeBinary(bytes) => {
                        Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
                    }
                    _ => None,
                };
                let number = || one.cast_to(&DataType::Int64).ok().map(|number| number_of(&number));
                Self::Same(text.or_else(bytes).or_else(number).unwrap_or(OTHER))
            }
            ColumnarValue::Array(array) => match array.data_type() {
                DataType::Int64 => Self::Numbers(array.as_primitive::<Int64Type>()),
                DataType::Utf8 => Self::Texts(array.as_string()),
                DataType::Utf8View => Self::Views(array.as_string_view()),
                DataType::LargeUtf8 => Self::Large(array.as_string()),
                DataType::Binary => Self::Bytes(array.as_binary()),
                DataType::BinaryView => Self::ByteViews(array.as_binary_view()),
                _ => Self::Other,
            },
        }
    }

    fn at(&self, row: usize) -> u64 {
        match self {
            Self::Same(length) => *length,
            Self::Numbers(numbers) if numbers.is_valid(row) => u64::try_from(numbers.value(row)).unwrap_or(0),
            Self::Texts(texts) if texts.is_valid(row) => texts.value(row).len() as u64,
            Self::Views(texts) if texts.is_valid(row) => texts.value(row).len() as u64,
            Self::Large(texts) if texts.is_valid(row) => texts.value(row).len() as u64,
            Self::Bytes(all) if all.is_valid(row) => all.value(row).len() as u64,
            Self::ByteViews(all) if all.is_valid(row) => all.value(row).len() as u64,
            Self::Other => OTHER,
            _ => 0,
        }
    }
}

/// Bytes of what is neither text nor a whole number, such as a time.
const OTHER: u64 = 32;

fn number_of(scalar: &ScalarValue) -> u64 {
    match scalar {
        ScalarValue::Int64(Some(number)) => u64::try_from(*number).unwrap_or(0),
        _ => 0,
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.name
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
        self.engines.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.engines.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.grows.check(self.name(), &self.share, &args.args, args.number_rows)?;
        self.engines.invoke_with_args(args)
    }
}

// ---- a || b ----

const JOIN: &str = "join_texts";

/// `a || b` of texts, null where one of them is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Join {
    signature: Signature,
    share: Share,
}

impl ScalarUDFImpl for Join {
    fn name(&self) -> &'static str {
        JOIN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, _: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Utf8; 2])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Grows::Joined.check("||", &self.share, &args.args, args.number_rows)?;
        let is_one_for_all = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = arrays.iter().map(|array| cast(array, &DataType::Utf8)).collect::<Result<Vec<ArrayRef>, _>>()?;
        let [left, right] = &texts[..] else { return plan_err!("|| joins two texts") };
        let joined = concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?;
        if is_one_for_all {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(joined)))
    }
}

/// Makes `a || b` of texts a call of ours; lists are left to the engine.
#[derive(Debug)]
pub(super) struct Joins(Arc<ScalarUDF>);

impl Joins {
    pub(super) fn new(share: &Share) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        Self(Arc::new(ScalarUDF::from(Join { signature, share: share.clone() })))
    }
}

impl ExprPlanner for Joins {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let kind = |side: &Expr| side.get_type(schema).unwrap_or(DataType::Null);
        let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
        let is_list =
            |kind: &DataType| matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
        let (left, right) = (kind(&expr.left), kind(&expr.right));
        let texts = (is_text(&left) || is_text(&right)) && !is_list(&left) && !is_list(&right);
        if !matches!(expr.op, BinaryOperator::StringConcat) || !texts {
            return Ok(PlannerResult::Original(expr));
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.0), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}
