//! With the real log on a real disk: what was durable is history after a restart, and the log lets go of it.

use crate::model::{Model, compare, sample};
use andon_historian::{Historian, Options};
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::log::{Lane, Log as _, kind};
use andon_model::{Sample, SystemClock, Value, sample_codec};
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
