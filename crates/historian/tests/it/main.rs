//! The historian's promises, kept against a log in memory and a disk that stops at any step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod aggregates;
mod compress;
mod damage;
mod joined;
mod keep;
mod memory_log;
mod model;
mod real_log;
mod restart;
mod service;
mod table;
