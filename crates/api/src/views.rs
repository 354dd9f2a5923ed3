//! JSON shapes of the outside face. Times are whole milliseconds since 1970-01-01T00:00:00Z, named `…_ms`.

use andon_model::access::{Grant, Principal, PrincipalKind};
use andon_model::event::{Event, SealedEvent, What};
use andon_model::plant::{Equipment, Plant, TagDef};
use andon_model::{Sample, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A live value: path, value (null when nothing is known), OPC UA StatusCode, source time and received time in ms.
pub type Live = (String, serde_json::Value, u32, i64, i64);

/// A value as plain JSON.
#[must_use]
pub fn json_value(value: &Value) -> serde_json::Value {
    match value {
        Value::Boolean(b) => (*b).into(),
        Value::Int64(i) => (*i).into(),
        Value::Double(d) => serde_json::Number::from_f64(*d).map_or(serde_json::Value::Null, Into::into),
        Value::String(s) => s.as_ref().into(),
        Value::Null => serde_json::Value::Null,
    }
}

/// A sample as a live value.
#[must_use]
pub fn live(path: &str, sample: &Sample) -> Live {
    (
        path.to_owned(),
        json_value(&sample.value),
        sample.quality.0,
        sample.source_ts.millis(),
        sample.received_ts.millis(),
    )
}

/// A place or a thing.
#[derive(Debug, Serialize, ToSchema)]
pub struct EquipmentView {
    /// Its path.
    pub path: String,
    /// `enterprise`, `site`, `area`, `work_center`, `work_unit`.
    pub level: String,
    /// The level in the words of its profile.
    pub level_word: String,
    /// `plant` or `home`.
    pub profile: String,
    /// What people call it.
    pub title: String,
    /// More about it.
    pub description: String,
    /// The path above.
    pub parent: Option<String>,
}

impl EquipmentView {
    /// The view of `equipment`.
    #[must_use]
    pub fn new(equipment: &Equipment) -> Self {
        let name = |value: serde_json::Result<serde_json::Value>| {
            value.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        };
        Self {
            path: equipment.path.to_string(),
            level: name(serde_json::to_value(equipment.level)),
            level_word: equipment.level.word(equipment.profile).to_owned(),
            profile: name(serde_json::to_value(equipment.profile)),
            title: equipment.title.clone(),
            description: equipment.description.clone(),
            parent: equipment.path.parent().map(|p| p.to_string()),
        }
    }
}

/// Limits of a writable tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct WriteView {
    /// The smallest value.
    pub min: Option<f64>,
    /// The largest value.
    pub max: Option<f64>,
    /// Whether a reason must be given.
    pub needs_reason: bool,
    /// How long a command lives, in ms.
    pub life_ms: u64,
    /// How long the confirmation may take, in ms.
    pub confirm_within_ms: u64,
}

/// Which connector a tag's values come from.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceView {
    /// `modbus`, `mqtt`, …
    pub protocol: String,
    /// The connector's name or the topic filter.
    pub name: String,
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
pub struct TagView {
    /// Its name outside, kept over a rename.
    pub id: Uuid,
    /// Its path.
    pub path: String,
    /// The equipment above.
    pub equipment: String,
    /// What people call it.
    pub title: String,
    /// More about it.
    pub description: String,
    /// `boolean`, `int64`, `double`, `string`.
    pub data_type: String,
    /// UCUM code.
    pub unit: Option<String>,
    /// As people write the unit.
    pub symbol: Option<String>,
    /// The instrument's range.
    pub range: Option<(f64, f64)>,
    /// Digits after the point.
    pub digits: Option<u8>,
    /// Words for values.
    pub states: BTreeMap<String, String>,
    /// `sloped` or `stepped`.
    pub interpolation: String,
    /// How far its history may deviate from what came, in its unit; `null`: it keeps every reading.
    pub deviation: Option<f64>,
    /// How many days the model keeps its history, 0: for ever; `null`: as the settings say.
    pub keep_days: Option<u32>,
    /// Silent for longer, in ms, and it is stale.
    pub stale_after_ms: Option<u64>,
    /// Limits, if it can be written.
    pub write: Option<WriteView>,
    /// What is written to press it, where it is something that is pressed and shows no state.
    pub press: Option<i64>,
    /// What it is made from, where it is replayed or simulated.
    pub origin: Option<String>,
    /// Where its values come from.
    pub source: Option<SourceView>,
}

