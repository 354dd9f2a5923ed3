//! Tools over hours that a test turns by hand: what a life has used, told once over kills, whatever comes late or is put right.

use super::{Parts, Tools};
use crate::mes::testbed::{EXECUTE, IDLE, Testbed, at, plant_of};
use andon_api::ports::NotDone;
use andon_api::ports::mes::{CorrectionWish, Mes as _, Said};
use andon_api::ports::orders::{BY_PERSON, JobTrigger, OrderWish, Orders as _, TriggerWish};
use andon_api::ports::tools::{ToolDetail, ToolFilter, ToolWish, Tools as _};
use andon_bus::ids::new_id;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::{Event, TraceChange, What};
use andon_store::logbook::Key;
use andon_store::tools::{ToolRepository as _, ToolStep, ToolWrite, ToolWritten};
use andon_store::trace::{
    Change, Disposition, ItemKind, ItemName, ItemRef, NewItem, NewPass, Step, TraceRepository as _,
};
use andon_store::{OutboxRepository as _, PlantRepository as _};
use serde_json::Map;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PRESS: &str = "works/line/press";
const OVEN: &str = "works/line/oven";
const FLOOR: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }, { path = "works/line/mill", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }, { path = "works/line/press/scrap", type = "int64" }, { path = "works/line/oven/state", type = "int64" }, { path = "works/line/oven/good", type = "int64" }]
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
good = { tag = "works/line/oven/good" }
[[machine]]
equipment = "works/line/mill"
state = { tag = "works/line/oven/state", packml = true }
[[material]]
name = "CAP"
operation = [{ name = "10", equipment = ["works/line/press"], run_time = "6 s" }]
[[tool]]
name = "N"
"#;
const PRESS_AND_TOOLS: &str = r#"
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
scrap = { tag = "works/line/press/scrap" }
[[tool]]
name = "D"
kind = "die"
life = { run_time = "1 h" }
warn = 0.5
[[tool]]
name = "M"
title = "Cap mould"
kind = "mould"
machines = ["works/line/press", "works/line/oven"]
cavities = 4
life = { cycles = 100 }
"#;

fn person() -> Principal {
    Principal { id: Uuid::from_u128(7), kind: PrincipalKind::Person }
}

/// A shop floor with tools.
struct Bed {
    floor: Testbed,
    here: Arc<Tools>,
    keys: u128,
}

fn over(floor: &Testbed) -> Arc<Tools> {
    Tools::new(Parts { store: floor.store.clone(), mes: floor.mes.clone(), clock: floor.clock.clone() })
}

impl Bed {
    async fn new() -> Self {
        let floor = Testbed::new(&format!("{FLOOR}{PRESS_AND_TOOLS}")).await;
        Self { here: over(&floor), floor, keys: 1_000 }
    }

    async fn killed(self) -> Self {
        let mut again = self.killed_before_it_reads().await;
        again.floor.go_on().await;
        again
    }

    async fn killed_before_it_reads(self) -> Self {
        drop(self.here);
        let floor = self.floor.killed_before_it_reads().await;
        Self { here: over(&floor), floor, keys: self.keys }
    }

    /// At a minute, with what machines say; a second later it is looked what lives have come to. What was counted in an instant belongs to
    /// the window that begins with it.
    async fn at(&mut self, minute: i64, readings: &[(&str, i64)]) {
        self.floor.at_minute(minute, readings).await;
        self.floor.clock.set(at(minute).plus(Duration::from_secs(1)));
        self.here.tick().await.expect("looked");
    }

    async fn act(&mut self, tool: &str, wish: ToolWish) -> Result<(bool, ToolDetail), NotDone> {
        self.keys += 1;
        self.again(tool, wish, self.keys).await
    }

    async fn again(&self, tool: &str, wish: ToolWish, key: u128) -> Result<(bool, ToolDetail), NotDone> {
        self.here.act(tool.to_owned(), wish, "worn".to_owned(), Uuid::from_u128(key), person()).await
    }

    async fn done(&mut self, tool: &str, wish: ToolWish) -> ToolDetail {
        self.act(tool, wish).await.expect("done").1
    }

    async fn tool(&self, name: &str) -> ToolDetail {
        self.here.tool(name.to_owned()).await.expect("a tool")
    }

    /// Cycles, minutes of run time, the state, and what was told.
    async fn used(&self, name: &str) -> (f64, i64, String, Vec<String>) {
        let tool = self.tool(name).await.tool;
        let told = tool.told.into_iter().map(|told| told.level).collect();
        (tool.used.cycles, tool.used.run_time_ms / 60_000, tool.state, told)
    }

