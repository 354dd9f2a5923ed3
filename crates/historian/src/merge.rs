//! Several sorted runs of one tag as one: of equal times the newest run's row.
//!
//! Runs are given oldest first. Sequence ranges of runs never overlap, so "newest run" is "last writer by sequence".
//! Where runs do not overlap in time, which is the usual case, whole blocks pass through untouched.

use crate::block::Block;
use crate::segment::{Reader, SegmentError};
use std::sync::Arc;

/// A sorted run of one tag without doubles.
pub(crate) trait Run {
    /// The next rows; `None` after the last. Not called again after that, nor after an error.
    fn next(&mut self) -> Result<Option<Block>, SegmentError>;
}

impl Run for Reader {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        Self::next(self)
    }
}

impl<T: Run + ?Sized> Run for Box<T> {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        (**self).next()
    }
}

impl<T: Run + ?Sized> Run for &mut T {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        (**self).next()
    }
}

/// Rows that are in memory.
pub(crate) struct Once(pub Option<Block>);

impl Run for Once {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        Ok(self.0.take())
    }
}

/// A run that cannot be read.
pub(crate) struct Unreadable(pub Option<SegmentError>);

impl Run for Unreadable {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        self.0.take().map_or(Ok(None), Err)
    }
}

/// A run without the rows of these stretches of time (`from <= ts < to`).
pub(crate) struct Without<R> {
    pub run: R,
    pub stretches: Arc<[(i64, i64)]>,
}

impl<R: Run> Run for Without<R> {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        while let Some(block) = self.run.next()? {
            let kept = without(block, &self.stretches);
            if !kept.is_empty() {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }
}

/// What is left of a block; the stretches ascend and do not overlap.
pub(crate) fn without(block: Block, stretches: &[(i64, i64)]) -> Block {
    let (Some(first), Some(last)) = (block.ts.first(), block.ts.last()) else { return block };
    let start = stretches.partition_point(|(_, to)| to <= first);
    let touching = stretches.get(start..).unwrap_or_default().iter().take_while(|(from, _)| from <= last);
    let (mut kept, mut at, mut touched) = (Block::empty(), 0, false);
    for (from, to) in touching {
        let gone = block.within(*from, *to);
        touched |= !gone.is_empty();
        kept.append(&block, at..gone.start.max(at));
        at = gone.end.max(at);
    }
    if !touched {
        return block;
    }
    kept.append(&block, at..block.len());
    kept
}

/// Pieces smaller than this are gathered into one block.
const SMALL: usize = 1024;
/// A gathered block is handed out at this size.
const GATHERED: usize = 8192;

/// Merges runs. An error ends its run, is handed out once, and the other runs go on.
pub(crate) struct Merge<R> {
    heads: Vec<Head<R>>,
    failed: Vec<SegmentError>,
    gathered: Block,
}

struct Head<R> {
    run: R,
    block: Block,
    at: usize,
    over: bool,
}

impl<R: Run> Merge<R> {
    /// Of the given runs, oldest first.
    pub(crate) fn new(runs: Vec<R>) -> Self {
        let heads = runs.into_iter().map(|run| Head { run, block: Block::empty(), at: 0, over: false }).collect();
        Self { heads, failed: Vec::new(), gathered: Block::empty() }
    }

    /// The next rows, ascending; `None` after the last.
    pub(crate) fn next(&mut self) -> Option<Result<Block, SegmentError>> {
        loop {
            self.refill();
            if let Some(error) = self.failed.pop() {
                return Some(Err(error));
            }
            let Some(piece) = self.piece() else {
                let rest = std::mem::replace(&mut self.gathered, Block::empty());
                return (!rest.is_empty()).then_some(Ok(rest));
            };
            let (winner, end) = piece;
            let head = self.heads.get_mut(winner)?;
            let start = std::mem::replace(&mut head.at, end);
            if self.gathered.is_empty() && start == 0 && end == head.block.len() {
                head.at = 0;
                return Some(Ok(std::mem::replace(&mut head.block, Block::empty())));
            }
            self.gathered.append(&head.block, start..end);
            if self.gathered.len() >= GATHERED || end - start >= SMALL {
                return Some(Ok(std::mem::replace(&mut self.gathered, Block::empty())));
            }
        }
    }

    /// The runs, wherever they are.
    pub(crate) fn into_runs(self) -> impl Iterator<Item = R> {
        self.heads.into_iter().map(|head| head.run)
    }

    /// Loads blocks where there is none.
    fn refill(&mut self) {
        for head in &mut self.heads {
            while !head.over && head.at >= head.block.len() {
                head.at = 0;
                match head.run.next() {
                    Ok(Some(block)) => head.block = block,
                    Ok(None) => head.end(),
                    Err(error) => {
                        head.end();
                        self.failed.push(error);
                    }
                }
            }
        }
    }

