//! Files that are damaged, cut off or gone: who hears of it, what is answered, and what makes it good again.

use crate::aggregates::{HOUR, fill};
use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, open, sample};
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, AggregateValue, Request};
use andon_historian::{Damage, GiveUpError, Historian, Holds, NoHook, Summed, copy};
use andon_model::{StatusCode, TagId, Timestamp, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

fn us(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// History files with this ending, by name.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let days = std::fs::read_dir(dir.join("parquet")).unwrap().map(|day| day.unwrap().path());
    let days = days.filter(|day| !day.ends_with("_delta_log"));
    let files = days.flat_map(|day| std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path()));
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    files.sort();
    files
}

/// Flips a bit of a file and leaves its length.
fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    put(path, &bytes);
}

/// As a copy from a backup comes in: another file under the name.
fn put(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("restored");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

fn hear(historian: &Historian) -> Arc<Mutex<Vec<Damage>>> {
    let heard: Arc<Mutex<Vec<Damage>>> = Arc::default();
    let tell = Arc::clone(&heard);
    historian.on_damage(move |damage| {
        tell.lock().unwrap().push(damage.clone());
        true
    });
    heard
}

/// A point every ten minutes, a file for each day: too few for roll-ups.
async fn sparse(dir: &Path, days: i64) -> (Arc<MemoryLog>, Arc<Historian>) {
    let log = Arc::new(MemoryLog::default());
    let historian = open(dir, &log, Arc::new(NoHook)).unwrap();
    for day in 0..days {
        let value = |n: i64| sample(0, day * DAY + n * HOUR / 6, Value::Double((n % 7) as f64));
        log.write(&(0..144).map(value).collect::<Vec<_>>());
        historian.catch_up().await.unwrap();
        historian.flush().await.unwrap();
    }
    (log, historian)
}

async fn one(historian: &Arc<Historian>, aggregate: Aggregate, from: i64, to: i64) -> (AggregateValue, usize) {
    let (config, stepped) = (AggregateConfiguration::default(), true);
    let request = Request { aggregate, from: us(from), to: us(to), interval_us: 0, stepped, config };
    let mut answer = historian.aggregate(TagId(0), request).await.unwrap();
    assert_eq!(answer.values.len(), 1);
    (answer.values.remove(0), answer.gaps.len())
}

#[tokio::test]
async fn each_damaged_file_is_told_once_until_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (log, historian) = sparse(folder.path(), 3).await;
    let heard = hear(&historian);
    let rows = files(folder.path(), "parquet");
    let whole = std::fs::read(&rows[1]).unwrap();
    for round in 1..=2 {
        flip(&rows[1], 100);
        for _ in 0..100 {
            let read = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
            assert_eq!((read.points.len(), read.gaps.len()), (288, 1));
        }
        historian.tidy_files().await.unwrap();
        let told = heard.lock().unwrap().clone();
        assert_eq!(told.len(), round, "{told:?}");
        let Damage { file, holds, what, from, to, readings } = &told[round - 1];
        assert_eq!((file, *holds, *readings), (&rows[1], Holds::Readings, 144));
        assert_eq!((*from, *to), (us(DAY), us(2 * DAY - HOUR / 6)));
        assert!(what.contains(rows[1].to_str().unwrap()) && what.contains("checksum"), "{what}");
        assert_eq!(historian.stats().damage, told[round - 1..]);
        put(&rows[1], &whole);
        let read = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
        assert_eq!((read.points.len(), read.gaps.len()), (432, 0), "it was put back");
        assert_eq!(historian.damage(), []);
        assert_eq!(historian.stats().damage, []);
    }
    // What is missing or cut off is known from the start, and told to whoever comes to listen.
    drop(historian);
    std::fs::remove_file(&rows[0]).unwrap();
    put(&rows[2], &whole[..50]);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let told = hear(&historian).lock().unwrap().clone();
    assert_eq!(told.iter().map(|damage| &damage.file).collect::<Vec<_>>(), [&rows[0], &rows[2]]);
    assert!(told[0].what.ends_with(".parquet is missing") && told[1].what.contains("50 bytes instead of"), "{told:?}");
}

/// Writes into the file itself and sets its times back, as a copy that keeps times does.
fn write_in_place(path: &Path, bytes: &[u8]) {
    let changed = std::fs::metadata(path).unwrap().modified().unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
}

