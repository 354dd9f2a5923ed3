//! Single rules, each with the sentence it stands for.

use super::*;
use std::time::Duration;

const GOOD: StatusCode = StatusCode::GOOD;

fn seconds(points: &[(i64, f64, StatusCode)]) -> Vec<RawPoint> {
    points.iter().map(|(second, value, status)| at(second * SECOND, *value, *status)).collect()
}

fn over(aggregate: Aggregate, to: i64, interval: i64) -> Request {
    Request {
        aggregate,
        from: Timestamp::from_micros(0),
        to: Timestamp::from_micros(to * SECOND),
        interval_us: interval * SECOND,
        stepped: false,
        config: AggregateConfiguration::default(),
    }
}

fn shown(results: &[AggregateValue]) -> Vec<String> {
    results.iter().map(|result| format!("{} {}", result.value, short(result.status))).collect()
}

#[test]
fn info_bits_stand_where_opc_ua_has_them() {
    // OPC 10000-4 v1.05 §7.39: InfoType DataValue 0x400; Calculated 1, Interpolated 2, Partial 4, ExtraData 8, MultiValue 16.
    let bits = InfoBits::CALCULATED.with(InfoBits::PARTIAL).with(InfoBits::MULTIPLE_VALUES);
    assert_eq!(bits.on(UNCERTAIN_DATA_SUB_NORMAL).0, 0x40A4_0415);
    assert_eq!(InfoBits::INTERPOLATED.with(InfoBits::EXTRA_DATA).on(GOOD).0, 0x0000_040A);
    assert_eq!(InfoBits::RAW.on(StatusCode(0x8031_0403)), StatusCode::BAD_NO_COMMUNICATION);
    assert_eq!(InfoBits::of(StatusCode(0x0000_0415)), bits);
    assert_eq!(InfoBits::of(StatusCode(0x0000_0015)), InfoBits::RAW, "without InfoType they mean nothing");
}

#[test]
fn every_aggregate_is_found_by_its_name() {
    for aggregate in Aggregate::ALL {
        assert_eq!(Aggregate::parse(&aggregate.name()), Some(aggregate));
    }
    assert_eq!(Aggregate::parse("Mean"), None);
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let request = over(Aggregate::Count, 100, 10);
    let refused = |request: Request| Processor::new(&request, &Bounds::default()).err().unwrap().to_string();
    let ts = |second: i64| Timestamp::from_micros(second * SECOND);
    assert_eq!(
        refused(Request { from: ts(100), to: ts(40), ..request }),
        "the range runs backwards from 1970-01-01T00:01:40Z to 1970-01-01T00:00:40Z; swap the two and turn the answer round"
    );
    assert_eq!(
        refused(Request { from: ts(1), to: ts(1), ..request }),
        "the range is empty: `from` and `to` are both 1970-01-01T00:00:01Z"
    );
    assert!(refused(Request { interval_us: -1, ..request }).contains("negative"));
    let long = Request { from: Timestamp::MIN, to: Timestamp::MAX, interval_us: 1, ..request };
    assert!(refused(long).contains("at most 1000000 are answered"), "{}", refused(long));
    let percentages = AggregateConfiguration { percent_data_good: 40, percent_data_bad: 50, ..request.config };
    assert!(refused(Request { config: percentages, ..request }).contains("together at least 100"));
    let percentages = AggregateConfiguration { percent_data_good: 101, ..request.config };
    assert!(refused(Request { config: percentages, ..request }).contains("at most 100"));
}

#[test]
fn a_million_intervals_are_answered_even_when_empty() {
    let request = Request { interval_us: 100, ..over(Aggregate::TimeAverage2, 100, 0) };
    let points = seconds(&[(-10, 1.0, GOOD), (110, 13.0, GOOD)]);
    let results = run(&request, &points, 1);
    assert_eq!(results.len(), 1_000_000);
    assert!(results.iter().all(|result| result.status == InfoBits::CALCULATED.on(GOOD)));
    assert!((results[999_999].value.as_f64().unwrap() - 12.0).abs() < 1e-4);
}

