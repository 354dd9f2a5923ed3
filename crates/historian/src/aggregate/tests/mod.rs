//! What the aggregates promise: the published examples, an implementation so plain that it is obviously right, single rules.

mod examples;
mod naive;
mod properties;
mod rules;

use super::*;
use andon_model::StatusCode;

const MS: i64 = 1_000;
const SECOND: i64 = 1_000_000;

fn at(ts: i64, value: f64, status: StatusCode) -> RawPoint {
    RawPoint { ts: Timestamp::from_micros(ts), value, status }
}

/// Columns of some points.
fn columns(points: &[RawPoint]) -> (Vec<i64>, Vec<f64>, Vec<u32>) {
    (
        points.iter().map(|point| point.ts.micros()).collect(),
        points.iter().map(|point| point.value).collect(),
        points.iter().map(|point| point.status.0).collect(),
    )
}

/// The results over all `points`; those outside of the range are bounds. Pushed `step` points at a time.
fn run(request: &Request, points: &[RawPoint], step: usize) -> Vec<AggregateValue> {
    let begin = points.partition_point(|point| point.ts < request.from);
    let end = points.partition_point(|point| point.ts < request.to);
    let bounds = Bounds { before: &points[..begin], after: &points[end..], ..Bounds::default() };
    let mut processor = Processor::new(request, &bounds).unwrap();
    for piece in points[begin..end].chunks(step.max(1)) {
        let (ts, values, status) = columns(piece);
        processor.push_columns(&ts, &values, &status).unwrap();
    }
    processor.finish(&bounds)
}

/// A status in short: G Good, u Uncertain, U UncertainDataSubNormal, B Bad, N BadNoData, and its info bits.
fn short(status: StatusCode) -> String {
    let severity = match StatusCode(status.0 & 0xFFFF_0000) {
        StatusCode::GOOD => "G".to_owned(),
        StatusCode::UNCERTAIN => "u".to_owned(),
        UNCERTAIN_DATA_SUB_NORMAL => "U".to_owned(),
        StatusCode::BAD => "B".to_owned(),
        StatusCode::BAD_NO_DATA => "N".to_owned(),
        other => format!("{other}"),
    };
    let bits = InfoBits::of(status);
    let letters = [
        (InfoBits::CALCULATED, 'c'),
        (InfoBits::INTERPOLATED, 'i'),
        (InfoBits::MULTIPLE_VALUES, 'm'),
        (InfoBits::PARTIAL, 'p'),
    ];
    letters.into_iter().filter(|(bit, _)| bits.has(*bit)).fold(severity, |text, (_, letter)| format!("{text}{letter}"))
}
