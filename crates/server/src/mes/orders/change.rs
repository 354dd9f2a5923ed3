//! What people do with orders and jobs. Each wish is looked at, written and told to the floor in one turn.

use super::show::{row_in, run_time_ms};
use super::{Manufacturing, conflict, job_of, job_on, jobs_of, refused, row_of};
use andon_api::ports::orders::{
    CountWish, Current, JobTrigger, JobView, OrderAction, OrderPatch, OrderView, OrderWish, OrdersProblem, PlaceWish,
    SeenWish, Standing, TriggerWish,
};
use andon_bus::ids::new_id;
use andon_mes::job::{Interruption, JobState, Prepared, Stored, Trigger};
use andon_mes::master::{MasterData, Material};
use andon_mes::order::begin::{self, Begin, BeginError, HeldSkill, Warning, look, place};
use andon_mes::order::ledger::Content;
use andon_mes::order::{Action, Count, JobOrder, Operation, OrderState, count, state_of as order_state};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::event::{Event, JobChange, OrderChange, What};
use andon_store::orders::{
    Counted, Created, EntryKind, EntryWrite, JobRow, LedgerEntry, NewEntry, NewOrder, OrderRepository, OrderRow,
    OrderWrite, StoredOrder, Written,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most that an order can be of, in the material's unit.
const MOST: f64 = 1e9;

/// An answer, and the event that tells of it; `None`: nothing was done that was not done before.
pub(super) type Told<T> = Result<(T, Option<Uuid>), OrdersProblem>;

/// A material that is made here.
pub(super) fn made_of<'m>(
    master: &'m MasterData,
    name: &str,
    revision: Option<&str>,
) -> Result<&'m Material, OrdersProblem> {
    let shown = revision.map_or_else(|| name.to_owned(), |revision| format!("{name}@{revision}"));
    let material = master.material(name, revision).ok_or_else(|| {
        refused(
            format!("there is no material {shown:?}"),
            "choose one of /api/mes/materials, or add a [[material]] to the plant model",
        )
    })?;
    if material.operations.is_empty() {
        let remedy = "order a material that is made here, or give this one its `operation`s in the plant model";
        return Err(refused(format!("{shown} has no operations: it is bought, not made"), remedy));
    }
    Ok(material)
}

/// The operations of a material, so that each stands after those that it waits for.
fn operations_of(material: &Material) -> Vec<Operation> {
    let mut left: Vec<&andon_mes::master::Operation> = material.operations.iter().collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ready = left.iter().position(|operation| operation.after.iter().all(|name| done.contains(name.as_str())));
        // The master data have no circles; were there one, what is left keeps its order and is refused by the rules.
        let operation = left.remove(ready.unwrap_or(0));
        done.insert(&operation.name);
        sorted.push(Operation {
            name: operation.name.clone(),
            title: operation.title.clone(),
            equipment: operation.equipment.clone(),
            run_time_ns: u64::try_from(operation.run_time.as_nanos()).unwrap_or(u64::MAX),
            setup: operation.setup,
            after: Some(operation.after.clone()),
            skills: operation.skills.clone(),
            instructions: operation.instructions.clone(),
        });
    }
    sorted
}

fn quantity_of(number: f64) -> Result<Quantity, OrdersProblem> {
    let fits = number.is_finite() && number > 0.0 && number <= MOST;
    let quantity = Quantity::from_f64(number).ok().filter(|quantity| fits && *quantity > Quantity::ZERO);
    quantity.ok_or_else(|| {
        refused(
            format!("{number} is no quantity of an order"),
            "write more than 0 and at most 1,000,000,000, in millionths at the finest",
        )
    })
}

/// The path that all places of an order lie on or below: what its events are about.
pub(crate) fn branch_of(jobs: &[JobRow]) -> String {
    branch_over(jobs.iter().flat_map(|job| job.alternatives.iter().chain(&job.equipment)))
}

/// What events of a job are about: where it is or will be done, and as long as that is not decided, what all its places lie on or below.
fn place_of(job: &JobRow) -> String {
    job.equipment.clone().unwrap_or_else(|| branch_over(job.alternatives.iter()))
}

