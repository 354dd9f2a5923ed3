//! Orders on the floor, over hours that a test turns by hand: made, begun, counted, killed, ended, planned.

use super::Manufacturing;
use crate::notes::Notes;
use andon_access::AuditRecorder;
use andon_api::ports::mes::{KpiAnswer, Mes as _, Window};
use andon_api::ports::orders::{
    CountWish, Current, HeldSkillView, JobTrigger, JobView, OrderAction, OrderPatch, OrderView, OrderWish, Orders,
    OrdersProblem, PlaceWish, SeenWish, TriggerWish,
};
use andon_bus::Bus;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::access::{Principal, PrincipalKind};
use andon_model::log::{Lane, Log, Seq, kind};
use andon_model::plant::Plant;
use andon_model::sample_codec::encode_samples;
use andon_model::{Clock, Sample, StatusCode, TagId, Timestamp, Value};
use andon_store::documents::{self, Document};
use andon_store::{PlantRepository, Store};
use andon_testkit::clock::ManualClock;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }, { path = "works/line/press/scrap", type = "int64" }, { path = "works/line/oven/state", type = "int64" }]
skill = [{ name = "Brazing" }]
instruction = [{ name = "WI-1", revision = "B", text = "Press it." }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
scrap = { tag = "works/line/press/scrap", counts = "each" }
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
[[material]]
name = "BOLT"
title = "Bolt"
operation = [{ name = "10", equipment = ["works/line/press"], run_time = "6 s", setup = "10 min" }]
[[material]]
name = "PLATE"
revision = "C"
unit = "kg"
operation = [{ name = "20", equipment = ["works/line/oven", "works/line/press"], run_time = "1 s", after = ["10"] }, { name = "10", equipment = ["works/line/press"], run_time = "2 s", after = [], skills = ["Brazing"], instructions = ["WI-1"] }]
[[material]]
name = "STEEL"
"#;

/// PackML's numbers.
const STARTING: i64 = 3;
const IDLE: i64 = 4;
const EXECUTE: i64 = 6;
const HELD: i64 = 11;

fn begins() -> Timestamp {
    Timestamp::parse_rfc3339("2026-06-01T08:00:00Z").expect("a time")
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_micros(begins().micros() + minutes * 60_000_000)
}

fn person(number: u128) -> Principal {
    Principal { id: Uuid::from_u128(number), kind: PrincipalKind::Person }
}

struct Here {
    mes: Arc<Manufacturing>,
    log: Arc<DurableLog>,
    store: Store,
    clock: Arc<ManualClock>,
    stop: CancellationToken,
    next: Seq,
}

impl Here {
    async fn open(folder: &Path, clock: &Arc<ManualClock>) -> Self {
        let handed: Arc<dyn Clock> = clock.clone();
        let (log, _) = DurableLog::open(
            &folder.join("log"),
            Uuid::from_u128(1),
            LogOptions::default(),
            Arc::new(OsDisk),
            handed.clone(),
        )
        .expect("a log");
        let shared: Arc<dyn Log> = log.clone();
        let store = Store::open(&folder.join("records.sqlite"), handed.clone()).await.expect("a store");
        if store.current_plant().await.expect("a model").0.version == 0 {
            let document = Document { name: "plant.toml".to_owned(), text: PLANT.to_owned() };
            let plant: Plant = documents::parse(&[document], &crate::adapters::Checks).expect("a good model");
            store.apply_plant(0, plant, Principal::SYSTEM, None).await.expect("applied");
        }
        let bus = Bus::new(handed.clone());
        let (plant, ids) = store.current_plant().await.expect("a model");
        bus.set_plant(Arc::new(plant), ids);
        let recorder = AuditRecorder::open(shared.clone()).expect("a recorder");
        let stop = CancellationToken::new();
        let relay = {
            let (store, log, stop) = (store.clone(), shared.clone(), stop.clone());
            async move { store.relay(recorder, log, stop).await }
        };
        // Ends with `stop`.
        tokio::spawn(relay);
        let mes = Manufacturing::open(store.clone(), shared, bus, handed, Notes::new().0).await.expect("opened");
        mes.follow().await.expect("followed");
        let next = mes.first();
        Self { mes, log, store, clock: clock.clone(), stop, next }
    }

    async fn say(&self, readings: &[(&str, i64, i64)]) {
        let received_ts = self.clock.now();
        let view = self.mes.bus.plant();
        let sample = |(tag, minute, value): &(&str, i64, i64)| Sample {
            tag: view.id_of(&format!("works/line/{tag}")).unwrap_or(TagId(999)),
            value: Value::Int64(*value),
            quality: StatusCode::GOOD,
            source_ts: at(*minute),
            received_ts,
        };
        let samples: Vec<_> = readings.iter().map(sample).collect();
        let seq = self.log.append(Lane::Samples, kind::SAMPLES, &encode_samples(&samples)).expect("taken");
        self.log.durable(Lane::Samples, seq).await.expect("durable");
    }

    async fn go_on(&mut self) {
        while let Some(next) = self.mes.read_once(self.next).await.expect("read") {
            self.next = next;
        }
        self.mes.tick().await.expect("kept");
    }

    /// At a minute, with what machines say then.
    async fn at_minute(&mut self, minute: i64, readings: &[(&str, i64)]) {
        self.clock.set(at(minute));
        let readings: Vec<_> = readings.iter().map(|(tag, value)| (*tag, minute, *value)).collect();
        if !readings.is_empty() {
            self.say(&readings).await;
        }
        self.go_on().await;
    }

    async fn killed(self, folder: &Path) -> Self {
        let clock = self.clock.clone();
        self.stop.cancel();
        self.store.close().await.expect("closed");
        drop(self.mes);
        self.log.close();
        drop(self.log);
        let mut here = Self::open(folder, &clock).await;
        here.go_on().await;
        here
    }

    async fn make(&self, number: &str, material: &str, quantity: f64) -> OrderView {
        self.mes.make(wish(number, material, quantity), person(1)).await.expect("made").1
    }

    async fn job(&self, id: Uuid) -> JobView {
        self.mes.job(id, person(1).id).await.expect("a job")
    }

    async fn trigger(&self, job: Uuid, what: JobTrigger, key: u128, by: u128) -> Result<JobView, OrdersProblem> {
        let version = self.job(job).await.version;
        self.trigger_of(job, what, key, by, version).await
    }

    async fn trigger_of(
        &self,
        job: Uuid,
        what: JobTrigger,
        key: u128,
        by: u128,
        version: u64,
    ) -> Result<JobView, OrdersProblem> {
        let why = (what == JobTrigger::Pause).then(|| "Held".to_owned());
        let wish = TriggerWish {
            what,
            version,
            key: Uuid::from_u128(key),
            reason: None,
            why,
            prepared: None,
            equipment: None,
        };
        self.mes.trigger(job, wish, person(by)).await
    }

    async fn count(&self, job: Uuid, good: f64, scrap: f64, key: u128) -> Result<JobView, OrdersProblem> {
        let reason = (scrap != 0.0).then(|| "bent".to_owned());
        self.mes.count(job, CountWish { key: Uuid::from_u128(key), good, scrap, rework: 0.0, reason }, person(1)).await
    }

    async fn kpis(&self, from: i64, to: i64) -> KpiAnswer {
        self.mes.kpis("works/line/press".to_owned(), Window { from: at(from), to: at(to) }).await.expect("an answer")
    }
}

fn wish(number: &str, material: &str, quantity: f64) -> OrderWish {
    OrderWish {
        number: number.to_owned(),
        material: material.to_owned(),
        revision: None,
        quantity,
        due: None,
        priority: 5,
        note: String::new(),
        release: true,
    }
}

/// Minutes of setup, production, delay and idle; good and scrap.
fn told(answer: &KpiAnswer) -> ([f64; 4], [f64; 2]) {
    let times = answer.times;
    let minutes = [times.setup_ms, times.production_ms, times.delay_ms, times.idle_ms].map(|ms| ms / 60_000.0);
    (minutes, [answer.amounts.good, answer.amounts.scrap])
}

#[tokio::test]
async fn a_job_is_time_and_amounts_of_its_unit_and_counts_once_whatever_happens_in_between() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(begins()));
    let mut here = Here::open(folder.path(), &clock).await;
    here.at_minute(1, &[("press/state", IDLE), ("press/good", 10)]).await;
    let order = here.make("4711", "BOLT", 200.0).await;
    let job = order.jobs[0].id;
    assert_eq!(
        (&*order.state, &*order.jobs[0].state, order.jobs[0].run_time_ms),
        ("Released", "AllowedToStart", 1_200_000)
    );
    here.at_minute(5, &[("press/state", STARTING)]).await;
    here.trigger(job, JobTrigger::Begin, 1, 1).await.expect("begun");
    here.at_minute(15, &[("press/state", EXECUTE)]).await;
    here.at_minute(40, &[("press/good", 110)]).await;
    here.at_minute(60, &[("press/state", HELD)]).await;
    here.trigger(job, JobTrigger::Pause, 2, 1).await.expect("paused");
    // Between two runs nothing is known of a machine until it says something: it speaks just before and a minute after.
    here.at_minute(65, &[("press/state", HELD)]).await;
    here = here.killed(folder.path()).await;
    here.at_minute(66, &[("press/state", HELD)]).await;
    here.at_minute(70, &[("press/state", EXECUTE)]).await;
    here.trigger(job, JobTrigger::Resume, 3, 1).await.expect("resumed");
    here.at_minute(80, &[("press/state", EXECUTE)]).await;
    here.count(job, 2.0, 4.0, 4).await.expect("counted");
    here = here.killed(folder.path()).await;
    here.at_minute(81, &[("press/state", EXECUTE)]).await;
    here.at_minute(100, &[("press/state", IDLE)]).await;
    assert_eq!(here.count(job, 2.0, 4.0, 4).await.expect("again").good, 102.0, "the same key again");
    let ended = here.trigger(job, JobTrigger::Stop, 5, 1).await.expect("stopped");
    assert_eq!(
        (&*ended.state, ended.substate.as_deref(), ended.good, ended.scrap),
        ("Ended", Some("Completed"), 102.0, 4.0)
    );
    here.at_minute(120, &[("press/good", 130)]).await;
    here.at_minute(125, &[]).await;
    let expected = ([10.0, 74.0, 9.0, 24.0], [122.0, 4.0]);
    for round in 0..3 {
        let mut answer = here.kpis(1, 120).await;
        // The machine said 130 at 120, which the window is without.
        answer.amounts.good += 20.0;
        let (times, amounts) = told(&answer);
        assert_eq!((times, amounts), expected, "round {round}");
        let shown = here.job(job).await;
        assert_eq!((shown.good, shown.scrap), (102.0, 4.0), "round {round}");
        here = here.killed(folder.path()).await;
        here.at_minute(250 + round * 100, &[]).await;
    }
    // A device was cut off and tells now what was.
    here.say(&[("press/scrap", 50, 7)]).await;
    here.go_on().await;
    assert_eq!(here.job(job).await.scrap, 11.0, "what comes late counts for the job that stood there");
    assert_eq!(told(&here.kpis(1, 120).await).1[1], 11.0);
    let order = Orders::order(&*here.mes, "4711".to_owned(), person(1).id).await.expect("the order");
    assert_eq!((&*order.state, order.good, order.scrap), ("Completed", 102.0, 11.0));
    let kinds: Vec<_> = here.mes.ledger(job).await.expect("a ledger").into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["begin", "pause", "resume", "count", "stop"]);
}

