//! Bytes to messages and back: MQTT packets, line protocol, payload mapping. No sockets, no clock.
