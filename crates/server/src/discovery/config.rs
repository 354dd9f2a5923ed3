//! The words of the connectors `mqtt_discovery` and `mqtt_announce`, checked. Pure.

use andon_connectors::settings::{Findings, Section};
use andon_discovery::Places;
use andon_discovery::announce::{Options, own};
use andon_model::EquipmentPath;
use andon_model::plant::{ConnectorDef, Finding, Plant};
use andon_wire::mqtt::TopicName;
use std::ops::RangeInclusive;
use std::time::Duration;
use uuid::Uuid;

/// Listens to what devices announce.
pub const DISCOVERY: &str = "mqtt_discovery";
/// Announces tags to a Home Assistant.
pub const ANNOUNCE: &str = "mqtt_announce";
const EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// How many levels a first part of topics may have.
const MOST_LEVELS: usize = 4;

/// A connector that listens.
#[derive(Clone, PartialEq, Debug)]
pub struct SeekerConfig {
    /// Where devices announce themselves.
    pub places: Places,
    /// The equipment below which tags are proposed.
    pub place: Option<EquipmentPath>,
}

/// A connector that announces.
#[derive(Clone, PartialEq, Debug)]
pub struct AnnounceConfig {
    /// What, and under which topics.
    pub options: Options,
    /// Changes are gathered for so long.
    pub every: Duration,
}

/// What is wrong with one of them. Which node they run in does not matter for that.
pub fn check(connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
    match connector.kind.as_str() {
        DISCOVERY => seeker(connector, plant, Uuid::nil()).err().unwrap_or_default(),
        _ => announcer(connector, plant, Uuid::nil()).err().unwrap_or_default(),
    }
}

/// Reads the settings of a connector that announces.
pub fn announcer(connector: &ConnectorDef, plant: &Plant, node: Uuid) -> Result<AnnounceConfig, Vec<Finding>> {
    Findings::gather(|findings| read_announcer(connector, plant, node, findings))
}

fn read_announcer(
    connector: &ConnectorDef,
    plant: &Plant,
    node: Uuid,
    findings: &mut Findings,
) -> Option<AnnounceConfig> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    let mut needed = |key, usual: &str| {
        let base = base(&mut section, key, usual, findings)?;
        if base.is_empty() {
            findings.add(section.at(key), format!("`{key}` must not be empty"), format!("write {key} = \"{usual}\""));
        }
        Some(base)
    };
    let prefix = needed("prefix", "homeassistant");
    let base = needed("base", "andon");
    let commands = section.boolean("commands", findings).unwrap_or(false);
    let every = section.duration("every", EVERY, findings).unwrap_or(Duration::from_secs(1));
    let there = section.has("branch");
    let branch = equipment(&mut section, "branch", plant, findings);
    if !there {
        findings.add(
            section.here(),
            "`branch` is missing",
            "add branch = \"site/line\": all tags below it are announced",
        );
    }
    section.finish(findings);
    let options =
        Options { prefix: prefix?, base: base?, node, name: connector.name.clone(), branch: branch?, commands };
    let others = plant.connectors.iter().filter(|other| other.kind == ANNOUNCE && other.name != connector.name);
    let text = |other: &ConnectorDef, key: &str, usual: &str| {
        other.settings.get(key).and_then(|value| value.as_str()).unwrap_or(usual).to_owned()
    };
    for other in others {
        let twin = Options { name: other.name.clone(), ..options.clone() };
        if text(other, "base", "andon") == options.base {
            let message = format!("the connector \"{}\" has the topics below {} already", other.name, options.base);
            findings.add(vec!["base".to_owned()], message, "give each its own `base`");
        } else if twin.node_level() == options.node_level() && text(other, "prefix", "homeassistant") == options.prefix
        {
            let message = format!("its configurations would stand where those of the connector \"{}\" do", other.name);
            findings.add(vec!["prefix".to_owned()], message, "give it another name, or another `prefix`");
        }
    }
    let below = format!("{}/", options.base);
    if let Some(topic) = plant.topics.iter().find(|topic| topic.filter.starts_with(&below)) {
        let message = format!("the mapping of \"{}\" stands below its topics", topic.filter);
        findings.add(vec!["base".to_owned()], message, "write another `base`");
    }
    Some(AnnounceConfig { options, every })
}

/// Reads the settings of a connector that listens.
pub fn seeker(connector: &ConnectorDef, plant: &Plant, node: Uuid) -> Result<SeekerConfig, Vec<Finding>> {
    Findings::gather(|findings| read_seeker(connector, plant, node, findings))
}

