//! Reports of a floor over days that a test turns by hand: once for each shift, over kills, signed, and equal to what the API answers.

use super::{Parts, Reports, report};
use crate::adapters::StoredAccounts;
use crate::maintenance::{self, Maintenance};
use crate::mes::testbed::{EXECUTE, HELD, NODE, Testbed, at, plant_of};
use crate::node_tests::{apply, ask, json_of, start};
use crate::shift::{self, Shift};
use crate::topics_tests::{as_token, token};
use crate::verify::is_signed_by;
use andon_access::signing::SigningKey;
use andon_access::{Accounts, AccountsOptions};
use andon_api::ports::NotDone;
use andon_api::ports::mes::{CorrectionWish, Mes as _, Said, Window};
use andon_api::ports::orders::{BY_PERSON, CountWish, JobTrigger, OrderWish, Orders as _, TriggerWish};
use andon_api::ports::reports::{ReportSubject, ReportView, Reports as _, WholeReport};
use andon_api::ports::shift::{EntryWish, Labour as _, Links, Logbook as _};
use andon_bus::ids::new_id;
use andon_mes::certificate::{Hex, PublicKey};
use andon_model::access::{Grant, Principal, PrincipalKind, Role};
use andon_model::event::{AlarmChange, AlarmState, Event, Note, What};
use andon_model::log::{Lane, Log};
use andon_model::record::Recorder as _;
use andon_model::{Clock, StatusCode, Value};
use andon_store::report::{NewReport, ReportFilter, ReportKept, ReportRepository as _, ReportRow};
use andon_store::timeline::{READER, run_timeline};
use andon_store::trace::{
    Disposition, ItemKind, ItemName, ItemRef, NewItem, NewPass, Step, Told, TraceRepository as _,
};
use andon_store::{OutboxRepository as _, PlantRepository as _, Store};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

