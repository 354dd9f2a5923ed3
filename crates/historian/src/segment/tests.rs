//! What is written comes back, nothing else does, and damage is named.

use super::layout::PAGE_ROWS;
use super::*;
use crate::block::BlockBuilder;
use crate::disk::{Disk, NoHook};
use crate::period::Period;
use crate::rollup::{self, RollupWriter};
use andon_model::Value;
use andon_model::log::Seq;
use proptest::prelude::*;
use std::os::unix::fs::FileExt as _;

type Row = (u32, i64, Value, u32, i64);

fn row(tag: u32, ts: i64, value: Value) -> Row {
    (tag, ts, value, 0x8031_0000, 12)
}

fn write(path: &Path, rows: &[Row]) -> FileInfo {
    let rollups = RollupWriter::new(&Disk::new(Arc::new(NoHook)), rollup::path_of(path));
    let info = FileInfo::empty(Period::day(0), Seq(1), Seq(2));
    let mut writer = SegmentWriter::new(File::create(path).unwrap(), path, info, rollups).unwrap();
    for run in rows.chunk_by(|a, b| a.0 == b.0) {
        let mut builder = BlockBuilder::default();
        run.iter().for_each(|(_, ts, value, quality, received)| builder.push(*ts, value.clone(), *quality, *received));
        let block = builder.finish();
        writer.push(run[0].0, &block, 0..block.len()).unwrap();
    }
    writer.finish().unwrap().2
}

fn rows_of(tag: u32, block: &Block) -> Vec<Row> {
    let received = |at| block.received_ms.get(at).copied().unwrap_or(12);
    (0..block.len()).map(|at| (tag, block.ts[at], block.value(at), block.status(at), received(at))).collect()
}

fn read_tag(reader: &mut Reader, tag: u32, window: Window) -> Result<Vec<Row>, SegmentError> {
    reader.select(tag, window, true)?;
    let mut rows = Vec::new();
    while let Some(block) = reader.next()? {
        rows.extend(rows_of(tag, &block));
    }
    Ok(rows)
}

fn read_all(path: &Path, info: &FileInfo) -> Result<Vec<Row>, SegmentError> {
    let mut reader = Reader::open(path, info, &Footers::new(0))?;
    let mut rows = Vec::new();
    for tag in reader.tags()? {
        rows.extend(read_tag(&mut reader, tag, Window::All)?);
    }
    Ok(rows)
}

/// Equal to the last bit: `==` would take -0.0 for 0.0.
fn bits(rows: &[Row]) -> Vec<(u32, i64, String, u32, i64)> {
    let value = |value: &Value| match value {
        Value::Double(d) => format!("double {:x}", d.to_bits()),
        other => format!("{other:?}"),
    };
    rows.iter().map(|(tag, ts, v, quality, received)| (*tag, *ts, value(v), *quality, *received)).collect()
}

#[test]
fn every_value_comes_back_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let values = [
        Value::Double(-0.0),
        Value::Double(0.1 + 0.2),
        Value::Double(f64::MAX),
        Value::Double(5e-324),
        Value::Int64(i64::MIN),
        Value::Int64(i64::MAX),
        Value::Int64(0),
        Value::Boolean(false),
        Value::Boolean(true),
        Value::String("".into()),
        Value::String("Füllstand 😀\n".into()),
        Value::Null,
    ];
    let mut rows: Vec<Row> =
        values.iter().enumerate().map(|(at, value)| row(u32::MAX, at as i64, value.clone())).collect();
    rows.insert(0, row(0, i64::MIN, Value::Null));
    rows.push(row(u32::MAX, i64::MAX, Value::Null));
    let info = write(&path, &rows);
    assert_eq!(bits(&read_all(&path, &info).unwrap()), bits(&rows));
    assert_eq!(info.ts, (i64::MIN, i64::MAX));
}

