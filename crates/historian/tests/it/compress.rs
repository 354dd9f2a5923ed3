//! A compressed tag keeps what tells the rest within its deviation; all others keep everything.

use crate::memory_log::MemoryLog;
use crate::model::{open, sample};
use andon_historian::{Compression, Compressions, Historian, NoHook};
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::sync::Arc;

const SECOND: i64 = 1_000_000;

async fn times(historian: &Arc<Historian>, tag: u32) -> Vec<i64> {
    let range = historian.range(TagId(tag), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
    range.points.iter().map(|point| point.ts.micros() / SECOND).collect()
}

fn ramp(tag: u32, seconds: std::ops::Range<i64>) -> Vec<Sample> {
    seconds.map(|n| sample(tag, n * SECOND, Value::Double(n as f64))).collect()
}

#[tokio::test]
async fn a_compressed_tag_keeps_its_corners_and_the_newest_in_buffer_files_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let rule = |stepped| Compression { deviation: 0.5, at_least_every_us: 1000 * SECOND, stepped };
    let rules = || Compressions::from([(1, rule(false)), (2, rule(true))]);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.compress(rules());
    for tag in [1, 2, 3] {
        log.write(&ramp(tag, 0..50));
    }
    historian.catch_up().await.unwrap();
    assert_eq!(times(&historian, 1).await, [0, 49], "a straight line is its ends");
    assert_eq!(times(&historian, 2).await.len(), 50, "steps of 1 are no rest within 0.5");
    assert_eq!(times(&historian, 3).await.len(), 50, "no rule, no loss");
    assert_eq!((historian.stats().points, historian.stats().points_left_out), (150, 48));

    let turn: Vec<_> = (50..60).map(|n| sample(1, n * SECOND, Value::Double(49.0))).collect();
    log.write(&turn);
    let mut bad = sample(1, 60 * SECOND, Value::Double(49.0));
    bad.quality = StatusCode::BAD_NO_COMMUNICATION;
    log.write(&[bad]);
    log.write(&ramp(1, 70..75));
    log.write(&[sample(1, 72 * SECOND, Value::Double(7.0)), sample(1, 10 * SECOND, Value::Double(8.0))]);
    historian.catch_up().await.unwrap();
    let kept = [0, 10, 49, 59, 60, 70, 72, 74];
    assert_eq!(times(&historian, 1).await, kept, "corners, what is bad, what comes again or late");
    historian.flush().await.unwrap();
    assert_eq!(times(&historian, 1).await, kept);
    drop(historian);

    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.compress(rules());
    log.write(&ramp(1, 75..100));
    historian.catch_up().await.unwrap();
    assert_eq!(times(&historian, 1).await, [0, 10, 49, 59, 60, 70, 72, 74, 75, 99]);
    historian.compress(Compressions::new());
    log.write(&ramp(1, 100..110));
    historian.catch_up().await.unwrap();
    assert_eq!(times(&historian, 1).await.len(), 20, "without a rule every reading is kept from now on");
}

#[tokio::test]
async fn what_comes_late_or_again_is_never_left_out_not_even_behind_a_flush_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let rules =
        || Compressions::from([(1, Compression { deviation: 0.5, at_least_every_us: i64::MAX, stepped: false })]);
    let mut historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.compress(rules());
    let zeros = |seconds: std::ops::Range<i64>| -> Vec<_> {
        seconds.map(|n| sample(1, n * SECOND, Value::Double(0.0))).collect()
    };
    // A wrong peak, and a wrong point where there was nothing.
    log.write(&zeros(0..5));
    log.write(&[sample(1, 5 * SECOND, Value::Double(1000.0))]);
    log.write(&zeros(6..12));
    log.write(&[sample(1, 60 * SECOND, Value::Double(100.0)), sample(1, 100 * SECOND, Value::Double(0.0))]);
    for restart in [false, true] {
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
        if restart {
            drop(historian);
            historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
            historian.compress(rules());
        }
        log.write(&zeros(0..12));
        log.write(&zeros(12..100));
        historian.catch_up().await.unwrap();
        let range = historian.range(TagId(1), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
        assert_eq!(range.points.len(), 101, "every correction is there");
        assert!(range.points.iter().all(|point| point.value == Value::Double(0.0)), "{:?}", range.points);
    }
    log.write(&ramp(1, 101..150));
    historian.catch_up().await.unwrap();
    assert_eq!(times(&historian, 1).await.split_off(101), [101, 149], "what is newer is compressed again");
}
