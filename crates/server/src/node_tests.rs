//! A whole node in a temporary folder, asked over its own sockets.

use crate::mqtt::Entrance;
use crate::node::Node;
use crate::settings;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::SystemClock;
use andon_model::log::{Lane, Log, Seq};
use andon_model::pace::Pace;
use andon_model::peer::Places;
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SETTINGS: &str = "data_dir = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n[sql]\nlisten = \"127.0.0.1:0\"\n[access]\nmode = \"open\"\n";
pub(crate) const PLANT: &str = "[[equipment]]\npath = \"works\"\nlevel = \"site\"\n[[tag]]\npath = \"works/level\"\ntype = \"double\"\nrange = [0, 100]\nwrite = {}\n[[tag]]\npath = \"works/count\"\ntype = \"int64\"\n";

pub(crate) async fn start(folder: &Path, more: &str) -> anyhow::Result<Node> {
    let settings = settings::parse("andon.toml", &format!("{SETTINGS}{more}"), folder).expect("good settings");
    Node::start(settings, None).await
}

/// Sends bytes and reads until the other end closes; status and body.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

pub(crate) async fn ask(node: &Node, method: &str, path: &str, body: &str) -> (u16, String) {
    let address = node.addresses.http.expect("a listener");
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-andon: 1\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, request.as_bytes()).await
}

pub(crate) async fn json_of(node: &Node, method: &str, path: &str, body: Json) -> (u16, Json) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, text) = ask(node, method, path, &body).await;
    // Short answers come unchunked.
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

