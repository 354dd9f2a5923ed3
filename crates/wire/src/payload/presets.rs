//! The home devices, as they really speak: which topics a device uses, and how each is commanded.
//!
//! - Zigbee2MQTT 1.x and 2.x: `<base>/<name>` JSON state, `<name>/availability`, `<name>/set`, `<base>/bridge/state`.
//! - Tasmota 9 and later: `tele/<t>/STATE|SENSOR|LWT`, `stat/<t>/RESULT|POWER…|STATUS8|10|11`, `cmnd/<t>/<command>`.
//! - Shelly Gen1: `shellies/<id>/relay/0` with plain values, `/command`, `/online`.
//! - Shelly Gen2 and later: `<id>/events/rpc` (`NotifyStatus`), `<id>/status/<component>`, `<id>/online`, `<id>/rpc`.

use super::command::Payload;
use super::settings::{Availability, Part};
use serde_json::{Value as Json, json};

/// The topics of a mapping, and how its device is commanded.
pub(super) struct Routes {
    /// Filter, meaning, and the level at which the device's own words begin.
    pub(super) routes: Vec<(String, Part, usize)>,
    pub(super) family: Family,
    /// Where the family puts its time, as a JSON path.
    pub(super) time: Option<&'static str>,
}

/// A device family; its topic may have `{1}`, … where the filter has `+`.
#[derive(PartialEq, Eq)]
pub(super) enum Family {
    None,
    Zigbee2Mqtt { topic: String },
    Tasmota { command: String },
    Shelly { id: String },
    ShellyFirst { id: String },
}

