//! Sparkplug in a whole node, and its values by the rules of the bus.

use super::*;
use crate::node::Node;
use crate::node_tests::{apply, json_of, start};
use andon_broker::{BrokerHooks as _, CommandRefusal, Peer};
use andon_bus::is_late;
use andon_model::{DataType, Timestamp};
use andon_sparkplug::{DeviceDef, EdgeConfig, EdgeNode, HostOptions, MetricDef};
use andon_wire::mqtt::Text;
use serde_json::{Value as Json, json};

/// Somebody else's edge node `g/n` with a device `d`, whose metrics `speed`, `level` and `lamp` have these tags in the peer's own count.
fn peer() -> EdgeNode {
    let metric = |tag, name: &str, data_type| MetricDef {
        tag: TagId(tag),
        name: name.to_owned(),
        data_type,
        unit: None,
        writable: true,
    };
    let metrics = vec![
        metric(0, "speed", DataType::Double),
        metric(1, "level", DataType::Double),
        metric(2, "lamp", DataType::Boolean),
    ];
    let name = NodeName::new("g", "n").expect("a name");
    let devices = vec![DeviceDef { id: "d".into(), metrics }];
    EdgeNode::new(EdgeConfig { name, primary_host: None, metrics: Vec::new(), devices }, 0)
}

fn at(seconds: u64) -> Now {
    let since = Duration::from_secs(seconds);
    Now { wall: Timestamp::from_millis(1_700_000_000_000).plus(since), mono: since }
}

fn sample(tag: u32, value: Value, now: Now) -> Sample {
    Sample { tag: TagId(tag), value, quality: StatusCode::GOOD, source_ts: now.wall, received_ts: now.wall }
}

fn address(metric: &str) -> Address {
    Address { node: NodeName::new("g", "n").expect("a name"), device: Some("d".into()), metric: metric.into() }
}

/// What a tag has by the rule of the bus: what is late does not count.
#[derive(Default)]
struct Last(HashMap<TagId, Sample>);

impl Last {
    /// Takes samples, none of which may be late.
    fn take(&mut self, samples: Vec<Sample>, what: &str) {
        for sample in samples {
            if let Some(last) = self.0.get(&sample.tag) {
                assert!(!is_late(&sample, last), "{what}: {sample:?} after {last:?}");
            }
            self.0.insert(sample.tag, sample);
        }
    }
}

#[test]
fn no_value_is_late_however_slow_the_clock_of_its_device() {
    for slow in [0, 1, 9, 11, 3600] {
        let targets = |speed: &str| {
            let mut targets = Targets::default();
            targets.insert(&address(speed), TagId(7));
            targets
        };
        let mut host = Host::new(HostOptions::default(), targets("speed"));
        let mut edge = peer();
        let mut last = Last::default();
        let theirs = |seconds: u64| at(10_000 + seconds - slow);
        for seconds in 0..200 {
            let (now, then) = (at(10_000 + seconds), theirs(seconds));
            edge.take(&sample(0, Value::Int64(i64::try_from(seconds).expect("few")), then));
            edge.take(&sample(1, Value::Double(0.5), then));
            let mut messages = match seconds {
                0 => edge.start(then),
                50 => edge.stop(then).into_iter().collect(),
                60 => edge.start(then),
                // Its connection breaks and it is back at once.
                120 => edge.rebirth(then),
                _ => Vec::new(),
            };
            messages.append(&mut edge.flush(then));
            for message in messages {
                last.take(
                    host.handle(&message.topic, &message.payload, now).samples,
                    &format!("{slow} s slow, at {seconds}"),
                );
            }
            let value = last.0.get(&TagId(7)).map(|sample| (sample.value.clone(), sample.quality.is_good()));
            let expected = match seconds {
                50..60 => (Value::Null, false),
                150..180 => (Value::Double(0.5), true),
                _ => (Value::Double(f64::from(u32::try_from(seconds).expect("few"))), true),
            };
            assert_eq!(value, Some(expected), "{slow} s slow, at {seconds}");
            // The tag becomes another metric for a while, and over a restart the host knows less.
            if seconds == 149 || seconds == 179 {
                let mapped = targets(if seconds == 149 { "level" } else { "speed" });
                last.take(host.set_targets(mapped, now).samples, &format!("{slow} s slow, mapped at {seconds}"));
            }
        }
    }
}

