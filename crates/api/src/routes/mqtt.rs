//! MQTT over WebSocket (MQTT 5.0 §6): the same broker, its bytes in binary messages.
//!
//! Two small loops carry bytes between the WebSocket and the broker through a bounded pipe; a full pipe stops reading.

use crate::App;
use crate::auth::{peer_of, same_origin};
use crate::problem::Problem;
use crate::serve::Held;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// The pipe's size each way, in bytes.
const PIPE: usize = 64 << 10;
/// The largest WebSocket message taken, in bytes.
const MAX_MESSAGE: usize = 2 << 20;

/// Opens an MQTT connection over WebSocket; the sub-protocol is `mqtt` ([MQTT-6.0.0-3], 5.0).
pub async fn open(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if !same_origin(&parts.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "this page is not ours"));
    }
    let peer = peer_of(&parts);
    let held = parts.extensions.get::<Held>().cloned();
    let place = app.mqtt_places.take(peer.address.ip()).map_err(|refused| {
        if let Some(count) = refused.tell {
            tracing::warn!(source = %refused.source, most = refused.most, count, "MQTT connections refused: the address has as many as it may");
        }
        Problem::unavailable(format!("{} has {} MQTT connections, as many as it may", refused.source, refused.most))
    })?;
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => upgrade.protocols(["mqtt"]).max_message_size(MAX_MESSAGE),
        Err(rejection) => return Ok(rejection.into_response()),
    };
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _held = (held, place);
        let (ours, brokers) = duplex(PIPE);
        let peer = andon_broker::Peer { address: peer.address, tls: peer.tls, websocket: true };
        tokio::join!(carry(socket, ours), app.broker.clone().serve(brokers, peer));
    }))
}

/// Carries bytes both ways until either side ends.
async fn carry(socket: WebSocket, pipe: DuplexStream) {
    let (mut to_client, mut from_client) = socket.split();
    let (mut from_broker, mut to_broker) = tokio::io::split(pipe);
    let inward = async {
        while let Some(Ok(message)) = from_client.next().await {
            match message {
                Message::Binary(bytes) => {
                    if to_broker.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                // Text is a protocol error here ([MQTT-6.0.0-1], 5.0): the connection is closed.
                Message::Text(_) | Message::Close(_) => return,
            }
        }
    };
    let outward = async {
        let mut buffer = vec![0; PIPE];
        while let Ok(count @ 1..) = from_broker.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if to_client.send(Message::Binary(bytes)).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    tokio::select! {
        () = inward => {}
        () = outward => {}
    }
}
