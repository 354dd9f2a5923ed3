//! Bytes to messages and back: MQTT packets, line protocol, payload mapping. No sockets, no clock.

pub mod csv;
pub mod line_protocol;
pub mod mqtt;
pub mod payload;
pub mod value_template;
