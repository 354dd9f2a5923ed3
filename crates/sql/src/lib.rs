//! History in SQL: views over what the plant knows, and the PostgreSQL wire protocol.
//!
//! The one crate that knows DataFusion. [`Engine`] plans and runs one statement for one principal; [`pg`] speaks the
//! PostgreSQL protocol to `psql`, drivers and dashboards; [`output`] shapes answers for HTTP. What the engine needs (history,
//! catalogue, records, gate) it declares in [`ports`]; `server` hands it in.
//!
//! **Invariants**
//! - Only reading: the logical plan of every statement is checked against a list of what is allowed ([`guard`]), on every
//!   face, and no object store or file is registered anywhere.
//! - Rights lie below the user's predicates: a scan is made from the tags that its principal sees, and asks again
//!   at every batch; a query that runs while rights are taken away ends with an error.
//! - A query is bounded in memory, time, rows and text; queries at a time and those waiting are bounded too.
//! - Queries run on threads of their own, with a lower priority than ingest and screens.
//! - A bad value is never a number: `value` is null where the quality is bad.
//!
//! Start reading at [`Engine::run`], then [`views::samples`].

mod dialect;
mod engine;
mod error;
pub mod functions;
pub mod guard;
pub mod output;
pub mod pg;
pub mod ports;
mod refusal;
mod signs;
mod similar;
mod size;
mod times;
pub mod views;
mod yielding;

pub use engine::{Answer, Engine, Options};
pub use error::SqlError;
