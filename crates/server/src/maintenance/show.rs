//! What is there: orders as they are shown.

use super::change::{at_work, state_of};
use super::{Maintenance, ms};
use andon_api::ports::maintenance::{
    MaintenanceEntryView, MaintenanceOrderView, MaintenanceOrdersPage, MaintenanceProblem, OrderAlarmView, PartView,
    PersonWorkView,
};
use andon_api::ports::orders::JobInstructionView;
use andon_mes::maintenance::figures::{Span, length};
use andon_mes::maintenance::ledger::Content;
use andon_mes::maintenance::work::may;
use andon_mes::master::MasterData;
use andon_mes::order::begin::{Seen, unseen};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_store::maintenance::{
    MaintenanceEntry, MaintenanceFilter, MaintenanceRepository, Part, StoredMaintenance, WorkSpan,
};
use uuid::Uuid;

/// A part as it is shown.
pub(super) fn part_view(master: &MasterData, material: &str, lot: &str, serial: &str, quantity: i64) -> PartView {
    let known = master.named(material).map(|(_, material)| material);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PartView {
        title: known.map_or_else(|| material.to_owned(), |known| known.title.clone()),
        unit: known.map_or_else(|| "pcs".to_owned(), |known| known.unit.clone()),
        material: material.to_owned(),
        lot: some(lot),
        serial: some(serial),
        quantity: Quantity::from_millionths(quantity).to_f64(),
    }
}

/// A part that was used or put back, in words: how much of what, and which.
pub(super) fn part_words(quantity: Quantity, material: &str, lot: &str, serial: &str) -> String {
    let which: String =
        [lot, serial].into_iter().filter(|text| !text.is_empty()).map(|text| format!(" {text}")).collect();
    format!("{quantity} {material}{which}")
}

/// A span of work, as far as it has come.
fn span_of(span: &WorkSpan, now: Timestamp) -> Span {
    (span.from.micros(), span.to.unwrap_or(now.max(span.from)).micros())
}

impl Maintenance {
    pub(super) async fn stored(&self, number: &str) -> Result<StoredMaintenance, MaintenanceProblem> {
        let found = self.parts.store.maintenance_order(number).await?;
        found.ok_or_else(|| MaintenanceProblem::Unknown(format!("maintenance order {number}")))
    }

    pub(super) async fn page(
        &self,
        filter: MaintenanceFilter,
        who: Uuid,
    ) -> Result<MaintenanceOrdersPage, MaintenanceProblem> {
        let page = self.parts.store.maintenance_orders(filter).await?;
        let mut orders = Vec::with_capacity(page.orders.len());
        for stored in &page.orders {
            orders.push(self.view(stored, who).await?);
        }
        Ok(MaintenanceOrdersPage { orders, next: page.next })
    }

    pub(super) async fn seen_of(&self, order: Uuid) -> Result<Vec<Seen>, MaintenanceProblem> {
        let entries = self.parts.store.maintenance_seen(order).await?.into_iter();
        let seen = entries.filter_map(|entry| match serde_json::from_value(entry.entry.content) {
            Ok(Content::Seen { instruction, sha256, .. }) => Some(Seen { instruction, sha256, by: entry.entry.by }),
            _ => None,
        });
        Ok(seen.collect())
    }

    /// An order as the node itself sees it.
    pub(crate) async fn shown(&self, stored: &StoredMaintenance) -> Result<MaintenanceOrderView, MaintenanceProblem> {
        self.view(stored, Uuid::nil()).await
    }

