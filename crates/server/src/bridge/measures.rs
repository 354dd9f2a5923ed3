//! How bridges are doing, as values of tags: so a link has trends, alarms and rules like a machine.
//!
//! **Invariant**: a tag that no bridge measures any more is out of service; it does not go on looking well.

use super::config::KIND;
use super::{Bridges, LinkState, Report};
use andon_bus::{Bus, PlantView};
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
pub const KEY: &str = "measure";

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

    /// The value; [`Value::Null`] where it is not known: something waits, and not since when.
    fn of(self, report: &Report, now: Timestamp) -> Value {
        let whole = |n: u64| Value::Int64(i64::try_from(n).unwrap_or(i64::MAX));
        match self {
            Self::Connected => Value::Boolean(report.state == LinkState::Connected),
            Self::Lag => match report.oldest {
                Some(oldest) => Value::Double(now.since(oldest).as_secs_f64()),
                None if report.waiting.messages > 0 => Value::Null,
                None => Value::Double(0.0),
            },
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

/// A bridge of which tags take something.
pub enum Measured {
    /// It runs.
    Runs { measures: Vec<Measure>, report: Box<Report> },
    /// It cannot run, or has ended by a fault. With the tags that are to take something of it.
    Fails(Vec<TagPath>),
}

/// Measures all bridges every second, until `stop`.
pub async fn run(bridges: Arc<Bridges>, bus: Arc<Bus>, stop: CancellationToken) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut tags = Tags::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let view = bus.plant();
        // While the plant changes nothing is measured, and those that the node has stopped keep their last values.
        if let Some(measured) = bridges.measured(&view.plant) {
            let samples = tags.samples(&view, bus.clock().now(), &measured);
            if !samples.is_empty() {
                bus.publish(samples).await;
            }
        }
    }
}

/// The tags that take something of a bridge, each with whether it is in service.
#[derive(Default)]
struct Tags(HashMap<TagId, bool>);