#[test]
fn finds_any_tag_and_time_across_groups_and_pages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // Tags of very different lengths, the ids around the sign bit included; tag 9 spans three row groups. Times lie closer
    // together than a millisecond, so that pages begin within one.
    let lengths = [(1_u32, 3_i64), (5, 20_000), (9, 300_000), (0x7FFF_FFFF, 1), (0x8000_0000, 9_000), (u32::MAX, 2)];
    let rows: Vec<Row> =
        lengths.iter().flat_map(|(tag, length)| (0..*length).map(|n| row(*tag, n * 10, Value::Int64(n)))).collect();
    let info = write(&path, &rows);
    assert_eq!((info.rows, info.tags, info.ts), (rows.len() as u64, (1, u32::MAX), (0, 2_999_990)));
    let footers = Footers::new(1 << 20);
    let mut reader = Reader::open(&path, &info, &footers).unwrap();
    assert_eq!(reader.tags().unwrap(), lengths.map(|(tag, _)| tag));
    for (tag, length) in lengths {
        let page = PAGE_ROWS as i64 * 10;
        for (from, to) in [
            (0, 10),
            (i64::MIN, i64::MAX),
            (length * 5, length * 5 + 500),
            (length * 10 - 10, i64::MAX),
            (page - 10, page + 10),
            (page - 3, page),
            (page, page + 1),
            (2 * page + 5, 3 * page - 5),
            (-5, 0),
            (7, 7),
        ] {
            let expected: Vec<Row> =
                rows.iter().filter(|row| row.0 == tag && row.1 >= from && row.1 < to).cloned().collect();
            let found = read_tag(&mut reader, tag, Window::Times { from, to }).unwrap();
            assert_eq!(found, expected, "{tag} {from}..{to}");
            let before = rows.iter().rfind(|row| row.0 == tag && row.1 < from);
            let last = reader.last_before(tag, from).unwrap();
            assert_eq!(last.map(|block| rows_of(tag, &block)[0].clone()).as_ref(), before, "{tag} before {from}");
        }
    }
    assert!(read_tag(&mut reader, 6, Window::All).unwrap().is_empty());
    verify(&path, &info).unwrap();
}

#[test]
fn any_damage_is_an_error_that_names_the_file_and_never_another_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let rows: Vec<Row> = (0..5_000).map(|n| row(1, n, Value::Double(n as f64 / 8.0))).collect();
    let info = write(&path, &rows);
    let whole = std::fs::read(&path).unwrap();
    let tag_before = || Reader::open(&path, &info, &Footers::new(0)).and_then(|mut r| r.last_before(1, i64::MAX));
    for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let error = read_all(&path, &info).expect_err("cut off").to_string();
        assert!(error.contains("a.parquet"), "{error}");
        assert!(verify(&path, &info).is_err() && tag_before().is_err());
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        std::fs::write(&path, &changed).unwrap();
        assert!(verify(&path, &info).is_err() && read_all(&path, &info).is_err() && tag_before().is_err(), "byte {at}");
        assert_eq!(flaws(&path, &info).len(), 1, "byte {at}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read_all(&path, &info).unwrap().len(), 5_000);
}

#[test]
fn a_byte_that_changes_while_the_file_is_being_read_is_never_another_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let kinds = |n: i64| match n / 500 % 4 {
        0 => Value::Double(n as f64 / 8.0),
        1 => Value::Double(n as f64 / 3.0),
        2 => Value::Boolean(n % 3 == 0),
        _ => Value::String(format!("{n}").into()),
    };
    let rows: Vec<Row> = (0..4_000).map(|n| (1 + u32::try_from(n / 1_000).unwrap(), n, kinds(n), 0, 12)).collect();
    let info = write(&path, &rows);
    let whole = std::fs::read(&path).unwrap();
    let footers = Footers::new(1 << 20);
    let read = |reader: &mut Reader| -> Result<Vec<Row>, SegmentError> {
        let mut rows = Vec::new();
        for tag in reader.tags()? {
            rows.extend(read_tag(reader, tag, Window::All)?);
        }
        Ok(rows)
    };
    // What was found to be whole stays in memory, and so does an open reader.
    let mut reader = Reader::open(&path, &info, &footers).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let footer = usize::try_from(info.pieces[0].end).unwrap();
    for at in (0..whole.len()).step_by(3) {
        assert_eq!(bits(&read(&mut reader).unwrap()), bits(&rows), "before byte {at}");
        file.write_all_at(&[whole[at] ^ (1 << (at % 8))], at as u64).unwrap();
        // The clock of the file system may stand still for a while; that the time changes is its promise to us.
        let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(2 * at as u64 + 1);
        file.set_modified(later).unwrap();
        for mut reader in [
            std::mem::replace(&mut reader, Reader::open(&path, &info, &footers).unwrap()),
            Reader::open(&path, &info, &footers).unwrap(),
        ] {
            match read(&mut reader) {
                Ok(read) => {
                    assert!(at >= footer && bits(&read) == bits(&rows), "byte {at}: only the footer is in memory")
                }
                Err(error) => assert!(error.to_string().contains("a.parquet"), "{error}"),
            }
        }
        file.write_all_at(&[whole[at]], at as u64).unwrap();
        file.set_modified(later + std::time::Duration::from_secs(1)).unwrap();
    }
}

