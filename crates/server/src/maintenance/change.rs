//! What people do with maintenance orders. Each wish is looked at and written in one turn.

use super::show::part_words;
use super::{Maintenance, Told, refused};
use andon_api::ports::maintenance::{
    AlarmWish, DeedWish, MaintenanceOrderView, MaintenancePatch, MaintenanceProblem, MaintenanceWish,
    NewMaintenanceWish, PartWish,
};
use andon_api::ports::orders::SeenWish;
use andon_bus::ids::new_id;
use andon_mes::job::{Ending, Interruption, JobState, Prepared, Stored};
use andon_mes::maintenance::Kind;
use andon_mes::maintenance::ledger::Content;
use andon_mes::maintenance::work::{Deed, after};
use andon_mes::order::begin::{HeldSkill, missing_skills, unseen};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::event::{Event, MaintenanceChange, What};
use andon_store::maintenance::{
    MaintenanceRepository, MaintenanceRow, MaintenanceWrite, MaintenanceWritten, NewMaintenance, NewMaintenanceEntry,
    Part, StoredMaintenance, TurnDue,
};
use andon_store::orders::OrderRepository;
use std::time::Duration;
use uuid::Uuid;

/// A failure that is told may lie so far ahead of the node's clock: people's clocks are not the node's.
const AHEAD: Duration = Duration::from_secs(60);
/// The most of a part at once.
const MOST: f64 = 1e9;

/// What an order is in.
pub(super) fn state_of(order: &MaintenanceRow) -> Result<JobState, MaintenanceProblem> {
    JobState::from_words(&order.state, order.substate.as_deref()).ok_or_else(|| {
        MaintenanceProblem::Failed(format!(
            "the maintenance order {} is {} {:?}, which this version does not know",
            order.number, order.state, order.substate
        ))
    })
}

/// Who works on it now.
pub(super) fn at_work(stored: &StoredMaintenance) -> Vec<Uuid> {
    stored.work.iter().filter(|span| span.to.is_none()).map(|span| span.person).collect()
}

fn json(wish: &impl serde::Serialize) -> Result<String, MaintenanceProblem> {
    serde_json::to_string(wish).map_err(|error| MaintenanceProblem::Failed(format!("a wish: {error}")))
}

fn set_state(order: &mut MaintenanceRow, state: JobState) {
    let (word, substate) = state.words();
    order.state = word.to_owned();
    order.substate = substate.map(str::to_owned);
    order.open = !matches!(state, JobState::Ended(_) | JobState::Aborted);
}

fn into_of<T>(into: Option<&str>, known: &[(&str, T)], remedy: &str) -> Result<T, MaintenanceProblem>
where
    T: Copy,
{
    let found = known.iter().find(|(word, _)| Some(*word) == into).map(|(_, value)| *value);
    found.ok_or_else(|| refused("it is not said into what", remedy))
}

fn deed_of(wish: &DeedWish) -> Result<Deed, MaintenanceProblem> {
    let into = wish.into.as_deref();
    Ok(match wish.deed {
        "release" => Deed::Release,
        "revoke" => Deed::Revoke,
        "begin" => Deed::Begin,
        "join" => Deed::Join,
        "leave" => Deed::Leave,
        "resume" => Deed::Resume,
        "finish" => Deed::Finish,
        "cancel" => Deed::Cancel,
        "close" => Deed::Close,
        "pause" => Deed::Pause(into_of(
            into,
            &[("Held", Interruption::Held), ("Suspended", Interruption::Suspended)],
            "send \"why\": \"Held\" if the cause is inside the machine, or \"Suspended\"",
        )?),
        "prepare" => Deed::Prepare(into_of(
            into,
            &[("Waiting", Prepared::Waiting), ("Ready", Prepared::Ready), ("Loaded", Prepared::Loaded)],
            "send \"prepared\": \"Waiting\", \"Ready\" or \"Loaded\"",
        )?),
        other => return Err(MaintenanceProblem::Unknown(format!("what {other:?} does"))),
    })
}

impl Maintenance {
    pub(super) fn entry(
        &self,
        key: Uuid,
        at: Timestamp,
        content: &Content,
        by: &Principal,
    ) -> Result<NewMaintenanceEntry, MaintenanceProblem> {
        let value = serde_json::to_value(content)
            .map_err(|error| MaintenanceProblem::Failed(format!("an entry of the ledger: {error}")))?;
        Ok(NewMaintenanceEntry { key, at, kind: content.word().to_owned(), content: value, by: by.id })
    }

