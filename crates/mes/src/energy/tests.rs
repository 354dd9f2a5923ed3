//! Meters, trees, tariffs and windows: what is counted is counted once, and sums are the sums of their parts.

use super::meter::{LONGEST_US, Meter, MeterRule, Oddity, Quarter, Reads};
use super::tariff::{PriceWindow, Tariff, cost, month_in, tariff_of};
use super::trail::{POINTS, Trail};
use super::tree::{counted, is_metered};
use super::window::{Amount, share};
use super::{QUARTER_US, begin_of, quarter_of};
use crate::calendar::{Days, Minute};
use crate::quantity::Quantity;
use andon_model::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000_000;

fn counter() -> MeterRule {
    MeterRule { reads: Reads::Energy, factor: 1.0, rolls_over_at: None, most_kw: None }
}

fn power() -> MeterRule {
    MeterRule { reads: Reads::Power, ..counter() }
}

/// A meter, and what was kept of it.
#[derive(Default)]
struct Bench {
    meter: Meter,
    trail: Trail,
    quarters: BTreeMap<i64, Quarter>,
}

impl Bench {
    fn read(&mut self, rule: &MeterRule, at_us: i64, value: f64) -> Option<Oddity> {
        let quarters = &mut self.quarters;
        let oddity = self.meter.read(rule, at_us, value, |number, quarter| {
            quarters.insert(number, quarter);
        });
        if let Some(until) = self.meter.until_us() {
            self.trail.push(until, self.meter.counted());
        }
        oddity
    }

    /// Killed and started again: what is remembered goes through its text.
    fn again(&mut self) {
        let text = serde_json::to_string(&self.meter).expect("a text");
        self.meter = serde_json::from_str(&text).expect("a meter");
    }

    fn energy(&self) -> i64 {
        self.quarters.values().map(|quarter| quarter.energy).sum()
    }

    fn estimated(&self) -> i64 {
        self.quarters.values().map(|quarter| quarter.estimated).sum()
    }

    fn window(&self, from: i64, to: i64) -> Amount {
        let mut sum = Amount::default();
        for (number, quarter) in &self.quarters {
            sum += share(*number, quarter, from, to);
        }
        sum
    }
}

fn mwh(kwh: f64) -> i64 {
    Quantity::from_f64(kwh).expect("a quantity").millionths()
}

#[test]
fn an_increment_is_spread_over_the_quarters_between_its_readings() {
    let mut bench = Bench::default();
    let rule = counter();
    assert_eq!(bench.read(&rule, 10 * MINUTE, 100.0), None);
    assert!(bench.quarters.is_empty(), "what it shows first was counted before");
    bench.read(&rule, 20 * MINUTE, 101.0);
    let quarter = |from: i64, to: i64, energy: f64, estimated: f64| Quarter {
        energy: mwh(energy),
        estimated: mwh(estimated),
        from_us: from * MINUTE,
        to_us: to * MINUTE,
        metered_us: (to - from) * MINUTE,
    };
    assert_eq!(bench.quarters, BTreeMap::from([(0, quarter(10, 15, 0.5, 0.0)), (1, quarter(0, 5, 0.5, 0.0))]));
    // Forty minutes later: nobody knows when, and that is said.
    bench.read(&rule, 60 * MINUTE, 105.0);
    assert_eq!(bench.quarters[&1], quarter(0, 15, 1.5, 1.0));
    assert_eq!(bench.quarters[&2], quarter(0, 15, 1.5, 1.5));
    assert_eq!(bench.quarters[&3], quarter(0, 15, 1.5, 1.5));
    assert_eq!(bench.quarters.len(), 4, "a reading at the end of a quarter begins no other");
}

