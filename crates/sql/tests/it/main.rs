//! The SQL face over a plant in memory.

mod beside;
mod numbers;
mod plant;
mod records;
mod refused;
mod rights;
mod summaries;
mod texts;
mod times;
mod views;
mod wire;
