//! The people of the demo's assembly line: a planner who makes orders, and an operator who reads instructions, begins and ends jobs, and has
//! the panel of the first station. They are simulated; they call what the HTTP API calls, as people with accounts of their own, and what is
//! counted comes from the machines. What a visitor does in between, they take as it is: they begin his orders, and touch no job that he has
//! paused.
//!
//! Start reading at [`Crew::run`]. What is to be done now is decided in [`decide`], which is pure.

use andon_api::ports::mes::{MachineView, Mes};
use andon_api::ports::orders::{
    JobTrigger, JobView, OrderView, OrderWish, Orders, OrdersProblem, SeenWish, TriggerWish,
};
use andon_bus::ids::new_id;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::{Clock, Timestamp};
use andon_store::orders::{OrderFilter, PersonSkill};
use andon_testkit::assembly::{Controls, Panel, Place, Product};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where they work.
pub(super) const LINE: &str = "works/assembly/line2";
/// So many orders are on the first station or wait for it.
const AHEAD: usize = 2;
/// Units of an order: five minutes of work.
const QUANTITY: u32 = 12;
/// An order is wanted so long after it is made.
const DUE: Duration = Duration::from_secs(45 * 60);
/// They look up from their work so often. A unit takes 24 s.
const LOOK: Duration = Duration::from_secs(1);
/// A station that waits so long behind one that has finished gets nothing more of the order.
const NOTHING_COMES: Duration = Duration::from_secs(5 * 60);
/// What the operator has learned.
const SKILLS: [&str; 3] = ["assembly", "refrigerant", "electrical-test"];

/// The planner, the operator, and what they see and touch.
pub(super) struct Crew {
    pub(super) orders: Arc<dyn Orders>,
    pub(super) mes: Arc<dyn Mes>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) panel: Panel,
    /// By their accounts.
    pub(super) planner: Uuid,
    pub(super) operator: Uuid,
}

impl Crew {
    /// Works until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut controls, mut told) = (None, String::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            match self.work(&mut controls).await {
                Ok(()) => told.clear(),
                // Said once, for they try again each second.
                Err(problem) if problem.to_string() == told => {}
                Err(problem) => {
                    tracing::warn!(%problem, "the demo's operator cannot go on");
                    told = problem.to_string();
                }
            }
        }
    }

    /// `controls`: what the panel was set to last. It is touched only to change something, so that a visitor's hand on it counts as well.
    async fn work(&self, controls: &mut Option<Controls>) -> Result<(), OrdersProblem> {
        self.learn().await?;
        let mut open = self.open().await?;
        let ahead = open.iter().filter_map(Order::of).filter(|order| !is_over(order.jobs[0])).count();
        if ahead < AHEAD && self.order(open.last()).await? {
            open = self.open().await?;
        }
        let now = self.clock.now();
        let machines = self.mes.machines().await.map_err(|problem| OrdersProblem::Failed(problem.to_string()))?;
        let work = decide(&open, &machines, now);
        if *controls != Some(work.controls) {
            self.panel.set(work.controls);
            *controls = Some(work.controls);
        }
        for deed in work.deeds {
            self.do_it(deed).await?;
        }
        Ok(())
    }

    /// Open orders of the line, the oldest first.
    async fn open(&self) -> Result<Vec<OrderView>, OrdersProblem> {
        let states = ["Released", "Running"].map(str::to_owned).to_vec();
        let filter = OrderFilter { states, branch: Some(LINE.to_owned()), ..OrderFilter::default() };
        let mut open = self.orders.orders(filter, self.operator).await?.orders;
        open.reverse();
        Ok(open)
    }

    /// What the operator has learned and nobody has entered.
    async fn learn(&self) -> Result<(), OrdersProblem> {
        let held = self.orders.held(Some(self.operator)).await?;
        for skill in SKILLS.into_iter().filter(|skill| held.iter().all(|held| held.skill != *skill)) {
            let skill = PersonSkill { person: self.operator, skill: skill.to_owned(), until: None };
            self.orders.qualify(skill, person(self.planner)).await?;
        }
        Ok(())
    }

    /// Makes one more order, of the other product than the last one, and plans; `false`: one of this minute is there.
    async fn order(&self, last: Option<&OrderView>) -> Result<bool, OrdersProblem> {
        let now = self.clock.now();
        let product = match last.and_then(|order| Product::from_name(&order.material)) {
            Some(Product::Hp8) => Product::Hp12,
            _ => Product::Hp8,
        };
        let (_, month, day, hour, minute, ..) = now.civil();
        let wish = OrderWish {
            number: format!("{}-{month:02}{day:02}-{hour:02}{minute:02}", product.name()),
            material: product.name().to_owned(),
            revision: None,
            quantity: f64::from(QUANTITY),
            due: Some(now.plus(DUE)),
            priority: 5,
            note: "By the demo's planner.".to_owned(),
            release: true,
            source: andon_api::ports::orders::BY_PERSON,
        };
        match self.orders.make(wish, person(self.planner)).await {
            Ok(_) => {}
            Err(OrdersProblem::Conflict { .. }) => return Ok(false),
            Err(problem) => return Err(problem),
        }
        self.orders.plan(1, false, vec![LINE.to_owned()], person(self.planner)).await?;
        Ok(true)
    }

    async fn do_it(&self, deed: Deed) -> Result<(), OrdersProblem> {
        let (job, what) = match deed {
            Deed::Begin(job) => (job, JobTrigger::Begin),
            Deed::Stop(job) => (job, JobTrigger::Stop),
        };
        // The list is older.
        let job = self.orders.job(job, self.operator).await?;
        if what == JobTrigger::Begin {
            for unseen in job.instructions.iter().filter(|instruction| !instruction.seen) {
                let seen = SeenWish {
                    instruction: unseen.name.clone(),
                    revision: unseen.revision.clone(),
                    sha256: unseen.sha256.clone(),
                };
                self.orders.seen(job.id, seen, person(self.operator)).await?;
            }
        }
        let wish = TriggerWish {
            what,
            version: job.version,
            key: new_id(self.clock.as_ref()),
            reason: None,
            why: None,
            prepared: None,
            equipment: None,
        };
        self.orders.trigger(job.id, wish, person(self.operator)).await.map(|_| ())
    }
}

