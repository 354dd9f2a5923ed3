//! Modbus TCP, as a client (master).
//!
//! Speaks the Modbus Application Protocol V1.1b3 over TCP (Modbus Messaging on TCP/IP V1.0b): function codes 1–6, 16
//! and 22. Addresses are the zero-based ones of the request, not the 40001 of manuals.
//!
//! | file | what |
//! | --- | --- |
//! | [`config`] | the user's words → a checked [`config::Config`] (pure) |
//! | [`plan`] | merges reads into few requests (pure) |
//! | [`value`] | registers ↔ values, exact (pure) |
//! | [`link`] | one connection: every request bounded, none after a failure |
//! | [`driver`] | one task owns one device: poll, write, back off |
//! | [`sim`] | a device that answers, and misbehaves on request |
//!
//! Start reading at [`config::Register`], then [`driver::Driver::run`].
//!
//! **Known limits**: no serial line (RTU) yet; one request at a time per device; text is UTF-8; a register that many
//! tags share is read once per rate.

pub mod config;
pub mod driver;
pub mod link;
pub mod plan;
pub mod sim;
pub mod value;

/// The connector's word in the plant model.
pub const KIND: &str = "modbus";
/// The page that the product shows about this connector.
pub const README: &str = include_str!("README.md");
/// Edition, maturity and the rules kept, as TOML.
pub const MANIFEST: &str = include_str!("manifest.toml");
