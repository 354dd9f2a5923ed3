//! Aggregates over history: points and roll-ups fed to the OPC UA aggregates, with what lies around the range.

use crate::aggregate::{
    Aggregate, AggregateValue, Bounds, Loss, Needs, Processor, PushError, RawPoint, Request, RequestError, Rollup,
};
use crate::block::Block;
use crate::historian::Historian;
use crate::point::{HistoryGap, joined};
use crate::rollup::{Level, as_numbers};
use crate::scan::{Piece, Scan, Stretch, Unread};
use andon_model::column::{Quality, Values};
use andon_model::{StatusCode, TagId, Timestamp, Value};
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
    /// Calculates aggregates of one tag over the same intervals; blocking. The points are read once for all of them; roll-ups
    /// are used where they give the same answer.
    pub(crate) fn aggregate_blocking(
        self: &Arc<Self>,
        tag: TagId,
        over: &Request,
        aggregates: &[Aggregate],
        texts: Texts,
        gone: &Arc<AtomicBool>,
    ) -> Result<Vec<Aggregated>, AggregateReadError> {
        let requests: Vec<Request> = aggregates.iter().map(|kind| Request { aggregate: *kind, ..*over }).collect();
        // What makes no sense is refused before anything is read.
        for request in &requests {
            Processor::new(request, &Bounds::default())?;
        }
        let mut scan = self.scan(tag, over.from, over.from);
        scan.until_gone(gone);
        let mut around = Around::read(&mut scan, tag, &requests, texts);
        let mut gaps = std::mem::take(&mut around.missing.gaps);
        let mut values: Vec<Option<Vec<AggregateValue>>> = vec![None; requests.len()];
        // First from roll-ups; then, from the points, what these could not tell.
        for levels in [levels(over), Vec::new()] {
            let open = |known: &Option<_>, request: &Request| {
                known.is_none() && (levels.is_empty() || request.aggregate != Aggregate::AnnotationCount)
            };
            let asked = requests.iter().enumerate().zip(&values).filter(|((_, request), known)| open(known, request));
            let asked: Vec<(usize, &Request)> = asked.map(|(asked, _)| asked).collect();
            let mut lost = around.lost.clone();
            loop {
                let begin = |(at, request): &(usize, &Request)| {
                    Ok((*at, Processor::new(request, &around.bounds(request, &lost))?))
                };
                let begun: Result<Vec<_>, RequestError> = asked.iter().map(begin).collect();
                scan.turn_to(tag, over.from, over.to);
                scan.keep_apart(&lost);
                let done = feed(&mut scan, &levels, texts, begun?)?;
                let more = with_unread(&lost, scan.unreadable());
                if more != lost {
                    // Only now is it known what is missing.
                    lost = more;
                    continue;
                }
                for (at, processor) in done {
                    if let (Some(request), Some(known)) = (requests.get(at), values.get_mut(at)) {
                        *known = Some(processor.finish(&around.bounds(request, &lost)));
                    }
                }
                gaps.extend(scan.gaps());
                break;
            }
        }
        let gaps = joined(gaps);
        let answer = |values: Option<Vec<AggregateValue>>| Aggregated {
            values: values.unwrap_or_default(),
            complete_to: scan.complete_to(),
            gaps: gaps.clone(),
        };
        Ok(values.into_iter().map(answer).collect())
    }
}

fn with_unread(lost: &[Loss], unread: &[Unread]) -> Vec<Loss> {
    let loss =
        |unread: &Unread| Loss { from: unread.gap.from, to: unread.gap.to, goes_on: false, in_doubt: unread.in_doubt };
    let new = unread.iter().map(loss);
    Loss::in_order(lost.iter().copied().chain(new).collect())
}

/// Hands everything in the range to the processors; those are left that could do with roll-ups where there were some.
fn feed(
    scan: &mut Scan,
    levels: &[Level],
    texts: Texts,
    mut open: Vec<(usize, Processor)>,
) -> Result<Vec<(usize, Processor)>, PushError> {
    let mut columns = Columns { texts, ..Columns::default() };
    let mut rollup = Rollup::default();
    while !open.is_empty()
        && let Some(stretch) = scan.next_stretch(levels, Some)
    {
        let pieces = match stretch {
            Stretch::Points(block) => vec![Piece::Block(block)],
            Stretch::Period(pieces) => pieces,
        };
        for piece in pieces {
            match piece {
                Piece::Block(block) => {
                    let (values, status) = columns.of(&block);
                    open.iter_mut().try_for_each(|(_, processor)| processor.push_columns(&block.ts, values, status))?;
                }
                Piece::Rollups(mut rollups) => loop {
                    match rollups.next(&mut rollup) {
                        Ok(true) => push_rollup(&mut open, &rollup)?,
                        Ok(false) => break,
                        // The points will tell.
                        Err(_) => return Ok(Vec::new()),
                    }
                },
            }
        }
    }
    Ok(open)
}

