//! The plant model: what there is, checked. Documents (TOML, YAML) become a [`Plant`]; everybody reads the `Plant`.
//!
//! Invariants (held by the document check): paths are unique; every tag's equipment exists; every reference to a
//! tag or connector resolves; an alarm's limit lies in its tag's type; a write rule lies within the tag's range.

use crate::{DataType, EquipmentPath, TagPath, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Vocabulary and defaults of a site and everything below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// ISA-95 words.
    #[default]
    Plant,
    /// House words.
    Home,
}

/// A level of the tree (ISA-95 / IEC 62264-1:2013 §5.3), the same types in a house.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The company; in a house: the family.
    Enterprise,
    /// A site; a house.
    Site,
    /// An area; a floor.
    Area,
    /// A work center (line, cell); a room.
    WorkCenter,
    /// A work unit (machine); an appliance.
    WorkUnit,
}

impl Level {
    /// The word for this level in a profile.
    #[must_use]
    pub const fn word(self, profile: Profile) -> &'static str {
        match (profile, self) {
            (Profile::Plant, Self::Enterprise) => "enterprise",
            (Profile::Plant, Self::Site) => "site",
            (Profile::Plant, Self::Area) => "area",
            (Profile::Plant, Self::WorkCenter) => "work center",
            (Profile::Plant, Self::WorkUnit) => "work unit",
            (Profile::Home, Self::Enterprise) => "family",
            (Profile::Home, Self::Site) => "house",
            (Profile::Home, Self::Area) => "floor",
            (Profile::Home, Self::WorkCenter) => "room",
            (Profile::Home, Self::WorkUnit) => "appliance",
        }
    }
}

/// A place or a thing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Equipment {
    /// Where it stands.
    pub path: EquipmentPath,
    /// Its level.
    pub level: Level,
    /// Its profile, inherited from the site above.
    #[serde(default)]
    pub profile: Profile,
    /// What people call it.
    pub title: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// How many days the history of everything below is kept, unless a nearer one says otherwise; 0: for ever; `None`: as above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
}

/// How a value between two samples is understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// A straight line between samples.
    #[default]
    Sloped,
    /// The last value holds.
    Stepped,
}

/// Who may write a tag, and how far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WriteRule {
    /// The smallest value that is taken; `None` for booleans and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The largest value that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Whether a reason must be given.
    #[serde(default)]
    pub needs_reason: bool,
    /// How long a command may live before it is sent, in ms.
    pub life_ms: u64,
    /// How far the read-back may differ and still confirm.
    #[serde(default)]
    pub tolerance: f64,
    /// How long to wait for the read-back after sending, in ms.
    pub confirm_within_ms: u64,
}

/// A named value that a device gives.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagDef {
    /// The tag's name outside this node; kept over a rename.
    pub id: Uuid,
    /// Where it stands.
    pub path: TagPath,
    /// What people call it.
    pub title: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What kind of value.
    pub data_type: DataType,
    /// In which unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// The instrument's range, low to high, in the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// Digits after the point that mean something, 0–9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// Words for whole-number or boolean values: `0 → stopped`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<i64, String>,
    /// How to read between samples.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// How far history may deviate from what came; `None`: it keeps every point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressRule>,
    /// How many days its history is kept; 0: for ever; `None`: as its equipment says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// Silent for longer than this, in ms, and the value is stale; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_after_ms: Option<u64>,
    /// May it be written, and how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<WriteRule>,
    /// What the value is made up from, where it is simulated or replayed; shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl TagDef {
    /// What is written to press it, where the tag is something that is pressed and shows no state: a whole number above zero
    /// with one word, which is also all that may be written. `None` for every other tag; zero is what a count or a fault is
    /// reset to, and those have something to show.
    #[must_use]
    pub fn press(&self) -> Option<i64> {
        let rule = self.write.as_ref().filter(|_| self.data_type == DataType::Int64)?;
        let (number, _) = self.states.first_key_value().filter(|_| self.states.len() == 1)?;
        #[expect(clippy::cast_precision_loss, reason = "limits are doubles; what they tell apart is told apart here")]
        let only = Some(*number as f64);
        (*number > 0 && rule.min == only && rule.max == only).then_some(*number)
    }
}

