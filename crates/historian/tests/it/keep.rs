//! Each tag's history goes at its own time, whole days of it, and nothing else with it.

use crate::aggregates::HOUR;
use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, PowerCut, TestClock, open, open_with, sample};
use crate::table;
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, Request};
use andon_historian::{Historian, Keep, NoHook, Options, Overdue, Retentions};
use andon_model::log::{FrameKind, kind};
use andon_model::{TagId, Timestamp, Value};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Of no meaning to the historian: only time passes.
const TICK: FrameKind = FrameKind { kind: 9_999, version: 1 };

fn us(ts: i64) -> Timestamp {
    Timestamp::from_micros(ts)
}

async fn settle(historian: &Arc<Historian>) {
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    historian.tidy_files().await.unwrap();
}

/// The days of which a tag has points.
async fn days(historian: &Arc<Historian>, tag: u32) -> Vec<i64> {
    let read = historian.range(TagId(tag), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
    let mut days: Vec<i64> = read.points.iter().map(|point| point.ts.micros().div_euclid(DAY)).collect();
    days.dedup();
    days
}

/// Three points of each of these tags on each of these days, a frame a day.
fn write_days(log: &MemoryLog, tags: std::ops::Range<u32>, days: std::ops::Range<i64>) {
    for day in days {
        let of_tag = |tag| (0..3).map(move |n| sample(tag, day * DAY + n * HOUR, Value::Int64(day * 10 + n)));
        log.write(&tags.clone().flat_map(of_tag).collect::<Vec<_>>());
    }
}

fn a_day_passes(log: &MemoryLog) {
    log.let_pass(86_400);
    log.push(TICK, b"");
}

#[tokio::test]
async fn each_tag_goes_at_its_own_time_and_a_day_is_written_once_more_for_each_limit() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let options = Options { retention_days: Some(20), ..Options::default() };
    let historian = open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap();
    // Shorter and longer than what holds for tag 3, and two tags with the same limit.
    let limits = [Keep::Days(5), Keep::Days(30), Keep::ForEver, Keep::Days(20), Keep::Days(5)];
    let said = limits.into_iter().zip(0..).filter(|(_, tag)| *tag != 3).map(|(keep, tag)| (tag, keep));
    historian.keep(said.collect());
    write_days(&log, 0..5, 0..4);
    settle(&historian).await;
    for today in 0..45_i64 {
        for (tag, limit) in (0..).zip(limits) {
            let first = if let Keep::Days(days) = limit { today - i64::from(days) } else { 0 };
            assert_eq!(
                days(&historian, tag).await,
                (first.clamp(0, 4)..4).collect::<Vec<_>>(),
                "tag {tag}, day {today}"
            );
        }
        assert_eq!(historian.stats().file_rows as usize, table::check(folder.path()).1.len(), "others see the same");
        a_day_passes(&log);
        settle(&historian).await;
    }
    let stats = historian.stats();
    assert_eq!((stats.files, stats.damage.len(), stats.table_error), (4, 0, None));
    // Four days, three limits that others outlast.
    assert_eq!(stats.merges, 12, "and not once more: what stays is not written for nothing");
    assert!(historian.verify().is_empty());
}

#[tokio::test]
async fn whoever_has_no_limit_is_never_written_anew_and_a_file_of_one_limit_goes_unwritten() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open_with(folder.path(), &log, Arc::new(NoHook), Options::default()).unwrap();
    historian.keep(Retentions::from([(0, Keep::Days(3)), (1, Keep::Days(3))]));
    write_days(&log, 0..2, 0..2);
    write_days(&log, 2..3, 2..4);
    settle(&historian).await;
    let written = historian.stats().bytes_written;
    for _ in 0..12 {
        a_day_passes(&log);
        settle(&historian).await;
    }
    let stats = historian.stats();
    assert_eq!((stats.files, stats.merges, stats.bytes_written), (2, 0, written));
    assert_eq!((days(&historian, 0).await, days(&historian, 2).await), (vec![], vec![2, 3]));
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_takes_no_tag() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(TestClock::default());
    let historian =
        Historian::open(folder.path(), Arc::clone(&log) as _, Arc::clone(&clock) as _, Options::default()).unwrap();
    historian.keep(Retentions::from([(0, Keep::Days(1))]));
    write_days(&log, 0..2, 0..3);
    for ahead in [0, 1_000] {
        clock.0.store(ahead * DAY, Ordering::Relaxed);
        settle(&historian).await;
        assert_eq!((days(&historian, 0).await, days(&historian, 1).await), (vec![0, 1, 2], vec![0, 1, 2]));
    }
    // Nor does a log whose frames come from ahead of the clock.
    clock.0.store(0, Ordering::Relaxed);
    log.let_pass(1_000 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await, [0, 1, 2]);
    for day in 1..=3 {
        clock.0.store(day * DAY, Ordering::Relaxed);
        settle(&historian).await;
    }
    assert_eq!((days(&historian, 0).await, days(&historian, 1).await), (vec![2], vec![0, 1, 2]));
    // Clock and log ahead together: believed after a day, and not by a start in between.
    clock.0.store(900 * DAY, Ordering::Relaxed);
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await, [2]);
    let historian =
        Historian::open(folder.path(), Arc::clone(&log) as _, Arc::clone(&clock) as _, Options::default()).unwrap();
    historian.keep(Retentions::from([(0, Keep::Days(1))]));
    for (hours, left) in [(1, vec![2]), (24, vec![2]), (25, vec![])] {
        clock.0.store(900 * DAY + hours * DAY / 24, Ordering::Relaxed);
        log.push(TICK, b"");
        settle(&historian).await;
        assert_eq!((days(&historian, 0).await, days(&historian, 1).await), (left, vec![0, 1, 2]), "after {hours} h");
    }
}