#[tokio::test]
async fn what_nobody_could_take_is_told_again_and_what_was_put_right_is_found_by_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, historian) = sparse(folder.path(), 3).await;
    let rows = files(folder.path(), "parquet");
    let whole = std::fs::read(&rows[0]).unwrap();
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    write_in_place(&rows[0], &bytes);
    let heard = Arc::new(Mutex::new(0));
    let tell = Arc::clone(&heard);
    historian.on_damage(move |_| {
        let mut times = tell.lock().unwrap();
        *times += 1;
        *times > 2
    });
    for expected in 1..=2 {
        historian.range(TagId(0), us(0), us(DAY), None).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), expected, "it was not taken");
    }
    for _ in 0..3 {
        historian.tidy_files().await.unwrap();
        assert_eq!(*heard.lock().unwrap(), 3, "now it was");
    }
    write_in_place(&rows[0], &whole);
    assert_eq!(historian.damage().len(), 1, "nothing tells that it is another one");
    historian.compact().await.unwrap();
    assert_eq!(historian.damage(), []);
    assert_eq!(*heard.lock().unwrap(), 3);
}

#[tokio::test]
async fn the_gap_of_one_damaged_file_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, historian) = sparse(folder.path(), 3).await;
    let rows = files(folder.path(), "parquet");
    flip(&rows[0], 100);
    // The range begins within the file: it is met when the point before the range is looked for, and again behind it.
    let read = historian.range(TagId(0), us(6 * HOUR), us(2 * DAY), None).await.unwrap();
    assert_eq!(
        read.gaps.iter().map(|gap| (gap.from, gap.to)).collect::<Vec<_>>(),
        [(us(6 * HOUR), us(DAY - HOUR / 6 + 1))]
    );
    for aggregate in Aggregate::ALL {
        let (_, gaps) = one(&historian, aggregate, 6 * HOUR, 2 * DAY).await;
        assert_eq!(gaps, 1, "{}", aggregate.name());
    }
}

#[tokio::test]
async fn an_interval_with_a_stretch_that_cannot_be_read_is_never_good() {
    use Aggregate as A;
    // They say something certain about the data, or about one instant.
    let certain = [A::DurationGood, A::DurationBad, A::PercentGood, A::PercentBad, A::WorstQuality, A::WorstQuality2];
    let instants = [A::Interpolative, A::StartBound, A::EndBound, A::DeltaBounds, A::AnnotationCount];
    // The first, a middle, and the last file of the tag is damaged; asked is a day of it and an hour of a whole one.
    for damaged in 0..3_i64 {
        let folder = tempfile::tempdir().unwrap();
        let (_log, historian) = sparse(folder.path(), 3).await;
        let rows = files(folder.path(), "parquet");
        flip(&rows[usize::try_from(damaged).unwrap()], 300);
        let (from, to) =
            if damaged == 2 { (2 * DAY - HOUR, 3 * DAY) } else { (damaged * DAY, (damaged + 1) * DAY + HOUR) };
        for aggregate in Aggregate::ALL {
            let (value, gaps) = one(&historian, aggregate, from, to).await;
            let what = format!("{} of file {damaged}: {value:?}", aggregate.name());
            assert_eq!(gaps, 1, "{what}");
            if !certain.contains(&aggregate) && !instants.contains(&aggregate) {
                assert!(!value.status.is_good(), "{what}");
            }
            if matches!(aggregate, A::WorstQuality | A::WorstQuality2) {
                assert_eq!(value.value, Value::Int64(i64::from(StatusCode::BAD_NO_DATA.0)), "{what}");
            }
            // An hour without damage is as it was.
            let other = (damaged + 1) % 3 * DAY + 3 * HOUR;
            let (fine, _) = one(&historian, aggregate, other, other + HOUR).await;
            assert!(fine.status.is_good(), "{}: {fine:?}", aggregate.name());
        }
        let (good, _) = one(&historian, A::PercentGood, from, to).await;
        let share = good.value.as_f64().unwrap();
        assert!((3.0..5.0).contains(&share), "an hour of 25 is known: {share}");
        // A stretch of which nothing can be read has no number at all.
        let (count, _) = one(&historian, A::Count, damaged * DAY + HOUR, damaged * DAY + 2 * HOUR).await;
        assert!(count.status.is_bad() && count.value == Value::Null, "{count:?}");
    }
}

