//! The words of the connectors `sparkplug_host` and `sparkplug_edge`, checked. Pure.

use andon_connectors::settings::{Findings, Section, tags_read};
use andon_model::plant::{ConnectorDef, Finding, Plant};
use andon_model::{EquipmentPath, TagId, TagPath};
use andon_sparkplug::payload::{BD_SEQ, REBIRTH};
use andon_sparkplug::topic::{ID_BYTES, NodeName, is_id};
use andon_sparkplug::{Address, CommandBy, DeviceDef, EdgeConfig, HostOptions, MetricDef};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The host application.
pub const HOST: &str = "sparkplug_host";
/// The edge node.
pub const EDGE: &str = "sparkplug_edge";
/// The most metrics of one connector.
const METRICS: usize = 50_000;
/// The most groups of one host.
const GROUPS: usize = 100;
const REORDER: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(60);
const REBIRTH_EVERY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
const COMMANDS: [(&str, CommandBy); 2] = [("alias", CommandBy::Alias), ("name", CommandBy::Name)];

/// A host application.
#[derive(Clone, PartialEq, Debug)]
pub struct HostConfig {
    /// Its name in STATE.
    pub host_id: Box<str>,
    /// The groups it listens to.
    pub groups: Vec<Box<str>>,
    /// How long a missing message may take.
    pub reorder_timeout: Duration,
    /// How often a birth is asked for at most.
    pub rebirth_every: Duration,
    /// How commands name their metric.
    pub command_by: CommandBy,
    /// Where the tags of discovered metrics are proposed.
    pub place: Option<EquipmentPath>,
    /// Which metric is which tag, and whether the tag can be written.
    pub metrics: Vec<(TagPath, Address, bool)>,
}

impl HostConfig {
    /// For the state machine.
    pub fn options(&self) -> HostOptions {
        HostOptions {
            groups: self.groups.clone(),
            reorder_timeout: self.reorder_timeout,
            rebirth_every: self.rebirth_every,
            command_by: self.command_by,
            ..HostOptions::default()
        }
    }

    /// Whether what it knows of its edge nodes holds for another configuration as well.
    pub fn goes_on_as(&self, other: &Self) -> bool {
        let Self { host_id, groups, reorder_timeout, rebirth_every, command_by, place: _, metrics: _ } = self;
        let same_times = *reorder_timeout == other.reorder_timeout && *rebirth_every == other.rebirth_every;
        *host_id == other.host_id && *groups == other.groups && same_times && *command_by == other.command_by
    }
}

/// An edge node.
#[derive(Clone, PartialEq, Debug)]
pub struct EdgeSettings {
    /// Its name.
    pub name: NodeName,
    /// The host application without which nothing is sent.
    pub primary_host: Option<Box<str>>,
    /// What goes out: everything below.
    pub branch: EquipmentPath,
    /// Whether commands are taken.
    pub commands: bool,
}

/// What is wrong with a Sparkplug connector.
pub fn check(connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
    match connector.kind.as_str() {
        HOST => host(connector, plant).err().unwrap_or_default(),
        _ => edge(connector, plant).err().unwrap_or_default(),
    }
}

/// Reads the settings of a host application.
pub fn host(connector: &ConnectorDef, plant: &Plant) -> Result<HostConfig, Vec<Finding>> {
    Findings::gather(|findings| read_host(connector, plant, findings))
}

/// Reads the settings of an edge node.
pub fn edge(connector: &ConnectorDef, plant: &Plant) -> Result<EdgeSettings, Vec<Finding>> {
    Findings::gather(|findings| read_edge(connector, plant, findings))
}

fn read_host(connector: &ConnectorDef, plant: &Plant, findings: &mut Findings) -> Option<HostConfig> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    let host_id = id(&mut section, "host_id", "\"andon\"", findings);
    if let Some(host_id) = host_id
        && let Some(twin) = others(connector, plant, HOST).find(|other| text_of(other, "host_id") == Some(host_id))
    {
        let message = format!("the host application \"{host_id}\" is the connector \"{}\" already", twin.name);
        findings.add(section.at("host_id"), message, "give each its own host_id, or put the groups together");
    }
    let groups = groups(&mut section, findings);
    let reorder_timeout = section.duration("reorder_timeout", REORDER, findings).unwrap_or(Duration::from_secs(2));
    let rebirth_every = section.duration("rebirth_every", REBIRTH_EVERY, findings).unwrap_or(Duration::from_secs(10));
    let command_by = section.choice("commands", &COMMANDS, findings).unwrap_or_default();
    let place = branch(&mut section, "place", plant, findings);
    let metrics = metrics(&mut section, connector, plant, &groups, findings);
    section.finish(findings);
    Some(HostConfig { host_id: host_id?.into(), groups, reorder_timeout, rebirth_every, command_by, place, metrics })
}

