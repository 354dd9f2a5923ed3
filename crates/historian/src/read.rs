//! Range reads over files and buffer together.
//!
//! Under the lock the read takes what it needs by reference or copy; all file access happens outside of it. Days are
//! read one after the other, and within a day the runs (files, the buffer being written, the buffer) are merged.

use crate::historian::{Historian, Segment, causes};
use crate::block::{Block, BlockBuilder};
use crate::merge::{Merge, Once, Run, Unreadable};
use crate::point::{DAY_US, HistoryGap, Point, Range, day_of};
use crate::segment::{Reader, SegmentError, Window};
use crate::thin::Thinner;
use andon_model::{TagId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why a range read has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The range is empty or runs backwards.
    #[error("the range from {from} to {to} is empty; `to` must be later than `from`")]
    Empty {
        /// As asked.
        from: Timestamp,
        /// As asked.
        to: Timestamp,
    },
    /// More raw points than one answer holds.
    #[error("the range has more than {limit} points; ask for a shorter time, or give `max_points` to get it thinned")]
    TooManyPoints {
        /// The limit.
        limit: usize,
    },
    /// The historian is shutting down, or the read failed in a way that is our bug (it is in the service's log then).
    #[error("the read was stopped; try again")]
    Stopped,
}

/// What a read works on.
struct View {
    /// Files that may hold rows in the range, by day, oldest sequence first.
    days: BTreeMap<i64, Vec<Arc<Segment>>>,
    /// Files that may hold earlier rows.
    earlier: Vec<Arc<Segment>>,
    /// Rows in the range from the buffer being written and the buffer, in this order.
    buffered: [Block; 2],
    /// The last earlier row of each of them.
    buffered_before: [Option<Block>; 2],
    complete_to: Option<Timestamp>,
    gaps: Vec<HistoryGap>,
}

/// Raw as long as it fits, thinned from then on.
enum Collector {
    Raw { points: Vec<Point>, limit: usize, thin_to: Option<(i64, i64)> },
    Thinned(Thinner),
}

impl Historian {
    pub(crate) fn range_blocking(
        &self,
        tag: TagId,
        from: Timestamp,
        to: Timestamp,
        max_points: Option<usize>,
    ) -> Result<Range, RangeError> {
        if from >= to {
            return Err(RangeError::Empty { from, to });
        }
        let (start, end) = (from.micros(), to.micros());
        let view = self.view(tag.0, start, end);
        let mut collector = Collector::new(start, end, max_points, self.options.max_answer_points);
        let mut unreadable = Vec::new();
        for day in view.days_with_rows() {
            self.read_day(&view, day, tag.0, (start, end), &mut unreadable, |block| collector.take(block))?;
        }
        let before = self.before(&view, tag.0, start, &mut unreadable);
        let (points, thinned) = collector.finish();
        let mut gaps: Vec<HistoryGap> =
            view.gaps.into_iter().chain(unreadable).filter_map(|gap| clip(gap, from, to)).collect();
        gaps.sort_by_key(|gap| (gap.from, gap.to));
        Ok(Range { tag, points, before: before.and_then(|block| block.point(0)), thinned, complete_to: view.complete_to, gaps })
    }

    /// Takes hold of everything the read needs at one instant.
    fn view(&self, tag: u32, from: i64, to: i64) -> View {
        let state = self.state();
        let has_tag = |segment: &&Arc<Segment>| (segment.info.tags.0..=segment.info.tags.1).contains(&tag);
        let mut days: BTreeMap<i64, Vec<Arc<Segment>>> = BTreeMap::new();
        for (day, segments) in state.segments.range(day_of(from)..=day_of(to)) {
            let touched =
                segments.iter().filter(has_tag).filter(|segment| segment.info.ts.0 < to && segment.info.ts.1 >= from);
            days.insert(*day, touched.cloned().collect());
        }
        let earlier = state.segments.range(..=day_of(from)).flat_map(|(_, segments)| segments).filter(has_tag);
        let earlier = earlier.filter(|segment| segment.info.ts.0 < from).cloned().collect();
        let (active, active_before) = (state.active.rows(tag, from, to), state.active.last_before(tag, from));
        let frozen = state.frozen.clone();
        let (complete_to, gaps) = (state.complete_to, state.gaps.clone());
        drop(state);
        let frozen_rows = frozen.as_ref().map_or_else(Block::empty, |frozen| frozen.buffer.rows(tag, from, to));
        let frozen_before = frozen.and_then(|frozen| frozen.buffer.last_before(tag, from));
        View {
            days,
            earlier,
            buffered: [frozen_rows, active],
            buffered_before: [frozen_before, active_before],
            complete_to,
            gaps,
        }
    }

