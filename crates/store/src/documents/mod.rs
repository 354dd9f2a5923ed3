//! The plant model as documents: what people write, keep in version control and exchange.

mod check;
mod form;
mod plan;

pub(crate) use check::order_and_check;
pub use plan::plan;