/// The longest path at or below which all of these are; empty: the whole tree.
pub(super) fn branch_over<'p>(mut places: impl Iterator<Item = &'p String>) -> String {
    let Some(first) = places.next() else { return String::new() };
    let mut common: Vec<&str> = first.split('/').collect();
    for place in places {
        let same = common.iter().zip(place.split('/')).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    common.join("/")
}

fn order_change(order: &OrderRow, action: &str, detail: Option<String>) -> What {
    What::Order(OrderChange {
        order: order.id,
        number: order.number.clone(),
        action: action.to_owned(),
        state: order.state.clone(),
        detail,
    })
}

fn job_change(job: &JobOrder, action: &str, reason: Option<String>, detail: Option<String>) -> JobChange {
    JobChange {
        job: job.id,
        number: job.number.clone(),
        action: action.to_owned(),
        state: job.state.to_string(),
        good_millionths: 0,
        scrap_millionths: 0,
        rework_millionths: 0,
        reason,
        detail,
    }
}

impl Manufacturing {
    pub(super) async fn make_in_turn(&self, wish: OrderWish, by: Principal) -> Told<OrderView> {
        let _turn = self.turn.write().await;
        let quantity = quantity_of(wish.quantity)?;
        if let Some(there) = self.store.order(&wish.number).await? {
            return self.made_before(&there, &wish, quantity, by.id).await;
        }
        let master = self.state().master.clone();
        let material = made_of(&master, &wish.material, wish.revision.as_deref())?;
        let stored = if wish.release { Stored::AndStart } else { Stored::Only };
        let ids = || new_id(&*self.clock);
        let jobs =
            andon_mes::order::jobs_of(&wish.number, &wish.material, &operations_of(material), quantity, stored, ids);
        let jobs =
            jobs.map_err(|error| refused(error, "put the operations of the material right in the plant model"))?;
        let now = self.clock.now();
        let order = OrderRow {
            id: new_id(&*self.clock),
            number: wish.number,
            material: material.name.clone(),
            revision: material.revision.clone(),
            title: material.title.clone(),
            unit: material.unit.clone(),
            quantity: quantity.millionths(),
            due: wish.due,
            priority: wish.priority,
            state: order_state(jobs.iter().map(|job| job.state)).word().to_owned(),
            source: wish.source.to_owned(),
            note: wish.note,
            created: now,
            version: 0,
        };
        let rows: Vec<JobRow> = jobs.iter().map(|job| row_of(job, order.id, None)).collect();
        let detail = format!("{quantity} {} of {}", order.unit, order.material);
        let event = self.event(now, &branch_of(&rows), &by, order_change(&order, "created", Some(detail)));
        let told = event.id;
        let new = NewOrder { order: StoredOrder { order, jobs: rows }, event };
        match self.store.orders_create(vec![new]).await?.pop() {
            Some(Created::Now(stored)) => Ok((self.order_view(&stored, by.id).await?, Some(told))),
            Some(Created::There(stored)) => {
                let text = format!("the number {} is taken", stored.order.number);
                Err(conflict(text, "choose another number", None))
            }
            None => Err(OrdersProblem::Failed("the order was not made, and the records do not say why".to_owned())),
        }
    }

    /// An order of that number is there: asked again, or another one.
    async fn made_before(
        &self,
        there: &StoredOrder,
        wish: &OrderWish,
        quantity: Quantity,
        who: Uuid,
    ) -> Told<OrderView> {
        let order = &there.order;
        let revision =
            wish.revision.as_deref().is_none_or(|revision| revision == order.revision.as_deref().unwrap_or_default());
        let same = revision
            && (&*order.material, order.quantity, order.due) == (&*wish.material, quantity.millionths(), wish.due)
            && (order.priority, &order.note) == (wish.priority, &wish.note);
        let view = self.order_view(there, who).await?;
        let released = !wish.release || order.state != OrderState::Forecast.word();
        if same && released {
            return Ok((view, None));
        }
        let current = Some(Current::Order(Box::new(view)));
        if same {
            let text = format!("the order {} is there, and is not released", order.number);
            let remedy = format!("release it with POST /api/mes/orders/{}/release", order.number);
            return Err(conflict(text, &remedy, current));
        }
        // What the order is tells `current`, to whom may see it.
        Err(conflict(format!("the number {} is taken", order.number), "choose another number", current))
    }

    /// The order, if it is as it was looked at.
    async fn as_looked_at(&self, number: &str, version: u64, who: Uuid) -> Result<StoredOrder, OrdersProblem> {
        let stored = self.stored(number).await?;
        if stored.order.version == version {
            return Ok(stored);
        }
        Err(self.order_overtaken(&stored, who).await?)
    }

    async fn order_overtaken(&self, stored: &StoredOrder, who: Uuid) -> Result<OrdersProblem, OrdersProblem> {
        let view = self.order_view(stored, who).await?;
        let text = format!("the work order {} was changed meanwhile: it is {}", view.number, view.state);
        Ok(conflict(text, "look at it as it is now, then decide again", Some(Current::Order(Box::new(view)))))
    }

    pub(super) async fn change_in_turn(&self, number: String, patch: OrderPatch, by: Principal) -> Told<OrderView> {
        let _turn = self.turn.write().await;
        let stored = self.as_looked_at(&number, patch.version, by.id).await?;
        let mut jobs = jobs_of(&stored)?;
        let places = match Action::Change.triggers(&number, &jobs) {
            Ok(triggers) => triggers.into_iter().map(|(place, ..)| place).collect::<Vec<_>>(),
            Err(error) => return Err(self.order_not_now(&stored, error, by.id).await?),
        };
        let mut order = stored.order.clone();
        order.due = patch.due.unwrap_or(order.due);
        order.priority = patch.priority.unwrap_or(order.priority);
        order.note = patch.note.unwrap_or(order.note);
        let quantity = patch.quantity.map_or(Ok(Quantity::from_millionths(order.quantity)), quantity_of)?;
        let other = quantity.millionths() != order.quantity;
        order.quantity = quantity.millionths();
        let now = self.clock.now();
        let detail = format!(
            "{quantity} {}, priority {}, due {}",
            order.unit,
            order.priority,
            order.due.map_or_else(|| "never".to_owned(), |due| due.to_string())
        );
        let event = self.event(now, &branch_of(&stored.jobs), &by, order_change(&order, "changed", Some(detail)));
        let told = event.id;
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        for place in places.into_iter().filter(|_| other) {
            let (job, was) = (&mut jobs[place], &stored.jobs[place]);
            job.quantity = quantity;
            if let (Some(path), Some((start, _))) = (&job.equipment, job.planned) {
                job.planned = Some((start, self.end_of(path, start, work_of(job))));
            }
            rows.push(row_of(job, order.id, Some(was)));
            let content = Content::Change { quantity_millionths: quantity.millionths() };
            entries.push(self.entry(job.id, now, EntryKind::Change, &content, &by, told)?);
        }
        let stored = self.written(OrderWrite { order, jobs: rows, entries, events: vec![event] }, by.id).await?;
        Ok((self.order_view(&stored, by.id).await?, Some(told)))
    }

    pub(super) async fn act_in_turn(
        &self,
        number: String,
        action: OrderAction,
        version: u64,
        reason: Option<String>,
        by: Principal,
    ) -> Told<OrderView> {
        let _turn = self.turn.write().await;
        let stored = self.as_looked_at(&number, version, by.id).await?;
        let action = match action {
            OrderAction::Release => Action::Release,
            OrderAction::Revoke => Action::Revoke,
            OrderAction::Cancel => Action::Cancel,
            OrderAction::Close => Action::Close,
        };
        let mut jobs = jobs_of(&stored)?;
        let triggers = match action.triggers(&number, &jobs) {
            Ok(triggers) => triggers,
            Err(error) => return Err(self.order_not_now(&stored, error, by.id).await?),
        };
        let now = self.clock.now();
        let told = new_id(&*self.clock);
        let (mut rows, mut entries) = (Vec::new(), Vec::new());
        for (place, trigger, _) in triggers {
            let job = jobs[place].after(trigger, now).map_err(|error| conflict(error, "", None))?;
            rows.push(row_of(&job, stored.order.id, stored.jobs.get(place)));
            let content = Content::Trigger { trigger, reason: reason.clone(), equipment: None };
            entries.push(self.entry(job.id, now, EntryKind::Trigger, &content, &by, told)?);
            jobs[place] = job;
        }
        let mut order = stored.order.clone();
        order_state(jobs.iter().map(|job| job.state)).word().clone_into(&mut order.state);
        let what = order_change(&order, action.done(), reason);
        let event = Event { id: told, ..self.event(now, &branch_of(&stored.jobs), &by, what) };
        let stored = self.written(OrderWrite { order, jobs: rows, entries, events: vec![event] }, by.id).await?;
        Ok((self.order_view(&stored, by.id).await?, Some(told)))
    }

    async fn order_not_now(
        &self,
        stored: &StoredOrder,
        error: andon_mes::order::ActionError,
        who: Uuid,
    ) -> Result<OrdersProblem, OrdersProblem> {
        let view = self.order_view(stored, who).await?;
        Ok(conflict(error, "look at the order as it is now", Some(Current::Order(Box::new(view)))))
    }

    /// Writes a change of an order that was read in this turn.
    pub(super) async fn written(&self, write: OrderWrite, who: Uuid) -> Result<StoredOrder, OrdersProblem> {
        match self.store.order_write(write).await? {
            Written::Now(stored) | Written::Before { order: stored, .. } => Ok(stored),
            Written::Conflict(stored) => Err(self.order_overtaken(&stored, who).await?),
            Written::Occupied { span, by, .. } => Err(OrdersProblem::Conflict {
                text: format!("another job stands on {}", span.unit),
                remedy: "stop it there first".to_owned(),
                current: None,
                standing: Some(Box::new(Standing { number: by.number, span })),
            }),
            Written::KeyUsed(entry) => Err(key_used(&entry)),
        }
    }

    pub(super) fn entry(
        &self,
        job: Uuid,
        at: Timestamp,
        kind: EntryKind,
        content: &Content,
        by: &Principal,
        event: Uuid,
    ) -> Result<NewEntry, OrdersProblem> {
        let content = serde_json::to_value(content)
            .map_err(|error| OrdersProblem::Failed(format!("an entry of the ledger: {error}")))?;
        Ok(NewEntry {
            key: new_id(&*self.clock),
            job,
            at,
            kind,
            content,
            good: 0,
            scrap: 0,
            rework: 0,
            by: by.id,
            event,
        })
    }

    /// Whether the same was asked before under a key.
    /// # Errors
    /// Something else was.
    async fn asked_before(&self, key: Uuid, job: Uuid, same: impl Fn(&Content) -> bool) -> Result<bool, OrdersProblem> {
        let Some(found) = self.store.job_entry_of(key).await? else { return Ok(false) };
        let content: Option<Content> = serde_json::from_value(found.entry.content.clone()).ok();
        if found.entry.job == job && content.as_ref().is_some_and(same) { Ok(true) } else { Err(key_used(&found)) }
    }

    pub(super) async fn trigger_in_turn(&self, id: Uuid, wish: TriggerWish, by: Principal) -> Told<JobView> {
        let _turn = self.turn.write().await;
        let stored = self.stored_of(id).await?;
        let same = |content: &Content| match content {
            Content::Trigger { trigger, reason, equipment } => {
                is_of(*trigger, &wish)
                    && *reason == wish.reason
                    && wish.equipment.as_ref().is_none_or(|asked| equipment.as_ref() == Some(asked))
            }
            _ => false,
        };
        if self.asked_before(wish.key, id, same).await? {
            return Ok((self.job_view(&stored, id, by.id).await?, None));
        }
        let mut jobs = jobs_of(&stored)?;
        let at = jobs
            .iter()
            .position(|job| job.id == id)
            .ok_or_else(|| OrdersProblem::Unknown("this job order".to_owned()))?;
        let (job, was) = (jobs[at].clone(), &stored.jobs[at]);
        let trigger = trigger_of(job.state, &wish)?;
        if was.version != wish.version {
            return Err(self.overtaken(&stored, id, by.id).await?);
        }
        let begins = trigger == Trigger::Begin;
        let (equipment, warnings) = if begins {
            let (path, warnings) = self.may_begin(&stored, &jobs, &job, &wish, &by).await?;
            (Some(path), warnings)
        } else {
            (None, Vec::new())
        };
        let now = self.job_time_on(equipment.as_deref().or(job.equipment.as_deref())).await?;
        let mut new = match job.after(trigger, now) {
            Ok(new) => new,
            Err(error) => {
                let view = self.job_view(&stored, id, by.id).await?;
                return Err(conflict(error, "look at the job as it is now", Some(Current::Job(Box::new(view)))));
            }
        };
        if let Some(path) = &equipment {
            new.equipment = Some(path.clone());
        }
        jobs[at] = new.clone();
        let mut order = stored.order.clone();
        order_state(jobs.iter().map(|job| job.state)).word().clone_into(&mut order.state);
        let what =
            What::Job(job_change(&new, andon_mes::order::word(trigger).unwrap_or("change"), wish.reason.clone(), None));
        let event = self.event(now, &equipment.clone().unwrap_or_else(|| place_of(was)), &by, what);
        let told = event.id;
        let content = Content::Trigger { trigger, reason: wish.reason.clone(), equipment };
        let entry = NewEntry { key: wish.key, ..self.entry(id, now, EntryKind::Trigger, &content, &by, told)? };
        let write = OrderWrite {
            jobs: vec![row_of(&new, order.id, Some(was))],
            order,
            entries: vec![entry],
            events: vec![event],
        };
        let stored = self.written(write, by.id).await?;
        if let Some(path) = new.equipment.as_deref() {
            match (job.state.is_under_way(), new.state.is_under_way()) {
                (false, true) => self.tell_floor(path, now, Some(job_on(was.ordinal, new.run_time_ns))),
                (true, false) => self.tell_floor(path, now, None),
                _ => {}
            }
        }
        let mut view = self.job_view(&stored, id, by.id).await?;
        view.warnings.extend(warnings.iter().map(ToString::to_string));
        Ok((view, Some(told)))
    }

    /// Where a job begins, if it may, and what should be known of it.
    async fn may_begin(
        &self,
        stored: &StoredOrder,
        jobs: &[JobOrder],
        job: &JobOrder,
        wish: &TriggerWish,
        by: &Principal,
    ) -> Result<(String, Vec<Warning>), OrdersProblem> {
        let equipment = match place(job, wish.equipment.as_deref()) {
            Ok(path) => path.to_owned(),
            Err(error) => return Err(refused(error, "send one of its `alternatives` as \"equipment\"")),
        };
        let standing = self.standing_on(&equipment).await?;
        let known = standing.as_ref().map(|Standing { number, span }| begin::Standing {
            job: span.job,
            number: number.clone(),
            since: span.from,
            by: span.by,
        });
        let held = self.store.person_skills(Some(by.id)).await?;
        let held: Vec<_> = held.into_iter().map(|held| HeldSkill { skill: held.skill, until: held.until }).collect();
        let instructions = self.state().instructions(&job.instructions);
        let seen = self.seen_of(job.id).await?;
        let mut order = jobs.to_vec();
        for (before, row) in order.iter_mut().zip(&stored.jobs).filter(|(before, _)| job.after.contains(&before.id)) {
            *before = self.with_counters(row).await?;
        }
        let begin = Begin {
            job,
            order: &order,
            equipment: &equipment,
            standing: known.as_ref(),
            operator: by.id,
            held: &held,
            instructions: &instructions,
            seen: &seen,
            now: self.clock.now(),
        };
        let error = match look(&begin) {
            Ok(mut warnings) => {
                warnings.extend(self.tools_at_end(&equipment).await);
                return Ok((equipment, warnings));
            }
            Err(error) => error,
        };
        let text = error.to_string();
        if let BeginError::Skills(_) = error {
            let remedy =
                "let somebody begin it who is qualified, or let an administrator enter the skill with the person";
            return Err(OrdersProblem::NotQualified(text, remedy.to_owned()));
        }
        let remedy = match &error {
            BeginError::Occupied { .. } => "stop the other job there first",
            BeginError::Unseen(_) => {
                "open the instructions and confirm each with POST /api/mes/jobs/{id}/seen, then begin"
            }
            _ => "look at the job as it is now",
        };
        let standing = standing.filter(|_| matches!(error, BeginError::Occupied { .. })).map(Box::new);
        let current = Some(Current::Job(Box::new(self.job_view(stored, job.id, by.id).await?)));
        Err(OrdersProblem::Conflict { text, remedy: remedy.to_owned(), current, standing })
    }

    pub(super) async fn count_in_turn(&self, id: Uuid, wish: CountWish, by: Principal) -> Told<JobView> {
        let _turn = self.turn.write().await;
        let stored = self.stored_of(id).await?;
        let [good, scrap, rework] = [wish.good, wish.scrap, wish.rework].map(|number| {
            Quantity::from_f64(number)
                .map_err(|error| refused(error, "write amounts in the material's unit, in millionths at the finest"))
        });
        let counted = Count { good: good?, scrap: scrap?, rework: rework?, reason: wish.reason };
        let content = Content::from(&counted);
        if self.asked_before(wish.key, id, |before| *before == content).await? {
            return Ok((self.job_view(&stored, id, by.id).await?, None));
        }
        let row = row_in(&stored, id)?;
        let job = job_of(row)?;
        if let Err(error) = count::add(job.state, job.totals, &counted) {
            let remedy = match &error {
                count::CountError::Nothing => "write how many",
                count::CountError::NoReason(_) => "choose one of /api/mes/reasons",
                count::CountError::BelowZero { .. } => {
                    "put right only what people counted: what a counter counted is put right at the counter"
                }
                count::CountError::TooMuch { .. } => "look whether a digit is too much",
                count::CountError::NotNow(_) => {
                    let view = self.job_view(&stored, id, by.id).await?;
                    return Err(conflict(error, "look at the job as it is now", Some(Current::Job(Box::new(view)))));
                }
            };
            return Err(refused(error, remedy));
        }
        let now = self.job_time_on(row.equipment.as_deref()).await?;
        let amounts = Counted {
            good: counted.good.millionths(),
            scrap: counted.scrap.millionths(),
            rework: counted.rework.millionths(),
        };
        let what = JobChange {
            good_millionths: amounts.good,
            scrap_millionths: amounts.scrap,
            rework_millionths: amounts.rework,
            ..job_change(&job, "count", counted.reason.clone(), None)
        };
        let event = self.event(now, &place_of(row), &by, What::Job(what));
        let told = event.id;
        let entry = self.entry(id, now, EntryKind::Count, &content, &by, told)?;
        let entry =
            NewEntry { key: wish.key, good: amounts.good, scrap: amounts.scrap, rework: amounts.rework, ..entry };
        let stored = self.entered(EntryWrite { version: row.version, entry, event }, by.id).await?;
        self.count_on_floor(row.equipment.as_deref(), now, amounts);
        Ok((self.job_view(&stored, id, by.id).await?, Some(told)))
    }

    async fn entered(&self, write: EntryWrite, who: Uuid) -> Result<StoredOrder, OrdersProblem> {
        let job = write.entry.job;
        match self.store.job_entry(write).await? {
            Written::Now(stored) | Written::Before { order: stored, .. } => Ok(stored),
            Written::Conflict(stored) | Written::Occupied { order: stored, .. } => {
                Err(self.overtaken(&stored, job, who).await?)
            }
            Written::KeyUsed(entry) => Err(key_used(&entry)),
        }
    }

    pub(super) async fn seen_in_turn(&self, id: Uuid, wish: SeenWish, by: Principal) -> Told<()> {
        let _turn = self.turn.write().await;
        let stored = self.stored_of(id).await?;
        let row = row_in(&stored, id)?;
        let in_force = self.state().instructions(&row.instructions);
        let Some(instruction) = in_force.into_iter().find(|instruction| instruction.name == wish.instruction) else {
            return Err(OrdersProblem::Unknown(format!(
                "the instruction {:?} of the job {}",
                wish.instruction, row.number
            )));
        };
        if instruction.revision != wish.revision || !instruction.sha256.eq_ignore_ascii_case(&wish.sha256) {
            let view = self.job_view(&stored, id, by.id).await?;
            let text = format!("another content of {instruction} is in force now");
            return Err(conflict(text, "read it again and confirm that", Some(Current::Job(Box::new(view)))));
        }
        let seen = self.seen_of(id).await?;
        if seen
            .iter()
            .any(|seen| seen.by == by.id && seen.instruction == instruction.name && seen.sha256 == instruction.sha256)
        {
            return Ok(((), None));
        }
        let now = self.clock.now();
        let detail = format!("{instruction}, SHA-256 {}", instruction.sha256);
        let what = What::Job(job_change(&job_of(row)?, "seen", None, Some(detail)));
        let event = self.event(now, &place_of(row), &by, what);
        let told = event.id;
        let content =
            Content::Seen { instruction: instruction.name, revision: instruction.revision, sha256: instruction.sha256 };
        let entry = self.entry(id, now, EntryKind::Seen, &content, &by, told)?;
        self.entered(EntryWrite { version: row.version, entry, event }, by.id).await?;
        Ok(((), Some(told)))
    }

    pub(super) async fn place_in_turn(&self, id: Uuid, wish: PlaceWish, by: Principal) -> Told<JobView> {
        let _turn = self.turn.write().await;
        let stored = self.stored_of(id).await?;
        let row = row_in(&stored, id)?;
        if row.version != wish.version {
            return Err(self.overtaken(&stored, id, by.id).await?);
        }
        let mut job = job_of(row)?;
        let current =
            || async { Ok::<_, OrdersProblem>(Some(Current::Job(Box::new(self.job_view(&stored, id, by.id).await?)))) };
        if !matches!(job.state, JobState::NotAllowedToStart(_) | JobState::AllowedToStart(_)) {
            let text = format!("the job {} is {}: only one that has not begun is put elsewhere", job.number, job.state);
            return Err(conflict(text, "move another one", current().await?));
        }
        if let Err(error) = place(&job, Some(&wish.equipment)) {
            return Err(refused(error, "send one of its `alternatives` as \"equipment\""));
        }
        let end = self.end_of(&wish.equipment, wish.start, work_of(&job));
        (job.equipment, job.planned, job.pinned) = (Some(wish.equipment.clone()), Some((wish.start, end)), true);
        let now = self.clock.now();
        let detail = format!("on {} from {} to {end}", wish.equipment, wish.start);
        let what = What::Job(job_change(&job, "plan", None, Some(detail)));
        let event = self.event(now, &wish.equipment, &by, what);
        let told = event.id;
        let (start_ms, end_ms) = (wish.start.millis(), end.millis());
        let content = Content::Plan { equipment: wish.equipment, start_ms, end_ms, pinned: true };
        let entry = self.entry(id, now, EntryKind::Plan, &content, &by, told)?;
        let order = stored.order.clone();
        let write = OrderWrite {
            jobs: vec![row_of(&job, order.id, Some(row))],
            order,
            entries: vec![entry],
            events: vec![event],
        };
        let stored = self.written(write, by.id).await?;
        Ok((self.job_view(&stored, id, by.id).await?, Some(told)))
    }

    /// What is known of the plant now.
    pub(super) fn master(&self) -> Arc<MasterData> {
        self.state().master.clone()
    }
}

fn key_used(entry: &LedgerEntry) -> OrdersProblem {
    let text = format!("something else was asked with the key {}", entry.entry.key);
    conflict(text, "make a new key for each request, and send it again only with the same request", None)
}

/// How long all of a job takes, its setup and its items.
fn work_of(job: &JobOrder) -> Duration {
    job.setup + Duration::from_millis(run_time_ms(job).unsigned_abs())
}

/// The trigger that is asked for. Of a job that is interrupted, another cause is told by a pause.
fn trigger_of(state: JobState, wish: &TriggerWish) -> Result<Trigger, OrdersProblem> {
    let why = || match wish.why.as_deref() {
        Some("Held") => Ok(Interruption::Held),
        Some("Suspended") => Ok(Interruption::Suspended),
        _ => Err(refused(
            "nobody has said where the cause is",
            "send \"why\": \"Held\" if it is inside the machine, or \"Suspended\"",
        )),
    };
    Ok(match wish.what {
        JobTrigger::Begin => Trigger::Begin,
        JobTrigger::Pause if matches!(state, JobState::Interrupted(_)) => Trigger::Attribute(why()?),
        JobTrigger::Pause => Trigger::Pause(why()?),
        JobTrigger::Resume => Trigger::Resume,
        JobTrigger::Stop => Trigger::Stop,
        JobTrigger::Abort => Trigger::Abort,
        JobTrigger::Close => Trigger::Close,
        JobTrigger::Prepare => Trigger::Prepare(match wish.prepared.as_deref() {
            Some("Waiting") => Prepared::Waiting,
            Some("Ready") => Prepared::Ready,
            Some("Loaded") => Prepared::Loaded,
            _ => {
                return Err(refused(
                    "nobody has said how far it is prepared",
                    "send \"prepared\": \"Waiting\", \"Ready\" or \"Loaded\"",
                ));
            }
        }),
    })
}

/// Whether a trigger that was done is what is asked for now.
fn is_of(done: Trigger, wish: &TriggerWish) -> bool {
    let any = [JobState::Running, JobState::Interrupted(Interruption::Held)];
    any.into_iter().any(|state| trigger_of(state, wish).is_ok_and(|trigger| trigger == done))
}
