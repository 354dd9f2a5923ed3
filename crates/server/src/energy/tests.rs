//! Meters on a node whose clock a test turns: killed anywhere, nothing is lost or counted twice; answers are sums of what was said.

use super::{AGAIN_US, Followed, Remark, UNKEPT, words};
use crate::mes::testbed::{Testbed, at, begins, plant_of, window};
use andon_api::ports::energy::{Energy as _, EnergyStep, EnergyView};
use andon_api::ports::mes::{Mes as _, MesProblem};
use andon_mes::energy::meter::{LONGEST_US, Oddity};
use andon_mes::energy::{QUARTER_US, quarter_of};
use andon_mes::quantity::Quantity;
use andon_model::access::Principal;
use andon_model::log::{Lane, Log as _};
use andon_model::{Clock as _, Sample, StatusCode, Timestamp, Value};
use andon_store::energy::{EnergyRepository, READER, StoredQuarter};
use andon_store::{OutboxRepository, PlantRepository as _};
use std::sync::Arc;
use std::time::Duration;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }, { path = "works/line/pack", level = "work_unit" }]
tag = [
  { path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" },
  { path = "works/line/press/kwh", type = "double", unit = "kW.h" }, { path = "works/line/oven/gas", type = "double", unit = "m3" },
  { path = "works/line/oven/kw", type = "double", unit = "kW" }, { path = "works/line/main", type = "double", unit = "MW.h" },
]
[[calendar]]
name = "early"
time_zone = "Europe/Berlin"
shift = [{ name = "Early", from = "10:00", to = "11:00" }, { name = "Late", from = "11:00", to = "12:00" }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
calendar = "early"
[[machine]]
equipment = "works/line/oven"
[[machine]]
equipment = "works/line/pack"
[[meter]]
name = "press"
at = "works/line/press"
tag = "works/line/press/kwh"
rolls_over_at = 100000
[[meter]]
name = "oven"
at = "works/line/oven"
tag = "works/line/oven/kw"
[[meter]]
name = "oven-gas"
at = "works/line/oven"
tag = "works/line/oven/gas"
carrier = "gas"
factor = 10
[[tariff]]
name = "grid"
at = "works"
currency = "EUR"
time_zone = "Europe/Berlin"
price = 0.2
demand_price = 10
window = [{ name = "peak", days = "mon-fri", from = "10:15", to = "10:30", price = 0.4 }]
"#;

/// A meter of the whole line, in MWh.
const MAIN: &str = r#"
[[meter]]
name = "main"
at = "works/line"
tag = "works/line/main"
"#;

/// A node whose meters are read.
struct Here {
    bed: Testbed,
}

impl Here {
    async fn new(plant: &str) -> Self {
        Self { bed: Testbed::new(plant).await }
    }

    /// Readings of tags under `works/line` at seconds after the beginning, as one frame that comes with the last of them.
    async fn say(&self, readings: &[(&str, i64, f64)]) {
        self.say_with(StatusCode::GOOD, readings).await;
    }

    async fn say_with(&self, quality: StatusCode, readings: &[(&str, i64, f64)]) {
        let last = readings.iter().map(|(_, at, _)| *at).max().expect("something");
        self.say_at(last, quality, readings).await;
    }

    /// Readings that come together at a second, or now if that is later.
    async fn say_at(&self, received: i64, quality: StatusCode, readings: &[(&str, i64, f64)]) {
        let received_ts = second(received).max(self.bed.clock.now());
        self.bed.clock.set(received_ts);
        let view = self.bed.bus.plant();
        let sample = |(tag, at, value): &(&str, i64, f64)| Sample {
            tag: view.id_of(&format!("works/line/{tag}")).expect("a tag"),
            value: Value::Double(*value),
            quality,
            source_ts: second(*at),
            received_ts,
        };
        self.bed.take(&readings.iter().map(sample).collect::<Vec<_>>()).await;
    }

    /// Reads what came; `keeps`: and keeps it.
    async fn read(&self, keeps: bool) {
        while self.bed.mes.meters().round(keeps).await.expect("a round") {}
    }

    async fn killed(self) -> Self {
        Self { bed: self.bed.killed().await }
    }

    async fn set_plant(&self, plant: &str) {
        let version = self.bed.store.current_plant().await.expect("a model").0.version;
        self.bed.store.apply_plant(version, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        let (plant, ids) = self.bed.store.current_plant().await.expect("a model");
        self.bed.bus.set_plant(Arc::new(plant), ids);
        self.bed.mes.follow().await.expect("followed");
    }

    async fn energy(&self, path: &str, from: i64, to: i64, step: EnergyStep) -> EnergyView {
        self.bed.mes.energy(path.to_owned(), window(from, to), step).await.expect("an answer")
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_micros(begins().micros() + second * 1_000_000)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-5
}

/// Forty readings of the press, over the end of its register, with kills as `cut` says (0: none); what it comes to, and the node.
async fn forty_readings(cut: i64) -> (f64, Here) {
    let mut here = Here::new(PLANT).await;
    let (mut shown, mut sum) = (99_990.0, 0.0);
    here.say(&[("press/kwh", 0, shown)]).await;
    for step in 1..=40_i64 {
        let more = (step % 5) as f64 * 0.25;
        (shown, sum) = ((shown + more) % 100_000.0, sum + more);
        here.say(&[("press/kwh", step * 137, shown)]).await;
        if cut > 0 && (step + cut) % 3 == 0 {
            here.read((step + cut) % 2 == 0).await;
        }
        if cut > 0 && (step + cut) % 7 == 0 {
            here = here.killed().await;
        }
    }
    here.read(false).await;
    (sum, here)
}

async fn rows(here: &Here) -> Vec<StoredQuarter> {
    let meters = here.bed.store.energy_meters(vec!["press".to_owned()]).await.expect("meters");
    here.bed.store.energy_quarters(&[meters[0].number], i64::MIN, i64::MAX).await.expect("rows")
}

#[tokio::test]
async fn killed_anywhere_nothing_is_lost_or_counted_twice() {
    let (_, straight) = forty_readings(0).await;
    straight.read(true).await;
    let wanted = rows(&straight).await;
    assert_eq!(wanted.len(), 7);
    for cut in 1..=7 {
        let (sum, here) = forty_readings(cut).await;
        let unkept = here.energy("works/line/press", 0, 120, EnergyStep::Quarter).await;
        assert_eq!(unkept.kwh, Some(sum), "cut {cut}: seen before it is kept");
        here.read(true).await;
        assert_eq!(rows(&here).await, wanted, "cut {cut}: as if it had never been killed");
        let view = here.energy("works/line/press", 0, 120, EnergyStep::Quarter).await;
        assert_eq!((view.kwh, &view.slots), (Some(sum), &unkept.slots), "cut {cut}");
        let slots: f64 = view.slots.iter().filter_map(|slot| slot.kwh[0]).sum();
        assert!(close(slots, sum), "cut {cut}: {slots}");
    }
}

#[tokio::test]
async fn how_far_was_read_is_kept_with_what_was_read() {
    let here = Here::new(PLANT).await;
    here.say(&[("press/kwh", 0, 1.0)]).await;
    here.say(&[("press/kwh", 60, 2.0)]).await;
    here.read(true).await;
    let durable = here.bed.log.durable_seq(Lane::Samples);
    assert_eq!(here.bed.store.applied(READER, Lane::Samples).await.expect("an offset"), durable);
    // Bad readings are skipped, late ones too; a source whose clock is ahead is taken as of when it came.
    here.say_with(StatusCode::BAD, &[("press/kwh", 120, 50.0)]).await;
    here.say(&[("press/kwh", 30, 1.5)]).await;
    here.say_at(180, StatusCode::GOOD, &[("press/kwh", 3 * 3600, 3.0)]).await;
    here.read(true).await;
    let view = here.energy("works/line/press", 0, 3, EnergyStep::Hour).await;
    assert_eq!(view.kwh, Some(2.0));
    assert_eq!(view.carriers[0].meters[0].until_ms, Some(at(3).millis()));
    here.say(&[("press/kwh", 240, 4.0)]).await;
    here.read(true).await;
    assert_eq!(here.energy("works/line/press", 0, 4, EnergyStep::Hour).await.kwh, Some(3.0), "it goes on from now");
}

#[tokio::test]
async fn an_answer_says_what_was_used_what_it_cost_and_which_meters_say_so() {
    let mut here = Here::new(PLANT).await;
    // 08:00 UTC is 10:00 in Berlin; a Monday.
    here.bed.say(&[("press/state", 0, 6), ("press/good", 0, 10)]).await;
    for quarter in 0..=4_i64 {
        let kwh = [0.0, 1.0, 4.0, 6.0, 7.0][usize::try_from(quarter).expect("small")];
        here.say(&[("press/kwh", quarter * 900, 100.0 + kwh), ("oven/gas", quarter * 900, quarter as f64 * 0.1)]).await;
    }
    here.bed.say(&[("press/good", 59, 24)]).await;
    here.read(true).await;
    here.bed.go_on().await;

    let view = here.energy("works", 0, 60, EnergyStep::Quarter).await;
    let names: Vec<&str> = view.carriers.iter().map(|carrier| carrier.carrier.as_str()).collect();
    assert_eq!(names, ["electricity", "gas"]);
    let (power, gas) = (&view.carriers[0], &view.carriers[1]);
    assert_eq!((power.kwh, gas.kwh, view.kwh), (7.0, 4.0, Some(11.0)));
    assert_eq!(power.estimated, Some(0.0));
    let paid: Vec<_> = power.costs.iter().map(|cost| (cost.window.as_deref(), cost.kwh, cost.cost)).collect();
    assert_eq!(paid, [(None, 4.0, 0.8), (Some("peak"), 3.0, 1.2)]);
    assert_eq!(gas.unpriced_kwh, 4.0, "no tariff is of gas");
    assert_eq!(
        view.costs.iter().map(|money| (money.currency.as_str(), money.cost)).collect::<Vec<_>>(),
        [("EUR", 2.0)]
    );
    let peak = power.peak.expect("a peak");
    assert_eq!((peak.from_ms, peak.kw), (at(15).millis(), 12.0));
    let slots: Vec<_> = view.slots.iter().map(|slot| (slot.kwh[0], slot.costs[0])).collect();
    assert_eq!(slots, [(Some(1.0), 0.2), (Some(3.0), 1.2), (Some(2.0), 0.4), (Some(1.0), 0.2)]);
    assert_eq!(view.unmetered, ["works/line/pack"]);
    assert_eq!((view.produced, view.kwh_per_item.map(|each| (each * 14.0).round())), (Some(14.0), Some(11.0)));
    // Two windows have together what one has, wherever they are cut.
    let parts =
        [here.energy("works", 0, 22, EnergyStep::Hour).await, here.energy("works", 22, 60, EnergyStep::Hour).await];
    assert!(close(parts.iter().filter_map(|part| part.kwh).sum(), 11.0));
    assert!(close(parts.iter().flat_map(|part| &part.costs).map(|money| money.cost).sum(), 2.0));
    let shifts = here.energy("works/line", 0, 60, EnergyStep::Shift).await;
    assert_eq!(
        shifts.slots.iter().map(|slot| (slot.name.as_deref(), slot.kwh[0])).collect::<Vec<_>>(),
        [(Some("Early"), Some(7.0))]
    );

    // The KPI and its trace.
    let kpis = here.bed.kpis("works/line", 0, 60).await;
    let kpi = kpis.kpis.iter().find(|kpi| kpi.id == "comprehensive_energy_consumption").expect("there");
    assert_eq!((kpi.numerator, kpi.denominator), (Some(11.0), Some(14.0)));
    let why = here.bed.mes.why("works/line".to_owned(), kpi.id.clone(), window(0, 60)).await.expect("why");
    let term = why.terms.iter().find(|term| term.symbol == "E").expect("E");
    assert_eq!((term.unit.as_str(), term.value), ("kWh", Some(11.0)));
    let rows: Vec<_> = term.rows.iter().map(|row| (row.unit.as_str(), row.what.as_str(), row.amount)).collect();
    assert!(rows.contains(&("works/line/press", "meter press: electricity", 7.0)), "{rows:?}");
    assert_eq!(term.rows.iter().map(|row| row.amount).sum::<f64>(), 11.0);
    // Nothing is metered, nothing was made.
    let pack = here.energy("works/line/pack", 0, 60, EnergyStep::Hour).await;
    assert_eq!((pack.kwh, pack.kwh_per_item, pack.carriers.len()), (None, None, 0));
    let oven = here.energy("works/line/oven", 0, 60, EnergyStep::Hour).await;
    assert_eq!((oven.kwh, oven.produced, oven.kwh_per_item), (Some(4.0), Some(0.0), None));
}

#[tokio::test]
async fn a_main_meter_stands_for_all_behind_it() {
    let here = Here::new(&format!("{PLANT}{MAIN}")).await;
    for quarter in 0..=1_i64 {
        let at = quarter * 900;
        let so_far = quarter as f64;
        here.say(&[("press/kwh", at, so_far), ("main", at, so_far * 0.003), ("oven/kw", at, 2.0)]).await;
    }
    here.read(true).await;
    let of = |view: &EnergyView| view.carriers[0].meters.iter().map(|meter| meter.name.clone()).collect::<Vec<_>>();
    let line = here.energy("works/line", 0, 15, EnergyStep::Hour).await;
    assert_eq!((line.carriers[0].kwh, of(&line)), (3.0, vec!["main".to_owned()]));
    assert_eq!(line.unmetered, [""; 0], "the main meter counts what the packer draws");
    let works = here.energy("works", 0, 15, EnergyStep::Hour).await;
    assert_eq!(works.carriers[0].kwh, 3.0);
    let oven = here.energy("works/line/oven", 0, 15, EnergyStep::Hour).await;
    assert_eq!((oven.carriers[0].kwh, oven.carriers[0].metered), (0.5, 1.0), "2 kW for a quarter of an hour");
}

#[tokio::test]
async fn the_highest_quarter_hours_of_a_month_are_found_and_paid() {
    let here = Here::new(PLANT).await;
    let mut shown = 0.0;
    here.say(&[("press/kwh", 0, shown)]).await;
    for (quarter, kwh) in (1_i64..).zip([1.0, 5.0, 2.0, 5.0, 3.0]) {
        shown += kwh;
        here.say(&[("press/kwh", quarter * 900, shown)]).await;
    }
    here.read(true).await;
    let peaks = here.bed.mes.energy_peaks("works".to_owned(), (2026, 6), 3).await.expect("peaks");
    assert_eq!(peaks.time_zone, "Europe/Berlin");
    assert_eq!(peaks.from_ms, Timestamp::parse_rfc3339("2026-05-31T22:00:00Z").expect("a time").millis());
    let found: Vec<_> = peaks.carriers[0].peaks.iter().map(|peak| (peak.from_ms, peak.kw)).collect();
    assert_eq!(found, [(at(15).millis(), 20.0), (at(45).millis(), 20.0), (at(60).millis(), 12.0)]);
    assert_eq!(peaks.demand[0].cost, Some(200.0));
    let none = here.bed.mes.energy_peaks("works".to_owned(), (2026, 5), 3).await.expect("peaks");
    assert_eq!((none.carriers[0].peaks.len(), none.demand[0].cost), (0, None));
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let here = Here::new(PLANT).await;
    let ask = async |path: &str, from, to, step| {
        here.bed.mes.energy(path.to_owned(), window(from, to), step).await.expect_err("refused")
    };
    here.bed.clock.set(at(3_000_000));
    assert!(matches!(ask("works/lien", 0, 60, EnergyStep::Hour).await, MesProblem::NoMachine(_)));
    assert!(matches!(ask("works", 0, 60 * 24 * 401, EnergyStep::Day).await, MesProblem::Refused(..)));
    assert!(matches!(ask("works", 0, 15 * 1_001, EnergyStep::Quarter).await, MesProblem::Refused(..)));
    assert!(matches!(ask("works/line/oven", 0, 60, EnergyStep::Shift).await, MesProblem::Refused(..)));
    assert!(here.bed.mes.energy_peaks("works".to_owned(), (2026, 13), 1).await.is_err());
}

/// The plant, its press metered by another tag.
fn exchanged() -> String {
    let exchanged = PLANT.replace(
        "name = \"press\"\nat = \"works/line/press\"\ntag = \"works/line/press/kwh\"\nrolls_over_at = 100000",
        "name = \"press\"\nat = \"works/line/press\"\ntag = \"works/line/main\"",
    );
    assert_ne!(exchanged, PLANT);
    exchanged
}

#[tokio::test]
async fn a_reset_is_told_and_an_exchanged_tag_begins_anew() {
    let here = Here::new(PLANT).await;
    here.say(&[("press/kwh", 0, 50.0), ("press/kwh", 60, 51.0)]).await;
    here.say(&[("press/kwh", 120, 0.0), ("press/kwh", 150, 2.0)]).await;
    let before = here.bed.notes.lost();
    here.read(true).await;
    assert_eq!(here.bed.notes.lost() - before, 1, "nobody takes the notes of this node");
    let view = here.energy("works/line/press", 0, 3, EnergyStep::Hour).await;
    assert_eq!((view.kwh, view.carriers[0].estimated), (Some(3.0), Some(2.0 / 3.0)));
    // The same point, metered by another tag.
    here.set_plant(&exchanged()).await;
    here.say(&[("main", 180, 7.0), ("press/kwh", 180, 500.0)]).await;
    here.say(&[("main", 240, 7.002)]).await;
    here.read(true).await;
    here.bed.clock.advance(Duration::from_secs(60));
    assert_eq!(here.energy("works/line/press", 0, 5, EnergyStep::Hour).await.kwh, Some(5.0));
}

#[tokio::test]
async fn what_was_said_before_the_model_changed_is_kept_by_the_meters_of_then() {
    let here = Here::new(PLANT).await;
    here.say(&[("press/kwh", 0, 50.0), ("press/kwh", 60, 51.0)]).await;
    // Nobody has read it yet.
    here.set_plant(&exchanged()).await;
    let durable = here.bed.log.durable_seq(Lane::Samples);
    assert_eq!(here.bed.store.applied(READER, Lane::Samples).await.expect("an offset"), durable);
    let here = here.killed().await;
    here.say(&[("main", 120, 7.0), ("main", 180, 7.002)]).await;
    here.read(true).await;
    assert_eq!(rows(&here).await.iter().map(|row| row.energy).sum::<i64>(), 3_000_000);
}

#[tokio::test]
async fn what_waits_to_be_kept_is_bounded_and_nothing_of_it_is_lost_over_a_kill() {
    let here = Here::new(PLANT).await;
    // Each reading comes so long after the last that it makes as many quarter hours as one can; four of them are one frame.
    let apart = LONGEST_US / 1_000_000;
    let reading = |step: i64| ("press/kwh", (step - 12) * apart, step as f64);
    let most = usize::try_from(LONGEST_US / QUARTER_US).expect("small");
    for first in [0, 4, 8] {
        here.say_at(0, StatusCode::GOOD, &[0, 1, 2, 3].map(|step| reading(first + step))).await;
    }
    here.read(false).await;
    let waits = here.bed.mes.meters().state().unkept.len();
    assert!(0 < waits && waits <= UNKEPT + most, "{waits}");
    assert!(rows(&here).await.len() >= UNKEPT, "the first ones were kept");
    let here = here.killed().await;
    here.read(true).await;
    let rows = rows(&here).await;
    assert_eq!((rows.len(), rows.iter().map(|row| row.energy).sum::<i64>()), (11 * most, 11_000_000));
    assert_eq!(here.bed.mes.meters().state().unkept.len(), 0);
}

#[tokio::test]
async fn who_keeps_does_not_wait_for_a_long_answer() {
    let here = Here::new(PLANT).await;
    for day in 0..3_i64 {
        here.say(&[("press/kwh", day * 86_400, day as f64)]).await;
    }
    here.read(true).await;
    let meters = here.bed.mes.meters();
    let (from, to) = (quarter_of(second(0).micros()), quarter_of(second(2 * 86_400).micros()));
    let mut shown = 0;
    let mut show = |row: &StoredQuarter| {
        assert!(meters.turn.try_write().is_ok(), "quarter {}", row.quarter);
        shown += 1;
    };
    let press = meters.followed().into_iter().find(|meter| meter.name == "press").expect("it is followed").number;
    meters.quarters(&[press], from, to, &mut show).await.expect("rows");
    assert_eq!(shown, 192);
}

#[tokio::test]
async fn what_was_not_heard_is_not_told_as_nothing() {
    let mut here = Here::new(PLANT).await;
    here.bed.say(&[("press/state", 0, 6), ("press/good", 0, 10)]).await;
    here.bed.clock.set(at(15));
    here.bed.say(&[("press/good", 14, 24)]).await;
    here.bed.go_on().await;
    // Heard every minute for twenty minutes, and then not for forty.
    for minute in 10..=30_i64 {
        here.say(&[("oven/kw", minute * 60, 6.0)]).await;
    }
    here.say(&[("oven/kw", 70 * 60, 6.0), ("oven/kw", 71 * 60, 6.0)]).await;
    here.read(true).await;

    let between = async |here: &Here, from: Option<i64>, to| {
        let told = here.bed.mes.energy_between("works/line/oven", from.map(at), at(to)).await.expect("read");
        let power = told.iter().find(|(carrier, _)| *carrier == "electricity").expect("it has a meter").1;
        assert_eq!(told.len(), 2);
        assert!(told.iter().any(|(carrier, drawn)| (*carrier, *drawn) == ("gas", None)), "gas was never heard");
        power.map(|drawn| (drawn.amount.energy, drawn.is_known))
    };
    assert_eq!(between(&here, Some(11), 21).await, Some((1_000_000, true)));
    assert_eq!(between(&here, Some(70), 71).await, Some((100_000, true)));
    assert_eq!(between(&here, None, 21).await, None, "when it began is not known");
    assert_eq!(between(&here, Some(5), 21).await, None, "it was not heard at the beginning");
    assert_eq!(between(&here, Some(21), 71).await, None, "it was not heard in between");
    assert_eq!(between(&here, Some(50), 60).await, None, "it was not heard at all");
    assert_eq!(between(&here, Some(70), 72).await, None, "it was not heard until the end");

    // What is known by shares of quarter hours only is said to be.
    let here = here.killed().await;
    here.read(true).await;
    assert_eq!(between(&here, Some(11), 21).await, Some((1_000_000, false)));
    assert_eq!(between(&here, Some(15), 30).await, Some((1_500_000, true)), "a whole quarter hour");
    assert_eq!(between(&here, Some(21), 71).await, None);

    // Items were made, and no meter of the press was heard.
    let kpi = async |here: &Here, path: &str| {
        let kpis = here.bed.kpis(path, 0, 15).await.kpis;
        let kpi = kpis.into_iter().find(|kpi| kpi.id == "comprehensive_energy_consumption").expect("there");
        (kpi.numerator, kpi.denominator)
    };
    assert_eq!(kpi(&here, "works/line/press").await, (None, None));
    assert_eq!(here.energy("works/line/press", 0, 15, EnergyStep::Hour).await.kwh_per_item, None);
    assert_eq!(kpi(&here, "works/line").await, (Some(0.5), Some(14.0)));
    let why = async |path: &str| {
        let id = "comprehensive_energy_consumption".to_owned();
        let why = here.bed.mes.why(path.to_owned(), id, window(0, 15)).await.expect("why");
        why.terms.into_iter().find(|term| term.symbol == "E").expect("E")
    };
    let (press, line) = (why("works/line/press").await, why("works/line").await);
    assert_eq!((press.value, press.rows.len()), (None, 0));
    assert_eq!((line.value, line.rows.len()), (Some(0.5), 1), "only of the meter that was heard");
}

#[tokio::test]
async fn what_is_odd_again_and_again_is_told_once_an_hour() {
    let here = Here::new(PLANT).await;
    here.say(&[("press/kwh", 0, 50.0)]).await;
    let told = async |from: i64, value: f64| {
        let before = here.bed.notes.lost();
        here.say(&(from..from + 200).map(|second| ("press/kwh", second, value)).collect::<Vec<_>>()).await;
        here.read(true).await;
        here.bed.notes.lost() - before
    };
    assert_eq!(told(1, 49.0).await, 1);
    assert_eq!(told(201, -1.0).await, 1, "that is something else");
    assert_eq!(told(401, 49.0).await, 0);
    assert_eq!(told(AGAIN_US / 1_000_000 + 401, 49.0).await, 1);
}

#[tokio::test]
async fn words_about_a_meter_name_what_it_showed_and_what_the_limit_is() {
    let limited = PLANT.replace("tag = \"works/line/oven/kw\"", "tag = \"works/line/oven/kw\"\nmost_kw = 40");
    let here = Here::new(&limited).await;
    let followed = here.bed.mes.meters().followed();
    let meter = |name: &str| followed.iter().find(|meter| meter.name == name).expect("it is followed");
    let said = |meter: &Followed, oddity, value| words(meter, &Remark { meter: meter.number, oddity, value });
    assert_eq!(
        said(meter("oven"), Oddity::NoCount, 41.5),
        "the meter oven showed 41.5, more than its `most_kw` of 40 allows; the reading was left out"
    );
    assert!(said(meter("press"), Oddity::NoCount, -1.0).contains("showed -1, which no meter shows"));
    let believed = said(meter("oven"), Oddity::NotBelieved(Quantity::from_millionths(26_000_000)), 126.0);
    assert!(believed.contains("by 26 kWh at once, to 126, which needs more than its `most_kw` of 40"), "{believed}");
    assert!(said(meter("press"), Oddity::WentBack, 49.0).contains("shows 49, less than before"));
}