const fn person(id: Uuid) -> Principal {
    Principal { id, kind: PrincipalKind::Person }
}

/// What is done with a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Begin(Uuid),
    Stop(Uuid),
}

/// What is to be done now.
#[derive(PartialEq, Debug)]
struct Work {
    deeds: Vec<Deed>,
    controls: Controls,
}

/// At the first station the orders are begun one after the other, as they are planned; behind it in the order in which they were begun there,
/// for units do not overtake each other. `open`: the oldest first.
fn decide(open: &[OrderView], machines: &[MachineView], now: Timestamp) -> Work {
    let open: Vec<Order<'_>> = open.iter().filter_map(Order::of).collect();
    let deeds = Place::ALL.into_iter().filter_map(|place| deed(place, &open, machines, now)).collect();
    Work { deeds, controls: controls(&open, machines) }
}

/// An order that the line can make, with a job for each station.
struct Order<'o> {
    product: Product,
    jobs: [&'o JobView; 4],
}

impl<'o> Order<'o> {
    fn of(order: &'o OrderView) -> Option<Self> {
        let at = |place: Place| order.jobs.iter().find(|job| job.alternatives.contains(&path(place)));
        let [mount, leak, eol, pack] = Place::ALL.map(at);
        Some(Self { product: Product::from_name(&order.material)?, jobs: [mount?, leak?, eol?, pack?] })
    }
}

fn path(place: Place) -> String {
    format!("{LINE}/{}", place.name())
}

fn stands(job: &JobView) -> bool {
    matches!(job.state.as_str(), "Running" | "Interrupted")
}

fn is_over(job: &JobView) -> bool {
    matches!(job.state.as_str(), "Ended" | "Aborted")
}

fn deed(place: Place, open: &[Order<'_>], machines: &[MachineView], now: Timestamp) -> Option<Deed> {
    let here = place as usize;
    if let Some(order) = open.iter().find(|order| stands(order.jobs[here])) {
        let job = order.jobs[here];
        let done = match here.checked_sub(1).map(|before| order.jobs[before]) {
            None => job.good >= job.quantity,
            Some(before) => {
                let nothing_comes = waits_for(place, machines, now).is_some_and(|waits| waits >= NOTHING_COMES);
                is_over(before) && (job.good + job.scrap >= before.good || nothing_comes)
            }
        };
        return (done && job.state == "Running").then_some(Deed::Stop(job.id));
    }
    let may_begin = open.iter().filter(|order| order.jobs[here].state == "AllowedToStart");
    let next = match place {
        Place::Mount => may_begin.min_by_key(|order| order.jobs[0].planned_start_ms.unwrap_or(i64::MAX)),
        _ => may_begin.filter(|order| order.jobs[0].started_ms.is_some()).min_by_key(|order| order.jobs[0].started_ms),
    };
    next.map(|order| Deed::Begin(order.jobs[here].id))
}

/// How long a station has had nothing to do; `None`: it has.
fn waits_for(place: Place, machines: &[MachineView], now: Timestamp) -> Option<Duration> {
    let machine = machine(place, machines)?;
    let waits = matches!(machine.state.as_deref(), Some("Idle" | "Suspended"));
    machine.since_ms.filter(|_| waits).map(|since| now.since(Timestamp::from_millis(since)))
}

fn machine(place: Place, machines: &[MachineView]) -> Option<&MachineView> {
    let path = path(place);
    machines.iter().find(|machine| machine.path == path)
}

/// The panel of the first station: it begins units while the job there needs more of them than are on the bench.
fn controls(open: &[Order<'_>], machines: &[MachineView]) -> Controls {
    let Some(order) = open.iter().find(|order| stands(order.jobs[0])) else {
        return Controls::default();
    };
    let job = order.jobs[0];
    let missing = job.quantity - job.good;
    let is_free = machine(Place::Mount, machines).is_some_and(|mount| match mount.state.as_deref() {
        Some("Idle" | "Starting") => true,
        Some("Suspended") => mount.reason.as_deref() == Some("Material/Not delivered"),
        _ => false,
    });
    let run = job.state == "Running" && (missing > 1.0 || (missing > 0.0 && is_free));
    Controls { run, product: order.product }
}

#[cfg(test)]
mod tests;
