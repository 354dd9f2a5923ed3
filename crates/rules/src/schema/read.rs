//! JSON in which every member of an object is there once.
//!
//! Of two members of one name a reader takes the first, the last or both (RFC 8259 §4): what was checked here might be another one
//! than what is used elsewhere.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value as Json};
use std::fmt;

/// Reads a JSON text.
/// # Errors
/// It is no JSON; or, of the category `Data`, some object has two members of one name.
pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<Json> {
    serde_json::from_slice::<Once>(bytes).map(|once| once.0)
}

struct Once(Json);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("\"{name}\" is there twice")));
            }
            let Once(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Json::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_others_read_and_refuses_a_member_that_is_there_twice() {
        for text in [
            r#"{"a":[1,-1,1.5,1e300,18446744073709551615,"\u00e4",null,true,{}],"b":{"a":-0}}"#,
            "3",
            r#"{"$serde_json::private::RawValue":"{"}"#,
        ] {
            assert_eq!(
                read(text.as_bytes()).unwrap(),
                text.parse::<Json>().unwrap_or_else(|_| {
                    // The library takes this name for a sign of its own, and what stands there for JSON.
                    serde_json::json!({"$serde_json::private::RawValue": "{"})
                })
            );
        }
        for text in [r#"{"a":1,"a":2}"#, r#"[{"b":{"a":1,"\u0061":1}}]"#] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.is_data() && error.to_string().starts_with("\"a\" is there twice"), "{error}");
        }
        assert!(read(b"{").unwrap_err().is_eof());
        assert!(read("[".repeat(10_000).as_bytes()).unwrap_err().is_syntax(), "so deep is refused, not tried");
    }
}