    pub(super) fn event(
        &self,
        order: &MaintenanceRow,
        at: Timestamp,
        content: &Content,
        reason: Option<String>,
        detail: Option<String>,
        by: &Principal,
    ) -> Event {
        let state = order.substate.as_ref().map(|sub| format!(" ({sub})")).unwrap_or_default();
        let what = What::Maintenance(MaintenanceChange {
            order: order.id,
            number: order.number.clone(),
            action: content.word().to_owned(),
            state: format!("{}{state}", order.state),
            reason,
            detail,
        });
        let id = new_id(&*self.parts.clock);
        Event { id, at, source_at: None, path: order.equipment.clone(), by: by.clone(), what }
    }

    /// Whether the same was asked before under a key.
    /// # Errors
    /// Something else was.
    async fn asked_before(
        &self,
        key: Uuid,
        order: Option<Uuid>,
        same: impl Fn(&Content) -> bool,
    ) -> Result<Option<StoredMaintenance>, MaintenanceProblem> {
        let Some(found) = self.parts.store.maintenance_entry_of(key).await? else { return Ok(None) };
        let content: Option<Content> = serde_json::from_value(found.entry.content).ok();
        if order.is_none_or(|order| order == found.order) && content.as_ref().is_some_and(same) {
            return Ok(self.parts.store.maintenance_by_id(found.order).await?);
        }
        Err(key_used(key))
    }

    pub(super) async fn conflict(
        &self,
        stored: &StoredMaintenance,
        text: impl ToString,
        remedy: &str,
        who: Uuid,
    ) -> MaintenanceProblem {
        match self.view(stored, who).await {
            Ok(view) => MaintenanceProblem::Conflict {
                text: text.to_string(),
                remedy: remedy.to_owned(),
                current: Some(Box::new(view)),
            },
            Err(problem) => problem,
        }
    }

    async fn overtaken(&self, stored: &StoredMaintenance, who: Uuid) -> MaintenanceProblem {
        let text = format!("the order {} was changed meanwhile: it is {}", stored.order.number, stored.order.state);
        self.conflict(stored, text, "look at it as it is now, then decide again", who).await
    }

    /// Where a new order would be.
    pub(super) async fn place_of(&self, wish: &NewMaintenanceWish) -> Result<String, MaintenanceProblem> {
        match wish {
            NewMaintenanceWish::Person(wish) => Ok(wish.equipment.clone()),
            NewMaintenanceWish::Plan(name) => {
                let plan = self.parts.mes.master_data().maintenance_plans.get(name).map(|plan| plan.equipment.clone());
                plan.ok_or_else(|| MaintenanceProblem::Unknown(format!("the maintenance plan {name:?}")))
            }
            NewMaintenanceWish::Alarm(wish) => {
                if let Some(there) = self.parts.store.maintenance_of(&origin_of_alarm(wish.occurrence)).await? {
                    return Ok(there.order.equipment);
                }
                Ok(self.alarm(wish)?.equipment.to_string())
            }
        }
    }

    fn alarm(&self, wish: &AlarmWish) -> Result<andon_alarms::AlarmStatus, MaintenanceProblem> {
        let found = self.parts.alarms.standing().into_iter();
        let mut found = found.filter(|status| status.name == wish.name && status.occurrence == wish.occurrence);
        found.next().ok_or_else(|| MaintenanceProblem::Unknown("this occurrence of the alarm".to_owned()))
    }

