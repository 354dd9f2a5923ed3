//! Case files: inputs, and what comes of them. For whoever wants to check the formulas with figures of their own.
//!
//! A file is JSON: `{ "cases": [{ "id", "input", "expected"? }], "tolerance"? }`. Every other member of the file that has an `input`
//! is a case, too, under its own name. What else stands in a case are notes, and texts: a misspelt `expected` would compare nothing.
//! Where `expected` is given, what differs is told: numbers may differ by a millionth of themselves, or by 1e-9, unless `tolerance`
//! (`{ "rel", "abs" }`) says otherwise.

pub mod oee;

use serde_json::{Map, Value};
use std::fmt;

/// How far numbers may differ.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Tolerance {
    relative: f64,
    absolute: f64,
}

/// One case of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// Its name.
    pub id: String,
    /// What it is about.
    pub input: Map<String, Value>,
    /// What should come of it.
    pub expected: Option<Map<String, Value>>,
}

/// What came of all cases.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// By the case's name.
    pub results: Map<String, Value>,
    /// Where something else was expected.
    pub differences: Vec<Difference>,
    /// How many cases said what they expect.
    pub compared: usize,
}

/// A result that is not the expected one.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// The case.
    pub id: String,
    /// The member of its result.
    pub key: String,
    /// What was expected.
    pub expected: Value,
    /// What came; `None`: nothing.
    pub got: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, key, expected, got } = self;
        match got {
            Some(got) => write!(f, "{id}: {key} is {got}, expected {expected}"),
            None => write!(f, "{id}: {key} is not computed from such an input, expected {expected}"),
        }
    }
}

/// Why a file is not computed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CaseError {
    /// It is no JSON.
    #[error("this is no JSON: {0}")]
    NotJson(String),
    /// It is no case file.
    #[error("{0}; a case file is {{\"cases\": [{{\"id\": …, \"input\": {{…}}, \"expected\": {{…}}}}]}}")]
    NotCases(String),
    /// A case's input cannot be understood.
    #[error("{id}: {what}")]
    Input {
        /// The case.
        id: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// A computation of one case: what comes of its input, or what is wrong with it.
pub type Compute = fn(&Map<String, Value>) -> Result<Map<String, Value>, String>;

/// The most bytes of a file.
pub const FILE_MAX: u64 = 64 << 20;

/// Computes every case of a file.
///
/// # Errors
/// The file is none, or a case cannot be understood: nothing is computed then.
pub fn run(text: &str, compute: Compute) -> Result<Outcome, CaseError> {
    let (cases, tolerance) = read(text)?;
    let mut outcome = Outcome::default();
    for case in cases {
        let result = compute(&case.input).map_err(|what| CaseError::Input { id: case.id.clone(), what })?;
        if let Some(expected) = &case.expected {
            outcome.compared += 1;
            outcome.differences.extend(differences(&case.id, expected, &result, tolerance));
        }
        outcome.results.insert(case.id, Value::Object(result));
    }
    Ok(outcome)
}

fn read(text: &str) -> Result<(Vec<Case>, Tolerance), CaseError> {
    let file: Value = serde_json::from_str(text).map_err(|error| CaseError::NotJson(error.to_string()))?;
    let not = |what: &str| CaseError::NotCases(what.to_owned());
    let Value::Object(file) = file else { return Err(not("the file is no object")) };
    let mut cases = Vec::new();
    match file.get("cases") {
        None => {}
        Some(Value::Array(all)) => {
            for (at, case) in all.iter().enumerate() {
                let object = case.as_object().ok_or_else(|| not(&format!("case {at} is no object")))?;
                let id =
                    object.get("id").and_then(Value::as_str).ok_or_else(|| not(&format!("case {at} has no id")))?;
                cases.push(case_of(id, object)?);
            }
        }
        Some(_) => return Err(not("`cases` is no list")),
    }
    for (name, member) in &file {
        if let Some(object) = member.as_object().filter(|object| object.contains_key("input")) {
            cases.push(case_of(name, object)?);
        }
    }
    if cases.is_empty() {
        return Err(not("the file has no case"));
    }
    let mut ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(not(&format!("two cases have the id {:?}", twice[0])));
    }
    Ok((cases, tolerance_of(file.get("tolerance"))?))
}

fn tolerance_of(given: Option<&Value>) -> Result<Tolerance, CaseError> {
    let mut tolerance = Tolerance { relative: 1e-6, absolute: 1e-9 };
    let Some(given) = given else { return Ok(tolerance) };
    let not =
        |what: String| CaseError::NotCases(format!("{what}; write \"tolerance\": {{\"rel\": 1e-6, \"abs\": 1e-9}}"));
    let members = given.as_object().ok_or_else(|| not(format!("`tolerance` is {given}")))?;
    for (key, value) in members {
        let number = |most: f64| value.as_f64().filter(|number| (0.0..=most).contains(number));
        let (place, most) = match key.as_str() {
            // More than all of a number would let everything pass.
            "rel" => (&mut tolerance.relative, 1.0),
            "abs" => (&mut tolerance.absolute, f64::MAX),
            _ => return Err(not(format!("{key:?} is no tolerance; known are rel and abs"))),
        };
        *place =
            number(most).ok_or_else(|| not(format!("the tolerance {key} is {value}, and not from 0 to {most}")))?;
    }
    Ok(tolerance)
}

fn case_of(id: &str, object: &Map<String, Value>) -> Result<Case, CaseError> {
    let not = |what: String| CaseError::NotCases(what);
    let input = object
        .get("input")
        .and_then(Value::as_object)
        .ok_or_else(|| not(format!("case {id:?} has no object `input`")))?;
    let expected = match object.get("expected") {
        None | Some(Value::Null) => None,
        Some(Value::Object(expected)) => Some(expected.clone()),
        Some(_) => return Err(not(format!("case {id:?}: `expected` is no object"))),
    };
    let is_known =
        |(key, value): &(&String, &Value)| matches!(key.as_str(), "id" | "input" | "expected") || value.is_string();
    if let Some((key, _)) = object.iter().find(|member| !is_known(member)) {
        return Err(not(format!("case {id:?} has {key:?}; known are id, input and expected, and a note is a text")));
    }
    Ok(Case { id: id.to_owned(), input: input.clone(), expected })
}

/// What of `expected` is not in the result, or is another value. What the result has beyond it is no difference.
fn differences<'a>(
    id: &'a str,
    expected: &'a Map<String, Value>,
    result: &'a Map<String, Value>,
    tolerance: Tolerance,
) -> impl Iterator<Item = Difference> + 'a {
    expected.iter().filter(move |(key, value)| !result.get(*key).is_some_and(|got| same(value, got, tolerance))).map(
        |(key, value)| Difference {
            id: id.to_owned(),
            key: key.clone(),
            expected: value.clone(),
            got: result.get(key).cloned(),
        },
    )
}

fn same(a: &Value, b: &Value, tolerance: Tolerance) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= tolerance.absolute.max(tolerance.relative * a.abs().max(b.abs())),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