#[test]
fn columns_that_do_not_fit_are_refused_and_leave_no_trace() {
    let mut processor = Processor::new(&over(Aggregate::Count, 10, 0), &Bounds::default()).unwrap();
    let push = |processor: &mut Processor, ts: &[i64]| {
        processor.push_columns(ts, &vec![1.0; ts.len()], &vec![0; ts.len()]).map_err(|error| error.to_string())
    };
    push(&mut processor, &[5, 6]).unwrap();
    for (ts, word) in [
        (&[7, 7][..], "sort points by time"),
        (&[6], "sort points by time"),
        (&[8, 7, 9], "sort points by time"),
        (&[-1, 7], "not in the range"),
        (&[7, 10_000_000], "not in the range"),
    ] {
        let error = push(&mut processor, ts).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
    assert!(matches!(processor.push_columns(&[7], &[], &[0]), Err(PushError::Uneven { ts: 1, values: 0, status: 1 })));
    push(&mut processor, &[7]).unwrap();
    assert_eq!(processor.finish(&Bounds::default())[0].value, Value::Int64(3));
}

#[test]
fn the_last_shorter_interval_is_partial_only_when_data_goes_on() {
    let points = seconds(&[(0, 1.0, GOOD), (7, 3.0, GOOD), (12, 2.0, GOOD), (20, 2.0, GOOD)]);
    assert_eq!(shown(&run(&over(Aggregate::Count, 14, 10), &points, 9)), ["2 Gc", "1 Gcp"]);
    assert_eq!(shown(&run(&over(Aggregate::Count, 20, 10), &points, 9)), ["2 Gc", "1 Gc"]);
}

#[test]
fn a_value_known_to_hold_is_data_until_then() {
    // A valve that reports changes only: open since second 2, and its controller was connected until second 26.
    let points = seconds(&[(2, 1.0, GOOD)]);
    let (ts, values, status) = columns(&points);
    let results = |aggregate, holds_until: Option<i64>| {
        let holds_until = holds_until.map(|second| Timestamp::from_micros(second * SECOND));
        let bounds = Bounds { holds_until, ..Bounds::default() };
        let request = Request { stepped: true, ..over(aggregate, 40, 10) };
        shown(&Aggregate::over(&request, &bounds, (&ts, &values, &status)).unwrap())
    };
    assert_eq!(results(Aggregate::DurationInStateNonZero, None), ["1 Ucp", "– N", "– N", "– N"]);
    assert_eq!(results(Aggregate::DurationInStateNonZero, Some(26)), ["8000 Ucp", "10000 Gc", "6001 Gcp", "– N"]);
    assert_eq!(results(Aggregate::DurationGood, Some(20)), ["8000 Gcp", "10000 Gc", "– N", "– N"]);
    assert_eq!(results(Aggregate::Interpolative, Some(26)), ["– N", "1 Gi", "1 Gi", "1 Ui"]);
    assert_eq!(results(Aggregate::Count, Some(26)), ["1 Gcp", "0 Gc", "0 Gcp", "– N"]);
    assert_eq!(results(Aggregate::StartBound, Some(99)), ["– Np", "1 Gi", "1 Gi", "1 Gi"]);
}

#[test]
fn a_sum_beyond_the_range_of_a_double_is_bad_and_not_infinite() {
    let points = seconds(&[(0, f64::MAX, GOOD), (1, f64::MAX, GOOD), (2, f64::MIN, GOOD), (10, 0.0, GOOD)]);
    assert_eq!(shown(&run(&over(Aggregate::Range, 10, 0), &points, 9)), ["– BadOutOfRangec"]);
    assert_eq!(shown(&run(&over(Aggregate::Average, 10, 0), &points, 9)), ["– BadOutOfRangec"]);
    assert!(run(&over(Aggregate::Minimum, 10, 0), &points, 9)[0].value == Value::Double(f64::MIN));
}

#[test]
fn one_interval_over_all_time_works() {
    let request = Request { from: Timestamp::MIN, to: Timestamp::MAX, ..over(Aggregate::TimeAverage2, 0, 0) };
    let points = [at(i64::MIN, 4.0, GOOD), at(i64::MAX - 1, 4.0, GOOD)];
    assert_eq!(shown(&run(&request, &points, 9)), ["4 Ucp"], "on a slope the last point is not sure of its next");
    let sure = Request { stepped: true, ..request };
    assert_eq!(shown(&run(&sure, &points, 9)), ["4 Gcp"]);
    let long = Request { aggregate: Aggregate::DurationGood, ..sure };
    let years = run(&long, &points, 9)[0].value.as_f64().unwrap() / 1000.0 / Duration::from_hours(8766).as_secs_f64();
    assert!((584_000.0..585_000.0).contains(&years), "{years}");
}

#[test]
fn a_roll_up_says_when_it_is_not_enough() {
    let rollup = |points: &[RawPoint]| {
        let (ts, values, status) = columns(points);
        let mut rollup = Rollup::default();
        rollup.push_columns(&ts, &values, &status).unwrap();
        rollup
    };
    let push = |request: &Request, rollup: &Rollup| {
        Processor::new(request, &Bounds::default()).unwrap().push_rollup(rollup).map_err(|error| error.to_string())
    };
    let request = over(Aggregate::Average, 20, 10);
    let good = seconds(&[(2, 1.0, GOOD), (12, 1.0, GOOD)]);
    assert!(push(&request, &rollup(&good)).unwrap_err().contains("an interval ends within"));
    let doubtful = rollup(&seconds(&[(2, 1.0, GOOD), (3, 1.0, StatusCode::UNCERTAIN)]));
    push(&request, &doubtful).unwrap();
    let config = AggregateConfiguration { treat_uncertain_as_bad: false, ..request.config };
    assert!(push(&Request { config, ..request }, &doubtful).unwrap_err().contains("push the points instead"));
    let created = rollup(&seconds(&[(2, f64::NAN, StatusCode::BAD_NO_DATA), (3, 1.0, GOOD)]));
    assert!(push(&request, &created).unwrap_err().contains("before the first reading"));
    push(&request, &Rollup::default()).unwrap();
    assert_eq!(rollup(&good).counts(), (2, 0, 0));
    assert_eq!(rollup(&good).ends(), Some((good[0], good[1])));
    assert!(rollup(&good).merge(&rollup(&good)).unwrap_err().to_string().contains("comes after"));
}

/// The worked example of `docs/manual/aggregates.md`.
#[test]
fn the_example_of_the_manual_is_true() {
    let points = seconds(&[
        (0, 20.0, GOOD),
        (10, 30.0, GOOD),
        (20, 30.0, StatusCode::BAD_NO_COMMUNICATION),
        (40, 50.0, GOOD),
        (50, 60.0, StatusCode::UNCERTAIN),
        (60, 40.0, GOOD),
    ]);
    let one = |aggregate, stepped, uncertain_is_bad| {
        let config = AggregateConfiguration { treat_uncertain_as_bad: uncertain_is_bad, ..Default::default() };
        let request = Request { stepped, config, ..over(aggregate, 60, 0) };
        shown(&run(&request, &points, 9)).remove(0)
    };
    for (aggregate, sloped, stepped, uncertain_used) in [
        (Aggregate::Count, "3 Uc", "3 Uc", "3 Uc"),
        (Aggregate::Average, "33.333333333333336 Uc", "33.333333333333336 Uc", "33.333333333333336 Uc"),
        (Aggregate::TimeAverage, "39.166666666666664 Uc", "39.166666666666664 Uc", "41.666666666666664 Uc"),
        (Aggregate::TimeAverage2, "35 Uc", "33.333333333333336 Uc", "40 Uc"),
        (Aggregate::Total, "2350 Uc", "2350 Uc", "2500 Uc"),
        (Aggregate::Total2, "1050 Uc", "1000 Uc", "1600 Uc"),
        (Aggregate::Minimum, "20 Uc", "20 Uc", "20 Uc"),
        (Aggregate::Maximum, "50 Uc", "50 Uc", "50 Uc"),
        (Aggregate::Maximum2, "50 Uc", "50 Uc", "60 Uc"),
        (Aggregate::DurationGood, "30000 Gc", "30000 Gc", "30000 Gc"),
        (Aggregate::DurationBad, "30000 Gc", "30000 Gc", "20000 Gc"),
        (Aggregate::PercentGood, "50 Gc", "50 Gc", "50 Gc"),
        (Aggregate::Delta, "30 Uc", "30 Uc", "30 Uc"),
        (Aggregate::DeltaBounds, "20 Gc", "20 Gc", "20 Gc"),
    ] {
        let got = [one(aggregate, false, true), one(aggregate, true, true), one(aggregate, false, false)];
        assert_eq!(got, [sloped, stepped, uncertain_used], "{aggregate:?}");
    }
}