/// Drops the processors that want the points.
fn push_rollup(open: &mut Vec<(usize, Processor)>, rollup: &Rollup) -> Result<(), PushError> {
    let mut outcome = Ok(());
    open.retain_mut(|(_, processor)| match processor.push_rollup(rollup) {
        Ok(()) => true,
        Err(PushError::NotFromRollup { .. }) => false,
        Err(error) => {
            outcome = Err(error);
            true
        }
    });
    outcome
}

/// What lies around the range.
struct Around {
    /// By how many usable ones were wanted, the points before the range, ascending.
    before: Vec<(usize, Vec<RawPoint>)>,
    /// The points at and after the end of the range, up to the first good one.
    after: Vec<RawPoint>,
    /// Where nothing was recorded; around the range also what cannot be read.
    lost: Vec<Loss>,
    missing: Missing,
}

/// What is missing of what was read.
#[derive(Default)]
struct Missing {
    /// As the answer says it.
    gaps: Vec<HistoryGap>,
    /// Of these, what stands in a file that cannot be read.
    unreadable: Vec<Unread>,
}

impl Missing {
    fn note(&mut self, scan: &Scan) {
        self.gaps.extend(scan.gaps());
        self.unreadable.extend_from_slice(scan.unreadable());
    }
}

impl Around {
    /// For requests over the same range.
    fn read(scan: &mut Scan, tag: TagId, requests: &[Request], texts: Texts) -> Self {
        let mut around = Self { before: Vec::new(), after: Vec::new(), lost: Vec::new(), missing: Missing::default() };
        for request in requests {
            if around.before_of(request).is_none() {
                let points = points_before(scan, tag, request, texts, &mut around.missing);
                around.before.push((usable_before(request), points));
            }
        }
        if let Some(request) = requests.first() {
            around.after = points_after(scan, tag, request, texts, &mut around.missing);
        }
        // What cannot be read within the range may yet be told by roll-ups.
        let mut missing = std::mem::take(&mut around.missing.unreadable);
        if let Some(Request { from, to, .. }) = requests.first() {
            missing.retain(|Unread { gap, .. }| gap.from < *from || gap.to > *to);
            missing.iter_mut().for_each(|Unread { gap, .. }| {
                if gap.from < *from { gap.to = gap.to.min(*from) } else { gap.from = gap.from.max(*to) }
            });
        }
        let gap = |gap: &HistoryGap| Loss { from: gap.from, to: gap.to, goes_on: true, in_doubt: false };
        let lost = Loss::in_order(scan.losses().iter().map(gap).collect());
        around.lost = with_unread(&lost, &missing);
        around
    }

    fn before_of(&self, request: &Request) -> Option<&[RawPoint]> {
        let wanted = usable_before(request);
        Some(self.before.iter().find(|(known, _)| *known == wanted)?.1.as_slice())
    }

    fn bounds<'a>(&'a self, request: &Request, lost: &'a [Loss]) -> Bounds<'a> {
        let before = self.before_of(request).unwrap_or_default();
        Bounds { before, after: &self.after, lost, ..Bounds::default() }
    }
}

/// How many usable points before the range the aggregate looks at.
fn usable_before(request: &Request) -> usize {
    match request.aggregate.needs() {
        Needs::Existence | Needs::Neighbours => 0,
        Needs::UsableBefore => 1,
        Needs::LastAndUsable => 2,
    }
}

