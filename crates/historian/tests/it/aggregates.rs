//! Aggregates over files, roll-ups and buffer are those over the plain list of points.

use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, open};
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, AggregateValue, Bounds, Loss, RawPoint, Request};
use andon_historian::{Historian, NoHook, Summed};
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: i64 = 60_000_000;
pub const HOUR: i64 = 3_600_000_000;

fn at(us: i64) -> Timestamp {
    Timestamp::from_micros(us)
}

fn request(aggregate: Aggregate, from: i64, to: i64, interval_us: i64) -> Request {
    Request {
        aggregate,
        from: at(from),
        to: at(to),
        interval_us,
        stepped: false,
        config: AggregateConfiguration::default(),
    }
}

/// Three days of one tag at 1 s with holes, bad and uncertain stretches; a second tag with states every 7 s.
pub fn fill(log: &Arc<MemoryLog>, model: &mut Model) {
    for day in 0..3_i64 {
        for quarter in 0..96_i64 {
            let mut samples = Vec::new();
            for second in (0..900_i64).filter(|second| (quarter * 900 + second) % 4_000 > 300) {
                let ts = day * DAY + (quarter * 900 + second) * 1_000_000;
                let n = ts / 1_000_000;
                let quality = match n % 10_007 {
                    0..40 => StatusCode::BAD_NO_COMMUNICATION,
                    9_000..9_003 => StatusCode::UNCERTAIN,
                    _ => StatusCode::GOOD,
                };
                let value = Value::Double(((n % 977) as f64 * 3.0 + (n / 3_600 % 7) as f64 * 100.0).round() / 100.0);
                samples.push(sample(0, ts, value, quality));
                if n % 7 == 0 {
                    samples.push(sample(1, ts, Value::Boolean(n % 3 == 0), StatusCode::GOOD));
                }
            }
            model.write(&samples);
            log.write(&samples);
        }
    }
}

fn sample(tag: u32, ts: i64, value: Value, quality: StatusCode) -> Sample {
    Sample { tag: TagId(tag), value, quality, source_ts: at(ts), received_ts: at(ts) }
}

/// A tag's points in columns.
struct Plain {
    ts: Vec<i64>,
    values: Vec<f64>,
    status: Vec<u32>,
    lost: Vec<Loss>,
}

impl Plain {
    /// Knowing that nothing was lost.
    fn of(model: &Model, tag: u32) -> Self {
        let points = model.range(tag, i64::MIN, i64::MAX);
        Self {
            ts: points.iter().map(|p| p.ts.micros()).collect(),
            values: points.iter().map(|p| p.value.as_f64().unwrap_or(f64::NAN)).collect(),
            status: points.iter().map(|p| p.quality.0).collect(),
            lost: Vec::new(),
        }
    }

    fn answer(&self, request: &Request) -> Vec<AggregateValue> {
        self.answer_knowing(request, 2_000)
    }

    /// With so many points before and after the range.
    fn answer_knowing(&self, request: &Request, around: usize) -> Vec<AggregateValue> {
        let raw = |range: std::ops::Range<usize>| -> Vec<RawPoint> {
            let point = |n| RawPoint { ts: at(self.ts[n]), value: self.values[n], status: StatusCode(self.status[n]) };
            range.map(point).collect()
        };
        let start = self.ts.partition_point(|ts| *ts < request.from.micros());
        let end = self.ts.partition_point(|ts| *ts < request.to.micros());
        let (before, after) =
            (raw(start.saturating_sub(around)..start), raw(end..end.saturating_add(around).min(self.ts.len())));
        let bounds = Bounds { before: &before, after: &after, lost: &self.lost, ..Bounds::default() };
        Aggregate::over(request, &bounds, (&self.ts[start..end], &self.values[start..end], &self.status[start..end]))
            .unwrap()
    }
}

/// Equal, but for the last digits that adding in another order changes.
fn assert_alike(ours: &[AggregateValue], plain: &[AggregateValue], what: &str) {
    assert_eq!(ours.len(), plain.len(), "{what}");
    for (ours, plain) in ours.iter().zip(plain) {
        assert_eq!((ours.ts, ours.status.0), (plain.ts, plain.status.0), "{what}: {ours:?} {plain:?}");
        match (&ours.value, &plain.value) {
            (Value::Double(a), Value::Double(b)) => {
                assert!((a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3), "{what}: {ours:?} {plain:?}");
            }
            (a, b) => assert_eq!(a, b, "{what} at {}", ours.ts),
        }
    }
}

