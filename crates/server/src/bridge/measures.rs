//! How bridges are doing, as values of tags: so a link has trends, alarms and rules like a machine.
//!
//! **Invariant**: a tag that no bridge measures any more is out of service; it does not go on looking well.

use super::{Bridges, LinkState, Report};
use andon_bus::Bus;
use andon_connectors::settings::{Findings, Section, tags_read};
use andon_model::plant::{ConnectorDef, Plant, TagDef};
use andon_model::{DataType, Sample, StatusCode, TagId, TagPath, Timestamp, Unit, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often all are measured.
const EVERY: Duration = Duration::from_secs(1);
/// The list in a bridge's settings.
const KEY: &str = "measure";

/// Something about a bridge that a tag can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Whether there is a link.
    Connected,
    /// How long the oldest message has waited, in s; 0 when none waits.
    Lag,
    /// How many messages wait.
    WaitingMessages,
    /// Bytes of their topics and payloads.
    WaitingBytes,
    /// Messages sent per second, averaged over some seconds.
    SentPerSecond,
    /// Messages taken per second, averaged over some seconds.
    ReceivedPerSecond,
    /// Messages lost since there is this bridge.
    LostMessages,
}

const WORDS: [(&str, What); 7] = [
    ("connected", What::Connected),
    ("lag", What::Lag),
    ("waiting_messages", What::WaitingMessages),
    ("waiting_bytes", What::WaitingBytes),
    ("sent_per_s", What::SentPerSecond),
    ("received_per_s", What::ReceivedPerSecond),
    ("lost_messages", What::LostMessages),
];

impl What {
    const fn data_type(self) -> DataType {
        match self {
            Self::Connected => DataType::Boolean,
            Self::Lag | Self::SentPerSecond | Self::ReceivedPerSecond => DataType::Double,
            Self::WaitingMessages | Self::WaitingBytes | Self::LostMessages => DataType::Int64,
        }
    }

    /// The only unit, after UCUM, that a tag for it may have; `None`: any, for people name what they count.
    const fn unit(self) -> Option<&'static str> {
        match self {
            Self::Lag => Some("s"),
            Self::WaitingBytes => Some("By"),
            _ => None,
        }
    }

    fn of(self, report: &Report, now: Timestamp) -> Value {
        let whole = |n: u64| Value::Int64(i64::try_from(n).unwrap_or(i64::MAX));
        match self {
            Self::Connected => Value::Boolean(report.state == LinkState::Connected),
            Self::Lag => Value::Double(report.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64())),
            Self::WaitingMessages => whole(report.waiting.messages),
            Self::WaitingBytes => whole(report.waiting.bytes),
            Self::SentPerSecond => Value::Double(report.sent_per_s),
            Self::ReceivedPerSecond => Value::Double(report.received_per_s),
            Self::LostMessages => whole(report.lost.messages),
        }
    }
}

/// What a tag takes of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    pub what: What,
    pub tag: TagPath,
}

/// Reads the list `measure`.
pub fn read(
    section: &mut Section<'_>,
    connector: &ConnectorDef,
    plant: &Plant,
    findings: &mut Findings,
) -> Vec<Measure> {
    let list = section.list(KEY, findings);
    if list.is_empty() {
        return Vec::new();
    }
    let tags: HashMap<&str, &TagDef> = plant.tags.iter().map(|tag| (tag.path.as_str(), tag)).collect();
    let others = plant.connectors.iter().filter(|other| other.name != connector.name);
    let elsewhere: HashMap<&str, &str> = tags_read(others).collect();
    let mut seen = HashSet::new();
    let mut measures = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let Some(mut entry) = Section::open(value, vec![KEY.to_owned(), index.to_string()], findings) else { continue };
        let path = entry.required_text("tag", "\"site/network/head-office-lag\"", findings);
        let what = match entry.required_text("what", "\"lag\"", findings) {
            Some(_) => entry.choice("what", &WORDS, findings),
            None => None,
        };
        let tag = path.and_then(|path| {
            let found = tags.get(path).copied();
            if found.is_none() {
                let message = format!("there is no tag \"{}\"", path.chars().take(255).collect::<String>());
                findings.add(entry.at("tag"), message, "add a [[tag]] with this path, or correct the path");
            }
            found
        });
        if let (Some(tag), Some(what)) = (tag, what) {
            fits(&entry, tag, what, findings);
            let other = elsewhere.get(tag.path.as_str()).copied();
            if let Some(other) = other.or_else(|| (!seen.insert(&tag.path)).then_some(connector.name.as_str())) {
                let message = format!("the tag {} is already read by the connector \"{other}\"", tag.path);
                findings.add(entry.at("tag"), message, "a tag has one source: remove one of the two");
            }
            measures.push(Measure { what, tag: tag.path.clone() });
        }
        entry.finish(findings);
    }
    measures
}

fn fits(entry: &Section<'_>, tag: &TagDef, what: What, findings: &mut Findings) {
    let word = WORDS.iter().find(|(_, other)| *other == what).map_or("", |(word, _)| word);
    let path = &tag.path;
    if tag.data_type != what.data_type() {
        let (is, wanted) = (tag.data_type.name(), what.data_type().name());
        let message = format!("the tag {path} is of the type {is}, and \"{word}\" is {wanted}");
        findings.add(entry.at("tag"), message, format!("give the tag type = \"{wanted}\""));
    }
    if let (Some(unit), Some(wanted)) = (tag.unit.as_ref().map(Unit::code), what.unit())
        && unit != wanted
    {
        let message = format!("the tag {path} is in {unit}, and \"{word}\" comes in {wanted}");
        findings.add(entry.at("tag"), message, format!("give the tag unit = \"{wanted}\""));
    }
    if tag.write.is_some() {
        let message = format!("the tag {path} can be written, and \"{word}\" only be measured");
        findings.add(entry.at("tag"), message, "take `write` out of the tag");
    }
}