/// The points before the range that the aggregate looks at, ascending.
fn points_before(scan: &mut Scan, tag: TagId, request: &Request, texts: Texts, missing: &mut Missing) -> Vec<RawPoint> {
    let usable = |point: &RawPoint| {
        point.value.is_finite()
            && (point.status.is_good() || (point.status.is_uncertain() && !request.config.treat_uncertain_as_bad))
    };
    let wanted = usable_before(request);
    // An entry without data may be the mark that the tag was created, which only an earlier point can tell.
    let enough = |points: &[RawPoint]| {
        points.first().is_some_and(|oldest| oldest.status != StatusCode::BAD_NO_DATA)
            && points.iter().filter(|point| usable(point)).count() >= wanted
    };
    scan.turn_to(tag, request.from, request.from);
    let mut points = scan.before().map_or_else(Vec::new, |block| raw_points(&block, texts));
    missing.note(scan);
    let Some(newest) = points.first().copied() else { return points };
    let mut span = LOOK_BACK_US;
    while !enough(&points) && points.len() < LOOK_AROUND_POINTS {
        let start = Timestamp::from_micros(newest.ts.micros().saturating_sub(span));
        scan.turn_to(tag, start, request.from);
        points.clear();
        while let Some(block) = scan.next() {
            points.extend(raw_points(&block, texts));
            keep_needed(&mut points, wanted, usable);
        }
        let earlier = scan.before();
        missing.note(scan);
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
fn points_after(scan: &mut Scan, tag: TagId, request: &Request, texts: Texts, missing: &mut Missing) -> Vec<RawPoint> {
    let mut points = Vec::new();
    let (mut start, mut span) = (request.to, LOOK_BACK_US);
    loop {
        let end = Timestamp::from_micros(start.micros().saturating_add(span));
        scan.turn_to(tag, start, end);
        while let Some(block) = scan.next() {
            for point in raw_points(&block, texts) {
                let good = point.value.is_finite() && point.status.is_good();
                points.push(point);
                if good || points.len() >= LOOK_AROUND_POINTS {
                    missing.note(scan);
                    return points;
                }
            }
        }
        missing.note(scan);
        if end == Timestamp::from_micros(i64::MAX) {
            return points;
        }
        (start, span) = (end, span.saturating_mul(8));
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
    let fits = |level: &Level| {
        let whole = request.interval_us <= 0
            || request.interval_us >= request.to.micros().saturating_sub(request.from.micros());
        whole || (request.from.micros() % level.span() == 0 && request.interval_us % level.span() == 0)
    };
    [Level::Hour, Level::Minute].into_iter().filter(fits).collect()
}

/// What a text is to an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Texts {
    /// No number, and so nothing good.
    #[default]
    Nothing,
    /// A value as any other: each distinct text a number of its own. For aggregates that do not calculate with it.
    Counted,
}

impl Texts {
    fn number(self, values: &Values, row: usize) -> Option<f64> {
        let Values::Mixed(values) = values else { return None };
        match (self, values.get(row)?) {
            (Self::Counted, Value::String(text)) => Some(number_of(text)),
            _ => None,
        }
    }
}

/// A whole number above 0 for a text: the first 52 bits of its FNV-1a hash, so that two texts that follow each other are taken for one
/// less than once in 10^15 changes.
#[expect(clippy::cast_precision_loss, reason = "52 bits")]
fn number_of(text: &str) -> f64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    ((hash >> 12) + 1) as f64
}

/// Blocks as aggregates want them; what has to be written anew for that is kept for the next one.
#[derive(Default)]
struct Columns {
    texts: Texts,
    numbers: Vec<f64>,
    status: Vec<u32>,
}

impl Columns {
    fn of<'a>(&'a mut self, block: &'a Block) -> (&'a [f64], &'a [u32]) {
        as_numbers(&block.values, 0..block.len(), &mut self.numbers);
        if self.texts == Texts::Counted {
            for (at, number) in self.numbers.iter_mut().enumerate().filter(|(_, number)| number.is_nan()) {
                *number = self.texts.number(&block.values, at).unwrap_or(f64::NAN);
            }
        }
        let values = if let Values::Double(values) = &block.values { values } else { &self.numbers };
        let status = match &block.quality {
            Quality::Each(codes) => codes,
            Quality::Same(code) => {
                self.status.clear();
                self.status.resize(block.len(), *code);
                &self.status
            }
        };
        (values, status)
    }
}

fn raw_points(block: &Block, texts: Texts) -> Vec<RawPoint> {
    (0..block.len())
        .filter_map(|at| {
            Some(RawPoint {
                ts: Timestamp::from_micros(*block.ts.get(at)?),
                value: block.number(at).or_else(|| texts.number(&block.values, at)).unwrap_or(f64::NAN),
                status: StatusCode(block.status(at)),
            })
        })
        .collect()
}
