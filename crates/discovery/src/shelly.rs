//! Shelly devices, as far as their reports show what they are: Gen1 by `shellies/<id>/…`, Gen2 and later by `<id>/status/<component>` and
//! `<id>/events/rpc`. They announce only that they are there, so what they have never reported is not known.

use crate::Kind;
use crate::announcements::Announcements;
use crate::item::{Device, Family, Item, MOVES_MS, Point, Source, Wanted};
use crate::text::{level, line};
use crate::units::unit;
use andon_model::DataType;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a Gen1 device reports below its own topic: the last levels, the type, the unit.
const FIRST: [(&str, DataType, &str); 12] = [
    ("temperature", DataType::Double, "°C"),
    ("humidity", DataType::Double, "%"),
    ("battery", DataType::Double, "%"),
    ("lux", DataType::Double, "lx"),
    ("motion", DataType::Boolean, ""),
    ("flood", DataType::Boolean, ""),
    ("smoke", DataType::Boolean, ""),
    ("state", DataType::String, ""),
    ("power", DataType::Double, "W"),
    ("voltage", DataType::Double, "V"),
    ("current", DataType::Double, "A"),
    ("overtemperature", DataType::Boolean, ""),
];

/// What a component of Gen2 reports: the kind, the property, the type, the unit, and whether the mapping can write it.
const SECOND: [(&str, &str, DataType, &str, bool); 26] = [
    ("switch", "output", DataType::Boolean, "", true),
    ("switch", "apower", DataType::Double, "W", false),
    ("switch", "voltage", DataType::Double, "V", false),
    ("switch", "current", DataType::Double, "A", false),
    ("switch", "freq", DataType::Double, "Hz", false),
    ("switch", "aenergy.total", DataType::Double, "Wh", false),
    ("switch", "temperature.tC", DataType::Double, "°C", false),
    ("light", "output", DataType::Boolean, "", true),
    ("light", "brightness", DataType::Double, "%", true),
    ("cover", "state", DataType::String, "", false),
    ("cover", "current_pos", DataType::Double, "%", true),
    ("cover", "apower", DataType::Double, "W", false),
    ("input", "state", DataType::Boolean, "", false),
    ("input", "percent", DataType::Double, "%", false),
    ("temperature", "tC", DataType::Double, "°C", false),
    ("humidity", "rh", DataType::Double, "%", false),
    ("illuminance", "lux", DataType::Double, "lx", false),
    ("devicepower", "battery.percent", DataType::Double, "%", false),
    ("flood", "alarm", DataType::Boolean, "", false),
    ("smoke", "alarm", DataType::Boolean, "", false),
    ("pm1", "apower", DataType::Double, "W", false),
    ("pm1", "voltage", DataType::Double, "V", false),
    ("pm1", "aenergy.total", DataType::Double, "Wh", false),
    ("em", "total_act_power", DataType::Double, "W", false),
    ("em", "total_current", DataType::Double, "A", false),
    ("em1", "act_power", DataType::Double, "W", false),
];

/// Whether a message on this topic may be a Shelly's report. Asked for every message.
pub(crate) fn is_report(topic: &str) -> bool {
    if let Some(rest) = topic.strip_prefix("shellies/") {
        return rest.contains('/') || rest == "announce";
    }
    let Some((id, rest)) = topic.split_once('/') else { return false };
    id.starts_with("shelly")
        && (rest == "events/rpc" || rest.strip_prefix("status/").is_some_and(|component| !component.contains('/')))
}

/// The items of all devices, at most so many.
pub(crate) fn read(announcements: &Announcements, most: usize) -> Vec<Item> {
    let mut found: BTreeMap<(String, String), Item> = BTreeMap::new();
    for one in announcements.by_arrival().filter(|one| one.kind == Kind::Shelly) {
        if found.len() >= most {
            break;
        }
        let (topic, payload) = (&*one.topic, &*one.payload);
        let items = match topic.strip_prefix("shellies/") {
            Some(rest) => first(topic, rest).into_iter().collect(),
            None => second(topic, payload),
        };
        for item in items {
            found.entry((item.device.id.clone(), item.name.clone())).or_insert(item);
        }
    }
    found.into_values().take(most).collect()
}

fn device(id: &str) -> Arc<Device> {
    let model = id.rsplit_once('-').map_or(id, |(model, _)| model);
    Arc::new(Device { id: id.to_owned(), name: line(id, 80), area: None, model: format!("Shelly {model}") })
}

fn plain(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.')
}

fn item(
    topic: &str,
    device: Arc<Device>,
    path: &str,
    filter: String,
    data_type: DataType,
    of: &str,
    writable: bool,
) -> Item {
    let mut point = Point::new(&level(path), data_type);
    point.unit = unit(of);
    if writable && data_type != DataType::Boolean {
        point = point.within(0.0, 100.0);
        point.write.confirm_within_ms = MOVES_MS;
    }
    let source =
        Source { filter, format: "shelly", at: path.to_owned(), words: Map::new(), availability: None, base: None };
    let command = writable.then(|| crate::Command { topic: None, words: Map::new() });
    Item {
        family: Family::Shelly,
        topic: topic.to_owned(),
        device,
        kind: "shelly".to_owned(),
        name: line(path, 80),
        what: Ok(Wanted { point, source: Some(source), command }),
        left_out: Vec::new(),
    }
}

