//! What is due, and the orders that plans make by themselves.

use super::change::state_of;
use super::show::part_view;
use super::{Maintenance, ms};
use andon_api::ports::maintenance::{
    ConditionView, MaintenancePlanView, MaintenanceProblem, MeasureView, PlanCancelledView, PlanLastView, PlanOrderView,
};
use andon_bus::ids::new_id;
use andon_mes::job::JobState;
use andon_mes::maintenance::Kind;
use andon_mes::maintenance::due::{By, Measure, Standing, Used, look};
use andon_mes::maintenance::ledger::Content;
use andon_mes::master::MaintenancePlan;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_store::maintenance::{MaintenanceRepository, MaintenanceRow, Part, PlanTurn, StoredMaintenance, TurnDue};
use std::collections::HashMap;
use uuid::Uuid;

/// The alarms that are not normal, by name, and their occurrences.
type Standings = HashMap<String, Uuid>;

/// What is to be done about a plan by itself.
#[derive(PartialEq)]
enum Next {
    Nothing,
    /// It is due, by this, and by this alarm.
    Order(By, Option<Uuid>),
    /// Likewise, and its order was made before.
    Due(By, Option<Uuid>),
    /// It was due, and is not.
    Undue,
}

impl Maintenance {
    /// Makes the orders of plans that have become due.
    /// # Errors
    /// The records cannot be read or written. What was made so far stays.
    pub(super) async fn tick(&self) -> Result<(), MaintenanceProblem> {
        let master = self.parts.mes.master_data();
        if master.maintenance_plans.is_empty() {
            return Ok(());
        }
        let mut turns = self.turns().await?;
        let standing = self.standing();
        let mut failed = None;
        for (name, plan) in &master.maintenance_plans {
            // What is wrong with one plan holds up no other.
            if let Err(problem) = self.look_at(name, plan, turns.remove(name), &standing).await {
                failed.get_or_insert(MaintenanceProblem::Failed(format!("the maintenance plan {name:?}: {problem}")));
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether something is to be done about a plan is looked without a turn: people do not wait for it. What is done is looked at again in turn.
    async fn look_at(
        &self,
        name: &str,
        plan: &MaintenancePlan,
        turn: Option<PlanTurn>,
        standing: &Standings,
    ) -> Result<(), MaintenanceProblem> {
        let now = self.parts.clock.now();
        let turn = match turn {
            Some(turn) => turn,
            None => self.parts.store.maintenance_turn_begin(name, plan.begins.unwrap_or(now)).await?,
        };
        if self.next(plan, &turn, standing, now).await? == Next::Nothing {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let turn = self.parts.store.maintenance_turn_begin(name, turn.since).await?;
        match self.next(plan, &turn, standing, now).await? {
            Next::Nothing => Ok(()),
            Next::Due(by, occurrence) => {
                let mut due = due_of(name, &turn);
                (due.due, due.occurrence) = (Some((now, by.word().to_owned())), occurrence);
                Ok(self.parts.store.maintenance_turn_due(due).await?)
            }
            Next::Undue => Ok(self.parts.store.maintenance_turn_undue(name, turn.turn).await?),
            Next::Order(by, occurrence) => {
                let mut due = due_of(name, &turn);
                (due.due, due.occurrence) = (Some((now, by.word().to_owned())), occurrence);
                let order = self.of_plan(name, plan, &turn, by, now, &Principal::SYSTEM);
                let content = Content::Made { wish: format!("due by {}", by.word()) };
                self.create(order, Some(due), new_id(&*self.parts.clock), content, &Principal::SYSTEM, now).await?;
                Ok(())
            }
        }
    }

    async fn next(
        &self,
        plan: &MaintenancePlan,
        turn: &PlanTurn,
        standing: &Standings,
        now: Timestamp,
    ) -> Result<Next, MaintenanceProblem> {
        let is_open = match turn.order {
            Some(order) => self.parts.store.maintenance_is_open(order).await?,
            None => false,
        };
        if is_open && turn.due.is_some() {
            return Ok(Next::Nothing);
        }
        // While the log of an earlier run is read, less is counted than was.
        let is_counted_up = !is_counted(plan) || self.parts.mes.times_are_known();
        let (mut used, occurrence) = self.used(plan, turn, standing, now).await?;
        if turn.due.is_none() {
            return Ok(match look(plan, turn.since, &used, None, now).due_by {
                None => Next::Nothing,
                Some(by) if is_open => Next::Due(by, occurrence),
                Some(by) => Next::Order(by, occurrence),
            });
        }
        // It made its order in this turn, which was cancelled. It stays due, unless what made it so is gone: the plan was changed, a count
        // was put right, the alarm is over. Then it can become due again.
        used.alarm = occurrence.is_some();
        let is_due = look(plan, turn.since, &used, None, now).due_by.is_some();
        Ok(if is_due || !is_counted_up { Next::Nothing } else { Next::Undue })
    }

    /// The alarms that are not normal, and their occurrences.
    fn standing(&self) -> Standings {
        self.parts.alarms.standing().into_iter().map(|status| (status.name, status.occurrence)).collect()
    }

    async fn turns(&self) -> Result<HashMap<String, PlanTurn>, MaintenanceProblem> {
        let turns = self.parts.store.maintenance_turns().await?;
        Ok(turns.into_iter().map(|turn| (turn.plan.clone(), turn)).collect())
    }

    /// The order of a turn that has not ended.
    async fn open_order(&self, turn: &PlanTurn) -> Result<Option<StoredMaintenance>, MaintenanceProblem> {
        let Some(id) = turn.order else { return Ok(None) };
        Ok(self.parts.store.maintenance_by_id(id).await?.filter(|stored| stored.order.open))
    }

    /// What a turn has used, as far as it is known, and the occurrence of the plan's alarm, where it stands.
    async fn used(
        &self,
        plan: &MaintenancePlan,
        turn: &PlanTurn,
        standing: &Standings,
        now: Timestamp,
    ) -> Result<(Used, Option<Uuid>), MaintenanceProblem> {
        let from = turn.since.min(now);
        // Asked before: what is read meanwhile is in what is used, or the answer is no.
        let times_are_known = self.parts.mes.times_are_known();
        let wear = match is_counted(plan) {
            true => self.parts.mes.wear_below(&plan.equipment, from, now).await.map_err(MaintenanceProblem::Failed)?,
            false => None,
        };
        let occurrence = plan.condition.as_ref().and_then(|alarm| standing.get(alarm).copied());
        let used = Used {
            produced: wear.map(|wear| wear.produced),
            operating: wear.filter(|_| times_are_known).map(|wear| wear.operating_us()),
            alarm: occurrence.is_some() && occurrence != turn.occurrence,
        };
        Ok((used, occurrence))
    }

    /// The order of a plan's turn, as a person asks for it; or the one that is open already.
    pub(super) async fn of_plan_asked(
        &self,
        name: &str,
        now: Timestamp,
        by: &Principal,
    ) -> Result<Result<(MaintenanceRow, TurnDue), StoredMaintenance>, MaintenanceProblem> {
        let master = self.parts.mes.master_data();
        let unknown = || MaintenanceProblem::Unknown(format!("the maintenance plan {name:?}"));
        let plan = master.maintenance_plans.get(name).ok_or_else(unknown)?;
        let turn = self.parts.store.maintenance_turn_begin(name, plan.begins.unwrap_or(now)).await?;
        if let Some(open) = self.open_order(&turn).await? {
            return Ok(Err(open));
        }
        let (used, occurrence) = self.used(plan, &turn, &self.standing(), now).await?;
        let standing = look(plan, turn.since, &used, turn.due.as_ref().map(|(since, _)| *since), now);
        let mut due = due_of(name, &turn);
        due.occurrence = occurrence;
        let cause = turn.due.as_ref().and_then(|(_, by)| By::from_word(by)).or(standing.due_by);
        let cause = cause.unwrap_or(if plan_kind(plan) == Kind::ConditionBased { By::Condition } else { By::Time });
        due.due = standing.due_by.map(|by| (now, by.word().to_owned()));
        Ok(Ok((self.of_plan(name, plan, &turn, cause, now, by), due)))
    }

    fn of_plan(
        &self,
        name: &str,
        plan: &MaintenancePlan,
        turn: &PlanTurn,
        cause: By,
        now: Timestamp,
        by: &Principal,
    ) -> MaintenanceRow {
        let kind = if cause == By::Condition { Kind::ConditionBased } else { Kind::Preventive };
        let after = turn.order.map_or_else(|| "none".to_owned(), |order| order.to_string());
        let since = turn.due.as_ref().map_or(now, |(since, _)| *since);
        let part = |part: &andon_mes::master::PlanPart| Part {
            material: part.material.clone(),
            lot: String::new(),
            serial: String::new(),
            quantity: part.quantity.millionths(),
        };
        MaintenanceRow {
            // Of one turn, after one order or none, comes one order.
            origin: Some(format!("plan/{}/{after}/{name}", turn.turn)),
            equipment: plan.equipment.clone(),
            title: plan.title.clone(),
            priority: plan.priority,
            due: Some(since.plus(plan.within)),
            plan: Some((name.to_owned(), turn.turn)),
            source: "plan".to_owned(),
            estimated: plan.estimated,
            skills: plan.skills.clone(),
            instructions: plan.instructions.clone(),
            parts: plan.parts.iter().map(part).collect(),
            ..self.new_order(kind, now, by)
        }
    }

    pub(super) async fn all_plans(&self) -> Result<Vec<MaintenancePlanView>, MaintenanceProblem> {
        let master = self.parts.mes.master_data();
        let mut turns = self.turns().await?;
        let standing = self.standing();
        let mut plans = Vec::with_capacity(master.maintenance_plans.len());
        for (name, plan) in &master.maintenance_plans {
            let now = self.parts.clock.now();
            // One that was not looked at yet begins now.
            let turn = turns.remove(name).unwrap_or_else(|| PlanTurn {
                plan: name.clone(),
                turn: 1,
                since: plan.begins.unwrap_or(now),
                due: None,
                order: None,
                last: None,
                occurrence: None,
            });
            plans.push(self.plan_view(name, plan, &turn, &standing, now).await?);
        }
        let rank = |state: &str| ["Overdue", "Due", "Soon", "Ok"].iter().position(|word| *word == state);
        plans.sort_by_key(|plan| (rank(&plan.state), plan.due_since_ms, plan.forecast_ms.unwrap_or(i64::MAX)));
        Ok(plans)
    }

    async fn plan_view(
        &self,
        name: &str,
        plan: &MaintenancePlan,
        turn: &PlanTurn,
        standing: &Standings,
        now: Timestamp,
    ) -> Result<MaintenancePlanView, MaintenanceProblem> {
        // What cannot be read of one plan is said with it, and hides no other.
        let (used, occurrence, unread) = match self.used(plan, turn, standing, now).await {
            Ok((used, occurrence)) => (used, occurrence, None),
            Err(problem) => (Used::default(), None, Some(problem.to_string())),
        };
        let since = turn.due.as_ref().map(|(since, _)| *since);
        let Standing { state, measures, due_by, forecast } = look(plan, turn.since, &used, since, now);
        let order = match turn.order {
            Some(id) => self.parts.store.maintenance_by_id(id).await?,
            None => None,
        };
        let (cancelled, unknown_state) = match order.as_ref().map(|stored| (stored, state_of(&stored.order))) {
            Some((stored, Ok(JobState::Aborted))) => (self.cancelled(stored).await?, None),
            Some((_, Err(problem))) => (None, Some(problem.to_string())),
            Some((_, Ok(_))) | None => (None, None),
        };
        let last = match turn.last {
            Some(id) => self.parts.store.maintenance_by_id(id).await?,
            None => None,
        };
        let is_unfollowed = is_counted(plan) && used.produced.is_none();
        let is_unheard = plan.every_run_time.is_some() && used.operating.is_none();
        let unfollowed =
            || format!("no machine is followed at or below {}: what is counted there is not known", plan.equipment);
        let unheard =
            || "since the node started no machine has spoken: how long machines ran is not known yet".to_owned();
        let warning =
            unread.or(unknown_state).or_else(|| is_unfollowed.then(unfollowed)).or_else(|| is_unheard.then(unheard));
        let master = self.parts.mes.master_data();
        let part =
            |part: &andon_mes::master::PlanPart| part_view(&master, &part.material, "", "", part.quantity.millionths());
        Ok(MaintenancePlanView {
            name: name.to_owned(),
            title: plan.title.clone(),
            equipment: plan.equipment.clone(),
            kind: plan_kind(plan).word().to_owned(),
            state: state.word().to_owned(),
            turn: turn.turn,
            since_ms: turn.since.millis(),
            measures: measures.iter().map(measure_view).collect(),
            condition: plan
                .condition
                .as_ref()
                .map(|alarm| ConditionView { alarm: alarm.clone(), stands: occurrence.is_some() }),
            forecast_ms: forecast.map(Timestamp::millis),
            due_since_ms: since.map(Timestamp::millis),
            due_by: turn.due.as_ref().map(|(_, by)| by.clone()).or(due_by.map(|by| by.word().to_owned())),
            order_due_ms: since.map(|since| since.plus(plan.within).millis()),
            lead_ms: ms(plan.lead),
            within_ms: ms(plan.within),
            estimated_ms: plan.estimated.map(ms),
            skills: plan.skills.clone(),
            instructions: plan.instructions.clone(),
            parts: plan.parts.iter().map(part).collect(),
            order: order
                .filter(|stored| stored.order.open)
                .map(|stored| PlanOrderView { number: stored.order.number, state: stored.order.state }),
            cancelled,
            last: last.map(|stored| PlanLastView {
                number: stored.order.number,
                ended_ms: stored.order.ended.map(Timestamp::millis),
            }),
            warning,
        })
    }

    async fn cancelled(&self, stored: &StoredMaintenance) -> Result<Option<PlanCancelledView>, MaintenanceProblem> {
        // Nothing comes after it.
        let last = self.parts.store.maintenance_ledger(stored.order.id, None, 1).await?.pop();
        Ok(last.map(|entry| PlanCancelledView {
            number: stored.order.number.clone(),
            at_ms: entry.entry.at.millis(),
            by: entry.entry.by,
            by_name: None,
        }))
    }
}

fn due_of(name: &str, turn: &PlanTurn) -> TurnDue {
    TurnDue { plan: name.to_owned(), turn: turn.turn, due: None, occurrence: None }
}

/// Whether what machines did makes it due.
const fn is_counted(plan: &MaintenancePlan) -> bool {
    plan.every_cycles.is_some() || plan.every_run_time.is_some()
}

const fn plan_kind(plan: &MaintenancePlan) -> Kind {
    let measured = plan.every.is_some() || plan.every_cycles.is_some() || plan.every_run_time.is_some();
    if measured { Kind::Preventive } else { Kind::ConditionBased }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years, and for 9 × 10⁹ items")]
fn measure_view(measure: &Measure) -> MeasureView {
    let number = |value: i64| value as f64 / 1e6;
    MeasureView {
        by: measure.by.word().to_owned(),
        used: measure.used.map(number),
        every: number(measure.every),
        unit: if measure.by == By::Cycles { "items" } else { "s" }.to_owned(),
        share: measure.used.map(|used| used as f64 / measure.every as f64),
        forecast_ms: measure.forecast.map(Timestamp::millis),
    }
}