const PLANT: &str = r#"
[[equipment]]
path = "works"
level = "site"
[[tag]]
path = "works/speed"
type = "double"
range = [0, 100]
write = {}
[[tag]]
path = "works/level"
type = "double"
range = [0, 100]
write = {}
[[connector]]
name = "one"
type = "sparkplug_host"
host_id = "one"
groups = ["g"]
[[connector.metric]]
tag = "works/speed"
node = "g/n"
device = "d"
metric = "speed"
[[connector]]
name = "two"
type = "sparkplug_host"
host_id = "two"
groups = ["g"]
[[connector.metric]]
tag = "works/level"
node = "g/n"
device = "d"
metric = "level"
"#;

/// A node with that plant.
async fn begin(folder: &std::path::Path, more: &str) -> Node {
    let node = start(folder, more).await.expect("a node");
    apply(&node, PLANT, 0).await;
    node
}

/// As a client's.
async fn publish(node: &Node, messages: Vec<andon_sparkplug::Message>) {
    for message in messages {
        let name = TopicName::parse(&message.topic).expect("a topic");
        let now = node.clock.now();
        let mut published = Message::internal(name, message.payload.into(), QoS::AtMostOnce, false, now);
        published.publisher = Text::parse("peer").ok();
        node.broker.publish(published).await.expect("published");
    }
}

fn now(node: &Node) -> Now {
    Now { wall: node.clock.now(), mono: node.clock.monotonic() }
}

/// A command to these metrics as another host would send it, in one message.
fn command(metrics: &[(&str, Value)], by: andon_sparkplug::CommandBy) -> Bytes {
    let options = HostOptions { command_by: by, ..HostOptions::default() };
    let mut host = Host::new(options, Targets::default());
    for message in peer().start(at(0)) {
        host.handle(&message.topic, &message.payload, at(0));
    }
    // One payload after another is one payload with the metrics of both.
    let one =
        |(metric, value): &(&str, Value)| host.command(&address(metric), value, at(0).wall).expect("a command").payload;
    metrics.iter().flat_map(one).collect::<Vec<u8>>().into()
}

