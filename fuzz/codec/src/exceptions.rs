//! Where the others differ from the standard, or leave to somebody else what we check: each with its reason, and no wider
//! than it has to be.

use crate::{Heard, Other, Theirs};
use andon_wire::mqtt::*;

/// A packet without what a codec cannot tell from its absence: values that the standard says hold when nothing is said.
#[must_use]
pub fn plain(other: Other, mut packet: Packet) -> Packet {
    fn unless<T: PartialEq>(field: &mut Option<T>, absent: T) {
        if field.as_ref() == Some(&absent) {
            *field = None;
        }
    }
    if other != Other::Rmqtt {
        return packet;
    }
    match &mut packet {
        // MQTT 5.0 §3.1.2.11.2, .5 to .7.
        Packet::Connect(connect) => {
            let p = &mut connect.properties;
            unless(&mut p.session_expiry_s, 0);
            unless(&mut p.topic_alias_maximum, 0);
            unless(&mut p.request_response_information, false);
            unless(&mut p.request_problem_information, true);
        }
        // MQTT 5.0 §3.2.2.3.3, .5, .8, .11 to .13.
        Packet::ConnAck(ack) => {
            let p = &mut ack.properties;
            unless(&mut p.receive_maximum, u16::MAX);
            unless(&mut p.retain_available, true);
            unless(&mut p.topic_alias_maximum, 0);
            unless(&mut p.wildcard_subscription_available, true);
            unless(&mut p.subscription_identifiers_available, true);
            unless(&mut p.shared_subscription_available, true);
        }
        // MQTT 5.0 §3.3.2.3.2.
        Packet::Publish(publish) => unless(&mut publish.properties.payload_format, false),
        _ => {}
    }
    packet
}

/// Why they may refuse a packet that we take.
#[must_use]
pub fn of_refusal(other: Other, heard: Heard, packet: &Packet) -> Option<&'static str> {
    let v5 = heard.version().is_v5();
    let server = matches!(heard, Heard::FromServer(_));
    match (other, packet) {
        (Other::ProtocolCore, Packet::Connect(c)) if v5 && c.password.is_some() && c.user_name.is_none() => {
            Some("MQTT 5.0 §3.1.2.9 allows a password without a user name; they still hold to 3.1.1")
        }
        (_, Packet::Publish(p)) if p.properties.topic_alias == Some(0) => Some(
            "alias 0, MQTT 5.0 [MQTT-3.3.2-8], is the broker's to judge: it is answered with reason 0x94, not 0x82",
        ),
        (Other::Rmqtt, Packet::Publish(p)) if p.properties.message_expiry_s == Some(0) => {
            Some("MQTT 5.0 §3.3.2.3.3 excludes no value: a message of 0 s is for those connected now")
        }
        (Other::Rmqtt, Packet::Connect(c))
            if c.will.as_ref().is_some_and(|w| w.properties.message_expiry_s == Some(0)) =>
        {
            Some("MQTT 5.0 §3.1.3.2.4 excludes no value")
        }
        (Other::Rmqtt, Packet::Connect(c)) if c.client_id.is_empty() && !c.clean_start => Some(
            "MQTT 3.1.1 [MQTT-3.1.3-8] asks for a CONNACK that says no, so this is the broker's to judge; 5.0 [MQTT-3.1.3-6] allows it",
        ),
        (Other::Rmqtt, Packet::Connect(c)) if c.version == Version::V31 => {
            Some("MQTT 3.1 §3.1: a user name or password that is announced may be missing at the end")
        }
        (Other::Rmqtt, Packet::PubRel(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_))
            if heard.version() == Version::V31 =>
        {
            Some("MQTT 3.1 §2.1: these may be sent again with DUP")
        }
        (_, Packet::Auth(a)) if a.properties.authentication_method.is_none() => {
            Some("MQTT 5.0 §3.15.2.2.2: it wants a method; the broker answers every AUTH with a protocol error")
        }
        // What a server says is read by our tools and tests only. They judge for themselves which reasons they know.
        (Other::Rmqtt, Packet::ConnAck(_)) if heard.version() == Version::V31 => {
            Some("MQTT 3.1 §3.2: the byte is reserved and not used, so nothing in it is wrong")
        }
        (_, Packet::ConnAck(a)) if server && a.reason != ReasonCode::SUCCESS => {
            Some("a return or reason code that no table has")
        }
        (_, Packet::SubAck(a))
            if server && (a.reasons.is_empty() || a.reasons.iter().any(|r| unknown(r, v5, &[0, 1, 2]))) =>
        {
            Some("no reasons, or reason codes that no table has")
        }
        (_, Packet::UnsubAck(a))
            if server
                && (a.reasons.is_empty() || a.reasons.iter().any(|r| unknown(r, v5, &[0, 0x11]) || r.0 >= 0x97)) =>
        {
            Some("no reasons, or reason codes that no table has")
        }
        (_, Packet::Disconnect(_)) if server => Some("a reason code that only the other end may say, or none has"),
        _ => None,
    }
}