// A test begins at 08:00 of a Monday.
const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center", title = "Line 1" }, { path = "works/line/press", level = "work_unit" }, { path = "works/store", level = "work_center" }]
tag = [{ path = "works/line/press/state", type = "int64" }]
[[calendar]]
name = "shifts"
time_zone = "UTC"
shift = [{ name = "Early", from = "06:00", to = "14:00", breaks = ["10:00-10:30"] }, { name = "Late", from = "14:00", to = "22:00" }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
calendar = "shifts"
[[reason]]
name = "Jam"
[[material]]
name = "BOLT"
title = "Bolt"
operation = [{ name = "10", title = "Press", equipment = ["works/line/press"], run_time = "6 s" }]
[[report]]
name = "line shift"
kind = "shift"
at = "works/line"
after = "10 min"
folder = "line1/shifts"
keep = "30 d"
"#;

struct Here {
    bed: Testbed,
    accounts: Arc<Accounts>,
    shift: Arc<Shift>,
    reports: Arc<Reports>,
    /// Fills the timeline from the log until its end.
    filling: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
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
        let shift = Shift::new(shift::Parts {
            store: bed.store.clone(),
            mes: bed.mes.clone(),
            alarms: alarms.clone(),
            accounts: accounts.clone(),
            clock: bed.clock.clone(),
        });
        let maintenance = Maintenance::new(maintenance::Parts {
            store: bed.store.clone(),
            mes: bed.mes.clone(),
            alarms: alarms.clone(),
            bus: bed.bus.clone(),
            clock: bed.clock.clone(),
        });
        let reports = Reports::new(Parts {
            store: bed.store.clone(),
            log: bed.log.clone(),
            mes: bed.mes.clone(),
            shift: shift.clone(),
            maintenance,
            alarms,
            accounts: accounts.clone(),
            bus: bed.bus.clone(),
            clock: bed.clock.clone(),
            notes: bed.notes.clone(),
            key: SigningKey::open(&bed.folder.path().join("signing-key.pem")).expect("a key"),
            node: NODE,
            folder: bed.folder.path().join("reports"),
        });
        let mut here = Self { bed, accounts, shift, reports, filling: None };
        here.start_timeline();
        here
    }

    fn start_timeline(&mut self) {
        let (store, log) = (Arc::new(self.bed.store.clone()), self.bed.log.clone());
        let stop = CancellationToken::new();
        let filling = run_timeline(store, log, stop.clone());
        // Ends with `stop`.
        let filling = tokio::spawn(async move { filling.await.expect("filled") });
        self.filling = Some((stop, filling));
    }

    async fn stop_timeline(&mut self) {
        if let Some((stop, filling)) = self.filling.take() {
            stop.cancel();
            filling.await.expect("ended");
        }
    }

    async fn killed(mut self) -> Self {
        self.stop_timeline().await;
        drop(self.reports);
        drop(self.shift);
        drop(self.accounts);
        Self::over(self.bed.killed().await).await
    }

    async fn person(&self, name: &str) -> Principal {
        let grants = vec![Grant { role: Role::Engineer, branch: "works".to_owned() }];
        let id = self.accounts.create_user(&Principal::SYSTEM, name, "correct horse battery 7", grants).await;
        Principal { id: id.expect("created"), kind: PrincipalKind::Person }
    }

    /// At a minute, the floor has read on and what is due is made.
    async fn round_at(&mut self, minute: i64) {
        self.bed.at_minute(minute, &[]).await;
        self.reports.round(&CancellationToken::new()).await;
    }

    /// So many hours later the same.
    async fn turn_on(&mut self, hours: u64) {
        self.bed.clock.advance(Duration::from_secs(hours * 3600));
        self.bed.go_on().await;
        self.reports.round(&CancellationToken::new()).await;
    }

    /// All reports, by their windows.
    async fn all(&self) -> Vec<ReportView> {
        let page = self.reports.reports(ReportFilter::of(vec!["works".to_owned()], 100)).await.expect("a page");
        assert_eq!(page.next, None);
        let mut reports = page.reports;
        reports.sort_by_key(|row| (row.from_ms, row.made_ms));
        reports
    }

    /// Beginnings of the windows of all reports, in hours after the test's midnight, and who made them.
    async fn windows(&self) -> Vec<(i64, Option<String>)> {
        let midnight = at(-8 * 60).millis();
        self.all().await.into_iter().map(|row| ((row.from_ms - midnight) / 3_600_000, row.shift)).collect()
    }

    async fn whole(&self, id: Uuid) -> WholeReport {
        self.reports.report(id).await.expect("a report")
    }

    async fn make(&self, key: u128, subject: ReportSubject, by: &Principal) -> Result<(bool, ReportView), NotDone> {
        self.reports.make(Uuid::from_u128(key), subject, by.clone()).await
    }

    /// An order of 500 on the press, begun, with 300 good and 5 scrap.
    async fn order(&self, number: &str, by: &Principal) -> Uuid {
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
        let version = self.bed.mes.job(job, by.id).await.expect("a job").version;
        let wish = TriggerWish {
            what: JobTrigger::Begin,
            version,
            key: new_id(&*self.bed.clock),
            reason: None,
            why: None,
            prepared: None,
            equipment: None,
        };
        self.bed.mes.trigger(job, wish, by.clone()).await.expect("begun");
        let key = new_id(&*self.bed.clock);
        let counted = CountWish { key, good: 300.0, scrap: 5.0, rework: 0.0, reason: Some("Jam".to_owned()) };
        self.bed.mes.count(job, counted, by.clone()).await.expect("counted");
        job
    }

    /// An alarm of a tag moves, at a minute, and is in the timeline.
    async fn alarm(&self, minute: i64, tag: &str, from: AlarmState, to: AlarmState) {
        self.record(minute, tag, AlarmChange { alarm: format!("{tag}:high"), ..change(from, to) }).await;
    }

    async fn record(&self, minute: i64, tag: &str, change: AlarmChange) {
        let (id, by) = (new_id(&*self.bed.clock), Principal::SYSTEM);
        let event = Event { id, at: at(minute), source_at: None, path: tag.to_owned(), by, what: What::Alarm(change) };
        self.bed.recorder.record(event).await.expect("recorded");
    }

    /// Everything in the log is in the timeline.
    async fn timeline(&self) {
        let end = self.bed.log.durable_seq(Lane::Records);
        while self.bed.store.applied(READER, Lane::Records).await.expect("read") < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Another plant is in force.
    async fn follow(&self, plant: &str) {
        let store = &self.bed.store;
        let version = store.current_plant().await.expect("a model").0.version;
        store.apply_plant(version, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        let (plant, ids) = store.current_plant().await.expect("a model");
        self.bed.bus.set_plant(Arc::new(plant), ids);
        self.bed.mes.follow().await.expect("followed");
    }

    /// What could not be done last, in words.
    async fn error(&self) -> Option<String> {
        self.reports.schedules().await.expect("schedules").remove(0).error.map(|error| error.text)
    }

    /// Files of reports in a folder.
    fn files(&self, folder: &str) -> usize {
        let files = std::fs::read_dir(self.bed.folder.path().join("reports").join(folder)).expect("a folder");
        let names = files.map(|file| file.expect("a file").file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".json")).count()
    }

    /// A report that somebody has written past the node: with these members, signed under this key.
    async fn forge(&self, mut row: ReportRow, mut content: Json, own_id: bool, key: &SigningKey) -> Uuid {
        let old = std::mem::replace(&mut row.id, new_id(&*self.bed.clock));
        let by = PublicKey(Hex(key.public()));
        content["id"] = json!(if own_id { row.id } else { old });
        content["node"]["key_id"] = json!(by.to_string());
        (row.schedule, row.by) = (None, Some(Uuid::from_u128(9)));
        let content = report::canonical(&content).expect("canonical");
        let what = What::Note(Note { text: "forged".to_owned(), until: None });
        let id = new_id(&*self.bed.clock);
        let event = Event { id, at: at(0), source_at: None, path: "works".to_owned(), by: Principal::SYSTEM, what };
        let (signature, id) = (key.sign(&content).expect("signed"), row.id);
        let new = NewReport { row, key: None, content, signature, key_id: by.to_string(), folder: None, event };
        assert!(matches!(self.bed.store.report_keep(new).await, Ok(ReportKept::Now(_))));
        id
    }

    fn key(&self) -> PublicKey {
        let key = SigningKey::open(&self.bed.folder.path().join("signing-key.pem")).expect("a key");
        PublicKey(Hex(key.public()))
    }
}

fn change(from: AlarmState, to: AlarmState) -> AlarmChange {
    AlarmChange {
        alarm: "hot".to_owned(),
        occurrence: Uuid::from_u128(70),
        from,
        to,
        priority: 2,
        condition: "high".to_owned(),
        message: "too hot".to_owned(),
        value: Value::Null,
        quality: StatusCode::GOOD,
        limit: None,
        note: None,
    }
}

/// As it stands in a report: what may be broken is a text.
fn signed(view: &impl serde::Serialize) -> Json {
    let view = serde_json::to_value(view).expect("JSON");
    serde_json::from_slice(&report::canonical(&view).expect("canonical")).expect("JSON")
}

fn shift_of(from: i64, to: i64) -> ReportSubject {
    ReportSubject::Shift("works/line".to_owned(), Some((at(from), at(to))))
}

#[tokio::test]
async fn each_shift_has_one_report_over_kills_and_what_was_missed_is_made_afterwards() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    let first = [(-10, Some("Late".to_owned()))];
    assert_eq!(here.windows().await, first, "the shift that ended last, and none before it");
    // Early ends at 14:00, six hours after the test's beginning.
    here.round_at(6 * 60 + 9).await;
    assert_eq!(here.windows().await, first, "ten minutes after the end, not before");
    here.round_at(6 * 60 + 10).await;
    let [late, early] = [(-10, Some("Late".to_owned())), (6, Some("Early".to_owned()))];
    assert_eq!(here.windows().await, [late.clone(), early.clone()]);
    here.round_at(6 * 60 + 11).await;
    let mut here = here.killed().await;
    here.round_at(6 * 60 + 12).await;
    assert_eq!(here.windows().await, [late, early], "once, also after a kill");
    let next = here.reports.schedules().await.expect("schedules").remove(0);
    assert_eq!((next.last.map(|row| row.from_ms), next.error), (Some(at(-120).millis()), None));
    assert_eq!(next.next.map(|next| next.at_ms), Some(at(14 * 60 + 10).millis()));
    // Down for a day and a half.
    let mut here = here.killed().await;
    here.round_at(6 * 60 + 36 * 60 + 20).await;
    let begins: Vec<i64> = here.windows().await.into_iter().map(|(begins, _)| begins).collect();
    assert_eq!(begins, [-10, 6, 14, 30, 38]);
    // Longer than is caught up with.
    here.round_at(40 * 24 * 60).await;
    let all = here.windows().await;
    assert!(all.len() <= 5 + 2 * 14 && all.len() > 20, "{} reports", all.len());
    let at_rest = all.len();
    here.reports.round(&CancellationToken::new()).await;
    assert_eq!(here.windows().await.len(), at_rest);
}