#[tokio::test]
async fn of_two_who_begin_at_once_one_wins_and_the_other_is_told_who() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(begins()));
    let mut here = Here::open(folder.path(), &clock).await;
    here.at_minute(5, &[]).await;
    let (a, b) = (here.make("A", "BOLT", 1.0).await.jobs[0].clone(), here.make("B", "BOLT", 1.0).await.jobs[0].clone());
    let begin = |job: &JobView, key, by| here.trigger_of(job.id, JobTrigger::Begin, key, by, job.version);
    // Two on one unit, then two on one job.
    let (first, second) = tokio::join!(begin(&a, 1, 1), begin(&b, 2, 2));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let (lost, by) = if first.is_ok() { (second, 1) } else { (first, 2) };
    let Err(OrdersProblem::Conflict { standing: Some(standing), current: Some(Current::Job(current)), .. }) = lost
    else {
        panic!("{lost:?}")
    };
    assert_eq!((standing.by, standing.since, &*current.state), (person(by).id, at(5), "AllowedToStart"));
    let (running, waits) = if by == 1 { (a, b) } else { (b, a) };
    let again = begin(&running, by, by).await.expect("the same key again");
    assert_eq!((&*again.state, again.version), ("Running", running.version + 1));
    assert!(matches!(begin(&waits, by, by).await, Err(OrdersProblem::Conflict { .. })), "the key of something else");
    here.trigger(running.id, JobTrigger::Stop, 9, 1).await.expect("stopped");
    let (first, second) = tokio::join!(begin(&waits, 11, 1), begin(&waits, 12, 2));
    assert!(first.is_ok() != second.is_ok());
    let Err(OrdersProblem::Conflict { standing: Some(_), current: Some(Current::Job(current)), .. }) =
        first.and(second)
    else {
        panic!("one lost")
    };
    assert_eq!((&*current.state, current.version), ("Running", waits.version + 1));
}

