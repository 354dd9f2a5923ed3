//! The broker from outside: raw bytes over loopback TCP, on the real log in a temporary folder.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod alias;
mod asks;
mod backlog;
mod bridge;
mod catalogue;
mod commands;
mod conformance;
mod connect;
mod delivery;
mod exchange;
mod failing_log;
mod harness;
mod history;
mod limits;
mod moody_log;
mod proof;
mod publish;
mod restart;
mod rights;
mod rules;
mod sessions;
mod subscribe;
