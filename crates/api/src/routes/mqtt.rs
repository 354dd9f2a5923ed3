//! MQTT over WebSocket (chapter 6 of MQTT 5.0 and 3.1.1): the same broker, its bytes in binary frames.
//!
//! The broker reads and writes a stream of bytes; where frames begin and end says nothing ([MQTT-6.0.0-2]). It asks for more only
//! when it has dealt with what came, so a client that sends faster than that is held back by the network.

use crate::App;
use crate::auth::{peer_of, same_origin};
use crate::problem::Problem;
use crate::serve::Held;
use crate::socket::Intake;
use andon_broker::{Broker, Peer};
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{Sink, Stream};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The sub-protocols there are: `mqtt` ([MQTT-6.0.0-4]), and the older name that clients of MQTT 3.1 offer.
const SUB_PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// Room for the largest packet and for what stands before it in the same message, in bytes.
const BESIDE_A_PACKET: usize = 64 << 10;
/// What is read, and gathered to be written, at a time, in bytes: each connection holds as much.
const BUFFER: usize = 8 << 10;
/// The packet type with which a client is let in. MQTT 5.0 and 3.1.1 §2.1.2.
const CONNACK: u8 = 2;
/// The most in one frame to a client, in bytes.
const FRAME: usize = 64 << 10;

/// Opens an MQTT connection over WebSocket.
pub async fn open(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if !same_origin(&parts.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "this page is not ours"));
    }
    if app.mqtt_needs_certificate {
        return Err(without_certificate());
    }
    let peer = peer_of(&parts);
    app.mqtt_pace.take(peer.address.ip()).map_err(|refused| {
        if let Some(count) = refused.tell {
            tracing::warn!(count, "MQTT connections refused: {refused}");
        }
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-fast", "too many connections begin")
            .detail(refused)
            .retry_after(1)
    })?;
    let held = parts.extensions.get::<Held>().cloned();
    let intake = parts.extensions.get::<Intake>().cloned().unwrap_or_default();
    let place = app.mqtt_places.take(peer.address.ip()).map_err(|refused| {
        if let Some(count) = refused.tell {
            tracing::warn!(source = %refused.source, most = refused.most, count, "MQTT connections refused: the address has as many as it may");
        }
        Problem::unavailable(format!("{} has {} MQTT connections, as many as it may", refused.source, refused.most))
    })?;
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let peer = Peer { address: peer.address, tls: peer.tls, websocket: true, certificate: None };
    carry(upgrade, app.broker.clone(), peer, intake, (held, place))
}

/// HTTPS asks nobody for a certificate, for browsers come there as well.
fn without_certificate() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "certificate-required", "MQTT clients must show a certificate here")
        .detail("over WebSocket none is asked for, so MQTT is not spoken over it where the settings say client_certificate = \"required\"")
        .remedy("connect to [mqtt] tls_listen, with the device's certificate")
}

/// Hands the upgraded connection to the broker, and bounds what is taken of it by `intake` until the broker lets it in. `kept` is dropped
/// when it has ended.
fn carry(
    upgrade: WebSocketUpgrade,
    broker: Arc<Broker>,
    peer: Peer,
    intake: Intake,
    kept: impl Send + 'static,
) -> Result<Response, Problem> {
    let upgrade = upgrade.protocols(SUB_PROTOCOLS);
    // [MQTT-6.0.0-3]. A page cannot be made to speak it by accident then, and a client that forgot it learns why.
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "sub-protocol",
            "this WebSocket speaks MQTT and nothing else",
        )
        .detail("the request offers no sub-protocol that is known here")
        .remedy("offer the sub-protocol \"mqtt\""));
    }
    let most = broker.packet_bytes().saturating_add(BESIDE_A_PACKET);
    // The length of a frame is believed before its bytes are here, so it is bounded as that of a message is.
    let upgrade = upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(BUFFER + 2 * FRAME);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _kept = kept;
        intake.set(broker.connect_bytes().saturating_add(BESIDE_A_PACKET));
        broker.serve(Frames::new(socket, intake), peer, ()).await;
    }))
}

/// What is said to close the connection, and how far that is.
enum End {
    /// Not yet; with this code when it comes to it.
    Open(u16),
    /// Said, but not all of it is with the system.
    Saying,
    /// The other side has not said it yet.
    Waiting,
}

/// A WebSocket as a stream of bytes. Both halves are used by one task.
struct Frames {
    socket: WebSocket,
    /// What came and was not read yet.
    came: Bytes,
    end: End,
    /// Bounded until the client is let in; `None` from then on.
    intake: Option<Intake>,
}

impl Frames {
    const fn new(socket: WebSocket, intake: Intake) -> Self {
        Self { socket, came: Bytes::new(), end: End::Open(close_code::NORMAL), intake: Some(intake) }
    }

    /// From a CONNACK that lets the client in, it may send as much as the largest packet has.
    fn note_written(&mut self, bytes: &[u8]) {
        if let Some(intake) = self.intake.take_if(|_| lets_in(bytes)) {
            intake.open();
        }
    }

    /// No more is read; whoever shuts this down says this code.
    fn refuse(&mut self, code: u16, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
        if let End::Open(said) = &mut self.end {
            *said = code;
        }
        io::Error::new(io::ErrorKind::InvalidData, why)
    }
}

/// Whether these bytes begin with a CONNACK that says yes. Until there is one the broker writes packet by packet, so the first byte is a
/// packet's. MQTT 5.0 and 3.1.1 §3.2.
fn lets_in(bytes: &[u8]) -> bool {
    let [first, rest @ ..] = bytes else { return false };
    // The length of the rest ends with the first byte without its highest bit; then come flags, and the answer.
    let length = rest.iter().position(|byte| byte & 0x80 == 0);
    first >> 4 == CONNACK && length.is_some_and(|end| rest.get(end + 2) == Some(&0))
}

impl AsyncRead for Frames {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // An empty frame is none, and not the end.
        while self.came.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.came = bytes,
                // The answer to a ping goes out by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    // [MQTT-6.0.0-1].
                    return Poll::Ready(Err(self.refuse(close_code::UNSUPPORTED, "text came where MQTT is spoken")));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(self.refuse(close_code::PROTOCOL, error))),
            }
        }
        let count = self.came.len().min(into.remaining());
        into.put_slice(&self.came.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Frames {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let taken = bytes.get(..FRAME).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(taken));
        Pin::new(&mut self.socket).start_send(message).map_err(io::Error::other)?;
        self.note_written(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(io::Error::other)
    }

    /// Says that it closes and waits until the other side has said so too (RFC 6455 §7.1.1); what still comes is not read. How long,
    /// is the caller's.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.end {
                End::Open(code) => {
                    ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
                    let frame = CloseFrame { code, reason: "".into() };
                    // It is closed already, if this fails.
                    let _ = Pin::new(&mut self.socket).start_send(Message::Close(Some(frame)));
                    self.end = End::Saying;
                }
                End::Saying => {
                    ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(io::Error::other)?;
                    self.end = End::Waiting;
                }
                End::Waiting => {
                    let Some(Ok(_)) = ready!(Pin::new(&mut self.socket).poll_next(cx)) else {
                        return Poll::Ready(Ok(()));
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