/// All aggregates, asked for at once.
pub async fn compare_all(historian: &Arc<Historian>, model: &Model, spans: &[(i64, i64, i64)]) {
    for tag in 0..2 {
        let plain = Plain::of(model, tag);
        for (from, to, interval) in spans {
            compare_sums(historian, model, tag, (*from, *to), *interval);
            for stepped in [false, true] {
                let over = Request { stepped, ..request(Aggregate::Count, *from, *to, *interval) };
                let all = historian.aggregates(TagId(tag), over, Aggregate::ALL.to_vec()).await.unwrap();
                assert_eq!(all.len(), Aggregate::ALL.len());
                for (aggregate, ours) in Aggregate::ALL.into_iter().zip(all) {
                    assert!(ours.gaps.is_empty(), "{:?}", ours.gaps);
                    let what =
                        format!("{} of tag {tag}, {from}..{to} by {interval}, stepped {stepped}", aggregate.name());
                    assert_alike(&ours.values, &plain.answer(&Request { aggregate, ..over }), &what);
                }
            }
        }
    }
}

/// Rows, numbers that are not bad, their sum and extremes.
type Group = (u64, u64, f64, Option<(f64, f64)>);

fn add(group: &mut Group, rows: u64, numbers: u64, sum: f64, extremes: Option<(f64, f64)>) {
    *group = (
        group.0 + rows,
        group.1 + numbers,
        group.2 + sum,
        match (group.3, extremes) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        },
    );
}

fn group_of(width: Option<i64>, ts: i64) -> i64 {
    width.map_or(0, |width| ts.div_euclid(width))
}

fn add_point(groups: &mut BTreeMap<i64, Group>, width: Option<i64>, ts: i64, number: Option<f64>, status: u32) {
    let number = number.filter(|_| !StatusCode(status).is_bad());
    let group = groups.entry(group_of(width, ts)).or_default();
    add(group, 1, u64::from(number.is_some()), number.unwrap_or(0.0), number.map(|n| (n, n)));
}

/// What the scan adds up to, by stretches of `interval`, is what the points add up to. Returns how many points were not read.
fn compare_sums(historian: &Arc<Historian>, model: &Model, tag: u32, (from, to): (i64, i64), interval: i64) -> u64 {
    let width = (interval > 0).then_some(interval);
    let mut right = BTreeMap::new();
    for point in model.range(tag, from, to) {
        add_point(&mut right, width, point.ts.micros(), point.value.as_f64(), point.quality.0);
    }
    let (mut ours, mut spared, mut last) = (BTreeMap::<i64, Group>::new(), 0, i64::MIN);
    let mut scan = historian.scan(TagId(tag), at(from), at(to));
    while let Some(next) = scan.next_summed(width.map(|us| Duration::from_micros(us.unsigned_abs()))) {
        match next {
            Summed::Points(block) => {
                for n in 0..block.len() {
                    assert!(block.ts[n] > last, "ascending");
                    last = block.ts[n];
                    add_point(&mut ours, width, last, block.number(n), block.status(n));
                }
            }
            Summed::Sums(sums) => {
                for sum in sums {
                    assert!(sum.first > last, "ascending");
                    last = sum.first;
                    spared += sum.rows;
                    add(ours.entry(group_of(width, last)).or_default(), sum.rows, sum.numbers, sum.sum, sum.extremes);
                }
            }
        }
    }
    assert_eq!(ours.len(), right.len());
    for (at, ours) in ours {
        let right = right[&at];
        let close = (ours.2 - right.2).abs() <= 1e-9 * right.2.abs().max(1.0);
        assert!(close && (ours.0, ours.1, ours.3) == (right.0, right.1, right.3), "{at}: {ours:?} {right:?}");
    }
    spared
}

fn rollup_files(dir: &Path) -> Vec<PathBuf> {
    let days = std::fs::read_dir(dir.join("parquet")).unwrap();
    let files = days.flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rollup")).collect()
}

