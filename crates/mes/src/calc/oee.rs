//! KPIs from times and amounts, or from a log of states. Times are in minutes.
//!
//! An input of figures has them by their symbols in ISO 22400-2: `{ "PBT": 420, "APT": 373, "PRI": 0.0166, "PQ": 19271, "GQ": 18848 }`.
//! Every KPI that they suffice for comes out; one without value (a zero below the line) is `null`.
//!
//! An input with a log has it as `"log": [[time, state, reason], …, [end, null, null]]`: times as `06:00` or in RFC 3339, states by their PackML names or as
//! Running, Down, Setup and Idle, reasons free but for their beginnings: `planned_break…` is not in PBT, `planned…` is setup, and what begins otherwise is a delay.
//! PRI, PQ, GQ, SQ and RQ stand beside it, or in the words of its `rule` ("…; PRI 0.4 min/part; PQ 850"), and so may the `shift` that the log is
//! counted over ("shift 06:00-14:00"); what of it the log leaves out is unknown, and in PBT.

use crate::element::{Counting, Element, Seen};
use crate::kpi::{Figure, Figures, Kpi};
use crate::packml::State;
use crate::sums::Sums;
use crate::unit::{ReasonId, Rules, UnitLog};
use andon_model::Timestamp;
use serde_json::{Map, Value};

/// Computes the KPIs of one input.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn compute(input: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    match input.get("log") {
        None => Ok(kpis(&figures(input)?)),
        Some(log) => of_log(log, input),
    }
}

/// The name of a KPI in a result. Where it has a unit, the unit is in the name.
fn name(kpi: Kpi) -> &'static str {
    match kpi {
        Kpi::ThroughputRate => "throughput_rate_per_min",
        _ => kpi.id(),
    }
}

fn kpis(figures: &Figures) -> Map<String, Value> {
    let known = Kpi::ALL
        .iter()
        .filter_map(|kpi| kpi.of(figures).map(|ratio| (name(*kpi).to_owned(), Value::from(ratio.value))));
    known.collect()
}

fn figures(input: &Map<String, Value>) -> Result<Figures, String> {
    let mut figures = Figures::default();
    for (symbol, value) in input {
        let Some(figure) = Figure::ALL.iter().find(|figure| figure.symbol() == symbol) else {
            let known: Vec<_> = Figure::ALL.iter().map(|figure| figure.symbol()).collect();
            return Err(format!("{symbol:?} is no figure; known are {}", known.join(", ")));
        };
        if !value.is_null() {
            figures.set(*figure, number(symbol, value, *figure)?);
        }
    }
    Ok(figures)
}

fn number(symbol: &str, value: &Value, figure: Figure) -> Result<f64, String> {
    let number = value
        .as_f64()
        .filter(|number| number.is_finite())
        .ok_or_else(|| format!("{symbol} is {value}, and no number"))?;
    let may_be_negative = matches!(figure, Figure::UpperLimit | Figure::LowerLimit | Figure::Mean);
    if number < 0.0 && !may_be_negative {
        return Err(format!("{symbol} is {number}; times and amounts are not negative"));
    }
    Ok(number)
}

fn of_log(log: &Value, input: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let rule = match input.get("rule") {
        None => "",
        Some(rule) => rule.as_str().ok_or("`rule` is no text")?,
    };
    for key in input.keys() {
        if !matches!(key.as_str(), "log" | "rule" | "shift" | "PRI" | "PQ" | "GQ" | "SQ" | "RQ") {
            return Err(format!("{key:?} does not go with a log; PRI, PQ, GQ, SQ, RQ, rule and shift do"));
        }
    }
    let (unit, reasons, logged) = read_log(log)?;
    let (from, to) = shift(input, rule)?.unwrap_or(logged);
    let counts_as = |reason: ReasonId| reasons.get(usize::try_from(reason.0).ok()?).copied().flatten();
    let rules = Rules { counting: Counting { without_orders: true, ..Counting::default() }, ..Rules::default() };
    let times = unit.times(rules, &counts_as, from, to);
    let minutes = |micros: i64| micros_to_minutes(micros);

    let mut figures = Figures::default()
        .with(Figure::PlannedOperation, minutes(times.all_micros() - times.micros(Element::OffShift)))
        .with(Figure::PlannedBusy, minutes(times.busy_micros()))
        .with(Figure::ActualProduction, minutes(times.micros(Element::Production)))
        .with(Figure::ActualSetup, minutes(times.micros(Element::Setup)))
        .with(Figure::ActualDelay, delay(&times));
    for figure in [Figure::PlannedRunTimePerItem, Figure::Produced, Figure::Good, Figure::Scrap, Figure::Rework] {
        let symbol = figure.symbol();
        match input.get(symbol) {
            Some(value) => figures.set(figure, number(symbol, value, figure)?),
            None => {
                if let Some(value) = in_words(rule, symbol) {
                    figures.set(figure, value);
                }
            }
        }
    }
    let mut result = kpis(&figures);
    let times = [
        ("POT", minutes(times.all_micros() - times.micros(Element::OffShift))),
        ("PBT", minutes(times.busy_micros())),
        ("APT", minutes(times.micros(Element::Production))),
        ("unplanned_downtime", delay(&times)),
        ("setup", minutes(times.micros(Element::Setup))),
        ("planned_downtime", minutes(times.micros(Element::PlannedDown))),
        ("idle", minutes(times.micros(Element::Idle))),
        ("unknown", minutes(times.micros(Element::Unknown))),
    ];
    result.extend(times.map(|(name, minutes)| (name.to_owned(), Value::from(minutes))));
    Ok(result)
}