pub(crate) async fn apply(node: &Node, text: &str, version: u64) {
    let body = json!({ "documents": [{ "name": "plant.toml", "text": text }], "expected_version": version });
    let (status, answer) = json_of(node, "POST", "/api/plant/apply", body).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_by_http_stand_in_the_log_once_and_are_seen_by_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, &format!("{PLANT}[[alarm]]\ntag = \"works/level\"\ncondition = \"high\"\nlimit = 90\npriority = \"high\"\nmessage = \"full\"\n"), 0).await;
    for n in 0..20 {
        let lines = format!("works level={n}.5,count={n}i {}\n", 1_700_000_000_000_i64 + n);
        assert_eq!(ask(&node, "POST", "/api/ingest?precision=ms", &lines).await.0, 204);
    }
    let (_, last) = json_of(&node, "GET", "/api/values?tag=works/count", Json::Null).await;
    assert_eq!(last["values"][0][1], 19, "{last}");
    // All or nothing: the second line has no such tag.
    let half = "works level=1 1700000000100\nworks nothing=1 1700000000100\n";
    assert_eq!(ask(&node, "POST", "/api/ingest?precision=ms", half).await.0, 404);
    assert_eq!(ask(&node, "POST", "/api/ingest?precision=ms", "works level=95 1700000000200").await.0, 204);
    let raised = async {
        while json_of(&node, "GET", "/api/alarms", Json::Null).await.1["alarms"][0]["state"] != "unacknowledged" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), raised).await.expect("the alarm");
    node.stop().await;
    let held = crate::data_dir::DataDir::take(&folder.path().join("data")).expect("free");
    let (_, log) = crate::node::open_log_offline(&held).expect("the log");
    let mut samples = 0;
    let mut next = Seq(1);
    loop {
        let batch = log.read(Lane::Samples, next, 1 << 20).expect("readable");
        samples += batch
            .frames
            .iter()
            .map(|f| andon_bus::codec::decode_samples(&f.payload).map_or(0, |s| s.len()))
            .sum::<usize>();
        if batch.next <= next {
            break;
        }
        next = batch.next;
    }
    assert_eq!(samples, 41, "41 readings were acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_tells_how_long_history_is_kept_and_how_far_each_source_has_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "[limits]\nhistory_days = 400\n").await.expect("a node");
    // A device that is not there brings nothing.
    let connector = "[[connector]]\nname = \"plc\"\ntype = \"modbus\"\nendpoint = \"127.0.0.1:1\"\n[[connector.register]]\ntag = \"works/level\"\ntable = \"input\"\naddress = 0\ntype = \"f32\"\n";
    apply(&node, &format!("{PLANT}keep_days = 7\n{connector}"), 0).await;
    let storage = async || json_of(&node, "GET", "/api/storage", Json::Null).await.1;
    let row =
        |days: u32, default: bool, branches: Json, tags: u32| (json!(days), json!(default), branches, json!(tags));
    let rows = |storage: &Json| -> Vec<(Json, Json, Json, Json)> {
        let rows = storage["retention"].as_array().expect("rows").iter();
        rows.map(|row| (row["keep_days"].clone(), row["default"].clone(), row["branches"].clone(), row["tags"].clone()))
            .collect()
    };
    assert_eq!(rows(&storage().await), [row(7, false, json!(["works/count"]), 1), row(400, true, json!([]), 1)]);
    let (_, plant) = json_of(&node, "GET", "/api/plant", Json::Null).await;
    assert_eq!((&plant["tags"][0]["keep_days"], &plant["tags"][1]["keep_days"]), (&json!(7), &Json::Null));

    let sources = |storage: &Json| -> Vec<(String, Json, Json)> {
        let rows = storage["sources"].as_array().expect("rows").iter();
        rows.map(|row| {
            (
                row["kind"].as_str().unwrap_or_default().to_owned(),
                row["came_to_ms"].clone(),
                row["durable_to_ms"].clone(),
            )
        })
        .collect()
    };
    let plc = || ("modbus".to_owned(), Json::Null, Json::Null);
    assert_eq!(sources(&storage().await), [plc()], "what nobody uses is no source");
    for ts in [1_700_000_005_000_i64, 1_700_000_001_000] {
        assert_eq!(ask(&node, "POST", "/api/ingest?precision=ms", &format!("works count=1i {ts}")).await.0, 204);
    }
    let answer = storage().await;
    let http = ("http".to_owned(), json!(1_700_000_005_000_i64), json!(1_700_000_005_000_i64));
    assert_eq!(sources(&answer), [plc(), http], "{answer}");
    assert!(answer["sources"][1]["behind_ms"].as_i64().is_some_and(|behind| behind > 50_000_000_000), "{answer}");
    // An import is of the past, and a source of its own.
    let (_, import) = json_of(&node, "POST", "/api/imports", json!({ "name": "old.csv" })).await;
    let id = import["id"].as_str().unwrap_or_else(|| panic!("{import}"));
    let path = format!("/api/ingest?precision=ms&import={id}");
    assert_eq!(ask(&node, "POST", &path, "works count=1i 1600000000000").await.0, 204);
    let answer = storage().await;
    assert_eq!(sources(&answer)[2], ("import".to_owned(), json!(1_600_000_000_000_i64), json!(1_600_000_000_000_i64)));
    assert_eq!(answer["sources"][2]["behind_ms"], Json::Null);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_aggregates_of_several_tags_are_what_each_alone_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, &format!("{PLANT}[[tag]]\npath = \"works/state\"\ntype = \"string\"\n"), 0).await;
    let line = |n: i64| {
        let state = if n % 40 < 20 { "held" } else { "running" };
        format!("works level={}.5,count={n}i,state=\"{state}\" {}\n", n % 7, 1_700_000_040_000_i64 + 1000 * n)
    };
    let lines: String = (0..120).map(line).collect();
    assert_eq!(ask(&node, "POST", "/api/ingest?precision=ms", &lines).await.0, 204);
    let (from, to) = (1_700_000_040_000_i64, 1_700_000_160_000_i64);
    let question = json!({
        "tags": ["works/level", "works/count"], "aggregates": ["Average", "Maximum", "Count"],
        "from_ms": from, "to_ms": to, "interval_ms": 60_000, "stepped": true,
    });
    let in_history = async {
        let path = format!("/api/history?tag=works/count&from_ms={from}&to_ms={to}");
        while json_of(&node, "GET", &path, Json::Null).await.1["points"].as_array().map_or(0, Vec::len) < 120 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), in_history).await.expect("what was sent is history");
    // How far history has come is another moment for each question.
    let timeless = |mut view: Json| {
        view.as_object_mut().expect("a view").remove("complete_to_ms").expect("how far history has come");
        view
    };
    let (status, answer) = json_of(&node, "POST", "/api/aggregate", question.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let series: Vec<_> = answer["series"].as_array().expect("series").iter().cloned().map(timeless).collect();
    let mut asked = Vec::new();
    for tag in ["works/level", "works/count"] {
        for aggregate in ["Average", "Maximum", "Count"] {
            let path = format!(
                "/api/aggregate?tag={tag}&aggregate={aggregate}&from_ms={from}&to_ms={to}&interval_ms=60000&stepped=true"
            );
            asked.push(timeless(json_of(&node, "GET", &path, Json::Null).await.1));
        }
    }
    assert_eq!(series, asked);
    assert_eq!(series[4]["values"][1][1], 119.0, "the highest count of the second minute: {}", series[4]);
    // Of texts, what does not calculate with them.
    let mut texts = question.clone();
    texts["tags"] = json!(["works/state"]);
    texts["aggregates"] = json!(["Count", "NumberOfTransitions", "PercentGood", "WorstQuality"]);
    let (status, answer) = json_of(&node, "POST", "/api/aggregate", texts).await;
    assert_eq!(status, 200, "{answer}");
    let of = |series: usize| [0, 1].map(|minute| answer["series"][series]["values"][minute][1].clone());
    // The first state is a change as well; then every 20 s.
    assert_eq!([of(0), of(1)], [[json!(60), json!(60)], [json!(3), json!(3)]], "{answer}");
    assert_eq!(of(2)[0], json!(100.0), "{answer}");
    let with = |key: &str, value: Json| {
        let mut changed = question.clone();
        changed[key] = value;
        changed.to_string()
    };
    for (body, status, said) in [
        (with("tags", json!([])), 400, "0 tags with 3 aggregates"),
        (with("tags", json!(vec!["works/level"; 34])), 400, "are 102 series; 1 to 100"),
        (with("to_ms", json!(from + 60_000 * 200_000)), 400, "are 1200000 values; at most 1000000"),
        (with("from_ms", json!(i64::MIN)), 400, "at most 1000000 are answered at once"),
        (with("to_ms", json!(from)), 400, ""),
        (with("interval_ms", json!(-1)), 400, "an interval of -1 ms is negative"),
        (with("tags", json!(["works/state"])), 400, "Average is calculated of numbers, and this is a text tag"),
        (with("aggregates", json!(["Mean"])), 400, "is not an aggregate; there are"),
        (with("tags", json!(["works/level", "works/nothing"])), 404, "works/nothing"),
        (with("tag", json!("works/level")), 422, "unknown field"),
    ] {
        let (found, answer) = ask(&node, "POST", "/api/aggregate", &body).await;
        assert_eq!(found, status, "{body}: {answer}");
        assert!(answer.contains(said), "{body}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_cannot_be_meant_is_refused_with_what_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    for (path, status, said) in [
        ("/api/timeline", 200, ""),
        ("/api/timeline?kind=alarm,user&limit=1000", 200, ""),
        ("/api/timeline?kind=alarms", 400, "known are: alarm, command, connection, user, configuration, system"),
        ("/api/timeline?kind=alarm,%E2%80%AEx", 400, "\\\\u{202e}x"),
        ("/api/timeline?kinds=alarm", 400, "unknown field"),
        ("/api/timeline?limit=0", 400, "must be from 1 to 1000"),
        ("/api/timeline?limit=1001", 400, "must be from 1 to 1000"),
        ("/api/timeline?limit=-1", 400, "limit"),
        ("/api/timeline?limit=1&limit=2", 400, "duplicate"),
        ("/api/timeline?from_ms=2&to_ms=1", 400, "must be before"),
        ("/api/timeline?from_ms=9223372036854775807&to_ms=-9223372036854775808", 400, "must be before"),
        ("/api/timeline?from_ms=-9223372036854775808&to_ms=9223372036854775807&before=18446744073709551615", 200, ""),
        ("/api/timeline?from_ms=NaN", 400, "from_ms"),
        ("/api/timeline?path=a%2F%2Fb", 400, "path"),
        ("/api/timeline?path=a%00b", 400, "U+0000"),
        ("/api/history?tag=works/level&from_ms=0&to_ms=1", 200, ""),
        ("/api/history?tag=works/level&from_ms=-9223372036854775808&to_ms=9223372036854775807&max_points=5", 200, ""),
        ("/api/history?tag=works/level&from_ms=1&to_ms=1", 400, "must be before"),
        ("/api/history?tag=works/level&from_ms=0&to_ms=1&max_points=0", 400, "must be from 5 to 100000"),
        ("/api/history?tag=works/level&from_ms=0&to_ms=1&max_points=18446744073709551615", 400, "must be from 5"),
        ("/api/history?tag=works/level&from_ms=0&to_ms=inf", 400, "to_ms"),
        ("/api/history?tag=works/level&from_ms=0&to_ms=1&maxpoints=9", 400, "unknown field"),
        ("/api/values?tags=works/level", 400, "only \\\"tag\\\""),
        ("/api/audit/verify", 200, ""),
        ("/api/audit/verify?against=nonsense", 400, "64 hex digits"),
        ("/api/audit/verify?againts=00", 400, "unknown field"),
    ] {
        let (found, body) = ask(&node, "GET", path, "").await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(said), "{path}: {body}");
        assert!(status == 200 || body.contains("\"type\":\"andon:"), "{path} is refused with a problem: {body}");
    }
    let long = "x".repeat(1001);
    for (method, path, body, status, said) in [
        ("POST", "/api/ingest?precision=days", "works level=1", 400, "not a precision"),
        ("POST", "/api/ingest?precison=ms", "works level=1", 400, "unknown field"),
        ("POST", "/api/ingest", "works level=NaN", 400, "is no value"),
        ("POST", "/api/ingest", "works count=1e300", 400, "is no value of works/count, which is a whole number"),
        ("POST", "/api/commands", r#"{"tag":"works/level","value":1,"lifems":5}"#, 422, "unknown field"),
        ("POST", "/api/commands", r#"{"tag":"works/level","value":1,"life_ms":0}"#, 400, "life_ms"),
        ("POST", "/api/commands", r#"{"tag":"works/level","value":1e999}"#, 400, "number out of range"),
        ("POST", "/api/commands", r#"{"tag":"works/level","value":[1]}"#, 400, "must be a boolean"),
        ("POST", "/api/commands", r#"{"tag":"works/level","value":1,"reason":"a\u202eb"}"#, 400, "U+202E"),
        ("POST", "/api/alarms/ack", r#"{"alarms":[],"note":"a\u0000b"}"#, 400, "U+0000"),
        ("POST", "/api/alarms/ack", r#"{"alarms":[],"nota":"b"}"#, 422, "unknown field"),
        (
            "POST",
            "/api/users",
            r#"{"name":"Eva","password":"a long enough one","grants":[{"role":"king","branch":""}]}"#,
            422,
            "unknown variant",
        ),
        (
            "POST",
            "/api/users",
            r#"{"name":"Eva","password":"a long enough one","grants":[{"role":"viewer","branch":"x\u202e"}]}"#,
            422,
            "not a branch",
        ),
        ("POST", "/api/devices", r#"{"name":"d","publish":["a/\u200b"]}"#, 422, "U+200B"),
        ("POST", "/api/devices", r#"{"name":"d","operate":"nowhere"}"#, 422, "not a branch"),
        ("POST", "/api/devices", r#"{"name":"d\ne"}"#, 422, "U+000A"),
        ("POST", "/api/tokens", r#"{"name":"t\ufeff","grants":[]}"#, 422, "U+FEFF"),
    ] {
        let (found, body) = ask(&node, method, path, body).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains(said), "{path}: {body}");
    }
    let body = json!({ "documents": [], "expected_version": 1, "reason": long });
    assert_eq!(json_of(&node, "POST", "/api/plant/apply", body).await.0, 400);
    let body = json!({ "name": "x", "password": "y".repeat(20_000) });
    let (status, answer) = json_of(&node, "POST", "/api/login", body).await;
    assert_eq!(status, 413, "what anybody may send is small: {answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_deceive_are_refused_wherever_they_come_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let user = |name: &str| json!({ "name": name, "password": "a sentence of four words", "grants": [] });
    assert_eq!(json_of(&node, "POST", "/api/users", user("paul")).await.0, 201);
    for (name, status, said) in [
        ("Paul", 409, "is taken"),
        ("p\u{430}ul", 422, "several scripts"),
        ("pau1", 409, "looks like"),
        ("p\u{200d}aul", 422, "U+200D"),
        ("paul\u{202e}", 422, "U+202E"),
        ("\u{440}\u{430}\u{443}l", 422, "several scripts"),
        ("paul/admin", 422, "U+002F"),
    ] {
        let (found, answer) = json_of(&node, "POST", "/api/users", user(name)).await;
        assert_eq!(found, status, "{name:?}: {answer}");
        assert!(answer["detail"].as_str().is_some_and(|d| d.contains(said)), "{name:?}: {answer}");
    }
    let documents = |text: &str| json!({ "documents": [{ "name": "a\u{202e}b.toml", "text": text }] });
    for (text, place, said) in [
        ("[[equipment]]\npath = \"a\u{202e}b\"\nlevel = \"site\"", (2, 8), "character 2 is U+202E"),
        ("[[equipment]]\npath = \"a\"\nlevel = \"site\"\ntitle = \"T\\u200Bank\"", (4, 9), "character 2 is U+200B"),
        (
            "[[equipment]]\npath = \"a\"\nlevel = \"site\"\ndescription = \"\"\"\ntwo\nlines\u{2066}\"\"\"",
            (4, 15),
            "U+2066",
        ),
        ("[[tag]]\npath = \"works/x\"\ntype = \"int64\"\nstates = { 0 = \"off\\n\" }", (4, 16), "U+000A"),
        ("[[tag]]\npath = \"works/\\uFEFFx\"\ntype = \"int64\"", (2, 8), "U+FEFF"),
        (
            "[[alarm]]\ntag = \"works/level\"\ncondition = \"high\"\nlimit = 9\npriority = 1\nmessage = \"full\\u202E\"",
            (6, 11),
            "U+202E",
        ),
        ("[[connector]]\nname = \"p\\u200F\"\ntype = \"modbus\"", (2, 8), "U+200F"),
        (
            "[[connector]]\nname = \"p\"\ntitle = \"x\\u0007\"\ntype = \"modbus\"\nhost = \"a\\u200Eb\"",
            (3, 9),
            "U+0007",
        ),
        ("[[topic]]\nfilter = \"a/\\u200B\"", (2, 10), "U+200B"),
        ("[[t\\u202E]]", (1, 1), ""),
        ("[[tag]]\n\"ti\\u202Etle\" = \"x\"\npath = \"works/y\"\ntype = \"int64\"", (2, 1), "\\u{202e}"),
    ] {
        let (status, plan) = json_of(&node, "POST", "/api/plant/plan", documents(text)).await;
        assert_eq!(status, 200, "{plan}");
        let errors = plan["errors"].as_array().expect("errors");
        let says = |error: &&Json| error["message"].as_str().is_some_and(|m| m.contains(said));
        let first = errors.iter().find(says).unwrap_or_else(|| panic!("{text:?}: {plan}"));
        if !said.is_empty() {
            assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(place.0), Some(place.1)), "{plan}");
        }
        let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!plan.to_string().contains(hidden), "a message hides nothing: {plan}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_records_are_damaged_or_gone_says_so_and_does_not_begin_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    node.stop().await;
    let path = folder.path().join("data/records.sqlite");
    let whole = std::fs::read(&path).expect("the file");
    let head = std::fs::read(folder.path().join("data/node-id")).expect("the id");
    let mut page = whole.clone();
    page[4096..8192].fill(0xA5);
    for (what, bytes, said) in [
        ("garbage", vec![0x5A; 8192], "file is not a database"),
        ("a page", page, "is damaged: "),
        ("half", whole[..whole.len() / 2 / 4096 * 4096].to_vec(), "is damaged: "),
        ("empty", Vec::new(), "is missing or empty, but the log holds "),
    ] {
        std::fs::write(&path, &bytes).expect("written");
        let refused = start(folder.path(), "").await.err().unwrap_or_else(|| panic!("{what}: it started"));
        let text = format!("{refused:#}");
        for word in [said, "records.sqlite", "try: ", "BACKUP", "were not touched"] {
            assert!(text.contains(word), "{what}: {text}");
        }
        assert_eq!(std::fs::read(&path).expect("still there"), bytes, "{what}: it stays as it is");
    }
    std::fs::remove_file(&path).expect("removed");
    let text = format!("{:#}", start(folder.path(), "").await.err().expect("it does not start"));
    assert!(text.contains("is missing or empty"), "{text}");
    assert!(!path.exists(), "and none is made");
    assert_eq!(std::fs::read(folder.path().join("data/node-id")).expect("the id"), head);
    // The backup is put back.
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.path().join(format!("data/records.sqlite{end}")));
    }
    std::fs::write(&path, whole).expect("written");
    let node = start(folder.path(), "").await.expect("it starts again");
    assert_eq!(json_of(&node, "GET", "/api/plant", Json::Null).await.1["version"], 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_cut_short_begins_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("data/log");
    std::fs::create_dir_all(&log).expect("a folder");
    let id = uuid::Uuid::from_u128(7);
    std::fs::write(folder.path().join("data/node-id"), id.to_string()).expect("written");
    DurableLog::open(&log, id, LogOptions::default(), Arc::new(OsDisk), Arc::new(SystemClock))
        .expect("a log")
        .0
        .close();
    std::fs::write(folder.path().join("data/records.sqlite"), b"").expect("written");
    start(folder.path(), "").await.expect("nothing had happened yet").stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_mqtt_connections_are_closed_before_they_cost_anything_and_stand_in_the_metrics() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = "[limits]\nhttp_connections_per_address = 2\nmqtt_connections_per_address = 2\n";
    let node = start(folder.path(), limits).await.expect("a node");
    let mut held = Vec::new();
    for address in [node.addresses.http, node.addresses.mqtt].into_iter().flatten() {
        for _ in 0..20 {
            held.push(TcpStream::connect(address).await.expect("a connection"));
        }
    }
    // Loopback is not counted, however many come.
    let (_, metrics) = ask(&node, "GET", "/metrics", "").await;
    for face in ["http", "mqtt"] {
        assert!(metrics.contains(&format!("andon_connections_refused_total{{face=\"{face}\"}} 0")), "{metrics}");
    }

    let places = Places::counting_loopback(2, Arc::new(SystemClock));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let entrance = Entrance { places: places.clone(), ..node.entrance.clone() };
    // Ended by `stop`.
    tokio::spawn(crate::mqtt::listen(listener, entrance, None, stop.clone()));
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01";
    let dial = |name: u8| async move {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let _ = stream.write_all(&[connect.as_slice(), &[name]].concat()).await;
        let mut answer = [0; 4];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("in time");
        (stream, read.unwrap_or(0))
    };
    let (first, second, third) = (dial(b'a').await, dial(b'b').await, dial(b'c').await);
    assert_eq!((first.1, second.1, third.1), (4, 4, 0), "two CONNACKs, then a closed connection");
    assert_eq!(places.refused(), 1);
    drop(first);
    let again = async { while dial(b'd').await.1 != 4 {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("a place is given back");
    stop.cancel();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_often_is_told_and_counted_and_let_in_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    let (_, metrics) = ask(&node, "GET", "/metrics", "").await;
    assert!(metrics.contains("andon_mqtt_connects_refused_total 0"), "{metrics}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let pace = Pace::counting_loopback(1, 1000, Arc::new(SystemClock));
    // Ended by `stop`.
    tokio::spawn(crate::mqtt::listen(
        listener,
        Entrance { pace: pace.clone(), ..node.entrance.clone() },
        None,
        stop.clone(),
    ));
    let dial = async |connect: &[u8]| {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(connect).await.expect("sent");
        let mut answer = vec![0; 4];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await;
        read.expect("in time").expect("an answer");
        (stream, answer)
    };
    let old: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    let new: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01b";
    let (_stays, answer) = dial(old).await;
    assert_eq!(answer, [0x20, 2, 0, 0]);
    // Both may take less than a second together.
    let (mut declined, answer) = dial(new).await;
    assert_eq!(answer, [0x20, 3, 0, 0x9F]);
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), declined.read_to_end(&mut rest)).await;
    assert!(end.expect("in time").is_ok() && rest == [0], "and closed");
    assert_eq!(dial(old).await.1, [0x20, 2, 0, 3], "3.1.1 has no nearer word than unavailable");
    assert_eq!(pace.refused(), 2);
    assert_eq!(node.broker.clients().len(), 1, "whoever is in stays, and nobody else is");
    let later = async { while dial(new).await.1[3] != 0 {} };
    tokio::time::timeout(Duration::from_secs(10), later).await.expect("let in a second later");
    stop.cancel();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_clients_must_show_a_certificate_there_is_no_mqtt_over_websocket() {
    let folder = tempfile::tempdir().expect("a folder");
    let with = |mqtt: &str| {
        let text = SETTINGS.replace("[mqtt]\n", &format!("[mqtt]\ntls_listen = \"127.0.0.1:0\"\n{mqtt}"));
        settings::parse("andon.toml", &text, folder.path()).expect("good settings")
    };
    // Its own certificate stands in for that of an issuer.
    let ca = "client_ca = \"data/tls/certificate.pem\"\n";
    let required = format!("{ca}client_certificate = \"required\"\n");
    for (mqtt, status) in [("", 101), (ca, 101), (required.as_str(), 403)] {
        let node = Node::start(with(mqtt), None).await.expect("a node");
        let address = node.addresses.http.expect("a listener");
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: mqtt\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        let mut some = [0; 1024];
        while !answer.contains("\r\n\r\n") || (status == 403 && !answer.contains('}')) {
            let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut some)).await;
            let count = read.expect("in time").expect("read");
            assert!(count > 0, "{answer}");
            answer.push_str(&String::from_utf8_lossy(&some[..count]));
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{mqtt}: {answer}");
        assert_eq!(answer.contains("connect to [mqtt] tls_listen"), status == 403, "{answer}");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_bound_to_a_certificate_that_would_be_let_in_and_to_no_other() {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
    let folder = tempfile::tempdir().expect("a folder");
    let key = || KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "Works CA");
    let ca_key = key();
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    std::fs::write(folder.path().join("ca.pem"), &ca_pem).expect("written");
    let ca = Issuer::new(ca, ca_key);
    let issued = |name: &str, year: i32| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 1, 1);
        params.signed_by(&key(), &ca).expect("a certificate").pem()
    };
    let (good, old) = (issued("press-7.example", 2999), issued("press-7.example", 2020));
    let device = |name: &str| json!({ "name": name });
    // Where nobody is asked for a certificate, a device that is bound to one could not come.
    let node = start(folder.path(), "").await.expect("a node");
    let (_, made) = json_of(&node, "POST", "/api/devices", device("press-7")).await;
    let path = format!("/api/devices/{}/certificate", made["id"].as_str().expect("an id"));
    let (status, told) = json_of(&node, "PUT", &path, json!({ "pem": good, "by": "sha256" })).await;
    assert_eq!((status, &told["title"]), (409, &json!("MQTT clients are asked for no certificate here")));
    let (_, list) = json_of(&node, "GET", "/api/devices", Json::Null).await;
    assert_eq!(list["certificates_asked_for"], json!(false));
    node.stop().await;
    let text = SETTINGS.replace("[mqtt]\n", "[mqtt]\ntls_listen = \"127.0.0.1:0\"\nclient_ca = \"ca.pem\"\n");
    let node = Node::start(settings::parse("andon.toml", &text, folder.path()).expect("good settings"), None).await;
    let node = node.expect("a node");
    for (pem, word) in [
        ("press-7.example".to_owned(), "-----BEGIN CERTIFICATE-----"),
        (format!("{good}{}", key().serialize_pem()), "private key"),
        (old, "it has expired: it was good until 2020-01-01"),
        (ca_pem, "issuer"),
    ] {
        for (method, path) in [("POST", "/api/devices/certificate"), ("PUT", path.as_str())] {
            let mut body = json!({ "pem": pem });
            if method == "PUT" {
                body["by"] = json!("common_name");
            }
            let (status, told) = json_of(&node, method, path, body).await;
            assert_eq!(status, 400, "{told}");
            assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(word)), "{word}: {told}");
        }
    }
    let check = json!({ "pem": good });
    let (status, looked) = json_of(&node, "POST", "/api/devices/certificate", check.clone()).await;
    assert_eq!((status, &looked["device"]), (200, &Json::Null), "{looked}");
    let facts = &looked["certificate"];
    assert_eq!(
        (&facts["common_name"], &facts["subject"], &facts["issuer"]),
        (&json!("press-7.example"), &json!("CN=press-7.example"), &json!("CN=Works CA"))
    );
    assert_eq!(facts["not_after_ms"], json!(32_472_144_000_000_i64), "2999-01-01");
    let (status, bound) = json_of(&node, "PUT", &path, json!({ "pem": good, "by": "common_name" })).await;
    assert_eq!((status, &bound), (200, facts));
    let (_, list) = json_of(&node, "GET", "/api/devices", Json::Null).await;
    let own = &list["devices"][0];
    assert_eq!(
        (&list["certificates_asked_for"], &own["certificate"], &own["certificate_entered"], &own["scram"]),
        (&json!(true), &json!("press-7.example"), facts, &json!(true))
    );
    let (_, looked) = json_of(&node, "POST", "/api/devices/certificate", check).await;
    assert_eq!(looked["device"], json!("press-7"));
    let (_, other) = json_of(&node, "POST", "/api/devices", device("press-8")).await;
    let others = format!("/api/devices/{}/certificate", other["id"].as_str().expect("an id"));
    let (status, told) = json_of(&node, "PUT", &others, json!({ "pem": good, "by": "common_name" })).await;
    assert_eq!((status, &told["detail"]), (409, &json!("\"press-7.example\" is taken")));
    assert_eq!(ask(&node, "DELETE", &path, "").await.0, 204);
    let (_, list) = json_of(&node, "GET", "/api/devices", Json::Null).await;
    let free = &list["devices"][0];
    assert_eq!((&free["certificate"], &free["certificate_entered"]), (&Json::Null, &Json::Null));
    let sha256 = facts["sha256"].as_str().expect("a digest");
    let words = [
        format!("device certificate bound: none → any with the common name of SHA-256 {sha256}"),
        format!("device certificate removed: any with the common name of SHA-256 {sha256} → none"),
    ];
    // The timeline follows the log.
    let told = async {
        loop {
            let (_, events) = json_of(&node, "GET", "/api/timeline?kind=user&limit=10", Json::Null).await;
            let told = events.to_string();
            if words.iter().all(|words| told.contains(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect("both are told");
    node.stop().await;
}

fn bridge(name: &str, port: u16, more: &str) -> String {
    format!(
        "[[connector]]\nname = \"{name}\"\ntype = \"mqtt_bridge\"\nendpoint = \"mqtt://127.0.0.1:{port}\"\nclient_id = \"{name}\"\nsend = [{{ filter = \"a/#\" }}]\n{more}"
    )
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it came about in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_followed_to_its_end_when_whoever_asked_for_it_is_gone() {
    use andon_api::ports::{Author, DocumentView, PlantAdmin};
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    apply(&node, &bridge("one", nobody, ""), 0).await;
    let names = || node.plant.bridge_names();
    assert_eq!(names(), ["one"]);
    for version in 1..6_u64 {
        // The one there is changes, and another one comes.
        let more = format!("answer_within = \"{version}s\"\n");
        let text = format!("{}{}", bridge("one", nobody, &more), bridge(&format!("new-{version}"), nobody, ""));
        let documents = vec![DocumentView { name: "plant.toml".to_owned(), text }];
        let mut asked = node.plant.apply(documents, false, version, Author::SYSTEM, None);
        // Asked for once, and dropped then, long before everything has followed.
        tokio::select! {
            biased;
            _ = &mut asked => {}
            () = std::future::ready(()) => {}
        }
        drop(asked);
        until(|| names().len() as u64 == version + 1).await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_no_document_has_keeps_no_place_in_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, &bridge("one", 1, ""), 0).await;
    node.stop().await;
    let readers = || std::fs::read_to_string(folder.path().join("data/log/readers")).expect("the list");
    {
        // As after a change that was killed between the commit and the end of the bridge.
        let held = crate::data_dir::DataDir::take(&folder.path().join("data")).expect("free");
        let (_, log) = crate::node::open_log_offline(&held).expect("the log");
        log.register_reader("bridge-gone", &[Lane::Messages]).expect("registered");
    }
    assert!(readers().contains("bridge-gone"), "{}", readers());
    let node = start(folder.path(), "").await.expect("a node");
    assert!(readers().contains("bridge-one") && !readers().contains("bridge-gone"), "{}", readers());
    node.stop().await;
}