    /// What events tell of tools, in their order.
    async fn events(&self) -> Vec<String> {
        let pending = self.floor.store.outbox_pending(1_000).await.expect("read").len();
        assert_eq!(pending, 0, "all is told");
        let log: Arc<dyn andon_model::log::Log> = self.floor.log.clone();
        let read = log.read(andon_model::log::Lane::Records, andon_model::log::Seq(1), 8 << 20).expect("the records");
        let mut told = Vec::new();
        for frame in read.frames.iter().filter(|frame| frame.kind == andon_model::log::kind::EVENT) {
            let sealed: andon_model::event::SealedEvent = serde_json::from_slice(&frame.payload).expect("an event");
            if let What::Tool(change) = &sealed.event.what {
                let detail = change.detail.clone().unwrap_or_default();
                told.push(format!("{} {} {} {detail}", sealed.event.path, change.tool, change.action));
            }
        }
        told
    }

    /// Waits until the relay has told all.
    async fn relayed(&self) {
        for pending in self.floor.store.outbox_pending(1_000).await.expect("read") {
            self.floor.store.relay_now(pending.id, crate::plant_admin::TOLD_WITHIN).await.expect("told");
        }
    }

    /// Another model is in force.
    async fn replan(&self, plant: &str) {
        let version = self.floor.store.current_plant().await.expect("a model").0.version;
        self.floor.store.apply_plant(version, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        let (plant, ids) = self.floor.store.current_plant().await.expect("a model");
        self.floor.bus.set_plant(Arc::new(plant), ids);
        self.floor.mes.follow().await.expect("followed");
    }
}

fn mount(machine: &str) -> ToolWish {
    ToolWish::Mount { machine: machine.to_owned(), at: None, until: None }
}

fn unmount(machine: &str, minute: Option<i64>) -> ToolWish {
    ToolWish::Unmount { machine: machine.to_owned(), at: minute.map(at) }
}

fn told(cycles: f64, minutes: i64, state: &str, told: &[&str]) -> (f64, i64, String, Vec<String>) {
    (cycles, minutes, state.to_owned(), told.iter().map(|&level| level.to_owned()).collect())
}

#[tokio::test]
async fn what_machines_make_while_a_tool_is_mounted_is_used_and_told_once_over_kills() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("press/good", 0), ("press/scrap", 0), ("oven/good", 0)]).await;
    bed.at(10, &[("press/good", 100)]).await;
    bed.at(11, &[]).await;
    bed.done("M", mount(PRESS)).await;
    assert_eq!(bed.used("M").await, told(0.0, 0, "ok", &[]), "what was made before is none of its business");
    bed.at(30, &[("press/good", 240), ("press/scrap", 19)]).await;
    assert_eq!(bed.used("M").await, told(39.75, 19, "ok", &[]), "good and bad wear alike");
    bed.at(40, &[("press/good", 440)]).await;
    assert_eq!(bed.used("M").await, told(89.75, 29, "ok", &[]));
    bed.at(41, &[("press/scrap", 20)]).await;
    assert_eq!(bed.used("M").await, told(90.0, 30, "warn", &["warn"]));
    bed = bed.killed().await;
    // Of the minute around a kill nothing is known but what was counted.
    bed.at(42, &[("press/state", EXECUTE), ("press/good", 440)]).await;
    bed.at(60, &[("press/good", 480)]).await;
    assert_eq!(bed.used("M").await, told(100.0, 48, "end", &["warn", "end"]));
    bed = bed.killed().await;
    bed.at(61, &[("press/state", EXECUTE), ("press/good", 482)]).await;
    bed.at(90, &[("oven/good", 400)]).await;
    assert_eq!(bed.used("M").await.0, 100.5, "another machine's are none of its business");
    bed.done("M", unmount(PRESS, None)).await;
    bed.at(300, &[("press/good", 882)]).await;
    assert_eq!(bed.used("M").await.0, 100.5, "it lies on the shelf");
    // A device was cut off and tells now what was, of an hour that is kept: ten were made before it was taken off.
    bed.floor.say(&[("press/scrap", 80, 30)]).await;
    bed.at(302, &[]).await;
    assert_eq!(bed.used("M").await, told(103.0, 77, "end", &["warn", "end"]));
    // Renewed, all begins anew, and is told anew.
    bed.done("M", ToolWish::Renew).await;
    assert_eq!(bed.used("M").await, told(0.0, 0, "ok", &[]));
    bed.done("M", mount(OVEN)).await;
    bed.at(310, &[("oven/good", 760)]).await;
    let of_oven = bed.used("M").await;
    assert_eq!((of_oven.0, of_oven.2, of_oven.3), (90.0, "warn".to_owned(), vec!["warn".to_owned()]));
    bed.relayed().await;
    assert_eq!(
        bed.events().await,
        [
            "works/line/press M mount ",
            "works/line/press M warn 90 of 100 cycles are used",
            "works/line/press M end 100 of 100 cycles are used",
            "works/line/press M unmount ",
            "works/line/press M renew ",
            "works/line/oven M mount ",
            "works/line/oven M warn 90 of 100 cycles are used",
        ]
    );
    let tool = bed.tool("M").await;
    assert_eq!((tool.tool.renewals, tool.renewals_done.len(), tool.spans.len(), tool.changes.len()), (1, 1, 2, 4));
}