#[tokio::test]
async fn what_machines_said_until_the_end_is_waited_for() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    // The clock goes on, and the floor has read nothing since.
    here.bed.clock.set(at(6 * 60 + 30));
    here.reports.round(&CancellationToken::new()).await;
    assert_eq!(here.windows().await.len(), 1);
    here.round_at(6 * 60 + 31).await;
    assert_eq!(here.windows().await.len(), 2);
}

#[tokio::test]
async fn a_report_says_what_the_api_answers_and_a_later_correction_leaves_it_as_it_is() {
    let mut here = Here::new().await;
    let mara = here.person("mara").await;
    here.round_at(0).await;
    here.bed.at_minute(1, &[("press/state", EXECUTE)]).await;
    here.shift.sign_on("works/line/press".to_owned(), None, Uuid::from_u128(1), mara.clone()).await.expect("on");
    here.order("4711", &mara).await;
    here.bed.at_minute(60, &[("press/state", HELD)]).await;
    here.alarm(70, "works/line/press/state", AlarmState::Normal, AlarmState::Unacknowledged).await;
    here.alarm(75, "works/store/x", AlarmState::Normal, AlarmState::Unacknowledged).await;
    here.alarm(80, "works/line/press/state", AlarmState::Unacknowledged, AlarmState::Normal).await;
    here.bed.at_minute(90, &[("press/state", EXECUTE)]).await;
    let wish = EntryWish {
        key: Uuid::from_u128(2),
        path: "works/line".to_owned(),
        kind: "note".to_owned(),
        text: "Caps sit loose.".to_owned(),
        pinned: false,
        corrects: None,
        links: Links { order: Some("4711".to_owned()), ..Links::default() },
    };
    here.shift.write(wish, mara.clone()).await.expect("written");
    here.bed.at_minute(6 * 60, &[]).await;
    here.timeline().await;
    here.round_at(6 * 60 + 10).await;
    let early = here.all().await.pop().expect("a report");
    let whole = here.whole(early.id).await;
    assert!(whole.verified && whole.superseded == Some(false), "{whole:?}");
    let (report, sections) = (&whole.report, &whole.report["sections"]);
    assert_eq!((report["shift"].as_str(), report["title"].as_str()), (Some("Early"), Some("Line 1")));
    assert_eq!((report["goes_on"].as_bool(), report["time_zone"].as_str()), (Some(false), Some("UTC")));

    let kpis = signed(&here.bed.kpis("works/line", -120, 6 * 60).await);
    for told in ["times", "amounts", "kpis", "losses", "reasons", "good_ms", "machines"] {
        assert_eq!(sections["kpis"][told], kpis[told], "{told}");
    }
    assert_eq!(sections["kpis"]["times"]["delay_ms"], json!("1800000"), "and that is something");
    let window = Window { from: at(-120), to: at(6 * 60) };
    let children = here.bed.mes.children("works/line".to_owned(), window, vec![String::new()]).await.expect("children");
    assert_eq!(sections["children"]["rows"][0]["oee"], signed(&children.children[0])["oee"]);
    let order = signed(&here.bed.mes.order("4711".to_owned(), Uuid::nil()).await.expect("an order"));
    assert_eq!(sections["orders"]["rows"][0]["scrap"], json!("5"));
    assert_eq!(sections["orders"]["rows"][0]["good"], order["good"]);
    assert_eq!(sections["jobs"]["rows"][0]["number"], json!("4711/10"));
    assert_eq!(sections["alarms"]["raised"], json!(1), "that of the line: {}", sections["alarms"]);
    assert_eq!(sections["alarms"]["rows"][0]["longest_ms"], json!(10 * 60_000));
    let entry = &sections["logbook"]["rows"][0];
    assert_eq!((entry["text"].as_str(), entry["order"].as_str()), (Some("Caps sit loose."), Some("4711")));
    let labour = here.shift.worked("works/line".to_owned(), (at(-120), at(6 * 60)), mara.clone()).await.expect("hours");
    assert_eq!(sections["labour"]["attendance_ms"], json!(labour.attendance_ms));
    assert!(labour.attendance_ms > 0);
    // Of people there are ids in it, and their names beside it.
    assert!(!report.to_string().contains("mara"), "{report}");
    assert_eq!(whole.people.get(&mara.id).map(String::as_str), Some("mara"));

    let key = Uuid::from_u128(9);
    let said = Said::State("Execute".to_owned());
    let path = "works/line/press".to_owned();
    let wish = CorrectionWish { path, from: at(60), to: at(90), said, note: None, key };
    here.bed.mes.correct(wish, mara.clone()).await.expect("corrected");
    let after = here.whole(early.id).await;
    assert_eq!((&after.report, after.superseded), (report, Some(true)));
    // Made again, it says so and names the one before.
    let (made, again) = here.make(20, shift_of(-120, 6 * 60), &mara).await.expect("made");
    assert_eq!((made, again.replaces, again.shift.as_deref()), (true, Some(early.id), Some("Early")));
    let again = here.whole(again.id).await;
    assert_eq!((again.superseded, &again.report["replaces"]), (Some(false), &json!(early.id)));
    assert_eq!(again.report["sections"]["kpis"]["times"]["delay_ms"], json!("0"));
    assert_eq!(here.whole(early.id).await.row.replaced_by, Some(again.row.id));
}

