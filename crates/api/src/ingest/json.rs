//! JSON: one reading, a column of readings of one tag, or a list of either.
//!
//! ```text
//! {"path": "works/press-7/temperature", "ts": 1764106000000, "value": 21.5, "quality": "Good"}
//! {"path": "works/press-7/temperature", "ts": [1764106000000, 1764106001000], "values": [21.5, null], "quality": [0, "Bad"]}
//! ```
//! Items are read one after the other and not kept.

use super::batch::{Batch, Fault, shorten};
use super::{MAX_READINGS, too_many};
use crate::problem::Problem;
use andon_model::{StatusCode, Timestamp, Value};
use andon_wire::line_protocol::Precision;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Reads a body.
/// # Errors
/// It is not JSON of this shape, or there are too many readings.
pub(crate) fn read(text: &str, precision: Precision, batch: &mut Batch<'_>) -> Result<(), Problem> {
    let mut items = Items { precision, batch, row: 0, stopped: false };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if text.trim_start().starts_with('[') {
        json.deserialize_seq(&mut items)
    } else {
        Item::deserialize(&mut json).map(|item| items.take(item))
    };
    let stopped = items.stopped;
    batch.within_limit()?;
    match read.and_then(|()| json.end()) {
        Err(error) if error.to_string().starts_with(TOO_MANY) => Err(too_many()),
        // Reading ended in the middle, at a refused item.
        Err(_) if stopped => Ok(()),
        Err(error) => Err(Problem::bad_request(error).remedy(
            "write {\"path\": …, \"ts\": …, \"value\": …}, the same with lists \"ts\" and \"values\", or a list of such items",
        )),
        Ok(()) => Ok(()),
    }
}

/// Begins the error of a list that is too long.
const TOO_MANY: &str = "more readings than one request may have";

/// One item as written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'t> {
    #[serde(borrow)]
    path: Cow<'t, str>,
    ts: Option<OneOrMany<Stamp>>,
    /// `null` is a value, too.
    #[serde(default, deserialize_with = "given")]
    value: Option<Scalar>,
    values: Option<Many<Scalar>>,
    quality: Option<OneOrMany<Status>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Scalar>, D::Error> {
    Scalar::deserialize(deserializer).map(Some)
}

struct Items<'b, 'p> {
    precision: Precision,
    batch: &'b mut Batch<'p>,
    /// Readings so far, good or not.
    row: usize,
    stopped: bool,
}

impl Items<'_, '_> {
    fn take(&mut self, item: Item<'_>) {
        let (first, mark) = (self.row + 1, self.batch.mark());
        let outcome = self.readings(item);
        self.row = self.row.max(first);
        if let Err((row, fault)) = outcome {
            self.stopped = !self.batch.refuse(mark, row, fault);
        }
    }

    /// Adds the readings of an item; a reading of a column is a row of its own.
    fn readings(&mut self, item: Item<'_>) -> Result<(), (usize, Fault)> {
        let first = self.row + 1;
        let whole = |words: &str| (first, Fault::Unreadable(format!("{}: {words}", shorten(&item.path))));
        match (&item.value, &item.values) {
            (Some(_), Some(_)) => return Err(whole("\"value\" and \"values\" do not go together")),
            (None, None) => return Err(whole("there is no \"value\" and there are no \"values\"")),
            _ => {}
        }
        let target = self.batch.tag(&item.path).map_err(|fault| (first, fault))?;
        let Some(values) = item.values else {
            let (ts, quality) = (item.ts.map(OneOrMany::one), item.quality.map(OneOrMany::one));
            let ts = ts.transpose().map_err(|()| whole("\"ts\" is a list beside a single \"value\""))?;
            let quality = quality.transpose().map_err(|()| whole("\"quality\" is a list beside a single \"value\""))?;
            let value = item.value.map_or(Value::Null, |value| value.0);
            return self.reading(target, value, ts, quality).map_err(|fault| (first, fault));
        };
        let Some(OneOrMany::Many(Many(stamps))) = item.ts else {
            return Err(whole("\"values\" need a list \"ts\" of the same length"));
        };
        if stamps.len() != values.0.len() {
            return Err(whole(&format!("there are {} in \"ts\" and {} in \"values\"", stamps.len(), values.0.len())));
        }
        let codes = match item.quality {
            None => Vec::new(),
            Some(OneOrMany::Many(Many(codes))) if codes.len() == stamps.len() => codes,
            Some(_) => return Err(whole("\"quality\" is a list of the same length as \"values\", or left out")),
        };
        let mut codes = codes.into_iter();
        for (stamp, value) in stamps.into_iter().zip(values.0) {
            self.row += 1;
            let mark = self.batch.mark();
            if let Err(fault) = self.reading(target, value.0, Some(stamp), codes.next())
                && !self.batch.refuse(mark, self.row, fault)
            {
                self.stopped = true;
                break;
            }
        }
        Ok(())
    }