#[test]
fn a_counter_rolls_over_is_reset_and_is_not_believed() {
    let mut bench = Bench::default();
    let rule = MeterRule { rolls_over_at: Some(1000.0), most_kw: Some(100.0), ..counter() };
    bench.read(&rule, 0, 990.0);
    assert_eq!(bench.read(&rule, MINUTE, 5.0), None);
    assert_eq!((bench.energy(), bench.estimated()), (mwh(15.0), 0), "it rolled over");
    bench.read(&rule, 2 * MINUTE, 25.0);
    assert_eq!(bench.read(&rule, 3 * MINUTE, 1.0), None, "whether it goes on from there is not known yet");
    assert_eq!(bench.energy(), mwh(35.0));
    bench.again();
    assert_eq!(bench.read(&rule, 4 * MINUTE, 2.0), Some(Oddity::Reset));
    assert_eq!((bench.energy(), bench.estimated()), (mwh(37.0), mwh(2.0)), "what it shows was counted since");
    // 100 kW are 25 kWh in a quarter hour, however soon after the last it is read.
    assert_eq!(bench.read(&rule, 5 * MINUTE, 28.0), Some(Oddity::NotBelieved(Quantity::from_millionths(mwh(26.0)))));
    bench.read(&rule, 6 * MINUTE, 29.0);
    assert_eq!(bench.energy(), mwh(38.0), "and it goes on from there");
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 1e12] {
        assert_eq!(bench.read(&rule, 7 * MINUTE, wrong), Some(Oddity::NoCount), "{wrong}");
    }
    bench.read(&rule, 7 * MINUTE, 30.0);
    assert_eq!(bench.energy(), mwh(39.0));
}

#[test]
fn a_moment_of_zero_is_no_consumption() {
    let mut bench = Bench::default();
    for (minute, value) in [(0, 5000.0), (1, 0.0), (2, 0.0), (3, 5001.0)] {
        assert_eq!(bench.read(&counter(), minute * MINUTE, value), None);
        bench.again();
    }
    assert_eq!((bench.energy(), bench.estimated()), (mwh(1.0), 0));
    assert_eq!(bench.window(0, QUARTER_US).metered_us, 3 * MINUTE);
}

#[test]
fn a_counter_that_wavers_counts_nothing_twice() {
    let mut bench = Bench::default();
    bench.read(&counter(), 0, 5000.0);
    assert_eq!(bench.read(&counter(), MINUTE, 4999.9), Some(Oddity::WentBack));
    assert_eq!(bench.read(&counter(), 2 * MINUTE, 4999.95), Some(Oddity::WentBack));
    assert_eq!(bench.meter.until_us(), Some(0), "what it drew since is not known");
    assert_eq!(bench.read(&counter(), 3 * MINUTE, 5000.1), None);
    assert_eq!(bench.energy(), mwh(0.1));
    // A day later it is taken to show less for good; of the day nothing is known.
    let later = 3 * MINUTE + 97 * QUARTER_US;
    bench.read(&counter(), later, 3000.0);
    assert_eq!(bench.read(&counter(), later + MINUTE, 3001.0), None);
    assert_eq!(bench.energy(), mwh(1.1));
    assert_eq!(bench.window(0, later + QUARTER_US).metered_us, 4 * MINUTE);
}

#[test]
fn a_stay_has_what_was_drawn_in_it_and_not_its_share_of_a_quarter_hour() {
    let mut bench = Bench::default();
    // All of a kWh is drawn in the first of ten minutes.
    for second in 0..=600 {
        bench.read(&counter(), second * 1_000_000, (second as f64 / 60.0).min(1.0));
    }
    let drawn = |from: i64, to: i64| bench.trail.between(from * MINUTE / 2, to * MINUTE / 2);
    let energy = |from, to| drawn(from, to).map(|drawn| (drawn.amount.energy, drawn.is_known));
    assert_eq!(energy(0, 2), Some((1_000_000, true)));
    assert_eq!(energy(1, 3), Some((500_000, true)));
    assert_eq!(energy(2, 20), Some((0, true)));
    assert_eq!(drawn(3, 5).map(|drawn| drawn.amount.metered_us), Some(MINUTE));
    assert_eq!((drawn(-1, 2), drawn(2, 21)), (None, None), "that is not remembered");
    // Ten minutes without a reading: a share of what came over them.
    bench.read(&counter(), 20 * MINUTE, 2.0);
    let drawn = bench.trail.between(12 * MINUTE, 20 * MINUTE).expect("remembered");
    assert_eq!((drawn.amount.energy, drawn.is_known), (800_000, false));
}