/// Measures all bridges every second, until `stop`.
pub async fn run(bridges: Arc<Bridges>, bus: Arc<Bus>, stop: CancellationToken) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut before = HashSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // Bridges that the node has stopped are not out of service: their last values stay as they are.
        let Some(measured) = bridges.measured() else { return };
        let samples = samples(&bus, &measured, &mut before);
        if !samples.is_empty() {
            bus.publish(samples).await;
        }
    }
}

/// A sample of each measure, and one that is out of service of each tag that had one `before` and has none now.
fn samples(bus: &Bus, measured: &[(Vec<Measure>, Report)], before: &mut HashSet<TagId>) -> Vec<Sample> {
    let (view, now) = (bus.plant(), bus.clock().now());
    let sample = |tag, value, quality| Sample { tag, value, quality, source_ts: now, received_ts: now };
    let measures = measured.iter().flat_map(|(measures, report)| measures.iter().map(move |measure| (measure, report)));
    let mut samples: Vec<Sample> = measures
        .filter_map(|(measure, report)| {
            let tag = view.by_path.get(&measure.tag).copied()?;
            Some(sample(tag, measure.what.of(report, now), StatusCode::GOOD))
        })
        .collect();
    let tags: HashSet<TagId> = samples.iter().map(|sample| sample.tag).collect();
    let gone = before.difference(&tags).copied().filter(|tag| view.tag(*tag).is_some());
    samples.extend(gone.map(|tag| sample(tag, Value::Null, StatusCode::BAD_OUT_OF_SERVICE)));
    *before = tags;
    samples
}

#[cfg(test)]
mod tests {
    use super::{WORDS, What};
    use crate::adapters::Checks;
    use crate::bridge::config;
    use andon_store::documents::{self, Document};

    const BRIDGE: &str = "[[connector]]\nname = \"head\"\ntype = \"mqtt_bridge\"\nendpoint = \"mqtts://a.example\"\nclient_id = \"c\"\nsend = [{ filter = \"a\" }]\n";

    fn tag(path: &str, data_type: &str, more: &str) -> String {
        format!(
            "[[equipment]]\npath = \"site-{path}\"\nlevel = \"site\"\n[[tag]]\npath = \"site-{path}/{path}\"\ntype = \"{data_type}\"\n{more}"
        )
    }

    fn measure(what: &str, path: &str) -> String {
        format!("[[connector.measure]]\nwhat = \"{what}\"\ntag = \"site-{path}/{path}\"\n")
    }

    fn errors(text: &str) -> String {
        let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        let parsed = documents::parse(&[document], &Checks);
        parsed.map_or_else(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), |_| String::new())
    }

    #[test]
    fn each_measure_is_taken_by_a_tag_of_its_type_and_by_no_other() {
        for (word, what) in WORDS {
            let own = what.data_type().name();
            for data_type in ["boolean", "int64", "double", "string"] {
                let said = errors(&format!("{}{BRIDGE}{}", tag("t", data_type, ""), measure(word, "t")));
                assert_eq!(said.is_empty(), data_type == own, "{word} into {data_type}: {said}");
                assert!(said.is_empty() || said.contains(&format!("type = \"{own}\"")), "{said}");
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_measure_is_said() {
        let lag = tag("t", "double", "");
        for (text, said) in [
            (format!("{lag}{BRIDGE}{}", measure("delay", "t")), "must be one of connected, lag"),
            (format!("{lag}{BRIDGE}{}", measure("lag", "u")), "there is no tag \"site-u/u\""),
            (format!("{lag}{BRIDGE}[[connector.measure]]\nwhat = \"lag\"\n"), "`tag` is missing"),
            (format!("{lag}{BRIDGE}[[connector.measure]]\ntag = \"site-t/t\"\n"), "`what` is missing"),
            (format!("{lag}{BRIDGE}{}every = \"1s\"\n", measure("lag", "t")), "`every` is not a setting here"),
            (format!("{lag}{BRIDGE}{}{}", measure("lag", "t"), measure("sent_per_s", "t")), "a tag has one source"),
            (
                format!("{}{BRIDGE}{}", tag("t", "double", "unit = \"min\"\n"), measure("lag", "t")),
                "in min, and \"lag\" comes in s",
            ),
            (
                format!("{}{BRIDGE}{}", tag("t", "double", "write = { min = 0, max = 1 }\n"), measure("lag", "t")),
                "only be measured",
            ),
        ] {
            let found = errors(&text);
            assert!(found.contains(said), "{text}\n{found}");
        }
        let twice = format!(
            "{lag}{BRIDGE}{}{}",
            measure("lag", "t"),
            BRIDGE.replace("head", "other").replace("\"c\"", "\"d\"")
        );
        assert_eq!(errors(&twice), "");
        assert!(errors(&format!("{twice}{}", measure("lag", "t"))).contains("already read by the connector \"head\""));
    }

    #[test]
    fn a_connector_with_measures_reads_as_it_stands() {
        let text = format!("{}{BRIDGE}{}", tag("t", "double", "unit = \"s\"\n"), measure("lag", "t"));
        let document = Document { name: "plant.toml".to_owned(), text };
        let plant = documents::parse(&[document], &Checks).expect("a good model");
        let config = config::parse(&plant.connectors[0], &plant).expect("good settings");
        let read: Vec<(What, &str)> = config.measures.iter().map(|m| (m.what, m.tag.as_str())).collect();
        assert_eq!(read, [(What::Lag, "site-t/t")]);
    }
}
