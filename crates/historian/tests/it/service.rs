//! The historian at work: gaps, damage, retention, limits, the running service.

use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, TestClock, compare, open, sample};
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, Request};
use andon_historian::{Historian, NoHook, Options, RangeError};
use andon_model::log::{FrameKind, Gap, Seq, kind};
use andon_model::{TagId, Timestamp, Value};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn us(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn start(dir: &Path, log: &Arc<MemoryLog>, clock: &Arc<TestClock>, options: Options) -> Arc<Historian> {
    Historian::open(dir, Arc::clone(log) as _, Arc::clone(clock) as _, options).unwrap()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    tokio::time::timeout(Duration::from_secs(20), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what} did not happen"));
}

#[tokio::test]
async fn lost_and_unreadable_frames_are_gaps_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    // The memory log receives frame n at second n.
    log.write(&[sample(0, 1_000_000, Value::Int64(1))]);
    let lost = log.write(&[sample(0, 2_000_000, Value::Int64(2))]);
    log.write(&[sample(0, 3_000_000, Value::Int64(3))]);
    log.push(
        kind::GAP,
        &serde_json::to_vec(&Gap { from: Seq(0), to: Seq(0), reason: "the disk was full".to_owned() }).unwrap(),
    );
    log.push(kind::SAMPLES, b"\xFFnonsense");
    log.push(FrameKind { kind: kind::SAMPLES.kind, version: 9 }, b"");
    log.write(&[sample(0, 7_000_000, Value::Int64(7))]);
    log.drop_frame(lost);
    let mut historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.catch_up().await.unwrap();
    for round in ["from the buffer", "from files", "after a restart"] {
        let read = historian.range(TagId(0), us(0), us(100_000_000), None).await.unwrap();
        let values: Vec<_> = read.points.iter().filter_map(|point| point.value.as_f64()).collect();
        assert_eq!(values, [1.0, 3.0, 7.0], "{round}");
        assert_eq!(read.complete_to, Some(us(7_000_000)));
        let spans: Vec<_> =
            read.gaps.iter().map(|gap| (gap.from.micros() / 1_000_000, gap.to.micros() / 1_000_000)).collect();
        assert_eq!(spans, [(1, 3), (3, 4), (4, 5), (5, 6)], "{round}: {:?}", read.gaps);
        assert_eq!(read.gaps[1].reason, "the disk was full");
        assert!(read.gaps[2].reason.contains("frame 5") && read.gaps[3].reason.contains("version 9"));
        let quiet = historian.range(TagId(0), us(20_000_000), us(30_000_000), None).await.unwrap();
        assert!(quiet.gaps.is_empty(), "only gaps within the range are said");
        match round {
            "from the buffer" => historian.flush().await.unwrap(),
            _ => historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap(),
        }
    }
}

#[tokio::test]
async fn gaps_survive_merging_and_retention() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(TestClock::default());
    let options = || Options {
        retention_days: Some(3),
        believe_after: Duration::ZERO,
        max_files_per_day: 2,
        ..Options::default()
    };
    let historian = start(folder.path(), &log, &clock, options());
    log.push(kind::SAMPLES, b"nonsense");
    for n in 0..4 {
        log.write(&[sample(0, n, Value::Int64(n)), sample(0, n - 9 * DAY, Value::Int64(n))]);
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    historian.tidy_files().await.unwrap();
    let stats = historian.stats();
    assert_eq!((stats.files, stats.merges), (1, 1), "the old day is dropped, today's files are merged");
    let historian = start(folder.path(), &log, &clock, options());
    let read = historian.range(TagId(0), us(-1), us(100), None).await.unwrap();
    assert_eq!((read.points.len(), read.gaps.len()), (4, 1));
    assert_eq!(read.complete_to, Some(us(5_000_000)));
}

#[tokio::test]
async fn a_damaged_file_is_named_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    {
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        for day in 0..3 {
            log.write(&[sample(0, day * DAY + 10, Value::Int64(day)), sample(0, day * DAY + 20, Value::Int64(day))]);
            historian.catch_up().await.unwrap();
            historian.flush().await.unwrap();
        }
    }
    let broken = folder.path().join("parquet/1970-01-02/000000000002-000000000002.parquet");
    std::fs::write(&broken, b"PAR1 this is not what was written PAR1").unwrap();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let read = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
    let values: Vec<_> = read.points.iter().filter_map(|point| point.value.as_f64()).collect();
    assert_eq!(values, [0.0, 0.0, 2.0, 2.0]);
    assert_eq!(read.gaps.len(), 1);
    assert_eq!((read.gaps[0].from, read.gaps[0].to), (us(DAY + 10), us(DAY + 21)));
    assert!(read.gaps[0].reason.contains("000000000002-000000000002.parquet"), "{}", read.gaps[0].reason);
    let damaged: Vec<_> = historian.stats().damage.into_iter().map(|damage| damage.file).collect();
    assert_eq!(damaged, std::slice::from_ref(&broken));
    assert_eq!(historian.verify().len(), 1);
    // Nothing is known from where the file begins to the first point after it.
    let over = Request {
        aggregate: Aggregate::DurationBad,
        from: us(0),
        to: us(2 * DAY + 10_010),
        interval_us: 0,
        stepped: true,
        config: AggregateConfiguration::default(),
    };
    let bad = historian.aggregates(TagId(0), over, vec![Aggregate::DurationBad, Aggregate::Count]).await.unwrap();
    // The first 10 µs are before the first point.
    assert_eq!(bad[0].values[0].value, Value::Double((10 + DAY) as f64 / 1000.0));
    assert_eq!((&bad[1].values[0].value, bad[0].gaps.len()), (&Value::Int64(4), 1));

    // Missing is as bad as damaged, and no reason to refuse the rest.
    std::fs::remove_file(&broken).unwrap();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let read = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
    assert_eq!((read.points.len(), read.gaps.len()), (4, 1));
    // What lies before the third day is in the damaged file: said for `before` too.
    let read = historian.range(TagId(0), us(2 * DAY), us(3 * DAY), None).await.unwrap();
    assert_eq!(read.before.as_ref().and_then(|point| point.value.as_f64()), Some(0.0));
    assert!(read.gaps.iter().any(|gap| gap.reason.contains("is missing")), "{:?}", read.gaps);
    historian.tidy_files().await.unwrap();
}