#[test]
fn a_trail_is_bounded() {
    let mut trail = Trail::default();
    for tenth in 0..100_000_i64 {
        trail.push(tenth * 100_000, Amount { energy: tenth, ..Amount::default() });
    }
    let seconds = i64::try_from(POINTS).expect("small") / 2;
    let energy = |from: i64| trail.between(from * 1_000_000, 9_990_000_000).map(|drawn| drawn.amount.energy);
    assert_eq!(energy(9_990 - seconds / 2), Some(10 * seconds / 2));
    assert_eq!(energy(9_990 - 2 * seconds), None, "so far back nothing is remembered");
}

#[test]
fn what_comes_late_is_left_out_and_nothing_is_lost_by_it() {
    let mut bench = Bench::default();
    let rule = counter();
    for (minute, value) in [(0, 1.0), (10, 2.0), (5, 1.9), (10, 7.0), (12, 3.0)] {
        assert_eq!(bench.read(&rule, minute * MINUTE, value), None);
    }
    assert_eq!(bench.energy(), mwh(2.0));
}

#[test]
fn small_steps_add_up_in_units_that_are_no_kilowatt_hours() {
    let mut bench = Bench::default();
    // A joule is 0.2778 mWh: each for itself would be nothing.
    let rule = MeterRule { factor: 1.0 / 3.6e6, ..counter() };
    for second in 0..=3600 {
        bench.read(&rule, second * 1_000_000, second as f64);
    }
    assert_eq!(bench.energy(), 1000);
}

#[test]
fn a_power_holds_until_the_next_and_a_quarter_hour_at_most() {
    let mut bench = Bench::default();
    let rule = power();
    bench.read(&rule, 0, 4.0);
    bench.read(&rule, 5 * MINUTE, 0.0);
    bench.read(&rule, 10 * MINUTE, 8.0);
    assert_eq!(bench.energy(), 333_333, "4 kW for five minutes, and what is no whole mWh waits");
    // Silent for an hour: it is known for a quarter of it.
    bench.read(&rule, 70 * MINUTE, 8.0);
    assert_eq!(bench.energy(), 2_333_333);
    assert_eq!(bench.window(0, 70 * MINUTE).metered_us, 25 * MINUTE);
    assert_eq!(bench.estimated(), 0);
    // What flows back counts as nothing, what cannot be is left out.
    bench.read(&rule, 71 * MINUTE, -5.0);
    bench.read(&rule, 72 * MINUTE, f64::NAN);
    bench.read(&rule, 73 * MINUTE, 0.0);
    assert_eq!(bench.energy(), 2_333_333 + 133_333);
}

#[test]
fn an_exchanged_device_goes_on_in_the_same_quarter_hour() {
    let mut bench = Bench::default();
    bench.read(&counter(), 0, 500.0);
    bench.read(&counter(), 5 * MINUTE, 501.0);
    bench.meter.exchanged();
    bench.again();
    bench.read(&counter(), 7 * MINUTE, 0.5);
    bench.read(&counter(), 10 * MINUTE, 1.0);
    assert_eq!((bench.energy(), bench.quarters.len()), (mwh(1.5), 1));
    assert_eq!(bench.window(0, QUARTER_US).metered_us, 8 * MINUTE);
}

#[test]
fn a_gap_is_bounded() {
    let mut bench = Bench::default();
    bench.read(&counter(), -LONGEST_US * 10, 1.0);
    bench.read(&counter(), begin_of(0), 2.0);
    assert_eq!((bench.energy(), bench.quarters.len()), (mwh(1.0), 32 * 96));
    bench.read(&counter(), i64::MAX, 3.0);
    assert_eq!(bench.energy(), mwh(2.0));
}

#[test]
fn a_main_meter_and_what_is_behind_it_are_not_both_counted() {
    let places = ["works/a/one", "works/a", "works/b/two", "works/a", "works/b/two/part", "other"];
    let of = |node: &str| counted(&places, node);
    assert_eq!(of("works/a"), [1, 3], "all that stand at the node");
    assert_eq!(of("works/a/one"), [0]);
    assert_eq!(of("works"), [1, 2, 3]);
    assert_eq!(of("works/b"), [2]);
    assert_eq!(of("works/c"), [0; 0]);
    assert_eq!(of(""), [1, 2, 3, 5], "the top");
    let main = ["works/a"];
    assert!(is_metered(&main, "works/a/one") && is_metered(&main, "works/a") && !is_metered(&main, "works/ab"));
    assert!(is_metered(&["works/b/two/part"], "works/b/two"));
}

