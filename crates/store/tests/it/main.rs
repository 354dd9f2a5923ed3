//! The store as its users see it, on real files, with a log and a recorder in memory that fail on demand.

mod accounts;
mod fakes;
mod file;
mod plant;
mod relay;
mod timeline;