fn id<'a>(section: &mut Section<'a>, key: &'static str, example: &str, findings: &mut Findings) -> Option<&'a str> {
    let text = section.required_text(key, example, findings)?;
    if !is_id(text) {
        let message = format!("`{key}` must be 1 to {ID_BYTES} bytes without +, / and #");
        findings.add(section.at(key), message, format!("write {key} = {example}"));
        return None;
    }
    Some(text)
}

fn groups(section: &mut Section<'_>, findings: &mut Findings) -> Vec<Box<str>> {
    let list = section.list("groups", findings);
    if list.is_empty() || list.len() > GROUPS {
        let message = format!("`groups` must name 1 to {GROUPS} Sparkplug groups");
        findings.add(section.at("groups"), message, "write groups = [\"line1\"]");
        return Vec::new();
    }
    let mut groups: Vec<Box<str>> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let group = value.as_str().filter(|group| is_id(group) && *group != "STATE");
        match group {
            Some(group) if !groups.iter().any(|known| **known == *group) => groups.push(group.into()),
            _ => {
                let mut pointer = section.at("groups");
                pointer.push(index.to_string());
                let message = "a group is a text of its own, without +, / and #";
                findings.add(pointer, message, "write the group as it stands in the topics, once");
            }
        }
    }
    groups
}

fn branch(
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

fn metrics(
    section: &mut Section<'_>,
    connector: &ConnectorDef,
    plant: &Plant,
    groups: &[Box<str>],
    findings: &mut Findings,
) -> Vec<(TagPath, Address, bool)> {
    let list = section.list("metric", findings);
    if list.len() > METRICS {
        let message = format!("{} metrics are more than the {METRICS} that one connector takes", list.len());
        findings.add(section.at("metric"), message, "split the groups over several connectors");
        return Vec::new();
    }
    let tags: HashMap<&str, _> = plant.tags.iter().map(|tag| (tag.path.as_str(), tag)).collect();
    let others = plant.connectors.iter().filter(|other| other.name != connector.name);
    let elsewhere: HashMap<&str, &str> = tags_read(others).collect();
    let (mut seen, mut places) = (HashSet::new(), HashSet::new());
    let mut metrics = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let pointer = vec!["metric".to_owned(), index.to_string()];
        let Some(mut entry) = Section::open(value, pointer, findings) else { continue };
        let path = entry.required_text("tag", "\"site/line/machine/value\"", findings);
        let address = address(&mut entry, groups, findings);
        if let Some(path) = path {
            match tags.get(path) {
                None => {
                    let message = format!("there is no tag \"{}\"", path.chars().take(255).collect::<String>());
                    findings.add(entry.at("tag"), message, "add a [[tag]] with this path, or correct the path");
                }
                Some(_) if !seen.insert(path) => {
                    let message = format!("the tag {path} has an earlier metric");
                    findings.add(entry.at("tag"), message, "remove one of the two");
                }
                Some(_) if elsewhere.contains_key(path) => {
                    let other = elsewhere.get(path).copied().unwrap_or_default();
                    let message = format!("the tag {path} is already read by the connector \"{other}\"");
                    findings.add(entry.at("tag"), message, "a tag has one source: remove one of the two");
                }
                Some(tag) => {
                    if let Some(address) = address {
                        if !places.insert(address.clone()) {
                            let message = format!("the metric {address} is another tag already");
                            findings.add(entry.at("metric"), message, "remove one of the two");
                        }
                        metrics.push((tag.path.clone(), address, tag.write.is_some()));
                    }
                }
            }
        }
        entry.finish(findings);
    }
    metrics
}