fn tariff(zone: &str, at: &str) -> Tariff {
    Tariff {
        carrier: "electricity".to_owned(),
        at: at.to_owned(),
        currency: "EUR".to_owned(),
        zone: zone.parse().expect("a zone"),
        price: Quantity::from_millionths(200_000),
        windows: Vec::new(),
        demand_price: None,
        valid_from: None,
    }
}

fn window(name: &str, days: &str, from: &str, to: &str, millionths: i64) -> PriceWindow {
    let minute = |text| Minute::parse(text).expect("a minute");
    let price = Quantity::from_millionths(millionths);
    PriceWindow {
        name: name.to_owned(),
        days: Days::parse(days).expect("days"),
        from: minute(from),
        to: minute(to),
        price,
    }
}

fn quarter_at(text: &str) -> i64 {
    quarter_of(Timestamp::parse_rfc3339(text).expect("a time").micros())
}

#[test]
fn prices_go_by_the_wall_clock_also_when_it_changes() {
    let mut tariff = tariff("Europe/Berlin", "works");
    tariff.windows =
        vec![window("peak", "mon-fri", "07:00", "20:00", 300_000), window("night", "sun", "22:00", "06:00", 100_000)];
    let name = |at: &str| tariff.price_of(quarter_at(at)).0.unwrap_or("-").to_owned();
    // 2026-03-29 is the Sunday on which summer time begins: 7 h are 6 h UTC before and 5 h after.
    for (at, wanted) in [
        ("2026-03-27T05:45:00Z", "-"),
        ("2026-03-27T06:00:00Z", "peak"),
        ("2026-03-27T18:45:00Z", "peak"),
        ("2026-03-27T19:00:00Z", "-"),
        ("2026-03-28T12:00:00Z", "-"),
        ("2026-03-29T19:45:00Z", "-"),
        ("2026-03-29T20:00:00Z", "night"),
        ("2026-03-30T03:45:00Z", "night"),
        ("2026-03-30T04:00:00Z", "-"),
        ("2026-03-30T05:00:00Z", "peak"),
        ("2026-03-30T20:00:00Z", "-"),
    ] {
        assert_eq!(name(at), wanted, "{at}");
    }
}

#[test]
fn the_nearest_and_newest_tariff_counts() {
    let mut newer = tariff("Europe/Berlin", "works");
    newer.valid_from = "2026-06-01".parse().ok();
    let near = Tariff { at: "works/a".to_owned(), ..tariff("UTC", "works") };
    let gas = Tariff { carrier: "gas".to_owned(), ..tariff("UTC", "works/a/one") };
    let all = BTreeMap::from([
        ("gas".to_owned(), gas),
        ("near".to_owned(), near),
        ("newer".to_owned(), newer),
        ("old".to_owned(), tariff("UTC", "works")),
    ]);
    let name = |place: &str, at: &str| tariff_of(&all, "electricity", place, quarter_at(at)).map(|(name, _)| name);
    assert_eq!(name("works/b", "2026-05-31T21:45:00Z"), Some("old"));
    assert_eq!(name("works/b", "2026-05-31T22:00:00Z"), Some("newer"), "June begins there");
    assert_eq!(name("works/a/one", "2026-07-01T00:00:00Z"), Some("near"));
    assert_eq!(name("elsewhere", "2026-07-01T00:00:00Z"), None);
}

#[test]
fn months_begin_where_the_plant_is() {
    let utc = |text: &str| Timestamp::parse_rfc3339(text).expect("a time").micros();
    let berlin = "Europe/Berlin".parse().expect("a zone");
    assert_eq!(month_in(berlin, 2026, 3), Some((utc("2026-02-28T23:00:00Z"), utc("2026-03-31T22:00:00Z"))));
    assert_eq!(month_in(berlin, 2026, 12).map(|(_, to)| to), Some(utc("2026-12-31T23:00:00Z")));
    assert_eq!(month_in(berlin, 2026, 13), None);
}

