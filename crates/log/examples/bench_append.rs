//! Measures the log on a real disk: durable appends per second with 1, 16 and 64 waiters, batches, replay, opening.
//!
//! `cargo run -p andon-log --example bench_append [folder]` prints one `name=… key=value …` line per figure. The folder
//! (default: a temporary one) must lie on the disk to be measured. Each case runs three times; all are printed,
//! beside what the bare disk does at that moment.

use andon_log::{Disk, DurableLog, FrameKind, Lane, Log, LogOptions, OpenMode, OsDisk, Seq};
use andon_model::{Clock, SystemClock};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const KIND: FrameKind = FrameKind { kind: 99, version: 1 };
const PAYLOAD_BYTES: usize = 200;
const RUNS: usize = 3;
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("andon-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(measure(&dir));
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn open(dir: &Path) -> Outcome<Arc<DurableLog>> {
    let options = LogOptions { records_reserve_bytes: 0, ..LogOptions::default() };
    Ok(DurableLog::open(dir, Uuid::from_u128(1), options, Arc::new(OsDisk), Arc::new(SystemClock))?.0)
}

async fn measure(dir: &Path) -> Outcome<()> {
    let log = open(dir)?;
    for run in 1..=RUNS {
        raw_syncs(dir, Duration::from_secs(1), run)?;
        for waiters in [1, 16, 64, 512] {
            durable_appends(&log, waiters, Duration::from_secs(3), run).await?;
        }
    }
    for run in 1..=RUNS {
        for batch in [100, 1000, 10_000] {
            batches(&log, batch, Duration::from_secs(3), run).await?;
        }
    }
    let last = log.durable_seq(Lane::Messages);
    log.close();
    drop(log);
    opening(dir)?;
    replay(dir, last)
}

/// What the disk itself can do at this moment: one write and one sync after another, on a zeroed file.
fn raw_syncs(dir: &Path, span: Duration, run: usize) -> Outcome<()> {
    let clock = SystemClock;
    let path = dir.join("raw");
    let file = OsDisk.open(&path, OpenMode::CreateNew)?;
    file.write_at(&[0; 4 << 20], 0)?;
    file.sync_data()?;
    let began = clock.monotonic();
    let mut latencies = Vec::new();
    while clock.monotonic() < began + span {
        let start = clock.monotonic();
        file.write_at(&[7; PAYLOAD_BYTES + 44], (latencies.len() as u64 * 244) % (4 << 20))?;
        file.sync_data()?;
        latencies.push(clock.monotonic() - start);
    }
    let took = clock.monotonic() - began;
    OsDisk.remove(&path)?;
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 1000).map_or(0, Duration::as_micros);
    let per_s = latencies.len() as f64 / took.as_secs_f64();
    println!("name=raw_sync run={run} per_s={per_s:.0} p50_us={} p99_us={} p999_us={}", at(500), at(990), at(999));
    Ok(())
}

/// Each waiter appends one frame and waits until it is durable, again and again.
async fn durable_appends(log: &Arc<DurableLog>, waiters: usize, span: Duration, run: usize) -> Outcome<()> {
    let clock = SystemClock;
    let groups_before = log.stats().lanes.get(1).map_or(0, |lane| lane.groups);
    let began = clock.monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..waiters {
        let log = Arc::clone(log);
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while clock.monotonic() < began + span {
                let start = clock.monotonic();
                let Ok(seq) = log.append(Lane::Messages, KIND, &[7; PAYLOAD_BYTES]) else { break };
                if log.durable(Lane::Messages, seq).await.is_err() {
                    break;
                }
                latencies.push(clock.monotonic() - start);
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let took = clock.monotonic() - began;
    let groups = log.stats().lanes.get(1).map_or(0, |lane| lane.groups) - groups_before;
    latencies.sort_unstable();
    let at = |share: usize| latencies.get(latencies.len() * share / 1000).map_or(0, Duration::as_micros);
    println!(
        "name=durable_append run={run} waiters={waiters} payload_bytes={PAYLOAD_BYTES} per_s={:.0} groups_per_s={:.0} p50_us={} p99_us={} p999_us={}",
        latencies.len() as f64 / took.as_secs_f64(),
        groups as f64 / took.as_secs_f64(),
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}

/// Appends `batch` frames, waits until all are durable, again and again, with two batches under way.
async fn batches(log: &Arc<DurableLog>, batch: usize, span: Duration, run: usize) -> Outcome<()> {
    let clock = SystemClock;
    let began = clock.monotonic();
    let (mut frames, mut former) = (0_usize, Seq(0));
    while clock.monotonic() < began + span {
        let mut last = Seq(0);
        for _ in 0..batch {
            last = log.append(Lane::Messages, KIND, &[7; PAYLOAD_BYTES])?;
        }
        log.durable(Lane::Messages, former).await?;
        former = last;
        frames += batch;
    }
    log.durable(Lane::Messages, former).await?;
    let took = (clock.monotonic() - began).as_secs_f64();
    let bytes = frames * (PAYLOAD_BYTES + 44);
    println!(
        "name=batch run={run} batch={batch} payload_bytes={PAYLOAD_BYTES} frames_per_s={:.0} mib_per_s={:.1}",
        frames as f64 / took,
        bytes as f64 / took / 1_048_576.0
    );
    Ok(())
}

/// The time to open what the other cases have written.
fn opening(dir: &Path) -> Outcome<()> {
    let clock = SystemClock;
    for run in 1..=RUNS {
        let began = clock.monotonic();
        let log = open(dir)?;
        let took = clock.monotonic() - began;
        let bytes: u64 = log.stats().lanes.iter().map(|lane| lane.bytes_on_disk).sum();
        println!("name=open run={run} log_mib={} took_ms={:.1}", bytes >> 20, took.as_secs_f64() * 1000.0);
        log.close();
    }
    Ok(())
}

/// Reads all frames from the files, from the page cache as it is.
fn replay(dir: &Path, last: Seq) -> Outcome<()> {
    let clock = SystemClock;
    for run in 1..=RUNS {
        let log = open(dir)?;
        let began = clock.monotonic();
        let (mut next, mut frames, mut bytes) = (log.first_seq(Lane::Messages), 0_usize, 0_usize);
        while next <= last {
            let batch = log.read(Lane::Messages, next, 1 << 20)?;
            frames += batch.frames.len();
            bytes += batch.frames.iter().map(|frame| frame.payload.len()).sum::<usize>();
            next = batch.next;
        }
        let took = (clock.monotonic() - began).as_secs_f64();
        println!(
            "name=replay run={run} frames={frames} frames_per_s={:.0} payload_mib_per_s={:.0}",
            frames as f64 / took,
            bytes as f64 / took / 1_048_576.0
        );
    }
    Ok(())
}