#[tokio::test]
async fn after_a_start_the_time_in_which_the_node_was_down_is_told_of_no_tool() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.done("D", mount(PRESS)).await;
    bed.at(10, &[("press/state", EXECUTE)]).await;
    let mut bed = bed.killed_before_it_reads().await;
    bed.floor.clock.set(at(2 * 24 * 60));
    bed.here.tick().await.expect("looked");
    bed.floor.go_on().await;
    bed.here.tick().await.expect("looked");
    assert_eq!(bed.floor.mes.tools_at_end(PRESS).await.len(), 0, "no job is remarked for it either");
    assert!(bed.tool("D").await.tool.warning.expect("it says so").contains("no machine has spoken"));
    bed.at(2 * 24 * 60 + 1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    assert_eq!(bed.used("D").await, told(0.0, 9, "ok", &[]));
    // From then on it counts.
    bed.at(2 * 24 * 60 + 31, &[("press/state", EXECUTE)]).await;
    assert_eq!(bed.used("D").await, told(0.0, 39, "warn", &["warn"]));
}

#[tokio::test]
async fn what_a_tool_comes_to_is_told_where_it_was_last_also_in_a_life_in_which_it_was_nowhere() {
    let mut bed = Bed::new().await;
    bed.at(1, &[]).await;
    bed.done("M", mount(OVEN)).await;
    bed.at(2, &[]).await;
    bed.done("M", unmount(OVEN, None)).await;
    bed.done("M", ToolWish::Renew).await;
    bed.done("M", ToolWish::Used { cycles: Some(95.0), run_time_ms: None }).await;
    bed.at(3, &[]).await;
    bed.relayed().await;
    assert_eq!(bed.events().await.last().expect("told"), "works/line/oven M warn 95 of 100 cycles are used");
}

#[tokio::test]
async fn a_mounting_is_found_by_its_number_however_many_came_after_it() {
    let mut bed = Bed::new().await;
    bed.at(10, &[]).await;
    let ms = |number: u64| at(0).plus(Duration::from_millis(number));
    for number in 1..=u64::try_from(super::show::LISTED).expect("a few hundred") + 1 {
        let (from, to) = (Some(ms(number)), Some(ms(number + 1)));
        let change = ToolWrite {
            key: Key { key: Uuid::from_u128(number.into()), content: [1; 32] },
            tool: "N".to_owned(),
            step: ToolStep::Mount { machine: PRESS.to_owned(), from, to },
            at: at(10),
            by: person().id,
            reason: String::new(),
            event: bed.here.event(at(10), PRESS.to_owned(), &person(), ("N", "mount"), None, None),
        };
        assert_eq!(bed.floor.store.tool_write(change).await.expect("written"), ToolWritten::Now);
    }
    let shown = bed.tool("N").await.spans;
    assert_eq!((shown.len(), shown.last().map(|span| span.number)), (super::show::LISTED, Some(2)));
    assert_eq!(bed.here.mounting("N".to_owned(), 1).await.expect("it is there"), PRESS);
    assert!(matches!(bed.here.mounting("M".to_owned(), 1).await, Err(NotDone::Unknown(_))), "it is another tool's");
}

