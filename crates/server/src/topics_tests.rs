//! What a plant's people see of the broker, asked of a whole node.

use crate::node::Node;
use crate::node_tests::{apply, exchange, json_of, start};
use andon_broker::Message;
use andon_wire::mqtt::{QoS, Text, TopicName};
use serde_json::{Value as Json, json};

const PLANT: &str = r#"
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/oven"
level = "area"
[[equipment]]
path = "works/press"
level = "area"
[[equipment]]
path = "works/belt"
level = "area"
[[tag]]
path = "works/oven/heat"
type = "double"
[[tag]]
path = "works/press/force"
type = "double"
[[tag]]
path = "works/belt/run"
type = "boolean"
write = {}
[[topic]]
filter = "oven/heat"
format = "value"
tag = "works/oven/heat"
[[topic]]
filter = "press/+"
format = "json"
fields = [{ path = "force", tag = "works/press/force" }, { path = "run", tag = "works/belt/run", true = true, false = false, optional = true }]
command = [{ tag = "works/belt/run", topic = "press/set", text = "{value}", on = "1", off = "0", command_topic = "press/run/set" }]
[[topic]]
filter = "lines/#"
format = "line_protocol"
tag = "works/oven/{field}"
"#;

/// A device behind Sparkplug that can be commanded.
const SPARKPLUG: &str = r#"
[[connector]]
name = "floor"
type = "sparkplug_host"
host_id = "andon"
groups = ["g"]
place = "works"
[[connector.metric]]
tag = "works/belt/speed"
node = "g/filler"
device = "plc1"
metric = "Motor/speed"
[[tag]]
path = "works/belt/speed"
type = "double"
write = { min = 0, max = 100 }
"#;

/// As a client's.
async fn publish(node: &Node, topic: &str, payload: &str) {
    let name = TopicName::parse(topic).expect("a topic");
    let mut message = Message::internal(name, payload.to_owned().into(), QoS::AtMostOnce, false, node.clock.now());
    message.publisher = Text::parse("press-7").ok();
    node.broker.publish(message).await.expect("published");
}

