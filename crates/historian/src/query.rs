//! Aggregates over history: points and roll-ups fed to the OPC UA aggregates, with what lies around the range.

use crate::aggregate::{
    Aggregate, AggregateValue, Bounds, Needs, Processor, PushError, RawPoint, Request, RequestError,
};
use crate::block::{Block, Quality, Values};
use crate::historian::Historian;
use crate::point::HistoryGap;
use crate::rollup::{Level, as_numbers};
use crate::scan::{Piece, Scan};
use andon_model::{StatusCode, TagId, Timestamp};
use std::sync::Arc;

/// How many points before the range are looked at for usable ones, at most.
const LOOK_BACK: usize = 64;
/// How many points after the range, at most.
const LOOK_AHEAD: usize = 1024;

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
    ) -> Result<Aggregated, AggregateReadError> {
        let before = self.points_before(tag, request);
        let after = self.points_after(tag, request);
        let bounds = Bounds { before: &before, after: &after, holds_until: None };
        let (answer, scan) = match self.process(tag, request, &bounds, levels(request)) {
            Err(AggregateReadError::Points(PushError::NotFromRollup { .. })) => {
                self.process(tag, request, &bounds, Vec::new())
            }
            other => other,
        }?;
        Ok(Aggregated { values: answer.finish(&bounds), complete_to: scan.complete_to(), gaps: scan.gaps() })
    }

    fn process(
        self: &Arc<Self>,
        tag: TagId,
        request: &Request,
        bounds: &Bounds<'_>,
        levels: Vec<Level>,
    ) -> Result<(Processor, Scan), AggregateReadError> {
        let mut processor = Processor::new(request, bounds)?;
        let mut scan = self.scan(tag, request.from, request.to);
        scan.allow_rollups(levels);
        let (mut numbers, mut status) = (Vec::new(), Vec::new());
        while let Some(piece) = scan.next_piece() {
            match piece {
                Piece::Block(block) => {
                    let (values, status) = columns(&block, &mut numbers, &mut status);
                    processor.push_columns(&block.ts, values, status)?;
                }
                Piece::Rollups(rollups) => {
                    for (_, rollup) in &rollups {
                        processor.push_rollup(rollup)?;
                    }
                }
            }
        }
        Ok((processor, scan))
    }

    /// The points before the range that the aggregate looks at, ascending.
    fn points_before(self: &Arc<Self>, tag: TagId, request: &Request) -> Vec<RawPoint> {
        let usable = |point: &RawPoint| {
            point.value.is_finite()
                && (point.status.is_good() || (point.status.is_uncertain() && !request.config.treat_uncertain_as_bad))
        };
        let wanted = match request.aggregate.needs() {
            Needs::Existence | Needs::Neighbours => 0,
            Needs::UsableBefore => 1,
            Needs::LastAndUsable => 2,
        };
        let mut points = Vec::new();
        let mut bound = request.from;
        while points.len() < LOOK_BACK {
            let Some(block) = self.scan(tag, bound, bound).before() else { break };
            let Some(point) = raw_points(&block).pop() else { break };
            bound = point.ts;
            points.push(point);
            if points.iter().filter(|point| usable(point)).count() >= wanted {
                break;
            }
        }
        points.reverse();
        points
    }

    /// The points at and after the end of the range, up to the first good one.
    fn points_after(self: &Arc<Self>, tag: TagId, request: &Request) -> Vec<RawPoint> {
        let mut points = Vec::new();
        let mut scan = self.scan(tag, request.to, Timestamp::MAX);
        while let Some(block) = scan.next() {
            for point in raw_points(&block) {
                let good = point.value.is_finite() && point.status.is_good();
                points.push(point);
                if good || points.len() >= LOOK_AHEAD {
                    return points;
                }
            }
        }
        points
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
