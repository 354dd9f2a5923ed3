//! Days of a month that is over share files, and nobody sees a difference but in speed.

use crate::aggregates::{HOUR, compare_all, fill};
use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, compare_spans, open, open_joining, sample};
use crate::table;
use andon_historian::{Historian, NoHook, Options};
use andon_model::{TagId, Timestamp, Value};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The folders with files in them, in order.
fn folders(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir.join("parquet"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("_delta_log"))
        .filter(|path| std::fs::read_dir(path).unwrap().any(|file| file.unwrap().path().extension().is_some()))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Writes a sample an hour for these days of tags 0 and 1, a frame a day.
fn write_days(log: &MemoryLog, model: &mut Model, days: std::ops::Range<i64>) {
    for day in days {
        let rows = (0..48_i64).map(|n| sample((n % 2) as u32, day * DAY + n / 2 * HOUR, Value::Int64(day * 100 + n)));
        let samples: Vec<_> = rows.collect();
        model.write(&samples);
        log.write(&samples);
    }
}

const SPANS: [(i64, i64); 6] = [
    (i64::MIN, i64::MAX),
    (3 * DAY, 5 * DAY),
    (4 * DAY + 7 * HOUR, 4 * DAY + 8 * HOUR),
    (29 * DAY, 40 * DAY),
    (-3 * DAY, 2 * DAY),
    (31 * DAY, 32 * DAY),
];

async fn settle(historian: &Arc<Historian>) {
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    historian.tidy_files().await.unwrap();
}

#[tokio::test]
async fn a_month_that_is_over_is_one_file_and_late_data_joins_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    // 1970-01-03 to 1970-02-10; today is the first of February, when January is not yet settled.
    write_days(&log, &mut model, 2..41);
    log.let_pass(31 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 39);
    log.let_pass(2 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    let names: Vec<String> =
        ["1970-01".to_owned()].into_iter().chain((1..=10).map(|day| format!("1970-02-{day:02}"))).collect();
    assert_eq!(historian.stats().files, 11);
    compare_spans(&historian, &model, 2, &SPANS).await;
    assert_eq!(table::check(folder.path()).1, model.rows());
    // What comes late for days of January, also for one that had nothing, is one file of January.
    let late: Vec<_> = [0, 4, 9].map(|day| sample(0, day * DAY + 5, Value::Int64(-day))).into();
    model.write(&late);
    log.write(&late);
    let again = [sample(1, 9 * DAY, Value::Int64(77))];
    model.write(&again);
    log.write(&again);
    model.delete(0, 20 * DAY, 22 * DAY);
    log.delete(0, 20 * DAY, 22 * DAY);
    historian.catch_up().await.unwrap();
    compare_spans(&historian, &model, 2, &SPANS).await;
    historian.flush().await.unwrap();
    assert_eq!(historian.stats().files, 12);
    compare_spans(&historian, &model, 2, &SPANS).await;
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    compare_spans(&historian, &model, 2, &SPANS).await;
    settle(&historian).await;
    compare_spans(&historian, &model, 2, &SPANS).await;
    assert_eq!(table::check(folder.path()).1, model.rows());
    let stats = historian.stats();
    assert_eq!((stats.files, stats.deletes, stats.held_back_files, stats.table_error), (11, 0, 0, None));
    assert!(names.iter().all(|name| folder.path().join("parquet").join(name).is_dir()));
    assert!(historian.verify().is_empty());
}

#[tokio::test]
async fn a_reading_on_each_of_thousands_of_days_is_a_file_a_month_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    log.let_pass(1_300 * 86_400);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let write = |model: &mut Model, samples: &[_]| {
        model.write(samples);
        log.write(samples);
    };
    // April 1970 has a day already, in a file of its month, and so do its other days later.
    write(&mut model, &[sample(0, 100 * DAY, Value::Int64(1))]);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    // Each day from 1970-01-01 to 1973-07-15 in one frame; of tag 1 every third. Today is the 24th.
    let days = (0..1_292_i64).flat_map(|day| {
        let both = [sample(0, day * DAY + 7, Value::Int64(day)), sample(1, day * DAY + day, Value::Double(0.5))];
        both.into_iter().take(if day % 3 == 0 { 2 } else { 1 })
    });
    write(&mut model, &days.collect::<Vec<_>>());
    historian.catch_up().await.unwrap();
    compare_spans(&historian, &model, 2, &SPANS).await;
    let before = historian.stats();
    historian.flush().await.unwrap();
    let stats = historian.stats();
    // 42 months, April 1970 once more, and the days of July 1973, which is not over.
    assert_eq!((before.files, stats.files, stats.merges), (1, 43 + 15, 0));
    let days: Vec<String> = folders(folder.path()).into_iter().filter(|name| name.len() > 7).collect();
    assert!(days.iter().all(|name| name.starts_with("1973-07-")), "{days:?}");
    compare_spans(&historian, &model, 2, &SPANS).await;
    assert_eq!(table::check(folder.path()).1, model.rows());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    // Late data and deletes for some of these days, then a tidying, which joins April.
    write(&mut model, &[sample(0, 40 * DAY + 7, Value::Int64(-1)), sample(1, 41 * DAY, Value::Double(1.5))]);
    model.delete(0, 300 * DAY, 340 * DAY);
    log.delete(0, 300 * DAY, 340 * DAY);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 42 + 15);
    compare_spans(&historian, &model, 2, &SPANS).await;
    assert_eq!(table::check(folder.path()).1, model.rows());
}