#[tokio::test]
async fn skills_and_instructions_keep_a_job_from_its_begin() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(begins()));
    let mut here = Here::open(folder.path(), &clock).await;
    here.at_minute(5, &[]).await;
    let order = here.make("P1", "PLATE", 2.5).await;
    assert_eq!((&*order.unit, order.revision.as_deref(), order.quantity), ("kg", Some("C"), 2.5));
    let operations: Vec<_> = order.jobs.iter().map(|job| job.number.as_str()).collect();
    assert_eq!(operations, ["P1/10", "P1/20"], "what comes before stands before");
    let job = order.jobs[0].id;
    let refused = here.trigger(job, JobTrigger::Begin, 1, 1).await;
    assert!(matches!(&refused, Err(OrdersProblem::NotQualified(text, _)) if text.contains("Brazing")), "{refused:?}");
    let held = HeldSkillView { person: person(1).id, skill: "Brazing".to_owned(), until: None };
    assert!(
        matches!(here.mes.qualify(held.clone(), person(9)).await, Err(OrdersProblem::Unknown(_))),
        "there is no such person"
    );
    let unknown = HeldSkillView { skill: "Sewing".to_owned(), ..held };
    assert!(matches!(here.mes.qualify(unknown, person(9)).await, Err(OrdersProblem::Refused(..))));
    let asked = here.job(job).await.instructions[0].clone();
    let seen = |sha256: String| SeenWish { instruction: "WI-1".to_owned(), revision: "B".to_owned(), sha256 };
    assert!(matches!(here.mes.seen(job, seen("0".repeat(64)), person(1)).await, Err(OrdersProblem::Conflict { .. })));
    for _ in 0..2 {
        here.mes.seen(job, seen(asked.sha256.clone()), person(1)).await.expect("seen");
    }
    assert!(
        here.job(job).await.instructions[0].seen
            && !here.mes.job(job, person(2).id).await.expect("a job").instructions[0].seen
    );
    assert_eq!(here.mes.ledger(job).await.expect("a ledger").len(), 1, "seen twice is seen once");
    let undecided = here.trigger(order.jobs[1].id, JobTrigger::Begin, 3, 1).await;
    assert!(
        matches!(&undecided, Err(OrdersProblem::Refused(text, _)) if text.contains("say on which")),
        "{undecided:?}"
    );
}