#[tokio::test]
async fn what_comes_too_late_is_taken_and_goes_at_the_next_tidying() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.keep(Retentions::from([(0, Keep::Days(5))]));
    write_days(&log, 0..2, 0..3);
    log.let_pass(20 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!((days(&historian, 0).await, days(&historian, 1).await), (vec![], vec![0, 1, 2]));
    for day in [1, 7] {
        log.write(&[sample(0, day * DAY, Value::Int64(1)), sample(1, day * DAY + 5, Value::Int64(2))]);
    }
    historian.catch_up().await.unwrap();
    assert_eq!(days(&historian, 0).await, [1, 7]);
    historian.flush().await.unwrap();
    assert_eq!(days(&historian, 0).await, [1, 7]);
    historian.tidy_files().await.unwrap();
    assert_eq!((days(&historian, 0).await, days(&historian, 1).await), (vec![], vec![0, 1, 2, 7]));
}

#[tokio::test]
async fn a_higher_limit_brings_nothing_back_and_a_lower_one_holds_from_the_next_tidying_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let start = || {
        let options = Options { retention_days: Some(100), ..Options::default() };
        open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap()
    };
    let historian = start();
    let keep = |days| Retentions::from([(0, Keep::Days(days))]);
    historian.keep(keep(8));
    write_days(&log, 0..2, 0..10);
    log.let_pass(12 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await, [4, 5, 6, 7, 8, 9]);
    historian.keep(keep(30));
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await, [4, 5, 6, 7, 8, 9]);
    historian.keep(keep(4));
    assert_eq!(days(&historian, 0).await, [4, 5, 6, 7, 8, 9], "not before");
    // Also when nothing new has come since.
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await, [8, 9]);
    // Without a limit of its own the tag is kept as all others, also after a restart.
    drop(historian);
    let historian = start();
    log.let_pass(30 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!((days(&historian, 0).await, days(&historian, 1).await.len()), (vec![8, 9], 10));
}

/// A day in three files that replace each other's values, and what it is to be once tag 0 is past its time.
async fn three_files(dir: &Path, log: &Arc<MemoryLog>, model: &mut Model, hook: Arc<PowerCut>) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| error.to_string();
    let historian = open(dir, log, hook).map_err(|error| said(&error))?;
    historian.keep(Retentions::from([(0, Keep::Days(3)), (2, Keep::Days(9))]));
    for n in 0..3_i64 {
        // The last one has no other tag, so it goes whole.
        let tags = if n == 2 { 0..1 } else { 0..3 };
        let samples: Vec<_> =
            tags.flat_map(|tag| [sample(tag, 5, Value::Int64(n)), sample(tag, HOUR + n, Value::Int64(n))]).collect();
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        historian.flush().await.map_err(|error| said(&error))?;
    }
    // On the day before, all go at once.
    let samples = [sample(0, -5, Value::Int64(1))];
    model.write(&samples);
    log.write(&samples);
    log.let_pass(4 * 86_400);
    log.push(TICK, b"");
    historian.catch_up().await.unwrap();
    historian.flush().await.map_err(|error| said(&error))?;
    model.age(log.today(), |tag| if tag == 0 { Keep::Days(3) } else { Keep::ForEver });
    historian.tidy_files().await.map_err(|error| said(&error))
}

