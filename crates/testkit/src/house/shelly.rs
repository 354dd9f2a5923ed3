//! Two Shelly devices: a Gen2 switch on the water valve, and a Gen1 relay on the bedroom heater.

use super::world::{Step, World};
use super::{Gadget, noise};
use crate::mqtt_client::Message;
use andon_model::Timestamp;
use serde_json::{Value as Json, json};

const VALVE: &str = "shellyplus1pm-a8032abe54dc";
const HEATER: &str = "shellies/shelly1pm-68C63AFB6C1F";
/// What the valve's coil takes while it holds open, in watts.
const COIL_W: f64 = 8.9;
const HEATER_W: f64 = 1043.0;
const PERIOD: Step = 10;

/// A Shelly Plus 1PM that holds the kitchen's water valve open.
pub(super) struct Valve {
    world: World,
    energy_wh: f64,
}

impl Valve {
    pub(super) fn new(world: World) -> Self {
        Self { world, energy_wh: 6532.0 }
    }

    fn open(&self) -> bool {
        self.world.state().valve_open
    }

    fn status(&self, source: &str, step: Step) -> Json {
        let open = self.open();
        let celsius = (if open { 41.0 } else { 36.0 }) + (10.0 * noise(step / PERIOD)).round() / 10.0;
        let watts = if open { COIL_W } else { 0.0 };
        json!({
            "id": 0, "source": source, "output": open, "apower": watts, "voltage": 231.4,
            "current": if open { 0.042 } else { 0.0 }, "aenergy": {"total": (self.energy_wh * 1000.0).round() / 1000.0},
            "temperature": {"tC": celsius, "tF": ((celsius * 1.8 + 32.0) * 10.0).round() / 10.0},
        })
    }

    fn full_status(&self, source: &str, step: Step) -> Message {
        Message::new(format!("{VALVE}/status/switch:0"), self.status(source, step).to_string()).sure()
    }

    fn notify(&self, part: Json, now: Timestamp) -> Message {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century are far below 2^53")]
        let ts = now.millis() as f64 / 1000.0;
        let event = json!({
            "src": VALVE, "dst": format!("{VALVE}/events"), "method": "NotifyStatus", "params": {"ts": ts, "switch:0": part},
        });
        Message::new(format!("{VALVE}/events/rpc"), event.to_string()).sure()
    }

    fn switch(&mut self, open: bool, step: Step, now: Timestamp) -> Vec<Message> {
        let changed = self.open() != open;
        self.world.state().valve_open = open;
        if !changed {
            return Vec::new();
        }
        vec![self.notify(json!({"id": 0, "output": open, "source": "MQTT"}), now), self.full_status("MQTT", step)]
    }

    /// The result, or code and message of the error, and what the device publishes besides.
    fn call(&mut self, request: &Json, step: Step, now: Timestamp) -> (Result<Json, (i32, String)>, Vec<Message>) {
        let method = request.get("method").and_then(Json::as_str).unwrap_or_default();
        let params = request.get("params").cloned().unwrap_or(Json::Null);
        if method.starts_with("Switch.") && params.get("id").and_then(Json::as_u64) != Some(0) {
            return (Err((-103, "Invalid argument 'id'!".to_owned())), Vec::new());
        }
        let was_on = self.open();
        match method {
            "Switch.Set" => match params.get("on").and_then(Json::as_bool) {
                Some(on) => (Ok(json!({"was_on": was_on})), self.switch(on, step, now)),
                None => (Err((-103, "Missing or bad argument 'on'!".to_owned())), Vec::new()),
            },
            "Switch.Toggle" => (Ok(json!({"was_on": was_on})), self.switch(!was_on, step, now)),
            "Switch.GetStatus" => (Ok(self.status("MQTT", step)), Vec::new()),
            other => (Err((404, format!("No handler for {other}"))), Vec::new()),
        }
    }
}

impl Gadget for Valve {
    fn will(&self) -> Message {
        Message::new(format!("{VALVE}/online"), "false").sure().retained()
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("{VALVE}/rpc"), format!("{VALVE}/command")]
    }

    fn hello(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        let output = json!({"id": 0, "output": self.open(), "source": "init"});
        let online = Message::new(format!("{VALVE}/online"), "true").sure().retained();
        vec![online, self.notify(output, now), self.full_status("init", step)]
    }

    fn tick(&mut self, step: Step, _now: Timestamp) -> Vec<Message> {
        // One row is one minute of the recording.
        self.energy_wh += if self.open() { COIL_W / 60.0 } else { 0.0 };
        if step.is_multiple_of(PERIOD) { vec![self.full_status("timer", step)] } else { Vec::new() }
    }

    fn receive(&mut self, topic: &str, payload: &[u8], step: Step, now: Timestamp) -> Vec<Message> {
        let Some(request) = serde_json::from_slice::<Json>(payload).ok().filter(|_| topic.ends_with("/rpc")) else {
            return Vec::new();
        };
        let (result, mut messages) = self.call(&request, step, now);
        if let Some(source) =
            request.get("src").and_then(Json::as_str).filter(|source| !source.contains(['+', '#', '\0']))
        {
            let mut answer = json!({"id": request.get("id"), "src": VALVE, "dst": source});
            match result {
                Ok(result) => answer["result"] = result,
                Err((code, message)) => answer["error"] = json!({"code": code, "message": message}),
            }
            messages.push(Message::new(format!("{source}/rpc"), answer.to_string()).sure());
        }
        messages
    }
}

/// A Shelly 1PM that switches the bedroom's electric heater. It speaks Gen1: plain values.
pub(super) struct Heater {
    on: bool,
    energy_watt_minutes: f64,
}

impl Heater {
    pub(super) const fn new() -> Self {
        Self { on: false, energy_watt_minutes: 5521.0 }
    }

    fn watts(&self, step: Step) -> f64 {
        if self.on { ((HEATER_W + 6.0 * noise(step)) * 100.0).round() / 100.0 } else { 0.0 }
    }

    fn reports(&self, step: Step) -> Vec<Message> {
        let say = |what: &str, payload: String| Message::new(format!("{HEATER}/{what}"), payload);
        vec![
            say("relay/0", if self.on { "on" } else { "off" }.to_owned()),
            say("relay/0/power", format!("{:.2}", self.watts(step))),
            say("relay/0/energy", format!("{:.0}", self.energy_watt_minutes)),
        ]
    }
}

impl Gadget for Heater {
    fn will(&self) -> Message {
        Message::new(format!("{HEATER}/online"), "false").sure().retained()
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("{HEATER}/relay/0/command")]
    }

    fn hello(&mut self, step: Step, _now: Timestamp) -> Vec<Message> {
        let mut messages = vec![Message::new(format!("{HEATER}/online"), "true").retained()];
        messages.extend(self.reports(step));
        messages
    }

    fn tick(&mut self, step: Step, _now: Timestamp) -> Vec<Message> {
        self.energy_watt_minutes += self.watts(step);
        if step.is_multiple_of(PERIOD) { self.reports(step) } else { Vec::new() }
    }

    fn receive(&mut self, _topic: &str, payload: &[u8], step: Step, _now: Timestamp) -> Vec<Message> {
        match payload {
            b"on" => self.on = true,
            b"off" => self.on = false,
            b"toggle" => self.on = !self.on,
            _ => return Vec::new(),
        }
        self.reports(step)
    }
}
