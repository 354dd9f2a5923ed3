//! A Tasmota plug with an energy meter: the television, its helpers and the lamp hang on it.

use super::replay::Replay;
use super::world::{Step, World};
use super::{Gadget, noise};
use crate::mqtt_client::Message;
use andon_model::Timestamp;
use serde_json::json;

const TOPIC: &str = "living_plug";
/// `TelePeriod 10`, Tasmota's shortest.
const TELE_PERIOD: Step = 10;
/// `PowerDelta`: a change of this many watts is reported at once.
const POWER_DELTA_W: f64 = 5.0;
const TELEVISION_W: f64 = 68.0;
const STANDBY_W: f64 = 1.2;

/// The plug.
pub(super) struct Plug {
    world: World,
    room: Replay,
    on: bool,
    total_kwh: f64,
    today_kwh: f64,
    reported_w: f64,
    last_step: Option<Step>,
}

impl Plug {
    pub(super) fn new(world: World) -> Self {
        let room = Replay::living_room();
        Self { world, room, on: true, total_kwh: 412.956, today_kwh: 0.649, reported_w: 0.0, last_step: None }
    }

    fn watts(&self, step: Step) -> f64 {
        if !self.on {
            return 0.0;
        }
        let television =
            if self.room.row(step).occupied { TELEVISION_W * (0.97 + 0.06 * noise(step)) } else { STANDBY_W };
        television + self.world.state().lamp_w
    }

    fn word(&self) -> &'static str {
        if self.on { "ON" } else { "OFF" }
    }

    fn state(&self, now: Timestamp) -> Message {
        let state = json!({
            "Time": local(now), "Uptime": "0T22:10:11", "UptimeSec": 79_811, "Heap": 24, "SleepMode": "Dynamic", "Sleep": 50,
            "LoadAvg": 19, "MqttCount": 1, "POWER": self.word(),
            "Wifi": {"AP": 1, "SSId": "home", "BSSId": "E6:8D:8C:4B:BE:F7", "Channel": 3, "Mode": "11n", "RSSI": 44,
                     "Signal": -78, "LinkCount": 1, "Downtime": "0T00:00:05"},
        });
        Message::new(format!("tele/{TOPIC}/STATE"), state.to_string())
    }

    fn sensor(&mut self, step: Step, now: Timestamp) -> Message {
        let watts = self.watts(step);
        self.reported_w = watts;
        let volts = (229.0 + 4.0 * noise(step.wrapping_mul(7))).round();
        let apparent = if watts > 0.0 { watts / 0.9 } else { 0.0 };
        let reactive = (apparent * apparent - watts * watts).max(0.0).sqrt();
        let thousandth = |value: f64| (value * 1000.0).round() / 1000.0;
        let sensor = json!({
            "Time": local(now),
            "ENERGY": {
                "TotalStartTime": "2025-01-17T18:59:50", "Total": thousandth(self.total_kwh), "Yesterday": 1.054,
                "Today": thousandth(self.today_kwh), "Period": 0, "Power": watts.round(), "ApparentPower": apparent.round(),
                "ReactivePower": reactive.round(), "Factor": if watts > 0.0 { 0.9 } else { 0.0 }, "Voltage": volts,
                "Current": thousandth(apparent / volts),
            },
        });
        Message::new(format!("tele/{TOPIC}/SENSOR"), sensor.to_string())
    }

    /// As Tasmota answers: the result as JSON, then the plain word.
    fn answer(&self) -> Vec<Message> {
        vec![
            Message::new(format!("stat/{TOPIC}/RESULT"), json!({"POWER": self.word()}).to_string()),
            Message::new(format!("stat/{TOPIC}/POWER"), self.word()),
        ]
    }

    /// One row is one minute of the recording.
    fn count(&mut self, step: Step) {
        let rows = self.last_step.map_or(0, |last| step.saturating_sub(last)).min(60);
        self.last_step = Some(step);
        #[expect(clippy::cast_precision_loss, reason = "at most 60")]
        let kwh = self.watts(step) / 1000.0 * rows as f64 / 60.0;
        self.total_kwh += kwh;
        self.today_kwh += kwh;
    }
}

/// Tasmota's `Time`: local, to the second, without a zone. The device is set to UTC.
fn local(now: Timestamp) -> String {
    let (year, month, day, hour, minute, second, _) = now.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

impl Gadget for Plug {
    fn will(&self) -> Message {
        Message::new(format!("tele/{TOPIC}/LWT"), "Offline").sure().retained()
    }

    fn subscriptions(&self) -> Vec<String> {
        vec![format!("cmnd/{TOPIC}/#")]
    }

    fn hello(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        let mut messages = vec![Message::new(format!("tele/{TOPIC}/LWT"), "Online").retained()];
        messages.extend(self.answer());
        messages.push(self.state(now));
        messages.push(self.sensor(step, now));
        messages
    }

    fn tick(&mut self, step: Step, now: Timestamp) -> Vec<Message> {
        self.count(step);
        let mut messages = Vec::new();
        if step.is_multiple_of(TELE_PERIOD) {
            messages.push(self.state(now));
        }
        if step.is_multiple_of(TELE_PERIOD) || (self.watts(step) - self.reported_w).abs() >= POWER_DELTA_W {
            messages.push(self.sensor(step, now));
        }
        messages
    }

    fn receive(&mut self, topic: &str, payload: &[u8], step: Step, now: Timestamp) -> Vec<Message> {
        let command = topic.rsplit('/').next().unwrap_or_default();
        let wish = String::from_utf8_lossy(payload).trim().to_ascii_uppercase();
        if !matches!(command.to_ascii_uppercase().as_str(), "POWER" | "POWER1") {
            let unknown = json!({"Command": "Unknown", "Input": command});
            return vec![Message::new(format!("stat/{TOPIC}/RESULT"), unknown.to_string())];
        }
        match wish.as_str() {
            "ON" | "1" | "TRUE" => self.on = true,
            "OFF" | "0" | "FALSE" => self.on = false,
            "TOGGLE" | "2" => self.on = !self.on,
            // Without a known word it is a question.
            _ => return self.answer(),
        }
        let mut messages = self.answer();
        messages.push(self.sensor(step, now));
        messages
    }
}