#[test]
fn a_cost_is_rounded_to_a_millionth() {
    let price = Quantity::from_millionths;
    assert_eq!(cost(1_500_000, price(200_000)), price(300_000));
    assert_eq!(cost(1, price(499_999)), price(0));
    assert_eq!(cost(1, price(500_000)), price(1));
    assert_eq!(cost(i64::MAX, price(1_000_000_000_000)), price(i64::MAX));
}

/// What readings are: steps of the counter, and µs between them.
fn readings() -> impl Strategy<Value = Vec<(i64, i64)>> {
    proptest::collection::vec((0i64..5_000_000, 1i64..4 * QUARTER_US), 1..60)
}

proptest! {
    /// For any cut of the readings, each with a restart: quarters add up to the last reading less the first, and are those of no cut at all.
    #[test]
    fn quarters_add_up_to_the_counter(steps in readings(), cuts in proptest::collection::vec(any::<bool>(), 60), begins in 0i64..2_000_000_000_000) {
        let (mut cut, mut whole) = (Bench::default(), Bench::default());
        let (mut at, mut shown) = (begins, 0i64);
        let rule = counter();
        let value = |shown: i64| Quantity::from_millionths(shown).to_f64();
        for bench in [&mut cut, &mut whole] {
            bench.read(&rule, at, 0.0);
        }
        for ((step, span), is_cut) in steps.iter().zip(&cuts) {
            (at, shown) = (at + span, shown + step);
            cut.read(&rule, at, value(shown));
            whole.read(&rule, at, value(shown));
            if *is_cut {
                cut.again();
            }
        }
        prop_assert_eq!(cut.energy(), shown);
        prop_assert_eq!(cut.meter, whole.meter);
        prop_assert_eq!(&cut.quarters, &whole.quarters);
        let metered: i64 = cut.quarters.values().map(|quarter| quarter.metered_us).sum();
        prop_assert_eq!(metered, at - begins);
    }

    /// A power comes to its integral, less what is no whole mWh, however often it is read in between.
    #[test]
    fn a_power_comes_to_its_integral(steps in proptest::collection::vec((0i64..3_000_000, 1i64..QUARTER_US), 2..60)) {
        let mut bench = Bench::default();
        let (mut at, mut integral) = (0i64, 0i128);
        for (milliwatts, span) in &steps {
            bench.read(&power(), at, Quantity::from_millionths(*milliwatts).to_f64());
            integral += i128::from(*milliwatts) * i128::from(*span);
            at += span;
            bench.again();
        }
        bench.read(&power(), at, 0.0);
        prop_assert_eq!(i128::from(bench.energy()), integral / 3_600_000_000);
    }

    /// Windows that follow each other have what the whole has.
    #[test]
    fn windows_add_up(steps in readings(), ends in proptest::collection::vec(-QUARTER_US..60 * QUARTER_US, 0..8)) {
        let mut bench = Bench::default();
        let (mut at, mut shown) = (3 * MINUTE, 0i64);
        bench.read(&counter(), at, 0.0);
        for (step, span) in &steps {
            (at, shown) = (at + span, shown + step);
            bench.read(&counter(), at, Quantity::from_millionths(shown).to_f64());
        }
        let mut ends = [vec![i64::MIN, i64::MAX], ends].concat();
        ends.sort_unstable();
        let mut sum = Amount::default();
        for pair in ends.windows(2) {
            sum += bench.window(pair[0], pair[1]);
        }
        prop_assert_eq!(sum, bench.window(i64::MIN, i64::MAX));
        prop_assert_eq!(sum.energy, shown);
    }

    /// Stays that follow each other have what was counted over all of them, wherever their ends lie, told when each of them is over.
    #[test]
    fn stays_add_up_as_they_end(steps in proptest::collection::vec((0i64..5_000_000, 100_000i64..20_000_000), 2..200), stay in 1i64..60) {
        let mut bench = Bench::default();
        let (mut at, mut shown, mut told, mut sum) = (0i64, 0i64, 0i64, 0i64);
        bench.read(&counter(), at, 0.0);
        for (step, span) in steps {
            (at, shown) = (at + span, shown + step);
            bench.read(&counter(), at, Quantity::from_millionths(shown).to_f64());
            // As a certificate, ten seconds after its unit left.
            while told + stay * 1_000_000 + 10_000_000 <= at {
                let end = told + stay * 1_000_000;
                sum += bench.trail.between(told, end).expect("remembered").amount.energy;
                told = end;
            }
            prop_assert!(sum <= shown);
        }
        sum += bench.trail.between(told, at).expect("remembered").amount.energy;
        prop_assert_eq!(sum, shown);
    }

    /// A node without a meter of its own has what the nodes below it have; every place is counted once at most.
    #[test]
    fn a_node_is_the_sum_of_its_parts(places in proptest::collection::vec("[ab](/[ab]){0,3}", 0..12), node in "[ab](/[ab]){0,2}") {
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        let own = counted(&places, &node);
        if places.contains(&node.as_str()) {
            let at: Vec<usize> = (0..places.len()).filter(|at| places[*at] == node).collect();
            prop_assert_eq!(own, at);
        } else {
            let mut parts: Vec<usize> =
                ["a", "b"].iter().flat_map(|below| counted(&places, &format!("{node}/{below}"))).collect();
            parts.sort_unstable();
            prop_assert_eq!(own, parts);
        }
    }
}

