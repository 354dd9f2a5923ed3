//! Stopped before each single step, started again: nothing is lost, nothing is doubled.

use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, PowerCut, TestClock, compare, compare_spans, open, sample};
use crate::table;
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, AggregateValue, Request};
use andon_historian::{Historian, ManifestError, NoHook, OpenError, Options, Step};
use andon_model::log::Seq;
use andon_model::{TagId, Timestamp, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for day in std::fs::read_dir(dir.join("parquet")).unwrap() {
        let day = day.unwrap().path();
        if !day.ends_with("_delta_log") {
            found.extend(std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// Five flushes over two days (enough to make both merge), with late data and doubles.
async fn five_flushes(dir: &Path, log: &Arc<MemoryLog>, model: &mut Model, hook: Arc<PowerCut>) -> Result<(), String> {
    let historian = open(dir, log, hook).map_err(|error| error.to_string())?;
    for n in 0..5_i64 {
        let samples: Vec<_> = (0..3)
            .flat_map(|tag| {
                [
                    sample(tag, n * 10, Value::Int64(n)),
                    sample(tag, DAY + n % 2, Value::Int64(n)),
                    sample(tag, n * 10 + 1, Value::Null),
                ]
            })
            .collect();
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        historian.flush().await.map_err(|error| error.to_string())?;
    }
    historian.tidy_files().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_power_cut_before_any_step_loses_and_doubles_nothing() {
    let whole = PowerCut::after(u64::MAX);
    {
        let folder = tempfile::tempdir().unwrap();
        five_flushes(folder.path(), &Arc::default(), &mut Model::default(), Arc::clone(&whole)).await.unwrap();
    }
    let steps = whole.seen.lock().unwrap().len() as u64;
    assert!(steps > 60, "{steps}");
    for cut in 0..steps {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(MemoryLog::default());
        let mut model = Model::default();
        let result = five_flushes(folder.path(), &log, &mut model, PowerCut::after(cut)).await;
        // Removing replaced files and publishing are tried again at the next start, so they alone are no failure.
        let (step, path) = whole.seen.lock().unwrap()[usize::try_from(cut).unwrap()].clone();
        let may_fail = step == Step::Remove || path.components().any(|part| part.as_os_str() == "_delta_log");
        assert!(result.is_err() || may_fail, "step {cut}");
        table::check(folder.path());
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        historian.catch_up().await.unwrap();
        compare_spans(&historian, &model, 3, &[(i64::MIN, i64::MAX)]).await;
        let stats = historian.stats();
        assert_eq!(
            files(folder.path()).len(),
            stats.files + stats.removed_files,
            "cut before step {cut}: no file without a name in the manifest"
        );
        assert_eq!(stats.table_error, None);
        let (table, _) = table::check(folder.path());
        assert_eq!(table.unwrap().files.len() + stats.held_back_files, stats.files, "cut before step {cut}: made up");
        historian.flush().await.unwrap();
        compare_spans(&historian, &model, 3, &[(15, DAY + 1)]).await;
        table::check(folder.path());
        historian.tidy_files().await.unwrap();
        assert_eq!(table::check(folder.path()).1, model.rows(), "cut before step {cut}: the table is whole");
    }
}

#[tokio::test]
async fn files_are_synced_before_they_are_named_and_named_before_the_log_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let hook = PowerCut::after(u64::MAX);
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, hook.clone()).unwrap();
    hook.seen.lock().unwrap().clear();
    log.write(&[sample(1, 5, Value::Double(1.0))]);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    let steps: Vec<Step> = hook.seen.lock().unwrap().iter().map(|(step, _)| *step).collect();
    let file = [Step::WriteFile, Step::SyncFile, Step::Rename, Step::SyncFolder];
    let expected =
        [&[Step::CreateFolder, Step::SyncFolder], &file[..], &file[..], &[Step::SaveSnapshot], &file[..]].concat();
    assert_eq!(steps, expected, "the data file, then the manifest, then the log, then the open table");
    assert_eq!(log.snapshot_position(), Seq(1));
}

#[tokio::test]
async fn a_failed_flush_keeps_samples_readable_and_is_made_good_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    drop(open(folder.path(), &log, Arc::new(NoHook)).unwrap());
    struct FailOnce(std::sync::atomic::AtomicBool);
    impl andon_historian::Hook for FailOnce {
        fn before(&self, step: Step, _: &Path) -> std::io::Result<()> {
            let fail = step == Step::Rename && !self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
            if fail { Err(std::io::Error::other("disk full")) } else { Ok(()) }
        }
    }
    let historian = open(folder.path(), &log, Arc::new(FailOnce(false.into()))).unwrap();
    let mut model = Model::default();
    for n in 0..2 {
        let samples = [sample(0, n, Value::Int64(n)), sample(0, 100, Value::Int64(n))];
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        assert_eq!(historian.flush().await.is_err(), n == 0);
        compare(&historian, &model, 1, 1).await;
    }
    assert_eq!(historian.stats().buffered_points, 0);
    assert_eq!(log.kept(), 0);
}

#[tokio::test]
async fn a_damaged_or_missing_manifest_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    five_flushes(folder.path(), &log, &mut Model::default(), PowerCut::after(u64::MAX)).await.unwrap();
    let manifest = folder.path().join("manifest");
    let good = std::fs::read(&manifest).unwrap();
    let before = files(folder.path());

    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    std::fs::write(&manifest, bad).unwrap();
    let error = open(folder.path(), &log, Arc::new(NoHook)).err().unwrap();
    assert!(
        matches!(error, OpenError::Manifest(ManifestError::Damaged { .. })) && error.to_string().contains("Restore")
    );

    std::fs::remove_file(&manifest).unwrap();
    let error = open(folder.path(), &log, Arc::new(NoHook)).err().unwrap();
    assert!(matches!(error, OpenError::Manifest(ManifestError::Missing { .. })));
    assert_eq!(files(folder.path()), before, "no file is touched when in doubt");

    std::fs::write(&manifest, good).unwrap();
    open(folder.path(), &log, Arc::new(NoHook)).unwrap();
}

#[tokio::test]
async fn a_log_older_than_the_history_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    five_flushes(folder.path(), &Arc::default(), &mut Model::default(), PowerCut::after(u64::MAX)).await.unwrap();
    let error = open(folder.path(), &Arc::default(), Arc::new(NoHook)).err().unwrap();
    assert!(matches!(error, OpenError::LogBehind { history: 5, log: 0, .. }), "{error}");
}

