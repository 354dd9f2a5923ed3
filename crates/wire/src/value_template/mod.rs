//! Value templates: the part of Home Assistant's templates (Jinja) that devices announce to say where a value stands in their messages.
//!
//! ```text
//! {{ value }}    {{ value_json.a.b }}    {{ value_json['a key'][0] }}    {{ value_json.t | float / 10 | round(1) }}
//! {{ value_json.mode | default('off') }}    {{ 'ON' if value_json.power > 5 else 'OFF' }}    {{ value_json.x }} W
//! ```
//! | what | which |
//! | --- | --- |
//! | names | `value` (the payload as text), `value_json` (the payload as JSON; undefined where it is none), `true`, `false`, `none` |
//! | parts | `.name`, `['name']`, `[0]` |
//! | literals | whole numbers, decimal numbers, texts without `\` |
//! | operators | `+ - * / // %`, `~`, `== != < <= > >=`, `and or not`, `a if b else c`, `is defined`, `is none`, each also with `not` |
//! | filters | `float`, `int`, `round(n)`, `default` (`d`), `is_defined`, `abs`, `lower`, `upper`, `trim` |
//!
//! Everything else is [`NotUnderstood`] when it is parsed, never guessed: statements (`{% … %}`), loops, calls, other names and filters.
//! What is understood gives what Home Assistant gives, or an error: judged against its own environment by `tests/e2e/test_home_assistant.py`.
//!
//! # Invariants
//! - No text and no payload panics. A template has at most [`MAX_TEMPLATE`] bytes and is at most [`MAX_DEPTH`] deep; it has no loops, so a message
//!   costs at most what stands in it, and a result is at most [`MAX_RENDERED`] bytes.
//!
//! Start at [`ValueTemplate::parse`].

mod eval;
mod number;
mod parse;
#[cfg(test)]
mod tests;

use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fmt;

/// Longer templates are not understood, in bytes.
pub const MAX_TEMPLATE: usize = 1024;
/// Deeper ones neither.
pub const MAX_DEPTH: usize = 24;
/// Longer results are errors, in bytes.
pub const MAX_RENDERED: usize = 8192;

/// A template that is understood.
#[derive(Clone, PartialEq)]
pub struct ValueTemplate {
    text: Box<str>,
    parts: Vec<Part>,
}

/// Why a template is not understood, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(String);

/// What a message gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// The message does not say it: it is undefined, or an empty text.
    Nothing,
    /// The device itself does not know: `None`.
    Null,
    /// A text, without blanks at its ends.
    Text(String),
}

/// Why a message gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// What the template asks for is not there.
    #[error("the payload has no {0}")]
    Missing(String),
    /// It is there, but cannot be used so.
    #[error("{0}")]
    Unfit(String),
}

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(Box<str>),
    Expression(Expression),
}

