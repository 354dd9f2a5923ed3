//! The words of Andon: tags, samples, quality, units, equipment, events, and the traits between the parts.
//!
//! Everything here is pure: no I/O, no sockets, no runtime. The one exception is [`time::SystemClock`], the only
//! place in the workspace that asks the operating system for the time.
//!
//! **Invariants**
//! - A checked type can only be made by its `parse` or `new`: holding one is the proof of the check.
//! - Quality travels with the value; a dead sensor is a [`Sample`] with bad quality, never an error and never zero.
//! - Traits that cross crate borders ([`log::Log`], [`record::Recorder`], [`access::Gate`], …) live here, so that
//!   domain crates never name each other.
//!
//! Start reading at [`sample::Sample`], then [`plant::Plant`], then [`event::Event`].

pub mod access;
pub mod believed;
pub mod column;
pub mod command;
pub mod duration;
pub mod error;
pub mod event;
pub mod log;
pub mod loss;
pub mod near;
pub mod pace;
pub mod path;
pub mod peer;
pub mod plant;
pub mod quality;
pub mod record;
pub mod sample;
pub mod sample_codec;
pub mod settings;
pub mod text;
pub mod time;
pub mod unit;
pub mod varint;

pub use believed::Believed;
pub use loss::Loss;
pub use path::{EquipmentPath, PathError, TagPath};
pub use quality::StatusCode;
pub use sample::{DataType, Sample, TagId, Value};
pub use time::{Clock, SystemClock, Timestamp};
pub use unit::Unit;

/// A future that a trait object can return.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
