//! What could become a tag.

use andon_model::DataType;
use andon_model::Unit;
use andon_model::plant::WriteRule;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who announced it, in whose words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// Home Assistant's discovery.
    HomeAssistant,
    /// Zigbee2MQTT's list of devices.
    Zigbee2Mqtt,
    /// Tasmota's own discovery.
    Tasmota,
    /// Shelly's reports.
    Shelly,
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// What tells it from others.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The room in which it says it is.
    pub area: Option<String>,
    /// What it is.
    pub model: String,
}

/// A value of a device, or why it cannot be one.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// In whose words.
    pub family: Family,
    /// Where it was announced.
    pub topic: String,
    /// Whose it is.
    pub device: Arc<Device>,
    /// What it is, in the family's words: `sensor temperature`.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What it would be; or why it cannot be a tag.
    pub what: Result<Wanted, String>,
    /// What of it is left out.
    pub left_out: Vec<String>,
}

/// What a tag would be, and how its values come.
#[derive(Clone, PartialEq, Debug)]
pub struct Wanted {
    /// The tag.
    pub point: Point,
    /// Where its values come from; none: nobody tells its state.
    pub source: Option<Source>,
    /// How it is written.
    pub command: Option<Command>,
}

/// A tag without its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// The last level of its path.
    pub leaf: String,
    /// What kind of value.
    pub data_type: DataType,
    /// In which unit.
    pub unit: Option<Unit>,
    /// From where to where.
    pub range: Option<(f64, f64)>,
    /// Digits behind the point.
    pub digits: Option<u8>,
    /// Words for numbers.
    pub states: BTreeMap<i64, String>,
    /// Silent for longer than this, in ms, and it is stale.
    pub stale_after_ms: Option<u64>,
    /// How far it may be written, where there is a command.
    pub write: WriteRule,
}

/// A field of a topic mapping.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    /// The mapping's filter.
    pub filter: String,
    /// Its format.
    pub format: &'static str,
    /// Where in the message the value stands, in the format's words: a path or a template.
    pub at: String,
    /// The rest of the field.
    pub words: Map<String, Json>,
    /// How the device says that it is there.
    pub availability: Option<Arc<Json>>,
    /// The family's base topic, where the filter does not show it.
    pub base: Option<String>,
}

/// A command of a topic mapping.
#[derive(Clone, PartialEq, Debug)]
pub struct Command {
    /// Where it goes; none: the family knows.
    pub topic: Option<String>,
    /// The rest of it.
    pub words: Map<String, Json>,
}

impl Source {
    /// The key under which the place stands.
    #[must_use]
    pub fn key(&self) -> &'static str {
        if self.format == "template" { "template" } else { "path" }
    }
}

/// The rule that holds unless a device says more.
#[must_use]
pub(crate) fn write_rule(min: Option<f64>, max: Option<f64>, confirm_within_ms: u64) -> WriteRule {
    WriteRule { min, max, needs_reason: false, life_ms: 10_000, tolerance: 0.0, confirm_within_ms }
}

/// How long most devices may take to report what they were told.
pub(crate) const SOON_MS: u64 = 5_000;
/// How long something that moves may take.
pub(crate) const MOVES_MS: u64 = 120_000;

impl Point {
    pub(crate) fn new(leaf: &str, data_type: DataType) -> Self {
        Self {
            leaf: leaf.to_owned(),
            data_type,
            unit: None,
            range: None,
            digits: None,
            states: BTreeMap::new(),
            stale_after_ms: None,
            write: write_rule(None, None, SOON_MS),
        }
    }

    /// A number between two others.
    pub(crate) fn within(mut self, low: f64, high: f64) -> Self {
        let good = low.is_finite() && high.is_finite() && low < high;
        self.range = good.then_some((low, high));
        self.write = write_rule(self.range.map(|_| low), self.range.map(|_| high), self.write.confirm_within_ms);
        self
    }

    /// One of several words, numbered in their order.
    pub(crate) fn of_words(leaf: &str, words: &[String]) -> Self {
        let mut point = Self::new(leaf, DataType::Int64);
        point.states = (0..).zip(words).map(|(number, word)| (number, word.clone())).collect();
        let last = point.states.keys().last().copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred words at most")]
        let last = last as f64;
        point.write = write_rule(Some(0.0), Some(last), SOON_MS);
        point
    }
}
