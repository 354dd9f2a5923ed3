//! JSON as it is signed: what of it there may be, and its canonical form (RFC 8785, JCS).
//!
//! The JSON here has whole numbers between ±(2⁵³ − 1) and no others. Every language reads and writes these alike, whereas of the others one
//! would have to trust each reader's rounding and each writer's shortest digits; measured values are texts of decimal digits instead. For
//! the JSON that is left, RFC 8785 asks for: members in the order of their names' UTF-16 code units, no white space, UTF-8, and in texts
//! nothing escaped but `"`, `\` and control characters.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// How deep lists and objects may stand in each other; a certificate needs five.
pub const DEPTH_MAX: usize = 8;
/// The most values in a file; the largest certificate has less than half of it.
pub const VALUES_MAX: usize = 100_000;
/// The largest whole number that all readers of JSON understand alike (RFC 7493, 2.2).
pub const WHOLE_MAX: i64 = (1 << 53) - 1;

/// A value, with the members of objects in the order of the file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// At most [`WHOLE_MAX`] from zero.
    Whole(i64),
    Text(String),
    List(Vec<Self>),
    /// No two have the same name.
    Members(Vec<(String, Self)>),
}

/// Why a text is not JSON that can be signed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON at all.
    #[error("this is no JSON: {0}")]
    Syntax(String),
    /// Two readers could take different ones; the beginning of their name.
    #[error("an object has two members {0:?}, and readers may take either")]
    Twice(String),
    /// Readers could round it differently.
    #[error(
        "the number {0} is not a whole one between ±9007199254740991; others are signed as texts, such as \"12.5\""
    )]
    Number(String),
    /// Lists and objects stand too deep in each other.
    #[error("lists and objects stand in each other more than {DEPTH_MAX} deep")]
    Deep,
    /// There is too much of it.
    #[error("there are more than {VALUES_MAX} values")]
    Many,
    /// The meaning is that of another spelling.
    #[error(
        "byte {at} is not spelled as RFC 8785 has it: in texts only \", \\ and control characters are escaped, all others are UTF-8, and numbers are plain digits"
    )]
    Spelling {
        /// Its place in the file, from 1.
        at: usize,
    },
}

impl Json {
    /// Reads a text of which there is one reading only.
    pub(crate) fn read(text: &[u8]) -> Result<Self, JsonError> {
        let (fault, values) = (RefCell::new(None), Cell::new(0));
        let mut reader = serde_json::Deserializer::from_slice(text);
        let read = Reading { depth: 0, values: &values, fault: &fault }.deserialize(&mut reader);
        let read = read.and_then(|value| reader.end().map(|()| value));
        read.map_err(|error| fault.into_inner().unwrap_or_else(|| JsonError::Syntax(error.to_string())))
    }

    /// Whether the file says it as RFC 8785 does, but for white space between the values and the order of members.
    pub(crate) fn check_spelling(&self, file: &[u8]) -> Result<(), JsonError> {
        let mut plain = Vec::with_capacity(file.len());
        self.write(&mut plain, false);
        let mut expected = plain.iter();
        let (mut in_text, mut escaped) = (false, false);
        for (at, byte) in file.iter().enumerate() {
            if !in_text && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                continue;
            }
            if expected.next() != Some(byte) {
                return Err(JsonError::Spelling { at: at + 1 });
            }
            in_text = if *byte == b'"' && !escaped { !in_text } else { in_text };
            escaped = in_text && *byte == b'\\' && !escaped;
        }
        // It was read from the file, so that nothing can be left over.
        if expected.next().is_none() { Ok(()) } else { Err(JsonError::Spelling { at: file.len() }) }
    }

    /// The canonical form.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, true);
        out
    }

    /// The member of that name, if it is an object that has it.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Members(members) = self else { return None };
        members.iter().find_map(|(member, value)| (member == name).then_some(value))
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn write(&self, out: &mut Vec<u8>, sorted: bool) {
        match self {
            Self::Null => out.extend(b"null"),
            Self::Bool(value) => out.extend(if *value { &b"true"[..] } else { b"false" }),
            Self::Whole(number) => out.extend(number.to_string().bytes()),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value.write(out, sorted);
                }
                out.push(b']');
            }
            Self::Members(members) => {
                let mut order: Vec<_> = members.iter().collect();
                if sorted {
                    // By UTF-16 code units, as RFC 8785 (3.2.3) has it: that is not the order of the characters above U+FFFF.
                    order.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                }
                out.push(b'{');
                for (at, (name, value)) in order.into_iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_text(name, out);
                    out.push(b':');
                    value.write(out, sorted);
                }
                out.push(b'}');
            }
        }
    }
}