fn address(entry: &mut Section<'_>, groups: &[Box<str>], findings: &mut Findings) -> Option<Address> {
    let node = entry.required_text("node", "\"line1/filler\"", findings);
    let device = entry.text("device", findings);
    let metric = entry.required_text("metric", "\"Motor/speed\"", findings);
    let name = node.and_then(|node| {
        let name = node.split_once('/').and_then(|(group, node)| NodeName::new(group, node));
        if name.is_none() {
            findings.add(entry.at("node"), "`node` must be group/edge node", "write node = \"line1/filler\"");
        }
        name
    });
    if let Some(name) = name.as_ref().filter(|name| !groups.is_empty() && !groups.contains(&name.group)) {
        let message = format!("the group \"{}\" is not listened to", name.group);
        findings.add(entry.at("node"), message, "add it to `groups`, or correct the name");
    }
    if device.is_some_and(|device| !is_id(device)) {
        let message = "`device` is no device identifier";
        findings.add(entry.at("device"), message, "write it as it stands in the topic, without +, / and #");
        return None;
    }
    Some(Address { node: name?, device: device.map(Into::into), metric: metric?.into() })
}

fn others<'p>(connector: &ConnectorDef, plant: &'p Plant, kind: &str) -> impl Iterator<Item = &'p ConnectorDef> {
    plant.connectors.iter().filter(move |other| other.name != connector.name && other.kind == kind)
}

fn text_of<'p>(connector: &'p ConnectorDef, key: &str) -> Option<&'p str> {
    connector.settings.get(key)?.as_str()
}

/// The tags that any connector reads.
pub fn tags_of_all(plant: &Plant) -> HashSet<&str> {
    tags_read(plant.connectors.iter().filter(|connector| connector.enabled)).map(|(tag, _)| tag).collect()
}

fn read_edge(connector: &ConnectorDef, plant: &Plant, findings: &mut Findings) -> Option<EdgeSettings> {
    let mut section = Section::open(&connector.settings, Vec::new(), findings)?;
    let group = id(&mut section, "group", "\"plant\"", findings);
    let node = id(&mut section, "node", "\"andon\"", findings);
    let twin = others(connector, plant, EDGE)
        .find(|other| text_of(other, "group") == group && text_of(other, "node") == node && node.is_some());
    if let Some(twin) = twin {
        let message = format!("this edge node is the connector \"{}\" already", twin.name);
        findings.add(section.at("node"), message, "give each its own name");
    }
    let primary_host = section.text("primary_host", findings);
    if primary_host.is_some_and(|host| !is_id(host)) {
        let message = "`primary_host` is no host identifier";
        findings.add(section.at("primary_host"), message, "write it as it stands in the STATE topic");
    }
    let commands = section.boolean("commands", findings).unwrap_or(false);
    let there = section.has("branch");
    let branch = branch(&mut section, "branch", plant, findings);
    if !there {
        findings.add(section.here(), "`branch` is missing", "add branch = \"site/line\": all tags below it go out");
    }
    if let Some(branch) = &branch
        && [BD_SEQ, REBIRTH]
            .iter()
            .any(|name| plant.tags.iter().any(|tag| tag.path.as_str() == format!("{branch}/{name}")))
    {
        let message = format!("a tag {branch}/{BD_SEQ} would be taken for Sparkplug's own metric");
        findings.add(section.at("branch"), message, "rename the tag, or choose a branch above it");
    }
    section.finish(findings);
    let name = NodeName::new(group?, node?);
    if name.is_none() {
        findings.add(vec!["group".to_owned()], "the group cannot be called STATE", "choose another name");
    }
    Some(EdgeSettings { name: name?, primary_host: primary_host.map(Into::into), branch: branch?, commands })
}

