//! A look over the bytes of a payload before anything is allocated for them.
//!
//! A metric takes two bytes on the wire and some hundred in memory, so the number of parts is bounded, not only the bytes.

use crate::payload::DecodeError;

/// How much of a payload is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the payload.
    pub bytes: usize,
    /// Metrics at the top level.
    pub metrics: usize,
    /// All parts together: metrics, members of templates, rows, cells, properties, names of columns and properties.
    pub parts: usize,
    /// How deep templates and properties may stand in each other.
    pub depth: usize,
    /// Bytes of a metric's name.
    pub name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, metrics: 50_000, parts: 200_000, depth: 12, name: 1024 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Payload,
    Metric,
    PropertySet,
    PropertyValue,
    PropertySets,
    DataSet,
    Row,
    Template,
    /// Nothing within that counts.
    Leaf,
}

impl Part {
    /// What stands in a field: a part with parts in it, or a text that is one of many.
    const fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Payload, 2) | (Self::Template, 2) => Self::Metric,
            (Self::Metric, 9) | (Self::PropertyValue, 9) | (Self::PropertySets, 1) => Self::PropertySet,
            (Self::Metric, 17) => Self::DataSet,
            (Self::Metric, 18) => Self::Template,
            (Self::PropertySet, 2) => Self::PropertyValue,
            (Self::PropertyValue, 10) => Self::PropertySets,
            (Self::DataSet, 4) => Self::Row,
            (Self::Metric, 8) | (Self::PropertySet, 1) | (Self::DataSet, 2) | (Self::Row, 1) | (Self::Template, 3) => {
                Self::Leaf
            }
            _ => return None,
        })
    }
}

/// Checks `bytes` against `limits`.
pub(crate) fn check(bytes: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    if bytes.len() > limits.bytes {
        return Err(DecodeError::TooLarge { what: "bytes", limit: limits.bytes });
    }
    Scan { limits, metrics: 0, parts: 0 }.part(Part::Payload, bytes, 0)
}

struct Scan<'l> {
    limits: &'l Limits,
    metrics: usize,
    parts: usize,
}

impl Scan<'_> {
    fn part(&mut self, part: Part, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        if depth > self.limits.depth {
            return Err(DecodeError::TooLarge { what: "levels of nesting", limit: self.limits.depth });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let field = next_field(&mut rest)?;
            let Some(content) = field.content else { continue };
            if part == Part::Metric && field.number == 1 && content.len() > self.limits.name {
                return Err(DecodeError::TooLarge { what: "bytes in a metric's name", limit: self.limits.name });
            }
            let Some(inner) = part.field(field.number) else { continue };
            self.parts += 1;
            if self.parts > self.limits.parts {
                return Err(DecodeError::TooLarge { what: "parts", limit: self.limits.parts });
            }
            if part == Part::Payload {
                self.metrics += 1;
                if self.metrics > self.limits.metrics {
                    return Err(DecodeError::TooLarge { what: "metrics", limit: self.limits.metrics });
                }
            }
            if inner != Part::Leaf {
                self.part(inner, content, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// One field on the wire.
pub(crate) struct Field<'b> {
    pub number: u64,
    /// Of length-delimited fields.
    pub content: Option<&'b [u8]>,
}

/// Takes the next field off `rest`.
pub(crate) fn next_field<'b>(rest: &mut &'b [u8]) -> Result<Field<'b>, DecodeError> {
    let key = varint(rest)?;
    let number = key >> 3;
    let content = match key & 7 {
        0 => {
            varint(rest)?;
            None
        }
        1 => {
            take(rest, 8)?;
            None
        }
        5 => {
            take(rest, 4)?;
            None
        }
        2 => {
            let length = varint(rest)?;
            Some(take(rest, length)?)
        }
        _ => return Err(DecodeError::Malformed("a group, or no wire type at all".to_owned())),
    };
    Ok(Field { number, content })
}

fn take<'b>(rest: &mut &'b [u8], length: u64) -> Result<&'b [u8], DecodeError> {
    let cut = || DecodeError::Malformed("it ends within a field".to_owned());
    let (taken, left) = rest.split_at_checked(usize::try_from(length).map_err(|_| cut())?).ok_or_else(cut)?;
    *rest = left;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let Some((byte, left)) = rest.split_first() else {
            return Err(DecodeError::Malformed("it ends within a number".to_owned()));
        };
        *rest = left;
        // Bits beyond 64 fall off, as in every decoder of this format.
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Malformed("a number of more than ten bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{
        DataSet, Metric, MetricValue, Payload, PropertyKind, PropertySet, PropertyValue, Row, Template,
    };
    use prost::Message as _;

    fn refused(payload: &Payload, limits: Limits) -> &'static str {
        match check(&payload.encode_to_vec(), &limits) {
            Err(DecodeError::TooLarge { what, .. }) => what,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn nested(levels: usize) -> Metric {
        let inner = if levels == 0 { Vec::new() } else { vec![nested(levels - 1)] };
        let template = Template { metrics: inner, ..Template::default() };
        Metric { value: Some(MetricValue::Template(Box::new(template))), ..Metric::default() }
    }

    #[test]
    fn what_is_over_a_bound_is_refused_before_it_is_decoded() {
        let limits = Limits { bytes: 10_000, metrics: 3, parts: 20, depth: 4, name: 8 };
        let with = |metrics: Vec<Metric>| Payload { metrics, ..Payload::default() };
        assert_eq!(refused(&with(vec![Metric::default(); 4]), limits), "metrics");
        let long = Metric { name: Some("ninebytes".to_owned()), ..Metric::default() };
        assert_eq!(refused(&with(vec![long]), limits), "bytes in a metric's name");
        assert_eq!(refused(&with(vec![nested(3)]), limits), "levels of nesting");
        let rows = DataSet { rows: vec![Row::default(); 21], ..DataSet::default() };
        let table = Metric { value: Some(MetricValue::DataSet(Box::new(rows))), ..Metric::default() };
        assert_eq!(refused(&with(vec![table]), limits), "parts");
        let set = (0..5).fold(PropertySet::default(), |within, _| {
            let value = PropertyValue { value: Some(PropertyKind::Set(within)), ..PropertyValue::default() };
            PropertySet { keys: vec![String::new()], values: vec![value] }
        });
        let deep = Metric { properties: Some(set), ..Metric::default() };
        assert_eq!(refused(&with(vec![deep]), limits), "levels of nesting");
        assert_eq!(refused(&Payload { body: Some(vec![0; 10_001]), ..Payload::default() }, limits), "bytes");
        assert!(check(&with(vec![nested(1), Metric::default()]).encode_to_vec(), &limits).is_ok());
    }

    #[test]
    fn what_is_cut_off_or_no_payload_at_all_is_refused() {
        for bytes in
            [&[0x12, 0x05, 0x00][..], &[0x08], &[0x0b, 0x0c], &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert!(matches!(check(bytes, &Limits::default()), Err(DecodeError::Malformed(_))), "{bytes:?}");
        }
    }
}