#[test]
fn a_request_is_known_by_its_words_and_numbers() {
    let check = |wish: ToolWish, words: &[&str]| assert_eq!(super::asked(&wish), words);
    check(mount(PRESS), &["mount", PRESS, "", ""]);
    check(unmount(PRESS, Some(0)), &["unmount", PRESS, "1780300800000000"]);
    check(ToolWish::Correct { span: 3, from: at(0), to: None }, &["correct", "3", "1780300800000000", ""]);
    check(ToolWish::Renew, &["renew"]);
    check(ToolWish::Used { cycles: Some(12.5), run_time_ms: None }, &["used", "12.5", ""]);
    check(ToolWish::Used { cycles: None, run_time_ms: Some(7) }, &["used", "", "7"]);
}

#[tokio::test]
async fn run_time_is_what_the_machine_ran_and_what_people_put_right_of_it_counts() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE)]).await;
    bed.done("D", mount(PRESS)).await;
    for minute in [40, 70, 100] {
        bed.at(minute, &[("press/state", EXECUTE)]).await;
    }
    assert_eq!(bed.used("D").await, told(0.0, 99, "end", &["warn", "end"]));
    // It stood for an hour and a quarter, as people know.
    let wish = CorrectionWish {
        path: PRESS.to_owned(),
        from: at(10),
        to: at(85),
        said: Said::State("Idle".to_owned()),
        note: None,
        key: Uuid::from_u128(1),
    };
    bed.floor.mes.correct(wish, person()).await.expect("put right");
    bed.here.tick().await.expect("looked");
    assert_eq!(bed.used("D").await, told(0.0, 24, "ok", &["warn", "end"]));
    bed.at(120, &[("press/state", EXECUTE)]).await;
    assert_eq!(bed.used("D").await, told(0.0, 44, "warn", &["warn", "end"]), "each is told once in a life");
    // What it had done elsewhere; what is said last holds.
    let before = |minutes: i64| ToolWish::Used { cycles: None, run_time_ms: Some(minutes * 60_000) };
    bed.done("D", before(100)).await;
    bed.done("D", before(10)).await;
    assert_eq!(bed.used("D").await.1, 54);
    // The mounting was ten minutes shorter.
    let span = bed.tool("D").await.spans[0].number;
    let right = bed.done("D", ToolWish::Correct { span, from: at(1), to: Some(at(110)) }).await;
    assert_eq!((right.tool.used.run_time_ms, right.tool.machine), (44 * 60_000, None));
    let correction = &right.spans[0].corrections[0];
    assert_eq!(
        (correction.was_from_ms, correction.was_to_ms, &*correction.reason),
        (at(1).millis() + 1_000, None, "worn")
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_what_is_asked_twice_is_done_once() {
    let mut bed = Bed::new().await;
    bed.at(10, &[]).await;
    let refused = |answer: Result<(bool, ToolDetail), NotDone>| match answer.expect_err("refused") {
        NotDone::Unknown(_) => (404, String::new()),
        NotDone::Asked(text) => (400, text),
        NotDone::NotAllowed(text, _) => (403, text),
        NotDone::Refused(text, _) => (422, text),
        NotDone::Conflict(text, _) => (409, text),
        NotDone::Failed(text) => (503, text),
    };
    assert_eq!(refused(bed.act("M", mount("works/line/mill")).await).0, 422, "not for this machine");
    assert_eq!(refused(bed.act("N", mount("works/line")).await).0, 422, "no machine");
    let ahead = |minute| ToolWish::Mount { machine: PRESS.to_owned(), at: Some(at(minute)), until: None };
    assert_eq!(refused(bed.act("M", ahead(11)).await), (422, "this is later than now".to_owned()));
    assert_eq!(refused(bed.act("M", unmount(PRESS, None)).await).0, 409);
    let (first, there) = bed.again("M", ahead(5), 1).await.expect("mounted");
    let (second, same) = bed.again("M", ahead(5), 1).await.expect("the same");
    assert_eq!((first, second, &there), (true, false, &same));
    assert_eq!((there.tool.machine.as_deref(), there.tool.mounted_ms), (Some(PRESS), Some(at(5).millis())));
    assert_eq!(refused(bed.again("M", mount(OVEN), 1).await).0, 409, "the key of something else");
    let (status, text) = refused(bed.act("M", mount(OVEN)).await);
    assert_eq!((status, text.contains("mounted on works/line/press since 2026-06-01T08:05:00")), (409, true), "{text}");
    assert_eq!(refused(bed.act("M", unmount(PRESS, Some(11))).await).0, 422);
    assert_eq!(refused(bed.act("M", unmount(OVEN, None)).await).0, 409, "somebody was faster");
    let correct = |from: i64, to: i64| ToolWish::Correct { span: 9, from: at(from), to: Some(at(to)) };
    assert_eq!(refused(bed.act("M", correct(1, 2)).await).0, 404);
    assert_eq!(refused(bed.act("M", correct(1, 20)).await).0, 422);
    bed.done("M", unmount(PRESS, Some(8))).await;
    let (status, text) = refused(bed.act("M", ahead(7)).await);
    assert_eq!((status, text.contains("from 2026-06-01T08:05:00")), (409, true), "{text}");
    assert!(!text.contains("works"), "who asks may not see where: {text}");
    assert!(matches!(bed.here.tool("X".to_owned()).await, Err(NotDone::Unknown(_))));
}

#[tokio::test]
async fn a_job_that_begins_at_a_tool_whose_life_is_used_up_is_remarked_and_begins() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", IDLE), ("press/good", 0)]).await;
    bed.done("M", mount(PRESS)).await;
    bed.done("D", mount(PRESS)).await;
    bed.done("M", ToolWish::Used { cycles: Some(99.0), run_time_ms: None }).await;
    let mut jobs = Vec::new();
    for number in ["1", "2"] {
        let wish = OrderWish {
            number: number.to_owned(),
            material: "CAP".to_owned(),
            revision: None,
            quantity: 5.0,
            due: None,
            priority: 5,
            note: String::new(),
            release: true,
            source: BY_PERSON,
        };
        jobs.push(bed.floor.mes.make(wish, person()).await.expect("made").1.jobs.remove(0));
    }
    let trigger = async |bed: &Bed, job: usize, what: JobTrigger| {
        let version = bed.floor.mes.job(jobs[job].id, person().id).await.expect("a job").version;
        let key = new_id(&*bed.floor.clock);
        let wish = TriggerWish { what, version, key, reason: None, why: None, prepared: None, equipment: None };
        bed.floor.mes.trigger(jobs[job].id, wish, person()).await.expect("done")
    };
    assert_eq!(trigger(&bed, 0, JobTrigger::Begin).await.warnings, [""; 0]);
    bed.at(5, &[("press/state", EXECUTE), ("press/good", 4)]).await;
    trigger(&bed, 0, JobTrigger::Stop).await;
    let begun = trigger(&bed, 1, JobTrigger::Begin).await;
    assert_eq!(begun.state, "Running");
    let remark = "tool M is at its end: 100 of 100 cycles are used; renew it, or mount another";
    assert_eq!(begun.warnings, [remark]);
}