async fn get(node: &Node, path: &str) -> Json {
    let (status, answer) = json_of(node, "GET", path, Json::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// With the token of somebody who has these grants.
pub(crate) async fn token(node: &Node, role: &str, branch: &str) -> String {
    let of = if branch.is_empty() { "all" } else { branch };
    let body = json!({ "name": format!("{role} of {of}"), "grants": [{ "role": role, "branch": branch }] });
    let (status, token) = json_of(node, "POST", "/api/tokens", body).await;
    assert_eq!(status, 201, "{token}");
    token["token"].as_str().expect("a secret").to_owned()
}

pub(crate) async fn as_token(node: &Node, token: &str, method: &str, path: &str, body: Json) -> (u16, Json) {
    let address = node.addresses.http.expect("a listener");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, text) = exchange(address, request.as_bytes()).await;
    (status, serde_json::from_str(&text).unwrap_or(Json::String(text)))
}

fn names(level: &Json) -> Vec<&str> {
    level["rows"].as_array().expect("rows").iter().map(|row| row["name"].as_str().expect("a name")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_flows_is_listed_with_its_last_message_and_the_tags_that_it_becomes() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    publish(&node, "oven/heat", "181.5").await;
    publish(&node, "press/7", "{\"force\": 12.5}").await;
    publish(&node, "elsewhere/a/b", "\u{1}").await;
    let root = get(&node, "/api/mqtt/topics").await;
    assert_eq!((names(&root), &root["total"]), (vec!["elsewhere", "oven", "press"], &json!(3)));
    assert_eq!((&root["rows"][0]["below"], &root["rows"][0]["own"]), (&json!(1), &Json::Null));
    assert_eq!((&root["catalogue"]["topics"], &root["catalogue"]["topics_most"]), (&json!(3), &json!(100_000)));
    let page = get(&node, "/api/mqtt/topics?skip=1&limit=1").await;
    assert_eq!((names(&page), &page["total"]), (vec!["oven"], &json!(3)));
    let oven = get(&node, "/api/mqtt/topics?under=oven").await;
    let own = &oven["rows"][0]["own"];
    assert_eq!(
        (&own["preview"], &own["kind"], &own["publisher"]),
        (&json!("181.5"), &json!("number"), &json!("press-7"))
    );
    assert_eq!((&own["count"], &own["per_second"], &own["silent_since_ms"]), (&json!(1), &Json::Null, &Json::Null));
    let press = get(&node, "/api/mqtt/topic?topic=press/7").await;
    assert_eq!(press["tags"], json!(["works/belt/run", "works/press/force"]));
    assert_eq!((&press["text"], &press["more_tags"]), (&json!("{\"force\": 12.5}"), &json!(false)));
    let bytes = get(&node, "/api/mqtt/topic?topic=elsewhere/a/b").await;
    assert_eq!((&bytes["text"], &bytes["base64"]), (&Json::Null, &json!("AQ==")));
    let found = get(&node, "/api/mqtt/topics/search?text=HEAT").await;
    assert_eq!((&found["total"], &found["topics"][0]["topic"]), (&json!(1), &json!("oven/heat")));
    let value = exchange_get(&node, "/api/mqtt/value?topic=oven/heat").await;
    assert_eq!(value, (200, "181.5".to_owned()));
    publish(&node, "long", &"x".repeat(5000)).await;
    assert_eq!(exchange_get(&node, "/api/mqtt/value?topic=long").await.0, 409, "half of it is not it");
    assert_eq!(exchange_get(&node, "/api/mqtt/value?topic=nothing").await.0, 404);
    node.stop().await;
}

async fn exchange_get(node: &Node, path: &str) -> (u16, String) {
    crate::node_tests::ask(node, "GET", path, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_sees_the_topics_that_become_tags_of_theirs_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    publish(&node, "oven/heat", "181.5").await;
    publish(&node, "press/7", "{\"force\": 12.5}").await;
    publish(&node, "lines/a", "m heat=1").await;
    publish(&node, "elsewhere", "1").await;
    let oven = token(&node, "viewer", "works/oven").await;
    let (status, level) = as_token(&node, &oven, "GET", "/api/mqtt/topics", Json::Null).await;
    assert_eq!((status, names(&level), &level["total"]), (200, vec!["oven"], &json!(1)));
    assert_eq!(level["catalogue"], Json::Null, "how much there is elsewhere is not told");
    for (path, wanted) in [
        ("/api/mqtt/topic?topic=oven/heat", 200),
        ("/api/mqtt/value?topic=oven/heat", 200),
        ("/api/mqtt/topic?topic=press/7", 404),
        ("/api/mqtt/value?topic=elsewhere", 404),
        // Which tags a line goes to stands in the line.
        ("/api/mqtt/topic?topic=lines/a", 404),
        ("/api/mqtt/clients", 403),
        ("/api/mqtt/client?client=press-7", 403),
        ("/api/mqtt/departures", 403),
        ("/api/mqtt/subscriptions", 403),
    ] {
        assert_eq!(as_token(&node, &oven, "GET", path, Json::Null).await.0, wanted, "{path}");
    }
    let (_, found) = as_token(&node, &oven, "GET", "/api/mqtt/topics/search?text=e", Json::Null).await;
    assert_eq!(found["total"], json!(1));
    // Half of a topic is none.
    let force = token(&node, "viewer", "works/press").await;
    assert_eq!(as_token(&node, &force, "GET", "/api/mqtt/topic?topic=press/7", Json::Null).await.0, 404);
    // Who sees all may look, but not publish, end a connection, or ask what others may.
    let viewer = token(&node, "operator", "").await;
    assert_eq!(as_token(&node, &viewer, "GET", "/api/mqtt/topic?topic=elsewhere", Json::Null).await.0, 200);
    for (path, body) in [
        ("/api/mqtt/publish", json!({ "topic": "a" })),
        ("/api/mqtt/disconnect", json!({ "client_id": "a" })),
        ("/api/mqtt/permission", json!({ "wish": "publish", "topic": "a" })),
    ] {
        assert_eq!(as_token(&node, &viewer, "POST", path, body).await.0, 403, "{path}");
    }
    node.stop().await;
}

/// The events of this action, the newest first, once there are so many: the timeline follows the log.
async fn told(node: &Node, action: &str, wanted: usize) -> Vec<Json> {
    let look = async {
        loop {
            let events = get(node, "/api/timeline?kind=system").await;
            let all = events["events"].as_array().expect("events").iter();
            let found: Vec<_> = all.filter(|event| event["detail"]["action"] == action).cloned().collect();
            if found.len() >= wanted {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), look).await.expect("it is told")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_by_hand_is_recorded_mapped_and_no_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, &format!("{PLANT}{SPARKPLUG}"), 0).await;
    let engineer = token(&node, "engineer", "").await;
    let body = json!({ "topic": "oven/heat", "text": "99.5", "qos": 1, "retain": true, "content_type": "text/plain",
        "user_properties": [["why", "test"]] });
    let (status, answer) = as_token(&node, &engineer, "POST", "/api/mqtt/publish", body).await;
    assert_eq!((status, &answer), (200, &json!({ "reached": 0, "durable": true })));
    let value = async || get(&node, "/api/values?tag=works/oven/heat").await["values"][0][1].clone();
    let mapped = async {
        while value().await != json!(99.5) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), mapped).await.expect("the tag has it");
    let topic = &get(&node, "/api/mqtt/topic?topic=oven/heat").await["topic"];
    assert_eq!((&topic["publisher"], &topic["user"]), (&Json::Null, &json!("engineer of all")));
    assert_eq!((&topic["retained"], &topic["content_type"]), (&json!(true), &json!("text/plain")));
    let event = told(&node, "mqtt_published", 1).await.remove(0);
    assert_eq!(event["summary"], json!("MQTT, by hand: 4 bytes published with QoS 1, retained on \"oven/heat\""));
    assert_eq!((&event["by"]["name"], &event["severity"]), (&json!("engineer of all"), &json!(0)));
    for (body, wanted, word) in [
        (json!({ "topic": "press/run/set", "text": "true" }), 409, "works/belt/run"),
        (json!({ "topic": "press/set", "text": "1" }), 409, "works/belt/run"),
        (json!({ "topic": "spBv1.0/g/DCMD/filler/plc1", "base64": "AA==", "retain": true }), 409, "Sparkplug"),
        (json!({ "topic": "a/+", "text": "1" }), 400, "wildcards"),
        (json!({ "topic": "$SYS/a", "text": "1" }), 400, "the server's"),
        (json!({ "topic": "a", "qos": 3 }), 400, "0, 1 or 2"),
        (json!({ "topic": "a", "text": "1", "base64": "AQ==" }), 400, "not both"),
        (json!({ "topic": "a", "base64": "!" }), 400, "base64"),
        (json!({ "topic": "a", "text": "x".repeat(1 << 20) + "x" }), 400, "over the limit"),
        (json!({ "topic": vec!["a"; 40].join("/") }), 400, "40 levels"),
    ] {
        let (status, problem) = as_token(&node, &engineer, "POST", "/api/mqtt/publish", body.clone()).await;
        assert_eq!(status, wanted, "{problem}");
        assert!(problem.to_string().contains(word), "{problem}");
    }
    let last = json!({ "topic": "oven/heat", "retain": true });
    assert_eq!(as_token(&node, &engineer, "POST", "/api/mqtt/publish", last).await.0, 200);
    let all = told(&node, "mqtt_published", 2).await;
    assert_eq!(all.len(), 2, "what was refused left no event: {all:?}");
    assert_eq!(all[0]["summary"], json!("MQTT, by hand: the retained message removed on \"oven/heat\""));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_beyond_the_setting_are_counted_and_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "[limits]\nmqtt_topics_listed = 3\n").await.expect("a node");
    for n in 0..10 {
        publish(&node, &format!("t/{n}"), "1").await;
    }
    let level = get(&node, "/api/mqtt/topics?under=t").await;
    assert_eq!((names(&level), &level["catalogue"]["not_listed"]), (vec!["0", "1", "2"], &json!(7)));
    let event = told(&node, "topics_not_listed", 1).await.remove(0);
    assert_eq!(event["severity"], json!(4));
    let (_, metrics) = crate::node_tests::ask(&node, "GET", "/metrics", "").await;
    assert!(metrics.contains("mqtt_topics_not_listed_total 7"), "{metrics}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_check_of_a_dry_run_is_its_reason_and_the_first_no_is_the_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let device =
        json!({ "name": "press-7", "publish": ["press/#"], "subscribe": ["press/+"], "operate": "works/belt" });
    let (status, answer) = json_of(&node, "POST", "/api/devices", device).await;
    assert_eq!(status, 201, "{answer}");
    for (wish, topic, checks, allowed, word) in [
        ("publish", "press/7", 2, true, "\"press/#\" lets it publish"),
        ("publish", "oven/7", 2, false, "None of the topic filters"),
        ("publish", "press/run/set", 3, true, "limits and interlocks"),
        ("publish", "$SYS/a", 2, false, "the server's"),
        ("publish", "press/+", 2, false, "This is no topic"),
        ("subscribe", "press/+", 2, true, "\"press/+\" covers it"),
        ("subscribe", "press/#", 2, false, "covers all of it"),
        ("receive", "press/7", 3, false, "name the client"),
    ] {
        let asked = json!({ "user": "press-7", "wish": wish, "topic": topic });
        let (status, told) = json_of(&node, "POST", "/api/mqtt/permission", asked).await;
        assert_eq!(status, 200, "{told}");
        let verdict = &told["verdict"];
        let made = verdict["checks"].as_array().expect("checks");
        let oks = made.iter().map(|check| check["ok"] == true).collect::<Vec<_>>();
        let mut wanted = vec![true; checks];
        wanted[checks - 1] = allowed;
        assert_eq!((oks, &verdict["allowed"]), (wanted, &json!(allowed)), "{wish} {topic}: {verdict}");
        assert_eq!(verdict["reason"], made[checks - 1]["text"], "{wish} {topic}");
        assert!(verdict["reason"].as_str().is_some_and(|reason| reason.contains(word)), "{wish} {topic}: {verdict}");
    }
    node.stop().await;
}
