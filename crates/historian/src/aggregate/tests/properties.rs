//! What holds for any points: the same results as the plain implementation, from roll-ups as from points, and no panic.

use super::naive::Naive;
use super::*;
use proptest::prelude::*;

/// Values that meet again, so that equals are common.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-2..6_i8).prop_map(f64::from),
        4 => (-40..40_i8).prop_map(|n| f64::from(n) / 8.0),
        1 => Just(f64::NAN),
    ]
}

fn status() -> impl Strategy<Value = StatusCode> {
    prop_oneof![
        12 => Just(StatusCode::GOOD),
        1 => Just(StatusCode::GOOD_LOCAL_OVERRIDE),
        2 => Just(StatusCode::UNCERTAIN),
        1 => Just(StatusCode::UNCERTAIN_LAST_USABLE_VALUE),
        2 => Just(StatusCode::BAD),
        1 => Just(StatusCode::BAD_SENSOR_FAILURE),
        1 => Just(StatusCode::BAD_NO_DATA),
    ]
}

fn points(most: usize, longest_gap: i64) -> impl Strategy<Value = Vec<RawPoint>> {
    let one = (1..=longest_gap, value(), status());
    (proptest::collection::vec(one, 0..most), -30..30_i64).prop_map(|(steps, start)| {
        let mut ts = start;
        let place = |(gap, value, status): (i64, f64, StatusCode)| {
            ts += gap;
            at(ts * MS, value, status)
        };
        steps.into_iter().map(place).collect()
    })
}

fn config() -> impl Strategy<Value = AggregateConfiguration> {
    (any::<bool>(), 0..=100_u8, 0..=100_u8, any::<bool>(), any::<bool>()).prop_map(|(bad, a, b, slope, plain)| {
        let (good, bad_percent) = if plain { (100, 100) } else { (a.max(100 - b), b) };
        AggregateConfiguration {
            treat_uncertain_as_bad: bad,
            percent_data_good: good,
            percent_data_bad: bad_percent,
            use_sloped_extrapolation: slope,
        }
    })
}

fn request(longest: i64) -> impl Strategy<Value = Request> {
    let aggregate = proptest::sample::select(&Aggregate::ALL[..]);
    (aggregate, 0..40_i64, 1..longest, 0..40_i64, any::<bool>(), config()).prop_map(
        |(aggregate, from, length, interval, stepped, config)| Request {
            aggregate,
            from: Timestamp::from_micros(from * MS),
            to: Timestamp::from_micros((from + length) * MS),
            interval_us: interval * MS,
            stepped,
            config,
        },
    )
}

/// Equal but for rounding.
fn same(a: &[AggregateValue], b: &[AggregateValue]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| close(&a.value, &b.value) && a.ts == b.ts && a.status == b.status)
}

fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())),
        (a, b) => a == b,
    }
}

fn shown(results: &[AggregateValue]) -> Vec<String> {
    let show =
        |result: &AggregateValue| format!("{} {} {}", result.ts.micros() / MS, result.value, short(result.status));
    results.iter().map(show).collect()
}

/// The results when some pieces come as roll-ups.
fn run_with_rollups(request: &Request, points: &[RawPoint], pieces: &[(usize, bool)]) -> Vec<AggregateValue> {
    run_in_pieces(request, points, &[], pieces)
}

/// The same, with stretches in which readings were lost.
fn run_in_pieces(
    request: &Request,
    points: &[RawPoint],
    lost: &[Loss],
    pieces: &[(usize, bool)],
) -> Vec<AggregateValue> {
    let begin = points.partition_point(|point| point.ts < request.from);
    let end = points.partition_point(|point| point.ts < request.to);
    let bounds = Bounds { before: &points[..begin], after: &points[end..], lost, ..Bounds::default() };
    let mut processor = Processor::new(request, &bounds).unwrap();
    let mut rest = &points[begin..end];
    for (length, rolled) in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*length).min(rest.len()));
        let (ts, values, status) = columns(piece);
        let mut rollup = Rollup::default();
        rollup.push_columns(&ts, &values, &status).unwrap();
        if !*rolled || matches!(processor.push_rollup(&rollup), Err(PushError::NotFromRollup { .. })) {
            processor.push_columns(&ts, &values, &status).unwrap();
        }
        rest = later;
    }
    processor.finish(&bounds)
}

