//! What history is, in a plain list: every later sample of the same tag and time replaces the earlier one.

use crate::memory_log::MemoryLog;
use crate::table;
use andon_historian::{Historian, Hook, Keep, NoHook, OpenError, Options, Point, Retentions, Step};
use andon_model::{Clock, Sample, StatusCode, TagId, Timestamp, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const DAY: i64 = 86_400_000_000;

/// A clock whose hands stand still until a test turns them.
#[derive(Default)]
pub struct TestClock(pub AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed).unsigned_abs())
    }
}

/// Lets `left` steps pass, then none: the power is gone. A file that was not synced loses its second half then.
pub struct PowerCut {
    left: Mutex<u64>,
    pub seen: Mutex<Vec<(Step, std::path::PathBuf)>>,
}

impl PowerCut {
    pub fn after(steps: u64) -> Arc<Self> {
        Arc::new(Self { left: Mutex::new(steps), seen: Mutex::default() })
    }
}

impl Hook for PowerCut {
    fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        let mut left = self.left.lock().unwrap();
        if *left == 0 {
            if step == Step::SyncFile
                && let Ok(bytes) = std::fs::read(path)
            {
                std::fs::write(path, &bytes[..bytes.len() / 2])?;
            }
            return Err(io::Error::other("power cut"));
        }
        *left -= 1;
        self.seen.lock().unwrap().push((step, path.to_owned()));
        Ok(())
    }
}