#[derive(Clone, PartialEq, Debug)]
enum Expression {
    /// The payload.
    Value,
    /// The payload as JSON.
    ValueJson,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    /// `.name` or `['name']`.
    Member(Box<Expression>, Box<str>),
    Index(Box<Expression>, usize),
    Negative(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    /// Condition, then, else.
    If(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
    Filter(Filter, Box<Expression>),
    /// `is defined`, and whether it is wanted.
    IsDefined(Box<Expression>, bool),
    IsNone(Box<Expression>, bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Concat,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, PartialEq, Debug)]
enum Filter {
    /// With what stands for what is no number.
    Float(Option<Box<Expression>>),
    Int(Option<Box<Expression>>),
    /// To so many digits behind the point.
    Round(u8),
    /// What stands for the undefined, or also for the false.
    Default(Box<Expression>, bool),
    IsDefined,
    Abs,
    Lower,
    Upper,
    Trim,
}

impl ValueTemplate {
    /// Reads a template.
    /// # Errors
    /// [`NotUnderstood`]: what in it is not.
    pub fn parse(text: &str) -> Result<Self, NotUnderstood> {
        Ok(Self { text: text.into(), parts: parse::parts(text)? })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it looks into the payload's JSON.
    #[must_use]
    pub fn uses_json(&self) -> bool {
        let mut uses = false;
        self.each(&mut |expression| {
            uses |= *expression == Expression::ValueJson;
            !uses
        });
        uses
    }

    /// The names on the way into the payload's JSON, when the template is nothing but that; none: the payload itself as it is.
    #[must_use]
    pub fn path(&self) -> Option<Vec<&str>> {
        let [Part::Expression(expression)] = self.parts.as_slice() else { return None };
        expression.path()
    }

    /// All the places in the message into which the template looks, whatever it makes of them: names joined by dots, an empty one for the whole payload.
    #[must_use]
    pub fn looks_at(&self) -> BTreeSet<String> {
        let mut places = BTreeSet::new();
        self.each(&mut |expression| {
            let place = expression.place();
            let inside = place.is_none();
            places.extend(place);
            inside
        });
        places
    }

    /// Visits all expressions from the outside in, as [`Expression::each`].
    fn each(&self, visit: &mut dyn FnMut(&Expression) -> bool) {
        for part in &self.parts {
            if let Part::Expression(expression) = part {
                expression.each(visit);
            }
        }
    }

    /// Text before and behind the value, when the template is `…{{ value }}…`: of a command. `whole`: it wants a whole number.
    #[must_use]
    pub fn around_value(&self) -> Option<Around<'_>> {
        let mut around = Around { before: "", behind: "", whole: false };
        let mut seen = false;
        for part in &self.parts {
            match part {
                Part::Text(text) if seen => around.behind = text,
                Part::Text(text) => around.before = text,
                Part::Expression(_) if seen => return None,
                Part::Expression(Expression::Value) => seen = true,
                Part::Expression(Expression::Filter(filter, inner)) if **inner == Expression::Value => {
                    around.whole = match filter {
                        Filter::Int(_) | Filter::Round(0) => true,
                        Filter::Float(_) => false,
                        _ => return None,
                    };
                    seen = true;
                }
                Part::Expression(_) => return None,
            }
        }
        seen.then_some(around)
    }

    /// What a message says. `json` is the payload as JSON, where it is some.
    /// # Errors
    /// [`RenderError`]
    pub fn render(&self, payload: &str, json: Option<&Json>) -> Result<Rendered, RenderError> {
        eval::render(&self.parts, payload, json)
    }
}

/// What stands around the value in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Around<'t> {
    /// Before it.
    pub before: &'t str,
    /// Behind it.
    pub behind: &'t str,
    /// Whether a whole number is wanted.
    pub whole: bool,
}

impl Expression {
    /// Visits this one and what stands in it; not what stands in one for which `visit` gives `false`.
    fn each(&self, visit: &mut dyn FnMut(&Self) -> bool) {
        if !visit(self) {
            return;
        }
        match self {
            Self::Value
            | Self::ValueJson
            | Self::None
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_) => {}
            Self::Member(inner, _)
            | Self::Index(inner, _)
            | Self::Negative(inner)
            | Self::Not(inner)
            | Self::IsDefined(inner, _)
            | Self::IsNone(inner, _) => inner.each(visit),
            Self::Filter(filter, inner) => {
                inner.each(visit);
                match filter {
                    Filter::Float(Some(argument)) | Filter::Int(Some(argument)) | Filter::Default(argument, _) => {
                        argument.each(visit);
                    }
                    Filter::Float(None)
                    | Filter::Int(None)
                    | Filter::Round(_)
                    | Filter::IsDefined
                    | Filter::Abs
                    | Filter::Lower
                    | Filter::Upper
                    | Filter::Trim => {}
                }
            }
            Self::Binary(_, a, b) | Self::And(a, b) | Self::Or(a, b) => {
                a.each(visit);
                b.each(visit);
            }
            Self::If(a, b, c) => {
                a.each(visit);
                b.each(visit);
                if let Some(c) = c {
                    c.each(visit);
                }
            }
        }
    }

    /// The place, if it is nothing but one. A part of the payload's text is the whole of it: nobody knows what stands there.
    fn place(&self) -> Option<String> {
        match self {
            Self::Value | Self::ValueJson => Some(String::new()),
            Self::Member(inner, _) | Self::Index(inner, _) if inner.is_in_text() => Some(String::new()),
            Self::Member(inner, name) => {
                inner.place().map(|above| if above.is_empty() { name.to_string() } else { format!("{above}.{name}") })
            }
            Self::Index(inner, at) => inner.place().map(|above| format!("{above}[{at}]")),
            _ => None,
        }
    }

    fn is_in_text(&self) -> bool {
        match self {
            Self::Value => true,
            Self::Member(inner, _) | Self::Index(inner, _) => inner.is_in_text(),
            _ => false,
        }
    }

    fn path(&self) -> Option<Vec<&str>> {
        match self {
            Self::Value | Self::ValueJson => Some(Vec::new()),
            Self::Member(inner, name) => {
                let mut path = inner.path()?;
                path.push(name);
                Some(path)
            }
            Self::Filter(Filter::IsDefined | Filter::Float(None), inner) => inner.path(),
            _ => None,
        }
    }
}

impl fmt::Debug for ValueTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueTemplate({:?})", self.text)
    }
}