    pub(super) async fn make_in_turn(
        &self,
        wish: NewMaintenanceWish,
        key: Uuid,
        by: Principal,
    ) -> Told<MaintenanceOrderView> {
        let _turn = self.turn.lock().await;
        let wanted = match &wish {
            NewMaintenanceWish::Person(wish) => json(wish)?,
            NewMaintenanceWish::Alarm(wish) => json(wish)?,
            NewMaintenanceWish::Plan(plan) => json(plan)?,
        };
        let same =
            |content: &Content| matches!(content, Content::Made { wish } | Content::Asked { wish } if *wish == wanted);
        if let Some(there) = self.asked_before(key, None, same).await? {
            return Ok((self.view(&there, by.id).await?, None));
        }
        let now = self.parts.clock.now();
        let (order, turn) = match wish {
            NewMaintenanceWish::Person(wish) => (self.of_person(*wish, now, &by)?, None),
            NewMaintenanceWish::Alarm(wish) => match self.of_alarm_there(&wish).await? {
                Ok(there) => return self.asked(&there, key, wanted, &by).await,
                Err(origin) => (MaintenanceRow { origin: Some(origin), ..self.of_alarm(wish, now, &by)? }, None),
            },
            NewMaintenanceWish::Plan(name) => match self.of_plan_asked(&name, now, &by).await? {
                Ok((order, turn)) => (order, Some(turn)),
                Err(open) => return self.asked(&open, key, wanted, &by).await,
            },
        };
        let (stored, told) = self.create(order, turn, key, Content::Made { wish: wanted }, &by, now).await?;
        Ok((self.view(&stored, by.id).await?, told))
    }

    /// What is asked for is there. That is noted under the key, so that the same request makes no order when it comes again and this one has
    /// ended. In turn.
    async fn asked(
        &self,
        there: &StoredMaintenance,
        key: Uuid,
        wish: String,
        by: &Principal,
    ) -> Told<MaintenanceOrderView> {
        let entry = self.entry(key, self.parts.clock.now(), &Content::Asked { wish }, by)?;
        match self.parts.store.maintenance_asked(there.order.id, entry).await? {
            MaintenanceWritten::KeyUsed => Err(key_used(key)),
            _ => Ok((self.view(there, by.id).await?, None)),
        }
    }

    /// Writes a new order; the node numbers it where it has no number. In turn.
    pub(super) async fn create(
        &self,
        mut order: MaintenanceRow,
        turn: Option<TurnDue>,
        key: Uuid,
        content: Content,
        by: &Principal,
        now: Timestamp,
    ) -> Told<StoredMaintenance> {
        if order.number.is_empty() {
            let ordinal = self.parts.store.maintenance_next().await?;
            order.ordinal = Some(ordinal);
            order.number = format!("M-{ordinal}");
        }
        let event = self.event(&order, now, &content, None, Some(order.title.clone()), by);
        let told = event.id;
        let entry = self.entry(key, now, &content, by)?;
        match self.parts.store.maintenance_create(NewMaintenance { order, entry, turn, event }).await? {
            MaintenanceWritten::Now(stored) => Ok((stored, Some(told))),
            MaintenanceWritten::Before(stored) => Ok((stored, None)),
            MaintenanceWritten::Conflict(there) => {
                let text = format!("the number {} is taken", there.order.number);
                Err(MaintenanceProblem::Conflict { text, remedy: "choose another number".to_owned(), current: None })
            }
            MaintenanceWritten::KeyUsed => Err(key_used(key)),
            MaintenanceWritten::TurnOver => Err(MaintenanceProblem::Conflict {
                text: "the plan is in another turn by now".to_owned(),
                remedy: "look at the plan as it is now".to_owned(),
                current: None,
            }),
        }
    }

    /// An order without what it comes of.
    pub(super) fn new_order(&self, kind: Kind, now: Timestamp, by: &Principal) -> MaintenanceRow {
        let mut order = MaintenanceRow {
            id: new_id(&*self.parts.clock),
            number: String::new(),
            ordinal: None,
            origin: None,
            kind: kind.word().to_owned(),
            equipment: String::new(),
            title: String::new(),
            note: String::new(),
            priority: 5,
            due: None,
            plan: None,
            alarm: None,
            source: "person".to_owned(),
            state: String::new(),
            substate: None,
            open: true,
            failed: None,
            restored: None,
            code: None,
            cause: String::new(),
            remedy: String::new(),
            estimated: None,
            skills: Vec::new(),
            instructions: Vec::new(),
            parts: Vec::new(),
            created: now,
            created_by: by.id,
            started: None,
            ended: None,
            version: 0,
        };
        set_state(&mut order, JobState::new(Stored::AndStart));
        order
    }

