//! Tasmota's own discovery (9.2 and later, `SetOption19 0`): retained on `<base>/<mac>/config` and `<base>/<mac>/sensors`.

use crate::announcements::Announcements;
use crate::item::{Device, Family, Item, Point, Source, Wanted};
use crate::propose::MAX_WORD;
use crate::text::{level, line};
use crate::units::unit;
use andon_model::DataType;
use andon_wire::mqtt::TopicFilter;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// The most sensor values of a device, and how deep they are looked for.
const MAX_SENSORS: usize = 200;
const DEEP: usize = 4;

/// What a sensor calls its quantity, the unit that Tasmota reports it in, and that unit's own key where it has one.
const QUANTITIES: [(&str, &str); 22] = [
    ("Temperature", "TempUnit"),
    ("DewPoint", "TempUnit"),
    ("Humidity", "%"),
    ("Pressure", "PressureUnit"),
    ("SeaPressure", "PressureUnit"),
    ("Illuminance", "lx"),
    ("CarbonDioxide", "ppm"),
    ("eCO2", "ppm"),
    ("TVOC", "ppb"),
    ("PM1", "µg/m³"),
    ("PM2.5", "µg/m³"),
    ("PM10", "µg/m³"),
    ("Power", "W"),
    ("ApparentPower", "VA"),
    ("ReactivePower", "VAr"),
    ("Voltage", "V"),
    ("Current", "A"),
    ("Frequency", "Hz"),
    ("Total", "kWh"),
    ("Yesterday", "kWh"),
    ("Today", "kWh"),
    ("Distance", "cm"),
];

/// The items of all devices, at most so many.
pub(crate) fn read(base: &str, announcements: &Announcements, most: usize) -> Vec<Item> {
    let of_base = |topic: &str| topic.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    let configs = announcements
        .by_arrival()
        .filter(|one| one.kind == crate::Kind::Tasmota && of_base(&one.topic) && one.topic.ends_with("/config"));
    configs
        .flat_map(|config| {
            let sensors =
                config.topic.strip_suffix("config").and_then(|above| announcements.get(&format!("{above}sensors")));
            let sensors = sensors.and_then(|sensors| serde_json::from_slice::<Json>(&sensors.payload).ok());
            of_device(&config.topic, &config.payload, sensors.as_ref().and_then(|sensors| sensors.get("sn")))
        })
        .take(most)
        .collect()
}

struct Known<'k> {
    topic: &'k str,
    device: Arc<Device>,
    filter: String,
    availability: Option<Arc<Json>>,
}

impl Known<'_> {
    fn item(&self, kind: &str, name: &str, what: Result<Wanted, String>) -> Item {
        Item {
            family: Family::Tasmota,
            topic: self.topic.to_owned(),
            device: self.device.clone(),
            kind: kind.to_owned(),
            name: line(name, 80),
            what,
            left_out: Vec::new(),
        }
    }

    fn value(&self, kind: &str, name: &str, point: Point, path: &str, writable: bool) -> Item {
        let source = Source {
            filter: self.filter.clone(),
            format: "tasmota",
            at: path.to_owned(),
            words: Map::new(),
            availability: self.availability.clone(),
            base: None,
        };
        let command = writable.then(|| crate::Command { topic: None, words: Map::new() });
        self.item(kind, name, Ok(Wanted { point, source: Some(source), command }))
    }
}