/// A year of a steel plant, quarter hour by quarter hour, if `ANDON_CASES` names a folder of cases: what a counter shows gives back each
/// quarter hour, and months and their highest quarter hours are those of a plain sum.
#[test]
fn a_steel_plant_gives_its_own_months_and_peaks() {
    let Some(folder) = std::env::var_os("ANDON_CASES") else {
        return println!("skipped: ANDON_CASES names no folder of cases");
    };
    let file = std::path::Path::new(&folder).join("steel-energy/steel-2018-h1.csv");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return println!("skipped: there is no {}", file.display());
    };
    let begins = Timestamp::parse_rfc3339("2018-01-01T00:00:00Z").expect("a time").micros();
    let mut bench = Bench::default();
    let (mut shown, mut at) = (0i64, begins);
    let mut plain: BTreeMap<i64, i64> = BTreeMap::new();
    bench.read(&counter(), at, 0.0);
    for (row, line) in text.lines().skip(1).enumerate() {
        let energy = mwh(line.split(',').nth(1).and_then(|field| field.parse().ok()).expect("a number"));
        plain.insert(quarter_of(begins) + i64::try_from(row).expect("a row"), energy);
        shown += energy;
        // Read three times in each quarter hour, at its end among them.
        for third in 1..=3 {
            let so_far = shown - energy + energy * third / 3;
            bench.read(&counter(), at + third * QUARTER_US / 3, Quantity::from_millionths(so_far).to_f64());
        }
        at += QUARTER_US;
        if row % 97 == 0 {
            bench.again();
        }
    }
    assert_eq!(plain.len(), 181 * 96, "the first half of a year");
    let seoul = "Asia/Seoul".parse().expect("a zone");
    for month in 1..=6 {
        let (from, to) = month_in(chrono_tz::UTC, 2018, month).expect("a month");
        let rows: Vec<i64> = plain.range(quarter_of(from)..quarter_of(to)).map(|(_, energy)| *energy).collect();
        assert_eq!(bench.window(from, to).energy, rows.iter().sum::<i64>(), "month {month}");
        let peak = bench.quarters.range(quarter_of(from)..quarter_of(to)).map(|(_, quarter)| quarter.energy).max();
        assert_eq!(peak, rows.iter().copied().max(), "month {month}");
        // The same months where the plant stands begin nine hours earlier.
        let local = month_in(seoul, 2018, month).expect("a month");
        assert_eq!(from - local.0, 9 * 3600 * 1_000_000);
    }
    assert_eq!((bench.energy(), bench.estimated()), (shown, 0));
    println!("steel plant: {} quarter hours, {} kWh", plain.len(), Quantity::from_millionths(shown));
}
