//! What is checked before anything is sent. Pure: the plant, the request and the gate's answer.

use andon_bus::PlantView;
use andon_model::access::{Action, Denied, Gate};
use andon_model::command::CommandRequest;
use andon_model::log::AppendError;
use andon_model::plant::{TagDef, WriteRule};
use andon_model::{DataType, Value};
use std::time::Duration;

/// The longest reason that is taken, in characters.
const REASON_CHARS_MAX: usize = 1000;

/// Why a command was refused: nothing was sent. The text is for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such tag; it may have been removed")]
    NoSuchTag,
    #[error("\"{path}\" is read-only: it has no write rule")]
    ReadOnly { path: String },
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{value} is not a value of type {wanted}, which the tag has")]
    WrongType { value: String, wanted: &'static str },
    #[error("{value} is outside the limits {limits}")]
    OutOfLimits { value: String, limits: String },
    #[error("{value} is not one of the states {states}")]
    NotAState { value: String, states: String },
    #[error("a reason is required for this tag")]
    ReasonNeeded,
    #[error("the reason is longer than {REASON_CHARS_MAX} characters")]
    ReasonTooLong,
    #[error("another command for this tag is under way; wait for its outcome")]
    TagBusy,
    #[error("too many commands are under way; try again in a moment")]
    TooMany,
    #[error("this id was used before for another command; give each command its own")]
    IdReused,
    #[error("not yet: the node is starting and has not yet settled how earlier commands ended")]
    Starting,
    #[error("the node is stopping")]
    Stopping,
    #[error("it could not be recorded, so nothing was sent: {0}")]
    NotRecorded(#[from] AppendError),
}

/// A command that may be carried out.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The value in the tag's own type.
    pub(crate) value: Value,
    pub(crate) rule: WriteRule,
    /// How long it may live: what the caller asks, but never longer than the tag allows.
    pub(crate) life: Duration,
}

/// Checks a command against the plant and the gate.
pub(crate) fn check(plant: &PlantView, gate: &dyn Gate, request: &CommandRequest) -> Result<Checked, Refusal> {
    let tag = plant.tag(request.tag).ok_or(Refusal::NoSuchTag)?;
    let rule = tag.write.as_ref().ok_or_else(|| Refusal::ReadOnly { path: tag.path.to_string() })?;
    gate.authorise(&request.by, Action::Operate, tag.path.as_str())?;
    let value = coerce(tag, &request.value)?;
    within_limits(tag, rule, &value)?;
    is_a_state(tag, &value)?;
    let reason = request.reason.as_deref().unwrap_or_default().trim();
    if rule.needs_reason && reason.is_empty() {
        return Err(Refusal::ReasonNeeded);
    }
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(Refusal::ReasonTooLong);
    }
    let allowed = Duration::from_millis(rule.life_ms);
    let life = request.life.map_or(allowed, |life| life.min(allowed));
    Ok(Checked { value, rule: rule.clone(), life })
}

fn coerce(tag: &TagDef, value: &Value) -> Result<Value, Refusal> {
    match value.coerce(tag.data_type) {
        Some(Value::Null) | None => Err(Refusal::WrongType { value: value.to_string(), wanted: tag.data_type.name() }),
        Some(value) => Ok(value),
    }
}

fn within_limits(tag: &TagDef, rule: &WriteRule, value: &Value) -> Result<(), Refusal> {
    let Some(number) = value.as_f64() else { return Ok(()) };
    let range = tag.range.filter(|_| tag.data_type != DataType::Boolean);
    let low = [rule.min, range.map(|range| range.0)].into_iter().flatten().reduce(f64::max);
    let high = [rule.max, range.map(|range| range.1)].into_iter().flatten().reduce(f64::min);
    if low.is_none_or(|low| number >= low) && high.is_none_or(|high| number <= high) {
        return Ok(());
    }
    let show = |limit: f64| shown(tag, &Value::Double(limit));
    let limits = match (low, high) {
        (Some(low), Some(high)) => format!("{low} to {}", show(high)),
        (Some(low), None) => format!("from {} up", show(low)),
        (None, high) => format!("up to {}", high.map_or_else(String::new, show)),
    };
    Err(Refusal::OutOfLimits { value: shown(tag, value), limits })
}

/// Where the states have names, no others are taken.
fn is_a_state(tag: &TagDef, value: &Value) -> Result<(), Refusal> {
    match value {
        Value::Int64(number) if !tag.states.is_empty() && !tag.states.contains_key(number) => {
            let states: Vec<_> = tag.states.iter().map(|(number, word)| format!("{number} ({word})")).collect();
            Err(Refusal::NotAState { value: value.to_string(), states: states.join(", ") })
        }
        _ => Ok(()),
    }
}

/// A value as people read it: with its unit, or the word for its state.
pub(crate) fn shown(tag: &TagDef, value: &Value) -> String {
    let state = match value {
        Value::Int64(number) => Some(*number),
        Value::Boolean(on) => Some(i64::from(*on)),
        _ => None,
    };
    if let Some(word) = state.and_then(|state| tag.states.get(&state)) {
        return word.clone();
    }
    match (&tag.unit, value) {
        (Some(unit), Value::Int64(_) | Value::Double(_)) => format!("{value} {}", unit.symbol()),
        _ => value.to_string(),
    }
}

/// True when the device holds what was wanted.
pub(crate) fn same(wanted: &Value, held: &Value, tolerance: f64) -> bool {
    match (wanted, held) {
        (Value::Int64(a), Value::Int64(b)) if a == b => true,
        (Value::String(a), Value::String(b)) => a == b,
        _ => match (wanted.as_f64(), held.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= tolerance,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::same;
    use andon_model::Value;

    #[test]
    fn a_read_back_may_differ_by_the_tolerance_and_no_more() {
        assert!(same(&Value::Double(20.0), &Value::Double(20.1), 0.25));
        assert!(!same(&Value::Double(20.0), &Value::Double(20.3), 0.25));
        assert!(!same(&Value::Double(20.0), &Value::Double(f64::NAN), 1e9));
        assert!(!same(&Value::Double(20.0), &Value::Null, 1e9));
        assert!(same(&Value::Int64(i64::MAX), &Value::Int64(i64::MAX), 0.0));
        assert!(!same(&Value::Boolean(true), &Value::Boolean(false), 0.0));
        assert!(same(&Value::String("auto".into()), &Value::String("auto".into()), 0.0));
    }
}
