//! Enhanced authentication (MQTT 5.0 §4.12): a client proves who it is in a conversation of AUTH packets, before its CONNACK and, if
//! it wants, again later.
//!
//! How one proves it is the surroundings' matter ([`Exchange`]); here are its turns, its deadline and what ends it. A connection has
//! one exchange under way at most.

use crate::broker::Broker;
use crate::connection::{Peer, packet_bytes};
use crate::hooks::{AuthError, BrokerHooks};
use crate::line::Line;
use andon_model::access::Principal;
use andon_wire::mqtt::{Auth, AuthProperties, Connect, Packet, ReasonCode, Text, Version};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// The most messages of a client in one exchange, the one in CONNECT among them; methods need two or three.
const TURNS: u8 = 8;

/// One client's proof of who it is, message by message.
pub trait Exchange: Send + Sync {
    /// What comes of the client's next message, at once: whoever needs time for it must find another way.
    fn hear(&mut self, data: &[u8]) -> Heard;
}

/// What comes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The client is to answer this.
    Continue(Bytes),
    /// Now we know who it is; this is the last word for it, empty if there is none.
    Done(Principal, Bytes),
    /// It is not let in, or not any more.
    Refused(AuthError),
}

/// AUTH with the method of CONNECT ([MQTT-4.12.0-5]).
fn auth(reason: ReasonCode, method: &Text, data: Bytes) -> Packet {
    let properties = AuthProperties {
        authentication_method: Some(method.clone()),
        authentication_data: (!data.is_empty()).then_some(data),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason, properties })
}

fn data_of(auth: &Auth) -> &[u8] {
    auth.properties.authentication_data.as_deref().unwrap_or_default()
}

impl Broker {
    /// Goes through the exchange that CONNECT began; who it is, and the last word for CONNACK.
    /// # Errors
    /// What CONNACK says; `None`: nothing can be said.
    pub(crate) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connect: &Connect,
        method: &Text,
        client_id: &Text,
        peer: &Peer,
        line: &mut Line<S>,
    ) -> Result<(Principal, Bytes), Option<ReasonCode>> {
        let user = connect.user_name.as_ref().map(Text::as_str);
        // [MQTT-4.12.0-1].
        let exchange = self.hooks.exchange(method.as_str(), client_id.as_str(), user, peer);
        let mut exchange = exchange.ok_or(Some(ReasonCode::BAD_AUTHENTICATION_METHOD))?;
        let mut heard = exchange.hear(connect.properties.authentication_data.as_deref().unwrap_or_default());
        let mut turns = 1;
        loop {
            let question = match heard {
                Heard::Continue(question) if turns < TURNS => question,
                Heard::Done(principal, last_word) => return Ok((principal, last_word)),
                // [MQTT-4.12.0-4].
                Heard::Refused(error) => {
                    self.hooks.unproven(client_id.as_str(), peer);
                    return Err(Some(error.reason()));
                }
                Heard::Continue(_) => {
                    self.hooks.unproven(client_id.as_str(), peer);
                    return Err(Some(ReasonCode::NOT_AUTHORIZED));
                }
            };
            let mut out = BytesMut::new();
            // [MQTT-4.12.0-2]. Names that were read, and bounded data: cannot fail but for its size.
            let encoded = auth(ReasonCode::CONTINUE_AUTHENTICATION, method, question).encode(Version::V5, &mut out);
            if encoded.is_err() || out.len() > packet_bytes(connect) {
                return Err(Some(ReasonCode::PACKET_TOO_LARGE));
            }
            line.write(out).await.map_err(|_| None)?;
            heard = exchange.hear(data_of(&read_auth(line, method).await?));
            turns += 1;
        }
    }
}

/// The client's answer. Until it has its CONNACK it sends AUTH and DISCONNECT only ([MQTT-3.1.2-30]).
async fn read_auth<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    method: &Text,
) -> Result<Auth, Option<ReasonCode>> {
    loop {
        match line.input.next() {
            Ok(Some(Packet::Auth(auth))) if continues(&auth, method) => return Ok(auth),
            Ok(Some(Packet::Disconnect(_))) => return Err(None),
            Ok(Some(_)) => return Err(Some(ReasonCode::PROTOCOL_ERROR)),
            Ok(None) => {}
            Err(error) => return Err(Some(error.reason())),
        }
        match line.fill().await {
            Ok(0) | Err(_) => return Err(None),
            Ok(_) => {}
        }
    }
}

/// [MQTT-4.12.0-3], [MQTT-4.12.0-5].
fn continues(auth: &Auth, method: &Text) -> bool {
    auth.reason == ReasonCode::CONTINUE_AUTHENTICATION && auth.properties.authentication_method.as_ref() == Some(method)
}

/// How a client that is in proved who it is, and may prove it again.
pub(crate) struct Proof {
    method: Text,
    user: Option<Text>,
    peer: Peer,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    exchange: Box<dyn Exchange>,
    turns: u8,
    until: Instant,
}

impl Proof {
    /// `None`: by a password, or not at all.
    pub(crate) fn of(connect: &Connect, peer: &Peer) -> Option<Box<Self>> {
        let method = connect.properties.authentication_method.as_ref()?.compact();
        let user = connect.user_name.as_ref().map(Text::compact);
        Some(Box::new(Self { method, user, peer: peer.clone(), under_way: None }))
    }

    /// When an exchange under way must have ended.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.under_way.as_ref().map(|under_way| under_way.until)
    }

    /// An AUTH of the client `client_id`, which is `who`; an exchange that it begins ends by `until`. Gives the answer. Meanwhile all
    /// else goes on as before (§4.12.1).
    /// # Errors
    /// What ends the connection.
    pub(crate) fn hear(
        &mut self,
        said: &Auth,
        hooks: &dyn BrokerHooks,
        client_id: &Text,
        who: &Principal,
        until: Instant,
    ) -> Result<Packet, ReasonCode> {
        // [MQTT-4.12.1-1].
        if said.properties.authentication_method.as_ref() != Some(&self.method) {
            return Err(ReasonCode::PROTOCOL_ERROR);
        }
        let mut under_way = match said.reason {
            ReasonCode::REAUTHENTICATE => {
                let user = self.user.as_ref().map(Text::as_str);
                let exchange = hooks.exchange(self.method.as_str(), client_id.as_str(), user, &self.peer);
                let exchange = exchange.ok_or(ReasonCode::BAD_AUTHENTICATION_METHOD)?;
                UnderWay { exchange, turns: 0, until }
            }
            ReasonCode::CONTINUE_AUTHENTICATION => self.under_way.take().ok_or(ReasonCode::PROTOCOL_ERROR)?,
            _ => return Err(ReasonCode::PROTOCOL_ERROR),
        };
        under_way.turns += 1;
        match under_way.exchange.hear(data_of(said)) {
            Heard::Continue(question) if under_way.turns < TURNS => {
                self.under_way = Some(under_way);
                Ok(auth(ReasonCode::CONTINUE_AUTHENTICATION, &self.method, question))
            }
            // Nobody becomes somebody else on the way.
            Heard::Done(principal, last_word) if principal == *who => {
                self.under_way = None;
                Ok(auth(ReasonCode::SUCCESS, &self.method, last_word))
            }
            // [MQTT-4.12.1-2].
            _ => {
                hooks.unproven(client_id.as_str(), &self.peer);
                Err(ReasonCode::NOT_AUTHORIZED)
            }
        }
    }
}
