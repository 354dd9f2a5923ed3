//! What a host application found and no tag takes: as a list, and as a document that would take it.

use andon_bus::ids::new_id;
use andon_connectors::{FoundNode, FoundValue, FoundValues};
use andon_model::plant::{ConnectorDef, Equipment, Interpolation, Level, Plant, TagDef};
use andon_model::{Clock, EquipmentPath, TagPath};
use andon_sparkplug::{Address, DataType, DeviceState, Found};
use andon_store::documents;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The most values in one list, and the most in one proposed document.
const LISTED: usize = 10_000;

/// The most edge nodes and devices in one list.
const NODES: usize = 1000;

/// Edge nodes, each with its devices: first those of which something is not there, by name. Gives how many are left out, too.
pub fn nodes(mut states: Vec<Vec<DeviceState>>) -> (Vec<FoundNode>, usize) {
    states.sort_by_cached_key(|of| {
        let all_there = of.iter().all(|one| one.online);
        (all_there, of.first().map(|node| (node.node.group.clone(), node.node.node.clone())))
    });
    let all: usize = states.iter().map(Vec::len).sum();
    let shown = |one: DeviceState| FoundNode {
        node: one.node.to_string(),
        device: one.device.map(Into::into),
        online: one.online,
        since: one.since,
        metrics: one.metrics,
        births_asked: one.births_asked,
        trouble: one.trouble,
    };
    (states.into_iter().flatten().take(NODES).map(shown).collect(), all.saturating_sub(NODES))
}

/// The list and the document; [`nodes`] are for the caller to add.
pub fn values(
    def: &ConnectorDef,
    place: Option<&EquipmentPath>,
    plant: &Plant,
    found: &[Found],
    clock: &dyn Clock,
) -> FoundValues {
    let of_tag = |found: &Found| found.tag.is_some();
    let shown = |found: &Found| FoundValue {
        place: found.address.to_string(),
        data_type: found.data_type.map_or("unknown", |data_type| data_type.name()).to_owned(),
        tag_type: found.tag_type,
        state: match (of_tag(found), found.tag_type) {
            (true, _) => "mapped",
            (false, Some(_)) => "proposed",
            (false, None) => "not understood",
        },
        tag: None,
        why: match (found.tag_type, found.data_type) {
            (Some(_), _) => "",
            // A definition has none.
            (None, Some(DataType::Template)) => {
                "a structure: the members of an instance stand below it, each by itself"
            }
            (None, _) => "no tag can have this type",
        }
        .to_owned(),
        transient: found.transient,
        value: found.value.clone(),
        quality: found.quality,
        at: found.at,
    };
    let mut list: Vec<&Found> = found.iter().filter(|it| of_tag(it) || !is_protocols(&it.address.metric)).collect();
    // What is not taken yet is what people look for.
    list.sort_by_key(|found| (of_tag(found), &found.address));
    let values = list.iter().take(LISTED).map(|found| shown(found)).collect();
    let document = place.map(|place| proposal(def, place, plant, found, clock));
    FoundValues { values, more: list.len().saturating_sub(LISTED), document, ..FoundValues::default() }
}

/// Whether a metric is the protocol's own: it counts sessions or commands the edge node itself, and measures nothing.
fn is_protocols(metric: &str) -> bool {
    metric == "bdSeq" || metric.starts_with("Node Control/") || metric.starts_with("Device Control/")
}

/// What people call a level of a path: `Pump_1` is "Pump 1".
fn title(level: &str) -> String {
    let words: Vec<&str> = level.split('_').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { level.to_owned() } else { words.join(" ") }
}

/// A name of the tree from any text: letters, digits, `_`, `-` and `.` stay, everything else becomes `_`. Capitals stay, for Sparkplug's names differ by
/// them, and so does nearly every name, so that people find the metric again by its path.
fn plain_level(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' };
    text.chars().map(plain).collect()
}

/// Where a metric would stand: place / edge node / device / folders / name.
fn path_of(place: &EquipmentPath, address: &Address) -> String {
    let device = address.device.iter().map(|device| plain_level(device));
    let folders = address.metric.split('/').filter(|part| !part.is_empty()).map(plain_level);
    let below: Vec<String> = std::iter::once(plain_level(&address.node.node)).chain(device).chain(folders).collect();
    format!("{place}/{}", below.join("/"))
}