#[tokio::test]
async fn its_file_verifies_and_one_changed_byte_is_refused() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    let row = here.all().await.remove(0);
    let file = here.reports.file(row.id).await.expect("a file");
    let verify = |bytes: &[u8]| report::verify(bytes, &[here.key()], is_signed_by);
    let head = verify(&file.bytes).expect("signed by this node");
    assert_eq!((head.id, head.schedule.as_deref(), head.from_ms), (row.id, Some("line shift"), row.from_ms));
    assert_eq!(head.node.id, NODE);
    for at in (0..file.bytes.len() - 1).step_by(7) {
        let mut changed = file.bytes.clone();
        changed[at] ^= 1;
        assert!(verify(&changed).is_err(), "byte {at} is {:?}", char::from(file.bytes[at]));
    }
    // So says the tool.
    let at = here.bed.folder.path().join("report.json");
    let told = |bytes: &[u8], key: &str| {
        std::fs::write(&at, bytes).expect("written");
        format!("{:?}", crate::verify::report(&at, &[key.to_owned()]).expect("read"))
    };
    let (own, good, refused) =
        (here.key().to_string(), format!("{:?}", ExitCode::SUCCESS), format!("{:?}", ExitCode::from(2)));
    assert_eq!(told(&file.bytes, &own), good);
    assert_eq!(told(&file.bytes, &"00".repeat(32)), refused, "under a key that nobody trusts");
    let changed = String::from_utf8(file.bytes.clone()).expect("text").replace("Line 1", "Line 2");
    assert_eq!(told(changed.as_bytes(), &own), refused);
    // The same files were written to the folder, with a table each.
    let folder = here.bed.folder.path().join("reports/line1/shifts");
    assert_eq!(std::fs::read(folder.join(&file.name)).expect("written"), file.bytes);
    assert!(file.name.starts_with("line-shift_20260531T140000Z_"), "{}", file.name);
    let table = file.name.replace(".json", ".kpis.csv");
    let table = std::fs::read_to_string(folder.join(table)).expect("a table");
    assert!(table.starts_with("id,value,numerator,denominator,target,formula\r\n") && table.contains("\r\noee_index,"));
    let written = std::fs::read_dir(&folder).expect("a folder").count();
    here.reports.round(&CancellationToken::new()).await;
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), written);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_holds_nothing_up_and_is_told_until_it_can() {
    let mut here = Here::new().await;
    std::fs::write(here.bed.folder.path().join("reports"), "in the way").expect("written");
    here.round_at(0).await;
    assert_eq!(here.all().await.len(), 1);
    let error = here.reports.schedules().await.expect("schedules").remove(0).error.expect("an error");
    assert!(error.text.contains("reports/line1/shifts"), "{}", error.text);
    std::fs::remove_file(here.bed.folder.path().join("reports")).expect("removed");
    here.reports.round(&CancellationToken::new()).await;
    assert_eq!(here.reports.schedules().await.expect("schedules").remove(0).error, None);
    let file = here.reports.file(here.all().await[0].id).await.expect("a file");
    assert!(here.bed.folder.path().join("reports/line1/shifts").join(file.name).exists());
}

