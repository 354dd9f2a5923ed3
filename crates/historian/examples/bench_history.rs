//! How much processor time history takes, how small it is, and how fast it answers.
//!
//! `cargo run -p andon-historian --example bench_history [seconds]`: 16 tags, one sample a second each, over `seconds` (default a
//! week), once regular and once with ±20 ms of jitter; then one tag over a year. Everything goes the true way: encoded, appended to
//! the durable log, synced, followed, written to files, merged. Signals: random walk with two decimals, noisy sine with three,
//! a state, single precision noise; one point in a thousand is bad. Prints points per second of processor time (user and
//! system of this process, making the samples taken off), bytes a point, and the median and spread of reads.

use andon_historian::aggregate::{Aggregate, AggregateConfiguration, Request};
use andon_historian::{Historian, Options};
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::log::{AppendError, Lane, Log as _, kind};
use andon_model::{Clock as _, Sample, StatusCode, SystemClock, TagId, Timestamp, Value, sample_codec};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const START: i64 = 1_795_046_400_000_000;
const TAGS: u32 = 16;
const BATCH_SECONDS: i64 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?.block_on(async {
        let seconds = std::env::args().nth(1).map_or(Ok(604_800), |text| text.parse::<i64>())?;
        for jitter in [false, true] {
            let set = Set { tags: TAGS, seconds, jitter };
            println!("-- {TAGS} tags x {seconds} s, {}", if jitter { "with ±20 ms of jitter" } else { "regular" });
            set.bench().await?;
        }
        println!("-- 1 tag x a year");
        Set { tags: 1, seconds: 365 * 86_400, jitter: false }.bench().await
    })
}

struct Set {
    tags: u32,
    seconds: i64,
    jitter: bool,
}