impl TagView {
    /// The view of `tag`; `keep_days` is what the nearest one says that says it.
    #[must_use]
    pub fn new(tag: &TagDef, source: Option<SourceView>, keep_days: Option<u32>) -> Self {
        Self {
            id: tag.id,
            path: tag.path.to_string(),
            equipment: tag.path.equipment().to_string(),
            title: tag.title.clone(),
            description: tag.description.clone(),
            data_type: tag.data_type.name().to_owned(),
            unit: tag.unit.as_ref().map(|u| u.code().to_owned()),
            symbol: tag.unit.as_ref().map(andon_model::Unit::symbol),
            range: tag.range,
            digits: tag.digits,
            states: tag.states.iter().map(|(k, v)| (k.to_string(), v.clone())).collect(),
            interpolation: match tag.interpolation {
                andon_model::plant::Interpolation::Sloped => "sloped",
                andon_model::plant::Interpolation::Stepped => "stepped",
            }
            .to_owned(),
            deviation: tag.compress.map(|rule| rule.deviation),
            keep_days,
            stale_after_ms: tag.stale_after_ms,
            press: tag.press(),
            write: tag.write.as_ref().map(|w| WriteView {
                min: w.min,
                max: w.max,
                needs_reason: w.needs_reason,
                life_ms: w.life_ms,
                confirm_within_ms: w.confirm_within_ms,
            }),
            origin: tag.origin.clone(),
            source,
        }
    }
}

/// Who did something.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ByView {
    /// The principal's id.
    pub id: Uuid,
    /// `person`, `token`, `device`, `system`, `anonymous`.
    pub kind: String,
    /// The name, while it is known.
    pub name: Option<String>,
}

impl ByView {
    /// The view of `who`.
    #[must_use]
    pub fn new(who: &Principal, name: Option<String>) -> Self {
        Self { id: who.id, kind: format!("{:?}", who.kind).to_lowercase(), name }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventView {
    /// Its number in the records lane.
    pub seq: u64,
    /// Its id.
    pub id: Uuid,
    /// When the node learned of it.
    pub at_ms: i64,
    /// When the source says it was so.
    pub source_ms: Option<i64>,
    /// `alarm`, `command`, `connection`, `user`, `configuration`, `system`, `note`, `machine`, `order`, `job`, `trace`, `maintenance`, `tool`.
    pub kind: String,
    /// What it is about.
    pub path: String,
    /// Who did it.
    pub by: ByView,
    /// One line for people.
    pub summary: String,
    /// How grave it is: 1 critical, 2 high, 3 medium, 4 low, 0 for the record only.
    pub severity: u8,
    /// All its fields.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}

impl EventView {
    /// The view of an event.
    #[must_use]
    pub fn new(sealed: &SealedEvent, plant: &Plant, name: Option<String>) -> Self {
        let event: &Event = &sealed.event;
        let summary = crate::words::summary(event, plant);
        // What a device did that the node tells of: it is known by its user; of a client that has no identifier nothing else says who it is.
        let summary = match (&event.what, event.by.kind, &name) {
            (What::System(_), PrincipalKind::Device, Some(name)) => format!("{name}: {summary}"),
            _ => summary,
        };
        Self {
            seq: sealed.seq.0,
            id: event.id,
            at_ms: event.at.millis(),
            source_ms: event.source_at.map(andon_model::Timestamp::millis),
            kind: event.what.kind().to_owned(),
            path: event.path.clone(),
            by: ByView::new(&event.by, name),
            summary,
            severity: event.what.severity(),
            detail: serde_json::to_value(&event.what).unwrap_or_default(),
        }
    }
}

/// A role on a branch.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GrantView {
    /// `viewer`, `operator`, `engineer`, `administrator`.
    #[schema(value_type = String)]
    pub role: andon_model::access::Role,
    /// The branch; empty: everywhere.
    pub branch: String,
}

impl From<GrantView> for Grant {
    fn from(view: GrantView) -> Self {
        Self { role: view.role, branch: view.branch }
    }
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self { role: grant.role, branch: grant.branch }
    }
}
