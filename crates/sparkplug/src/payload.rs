//! Payloads: bounded decoding, encoding, and what is asked of every one of them.

use crate::bounds::{self, Limits};
use crate::proto::{Metric, MetricValue, Payload, PropertyKind, PropertySet, PropertyValue};
use crate::value::DataType;
use andon_model::{StatusCode, Timestamp};
use prost::Message as _;

/// The metric that ties a death to its birth.
pub const BD_SEQ: &str = "bdSeq";
/// The metric by which an edge node is asked to be born again.
pub const REBIRTH: &str = "Node Control/Rebirth";
/// The property that holds a metric's quality.
pub const QUALITY: &str = "Quality";

const GOOD: u32 = 192;
const STALE: u32 = 500;
const BAD: u32 = 0;

/// Why a payload is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// More than is taken.
    #[error("more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// No Sparkplug B payload.
    #[error("no Sparkplug B payload: {0}")]
    Malformed(String),
}

/// Decodes a payload within bounds.
/// # Errors
/// [`DecodeError`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Payload, DecodeError> {
    bounds::check(bytes, limits)?;
    Payload::decode(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// A time in ms since 1970 UTC as a timestamp; `None` if no date can tell it.
pub(crate) fn time(millis: Option<u64>) -> Option<Timestamp> {
    let stamp = Timestamp::from_millis(i64::try_from(millis?).ok()?);
    stamp.has_date().then_some(stamp)
}

/// A timestamp in ms since 1970 UTC; 0 before.
pub(crate) fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.millis()).unwrap_or(0)
}

/// The bdSeq number in a payload, if it has one.
pub(crate) fn bd_seq(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BD_SEQ))?;
    match metric.value.as_ref()? {
        MetricValue::Long(number) => Some(*number),
        MetricValue::Int(number) => Some(u64::from(*number)),
        _ => None,
    }
}

/// The metric `bdSeq`.
pub(crate) fn bd_seq_metric(number: u8, at: u64) -> Metric {
    Metric {
        name: Some(BD_SEQ.to_owned()),
        timestamp: Some(at),
        datatype: Some(DataType::UInt64.code()),
        value: Some(MetricValue::Long(u64::from(number))),
        ..Metric::default()
    }
}

/// What the property `Quality` says: 192 is good, 500 stale, which is no communication, anything else bad; `None` where there is none, which
/// is as good (Sparkplug 3.0.0 §6.4.11).
pub(crate) fn quality(metric: &Metric) -> Option<StatusCode> {
    let properties = metric.properties.as_ref()?;
    let mut pairs = properties.keys.iter().zip(&properties.values);
    Some(match pairs.find(|(key, _)| *key == QUALITY)?.1.value.as_ref()? {
        PropertyKind::Int(GOOD) | PropertyKind::Long(192) => StatusCode::GOOD,
        PropertyKind::Int(STALE) | PropertyKind::Long(500) => StatusCode::BAD_NO_COMMUNICATION,
        _ => StatusCode::BAD,
    })
}

/// The longest unit that is kept, in bytes.
const UNIT: usize = 32;

/// The unit that the property `engUnit` says; none where it is no text of 1 to [`UNIT`] bytes.
pub(crate) fn unit(metric: &Metric) -> Option<&str> {
    let properties = metric.properties.as_ref()?;
    let mut pairs = properties.keys.iter().zip(&properties.values);
    match pairs.find(|(key, _)| *key == ENG_UNIT)?.1.value.as_ref()? {
        PropertyKind::Text(text) => Some(text.trim()).filter(|text| (1..=UNIT).contains(&text.len())),
        _ => None,
    }
}

/// The property that tells a unit.
pub(crate) const ENG_UNIT: &str = "engUnit";

/// The property `Quality`, where a quality is not good [tck-id-payloads-propertyset-quality-value-type].
pub(crate) fn quality_property(quality: StatusCode) -> Option<(String, PropertyValue)> {
    let code = match quality {
        good if good.is_good() => return None,
        // Uncertain: it is the last one known.
        uncertain if uncertain.is_uncertain() => STALE,
        StatusCode::BAD_NO_COMMUNICATION | StatusCode::BAD_COMMUNICATION_ERROR | StatusCode::BAD_NOT_CONNECTED => STALE,
        _ => BAD,
    };
    let kind = Some(DataType::Int32.code());
    Some((QUALITY.to_owned(), PropertyValue { kind, is_null: None, value: Some(PropertyKind::Int(code)) }))
}

