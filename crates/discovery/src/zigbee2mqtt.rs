//! Zigbee2MQTT's list of devices (1.x and 2.x): retained on `<base>/bridge/devices`, each device with what it exposes.

use crate::item::{Device, Family, Item, MOVES_MS, Point, Source, Wanted};
use crate::propose::MAX_WORD;
use crate::text::{level, line};
use crate::units::unit;
use andon_model::DataType;
use andon_wire::mqtt::TopicName;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// The most devices of one network, and the most that one exposes.
const MAX_DEVICES: usize = 2000;
const MAX_EXPOSED: usize = 200;

/// The bits of `access`.
const PUBLISHED: u64 = 1;
const SET: u64 = 2;

/// The items of the list, at most so many.
pub(crate) fn read(topic: &str, payload: &[u8], most: usize) -> Vec<Item> {
    let base = topic.strip_suffix("/bridge/devices").unwrap_or(topic);
    let devices = match serde_json::from_slice::<Json>(payload) {
        Ok(Json::Array(devices)) => devices,
        _ => {
            return vec![failed(
                topic,
                &Arc::new(Device { id: topic.to_owned(), name: base.to_owned(), ..Device::default() }),
                "bridge",
                "the list of devices cannot be read",
            )];
        }
    };
    devices
        .iter()
        .take(MAX_DEVICES)
        .filter_map(Json::as_object)
        .flat_map(|device| of_device(topic, base, device))
        .take(most)
        .collect()
}

fn failed(topic: &str, device: &Arc<Device>, name: &str, why: &str) -> Item {
    Item {
        family: Family::Zigbee2Mqtt,
        topic: topic.to_owned(),
        device: device.clone(),
        kind: "zigbee2mqtt".to_owned(),
        name: line(name, 80),
        what: Err(why.to_owned()),
        left_out: Vec::new(),
    }
}