fn of_device(topic: &str, payload: &[u8], sensors: Option<&Json>) -> Vec<Item> {
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let Ok(config) = serde_json::from_slice::<Json>(payload) else {
        let device = Arc::new(Device { id: topic.to_owned(), name: "tasmota".to_owned(), ..Device::default() });
        let known = Known { topic, device, filter: String::new(), availability: None };
        return vec![known.item("tasmota", "configuration", Err("the configuration is no JSON".to_owned()))];
    };
    let own = text(&config, "t").unwrap_or_default();
    let names = config.get("fn").and_then(Json::as_array);
    let friendly = |at: usize| names.and_then(|names| names.get(at)).and_then(Json::as_str).map(|name| line(name, 80));
    let device = Arc::new(Device {
        id: text(&config, "mac").map_or_else(|| line(&own, 80), |mac| line(&mac, 40)),
        name: text(&config, "dn")
            .map(|name| line(&name, 80))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| line(&own, 80)),
        area: None,
        model: text(&config, "md").map(|model| line(&model, 80)).unwrap_or_default(),
    });
    let mut known = Known { topic, device, filter: String::new(), availability: None };
    match filter(&config, &own) {
        Ok(filter) => known.filter = filter,
        Err(why) => return vec![known.item("tasmota", "configuration", Err(why))],
    }
    known.availability = availability(&config, &known.filter);
    let mut items = Vec::new();
    let relays: Vec<u64> = config
        .get("rl")
        .and_then(Json::as_array)
        .map(|list| list.iter().take(32).map(|it| it.as_u64().unwrap_or(0)).collect())
        .unwrap_or_default();
    let count = relays.iter().filter(|kind| **kind > 0).count();
    // SetOption26: also a single one is called POWER1.
    let numbered = count > 1 || config.get("so").and_then(|so| so.get("26")).and_then(Json::as_u64) == Some(1);
    for (at, kind) in relays.iter().enumerate() {
        let path = if numbered { format!("POWER{}", at + 1) } else { "POWER".to_owned() };
        let name = friendly(at).unwrap_or_else(|| path.clone());
        let leaf = if count > 1 { format!("on_{}", at + 1) } else { "on".to_owned() };
        match kind {
            1 | 2 => items.push(known.value(
                if *kind == 1 { "relay" } else { "light" },
                &name,
                Point::new(&leaf, DataType::Boolean),
                &path,
                true,
            )),
            3 => items.push(known.item("shutter", &name, Err("shutters are not mapped".to_owned()))),
            _ => {}
        }
    }
    let dims = relays.contains(&2) && config.get("lt_st").and_then(Json::as_u64).is_some_and(|subtype| subtype >= 1);
    if dims {
        let mut point = Point::new("brightness", DataType::Int64).within(0.0, 100.0);
        point.unit = unit("%");
        items.push(known.value("light", "Dimmer", point, "Dimmer", true));
    }
    if let Some(sensors) = sensors {
        let mut path = Vec::new();
        walk(&known, sensors, sensors, &mut path, &mut items);
    }
    items
}

/// `%prefix%/%topic%/` as a filter of the telemetry; the mapping knows the usual prefixes.
fn filter(config: &Json, own: &str) -> Result<String, String> {
    let text = |key: &str| config.get(key).and_then(Json::as_str);
    let prefixes: Vec<&str> = config
        .get("tp")
        .and_then(Json::as_array)
        .map(|list| list.iter().filter_map(Json::as_str).collect())
        .unwrap_or_default();
    if prefixes != ["cmnd", "stat", "tele"] {
        return Err("its prefixes are not cmnd, stat and tele".to_owned());
    }
    let full = text("ft").unwrap_or("%prefix%/%topic%/");
    let topic = full.replace("%prefix%", "tele").replace("%topic%", own);
    let topic = format!("{}/#", topic.trim_end_matches('/'));
    let plain = own.bytes().all(|b| b.is_ascii_graphic() && !b"+#%{}".contains(&b)) && !own.is_empty();
    let good = plain && !topic.contains(['%', '+', '{']) && full.contains("%prefix%") && full.contains("%topic%");
    if good && TopicFilter::parse(&topic).is_ok() && topic.len() <= 512 && line(&topic, 600) == topic {
        return Ok(topic);
    }
    Err(format!("its topic {} with {} cannot be mapped", line(full, 80), line(own, 80)))
}

/// Its last will, where the words are not the usual ones.
fn availability(config: &Json, filter: &str) -> Option<Arc<Json>> {
    let text = |key: &str| config.get(key).and_then(Json::as_str);
    let (online, offline) = (text("onln")?, text("ofln")?);
    let usual = online.eq_ignore_ascii_case("online") && offline.eq_ignore_ascii_case("offline");
    let topic = format!("{}LWT", filter.strip_suffix('#')?);
    // A character more than a word may have is enough to be refused.
    let word = |text: &str| text.chars().take(MAX_WORD + 1).collect::<String>();
    let words = || serde_json::json!({ "topic": topic, "online": word(online), "offline": word(offline) });
    (!usual).then(|| Arc::new(words()))
}

fn walk(known: &Known<'_>, root: &Json, at: &Json, path: &mut Vec<String>, items: &mut Vec<Item>) {
    let Some(map) = at.as_object() else { return };
    for (key, value) in map {
        if items.len() >= MAX_SENSORS || key.len() > 40 || key.contains(['[', ']', '"', '$']) || key.is_empty() {
            continue;
        }
        path.push(key.clone());
        match value {
            Json::Object(_) if path.len() < DEEP => walk(known, root, value, path, items),
            Json::Number(_) => items.push(sensor(known, root, path)),
            _ => {}
        }
        path.pop();
    }
}

