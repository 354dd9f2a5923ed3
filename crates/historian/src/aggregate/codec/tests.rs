//! Both short forms: what is written comes back, and any bytes are read or refused.

use super::super::sums::{Moments, Sum, count_f64};
use super::rows::flag;
use super::*;
use proptest::prelude::*;

fn rollup(points: &[(i64, f64, u32)]) -> Rollup {
    let mut rollup = Rollup::default();
    let ts: Vec<i64> = points.iter().map(|point| point.0).collect();
    let values: Vec<f64> = points.iter().map(|point| point.1).collect();
    let status: Vec<u32> = points.iter().map(|point| point.2).collect();
    rollup.push_columns(&ts, &values, &status).expect("in order");
    rollup
}

/// Equal but for what rounding sums to one double changes: the last bits of what the sum of as many of the largest value has.
fn check_alike(ours: &Rollup, theirs: &Rollup) -> Result<(), TestCaseError> {
    let unsummed = |of: &Rollup| Rollup {
        sum: Sum::default(),
        ramp: Sum::default(),
        flat: Sum::default(),
        flat_to_other: Sum::default(),
        bridges: Sum::default(),
        moments: Moments { mean: 0.0, squares: 0.0, ..of.moments },
        ..*of
    };
    prop_assert_eq!(format!("{:?}", unsummed(ours)), format!("{:?}", unsummed(theirs)));
    let size = [ours.smallest, ours.largest].iter().flatten().map(|extreme| extreme.value.abs()).fold(0.0, f64::max);
    let count = count_f64(ours.shares.good);
    let span = ours.first.zip(ours.last).map_or(0.0, |(first, last)| (last.ts - first.ts) as f64);
    // Times 1e-13 below: what rounding of the mean leaves in squared deviations of equal values.
    let noise = size * 1e-14 * (size * 1e-14 * count) * 1e13;
    for (what, of, scale) in [
        ("sum", (|of: &Rollup| of.sum.value()) as fn(&Rollup) -> f64, size * count),
        ("mean", |of| of.moments.mean, size),
        ("squares", |of| of.moments.squares, ours.moments.squares + noise),
        ("ramp", |of| of.ramp.value(), size * span),
        ("flat", |of| of.flat.value(), size * span),
        ("flat_to_other", |of| of.flat_to_other.value(), size * span),
        ("bridges", |of| of.bridges.value(), size * span),
    ] {
        let (a, b) = (of(ours), of(theirs));
        let close = scale.is_finite() && (a - b).abs() <= 1e-13 * scale;
        prop_assert!(close || a.to_bits() == b.to_bits(), "{what}: {a:e}, {b:e}; {ours:?}");
    }
    Ok(())
}

/// In use: nothing of it may stay.
fn used() -> Rollup {
    rollup(&[(1, f64::NAN, 0x8031_0000), (2, 3.0, 0), (3, 7.0, 0x4090_0000), (4, 1.0, 0)])
}

const MINUTE: i64 = 60_000_000;

fn written(rollups: &[(i64, Rollup)]) -> Vec<u8> {
    let mut writer = ColumnWriter::default();
    for (number, rollup) in rollups {
        writer.push(*number, number.wrapping_mul(MINUTE), rollup);
    }
    writer.finish(&mut zstd::bulk::Compressor::new(1).expect("zstd")).expect("in memory")
}

fn read(bytes: &[u8], first: i64) -> Option<Vec<(i64, Rollup)>> {
    let mut reader = ColumnReader::open(bytes, first, &mut zstd::bulk::Decompressor::new().expect("zstd"))?;
    let mut rollups = Vec::new();
    let mut rollup = used();
    while reader.left() > 0 {
        rollups.push((reader.next(|number| number.wrapping_mul(MINUTE), &mut rollup)?, rollup));
    }
    Some(rollups)
}

/// Minutes of a signal: its value at each step, and how far a time is off its own, µs.
fn minutes(count: i64, step: i64, value: impl Fn(i64) -> f64, off: impl Fn(i64) -> i64) -> Vec<(i64, Rollup)> {
    let point = |n: i64| (n * step + off(n), value(n), 0);
    let steps = MINUTE / step;
    (0..count)
        .map(|minute| (minute, rollup(&(minute * steps..(minute + 1) * steps).map(point).collect::<Vec<_>>())))
        .collect()
}