/// How far the history of a tag may deviate from what came: by a swinging door where the tag is sloped, by a dead band
/// where it is stepped.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct CompressRule {
    /// The greatest distance, in the tag's unit; above 0.
    pub deviation: f64,
    /// A point is kept at least this often, in ms.
    pub at_least_every_ms: u64,
}

/// A connection to the field, with settings that its connector checks.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConnectorDef {
    /// Unique in the node.
    pub name: String,
    /// `modbus`, …
    pub kind: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Whether it should run.
    pub enabled: bool,
    /// In the connector's own words; secrets stand as `{"secret": "name"}`, never as text.
    pub settings: serde_json::Value,
}

/// How an MQTT payload becomes tags, and how a write becomes a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TopicDef {
    /// The topic filter that is mapped.
    pub filter: String,
    /// The mapping, in the words of the payload mapper (`andon-wire`), which checks it.
    pub settings: serde_json::Value,
}

/// What holds for the messages under a topic filter: how they are kept, and what is asked of them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TopicRuleDef {
    /// Unique in the node.
    pub name: String,
    /// The topics for which it holds, as an MQTT topic filter; no two rules have the same one.
    pub filter: String,
    /// The rule, in the words of `andon-rules`, which checks it.
    pub settings: serde_json::Value,
}

/// What a table of master data is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterKind {
    /// Why something stands.
    Reason,
    /// When something is meant to work.
    Calendar,
    /// What somebody must have learned to do some work.
    Skill,
    /// What somebody reads to do some work.
    Instruction,
    /// What is bought, made and sold: what goes into it, and how it is made.
    Material,
    /// How a work unit is followed: which tags say what it does.
    Machine,
    /// What is done to keep equipment in order, and when it is due.
    MaintenancePlan,
    /// What is mounted on a machine and wears: a mould, a die, a cutter.
    Tool,
    /// What counts energy: which tag, where, and in what.
    Meter,
    /// What energy costs when.
    Tariff,
    /// A tank or silo in which lots mix.
    Vessel,
    /// What the KPIs of a machine, a line, an area or a site are to come to.
    Target,
    /// Which reports the node makes by itself.
    Report,
}

/// The most tables of one kind of master data in a model.
pub const MASTER_LIMIT: usize = 20_000;

impl MasterKind {
    /// All of them, in the order in which documents have them.
    pub const ALL: [Self; 13] = [
        Self::Reason,
        Self::Calendar,
        Self::Skill,
        Self::Instruction,
        Self::Material,
        Self::Machine,
        Self::MaintenancePlan,
        Self::Tool,
        Self::Meter,
        Self::Tariff,
        Self::Vessel,
        Self::Target,
        Self::Report,
    ];

    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::Calendar => "calendar",
            Self::Skill => "skill",
            Self::Instruction => "instruction",
            Self::Material => "material",
            Self::Machine => "machine",
            Self::MaintenancePlan => "maintenance_plan",
            Self::Tool => "tool",
            Self::Meter => "meter",
            Self::Tariff => "tariff",
            Self::Vessel => "vessel",
            Self::Target => "target",
            Self::Report => "report",
        }
    }

    /// The key that names a table of it in documents.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Machine | Self::Vessel | Self::Target => "equipment",
            _ => "name",
        }
    }

    /// Whether there may be several tables of one name, told apart by their `revision`.
    #[must_use]
    pub const fn has_revisions(self) -> bool {
        matches!(self, Self::Instruction | Self::Material)
    }
}

/// A table of master data for manufacturing execution.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MasterDef {
    /// What it is about.
    pub kind: MasterKind,
    /// Unique among those of its kind: a name, the path of an equipment, or `name@revision` where there are revisions.
    pub name: String,
    /// The rest, in the words of `andon-mes`, which checks it.
    pub settings: serde_json::Value,
}

impl MasterDef {
    /// The name as one text: `HP-8`, or `HP-8@B` with a revision.
    #[must_use]
    pub fn joined(name: &str, revision: Option<&str>) -> String {
        revision.map_or_else(|| name.to_owned(), |revision| format!("{name}@{revision}"))
    }

    /// The name, and the revision where there is one. The other way round is [`MasterDef::joined`].
    #[must_use]
    pub fn split(kind: MasterKind, name: &str) -> (&str, Option<&str>) {
        let parts = name.split_once('@').filter(|_| kind.has_revisions());
        parts.map_or((name, None), |(name, revision)| (name, Some(revision)))
    }
}

