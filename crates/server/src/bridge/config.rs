//! The words of the connector `mqtt_bridge`, checked. Pure.

use super::measures::{self, Measure};
use andon_broker::bridge::{Rule, WhenFull, is_in_front, overlap, reader_name};
use andon_connectors::settings::{Findings, Section};
use andon_model::plant::{ConnectorDef, Finding, Plant};
use andon_wire::mqtt::{QoS, Text, TopicFilter, TopicName, Version};
use rustls_pki_types::ServerName;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The connector's type.
pub const KIND: &str = "mqtt_bridge";
/// The most rules in each direction.
const RULES: usize = 100;
const DAY: Duration = Duration::from_secs(86_400);
const KEEP_ALIVE: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(3600);
const ANSWER: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
const SESSION: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(365 * 86_400);
const KEEP_FOR: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(3650 * 86_400);
const ALARM: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(7 * 86_400);
const FULL: [(&str, WhenFull); 2] = [("drop_oldest", WhenFull::DropOldest), ("drop_newest", WhenFull::DropNewest)];
const REFUSED: [(&str, bool); 2] = [("wait", false), ("skip", true)];
const OLDEST: [(&str, bool); 2] = [("1.3", false), ("1.2", true)];

/// Something that a document says, or that it names as a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It stands there.
    Plain(String),
    /// The name of a secret.
    Secret(String),
}

/// How the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// Who vouches for the other side, in PEM; `None`: those that the system trusts.
    pub ca: Option<Word>,
    /// Our certificate and its key, in PEM.
    pub own: Option<(Word, Word)>,
    /// The name in the other side's certificate.
    pub server_name: ServerName<'static>,
    /// TLS 1.2 will do.
    pub old: bool,
}

/// A bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub host: String,
    pub port: u16,
    pub tls: Option<Encryption>,
    pub client_id: Text,
    pub user: Option<Text>,
    /// The name of the secret.
    pub password: Option<String>,
    pub version: Version,
    pub keep_alive: Duration,
    pub answer_within: Duration,
    pub session_expiry: Duration,
    pub send: Vec<Rule>,
    pub receive: Vec<Rule>,
    /// 0: as fast as can be.
    pub catch_up_per_second: u32,
    pub newest_first: bool,
    pub in_flight: u16,
    pub keep_mib: u32,
    pub keep_for: Option<Duration>,
    pub when_full: WhenFull,
    pub skip_refused: bool,
    pub alarm_after: Duration,
    /// What tags take of how it is doing.
    pub measures: Vec<Measure>,
}