/// A text property.
pub(crate) fn text_property(key: &str, text: &str) -> (String, PropertyValue) {
    let value = Some(PropertyKind::Text(text.to_owned()));
    (key.to_owned(), PropertyValue { kind: Some(DataType::String.code()), is_null: None, value })
}

/// Properties as a set; `None` if there are none.
pub(crate) fn properties(pairs: impl IntoIterator<Item = (String, PropertyValue)>) -> Option<PropertySet> {
    let (keys, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    (!keys.is_empty()).then_some(PropertySet { keys, values })
}

/// The payload of a rebirth request: an NCMD by name, with `true`, without a sequence number
/// [tck-id-operational-behavior-data-commands-ncmd-rebirth-name], [tck-id-payloads-ncmd-seq].
pub(crate) fn rebirth_request(now: Timestamp) -> Vec<u8> {
    let at = Some(millis(now));
    let metric = Metric {
        name: Some(REBIRTH.to_owned()),
        timestamp: at,
        datatype: Some(DataType::Boolean.code()),
        value: Some(MetricValue::Boolean(true)),
        ..Metric::default()
    };
    Payload { timestamp: at, metrics: vec![metric], ..Payload::default() }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tck_id_payloads_propertyset_quality_value_value() {
        let with = |kind| {
            let value = PropertyValue { kind: Some(3), is_null: None, value: Some(kind) };
            Metric { properties: properties([(QUALITY.to_owned(), value)]), ..Metric::default() }
        };
        assert_eq!(quality(&Metric::default()), None);
        assert_eq!(quality(&with(PropertyKind::Int(192))), Some(StatusCode::GOOD));
        assert_eq!(quality(&with(PropertyKind::Int(500))), Some(StatusCode::BAD_NO_COMMUNICATION));
        assert_eq!(quality(&with(PropertyKind::Int(0))), Some(StatusCode::BAD));
        for (code, expected) in
            [(StatusCode::BAD_NO_COMMUNICATION, 500), (StatusCode::UNCERTAIN, 500), (StatusCode::BAD_SENSOR_FAILURE, 0)]
        {
            let (key, value) = quality_property(code).expect("not good");
            assert_eq!((key.as_str(), value.kind, value.value), (QUALITY, Some(3), Some(PropertyKind::Int(expected))));
        }
        assert!(quality_property(StatusCode::GOOD).is_none());
    }

    #[test]
    fn tck_id_operational_behavior_data_commands_ncmd_rebirth_name() {
        let payload = decode(&rebirth_request(Timestamp::from_millis(5)), &Limits::default()).expect("a payload");
        assert_eq!((payload.timestamp, payload.seq), (Some(5), None));
        assert_eq!(payload.metrics[0].name.as_deref(), Some(REBIRTH));
        assert_eq!(payload.metrics[0].value, Some(MetricValue::Boolean(true)));
    }

    /// As npm's sparkplug-payload 1.0.3 writes an NBIRTH with a UInt32 of 4,000,000,000 in the 64-bit field.
    #[test]
    fn what_other_libraries_write_is_decoded() {
        let bytes = [
            0x08, 0xd2, 0x09, 0x12, 0x0f, 0x0a, 0x01, 0x75, 0x18, 0x01, 0x20, 0x07, 0x28, 0x00, 0x58, 0x80, 0xd0, 0xac,
            0xf3, 0x0e, 0x18, 0x00,
        ];
        let payload = decode(&bytes, &Limits::default()).expect("a payload");
        assert_eq!((payload.timestamp, payload.seq), (Some(1234), Some(0)));
        assert_eq!(payload.metrics[0].value, Some(MetricValue::Long(4_000_000_000)));
    }

    proptest! {
        #[test]
        fn no_payload_panics(bytes: Vec<u8>) {
            let _ = decode(&bytes, &Limits::default());
        }

        #[test]
        fn what_passes_the_bounds_is_what_prost_reads(mut bytes: Vec<u8>, at: u64, name: String) {
            let metric = Metric { name: Some(name), value: Some(MetricValue::Long(at)), ..Metric::default() };
            let payload = Payload { timestamp: Some(at), metrics: vec![metric; 3], seq: Some(1), ..Payload::default() };
            prop_assert_eq!(decode(&payload.encode_to_vec(), &Limits::default()), Ok(payload.clone()));
            let mut mutated = payload.encode_to_vec();
            mutated.append(&mut bytes);
            if let Ok(read) = Payload::decode(mutated.as_slice()) {
                prop_assert_eq!(decode(&mutated, &Limits::default()), Ok(read));
            }
        }
    }
}
