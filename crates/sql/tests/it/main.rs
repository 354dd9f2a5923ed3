//! The SQL face over a plant in memory.

mod beside;
mod plant;
mod refused;
mod rights;
mod summaries;
mod views;
mod wire;