/// Stretches whose borders lie half-way between the [`UNIT`]s at which points and intervals lie.
fn losses() -> impl Strategy<Value = Vec<Loss>> {
    proptest::collection::vec((-40..150_i64, 1..30_i64, any::<bool>()), 0..5).prop_map(|all| {
        let loss = |(from, length, goes_on): (i64, i64, bool)| Loss {
            goes_on,
            in_doubt: false,
            from: Timestamp::from_micros(from * UNIT + UNIT / 2),
            to: Timestamp::from_micros((from + length) * UNIT + UNIT / 2),
        };
        Loss::in_order(all.into_iter().map(loss).collect())
    })
}

/// What takes 1 ms takes [`UNIT`] instead.
fn slower(request: &mut Request, points: &mut [RawPoint]) {
    let slower = |ts: Timestamp| Timestamp::from_micros(ts.micros() / MS * UNIT);
    (request.from, request.to) = (slower(request.from), slower(request.to));
    request.interval_us = request.interval_us / MS * UNIT;
    points.iter_mut().for_each(|point| point.ts = slower(point.ts));
}

/// 20 s.
const UNIT: i64 = 20_000 * MS;

/// The same with points in their place: a bad one where a loss begins (on a slope just after what the line has reached
/// there), and what the signal was again where it ends. Behind the last point, where points are known to be missing, a bad one
/// at both ends.
fn with_marks(points: &[RawPoint], lost: &[Loss], stepped: bool, uncertain_is_bad: bool) -> Vec<RawPoint> {
    let usable = |point: &RawPoint| {
        point.value.is_finite() && (point.status.is_good() || (point.status.is_uncertain() && !uncertain_is_bad))
    };
    let mut all = Vec::new();
    for (at_point, before) in points.iter().enumerate() {
        all.push(*before);
        let Some(after) = points.get(at_point + 1) else { continue };
        if points[..=at_point].iter().all(|point| point.status == StatusCode::BAD_NO_DATA) {
            continue; // Only marks that the tag was created.
        }
        let line = |ts: i64| {
            let share = (ts - before.ts.micros()) as f64 / (after.ts.micros() - before.ts.micros()) as f64;
            if stepped || !usable(after) { before.value } else { before.value + (after.value - before.value) * share }
        };
        for loss in lost.iter().filter(|loss| loss.to > before.ts && loss.from < after.ts) {
            if loss.kept(before.ts, after.ts) {
                continue;
            }
            let Loss { from, to, .. } = loss;
            let start = from.micros().max(before.ts.micros() + MS);
            if !stepped && usable(after) && usable(before) && start > before.ts.micros() + MS {
                all.push(at(start - MS, line(start - MS), after.status));
            }
            all.push(at(start, f64::NAN, StatusCode::BAD));
            if !loss.goes_on && *to <= after.ts {
                break;
            }
            if *to < after.ts {
                all.push(at(to.micros(), if usable(before) { line(to.micros()) } else { f64::NAN }, before.status));
            }
        }
    }
    for loss in lost.iter().filter(|loss| !loss.goes_on) {
        let last = points.last().map_or(i64::MIN, |last| last.ts.micros());
        if loss.to.micros() <= last {
            continue;
        }
        if !points.iter().all(|point| point.status == StatusCode::BAD_NO_DATA) {
            all.push(at(loss.from.micros().max(last + MS), f64::NAN, StatusCode::BAD));
        }
        all.push(at(loss.to.micros(), f64::NAN, StatusCode::BAD));
    }
    all
}

/// The aggregates that count points, each the same.
fn counting() -> impl Strategy<Value = Aggregate> {
    let counts = |kind: &Aggregate| {
        matches!(kind.needs(), Needs::Existence | Needs::UsableBefore) && *kind != Aggregate::AnnotationCount
    };
    proptest::sample::select(Aggregate::ALL.into_iter().filter(counts).collect::<Vec<_>>())
}