/// Gen1: the topic says it all.
fn first(topic: &str, rest: &str) -> Option<Item> {
    let (id, path) = rest.split_once('/')?;
    let levels: Vec<&str> = path.split('/').collect();
    let numbered = |level: &str| !level.is_empty() && level.len() <= 2 && level.bytes().all(|b| b.is_ascii_digit());
    let (data_type, of, writable) = match levels.as_slice() {
        ["relay", number] if numbered(number) => (DataType::Boolean, "", true),
        ["light", number] if numbered(number) => (DataType::Boolean, "", true),
        ["input", number] if numbered(number) => (DataType::Boolean, "", false),
        ["relay" | "light" | "emeter", number, last] if numbered(number) => of_first(last)?,
        ["sensor", last] | [last] => of_first(last)?,
        _ => return None,
    };
    plain(id).then(|| item(topic, device(id), path, format!("shellies/{id}/#"), data_type, of, writable))
}

fn of_first(last: &str) -> Option<(DataType, &'static str, bool)> {
    FIRST.iter().find(|(name, ..)| *name == last).map(|(_, data_type, of)| (*data_type, *of, false))
}

/// Gen2: the components of a status or a notification.
fn second(topic: &str, payload: &[u8]) -> Vec<Item> {
    let Some((id, rest)) = topic.split_once('/').filter(|(id, _)| plain(id)) else { return Vec::new() };
    let Ok(json) = serde_json::from_slice::<Json>(payload) else { return Vec::new() };
    let device = device(id);
    let component = |name: &str, status: &Json| -> Vec<Item> {
        let Some((kind, number)) = name
            .split_once(':')
            .filter(|(_, n)| n.len() <= 3 && n.bytes().all(|b| b.is_ascii_digit()) && !n.is_empty())
        else {
            return Vec::new();
        };
        let of_kind = SECOND.iter().filter(|(known, ..)| *known == kind);
        let there = of_kind.filter(|(_, property, ..)| {
            property.split('.').try_fold(status, |at, key| at.get(key)).is_some_and(|value| !value.is_null())
        });
        there
            .map(|(_, property, data_type, of, writable)| {
                let path = format!("{kind}:{number}.{property}");
                item(topic, device.clone(), &path, format!("{id}/#"), *data_type, of, *writable)
            })
            .collect()
    };
    match rest.strip_prefix("status/") {
        Some(name) => component(name, &json),
        None => {
            let notifies = json
                .get("method")
                .and_then(Json::as_str)
                .is_some_and(|method| method == "NotifyStatus" || method == "NotifyFullStatus");
            let params = json.get("params").and_then(Json::as_object).filter(|_| notifies);
            params
                .map(|params| params.iter().take(50).flat_map(|(name, status)| component(name, status)).collect())
                .unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use andon_model::Timestamp;

    #[test]
    fn what_devices_report_is_found() {
        let mut all = Announcements::new(Limits::default());
        for (topic, payload) in [
            ("shellies/announce", r#"{"id":"shelly1pm-68C63AFB6C1F","model":"SHSW-PM"}"#),
            ("shellies/shelly1pm-68C63AFB6C1F/relay/0", "on"),
            ("shellies/shelly1pm-68C63AFB6C1F/relay/0/power", "1043.27"),
            ("shellies/shelly1pm-68C63AFB6C1F/relay/0/command", "off"),
            ("shellies/shelly1pm-68C63AFB6C1F/info", "{}"),
            (
                "shellyplus1pm-a8032abe54dc/status/switch:0",
                r#"{"id":0,"output":true,"apower":8.9,"aenergy":{"total":6.5},"temperature":{"tC":null}}"#,
            ),
            (
                "shellyplus1pm-a8032abe54dc/events/rpc",
                r#"{"method":"NotifyStatus","params":{"ts":1.5,"switch:0":{"id":0,"output":true},"input:1":{"state":false}}}"#,
            ),
            ("shellyplus1pm-a8032abe54dc/status/sys", r#"{"mac":"A8032ABE54DC"}"#),
            ("shelly-x/events/rpc", "no JSON"),
        ] {
            assert!(is_report(topic), "{topic}");
            all.note(topic, Kind::Shelly, payload.as_bytes(), Timestamp::default());
        }
        let show = |item: Item| {
            let wanted = item.what.expect("a value");
            let source = wanted.source.expect("a source");
            format!("{} {} {} {}", source.filter, source.at, wanted.point.data_type.name(), wanted.command.is_some())
        };
        let (one, plus) = ("shellies/shelly1pm-68C63AFB6C1F/#", "shellyplus1pm-a8032abe54dc/#");
        assert_eq!(
            read(&all, 1000).into_iter().map(show).collect::<Vec<_>>(),
            [
                format!("{one} relay/0 boolean true"),
                format!("{one} relay/0/power double false"),
                format!("{plus} input:1.state boolean false"),
                format!("{plus} switch:0.aenergy.total double false"),
                format!("{plus} switch:0.apower double false"),
                format!("{plus} switch:0.output boolean true"),
            ]
        );
        assert!(!is_report("zigbee2mqtt/status/x") && !is_report("shellies/one") && !is_report("shelly-x/status/a/b"));
    }
}
