//! Control: the one door for commands.
//!
//! A command is a transaction, not a message. [`Door`] takes it through these steps, and never through one twice:
//!
//! ```text
//! seen before? → tag exists and may be written → allowed → type → limits → reason → not expired → tag is free
//!   → intent durable → wire → what the device says → outcome durable → report
//! ```
//!
//! **Invariants**
//! - Nothing goes to the wire before its intent is durable, and nothing is reported before its outcome is durable.
//! - At most one write for each command id, over restarts too. A command is never queued, never sent again by itself.
//! - After its life a command is not sent. A value out of limits is refused, never clipped.
//! - One command at a time for each tag; a second is refused aloud.
//! - What cannot be known is `Unknown`: neither confirmed nor failed. A person decides.
//! - A caller who goes away does not stop a command half way: each runs in a task of its own.
//!
//! The audit trail is the events of these steps. Start reading at [`Door`], then `check.rs`.

mod check;
mod door;
mod memory;

pub use door::{Door, RecoverError, Recovered};
