//! The store as its users see it, on real files, with a log and a recorder in memory that fail on demand.

#![expect(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]

mod accounts;
mod documents;
mod energy;
mod erp;
mod fakes;
mod file;
mod floor;
mod maintenance;
mod older;
mod orders;
mod plant;
mod postgres;
mod relay;
mod report;
mod rows;
mod server;
mod shift;
mod timeline;
mod tools;
mod trace;
mod trace_pack;
mod trace_rules;
mod trace_vessel;
mod views;