/// The numbers that the reader hands out without times, divided as it says.
#[expect(clippy::cast_precision_loss, reason = "as numbers are read")]
fn numbers_of(reader: &mut Reader, tag: u32) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    let taken = reader.good_numbers(tag, |numbers| match numbers {
        Numbers::Doubles(numbers) => all.extend(numbers),
        Numbers::Whole(numbers, power) => all.extend(numbers.iter().map(|whole| *whole as f64 / power)),
    });
    taken.unwrap().then_some(all)
}

#[test]
fn numbers_alone_are_those_of_the_rows_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let long = i64::try_from(PAGE_ROWS).unwrap() * 20;
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |tag: u32, count: i64, status: u32, value: fn(i64) -> Value| {
        rows.extend((0..count).map(|n| (tag, n * 1000, value(n), status, 12)));
    };
    add(1, long, 0, |n| Value::Double(f64::from(i32::try_from(n % 999).unwrap()) / 100.0));
    add(2, 10, 0, |n| Value::Double(f64::from(i32::try_from(n).unwrap()) / 3.0));
    add(3, 700, 0, |n| Value::Int64(n * n));
    add(4, 10, 0x4000_0000, |_| Value::Double(1.0));
    add(5, 10, 0, |n| if n == 3 { Value::Null } else { Value::Double(1.0) });
    add(6, 10, 0, |_| Value::String("held".into()));
    add(7, 10, 0, |_| Value::Double(0.5));
    let info = write(&path, &rows);
    let mut reader = Reader::open(&path, &info, &Footers::new(0)).unwrap();
    for round in 0..2 {
        for tag in [1, 2, 3, 7, 1] {
            let right: Vec<f64> = rows.iter().filter(|row| row.0 == tag).filter_map(|row| row.2.as_f64()).collect();
            assert_eq!(numbers_of(&mut reader, tag), Some(right), "{tag} in round {round}");
        }
        for tag in [4, 5, 6, 99] {
            assert_eq!(numbers_of(&mut reader, tag), None, "{tag}");
        }
        let again = read_tag(&mut reader, 3, Window::All).unwrap();
        assert_eq!(again.len(), 700, "rows are read as before");
    }
}

#[test]
fn footers_are_kept_up_to_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let footers = Footers::new(40_000);
    for name in 0..20 {
        let path = folder.path().join(format!("{name}.parquet"));
        let info = write(&path, &[row(1, 1, Value::Null)]);
        Reader::open(&path, &info, &footers).unwrap();
    }
    let (files, bytes) = footers.held();
    assert!(bytes <= 40_000 && files > 0 && files < 20, "{files} files, {bytes} bytes");
}

#[test]
fn plain_signals_take_few_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let noise = |n: i64| (n.wrapping_mul(0x5851_F42D_4C95_7F2D) >> 40).rem_euclid(41) - 20;
    let signal = |n: i64| (2_000.0 + 300.0 * (n as f64 / 500.0).sin()).round() / 100.0 + noise(n) as f64 / 100.0;
    let decimal = |value: f64| (value * 100.0).round() / 100.0;
    for (jitter, most) in [(0, 1.2), (1_000, 2.1)] {
        let rows: Vec<Row> = (0..100_000)
            .map(|n| (1, n * 1_000_000 + noise(n * 3) * jitter, Value::Double(decimal(signal(n))), 0, 0))
            .collect();
        let info = write(&path, &rows);
        let each = info.bytes as f64 / rows.len() as f64;
        assert!(each < most, "{each:.2} bytes a point with {jitter} µs of jitter a step");
    }
}