fn read_seeker(connector: &ConnectorDef, plant: &Plant, node: Uuid, findings: &mut Findings) -> Option<SeekerConfig> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    let prefix = base(&mut section, "prefix", "homeassistant", findings).unwrap_or_default();
    let mut family = |key, usual: &str| {
        let base = base(&mut section, key, usual, findings)?;
        Some(base).filter(|base| !base.is_empty())
    };
    let zigbee2mqtt = family("zigbee2mqtt", "zigbee2mqtt");
    let tasmota = family("tasmota", "tasmota/discovery");
    let shelly = section.boolean("shelly", findings).unwrap_or(true);
    let place = equipment(&mut section, "place", plant, findings);
    if prefix.is_empty() {
        findings.add(section.at("prefix"), "`prefix` must not be empty", "write prefix = \"homeassistant\"");
    }
    section.finish(findings);
    Some(SeekerConfig { places: Places { prefix, own: own(node), zigbee2mqtt, tasmota, shelly }, place })
}

/// The first levels of topics; empty where it is given so.
pub(super) fn base(
    section: &mut Section<'_>,
    key: &'static str,
    usual: &str,
    findings: &mut Findings,
) -> Option<String> {
    let Some(text) = section.text(key, findings) else { return Some(usual.to_owned()) };
    let good = text.is_empty()
        || TopicName::parse(text).is_ok_and(|name| !name.is_server_owned() && name.levels() <= MOST_LEVELS)
            && text.split('/').all(|level| !level.is_empty())
            && text.len() <= 200;
    if !good {
        let message = format!("`{key}` must be the first 1 to {MOST_LEVELS} levels of topics, without + and #");
        findings.add(section.at(key), message, format!("write {key} = \"{usual}\""));
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn equipment(
    section: &mut Section<'_>,
    key: &'static str,
    plant: &Plant,
    findings: &mut Findings,
) -> Option<EquipmentPath> {
    let text = section.text(key, findings)?;
    let found = plant.equipment.iter().find(|item| item.path.as_str() == text).map(|item| item.path.clone());
    if found.is_none() {
        let message = format!("there is no equipment \"{}\"", text.chars().take(255).collect::<String>());
        findings.add(section.at(key), message, "add an [[equipment]] with this path, or correct the path");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use andon_store::documents::{self, Document};

    fn errors(connectors: &str) -> Vec<String> {
        let model = "equipment = [{ path = \"home\", level = \"house\", profile = \"home\" }]\ntag = [{ path = \"home/a\", type = \"double\" }]\n";
        let document = Document { name: "plant.toml".to_owned(), text: format!("{model}\n{connectors}") };
        let told = |errors: Vec<documents::DocumentError>| errors.into_iter().map(|e| e.to_string()).collect();
        documents::parse(&[document], &Checks).map_or_else(told, |_| Vec::new())
    }

    fn connector(kind: &str, words: &str) -> String {
        format!("[[connector]]\nname = \"c-{kind}\"\ntype = \"{kind}\"\n{words}\n")
    }

    #[test]
    fn good_settings_are_taken() {
        assert_eq!(errors(&connector(DISCOVERY, "")), Vec::<String>::new());
        let words = "prefix = \"ha/discovery\"\nplace = \"home\"\nzigbee2mqtt = \"\"\ntasmota = \"tas/discovery\"\nshelly = false";
        assert_eq!(errors(&connector(DISCOVERY, words)), Vec::<String>::new());
        let words = "branch = \"home\"\ncommands = true\nevery = \"100ms\"\nbase = \"house\"";
        assert_eq!(errors(&connector(ANNOUNCE, words)), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let topic = "[[topic]]\nfilter = \"andon/x\"\nformat = \"value\"\ntag = \"home/a\"\n";
        let second = connector(ANNOUNCE, "branch = \"home\"").replace("c-", "d-");
        for (text, said) in [
            (connector(DISCOVERY, "prefix = \"\""), "`prefix` must not be empty"),
            (connector(DISCOVERY, "prefix = \"a/#\""), "the first 1 to 4 levels"),
            (connector(DISCOVERY, "tasmota = \"$SYS\""), "the first 1 to 4 levels"),
            (connector(DISCOVERY, "place = \"nowhere\""), "no equipment \"nowhere\""),
            (connector(DISCOVERY, "plce = \"home\""), "did you mean `place`?"),
            (connector(ANNOUNCE, ""), "`branch` is missing"),
            (connector(ANNOUNCE, "branch = \"home\"\nevery = \"1ms\""), "`every` must be a time"),
            (connector(ANNOUNCE, "branch = \"home\"\nbase = \"\""), "`base` must not be empty"),
            (connector(ANNOUNCE, "branch = \"home\"") + topic, "stands below its topics"),
            (connector(ANNOUNCE, "branch = \"home\"") + &second, "has the topics below andon already"),
        ] {
            let errors = errors(&text);
            assert!(errors.iter().any(|error| error.contains(said)), "{said}: {errors:?}");
        }
    }
}