fn delay(times: &Sums) -> f64 {
    micros_to_minutes(times.micros(Element::Delay) + times.micros(Element::MinorStop))
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
fn micros_to_minutes(micros: i64) -> f64 {
    micros as f64 / 60e6
}

/// A log, what its reasons count as, and its first and last instant.
type ReadLog = (UnitLog, Vec<Option<Element>>, (Timestamp, Timestamp));

fn read_log(log: &Value) -> Result<ReadLog, String> {
    let rows = log.as_array().ok_or("`log` is no list")?;
    let (mut unit, mut reasons) = (UnitLog::new(), Vec::new());
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let mut ended = false;
    for (at, row) in rows.iter().enumerate() {
        let wrong = |what: String| format!("row {at} of the log {what}");
        let Some([time, state, reason]) = row.as_array().map(Vec::as_slice) else {
            return Err(wrong("is not [time, state, reason]".to_owned()));
        };
        let when = time
            .as_str()
            .and_then(parse_time)
            .ok_or_else(|| wrong(format!("begins at {time}; write 06:00 or 2026-01-31T06:00:00Z")))?;
        if ended {
            return Err(wrong("comes after the end: a row with null as its state".to_owned()));
        }
        if let Some((_, last)) = span.filter(|(_, last)| when <= *last) {
            let (_, _, _, hour, minute, ..) = last.civil();
            return Err(wrong(format!(
                "begins at {time}, which is not after the row before it ({hour:02}:{minute:02}); put the rows in order, and write full dates for a log over midnight"
            )));
        }
        span = Some((span.map_or(when, |(from, _)| from), when));
        let (seen, counts_as) = match (state, reason) {
            (Value::Null, Value::Null) => {
                ended = true;
                (Seen::NOTHING, None)
            }
            (Value::String(state), Value::Null) => state_of(state, None).map_err(wrong)?,
            (Value::String(state), Value::String(reason)) => state_of(state, Some(reason)).map_err(wrong)?,
            _ => {
                return Err(wrong(format!("has {state} and {reason} where state and reason should be texts, or null")));
            }
        };
        let id = ReasonId(u32::try_from(reasons.len()).map_err(|_| wrong("is one too many".to_owned()))?);
        reasons.push(counts_as);
        unit.observe(when, seen, counts_as.map(|_| id));
    }
    match span.filter(|(from, to)| ended && from < to) {
        Some(span) => Ok((unit, reasons, span)),
        None => Err("the log has no end; let its last row be [time, null, null]".to_owned()),
    }
}

/// A state's word, and what its reason says that it counts as.
fn state_of(state: &str, reason: Option<&str>) -> Result<(Seen, Option<Element>), String> {
    let (state, own) = match state {
        "Running" => (State::Execute, None),
        "Down" => (State::Aborted, Some(Element::Delay)),
        "Setup" => (State::Resetting, Some(Element::Setup)),
        "Idle" => (State::Idle, Some(Element::Idle)),
        other => {
            let state = State::from_name(other).ok_or_else(|| {
                let names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
                format!(
                    "is in {other:?}, which is no state; known are Running, Down, Setup, Idle, {}",
                    names.join(", ")
                )
            })?;
            (state, None)
        }
    };
    let by_reason = reason.map(|reason| match reason {
        _ if reason.starts_with("planned_break") => Element::PlannedDown,
        _ if reason.starts_with("planned") => Element::Setup,
        _ => Element::Delay,
    });
    // What runs, runs: a reason beside it is a note.
    let counts_as = if state == State::Execute { None } else { by_reason.or(own) };
    Ok((Seen::producing(state), counts_as))
}

/// Minutes of a day, or a date with time.
fn parse_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).or_else(|| {
        let parts: Vec<u32> = text
            .split(':')
            .map(|part| {
                (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
            })
            .collect::<Option<_>>()?;
        match parts[..] {
            [24, 0] | [24, 0, 0] => Timestamp::from_civil(1970, 1, 2, 0, 0, 0, 0),
            [hour, minute] => Timestamp::from_civil(1970, 1, 1, hour, minute, 0, 0),
            [hour, minute, second] => Timestamp::from_civil(1970, 1, 1, hour, minute, second, 0),
            _ => None,
        }
    })
}

/// The span that is counted: `"shift": ["06:00", "14:00"]`, or the same in the rule's words.
fn shift(input: &Map<String, Value>, rule: &str) -> Result<Option<(Timestamp, Timestamp)>, String> {
    let (from, to) = match input.get("shift") {
        Some(shift) => match shift.as_array().map(Vec::as_slice) {
            Some([Value::String(from), Value::String(to)]) => (from.as_str(), to.as_str()),
            _ => return Err(format!("`shift` is {shift}; write [\"06:00\", \"14:00\"]")),
        },
        None => match after_word(rule, "shift").and_then(|shift| shift.split_once('-')) {
            Some(span) => span,
            None => return Ok(None),
        },
    };
    let time =
        |text: &str| parse_time(text).ok_or_else(|| format!("the shift has {text:?}, which is no time; write 06:00"));
    let (from, to) = (time(from)?, time(to)?);
    if from < to {
        Ok(Some((from, to)))
    } else {
        Err("the shift ends before it begins; write full dates for a shift over midnight".to_owned())
    }
}

/// The number that follows a symbol in words.
fn in_words(rule: &str, symbol: &str) -> Option<f64> {
    after_word(rule, symbol)?.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn after_word<'a>(words: &'a str, word: &str) -> Option<&'a str> {
    let mut words = words.split(|c: char| c.is_whitespace() || matches!(c, ';' | ',' | '='));
    words.by_ref().find(|next| *next == word)?;
    words.find(|next| !next.is_empty())
}