#[tokio::test]
async fn thousands_of_days_are_a_file_a_month_also_after_a_few_of_each_and_in_the_far_future() {
    let every = |range: std::ops::Range<i64>, step: usize, tag: u32| {
        range.step_by(step).map(|day| sample(tag, day * DAY, Value::Int64(day))).collect::<Vec<_>>()
    };
    // Today is day 1,300. Readings of meters once in four weeks first; forecasts for years.
    for (first, then) in [(every(0..1_200, 28, 0), every(0..1_200, 1, 1)), (every(2_000..3_200, 1, 0), Vec::new())] {
        let folder = tempfile::tempdir().unwrap();
        let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
        log.let_pass(1_300 * 86_400);
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        for samples in [first, then] {
            model.write(&samples);
            log.write(&samples);
            historian.catch_up().await.unwrap();
            historian.flush().await.unwrap();
        }
        assert!(historian.stats().files <= 2 * 41, "{} files", historian.stats().files);
        compare_spans(&historian, &model, 2, &SPANS).await;
        assert_eq!(table::check(folder.path()).1, model.rows());
    }
}

#[tokio::test]
async fn days_are_joined_up_to_a_size_and_large_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    // A day takes about 3 kB, the tenth four times as much.
    let historian = open_joining(folder.path(), &log, Arc::new(NoHook), 11_000).unwrap();
    write_days(&log, &mut model, 0..12);
    let text = |n: u64| Value::String(format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).into());
    let large: Vec<_> = (0..1_000).map(|n| sample(1, 9 * DAY + n, text(n.unsigned_abs()))).collect();
    model.write(&large);
    log.write(&large);
    log.let_pass(40 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    let names = folders_in_use(&historian, folder.path());
    assert!(names.contains(&"1970-01-10".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("1970-01-01--1970-01-")), "{names:?}");
    assert!((4..9).contains(&names.len()), "{names:?}");
    compare_spans(&historian, &model, 2, &SPANS).await;
    settle(&historian).await;
    assert_eq!(folders_in_use(&historian, folder.path()), names, "joined once and for all");
    // 0: none.
    let other = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open_joining(other.path(), &log, Arc::new(NoHook), 0).unwrap();
    write_days(&log, &mut Model::default(), 0..12);
    log.let_pass(40 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 12);
}

/// Folders of the files that are history, without those kept for outside readers.
fn folders_in_use(historian: &Arc<Historian>, dir: &Path) -> Vec<String> {
    let table = table::read(dir).unwrap();
    assert_eq!(historian.stats().files, table.files.len());
    let mut names: Vec<String> = table.files.keys().map(|path| path.split('/').next().unwrap().to_owned()).collect();
    names.dedup();
    names
}

#[tokio::test]
async fn a_damaged_day_stays_alone_and_its_month_is_joined_around_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    {
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        write_days(&log, &mut model, 0..9);
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    let damaged = std::fs::read_dir(folder.path().join("parquet/1970-01-05")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    log.let_pass(60 * 86_400);
    log.write(&[]);
    // The first try finds the damage, the second goes around it.
    settle(&historian).await;
    settle(&historian).await;
    assert_eq!(historian.stats().files, 3);
    let at = Timestamp::from_micros;
    let read = historian.range(TagId(0), at(0), at(9 * DAY), None).await.unwrap();
    assert_eq!((read.points.len(), read.gaps.len()), (8 * 24, 1));
    assert!(read.gaps[0].reason.contains("1970-01-05"), "{}", read.gaps[0].reason);
}

#[tokio::test]
async fn from_joined_rollups_the_answer_is_the_same_as_from_points() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    fill(&log, &mut model);
    log.let_pass(40 * 86_400);
    log.write(&[]);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    settle(&historian).await;
    let stats = historian.stats();
    assert_eq!(stats.files, 1);
    let spans = [
        (0, 3 * DAY, HOUR),
        (0, 3 * DAY, 0),
        (DAY + 3 * HOUR, 2 * DAY + 5 * HOUR + 1, 2 * HOUR),
        (DAY - HOUR, DAY + HOUR, HOUR / 60),
        (2 * DAY + 17, 2 * DAY + 4 * HOUR + 17, HOUR / 12),
    ];
    compare_all(&historian, &model, &spans).await;
    // Late data makes roll-ups of two files unusable until they are merged.
    let late = [sample(0, HOUR + 5, Value::Double(77.5))];
    model.write(&late);
    log.write(&late);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    compare_all(&historian, &model, &spans[..1]).await;
    settle(&historian).await;
    compare_all(&historian, &model, &spans[..1]).await;
}

#[tokio::test]
async fn emptied_folders_go_and_where_little_is_kept_days_stay_days() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let options = |days| Options {
        retention_days: Some(days),
        believe_after: Duration::ZERO,
        publish: false,
        ..Options::default()
    };
    let clock = || Arc::new(crate::model::TestClock((10_000 * DAY).into()));
    let start = |days| Historian::open(folder.path(), Arc::clone(&log) as _, clock(), options(days)).unwrap();
    let historian = start(90);
    write_days(&log, &mut model, 0..31);
    log.let_pass(40 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 31);
    drop(historian);
    let historian = start(365);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 1);
    drop(historian);
    // The readers of the old files are gone; so are their folders after the next look.
    let historian = start(365);
    settle(&historian).await;
    assert_eq!(folders(folder.path()), ["1970-01"]);
    assert_eq!(std::fs::read_dir(folder.path().join("parquet")).unwrap().count(), 1);
    // A file goes when its last day goes.
    log.let_pass((365 - 20) * 86_400);
    log.write(&[]);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 1);
    log.let_pass(20 * 86_400);
    log.write(&[]);
    settle(&historian).await;
    assert_eq!(historian.stats().files, 0);
}