#[tokio::test]
async fn few_rows_of_one_file_are_added_up_without_their_times_and_only_where_that_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let value = |n: i64| Value::Double(f64::from(i32::try_from(n % 17).unwrap()) / 10.0);
    let mut rows: Vec<Sample> = (0..100).map(|n| sample(0, HOUR + n * 1_000_000, value(n), StatusCode::GOOD)).collect();
    rows.extend((0..100).map(|n| sample(1, HOUR + n * 1_000_000, Value::Int64(n), StatusCode::UNCERTAIN)));
    rows.extend((0..100).map(|n| sample(2, HOUR + n * 1_000_000, Value::Double(0.1 + n as f64), StatusCode::GOOD)));
    let put = |model: &mut Model, rows: &[Sample]| {
        model.write(rows);
        log.write(rows);
    };
    put(&mut model, &rows);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    let spared = |model: &Model, tag, span, interval| compare_sums(&historian, model, tag, span, interval);
    for tag in [0, 2] {
        for (span, interval, whole) in [
            ((0, DAY), 0, 100),
            ((0, DAY), DAY, 100),
            ((HOUR, HOUR + 99_000_001), HOUR, 100),
            ((HOUR, HOUR + 99_000_000), HOUR, 0),
            ((HOUR + 1, DAY), HOUR, 0),
            ((0, DAY), MINUTE, 0),
        ] {
            assert_eq!(spared(&model, tag, span, interval), whole, "{tag} {span:?} by {interval}");
        }
    }
    assert_eq!(spared(&model, 1, (0, DAY), 0), 0, "what is uncertain is told row by row");
    // A row in memory that takes the place of one of the file, then a delete that is not yet worked in.
    put(&mut model, &[sample(0, HOUR, Value::Double(500.0), StatusCode::GOOD)]);
    model.delete(2, HOUR, HOUR + 5_000_000);
    log.delete(2, HOUR, HOUR + 5_000_000);
    historian.catch_up().await.unwrap();
    for tag in [0, 2] {
        assert_eq!(spared(&model, tag, (0, DAY), 0), 0, "{tag}");
    }
    // The same row in a second file.
    historian.flush().await.unwrap();
    assert_eq!(spared(&model, 0, (0, DAY), 0), 0);
    historian.tidy_files().await.unwrap();
}

#[tokio::test]
async fn from_rollups_or_from_points_the_answer_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    fill(&log, &mut model);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.catch_up().await.unwrap();
    let spans = [
        (0, 3 * DAY, HOUR),
        (0, 3 * DAY, 0),
        (DAY + 3 * HOUR, 2 * DAY + 5 * HOUR + 1, 2 * HOUR),
        (HOUR, 4 * HOUR, MINUTE),
        (HOUR + 17, 4 * HOUR + 17, 5 * MINUTE),
        (-DAY, 4 * DAY, DAY),
        (10 * DAY, 11 * DAY, HOUR),
    ];
    compare_all(&historian, &model, &spans).await;
    historian.flush().await.unwrap();
    assert_eq!(rollup_files(folder.path()).len(), 3, "a day each");
    compare_all(&historian, &model, &spans).await;
    assert!(compare_sums(&historian, &model, 1, (0, 3 * DAY), HOUR) > 30_000, "from roll-ups");
    // Late data and a delete make roll-ups of two files unusable until they are merged.
    let late = [sample(0, HOUR + 5, Value::Double(77.5), StatusCode::GOOD)];
    model.write(&late);
    log.write(&late);
    model.delete(0, DAY + HOUR, DAY + 2 * HOUR);
    log.delete(0, DAY + HOUR, DAY + 2 * HOUR);
    historian.catch_up().await.unwrap();
    compare_all(&historian, &model, &spans[..1]).await;
    historian.flush().await.unwrap();
    compare_all(&historian, &model, &spans[..3]).await;
    historian.tidy_files().await.unwrap();
    compare_all(&historian, &model, &spans[..3]).await;
    let replaced = historian.stats();
    assert_eq!((replaced.deletes, rollup_files(folder.path()).len()), (0, 3), "old ones are gone");
}

#[tokio::test]
async fn a_day_that_grows_is_answered_from_the_rollups_of_all_its_files_and_the_rest_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    // Cut where neither a minute nor an hour ends.
    for part in 0..4_i64 {
        let samples: Vec<Sample> = (part * 5_003..(part + 1) * 5_003)
            .map(|n| sample(0, n * 1_000_000, Value::Double((n % 91) as f64 / 10.0), StatusCode::GOOD))
            .collect();
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        if part < 3 {
            historian.flush().await.unwrap();
        }
    }
    assert_eq!(historian.stats().files, 3);
    for (span, interval) in [((0, DAY), HOUR), ((0, DAY), 0), ((HOUR + 7, 5 * HOUR), MINUTE), ((77, 11 * HOUR), 0)] {
        assert!(compare_sums(&historian, &model, 0, span, interval) > 10_000, "{span:?} by {interval}");
        compare_all(&historian, &model, &[(span.0, span.1, interval)]).await;
    }
    // A point in memory that lies among those of a file: it is read with them.
    let late = [sample(0, 6_000_500_000, Value::Double(1e6), StatusCode::GOOD)];
    model.write(&late);
    log.write(&late);
    historian.catch_up().await.unwrap();
    assert_eq!(compare_sums(&historian, &model, 0, (0, DAY), HOUR), 0);
    compare_all(&historian, &model, &[(0, DAY, HOUR)]).await;
    historian.compact().await.unwrap();
    assert_eq!(historian.stats().files, 1);
    assert!(compare_sums(&historian, &model, 0, (0, DAY), HOUR) > 20_000, "all is one file now");
    compare_all(&historian, &model, &[(0, DAY, HOUR)]).await;
}

