//! A template and a message to a text, as Python would make it.

use super::number::{self, Read};
use super::{Expression, Filter, MAX_RENDERED, Operator, Part, RenderError, Rendered};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;

/// Whole numbers up to here are exact as floats.
const EXACT: i64 = 1 << 53;
/// What Python's numbers have under a name.
const OF_NUMBERS: [&str; 13] = [
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "from_bytes",
    "fromhex",
    "hex",
    "imag",
    "is_integer",
    "numerator",
    "real",
    "to_bytes",
];

#[derive(Clone, Debug)]
enum Value<'a> {
    /// Not there, and its name.
    Undefined(Cow<'a, str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A table or a list.
    Json(&'a Json),
}

type Evaluated<'a> = Result<Value<'a>, RenderError>;

fn unfit<T>(words: impl Into<String>) -> Result<T, RenderError> {
    Err(RenderError::Unfit(words.into()))
}

struct Message<'a> {
    payload: &'a str,
    json: Option<&'a Json>,
}

pub(super) fn render(parts: &[Part], payload: &str, json: Option<&Json>) -> Result<Rendered, RenderError> {
    let message = Message { payload, json };
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(fixed) => text.push_str(fixed),
            Part::Expression(expression) => {
                let value = message.value(expression)?;
                if parts.len() == 1 && matches!(value, Value::None) {
                    return Ok(Rendered::Null);
                }
                text.push_str(&value.text()?);
            }
        }
        if text.len() > MAX_RENDERED {
            return unfit(format!("the template gives more than {MAX_RENDERED} bytes"));
        }
    }
    let text = number::strip(&text);
    Ok(match text {
        "" => Rendered::Nothing,
        // Home Assistant's word for what nobody knows.
        "None" => Rendered::Null,
        text => Rendered::Text(text.to_owned()),
    })
}

impl<'a> Message<'a> {
    fn value(&self, expression: &'a Expression) -> Evaluated<'a> {
        Ok(match expression {
            Expression::Value => Value::Text(Cow::Borrowed(self.payload)),
            Expression::ValueJson => match self.json {
                Some(json) => Value::of(json)?,
                None => Value::Undefined(Cow::Borrowed("JSON")),
            },
            Expression::None => Value::None,
            Expression::Bool(b) => Value::Bool(*b),
            Expression::Int(number) => Value::Int(*number),
            Expression::Float(number) => Value::Float(*number),
            Expression::Text(text) => Value::Text(Cow::Borrowed(text)),
            Expression::Member(inner, name) => self.value(inner)?.member(name)?,
            Expression::Index(inner, index) => self.value(inner)?.element(*index)?,
            Expression::Negative(inner) => match self.value(inner)?.number()? {
                Number::Int(number) => number.checked_neg().map_or_else(too_large, |number| Ok(Value::Int(number)))?,
                Number::Float(number) => Value::Float(-number),
            },
            Expression::Not(inner) => Value::Bool(!self.value(inner)?.is_true()),
            Expression::And(a, b) => {
                let left = self.value(a)?;
                if left.is_true() { self.value(b)? } else { left }
            }
            Expression::Or(a, b) => {
                let left = self.value(a)?;
                if left.is_true() { left } else { self.value(b)? }
            }
            Expression::If(condition, then, otherwise) => match (self.value(condition)?.is_true(), otherwise) {
                (true, _) => self.value(then)?,
                (false, Some(otherwise)) => self.value(otherwise)?,
                (false, None) => Value::Undefined(Cow::Borrowed("value for it")),
            },
            Expression::IsDefined(inner, wanted) => {
                let defined = !matches!(self.value(inner)?, Value::Undefined(_));
                Value::Bool(defined == *wanted)
            }
            Expression::IsNone(inner, wanted) => Value::Bool(matches!(self.value(inner)?, Value::None) == *wanted),
            Expression::Binary(operator, a, b) => binary(*operator, &self.value(a)?, &self.value(b)?)?,
            Expression::Filter(filter, inner) => self.filter(filter, self.value(inner)?)?,
        })
    }

    fn filter(&self, filter: &'a Filter, value: Value<'a>) -> Evaluated<'a> {
        match filter {
            Filter::Float(default) => match value.as_number()? {
                Some(Number::Int(number)) => exact(number).map(Value::Float),
                Some(Number::Float(number)) => Ok(Value::Float(number)),
                None => self.instead(default.as_deref(), &value),
            },
            Filter::Int(default) => match value.as_number()? {
                Some(Number::Int(number)) => Ok(Value::Int(number)),
                Some(Number::Float(number)) => truncated(number),
                None => self.instead(default.as_deref(), &value),
            },
            Filter::Round(digits) => match value.as_number()? {
                Some(number) => {
                    let rounded = number::round(number.float()?, *digits);
                    if *digits == 0 { truncated(rounded) } else { Ok(Value::Float(rounded)) }
                }
                None => self.instead(None, &value),
            },
            Filter::Default(default, also_false) => match value {
                Value::Undefined(_) => self.value(default),
                other if *also_false && !other.is_true() => self.value(default),
                other => Ok(other),
            },
            Filter::IsDefined => match value {
                Value::Undefined(name) => Err(RenderError::Missing(name.into_owned())),
                other => Ok(other),
            },
            Filter::Abs => match value.number()? {
                Number::Int(number) => number.checked_abs().map_or_else(too_large, |number| Ok(Value::Int(number))),
                Number::Float(number) => Ok(Value::Float(number.abs())),
            },
            Filter::Lower => Ok(Value::Text(value.text()?.to_lowercase().into())),
            Filter::Upper => Ok(Value::Text(value.text()?.to_uppercase().into())),
            Filter::Trim => Ok(Value::Text(number::strip(&value.text()?).to_owned().into())),
        }
    }