    pub(super) async fn view(
        &self,
        stored: &StoredMaintenance,
        who: Uuid,
    ) -> Result<MaintenanceOrderView, MaintenanceProblem> {
        let order = &stored.order;
        let now = self.parts.clock.now();
        let in_force = self.parts.mes.in_force(&order.instructions);
        let seen = if in_force.is_empty() { Vec::new() } else { self.seen_of(order.id).await? };
        let missing = unseen(&in_force, &seen, who);
        let instructions = in_force.into_iter().map(|instruction| JobInstructionView {
            seen: !missing.contains(&instruction),
            name: instruction.name,
            revision: instruction.revision,
            sha256: instruction.sha256,
        });
        let master = self.parts.mes.master_data();
        let parts = |parts: &[Part]| -> Vec<PartView> {
            parts
                .iter()
                .map(|part| part_view(&master, &part.material, &part.lot, &part.serial, part.quantity))
                .collect()
        };
        let people = people(&stored.work, now);
        let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
        Ok(MaintenanceOrderView {
            id: order.id,
            number: order.number.clone(),
            kind: order.kind.clone(),
            equipment: order.equipment.clone(),
            title: order.title.clone(),
            note: order.note.clone(),
            priority: order.priority,
            due_ms: millis(order.due),
            plan: order.plan.as_ref().map(|(plan, _)| plan.clone()),
            turn: order.plan.as_ref().map(|(_, turn)| *turn),
            alarm: order
                .alarm
                .as_ref()
                .map(|(name, occurrence)| OrderAlarmView { name: name.clone(), occurrence: *occurrence }),
            source: order.source.clone(),
            state: order.state.clone(),
            substate: order.substate.clone(),
            failed_ms: millis(order.failed),
            restored_ms: millis(order.restored),
            code: order.code.clone(),
            cause: order.cause.clone(),
            remedy: order.remedy.clone(),
            estimated_ms: order.estimated.map(ms),
            skills: order.skills.clone(),
            instructions: instructions.collect(),
            planned_parts: parts(&order.parts),
            parts: parts(&stored.used),
            work_ms: people.iter().map(|person| person.work_ms).sum(),
            running_ms: length(stored.work.iter().map(|span| span_of(span, now))) / 1000,
            people,
            created_ms: order.created.millis(),
            created_by: order.created_by,
            created_by_name: None,
            started_ms: millis(order.started),
            ended_ms: millis(order.ended),
            version: order.version,
            may: may(state_of(order)?, &at_work(stored)).into_iter().map(str::to_owned).collect(),
        })
    }

    pub(super) async fn entries(
        &self,
        number: String,
        before: Option<u64>,
        limit: u32,
    ) -> Result<(Vec<MaintenanceEntryView>, Option<u64>), MaintenanceProblem> {
        let order = self.stored(&number).await?.order.id;
        let entries = self.parts.store.maintenance_ledger(order, before, limit).await?;
        let full = entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let next = entries.first().filter(|_| full).map(|first| first.number);
        Ok((entries.iter().map(entry_view).collect(), next))
    }
}

/// What each person worked, in the order in which they came.
fn people(work: &[WorkSpan], now: Timestamp) -> Vec<PersonWorkView> {
    let mut people: Vec<PersonWorkView> = Vec::new();
    for span in work {
        let (from, to) = span_of(span, now);
        let worked = (to - from) / 1000;
        let since_ms = span.to.is_none().then(|| span.from.millis());
        match people.iter_mut().find(|person| person.person == span.person) {
            Some(person) => {
                person.work_ms += worked;
                person.since_ms = person.since_ms.or(since_ms);
            }
            None => people.push(PersonWorkView { person: span.person, name: None, since_ms, work_ms: worked }),
        }
    }
    people
}

fn entry_view(entry: &MaintenanceEntry) -> MaintenanceEntryView {
    let content: Option<Content> = serde_json::from_value(entry.entry.content.clone()).ok();
    let (reason, detail) = match content {
        Some(Content::Changed { words, .. }) => (None, Some(words)),
        Some(Content::Deed { reason, .. }) => (reason, None),
        Some(Content::Part { material, lot, serial, quantity_millionths, note }) => {
            let (lot, serial) = (lot.unwrap_or_default(), serial.unwrap_or_default());
            (note, Some(part_words(Quantity::from_millionths(quantity_millionths), &material, &lot, &serial)))
        }
        Some(Content::Seen { instruction, revision, .. }) => (None, Some(format!("{instruction} {revision}"))),
        Some(Content::Made { .. } | Content::Asked { .. }) | None => (None, None),
    };
    MaintenanceEntryView {
        number: entry.number,
        at_ms: entry.entry.at.millis(),
        kind: entry.entry.kind.clone(),
        state: entry.state.clone(),
        substate: entry.substate.clone(),
        reason,
        detail,
        by: entry.entry.by,
        by_name: None,
    }
}
