//! The bytes of a batch of samples: what a SAMPLES frame of the log holds ([`crate::log::kind::SAMPLES`]).
//!
//! Columns, because neighbours resemble each other: a poll gives ascending tags, one time and one quality, so that
//! a double costs about 11 bytes, most of them its own. The log's frame carries the checksum, so there is none here.
//!
//! ```text
//! version   1 byte, 1
//! count     varint
//! tags      count × zigzag varint: difference from the tag before (the first: from 0)
//! source    count × zigzag varint: source time in µs, difference from the one before (the first: from 0), modulo 2^64
//! received  count × zigzag varint: received time, likewise
//! quality   runs until count is reached: varint length ≥ 1, 4 bytes StatusCode little endian
//! types     runs until count is reached: varint length ≥ 1, 1 byte: 0 null, 1 false, 2 true, 3 int64, 4 double, 5 text
//! values    in the order of the samples: int64 zigzag varint · double 8 bytes, IEEE 754 bits little endian ·
//!           text varint length and UTF-8 · nothing for null, false and true
//! ```
//! A varint is that of [`crate::varint`].
//!
//! **Invariants**: `decode(encode(s)) == s` to the last bit of every double. `decode` takes any bytes: it never
//! panics and never allocates more than a fixed multiple (about 16) of what it was given.

use crate::varint::{self, VarintError, unzigzag, zigzag};
use crate::{Sample, StatusCode, TagId, Timestamp, Value};

/// The version this build writes. Each version ever written can be read for ever.
pub const VERSION: u8 = 1;

/// The fewest bytes a sample can take: one in each of the first three columns.
const LEAST_BYTES_PER_SAMPLE: usize = 3;

mod type_tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const INT64: u8 = 3;
    pub(super) const DOUBLE: u8 = 4;
    pub(super) const STRING: u8 = 5;
}

/// Why bytes are not a batch of samples.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleCodecError {
    /// Written by a later version of Andon, or not a batch of samples at all.
    #[error("samples in format version {found} cannot be read by this version of Andon, which reads version {VERSION}")]
    UnknownVersion {
        /// The version byte.
        found: u8,
    },
    /// The bytes end in the middle of a column.
    #[error("the batch of samples ends in the middle of its {column}")]
    Truncated {
        /// Which column.
        column: &'static str,
    },
    /// The bytes cannot be what [`encode_samples`] writes.
    #[error("the batch of samples is damaged in its {column}: {reason}")]
    Damaged {
        /// Which column.
        column: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The bytes of `samples`, in their order. Any number of samples; the log limits the size of a frame.
#[must_use]
pub fn encode_samples(samples: &[Sample]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + samples.len() * 16);
    out.push(VERSION);
    varint::put(&mut out, samples.len() as u64);
    let mut before = 0_i64;
    for sample in samples {
        let tag = i64::from(sample.tag.0);
        varint::put(&mut out, zigzag(tag - before));
        before = tag;
    }
    put_times(&mut out, samples, |sample| sample.source_ts);
    put_times(&mut out, samples, |sample| sample.received_ts);
    for run in samples.chunk_by(|a, b| a.quality == b.quality) {
        varint::put(&mut out, run.len() as u64);
        out.extend_from_slice(&run.first().map_or(0, |sample| sample.quality.0).to_le_bytes());
    }
    for run in samples.chunk_by(|a, b| type_tag_of(&a.value) == type_tag_of(&b.value)) {
        varint::put(&mut out, run.len() as u64);
        out.push(run.first().map_or(type_tag::NULL, |sample| type_tag_of(&sample.value)));
    }
    for sample in samples {
        put_value(&mut out, &sample.value);
    }
    out
}

/// Reads what [`encode_samples`] wrote.
/// # Errors
/// [`SampleCodecError`]; nothing is returned then, for a half-read batch cannot be told from a whole one.
pub fn decode_samples(bytes: &[u8]) -> Result<Vec<Sample>, SampleCodecError> {
    let mut input = Input { rest: bytes, column: "header" };
    let version = input.byte()?;
    if version != VERSION {
        return Err(SampleCodecError::UnknownVersion { found: version });
    }
    let count = input.varint()?;
    // Checked before anything is allocated: a count that the bytes cannot hold is a lie.
    let count = usize::try_from(count).ok().filter(|count| *count <= input.rest.len() / LEAST_BYTES_PER_SAMPLE);
    let count = count.ok_or_else(|| input.damaged("more samples are announced than the bytes can hold"))?;

    input.column = "tags";
    let mut samples = Vec::with_capacity(count);
    let mut tag = 0_i64;
    for _ in 0..count {
        tag = tag.wrapping_add(unzigzag(input.varint()?));
        let id = u32::try_from(tag).map_err(|_| input.damaged("a tag number is out of range"))?;
        samples.push(Sample {
            tag: TagId(id),
            value: Value::Null,
            quality: StatusCode::GOOD,
            source_ts: Timestamp::from_micros(0),
            received_ts: Timestamp::from_micros(0),
        });
    }
    input.column = "source times";
    take_times(&mut input, &mut samples, |sample, time| sample.source_ts = time)?;
    input.column = "received times";
    take_times(&mut input, &mut samples, |sample, time| sample.received_ts = time)?;
    input.column = "qualities";
    take_runs(&mut input, &mut samples, Input::code, |sample, code| sample.quality = StatusCode(code))?;
    // The types are needed again for the values; a run is remembered, not a type for each sample.
    input.column = "types";
    let mut types = Input { rest: input.rest, column: "types" };
    take_runs(&mut input, &mut samples, Input::type_tag, |_, _| {})?;
    take_values(&mut types, &mut input, &mut samples)?;
    if input.rest.is_empty() { Ok(samples) } else { Err(input.damaged("there are bytes after the last value")) }
}