#[tokio::test]
async fn retention_drops_whole_days_and_a_clock_that_jumps_ahead_drops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(TestClock::default());
    let historian = start(
        folder.path(),
        &log,
        &clock,
        Options { retention_days: Some(2), believe_after: Duration::ZERO, ..Options::default() },
    );
    for day in 0..6 {
        log.write(&[sample(0, day * DAY, Value::Int64(day))]);
    }
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    clock.0.store(1_000 * DAY, Ordering::Relaxed);
    historian.tidy_files().await.unwrap();
    assert_eq!(historian.stats().files, 6, "the log has only seen the first seconds of 1970");
    log.let_pass(5 * 86_400);
    log.push(FrameKind { kind: 9_999, version: 1 }, b"");
    historian.catch_up().await.unwrap();
    historian.tidy_files().await.unwrap();
    assert_eq!(historian.stats().files, 3);
    let read = historian.range(TagId(0), us(0), us(10 * DAY), None).await.unwrap();
    assert_eq!(read.points.first().map(|point| point.ts), Some(us(3 * DAY)));
    let on_disk = || {
        let days = std::fs::read_dir(folder.path().join("parquet")).unwrap().map(|day| day.unwrap().path());
        days.filter(|day| !day.ends_with("_delta_log")).flat_map(|day| std::fs::read_dir(day).unwrap()).count()
    };
    assert_eq!(on_disk(), 6, "outside readers may still read an older version of the table");
    clock.0.store(1_007 * DAY, Ordering::Relaxed);
    historian.tidy_files().await.unwrap();
    assert_eq!(on_disk(), 3);
}

#[tokio::test]
async fn merging_changes_no_answer_even_for_one_who_reads_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let mut model = Model::default();
    for n in 0..12_i64 {
        let samples: Vec<_> =
            (0..400).map(|at| sample(0, at * 7 % 400 * 1_000 + n % 3, Value::Int64(n * 1_000 + at))).collect();
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    let reader = {
        let historian = Arc::clone(&historian);
        let model = model.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                compare(&historian, &model, 1, 1).await;
            }
        })
    };
    historian.tidy_files().await.unwrap();
    reader.await.unwrap();
    let stats = historian.stats();
    assert_eq!((stats.files, stats.merges, stats.file_rows), (1, 1, 1_200), "doubles are gone");
    compare(&historian, &model, 1, 1).await;
}

#[tokio::test]
async fn a_full_buffer_stops_reading_until_files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let options = Options { flush_bytes: 10_000, read_bytes: 1, ..Options::default() };
    let historian = start(folder.path(), &log, &Arc::default(), options);
    for n in 0..200_i64 {
        log.write(&(0..100).map(|at| sample(0, n * 100 + at, Value::Int64(n))).collect::<Vec<_>>());
    }
    historian.catch_up().await.unwrap();
    let stats = historian.stats();
    assert!(stats.buffered_bytes < 30_000 && stats.frames_behind > 100, "{stats:?}");
    while historian.stats().frames_behind > 0 {
        historian.flush().await.unwrap();
        historian.catch_up().await.unwrap();
    }
    let read = historian.range(TagId(0), us(0), us(i64::MAX), None).await.unwrap();
    assert_eq!(read.points.len(), 20_000);
}

#[tokio::test]
async fn the_service_follows_flushes_by_age_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(TestClock::default());
    let historian = start(folder.path(), &log, &clock, Options::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&historian).run(stop.clone()));
    log.write(&[sample(3, 1, Value::Boolean(true))]);
    until("following", || historian.stats().buffered_points == 1).await;
    assert_eq!(historian.stats().files, 0);
    clock.0.store(Options::default().flush_age.as_micros().try_into().unwrap(), Ordering::Relaxed);
    until("flushing", || log.kept() == 0).await;
    assert_eq!(historian.stats().files, 1);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn questions_that_cannot_be_answered_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian =
        start(folder.path(), &log, &Arc::default(), Options { max_answer_points: 100, ..Options::default() });
    log.write(&(0..1_000).map(|at| sample(0, at, Value::Int64(at))).collect::<Vec<_>>());
    historian.catch_up().await.unwrap();
    assert_eq!(historian.range(TagId(0), us(5), us(5), None).await, Err(RangeError::Empty { from: us(5), to: us(5) }));
    assert_eq!(historian.range(TagId(0), us(0), us(999), None).await, Err(RangeError::TooManyPoints { limit: 100 }));
    let thinned = historian.range(TagId(0), us(0), us(1_000), Some(usize::MAX)).await.unwrap();
    assert!(thinned.thinned && thinned.points.len() <= 100);
    assert!(historian.range(TagId(99), us(0), us(9), None).await.unwrap().points.is_empty());
}
