//! Times as PostgreSQL spells them: read from text, written by a pattern, and in the zones of places. Pure: no clock, no engine.

pub(crate) mod literal;
pub(crate) mod pattern;
pub(crate) mod zone;

/// µs of a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;
