//! How much processor time history takes, how small it is, how often it is written, and how fast it answers.
//!
//! `cargo run -p andon-historian --example bench_history [part ...]`, with the parts
//!
//! - `week`: 16 tags, a sample a second each, over a week that ends this midnight, once regular and once with ±20 ms of jitter
//! - `year`: one tag over a year, of which the months that are over were joined
//! - `many`: 1,000 tags with 10,000 points each, asked tag by tag, two at a time
//! - `replay`: what a start reads from the log
//! - `late`: how often a byte is written when 0, 5 and 30 % of the samples come hours late and a flush follows every ten minutes
//! - `wide`: 100,000 tags, a sample a second each, for ten minutes as fast as they are taken; the most memory that took
//!
//! or all but the last two, which take some minutes each. Everything goes the true way: encoded, appended to the durable log, synced,
//! followed, written to files with roll-ups, merged, joined, published. Signals: slow sine with two decimals, noisy sine with three,
//! a state, single precision noise; one point in a thousand is bad. Processor time is that of this process, user and system, less
//! what making the samples takes; reads are the median and the spread of 15.

use andon_historian::aggregate::{Aggregate, AggregateConfiguration, Request};
use andon_historian::{Historian, Options};
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::log::{AppendError, Lane, Log as _, Seq, kind};
use andon_model::{Clock, Sample, StatusCode, SystemClock, TagId, Timestamp, Value, sample_codec};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Outcome = Result<(), Box<dyn Error>>;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const READS: usize = 15;
/// Only run when asked for.
const LONG: [&str; 2] = ["late", "wide"];

fn main() -> Outcome {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wants = |part: &str| match asked.is_empty() {
        true => !LONG.contains(&part),
        false => asked.iter().any(|name| name == part),
    };
    let midnight = SystemClock.now().micros() / DAY * DAY;
    let ending = |seconds: i64| midnight - seconds * SECOND;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?.block_on(async {
        if wants("week") {
            for jitter in [false, true] {
                println!("-- 16 tags x a week, {}", if jitter { "with ±20 ms of jitter" } else { "regular" });
                let seconds = 7 * 86_400;
                Set { tags: 16, start: ending(seconds), seconds, jitter }.bench().await?;
            }
        }
        if wants("year") {
            println!("-- 1 tag x a year");
            let seconds = 365 * 86_400;
            Set { tags: 1, start: ending(seconds), seconds, jitter: false }.bench().await?;
        }
        if wants("many") {
            println!("-- 1,000 tags x 10,000 points");
            many(&Set { tags: 1_000, start: ending(10_000), seconds: 10_000, jitter: false }).await?;
        }
        if wants("replay") {
            println!("-- replay");
            replay(&Set { tags: 1_000, start: ending(4_000), seconds: 4_000, jitter: false }).await?;
        }
        if wants("late") {
            for percent in [0, 5, 30] {
                println!("-- 32 tags x three days, {percent} % late");
                late(percent).await?;
            }
        }
        if wants("wide") {
            println!("-- 100,000 tags x 10 minutes");
            wide(&Set { tags: 100_000, start: ending(600), seconds: 600, jitter: false }).await?;
        }
        Ok(())
    })
}

/// A log and a history in a folder of their own.
struct Node {
    log: Arc<DurableLog>,
    historian: Arc<Historian>,
}

impl Node {
    fn open(folder: &Path, clock: Arc<dyn Clock>, options: Options) -> Result<Self, Box<dyn Error>> {
        let id = Uuid::from_u128(1);
        let (log, _) =
            DurableLog::open(&folder.join("log"), id, LogOptions::default(), Arc::new(OsDisk), clock.clone())?;
        let historian = Historian::open(&folder.join("history"), log.clone(), clock, options)?;
        Ok(Self { log, historian })
    }

    async fn write(&self, samples: &[Sample]) -> Result<Seq, Box<dyn Error>> {
        let frame = sample_codec::encode_samples(samples);
        let seq = loop {
            match self.log.append(Lane::Samples, kind::SAMPLES, &frame) {
                Ok(seq) => break seq,
                Err(AppendError::Busy { .. }) => self.log.ready(Lane::Samples).await?,
                Err(error) => return Err(error.into()),
            }
        };
        self.log.durable(Lane::Samples, seq).await?;
        Ok(seq)
    }

    /// Until everything that was written is in files, and these are merged.
    async fn settle(&self) -> Outcome {
        loop {
            self.historian.catch_up().await?;
            self.historian.flush().await?;
            if self.historian.stats().frames_behind == 0 {
                break;
            }
        }
        self.historian.tidy_files().await?;
        Ok(())
    }

    fn show_size(&self) {
        let stats = self.historian.stats();
        let points = stats.file_rows.max(1) as f64;
        println!(
            "size        {:6.3} bytes a point, and {:.3} of roll-ups; {} files; each byte written {:.2} times",
            stats.file_bytes as f64 / points,
            stats.rollup_bytes as f64 / points,
            stats.files,
            stats.bytes_written as f64 / stats.bytes_flushed.max(1) as f64
        );
    }
}