#[test]
fn minutes_of_decimals_take_few_bytes() {
    // Of 0 to 999, without a pattern (the finish of SplitMix64).
    let noise = |n: i64| {
        let mixed = n.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) >> 40) as i64 % 1000
    };
    let sine = |n: i64| f64::from(20_000 + noise(n) as i32 + ((n as f64 / 300.0).sin() * 4000.0) as i32) / 1000.0;
    let jitter = |n: i64| noise(n + 77) % 41 * 1000;
    let state = |n: i64| f64::from(i32::from((n / 1700) % 2 == 0));
    let single = |n: i64| f64::from((noise(n) as f32 / 7.0).sqrt());
    for (what, most, minutes) in [
        ("even", 16, minutes(1440, 1_000_000, sine, |_| 0)),
        ("with jitter", 28, minutes(1440, 1_000_000, sine, jitter)),
        ("a state", 3, minutes(1440, 1_000_000, state, |_| 0)),
        ("constant", 1, minutes(1440, 1_000_000, |_| 20.1, |_| 0)),
        ("single precision", 42, minutes(1440, 1_000_000, single, |_| 0)),
    ] {
        let bytes = written(&minutes);
        println!("{what}: {:.1} bytes a minute", bytes.len() as f64 / minutes.len() as f64);
        assert!(bytes.len() <= most * minutes.len(), "{what}: {}", bytes.len() / minutes.len());
        for ((number, ours), (expected, theirs)) in read(&bytes, 0).expect("as written").iter().zip(&minutes) {
            assert_eq!(number, expected);
            check_alike(theirs, ours).expect(what);
        }
    }
}

#[test]
fn a_sum_is_not_rounded_to_the_unit_of_five_points() {
    // What large values that cancel out leave has more decimals than first, last, last but one, lowest and highest.
    let mut points: Vec<(i64, f64, u32)> = (0..60).map(|n| (n * 1_000_000, 0.3, 0)).collect();
    for n in [0, 58, 59] {
        points[n].1 = 1.0;
    }
    (points[10].1, points[20].1) = (1e12, -1e12);
    let ours = rollup(&points);
    let (_, back) = read(&written(&[(0, ours)]), 0).expect("as written")[0];
    for (what, a, b) in [
        ("sum", ours.sum.value(), back.sum.value()),
        ("flat", ours.flat.value() / 1e6, back.flat.value() / 1e6),
        ("ramp", ours.ramp.value() / 1e6, back.ramp.value() / 1e6),
    ] {
        assert!((a - b).abs() < 1e-3, "{what}: {a}, {b}");
    }
}

#[test]
fn uneven_steps_of_huge_values_are_not_taken_for_even() {
    let s = 1_000_000;
    let ours = rollup(&[(0, 5e300, 0), (s, 3e-7, 0), (58 * s, 3e-7, 0), (59 * s, 5e-7, 0)]);
    let (_, back) = read(&written(&[(0, ours)]), 0).expect("as written")[0];
    assert!((ours.flat.value() / back.flat.value() - 1.0).abs() < 1e-9);
}

#[test]
fn a_chunk_has_no_more_rollups_than_are_ever_written() {
    let state = rollup(&[(0, 0.0, 0)]);
    let bytes = written(&[(0, state), (1, state), (2, state)]);
    let mut rest = bytes.as_slice();
    take(&mut rest).expect("the count");
    let mut forged = Vec::new();
    put(&mut forged, 1 << 62);
    forged.extend_from_slice(rest);
    assert!(read(&forged, 0).is_none());
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-10_000..10_000i32).prop_map(|n| f64::from(n) / 100.0),
        (-10_000..10_000i32).prop_map(|n| f64::from(n) / 1e6),
        -1e9..1e9f64,
        Just(f64::NAN),
        Just(0.0),
        Just(-0.0),
        any::<f64>(),
        any::<f32>().prop_map(f64::from),
    ]
}

fn status() -> impl Strategy<Value = u32> {
    prop_oneof![6 => Just(0_u32), 1 => Just(0x4090_0000), 1 => Just(0x8031_0000), 1 => Just(0x0096_0000)]
}

/// Points of one minute, most of them of one kind: steps, values and whether all are good.
fn points() -> impl Strategy<Value = Vec<(i64, f64, u32)>> {
    let step = prop_oneof![Just(1_000_000_i64), Just(1000), 1..1_000_000_i64, (980..1020_i64).prop_map(|ms| ms * 1000)];
    let kind = prop_oneof![
        4 => (-1000..1000i32).prop_map(|n| f64::from(n) / 10.0).boxed(),
        1 => Just(20.1).boxed(),
    ];
    let even = (step.clone(), proptest::collection::vec(kind, 1..60))
        .prop_map(|(step, values)| values.into_iter().map(|value| (step, value, 0)).collect());
    let wild = proptest::collection::vec((step, values(), status()), 1..60);
    prop_oneof![even, wild].prop_map(|steps: Vec<(i64, f64, u32)>| {
        let mut ts = 0;
        let placed = steps.into_iter().map(|(step, value, status)| {
            ts += step;
            (ts - step, value, status)
        });
        placed.filter(|(ts, ..)| *ts < MINUTE).collect()
    })
}