#[tokio::test]
async fn what_a_tool_did_stays_when_it_or_its_machine_is_taken_out_of_the_documents() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    for tool in ["M", "N"] {
        bed.done(tool, mount(PRESS)).await;
    }
    bed.at(50, &[("press/good", 40)]).await;
    bed.at(130, &[("press/good", 60)]).await;
    for tool in ["M", "N"] {
        bed.done(tool, unmount(PRESS, None)).await;
    }
    bed.at(300, &[("press/good", 80)]).await;
    let before = bed.used("N").await;
    assert_eq!(before.0, 60.0);
    bed.replan(FLOOR).await;
    assert_eq!(bed.used("N").await, before, "the machine is followed no more");
    let gone = bed.tool("M").await.tool;
    assert_eq!((gone.in_documents, &*gone.state, gone.machines), (false, "no_life", vec![PRESS.to_owned()]));
    assert!(gone.warning.expect("it says so").contains("one cavity"));
    assert!(matches!(bed.act("M", mount(OVEN)).await, Err(NotDone::Refused(..))));
    bed = bed.killed().await;
    assert_eq!(bed.used("N").await, before);
}

#[tokio::test]
async fn tools_are_listed_by_name_state_place_and_sight_page_by_page() {
    let mut bed = Bed::new().await;
    bed.at(1, &[]).await;
    bed.done("M", mount(PRESS)).await;
    bed.done("D", mount(OVEN)).await;
    bed.done("D", ToolWish::Used { cycles: None, run_time_ms: Some(3_600_000) }).await;
    let filter = |machine: Option<&str>, states: &[&str], branch: &str| ToolFilter {
        branches: vec![branch.to_owned()],
        machine: machine.map(str::to_owned),
        states: states.iter().map(|&state| state.to_owned()).collect(),
        after: String::new(),
        limit: 100,
    };
    let names = async |filter: ToolFilter| {
        let page = bed.here.list(filter).await.expect("a page");
        let names: Vec<String> = page.tools.into_iter().map(|tool| tool.name).collect();
        (names.join(" "), page.next)
    };
    assert_eq!(names(filter(None, &[], "")).await, ("D M N".to_owned(), None));
    assert_eq!(names(filter(Some(OVEN), &[], "")).await.0, "D");
    assert_eq!(names(filter(Some("works/line"), &[], "")).await.0, "D M");
    assert_eq!(names(filter(None, &["end", "no_life"], "")).await.0, "D N");
    assert_eq!(names(filter(None, &[], OVEN)).await.0, "D N", "one that may be anywhere, and one that is there");
    assert_eq!(names(filter(None, &[], "works/store")).await.0, "N");
    assert_eq!(names(ToolFilter { limit: 2, ..filter(None, &[], "") }).await, ("D M".to_owned(), Some("M".to_owned())));
    let rest = ToolFilter { limit: 2, after: "M".to_owned(), ..filter(None, &[], "") };
    assert_eq!(names(rest).await, ("N".to_owned(), None));
}

