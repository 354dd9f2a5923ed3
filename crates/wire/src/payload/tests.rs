//! Golden cases: `cases/payload/<name>/config.toml` against `expected.txt`, or `error.txt` where it is refused.
//! `UPDATE_CASES=1 cargo test -p andon-wire` writes what is there now; read the difference before it is committed.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    received: String,
    tags: HashMap<String, DataType>,
    topic: Vec<Json>,
    #[serde(default)]
    message: Vec<Publish>,
    #[serde(default)]
    write: Vec<Write>,
    #[serde(default)]
    wish: Vec<Publish>,
}
#[derive(Deserialize)]
struct Publish {
    topic: String,
    payload: String,
}
#[derive(Deserialize)]
struct Write {
    tag: String,
    value: Value,
}
use serde_json::Value as Json;

fn topics(tables: &[Json]) -> Vec<TopicDef> {
    let split = |table: &Json| {
        let mut settings = table.as_object().expect("a table").clone();
        let filter = settings.remove("filter").expect("a filter").as_str().expect("a text").to_owned();
        TopicDef { filter, settings: Json::Object(settings) }
    };
    tables.iter().map(split).collect()
}

fn types(tags: &[(&str, DataType)]) -> TagTypes {
    let tags: HashMap<String, DataType> = tags.iter().map(|(path, kind)| ((*path).to_owned(), *kind)).collect();
    Arc::new(move |path: &str| tags.get(path).copied())
}

fn run(case: Case) -> (&'static str, String) {
    let tags = case.tags;
    let mapping = match Mapping::compile(&topics(&case.topic), Arc::new(move |path: &str| tags.get(path).copied())) {
        Ok(mapping) => mapping,
        Err(findings) => return ("error.txt", findings.iter().map(|finding| format!("{finding}\n")).collect()),
    };
    let received = Timestamp::parse_rfc3339(&case.received).expect("a time");
    let mut text = String::new();
    for Publish { topic, payload } in &case.message {
        let mapped = mapping.map(topic, payload.as_bytes(), received);
        // What a topic is said to become is all that ever comes of it.
        let (tags, all) = mapping.tags_of(topic);
        assert!(mapped.readings.iter().all(|reading| !all || tags.contains(&reading.tag)), "{topic}: {tags:?}");
        let _ = writeln!(text, "> {topic}{}", if mapped.matched { "" } else { " (no mapping)" });
        for Reading { tag, value, quality, source_ts } in &mapped.readings {
            let _ = writeln!(text, "  {tag} = {value:?} {quality} {source_ts}");
        }
        for error in &mapped.errors {
            let _ = writeln!(text, "  error: {error}");
        }
    }
    for Write { tag, value } in &case.write {
        let sent = mapping.outgoing(tag, value);
        let shown =
            sent.map(|sent| format!("{} {} (QoS {})", sent.topic, String::from_utf8_lossy(&sent.payload), sent.qos));
        let _ = writeln!(text, "write {tag} = {value}\n  {}", shown.unwrap_or_else(|| "nothing".to_owned()));
    }
    for Publish { topic, payload } in &case.wish {
        let _ = writeln!(text, "wish {topic} {payload}");
        match mapping.parse_commands(topic, payload.as_bytes()) {
            Ok(wanted) => wanted.iter().for_each(|wanted| {
                let _ = writeln!(text, "  {} = {:?}", wanted.tag, wanted.value);
            }),
            Err(error) => {
                let _ = writeln!(text, "  error: {error}");
            }
        }
    }
    ("expected.txt", text)
}

#[test]
fn golden_cases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/payload");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&root).expect("the cases") {
        let folder = entry.expect("a folder").path();
        let text = std::fs::read_to_string(folder.join("config.toml")).expect("config.toml");
        let case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let (file, got) = run(case);
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(folder.join(file), &got).expect("written");
        }
        let expected = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        if expected != got {
            wrong.push(format!("{}/{file}\n--- expected\n{expected}--- got\n{got}", folder.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 12, "only {count} cases found");
}

fn received() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").expect("a time")
}