#[tokio::test]
async fn an_empty_folder_beside_a_used_log_starts_and_says_what_is_missing() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = Arc::new(MemoryLog::default());
    five_flushes(first.path(), &log, &mut Model::default(), PowerCut::after(u64::MAX)).await.unwrap();
    log.write(&[sample(0, 7, Value::Int64(7))]);
    let historian = open(second.path(), &log, Arc::new(NoHook)).unwrap();
    historian.catch_up().await.unwrap();
    let read = historian.range(TagId(0), Timestamp::from_micros(0), Timestamp::from_micros(100), None).await.unwrap();
    assert_eq!((read.points.len(), read.gaps.len()), (1, 1));
}

#[tokio::test]
async fn only_leftovers_of_our_own_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    five_flushes(folder.path(), &log, &mut Model::default(), PowerCut::after(u64::MAX)).await.unwrap();
    let day = folder.path().join("parquet").join("1970-01-01");
    for name in ["7-9.parquet", "7-9.parquet.tmp", "notes.txt", "mine.parquet"] {
        std::fs::write(day.join(name), b"x").unwrap();
    }
    open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let exists = |name: &str| day.join(name).exists();
    assert!(!exists("7-9.parquet") && !exists("7-9.parquet.tmp") && exists("notes.txt") && exists("mine.parquet"));
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two days with two hours of one tag each, a point a second, and roll-ups of the first format.
#[tokio::test]
async fn a_folder_of_the_second_format_is_read_with_its_rollups_and_its_days_are_joined() {
    let base = 20_000 * DAY;
    let log = Arc::new(MemoryLog::default());
    log.write(&[]);
    log.write(&[]);
    let value = |n: i64| Value::Double((n % 100) as f64 / 10.0);
    let request = |hours: i64| Request {
        aggregate: Aggregate::Maximum,
        from: Timestamp::from_micros(base),
        to: Timestamp::from_micros(base + hours * 3_600_000_000),
        interval_us: 3_600_000_000,
        stepped: false,
        config: AggregateConfiguration::default(),
    };
    for joined in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format2"), folder.path());
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        if joined {
            log.let_pass(21_000 * 86_400);
            log.write(&[]);
            historian.catch_up().await.unwrap();
            let clock = Arc::new(TestClock((21_000 * DAY).into()));
            let later = Historian::open(folder.path(), Arc::clone(&log) as _, clock, Options::default()).unwrap();
            later.catch_up().await.unwrap();
            later.flush().await.unwrap();
            later.tidy_files().await.unwrap();
            assert_eq!((later.stats().files, table::check(folder.path()).1.len()), (1, 14_400));
        }
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        let [from, to] = [base, base + 2 * DAY].map(Timestamp::from_micros);
        let read = historian.range(TagId(3), from, to, None).await.unwrap();
        let times = (0..2).flat_map(|day| (0..7_200).map(move |n| (base + day * DAY + n * 1_000_000, n)));
        let expected: Vec<_> = times.map(|(ts, n)| (ts, value(n))).collect();
        assert_eq!(read.points.iter().map(|p| (p.ts.micros(), p.value.clone())).collect::<Vec<_>>(), expected);
        // Only the roll-ups are left: a value comes from them.
        for file in table::read(folder.path()).unwrap().files.keys() {
            let path = folder.path().join("parquet").join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[100] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
        }
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        let answer = historian.aggregate(TagId(3), request(1)).await.unwrap();
        assert_eq!(answer.values[0].value, Value::Double(9.9));
    }
}