/// What is wrong with a table of master data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MasterFindings {
    /// The kind of the table.
    pub kind: MasterKind,
    /// Its name, as in [`MasterDef::name`].
    pub name: String,
    /// At least one.
    pub findings: Vec<Finding>,
}

/// What raises an alarm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "lowercase")]
pub enum Condition {
    /// The value is at or above the limit; back when it is below `limit - deadband`.
    High {
        /// In the tag's unit.
        limit: f64,
        /// In the tag's unit, ≥ 0.
        deadband: f64,
    },
    /// The value is at or below the limit; back when it is above `limit + deadband`.
    Low {
        /// In the tag's unit.
        limit: f64,
        /// In the tag's unit, ≥ 0.
        deadband: f64,
    },
    /// The tag has this state (whole number or boolean).
    State {
        /// The value.
        equals: i64,
    },
    /// The device has been silent, or its quality bad, for this long.
    Silent {
        /// In ms.
        after_ms: u64,
    },
}

impl Condition {
    /// The condition's word, as in the alarm's name.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::High { .. } => "high",
            Self::Low { .. } => "low",
            Self::State { .. } => "state",
            Self::Silent { .. } => "silent",
        }
    }
}

/// An alarm on a tag (ISA-18.2-2016 §10: rationalised, so with cause, consequence and action).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlarmDef {
    /// Unique in the node: `<tag path>:<word>`, with `#n` where a tag has several of one kind.
    pub name: String,
    /// Whose value it watches.
    pub tag: TagPath,
    /// When it is raised.
    #[serde(flatten)]
    pub condition: Condition,
    /// How long the condition must hold before it is raised, in ms.
    #[serde(default)]
    pub on_delay_ms: u64,
    /// How long it must be gone before it returns to normal, in ms.
    #[serde(default)]
    pub off_delay_ms: u64,
    /// 1 critical, 2 high, 3 medium, 4 low.
    pub priority: u8,
    /// What the operator reads.
    pub message: String,
    /// What usually causes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// What happens if nobody acts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub consequence: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
}

/// The whole model.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Plant {
    /// Counts the changes; 0 is the empty model.
    #[serde(default)]
    pub version: u64,
    /// Sorted by path.
    #[serde(default)]
    pub equipment: Vec<Equipment>,
    /// Sorted by path.
    #[serde(default)]
    pub tags: Vec<TagDef>,
    /// Sorted by name.
    #[serde(default)]
    pub connectors: Vec<ConnectorDef>,
    /// In the order of their filters.
    #[serde(default)]
    pub topics: Vec<TopicDef>,
    /// Sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topic_rules: Vec<TopicRuleDef>,
    /// Sorted by kind and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub master: Vec<MasterDef>,
    /// Sorted by name.
    #[serde(default)]
    pub alarms: Vec<AlarmDef>,
}

/// The most different `keep_days` in a model: history is written once more for each of them.
pub const KEEP_DAYS_LIMIT: usize = 32;

/// What the model says about how long history is kept, in one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptHere<'p> {
    /// The path of the equipment or tag that says it.
    pub path: &'p str,
    /// How many days; 0: for ever.
    pub keep_days: u32,
    /// The tags for which it holds, as positions in [`Plant::tags`], ascending. None where nearer ones say otherwise for all.
    pub tags: Vec<usize>,
}

impl Plant {
    /// Where the model says how long history is kept, by path, and for which tags each of it holds: for those that have nothing
    /// nearer. What is in none of them is kept as the node's settings say.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptHere<'_>> {
        let here = |path, keep_days| KeptHere { path, keep_days, tags: Vec::new() };
        let equipment = self.equipment.iter().filter_map(|item| Some((item.path.as_str(), item.keep_days?)));
        let mut kept: BTreeMap<&str, KeptHere<'_>> =
            equipment.map(|(path, keep_days)| (path, here(path, keep_days))).collect();
        let mut own = Vec::new();
        for (at, tag) in self.tags.iter().enumerate() {
            let path = tag.path.as_str();
            if let Some(keep_days) = tag.keep_days {
                own.push(KeptHere { tags: vec![at], ..here(path, keep_days) });
                continue;
            }
            let mut above = path.rsplit_once('/').map(|(above, _)| above).filter(|_| !kept.is_empty());
            while let Some(path) = above {
                if let Some(kept) = kept.get_mut(path) {
                    kept.tags.push(at);
                    break;
                }
                above = path.rsplit_once('/').map(|(above, _)| above);
            }
        }
        let mut kept: Vec<KeptHere<'_>> = kept.into_values().chain(own).collect();
        kept.sort_by_key(|kept| kept.path);
        kept
    }
}