#[tokio::test]
async fn a_person_has_one_made_once_for_a_key_also_of_a_shift_that_is_on() {
    let mut here = Here::new().await;
    let mara = here.person("mara").await;
    here.bed.at_minute(30, &[("press/state", EXECUTE)]).await;
    let on = || ReportSubject::Shift("works/line".to_owned(), None);
    let (made, first) = here.make(1, on(), &mara).await.expect("made");
    assert_eq!((made, first.shift.as_deref(), first.to_ms), (true, Some("Early"), at(360).millis()));
    assert_eq!((first.by, first.by_name.as_deref(), first.schedule), (Some(mara.id), Some("mara"), None));
    let whole = here.whole(first.id).await;
    assert_eq!(whole.report["goes_on"], json!(true));
    assert_eq!(whole.report["sections"]["kpis"]["to_ms"], json!(at(30).millis()), "as far as it is over");
    let (made, again) = here.make(1, on(), &mara).await.expect("as before");
    assert_eq!((made, again.id), (false, first.id));
    for other in [ReportSubject::Day("works".to_owned(), None), shift_of(-120, 6 * 60), shift_of(-120, 30)] {
        let other = here.make(1, other, &mara).await;
        assert!(matches!(other, Err(NotDone::Conflict(..))), "{other:?}");
    }
    for _ in 0..2 {
        let (_, again) = here.make(5, shift_of(-120, 20), &mara).await.expect("made");
        assert_eq!((again.from_ms, again.to_ms), (at(-120).millis(), at(20).millis()));
    }
    let other = here.make(5, shift_of(-120, 21), &mara).await;
    assert!(matches!(other, Err(NotDone::Conflict(..))), "another window is something else: {other:?}");
    let (_, day) = here.make(2, ReportSubject::Day("works".to_owned(), None), &mara).await.expect("made");
    assert_eq!((day.from_ms, day.to_ms), (at(-8 * 60).millis(), at(16 * 60).millis()));
    let nowhere = here.make(3, ReportSubject::Shift("works/store".to_owned(), None), &mara).await;
    assert!(matches!(nowhere, Err(NotDone::Refused(..))), "{nowhere:?}");
    // Where no machine is followed, the figures are missing and the rest is told.
    let (_, store) = here.make(4, ReportSubject::Day("works/store".to_owned(), None), &mara).await.expect("made");
    let sections = here.whole(store.id).await.report["sections"].clone();
    assert!(sections["kpis"]["missing"].as_str().is_some_and(|why| why.contains("no machine")), "{sections}");
    assert_eq!(sections["logbook"]["rows"], json!([]));
}

fn unit(clock: &dyn Clock, number: &str, job: Uuid) -> [Step; 2] {
    let name = ItemName { kind: ItemKind::Unit, material: "BOLT".to_owned(), number: number.to_owned() };
    let item = NewItem {
        id: new_id(clock),
        name: name.clone(),
        revision: None,
        quantity: None,
        state: Disposition::Released,
        place: None,
        at: at(5),
        job: Some(job),
        by: None,
        told_if_new: None,
    };
    let pass = NewPass {
        unit: ItemRef::Name(name),
        equipment: "works/line/press".to_owned(),
        at: at(6),
        job: Some(job),
        operation: None,
        passed: Some(true),
        measures: serde_json::Map::new(),
        firmware: BTreeMap::new(),
        last: true,
    };
    [Step::Item(item), Step::Pass(pass)]
}

#[tokio::test]
async fn an_orders_report_has_its_jobs_counts_and_units_and_stands_at_the_branch_of_them_all() {
    let mut here = Here::new().await;
    let mara = here.person("mara").await;
    let job = here.order("4711", &mara).await;
    let store: &Store = &here.bed.store;
    let steps = ["S1", "S2"].into_iter().flat_map(|number| unit(&*here.bed.clock, number, job)).collect();
    store.trace_apply(Told::of(steps, None)).await.expect("applied");
    here.bed.at_minute(20, &[]).await;
    let order = || ReportSubject::Order("4711".to_owned());
    assert_eq!(here.reports.place_of_order("4711".to_owned()).await.as_deref(), Ok("works/line/press"));
    let (_, row) = here.make(1, order(), &mara).await.expect("made");
    assert_eq!(
        (row.path.as_str(), row.order.as_deref(), row.to_ms),
        ("works/line/press", Some("4711"), at(20).millis())
    );
    let whole = here.whole(row.id).await;
    assert!(whole.verified && whole.superseded == Some(false));
    let sections = &whole.report["sections"];
    assert_eq!((&sections["order"]["good"], &sections["order"]["scrap"]), (&json!("300"), &json!("5")));
    assert_eq!(sections["jobs"]["rows"][0]["number"], json!("4711/10"));
    let counted = &sections["counts"]["rows"][0];
    assert_eq!((&counted["reason"], &counted["by"]), (&json!("Jam"), &json!(mara.id)));
    let units: Vec<_> =
        sections["units"]["rows"].as_array().expect("units").iter().map(|unit| &unit["number"]).collect();
    assert_eq!(units, [&json!("S2"), &json!("S1")], "the newest first");
    assert_eq!(sections["units"]["truncated"], json!(false));
    // Counted on, the report is out of date, and a new one takes its place.
    let key = new_id(&*here.bed.clock);
    let counted = CountWish { key, good: 1.0, scrap: 0.0, rework: 0.0, reason: None };
    here.bed.mes.count(job, counted, mara.clone()).await.expect("counted");
    assert_eq!(here.whole(row.id).await.superseded, Some(true));
    let (_, second) = here.make(2, order(), &mara).await.expect("made");
    assert_eq!(second.replaces, Some(row.id));
    let unknown = here.make(3, ReportSubject::Order("9".to_owned()), &mara).await;
    assert!(matches!(unknown, Err(NotDone::Unknown(_))), "{unknown:?}");
    assert_eq!(here.bed.clock.now(), at(20));
}

#[tokio::test]
async fn what_a_schedule_keeps_no_longer_goes_and_a_clock_that_leaps_takes_nothing() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    let first = here.all().await[0].id;
    // A clock that comes beyond the 30 days in one leap is not believed at once.
    here.bed.clock.set(at(60 * 24 * 60));
    here.turn_on(2).await;
    assert!(here.all().await.iter().any(|row| row.id == first), "the clock has leapt");
    here.turn_on(26).await;
    assert!(!here.all().await.iter().any(|row| row.id == first), "it has stood by it for a day");
    assert!(here.all().await.len() > 20, "the others are not so old");
}

#[tokio::test]
async fn a_leap_that_a_restart_follows_takes_nothing_either() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    let first = here.all().await[0].id;
    here.bed.clock.set(at(60 * 24 * 60));
    here.turn_on(2).await;
    // The newest report says what the clock says.
    let mut here = here.killed().await;
    here.turn_on(1).await;
    assert!(here.all().await.iter().any(|row| row.id == first), "the clock has leapt");
    here.turn_on(26).await;
    assert!(!here.all().await.iter().any(|row| row.id == first), "it has stood by it for a day");
}

