//! Field connectors, one folder per protocol.
