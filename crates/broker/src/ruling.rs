//! What those around the broker say about a message before it is written anywhere.

use crate::frames::SessionNo;
use crate::message::Message;
use crate::quarantine::Withheld;
use andon_model::access::Principal;
use andon_wire::mqtt::{QoS, ReasonCode, Text};
use std::sync::Arc;
use uuid::Uuid;

/// A message that somebody wants to publish, and may.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'m> {
    /// Which client.
    pub client_id: &'m str,
    /// Who that is; `None`: nobody who is connected. It is a will, or comes from somebody who is no client.
    pub who: Option<&'m Principal>,
    /// Where to.
    pub topic: &'m str,
    /// What it says.
    pub payload: &'m [u8],
    /// Whether it is to be retained.
    pub retain: bool,
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ruling {
    /// It is acknowledged once it is on disk.
    Durable,
    /// With QoS 1 or 2 it is acknowledged as soon as it was handed out, and is not written down, unless it is to be retained.
    Volatile,
    /// It is refused.
    Refused(Refused),
    /// It is acknowledged once it is on disk, and kept from everybody until a person decides.
    Withheld {
        /// The rule that it breaks.
        rule: String,
        /// How.
        words: String,
    },
}

/// Where a message that is withheld comes from.
pub(crate) struct Origin {
    pub(crate) publisher: SessionNo,
    pub(crate) packet_id: u16,
    pub(crate) will_of: SessionNo,
    pub(crate) by: Uuid,
}

/// What the lane keeps of a message that is withheld. Words that MQTT cannot carry are left out.
pub(crate) fn withheld(message: Arc<Message>, from: &Origin, rule: &str, words: &str) -> Box<Withheld> {
    let text = |words: &str| Text::parse(words).unwrap_or_default();
    let packet_id = if message.qos == QoS::ExactlyOnce { from.packet_id } else { 0 };
    Box::new(Withheld {
        message,
        publisher: from.publisher,
        packet_id,
        will_of: from.will_of,
        by: from.by,
        rule: text(rule),
        words: text(words),
    })
}

/// Why a message is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The name of its topic is wrong; else its payload is.
    pub topic: bool,
    /// What is wrong, in words for whoever published it.
    pub words: String,
}

impl Refused {
    /// What a 5.0 client is told. MQTT 5.0 §3.4.2.1, §3.5.2.1.
    pub(crate) const fn reason(&self) -> ReasonCode {
        if self.topic { ReasonCode::TOPIC_NAME_INVALID } else { ReasonCode::PAYLOAD_FORMAT_INVALID }
    }
}