/// What is wrong with a setting of a preset.
pub(super) struct Fault {
    pub(super) key: &'static str,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

fn fault(key: &'static str, message: impl Into<String>, remedy: &'static str) -> Fault {
    Fault { key, message: message.into(), remedy }
}

impl Routes {
    pub(super) fn plain(filter: &str) -> Self {
        Self { routes: vec![(filter.to_owned(), Part::Main, 0)], family: Family::None, time: None }
    }
}

fn here() -> Part {
    Part::Availability(Availability::default())
}

/// `filter` with `{1}`, `{2}`, … in the place of its `+`.
fn as_template(filter: &str) -> String {
    let mut count = 0;
    let levels = filter.split('/').map(|level| {
        if level == "+" {
            count += 1;
            format!("{{{count}}}")
        } else {
            level.to_owned()
        }
    });
    levels.collect::<Vec<_>>().join("/")
}

pub(super) fn zigbee2mqtt(filter: &str, base: Option<&str>) -> Result<Routes, Fault> {
    let first = filter.split('/').next().unwrap_or_default();
    let base = base.unwrap_or(first);
    let name = filter.strip_prefix(base).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    if name.is_empty() || name.ends_with('#') || base.contains(['+', '#']) {
        return Err(fault(
            "filter",
            "the filter is not the topic of one device",
            "write `zigbee2mqtt/<friendly name>`",
        ));
    }
    Ok(Routes {
        routes: vec![
            (filter.to_owned(), Part::Main, 0),
            (format!("{filter}/availability"), here(), 0),
            (format!("{base}/bridge/state"), here(), 0),
        ],
        family: Family::Zigbee2Mqtt { topic: as_template(filter) },
        // Present when `advanced.last_seen` is set in Zigbee2MQTT.
        time: Some("last_seen"),
    })
}

pub(super) fn tasmota(filter: &str) -> Result<Routes, Fault> {
    let device = filter.strip_suffix("/#").unwrap_or(filter);
    let levels: Vec<&str> = device.split('/').collect();
    let prefixes = levels.iter().filter(|level| **level == "tele").count();
    if prefixes != 1 || levels.len() < 2 || levels.contains(&"#") {
        return Err(fault(
            "filter",
            "the filter does not show which level is Tasmota's prefix",
            "write the telemetry topics: `tele/<topic>/#`, or `<topic>/tele/#` as %fulltopic% says",
        ));
    }
    let with = |prefix: &str| {
        levels.iter().map(|level| if *level == "tele" { prefix } else { level }).collect::<Vec<_>>().join("/")
    };
    let rest = levels.len();
    Ok(Routes {
        routes: vec![
            (format!("{}/+", with("tele")), Part::TasmotaTele, rest),
            (format!("{}/LWT", with("tele")), here(), rest),
            (format!("{}/+", with("stat")), Part::TasmotaStat, rest),
        ],
        family: Family::Tasmota { command: as_template(&with("cmnd")) },
        // `Time` is local time without a zone: used only where `time` and `utc_offset` say so.
        time: None,
    })
}

pub(super) fn shelly(filter: &str, generation: Option<f64>) -> Result<Routes, Fault> {
    let id = filter.strip_suffix("/#").unwrap_or(filter);
    let levels: Vec<&str> = id.split('/').collect();
    let inside = |level: &&str| matches!(*level, "events" | "status" | "rpc" | "online" | "relay" | "command" | "#");
    if levels.iter().any(inside) {
        return Err(fault(
            "filter",
            "the filter is not the topic of one device",
            "write `<device id>/#`, or `shellies/<device id>/#`",
        ));
    }
    let first = match generation {
        None => levels.first() == Some(&"shellies"),
        Some(1.0) => true,
        Some(number) if (2.0..=9.0).contains(&number) => false,
        Some(_) => {
            return Err(fault("generation", "there is no such generation of Shelly devices", "write 1, 2, 3 or 4"));
        }
    };
    let rest = levels.len();
    let online = (format!("{id}/online"), here(), rest);
    if first {
        return Ok(Routes {
            routes: vec![(format!("{id}/#"), Part::ShellyFirst, rest), online],
            family: Family::ShellyFirst { id: as_template(id) },
            time: None,
        });
    }
    Ok(Routes {
        routes: vec![
            (format!("{id}/events/rpc"), Part::ShellyEvents, rest),
            (format!("{id}/status/+"), Part::ShellyStatus, rest + 1),
            (format!("{id}/{REPLY}/rpc"), Part::ShellyReply, rest),
            online,
        ],
        family: Family::Shelly { id: as_template(id) },
        time: None,
    })
}

/// The level below the device's own topic to which it sends the answers to our requests, so that a device needs no
/// right to publish anywhere else.
const REPLY: &str = "andon";

impl Family {
    /// Topic, payload and the words for on and off with which `path` is commanded; `None` where the family has none.
    pub(super) fn command(&self, path: &str) -> Option<(String, Payload, (Json, Json))> {
        let words = |on: &str, off: &str| (Json::from(on), Json::from(off));
        match self {
            Self::None => None,
            Self::Zigbee2Mqtt { topic } => {
                let plain = !path.contains(['.', '[', '$']);
                let payload = Payload::json(json!({ path: "$ON_OFF" })).ok().filter(|_| plain)?;
                Some((format!("{topic}/set"), payload, words("ON", "OFF")))
            }
            Self::Tasmota { command } => {
                let plain = path.chars().all(|c| c.is_ascii_alphanumeric());
                let payload = Payload::text("{value}").ok().filter(|_| plain)?;
                Some((format!("{command}/{path}"), payload, words("ON", "OFF")))
            }
            Self::ShellyFirst { id } => {
                let relay = path.strip_prefix("relay/").or_else(|| path.strip_prefix("light/"))?;
                let plain = !relay.is_empty() && relay.bytes().all(|b| b.is_ascii_digit());
                let payload = Payload::text("{value}").ok().filter(|_| plain)?;
                Some((format!("{id}/{path}/command"), payload, words("on", "off")))
            }
            Self::Shelly { id } => {
                let (component, property) = path.split_once('.')?;
                let (kind, number) = component.split_once(':')?;
                let number: u32 = number.parse().ok()?;
                let (method, parameter) = match (kind, property) {
                    ("switch", "output") => ("Switch.Set", "on"),
                    ("light", "output") => ("Light.Set", "on"),
                    ("light", "brightness") => ("Light.Set", "brightness"),
                    ("cover", "current_pos") => ("Cover.GoToPosition", "pos"),
                    _ => return None,
                };
                let request = json!({
                    "id": 1, "src": format!("{id}/{REPLY}"), "method": method,
                    "params": { "id": number, parameter: "$VALUE" },
                });
                let payload = Payload::json(request).ok()?.ignoring(&["/id", "/src"]);
                Some((format!("{id}/rpc"), payload, (Json::Bool(true), Json::Bool(false))))
            }
        }
    }
}