fn everything() -> Mapping {
    let tags = types(&[
        ("a/b", DataType::Boolean),
        ("a/i", DataType::Int64),
        ("a/d", DataType::Double),
        ("a/s", DataType::String),
    ]);
    let fields = json!([
        {"path": "b", "tag": "a/b"}, {"path": "i", "tag": "a/i"}, {"path": "d[0].x", "tag": "a/d", "scale": 0.1},
        {"path": "s", "tag": "a/s", "optional": true},
    ]);
    let tables = [
        json!({"filter": "v/+", "format": "value", "tag": "a/{1}", "command": {"tag": "a/{1}", "topic": "set/{1}"}}),
        json!({"filter": "j", "format": "json", "fields": fields, "time": "t"}),
        json!({"filter": "j/batch", "format": "json", "fields": fields, "batch": "$", "time": "t"}),
        json!({"filter": "z/dev", "format": "zigbee2mqtt", "fields": fields, "command": [{"tag": "a/b"}, {"tag": "a/i"}]}),
        json!({"filter": "tele/dev/#", "format": "tasmota", "fields": fields}),
        json!({"filter": "shelly/#", "format": "shelly", "fields": [{"path": "switch:0.output", "tag": "a/b"}, {"path": "i", "tag": "a/i"}]}),
        json!({"filter": "l", "format": "line_protocol", "tag": "{measurement}/{field}"}),
    ];
    Mapping::compile(&topics(&tables), tags).unwrap_or_else(|findings| panic!("{}", findings[0]))
}

const TOPICS: &[&str] = &[
    "v/b",
    "v/i",
    "v/d",
    "v/s",
    "v/none",
    "j",
    "j/batch",
    "z/dev",
    "z/dev/availability",
    "z/bridge/state",
    "z/dev/set",
    "tele/dev/SENSOR",
    "tele/dev/LWT",
    "stat/dev/RESULT",
    "stat/dev/POWER",
    "stat/dev/STATUS8",
    "shelly/events/rpc",
    "shelly/status/switch:0",
    "shelly/online",
    "shelly/andon/rpc",
    "l",
    "set/b",
    "none",
];

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "(ON|off|[a-z0-9:.-]{0,6})".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::hash_map("(b|i|d|s|t|x|state|params|method|switch:0|output|StatusSNS)", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_panics_and_every_value_fits_its_tag(
        topic in proptest::sample::select(TOPICS), json in any_json(), bytes: Vec<u8>, raw: bool,
    ) {
        let mapping = everything();
        let payload = if raw { bytes } else { json.to_string().into_bytes() };
        let mapped = mapping.map(topic, &payload, received());
        prop_assert!(mapped.errors.len() <= MAX_ERRORS);
        for reading in mapped.readings {
            let wanted = (mapping.types)(&reading.tag).expect("a known tag");
            prop_assert_eq!(reading.value.coerce(wanted), Some(reading.value.clone()));
            prop_assert!(convert::plausible(reading.source_ts, received()).is_ok());
        }
        let _ = mapping.parse_commands(topic, &payload);
    }

    #[test]
    fn settings_of_any_shape_are_refused_and_never_panic(settings in any_json(), filter in "[a-z/+#]{0,12}", format in proptest::sample::select(vec!["value", "json", "zigbee2mqtt", "tasmota", "shelly", "line_protocol", "x"])) {
        let mut table = settings;
        if let Json::Object(map) = &mut table {
            map.insert("format".to_owned(), Json::from(format));
        }
        let _ = Mapping::compile(&[TopicDef { filter, settings: table }], types(&[]));
    }

    #[test]
    fn a_write_read_back_is_the_same_wish(state: bool, level in 0_i64..255) {
        let mapping = everything();
        for (tag, value) in [("a/b", Value::Boolean(state)), ("a/i", Value::Int64(level))] {
            let sent = mapping.outgoing(tag, &value).expect("a command");
            let wanted = mapping.parse_commands(&sent.topic, &sent.payload).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(wanted, vec![WantedWrite { tag: tag.into(), value }]);
        }
    }
}