    fn reading(
        &mut self,
        target: super::names::Target,
        value: Value,
        stamp: Option<Stamp>,
        quality: Option<Status>,
    ) -> Result<(), Fault> {
        let time = stamp.map(|stamp| stamp.time(self.precision)).transpose()?;
        let unsaid = if value == Value::Null { StatusCode::BAD_NO_DATA } else { StatusCode::GOOD };
        let quality = quality.map_or(Some(unsaid), |quality| quality.0).ok_or_else(|| {
            Fault::Unreadable("a quality is a StatusCode or its name, \"good\", \"uncertain\" or \"bad\"".to_owned())
        })?;
        self.batch.add(target, &value, quality, time)
    }
}

impl<'de> Visitor<'de> for &mut Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of readings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(()) = list.next_element_seed(&mut *self)? {
            if self.stopped {
                return Err(A::Error::custom("stopped"));
            }
            if self.batch.mark() > MAX_READINGS {
                return Err(A::Error::custom(TOO_MANY));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Item::deserialize(deserializer).map(|item| self.take(item))
    }
}

/// A list of bounded length.
struct Many<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match OneOrMany::deserialize(deserializer)? {
            OneOrMany::Many(many) => Ok(many),
            OneOrMany::One(_) => Err(D::Error::custom("not a list")),
        }
    }
}

/// One of something, or a list of it.
enum OneOrMany<T> {
    One(T),
    Many(Many<T>),
}

impl<T> OneOrMany<T> {
    fn one(self) -> Result<T, ()> {
        match self {
            Self::One(one) => Ok(one),
            Self::Many(_) => Err(()),
        }
    }
}

struct OneOrManyVisitor<T>(std::marker::PhantomData<T>);

macro_rules! pass_on {
    ($($visit:ident: $kind:ty),*) => {
        $(fn $visit<E: Error>(self, given: $kind) -> Result<Self::Value, E> {
            T::deserialize(serde::de::IntoDeserializer::into_deserializer(given)).map(OneOrMany::One)
        })*
    };
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean, a number, a text, null, or a list of them")
    }

    pass_on!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str, visit_string: String);

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        T::deserialize(serde::de::IntoDeserializer::into_deserializer(())).map(OneOrMany::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element()? {
            if all.len() == MAX_READINGS {
                return Err(A::Error::custom(TOO_MANY));
            }
            all.push(one);
        }
        Ok(OneOrMany::Many(Many(all)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(std::marker::PhantomData))
    }
}

/// A value as written.
struct Scalar(Value);

/// A time as written: a whole number in the unit of the request, or RFC 3339.
enum Stamp {
    Number(i64),
    Text(Timestamp),
    /// It is none; the beginning of what is written instead.
    Wrong(String),
}

impl Stamp {
    fn time(self, precision: Precision) -> Result<Timestamp, Fault> {
        match self {
            Self::Text(time) => Ok(time),
            Self::Wrong(text) => {
                Err(Fault::Unreadable(format!("{text:?} is no time; write RFC 3339 or a whole number")))
            }
            Self::Number(number) => precision
                .timestamp(number)
                .ok_or_else(|| Fault::Unreadable(format!("the time {number} is out of range for the precision"))),
        }
    }
}

/// A quality as written: a number or a name of the standard; `None`: it is none.
struct Status(Option<StatusCode>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean, a number, a text or null")
            }
            fn visit_bool<E>(self, given: bool) -> Result<Scalar, E> {
                Ok(Scalar(Value::Boolean(given)))
            }
            fn visit_i64<E>(self, given: i64) -> Result<Scalar, E> {
                Ok(Scalar(Value::Int64(given)))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 63 bits only a double can hold it, as near as it can"
            )]
            fn visit_u64<E>(self, given: u64) -> Result<Scalar, E> {
                Ok(Scalar(i64::try_from(given).map_or(Value::Double(given as f64), Value::Int64)))
            }
            fn visit_f64<E>(self, given: f64) -> Result<Scalar, E> {
                Ok(Scalar(Value::Double(given)))
            }
            fn visit_str<E>(self, given: &str) -> Result<Scalar, E> {
                Ok(Scalar(Value::String(given.into())))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar(Value::Null))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)?.0 {
            Value::Int64(number) => Ok(Self::Number(number)),
            Value::String(text) => {
                Ok(Timestamp::parse_rfc3339(&text).map_or_else(|| Self::Wrong(cut(&text)), Self::Text))
            }
            _ => Err(D::Error::custom("a time is a whole number, or a text in RFC 3339")),
        }
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = match Scalar::deserialize(deserializer)?.0 {
            Value::Int64(number) => u32::try_from(number).ok().map(StatusCode),
            Value::String(text) => StatusCode::parse(&text),
            _ => None,
        };
        Ok(Self(code))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}
