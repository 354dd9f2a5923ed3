//! Several sorted runs as one: rows by (tag, source time), and of equal ones the newest run's.
//!
//! Runs are given oldest first. Sequence ranges of runs never overlap, so "newest run" is "last writer by sequence".

use crate::row::Row;
use crate::segment::SegmentError;

/// A sorted run without doubles.
pub(crate) type Run<'a> = Box<dyn Iterator<Item = Result<Row, SegmentError>> + 'a>;

/// Merges runs. An error ends its run, is handed out once, and the other runs go on.
pub(crate) struct Merge<'a> {
    runs: Vec<(Run<'a>, Option<Row>)>,
    failed: Vec<SegmentError>,
}

impl<'a> Merge<'a> {
    /// Of the given runs, oldest first.
    pub(crate) fn new(runs: Vec<Run<'a>>) -> Self {
        let mut merge = Self { runs: Vec::with_capacity(runs.len()), failed: Vec::new() };
        for mut run in runs {
            let head = advance(&mut run, &mut merge.failed);
            merge.runs.push((run, head));
        }
        merge
    }
}

fn advance(run: &mut Run<'_>, failed: &mut Vec<SegmentError>) -> Option<Row> {
    match run.next()? {
        Ok(row) => Some(row),
        Err(error) => {
            failed.push(error);
            *run = Box::new(std::iter::empty());
            None
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Row, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.pop() {
            return Some(Err(error));
        }
        let smallest = self.runs.iter().filter_map(|(_, head)| head.as_ref().map(Row::key)).min()?;
        let mut winner = None;
        for (run, head) in &mut self.runs {
            if head.as_ref().is_some_and(|row| row.key() == smallest) {
                let next = advance(run, &mut self.failed);
                winner = std::mem::replace(head, next);
            }
        }
        winner.map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Value;
    use std::path::Path;

    fn run(rows: &[(u32, i64, i64)]) -> Run<'static> {
        let rows: Vec<_> = rows
            .iter()
            .map(|(tag, ts, value)| Ok(Row { tag: *tag, ts: *ts, value: Value::Int64(*value), quality: 0, delta: 0 }))
            .collect();
        Box::new(rows.into_iter())
    }

    fn values(merge: Merge<'_>) -> Vec<Option<f64>> {
        merge.map(|row| row.ok().and_then(|row| row.value.as_f64())).collect()
    }

    #[test]
    fn newest_run_wins_and_order_holds() {
        let merge = Merge::new(vec![
            run(&[(1, 1, 10), (1, 3, 11), (2, 0, 12)]),
            run(&[(1, 3, 20), (2, 1, 21)]),
            run(&[(1, 2, 30)]),
        ]);
        assert_eq!(values(merge), [Some(10.0), Some(30.0), Some(20.0), Some(12.0), Some(21.0)]);
    }

    #[test]
    fn a_damaged_run_ends_and_the_others_go_on() {
        let broken = SegmentError::damaged(Path::new("x"), "test");
        let bad: Run<'_> = Box::new(run(&[(1, 1, 1)]).chain(std::iter::once(Err(broken))).chain(run(&[(1, 9, 9)])));
        let merge = Merge::new(vec![bad, run(&[(1, 2, 2), (1, 3, 3)])]);
        assert_eq!(values(merge), [Some(1.0), None, Some(2.0), Some(3.0)]);
    }
}
