//! Accounts over a store in memory and a hand-turned clock; the audit trail over the real log and over one that lies.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod accounts;
mod audit;
mod fakes;
mod rights;
mod scram;
mod sessions;