/// Whether no table has the reason. MQTT 5.0 tables 3-8 and 3-9; MQTT 3.1.1 table 3.9.
fn unknown(reason: &ReasonCode, v5: bool, successes: &[u8]) -> bool {
    let failures = [0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
    !(successes.contains(&reason.0) || reason.0 == 0x80 || (v5 && failures.contains(&reason.0)))
}

/// Whether saying it again loses what it said: before 5.0 there are fewer words.
#[must_use]
pub fn loses_words(version: Version, packet: &Packet) -> bool {
    match packet {
        Packet::ConnAck(ack) => !version.is_v5() && ack.reason == ReasonCode::UNSPECIFIED,
        Packet::SubAck(ack) => !version.is_v5() && ack.reasons.iter().any(|r| unknown(r, false, &[0, 1, 2])),
        _ => false,
    }
}

/// Why they may read a right packet as another.
#[must_use]
pub fn of_meaning(_: Other, _: Heard, _: &Packet) -> Option<&'static str> {
    None
}

/// Why they may write a packet so that it cannot be read back.
#[must_use]
pub fn of_writing(other: Other, heard: Heard, packet: &Packet) -> Option<&'static str> {
    match (other, packet) {
        (Other::Rmqtt, Packet::Connect(_)) if heard == Heard::First(Version::V31) => {
            Some("they write the name MQTT for 3.1, which MQTT 3.1 §3.1 calls MQIsdp")
        }
        _ => None,
    }
}

/// Why they may be of another mind about bytes.
#[must_use]
pub fn of_bytes(
    other: Other,
    heard: Heard,
    bytes: &[u8],
    ours: &Result<Option<Packet>, DecodeError>,
    theirs: &Theirs,
) -> Option<&'static str> {
    match (ours, theirs) {
        (Ok(Some(packet)), Theirs::Refused(_)) => of_refusal(other, heard, packet),
        (Ok(Some(Packet::ConnAck(_))), Theirs::Packet(..)) if heard == Heard::FromServer(Version::V31) => {
            Some("MQTT 3.1 §3.2: the byte in which they see a session is reserved and not used")
        }
        (Err(error), Theirs::Packet(..) | Theirs::Unsayable(_)) => lax(other, heard, error, bytes),
        _ => None,
    }
}