fn put_times(out: &mut Vec<u8>, samples: &[Sample], time: impl Fn(&Sample) -> Timestamp) {
    let mut before = 0_i64;
    for sample in samples {
        let micros = time(sample).micros();
        varint::put(out, zigzag(micros.wrapping_sub(before)));
        before = micros;
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null | Value::Boolean(_) => {}
        Value::Int64(number) => varint::put(out, zigzag(*number)),
        Value::Double(number) => out.extend_from_slice(&number.to_bits().to_le_bytes()),
        Value::String(text) => {
            varint::put(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

const fn type_tag_of(value: &Value) -> u8 {
    match value {
        Value::Null => type_tag::NULL,
        Value::Boolean(false) => type_tag::FALSE,
        Value::Boolean(true) => type_tag::TRUE,
        Value::Int64(_) => type_tag::INT64,
        Value::Double(_) => type_tag::DOUBLE,
        Value::String(_) => type_tag::STRING,
    }
}

fn take_times(
    input: &mut Input<'_>,
    samples: &mut [Sample],
    set: impl Fn(&mut Sample, Timestamp),
) -> Result<(), SampleCodecError> {
    let mut micros = 0_i64;
    for sample in samples {
        micros = micros.wrapping_add(unzigzag(input.varint()?));
        set(sample, Timestamp::from_micros(micros));
    }
    Ok(())
}

/// Reads runs of one value until every sample has one.
fn take_runs<'a, T: Copy>(
    input: &mut Input<'a>,
    samples: &mut [Sample],
    read: impl Fn(&mut Input<'a>) -> Result<T, SampleCodecError>,
    set: impl Fn(&mut Sample, T),
) -> Result<(), SampleCodecError> {
    let mut rest = samples;
    while !rest.is_empty() {
        let length = input.run_length()?;
        let value = read(input)?;
        let (run, after) = rest.split_at_mut_checked(length).ok_or_else(|| input.damaged("a run is too long"))?;
        run.iter_mut().for_each(|sample| set(sample, value));
        rest = after;
    }
    Ok(())
}

/// Reads the values, with the types (already checked to cover every sample) read a second time beside them.
fn take_values(types: &mut Input<'_>, input: &mut Input<'_>, samples: &mut [Sample]) -> Result<(), SampleCodecError> {
    input.column = "values";
    let mut rest = samples;
    while !rest.is_empty() {
        let length = types.run_length()?;
        let tag = types.type_tag()?;
        let (run, after) = rest.split_at_mut_checked(length).ok_or_else(|| types.damaged("a run is too long"))?;
        for sample in run {
            sample.value = input.value(tag)?;
        }
        rest = after;
    }
    Ok(())
}

/// What is left to read, and which column is being read, for the error's sake.
struct Input<'a> {
    rest: &'a [u8],
    column: &'static str,
}

impl<'a> Input<'a> {
    const fn truncated(&self) -> SampleCodecError {
        SampleCodecError::Truncated { column: self.column }
    }

    const fn damaged(&self, reason: &'static str) -> SampleCodecError {
        SampleCodecError::Damaged { column: self.column, reason }
    }

    fn byte(&mut self) -> Result<u8, SampleCodecError> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SampleCodecError> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, SampleCodecError> {
        varint::take(&mut self.rest).map_err(|error| match error {
            VarintError::Truncated => self.truncated(),
            VarintError::TooLong => self.damaged("a number has more than 64 bits"),
        })
    }

    fn run_length(&mut self) -> Result<usize, SampleCodecError> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.damaged("a run is too long"))?;
        if length == 0 { Err(self.damaged("a run is empty")) } else { Ok(length) }
    }

    fn code(&mut self) -> Result<u32, SampleCodecError> {
        self.array().map(u32::from_le_bytes)
    }

    fn type_tag(&mut self) -> Result<u8, SampleCodecError> {
        let tag = self.byte()?;
        if tag <= type_tag::STRING { Ok(tag) } else { Err(self.damaged("there is no such type of value")) }
    }

    fn value(&mut self, tag: u8) -> Result<Value, SampleCodecError> {
        Ok(match tag {
            type_tag::FALSE => Value::Boolean(false),
            type_tag::TRUE => Value::Boolean(true),
            type_tag::INT64 => Value::Int64(unzigzag(self.varint()?)),
            type_tag::DOUBLE => Value::Double(f64::from_bits(u64::from_le_bytes(self.array()?))),
            type_tag::STRING => Value::String(self.text()?.into()),
            _ => Value::Null,
        })
    }

    fn text(&mut self) -> Result<&'a str, SampleCodecError> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.truncated())?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.truncated())?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| self.damaged("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(tag: u32, value: Value, quality: u32, source: i64, received: i64) -> Sample {
        Sample {
            tag: TagId(tag),
            value,
            quality: StatusCode(quality),
            source_ts: Timestamp::from_micros(source),
            received_ts: Timestamp::from_micros(received),
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(Value::Int64),
            any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))),
            any::<String>().prop_map(|text| Value::String(text.into())),
        ]
    }

    fn any_sample() -> impl Strategy<Value = Sample> {
        let quality = prop_oneof![Just(0_u32), any::<u32>()];
        (any::<u32>(), any_value(), quality, any::<i64>(), any::<i64>())
            .prop_map(|(tag, value, quality, source, received)| sample(tag, value, quality, source, received))
    }

    /// Equal to the last bit; `==` would call NaN unequal to itself and the two zeros equal.
    fn bits(samples: &[Sample]) -> Vec<(Sample, Option<u64>)> {
        let plain = |s: &Sample| match s.value {
            Value::Double(d) => (Sample { value: Value::Null, ..s.clone() }, Some(d.to_bits())),
            _ => (s.clone(), None),
        };
        samples.iter().map(plain).collect()
    }

    /// A good batch to damage: every type, runs and single values.
    fn batch() -> Vec<Sample> {
        vec![
            sample(7, Value::Double(-0.0), 0, 1_000_000, 1_000_500),
            sample(8, Value::Double(f64::NAN), 0, 1_000_000, 1_000_500),
            sample(3, Value::Int64(-5), 0x8031_0000, 999_000, 1_000_500),
            sample(4, Value::Boolean(true), 0, 999_000, 1_000_501),
            sample(u32::MAX, Value::String("läuft".into()), 0, i64::MIN, i64::MAX),
            sample(0, Value::Null, 0, i64::MAX, i64::MIN),
        ]
    }

    #[test]
    fn a_poll_of_doubles_costs_eleven_bytes_a_sample() {
        let poll: Vec<_> =
            (0..1000).map(|i| sample(i, Value::Double(f64::from(i) / 3.0), 0, 5_000_000, 5_000_000)).collect();
        assert_eq!(encode_samples(&poll).len(), 11_018);
    }

    #[test]
    fn the_bytes_of_version_1_stay_as_they_are() {
        // Written by the first build; must be readable for ever.
        let bytes = [
            1, 2, 14, 2, 128, 137, 122, 0, 128, 137, 122, 2, 2, 0, 0, 49, 128, 1, 4, 1, 3, 0, 0, 0, 0, 0, 0, 240, 63, 9,
        ];
        let samples = vec![
            sample(7, Value::Double(1.0), 0x8031_0000, 1_000_000, 1_000_000),
            sample(8, Value::Int64(-5), 0x8031_0000, 1_000_000, 1_000_001),
        ];
        assert_eq!(encode_samples(&samples), bytes);
        assert_eq!(decode_samples(&bytes), Ok(samples));
    }

    #[test]
    fn every_cut_is_an_error() {
        let bytes = encode_samples(&batch());
        for length in 0..bytes.len() {
            assert!(decode_samples(&bytes[..length]).is_err(), "cut at {length}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(decode_samples(&longer), Err(SampleCodecError::Damaged { .. })));
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        assert_eq!(decode_samples(&[9, 0]), Err(SampleCodecError::UnknownVersion { found: 9 }));
    }

    #[test]
    fn a_count_larger_than_the_bytes_is_refused_before_allocating() {
        let bytes = [1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
        assert!(matches!(decode_samples(&bytes), Err(SampleCodecError::Damaged { column: "header", .. })));
    }

    proptest! {
        #[test]
        fn round_trips_to_the_last_bit(samples in prop::collection::vec(any_sample(), 0..80)) {
            let back = decode_samples(&encode_samples(&samples)).expect("what was encoded can be decoded");
            prop_assert_eq!(bits(&back), bits(&samples));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = decode_samples(&bytes);
        }

        #[test]
        fn a_flipped_byte_never_panics(at in 0_usize..200, with in any::<u8>()) {
            let mut bytes = encode_samples(&batch());
            let at = at % bytes.len();
            bytes[at] ^= with;
            let _ = decode_samples(&bytes);
        }
    }
}