impl Config {
    /// Where it connects to, for people.
    pub fn endpoint(&self) -> String {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// What is wrong with a bridge's settings.
pub fn check(connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
    parse(connector, plant).err().unwrap_or_default()
}

/// Reads the settings.
pub fn parse(connector: &ConnectorDef, plant: &Plant) -> Result<Config, Vec<Finding>> {
    Findings::gather(|findings| read(connector, plant, findings))
}

fn read(connector: &ConnectorDef, plant: &Plant, findings: &mut Findings) -> Option<Config> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    if reader_name(&connector.name).is_none() {
        findings.add(
            section.here(),
            "the name of a bridge is too long",
            "give it a name of at most 50 small letters, digits and hyphens",
        );
    }
    let endpoint = endpoint(&mut section, findings);
    let client_id = client_id(&mut section, connector, plant, findings);
    let user = user(&mut section, findings);
    let has_password = section.has("password");
    let password = match word(&mut section, "password", findings) {
        Some(Word::Secret(name)) => Some(name),
        Some(Word::Plain(_)) => {
            findings.add(
                section.at("password"),
                "a password is named, not written",
                "write password = { secret = \"name\" }",
            );
            None
        }
        None => None,
    };
    if has_password && !section.has("user") {
        findings.add(section.here(), "a password without a user", "add user = \"plant-7\"");
    }
    if let Some((false, host, _)) = endpoint.as_ref().filter(|(_, host, _)| password.is_some() && !is_here(host)) {
        let message = format!("the password would cross the network to {host} for everybody to read");
        findings.add(section.at("endpoint"), message, "write mqtts:// as `endpoint`, or take `password` out");
    }
    let tls = endpoint.as_ref().and_then(|(tls, host, _)| encryption(&mut section, *tls, host, findings));
    let version = match section.integer("version", 4..=5, findings) {
        Some(4) => Version::V311,
        _ => Version::V5,
    };
    let keep_alive = section.duration("keep_alive", KEEP_ALIVE, findings).unwrap_or(Duration::from_secs(30));
    let answer_within = section.duration("answer_within", ANSWER, findings).unwrap_or(Duration::from_secs(20));
    let session_expiry = section.duration("session_expiry", SESSION, findings).unwrap_or(7 * DAY);
    let send = rules(&mut section, "send", findings);
    let receive = rules(&mut section, "receive", findings);
    if send.is_empty() && receive.is_empty() && findings.is_empty() {
        let remedy = "add send = [{ filter = \"plant/#\", prefix = \"plant7/\" }], or receive";
        findings.add(section.here(), "the bridge neither sends nor receives", remedy);
    }
    rings(&section, version, &send, &receive, findings);
    let number = |value: Option<i64>, otherwise: u32| value.and_then(|n| u32::try_from(n).ok()).unwrap_or(otherwise);
    let catch_up_per_second = number(section.integer("catch_up_per_second", 0..=1_000_000, findings), 2000);
    let newest_first = section.boolean("newest_first", findings).unwrap_or(false);
    let in_flight = number(section.integer("in_flight", 1..=1000, findings), 100);
    let keep_mib = number(section.integer("keep_mib", 1..=1_048_576, findings), 1024);
    let keep_for = section.duration("keep_for", KEEP_FOR, findings);
    let when_full = section.choice("when_full", &FULL, findings).unwrap_or(WhenFull::DropOldest);
    let skip_refused = section.choice("when_refused", &REFUSED, findings).unwrap_or(false);
    let alarm_after = section.duration("alarm_after", ALARM, findings).unwrap_or(Duration::from_secs(300));
    let measures = measures::read(&mut section, connector, plant, findings);
    section.finish(findings);
    let (tls_wanted, host, port) = endpoint?;
    if tls_wanted && tls.is_none() {
        return None;
    }
    Some(Config {
        host,
        port,
        tls,
        client_id: client_id?,
        user,
        password,
        version,
        keep_alive,
        answer_within,
        session_expiry,
        send,
        receive,
        catch_up_per_second,
        newest_first,
        in_flight: u16::try_from(in_flight).unwrap_or(100),
        keep_mib,
        keep_for,
        when_full,
        skip_refused,
        alarm_after,
        measures,
    })
}

/// Whether it is encrypted, the host and the port.
fn endpoint(section: &mut Section<'_>, findings: &mut Findings) -> Option<(bool, String, u16)> {
    let example = "\"mqtts://broker.example.com:8883\"";
    let text = section.required_text("endpoint", example, findings)?;
    let found = split(text);
    if found.is_none() {
        let message = "`endpoint` must be mqtts:// or mqtt:// with a host, and a port if it is not the usual one";
        findings.add(section.at("endpoint"), message, format!("write endpoint = {example}"));
    }
    found
}

/// Whether what is sent to a host does not leave this machine.
fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// `scheme://host:port`.
fn split(text: &str) -> Option<(bool, String, u16)> {
    let (scheme, rest) = text.split_once("://")?;
    let (tls, usual) = match scheme {
        "mqtts" => (true, 8883),
        "mqtt" => (false, 1883),
        _ => return None,
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(six) => {
            let (host, after) = six.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => usual,
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_');
    (!host.is_empty() && host.bytes().all(allowed)).then(|| (tls, host.to_owned(), port))
}

fn user(section: &mut Section<'_>, findings: &mut Findings) -> Option<Text> {
    let text = section.text("user", findings)?;
    let parsed = Text::parse(text).ok();
    if parsed.is_none() {
        let message = "`user` must be a text of at most 65,535 bytes without U+0000";
        findings.add(section.at("user"), message, "write user = \"plant-7\"");
    }
    parsed
}

fn client_id(
    section: &mut Section<'_>,
    connector: &ConnectorDef,
    plant: &Plant,
    findings: &mut Findings,
) -> Option<Text> {
    let text = section.required_text("client_id", "\"plant-7\"", findings)?;
    let setting =
        |def: &ConnectorDef, key: &str| def.settings.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    // A port may be written or not.
    let place = |def: &ConnectorDef| {
        let endpoint = setting(def, "endpoint");
        endpoint.as_deref().and_then(split).map(|(_, host, port)| (host.to_ascii_lowercase(), port))
    };
    let same = |other: &&ConnectorDef| {
        other.name != connector.name
            && other.kind == KIND
            && setting(other, "client_id").as_deref() == Some(text)
            && place(other) == place(connector)
    };
    if let Some(twin) = plant.connectors.iter().find(same) {
        let message =
            format!("the bridge \"{}\" has this client_id there already: each would throw the other out", twin.name);
        findings.add(section.at("client_id"), message, "give each its own client_id");
    }
    let parsed = Text::parse(text).ok().filter(|_| !text.is_empty() && text.len() <= 1024);
    if parsed.is_none() {
        findings.add(section.at("client_id"), "`client_id` must have 1 to 1024 bytes", "write client_id = \"plant-7\"");
    }
    parsed
}

fn word(section: &mut Section<'_>, key: &'static str, findings: &mut Findings) -> Option<Word> {
    if let Some(name) = section.secret(key) {
        return Some(Word::Secret(name.to_owned()));
    }
    section.text(key, findings).map(|text| Word::Plain(text.to_owned()))
}

fn encryption(section: &mut Section<'_>, tls: bool, host: &str, findings: &mut Findings) -> Option<Encryption> {
    let ca = word(section, "ca", findings);
    let certificate = word(section, "certificate", findings);
    let key = word(section, "key", findings);
    let name = section.text("server_name", findings);
    let old = section.choice("oldest_tls", &OLDEST, findings);
    if !tls {
        if ca.is_some() || certificate.is_some() || key.is_some() || name.is_some() || old.is_some() {
            let message = "ca, certificate, key, server_name and oldest_tls are for an encrypted connection";
            findings.add(section.at("endpoint"), message, "write mqtts:// as `endpoint`, or take them out");
        }
        return None;
    }
    if matches!(key, Some(Word::Plain(_))) {
        findings.add(section.at("key"), "a key is named, not written", "write key = { secret = \"name\" }");
    }
    if certificate.is_some() != key.is_some() {
        findings.add(section.here(), "`certificate` and `key` go together", "give both, or neither");
    }
    let server_name = ServerName::try_from(name.unwrap_or(host).to_owned()).ok();
    if server_name.is_none() {
        findings.add(
            section.at("server_name"),
            "no certificate can have this name",
            "write the name that stands in the other side's certificate",
        );
    }
    Some(Encryption { ca, own: certificate.zip(key), server_name: server_name?, old: old.unwrap_or(false) })
}

fn rules(section: &mut Section<'_>, key: &'static str, findings: &mut Findings) -> Vec<Rule> {
    let list = section.list(key, findings);
    if list.len() > RULES {
        findings.add(section.at(key), format!("at most {RULES} rules"), "put topics together under wider filters");
        return Vec::new();
    }
    let mut rules = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let Some(mut entry) = Section::open(value, vec![key.to_owned(), index.to_string()], findings) else { continue };
        let filter = entry.required_text("filter", "\"plant/#\"", findings);
        let remove = entry.text("remove", findings).unwrap_or_default();
        let prefix = entry.text("prefix", findings).unwrap_or_default();
        let qos = match entry.integer("qos", 0..=1, findings) {
            Some(0) => QoS::AtMostOnce,
            _ => QoS::AtLeastOnce,
        };
        let filter = filter.and_then(|filter| rule_filter(&entry, filter, findings));
        if let Some(filter) = filter.as_ref().filter(|filter| !is_in_front(remove, filter)) {
            let message = format!("not every topic under \"{filter}\" begins with \"{remove}\"");
            findings.add(
                entry.at("remove"),
                message,
                "`remove` is what stands in the filter before its first wildcard, or a beginning of that",
            );
        }
        // Something always follows.
        if !prefix.is_empty() && (TopicName::parse(prefix).is_err() || prefix.starts_with('$')) {
            findings.add(
                entry.at("prefix"),
                "`prefix` must be the beginning of a topic, without +, # and $",
                "write prefix = \"plant7/\"",
            );
        }
        entry.finish(findings);
        if let Some(filter) = filter {
            rules.push(Rule { filter, remove: remove.into(), prefix: prefix.into(), qos });
        }
    }
    rules
}

fn rule_filter(entry: &Section<'_>, text: &str, findings: &mut Findings) -> Option<TopicFilter> {
    let parsed = match TopicFilter::parse(text) {
        Ok(filter) if text.starts_with('$') => {
            let what = if filter.share_group().is_some() {
                "a bridge does not share its subscription"
            } else {
                "what begins with $ is each server's own"
            };
            findings.add(entry.at("filter"), what, "name topics that do not begin with $");
            return None;
        }
        parsed => parsed,
    };
    parsed.map_err(|error| findings.add(entry.at("filter"), error.to_string(), "write filter = \"plant/#\"")).ok()
}

/// 3.1.1 has no means to tell what came back: what we send must not be what we receive.
fn rings(section: &Section<'_>, version: Version, send: &[Rule], receive: &[Rule], findings: &mut Findings) {
    if version.is_v5() {
        return;
    }
    for (index, rule) in receive.iter().enumerate() {
        let back = send.iter().find(|sent| sent.mapped_filter().is_some_and(|there| overlap(&there, &rule.filter)));
        if let Some(back) = back {
            let mut pointer = section.at("receive");
            pointer.push(index.to_string());
            let message =
                format!("what is sent of \"{}\" would come back, which MQTT 3.1.1 cannot prevent", back.filter);
            findings.add(pointer, message, "use version = 5, or give what is sent a prefix of its own");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use andon_store::documents::{self, Document};

    const GOOD: &str = "[[connector]]\nname = \"to-head\"\ntype = \"mqtt_bridge\"\nendpoint = \"mqtts://broker.example.com\"\nclient_id = \"plant-7\"\n";

    fn errors(text: &str) -> Vec<String> {
        let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        documents::parse(&[document], &Checks)
            .map_or_else(|e| e.iter().map(ToString::to_string).collect(), |_| Vec::new())
    }

    fn good(more: &str) -> Config {
        let text = format!("{GOOD}{more}");
        let document = Document { name: "plant.toml".to_owned(), text };
        let plant =
            documents::parse(&[document], &Checks).map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>());
        let plant = plant.expect("a good model");
        parse(&plant.connectors[0], &plant).expect("good settings")
    }

    #[test]
    fn a_bridge_reads_with_what_is_usual() {
        let config = good(
            "user = \"plant-7\"\npassword = { secret = \"head\" }\nsend = [{ filter = \"plant/#\", remove = \"plant/\", prefix = \"p7/\" }]\nreceive = [{ filter = \"orders/+\", qos = 0 }]\n",
        );
        assert_eq!(
            (config.endpoint(), config.password.as_deref()),
            ("mqtts://broker.example.com:8883".to_owned(), Some("head"))
        );
        assert_eq!((config.version, config.keep_mib, config.catch_up_per_second), (Version::V5, 1024, 2000));
        assert_eq!(config.receive[0].qos, QoS::AtMostOnce);
        let six = good("send = [{ filter = \"a\" }]\n").host;
        assert_eq!(six, "broker.example.com");
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place_with_a_remedy() {
        for (more, said) in [
            ("", "neither sends nor receives"),
            ("send = [{ filter = \"a/#/b\" }]\n", "wildcard #"),
            ("send = [{ filter = \"$SYS/#\" }]\n", "each server's own"),
            ("send = [{ filter = \"$share/g/a\" }]\n", "does not share"),
            ("send = [{ filter = \"a/+\", remove = \"a/b\" }]\n", "begins with \"a/b\""),
            ("send = [{ filter = \"a\", prefix = \"$x/\" }]\n", "beginning of a topic"),
            ("send = [{ filter = \"a\", qos = 2 }]\n", "from 0 to 1"),
            ("send = [{ filter = \"a\" }]\npassword = { secret = \"x\" }\n", "without a user"),
            ("send = [{ filter = \"a\" }]\nuser = \"a\\u0000b\"\n", "is U+0000"),
            ("send = [{ filter = \"a\" }]\ncertificate = \"x\"\n", "go together"),
            ("send = [{ filter = \"a\" }]\nversion = 4\nreceive = [{ filter = \"#\" }]\n", "would come back"),
            ("send = [{ filter = \"a\" }]\nkeep_for = \"1s\"\n", "must be a time"),
            ("send = [{ filter = \"a\" }]\nqueue = 4\n", "not a setting"),
        ] {
            let errors = errors(&format!("{GOOD}{more}"));
            assert!(errors.iter().any(|error| error.contains(said)), "{said}: {errors:?}");
        }
        for (host, refused) in
            [("a", true), ("10.0.0.1", true), ("[::2]", true), ("127.0.0.1", false), ("[::1]", false)]
        {
            let text = GOOD.replace("mqtts://broker.example.com", &format!("mqtt://{host}"));
            let more = "user = \"u\"\npassword = { secret = \"x\" }\nsend = [{ filter = \"a\" }]\n";
            let document = Document { name: "plant.toml".to_owned(), text: format!("{text}{more}") };
            let said = documents::parse(&[document], &Checks).err().unwrap_or_default();
            let said = said.iter().any(|error| error.message.contains("for everybody to read"));
            assert_eq!(said, refused, "{host}");
        }
        for endpoint in ["http://a", "mqtt://", "mqtt://a:0", "mqtt://a:", "mqtt://a/b", "broker"] {
            let text = GOOD.replace("mqtts://broker.example.com", endpoint);
            let errors = errors(&format!("{text}send = [{{ filter = \"a\" }}]\n"));
            assert!(errors.iter().any(|error| error.contains("`endpoint`")), "{endpoint}: {errors:?}");
        }
        let twins = format!(
            "{GOOD}send = [{{ filter = \"a\" }}]\n{}send = [{{ filter = \"a\" }}]\n",
            GOOD.replace("to-head", "twin")
        );
        assert!(errors(&twins).iter().any(|error| error.contains("throw the other out")));
        let with_port = twins.replacen("broker.example.com\"", "Broker.example.com:8883\"", 1);
        assert!(errors(&with_port).iter().any(|error| error.contains("throw the other out")));
    }

    #[test]
    fn addresses_of_the_sixth_version_have_brackets() {
        let text = GOOD.replace("mqtts://broker.example.com", "mqtt://[::1]:1884");
        let document =
            Document { name: "plant.toml".to_owned(), text: format!("{text}send = [{{ filter = \"a\" }}]\n") };
        let plant = documents::parse(&[document], &Checks).expect("a good model");
        let config = parse(&plant.connectors[0], &plant).expect("good settings");
        assert_eq!((config.host.as_str(), config.port, config.endpoint().as_str()), ("::1", 1884, "mqtt://[::1]:1884"));
    }
}