/// What they let pass and the standard, or we where it leaves the choice, do not.
fn lax(other: Other, heard: Heard, error: &DecodeError, _bytes: &[u8]) -> Option<&'static str> {
    use PacketType as T;
    let v5 = heard.version().is_v5();
    match (other, error.packet, &error.fault) {
        (_, _, Fault::Text(_) | Fault::ClientId(_) | Fault::TopicName(_) | Fault::TopicFilter(_)) => Some(
            "what stands in strings they leave to whoever uses it: NUL [MQTT-1.5.4-2], wildcards in names [MQTT-3.3.2-2], \
             the form of filters [MQTT-4.7.1-1] to -3, [MQTT-4.8.2-1]; control characters are our own choice (MQTT 5.0 §1.5.4)",
        ),
        (_, T::Connect, Fault::ConnectFlags(_)) => Some(
            "reserved bit, will bits without a will, password without a user: MQTT 5.0 [MQTT-3.1.2-3], -11, -13; MQTT 3.1.1 [MQTT-3.1.2-22]",
        ),
        (_, T::Connect, Fault::DataWithoutMethod) => Some("MQTT 5.0 §3.1.2.11.10: a protocol error"),
        (_, T::Publish, Fault::QoS) => Some("DUP with QoS 0: MQTT 5.0 [MQTT-3.3.1-2], MQTT 3.1.1 the same"),
        (_, T::Subscribe, Fault::Options(_)) if !v5 => Some("reserved bits beside the QoS: MQTT 3.1.1 [MQTT-3.8.3-4]"),
        (_, T::Subscribe, Fault::OptionsMisused(options)) if v5 && options & 4 != 0 => {
            Some("No Local in a shared subscription: MQTT 5.0 [MQTT-3.8.3-4], a protocol error")
        }
        (Other::ProtocolCore, T::Subscribe, Fault::DuplicateProperty(0x0B)) => {
            Some("two subscription identifiers: MQTT 5.0 §3.8.2.1.2, a protocol error")
        }
        (_, _, Fault::Length) if v5 => Some("an integer with a byte too many: MQTT 5.0 [MQTT-1.5.5-1]"),
        (_, T::Publish, Fault::MisplacedProperty(0x0B)) => {
            Some("a subscription identifier from a client: MQTT 5.0 [MQTT-3.3.4-6]")
        }
        (
            Other::ProtocolCore,
            T::Publish | T::Subscribe | T::Unsubscribe | T::SubAck | T::UnsubAck,
            Fault::ZeroPacketId,
        ) => Some("identifier 0: MQTT 5.0 [MQTT-2.2.1-3], [MQTT-2.2.1-5]; they look at it in other packets only"),
        (Other::ProtocolCore, T::PubAck | T::PubRec | T::PubRel | T::PubComp, Fault::Trailing(1)) if !v5 => {
            Some("a reason code, which MQTT 3.1.1 §3.4.2 does not have")
        }
        (_, T::Disconnect, Fault::ReasonCode(_)) => {
            Some("a reason code that only a server may say: MQTT 5.0 table 3-10")
        }
        (Other::ProtocolCore, T::Publish, Fault::Truncated) if v5 => {
            Some("no property length: MQTT 5.0 §3.3.2.3.1 wants one, be it 0")
        }
        (Other::ProtocolCore, T::ConnAck, Fault::Flags(_)) => {
            Some("reserved bits: MQTT 5.0 [MQTT-3.2.2-1]; MQTT 3.1.1 §3.2.2.1")
        }
        (Other::Rmqtt, T::ConnAck, Fault::PropertyValue(0x27)) => {
            Some("a maximum packet size of 0: MQTT 5.0 §3.2.2.3.6, a protocol error")
        }
        (Other::Rmqtt, T::ConnAck, Fault::PropertyValue(0x24)) => {
            Some("a maximum QoS of 2: MQTT 5.0 §3.2.2.3.4 has 0 and 1")
        }
        (Other::Rmqtt, T::Connect, Fault::ProtocolLevel(_)) => {
            Some("the name of one version with the level of another: MQTT 3.1.1 [MQTT-3.1.2-1]")
        }
        (Other::Rmqtt, T::Connect | T::ConnAck | T::PingReq | T::PingResp, Fault::Trailing(_)) => {
            Some("bytes behind the last field, as if they were none of theirs")
        }
        (Other::Rmqtt, T::Disconnect, Fault::Trailing(_)) if !v5 => {
            Some("bytes behind the last field, as if they were none of theirs")
        }
        _ => None,
    }
}
