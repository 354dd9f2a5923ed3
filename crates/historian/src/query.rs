//! Aggregates over history: points and roll-ups fed to the OPC UA aggregates, with what lies around the range.

use crate::aggregate::{
    Aggregate, AggregateValue, Bounds, Needs, Processor, PushError, RawPoint, Request, RequestError, Rollup,
};
use crate::block::Block;
use crate::historian::Historian;
use crate::point::HistoryGap;
use crate::rollup::{Level, as_numbers};
use crate::scan::{Piece, Scan};
use andon_model::column::{Quality, Values};
use andon_model::{StatusCode, TagId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How far the first look back goes; each further one goes eight times as far.
const LOOK_BACK_US: i64 = 60_000_000;
/// Looking around the range for usable points ends after so many.
const LOOK_AROUND_POINTS: usize = 1_000_000;

/// The answer to an aggregate read.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregated {
    /// One value for each interval, in order.
    pub values: Vec<AggregateValue>,
    /// Everything received up to here is in the answer.
    pub complete_to: Option<Timestamp>,
    /// Stretches within the range where samples were lost or a file cannot be read: the values there are of what is left.
    pub gaps: Vec<HistoryGap>,
}

/// Why an aggregate read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateReadError {
    /// The request makes no sense, or its answer would be too long.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The stored points do not fit together; that is our bug.
    #[error("the stored points cannot be aggregated")]
    Points(#[from] PushError),
    /// The historian is shutting down.
    #[error("the read was stopped; try again")]
    Stopped,
}

impl Historian {
    /// Calculates an aggregate of one tag; blocking. Roll-ups are used where they give the same answer.
    pub(crate) fn aggregate_blocking(
        self: &Arc<Self>,
        tag: TagId,
        request: &Request,
        gone: &Arc<AtomicBool>,
    ) -> Result<Aggregated, AggregateReadError> {
        // What makes no sense is refused before anything is read.
        Processor::new(request, &Bounds::default())?;
        let mut gaps = Vec::new();
        let before = self.points_before(tag, request, &mut gaps);
        let after = self.points_after(tag, request, gone, &mut gaps);
        let bounds = Bounds { before: &before, after: &after, holds_until: None };
        let (answer, scan) = match self.process(tag, request, &bounds, levels(request), gone) {
            Err(AggregateReadError::Points(PushError::NotFromRollup { .. })) => {
                self.process(tag, request, &bounds, Vec::new(), gone)
            }
            other => other,
        }?;
        gaps.extend(scan.gaps());
        gaps.sort_by_key(|gap| (gap.from, gap.to));
        gaps.dedup();
        Ok(Aggregated { values: answer.finish(&bounds), complete_to: scan.complete_to(), gaps })
    }