pub fn sample(tag: u32, ts: i64, value: Value) -> Sample {
    let quality = if matches!(value, Value::Null) { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
    let stamp = Timestamp::from_micros(ts);
    Sample { tag: TagId(tag), value, quality, source_ts: stamp, received_ts: stamp.plus(Duration::from_millis(3)) }
}

/// The plain list, and which of its rows may be gone because their day is past its time.
#[derive(Default, Clone)]
pub struct Model(BTreeMap<(u32, i64), Sample>, HashSet<(u32, i64)>);

impl Model {
    pub fn write(&mut self, samples: &[Sample]) {
        for sample in samples {
            let key = (sample.tag.0, sample.source_ts.micros());
            self.0.insert(key, sample.clone());
            self.1.remove(&key);
        }
    }

    pub fn delete(&mut self, tag: u32, from: i64, to: i64) {
        self.0.retain(|(of, ts), _| *of != tag || !(from..to).contains(ts));
    }

    /// Files are tidied, or are about to be when the power goes: rows past their tag's limit may go from now on.
    pub fn age(&mut self, today: i64, limit: impl Fn(u32) -> Keep) {
        let past = |tag, ts: i64| match limit(tag) {
            Keep::Days(days) => ts.div_euclid(DAY) < today - i64::from(days),
            Keep::ForEver => false,
        };
        self.1.extend(self.0.keys().filter(|(tag, ts)| past(*tag, *ts)));
    }

    /// What is there is the list but for rows that may be gone; those that are do not come back.
    pub async fn settle(&mut self, historian: &Arc<Historian>, tags: u32) {
        for tag in 0..tags {
            let read = historian.range(TagId(tag), Timestamp::MIN, Timestamp::MAX, None).await.unwrap().points;
            let there: BTreeMap<i64, Point> = read.into_iter().map(|point| (point.ts.micros(), point)).collect();
            for (ts, found) in &there {
                let expected = self.0.get(&(tag, *ts)).map(point);
                assert_eq!(Some(found), expected.as_ref(), "tag {tag} at {ts} is not as it was written last");
            }
            let gone = |ts: &i64| !there.contains_key(ts);
            let missing: Vec<i64> =
                self.0.range((tag, i64::MIN)..=(tag, i64::MAX)).map(|((_, ts), _)| *ts).filter(gone).collect();
            for ts in missing {
                assert!(self.1.remove(&(tag, ts)), "tag {tag} at {ts} is gone before its time");
                self.0.remove(&(tag, ts));
            }
        }
    }

    /// Rows that may be gone and are not.
    pub fn fading(&self) -> impl Iterator<Item = (u32, i64)> {
        self.1.iter().copied().filter(|key| self.0.contains_key(key))
    }

    pub fn range(&self, tag: u32, from: i64, to: i64) -> Vec<Point> {
        self.0.range((tag, from)..(tag, to)).map(|(_, sample)| point(sample)).collect()
    }

    /// All of it, as the open table should have it.
    pub fn rows(&self) -> table::Rows {
        self.0.iter().map(|(key, sample)| (*key, (sample.value.clone(), sample.quality.0))).collect()
    }

    pub fn before(&self, tag: u32, from: i64) -> Option<Point> {
        self.0.range((tag, i64::MIN)..(tag, from)).next_back().map(|(_, sample)| point(sample))
    }
}

fn point(sample: &Sample) -> Point {
    Point { ts: sample.source_ts, value: sample.value.clone(), quality: sample.quality }
}

pub fn open(dir: &Path, log: &Arc<MemoryLog>, hook: Arc<dyn Hook>) -> Result<Arc<Historian>, OpenError> {
    open_joining(dir, log, hook, Options::default().joined_bytes)
}

/// As [`open`], with joined days of up to so many bytes.
pub fn open_joining(
    dir: &Path,
    log: &Arc<MemoryLog>,
    hook: Arc<dyn Hook>,
    joined_bytes: u64,
) -> Result<Arc<Historian>, OpenError> {
    open_with(dir, log, hook, Options { joined_bytes, ..Options::default() })
}

/// As [`open`], with options; files are merged early.
pub fn open_with(
    dir: &Path,
    log: &Arc<MemoryLog>,
    hook: Arc<dyn Hook>,
    options: Options,
) -> Result<Arc<Historian>, OpenError> {
    // Days pass in leaps here.
    let options = Options { max_files_per_day: 3, believe_after: Duration::ZERO, ..options };
    // Far ahead: which day history has reached goes by the log then.
    let clock = Arc::new(TestClock(AtomicI64::new(10_000 * DAY)));
    Historian::open_with(dir, Arc::clone(log) as _, clock, options, hook)
}

/// Compares every tag over several ranges, raw and thinned, each alone and one after the other.
pub async fn compare(historian: &Arc<Historian>, model: &Model, tags: u32, days: i64) {
    let spans = [(i64::MIN, i64::MAX), (0, days * DAY), (DAY / 2, DAY + 1), (DAY, DAY + 3), (5, 6), (-DAY, 0)];
    compare_spans(historian, model, tags, &spans).await;
    let at = Timestamp::from_micros;
    let mut scan = historian.scan(TagId(0), at(0), at(0));
    for &(from, to) in &spans {
        // Forwards and back, each ended in the middle before it is read whole.
        for tag in (0..tags).chain((0..tags).rev()) {
            scan.turn_to(TagId(tag), at(from), at(to));
            let _ = scan.next();
            scan.turn_to(TagId(tag), at(from), at(to));
            let mut points = Vec::new();
            while let Some(block) = scan.next() {
                let point = |n: usize| Point {
                    ts: at(block.ts[n]),
                    value: block.value(n),
                    quality: StatusCode(block.status(n)),
                };
                points.extend((0..block.len()).map(point));
            }
            assert_eq!(points, model.range(tag, from, to), "tag {tag} {from}..{to} after others");
        }
    }
}

/// Compares every tag over these ranges.
pub async fn compare_spans(historian: &Arc<Historian>, model: &Model, tags: u32, spans: &[(i64, i64)]) {
    for tag in 0..tags {
        for &(from, to) in spans {
            let (start, end) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
            let expected = model.range(tag, from, to);
            let read = historian.range(TagId(tag), start, end, None).await.unwrap();
            assert_eq!(read.points, expected, "tag {tag} {from}..{to}");
            assert_eq!(read.before, model.before(tag, from), "tag {tag} before {from}");
            let missing: Vec<_> = read.gaps.iter().filter(|gap| gap.reason != "Andon was not running").collect();
            assert!(!read.thinned && missing.is_empty(), "{missing:?}");
            let thin = historian.range(TagId(tag), start, end, Some(10)).await.unwrap();
            assert!(thin.points.len() <= 10 && thin.points.iter().all(|point| expected.contains(point)));
            assert_eq!(thin.thinned, expected.len() > 10);
            assert_eq!((thin.points.first(), thin.points.last()), (expected.first(), expected.last()));
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    Write(Vec<(u32, i64, Value)>),
    Delete(u32, i64, i64),
    Follow,
    Flush,
    Tidy,
    Compact,
    Restart,
    /// Days without anything: then days are over, and months.
    Pass(i64),
    /// From now on history is kept so long.
    Keep(Retentions),
    /// Flush and tidy with a power cut after so many steps, then start again.
    Cut(u64),
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::Int64),
        (-1e6..1e6f64).prop_map(Value::Double),
        Just(Value::Double(-0.0)),
        any::<bool>().prop_map(Value::Boolean),
        "[a-zäß]{0,5}".prop_map(|text| Value::String(text.into())),
        Just(Value::Null),
    ]
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![3 => (0..4u32).prop_map(Keep::Days), 1 => Just(Keep::Days(39)), 1 => Just(Keep::ForEver)]
}

fn act() -> impl Strategy<Value = Act> {
    // Few times and few tags, around midnights, so that late data and doubles are the rule.
    let ts = (0..3i64, 0..12i64).prop_map(|(day, n)| day * DAY - 4 + n);
    let from = (0..3i64, 0..12i64).prop_map(|(day, n)| day * DAY - 4 + n);
    let length = prop_oneof![3 => 1..6i64, 1 => Just(DAY), 1 => Just(4 * DAY)];
    prop_oneof![
        5 => proptest::collection::vec((0..3u32, ts, value()), 0..12).prop_map(Act::Write),
        2 => (0..3u32, from, length).prop_map(|(tag, from, length)| Act::Delete(tag, from, from + length)),
        2 => Just(Act::Follow),
        2 => Just(Act::Flush),
        1 => Just(Act::Tidy),
        1 => Just(Act::Compact),
        1 => Just(Act::Restart),
        1 => prop_oneof![Just(1_i64), Just(40)].prop_map(Act::Pass),
        1 => proptest::collection::hash_map(0..3u32, keep(), 0..4).prop_map(Act::Keep),
        2 => (0..40u64).prop_map(Act::Cut),
    ]
}

async fn play(acts: Vec<Act>, joined_bytes: u64, retention_days: Option<u32>) {
    let mut rules = HashMap::new();
    let open = |dir: &Path, log: &Arc<MemoryLog>, hook, rules: &Retentions| {
        let options = Options { joined_bytes, retention_days, ..Options::default() };
        open_with(dir, log, hook, options).inspect(|historian| historian.keep(rules.clone()))
    };
    let limit = |rules: &Retentions, tag| {
        let others = retention_days.map_or(Keep::ForEver, Keep::Days);
        rules.get(&tag).copied().unwrap_or(others)
    };
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let mut model = Model::default();
    let mut historian = open(folder.path(), &log, Arc::new(NoHook) as _, &rules).unwrap();
    let mut txn = 0;
    for act in acts {
        match act {
            Act::Write(rows) => {
                let samples: Vec<Sample> = rows.into_iter().map(|(tag, ts, value)| sample(tag, ts, value)).collect();
                model.write(&samples);
                log.write(&samples);
            }
            Act::Delete(tag, from, to) => {
                model.delete(tag, from, to);
                log.delete(tag, from, to);
            }
            Act::Follow => historian.catch_up().await.unwrap(),
            Act::Flush => historian.flush().await.unwrap(),
            Act::Pass(days) => log.let_pass(days * 86_400),
            Act::Keep(new) => {
                historian.keep(new.clone());
                rules = new;
            }
            Act::Tidy => {
                model.age(log.today(), |tag| limit(&rules, tag));
                historian.tidy_files().await.unwrap();
            }
            Act::Compact => {
                model.age(log.today(), |tag| limit(&rules, tag));
                historian.compact().await.unwrap();
            }
            Act::Restart => historian = open(folder.path(), &log, Arc::new(NoHook) as _, &rules).unwrap(),
            Act::Cut(steps) => {
                drop(historian);
                model.age(log.today(), |tag| limit(&rules, tag));
                if let Ok(doomed) = open(folder.path(), &log, PowerCut::after(steps) as _, &rules) {
                    doomed.catch_up().await.unwrap();
                    let _ = doomed.flush().await;
                    let _ = doomed.tidy_files().await;
                    model.settle(&doomed, 3).await;
                    compare(&doomed, &model, 3, 4).await;
                }
                table::check(folder.path());
                historian = open(folder.path(), &log, Arc::new(NoHook) as _, &rules).unwrap();
            }
        }
        let table = table::check(folder.path()).0.unwrap();
        assert!(table.txn >= txn, "txn went back from {txn} to {}", table.txn);
        txn = table.txn;
    }
    historian.catch_up().await.unwrap();
    model.settle(&historian, 3).await;
    compare(&historian, &model, 3, 4).await;
    // A frame more, so that a file may get a new name.
    log.write(&[]);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    model.age(log.today(), |tag| limit(&rules, tag));
    historian.tidy_files().await.unwrap();
    model.settle(&historian, 3).await;
    compare(&historian, &model, 3, 4).await;
    for (tag, ts) in model.fading() {
        // All of these days lie in January 1970, or in the last day before it.
        let Keep::Days(days) = limit(&rules, tag) else { continue };
        assert!(log.today() < 31 + i64::from(days), "tag {tag} at {ts} stays longer than its month and {days} days");
    }
    assert_eq!(table::check(folder.path()).1, model.rows(), "the open table is the plain list too");
    let stats = historian.stats();
    assert_eq!((stats.held_back_files, stats.table_error), (0, None));
    assert_eq!(historian.stats().deletes, 0, "every delete was worked into the files");
    assert_eq!(log.kept(), 0, "everything is in files, so the log may free everything");
    assert!(historian.verify().is_empty());
}

/// 48 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { 48 };
    ProptestConfig { cases, max_shrink_iters: 300, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn history_equals_the_plain_list_through_flushes_merges_restarts_and_power_cuts(
        acts in proptest::collection::vec(act(), 1..25),
        joined_bytes in prop_oneof![3 => Just(u64::MAX), 1 => Just(7_000_u64)],
        retention_days in prop_oneof![3 => Just(None), 1 => (0..4u32).prop_map(Some), 1 => Just(Some(39))],
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(play(acts, joined_bytes, retention_days));
    }
}
