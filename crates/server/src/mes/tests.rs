//! The shop floor of a node, over hours that a test turns by hand: kept, changed, killed, asked.

use super::testbed::{EXECUTE, HELD, SUSPENDED, Testbed, at, begins, window};
use andon_api::ports::mes::{CorrectionWish, KpiAnswer, Mes as _, MesProblem, Said, Step, Window};
use andon_mes::element::Element;
use andon_mes::rollup::Totals;
use andon_model::access::Principal;
use andon_model::log::{Lane, Log, kind};
use std::time::Duration;
use uuid::Uuid;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }, { path = "works/line/oven/state", type = "int64" }]
reason = [{ name = "Mechanical/Jam" }, { name = "Cleaning", counts_as = "planned_down" }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
orders = false
run_time = "1 s"
minor_stop = "1 min"
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
orders = false
"#;

impl Testbed {
    /// The press runs to minute 30 and from minute 50 on, is held in between, and by minute 90 has made so many items.
    async fn runs_with_a_stop(&mut self, items: i64) {
        self.clock.set(at(100));
        self.say(&[
            ("press/state", 0, EXECUTE),
            ("press/good", 0, 10),
            ("press/state", 30, HELD),
            ("press/state", 50, EXECUTE),
            ("press/good", 90, 10 + items),
        ])
        .await;
    }

    async fn correct(&self, from: i64, to: i64, said: Said, key: u128) -> Result<u32, MesProblem> {
        let wish = CorrectionWish {
            path: "works/line/press".to_owned(),
            from: at(from),
            to: at(to),
            said,
            note: None,
            key: Uuid::from_u128(key),
        };
        self.mes.correct(wish, Principal::SYSTEM).await
    }
}

fn minutes(ms: f64) -> f64 {
    ms / 60_000.0
}

fn kpi(answer: &KpiAnswer, id: &str) -> Option<f64> {
    answer.kpis.iter().find(|kpi| kpi.id == id).and_then(|kpi| kpi.value)
}

#[tokio::test]
async fn a_node_and_those_below_it_come_to_what_each_comes_to_alone() {
    let plant = PLANT.to_owned() + "[[target]]\nequipment = \"works/line\"\noee_index = 0.8\n";
    let mut here = Testbed::new(&plant).await;
    here.runs_with_a_stop(1200).await;
    here.say(&[("oven/state", 10, HELD)]).await;
    here.go_on().await;
    here.correct(30, 50, Said::Reason("Mechanical/Jam".to_owned()), 1).await.expect("put right");

    let all = vec![String::new()];
    let line = here.mes.children("works/line".to_owned(), window(0, 95), all.clone()).await.expect("an answer");
    let paths: Vec<_> = line.children.iter().map(|child| (&*child.path, &*child.level, child.machines)).collect();
    assert_eq!(paths, [("works/line/oven", "work_unit", 1), ("works/line/press", "work_unit", 1)]);
    for told in line.children.iter().chain(&line.node) {
        let alone = here.kpis(&told.path, 0, 95).await;
        assert_eq!(told.oee, kpi(&alone, "oee_index"), "{}", told.path);
        assert_eq!(told.availability, kpi(&alone, "availability"), "{}", told.path);
        assert_eq!(told.effectiveness, kpi(&alone, "effectiveness"), "{}", told.path);
        assert_eq!(told.quality_ratio, kpi(&alone, "quality_ratio"), "{}", told.path);
        assert_eq!(told.good, Some(alone.amounts.good), "{}", told.path);
    }
    let (oven, press) = (&line.children[0], &line.children[1]);
    let held = oven.loss.as_ref().expect("a loss");
    assert_eq!((oven.oee, &*held.id, held.reason.as_deref(), minutes(held.ms)), (None, "delay", None, 85.0));
    let loss = press.loss.as_ref().expect("a loss");
    assert_eq!((&*loss.id, minutes(loss.ms)), ("speed", 55.0), "1,200 items of a second each in 75 minutes");
    let early = here.mes.children("works/line".to_owned(), window(28, 55), all.clone()).await.expect("an answer");
    let loss = early.children[1].loss.as_ref().expect("a loss");
    assert_eq!((&*loss.id, loss.reason.as_deref(), minutes(loss.ms)), ("delay", Some("Mechanical/Jam"), 20.0));
    let node = line.node.as_ref().expect("the line");
    assert_eq!((node.machines, node.children, node.target), (2, 2, Some(0.8)));
    assert_eq!(press.target, None, "the line's is not the press's");
    let target = here.kpis("works/line", 0, 95).await.kpis.into_iter().find(|kpi| kpi.id == "oee_index");
    assert_eq!(target.expect("an OEE").target, Some(0.8));

    let top = here.mes.children(String::new(), window(0, 95), all.clone()).await.expect("an answer");
    assert_eq!(top.children.iter().map(|child| &*child.path).collect::<Vec<_>>(), ["works"]);
    assert!(top.node.is_none());
    let mine = vec!["works/line/press".to_owned()];
    let top = here.mes.children(String::new(), window(0, 95), mine.clone()).await.expect("an answer");
    assert_eq!(
        top.children.iter().map(|child| &*child.path).collect::<Vec<_>>(),
        ["works/line/press"],
        "the top of what is seen"
    );
    for path in ["works/line", "works/line/oven", "works/nothing"] {
        let answer = here.mes.children(path.to_owned(), window(0, 95), mine.clone()).await;
        assert!(matches!(answer, Err(MesProblem::NoMachine(_))), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn hours_are_kept_and_a_window_is_the_same_before_and_after_and_over_a_kill() {
    let mut here = Testbed::new(PLANT).await;
    here.runs_with_a_stop(3000).await;
    here.go_on().await;
    let before = here.kpis("works/line/press", 10, 100).await;
    assert_eq!((minutes(before.times.production_ms), minutes(before.times.delay_ms)), (70.0, 20.0));
    assert_eq!((before.amounts.good, kpi(&before, "availability")), (3000.0, Some(70.0 / 90.0)));
    assert_eq!(kpi(&before, "oee_index"), Some(3000.0 / 5400.0), "PRI × GQ / PBT");
    here.at_minute(250, &[]).await;
    assert_eq!(here.mes.state().follower.floor().kept_until(), at(240), "four hours are over");
    let mut after = here.kpis("works/line/press", 10, 100).await;
    after.now_ms = before.now_ms;
    assert_eq!(after, before);
    let here = here.killed().await;
    let mut again = here.kpis("works/line/press", 10, 100).await;
    again.now_ms = before.now_ms;
    assert_eq!(again, before);
    // Above the unit: the oven has said nothing.
    let line = here.kpis("works/line", 0, 240).await;
    assert_eq!((minutes(line.times.pbt_ms), minutes(line.times.unknown_ms), line.machines), (480.0, 240.0, 2));
    assert_eq!(here.kpis("works", 0, 240).await.times, line.times);
    let series = here.mes.series("works/line/press".to_owned(), window(0, 120), Step::Hour).await.expect("a series");
    assert_eq!(series.iter().map(|slot| slot.good).collect::<Vec<_>>(), [0.0, 3000.0]);
}

#[tokio::test]
async fn hours_and_days_are_kept_with_the_figures_of_their_totals() {
    let mut here = Testbed::new(PLANT).await;
    here.runs_with_a_stop(3000).await;
    here.read().await;
    here.clock.set(at(250));
    let batch = {
        let mut state = here.mes.state();
        state.follower.idle(at(250));
        let counts_as = state.counts_as();
        state.follower.batch(&counts_as, at(250)).expect("hours are over")
    };
    let keep = here.mes.rows(&batch).await.expect("rows");
    let slots: Vec<_> = keep.slots.iter().filter(|slot| slot.level < 2).collect();
    assert_eq!(slots.len(), keep.figures.len());
    for (slot, figures) in slots.into_iter().zip(&keep.figures) {
        assert_eq!((slot.node, slot.level, slot.number), (figures.node, figures.level, figures.number));
        let sums = Totals::decode(&slot.totals).expect("totals").sums;
        assert_eq!(figures.times, Element::ALL.map(|element| sums.micros(element)));
        assert_eq!(figures.amounts[0], sums.amounts.good.millionths());
        // A second is planned for each.
        assert_eq!(figures.work, [figures.amounts[0]; 2]);
    }
    let day = keep.figures.iter().find(|figures| figures.level == 1 && figures.amounts[0] > 0).expect("a day");
    assert_eq!(day.amounts, [3_000_000_000, 0, 0]);
}

#[tokio::test]
async fn what_comes_late_and_what_people_say_changes_kept_hours_and_what_was_recorded_stays() {
    let mut here = Testbed::new(PLANT).await;
    here.clock.set(at(1));
    here.say(&[("press/state", 0, EXECUTE), ("oven/state", 0, EXECUTE)]).await;
    here.at_minute(400, &[]).await;
    // A device was cut off and tells now what was.
    here.say(&[("press/state", 70, HELD), ("press/state", 190, EXECUTE), ("press/good", 200, 5)]).await;
    here.go_on().await;
    let answer = here.kpis("works/line/press", 0, 400).await;
    assert_eq!((minutes(answer.times.delay_ms), minutes(answer.times.production_ms)), (120.0, 280.0));
    assert_eq!(here.correct(100, 130, Said::Reason("Cleaning".to_owned()), 1).await, Ok(1));
    assert_eq!(here.correct(100, 130, Said::Reason("Cleaning".to_owned()), 1).await, Ok(1), "the same request again");
    assert!(matches!(
        here.correct(100, 131, Said::Reason("Cleaning".to_owned()), 1).await,
        Err(MesProblem::Conflict(_))
    ));
    assert_eq!(
        here.correct(350, 390, Said::State("Suspended".to_owned()), 2).await,
        Ok(2),
        "of an hour that is over and one that is not"
    );
    for _ in 0..2 {
        let answer = here.kpis("works", 0, 400).await;
        assert_eq!(minutes(answer.times.planned_down_ms), 30.0);
        assert_eq!(minutes(answer.times.delay_ms), 90.0 + 40.0);
        let stops = here.mes.stops("works/line".to_owned(), window(0, 400)).await.expect("stops");
        let told: Vec<_> =
            stops.iter().map(|stop| ((stop.from_ms - begins().millis()) / 60_000, stop.cause.as_deref())).collect();
        assert_eq!(told, [(130, Some("inside")), (350, Some("outside")), (70, Some("inside"))]);
        let pieces = here.mes.states("works/line/press".to_owned(), window(0, 400)).await.expect("pieces");
        assert!(pieces.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms), "without gap");
        assert_eq!(pieces.iter().filter_map(|piece| piece.corrected).collect::<Vec<_>>(), [1, 2]);
        here = here.killed().await;
    }
    assert_eq!(here.correct(90, 395, Said::AsRecorded, 3).await, Ok(3));
    let answer = here.kpis("works/line/press", 0, 400).await;
    assert_eq!((minutes(answer.times.delay_ms), minutes(answer.times.planned_down_ms)), (120.0, 0.0));
    let made = here.mes.corrections("works/line/press".to_owned(), window(0, 400)).await.expect("all");
    assert_eq!(
        made.iter().map(|one| one.says.as_str()).collect::<Vec<_>>(),
        ["reason Cleaning", "state Suspended", "as recorded"]
    );
}

#[tokio::test]
async fn a_kpi_tells_its_rows_and_they_add_up_to_it() {
    let mut here = Testbed::new(PLANT).await;
    here.clock.set(at(130));
    here.say(&[
        ("press/state", 0, EXECUTE),
        ("press/good", 1, 0),
        ("press/state", 40, SUSPENDED),
        ("press/state", 45, EXECUTE),
        ("press/good", 50, 60),
        ("press/good", 110, 100),
    ])
    .await;
    here.go_on().await;
    for id in ["availability", "oee_index", "quality_ratio"] {
        let why = here.mes.why("works/line/press".to_owned(), id.to_owned(), window(0, 120)).await.expect("why");
        assert!(why.terms.len() == 2 && why.kpi.value.is_some(), "{why:?}");
        for term in &why.terms {
            let sum: f64 = term.rows.iter().map(|row| row.amount).sum();
            assert!(term.value.is_some_and(|value| (value - sum).abs() < 1e-6), "{id}: {term:?}");
        }
    }
    let unknown = here.mes.why("works/line/press".to_owned(), "oee2".to_owned(), window(0, 120)).await;
    assert!(matches!(unknown, Err(MesProblem::Refused(_, known)) if known.contains("oee_index")));
}

#[tokio::test]
async fn what_cannot_be_put_right_is_refused_with_what_to_do() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(100, &[]).await;
    for (from, to, said) in [
        (10, 101, Said::State("Held".to_owned())),
        (20, 20, Said::State("Held".to_owned())),
        (-50_000, 20, Said::State("Held".to_owned())),
        (10, 20, Said::Reason("No such".to_owned())),
        (10, 20, Said::State("Sleeping".to_owned())),
    ] {
        let answer = here.correct(from, to, said, 9).await;
        assert!(
            matches!(&answer, Err(MesProblem::Refused(text, remedy)) if !text.is_empty() && !remedy.is_empty()),
            "{answer:?}"
        );
    }
    let nobody = here.mes.kpis("works/other".to_owned(), window(0, 10)).await;
    assert_eq!(nobody, Err(MesProblem::NoMachine("works/other".to_owned())));
    tokio::time::timeout(Duration::from_secs(5), here.mes.kpis("works".to_owned(), window(50, 60)))
        .await
        .expect("in time")
        .expect("an answer");
}

#[tokio::test]
async fn a_correction_is_in_every_total_also_when_its_caller_has_gone() {
    let mut here = Testbed::new(PLANT).await;
    here.clock.set(at(100));
    here.say(&[("press/state", 0, EXECUTE)]).await;
    here.go_on().await;
    let wish = CorrectionWish {
        path: "works/line/press".to_owned(),
        from: at(30),
        to: at(90),
        said: Said::State("Held".to_owned()),
        note: Some("belt".to_owned()),
        key: Uuid::from_u128(7),
    };
    {
        let asked = here.mes.correct(wish.clone(), Principal::SYSTEM);
        // It is begun, and then nobody waits for it any more.
        let _ = tokio::time::timeout(Duration::ZERO, asked).await;
    }
    let delay = async || minutes(here.kpis("works", 0, 100).await.times.delay_ms);
    let waited = async {
        while delay().await < 60.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.expect("it is done all the same");
    assert_eq!(delay().await, 60.0);
    assert_eq!(here.mes.correct(wish.clone(), Principal::SYSTEM).await, Ok(1));
    let other = CorrectionWish { note: Some("chain".to_owned()), ..wish.clone() };
    assert!(matches!(here.mes.correct(other, Principal::SYSTEM).await, Err(MesProblem::Conflict(_))), "another note");
    let somebody = Principal { id: Uuid::from_u128(9), ..Principal::SYSTEM };
    assert!(matches!(here.mes.correct(wish, somebody).await, Err(MesProblem::Conflict(_))), "another person");
    let told = here.mes.corrections("works/line/press".to_owned(), window(0, 100)).await.expect("all");
    assert_eq!(told.iter().map(|one| one.note.as_deref()).collect::<Vec<_>>(), [Some("belt")]);
}

#[tokio::test]
async fn a_stop_is_told_from_its_beginning_and_a_state_since_it_began() {
    let mut here = Testbed::new(PLANT).await;
    here.clock.set(at(60));
    here.say(&[("press/state", 0, EXECUTE), ("press/state", 50, HELD)]).await;
    here.at_minute(600, &[]).await;
    for _ in 0..2 {
        let machines = here.mes.machines().await.expect("machines");
        let press = machines.iter().find(|machine| machine.path.ends_with("press")).expect("is followed");
        assert_eq!((press.since_ms, press.state.as_deref()), (Some(at(50).millis()), Some("Held")));
        let stops = here.mes.stops("works/line/press".to_owned(), window(500, 590)).await.expect("stops");
        let told: Vec<_> = stops.iter().map(|stop| (stop.from_ms, stop.to_ms, stop.open)).collect();
        assert_eq!(told, [(at(50).millis(), at(590).millis(), true)]);
        // The process goes in an orderly way, so that nothing in between is unknown.
        here.say(&[("press/state", 600, HELD)]).await;
        here.go_on().await;
        here = here.killed().await;
        here.say(&[("press/state", 600, HELD)]).await;
        here.go_on().await;
    }
}

#[tokio::test]
async fn what_the_lane_says_of_other_readers_makes_no_machine_unknown() {
    let mut here = Testbed::new(PLANT).await;
    here.clock.set(at(10));
    here.say(&[("press/state", 5, EXECUTE)]).await;
    let gap = br#"{"from":1,"to":2,"reason":"freed before somebody had read it"}"#;
    let seq = here.log.append(Lane::Samples, kind::GAP, gap).expect("taken");
    here.log.durable(Lane::Samples, seq).await.expect("durable");
    here.go_on().await;
    let press = here
        .mes
        .machines()
        .await
        .expect("machines")
        .into_iter()
        .find(|machine| machine.path.ends_with("press"))
        .expect("is followed");
    assert_eq!(press.state.as_deref(), Some("Execute"));
}

#[tokio::test]
async fn a_floor_without_machines_lets_the_log_free_what_it_read() {
    let plant = PLANT.split("[[machine]]").next().expect("a beginning");
    let mut here = Testbed::new(plant).await;
    for _ in 0..20 {
        here.say(&[("press/state", 0, EXECUTE)]).await;
    }
    here.go_on().await;
    here.mes.let_go_while_idle().await.expect("kept");
    let needs = here.log.load_snapshot(andon_store::floor::READER).expect("read").expect("is there").positions.samples;
    assert!(needs.0 + 2 >= here.log.durable_seq(Lane::Samples).0, "{needs:?}");
}

#[tokio::test]
async fn more_than_can_be_looked_at_piece_by_piece_is_refused() {
    let mut plant = PLANT.to_owned();
    for n in 0..70 {
        plant.push_str(&format!("[[equipment]]\npath = \"works/line/m{n}\"\nlevel = \"work_unit\"\n[[machine]]\nequipment = \"works/line/m{n}\"\n"));
    }
    let plant = plant.replace("equipment = [{", "EQUIPMENT = [{");
    let head = "[[equipment]]\npath = \"works\"\nlevel = \"site\"\n[[equipment]]\npath = \"works/line\"\nlevel = \"work_center\"\n";
    let machines = plant.split_once("[[equipment]]").expect("some").1;
    let here = Testbed::new(&format!("{head}[[equipment]]{machines}")).await;
    let long = Window { from: at(-32 * 1440), to: at(0) };
    for answer in [
        here.mes.stops("works".to_owned(), long).await.err(),
        here.mes.why("works".to_owned(), "availability".to_owned(), long).await.err(),
    ] {
        assert!(
            matches!(&answer, Some(MesProblem::Refused(_, remedy)) if remedy.contains("fewer machines")),
            "{answer:?}"
        );
    }
    assert!(here.mes.kpis("works".to_owned(), long).await.is_ok());
}