    fn process(
        self: &Arc<Self>,
        tag: TagId,
        request: &Request,
        bounds: &Bounds<'_>,
        levels: Vec<Level>,
        gone: &Arc<AtomicBool>,
    ) -> Result<(Processor, Scan), AggregateReadError> {
        let mut processor = Processor::new(request, bounds)?;
        let mut scan = self.scan(tag, request.from, request.to);
        scan.until_gone(gone);
        scan.allow_rollups(levels);
        let (mut numbers, mut status) = (Vec::new(), Vec::new());
        let mut rollup = Rollup::default();
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Block(block) => {
                    let (values, status) = columns(&block, &mut numbers, &mut status);
                    processor.push_columns(&block.ts, values, status)?;
                }
                Piece::Rollups(mut rollups) => {
                    let unreadable = |_| PushError::NotFromRollup { reason: "it cannot be read" };
                    while rollups.next(&mut rollup).map_err(unreadable)? {
                        processor.push_rollup(&rollup)?;
                    }
                }
            }
        }
        Ok((processor, scan))
    }

    /// The points before the range that the aggregate looks at, ascending.
    fn points_before(self: &Arc<Self>, tag: TagId, request: &Request, gaps: &mut Vec<HistoryGap>) -> Vec<RawPoint> {
        let usable = |point: &RawPoint| {
            point.value.is_finite()
                && (point.status.is_good() || (point.status.is_uncertain() && !request.config.treat_uncertain_as_bad))
        };
        let wanted = match request.aggregate.needs() {
            Needs::Existence | Needs::Neighbours => 0,
            Needs::UsableBefore => 1,
            Needs::LastAndUsable => 2,
        };
        // An entry without data may be the mark that the tag was created, which only an earlier point can tell.
        let enough = |points: &[RawPoint]| {
            points.first().is_some_and(|oldest| oldest.status != StatusCode::BAD_NO_DATA)
                && points.iter().filter(|point| usable(point)).count() >= wanted
        };
        let mut last = self.scan(tag, request.from, request.from);
        let mut points = last.before().map_or_else(Vec::new, |block| raw_points(&block));
        gaps.extend(last.gaps());
        let Some(newest) = points.first().copied() else { return points };
        let mut span = LOOK_BACK_US;
        while !enough(&points) && points.len() < LOOK_AROUND_POINTS {
            let start = Timestamp::from_micros(newest.ts.micros().saturating_sub(span));
            let mut scan = self.scan(tag, start, request.from);
            points.clear();
            while let Some(block) = scan.next() {
                points.extend(raw_points(&block));
                keep_needed(&mut points, wanted, usable);
            }
            let earlier = scan.before();
            gaps.extend(scan.gaps());
            let Some(earlier) = earlier else { break };
            if points.len() <= wanted.max(1) && !enough(&points) {
                // Nothing in between: the next look begins at the point that was found.
                let found = earlier.ts.first().copied().unwrap_or(i64::MIN);
                span = span.max(newest.ts.micros().saturating_sub(found).saturating_add(1));
            }
            span = span.saturating_mul(8);
        }
        points
    }

    /// The points at and after the end of the range, up to the first good one.
    fn points_after(
        self: &Arc<Self>,
        tag: TagId,
        request: &Request,
        gone: &Arc<AtomicBool>,
        gaps: &mut Vec<HistoryGap>,
    ) -> Vec<RawPoint> {
        let mut points = Vec::new();
        let (mut start, mut span) = (request.to, LOOK_BACK_US);
        loop {
            let end = Timestamp::from_micros(start.micros().saturating_add(span));
            let mut scan = self.scan(tag, start, end);
            scan.until_gone(gone);
            while let Some(block) = scan.next() {
                for point in raw_points(&block) {
                    let good = point.value.is_finite() && point.status.is_good();
                    points.push(point);
                    if good || points.len() >= LOOK_AROUND_POINTS {
                        gaps.extend(scan.gaps());
                        return points;
                    }
                }
            }
            gaps.extend(scan.gaps());
            if end == Timestamp::from_micros(i64::MAX) {
                return points;
            }
            (start, span) = (end, span.saturating_mul(8));
        }
    }
}

/// Drops the points before the oldest one that is needed: the `wanted`-th usable one from the end, and at least the last.
fn keep_needed(points: &mut Vec<RawPoint>, wanted: usize, usable: impl Fn(&RawPoint) -> bool) {
    let mut left = wanted;
    let mut at = points.len();
    while at > 0 && left > 0 {
        at -= 1;
        left -= usize::from(points.get(at).is_some_and(&usable));
    }
    if left == 0 {
        // One more, which tells a created mark from data.
        points.drain(..at.saturating_sub(1).min(points.len().saturating_sub(1)));
    }
}

/// Which roll-ups lie wholly within the intervals, coarsest first.
fn levels(request: &Request) -> Vec<Level> {
    if request.aggregate == Aggregate::AnnotationCount {
        return Vec::new();
    }
    let fits = |level: &Level| {
        let whole = request.interval_us <= 0
            || request.interval_us >= request.to.micros().saturating_sub(request.from.micros());
        whole || (request.from.micros() % level.span() == 0 && request.interval_us % level.span() == 0)
    };
    [Level::Hour, Level::Minute].into_iter().filter(fits).collect()
}

/// A block as aggregates want it.
fn columns<'a>(block: &'a Block, numbers: &'a mut Vec<f64>, status: &'a mut Vec<u32>) -> (&'a [f64], &'a [u32]) {
    as_numbers(&block.values, 0..block.len(), numbers);
    let values = if let Values::Double(values) = &block.values { values } else { &*numbers };
    let status = match &block.quality {
        Quality::Each(codes) => codes,
        Quality::Same(code) => {
            status.clear();
            status.resize(block.len(), *code);
            &*status
        }
    };
    (values, status)
}

fn raw_points(block: &Block) -> Vec<RawPoint> {
    (0..block.len())
        .filter_map(|at| {
            Some(RawPoint {
                ts: Timestamp::from_micros(*block.ts.get(at)?),
                value: block.number(at).unwrap_or(f64::NAN),
                status: StatusCode(block.status(at)),
            })
        })
        .collect()
}