/// RFC 8785, 3.2.2.2.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend(b"\\\""),
            b'\\' => out.extend(b"\\\\"),
            0x08 => out.extend(b"\\b"),
            b'\t' => out.extend(b"\\t"),
            b'\n' => out.extend(b"\\n"),
            0x0c => out.extend(b"\\f"),
            b'\r' => out.extend(b"\\r"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Reads a value at a depth.
#[derive(Clone, Copy)]
struct Reading<'a> {
    depth: usize,
    values: &'a Cell<usize>,
    fault: &'a RefCell<Option<JsonError>>,
}

impl Reading<'_> {
    fn refuse<T, E: serde::de::Error>(self, fault: JsonError) -> Result<T, E> {
        let error = E::custom(&fault);
        self.fault.replace(Some(fault));
        Err(error)
    }

    /// For what stands in this value; refused where it would stand too deep.
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let deeper = Self { depth: self.depth + 1, ..self };
        if deeper.depth > DEPTH_MAX { self.refuse(JsonError::Deep) } else { Ok(deeper) }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES_MAX {
            return self.refuse(JsonError::Many);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Json, E> {
        if (-WHOLE_MAX..=WHOLE_MAX).contains(&number) {
            return Ok(Json::Whole(number));
        }
        self.refuse(JsonError::Number(number.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Json, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.refuse(JsonError::Number(number.to_string())),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Json, E> {
        self.refuse(JsonError::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let (inside, mut values) = (self.deeper()?, Vec::new());
        while let Some(value) = list.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let (inside, mut members) = (self.deeper()?, Vec::<(String, Json)>::new());
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(inside)?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return self.refuse(JsonError::Twice(twice[0].chars().take(64).collect()));
        }
        Ok(Json::Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        String::from_utf8(Json::read(text.as_bytes()).unwrap().canonical()).unwrap()
    }

    fn refused(text: &str) -> JsonError {
        Json::read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn rfc_8785_3_2_2_texts_and_literals() {
        // The sample of 3.2.2, without its list of numbers that are no whole ones.
        let sample =
            r#"{ "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }"#;
        let expected = r#"{"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(canonical(sample), expected);
        // 3.2.4 writes the same text in hexadecimal.
        let hex = "22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f22";
        assert!(canonical(sample).bytes().map(|byte| format!("{byte:02x}")).collect::<String>().contains(hex));
    }

    #[test]
    fn rfc_8785_3_2_3_order_of_members() {
        let sample = r#"{ "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis" }"#;
        let Json::Members(members) = Json::read(canonical(sample).as_bytes()).unwrap() else { panic!("no object") };
        let order: Vec<_> = members.iter().filter_map(|(_, value)| value.text()).collect();
        let expected = [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small Letter O With Diaeresis",
            "Euro Sign",
            "Emoji: Grinning Face",
            "Hebrew Letter Dalet With Dagesh",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn the_samples_of_the_rfcs_author() {
        // github.com/cyberphone/json-canonicalization, testdata: arrays, french, structures, unicode, weird; 56.0 is 56 here, for
        // numbers are spelled as whole ones.
        for (input, output) in [
            (r#"[ 56, { "d": true, "10": null, "1": [ ] } ]"#, r#"[56,{"1":[],"10":null,"d":true}]"#),
            (
                r#"{ "peach": "This sorting order", "péché": "is wrong according to French", "pêche": "but canonicalization MUST", "sin": "ignore locale" }"#,
                r#"{"peach":"This sorting order","péché":"is wrong according to French","pêche":"but canonicalization MUST","sin":"ignore locale"}"#,
            ),
            (
                r#"{ "1": {"f": {"f": "hi","F": 5} ,"\n": 56}, "10": { }, "": "empty", "a": { }, "111": [ { } ], "A": { } }"#,
                r#"{"":"empty","1":{"\n":56,"f":{"F":5,"f":"hi"}},"10":{},"111":[{}],"A":{},"a":{}}"#,
            ),
            ("{ \"Unnormalized Unicode\":\"A\\u030a\" }", "{\"Unnormalized Unicode\":\"A\u{30a}\"}"),
            (
                r#"{ "\u20ac": "Euro Sign", "1": "One", "\u0080": "Control\u007f", "\ud83d\ude02": "Smiley",
                "\u00f6": "Latin Small Letter O With Diaeresis", "\ufb33": "Hebrew Letter Dalet With Dagesh", "</script>": "Browser Challenge" }"#,
                "{\"1\":\"One\",\"</script>\":\"Browser Challenge\",\"\u{80}\":\"Control\u{7f}\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😂\":\"Smiley\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
            ),
        ] {
            assert_eq!(canonical(input), output);
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        assert_eq!(refused(r#"{"a":1,"b":{"x":1,"\u0078":2}}"#), JsonError::Twice("x".into()));
        // Every number of the RFC's appendix B that is no whole one, and what only looks like one.
        for number in
            ["0.5", "1.0", "1e2", "-0", "9007199254740992", "-9007199254740992", "5e-324", "18446744073709551616"]
        {
            assert!(matches!(refused(number), JsonError::Number(_)), "{number}");
        }
        assert_eq!(canonical("[0,-1,9007199254740991,-9007199254740991]"), "[0,-1,9007199254740991,-9007199254740991]");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let texts = [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "+1",
            "NaN",
            "1e999",
            "'a'",
            "\"\\ud800\"",
            "\"\\u12\"",
            "\"\t\"",
            "\u{feff}1",
            "1 2",
            "{a:1}",
            "[1//\n]",
            "\"a\nb\"",
            "tru",
        ];
        for text in texts {
            assert!(matches!(refused(text), JsonError::Syntax(_)), "{text:?}: {:?}", refused(text));
        }
        for bytes in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\xff\xfe1\0", b"1\0"] {
            assert!(matches!(Json::read(bytes), Err(JsonError::Syntax(_))), "{bytes:?}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::read(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&nested(DEPTH_MAX + 1)), JsonError::Deep);
        // Refused on the way, not after it was all read.
        assert_eq!(refused(&"[".repeat(5_000_000)), JsonError::Deep);
        let many = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
        assert!(Json::read(many(VALUES_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&many(VALUES_MAX + 1)), JsonError::Many);
    }

    #[test]
    fn only_white_space_and_the_order_of_members_are_free() {
        let check = |text: &str| Json::read(text.as_bytes()).unwrap().check_spelling(text.as_bytes());
        for text in ["{\"b\":1,\"a\":\"\\\"\\\\\"}", " {\r\n\t\"b\" : [ 1 , -2 ],\n\"a  b\":\" é \\n\\u001f\" }\n"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for (text, at) in
            [(r#"["\u0041"]"#, 3), (r#""\/""#, 2), (r#" "\u001F""#, 8), (r#""\u000a""#, 3), (r#""\u00e9""#, 2)]
        {
            assert_eq!(check(text), Err(JsonError::Spelling { at }), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            (-WHOLE_MAX..=WHOLE_MAX).prop_map(Json::Whole),
            any::<String>().prop_map(Json::Text),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let members = proptest::collection::hash_map(any::<String>(), inner.clone(), 0..6);
            prop_oneof![
                proptest::collection::vec(inner, 0..6).prop_map(Json::List),
                members.prop_map(|members| Json::Members(members.into_iter().collect())),
            ]
        })
    }

    /// The same with members in another order.
    fn turned(json: &Json) -> Json {
        match json {
            Json::List(values) => Json::List(values.iter().map(turned).collect()),
            Json::Members(members) => {
                Json::Members(members.iter().rev().map(|(name, value)| (name.clone(), turned(value))).collect())
            }
            other => other.clone(),
        }
    }

    /// Sorted by another program's idea of order: its keys as lists of UTF-16 units.
    fn sorted(json: &Json) -> Json {
        match json {
            Json::List(values) => Json::List(values.iter().map(sorted).collect()),
            Json::Members(members) => {
                let by_units: std::collections::BTreeMap<Vec<u16>, _> =
                    members.iter().map(|(name, value)| (name.encode_utf16().collect(), (name, value))).collect();
                Json::Members(by_units.into_values().map(|(name, value)| (name.clone(), sorted(value))).collect())
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_says_the_same_whatever_the_order_and_is_its_own(json in any_json()) {
            let canonical = json.canonical();
            prop_assert_eq!(&turned(&json).canonical(), &canonical);
            let read = Json::read(&canonical).unwrap();
            prop_assert_eq!(&read, &sorted(&json));
            prop_assert_eq!(read.check_spelling(&canonical), Ok(()));
        }

        #[test]
        fn texts_are_escaped_as_another_writer_does(text in any::<String>()) {
            let ours = String::from_utf8(Json::Text(text.clone()).canonical()).unwrap();
            prop_assert_eq!(ours, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(json) = Json::read(&bytes) {
                let _ = json.check_spelling(&bytes);
            }
        }
    }
}
