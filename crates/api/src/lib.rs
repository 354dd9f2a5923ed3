//! HTTP, WebSocket and OpenAPI: the one crate that shapes JSON for the outside world.
