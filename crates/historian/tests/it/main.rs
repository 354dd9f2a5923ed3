//! The historian's promises, kept against a log in memory and a disk that stops at any step.

mod memory_log;
mod model;
mod restart;
mod service;
