//! Many writers and readers at once, on the operating system's disk and with the log's own threads.

use crate::support::{KIND, NODE};
use andon_log::{AppendError, DurableLog, Lane, Log, LogOptions, OsDisk, Seq};
use andon_model::SystemClock;
use std::sync::Arc;
use std::time::Duration;

fn open(dir: &std::path::Path, options: LogOptions) -> Arc<DurableLog> {
    DurableLog::open(dir, NODE, options, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_writers_and_a_reader_see_one_gap_free_row() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        LogOptions { first_segment_bytes: 4096, segment_bytes: 64 << 10, tail_bytes: 10_000, ..LogOptions::small() };
    let log = open(dir.path(), options.clone());
    let reader = {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let mut next = Seq(1);
            while next <= Seq(6400) {
                log.durable(Lane::Messages, next).await.unwrap();
                let batch = log.read(Lane::Messages, next, 50_000).unwrap();
                assert!(batch.gaps.is_empty());
                for frame in batch.frames {
                    assert_eq!(frame.seq, next);
                    assert!(frame.payload.windows(2).all(|pair| pair[0] == pair[1]));
                    next = next.next();
                }
            }
        })
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..64_u8 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            for number in 0..100_usize {
                let seq = log.append(Lane::Messages, KIND, &vec![writer; number * 3]).unwrap();
                log.durable(Lane::Messages, seq).await.unwrap();
                assert!(log.durable_seq(Lane::Messages) >= seq);
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    reader.await.unwrap();
    let stats = log.stats();
    assert!(stats.lanes[1].groups < 6400, "groups form: {}", stats.lanes[1].groups);
    drop(log);
    let log = open(dir.path(), options);
    assert_eq!(log.durable_seq(Lane::Messages), Seq(6400));
}

#[tokio::test]
async fn frames_pending_at_the_close_are_written_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::small());
    let mut last = Seq(0);
    for _ in 0..1000 {
        last = log.append(Lane::Samples, KIND, &[1; 100]).unwrap();
    }
    let waiting = tokio::spawn(log.durable(Lane::Samples, last));
    log.close();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(log.durable(Lane::Samples, last.next()).await, Err(AppendError::Closed));
    assert_eq!(open(dir.path(), LogOptions::small()).durable_seq(Lane::Samples), last);
}

#[tokio::test]
async fn a_wait_that_is_given_up_leaves_nothing_behind_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { background: false, ..LogOptions::small() });
    let seq = log.append(Lane::Records, KIND, b"x").unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(1), log.durable(Lane::Records, seq)).await;
    assert!(given_up.is_err());
    let other = tokio::spawn(log.durable(Lane::Records, seq));
    tokio::task::yield_now().await;
    log.step();
    assert_eq!(other.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn lanes_do_not_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::small());
    for _ in 0..20 {
        log.append(Lane::Samples, KIND, &vec![7; 1 << 20]).unwrap();
    }
    let record = log.append(Lane::Records, KIND, b"alarm").unwrap();
    log.durable(Lane::Records, record).await.unwrap();
    log.durable(Lane::Samples, Seq(20)).await.unwrap();
}