proptest! {
    #[test]
    fn a_chunk_comes_back_as_written(
        stretches in proptest::collection::vec((1..100_i64, points()), 1..20),
        start in any::<i32>(),
    ) {
        let mut number = i64::from(start);
        let rollups: Vec<_> = stretches.into_iter().map(|(step, mut points)| {
            number += step;
            points.iter_mut().for_each(|point| point.0 += number * MINUTE);
            (number, rollup(&points))
        }).collect();
        let back = read(&written(&rollups), rollups[0].0).expect("as written");
        prop_assert_eq!(back.len(), rollups.len());
        for ((number, ours), (expected, theirs)) in back.iter().zip(&rollups) {
            prop_assert_eq!(number, expected);
            check_alike(theirs, ours)?;
        }
    }

    #[test]
    fn any_bytes_are_a_chunk_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, 0);
    }

    #[test]
    fn a_chunk_with_a_flaw_is_read_or_refused(points in points(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = written(&[(0, rollup(&points)), (1, rollup(&points)), (7, rollup(&points))]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes, 0);
    }

    #[test]
    fn the_first_form_comes_back_as_written(points in points(), start in any::<i32>()) {
        let start = i64::from(start) * 1000;
        let mut points = points;
        points.iter_mut().for_each(|point| point.0 += start);
        let original = rollup(&points);
        let mut bytes = Vec::new();
        encode_row(&original, start, &mut bytes);
        let mut rest = bytes.as_slice();
        let mut back = used();
        back.decode_row(start, &mut rest).expect("as written");
        prop_assert!(rest.is_empty());
        check_alike(&original, &back)?;
    }

    #[test]
    fn any_bytes_are_the_first_form_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Rollup::default().decode_row(0, &mut bytes.as_slice());
    }
}

/// As formats 1 and 2 wrote a roll-up.
fn encode_row(rollup: &Rollup, start: i64, out: &mut Vec<u8>) {
    let Some(short) = rollup.short() else {
        put(out, 0);
        rollup.encode_whole(start, out);
        return;
    };
    let points = [Some(short.first), Some(short.last), short.but_one];
    let times = points.iter().flatten().map(|point| point.ts).chain([short.smallest.ts, short.largest.ts]);
    let ms = times.clone().all(|ts| ts.wrapping_sub(start) % 1000 == 0);
    let plain = points.iter().flatten().all(|point| point.status.0 == 0) && short.worst.status.0 == 0;
    let numbers = points.iter().flatten().map(|point| point.value).chain([short.smallest.value, short.largest.value]);
    let whole = |value: f64, digits: u8| scale(value, power(digits));
    let digits = (0..=DIGITS).find(|digits| numbers.clone().all(|number| whole(number, *digits).is_some()));
    let mut flags = flag::ALL_GOOD;
    for (set, bit) in [
        (ms, flag::MS),
        (short.smallest.again, flag::SMALLEST_AGAIN),
        (short.largest.again, flag::LARGEST_AGAIN),
        (short.worst.again, flag::WORST_AGAIN),
        (plain, flag::PLAIN_STATUS),
        (short.but_one.is_some(), flag::BUT_ONE),
        (digits.is_some(), flag::DECIMAL),
    ] {
        flags |= if set { bit } else { 0 };
    }
    let unit = if ms { 1000 } else { 1 };
    let time = |out: &mut Vec<u8>, ts: i64| put(out, zigzag(ts.wrapping_sub(start) / unit));
    let status = |out: &mut Vec<u8>, status: StatusCode| {
        if !plain {
            put(out, u64::from(status.0));
        }
    };
    let mut first: Option<i64> = None;
    let mut value = |out: &mut Vec<u8>, value: f64| match digits.and_then(|digits| whole(value, digits)) {
        Some(whole) => {
            put(out, zigzag(whole.wrapping_sub(first.unwrap_or(0))));
            first.get_or_insert(whole);
        }
        None => put_f64(out, value),
    };
    put(out, flags);
    put(out, short.count);
    out.extend(digits);
    for point in points.iter().flatten() {
        time(out, point.ts);
        value(out, point.value);
        status(out, point.status);
    }
    for extreme in [short.smallest, short.largest] {
        value(out, extreme.value);
        time(out, extreme.ts);
    }
    status(out, short.worst.status);
    put_f64(out, short.sum);
    put_f64(out, short.squares);
    put(out, short.transitions);
    put(out, short.zero_time);
    put_f64(out, short.ramp);
    put_f64(out, short.flat);
}