#[tokio::test]
async fn another_calendar_makes_no_reports_of_shifts_that_never_were() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    here.round_at(6 * 60 + 10).await;
    let made = here.windows().await;
    assert_eq!(made.len(), 2);
    let shifts = r#"shift = [{ name = "A", from = "05:00", to = "13:00" }, { name = "B", from = "13:00", to = "21:00" }, { name = "C", from = "21:00", to = "05:00" }]"#;
    let from = PLANT.find("shift = [").expect("shifts");
    let to = from + PLANT[from..].find('\n').expect("a line");
    here.follow(&format!("{}{shifts}{}", &PLANT[..from], &PLANT[to..])).await;
    here.round_at(6 * 60 + 20).await;
    assert_eq!(here.windows().await, made, "nothing of the last two weeks");
    let next = here.reports.schedules().await.expect("schedules").remove(0).next.expect("a next one");
    assert_eq!((next.from_ms, next.to_ms), (at(5 * 60).millis(), at(13 * 60).millis()));
    here.round_at(13 * 60 + 10).await;
    assert_eq!(here.windows().await[2..], [(13, Some("B".to_owned()))]);
    // And back again: what ended before the last one is not looked at.
    here.follow(PLANT).await;
    here.round_at(13 * 60 + 20).await;
    assert_eq!(here.windows().await.len(), 3);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_has_made_holds_up_nothing() {
    let mut here = Here::new().await;
    here.round_at(60 * 24 * 60).await;
    let ahead = here.windows().await;
    assert_eq!(ahead.len(), 1, "the first one of all");
    here.round_at(0).await;
    assert_eq!(here.windows().await[0], (-10, Some("Late".to_owned())));
    let next = here.reports.schedules().await.expect("schedules").remove(0).next.map(|next| next.at_ms);
    assert_eq!(next, Some(at(6 * 60 + 10).millis()));
    here.round_at(6 * 60 + 10).await;
    assert_eq!(here.windows().await[1], (6, Some("Early".to_owned())));
    assert_eq!(here.windows().await.len(), 3);
}

#[tokio::test]
async fn a_window_that_cannot_be_made_is_owed_and_holds_up_none_after_it() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    // More than a report may have, raised in the early shift.
    let message = "x".repeat(50_000);
    for number in 0..200 {
        let change = AlarmChange {
            alarm: format!("alarm {number}"),
            message: message.clone(),
            ..change(AlarmState::Normal, AlarmState::Unacknowledged)
        };
        here.record(30, "works/line/press/state", change).await;
    }
    here.timeline().await;
    here.round_at(6 * 60 + 10).await;
    assert_eq!(here.windows().await.len(), 1);
    assert!(here.error().await.is_some_and(|why| why.contains("bytes")), "{:?}", here.error().await);
    here.round_at(14 * 60 + 10).await;
    let made: Vec<i64> = here.windows().await.into_iter().map(|(begins, _)| begins).collect();
    assert_eq!(made, [-10, 14], "the late shift has its own");
    // What is owed is tried again now and then, and told all the time.
    for (second, tried) in [(10, 0), (59, 0), (60, 60), (70, 60)] {
        let minute = at(14 * 60 + 10);
        here.bed.clock.advance(minute.plus(Duration::from_secs(second)).since(here.bed.clock.now()));
        here.bed.go_on().await;
        here.reports.round(&CancellationToken::new()).await;
        let error = here.reports.schedules().await.expect("schedules").remove(0).error.expect("an error");
        assert_eq!(error.at_ms, minute.millis() + tried * 1_000, "after {second} s");
    }
    // A restart forgets none.
    let mut here = here.killed().await;
    here.round_at(14 * 60 + 12).await;
    assert_eq!(here.windows().await.len(), 2);
    assert!(here.error().await.is_some(), "it is tried again");
    let next = here.reports.schedules().await.expect("schedules").remove(0).next.map(|next| next.from_ms);
    assert_eq!(next, Some(at(-120).millis()));
    here.round_at(20 * 24 * 60).await;
    assert_eq!(here.error().await, None, "as long as is caught up with");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_once_and_holds_up_no_other() {
    let more = "[[report]]\nname = \"works day\"\nkind = \"day\"\nat = \"works\"\nfolder = \"days\"\n";
    let mut here = Here::over(Testbed::new(&format!("{PLANT}{more}")).await).await;
    let folder = here.bed.folder.path().join("reports");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("line1"), "in the way").expect("written");
    here.round_at(0).await;
    let (told, error) = (here.bed.notes.lost(), here.error().await);
    assert_eq!(told, 1, "nobody takes notes here, so that they are counted");
    assert_eq!(here.files("days"), 1);
    // More than are written at once wait for the folder.
    here.round_at(14 * 24 * 60).await;
    here.reports.round(&CancellationToken::new()).await;
    let all = here.all().await;
    let days = all.iter().filter(|row| row.kind == "day").count();
    assert!(all.len() - days > 20 && days > 10, "{} and {days}", all.len());
    assert_eq!(here.files("days"), days, "another's files are written");
    assert_eq!((here.bed.notes.lost(), here.error().await), (told, error), "the same is told once");
    // Nobody has to hear of a schedule that is none any more.
    let from = PLANT.find("[[report]]").expect("a schedule");
    here.follow(&PLANT[..from]).await;
    for _ in 0..2 {
        here.reports.round(&CancellationToken::new()).await;
    }
    assert_eq!(here.bed.notes.lost(), told);
    here.follow(PLANT).await;
    std::fs::remove_file(folder.join("line1")).expect("removed");
    for _ in 0..2 {
        here.reports.round(&CancellationToken::new()).await;
    }
    assert_eq!((here.files("line1/shifts"), here.error().await), (all.len() - days, None));
}