#[tokio::test]
async fn while_the_node_was_down_nothing_is_known_from_points_as_from_rollups() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    // A frame each minute, received at its end. The node is down from 5:20:00 to 6:47:00 and for two minutes at noon; a device
    // with a memory (tag 1, once a minute) tells later what was at 6:00 and 6:01.
    let down = [(5 * 60 + 20, 6 * 60 + 46), (12 * 60, 12 * 60 + 1)];
    for minute in 0..18 * 60_i64 {
        if let Some((from, to)) = down.iter().find(|(from, to)| (*from..*to).contains(&minute)) {
            if minute == *from {
                log.restart_node();
                log.let_pass((to - from) * 60);
            }
            continue;
        }
        let mut samples: Vec<Sample> = (minute * 60..minute * 60 + 60)
            .map(|n| sample(0, n * 1_000_000, Value::Double((n % 91) as f64 / 10.0), StatusCode::GOOD))
            .collect();
        let state = |minute: i64| sample(1, minute * MINUTE, Value::Boolean(minute % 3 == 0), StatusCode::GOOD);
        samples.push(state(minute));
        if minute == 7 * 60 {
            samples.extend([state(360), state(361)]);
        }
        log.let_pass(59);
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        if minute == 5 * 60 || minute == 16 * 60 {
            historian.flush().await.unwrap();
        }
    }
    let read = historian.range(TagId(0), at(0), at(DAY), None).await.unwrap();
    let lost: Vec<Loss> =
        read.gaps.iter().map(|gap| Loss { from: gap.from, to: gap.to, goes_on: true, in_doubt: false }).collect();
    let hours = |hours: i64, minutes: i64| at(hours * HOUR + minutes * MINUTE);
    let told = |from, to| Loss { from, to, goes_on: true, in_doubt: false };
    assert_eq!(lost, [told(hours(5, 20), hours(6, 47)), told(hours(12, 0), hours(12, 2))]);
    for compacted in [false, true] {
        if compacted {
            historian.flush().await.unwrap();
            historian.compact().await.unwrap();
        }
        for tag in 0..2 {
            let plain = Plain { lost: lost.clone(), ..Plain::of(&model, tag) };
            for (from, to, interval) in
                [(0, DAY, HOUR), (0, DAY, 0), (5 * HOUR, 7 * HOUR, MINUTE), (6 * HOUR, 18 * HOUR + 1, 7 * MINUTE)]
            {
                for stepped in [false, true] {
                    let over = Request { stepped, ..request(Aggregate::Count, from, to, interval) };
                    let all = historian.aggregates(TagId(tag), over, Aggregate::ALL.to_vec()).await.unwrap();
                    for (aggregate, ours) in Aggregate::ALL.into_iter().zip(all) {
                        let what = format!("{} of tag {tag}, {from}..{to} by {interval}", aggregate.name());
                        assert_alike(&ours.values, &plain.answer(&Request { aggregate, ..over }), &what);
                    }
                }
            }
        }
        // In words: of the hour from 5 to 6 a third is known, of the next one 13 minutes, and what the device had kept.
        let good = |tag, hour: i64| {
            let over = request(Aggregate::DurationGood, hour * HOUR, (hour + 1) * HOUR, 0);
            let historian = Arc::clone(&historian);
            async move { historian.aggregate(TagId(tag), over).await.unwrap().values[0].value.as_f64().unwrap() / 60_000.0 }
        };
        let known = [good(0, 4).await, good(0, 5).await, good(0, 6).await, good(1, 6).await, good(0, 12).await];
        assert_eq!(known, [60.0, 20.0, 13.0, 14.0, 58.0], "minutes");
        assert!(compare_sums(&historian, &model, 0, (0, DAY), HOUR) > 10_000, "sums are as they were");
    }
}