/// Signals of some tags over some time, a sample a second each.
struct Set {
    tags: u32,
    start: i64,
    seconds: i64,
    jitter: bool,
}

impl Set {
    /// Takes everything in as fast as it goes, flushing and merging beside it.
    async fn fill(&self, node: &Node) -> Outcome {
        let making = {
            let before = cpu()?;
            let mut made = 0_usize;
            for start in self.batches() {
                made += self.batch(start).len();
            }
            assert!(made > 0);
            cpu()? - before
        };
        let (before, began) = (cpu()?, SystemClock.monotonic());
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&node.historian).run(stop.clone()));
        for start in self.batches() {
            node.write(&self.batch(start)).await?;
        }
        node.settle().await?;
        let (used, took) = (cpu()?.saturating_sub(before + making), SystemClock.monotonic() - began);
        stop.cancel();
        running.await?;
        let points = self.seconds as f64 * f64::from(self.tags);
        println!(
            "ingest      {:6.2} M points per CPU second, {:.2} M/s of wall time ({:.1} M points, one waiter)",
            points / used.as_secs_f64() / 1e6,
            points / took.as_secs_f64() / 1e6,
            points / 1e6
        );
        assert_eq!(node.historian.stats().file_rows, points as u64, "everything is in files");
        node.show_size();
        Ok(())
    }

    async fn bench(&self) -> Outcome {
        let folder = tempfile::tempdir()?;
        let node = Node::open(folder.path(), Arc::new(SystemClock), Options::default())?;
        self.fill(&node).await?;
        self.reads(&node.historian).await?;
        node.log.close();
        Ok(())
    }

    async fn reads(&self, historian: &Arc<Historian>) -> Outcome {
        let end = self.start + self.seconds * SECOND;
        let week = (end - 7 * DAY).max(self.start);
        let one = |name, what, from, interval_us| Ask { name, what, from, to: end, interval_us };
        Ask { to: end - HOUR, ..one("average of 1 h", Aggregate::Average, end - 2 * HOUR, 0) }.show(historian).await?;
        one("week by minute", Aggregate::Average, week, HOUR / 60).show(historian).await?;
        one("  from points", Aggregate::Average, week + SECOND, HOUR / 60).show(historian).await?;
        if self.seconds > 8_000_000 {
            one("year by hour", Aggregate::Average, self.start, HOUR).show(historian).await?;
            one("  time-weighted", Aggregate::TimeAverage2, self.start, HOUR).show(historian).await?;
            one("  from points", Aggregate::Average, self.start + SECOND, HOUR).show(historian).await?;
        }
        let mut times = Times::default();
        let mut count = 0;
        for _ in 0..READS {
            let [from, to] = [week, end].map(Timestamp::from_micros);
            count = times.of(historian.range(TagId(0), from, to, Some(2_000))).await?.points.len();
        }
        times.show("week thinned", count);
        Ok(())
    }

    /// Where the batches begin: so many seconds that each has about 4,096 samples or, of many tags, one second.
    fn batches(&self) -> impl Iterator<Item = i64> + use<> {
        (0..self.seconds).step_by(usize::try_from(self.batch_seconds()).unwrap_or(1))
    }

    fn batch_seconds(&self) -> i64 {
        (4_096 / i64::from(self.tags)).max(1)
    }

    /// The next seconds of all tags.
    fn batch(&self, start: i64) -> Vec<Sample> {
        let seconds = start..(start + self.batch_seconds()).min(self.seconds);
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
        let ts = Timestamp::from_micros(self.start + second * SECOND + jitter);
        let quality = if noise % 1_000 == 7 { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
        Sample { tag: TagId(tag), value, quality, source_ts: ts, received_ts: ts }
    }
}

async fn many(set: &Set) -> Outcome {
    let folder = tempfile::tempdir()?;
    let node = Node::open(folder.path(), Arc::new(SystemClock), Options::default())?;
    set.fill(&node).await?;
    // Whole hours, as far as they go.
    let (from, to) = ((set.start + HOUR - 1) / HOUR * HOUR, set.start + set.seconds * SECOND);
    for (name, from) in [("hourly averages", from), ("  from points", set.start + SECOND)] {
        let mut times = Times::default();
        let mut count = 0;
        for _ in 0..READS {
            let half = |first: u32| {
                let (historian, tags) = (Arc::clone(&node.historian), set.tags);
                async move {
                    let mut count = 0;
                    for tag in (first..tags).step_by(2) {
                        let ask = Ask { name: "", what: Aggregate::Average, from, to, interval_us: HOUR };
                        count += historian.aggregate(TagId(tag), ask.request()).await?.values.len();
                    }
                    Ok::<_, andon_historian::AggregateReadError>(count)
                }
            };
            count = times
                .of(async {
                    let (one, two) = (tokio::spawn(half(0)), tokio::spawn(half(1)));
                    Ok::<_, Box<dyn Error>>(one.await?? + two.await??)
                })
                .await?;
        }
        times.show(name, count);
    }
    node.log.close();
    Ok(())
}