/// The edge node of a branch: what stands directly in it are the node's own metrics, each equipment directly below it is a device, and what is below
/// that has its path from there on as its name.
pub fn tree<'p>(
    settings: &EdgeSettings,
    tags: impl Iterator<Item = (TagId, &'p andon_model::plant::TagDef)>,
) -> EdgeConfig {
    let mut config = EdgeConfig {
        name: settings.name.clone(),
        primary_host: settings.primary_host.clone(),
        metrics: Vec::new(),
        devices: Vec::new(),
    };
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (id, tag) in tags {
        let below = tag.path.as_str().strip_prefix(settings.branch.as_str()).and_then(|rest| rest.strip_prefix('/'));
        let Some(below) = below else { continue };
        let metric = |name: &str| MetricDef {
            tag: id,
            name: name.to_owned(),
            data_type: tag.data_type,
            unit: tag.unit.as_ref().map(ToString::to_string),
            writable: settings.commands && tag.write.is_some(),
        };
        match below.split_once('/') {
            None => config.metrics.push(metric(below)),
            Some((device, name)) => {
                let place = *places.entry(device).or_insert_with(|| {
                    config.devices.push(DeviceDef { id: device.into(), metrics: Vec::new() });
                    config.devices.len() - 1
                });
                if let Some(device) = config.devices.get_mut(place) {
                    device.metrics.push(metric(name));
                }
            }
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use andon_store::documents::{self, Document};

    fn errors(connectors: &str) -> Vec<String> {
        let model = r#"
            equipment = [{ path = "w", level = "site" }, { path = "w/m", level = "work_unit" }, { path = "w/m/x", level = "work_unit" }]
            tag = [{ path = "w/a", type = "double" }, { path = "w/m/b", type = "double", unit = "bar", write = { min = 0, max = 1 } }, { path = "w/m/x/c", type = "boolean" }]
        "#;
        let text = format!("{model}\n{connectors}");
        let document = Document { name: "plant.toml".to_owned(), text };
        let told = |errors: Vec<documents::DocumentError>| errors.into_iter().map(|e| e.to_string()).collect();
        documents::parse(&[document], &Checks).map_or_else(told, |_| Vec::new())
    }

    const HEAD: &str =
        "[[connector]]\nname = \"a\"\ntype = \"sparkplug_host\"\nhost_id = \"andon\"\ngroups = [\"g\"]\n";

    const EDGE_HEAD: &str =
        "[[connector]]\nname = \"e\"\ntype = \"sparkplug_edge\"\ngroup = \"g\"\nnode = \"n\"\nbranch = \"w\"\n";

    #[test]
    fn good_settings_are_taken() {
        let metric = "[[connector.metric]]\ntag = \"w/a\"\nnode = \"g/n\"\nmetric = \"Motor/speed\"\n";
        let more = "place = \"w\"\nreorder_timeout = \"0s\"\nrebirth_every = \"30s\"\ncommands = \"name\"\n";
        assert_eq!(errors(&format!("{HEAD}{more}{metric}")), Vec::<String>::new());
        let edge = "[[connector]]\nname = \"e\"\ntype = \"sparkplug_edge\"\ngroup = \"g\"\nnode = \"n\"\nbranch = \"w\"\nprimary_host = \"scada\"\ncommands = true\n";
        assert_eq!(errors(edge), Vec::<String>::new());
        let other = EDGE_HEAD.replace("name = \"e\"", "name = \"f\"").replace("node = \"n\"", "node = \"N\"");
        assert_eq!(errors(&format!("{EDGE_HEAD}{other}")), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let metric = |words: &str| format!("{HEAD}[[connector.metric]]\n{words}\n");
        let good = "tag = \"w/a\"\nnode = \"g/n\"\nmetric = \"x\"";
        for (text, said) in [
            (
                "[[connector]]\nname = \"a\"\ntype = \"sparkplug_host\"\ngroups = [\"g\"]\n".to_owned(),
                "`host_id` is missing",
            ),
            (HEAD.replace("[\"g\"]", "[]"), "must name 1 to"),
            (HEAD.replace("[\"g\"]", "[\"a/b\"]"), "without +, / and #"),
            (HEAD.replace("andon", "a#"), "`host_id` must be"),
            (metric("tag = \"w/none\"\nnode = \"g/n\"\nmetric = \"x\""), "there is no tag \"w/none\""),
            (metric("tag = \"w/a\"\nnode = \"n\"\nmetric = \"x\""), "must be group/edge node"),
            (metric("tag = \"w/a\"\nnode = \"h/n\"\nmetric = \"x\""), "the group \"h\" is not listened to"),
            (metric("tag = \"w/a\"\nnode = \"g/n\""), "`metric` is missing"),
            (metric("tag = \"w/a\"\nnode = \"g/n\"\nmetric = \"x\"\ndevice = \"a/b\""), "no device identifier"),
            (metric(&format!("{good}\n[[connector.metric]]\n{good}")), "has an earlier metric"),
            (format!("{HEAD}place = \"nowhere\"\n"), "no equipment \"nowhere\""),
            (format!("{HEAD}plce = \"w\"\n"), "did you mean `place`?"),
            (format!("{HEAD}{}", HEAD.replace("name = \"a\"", "name = \"b\"")), "is the connector"),
            (
                "[[connector]]\nname = \"e\"\ntype = \"sparkplug_edge\"\ngroup = \"g\"\nnode = \"n\"\n".to_owned(),
                "`branch` is missing",
            ),
            (
                format!("{EDGE_HEAD}{}", EDGE_HEAD.replace("name = \"e\"", "name = \"f\"")),
                "this edge node is the connector",
            ),
        ] {
            let errors = errors(&text);
            assert!(errors.iter().any(|error| error.contains(said)), "{said}: {errors:?}");
        }
    }

    #[test]
    fn a_tag_has_one_source_whatever_it_speaks() {
        let modbus = "[[connector]]\nname = \"plc\"\ntype = \"modbus\"\nendpoint = \"127.0.0.1:502\"\n[[connector.register]]\ntag = \"w/a\"\ntable = \"input\"\naddress = 0\ntype = \"f32\"\n";
        let metric = "[[connector.metric]]\ntag = \"w/a\"\nnode = \"g/n\"\nmetric = \"x\"\n";
        let errors = errors(&format!("{HEAD}{metric}{modbus}"));
        for reader in ["plc", "a"] {
            let said = format!("already read by the connector \"{reader}\"");
            assert!(errors.iter().any(|error| error.contains(&said)), "at the other one as well: {errors:?}");
        }
    }

    #[test]
    fn a_host_goes_on_with_other_metrics_and_only_with_those() {
        let config = |words: &str, metric: &str| {
            let text = format!(
                "{HEAD}{words}\n[[connector.metric]]\ntag = \"w/a\"\nnode = \"g/n\"\nmetric = \"{metric}\"\n[[equipment]]\npath = \"w\"\nlevel = \"site\"\n[[tag]]\npath = \"w/a\"\ntype = \"double\"\n"
            );
            let plant = documents::parse(&[Document { name: "plant.toml".to_owned(), text }], &Checks).expect("good");
            host(&plant.connectors[0], &plant).expect("good settings")
        };
        let former = config("", "x");
        assert!(former.goes_on_as(&config("place = \"w\"", "y")));
        for other in ["reorder_timeout = \"3s\"", "rebirth_every = \"30s\"", "commands = \"name\""] {
            assert!(!former.goes_on_as(&config(other, "x")), "{other}");
        }
    }

    #[test]
    fn a_branch_becomes_a_node_with_devices() {
        let text = r#"
            equipment = [{ path = "w", level = "site" }, { path = "w/m", level = "work_unit" }, { path = "w/m/x", level = "work_unit" }, { path = "wx", level = "site" }]
            tag = [{ path = "w/a", type = "double" }, { path = "w/m/b", type = "double", unit = "bar", write = { min = 0, max = 1 }, range = [0, 1] }, { path = "w/m/x/c", type = "boolean" }, { path = "wx/d", type = "double" }]
        "#;
        let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        let plant = documents::parse(&[document], &Checks).expect("a good model");
        let settings = EdgeSettings {
            name: NodeName::new("g", "n").expect("a name"),
            primary_host: None,
            branch: EquipmentPath::parse("w").expect("a path"),
            commands: true,
        };
        let tags = plant.tags.iter().zip(0..).map(|(tag, n)| (TagId(n), tag));
        let config = tree(&settings, tags);
        let names = |metrics: &[MetricDef]| metrics.iter().map(|m| (m.name.clone(), m.writable)).collect::<Vec<_>>();
        assert_eq!(names(&config.metrics), [("a".to_owned(), false)]);
        assert_eq!(config.devices.len(), 1);
        assert_eq!(&*config.devices[0].id, "m");
        assert_eq!(names(&config.devices[0].metrics), [("b".to_owned(), true), ("x/c".to_owned(), false)]);
        assert_eq!(config.devices[0].metrics[0].unit.as_deref(), Some("bar"));
    }
}