#[tokio::test]
async fn compaction_leaves_what_is_damaged_and_makes_lost_roll_ups_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut model) = (Arc::new(MemoryLog::default()), Model::default());
    fill(&log, &mut model);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let heard = hear(&historian);
    historian.compact().await.unwrap();
    let (rows, rollups) = (files(folder.path(), "parquet"), files(folder.path(), "rollup"));
    assert_eq!((rows.len(), rollups.len(), heard.lock().unwrap().len()), (3, 3, 0));
    let report = || copy::check(folder.path()).unwrap().unwrap();
    assert_eq!((report().findings, report().files), (vec![], 6));

    flip(&rows[0], std::fs::metadata(&rows[0]).unwrap().len() as usize / 2);
    flip(&rollups[1], 5_000);
    std::fs::remove_file(&rollups[2]).unwrap();
    let findings = report().findings;
    let said: Vec<_> =
        findings.iter().map(|finding| (folder.path().join(&finding.file), finding.what.as_str())).collect();
    assert_eq!(said.iter().map(|(file, _)| file).collect::<Vec<_>>(), [&rows[0], &rollups[1], &rollups[2]], "{said:?}");
    assert!(
        said[0].1.contains("row group")
            && said[0].1.contains("(bytes ")
            && said[0].1.contains("readings from 1970-01-01"),
        "{said:?}"
    );
    assert!(said[1].1.contains("a chunk (bytes ") && said[2].1.contains("it is missing"), "{said:?}");

    // Nobody has read them yet; compaction does.
    historian.compact().await.unwrap();
    let told = heard.lock().unwrap().clone();
    let kinds: Vec<_> = told.iter().map(|damage| (damage.file.clone(), damage.holds)).collect();
    assert_eq!(
        kinds,
        [
            (rows[0].clone(), Holds::Readings),
            (rollups[1].clone(), Holds::Rollups),
            (rollups[2].clone(), Holds::Rollups)
        ]
    );
    assert_eq!(historian.stats().damage, told[..1], "roll-ups were made anew");
    assert!(rows[0].exists(), "what is damaged stays for whoever can mend it");
    let findings = report().findings;
    assert_eq!(findings.iter().map(|finding| folder.path().join(&finding.file)).collect::<Vec<_>>(), [rows[0].clone()]);
    let read = historian.range(TagId(0), us(DAY), us(3 * DAY), None).await.unwrap();
    assert_eq!(read.points, model.range(0, DAY, 3 * DAY));
}

#[tokio::test]
async fn a_file_that_is_given_up_is_a_gap_of_which_nobody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (log, historian) = sparse(folder.path(), 3).await;
    let heard = hear(&historian);
    let rows = files(folder.path(), "parquet");
    let name = |at: usize| PathBuf::from_iter(rows[at].components().rev().take(2).collect::<Vec<_>>().iter().rev());

    // Only a damaged file of readings can be.
    let refused = async |file: &Path| historian.give_up(file).await.unwrap_err();
    assert!(matches!(refused(&rows[1]).await, GiveUpError::Whole(file) if file == rows[1]));
    for other in
        ["", "nothing", "2026-01-01/000000000001-000000000001.parquet", rows[1].file_name().unwrap().to_str().unwrap()]
    {
        assert!(matches!(refused(Path::new(other)).await, GiveUpError::Unknown(_)), "{other}");
    }
    let elsewhere = Path::new("/srv/history/parquet").join(name(1));
    assert!(matches!(refused(&elsewhere).await, GiveUpError::Unknown(_)));
    assert_eq!(historian.given_up(), []);

    let whole = std::fs::read(&rows[1]).unwrap();
    std::fs::remove_file(&rows[1]).unwrap();
    let before = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
    assert_eq!((before.points.len(), before.gaps.len(), heard.lock().unwrap().len()), (288, 1, 1));
    let lost = historian.give_up(&rows[1]).await.unwrap();
    assert_eq!((lost.file.as_path(), lost.from, lost.readings), (rows[1].as_path(), us(DAY), 144));
    assert!(matches!(refused(&name(1)).await, GiveUpError::Already(_)));
    let report = copy::check(folder.path()).unwrap().unwrap();
    assert_eq!((report.findings, report.given_up.len(), report.rows), (vec![], 1, 288));
    drop(historian);

    for _ in 0..2 {
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        let heard = hear(&historian);
        historian.tidy_files().await.unwrap();
        historian.compact().await.unwrap();
        let after = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
        assert_eq!(after.points, before.points);
        assert!(after.gaps.len() == 1 && after.gaps[0].reason.contains("given up"), "{:?}", after.gaps);
        let (value, gaps) = one(&historian, Aggregate::Average, 0, 3 * DAY).await;
        assert!(!value.status.is_good() && gaps == 1, "a gap is not good: {value:?}");
        let mut scan = historian.scan(TagId(0), us(0), us(3 * DAY));
        while scan.next().is_some() {}
        assert!(matches!(scan.unreadable(), [unread] if unread.given_up));
        assert_eq!((historian.damage(), heard.lock().unwrap().len()), (vec![], 0));
        assert_eq!((historian.given_up(), historian.stats().damage), (vec![lost.clone()], vec![]));
        let (all, [of]) = (historian.given_up_gaps(), &historian.given_up_of(TagId(0))[..]) else { panic!() };
        assert_eq!((all[0].from, all[0].to, of.given_up), (us(DAY), us(2 * DAY - HOUR / 6 + 1), true));
        assert_eq!(historian.given_up_of(TagId(7)), [], "it had no such tag");
    }

    // It is found: compaction takes it back.
    put(&rows[1], &whole);
    assert_eq!(copy::check(folder.path()).unwrap().unwrap().given_up, [(Path::new("parquet").join(name(1)), true)]);
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    historian.compact().await.unwrap();
    let healed = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap();
    assert_eq!((healed.points.len(), healed.gaps.len(), historian.given_up().len()), (432, 0, 0));
}