const DCMD: &str = "spBv1.0/g/DCMD/n/d";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_for_tags_of_two_hosts_goes_through_the_door_and_what_concerns_none_is_passed_on() {
    use andon_sparkplug::CommandBy::{Alias, Name};
    let folder = tempfile::tempdir().expect("a folder");
    let node = begin(folder.path(), "").await;
    let mut edge = peer();
    publish(&node, edge.start(now(&node))).await;
    let speed = || ("speed", Value::Double(4.0));
    let level = || ("level", Value::Double(5.0));
    let lamp = || ("lamp", Value::Boolean(true));
    let planned = |metrics: &[(&str, Value)], by| {
        let planned = node.sparkplug.command(DCMD, &command(metrics, by)).expect("a command topic");
        planned.map(|planned| {
            let view = node.sparkplug.bus.plant();
            let path = |tag: TagId| view.tag(tag).map(|tag| tag.path.to_string()).unwrap_or_default();
            let writes: Vec<_> = planned.writes.into_iter().map(|(tag, value)| (path(tag), value)).collect();
            (writes, matches!(planned.then, Then::PassOn))
        })
    };
    let written = |path: &str, value| (path.to_owned(), Value::Double(value));
    for by in [Alias, Name] {
        assert!(node.sparkplug.command_topic(DCMD));
        assert_eq!(planned(&[speed()], by), Ok((vec![written("works/speed", 4.0)], false)));
        assert_eq!(planned(&[level()], by), Ok((vec![written("works/level", 5.0)], false)), "of the second host");
        let both = vec![written("works/level", 5.0), written("works/speed", 4.0)];
        assert_eq!(planned(&[level(), speed()], by), Ok((both, false)), "in its order");
        assert_eq!(planned(&[lamp()], by), Ok((Vec::new(), true)));
        let partly = planned(&[level(), lamp()], by).expect_err("partly");
        assert!(partly.contains("message of its own"), "{partly}");
    }
    assert!(node.sparkplug.command(DCMD, b"\xff").expect("a command topic").is_err());
    publish(&node, edge.stop(now(&node)).into_iter().collect()).await;
    assert!(planned(&[lamp()], Alias).is_err(), "an alias of a device that is gone may be another metric's");
    assert!(planned(&[lamp()], Name).is_ok());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_another_host_needs_the_right_to_operate_the_tag() {
    use andon_sparkplug::CommandBy::Name;
    let folder = tempfile::tempdir().expect("a folder");
    let node = begin(folder.path(), "").await;
    let mut edge = peer();
    publish(&node, edge.start(now(&node))).await;
    let hooks = node.entrance.hooks.clone();
    let peer =
        Peer { address: "127.0.0.1:1".parse().expect("an address"), tls: false, websocket: false, certificate: None };
    let mut asked = Vec::new();
    for (name, operate) in [("viewer", Json::Null), ("scada", json!("works"))] {
        let body = json!({ "name": name, "publish": ["spBv1.0/g/#"], "subscribe": [], "operate": operate });
        let (status, made) = json_of(&node, "POST", "/api/devices", body).await;
        assert_eq!(status, 201, "{made}");
        let word = |key: &str| made[key].as_str().expect("a word").to_owned();
        let (user, password) = (word("user"), word("password"));
        let who = hooks.authenticate(name, Some(&user), Some(password.as_bytes()), &peer).await.expect("let in");
        let topic = TopicName::parse(DCMD).expect("a topic");
        for metrics in [[("speed", Value::Double(4.0))], [("lamp", Value::Boolean(true))]] {
            let payload = command(&metrics, Name);
            asked.push(hooks.command(&who, &topic, &payload, &Vec::new()).await);
        }
    }
    let [not_his, lamp, nobody_there, _] = &asked[..] else { panic!("{asked:?}") };
    assert!(matches!(not_his, Err(CommandRefusal::NotAuthorised(_))), "{not_his:?}");
    // Both get as far as the device, which is not connected.
    for refused in [lamp, nobody_there] {
        assert!(matches!(refused, Err(CommandRefusal::Ended(why)) if why.contains("no device listens")), "{refused:?}");
    }
    let his = |events: &[Json]| {
        let told = events.iter().map(ToString::to_string);
        told.into_iter().any(|event| event.contains("works/speed") && event.contains("scada")).then_some(())
    };
    timeline(&node, "command", his).await;
    node.stop().await;
}

/// What is made of the timeline's events of this kind, the newest first, once it can be: the timeline follows the log.
async fn timeline<T>(node: &Node, kind: &str, made: impl Fn(&[Json]) -> Option<T>) -> T {
    let look = async {
        loop {
            let (_, answer) = json_of(node, "GET", &format!("/api/timeline?kind={kind}&limit=500"), Json::Null).await;
            if let Some(made) = made(answer["events"].as_array().expect("events")) {
                return made;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("it is told")
}

/// What the timeline tells of comings and goings of this one, the oldest first, once there are so many.
async fn comings(node: &Node, name: &str, wanted: usize) -> Vec<(bool, String)> {
    let told = |events: &[Json]| {
        let of = events.iter().rev().map(|event| &event["detail"]).filter(|detail| detail["name"] == name);
        let reason = |detail: &Json| detail["reason"].as_str().unwrap_or_default().to_owned();
        let told: Vec<_> = of.map(|detail| (detail["connected"] == true, reason(detail))).collect();
        (told.len() >= wanted).then_some(told)
    };
    timeline(node, "connection", told).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_word_of_the_timeline_on_a_node_that_comes_and_goes_is_true() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = begin(folder.path(), "").await;
    for _ in 0..4 {
        let mut edge = peer();
        publish(&node, edge.start(now(&node))).await;
        publish(&node, edge.stop(now(&node)).into_iter().collect()).await;
    }
    // Each of the two hosts tells it.
    let told: Vec<_> = comings(&node, "g/n", 16).await.into_iter().map(|(connected, _)| connected).collect();
    assert_eq!(told.last(), Some(&false), "{told:?}");
    assert_eq!(told.iter().filter(|connected| **connected).count(), 8);
    for _ in 0..20 {
        publish(&node, peer().start(now(&node))).await;
    }
    let told = comings(&node, "g/n", 20).await;
    assert!(told[19].1.contains("the last one told"), "what is not told is told to be: {told:?}");
    node.stop().await;
}

const EDGE: &str = r#"
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/press"
level = "area"
[[tag]]
path = "works/press/speed"
type = "double"
unit = "mm"
[[tag]]
path = "works/press/level"
type = "double"
unit = "mm"
[[topic]]
filter = "in/speed"
format = "value"
tag = "works/press/speed"
[[connector]]
name = "up"
type = "sparkplug_edge"
group = "g"
node = "andon"
branch = "works"
"#;

async fn connector(node: &Node, state: &str) -> Json {
    connector_called(node, "up", state).await
}

async fn connector_called(node: &Node, name: &str, state: &str) -> Json {
    let look = async {
        loop {
            let (_, answer) = json_of(node, "GET", "/api/connectors", Json::Null).await;
            let up = answer["connectors"].as_array().expect("connectors").iter().find(|it| it["name"] == name);
            let up = up.cloned().unwrap_or_default();
            if up["state"] == state {
                return up;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.expect("its state")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_node_whose_births_are_too_large_says_so_until_they_are_out() {
    let folder = tempfile::tempdir().expect("a folder");
    // The birth of the device has its names and units, what follows goes by alias.
    let node = start(folder.path(), "[limits]\nmqtt_payload_bytes = 100\n").await.expect("a node");
    apply(&node, EDGE, 0).await;
    let up = connector(&node, "failed").await;
    let said = up["last_error"]["text"].as_str().unwrap_or_default();
    assert!(said.contains("DBIRTH/andon/press") && said.contains("over the limit of 100"), "{up}");
    assert!(up["last_error"]["remedy"].as_str().unwrap_or_default().contains("mqtt_payload_bytes"), "{up}");
    // Data that are small enough do not make it well: nobody can read them.
    let seen =
        async || json_of(&node, "GET", "/api/mqtt/topic?topic=spBv1.0/g/DDATA/andon/press", Json::Null).await.0 == 200;
    let data = async {
        let mut value = 0.0;
        while !seen().await {
            value += 1.0;
            let name = TopicName::parse("in/speed").expect("a topic");
            let mut message =
                Message::internal(name, format!("{value}").into(), QoS::AtMostOnce, false, node.clock.now());
            message.publisher = Text::parse("peer").ok();
            node.broker.publish(message).await.expect("published");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), data).await.expect("data go out");
    assert_eq!(connector(&node, "failed").await["state"], json!("failed"));
    // A branch with less in it fits.
    let smaller = EDGE.replace("branch = \"works\"", "branch = \"works/other\"");
    apply(&node, &format!("{smaller}[[equipment]]\npath = \"works/other\"\nlevel = \"area\"\n"), 1).await;
    connector(&node, "connected").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_knows_and_could_not_be_kept_is_kept_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = begin(folder.path(), "").await;
    publish(&node, peer().start(now(&node))).await;
    let run = node.sparkplug.hosts().into_iter().find(|run| run.name == "one").expect("it runs");
    // In its place is a folder that is not empty.
    std::fs::create_dir_all(run.file.join("in the way")).expect("a folder");
    node.sparkplug.keep().await;
    assert!(run.changed.load(Ordering::Relaxed), "it is tried again");
    std::fs::remove_dir_all(&run.file).expect("removed");
    node.sparkplug.keep().await;
    assert!(run.file.is_file() && !run.changed.load(Ordering::Relaxed));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_says_which_edge_nodes_are_missing_and_only_once_they_had_time_to_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = begin(folder.path(), "").await;
    let mut edge = peer();
    publish(&node, edge.start(now(&node))).await;
    let there = connector_called(&node, "one", "connected").await;
    assert_eq!(there["last_error"], Json::Null);
    publish(&node, edge.stop(now(&node)).into_iter().collect()).await;
    let gone = connector_called(&node, "one", "failed").await;
    assert_eq!(gone["last_error"]["text"], json!("no edge node is online that this host knows: g/n"), "{gone}");
    assert!(gone["last_error"]["remedy"].as_str().unwrap_or_default().contains("NBIRTH"), "{gone}");
    node.sparkplug.keep().await;
    node.stop().await;
    // It knows the edge node from before and nothing has failed yet.
    let node = start(folder.path(), "").await.expect("a node");
    let known = connector_called(&node, "one", "connecting").await;
    assert_eq!(known["last_error"], Json::Null);
    assert!(known["endpoint"].as_str().unwrap_or_default().starts_with("0 of 1 edge nodes"), "{known}");
    node.stop().await;
}