/// The connector with everything that a tag can take, the tags for it and the equipment they stand in. Paths that are taken get a number.
fn proposal(def: &ConnectorDef, place: &EquipmentPath, plant: &Plant, found: &[Found], clock: &dyn Clock) -> String {
    let mut taken: HashSet<String> = plant.tags.iter().map(|tag| tag.path.to_string()).collect();
    let known: HashSet<&str> = plant.equipment.iter().map(|item| item.path.as_str()).collect();
    let profile = plant.equipment.iter().find(|item| item.path == *place).map(|item| item.profile).unwrap_or_default();
    let mut settings = def.settings.clone();
    let mut metrics = settings.get("metric").and_then(Json::as_array).cloned().unwrap_or_default();
    let (mut tags, mut equipment) = (Vec::new(), BTreeSet::new());
    let mut wanted: Vec<&Found> =
        found.iter().filter(|it| it.tag.is_none() && !is_protocols(&it.address.metric)).collect();
    wanted.sort_by_key(|it| &it.address);
    // The number that the last one of each name got.
    let mut numbers: HashMap<String, usize> = HashMap::new();
    for (it, data_type) in wanted.into_iter().filter_map(|it| Some((it, it.tag_type?))).take(LISTED) {
        let wish = path_of(place, &it.address);
        let number = numbers.entry(wish.clone()).or_default();
        let path = loop {
            *number += 1;
            let path = if *number == 1 { wish.clone() } else { format!("{wish}_{number}") };
            if !taken.contains(&path) {
                break path;
            }
        };
        // Too deep or too long for the tree: left to people.
        let Ok(path) = TagPath::parse(&path) else { continue };
        taken.insert(path.to_string());
        let mut above = Some(path.equipment());
        while let Some(item) = above.filter(|item| !known.contains(item.as_str())) {
            above = item.parent();
            equipment.insert(item.to_string());
        }
        let mut metric = json!({
            "tag": path.as_str(), "node": it.address.node.to_string(), "metric": it.address.metric,
        });
        if let (Some(device), Some(metric)) = (&it.address.device, metric.as_object_mut()) {
            metric.insert("device".to_owned(), json!(device));
        }
        metrics.push(metric);
        let is_number = matches!(data_type, andon_model::DataType::Double | andon_model::DataType::Int64);
        tags.push(TagDef {
            id: new_id(clock),
            title: title(path.leaf()),
            path,
            description: format!("Sparkplug {}", it.address),
            data_type,
            unit: it.unit.as_deref().filter(|_| is_number).and_then(andon_discovery::units::of_anybody),
            range: None,
            digits: None,
            states: BTreeMap::new(),
            interpolation: if is_number { Interpolation::Sloped } else { Interpolation::Stepped },
            compress: None,
            keep_days: None,
            stale_after_ms: None,
            write: None,
            origin: None,
        });
    }
    if let Some(settings) = settings.as_object_mut() {
        settings.insert("metric".to_owned(), Json::Array(metrics));
    }
    let equipment = equipment.iter().filter_map(|path| EquipmentPath::parse(path).ok()).map(|path| Equipment {
        title: title(path.leaf()),
        path,
        level: Level::WorkUnit,
        profile,
        description: String::new(),
        keep_days: None,
    });
    let mut plant = Plant {
        equipment: equipment.collect(),
        tags,
        connectors: vec![ConnectorDef { settings, ..def.clone() }],
        ..Plant::default()
    };
    plant.tags.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    documents::export(&plant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use andon_model::{StatusCode, SystemClock, Timestamp, Value};
    use andon_sparkplug::topic::NodeName;
    use andon_sparkplug::{CommandBy, DataType};
    use andon_store::documents::Document;

    #[test]
    fn those_of_which_something_is_not_there_come_first_and_the_rest_is_counted() {
        let state = |node: &str, device: Option<&str>, online| DeviceState {
            node: NodeName::new("g", node).expect("a name"),
            device: device.map(Into::into),
            online,
            since: Timestamp::default(),
            metrics: 1,
            births_asked: 0,
            trouble: None,
        };
        let mut all: Vec<_> = (0..999).map(|n| vec![state(&format!("n{n:03}"), None, true)]).collect();
        all.push(vec![state("z", None, true), state("z", Some("d"), false)]);
        let (listed, more) = nodes(all);
        assert_eq!((listed.len(), more), (1000, 1));
        let names: Vec<_> = listed.iter().take(3).map(|one| (one.node.as_str(), one.device.as_deref())).collect();
        assert_eq!(names, [("g/z", None), ("g/z", Some("d")), ("g/n000", None)]);
    }

    #[test]
    fn what_is_proposed_is_a_document_that_takes_everything_found() {
        let text = "[[equipment]]\npath = \"w\"\nlevel = \"site\"\n[[connector]]\nname = \"a\"\ntype = \"sparkplug_host\"\nhost_id = \"andon\"\ngroups = [\"g\"]\nplace = \"w\"\n";
        let document = |text: &str| Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        let plant = documents::parse(&[document(text)], &Checks).expect("a good model");
        let found = |device: Option<&str>, metric: &str, data_type: DataType| Found {
            address: Address {
                node: NodeName::new("g", "Node 1").expect("a name"),
                device: device.map(Into::into),
                metric: metric.into(),
            },
            data_type: Some(data_type),
            tag_type: data_type.tag_type(),
            tag: None,
            transient: false,
            unit: (metric == "Temp °C").then(|| "°C".into()),
            value: Value::Null,
            quality: StatusCode::GOOD,
            at: Timestamp::default(),
        };
        let all = [
            found(None, "bdSeq", DataType::UInt64),
            found(None, "Node Control/Rebirth", DataType::Boolean),
            found(None, "Temp °C", DataType::Float),
            found(None, "Temp _C", DataType::Float),
            found(Some("d"), "Motor/speed", DataType::Double),
            found(Some("d"), "Motor/on", DataType::Boolean),
            found(Some("d"), "table", DataType::DataSet),
        ];
        let place = EquipmentPath::parse("w").expect("a path");
        let listed = values(&plant.connectors[0], Some(&place), &plant, &all, &SystemClock);
        // The protocol's own metrics are nothing to find.
        assert_eq!((listed.values.len(), listed.more), (5, 0));
        let text = listed.document.expect("a document");
        let merged = documents::merge(&plant, &[document(&text)], false, &Checks).expect("it can be applied");
        let paths: Vec<_> = merged.tags.iter().map(|tag| tag.path.to_string()).collect();
        assert_eq!(paths, ["w/Node_1/Temp__C", "w/Node_1/Temp__C_2", "w/Node_1/d/Motor/on", "w/Node_1/d/Motor/speed"]);
        let titles: Vec<_> =
            merged.tags.iter().map(|tag| (tag.title.as_str(), tag.unit.as_ref().map(|it| it.code()))).collect();
        assert_eq!(titles, [("Temp C", None), ("Temp C 2", Some("Cel")), ("on", None), ("speed", None)]);
        let node = merged.equipment.iter().find(|item| item.path.as_str() == "w/Node_1").expect("the edge node");
        assert_eq!((node.title.as_str(), title("_")), ("Node 1", "_".to_owned()));
        let config = super::super::config::host(&merged.connectors[0], &merged).expect("good settings");
        assert_eq!((config.metrics.len(), config.command_by), (4, CommandBy::Alias));
        // However many names become the same, they are numbered.
        let name = |n: u32| char::from_u32(0x4e00 + n).expect("a character").to_string();
        let many: Vec<_> = (0..5000).map(|n| found(None, &name(n), DataType::Float)).collect();
        let listed = values(&plant.connectors[0], Some(&place), &plant, &many, &SystemClock);
        let merged = documents::merge(&plant, &[document(&listed.document.expect("a document"))], false, &Checks);
        let merged = merged.expect("it can be applied");
        assert_eq!(merged.tags.len(), 5000);
        assert!(merged.tags.iter().any(|tag| tag.path.as_str() == "w/Node_1/__5000"));
    }
}
