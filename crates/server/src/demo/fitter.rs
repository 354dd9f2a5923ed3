//! The demo's fitter: reports what stops a station of line 2 for longer than a moment, and works on the line's maintenance orders. He is
//! simulated, as the rest of the crew, and calls what the HTTP API calls. When a station has failed and runs again is what its states say.
//!
//! Start reading at [`Fitter::run`]. What is to be done now is decided in [`decide`], which is pure.

use super::crew::LINE;
use andon_api::ports::maintenance::{
    DeedWish, Maintain, MaintenanceOrderView, MaintenancePatch, MaintenanceProblem, MaintenanceWish, NewMaintenanceWish,
};
use andon_api::ports::mes::{MachineView, Mes};
use andon_bus::ids::new_id;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::path::is_under;
use andon_model::{Clock, Timestamp};
use andon_store::maintenance::MaintenanceFilter;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// He looks up so often.
const LOOK: Duration = Duration::from_secs(5);
/// A stop as long as that is a failure.
const FAILURE_AFTER: Duration = Duration::from_secs(20);
/// He begins an order so long after it was made.
const WAY: Duration = Duration::from_secs(15);
/// Planned work takes him so long: a demo is short.
const WORK: Duration = Duration::from_secs(120);

/// The fitter, and what he sees.
pub(super) struct Fitter {
    pub(super) maintenance: Arc<dyn Maintain>,
    pub(super) mes: Arc<dyn Mes>,
    pub(super) clock: Arc<dyn Clock>,
    /// By his account.
    pub(super) who: Uuid,
}

/// What he does now.
#[derive(PartialEq, Debug)]
enum Deed {
    /// A station has failed: where, since when, why.
    Report(String, i64, Option<String>),
    Begin(String),
    /// And since when a station that had failed runs again.
    Finish(String, Option<i64>),
}

impl Fitter {
    /// Works until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.work().await {
                Ok(()) => told.clear(),
                // Said once, for he tries again.
                Err(problem) if problem.to_string() == told => {}
                Err(problem) => {
                    tracing::warn!(%problem, "the demo's fitter cannot go on");
                    told = problem.to_string();
                }
            }
        }
    }

    async fn work(&self) -> Result<(), MaintenanceProblem> {
        let filter =
            MaintenanceFilter { open: Some(true), branch: Some(LINE.to_owned()), ..MaintenanceFilter::default() };
        let open = self.maintenance.orders(filter, self.who).await?.orders;
        let machines = self.mes.machines().await;
        let machines = machines.map_err(|problem| MaintenanceProblem::Failed(problem.to_string()))?;
        match decide(&open, &machines, self.who, self.clock.now()) {
            Some(deed) => self.do_it(deed).await,
            None => Ok(()),
        }
    }

    async fn do_it(&self, deed: Deed) -> Result<(), MaintenanceProblem> {
        let by = Principal { id: self.who, kind: PrincipalKind::Person };
        let (number, deed, failure) = match deed {
            Deed::Report(equipment, since, code) => {
                let title = code.clone().unwrap_or_else(|| "The station stands".to_owned());
                let wish = MaintenanceWish {
                    corrective: true,
                    equipment,
                    title,
                    priority: 7,
                    note: "By the demo's fitter.".to_owned(),
                    code,
                    failed_ms: Some(since),
                    release: true,
                    ..MaintenanceWish::default()
                };
                let key = new_id(self.clock.as_ref());
                return self.maintenance.make(NewMaintenanceWish::Person(Box::new(wish)), key, by).await.map(|_| ());
            }
            Deed::Begin(number) => (number, "begin", MaintenancePatch::default()),
            Deed::Finish(number, restored) => {
                let remedy = restored.map(|_| "Put right, and tried.".to_owned());
                let restored_ms = restored.map(Some);
                (number, "finish", MaintenancePatch { restored_ms, remedy, ..MaintenancePatch::default() })
            }
        };
        let version = self.maintenance.order(number.clone(), self.who).await?.version;
        let key = new_id(self.clock.as_ref());
        let wish = DeedWish { deed, version, key, reason: None, into: None, failure };
        self.maintenance.act(number, wish, by).await.map(|_| ())
    }
}