#[tokio::test]
async fn an_order_is_made_once_changed_before_it_begins_planned_and_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(begins()));
    let mut here = Here::open(folder.path(), &clock).await;
    here.at_minute(5, &[]).await;
    let bought = here.mes.make(wish("S", "STEEL", 1.0), person(1)).await;
    assert!(
        matches!(&bought, Err(OrdersProblem::Refused(text, remedy)) if text.contains("no operations") && !remedy.is_empty()),
        "{bought:?}"
    );
    for quantity in [0.0, -1.0, f64::NAN, 1e10] {
        assert!(matches!(here.mes.make(wish("Q", "BOLT", quantity), person(1)).await, Err(OrdersProblem::Refused(..))));
    }
    let order = here.make("O1", "PLATE", 600.0).await;
    let (again, same) = here.mes.make(wish("O1", "PLATE", 600.0), person(2)).await.expect("the same again");
    assert!(!again && same.id == order.id);
    assert!(matches!(here.mes.make(wish("O1", "PLATE", 601.0), person(1)).await, Err(OrdersProblem::Conflict { .. })));
    let patch = OrderPatch {
        version: order.version,
        quantity: Some(300.0),
        priority: Some(9),
        due: Some(Some(at(20))),
        ..OrderPatch::default()
    };
    let order = Orders::change(&*here.mes, "O1".to_owned(), patch.clone(), person(1)).await.expect("changed");
    assert_eq!((order.jobs[0].quantity, order.priority, order.due_ms), (300.0, 9, Some(at(20).millis())));
    assert!(
        matches!(
            Orders::change(&*here.mes, "O1".to_owned(), patch, person(1)).await,
            Err(OrdersProblem::Conflict { .. })
        ),
        "an old version"
    );
    let dry = Orders::plan(&*here.mes, 1, true, person(1)).await.expect("a plan");
    assert_eq!((dry.changes.len(), here.job(order.jobs[0].id).await.planned_start_ms), (2, None));
    let plan = Orders::plan(&*here.mes, 1, false, person(1)).await.expect("a plan");
    assert_eq!(plan.changes, dry.changes, "the same seed gives the same plan");
    let (press, oven) = (here.job(order.jobs[0].id).await, here.job(order.jobs[1].id).await);
    assert_eq!((press.planned_start_ms, press.planned_end_ms), (Some(at(5).millis()), Some(at(15).millis())));
    assert_eq!((oven.planned_start_ms, oven.planned_end_ms), (press.planned_end_ms, Some(at(20).millis())));
    assert!(plan.late.is_empty() && plan.gap == Some(0.0));
    let place = PlaceWish { version: oven.version, equipment: "works/line/press".to_owned(), start: at(30) };
    let placed = here.mes.place(oven.id, place, person(1)).await.expect("placed");
    assert_eq!((placed.equipment.as_deref(), placed.planned_end_ms), (Some("works/line/press"), Some(at(35).millis())));
    let after = Orders::plan(&*here.mes, 1, true, person(1)).await.expect("a plan");
    assert!(
        after.changes.iter().all(|change| change.job != oven.id) && after.late[0].by_ms == 15 * 60_000,
        "{after:?}"
    );
    let shown = here.mes.schedule(at(0), at(60), vec!["works".to_owned()], person(1).id).await.expect("a schedule");
    assert_eq!((shown.jobs.len(), shown.equipment.len()), (2, 2));
    let version = Orders::order(&*here.mes, "O1".to_owned(), person(1).id).await.expect("an order").version;
    let given_up = here
        .mes
        .act("O1".to_owned(), OrderAction::Cancel, version, Some("not wanted".to_owned()), person(1))
        .await
        .expect("cancelled");
    assert_eq!((&*given_up.state, &*given_up.jobs[0].state), ("Cancelled", "Aborted"));
}