#[test]
fn an_oversized_payload_is_refused_in_words() {
    let mapped = everything().map("j", &vec![b' '; MAX_PAYLOAD + 1], received());
    assert!(mapped.readings.is_empty());
    assert!(mapped.errors[0].message.contains("smaller batches"), "{:?}", mapped.errors);
}

#[test]
fn deep_nesting_is_refused_in_words() {
    let mapped = everything().map("j", "[".repeat(100_000).as_bytes(), received());
    assert!(mapped.errors[0].message.contains("no JSON"), "{:?}", mapped.errors);
}

#[test]
fn errors_of_a_long_batch_are_counted() {
    let mapped = everything().map("j/batch", format!("[{}0]", "0,".repeat(999)).as_bytes(), received());
    assert_eq!(mapped.errors.len(), MAX_ERRORS);
    let last = mapped.errors.last().map(ToString::to_string);
    assert_eq!(last.as_deref(), Some("and 2981 more errors in this message"));
}

#[test]
fn a_batch_that_is_too_long_is_refused_whole() {
    let mapped = everything().map("j/batch", format!("[{}{{}}]", "{},".repeat(20_000)).as_bytes(), received());
    assert!(mapped.readings.is_empty() && mapped.errors.len() == 1, "{:?}", mapped.errors);
}

#[test]
fn a_command_needs_a_write_rule() {
    let tag = json!({"id": uuid(1), "path": "a/b", "title": "b", "data_type": "boolean"});
    let plant: Plant = serde_json::from_value(json!({"tags": [tag]})).expect("a plant");
    let topic = TopicDef {
        filter: "x".to_owned(),
        settings: json!({"format": "value", "tag": "a/b", "command": {"tag": "a/b", "topic": "y"}}),
    };
    assert_eq!(check_topic(&topic, &plant)[0].message, "the tag \"a/b\" has no write rule");
}

fn uuid(number: u8) -> String {
    format!("00000000-0000-7000-8000-0000000000{number:02x}")
}

#[test]
fn what_is_read_and_what_commands_is_told_by_topic() {
    let topics = topics(&[
        json!({ "filter": "z/lamp", "format": "zigbee2mqtt", "fields": [{ "path": "state", "tag": "a/lamp" }], "command": { "tag": "a/lamp" } }),
        json!({ "filter": "b/+/state", "format": "value", "tag": "b/{1}", "availability": "b/{1}/LWT",
                "command": { "tag": "b/{1}", "topic": "b/{1}/set", "command_topic": "asked/{1}" } }),
    ]);
    let mapping = Mapping::compile(&topics, Arc::new(|_| Some(DataType::Boolean))).expect("a mapping");
    assert_eq!(
        mapping.read_filters().collect::<Vec<_>>(),
        [(0, "z/lamp"), (0, "z/lamp/availability"), (0, "z/bridge/state"), (1, "b/+/state"), (1, "b/+/LWT")]
    );
    assert_eq!(mapping.command_filters().collect::<Vec<_>>(), [(0, "z/lamp/set"), (1, "b/+/set"), (1, "asked/+")]);
}

#[test]
fn the_tags_that_a_mapping_writes_are_told_with_their_places() {
    let topic = |settings| TopicDef { filter: "a/+".to_owned(), settings };
    let told = |topic: &TopicDef| {
        tags_written(topic).map(|(place, tag)| format!("{} {tag}", place.join("."))).collect::<Vec<_>>()
    };
    let value = topic(json!({"format": "value", "tag": "a/b", "command": {"tag": "a/c", "topic": "x"}}));
    assert_eq!(told(&value), ["tag a/b"], "what is commanded is not written");
    let fields = topic(json!({"format": "json", "fields": [{"path": "x"}, {"path": "y", "tag": "a/y"}]}));
    assert_eq!(told(&fields), ["fields.1.tag a/y"]);
    assert_eq!(told(&topic(json!("nothing"))), [""; 0]);
}
