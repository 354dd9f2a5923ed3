//! How fast samples become files, how small they are, and how fast they come back.
//!
//! `cargo run -p andon-historian --example bench_ingest [tags] [seconds]`: `tags` tags, one sample a second each, quality
//! now and then bad; prints points per second of one core for decoding and buffering and for flushing, bytes per point,
//! and the time of range reads. The log is in memory: the historian alone is measured.

use andon_historian::{Historian, Options};
use andon_model::{Clock as _, Sample, StatusCode, SystemClock, TagId, Timestamp, Value};
use std::sync::Arc;
use std::time::Duration;

#[path = "../tests/it/memory_log.rs"]
#[allow(dead_code)]
mod memory_log;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(bench())
}

async fn bench() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let tags = arguments.next().unwrap_or(Ok(1_000))?;
    let seconds = arguments.next().unwrap_or(Ok(2_000))?;
    let folder = tempfile::tempdir()?;
    let log = Arc::new(memory_log::MemoryLog::default());
    let clock = SystemClock;
    let options = Options { flush_bytes: usize::MAX / 4, ..Options::default() };
    let historian = Historian::open(folder.path(), Arc::clone(&log) as _, Arc::new(clock), options)?;
    let start = 1_795_000_000_000_000_i64;
    for second in 0..seconds {
        let batch: Vec<Sample> = (0..tags).map(|tag| reading(tag, second, start)).collect();
        log.write(&batch);
    }
    let points = f64::from(tags) * f64::from(seconds);
    let rate = |took: Duration| points / took.as_secs_f64() / 1e6;

    let began = clock.monotonic();
    historian.catch_up().await?;
    let buffered = clock.monotonic() - began;
    let bytes = historian.stats().buffered_bytes;
    let began = clock.monotonic();
    historian.flush().await?;
    let flushed = clock.monotonic() - began;
    let stats = historian.stats();
    println!("buffer   {:8.2} M points/s  ({:.1} bytes/point in memory)", rate(buffered), bytes as f64 / points);
    println!(
        "flush    {:8.2} M points/s  ({:.2} bytes/point in {} files)",
        rate(flushed),
        stats.file_bytes as f64 / points,
        stats.files
    );
    println!("together {:8.2} M points/s", rate(buffered + flushed));

    let (from, to) = (Timestamp::from_micros(start), Timestamp::from_micros(start + i64::from(seconds) * 1_000_000));
    for (name, max_points) in [("cold raw", None), ("warm raw", None), ("warm, 500 points", Some(500))] {
        let began = clock.monotonic();
        let read = historian.range(TagId(tags / 2), from, to, max_points).await?;
        println!(
            "range    {:8.2} ms  {name}: {} points",
            (clock.monotonic() - began).as_secs_f64() * 1e3,
            read.points.len()
        );
    }
    Ok(())
}

/// Like a plant's: two-decimal random-looking walks, counters, states, and some tags with 20 ms of jitter.
fn reading(tag: u32, second: u32, start: i64) -> Sample {
    let noise = f64::from((tag.wrapping_mul(2_654_435_761) ^ second.wrapping_mul(40_503)) % 1_000) / 1_000.0;
    let phase = f64::from(second) / 300.0 + f64::from(tag);
    let value = match tag % 4 {
        0 => Value::Double(((50.0 + 20.0 * phase.sin() + noise) * 100.0).round() / 100.0),
        1 => Value::Double(((3.0 + phase.cos()) * 1_000.0).round() / 1_000.0),
        2 => Value::Int64(i64::from(second / 60 % 5)),
        _ => Value::Int64(i64::from(second) * 7 + i64::from(tag)),
    };
    let jitter = if tag.is_multiple_of(2) { 0 } else { (noise * 20.0).round() as i64 * 1_000 };
    let ts = Timestamp::from_micros(start + i64::from(second) * 1_000_000 + jitter);
    let quality = if noise < 0.001 { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
    Sample { tag: TagId(tag), value, quality, source_ts: ts, received_ts: ts }
}
