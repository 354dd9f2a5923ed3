//! With the real log on a real disk: what was durable is history after a restart, and the log lets go of it.

use crate::model::{Model, compare, sample};
use andon_historian::{DeleteError, Historian, Options};
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::log::{Lane, Log as _, kind};
use andon_model::{Sample, SystemClock, TagId, Timestamp, Value, sample_codec};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

fn open(folder: &Path) -> (Arc<DurableLog>, Arc<Historian>) {
    let clock = Arc::new(SystemClock);
    let (log, _) = DurableLog::open(
        &folder.join("log"),
        Uuid::from_u128(7),
        LogOptions::default(),
        Arc::new(OsDisk),
        clock.clone(),
    )
    .unwrap();
    let historian = Historian::open(&folder.join("history"), log.clone(), clock, Options::default()).unwrap();
    (log, historian)
}

#[tokio::test]
async fn what_was_durable_is_history_through_restarts_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    for round in 0..4_i64 {
        let (log, historian) = open(folder.path());
        historian.catch_up().await.unwrap();
        compare(&historian, &model, 3, 1).await;
        for n in 0..20 {
            let samples: Vec<Sample> =
                (0..3).map(|tag| sample(tag, (round * 20 + n) * 999 % 5_000, Value::Int64(round * 100 + n))).collect();
            model.write(&samples);
            let seq = log.append(Lane::Samples, kind::SAMPLES, &sample_codec::encode_samples(&samples)).unwrap();
            log.durable(Lane::Samples, seq).await.unwrap();
            if n == 10 {
                historian.catch_up().await.unwrap();
                if round % 2 == 0 {
                    historian.flush().await.unwrap();
                }
            }
        }
        historian.catch_up().await.unwrap();
        compare(&historian, &model, 3, 1).await;
        drop(historian);
        log.close();
    }
    let (log, historian) = open(folder.path());
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    compare(&historian, &model, 3, 1).await;
    assert_eq!(historian.stats().saved, log.durable_seq(Lane::Samples));
    assert_eq!(historian.stats().frames_behind, 0);
    log.close();
}

#[tokio::test]
async fn what_was_deleted_stays_deleted_and_what_came_later_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Model::default();
    let write = async |log: &Arc<DurableLog>, model: &mut Model, value: i64| {
        let samples: Vec<Sample> = (0..50).map(|n| sample(n % 2, i64::from(n), Value::Int64(value))).collect();
        model.write(&samples);
        let seq = log.append(Lane::Samples, kind::SAMPLES, &sample_codec::encode_samples(&samples)).unwrap();
        log.durable(Lane::Samples, seq).await.unwrap();
    };
    {
        let (log, historian) = open(folder.path());
        write(&log, &mut model, 1).await;
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
        historian.delete(TagId(0), at(10), at(30)).await.unwrap();
        model.delete(0, 10, 30);
        compare(&historian, &model, 2, 1).await;
        let error = historian.delete(TagId(0), at(5), at(5)).await.unwrap_err();
        assert!(matches!(error, DeleteError::Empty { .. }), "{error}");
        // Killed here: the delete is in the log only.
        log.close();
    }
    let (log, historian) = open(folder.path());
    historian.catch_up().await.unwrap();
    compare(&historian, &model, 2, 1).await;
    historian.delete(TagId(1), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    model.delete(1, i64::MIN, i64::MAX);
    historian.flush().await.unwrap();
    assert_eq!(historian.stats().deletes, 2);
    write(&log, &mut model, 2).await;
    historian.catch_up().await.unwrap();
    compare(&historian, &model, 2, 1).await;
    historian.flush().await.unwrap();
    historian.tidy_files().await.unwrap();
    compare(&historian, &model, 2, 1).await;
    assert_eq!(historian.stats().deletes, 0);
    assert!(historian.verify().is_empty());
    log.close();
}

fn at(us: i64) -> Timestamp {
    Timestamp::from_micros(us)
}

#[tokio::test]
async fn while_the_node_was_down_is_a_gap_and_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut ends = Vec::new();
    for round in 0..3_i64 {
        let (log, historian) = open(folder.path());
        let samples = [sample(0, round, Value::Int64(round))];
        let seq = log.append(Lane::Samples, kind::SAMPLES, &sample_codec::encode_samples(&samples)).unwrap();
        log.durable(Lane::Samples, seq).await.unwrap();
        historian.catch_up().await.unwrap();
        // With and without files: the gap follows from the log either way.
        if round == 1 {
            historian.flush().await.unwrap();
        }
        ends.push(historian.stats().complete_to.unwrap());
        drop(historian);
        log.close();
    }
    let (log, historian) = open(folder.path());
    historian.catch_up().await.unwrap();
    let read = historian.range(TagId(0), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
    let gaps: Vec<_> = read.gaps.iter().map(|gap| (gap.from, gap.to, gap.reason.as_str())).collect();
    let down = "Andon was not running";
    assert!(
        gaps == [(ends[0], ends[1], down), (ends[1], ends[2], down)] || gaps == [(ends[0], ends[2], down)],
        "{gaps:?}"
    );
    log.close();
}