impl Tags {
    /// A sample for each that has a value, and one for each that is out of service from now on, unless something else reads it by now.
    fn samples(&mut self, view: &PlantView, now: Timestamp, bridges: &[Measured]) -> Vec<Sample> {
        let sample = |tag, value, quality| Sample { tag, value, quality, source_ts: now, received_ts: now };
        let id = |path: &TagPath| view.by_path.get(path).copied();
        let (mut samples, mut out, mut listed) = (Vec::new(), Vec::new(), HashSet::new());
        for bridge in bridges {
            match bridge {
                Measured::Runs { measures, report } => {
                    for (what, tag) in measures.iter().filter_map(|one| Some((one.what, id(&one.tag)?))) {
                        listed.insert(tag);
                        // Until it has looked at what waits, what was known of it before is the best there is.
                        if report.looked {
                            let value = what.of(report, now);
                            let quality = if value == Value::Null { StatusCode::BAD_NO_DATA } else { StatusCode::GOOD };
                            self.0.insert(tag, true);
                            samples.push(sample(tag, value, quality));
                        }
                    }
                }
                Measured::Fails(tags) => {
                    for tag in tags.iter().filter_map(id) {
                        listed.insert(tag);
                        out.extend(Some(tag).filter(|_| self.0.insert(tag, false) != Some(false)));
                    }
                }
            }
        }
        let left = self.0.extract_if(|tag, _| !listed.contains(tag));
        out.extend(left.filter(|(_, in_service)| *in_service).map(|(tag, _)| tag));
        if !out.is_empty() {
            let others = view.plant.connectors.iter().filter(|def| def.enabled && def.kind != KIND);
            let others: HashSet<&str> = tags_read(others).map(|(tag, _)| tag).collect();
            let is_free = |tag: &TagId| view.tag(*tag).is_some_and(|tag| !others.contains(tag.path.as_str()));
            let out = out.into_iter().filter(is_free);
            samples.extend(out.map(|tag| sample(tag, Value::Null, StatusCode::BAD_OUT_OF_SERVICE)));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use crate::bridge::config;
    use andon_broker::bridge::Amount;
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

    fn report(change: impl FnOnce(&mut Report)) -> Report {
        let begun = Report::new(LinkState::Connected, Timestamp::from_millis(0));
        let mut report = Report { looked: true, sent_per_s: 1.5, ..begun };
        change(&mut report);
        report
    }

    #[test]
    fn lag_is_the_age_of_the_oldest_and_unknown_where_that_is() {
        let now = Timestamp::from_millis(90_000);
        let waiting = Amount { messages: 3, bytes: 300 };
        let lag = |oldest: Option<i64>, waiting| {
            What::Lag.of(&report(|r| (r.oldest, r.waiting) = (oldest.map(Timestamp::from_millis), waiting)), now)
        };
        assert_eq!(lag(Some(60_000), waiting), Value::Double(30.0));
        assert_eq!(lag(None, Amount::default()), Value::Double(0.0));
        assert_eq!(lag(None, waiting), Value::Null);
        let all: Vec<Value> = WORDS.iter().map(|(_, what)| what.of(&report(|r| r.waiting = waiting), now)).collect();
        let zero = Value::Double(0.0);
        let expected = [
            Value::Boolean(true),
            Value::Null,
            Value::Int64(3),
            Value::Int64(300),
            Value::Double(1.5),
            zero,
            Value::Int64(0),
        ];
        assert_eq!(all, expected);
    }

    /// A plant with two tags, numbered 1 and 2, and these connectors behind them.
    fn view(connectors: &str) -> PlantView {
        let text = format!("{}{}{connectors}", tag("t", "double", ""), tag("u", "double", ""));
        let document = Document { name: "plant.toml".to_owned(), text };
        let plant = documents::parse(&[document], &Checks).expect("a good model");
        assert_eq!(plant.tags.iter().map(|tag| tag.path.as_str()).collect::<Vec<_>>(), ["site-t/t", "site-u/u"]);
        PlantView::new(Arc::new(plant), vec![TagId(1), TagId(2)])
    }

    fn runs(path: &str, change: impl FnOnce(&mut Report)) -> Measured {
        let tag = TagPath::parse(path).expect("a path");
        Measured::Runs { measures: vec![Measure { what: What::Lag, tag }], report: Box::new(report(change)) }
    }

    #[test]
    fn what_no_bridge_measures_any_more_is_out_of_service_once_unless_something_else_reads_it() {
        let at = Timestamp::from_millis(5);
        let told = |tags: &mut Tags, view: &PlantView, bridges: &[Measured]| -> Vec<(u32, StatusCode)> {
            tags.samples(view, at, bridges).iter().map(|sample| (sample.tag.0, sample.quality)).collect()
        };
        let (good, out) = (StatusCode::GOOD, StatusCode::BAD_OUT_OF_SERVICE);
        let (mut tags, plain) = (Tags::default(), view(""));
        assert_eq!(told(&mut tags, &plain, &[runs("site-t/t", |r| r.looked = false)]), [], "nothing is known yet");
        assert_eq!(told(&mut tags, &plain, &[runs("site-t/t", |_| ())]), [(1, good)]);
        assert_eq!(told(&mut tags, &plain, &[runs("site-t/t", |r| r.looked = false)]), [], "begun anew");
        assert_eq!(told(&mut tags, &plain, &[]), [(1, out)]);
        assert_eq!(told(&mut tags, &plain, &[]), []);
        // One that fails is so from the start, and comes back.
        let fails = || [Measured::Fails(vec![TagPath::parse("site-u/u").expect("a path")])];
        assert_eq!(told(&mut tags, &plain, &fails()), [(2, out)]);
        assert_eq!(told(&mut tags, &plain, &fails()), []);
        assert_eq!(told(&mut tags, &plain, &[runs("site-u/u", |_| ())]), [(2, good)]);
        assert_eq!(told(&mut tags, &plain, &fails()), [(2, out)]);
        // Its value is another one's now.
        assert_eq!(told(&mut tags, &plain, &[runs("site-u/u", |_| ())]), [(2, good)]);
        let register = "[[connector]]\nname = \"m\"\ntype = \"modbus\"\nendpoint = \"127.0.0.1:502\"\npoll = \"1s\"\n[[connector.register]]\ntag = \"site-u/u\"\ntable = \"holding\"\naddress = 1\ntype = \"f32\"\n";
        assert_eq!(told(&mut tags, &view(register), &[]), []);
        // Or nobody's: the tag is gone.
        assert_eq!(told(&mut tags, &plain, &[runs("site-t/t", |_| ())]), [(1, good)]);
        assert_eq!(told(&mut tags, &PlantView::default(), &[]), []);
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