#[tokio::test]
async fn what_was_recorded_is_waited_for_and_a_person_is_told() {
    let mut here = Here::new().await;
    let mara = here.person("mara").await;
    here.round_at(0).await;
    here.timeline().await;
    here.stop_timeline().await;
    here.alarm(70, "works/line/press/state", AlarmState::Normal, AlarmState::Unacknowledged).await;
    here.round_at(6 * 60 + 10).await;
    assert_eq!((here.windows().await.len(), here.error().await), (1, None), "it would be without the alarm");
    let made = here.make(1, shift_of(-120, 6 * 60), &mara).await;
    assert!(matches!(&made, Err(NotDone::Failed(why)) if why.contains("still being read")), "{made:?}");
    here.start_timeline();
    here.reports.round(&CancellationToken::new()).await;
    let early = here.all().await.pop().expect("a report");
    assert_eq!(here.whole(early.id).await.report["sections"]["alarms"]["raised"], json!(1));
    // The same of what machines said until now.
    here.bed.clock.set(at(6 * 60 + 30));
    let day = || ReportSubject::Day("works".to_owned(), None);
    let made = here.make(2, day(), &mara).await;
    assert!(matches!(&made, Err(NotDone::Failed(why)) if why.contains("still being read")), "{made:?}");
    here.bed.go_on().await;
    here.make(2, day(), &mara).await.expect("made");
}

#[tokio::test]
async fn a_report_of_a_shift_that_goes_on_is_not_out_of_date_at_once() {
    let mut here = Here::new().await;
    let mara = here.person("mara").await;
    here.bed.at_minute(1, &[("press/state", EXECUTE)]).await;
    here.bed.clock.set(at(30).plus(Duration::from_micros(437)));
    here.bed.go_on().await;
    let (_, row) = here.make(1, ReportSubject::Shift("works/line".to_owned(), None), &mara).await.expect("made");
    assert_eq!(here.whole(row.id).await.superseded, Some(false));
    here.bed.at_minute(60, &[]).await;
    assert_eq!(here.whole(row.id).await.superseded, Some(false), "the shift goes on, the report does not");
}