/// Of which tag and aggregate, the values, and how many gaps.
type Answer = ((u32, Aggregate), Vec<AggregateValue>, usize);

/// Two hours of four tags, a point a second of each: with jitter, with bad stretches, a state, whole numbers with uncertain ones; and
/// roll-ups of the second format.
#[tokio::test]
async fn a_folder_with_rollups_of_the_second_format_is_answered_from_them_and_they_are_made_anew() {
    let base = 20_000 * DAY;
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format3"), folder.path());
    let log = Arc::new(MemoryLog::default());
    log.write(&[]);
    log.write(&[]);
    let ask = async |historian: &Arc<Historian>| {
        let mut answers: Vec<Answer> = Vec::new();
        for (tag, aggregate) in (1..=4).flat_map(|tag| Aggregate::ALL.map(|aggregate| (tag, aggregate))) {
            let request = Request {
                aggregate,
                from: Timestamp::from_micros(base),
                to: Timestamp::from_micros(base + 7_200_000_000),
                interval_us: 600_000_000,
                stepped: tag == 3,
                config: AggregateConfiguration::default(),
            };
            let answer = historian.aggregate(TagId(tag), request).await.unwrap();
            answers.push(((tag, aggregate), answer.values, answer.gaps.len()));
        }
        answers
    };
    let close = |a: &Value, b: &Value| match (a, b) {
        (Value::Double(a), Value::Double(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => a == b,
    };
    let alike = |ours: &[Answer], theirs: &[Answer]| {
        assert_eq!(ours.len(), theirs.len());
        for ((what, ours, gaps), (_, theirs, _)) in ours.iter().zip(theirs) {
            assert_eq!((*gaps, ours.len()), (0, 12), "{what:?}");
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a.ts, a.status) == (b.ts, b.status) && close(&a.value, &b.value), "{what:?}: {a:?}, {b:?}");
            }
        }
    };
    let rollup = files(folder.path()).into_iter().find(|path| path.extension().is_some_and(|e| e == "rollup")).unwrap();
    let columns = || table::read(folder.path()).unwrap().columns;
    assert_eq!(columns().last().map(String::as_str), Some("received_ms"));
    let before = ask(&open(folder.path(), &log, Arc::new(NoHook)).unwrap()).await;
    // The table gets the column that files have today, without a new file.
    assert_eq!(columns().last().map(String::as_str), Some("received_at_ms"));
    assert_eq!(table::check(folder.path()).1.len(), 28_800);
    // Without roll-ups the points are asked.
    std::fs::rename(&rollup, folder.path().join("aside")).unwrap();
    let from_points = ask(&open(folder.path(), &log, Arc::new(NoHook)).unwrap()).await;
    std::fs::rename(folder.path().join("aside"), &rollup).unwrap();
    alike(&from_points, &before);
    let version = table::read(folder.path()).unwrap().version;
    // A delete makes the day be written again, with roll-ups of the format of today.
    let second = rollup.metadata().unwrap().len();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    log.delete(4, base, base + 1);
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    historian.tidy_files().await.unwrap();
    let rollups: Vec<_> =
        files(folder.path()).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rollup")).collect();
    assert_eq!(rollups.len(), 1);
    assert!(std::fs::read(&rollups[0]).unwrap().starts_with(b"ANDROLL3"));
    assert!(historian.stats().rollup_bytes < second);
    let after = table::read(folder.path()).unwrap();
    assert_eq!((after.version, after.columns.len()), (version + 1, 12), "the columns are told once");
    let others = |mut answers: Vec<Answer>| {
        answers.retain(|((tag, _), ..)| *tag != 4);
        answers
    };
    alike(&others(ask(&historian).await), &others(before));
}

