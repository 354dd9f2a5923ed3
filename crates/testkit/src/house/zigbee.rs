//! The Zigbee devices behind Zigbee2MQTT: one MQTT client, the bridge, speaks for all of them.

use super::replay::Replay;
use super::world::{Step, World};
use super::{Gadget, noise};
use crate::mqtt_client::Message;
use andon_model::Timestamp;
use serde_json::{Value as Json, json};

const BASE: &str = "zigbee2mqtt";
/// The lamp's name in Zigbee2MQTT.
const LAMP: &str = "living_lamp";
const DEVICES: [&str; 6] = ["living_climate", "living_air", LAMP, "bedroom_climate", "hall_door", "kitchen_leak"];
/// What an IKEA LED1545G12 takes at full brightness, in watts.
const LAMP_FULL_W: f64 = 12.5;
/// Sensors that only report changes repeat themselves after this many rows.
const REPEAT: Step = 30;

/// Zigbee2MQTT with its six devices.
pub(super) struct Bridge {
    world: World,
    living: Replay,
    bedroom: Replay,
    lamp_on: bool,
    /// 0–254.
    brightness: u8,
    door: Option<(bool, Step)>,
    leak: Option<(bool, Step)>,
}

impl Bridge {
    pub(super) fn new(world: World) -> Self {
        let bridge = Self {
            world,
            living: Replay::living_room(),
            bedroom: Replay::bedroom(),
            lamp_on: false,
            brightness: 254,
            door: None,
            leak: None,
        };
        bridge.feel_the_lamp();
        bridge
    }

    fn feel_the_lamp(&self) {
        let share = f64::from(self.brightness) / 254.0;
        self.world.state().lamp_w = if self.lamp_on { 0.4 + (LAMP_FULL_W - 0.4) * share } else { 0.4 };
    }

    fn lamp_state(&self, step: Step, now: Timestamp) -> Message {
        let state = if self.lamp_on { "ON" } else { "OFF" };
        let known =
            json!({"brightness": self.brightness, "color_mode": "color_temp", "color_temp": 325, "state": state});
        report(LAMP, known, step, now)
    }

    fn climate(&self, step: Step, now: Timestamp) -> Vec<Message> {
        let (living, bedroom) = (self.living.row(step), self.bedroom.row(step));
        vec![
            report(
                "living_climate",
                json!({"battery": 97, "humidity": living.humidity_pct, "temperature": living.temperature_c, "voltage": 2985}),
                step,
                now,
            ),
            report(
                "living_air",
                json!({"co2": living.co2_ppm.round(), "illuminance": living.light_lux.round()}),
                step,
                now,
            ),
            report(
                "bedroom_climate",
                json!({"battery": 88, "humidity": bedroom.humidity_pct, "temperature": bedroom.temperature_c, "voltage": 2955}),
                step,
                now,
            ),
        ]
    }

    /// The door opens when somebody comes or goes in the recording, and stays open for three rows.
    fn door_is_open(&self, step: Step) -> bool {
        let moved = |at: Step| at > 0 && self.living.row(at).occupied != self.living.row(at - 1).occupied;
        self.world.state().door_held_open || (step.saturating_sub(2)..=step).any(moved)
    }

    fn contacts(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        let mut messages = Vec::new();
        let open = self.door_is_open(step);
        if due(&mut self.door, open, step) {
            messages.push(report("hall_door", json!({"battery": 100, "contact": !open, "voltage": 3015}), step, now));
        }
        let water = self.world.state().leaking(step);
        if due(&mut self.leak, water, step) {
            let known =
                json!({"battery": 100, "battery_low": false, "tamper": false, "voltage": 3005, "water_leak": water});
            messages.push(report("kitchen_leak", known, step, now));
        }
        messages
    }

    fn obey(&mut self, wish: &Json) -> bool {
        let state = wish.get("state").and_then(Json::as_str).map(str::to_ascii_uppercase);
        let brightness =
            wish.get("brightness").and_then(Json::as_u64).map(|level| u8::try_from(level.min(254)).unwrap_or(254));
        if let Some(level) = brightness {
            // As Zigbee's moveToLevelWithOnOff: level 0 is off.
            self.lamp_on = level > 0;
            self.brightness = level.max(1);
        }
        match state.as_deref() {
            Some("ON") => self.lamp_on = true,
            Some("OFF") => self.lamp_on = false,
            Some("TOGGLE") => self.lamp_on = !self.lamp_on,
            Some(_) => return false,
            None => {}
        }
        self.feel_the_lamp();
        state.is_some() || brightness.is_some()
    }
}

/// Whether a sensor that reports changes has something to say.
fn due(last: &mut Option<(bool, Step)>, now: bool, step: Step) -> bool {
    let due = last.is_none_or(|(was, at)| was != now || step.saturating_sub(at) >= REPEAT);
    if due {
        *last = Some((now, step));
    }
    due
}

/// A state message with the two properties that Zigbee2MQTT adds to every device.
fn report(name: &str, mut state: Json, step: Step, now: Timestamp) -> Message {
    if let Some(map) = state.as_object_mut() {
        let quality = 90.0 + 40.0 * noise(step.wrapping_add(u64::try_from(name.len()).unwrap_or(0)));
        map.insert("linkquality".to_owned(), json!(quality.round()));
        map.insert("last_seen".to_owned(), json!(Timestamp::from_millis(now.millis()).to_string()));
    }
    Message::new(format!("{BASE}/{name}"), state.to_string())
}

impl Gadget for Bridge {
    fn will(&self) -> Message {
        Message::new(format!("{BASE}/bridge/state"), r#"{"state":"offline"}"#).sure().retained()
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("{BASE}/+/set"), format!("{BASE}/+/get")]
    }

    fn hello(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        self.door = None;
        self.leak = None;
        let online = r#"{"state":"online"}"#;
        let mut messages = vec![Message::new(format!("{BASE}/bridge/state"), online).retained()];
        messages
            .extend(DEVICES.iter().map(|name| Message::new(format!("{BASE}/{name}/availability"), online).retained()));
        messages.push(self.lamp_state(step, now));
        messages
    }

    fn tick(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        let mut messages = self.climate(step, now);
        messages.extend(self.contacts(step, now));
        if step.is_multiple_of(REPEAT) {
            messages.push(self.lamp_state(step, now));
        }
        messages
    }

    fn receive(&mut self, topic: &str, payload: &[u8], step: Step, now: Timestamp) -> Vec<Message> {
        let asked =
            topic.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split_once('/'));
        match asked {
            Some((LAMP, "get")) => vec![self.lamp_state(step, now)],
            Some((LAMP, "set")) => {
                let wish = serde_json::from_slice(payload).unwrap_or(Json::Null);
                if self.obey(&wish) { vec![self.lamp_state(step, now)] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }
}