    /// Hands a day's rows to `take`, ascending.
    fn read_day(
        &self,
        view: &View,
        day: i64,
        tag: u32,
        (from, to): (i64, i64),
        unreadable: &mut Vec<HistoryGap>,
        mut take: impl FnMut(&Block) -> Result<(), RangeError>,
    ) -> Result<(), RangeError> {
        let segments = view.days.get(&day).map(Vec::as_slice).unwrap_or_default();
        let mut runs: Vec<Box<dyn Run>> = Vec::with_capacity(segments.len() + 2);
        for segment in segments {
            let reader = Reader::open(&segment.path, &segment.info, &self.footers).and_then(|mut reader| {
                reader.select(tag, Window::Times { from, to }, false)?;
                Ok(reader)
            });
            match reader {
                Ok(reader) => runs.push(Box::new(reader)),
                Err(error) => runs.push(Box::new(Unreadable(Some(error)))),
            }
        }
        let start = day.saturating_mul(DAY_US);
        for rows in &view.buffered {
            let today = rows.ts.partition_point(|ts| *ts < start)..rows.ts.partition_point(|ts| day_of(*ts) <= day);
            if !today.is_empty() {
                runs.push(Box::new(Once(Some(rows.slice(today)))));
            }
        }
        let mut merge = Merge::new(runs);
        while let Some(block) = merge.next() {
            match block {
                Ok(block) => take(&block)?,
                Err(error) => {
                    if let Some(segment) = segments.iter().find(|segment| segment.path == error.path()) {
                        segment.note_damage(&error);
                    }
                    unreadable.push(said(segments, &error));
                }
            }
        }
        Ok(())
    }

    /// The last row before `from`, from wherever it is. Files are tried latest first, until none can hold a later one.
    fn before(&self, view: &View, tag: u32, from: i64, unreadable: &mut Vec<HistoryGap>) -> Option<Block> {
        // (time, who is newer): of equal times the buffer beats the frozen buffer, and that any file.
        let mut best: Option<(i64, u64, Block)> = None;
        let mut offer = |block: Block, age: u64| {
            let Some(ts) = block.ts.first().copied() else { return i64::MIN };
            if best.as_ref().is_none_or(|(known, known_age, _)| (ts, age) > (*known, *known_age)) {
                best = Some((ts, age, block));
            }
            best.as_ref().map_or(i64::MIN, |(ts, ..)| *ts)
        };
        let mut reached = i64::MIN;
        for (age, row) in [u64::MAX - 1, u64::MAX].into_iter().zip(&view.buffered_before) {
            if let Some(row) = row {
                reached = offer(row.clone(), age);
            }
        }
        let mut files: Vec<&Arc<Segment>> = view.earlier.iter().collect();
        files.sort_by_key(|segment| std::cmp::Reverse(segment.info.ts.1));
        for segment in files {
            if segment.info.ts.1 < reached {
                break;
            }
            let last = Reader::open(&segment.path, &segment.info, &self.footers)
                .and_then(|mut reader| reader.last_before(tag, from));
            match last {
                Ok(Some(row)) => reached = offer(row, segment.info.to.0),
                Ok(None) => {}
                Err(error) => {
                    segment.note_damage(&error);
                    unreadable.push(said(std::slice::from_ref(segment), &error));
                }
            }
        }
        best.map(|(_, _, block)| block)
    }
}

impl View {
    fn days_with_rows(&self) -> BTreeSet<i64> {
        let buffered = self.buffered.iter().flat_map(|block| &block.ts).map(|ts| day_of(*ts));
        self.days.keys().copied().chain(buffered).collect()
    }
}

impl Collector {
    fn new(from: i64, to: i64, max_points: Option<usize>, hard_limit: usize) -> Self {
        let thin_to = max_points.map(|_| (from, to));
        Self::Raw { points: Vec::new(), limit: max_points.unwrap_or(hard_limit).min(hard_limit), thin_to }
    }

    fn take(&mut self, block: &Block) -> Result<(), RangeError> {
        if let Self::Raw { points, limit, thin_to } = self {
            if points.len() + block.len() <= *limit {
                points.extend((0..block.len()).filter_map(|at| block.point(at)));
                return Ok(());
            }
            let Some((from, to)) = *thin_to else { return Err(RangeError::TooManyPoints { limit: *limit }) };
            let mut thinner = Thinner::new(from, to, *limit);
            thinner.take(&as_block(points));
            *self = Self::Thinned(thinner);
        }
        if let Self::Thinned(thinner) = self {
            thinner.take(block);
        }
        Ok(())
    }

    fn finish(self) -> (Vec<Point>, bool) {
        match self {
            Self::Raw { points, .. } => (points, false),
            Self::Thinned(thinner) => (thinner.finish(), true),
        }
    }
}

fn as_block(points: &[Point]) -> Block {
    let mut builder = BlockBuilder::default();
    points.iter().for_each(|point| builder.push(point.ts.micros(), point.value.clone(), point.quality.0, 0));
    builder.finish()
}

/// The stretch a file that cannot be read leaves open: its whole day if the file is not among `segments`.
fn said(segments: &[Arc<Segment>], error: &SegmentError) -> HistoryGap {
    let path = error.path();
    let day = segments.first().map_or(0, |segment| segment.info.day);
    let (from, to) = segments
        .iter()
        .find(|segment| segment.path == path)
        .map_or((day.saturating_mul(DAY_US), day.saturating_add(1).saturating_mul(DAY_US)), |segment| segment.info.ts);
    HistoryGap {
        from: Timestamp::from_micros(from),
        to: Timestamp::from_micros(to.saturating_add(1)),
        reason: format!("{}; restore it from a backup", causes(error)),
    }
}

/// The part of a gap within the range asked for; a gap that only touches its edge still says something about `before`.
fn clip(gap: HistoryGap, from: Timestamp, to: Timestamp) -> Option<HistoryGap> {
    (gap.from < to && gap.to >= from).then(|| HistoryGap {
        from: gap.from.max(from),
        to: gap.to.min(to),
        reason: gap.reason,
    })
}