/// How much of `[start, end)` was lost, µs: looked at in halves of a [`UNIT`], at whose borders everything begins and ends.
fn lost_of(start: i64, end: i64, points: &[RawPoint], lost: &[Loss]) -> i64 {
    let is_lost = |here: &i64| {
        let here = Timestamp::from_micros(*here);
        let before = points.iter().rfind(|point| point.ts <= here).map(|point| point.ts);
        let after = points.iter().find(|point| point.ts > here).map(|point| point.ts);
        lost.iter().filter(|loss| (loss.from..loss.to).contains(&here)).any(|loss| match (before, after) {
            (Some(before), Some(after)) => !loss.kept(before, after),
            // Where readings stop, nothing says that there were others, unless it is known that some are missing.
            _ => !loss.goes_on,
        })
    };
    let halves = (start..end).step_by((UNIT / 2) as usize);
    halves.filter(is_lost).count() as i64 * (UNIT / 2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2_000), ..ProptestConfig::default() })]

    #[test]
    fn any_aggregate_over_any_points_is_what_the_plain_implementation_says(
        request in request(120), points in points(40, 9), step in 1..8_usize,
    ) {
        let (got, wanted) = (run(&request, &points, step), Naive::new(&request, &points).results());
        prop_assert!(same(&got, &wanted), "got    {:?}\nwanted {:?}", shown(&got), shown(&wanted));
    }

    #[test]
    fn what_was_lost_is_the_same_from_roll_ups(
        mut request in request(120), mut points in points(60, 4), lost in losses(),
        pieces in proptest::collection::vec((1..9_usize, any::<bool>()), 1..6),
    ) {
        slower(&mut request, &mut points);
        let got = run_in_pieces(&request, &points, &lost, &pieces);
        let wanted = run_in_pieces(&request, &points, &lost, &[(1, false)]);
        prop_assert!(same(&got, &wanted), "got    {:?}\nwanted {:?}", shown(&got), shown(&wanted));
    }

    #[test]
    fn roll_ups_give_what_their_points_give(
        request in request(120), points in points(60, 4), pieces in proptest::collection::vec((1..9_usize, any::<bool>()), 1..6),
    ) {
        let (got, wanted) = (run_with_rollups(&request, &points, &pieces), run(&request, &points, usize::MAX));
        prop_assert!(same(&got, &wanted), "got    {:?}\nwanted {:?}", shown(&got), shown(&wanted));
    }

    #[test]
    fn a_roll_up_of_two_stretches_is_the_merge_of_their_roll_ups(points in points(60, 9), cut in 0..60_usize) {
        let rollup = |points: &[RawPoint]| {
            let (ts, values, status) = columns(points);
            let mut rollup = Rollup::default();
            rollup.push_columns(&ts, &values, &status).unwrap();
            rollup
        };
        let (a, b) = points.split_at(cut.min(points.len()));
        let (merged, whole) = (rollup(a).merge(&rollup(b)).unwrap(), rollup(&points));
        // Everything but the rounding of sums is exactly the same.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
        let sums = |rollup: &Rollup| {
            [rollup.sum, rollup.ramp, rollup.flat, rollup.flat_to_other, rollup.bridges].map(|sum| sum.value())
        };
        prop_assert!(sums(&merged).iter().zip(sums(&whole)).all(|(a, b)| close(*a, b)));
        prop_assert!(close(merged.moments.mean, whole.moments.mean) && close(merged.moments.squares, whole.moments.squares));
        let rest = |mut rollup: Rollup| {
            let none = Rollup::default();
            (rollup.sum, rollup.ramp, rollup.flat) = (none.sum, none.ramp, none.flat);
            (rollup.flat_to_other, rollup.bridges, rollup.moments) = (none.flat_to_other, none.bridges, none.moments);
            format!("{rollup:?}") // NaN differs from itself.
        };
        prop_assert_eq!(rest(merged), rest(whole));
        prop_assert!(points.is_empty() || rollup(&points).merge(&rollup(&points)).is_err());
    }

    #[test]
    fn nothing_panics_and_no_number_is_not_one(
        numbers in (any::<i64>(), any::<i64>(), any::<i64>()),
        mut raw in proptest::collection::vec((any::<i64>(), any::<f64>(), any::<u32>()), 0..40),
        good in any::<bool>(), stepped in any::<bool>(), config in config(), hold in any::<Option<i64>>(),
        aggregate in proptest::sample::select(&Aggregate::ALL[..]),
    ) {
        let (from, to, interval_us) = numbers;
        if good {
            raw.iter_mut().for_each(|point| point.2 = 0);
        }
        raw.sort_by_key(|point| point.0);
        raw.dedup_by_key(|point| point.0);
        let all: Vec<RawPoint> = raw.iter().map(|(ts, value, status)| at(*ts, *value, StatusCode(*status))).collect();
        let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
        let request = Request { aggregate, from, to, interval_us, stepped, config };
        let inside: Vec<RawPoint> = all.iter().filter(|point| (from..to).contains(&point.ts)).copied().collect();
        // All of them as bounds on both sides: those on the wrong side are passed over.
        let holds_until = hold.map(Timestamp::from_micros);
        let mut lost = raw.iter().map(|(ts, ..)| Loss { from: Timestamp::from_micros(*ts), to: Timestamp::from_micros(ts.wrapping_add(numbers.2)), goes_on: true, in_doubt: false });
        let lost = Loss::in_order(lost.by_ref().step_by(3).collect());
        let bounds = Bounds { before: &all, after: &all, holds_until, lost: &lost };
        let (ts, values, status) = columns(&inside);
        if let Ok(mut processor) = Processor::new(&request, &bounds) {
            processor.push_columns(&ts, &values, &status).unwrap();
            for result in processor.finish(&bounds) {
                prop_assert!(result.value.as_f64().is_none_or(f64::is_finite), "{:?}", result);
                prop_assert_eq!(result.value == Value::Null, result.status.is_bad(), "{:?}", result);
            }
        }
        let mut rollup = Rollup::default();
        rollup.push_columns(&ts, &values, &status).unwrap();
        if let Ok(mut processor) = Processor::new(&request, &Bounds::default())
            && processor.push_rollup(&rollup).is_ok() {
                prop_assert!(!processor.finish(&Bounds::default()).is_empty());
        }
    }
}

