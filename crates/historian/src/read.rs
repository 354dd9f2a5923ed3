//! Range reads: a scan gathered into one answer, thinned where it would be too long.

use crate::block::{Block, BlockBuilder};
use crate::historian::Historian;
use crate::point::{Point, Range};
use crate::thin::Thinner;
use andon_model::{TagId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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

/// Raw as long as it fits, thinned from then on.
enum Collector {
    Raw { points: Vec<Point>, limit: usize, thin_to: Option<(i64, i64)> },
    Thinned(Thinner),
}

impl Historian {
    pub(crate) fn range_blocking(
        self: &Arc<Self>,
        tag: TagId,
        from: Timestamp,
        to: Timestamp,
        max_points: Option<usize>,
        gone: &Arc<AtomicBool>,
    ) -> Result<Range, RangeError> {
        if from >= to {
            return Err(RangeError::Empty { from, to });
        }
        let (start, end) = (from.micros(), to.micros());
        let mut collector = Collector::new(start, end, max_points, self.options.max_answer_points);
        let mut scan = self.scan(tag, from, to);
        scan.until_gone(gone);
        while let Some(block) = scan.next() {
            collector.take(&block)?;
        }
        let before = scan.before().and_then(|block| block.point(0));
        let (points, thinned) = collector.finish();
        Ok(Range { tag, points, before, thinned, complete_to: scan.complete_to(), gaps: scan.gaps() })
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