#[test]
fn long_texts_that_repeat_cost_little_and_long_texts_that_differ_end_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let text: std::sync::Arc<str> = "recipe ".repeat(2_000).into();
    let same: Vec<Row> = (0..50_000).map(|n| (1, n, Value::String(std::sync::Arc::clone(&text)), 0, 0)).collect();
    let info = write(&path, &same);
    assert_eq!(info.pieces.len(), 2, "one row group and the footer");
    let mut reader = Reader::open(&path, &info, &Footers::new(1 << 20)).unwrap();
    reader.select(1, Window::All, false).unwrap();
    let block = reader.next().unwrap().unwrap();
    let (Value::String(first), Value::String(second)) = (block.value(0), block.value(1)) else { panic!("texts") };
    assert!(std::sync::Arc::ptr_eq(&first, &second), "neighbours share their text");
    let differ: Vec<Row> = (0..6_000).map(|n| (1, n, Value::String(format!("{n} {text}").into()), 0, 0)).collect();
    let info = write(&path, &differ);
    assert_eq!(info.pieces.len(), 4, "28 MiB each, looked at every 1,024 rows");
    assert_eq!(bits(&read_all(&path, &info).unwrap()), bits(&differ));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-100_000..100_000i64).prop_map(|n| Value::Double(n as f64 / 100.0)),
        1 => any::<f64>().prop_filter("never in a tag", |value| value.is_finite()).prop_map(Value::Double),
        1 => any::<f32>().prop_filter("never in a tag", |value| value.is_finite()).prop_map(|f| Value::Double(f64::from(f))),
        1 => any::<i64>().prop_map(Value::Int64),
        1 => any::<bool>().prop_map(Value::Boolean),
        1 => "[a-zß]{0,4}".prop_map(|text| Value::String(text.into())),
        1 => Just(Value::Null),
        1 => Just(Value::Double(-0.0)),
    ]
}

/// Received at once, at the edge of an hour later, or any time later or earlier.
fn any_received() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -9..9i64,
        1 => (3_599_998..3_600_003i64).prop_flat_map(|ms| prop_oneof![Just(ms), Just(-ms)]),
        1 => any::<i64>().prop_map(|us| us / 1000),
        1 => Just(20_000_000_000),
    ]
}

#[test]
fn history_that_was_loaded_later_pays_little_for_when_it_came() {
    let folder = tempfile::tempdir().unwrap();
    // A day of one tag, times off by up to 20 ms, received in batches of 300 a year later.
    let off = |n: i64| n.wrapping_mul(2_654_435_761).rem_euclid(41) * 1000;
    let year = 365 * 86_400_000;
    let times: Vec<i64> = (0..86_400).map(|n| n * 1_000_000 + off(n)).collect();
    let received = |n: usize| year + (n / 300) as i64 * 3;
    let rows: Vec<Row> =
        times.iter().enumerate().map(|(n, ts)| (1, *ts, Value::Int64(7), 0, received(n) - ts / 1000)).collect();
    let later = write(&folder.path().join("later.parquet"), &rows);
    assert_eq!(bits(&read_all(&folder.path().join("later.parquet"), &later).unwrap()), bits(&rows));
    let at_once: Vec<Row> = rows.iter().map(|row| (1, row.1, Value::Int64(7), 0, 0)).collect();
    let at_once = write(&folder.path().join("at_once.parquet"), &at_once);
    let more = later.bytes - at_once.bytes;
    assert!(more * 20 < later.rows, "{more} bytes for {} rows", later.rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_come_back(
        tags in proptest::collection::btree_map(0..6u32, (proptest::collection::btree_map(-20_000..20_000i64, (any_value(), 0..3u32, any_received()), 1..80), any::<bool>()), 1..5),
        from in -20_000..20_000i64, length in 0..10_000i64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let mut rows: Vec<Row> = Vec::new();
        for (tag, (values, uniform)) in &tags {
            let first = values.values().next().map(|(value, ..)| value.clone());
            for (ts, (value, quality, received)) in values {
                // Half of the tags have one class only.
                let value = match (&first, value) {
                    (Some(Value::Double(_)), Value::Int64(i)) if *uniform => Value::Double((*i % 1000) as f64 / 10.0),
                    (Some(Value::Double(_)), Value::Double(d)) => Value::Double(*d),
                    (Some(first), _) if *uniform => first.clone(),
                    (_, value) => value.clone(),
                };
                rows.push((*tag, *ts, value, *quality, *received));
            }
        }
        let info = write(&path, &rows);
        prop_assert_eq!(bits(&read_all(&path, &info).unwrap()), bits(&rows));
        let mut reader = Reader::open(&path, &info, &Footers::new(1 << 20)).unwrap();
        for tag in tags.keys() {
            let window = Window::Times { from, to: from + length };
            let expected: Vec<Row> = rows.iter().filter(|row| row.0 == *tag && row.1 >= from && row.1 < from + length).cloned().collect();
            prop_assert_eq!(bits(&read_tag(&mut reader, *tag, window).unwrap()), bits(&expected));
        }
    }
}