#[tokio::test]
async fn a_damaged_or_missing_rollup_file_is_only_slow() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    fill(&log, &mut model);
    {
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    let files = rollup_files(folder.path());
    let damaged = &files[0];
    let whole = std::fs::read(damaged).unwrap();
    let spans = [(0, 3 * DAY, HOUR), (0, 3 * DAY, MINUTE * 60)];
    for at in (0..whole.len()).step_by(whole.len() / 12) {
        let mut changed = whole.clone();
        changed[at] ^= 0x20;
        std::fs::write(damaged, &changed).unwrap();
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        for aggregate in [Aggregate::Average, Aggregate::TimeAverage2, Aggregate::Maximum] {
            let request = request(aggregate, spans[0].0, spans[0].1, spans[0].2);
            let ours = historian.aggregate(TagId(0), request).await.unwrap();
            assert_alike(&ours.values, &Plain::of(&model, 0).answer(&request), "damaged");
        }
    }
    std::fs::remove_file(damaged).unwrap();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    compare_all(&historian, &model, &spans[..1]).await;
}

#[tokio::test]
async fn a_usable_value_far_back_is_found_and_missing_data_is_not_a_created_mark() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let mut samples =
        vec![sample(0, 0, Value::Double(5.0), StatusCode::GOOD), sample(0, 1, Value::Double(6.0), StatusCode::GOOD)];
    // Bad for hours before and after the range.
    samples.extend((1..9_000).map(|n| sample(0, n * 1_000_000, Value::Null, StatusCode::BAD_NO_COMMUNICATION)));
    samples.push(sample(0, 9_000_000_000, Value::Double(7.0), StatusCode::GOOD));
    samples.extend(
        [(0, 5.0, StatusCode::GOOD), (10, f64::NAN, StatusCode::BAD_NO_DATA), (30, 6.0, StatusCode::GOOD)].map(
            |(second, value, quality)| {
                let value = if value.is_nan() { Value::Null } else { Value::Double(value) };
                sample(1, second * 1_000_000, value, quality)
            },
        ),
    );
    model.write(&samples);
    samples.chunks(1_000).for_each(|samples| {
        log.write(samples);
    });
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.catch_up().await.unwrap();
    for flushed in [false, true] {
        if flushed {
            historian.flush().await.unwrap();
        }
        for aggregate in Aggregate::ALL {
            for (tag, from, to) in [(0, 4_000, 5_000), (0, 100, 101), (1, 20, 40), (1, 5, 40)] {
                let request = request(aggregate, from * 1_000_000, to * 1_000_000, 0);
                let ours = historian.aggregate(TagId(tag), request).await.unwrap();
                let plain = Plain::of(&model, tag).answer_knowing(&request, usize::MAX);
                assert_alike(&ours.values, &plain, &format!("{} of tag {tag} {from}..{to}", aggregate.name()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_request_over_any_flushes_is_answered_like_the_plain_list(
        writes in proptest::collection::vec((0..2 * DAY / 1_000_000, 30..3_000i64, 1..40i64, any::<bool>()), 1..6),
        from in 0..40 * HOUR, length in 1..30 * HOUR, interval in prop_oneof![Just(MINUTE), Just(HOUR), Just(0), MINUTE..HOUR], aligned in any::<bool>(),
        which in 0..Aggregate::ALL.len(),
    ) {
        let from = if aligned { from / HOUR * HOUR } else { from };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
            let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
            for (start, count, step, flush) in writes {
                let samples: Vec<Sample> = (0..count)
                    .map(|n| sample(0, (start + n * step) * 1_000_000, Value::Double((n % 91) as f64 / 10.0), if n % 97 == 3 { StatusCode::BAD } else { StatusCode::GOOD }))
                    .collect();
                model.write(&samples);
                log.write(&samples);
                historian.catch_up().await.unwrap();
                if flush {
                    historian.flush().await.unwrap();
                    historian.tidy_files().await.unwrap();
                }
            }
            compare_sums(&historian, &model, 0, (from, from + length), interval);
            let request = request(Aggregate::ALL[which], from, from + length, interval);
            let ours = historian.aggregate(TagId(0), request).await.unwrap();
            assert_alike(&ours.values, &Plain::of(&model, 0).answer(&request), Aggregate::ALL[which].name().as_str());
        });
    }
}