/// A folder as the first version wrote it: three files of two days, every class of value, one late and one replaced point.
#[tokio::test]
async fn a_folder_of_the_first_format_is_read_and_merged_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/format1"), folder.path());
    let base = 20_000 * DAY;
    let log = Arc::new(MemoryLog::default());
    // The history reaches up to frame 2 of its log.
    log.write(&[]);
    log.write(&[]);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    assert!(table::check(folder.path()).1.is_empty(), "others could not read these files");
    for merged in [false, true] {
        if merged {
            log.write(&[sample(1, base + 7_000_000, Value::Double(-1.5))]);
            historian.catch_up().await.unwrap();
            historian.flush().await.unwrap();
            log.write(&[sample(1, base + 1_000_000_000, Value::Double(-2.5))]);
            historian.catch_up().await.unwrap();
            historian.flush().await.unwrap();
            historian.tidy_files().await.unwrap();
        }
        let read = async |tag, from, to| {
            let range =
                historian.range(TagId(tag), Timestamp::from_micros(from), Timestamp::from_micros(to), None).await;
            let range = range.unwrap();
            assert!(range.gaps.is_empty(), "{:?}", range.gaps);
            (range.points, range.before)
        };
        let (points, before) = read(1, base, base + 500_000_000).await;
        assert_eq!((points.len(), before), (201, None), "200 seconds and one in between");
        assert_eq!(points[0].value, Value::Double(20.0));
        assert_eq!((points[2].ts.micros() - base, &points[2].value), (1_500_000, &Value::Double(1e300)));
        assert_eq!(points[6].value, Value::Double(0.1 + 0.2), "the later one replaced it");
        assert_eq!(points[8].value, Value::Double(if merged { -1.5 } else { 20.875 }));
        let (points, before) = read(2, base, base + 10).await;
        assert_eq!(before.map(|point| point.value), Some(Value::Int64(i64::MIN)));
        assert_eq!(
            points.iter().map(|point| (point.value.clone(), point.quality.0)).collect::<Vec<_>>(),
            [(Value::Int64(i64::MAX), 0x4090_0000), (Value::Null, 0x8031_0000)]
        );
        let values = async |tag| read(tag, base, base + 10).await.0.into_iter().map(|p| p.value).collect::<Vec<_>>();
        assert_eq!(values(3).await, [Value::Boolean(true), Value::Boolean(false)]);
        let texts = values(4).await;
        assert_eq!(texts[0], Value::String("Füllstand 😀".into()));
        assert!(matches!(texts[1], Value::Double(zero) if zero == 0.0 && zero.is_sign_negative()));
    }
    assert!(historian.verify().is_empty());
    assert!(historian.stats().merges > 0, "files of both formats were merged");
    assert_eq!(historian.stats().held_back_files, 0);
    let (_, rows) = table::check(folder.path());
    for tag in 1..=4 {
        let read = historian.range(TagId(tag), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
        for point in &read.points {
            let theirs = rows.get(&(tag, point.ts.micros()));
            assert_eq!(theirs, Some(&(point.value.clone(), point.quality.0)), "tag {tag} at {}", point.ts);
        }
    }
    assert_eq!(rows.len() as u64, historian.stats().file_rows);
}

#[tokio::test]
async fn an_older_manifest_never_costs_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    let manifest = folder.path().join("manifest");
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let mut old = Vec::new();
    for n in 0..6_i64 {
        let samples = [sample(1, n, Value::Int64(n)), sample(2, DAY + n, Value::Int64(n))];
        model.write(&samples);
        log.write(&samples);
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
        if n == 3 {
            old = std::fs::read(&manifest).unwrap();
        }
    }
    let newest = std::fs::read(&manifest).unwrap();
    historian.tidy_files().await.unwrap();
    drop(historian);
    let merged = (std::fs::read(&manifest).unwrap(), files(folder.path()));
    // One from before later flushes: the log has let go of what it does not name.
    std::fs::write(&manifest, &old).unwrap();
    let error = open(folder.path(), &log, Arc::new(NoHook)).err().unwrap();
    assert!(matches!(error, OpenError::ManifestOld { history: 4, told: 6, .. }), "{error}");
    assert!(error.to_string().contains("Restore log and history"), "{error}");
    // One from before a merge: it names files that are gone, and does not name the one that has their rows.
    std::fs::write(&manifest, &newest).unwrap();
    drop(open(folder.path(), &log, Arc::new(NoHook)).unwrap());
    assert_eq!(files(folder.path()), merged.1, "nothing was removed");
    std::fs::write(&manifest, &merged.0).unwrap();
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    compare(&historian, &model, 3, 2).await;
}
