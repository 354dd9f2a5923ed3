//! A long time of a line, told and put right: every answer is what a plain sum over what its machines said comes to.
//!
//! The long form is a year of twenty units: `cargo test -p andon-server -- --ignored --nocapture a_year`. It says how long answers take.

use super::testbed::{EXECUTE, HELD, Testbed, at, window};
use andon_api::ports::mes::{CorrectionWish, KpiAnswer, Mes as _, Said};
use andon_model::access::Principal;
use std::fmt::Write as _;
use std::time::Duration;
use uuid::Uuid;

/// What units do: each hour they produce from its beginning, and are held from some minute on to its end; at half past they say how many
/// items they have made so far.
#[derive(Clone, Copy)]
struct Line {
    units: i64,
    hours: i64,
    /// A unit and an hour of which somebody says later that it produced to its end.
    corrected: Option<(i64, i64)>,
}

impl Line {
    fn document(&self) -> String {
        let mut text = "[[equipment]]\npath = \"works\"\nlevel = \"site\"\n[[equipment]]\npath = \"works/line\"\nlevel = \"work_center\"\n".to_owned();
        for unit in 0..self.units {
            let path = format!("works/line/u{unit}");
            let _ = write!(
                text,
                "[[equipment]]\npath = \"{path}\"\nlevel = \"work_unit\"\n[[tag]]\npath = \"{path}/state\"\ntype = \"int64\"\n\
                 [[tag]]\npath = \"{path}/good\"\ntype = \"int64\"\n[[machine]]\nequipment = \"{path}\"\norders = false\nrun_time = \"1 s\"\n\
                 state = {{ tag = \"{path}/state\", packml = true }}\ngood = {{ tag = \"{path}/good\" }}\n"
            );
        }
        text
    }

    /// The minute of an hour in which a unit is held.
    const fn held(unit: i64, hour: i64) -> i64 {
        40 + (unit + hour) % 15
    }

    /// Items of an hour.
    const fn items(unit: i64, hour: i64) -> i64 {
        10 + (7 * unit + hour) % 5
    }

    /// Minutes of production and of delay, and items, of units in a window of minutes.
    fn comes_to(&self, units: std::ops::Range<i64>, from: i64, to: i64) -> (i64, i64, i64) {
        let within = |begin: i64, end: i64| (end.min(to) - begin.max(from)).max(0);
        let (mut production, mut delay, mut items) = (0, 0, 0);
        for unit in units {
            for hour in from / 60..(to + 59) / 60 {
                let begins = hour * 60;
                let held = if self.corrected == Some((unit, hour)) { 60 } else { Self::held(unit, hour) };
                production += within(begins, begins + held);
                delay += within(begins + held, begins + 60);
                // The first that a counter says is where it stands, and no items.
                let counted = hour > 0 && (from..to).contains(&(begins + 30));
                items += if counted { Self::items(unit, hour) } else { 0 };
            }
        }
        (production, delay, items)
    }

    async fn lives(&self) -> Testbed {
        let mut here = Testbed::new(&self.document()).await;
        let mut made = vec![0; usize::try_from(self.units).expect("a few")];
        let names: Vec<_> = (0..self.units).map(|unit| (format!("u{unit}/state"), format!("u{unit}/good"))).collect();
        for hour in 0..self.hours {
            let mut said = Vec::new();
            for (unit, (state, good)) in (0..).zip(&names) {
                let made = &mut made[usize::try_from(unit).expect("a few")];
                *made += Self::items(unit, hour);
                said.push((state.as_str(), hour * 60, EXECUTE));
                said.push((good.as_str(), hour * 60 + 30, *made));
                said.push((state.as_str(), hour * 60 + Self::held(unit, hour), HELD));
            }
            here.clock.set(at(hour * 60 + 59));
            here.say(&said).await;
            here.go_on().await;
        }
        here.at_minute(self.hours * 60 + 30, &[]).await;
        here
    }

    /// Asks for windows with even and with ragged edges, and compares each; how long each answer took.
    async fn is_told_by(&self, here: &Testbed) -> Vec<Duration> {
        let end = self.hours * 60;
        let some = self.units / 2;
        let mut took = Vec::new();
        for (from, to) in
            [(0, end), (17, end - 43), (end / 12 - 1, end - 61), (end / 2, end / 2 + 1), (end / 3, end / 3 + 24 * 60)]
        {
            for (path, units) in [
                ("works", 0..self.units),
                ("works/line", 0..self.units),
                (&*format!("works/line/u{some}"), some..some + 1),
            ] {
                let clock = stopwatch();
                let answer = here.kpis(path, from, to).await;
                took.push(clock());
                assert_eq!(told(&answer), self.comes_to(units, from, to), "{path} from minute {from} to {to}");
            }
        }
        took
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole minutes and items")]
fn told(answer: &KpiAnswer) -> (i64, i64, i64) {
    let minutes = |ms: f64| (ms / 60_000.0).round() as i64;
    let delay = answer.times.delay_ms + answer.times.minor_stop_ms;
    (minutes(answer.times.production_ms), minutes(delay), answer.amounts.good as i64)
}

/// How long something takes.
#[expect(clippy::disallowed_methods, reason = "real time is said, and nothing depends on it")]
fn stopwatch() -> impl Fn() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}

#[expect(clippy::print_stderr, reason = "whoever runs the long form reads how long answers took")]
async fn a_long_time_is_told(units: i64, hours: i64) {
    let mut line = Line { units, hours, corrected: None };
    let here = line.lives().await;
    let before = line.is_told_by(&here).await;

    // Eleven twelfths of it ago a machine produced, and its state was wrong.
    let (unit, hour) = (units / 2, hours / 12);
    let wish = CorrectionWish {
        path: format!("works/line/u{unit}"),
        from: at(hour * 60 + Line::held(unit, hour)),
        to: at(hour * 60 + 60),
        said: Said::State("Execute".to_owned()),
        note: None,
        key: Uuid::from_u128(1),
    };
    let clock = stopwatch();
    here.mes.correct(wish, Principal::SYSTEM).await.expect("put right");
    let corrected = clock();
    line.corrected = Some((unit, hour));
    let after = line.is_told_by(&here).await;
    // From what was kept alone.
    let here = here.killed().await;
    line.is_told_by(&here).await;
    let brief = |path: &str| here.mes.children(path.to_owned(), window(17, hours * 60 - 43), vec![String::new()]);
    let clock = stopwatch();
    let children = brief("works/line").await.expect("an answer").children.len();
    let worst = |took: &[Duration]| took.iter().max().copied().unwrap_or_default();
    eprintln!(
        "{units} units, {hours} hours: an answer at most {:?}, after a correction {:?} (made in {corrected:?}); {children} units in brief {:?}",
        worst(&before),
        worst(&after),
        clock(),
    );
}

#[tokio::test]
async fn weeks_of_a_line_are_told_exactly_also_after_a_correction_of_long_ago() {
    // Over more than one slot of 32 days, the longest that is kept.
    a_long_time_is_told(2, 24 * 40).await;
}

#[tokio::test]
#[ignore = "a year of twenty units takes minutes"]
async fn a_year_of_a_line_is_told_exactly_also_after_a_correction_of_long_ago() {
    a_long_time_is_told(20, 24 * 365).await;
}