    /// Whose rows come next, and up to which of them no other run has one. Skips the rows that it replaces.
    fn piece(&mut self) -> Option<(usize, usize)> {
        let smallest = self.heads.iter().filter_map(Head::ts).min()?;
        let winner = self.heads.iter().rposition(|head| head.ts() == Some(smallest))?;
        let mut limit: Option<i64> = None;
        for (at, head) in self.heads.iter_mut().enumerate() {
            if at == winner {
                continue;
            }
            if head.ts() == Some(smallest) {
                head.at += 1;
                if head.ts().is_none() {
                    // Its next block is not known yet; only this one row is sure.
                    limit = Some(smallest.saturating_add(1));
                }
            }
            if let Some(ts) = head.ts() {
                limit = Some(limit.map_or(ts, |known| known.min(ts)));
            }
        }
        let head = self.heads.get(winner)?;
        let rest = head.block.ts.get(head.at..)?;
        let rows = limit.map_or(rest.len(), |limit| rest.partition_point(|ts| *ts < limit)).max(1);
        Some((winner, head.at + rows))
    }
}

impl<R> Head<R> {
    fn ts(&self) -> Option<i64> {
        self.block.ts.get(self.at).copied()
    }

    fn end(&mut self) {
        self.over = true;
        self.block = Block::empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::BlockBuilder;
    use andon_model::Value;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::collections::VecDeque;
    use std::path::Path;

    /// Blocks of at most three rows, then perhaps an error.
    struct Blocks(VecDeque<Block>, Option<SegmentError>);

    impl Run for Blocks {
        fn next(&mut self) -> Result<Option<Block>, SegmentError> {
            match self.0.pop_front() {
                Some(block) => Ok(Some(block)),
                None => self.1.take().map_or(Ok(None), Err),
            }
        }
    }

    fn run(rows: &[(i64, i64)], error: bool) -> Blocks {
        let blocks = rows.chunks(3).map(|rows| {
            let mut builder = BlockBuilder::default();
            rows.iter().for_each(|(ts, value)| builder.push(*ts, Value::Int64(*value), 0, 0));
            builder.finish()
        });
        Blocks(blocks.collect(), error.then(|| SegmentError::damaged(Path::new("x"), "test")))
    }

    fn merged(runs: Vec<Blocks>) -> (Vec<(i64, Option<f64>)>, usize) {
        let (mut rows, mut errors) = (Vec::new(), 0);
        let mut merge = Merge::new(runs);
        while let Some(block) = merge.next() {
            match block {
                Ok(block) => rows.extend((0..block.len()).map(|at| (block.ts[at], block.number(at)))),
                Err(_) => errors += 1,
            }
        }
        (rows, errors)
    }

    #[test]
    fn newest_run_wins_and_order_holds() {
        let (rows, _) = merged(vec![
            run(&[(1, 10), (3, 11), (7, 12)], false),
            run(&[(3, 20), (8, 21)], false),
            run(&[(2, 30)], false),
        ]);
        assert_eq!(rows, [(1, Some(10.0)), (2, Some(30.0)), (3, Some(20.0)), (7, Some(12.0)), (8, Some(21.0))]);
    }

    #[test]
    fn a_damaged_run_ends_and_the_others_go_on() {
        let (rows, errors) = merged(vec![run(&[(1, 1)], true), run(&[(2, 2), (5, 3)], false)]);
        assert_eq!((rows, errors), (vec![(1, Some(1.0)), (2, Some(2.0)), (5, Some(3.0))], 1));
    }

    #[test]
    fn deleted_stretches_are_left_out() {
        let all: Vec<(i64, i64)> = (0..10).map(|n| (n, n)).collect();
        let stretches: Arc<[(i64, i64)]> = Arc::new([(-9, -3), (2, 6), (9, i64::MAX)]);
        let mut left = Vec::new();
        let mut without = Without { run: run(&all, false), stretches };
        while let Some(block) = without.next().expect("no error") {
            left.extend(block.ts);
        }
        assert_eq!(left, [0, 1, 6, 7, 8]);
    }

    proptest! {
        #[test]
        fn equals_a_map_written_run_after_run(runs in proptest::collection::vec(proptest::collection::btree_map(0..40i64, any::<i16>(), 0..20), 0..5)) {
            let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
            let mut blocks = Vec::new();
            for rows in &runs {
                expected.extend(rows.iter().map(|(ts, value)| (*ts, f64::from(*value))));
                let rows: Vec<(i64, i64)> = rows.iter().map(|(ts, value)| (*ts, i64::from(*value))).collect();
                blocks.push(run(&rows, false));
            }
            let (rows, _) = merged(blocks);
            prop_assert_eq!(rows, expected.into_iter().map(|(ts, value)| (ts, Some(value))).collect::<Vec<_>>());
        }
    }
}