/// Something wrong inside the settings of a connector, a topic, a topic rule or a table of master data, found by the part that understands them.
/// The document layer turns the pointer into a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where: keys and indices from the settings' root, such as `["register", "3", "address"]`.
    pub pointer: Vec<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Checks the settings that only a connector or the payload mapper understands.
pub trait SettingsCheck: Send + Sync {
    /// Checks a connector's settings against the plant's tags.
    /// Returns every finding, none if the settings are good.
    fn check_connector(&self, connector: &ConnectorDef, plant: &Plant) -> Vec<Finding>;
    /// Checks a topic mapping against the plant's tags.
    fn check_topic(&self, topic: &TopicDef, plant: &Plant) -> Vec<Finding>;
    /// Checks a topic rule.
    fn check_topic_rule(&self, rule: &TopicRuleDef, plant: &Plant) -> Vec<Finding>;
    /// Checks all master data at once, for its tables name each other by the thousand.
    fn check_master(&self, plant: &Plant) -> Vec<MasterFindings>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant(equipment: &[(&str, Option<u32>)], tags: &[(&str, Option<u32>)]) -> Plant {
        let equipment = equipment.iter().map(|(path, keep_days)| Equipment {
            path: EquipmentPath::parse(path).expect("a good path"),
            level: Level::Area,
            profile: Profile::Plant,
            title: String::new(),
            description: String::new(),
            keep_days: *keep_days,
        });
        let tags = tags.iter().map(|(path, keep_days)| TagDef {
            id: Uuid::nil(),
            path: TagPath::parse(path).expect("a good path"),
            title: String::new(),
            description: String::new(),
            data_type: DataType::Double,
            unit: None,
            range: None,
            digits: None,
            states: BTreeMap::new(),
            interpolation: Interpolation::Sloped,
            compress: None,
            keep_days: *keep_days,
            stale_after_ms: None,
            write: None,
            origin: None,
        });
        Plant { equipment: equipment.collect(), tags: tags.collect(), ..Plant::default() }
    }

    #[test]
    fn history_is_kept_as_the_nearest_one_says() {
        let plant = plant(
            &[("w", Some(90)), ("w/a", None), ("w/a/b", Some(0)), ("w/ab", Some(7)), ("x", None)],
            &[
                ("w/a/b/t", None),
                ("w/a/b/u", Some(30)),
                ("w/a/t", None),
                ("w/t", None),
                ("x/t", None),
                ("x/u", Some(1)),
            ],
        );
        let kept: Vec<_> = plant.kept().into_iter().map(|kept| (kept.path, kept.keep_days, kept.tags)).collect();
        assert_eq!(
            kept,
            [
                ("w", 90, vec![2, 3]),
                ("w/a/b", 0, vec![0]),
                ("w/a/b/u", 30, vec![1]),
                ("w/ab", 7, vec![]),
                ("x/u", 1, vec![5]),
            ]
        );
        assert!(self::plant(&[("w", None)], &[("w/t", None)]).kept().is_empty());
    }

    #[test]
    fn a_revision_stands_in_the_name_of_what_has_revisions() {
        assert_eq!(MasterDef::joined("HP-8", Some("B")), "HP-8@B");
        assert_eq!(MasterDef::split(MasterKind::Material, "HP-8@B"), ("HP-8", Some("B")));
        assert_eq!(MasterDef::split(MasterKind::Material, "HP-8"), ("HP-8", None));
        assert_eq!(MasterDef::split(MasterKind::Reason, "Late @ start"), ("Late @ start", None));
        let mut sorted = MasterKind::ALL;
        sorted.sort_unstable();
        assert_eq!(sorted, MasterKind::ALL, "documents have them in the order in which the model does");
    }

    #[test]
    fn a_model_from_before_keep_days_is_read() {
        let text = r#"{"path":"w","level":"site","title":"Works"}"#;
        assert_eq!(serde_json::from_str::<Equipment>(text).expect("it is read").keep_days, None);
    }
}