#[tokio::test]
async fn wherever_the_power_goes_nothing_goes_before_its_time_and_nothing_replaced_comes_back() {
    let whole = PowerCut::after(u64::MAX);
    {
        let folder = tempfile::tempdir().unwrap();
        let (log, mut model) = (Arc::default(), Model::default());
        three_files(folder.path(), &log, &mut model, Arc::clone(&whole)).await.unwrap();
        assert_eq!(table::check(folder.path()).1.keys().filter(|(tag, _)| *tag == 0).count(), 0);
    }
    let steps = whole.seen.lock().unwrap().len() as u64;
    assert!(steps > 60, "{steps}");
    for cut in 0..steps {
        let folder = tempfile::tempdir().unwrap();
        let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
        let _ = three_files(folder.path(), &log, &mut model, PowerCut::after(cut)).await;
        table::check(folder.path());
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        historian.keep(Retentions::from([(0, Keep::Days(3)), (2, Keep::Days(9))]));
        historian.catch_up().await.unwrap();
        model.settle(&historian, 3).await;
        log.let_pass(5 * 86_400);
        log.push(TICK, b"");
        model.age(log.today(), |tag| if tag == 0 { Keep::Days(3) } else { Keep::ForEver });
        settle(&historian).await;
        model.settle(&historian, 3).await;
        assert_eq!(days(&historian, 0).await, [0; 0], "cut before step {cut}");
        assert_eq!(table::check(folder.path()).1, model.rows(), "cut before step {cut}: others see the same");
        let stats = historian.stats();
        assert_eq!((stats.held_back_files, stats.table_error, historian.verify().len()), (0, None, 0));
    }
}

#[tokio::test]
async fn a_month_is_joined_when_what_goes_early_is_gone_and_one_that_was_joined_before_loses_rows_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let (short, long) = (Retentions::from([(0, Keep::Days(40))]), Retentions::from([(0, Keep::Days(400))]));
    historian.keep(short);
    // Two months: January is over.
    write_days(&log, 0..2, 0..31);
    let pass_to = |day: i64| {
        log.let_pass((day - log.today()) * 86_400);
        log.push(TICK, b"");
    };
    pass_to(60);
    settle(&historian).await;
    assert_eq!((historian.stats().files, days(&historian, 0).await.len()), (31, 11), "20 days are gone to the day");
    pass_to(71);
    settle(&historian).await;
    assert_eq!((historian.stats().files, days(&historian, 0).await.len()), (1, 0));
    assert_eq!(days(&historian, 1).await.len(), 31);
    // From a year on a month is joined at once, and goes as one.
    historian.keep(long);
    write_days(&log, 0..2, 31..59);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 2);
    pass_to(59 + 399);
    settle(&historian).await;
    assert_eq!(days(&historian, 0).await.len(), 28, "the last of them is not past it");
    let overdue = historian.overdue().unwrap();
    assert!(matches!(overdue[..], [Overdue { keep: Keep::Days(400), points: 75..=84 }]), "{overdue:?}");
    pass_to(59 + 400);
    settle(&historian).await;
    assert_eq!((days(&historian, 0).await.len(), days(&historian, 1).await.len()), (0, 59));
    assert_eq!(historian.overdue().unwrap(), [Overdue { keep: Keep::Days(400), points: 0 }]);
    assert!(historian.verify().is_empty());
}

#[tokio::test]
async fn what_is_past_one_limit_for_all_is_told_without_a_look_into_files() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let options = Options { retention_days: Some(500), ..Options::default() };
    let historian = open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap();
    assert_eq!(historian.overdue().unwrap(), [Overdue { keep: Keep::Days(500), points: 0 }]);
    write_days(&log, 0..1, 0..31);
    for days in [40, 475] {
        log.let_pass(days * 86_400);
        log.push(TICK, b"");
        settle(&historian).await;
    }
    let overdue = historian.overdue().unwrap();
    assert!(matches!(overdue[..], [Overdue { keep: Keep::Days(500), points: 40..=50 }]), "{overdue:?}");
    historian.keep(Retentions::from([(7, Keep::ForEver)]));
    assert_eq!(
        historian.overdue(),
        None,
        "with several limits it is not known before files were looked at, and is no 0"
    );
    settle(&historian).await;
    let overdue = historian.overdue().unwrap();
    assert!(overdue[0].points >= 40, "{overdue:?}");
}