// The plain implementation goes through time in small steps, of which there are many here.
proptest! {
    #[test]
    fn what_was_lost_is_bad_time_and_nothing_else(
        mut request in request(120), mut points in points(40, 9), mut lost in losses(), step in 1..8_usize, which in 0..9_usize,
    ) {
        let kinds = [
            Aggregate::DurationGood, Aggregate::DurationBad, Aggregate::PercentGood, Aggregate::PercentBad,
            Aggregate::TimeAverage2, Aggregate::DurationInStateNonZero, Aggregate::StartBound, Aggregate::EndBound,
            Aggregate::Maximum2,
        ];
        request.aggregate = kinds[which];
        slower(&mut request, &mut points);
        let treat_uncertain_as_bad = request.config.treat_uncertain_as_bad;
        request.config = AggregateConfiguration { treat_uncertain_as_bad, ..AggregateConfiguration::default() };
        let late = |loss: &Loss| points.iter().any(|point| (loss.from..loss.to).contains(&point.ts));
        if which >= 4 {
            // A mark stands 1 ms beside the point there, which is no mean of its own.
            lost.retain(|loss| !late(loss));
        }
        let marked = with_marks(&points, &lost, request.stepped, treat_uncertain_as_bad);
        let (got, wanted) = (run_in_pieces(&request, &points, &lost, &[(step, false)]), Naive::new(&request, &marked).results());
        // A mark takes 1 ms, of an interval of at least 20 s.
        let margin = match request.aggregate {
            Aggregate::DurationGood | Aggregate::DurationBad | Aggregate::DurationInStateNonZero => 10.0,
            Aggregate::PercentGood | Aggregate::PercentBad => 1.0,
            _ => 0.1,
        };
        let close = |(a, b): (&AggregateValue, &AggregateValue)| match (a.value.as_f64(), b.value.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= margin,
            (a, b) => a == b,
        };
        let class = |value: &AggregateValue| value.status.0 >> 30;
        let same = got.len() == wanted.len() && got.iter().zip(&wanted).all(|both| close(both) && class(both.0) == class(both.1));
        prop_assert!(same, "got    {:?}\nwanted {:?}\nmarked {:?}", shown(&got), shown(&wanted), marked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    #[test]
    fn what_counts_points_counts_those_there_are_and_is_never_good_where_some_were_lost(
        mut request in request(120), mut points in points(40, 9), lost in losses(), which in counting(),
        pieces in proptest::collection::vec((1..9_usize, any::<bool>()), 1..6),
    ) {
        slower(&mut request, &mut points);
        request.aggregate = which;
        // What is only marked as created is not data.
        let data = points.iter().skip_while(|point| point.status == StatusCode::BAD_NO_DATA);
        let data: Vec<RawPoint> = data.copied().collect();
        let (got, wanted) = (run_in_pieces(&request, &points, &lost, &pieces), run(&request, &points, 7));
        let plain = AggregateConfiguration { percent_data_good: 100, percent_data_bad: 100, ..request.config };
        let by_the_standard = run_in_pieces(&Request { config: plain, ..request }, &points, &lost, &pieces);
        let step = if request.interval_us == 0 { i64::MAX } else { request.interval_us };
        let (mut start, to) = (request.from.micros(), request.to.micros());
        for ((got, plain), wanted) in got.iter().zip(&by_the_standard).zip(&wanted) {
            let end = start.saturating_add(step).min(to);
            let lost = lost_of(start, end, &data, &lost);
            let bad_share = lost as f64 / (end - start) as f64 * 100.0;
            if lost == 0 {
                // Behind the last point data goes on now where some is known to be missing still further behind.
                let goes_on = data.last().is_none_or(|last| last.ts.micros() < start);
                prop_assert!(goes_on || (close(&got.value, &wanted.value) && got.status.0 >> 30 == wanted.status.0 >> 30), "{got:?} {wanted:?}");
            } else if request.aggregate == Aggregate::WorstQuality {
                prop_assert!(got.status.is_bad() || StatusCode(u32::try_from(got.value.as_f64().unwrap() as i64).unwrap()).is_bad(), "{:?}", got);
            } else {
                prop_assert!(!plain.status.is_good(), "{plain:?} of {start}..{end}, of which {lost} were lost");
                prop_assert!(close(&got.value, &wanted.value) || got.status.is_bad() || wanted.status.is_bad(), "{got:?} {wanted:?}");
                let by_share = matches!(request.aggregate, Aggregate::Count | Aggregate::Average | Aggregate::NumberOfTransitions);
                let only_good_decides = request.config.percent_data_good == 100 - request.config.percent_data_bad;
                if by_share && !only_good_decides && bad_share >= f64::from(request.config.percent_data_bad) {
                    prop_assert!(got.status.is_bad(), "{got:?}, {bad_share} % lost");
                }
            }
            start = end;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Long stretches of good points go through other loops, in blocks.
    #[test]
    fn long_stretches_of_good_points_are_no_exception(
        mut request in request(40), values in proptest::collection::vec((1..3_i64, -9..9_i8), 1_200..2_600),
        flaws in proptest::collection::vec((0..2_600_usize, status()), 0..4), interval in 0..1_500_i64, step in 1..2_000_usize,
    ) {
        let mut ts = -20;
        let place = |(gap, value): &(i64, i8)| {
            ts += gap;
            at(ts * MS, f64::from(*value) / 4.0, StatusCode::GOOD)
        };
        let mut points: Vec<RawPoint> = values.iter().map(place).collect();
        for (place, status) in flaws {
            if let Some(point) = points.get_mut(place) {
                point.status = status;
            }
        }
        request.to = Timestamp::from_micros((ts - 30) * MS);
        request.interval_us = interval * MS;
        let (got, wanted) = (run(&request, &points, step), Naive::new(&request, &points).results());
        prop_assert!(same(&got, &wanted), "{:?}", got.iter().zip(&wanted).find(|(a, b)| a != b));
        let pieces = run_with_rollups(&request, &points, &[(step, true), (700, true)]);
        prop_assert!(same(&pieces, &wanted), "{:?}", pieces.iter().zip(&wanted).find(|(a, b)| a != b));
    }
}