#[tokio::test]
async fn a_given_up_file_counts_for_no_more_than_its_rows_and_comes_back_with_its_roll_ups() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let all = 3 * 17_280;
    log.write(&(0..all as i64).map(|n| sample(0, n * 5_000_000, Value::Double((n % 7) as f64))).collect::<Vec<_>>());
    historian.compact().await.unwrap();
    let (rows, rollups) = (files(folder.path(), "parquet"), files(folder.path(), "rollup"));
    let whole = std::fs::read(&rows[1]).unwrap();
    let summed = |historian: &Arc<Historian>| {
        let mut scan = historian.scan(TagId(0), us(0), us(3 * DAY));
        let (mut count, mut sums) = (0, 0);
        while let Some(next) = scan.next_summed(None) {
            match next {
                Summed::Points(block) => count += block.len() as u64,
                Summed::Sums(known) => {
                    sums += known.len();
                    count += known.iter().map(|sum| sum.rows).sum::<u64>();
                }
            }
        }
        (count, sums > 0)
    };
    assert_eq!(summed(&historian), (all, true));
    std::fs::remove_file(&rows[1]).unwrap();
    historian.give_up(&rows[1]).await.unwrap();
    let left = historian.range(TagId(0), us(0), us(3 * DAY), None).await.unwrap().points.len() as u64;
    assert!(left > 0 && left < all);
    assert_eq!(summed(&historian).0, left, "what nobody can look at is not counted either");

    // Only the rows come back: their roll-ups are made anew, at once.
    std::fs::remove_file(&rollups[1]).unwrap();
    put(&rows[1], &whole);
    historian.compact().await.unwrap();
    assert_eq!((historian.given_up(), historian.damage(), summed(&historian)), (vec![], vec![], (all, true)));
    assert_eq!(copy::check(folder.path()).unwrap().unwrap().findings, []);
}

/// Flips every byte of a roll-up file in turn: an aggregate is what it was.
#[tokio::test]
async fn no_flipped_byte_of_a_rollup_file_changes_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    let rows: Vec<_> = (0..2 * 3_600).map(|n| sample(0, n * 1_000_000, Value::Double((n % 91) as f64 / 8.0))).collect();
    rows.chunks(1_000).for_each(|rows| {
        log.write(rows);
    });
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    let rollups = files(folder.path(), "rollup");
    let whole = std::fs::read(&rollups[0]).unwrap();
    let over = |interval_us| {
        let (aggregate, config) = (Aggregate::Count, AggregateConfiguration::default());
        Request { aggregate, from: us(0), to: us(2 * HOUR), interval_us, stepped: false, config }
    };
    let kinds = || vec![Aggregate::Average, Aggregate::Maximum, Aggregate::DurationGood];
    let mut right = Vec::new();
    for interval in [0, HOUR / 60] {
        right.push((interval, historian.aggregates(TagId(0), over(interval), kinds()).await.unwrap()));
    }
    let mut found = 0;
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        put(&rollups[0], &changed);
        // Opened anew, so that the index is read again.
        let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
        for (interval, right) in &right {
            let answer = historian.aggregates(TagId(0), over(*interval), kinds()).await.unwrap();
            for (ours, right) in answer.iter().zip(right) {
                assert_eq!((ours.values.len(), ours.gaps.len()), (right.values.len(), 0), "byte {at}");
                for (a, b) in ours.values.iter().zip(&right.values) {
                    let close = (a.value.as_f64().unwrap() - b.value.as_f64().unwrap()).abs() < 1e-9;
                    assert!(close && a.status == b.status, "byte {at}: {a:?} {b:?}");
                }
            }
        }
        found += usize::from(!historian.stats().damage.is_empty());
        assert_eq!(copy::check(folder.path()).unwrap().unwrap().findings.len(), usize::from(at != 7), "byte {at}");
    }
    assert_eq!(found, whole.len() - 8, "all but the eight bytes of its name are met by these questions");
}

