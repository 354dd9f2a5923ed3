//! Maintenance on a running node: orders that people make and work on, plans that make their orders by themselves, and what failures come to.
//!
//! [`change`] takes people's wishes, [`plans`] looks what is due, [`show`] and [`figures`] answer. The rules are `andon-mes`'s
//! (`maintenance`), what is kept stands in the store.
//!
//! # Once
//! An order of a plan is made in one transaction with the turn of the plan, and of one turn, after one order or none, comes one order: so
//! neither a kill nor two who ask at once make a second. What a turn has used is added up anew each time from what the floor keeps, so a
//! correction counts, and a clock that was set back only makes a turn younger.
//!
//! A maintenance order does not change what the shop floor counts: planned down time is what the calendar, the mode of the machine or a
//! reason says, and pressing a button makes no OEE better.

mod change;
mod figures;
mod plans;
mod show;
#[cfg(test)]
mod tests;

use crate::looking::look_every;
use crate::mes::Manufacturing;
use crate::plant_admin::to_its_event;
use andon_alarms::AlarmStatus;
use andon_api::ports::maintenance::{
    DeedWish, Maintain, Maintained, MaintenanceEntryView, MaintenanceFiguresView, MaintenanceOrderView,
    MaintenanceOrdersPage, MaintenancePatch, MaintenancePlanView, MaintenanceProblem, NewMaintenanceWish, PartWish,
};
use andon_api::ports::mes::Window;
use andon_api::ports::orders::SeenWish;
use andon_bus::Bus;
use andon_model::access::Principal;
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use andon_store::maintenance::MaintenanceFilter;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Who tells of alarms.
pub trait Alarms: Send + Sync + 'static {
    /// Those that are not normal.
    fn standing(&self) -> Vec<AlarmStatus>;
}

impl Alarms for andon_alarms::Engine {
    fn standing(&self) -> Vec<AlarmStatus> {
        self.list()
    }
}

/// What maintenance stands on.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// Machines and master data.
    pub mes: Arc<Manufacturing>,
    /// Alarms.
    pub alarms: Arc<dyn Alarms>,
    /// The live plant.
    pub bus: Arc<Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Maintenance.
pub struct Maintenance {
    /// Itself, for changes that outlive whoever asked for them.
    own: Weak<Self>,
    parts: Parts,
    /// Whoever changes something waits here for its turn.
    turn: tokio::sync::Mutex<()>,
}

/// An answer, and the event that tells of it; `None`: nothing was done that was not done before.
type Told<T> = Result<(T, Option<Uuid>), MaintenanceProblem>;

impl Maintenance {
    /// Over what is there.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|own| Self { own: own.clone(), parts, turn: tokio::sync::Mutex::default() })
    }

    /// Looks what is due until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        look_every(LOOK_EVERY, &stop, "it cannot be looked what maintenance is due", || self.tick()).await;
    }

    /// Makes a change to its end, whoever waits for it, and waits for its event; whether something was done.
    async fn made<T, F>(&self, change: impl FnOnce(Arc<Self>) -> F) -> Result<(T, bool), MaintenanceProblem>
    where
        T: Send + 'static,
        F: Future<Output = Told<T>> + Send + 'static,
    {
        let own = self.own.upgrade();
        let own = own.ok_or_else(|| MaintenanceProblem::Failed("maintenance has stopped".to_owned()))?;
        to_its_event(&self.parts.store, change(own), MaintenanceProblem::Failed).await
    }
}

fn refused(text: impl ToString, remedy: &str) -> MaintenanceProblem {
    MaintenanceProblem::Refused(text.to_string(), remedy.to_owned())
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Maintain for Maintenance {
    fn orders(&self, filter: MaintenanceFilter, who: Uuid) -> Maintained<'_, MaintenanceOrdersPage> {
        Box::pin(self.page(filter, who))
    }

    fn order(&self, number: String, who: Uuid) -> Maintained<'_, MaintenanceOrderView> {
        Box::pin(async move {
            let stored = self.stored(&number).await?;
            self.view(&stored, who).await
        })
    }

    fn place(&self, wish: &NewMaintenanceWish) -> Maintained<'_, String> {
        let wish = wish.clone();
        Box::pin(async move { self.place_of(&wish).await })
    }

    fn make(&self, wish: NewMaintenanceWish, key: Uuid, by: Principal) -> Maintained<'_, (bool, MaintenanceOrderView)> {
        Box::pin(async move {
            let (view, told) = self.made(|own| async move { own.make_in_turn(wish, key, by).await }).await?;
            Ok((told, view))
        })
    }

    fn change(
        &self,
        number: String,
        version: u64,
        key: Uuid,
        patch: MaintenancePatch,
        by: Principal,
    ) -> Maintained<'_, MaintenanceOrderView> {
        Box::pin(async move {
            let change = |own: Arc<Self>| async move { own.change_in_turn(number, version, key, patch, by).await };
            Ok(self.made(change).await?.0)
        })
    }

    fn act(&self, number: String, wish: DeedWish, by: Principal) -> Maintained<'_, MaintenanceOrderView> {
        Box::pin(async move { Ok(self.made(|own| async move { own.act_in_turn(number, wish, by).await }).await?.0) })
    }

    fn part(&self, number: String, wish: PartWish, by: Principal) -> Maintained<'_, MaintenanceOrderView> {
        Box::pin(async move { Ok(self.made(|own| async move { own.part_in_turn(number, wish, by).await }).await?.0) })
    }

    fn seen(&self, number: String, wish: SeenWish, by: Principal) -> Maintained<'_, ()> {
        Box::pin(
            async move { self.made(|own| async move { own.seen_in_turn(number, wish, by).await }).await.map(drop) },
        )
    }

    fn ledger(
        &self,
        number: String,
        before: Option<u64>,
        limit: u32,
    ) -> Maintained<'_, (Vec<MaintenanceEntryView>, Option<u64>)> {
        Box::pin(self.entries(number, before, limit))
    }

    fn plans(&self) -> Maintained<'_, Vec<MaintenancePlanView>> {
        Box::pin(self.all_plans())
    }

    fn figures(&self, path: String, window: Window) -> Maintained<'_, MaintenanceFiguresView> {
        Box::pin(self.figures_of(path, window))
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}
