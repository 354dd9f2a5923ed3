//! A shift on the floor, over hours that a test turns by hand: written down, handed over, signed on and off, over kills.

use super::{Parts, Shift};
use crate::adapters::StoredAccounts;
use crate::mes::testbed::{EXECUTE, HELD, Testbed, at, begins};
use andon_access::{Accounts, AccountsOptions};
use andon_api::ports::NotDone;
use andon_api::ports::orders::{BY_PERSON, CountWish, JobTrigger, OrderWish, Orders as _, TriggerWish};
use andon_api::ports::shift::{EntryWish, HandoverWish, Labour as _, LabourAnswer, Links, Logbook as _, SpanWish};
use andon_bus::ids::new_id;
use andon_model::access::{Grant, Principal, PrincipalKind, Role};
use andon_model::log::Log;
use andon_store::OutboxRepository as _;
use andon_store::logbook::EntryFilter;
use std::sync::Arc;
use uuid::Uuid;

// Early from 06:00 to 14:00 with a break at 10:00; a test begins at 08:00.
const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }, { path = "works/store", level = "work_center" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/oven/state", type = "int64" }]
[[calendar]]
name = "shifts"
time_zone = "UTC"
shift = [{ name = "Early", from = "06:00", to = "14:00", breaks = ["10:00-10:30"] }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
calendar = "shifts"
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
calendar = "shifts"
[[material]]
name = "BOLT"
title = "Bolt"
operation = [{ name = "10", title = "Press", equipment = ["works/line/press"], run_time = "6 s" }]
"#;

const HOUR_MS: i64 = 3_600_000;

/// A node as far as a shift needs it.
struct Here {
    bed: Testbed,
    accounts: Arc<Accounts>,
    shift: Arc<Shift>,
}

impl Here {
    async fn new() -> Self {
        Self::over(Testbed::new(PLANT).await).await
    }

    async fn over(bed: Testbed) -> Self {
        let options = AccountsOptions::default();
        let records = Arc::new(StoredAccounts { store: bed.store.clone(), session_life: options.session_life });
        let accounts = Accounts::load(records, bed.recorder.clone(), bed.clock.clone(), options, new_id).await;
        let accounts = accounts.expect("accounts");
        let log: Arc<dyn Log> = bed.log.clone();
        let alarms = andon_alarms::Engine::new(bed.bus.clone(), bed.recorder.clone(), log, bed.clock.clone());
        let shift = Shift::new(Parts {
            store: bed.store.clone(),
            mes: bed.mes.clone(),
            alarms,
            accounts: accounts.clone(),
            clock: bed.clock.clone(),
        });
        Self { bed, accounts, shift }
    }

    async fn killed(self) -> Self {
        drop(self.shift);
        drop(self.accounts);
        Self::over(self.bed.killed().await).await
    }

    async fn person(&self, name: &str, role: Role, branch: &str) -> Principal {
        let grants = vec![Grant { role, branch: branch.to_owned() }];
        let id = self.accounts.create_user(&Principal::SYSTEM, name, "correct horse battery 7", grants).await;
        Principal { id: id.expect("created"), kind: PrincipalKind::Person }
    }

    async fn write(&self, text: &str, key: u128, corrects: Option<u64>, by: &Principal) -> Result<u64, NotDone> {
        let wish = EntryWish {
            key: Uuid::from_u128(key),
            path: "works/line".to_owned(),
            kind: "note".to_owned(),
            text: text.to_owned(),
            pinned: true,
            corrects,
            links: Links { order: Some("4711".to_owned()), ..Links::default() },
        };
        Ok(self.shift.write(wish, by.clone()).await?.1.number)
    }

    async fn on(&self, path: &str, person: &Principal, key: u128) -> Result<u64, NotDone> {
        let sign = self.shift.sign_on(path.to_owned(), None, Uuid::from_u128(key), person.clone()).await;
        Ok(sign?.1.number)
    }

    async fn off(&self, person: &Principal, key: u128) -> Result<u64, NotDone> {
        Ok(self.shift.sign_off(None, Uuid::from_u128(key), person.clone()).await?.number)
    }

    async fn worked(&self, path: &str, from: i64, to: i64, who: &Principal) -> LabourAnswer {
        self.shift.worked(path.to_owned(), (at(from), at(to)), who.clone()).await.expect("an answer")
    }

    /// A job on the press, begun.
    async fn job(&self, number: &str, by: &Principal) -> Uuid {
        let order = OrderWish {
            number: number.to_owned(),
            material: "BOLT".to_owned(),
            revision: None,
            quantity: 500.0,
            due: None,
            priority: 5,
            note: String::new(),
            release: true,
            source: BY_PERSON,
        };
        let job = self.bed.mes.make(order, by.clone()).await.expect("made").1.jobs[0].id;
        self.trigger(job, JobTrigger::Begin, by).await;
        job
    }

    async fn trigger(&self, job: Uuid, what: JobTrigger, by: &Principal) {
        let version = self.bed.mes.job(job, by.id).await.expect("a job").version;
        let why = (what == JobTrigger::Pause).then(|| "Held".to_owned());
        let key = new_id(&*self.bed.clock);
        let wish = TriggerWish { what, version, key, reason: None, why, prepared: None, equipment: None };
        self.bed.mes.trigger(job, wish, by.clone()).await.expect("done");
    }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, NotDone>) -> &'static str {
    match answer.expect_err("refused") {
        NotDone::Unknown(_) => "404",
        NotDone::Asked(_) => "400",
        NotDone::NotAllowed(..) => "403",
        NotDone::Refused(..) => "422",
        NotDone::Conflict(..) => "409",
        NotDone::Failed(_) => "503",
    }
}

#[tokio::test]
async fn what_is_open_is_handed_over_and_stays_open_until_another_confirms_it() {
    let mut here = Here::new().await;
    let mara = here.person("mara", Role::Engineer, "works").await;
    let jonas = here.person("jonas", Role::Operator, "works/line").await;
    let job = here.job("4711", &mara).await;
    let counted = CountWish { key: Uuid::from_u128(1), good: 320.0, scrap: 0.0, rework: 0.0, reason: None };
    here.bed.mes.count(job, counted, mara.clone()).await.expect("counted");
    here.bed.at_minute(10, &[("press/state", EXECUTE)]).await;
    here.bed.at_minute(60, &[("press/state", HELD)]).await;
    here.trigger(job, JobTrigger::Pause, &mara).await;
    here.bed.at_minute(90, &[("press/state", EXECUTE)]).await;
    let first = here.write("Caps sit loose.\nLot C-77.", 2, None, &mara).await.expect("written");
    let second = here.write("Cleaned.", 3, None, &mara).await.expect("written");
    assert_eq!(here.write("Caps sit loose.\nLot C-77.", 2, None, &mara).await, Ok(first), "asked again");
    assert_eq!(refused(here.write("Other.", 2, None, &mara).await), "409");

    let proposed = here.shift.proposed("works/line".to_owned(), jonas.clone()).await.expect("a proposal");
    let told: Vec<String> = proposed
        .items
        .iter()
        .map(|item| format!("{} {} {} {}", item.kind, item.path, item.title, item.state.clone().unwrap_or_default()))
        .collect();
    assert_eq!(
        told,
        [
            "job works/line/press 4711/10 Press, 320 of 500 Interrupted (Held)",
            "stop works/line/press Held for 30 min, nobody has said why ",
            "entry works/line Cleaned. ",
            "entry works/line Caps sit loose. ",
        ]
    );
    let shift = proposed.shift.expect("a shift");
    assert_eq!((shift.name.as_str(), shift.to_ms - shift.from_ms), ("Early", 8 * HOUR_MS));
    assert_eq!((proposed.items[1].since_ms, proposed.truncated), (at(60).millis(), false));

    let wish = |key: u128, keep: &[u64]| HandoverWish {
        key: Uuid::from_u128(key),
        path: "works/line".to_owned(),
        summary: "The press was held.".to_owned(),
        keep: keep.to_vec(),
    };
    assert_eq!(refused(here.shift.hand_over(wish(9, &[99]), mara.clone()).await), "422");
    let (made, handover) = here.shift.hand_over(wish(10, &[second]), mara.clone()).await.expect("handed over");
    assert_eq!((made, handover.state.as_str(), handover.items.len()), (true, "waiting", 4));
    let confirm = |key: u128, by: &Principal| {
        here.shift.confirm(handover.number, Uuid::from_u128(key), "taken".to_owned(), by.clone())
    };
    assert_eq!(refused(confirm(11, &mara).await), "422", "who wrote it");
    let open = || async {
        let filter = EntryFilter { open: Some(true), ..EntryFilter::of(vec!["works".to_owned()], 100) };
        let page = here.shift.entries(filter).await.expect("a page");
        page.entries.iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert_eq!(open().await, [handover.number, second, first], "what is not confirmed is visible");
    let confirmed = confirm(12, &jonas).await.expect("confirmed");
    assert_eq!((confirmed.confirmed_by_name.as_deref(), confirmed.note.as_str()), (Some("jonas"), "taken"));
    assert_eq!(confirm(12, &jonas).await, Ok(confirmed), "asked again");
    assert_eq!(refused(confirm(13, &jonas).await), "409");
    assert_eq!(open().await, [second], "what was kept");
    // Asked again when it is open no more: the same answer.
    let again = here.shift.hand_over(wish(10, &[second]), mara.clone()).await.expect("as before");
    assert_eq!((again.0, again.1.number, again.1.items), (false, handover.number, handover.items));

    let right = here.write("Caps of lot C-78 sit loose.", 14, Some(first), &mara).await.expect("corrected");
    assert_eq!(refused(here.write("No.", 15, Some(first), &mara).await), "409");
    assert_eq!(refused(here.write("No.", 16, Some(handover.number), &mara).await), "422");
    let here = here.killed().await;
    let wrong = here.shift.entry(first).await.expect("still there");
    assert_eq!((wrong.text.as_str(), wrong.corrected_by), ("Caps sit loose.\nLot C-77.", Some(right)));
    assert_eq!(wrong.links.order.as_deref(), Some("4711"));
}

#[tokio::test]
async fn attendance_is_without_breaks_work_is_while_an_order_stands_there_and_sums_are_sums() {
    let here = Here::new().await;
    let mara = here.person("mara", Role::Engineer, "works").await;
    let (jonas, lena) = (
        here.person("jonas", Role::Operator, "works/line").await,
        here.person("lena", Role::Operator, "works/line").await,
    );
    assert_eq!(here.worked("works", 0, 60, &mara).await.worker_efficiency, None, "nobody attended: no value");
    here.on("works/line/press", &jonas, 1).await.expect("on");
    here.on("works/line/oven", &lena, 2).await.expect("on");
    here.bed.clock.set(at(60));
    let job = here.job("4711", &mara).await;
    here.bed.clock.set(at(180));
    here.trigger(job, JobTrigger::Stop, &mara).await;
    // Jonas goes to the oven, where nothing stands.
    here.on("works/line/oven", &jonas, 3).await.expect("on");
    here.bed.clock.set(at(240));
    here.off(&jonas, 4).await.expect("off");
    here.off(&lena, 5).await.expect("off");

    // 08:00 to 12:00 with half an hour of break from 10:00; the job from 09:00 to 11:00, half an hour of it a break.
    let all = here.worked("works", 0, 240, &mara).await;
    assert_eq!((all.people, all.attendance_ms, all.working_ms), (2, 7 * HOUR_MS, 3 * HOUR_MS / 2));
    let rows: Vec<_> = all
        .places
        .iter()
        .map(|place| (place.path.as_str(), place.people, place.attendance_ms, place.working_ms))
        .collect();
    let (of_press, of_oven) = (5 * HOUR_MS / 2, 9 * HOUR_MS / 2);
    assert_eq!(
        rows,
        [
            ("works", 2, 7 * HOUR_MS, 3 * HOUR_MS / 2),
            ("works/line", 2, 7 * HOUR_MS, 3 * HOUR_MS / 2),
            ("works/line/oven", 2, of_oven, 0),
            ("works/line/press", 1, of_press, 3 * HOUR_MS / 2),
        ]
    );
    let mut parts = (0, 0);
    for from in (0..240).step_by(30) {
        let part = here.worked("works", from, from + 30, &mara).await;
        parts = (parts.0 + part.attendance_ms, parts.1 + part.working_ms);
    }
    assert_eq!(parts, (all.attendance_ms, all.working_ms));

    // Everybody sees himself, whoever is no supervisor nobody else.
    let seen = |answer: LabourAnswer| answer.persons.into_iter().filter_map(|person| person.name).collect::<Vec<_>>();
    assert_eq!(seen(all), [] as [&str; 0]);
    assert_eq!(seen(here.worked("works/line", 0, 240, &jonas).await), ["jonas"]);
    let spans = |who: &Principal, person: Option<Uuid>| {
        here.shift.spans("works/line".to_owned(), (at(0), at(240)), person, who.clone())
    };
    assert_eq!(spans(&jonas, None).await.expect("spans").spans.len(), 2);
    assert_eq!(spans(&jonas, Some(lena.id)).await.expect("spans").spans.len(), 0);
    here.shift.supervise(mara.id, "works/line".to_owned(), true, Principal::SYSTEM).await.expect("made");
    let mut both = seen(here.worked("works", 0, 240, &mara).await);
    both.sort();
    assert_eq!(both, ["jonas", "lena"]);
    assert_eq!(spans(&mara, None).await.expect("spans").spans.len(), 3);
    here.shift.supervise(mara.id, "works/line".to_owned(), false, Principal::SYSTEM).await.expect("taken back");
    assert_eq!(spans(&mara, None).await.expect("spans").spans.len(), 0);
}

#[tokio::test]
async fn a_forgotten_sign_on_ends_by_rule_once_and_a_supervisor_puts_it_right_over_a_kill() {
    let here = Here::new().await;
    let mara = here.person("mara", Role::Engineer, "works").await;
    let jonas = here.person("jonas", Role::Operator, "works/line").await;
    here.shift.supervise(mara.id, "works/line".to_owned(), true, Principal::SYSTEM).await.expect("made");
    let number = here.on("works/line/press", &jonas, 1).await.expect("on");
    assert_eq!(here.on("works/line/press", &jonas, 1).await, Ok(number), "asked again");
    assert_eq!(refused(here.on("works/store", &jonas, 2).await), "422", "no machine stands there");
    let token = Principal { id: Uuid::from_u128(77), kind: PrincipalKind::Token };
    assert_eq!(refused(here.on("works/line/press", &token, 3).await), "422", "a token is no person");
    let other = here.shift.sign_on("works/line/press".to_owned(), Some(mara.id), Uuid::from_u128(4), jonas.clone());
    assert_eq!(refused(other.await), "403");

    // Long after the shift: what is asked before anybody has ended it tells the same as after.
    here.bed.clock.set(at(24 * 60));
    let until = 6 * HOUR_MS; // 08:00 to 14:30 without the break
    assert_eq!(here.worked("works", 0, 24 * 60, &mara).await.attendance_ms, until);
    let later = here.worked("works", 12 * 60, 24 * 60, &mara).await;
    assert_eq!((later.people, later.attendance_ms), (0, 0), "not there any more");
    assert_eq!(here.shift.present("works".to_owned(), jonas.clone()).await.expect("present").me, None);
    let here = here.killed().await;
    here.shift.end_overdue().await.expect("ended");
    here.shift.end_overdue().await.expect("nothing more");
    assert_eq!(here.worked("works", 0, 24 * 60, &mara).await.attendance_ms, until);
    let spans = || here.shift.spans("works".to_owned(), (at(0), at(24 * 60)), Some(jonas.id), mara.clone());
    let span = spans().await.expect("spans").spans.remove(0);
    assert_eq!((span.ended.as_deref(), span.to_ms), (Some("rule"), Some(at(390).millis())));
    assert_eq!(refused(here.off(&jonas, 5).await), "409");

    let right = |key: u128, from: i64, to: i64, by: &Principal| {
        let wish = SpanWish { key: Uuid::from_u128(key), from: at(from), to: Some(at(to)), reason: "left".to_owned() };
        here.shift.correct(number, wish, by.clone())
    };
    assert_eq!(refused(right(6, 0, 360, &jonas).await), "403", "nobody puts his own right");
    assert_eq!(refused(right(7, 0, 24 * 60 + 1, &mara).await), "422", "not yet");
    let stranger = here.person("sven", Role::Engineer, "works").await;
    assert_eq!(refused(right(8, 0, 360, &stranger).await), "404");
    let done = right(9, 0, 360, &mara).await.expect("put right");
    assert_eq!(right(9, 0, 360, &mara).await, Ok(done.clone()), "asked again");
    assert_eq!((done.ended.as_deref(), done.to_ms), (Some("supervisor"), Some(at(360).millis())));
    let kept: Vec<_> = done.corrections.iter().map(|kept| (kept.was_to_ms, kept.by_name.as_deref())).collect();
    assert_eq!(kept, [(Some(at(390).millis()), Some("mara"))]);
    assert_eq!(here.worked("works", 0, 24 * 60, &mara).await.attendance_ms, until - HOUR_MS / 2);
}

#[tokio::test]
async fn a_terminal_that_asks_again_is_answered_where_it_asked_first() {
    let here = Here::new().await;
    let jonas = here.person("jonas", Role::Operator, "works/line").await;
    let token = async |name: &str, branch: &str| {
        let grants = vec![Grant { role: Role::Operator, branch: branch.to_owned() }];
        let made = here.accounts.create_token(&Principal::SYSTEM, name, grants).await;
        Principal { id: made.expect("a token").0, kind: PrincipalKind::Token }
    };
    let (press, oven) = (token("badge-1", "works/line/press").await, token("badge-2", "works/line/oven").await);
    let on = |path: &str, key: u128, by: &Principal| {
        here.shift.sign_on(path.to_owned(), Some(jonas.id), Uuid::from_u128(key), by.clone())
    };
    let off = |key: u128, by: &Principal| here.shift.sign_off(Some(jonas.id), Uuid::from_u128(key), by.clone());
    assert_eq!(refused(off(1, &press).await), "403", "never signed on");
    let (made, first) = on("works/line/press", 2, &press).await.expect("on");
    assert!(made);
    assert_eq!(refused(off(3, &oven).await), "403", "he is elsewhere");
    let ended = off(4, &press).await.expect("off");
    assert_eq!((ended.number, ended.ended.as_deref()), (first.number, Some("self")));
    assert_eq!(refused(off(5, &press).await), "409", "signed off already");
    let (_, second) = on("works/line/oven", 6, &oven).await.expect("on");
    assert_eq!(off(4, &press).await, Ok(ended), "the answer may have been lost");
    assert_eq!(refused(off(7, &press).await), "403", "he is elsewhere now");
    let me = here.shift.present("works".to_owned(), jonas.clone()).await.expect("present").me;
    assert_eq!(me.map(|span| span.number), Some(second.number), "and stays there");
}

#[tokio::test]
async fn no_event_of_a_sign_on_names_who() {
    let here = Here::new().await;
    let jonas = here.person("jonas", Role::Operator, "works/line").await;
    let before = here.bed.store.outbox_changes();
    here.on("works/line/press", &jonas, 1).await.expect("on");
    here.off(&jonas, 2).await.expect("off");
    assert!(before.has_changed().expect("the store lives"), "it was told");
    let read = here.bed.log.read(andon_model::log::Lane::Records, andon_model::log::Seq(1), 1 << 20).expect("read");
    let told: Vec<String> =
        read.frames.iter().map(|frame| String::from_utf8_lossy(&frame.payload).into_owned()).collect();
    let signs: Vec<&String> = told.iter().filter(|text| text.contains("signed_o")).collect();
    assert_eq!(signs.len(), 2, "{told:?}");
    assert!(signs.iter().all(|text| !text.contains(&jonas.id.to_string())), "{signs:?}");
    assert!(signs.iter().all(|text| text.contains(r#""sign-on 1""#)), "the number in the records: {signs:?}");
    assert_eq!(begins(), at(0));
}