#[tokio::test]
async fn gaps_stay_as_long_as_any_tag_may_have_history_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let options = Options { retention_days: Some(3), ..Options::default() };
    let historian = open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap();
    let keep = |days| Retentions::from([(1, Keep::Days(days))]);
    historian.keep(keep(30));
    log.push(kind::SAMPLES, b"nonsense");
    write_days(&log, 0..2, 0..2);
    let missing = async |tag| {
        let read = historian.range(TagId(tag), us(0), us(DAY), None).await.unwrap();
        (read.points.len(), read.gaps.len())
    };
    log.let_pass(10 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!((missing(0).await, missing(1).await), ((0, 1), (3, 1)));
    log.let_pass(30 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!((missing(0).await, missing(1).await), ((0, 0), (0, 0)));
    assert_eq!(historian.stats().files, 0);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_waits_for_the_longest_limit_and_so_does_what_is_newer_on_its_day() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let rules = || Retentions::from([(0, Keep::Days(3)), (1, Keep::Days(20)), (2, Keep::Days(30))]);
    let start = || {
        let options = Options { retention_days: Some(3), ..Options::default() };
        let historian = open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap();
        historian.keep(rules());
        historian
    };
    {
        let historian = start();
        for n in 0..2_i64 {
            log.write(&[0, 1].map(|tag| sample(tag, 5, Value::Int64(n))));
            historian.catch_up().await.unwrap();
            historian.flush().await.unwrap();
        }
        write_days(&log, 0..2, 1..2);
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    let day = folder.path().join("parquet/1970-01-01");
    let mut names: Vec<_> = std::fs::read_dir(day).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let oldest = names.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "parquet")).unwrap();
    let mut bytes = std::fs::read(&oldest).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&oldest, bytes).unwrap();
    let historian = start();
    log.let_pass(10 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!(
        (days(&historian, 0).await, days(&historian, 1).await),
        (vec![0], vec![0, 1]),
        "the other day is tidied"
    );
    let read = historian.range(TagId(0), us(0), us(DAY), None).await.unwrap();
    assert_eq!((read.points[0].value.clone(), read.gaps.len()), (Value::Int64(1), 1), "the value that replaced it");
    log.let_pass(22 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!(historian.stats().files, 0);
}

#[tokio::test]
async fn rollups_and_deletes_follow() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.keep(Retentions::from([(0, Keep::Days(3))]));
    for tag in 0..2 {
        log.write(&(0..7_200).map(|n| sample(tag, n * 1_000_000, Value::Double((n % 100) as f64))).collect::<Vec<_>>());
    }
    settle(&historian).await;
    log.delete(0, 0, HOUR / 2);
    log.delete(1, 0, HOUR / 2);
    let request = Request {
        aggregate: Aggregate::Count,
        from: us(0),
        to: us(2 * HOUR),
        interval_us: HOUR,
        stepped: false,
        config: AggregateConfiguration::default(),
    };
    let counts = async |tag| {
        let answer = historian.aggregate(TagId(tag), request).await.unwrap();
        answer.values.iter().map(|value| value.value.as_f64().unwrap_or(0.0)).collect::<Vec<_>>()
    };
    historian.catch_up().await.unwrap();
    assert_eq!((counts(0).await, counts(1).await), (vec![1_800.0, 3_600.0], vec![1_800.0, 3_600.0]));
    log.let_pass(5 * 86_400);
    log.push(TICK, b"");
    settle(&historian).await;
    assert_eq!((counts(0).await, counts(1).await), (vec![0.0, 0.0], vec![1_800.0, 3_600.0]));
    let stats = historian.stats();
    assert_eq!((stats.deletes, stats.files, stats.file_rows), (0, 1, 5_400));
    assert!(stats.rollup_bytes > 0 && stats.removed_files > 0, "the former files stay a while for outside readers");
}

#[tokio::test]
async fn a_file_that_replaced_rows_of_one_that_is_gone_is_seen_by_others_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let options = Options { retention_days: Some(5), ..Options::default() };
    let historian = open_with(folder.path(), &log, Arc::new(NoHook), options).unwrap();
    historian.keep(Retentions::from([(0, Keep::ForEver)]));
    log.write(&[sample(2, 5, Value::Int64(1))]);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    // It comes again on the day on which the first one goes.
    log.let_pass(7 * 86_400);
    log.write(&[sample(2, 5, Value::Int64(2)), sample(0, 5, Value::Int64(3))]);
    settle(&historian).await;
    let seen: Vec<_> = table::check(folder.path()).1.into_keys().collect();
    assert_eq!((seen, historian.stats().held_back_files), (vec![(0, 5)], 0));
    let merges = historian.stats().merges;
    a_day_passes(&log);
    settle(&historian).await;
    assert_eq!(historian.stats().merges, merges, "and it is written once");
}