impl Set {
    async fn bench(&self) -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let clock = Arc::new(SystemClock);
        let (log, _) = DurableLog::open(
            &folder.path().join("log"),
            Uuid::from_u128(1),
            LogOptions::default(),
            Arc::new(OsDisk),
            clock.clone(),
        )?;
        let historian =
            Historian::open(&folder.path().join("history"), log.clone(), clock.clone(), Options::default())?;
        let making = {
            let before = cpu()?;
            let mut made = 0_usize;
            for start in (0..self.seconds).step_by(BATCH_SECONDS as usize) {
                made += self.batch(start).len();
            }
            assert!(made > 0);
            cpu()? - before
        };
        let (before, began) = (cpu()?, clock.monotonic());
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&historian).run(stop.clone()));
        for start in (0..self.seconds).step_by(BATCH_SECONDS as usize) {
            let frame = sample_codec::encode_samples(&self.batch(start));
            let seq = loop {
                match log.append(Lane::Samples, kind::SAMPLES, &frame) {
                    Ok(seq) => break seq,
                    Err(AppendError::Busy { .. }) => log.ready(Lane::Samples).await?,
                    Err(error) => return Err(error.into()),
                }
            };
            log.durable(Lane::Samples, seq).await?;
        }
        historian.catch_up().await?;
        historian.flush().await?;
        historian.tidy_files().await?;
        let (used, took) = (cpu()? - before - making, clock.monotonic() - began);
        stop.cancel();
        running.await?;
        let points = self.seconds as f64 * f64::from(self.tags);
        let stats = historian.stats();
        println!(
            "ingest      {:6.2} M points per CPU second, {:.2} M/s of wall time ({:.1} M points, one waiter)",
            points / used.as_secs_f64() / 1e6,
            points / took.as_secs_f64() / 1e6,
            points / 1e6
        );
        println!(
            "size        {:6.3} bytes a point, and {:.3} of roll-ups; {} files; written {:.1} times",
            stats.file_bytes as f64 / points,
            stats.rollup_bytes as f64 / points,
            stats.files,
            stats.bytes_written as f64 / (stats.file_bytes + stats.rollup_bytes).max(1) as f64
        );
        self.reads(&historian).await?;
        log.close();
        Ok(())
    }

    async fn reads(&self, historian: &Arc<Historian>) -> Result<(), Box<dyn Error>> {
        const HOUR: i64 = 3_600_000_000;
        let end = START + self.seconds * 1_000_000;
        let week = (end - 168 * HOUR).max(START);
        let aggregate = async |name: &str, what, from: i64, to: i64, interval_us: i64| {
            let [from, to] = [from, to].map(Timestamp::from_micros);
            let config = AggregateConfiguration::default();
            let request = Request { aggregate: what, from, to, interval_us, stepped: false, config };
            let mut times = Vec::new();
            let mut count = 0;
            for _ in 0..7 {
                let began = SystemClock.monotonic();
                count = historian.aggregate(TagId(0), request).await?.values.len();
                times.push((SystemClock.monotonic() - began).as_secs_f64() * 1e3);
            }
            show(name, &mut times, count);
            Ok::<(), Box<dyn Error>>(())
        };
        aggregate("average of 1 h", Aggregate::Average, end - 2 * HOUR, end - HOUR, 0).await?;
        aggregate("week by minute", Aggregate::Average, week, end, HOUR / 60).await?;
        aggregate("  from points", Aggregate::Average, week + 1_000_000, end, HOUR / 60).await?;
        if self.seconds > 8_000_000 {
            aggregate("year by hour", Aggregate::Average, START, end, HOUR).await?;
            aggregate("  time-weighted", Aggregate::TimeAverage2, START, end, HOUR).await?;
            aggregate("  from points", Aggregate::Average, START + 1_000_000, end, HOUR).await?;
        }
        let mut times = Vec::new();
        let mut count = 0;
        for _ in 0..7 {
            let began = SystemClock.monotonic();
            let [from, to] = [week, end].map(Timestamp::from_micros);
            count = historian.range(TagId(0), from, to, Some(2_000)).await?.points.len();
            times.push((SystemClock.monotonic() - began).as_secs_f64() * 1e3);
        }
        show("week thinned", &mut times, count);
        Ok(())
    }

    /// The next seconds of all tags.
    fn batch(&self, start: i64) -> Vec<Sample> {
        let seconds = start..(start + BATCH_SECONDS).min(self.seconds);
        seconds.flat_map(|second| (0..self.tags).map(move |tag| self.sample(tag, second))).collect()
    }

    fn sample(&self, tag: u32, second: i64) -> Sample {
        let noise = hash(tag, second);
        let unit = (noise % 10_000) as f64 / 10_000.0 - 0.5;
        let value = match tag % 4 {
            0 => Value::Double(((20.0 + (second as f64 / 9_000.0).sin() * 8.0) * 100.0 + unit * 20.0).round() / 100.0),
            1 => Value::Double(((3.0 + (second as f64 / 60.0).cos()) * 1_000.0 + unit * 100.0).round() / 1_000.0),
            2 => Value::Int64(second / 600 % 5),
            _ => Value::Double(f64::from((unit * 7.3) as f32)),
        };
        let jitter = if self.jitter { ((noise >> 20) % 41) as i64 * 1_000 - 20_000 } else { 0 };
        let ts = Timestamp::from_micros(START + second * 1_000_000 + jitter);
        let quality = if noise % 1_000 == 7 { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
        Sample { tag: TagId(tag), value, quality, source_ts: ts, received_ts: ts }
    }
}

fn show(name: &str, times: &mut [f64], count: usize) {
    times.sort_by(f64::total_cmp);
    let (least, most) = (times.first().unwrap_or(&0.0), times.last().unwrap_or(&0.0));
    let median = times.get(times.len() / 2).unwrap_or(&0.0);
    println!("{name:16} {median:8.2} ms ({least:.2} to {most:.2}, {count} values)");
}

fn hash(tag: u32, second: i64) -> u64 {
    let mut x = (u64::from(tag) << 40) ^ second.cast_unsigned();
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Processor time of this process, all threads: fields 14 and 15 of /proc/self/stat, in hundredths of a second.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64, Box<dyn Error>> { Ok(fields.get(at).ok_or("short stat")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