/// Every aggregate of tag 3 over the first nine days, by day and as one, sloped and stepped.
async fn nine_days(historian: &Arc<Historian>) -> Vec<(Aggregate, bool, i64, Vec<AggregateValue>)> {
    let mut all = Vec::new();
    for aggregate in Aggregate::ALL {
        for (stepped, interval_us) in [(false, DAY), (true, DAY), (false, 0), (true, 0)] {
            let config = AggregateConfiguration::default();
            let request = Request { aggregate, from: us(0), to: us(9 * DAY), interval_us, stepped, config };
            all.push((aggregate, stepped, interval_us, historian.aggregate(TagId(3), request).await.unwrap().values));
        }
    }
    all
}

#[tokio::test]
async fn a_lost_file_of_other_tags_makes_no_answer_better() {
    use Aggregate as A;
    let folder = tempfile::tempdir().unwrap();
    let log = Arc::new(MemoryLog::default());
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    // Tag 3 has readings in the first half of the first day; the ninth day has the tags 1 and 6.
    log.write(&(0..720).map(|n| sample(3, n * HOUR / 60, Value::Double(50.0 + (n % 7) as f64))).collect::<Vec<_>>());
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    let others = (0..8640).flat_map(|n| [1, 6].map(|tag| sample(tag, 8 * DAY + n * DAY / 8640, Value::Double(1.0))));
    log.write(&others.collect::<Vec<_>>());
    historian.catch_up().await.unwrap();
    historian.flush().await.unwrap();
    let whole = nine_days(&historian).await;
    for (aggregate, stepped, interval, values) in &whole {
        if matches!(aggregate, A::TimeAverage2 | A::Total2) && *interval > 0 {
            let codes: Vec<u32> = values.iter().map(|value| value.status.0 >> 16).collect();
            let first = if *stepped { 0 } else { 0x40A4 };
            assert_eq!(codes, [first, 0x809B, 0x809B, 0x809B, 0x809B, 0x809B, 0x809B, 0x809B, 0x809B], "{aggregate:?}");
        }
    }
    let (rows, rollups) = (files(folder.path(), "parquet"), files(folder.path(), "rollup"));
    assert_eq!((rows.len(), rollups.len()), (2, 2));
    std::fs::remove_file(&rows[1]).unwrap();

    // What the file's own list said is still known: the tag is not in it.
    assert_eq!(nine_days(&historian).await, whole);
    let read = historian.range(TagId(3), us(0), us(10 * DAY), None).await.unwrap();
    assert_eq!((read.points.len(), read.gaps.len()), (720, 0));
    let mut scan = historian.scan(TagId(3), us(0), us(10 * DAY));
    while scan.next().is_some() {}
    assert_eq!(scan.unreadable(), []);
    assert_eq!(historian.damage().len(), 1, "it is told all the same");
    drop((scan, historian));

    // After a restart it may be in it.
    let historian = open(folder.path(), &log, Arc::new(NoHook)).unwrap();
    for ((aggregate, stepped, interval, now), (.., before)) in nine_days(&historian).await.iter().zip(&whole) {
        let what = format!("{} by {interval}, stepped: {stepped}", aggregate.name());
        if *interval > 0 {
            assert_eq!(now, before, "{what}");
            continue;
        }
        assert!(now[0].status.0 >= before[0].status.0, "{what}: {now:?}, not {before:?}");
        if matches!(aggregate, A::TimeAverage2 | A::Total2 | A::Count | A::Maximum) {
            assert_eq!(now[0].value, before[0].value, "{what}");
            assert!(!now[0].status.is_good(), "{what}: a day of it is lost: {now:?}");
        }
        if matches!(aggregate, A::DurationGood) {
            assert_eq!(now, before, "{what}");
        }
    }
    let of = async |tag| {
        let mut scan = historian.scan(TagId(tag), us(0), us(10 * DAY));
        while scan.next().is_some() {}
        scan.unreadable().iter().map(|unread| unread.in_doubt).collect::<Vec<_>>()
    };
    assert_eq!((of(1).await, of(3).await, of(6).await), (vec![false], vec![true], vec![false]), "told by the roll-ups");
    assert!(of(7).await.is_empty());
}