#[tokio::test]
async fn what_came_after_a_window_pushes_nothing_of_it_out() {
    let here = Here::new().await;
    let (normal, raised) = (AlarmState::Normal, AlarmState::Unacknowledged);
    for (minute, from, to) in
        [(10, normal, raised), (20, raised, normal), (70, normal, raised), (75, raised, normal), (80, normal, raised)]
    {
        here.alarm(minute, "works/line/press/state", from, to).await;
    }
    here.timeline().await;
    let section = here.reports.alarms_of("works/line", (at(-120), at(60)), 2).await.expect("alarms");
    assert_eq!((&section["raised"], &section["truncated"]), (&json!(1), &json!(true)));
    assert_eq!(section["rows"][0]["longest_ms"], json!(10 * 60_000));
    let section = here.reports.alarms_of("works/line", (at(-120), at(60)), 9).await.expect("alarms");
    assert_eq!((&section["raised"], &section["truncated"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn of_many_jobs_those_are_told_that_stood_there_last() {
    let here = Here::new().await;
    let mara = here.person("mara").await;
    let mut jobs = Vec::new();
    for number in ["4711", "4712", "4713"] {
        let job = here.order(number, &mara).await;
        here.bed.clock.advance(Duration::from_secs(60));
        let version = here.bed.mes.job(job, mara.id).await.expect("a job").version;
        let wish = TriggerWish {
            what: JobTrigger::Stop,
            version,
            key: new_id(&*here.bed.clock),
            reason: None,
            why: None,
            prepared: None,
            equipment: None,
        };
        here.bed.mes.trigger(job, wish, mara.clone()).await.expect("stopped");
        here.bed.clock.advance(Duration::from_secs(60));
        jobs.push(job);
    }
    for (most, stood, cut) in [((9, 9), 3, false), ((2, 9), 2, true), ((9, 2), 2, true), ((9, 3), 3, false)] {
        let told = here.reports.jobs_that_stood("works/line", (at(-120), at(60)), most).await.ok().expect("read");
        assert_eq!(told, (jobs[3 - stood..].iter().copied().collect(), cut), "{most:?}");
    }
    let first = here.reports.jobs_that_stood("works/line", (at(-120), at(1)), (9, 9)).await.ok().expect("read");
    assert_eq!(first, (jobs[..1].iter().copied().collect(), false), "of the window");
}

#[tokio::test]
async fn only_what_the_node_has_signed_of_that_row_is_verified() {
    let mut here = Here::new().await;
    here.round_at(0).await;
    let whole = here.whole(here.all().await[0].id).await;
    let row = here.bed.store.report_row(whole.row.id).await.expect("read").expect("a row");
    let key = |name: &str| SigningKey::open(&here.bed.folder.path().join(name)).expect("a key");
    let (own, other) = (key("signing-key.pem"), key("other-key.pem"));
    let honest = here.forge(row.clone(), whole.report.clone(), true, &own).await;
    let other = here.forge(row.clone(), whole.report.clone(), true, &other).await;
    let moved = ReportRow { path: "works/store".to_owned(), ..row.clone() };
    let moved = here.forge(moved, whole.report.clone(), true, &own).await;
    let renamed = here.forge(row, whole.report.clone(), false, &own).await;
    for (id, verified) in [(honest, true), (other, false), (moved, false), (renamed, false)] {
        assert_eq!(here.whole(id).await.verified, verified);
    }
}

#[tokio::test]
async fn two_schedules_of_one_place_take_the_place_of_none_of_each_other() {
    let second = PLANT.replace("line shift", "other shift");
    let second = &second[second.find("[[report]]").expect("a schedule")..];
    let mut here = Here::over(Testbed::new(&format!("{PLANT}{second}")).await).await;
    here.round_at(0).await;
    let all = here.all().await;
    assert_eq!((all.len(), all[0].from_ms), (2, all[1].from_ms));
    assert!(all.iter().all(|row| row.replaces.is_none() && row.replaced_by.is_none()), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orders_report_is_for_those_who_may_view_traceability() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let order = json!({ "number": "4711", "material": "BOLT", "quantity": 5, "release": true });
    let (status, made) = json_of(&node, "POST", "/api/mes/orders", order).await;
    assert_eq!(status, 201, "{made}");
    let wish = |key| json!({ "key": Uuid::from_u128(key), "kind": "order", "order": "4711" });
    let (status, of_order) = json_of(&node, "POST", "/api/mes/reports", wish(1)).await;
    assert_eq!(status, 201, "{of_order}");
    let day = json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works/line" });
    let (_, day) = json_of(&node, "POST", "/api/mes/reports", day).await;
    // No station tells of units, so that only who has the whole plant may view them.
    let (all, line) = (token(&node, "operator", "").await, token(&node, "operator", "works").await);
    for (report, who, status) in [(&of_order, &all, 200), (&of_order, &line, 404), (&day, &line, 200)] {
        let one = format!("/api/mes/reports/{}", report["id"].as_str().expect("an id"));
        for path in [one.clone(), format!("{one}/file")] {
            let (told, answer) = as_token(&node, who, "GET", &path, Json::Null).await;
            assert_eq!(told, status, "{path}: {answer}");
        }
    }
    assert_eq!(as_token(&node, &line, "POST", "/api/mes/reports", wish(3)).await.0, 404);
    assert_eq!(as_token(&node, &all, "POST", "/api/mes/reports", wish(3)).await.0, 201);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_report_is_made_once_listed_shown_and_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = start(folder.path(), "").await.expect("a node");
    apply(&node, PLANT, 0).await;
    let day = json!({ "key": Uuid::from_u128(1), "kind": "day", "path": "works" });
    let (status, made) = json_of(&node, "POST", "/api/mes/reports", day.clone()).await;
    assert_eq!((status, &made["kind"], &made["schedule"]), (201, &json!("day"), &Json::Null), "{made}");
    let (status, again) = json_of(&node, "POST", "/api/mes/reports", day).await;
    assert_eq!((status, &again["id"]), (200, &made["id"]));
    for (status, wish) in [
        (409, json!({ "key": Uuid::from_u128(1), "kind": "day", "path": "works/line" })),
        (404, json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "wroks" })),
        (404, json!({ "key": Uuid::from_u128(2), "kind": "order", "order": "4711" })),
        (404, json!({ "key": Uuid::from_u128(2), "kind": "order", "order": "../x" })),
        (422, json!({ "key": Uuid::from_u128(2), "kind": "shift", "path": "works/store" })),
        (400, json!({ "key": Uuid::from_u128(2), "kind": "week", "path": "works" })),
        (400, json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works", "order": "4711" })),
        (400, json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works", "from_ms": 5 })),
        (400, json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works", "from_ms": 5, "to_ms": 5 })),
        (
            400,
            json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works", "from_ms": 0, "to_ms": 33 * 86_400_000_i64 }),
        ),
        (
            400,
            json!({ "key": Uuid::from_u128(2), "kind": "day", "path": "works", "from_ms": 4_102_444_800_000_i64, "to_ms": 4_102_444_900_000_i64 }),
        ),
    ] {
        let (told, answer) = json_of(&node, "POST", "/api/mes/reports", wish.clone()).await;
        assert_eq!(told, status, "{wish}: {answer}");
    }
    let (status, list) = json_of(&node, "GET", "/api/mes/reports?kind=day,order&path=works", Json::Null).await;
    assert_eq!(
        (status, list["reports"].as_array().map(Vec::len), &list["next"]),
        (200, Some(1), &Json::Null),
        "{list}"
    );
    assert_eq!(list["reports"][0]["id"], made["id"]);
    assert_eq!(json_of(&node, "GET", "/api/mes/reports?kind=year", Json::Null).await.0, 400);
    let one = format!("/api/mes/reports/{}", made["id"].as_str().expect("an id"));
    let (status, whole) = json_of(&node, "GET", &one, Json::Null).await;
    assert_eq!((status, &whole["verified"], &whole["report"]["path"]), (200, &json!(true), &json!("works")), "{whole}");
    let (status, file) = ask(&node, "GET", &format!("{one}/file"), "").await;
    let key = SigningKey::open(&folder.path().join("data/tls/signing-key.pem")).expect("the node's key");
    let head = report::verify(file.as_bytes(), &[PublicKey(Hex(key.public()))], is_signed_by);
    assert_eq!((status, head.map(|head| json!(head.id))), (200, Ok(made["id"].clone())));
    assert_eq!(json_of(&node, "GET", &format!("/api/mes/reports/{}", Uuid::from_u128(9)), Json::Null).await.0, 404);
    let (status, told) = json_of(&node, "GET", "/api/mes/report-schedules", Json::Null).await;
    assert_eq!((status, &told["schedules"][0]["name"]), (200, &json!("line shift")), "{told}");
    assert_eq!(json_of(&node, "GET", "/api/mes/orders/4711/units", Json::Null).await.0, 404);
    node.stop().await;
}