    /// What stands for something that is no number.
    fn instead(&self, default: Option<&'a Expression>, value: &Value<'a>) -> Evaluated<'a> {
        match default {
            Some(default) => self.value(default),
            None => unfit(format!("{} is no number", value.show())),
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    fn float(self) -> Result<f64, RenderError> {
        match self {
            Self::Int(number) => exact(number),
            Self::Float(number) => Ok(number),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn exact(number: i64) -> Result<f64, RenderError> {
    if (-EXACT..=EXACT).contains(&number) { Ok(number as f64) } else { too_large() }
}

fn too_large<T>() -> Result<T, RenderError> {
    unfit("a number is too large")
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be within 2^53")]
fn truncated<'a>(number: f64) -> Evaluated<'a> {
    let whole = number.trunc();
    if whole.abs() <= 9_007_199_254_740_992.0 { Ok(Value::Int(whole as i64)) } else { too_large() }
}

impl<'a> Value<'a> {
    fn of(json: &'a Json) -> Evaluated<'a> {
        Ok(match json {
            Json::Null => Self::None,
            Json::Bool(b) => Self::Bool(*b),
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(real)) if real.is_finite() && !number.is_u64() => Self::Float(real),
                _ => return too_large(),
            },
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        })
    }

    fn member(self, name: &'a str) -> Evaluated<'a> {
        match self {
            Self::Json(Json::Object(map)) => match map.get(name) {
                Some(json) => Self::of(json),
                None => Ok(Self::Undefined(Cow::Borrowed(name))),
            },
            Self::Undefined(above) => Err(RenderError::Missing(above.into_owned())),
            // Jinja finds no method of this name either.
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) if !OF_NUMBERS.contains(&name) => {
                Ok(Self::Undefined(Cow::Borrowed(name)))
            }
            other => unfit(format!("{} has no \"{name}\"", other.show())),
        }
    }

    fn element(self, index: usize) -> Evaluated<'a> {
        match self {
            Self::Json(Json::Array(list)) => match list.get(index) {
                Some(json) => Self::of(json),
                None => Ok(Self::Undefined(Cow::Owned(format!("[{index}]")))),
            },
            Self::Undefined(above) => Err(RenderError::Missing(above.into_owned())),
            other => unfit(format!("{} is no list", other.show())),
        }
    }

    fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(b) => *b,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Json(Json::Array(list)) => !list.is_empty(),
            Self::Json(Json::Object(map)) => !map.is_empty(),
            Self::Json(_) => true,
        }
    }

    /// As `str()` makes it.
    fn text(&self) -> Result<Cow<'a, str>, RenderError> {
        Ok(match self {
            Self::Undefined(_) => Cow::Borrowed(""),
            Self::None => Cow::Borrowed("None"),
            Self::Bool(true) => Cow::Borrowed("True"),
            Self::Bool(false) => Cow::Borrowed("False"),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number::show(*number)),
            Self::Text(text) => text.clone(),
            Self::Json(_) => return unfit("a table or a list is not a single value"),
        })
    }

    fn show(&self) -> String {
        let text = self.text().unwrap_or(Cow::Borrowed("a table or a list"));
        let mut short: String = text.chars().take(60).collect();
        if short.len() < text.len() {
            short.push('…');
        }
        format!("\"{short}\"")
    }

    /// As arithmetic takes it: numbers only.
    fn number(&self) -> Result<Number, RenderError> {
        match self {
            Self::Bool(b) => Ok(Number::Int(i64::from(*b))),
            Self::Int(number) => Ok(Number::Int(*number)),
            Self::Float(number) => Ok(Number::Float(*number)),
            Self::Undefined(name) => Err(RenderError::Missing(name.clone().into_owned())),
            other => unfit(format!("{} is no number", other.show())),
        }
    }

    /// As `float()` takes it: also texts; `None`: it is no number.
    fn as_number(&self) -> Result<Option<Number>, RenderError> {
        match self {
            Self::Text(text) => match number::read(text) {
                Read::Int(number) => Ok(Some(Number::Int(number))),
                Read::Float(number) => Ok(Some(Number::Float(number))),
                Read::No => Ok(None),
                Read::Unsure => unfit(format!("{} is no plain number", self.show())),
            },
            Self::None | Self::Json(_) => Ok(None),
            other => other.number().map(Some),
        }
    }
}

