//! What is known about an alarm outside: only what is durable.

use andon_model::access::Principal;
use andon_model::event::{AlarmChange, AlarmState, Event};
use andon_model::plant::AlarmDef;
use andon_model::{EquipmentPath, StatusCode, TagPath, Timestamp, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An alarm that is not normal, as people may see it: every word of it is durable.
#[derive(Clone, PartialEq, Debug)]
pub struct AlarmStatus {
    /// Its name in the plant model.
    pub name: String,
    /// This occurrence: kept until the alarm is normal again. An acknowledgement names it.
    pub occurrence: Uuid,
    /// Never `Normal`.
    pub state: AlarmState,
    /// 1 critical, 2 high, 3 medium, 4 low.
    pub priority: u8,
    /// `high`, `low`, `silent`, `state`.
    pub condition: &'static str,
    /// What the operator reads.
    pub message: String,
    /// What usually causes it.
    pub cause: String,
    /// What happens if nobody acts.
    pub consequence: String,
    /// What to do.
    pub action: String,
    /// Whose value it watches.
    pub tag: TagPath,
    /// What the tag belongs to.
    pub equipment: EquipmentPath,
    /// The value at the last transition.
    pub value: Value,
    /// Its quality.
    pub quality: StatusCode,
    /// The limit, where there is one.
    pub limit: Option<f64>,
    /// When this occurrence was raised: of one that came back before somebody saw it, the last time.
    pub raised_at: Timestamp,
    /// When its state changed last.
    pub changed_at: Timestamp,
    /// Who acknowledged it.
    pub acknowledged_by: Option<Principal>,
}

/// What is recorded of an alarm that is not normal; this is also what the snapshot keeps.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) occurrence: Uuid,
    pub(crate) state: AlarmState,
    pub(crate) value: Value,
    pub(crate) quality: StatusCode,
    pub(crate) raised_at: Timestamp,
    pub(crate) changed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) acknowledged_by: Option<Principal>,
}

impl Shown {
    /// What is known after a recorded transition; `None`: normal. The same at run time and in a replay.
    pub(crate) fn after(before: Option<Self>, event: &Event, change: &AlarmChange) -> Option<Self> {
        if change.to == AlarmState::Normal {
            // The end of another occurrence (of an alarm that was taken out and came back) is not the end of this one.
            return before.filter(|before| before.occurrence != change.occurrence);
        }
        let same = before.filter(|before| before.occurrence == change.occurrence);
        let acknowledged = change.to == AlarmState::Acknowledged;
        let raised = change.to == AlarmState::Unacknowledged;
        Some(Self {
            occurrence: change.occurrence,
            state: change.to,
            value: change.value.clone(),
            quality: change.quality,
            raised_at: same.filter(|_| !raised).map_or(event.at, |before| before.raised_at),
            changed_at: event.at,
            acknowledged_by: acknowledged.then(|| event.by.clone()),
        })
    }

    pub(crate) fn status(&self, def: &AlarmDef) -> AlarmStatus {
        AlarmStatus {
            name: def.name.clone(),
            occurrence: self.occurrence,
            state: self.state,
            priority: def.priority,
            condition: def.condition.word(),
            message: def.message.clone(),
            cause: def.cause.clone(),
            consequence: def.consequence.clone(),
            action: def.action.clone(),
            tag: def.tag.clone(),
            equipment: def.tag.equipment(),
            value: self.value.clone(),
            quality: self.quality,
            limit: limit_of(def),
            raised_at: self.raised_at,
            changed_at: self.changed_at,
            acknowledged_by: self.acknowledged_by.clone(),
        }
    }
}

/// The limit of an alarm on a value.
pub(crate) fn limit_of(def: &AlarmDef) -> Option<f64> {
    use andon_model::plant::Condition;
    match def.condition {
        Condition::High { limit, .. } | Condition::Low { limit, .. } => Some(limit),
        Condition::State { .. } | Condition::Silent { .. } => None,
    }
}
