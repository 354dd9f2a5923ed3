//! What a Sparkplug-aware MQTT server does with messages that pass through it (Sparkplug 3.0.0 §10.1.4).
//!
//! Births are kept as retained messages under `$sparkplug/certificates/`, so that who comes later finds them. A death that the
//! server publishes for a client gets the time at which that happens.

use crate::bounds::next_field;
use crate::topic::{Topic, Verb};
use andon_model::Timestamp;

/// Below this topic the births stand.
pub const CERTIFICATES: &str = "$sparkplug/certificates";

/// Where the message of this topic is to be kept as a retained message; `None` if it is no NBIRTH or DBIRTH.
#[must_use]
pub fn certificate_topic(topic: &str) -> Option<String> {
    match Topic::parse(topic)? {
        Topic::Node { verb: Verb::NBirth | Verb::DBirth, .. } => Some(format!("{CERTIFICATES}/{topic}")),
        _ => None,
    }
}

/// The payload of an NDEATH with `now` as its timestamp, all else byte for byte as it was; `None` if the message is no NDEATH or its payload
/// is no Sparkplug payload.
#[must_use]
pub fn death_at(topic: &str, payload: &[u8], now: Timestamp) -> Option<Vec<u8>> {
    let Topic::Node { verb: Verb::NDeath, .. } = Topic::parse(topic)? else { return None };
    let mut out = Vec::with_capacity(payload.len() + 11);
    out.push(0x08);
    let mut left = crate::payload::millis(now);
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or_default());
    let mut rest = payload;
    while !rest.is_empty() {
        let before = rest;
        let field = next_field(&mut rest).ok()?;
        if field.number != 1 {
            out.extend_from_slice(before.get(..before.len() - rest.len())?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Limits;
    use crate::payload;
    use crate::proto::Payload;
    use prost::Message as _;

    #[test]
    fn tck_id_conformance_mqtt_aware_nbirth_mqtt_topic() {
        let topic = certificate_topic("spBv1.0/g/NBIRTH/n");
        assert_eq!(topic.as_deref(), Some("$sparkplug/certificates/spBv1.0/g/NBIRTH/n"));
    }

    #[test]
    fn tck_id_conformance_mqtt_aware_dbirth_mqtt_topic() {
        let topic = certificate_topic("spBv1.0/g/DBIRTH/n/d");
        assert_eq!(topic.as_deref(), Some("$sparkplug/certificates/spBv1.0/g/DBIRTH/n/d"));
        for other in
            ["spBv1.0/g/NDATA/n", "spBv1.0/g/NDEATH/n", "spBv1.0/g/DBIRTH/n", "spBv1.0/STATE/h", "x/g/NBIRTH/n"]
        {
            assert_eq!(certificate_topic(other), None, "{other}");
        }
    }

    #[test]
    fn tck_id_conformance_mqtt_aware_ndeath_timestamp() {
        let death = Payload { timestamp: Some(1), metrics: vec![payload::bd_seq_metric(7, 1)], ..Payload::default() };
        let mut bytes = death.encode_to_vec();
        // A field that we do not know stays.
        bytes.extend_from_slice(&[0x50, 0x2a]);
        let now = Timestamp::from_millis(1_700_000_000_000);
        let new = death_at("spBv1.0/g/NDEATH/n", &bytes, now).expect("an NDEATH");
        let read = payload::decode(&new, &Limits::default()).expect("a payload");
        assert_eq!((read.timestamp, payload::bd_seq(&read)), (Some(1_700_000_000_000), Some(7)));
        assert!(new.ends_with(&[0x50, 0x2a]));
        let without = Payload { metrics: death.metrics.clone(), ..Payload::default() }.encode_to_vec();
        let read =
            payload::decode(&death_at("spBv1.0/g/NDEATH/n", &without, now).expect("an NDEATH"), &Limits::default());
        assert_eq!(read.expect("a payload").timestamp, Some(1_700_000_000_000));
        assert_eq!(death_at("spBv1.0/g/NDATA/n", &bytes, now), None);
        assert_eq!(death_at("spBv1.0/g/NDEATH/n", b"offline", now), None);
    }
}