fn of_device(topic: &str, base: &str, device: &Map<String, Json>) -> Vec<Item> {
    let text = |map: &Map<String, Json>, key: &str| map.get(key).and_then(Json::as_str).map(str::to_owned);
    if text(device, "type").as_deref() == Some("Coordinator") {
        return Vec::new();
    }
    let Some(friendly) = text(device, "friendly_name") else { return Vec::new() };
    let definition = device.get("definition").and_then(Json::as_object);
    let model = definition.map(|definition| {
        let parts = [text(definition, "vendor"), text(definition, "model")];
        line(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "), 80)
    });
    let whose = Arc::new(Device {
        id: text(device, "ieee_address").map_or_else(|| line(&friendly, 200), |id| line(&id, 40)),
        name: line(friendly.rsplit('/').next().unwrap_or(&friendly), 80),
        // Friendly names with slashes are how people sort their devices.
        area: friendly.rsplit_once('/').map(|(above, _)| line(above.rsplit('/').next().unwrap_or(above), 80)),
        model: model.unwrap_or_default(),
    });
    let filter = format!("{base}/{friendly}");
    let good = TopicName::parse(&filter).is_ok_and(|name| name.levels() <= 16) && line(&filter, 600) == filter;
    if !good {
        return vec![failed(topic, &whose, &friendly, "its name is no topic")];
    }
    let exposes = definition.and_then(|definition| definition.get("exposes")).and_then(Json::as_array);
    let Some(exposes) = exposes else {
        return vec![failed(topic, &whose, &friendly, "Zigbee2MQTT does not know what it exposes")];
    };
    let mut items = Vec::new();
    for exposed in exposes.iter().take(MAX_EXPOSED).filter_map(Json::as_object) {
        if items.len() >= MAX_EXPOSED {
            break;
        }
        match exposed.get("features").and_then(Json::as_array) {
            // A light, switch, lock, cover, climate or fan, with features of its own; a composite stands for one value of several parts.
            Some(features) if text(exposed, "property").is_none() || !is(exposed, "composite") => {
                let kind = text(exposed, "type").unwrap_or_default();
                items.extend(
                    features
                        .iter()
                        .take(MAX_EXPOSED - items.len())
                        .filter_map(Json::as_object)
                        .map(|it| feature(topic, &whose, base, &filter, &kind, it)),
                );
            }
            _ => items.push(feature(topic, &whose, base, &filter, "", exposed)),
        }
    }
    items
}

fn is(exposed: &Map<String, Json>, kind: &str) -> bool {
    exposed.get("type").and_then(Json::as_str) == Some(kind)
}

fn feature(topic: &str, device: &Arc<Device>, base: &str, filter: &str, of: &str, exposed: &Map<String, Json>) -> Item {
    let text = |key: &str| exposed.get(key).and_then(Json::as_str).map(str::to_owned);
    let kind = text("type").unwrap_or_default();
    let property = text("property").unwrap_or_default();
    let label = text("label").or_else(|| text("name")).unwrap_or_else(|| property.clone());
    let name = line(&label, 80);
    let access = exposed.get("access").and_then(Json::as_u64).unwrap_or(PUBLISHED);
    let wanted = wanted(base, filter, &kind, of, &property, access, exposed);
    Item {
        family: Family::Zigbee2Mqtt,
        topic: topic.to_owned(),
        device: device.clone(),
        kind: line(&format!("{of} {kind}"), 40).trim().to_owned(),
        name,
        what: wanted,
        left_out: Vec::new(),
    }
}

fn wanted(
    base: &str,
    filter: &str,
    kind: &str,
    of: &str,
    property: &str,
    access: u64,
    exposed: &Map<String, Json>,
) -> Result<Wanted, String> {
    // The mapping reads a path: a name with signs in it would be another one.
    let plain = !property.is_empty()
        && property.len() <= 64
        && property.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain {
        return Err("its property has no plain name".to_owned());
    }
    if access & PUBLISHED == 0 {
        return Err("it is written only: nobody would tell its state".to_owned());
    }
    let number = |key: &str| exposed.get(key).and_then(Json::as_f64).filter(|number| number.is_finite());
    let leaf = level(property);
    let mut words = Map::new();
    let mut settable = access & SET != 0;
    let mut point = match kind {
        "binary" => {
            for (key, word) in [("value_on", "true"), ("value_off", "false")] {
                let Some(value) = exposed.get(key) else { continue };
                if value.as_str().is_some_and(|text| text.len() > MAX_WORD) {
                    return Err(format!("its word for `{word}` has more than {MAX_WORD} bytes"));
                }
                if value.is_string() || value.is_boolean() || value.is_number() {
                    words.insert(word.to_owned(), value.clone());
                }
            }
            Point::new(&leaf, DataType::Boolean)
        }
        "numeric" => {
            let mut point = Point::new(&leaf, DataType::Double);
            match (number("value_min"), number("value_max")) {
                (Some(low), Some(high)) if settable => point = point.within(low, high),
                (Some(low), Some(high)) if low < high => point.range = Some((low, high)),
                _ => settable = false,
            }
            if let Some(text) = exposed.get("unit").and_then(Json::as_str) {
                point.unit = unit(text);
            }
            if number("value_step").is_some_and(|step| step.fract() == 0.0 && step > 0.0) {
                point.digits = Some(0);
            }
            point
        }
        "enum" => {
            let values = exposed.get("values").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            let mut list: Vec<String> = Vec::new();
            for value in values.iter().take(200).filter_map(Json::as_str) {
                if !value.is_empty() && line(value, 200) == value && !list.iter().any(|known| known == value) {
                    list.push(value.to_owned());
                }
            }
            if list.is_empty() {
                return Err("it has no values to choose from".to_owned());
            }
            words.insert(
                "values".to_owned(),
                Json::Object(list.iter().zip(0..).map(|(word, number)| (word.clone(), json!(number))).collect()),
            );
            Point::of_words(&leaf, &list)
        }
        "text" => Point::new(&leaf, DataType::String),
        "composite" => return Err("it has several parts, such as a colour".to_owned()),
        "list" => return Err("it is a list".to_owned()),
        other => return Err(format!("the kind {} is not known", line(other, 40))),
    };
    if of == "cover" {
        point.write.confirm_within_ms = MOVES_MS;
        // OPEN, CLOSE and STOP are what it is told; what it reports is another word.
        settable &= property != "state";
    }
    let command = settable.then(|| crate::Command { topic: None, words: Map::new() });
    let source = Source {
        filter: filter.to_owned(),
        format: "zigbee2mqtt",
        at: property.to_owned(),
        words,
        availability: None,
        base: base.contains('/').then(|| base.to_owned()),
    };
    Ok(Wanted { point, source: Some(source), command })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After Zigbee2MQTT's documentation of `bridge/devices` and `exposes`.
    const DEVICES: &str = r#"[
      {"ieee_address":"0x00124b0024c2b3f1","type":"Coordinator","network_address":0,"friendly_name":"Coordinator","definition":null},
      {"ieee_address":"0x00158d00018255df","type":"Router","friendly_name":"Living room/Lamp","supported":true,
       "definition":{"model":"LED1545G12","vendor":"IKEA","description":"bulb","exposes":[
         {"type":"light","features":[
           {"access":7,"description":"On/off state of this light","label":"State","name":"state","property":"state","type":"binary","value_off":"OFF","value_on":"ON","value_toggle":"TOGGLE"},
           {"access":7,"label":"Brightness","name":"brightness","property":"brightness","type":"numeric","value_max":254,"value_min":0},
           {"access":7,"label":"Color (X/Y)","name":"color_xy","property":"color","type":"composite","features":[{"access":7,"name":"x","property":"x","type":"numeric"}]}]},
         {"access":2,"label":"Effect","name":"effect","property":"effect","type":"enum","values":["blink","okay"]},
         {"access":7,"label":"Power-on behavior","name":"power_on_behavior","property":"power_on_behavior","type":"enum","values":["off","on","toggle"]},
         {"access":1,"label":"Linkquality","name":"linkquality","property":"linkquality","type":"numeric","unit":"lqi","value_max":255,"value_min":0}]}},
      {"ieee_address":"0x00158d0003","type":"EndDevice","friendly_name":"0x00158d0003","definition":{"model":"WSDCGQ11LM","vendor":"Aqara","exposes":[
         {"access":1,"label":"Temperature","name":"temperature","property":"temperature","type":"numeric","unit":"°C"},
         {"access":1,"label":"Contact","name":"contact","property":"contact","type":"binary","value_off":true,"value_on":false}]}},
      {"ieee_address":"0x1","type":"EndDevice","friendly_name":"bad/+/name","definition":{"exposes":[]}},
      {"ieee_address":"0x2","type":"EndDevice","friendly_name":"new one","definition":null}]"#;

    fn show(item: &Item) -> String {
        let what = match &item.what {
            Err(why) => why.clone(),
            Ok(wanted) => {
                let source = wanted
                    .source
                    .as_ref()
                    .map(|source| format!("{} {} {}", source.filter, source.at, Json::Object(source.words.clone())));
                let point = &wanted.point;
                let unit = point.unit.as_ref().map_or("", |unit| unit.code());
                let range = point.range.map_or(String::new(), |(low, high)| format!("{low}..{high}"));
                format!(
                    "{} {unit} {range} {} {}",
                    point.data_type.name(),
                    if wanted.command.is_some() { "write" } else { "read" },
                    source.unwrap_or_default()
                )
            }
        };
        format!("{} / {}: {what}", item.device.name, item.name)
    }

    #[test]
    fn a_list_of_devices_is_read() {
        let items = read("zigbee2mqtt/bridge/devices", DEVICES.as_bytes(), 1000);
        let shown: Vec<String> = items.iter().map(show).collect();
        let lamp = "zigbee2mqtt/Living room/Lamp";
        assert_eq!(
            shown,
            [
                format!(r#"Lamp / State: boolean   write {lamp} state {{"false":"OFF","true":"ON"}}"#),
                format!("Lamp / Brightness: double  0..254 write {lamp} brightness {{}}"),
                "Lamp / Color (X/Y): it has several parts, such as a colour".to_owned(),
                "Lamp / Effect: it is written only: nobody would tell its state".to_owned(),
                format!(r#"Lamp / Power-on behavior: int64   write {lamp} power_on_behavior {{"values":{{"off":0,"on":1,"toggle":2}}}}"#),
                format!("Lamp / Linkquality: double {{lqi}} 0..255 read {lamp} linkquality {{}}"),
                "0x00158d0003 / Temperature: double Cel  read zigbee2mqtt/0x00158d0003 temperature {}".to_owned(),
                r#"0x00158d0003 / Contact: boolean   read zigbee2mqtt/0x00158d0003 contact {"false":true,"true":false}"#.to_owned(),
                "name / bad/+/name: its name is no topic".to_owned(),
                "new one / new one: Zigbee2MQTT does not know what it exposes".to_owned(),
            ]
        );
        assert_eq!(items[0].device.area.as_deref(), Some("Living room"));
        assert_eq!(items[0].device.model, "IKEA LED1545G12");
    }

    #[test]
    fn what_is_no_list_is_told() {
        assert_eq!(show(&read("z/bridge/devices", b"{", 1000)[0]), "z / bridge: the list of devices cannot be read");
    }
}