/// One thing at a time: what is being worked on first, then what waits longest, then what has failed. What others work on or have paused
/// he leaves alone.
fn decide(open: &[MaintenanceOrderView], machines: &[MachineView], who: Uuid, now: Timestamp) -> Option<Deed> {
    let ago = |ms: i64| now.since(Timestamp::from_millis(ms));
    let stands = |machine: &MachineView| matches!(machine.state.as_deref(), Some("Held" | "Aborted" | "Stopped"));
    let is_his = |order: &&MaintenanceOrderView| {
        order.people.iter().any(|person| person.person == who && person.since_ms.is_some())
    };
    if let Some(order) = open.iter().find(is_his) {
        let over = order.started_ms.is_some_and(|started| ago(started) >= WORK);
        let Some(failed) = order.failed_ms else {
            return over.then(|| Deed::Finish(order.number.clone(), None));
        };
        // What failed may be a line, or a part of a station.
        let is_of_it = |path: &String| is_under(path, &order.equipment) || is_under(&order.equipment, path);
        let of_it: Vec<_> = machines.iter().filter(|machine| is_of_it(&machine.path)).collect();
        if of_it.iter().any(|machine| stands(machine)) {
            return None;
        }
        // If nothing stood for it, it is done when he is.
        let since = of_it.iter().filter_map(|machine| machine.since_ms).filter(|since| *since > failed).max();
        return (since.is_some() || over).then(|| Deed::Finish(order.number.clone(), since));
    }
    let waits = open.iter().filter(|order| order.state == "AllowedToStart" && ago(order.created_ms) >= WAY);
    if let Some(order) = waits.min_by_key(|order| (order.failed_ms.is_none(), order.created_ms)) {
        return Some(Deed::Begin(order.number.clone()));
    }
    let failed =
        machines.iter().filter(|machine| is_under(&machine.path, LINE) && stands(machine)).find(|machine| {
            let known = open.iter().any(|order| order.equipment == machine.path && order.failed_ms.is_some());
            let inside = machine.reason.is_some();
            inside && !known && machine.since_ms.is_some_and(|since| ago(since) >= FAILURE_AFTER)
        })?;
    Some(Deed::Report(failed.path.clone(), failed.since_ms?, failed.reason.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_api::ports::maintenance::PersonWorkView;

    const HIM: Uuid = Uuid::from_u128(1);
    const PACK: &str = "works/assembly/line2/pack";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn machine(state: &str, since: i64, reason: Option<&str>) -> MachineView {
        MachineView {
            path: PACK.to_owned(),
            title: String::new(),
            line: LINE.to_owned(),
            state: Some(state.to_owned()),
            mode: None,
            since_ms: Some(since * 1000),
            element: "delay".to_owned(),
            reason: reason.map(str::to_owned),
            planned: "busy".to_owned(),
            calendar: None,
            shift: None,
            job: None,
        }
    }

    fn order(failed: Option<i64>, state: &str, by: Option<Uuid>) -> MaintenanceOrderView {
        let person = |person| PersonWorkView { person, name: None, since_ms: Some(30_000), work_ms: 0 };
        MaintenanceOrderView {
            id: Uuid::nil(),
            number: "M-1".to_owned(),
            kind: "corrective".to_owned(),
            equipment: PACK.to_owned(),
            title: String::new(),
            note: String::new(),
            priority: 5,
            due_ms: None,
            plan: None,
            turn: None,
            alarm: None,
            source: "person".to_owned(),
            state: state.to_owned(),
            substate: None,
            failed_ms: failed.map(|at| at * 1000),
            restored_ms: None,
            code: None,
            cause: String::new(),
            remedy: String::new(),
            estimated_ms: None,
            skills: Vec::new(),
            instructions: Vec::new(),
            planned_parts: Vec::new(),
            parts: Vec::new(),
            people: by.into_iter().map(person).collect(),
            work_ms: 0,
            running_ms: 0,
            created_ms: 10_000,
            created_by: HIM,
            created_by_name: None,
            started_ms: by.map(|_| 30_000),
            ended_ms: None,
            version: 1,
            may: Vec::new(),
        }
    }

    #[test]
    fn he_reports_what_stands_begins_it_and_is_done_when_it_runs() {
        let check = |open: &[MaintenanceOrderView], machine: MachineView, now| decide(open, &[machine], HIM, at(now));
        let held = || machine("Held", 5, Some("Mechanical/Jam"));
        assert_eq!(check(&[], held(), 24), None, "a moment is no failure");
        let report = Deed::Report(PACK.to_owned(), 5_000, Some("Mechanical/Jam".to_owned()));
        assert_eq!(check(&[], held(), 25), Some(report));
        assert_eq!(check(&[], machine("Held", 5, None), 90), None, "nobody knows why");
        let waits = || order(Some(5), "AllowedToStart", None);
        assert_eq!(check(&[waits()], held(), 24), None);
        assert_eq!(check(&[waits()], held(), 25), Some(Deed::Begin("M-1".to_owned())));
        let works = || order(Some(5), "Running", Some(HIM));
        assert_eq!(check(&[works()], held(), 60), None);
        let done = Deed::Finish("M-1".to_owned(), Some(55_000));
        assert_eq!(check(&[works()], machine("Execute", 55, None), 60), Some(done));
        // A failure of the line: over when all its stations run, or, where none stood for it, when his work is done.
        let line = || MaintenanceOrderView { equipment: LINE.to_owned(), ..works() };
        let finish = |since: Option<i64>| Some(Deed::Finish("M-1".to_owned(), since));
        assert_eq!(check(&[line()], held(), 160), None);
        assert_eq!(check(&[line()], machine("Execute", 55, None), 60), finish(Some(55_000)));
        assert_eq!(check(&[line()], machine("Execute", 2, None), 149), None);
        assert_eq!(check(&[line()], machine("Execute", 2, None), 150), finish(None));
        let planned = || order(None, "Running", Some(HIM));
        assert_eq!(check(&[planned()], held(), 149), None);
        assert_eq!(check(&[planned()], held(), 150), Some(Deed::Finish("M-1".to_owned(), None)));
        let others = order(Some(5), "Running", Some(Uuid::from_u128(2)));
        assert_eq!(check(&[others], held(), 90), None, "somebody else works on it");
    }
}
