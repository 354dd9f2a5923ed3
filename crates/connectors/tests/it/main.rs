//! The Modbus connector against devices on loopback sockets: good ones, late ones, and ones that vanish.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod cases;
mod faults;
mod rig;
mod settings;
mod values;
mod writes;