fn finite<'a>(number: f64) -> Evaluated<'a> {
    if number.is_finite() { Ok(Value::Float(number)) } else { too_large() }
}

fn binary<'a>(operator: Operator, a: &Value<'a>, b: &Value<'a>) -> Evaluated<'a> {
    match operator {
        Operator::Concat => return concat(&a.text()?, &b.text()?),
        Operator::Equal => return Ok(Value::Bool(equal(a, b)?)),
        Operator::NotEqual => return Ok(Value::Bool(!equal(a, b)?)),
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            let order = order(a, b)?;
            return Ok(Value::Bool(match operator {
                Operator::Less => order == Ordering::Less,
                Operator::LessEqual => order != Ordering::Greater,
                Operator::Greater => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }));
        }
        _ => {}
    }
    if let (Operator::Add, Value::Text(a), Value::Text(b)) = (operator, a, b) {
        return concat(a, b);
    }
    let (a, b) = (a.number()?, b.number()?);
    if let (Number::Int(a), Number::Int(b)) = (a, b)
        && operator != Operator::Divide
    {
        return whole(operator, a, b);
    }
    let (a, b) = (a.float()?, b.float()?);
    match operator {
        Operator::Add => finite(a + b),
        Operator::Subtract => finite(a - b),
        Operator::Multiply => finite(a * b),
        _ if b == 0.0 => unfit("a division by 0"),
        Operator::Divide => finite(a / b),
        Operator::FloorDivide => finite(number::floor_divide(a, b).0),
        _ => finite(number::floor_divide(a, b).1),
    }
}

fn concat<'a>(a: &str, b: &str) -> Evaluated<'a> {
    if a.len() + b.len() > MAX_RENDERED {
        return unfit(format!("the template gives more than {MAX_RENDERED} bytes"));
    }
    Ok(Value::Text(Cow::Owned(format!("{a}{b}"))))
}

fn whole<'a>(operator: Operator, a: i64, b: i64) -> Evaluated<'a> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        _ if b == 0 => return unfit("a division by 0"),
        _ => {
            let (quotient, remainder) = (a.checked_div(b), a.checked_rem(b));
            let away = remainder.is_some_and(|remainder| remainder != 0 && (remainder < 0) != (b < 0));
            match operator {
                Operator::FloorDivide => quotient.map(|quotient| quotient - i64::from(away)),
                _ => remainder.map(|remainder| if away { remainder + b } else { remainder }),
            }
        }
    };
    result.map_or_else(too_large, |result| Ok(Value::Int(result)))
}

fn equal(a: &Value<'_>, b: &Value<'_>) -> Result<bool, RenderError> {
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Json(_), _) | (_, Value::Json(_)) => return unfit("tables and lists are not compared"),
        (Value::Bool(_) | Value::Int(_) | Value::Float(_), Value::Bool(_) | Value::Int(_) | Value::Float(_)) => {
            order(a, b)? == Ordering::Equal
        }
        _ => false,
    })
}

fn order(a: &Value<'_>, b: &Value<'_>) -> Result<Ordering, RenderError> {
    if let (Value::Text(a), Value::Text(b)) = (a, b) {
        // By characters, as Python does; the order of UTF-8 is the same.
        return Ok(a.as_bytes().cmp(b.as_bytes()));
    }
    match (a.number()?, b.number()?) {
        (Number::Int(a), Number::Int(b)) => Ok(a.cmp(&b)),
        (a, b) => a.float()?.partial_cmp(&b.float()?).map_or_else(too_large, Ok),
    }
}