fn sensor(known: &Known<'_>, root: &Json, path: &[String]) -> Item {
    let quantity = path.last().map(String::as_str).unwrap_or_default();
    let mut point = Point::new(&level(&path.join("_")), DataType::Double);
    if let Some((_, of)) = QUANTITIES.iter().find(|(name, _)| *name == quantity) {
        let written = if of.ends_with("Unit") { root.get(*of).and_then(Json::as_str).unwrap_or_default() } else { of };
        point.unit = match (*of, written) {
            ("TempUnit", "C") => unit("°C"),
            ("TempUnit", "F") => unit("°F"),
            (_, written) => unit(written),
        };
    }
    let step = |key: &String| if key.contains('.') || key.contains(' ') { format!("[\"{key}\"]") } else { key.clone() };
    let steps: Vec<String> = path.iter().map(step).collect();
    let path_text = steps.iter().fold(String::new(), |path, step| match (path.is_empty(), step.starts_with('[')) {
        (true, _) | (_, true) => format!("{path}{step}"),
        _ => format!("{path}.{step}"),
    });
    known.value("sensor", &path.join(" "), point, &path_text, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Limits};
    use andon_model::Timestamp;

    /// After what Tasmota 12 announces.
    const CONFIG: &str = r#"{"ip":"192.168.1.15","dn":"Boiler plug","fn":["Boiler",null,null,null,null,null,null,null],"hn":"nous-1234","mac":"A4E57C9CF9D1","md":"NOUS A1T","ty":0,"if":0,
      "ofln":"Offline","onln":"Online","state":["OFF","ON","TOGGLE","HOLD"],"sw":"12.4.0","t":"boiler_plug","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],
      "rl":[1,0,0,0,0,0,0,0],"swc":[-1,-1],"swn":[null,null],"btn":[0,0],"so":{"4":0,"11":0,"13":0,"17":0,"20":0,"30":0,"68":0,"73":0,"82":0,"114":0,"117":0},"lk":0,"lt_st":0,"sho":[0,0,0,0],"ver":1}"#;
    const SENSORS: &str = r#"{"sn":{"Time":"2026-11-22T12:59:58","ENERGY":{"TotalStartTime":"2025-01-17T18:59:50","Total":412.956,"Today":0.649,"Power":74,"Factor":0.90,"Voltage":231},
      "SDS0X1":{"PM2.5":5.1},"DS18B20":{"Id":"01","Temperature":21.4},"TempUnit":"C"},"ver":1}"#;

    fn items(config: &str) -> Vec<String> {
        let mut all = Announcements::new(Limits::default());
        all.note("tasmota/discovery/A4E57C9CF9D1/config", Kind::Tasmota, config.as_bytes(), Timestamp::default());
        all.note("tasmota/discovery/A4E57C9CF9D1/sensors", Kind::Tasmota, SENSORS.as_bytes(), Timestamp::default());
        let show = |item: Item| match item.what {
            Ok(wanted) => {
                let (point, source) = (&wanted.point, wanted.source.as_ref().expect("a source"));
                let unit = point.unit.as_ref().map_or("", |unit| unit.code());
                format!(
                    "{} {} {} {unit} {} {}",
                    item.device.name,
                    point.leaf,
                    point.data_type.name(),
                    source.filter,
                    source.at
                )
            }
            Err(why) => why,
        };
        read("tasmota/discovery", &all, 1000).into_iter().map(show).collect()
    }

    #[test]
    fn a_plug_is_read() {
        let of = |rest: &str| format!("Boiler plug {rest}");
        assert_eq!(
            items(CONFIG),
            [
                of("on boolean  tele/boiler_plug/# POWER"),
                of("ds18b20_temperature double Cel tele/boiler_plug/# DS18B20.Temperature"),
                of("energy_factor double  tele/boiler_plug/# ENERGY.Factor"),
                of("energy_power double W tele/boiler_plug/# ENERGY.Power"),
                of("energy_today double kW.h tele/boiler_plug/# ENERGY.Today"),
                of("energy_total double kW.h tele/boiler_plug/# ENERGY.Total"),
                of("energy_voltage double V tele/boiler_plug/# ENERGY.Voltage"),
                of("sds0x1_pm2_5 double ug/m3 tele/boiler_plug/# SDS0X1[\"PM2.5\"]"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_mapped_is_told() {
        assert_eq!(items(&CONFIG.replace("\"tele\"]", "\"telemetry\"]")), ["its prefixes are not cmnd, stat and tele"]);
        assert_eq!(
            items(&CONFIG.replace("boiler_plug\",\"ft", "a/#\",\"ft")),
            ["its topic %prefix%/%topic%/ with a/# cannot be mapped"]
        );
        assert_eq!(items("{"), ["the configuration is no JSON"]);
        assert!(
            items(&CONFIG.replace("\"rl\":[1,0", "\"rl\":[1,1"))[1]
                .ends_with("on_2 boolean  tele/boiler_plug/# POWER2")
        );
        let shutter = items(&CONFIG.replace("\"rl\":[1,0", "\"rl\":[3,0"));
        assert_eq!(shutter[0], "shutters are not mapped");
    }
}
