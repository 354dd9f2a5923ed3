//! Home Assistant's MQTT discovery (as of 2024.3, and device discovery of 2024.11): retained configurations on
//! `<prefix>/<component>/[<node_id>/]<object_id>/config` or `<prefix>/device/<object_id>/config`, with short names and a base topic `~`.

mod abbreviations;
mod config;
mod kinds;
#[cfg(test)]
mod tests;

use crate::item::{Device, Family, Item};
use crate::text::{level, line};
use andon_wire::value_template::MAX_TEMPLATE;
use config::Config;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Longer texts are cut to this, in bytes: a character more than anything may have.
const TOO_LONG: usize = MAX_TEMPLATE + 4;
/// What an entity may say of whether it is there.
const AVAILABILITY: [&str; 6] = [
    "availability",
    "availability_topic",
    "availability_mode",
    "availability_template",
    "payload_available",
    "payload_not_available",
];
/// The most components of one device.
const MAX_COMPONENTS: usize = 1000;

/// A discovery topic's parts.
struct Place<'t> {
    component: &'t str,
    node: Option<&'t str>,
    object: &'t str,
}

fn place<'t>(prefix: &str, topic: &'t str) -> Option<Place<'t>> {
    let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?;
    let levels: Vec<&str> = rest.split('/').collect();
    let good = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let place = match levels.as_slice() {
        [component, object, "config"] => Place { component, node: None, object },
        [component, node, object, "config"] => Place { component, node: Some(node), object },
        _ => return None,
    };
    (good(place.object) && place.node.is_none_or(good)).then_some(place)
}

/// The items of one configuration.
pub(crate) fn read(prefix: &str, topic: &str, payload: &[u8]) -> Vec<Item> {
    let Some(place) = place(prefix, topic) else { return Vec::new() };
    let nobody = Device { id: topic.to_owned(), name: line(place.object, 80), ..Device::default() };
    let failed = |kind: &str, why: String| Item {
        family: Family::HomeAssistant,
        topic: topic.to_owned(),
        device: Arc::new(nobody.clone()),
        kind: line(kind, 40),
        name: line(place.object, 80),
        what: Err(why),
        left_out: Vec::new(),
    };
    let mut config = match serde_json::from_slice::<Json>(payload) {
        Ok(Json::Object(map)) => map,
        Ok(_) => return vec![failed(place.component, "the configuration is no JSON object".to_owned())],
        Err(error) => return vec![failed(place.component, format!("the configuration is no JSON: {error}"))],
    };
    config.values_mut().for_each(shorten);
    expand(&mut config);
    if place.component != "device" {
        let device = device_of(&config).unwrap_or(nobody);
        return kinds::read(&Config::new(topic, place.component, &config, None), &Arc::new(device));
    }
    let device = Arc::new(device_of(&config).unwrap_or_else(|| nobody.clone()));
    let Some(Json::Object(components)) = config.remove("components") else {
        return vec![failed("device", "the device has no components".to_owned())];
    };
    let shared = Config::new(topic, place.component, &config, None).availability().clone();
    let mut items = Vec::new();
    for component in components.values().take(MAX_COMPONENTS) {
        let Json::Object(own) = component else { continue };
        let mut own = own.clone();
        // The base topic of the device holds for its components as well.
        if let Some(base) = config.get("~") {
            own.entry("~").or_insert_with(|| base.clone());
        }
        expand(&mut own);
        let Some(platform) = own.get("platform").and_then(Json::as_str).map(str::to_owned) else { continue };
        // Only the kind: this component was taken back.
        if own.keys().all(|key| key == "platform" || key == "~") {
            continue;
        }
        // What the component says itself of whether it is there is held against the device's words; most say nothing.
        let says = AVAILABILITY.iter().any(|key| own.contains_key(*key));
        for key in ["state_topic", "command_topic"].iter().chain(AVAILABILITY.iter().filter(|_| says)) {
            if let Some(value) = config.get(*key) {
                own.entry(*key).or_insert_with(|| value.clone());
            }
        }
        items.extend(kinds::read(&Config::new(topic, &platform, &own, (!says).then_some(&shared)), &device));
    }
    items
}

/// Cuts texts that are too long for anything, so that what is made of a configuration, by many components, is bounded. They stay too long to be taken.
fn shorten(json: &mut Json) {
    match json {
        Json::String(text) if text.len() > TOO_LONG => {
            let end = (0..=TOO_LONG).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            *text = text.get(..end).unwrap_or_default().to_owned();
        }
        Json::Array(list) => list.iter_mut().for_each(shorten),
        Json::Object(map) => map.values_mut().for_each(shorten),
        _ => {}
    }
}

/// Long names instead of short ones, and whole topics instead of those that begin or end with `~`.
fn expand(config: &mut Map<String, Json>) {
    lengthen(config, &abbreviations::KEYS);
    if let Some(Json::Object(device)) = config.get_mut("device") {
        lengthen(device, &abbreviations::DEVICE_KEYS);
    }
    let base = config.get("~").and_then(Json::as_str).map(str::to_owned);
    if let Some(Json::Object(one)) = config.get("availability") {
        let list = Json::Array(vec![Json::Object(one.clone())]);
        config.insert("availability".to_owned(), list);
    }
    if let Some(Json::Array(list)) = config.get_mut("availability") {
        list.truncate(config::MAX_AVAILABILITY + 1);
        for one in list.iter_mut().filter_map(Json::as_object_mut) {
            lengthen(one, &abbreviations::KEYS);
            one.retain(|key, _| {
                ["topic", "value_template", "payload_available", "payload_not_available"].contains(&key.as_str())
            });
            if let (Some(base), Some(topic)) = (&base, one.get_mut("topic")) {
                put_base(topic, base);
            }
        }
    }
    if let Some(base) = base {
        for (_, topic) in config.iter_mut().filter(|(key, _)| key.ends_with("topic")) {
            put_base(topic, &base);
        }
    }
}

fn lengthen(map: &mut Map<String, Json>, table: &[(&str, &str)]) {
    let short: Vec<String> = map
        .keys()
        .filter(|key| table.binary_search_by_key(&key.as_str(), |(short, _)| short).is_ok())
        .cloned()
        .collect();
    for key in short {
        if let (Ok(at), Some(value)) = (table.binary_search_by_key(&key.as_str(), |(short, _)| short), map.remove(&key))
            && let Some((_, long)) = table.get(at)
        {
            map.insert((*long).to_owned(), value);
        }
    }
}

fn put_base(topic: &mut Json, base: &str) {
    let Json::String(text) = topic else { return };
    if let Some(rest) = text.strip_prefix('~') {
        *text = format!("{base}{rest}");
    }
    if let Some(rest) = text.strip_suffix('~') {
        *text = format!("{rest}{base}");
    }
}

fn device_of(config: &Map<String, Json>) -> Option<Device> {
    let device = config.get("device")?.as_object()?;
    let text =
        |key: &str| device.get(key).and_then(Json::as_str).map(|text| line(text, 80)).filter(|text| !text.is_empty());
    let id = match device.get("identifiers") {
        Some(Json::String(id)) => Some(id.clone()),
        Some(Json::Array(ids)) => ids.first().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)),
        _ => device.get("connections").map(Json::to_string),
    };
    let id = line(&id?, 200);
    let model = [text("manufacturer"), text("model")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = text("name").or_else(|| text("model")).unwrap_or_else(|| id.clone());
    Some(Device { name, area: text("suggested_area"), model, id })
}

/// A name for the last level of a path.
fn leaf(name: &str) -> String {
    level(name)
}