#[tokio::test]
async fn units_of_a_tool_are_those_that_passed_its_machine_while_it_was_there() {
    let mut bed = Bed::new().await;
    bed.at(50, &[]).await;
    let span = |machine: &str, from: i64, until: Option<i64>| ToolWish::Mount {
        machine: machine.to_owned(),
        at: Some(at(from)),
        until: until.map(at),
    };
    bed.done("M", span(PRESS, 10, Some(20))).await;
    bed.done("M", span(OVEN, 30, None)).await;
    // Before; with its first instant; while it is there; with the first instant after it; elsewhere; there; up to now.
    let passes = [
        (PRESS, 9),
        (PRESS, 10),
        (PRESS, 15),
        (PRESS, 20),
        (OVEN, 25),
        (OVEN, 30),
        (PRESS, 35),
        (OVEN, 40),
        (OVEN, 50),
    ];
    for (number, (machine, minute)) in passes.into_iter().enumerate() {
        passed(&bed.floor, number, machine, minute).await;
    }
    let page = async |branch: &str, after: Option<String>, limit: u32| {
        let page = bed.here.units("M".to_owned(), vec![branch.to_owned()], after, limit).await.expect("a page");
        let minute = |ms: i64| (ms - at(0).millis()) / 60_000;
        let told: Vec<(String, i64)> = page.units.into_iter().map(|unit| (unit.machine, minute(unit.at_ms))).collect();
        (told, page.next)
    };
    let there = |machine: &str, minute| (machine.to_owned(), minute);
    let all = [there(OVEN, 50), there(OVEN, 40), there(OVEN, 30), there(PRESS, 15), there(PRESS, 10)];
    assert_eq!(page("", None, 100).await, (all.to_vec(), None));
    assert_eq!(page(PRESS, None, 100).await.0, all[3..].to_vec(), "at machines that one sees");
    let (mut told, mut next) = page("", None, 2).await;
    for _ in 0..2 {
        let (more, after) = page("", next, 2).await;
        (told, next) = ([told, more].concat(), after);
    }
    assert_eq!((told, next), (all.to_vec(), None), "page by page");
    let wrong = bed.here.units("M".to_owned(), vec![String::new()], Some("x".to_owned()), 2).await;
    assert!(matches!(wrong, Err(NotDone::Refused(..))));
}

/// A unit passed a machine.
async fn passed(floor: &Testbed, number: usize, machine: &str, minute: i64) {
    let id = new_id(&*floor.clock);
    let name = ItemName { kind: ItemKind::Unit, material: "CAP".to_owned(), number: format!("C{number}") };
    let what = What::Trace(TraceChange { action: "made".to_owned(), item: id, shown: String::new(), detail: None });
    let (at, by) = (at(minute), Principal::SYSTEM);
    let event = Event { id: new_id(&*floor.clock), at, source_at: None, path: machine.to_owned(), by, what };
    let item = NewItem {
        id,
        name,
        revision: None,
        quantity: None,
        state: Disposition::Released,
        place: None,
        at,
        job: None,
        by: None,
        told_if_new: None,
    };
    let pass = NewPass {
        unit: ItemRef::Id(id),
        equipment: machine.to_owned(),
        at,
        job: None,
        operation: None,
        passed: Some(true),
        measures: Map::new(),
        firmware: BTreeMap::new(),
        last: false,
    };
    let steps = vec![Step::Item(item), Step::Pass(pass)];
    let change = Change::new(new_id(&*floor.clock), [1; 32], steps, event);
    floor.store.trace_change(change).await.expect("passed");
}