    fn of_person(
        &self,
        wish: MaintenanceWish,
        now: Timestamp,
        by: &Principal,
    ) -> Result<MaintenanceRow, MaintenanceProblem> {
        if let Some(number) = &wish.number
            && number
                .strip_prefix("M-")
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(refused(
                format!("{number:?} is a number that the node gives"),
                "leave \"number\" out, or choose another",
            ));
        }
        self.known(&wish.equipment)?;
        let master = self.parts.mes.master_data();
        if let Some(skill) = wish.skills.iter().find(|skill| !master.skills.contains_key(*skill)) {
            return Err(refused(format!("there is no skill {skill:?}"), "choose one of /api/mes/skills"));
        }
        if let Some(name) = wish.instructions.iter().find(|name| master.instruction_named(name).is_none()) {
            return Err(refused(
                format!("there is no instruction {name:?}"),
                "add an [[instruction]] to the plant model",
            ));
        }
        let kind = if wish.corrective { Kind::Corrective } else { Kind::Preventive };
        let mut order = self.new_order(kind, now, by);
        if !wish.release {
            set_state(&mut order, JobState::new(Stored::Only));
        }
        order.number = wish.number.unwrap_or_default();
        order.equipment = wish.equipment;
        (order.title, order.note, order.priority) = (wish.title, wish.note, wish.priority);
        order.due = wish.due_ms.map(Timestamp::from_millis);
        order.estimated = wish.estimated_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        (order.skills, order.instructions, order.cause) = (wish.skills, wish.instructions, wish.cause);
        let failure = MaintenancePatch {
            code: wish.code.map(Some),
            failed_ms: wish.failed_ms.map(Some),
            ..MaintenancePatch::default()
        };
        self.take_failure(&mut order, &failure, now)?;
        Ok(order)
    }

    /// The order of an alarm that is there already; else what a new one comes of.
    ///
    /// An alarm that comes again while its order is open is of the same failure: one that flaps makes no heap of orders. Of one occurrence
    /// comes one order, and another only where that was cancelled.
    async fn of_alarm_there(&self, wish: &AlarmWish) -> Result<Result<StoredMaintenance, String>, MaintenanceProblem> {
        if let Some(open) = self.parts.store.maintenance_open_of_alarm(&wish.name).await? {
            return Ok(Ok(open));
        }
        let mut origin = origin_of_alarm(wish.occurrence);
        while let Some(there) = self.parts.store.maintenance_of(&origin).await? {
            if state_of(&there.order)? != JobState::Aborted {
                return Ok(Ok(there));
            }
            origin = format!("{}/{}", origin_of_alarm(wish.occurrence), there.order.id);
        }
        Ok(Err(origin))
    }

    fn of_alarm(&self, wish: AlarmWish, now: Timestamp, by: &Principal) -> Result<MaintenanceRow, MaintenanceProblem> {
        let alarm = self.alarm(&wish)?;
        let mut order = self.new_order(Kind::Corrective, now, by);
        order.equipment = alarm.equipment.to_string();
        let said: String = alarm.message.lines().next().unwrap_or_default().chars().take(100).collect();
        order.title = wish.title.unwrap_or(if said.is_empty() { alarm.name.clone() } else { said });
        // 1 critical … 4 low there, 1 low … 9 high here.
        order.priority = wish.priority.unwrap_or(11_u8.saturating_sub(alarm.priority.clamp(1, 4) * 2));
        order.note = wish.note;
        order.alarm = Some((alarm.name, wish.occurrence));
        order.source = "alarm".to_owned();
        order.failed = Some(alarm.raised_at.min(now));
        let code = MaintenancePatch { code: wish.code.map(Some), ..MaintenancePatch::default() };
        self.take_failure(&mut order, &code, now)?;
        Ok(order)
    }

    /// Equipment of the plant, or what tags stand under.
    fn known(&self, path: &str) -> Result<(), MaintenanceProblem> {
        let view = self.parts.bus.plant();
        let is_equipment = view.plant.equipment.iter().any(|item| item.path.as_str() == path);
        let below = |tag: &str| tag.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        if !path.is_empty() && (is_equipment || view.plant.tags.iter().any(|tag| below(tag.path.as_str()))) {
            return Ok(());
        }
        let shown: String = path.chars().take(100).collect();
        Err(refused(
            format!("there is no equipment {shown:?}"),
            "write the path of an [[equipment]] of the plant model",
        ))
    }

    /// What is said of a failure, into the order.
    fn take_failure(
        &self,
        order: &mut MaintenanceRow,
        patch: &MaintenancePatch,
        now: Timestamp,
    ) -> Result<(), MaintenanceProblem> {
        if let Some(code) = &patch.code {
            let master = self.parts.mes.master_data();
            if let Some(code) = code.as_ref().filter(|code| !master.reasons.contains_key(*code)) {
                return Err(refused(format!("there is no reason {code:?}"), "choose one of /api/mes/reasons"));
            }
            order.code.clone_from(code);
        }
        for (said, at) in [(patch.failed_ms, &mut order.failed), (patch.restored_ms, &mut order.restored)] {
            if let Some(said) = said {
                *at = said.map(Timestamp::from_millis);
                if at.is_some_and(|at| at > now.plus(AHEAD)) {
                    return Err(refused("this time is still to come", "write when it failed, or was restored"));
                }
            }
        }
        match (order.failed, order.restored) {
            (None, Some(_)) => {
                Err(refused("it was restored, and nobody has said when it failed", "write \"failed_ms\" too"))
            }
            (Some(failed), Some(restored)) if restored < failed => Err(refused(
                format!("it failed at {failed}, and was restored before that, at {restored}"),
                "put one of the times right",
            )),
            _ => {
                for (said, text) in [
                    (&patch.note, &mut order.note),
                    (&patch.cause, &mut order.cause),
                    (&patch.remedy, &mut order.remedy),
                ] {
                    if let Some(said) = said {
                        text.clone_from(said);
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) async fn change_in_turn(
        &self,
        number: String,
        version: u64,
        key: Uuid,
        patch: MaintenancePatch,
        by: Principal,
    ) -> Told<MaintenanceOrderView> {
        let _turn = self.turn.lock().await;
        let stored = self.stored(&number).await?;
        let wanted = json(&patch)?;
        let same = |content: &Content| matches!(content, Content::Changed { wish, .. } if *wish == wanted);
        if let Some(there) = self.asked_before(key, Some(stored.order.id), same).await? {
            return Ok((self.view(&there, by.id).await?, None));
        }
        if stored.order.version != version {
            return Err(self.overtaken(&stored, by.id).await);
        }
        let state = state_of(&stored.order)?;
        let planned = patch.title.is_some() || patch.priority.is_some() || patch.due_ms.is_some();
        if state.is_final() || (planned && !stored.order.open) {
            let text = format!("the order is {state}: nothing of that changes any more");
            return Err(self.conflict(&stored, text, "look at the order as it is now", by.id).await);
        }
        let now = self.parts.clock.now();
        let mut order = stored.order.clone();
        self.take_failure(&mut order, &patch, now)?;
        order.title = patch.title.unwrap_or(order.title);
        order.priority = patch.priority.unwrap_or(order.priority);
        order.due = patch.due_ms.map_or(order.due, |due| due.map(Timestamp::from_millis));
        let words = difference(&stored.order, &order);
        let content = Content::Changed { wish: wanted, words: words.clone() };
        let write = MaintenanceWrite {
            entry: self.entry(key, now, &content, &by)?,
            event: self.event(&order, now, &content, None, Some(words), &by),
            order,
            begins: Vec::new(),
            ends: Vec::new(),
            used: None,
            next_turn: None,
        };
        self.write(write, &by).await
    }

    async fn write(&self, write: MaintenanceWrite, by: &Principal) -> Told<MaintenanceOrderView> {
        let (told, key) = (write.event.id, write.entry.key);
        match self.parts.store.maintenance_write(write).await? {
            MaintenanceWritten::Now(stored) => Ok((self.view(&stored, by.id).await?, Some(told))),
            MaintenanceWritten::Before(stored) => Ok((self.view(&stored, by.id).await?, None)),
            MaintenanceWritten::Conflict(stored) => Err(self.overtaken(&stored, by.id).await),
            MaintenanceWritten::KeyUsed | MaintenanceWritten::TurnOver => Err(key_used(key)),
        }
    }

    pub(super) async fn act_in_turn(
        &self,
        number: String,
        wish: DeedWish,
        by: Principal,
    ) -> Told<MaintenanceOrderView> {
        let _turn = self.turn.lock().await;
        let stored = self.stored(&number).await?;
        let said = (wish.failure != MaintenancePatch::default()).then(|| json(&wish.failure)).transpose()?;
        let content = Content::Deed {
            deed: wish.deed.to_owned(),
            into: wish.into.clone(),
            reason: wish.reason.clone(),
            wish: said,
        };
        if let Some(there) = self.asked_before(wish.key, Some(stored.order.id), |before| *before == content).await? {
            return Ok((self.view(&there, by.id).await?, None));
        }
        let deed = deed_of(&wish)?;
        if stored.order.version != wish.version {
            return Err(self.overtaken(&stored, by.id).await);
        }
        let done = match after(state_of(&stored.order)?, &at_work(&stored), deed, by.id) {
            Ok(done) => done,
            Err(error) => return Err(self.conflict(&stored, error, "look at the order as it is now", by.id).await),
        };
        if deed.puts_to_work() {
            self.may_work(&stored, &by).await?;
        }
        // Not before what was written of it before, also where the clock was set back.
        let last = stored.work.iter().flat_map(|span| [Some(span.from), span.to]).flatten().max();
        let now = last.map_or(self.parts.clock.now(), |last| last.max(self.parts.clock.now()));
        let mut order = stored.order.clone();
        set_state(&mut order, done.state);
        if done.state == JobState::Running {
            order.started = order.started.or(Some(now));
        }
        if matches!(deed, Deed::Finish | Deed::Cancel) {
            order.ended = Some(now);
        }
        if deed == Deed::Finish {
            self.take_failure(&mut order, &wish.failure, now)?;
            if let (Some(failed), None) = (order.failed, order.restored) {
                order.restored = Some(now.max(failed));
            }
        }
        let next_turn = order.plan.as_ref().filter(|_| deed == Deed::Finish).map(|_| now);
        let write = MaintenanceWrite {
            entry: self.entry(wish.key, now, &content, &by)?,
            event: self.event(&order, now, &content, wish.reason, None, &by),
            order,
            begins: done.begins,
            ends: done.ends,
            used: None,
            next_turn,
        };
        self.write(write, &by).await
    }

    /// Whether a person may work on an order: the gates of job orders.
    async fn may_work(&self, stored: &StoredMaintenance, by: &Principal) -> Result<(), MaintenanceProblem> {
        let held = self.parts.store.person_skills(Some(by.id)).await?;
        let held: Vec<_> = held.into_iter().map(|held| HeldSkill { skill: held.skill, until: held.until }).collect();
        let missing = missing_skills(&stored.order.skills, &held, self.parts.clock.now());
        if !missing.is_empty() {
            let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let remedy =
                "let somebody work on it who is qualified, or let an administrator enter the skill with the person";
            return Err(MaintenanceProblem::NotQualified(format!("not qualified: {names}"), remedy.to_owned()));
        }
        let in_force = self.parts.mes.in_force(&stored.order.instructions);
        let seen = if in_force.is_empty() { Vec::new() } else { self.seen_of(stored.order.id).await? };
        let unseen = unseen(&in_force, &seen, by.id);
        if unseen.is_empty() {
            return Ok(());
        }
        let names = unseen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let remedy = "open and confirm each with POST /api/mes/maintenance/orders/{number}/seen, then begin";
        Err(self.conflict(stored, format!("not yet confirmed as seen: {names}"), remedy, by.id).await)
    }

    pub(super) async fn part_in_turn(
        &self,
        number: String,
        wish: PartWish,
        by: Principal,
    ) -> Told<MaintenanceOrderView> {
        let _turn = self.turn.lock().await;
        let stored = self.stored(&number).await?;
        let quantity = Quantity::from_f64(wish.quantity).ok().filter(|_| wish.quantity.abs() <= MOST);
        let quantity = quantity.filter(|quantity| *quantity != Quantity::ZERO).ok_or_else(|| {
            refused(
                "this is no quantity",
                "write how much, not zero, at most 1,000,000,000, in millionths at the finest",
            )
        })?;
        let content = Content::Part {
            material: wish.material.clone(),
            lot: wish.lot.clone(),
            serial: wish.serial.clone(),
            quantity_millionths: quantity.millionths(),
            note: wish.note,
        };
        if let Some(there) = self.asked_before(wish.key, Some(stored.order.id), |before| *before == content).await? {
            return Ok((self.view(&there, by.id).await?, None));
        }
        if self.parts.mes.master_data().named(&wish.material).is_none() {
            let text = format!("there is no material {:?}", wish.material);
            return Err(refused(text, "choose one of /api/mes/materials, or add a [[material]] to the plant model"));
        }
        let state = state_of(&stored.order)?;
        if !state.is_under_way() && state != JobState::Ended(Ending::Completed) {
            let text = format!("the order is {state}: parts are noted from its begin until it is closed");
            return Err(self.conflict(&stored, text, "look at the order as it is now", by.id).await);
        }
        let part = Part {
            material: wish.material,
            lot: wish.lot.unwrap_or_default(),
            serial: wish.serial.unwrap_or_default(),
            quantity: quantity.millionths(),
        };
        let same = |has: &&Part| (&has.material, &has.lot, &has.serial) == (&part.material, &part.lot, &part.serial);
        let has = stored.used.iter().find(same).map_or(0, |has| has.quantity);
        if has.checked_add(part.quantity).is_none_or(|left| left < 0) {
            let text = format!("more would be put back than was used: {} so far", Quantity::from_millionths(has));
            return Err(refused(text, "put back at most what was used of this material, lot and serial number"));
        }
        let now = self.parts.clock.now();
        let detail = part_words(quantity, &part.material, &part.lot, &part.serial);
        let order = stored.order.clone();
        let write = MaintenanceWrite {
            entry: self.entry(wish.key, now, &content, &by)?,
            event: self.event(&order, now, &content, None, Some(detail), &by),
            order,
            begins: Vec::new(),
            ends: Vec::new(),
            used: Some(part),
            next_turn: None,
        };
        self.write(write, &by).await
    }

    pub(super) async fn seen_in_turn(&self, number: String, wish: SeenWish, by: Principal) -> Told<()> {
        let _turn = self.turn.lock().await;
        let stored = self.stored(&number).await?;
        let in_force = self.parts.mes.in_force(&stored.order.instructions);
        let Some(instruction) = in_force.into_iter().find(|instruction| instruction.name == wish.instruction) else {
            let text = format!("the instruction {:?} of the order {number}", wish.instruction);
            return Err(MaintenanceProblem::Unknown(text));
        };
        if instruction.revision != wish.revision || !instruction.sha256.eq_ignore_ascii_case(&wish.sha256) {
            let text = format!("another content of {instruction} is in force now");
            return Err(self.conflict(&stored, text, "read it again and confirm that", by.id).await);
        }
        if !stored.order.open {
            let text = format!("the order is {}: nobody begins it any more", stored.order.state);
            return Err(self.conflict(&stored, text, "look at the order as it is now", by.id).await);
        }
        let seen = self.seen_of(stored.order.id).await?;
        if unseen(std::slice::from_ref(&instruction), &seen, by.id).is_empty() {
            return Ok(((), None));
        }
        let now = self.parts.clock.now();
        let detail = format!("{instruction}, SHA-256 {}", instruction.sha256);
        let content =
            Content::Seen { instruction: instruction.name, revision: instruction.revision, sha256: instruction.sha256 };
        let order = stored.order.clone();
        let write = MaintenanceWrite {
            entry: self.entry(new_id(&*self.parts.clock), now, &content, &by)?,
            event: self.event(&order, now, &content, None, Some(detail), &by),
            order,
            begins: Vec::new(),
            ends: Vec::new(),
            used: None,
            next_turn: None,
        };
        let (_, told) = self.write(write, &by).await?;
        Ok(((), told))
    }
}

fn key_used(key: Uuid) -> MaintenanceProblem {
    MaintenanceProblem::Conflict {
        text: format!("something else was asked with the key {key}"),
        remedy: "make a new key for each request, and send it again only with the same request".to_owned(),
        current: None,
    }
}

/// What an order out of an alarm comes of.
fn origin_of_alarm(occurrence: Uuid) -> String {
    format!("alarm/{occurrence}")
}

/// What became another, in words.
fn difference(was: &MaintenanceRow, is: &MaintenanceRow) -> String {
    let time = |at: Option<Timestamp>| at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    let text = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let all = [
        ("title", was.title.clone(), is.title.clone()),
        ("priority", was.priority.to_string(), is.priority.to_string()),
        ("due", time(was.due), time(is.due)),
        ("failed", time(was.failed), time(is.failed)),
        ("restored", time(was.restored), time(is.restored)),
        ("code", text(was.code.as_deref().unwrap_or_default()), text(is.code.as_deref().unwrap_or_default())),
        ("cause", text(&was.cause), text(&is.cause)),
        ("remedy", text(&was.remedy), text(&is.remedy)),
        ("note", text(&was.note), text(&is.note)),
    ];
    let changed = all.into_iter().filter(|(_, was, is)| was != is);
    changed.map(|(name, was, is)| format!("{name}: {is} (was {was})")).collect::<Vec<_>>().join("; ")
}