async fn replay(set: &Set) -> Outcome {
    let folder = tempfile::tempdir()?;
    {
        let node = Node::open(folder.path(), Arc::new(SystemClock), Options::default())?;
        for start in set.batches() {
            node.write(&set.batch(start)).await?;
        }
        node.log.close();
    }
    let mut rates = Vec::new();
    for _ in 0..10 {
        let options = Options { flush_bytes: 1 << 30, ..Options::default() };
        let node = Node::open(folder.path(), Arc::new(SystemClock), options)?;
        let before = cpu()?;
        node.historian.catch_up().await?;
        let points = node.historian.stats().buffered_points as f64;
        assert_eq!(points as i64, set.seconds * i64::from(set.tags));
        rates.push(points / (cpu()? - before).as_secs_f64() / 1e6);
        node.log.close();
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "replay      {:6.2} M points per CPU second ({:.2} to {:.2})",
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1]
    );
    Ok(())
}

/// A clock whose hands the bench turns.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed).unsigned_abs())
    }
}

/// Three days as they pass: ten minutes of samples, a flush, a tidying. Late samples come 1 to 24 hours after their time, of a tag in
/// stretches of a minute, as from a device that was away. At the end the month is over and its days are joined.
async fn late(percent: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    // 2026-10-05
    let set = Set { tags: 32, start: 20_731 * DAY, seconds: 3 * 86_400, jitter: false };
    let clock = Arc::new(Hands(AtomicI64::new(set.start)));
    let node = Node::open(folder.path(), clock.clone(), Options::default())?;
    let is_late = |tag: u32, minute: i64| hash(tag, minute) % 100 < percent;
    let delay = |tag: u32, minute: i64| 60 + (hash(tag, minute) >> 16) as i64 % (23 * 60);
    let minute_of = |tag: u32, minute: i64| (minute * 60..minute * 60 + 60).map(move |second| (tag, second));
    let minutes = set.seconds / 60;
    for begin in (0..minutes + 24 * 60).step_by(10) {
        let mut samples = Vec::new();
        for minute in begin..begin + 10 {
            for tag in 0..set.tags {
                if minute < minutes && !is_late(tag, minute) {
                    samples.extend(minute_of(tag, minute).map(|(tag, second)| set.sample(tag, second)));
                }
                let sent = (minute - 24 * 60..minute).filter(|sent| (0..minutes).contains(sent));
                for sent in sent.filter(|sent| is_late(tag, *sent) && sent + delay(tag, *sent) == minute) {
                    samples.extend(minute_of(tag, sent).map(|(tag, second)| set.sample(tag, second)));
                }
            }
        }
        clock.0.store(set.start + (begin + 10) * 60 * SECOND, Ordering::Relaxed);
        if !samples.is_empty() {
            node.write(&samples).await?;
        }
        node.historian.catch_up().await?;
        node.historian.flush().await?;
        node.historian.tidy_files().await?;
    }
    assert_eq!(node.historian.stats().file_rows, (set.seconds * i64::from(set.tags)).unsigned_abs());
    node.show_size();
    clock.0.fetch_add(40 * DAY, Ordering::Relaxed);
    node.write(&[]).await?;
    node.settle().await?;
    print!("joined: ");
    node.show_size();
    node.log.close();
    Ok(())
}

async fn wide(set: &Set) -> Outcome {
    let folder = tempfile::tempdir()?;
    let node = Node::open(folder.path(), Arc::new(SystemClock), Options::default())?;
    set.fill(&node).await?;
    node.log.close();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    println!("memory      {} at most, resident, of the whole process since its start", most.trim());
    Ok(())
}

/// An aggregate of tag 0.
struct Ask {
    name: &'static str,
    what: Aggregate,
    from: i64,
    to: i64,
    interval_us: i64,
}

impl Ask {
    fn request(&self) -> Request {
        let [from, to] = [self.from, self.to].map(Timestamp::from_micros);
        let config = AggregateConfiguration::default();
        Request { aggregate: self.what, from, to, interval_us: self.interval_us, stepped: false, config }
    }

    async fn show(&self, historian: &Arc<Historian>) -> Outcome {
        let mut times = Times::default();
        let mut count = 0;
        for _ in 0..READS {
            count = times.of(historian.aggregate(TagId(0), self.request())).await?.values.len();
        }
        times.show(self.name, count);
        Ok(())
    }
}

/// Milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    async fn of<T>(&mut self, work: impl Future<Output = T>) -> T {
        let began = SystemClock.monotonic();
        let answer = work.await;
        self.0.push((SystemClock.monotonic() - began).as_secs_f64() * 1e3);
        answer
    }

    fn show(mut self, name: &str, count: usize) {
        let first = self.0.first().copied().unwrap_or(0.0);
        self.0.sort_by(f64::total_cmp);
        let (least, most) = (self.0.first().unwrap_or(&0.0), self.0.last().unwrap_or(&0.0));
        let median = self.0.get(self.0.len() / 2).unwrap_or(&0.0);
        println!("{name:16} {median:8.2} ms ({least:.2} to {most:.2}, the first {first:.2}; {count} values)");
    }
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
