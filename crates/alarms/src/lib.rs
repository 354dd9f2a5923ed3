//! Alarms after ISA-18.2: states, delays, acknowledgement, journal.
//!
//! [`Engine`] listens to every sample of the bus, moves each alarm's [`machine::Machine`], records each transition,
//! and shows it only once it is durable.
//!
//! **Invariants**
//! - Nobody sees a transition, or an acknowledgement, before its event is durable.
//! - An alarm's state is the fold of its recorded transitions, at run time and after a restart alike.
//! - Never acknowledged without a person; the person names the occurrence that was seen.
//! - Delays run on the monotonic clock. The machine itself knows no clock and does no I/O.
//! - The cost of a sample is that of the alarms on its tag, whatever the number of alarms.
//! - When events cannot be recorded, [`Engine::failure`] says so, the steps wait and are tried again.
//!
//! Start reading at `machine.rs`, then `alarm.rs`, then `engine.rs`.

mod alarm;
mod engine;
pub mod machine;
mod status;

pub use engine::{AcknowledgeError, Engine, RecoverError, Recovered};
pub use status::AlarmStatus;
