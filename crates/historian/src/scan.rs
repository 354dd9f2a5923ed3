//! One tag's rows over files and buffer together, block by block.
//!
//! Under the lock a scan takes what it needs by reference or copy; all file access happens outside of it, so it sees the
//! history of one instant. [Periods](crate::period) are read one after the other, and within a period the runs (files, the buffer being
//! written, the buffer) are merged. Turned to the next tag, a scan keeps its files open and its place in them: one that goes
//! through tags by their numbers unpacks each page once.

use crate::aggregate::{Loss, Rollup};
use crate::block::Block;
use crate::damage::in_words;
use crate::delete::{Delete, stretches};
use crate::historian::{Historian, Segment};
use crate::merge::{Merge, Once, Run, Unreadable, Without};
use crate::period::{Period, Periods};
use crate::point::{HistoryGap, day_of, joined};
use crate::rollup::{self, Level, Rollups, Unpacker};
use crate::segment::{Footers, Numbers, Presence, Reader, SegmentError, Window, presence};
use andon_model::column::StretchSum;
use andon_model::log::Seq;
use andon_model::{TagId, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A tag's points with `from <= ts < to`, ascending, in blocks. Blocking; made by [`Historian::scan`].
pub struct Scan {
    historian: Arc<Historian>,
    tag: u32,
    from: i64,
    to: i64,
    view: View,
    periods: VecDeque<Period>,
    merge: Option<(Period, Merge<Part>)>,
    files: OpenFiles,
    unreadable: Vec<Unread>,
    /// When the point before the range is, once it was looked for.
    before_ts: Option<i64>,
    /// Set when nobody waits for the rows any more.
    gone: Option<Arc<AtomicBool>>,
    unpacker: Unpacker,
    /// See [`Self::keep_apart`].
    apart: Vec<(i64, i64)>,
    /// Of the period that was begun last, what is not yet handed out.
    summed: VecDeque<Summed>,
}

/// A stretch that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// From when to when, and why.
    pub gap: HistoryGap,
    /// Whether it is not known if the tag has points there: the file may be one of other tags.
    pub in_doubt: bool,
    /// Whether nobody waits for the file any more: [`Historian::give_up`].
    pub given_up: bool,
}

/// Rows of a period that are in one place.
enum Part {
    File(Arc<Segment>, Without<Reader>),
    Memory(Once),
    Unreadable(Unreadable),
}

impl Run for Part {
    fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        match self {
            Self::File(_, rows) => {
                let next = rows.next();
                if next.is_err() {
                    // Its place in the file is lost; it is not kept for the next tag.
                    *self = Self::Unreadable(Unreadable(None));
                }
                next
            }
            Self::Memory(rows) => rows.next(),
            Self::Unreadable(error) => error.next(),
        }
    }
}

/// Fewer rows of a tag in a period are read sooner than their roll-ups: those of neighbouring tags share pages, roll-ups share
/// nothing.
const WORTH_ROWS: u32 = 4096;

/// Where rows of a period are.
enum Place {
    File(Arc<Segment>),
    Memory(Block),
}

/// The most files that stay open from tag to tag: each may hold an unpacked page of each column.
const OPEN_FILES: usize = 64;

/// Files that were read and may be read again.
#[derive(Default)]
struct OpenFiles(Vec<(Arc<Segment>, Reader)>);

impl OpenFiles {
    fn take(&mut self, segment: &Arc<Segment>, footers: &Footers) -> Result<Reader, SegmentError> {
        match self.0.iter().position(|(known, _)| Arc::ptr_eq(known, segment)) {
            Some(at) => Ok(self.0.swap_remove(at).1),
            None => Reader::open(&segment.path, &segment.info, footers),
        }
    }

    fn put_back(&mut self, segment: Arc<Segment>, reader: Reader) {
        if self.0.len() < OPEN_FILES {
            self.0.push((segment, reader));
        }
    }
}

/// What stands for a stretch of points.
pub(crate) enum Piece {
    /// The points.
    Block(Block),
    /// Roll-ups of them.
    Rollups(Rollups),
}

/// What comes next in a scan that may take roll-ups.
pub(crate) enum Stretch<P> {
    /// Points.
    Points(Block),
    /// A whole period.
    Period(P),
}

/// What a scan hands out that is to be summed up.
pub enum Summed {
    /// Points.
    Points(Block),
    /// Sums of neighbouring stretches of points, ascending.
    Sums(Vec<StretchSum>),
}

/// What a scan works on.
struct View {
    /// Every period that has rows in the range, with the files that may hold some, oldest sequence first.
    periods: BTreeMap<Period, Vec<Arc<Segment>>>,
    /// Files that may hold earlier rows.
    earlier: Vec<Arc<Segment>>,
    /// Rows in the range from the buffer being written and the buffer, in this order.
    buffered: [Block; 2],
    /// The last earlier row of each of them.
    buffered_before: [Option<Block>; 2],
    /// Deletes of this tag.
    deletes: Vec<Delete>,
    complete_to: Option<Timestamp>,
    gaps: Arc<Vec<HistoryGap>>,
}

impl Historian {
    /// Begins a scan of the history as it is now; an empty range has no rows. What cannot be read is a gap, not an error.
    #[must_use]
    pub fn scan(self: &Arc<Self>, tag: TagId, from: Timestamp, to: Timestamp) -> Scan {
        let (from, to) = (from.micros(), to.micros());
        let view = self.view(tag.0, from, to);
        let periods = view.periods.keys().copied().collect();
        Scan {
            historian: Arc::clone(self),
            tag: tag.0,
            from,
            to,
            view,
            periods,
            merge: None,
            files: OpenFiles::default(),
            unreadable: Vec::new(),
            before_ts: None,
            gone: None,
            unpacker: Unpacker::default(),
            apart: Vec::new(),
            summed: VecDeque::new(),
        }
    }

    /// Takes hold of everything the scan needs at one instant.
    fn view(&self, tag: u32, from: i64, to: i64) -> View {
        let state = self.state();
        let has_tag = |segment: &&Arc<Segment>| (segment.info.tags.0..=segment.info.tags.1).contains(&tag);
        let mut periods: BTreeMap<Period, Vec<Arc<Segment>>> = BTreeMap::new();
        if from < to {
            for (period, segments) in state.segments.touching(day_of(from), day_of(to)) {
                let touched = segments
                    .iter()
                    .filter(has_tag)
                    .filter(|segment| segment.info.ts.0 < to && segment.info.ts.1 >= from);
                let touched: Vec<Arc<Segment>> = touched.cloned().collect();
                if !touched.is_empty() {
                    periods.insert(period, touched);
                }
            }
        }
        let earlier = state.segments.iter().take_while(|(period, _)| period.first <= day_of(from));
        let earlier = earlier.flat_map(|(_, segments)| segments).filter(has_tag);
        let earlier = earlier.filter(|segment| segment.info.ts.0 < from).cloned().collect();
        let (mut active, active_before) = (state.active.rows(tag, from, to), state.active.last_before(tag, from));
        let frozen = state.frozen.clone();
        let mut rows = frozen.as_ref().map_or_else(Block::empty, |frozen| frozen.buffer.rows(tag, from, to));
        for period in [&rows, &active].into_iter().flat_map(|block| periods_of(&block.ts, &state.segments)) {
            periods.entry(period).or_default();
        }
        let deletes: Vec<Delete> = state.deletes.iter().filter(|delete| delete.tag == tag).copied().collect();
        let (complete_to, gaps) = (state.complete_to, Arc::clone(&state.gaps));
        drop(state);
        let mut before = None;
        if let Some(frozen) = frozen {
            // A delete that came while the buffer was being written.
            let gone = stretches(&deletes, tag, frozen.to);
            rows = crate::merge::without(rows, &gone);
            before = last_kept(&gone, from, |before| Ok(frozen.buffer.last_before(tag, before))).unwrap_or_default();
        }
        // Files hand out blocks without received times, too.
        rows.received_ms = Vec::new();
        active.received_ms = Vec::new();
        View {
            periods,
            earlier,
            buffered: [rows, active],
            buffered_before: [before, active_before],
            deletes,
            complete_to,
            gaps,
        }
    }
}

/// The last row before `from` that is not deleted.
fn last_kept(
    gone: &[(i64, i64)],
    from: i64,
    mut last_before: impl FnMut(i64) -> Result<Option<Block>, SegmentError>,
) -> Result<Option<Block>, SegmentError> {
    let mut bound = from;
    loop {
        let Some(last) = last_before(bound)? else { return Ok(None) };
        let Some(ts) = last.ts.first().copied() else { return Ok(None) };
        match gone.iter().filter(|(from, to)| (*from..*to).contains(&ts)).map(|(from, _)| *from).min() {
            None => return Ok(Some(last)),
            Some(start) => bound = start,
        }
    }
}

impl Scan {
    /// Begins a scan of another tag or time, as [`Historian::scan`] does; files stay open for it.
    pub fn turn_to(&mut self, tag: TagId, from: Timestamp, to: Timestamp) {
        self.end_period();
        let next = self.historian.scan(tag, from, to);
        let before = std::mem::replace(self, next);
        (self.files, self.unpacker, self.gone) = (before.files, before.unpacker, before.gone);
    }

    /// The next points; `None` after the last.
    #[expect(clippy::should_implement_trait, reason = "a scan also answers about gaps while it runs")]
    pub fn next(&mut self) -> Option<Block> {
        loop {
            match self.next_of_period() {
                None if !self.periods.is_empty() => {}
                block => return block,
            }
        }
    }

    /// The next points of the period that was begun, or of the next one; `None` at the end of a period and of the scan.
    fn next_of_period(&mut self) -> Option<Block> {
        loop {
            if self.gone.as_ref().is_some_and(|gone| gone.load(Ordering::Relaxed)) {
                self.periods.clear();
                self.end_period();
                return None;
            }
            if let Some((period, merge)) = &mut self.merge {
                let period = *period;
                match merge.next() {
                    Some(Ok(block)) => return Some(block),
                    Some(Err(error)) => self.note_unreadable(period, &error),
                    None => {
                        self.end_period();
                        return None;
                    }
                }
                continue;
            }
            let period = self.periods.pop_front()?;
            self.merge = Some((period, self.open_period(period)));
        }
    }

    /// Nothing more is wanted of the period that was begun.
    fn end_period(&mut self) {
        let Some((_, merge)) = self.merge.take() else { return };
        for part in merge.into_runs() {
            if let Part::File(segment, rows) = part {
                self.files.put_back(segment, rows.run);
            }
        }
    }

    /// Ends the scan as soon as this is set.
    pub(crate) fn until_gone(&mut self, gone: &Arc<AtomicBool>) {
        self.gone = Some(Arc::clone(gone));
    }

    /// The next points, or what whole minutes or hours add up to where a file says it: of those that begin at a multiple of
    /// `width` none is mixed with what lies before (`None`: all may be). `None` after the last. Uncertain numbers are in no
    /// such sum, so where there are some the points are handed out, and the same where a file was given up: its roll-ups count what
    /// nobody can look at any more.
    pub fn next_summed(&mut self, width: Option<Duration>) -> Option<Summed> {
        let width = width.map(|width| i64::try_from(width.as_micros()).unwrap_or(i64::MAX));
        let fits = |level: &&Level| width.is_none_or(|width| width % level.span() == 0);
        let levels: Vec<Level> = [Level::Hour, Level::Minute].iter().filter(fits).copied().collect();
        loop {
            if let Some(next) = self.summed.pop_front() {
                return Some(next);
            }
            if let Some(period) = self.periods.front().copied().filter(|_| self.merge.is_none()) {
                let known = if levels.is_empty() || self.has_given_up(period) {
                    None
                } else {
                    self.rolled_up(period, &levels).and_then(summed)
                };
                let known = known.or_else(|| Some([Summed::Sums(vec![self.added_up(period, width)?])].into()));
                if let Some(known) = known {
                    self.periods.pop_front();
                    self.summed = known;
                    continue;
                }
            }
            match self.next_of_period() {
                Some(block) => return Some(Summed::Points(block)),
                None if self.periods.is_empty() => return None,
                None => {}
            }
        }
    }

    /// What a period adds up to whose rows are all good numbers, all in the range and all in one file: without their times,
    /// which none of them needs then. `None` for any other, and where rows lie on both sides of a multiple of `width`.
    fn added_up(&mut self, period: Period, width: Option<i64>) -> Option<StretchSum> {
        if self.gone.as_ref().is_some_and(|gone| gone.load(Ordering::Relaxed))
            || self.view.buffered.iter().any(|block| !within(&block.ts, period).is_empty())
        {
            return None;
        }
        let mut alone = None;
        for segment in self.view.periods.get(&period)? {
            match presence(&segment.path, &segment.info, &self.historian.footers, self.tag).ok()? {
                Presence::Absent => {}
                Presence::Within { rows, ts } if alone.is_none() => alone = Some((Arc::clone(segment), rows, ts)),
                Presence::Within { .. } | Presence::Unknown => return None,
            }
        }
        let (segment, rows, (first, last)) = alone?;
        let together = width.is_none_or(|width| first.div_euclid(width) == last.div_euclid(width));
        if first < self.from || last >= self.to || !together || !self.gone(&segment).is_empty() {
            return None;
        }
        let mut reader = self.files.take(&segment, &self.historian.footers).ok()?;
        let mut sum = StretchSum { first, rows: u64::from(rows), numbers: 0, sum: 0.0, extremes: None };
        let mut ordered = true;
        let good = reader.good_numbers(self.tag, |numbers| ordered &= add(&mut sum, &numbers)).ok()?;
        self.files.put_back(segment, reader);
        (good && ordered && sum.numbers == sum.rows).then_some(sum)
    }

    /// The next points, or a whole period in pieces if there are roll-ups of these levels (coarsest first) and `accept` makes
    /// something of them; `None` after the last.
    pub(crate) fn next_stretch<P>(
        &mut self,
        levels: &[Level],
        accept: impl Fn(Vec<Piece>) -> Option<P>,
    ) -> Option<Stretch<P>> {
        loop {
            if let Some(period) = self.periods.front().copied().filter(|_| self.merge.is_none() && !levels.is_empty())
                && let Some(pieces) = self.rolled_up(period, levels).and_then(&accept)
            {
                self.periods.pop_front();
                return Some(Stretch::Period(pieces));
            }
            match self.next_of_period() {
                Some(block) => return Some(Stretch::Points(block)),
                None if self.periods.is_empty() => return None,
                None => {}
            }
        }
    }

    fn has_given_up(&self, period: Period) -> bool {
        self.view.periods.get(&period).is_some_and(|files| files.iter().any(|segment| segment.info.given_up))
    }

    /// A period of many rows in pieces, where its files and what is in memory lie one behind the other in time and the files
    /// have roll-ups of the tag; `None` where the points must be read.
    fn rolled_up(&mut self, period: Period, levels: &[Level]) -> Option<Vec<Piece>> {
        let segments = self.view.periods.get(&period)?.clone();
        let (mut parts, mut in_files) = (Vec::with_capacity(segments.len() + self.view.buffered.len()), 0_u32);
        for segment in segments {
            match presence(&segment.path, &segment.info, &self.historian.footers, self.tag).ok()? {
                Presence::Absent => {}
                Presence::Within { rows, ts } if self.gone(&segment).is_empty() => {
                    in_files = in_files.saturating_add(rows);
                    parts.push((ts, Place::File(segment)));
                }
                Presence::Within { .. } | Presence::Unknown => return None,
            }
        }
        if in_files < WORTH_ROWS {
            return None;
        }
        for block in &self.view.buffered {
            let ours = within(&block.ts, period);
            if let (Some(first), Some(last)) = (block.ts.get(ours.start), block.ts.get(..ours.end)?.last())
                && !ours.is_empty()
            {
                parts.push(((*first, *last), Place::Memory(block.slice(ours))));
            }
        }
        parts.sort_by_key(|(span, _)| *span);
        if parts.windows(2).any(|pair| matches!(pair, [(before, _), (after, _)] if before.1 >= after.0)) {
            return None;
        }
        let mut pieces = Vec::new();
        for (_, part) in parts {
            match part {
                Place::File(segment) => self.rolled_up_file(period, &segment, levels, &mut pieces)?,
                Place::Memory(block) => pieces.push(Piece::Block(block)),
            }
        }
        Some(pieces)
    }

    /// The minutes or hours of a file that lie wholly within the range, and the points at its ends.
    fn rolled_up_file(
        &mut self,
        period: Period,
        segment: &Arc<Segment>,
        levels: &[Level],
        pieces: &mut Vec<Piece>,
    ) -> Option<()> {
        let (start, end) = period.span();
        let info = segment.info.rollup.as_ref()?;
        let path = rollup::path_of(&segment.path);
        let historian = Arc::clone(&self.historian);
        let damaged = |error: &io::Error| historian.note_rollup_damage(segment, error);
        let (file, index) = historian.footers.rollups(&path, info).inspect_err(damaged).ok()?;
        let (from, to) = (self.from.max(start), self.to.min(end));
        let inner = |level: Level| level.number(from.saturating_add(level.span() - 1))..level.number(to);
        let (level, rollups) = levels.iter().find_map(|level| {
            let rollups = index.read(&file, self.tag, *level, inner(*level), &mut self.unpacker);
            Some((*level, rollups.inspect_err(damaged).ok()??))
        })?;
        let whole = inner(level);
        let time = |number: i64| number.saturating_mul(level.span());
        if whole.is_empty() {
            return self.edge(segment, (from, to), pieces);
        }
        let mut reached = from;
        let mut rollups = Some(rollups);
        for part in around(whole.clone(), &self.apart, level) {
            let rollups = match rollups.take().filter(|_| part == whole) {
                Some(rollups) => rollups,
                None => {
                    let rollups = index.read(&file, self.tag, level, part.clone(), &mut self.unpacker);
                    rollups.inspect_err(damaged).ok()??
                }
            };
            self.edge(segment, (reached, time(part.start)), pieces)?;
            pieces.push(Piece::Rollups(rollups));
            reached = time(part.end);
        }
        self.edge(segment, (reached, to), pieces)
    }

    /// The points of a file in this stretch of time.
    fn edge(&mut self, segment: &Arc<Segment>, (from, to): (i64, i64), pieces: &mut Vec<Piece>) -> Option<()> {
        if from >= to {
            return Some(());
        }
        let mut reader = self.files.take(segment, &self.historian.footers).ok()?;
        reader.select(self.tag, Window::Times { from, to }, false).ok()?;
        while let Some(block) = reader.next().ok()? {
            pieces.push(Piece::Block(block));
        }
        self.files.put_back(Arc::clone(segment), reader);
        Some(())
    }

    /// The last point before the range: what a stepped signal held when it began.
    pub fn before(&mut self) -> Option<Block> {
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
        for (age, row) in [u64::MAX - 1, u64::MAX].into_iter().zip(&self.view.buffered_before) {
            if let Some(row) = row {
                reached = offer(row.clone(), age);
            }
        }
        // Files are tried latest first, until none can hold a later row.
        let mut files: Vec<Arc<Segment>> = self.view.earlier.clone();
        files.sort_by_key(|segment| std::cmp::Reverse(segment.info.ts.1));
        for segment in files {
            if segment.info.ts.1 < reached {
                break;
            }
            let gone = self.gone(&segment);
            let last = self.files.take(&segment, &self.historian.footers).and_then(|mut reader| {
                let last = last_kept(&gone, self.from, |before| reader.last_before(self.tag, before))?;
                self.files.put_back(Arc::clone(&segment), reader);
                Ok(last)
            });
            match last {
                Ok(Some(row)) => reached = offer(row, segment.info.to.0),
                Ok(None) => {}
                Err(error) => {
                    self.historian.note_damage(&segment, &error);
                    let Some((span, in_doubt)) = self.historian.span_in(&segment, self.tag) else { continue };
                    // It may have held a later one, so what was found is in doubt up to the range.
                    let given_up = segment.info.given_up;
                    let gap = said(span, &error, given_up);
                    let gap = HistoryGap { to: gap.to.max(Timestamp::from_micros(self.from)), ..gap };
                    self.unreadable.push(Unread { gap, in_doubt, given_up });
                }
            }
        }
        self.before_ts = Some(best.as_ref().map_or(i64::MIN, |(ts, ..)| *ts));
        best.map(|(_, _, block)| block)
    }

    /// Roll-ups that reach into one of these stretches (ascending) are not handed out, their points are.
    pub(crate) fn keep_apart(&mut self, lost: &[Loss]) {
        let within = lost.iter().map(|loss| (loss.from.micros(), loss.to.micros()));
        self.apart = within.filter(|(from, to)| *from < self.to && *to > self.from).collect();
    }

    /// Stretches in which samples were lost, of all time.
    pub(crate) fn losses(&self) -> &[HistoryGap] {
        &self.view.gaps
    }

    /// Stretches within the range in which history is incomplete, as far as it was read.
    #[must_use]
    pub fn gaps(&self) -> Vec<HistoryGap> {
        let (from, to) = (Timestamp::from_micros(self.from), Timestamp::from_micros(self.to));
        // A loss between the point before the range and the range puts that point in doubt.
        let doubtful = |gap: &&HistoryGap| {
            self.before_ts.is_some_and(|before| gap.to.micros() > before) && gap.to < from && gap.from < from
        };
        let doubts = self.view.gaps.iter().filter(doubtful).map(|gap| HistoryGap { to: from, ..gap.clone() });
        let unreadable = self.unreadable.iter().map(|unread| &unread.gap);
        let all = self.view.gaps.iter().chain(unreadable).cloned().chain(doubts);
        joined(all.filter_map(|gap| clip(gap, from, to)).collect())
    }

    /// What could not be read of the range so far, and why.
    #[must_use]
    pub fn unreadable(&self) -> &[Unread] {
        &self.unreadable
    }

    /// Everything received up to here is in the scan.
    #[must_use]
    pub const fn complete_to(&self) -> Option<Timestamp> {
        self.view.complete_to
    }

    fn open_period(&mut self, period: Period) -> Merge<Part> {
        let segments = self.view.periods.get(&period).cloned().unwrap_or_default();
        let mut parts = Vec::with_capacity(segments.len() + self.view.buffered.len());
        for segment in segments {
            let reader = self.files.take(&segment, &self.historian.footers).and_then(|mut reader| {
                reader.select(self.tag, Window::Times { from: self.from, to: self.to }, false)?;
                Ok(reader)
            });
            let stretches = self.gone(&segment);
            parts.push(match reader {
                Ok(run) => Part::File(segment, Without { run, stretches }),
                Err(error) => Part::Unreadable(Unreadable(Some(error))),
            });
        }
        for rows in &self.view.buffered {
            let ours = within(&rows.ts, period);
            if !ours.is_empty() {
                parts.push(Part::Memory(Once(Some(rows.slice(ours)))));
            }
        }
        Merge::new(parts)
    }

    /// What was deleted from a file.
    fn gone(&self, segment: &Segment) -> Arc<[(i64, i64)]> {
        stretches(&self.view.deletes, self.tag, up_to(segment))
    }

    fn note_unreadable(&mut self, period: Period, error: &SegmentError) {
        let segments = self.view.periods.get(&period).map(Vec::as_slice).unwrap_or_default();
        let segment = segments.iter().find(|segment| segment.path == error.path());
        if let Some(segment) = segment {
            self.historian.note_damage(segment, error);
        }
        let span = segment.map_or(Some((period.span(), true)), |segment| self.historian.span_in(segment, self.tag));
        let given_up = segment.is_some_and(|segment| segment.info.given_up);
        let unread = |(span, in_doubt)| Unread { gap: said(span, error, given_up), in_doubt, given_up };
        self.unreadable.extend(span.map(unread));
    }
}

impl Historian {
    /// From the first to the last row of the tag in a file that cannot be read, as far as its footer still tells; else those of all
    /// tags, and whether it is in doubt that the tag is one of them: not so if it has roll-ups beside the file. `None`: it is not.
    pub(crate) fn span_in(&self, segment: &Segment, tag: u32) -> Option<((i64, i64), bool)> {
        let footers = &self.footers;
        match presence(&segment.path, &segment.info, footers, tag) {
            Ok(Presence::Within { ts, .. }) => Some((ts, false)),
            Ok(Presence::Absent) => None,
            Ok(Presence::Unknown) | Err(_) => {
                let path = rollup::path_of(&segment.path);
                let index = segment.info.rollup.as_ref().and_then(|info| footers.rollups(&path, info).ok());
                Some((segment.info.ts, !index.is_some_and(|(_, index)| index.has(tag))))
            }
        }
    }
}

/// The numbers whose minutes or hours touch none of these stretches (ascending).
fn around(numbers: Range<i64>, stretches: &[(i64, i64)], level: Level) -> Vec<Range<i64>> {
    let mut parts = Vec::new();
    let mut start = numbers.start;
    for (from, to) in stretches {
        let end = level.number(*from).min(numbers.end);
        if start < end {
            parts.push(start..end);
        }
        start = start.max(level.number(to.saturating_sub(1)).saturating_add(1));
    }
    if start < numbers.end {
        parts.push(start..numbers.end);
    }
    parts
}

/// What the pieces add up to; `None` where uncertain numbers are among the points.
fn summed(pieces: Vec<Piece>) -> Option<VecDeque<Summed>> {
    let mut summed = VecDeque::with_capacity(pieces.len());
    let mut rollup = Rollup::default();
    for piece in pieces {
        summed.push_back(match piece {
            Piece::Block(block) => Summed::Points(block),
            Piece::Rollups(mut rollups) => {
                let mut sums = Vec::new();
                while rollups.next(&mut rollup).ok()? {
                    sums.extend(rollup.plain_sum()?);
                }
                Summed::Sums(sums)
            }
        });
    }
    Some(summed)
}

/// Adds numbers; `false` if one of them has no order.
#[expect(clippy::cast_precision_loss, reason = "as everywhere that whole numbers are averaged")]
fn add(sum: &mut StretchSum, numbers: &Numbers) -> bool {
    let (count, total, low, high) = match numbers {
        Numbers::Whole(whole, power) => {
            let Some(first) = whole.first() else { return true };
            let (mut total, mut low, mut high) = (0_i128, *first, *first);
            for number in whole {
                total += i128::from(*number);
                low = low.min(*number);
                high = high.max(*number);
            }
            (whole.len(), total as f64 / power, low as f64 / power, high as f64 / power)
        }
        Numbers::Doubles(doubles) => {
            let Some(first) = doubles.first() else { return true };
            let (mut total, mut low, mut high) = (0.0, *first, *first);
            for number in doubles {
                total += number;
                low = if *number < low { *number } else { low };
                high = if *number > high { *number } else { high };
                if number.is_nan() {
                    return false;
                }
            }
            (doubles.len(), total, low, high)
        }
    };
    sum.numbers += count as u64;
    sum.sum += total;
    sum.extremes = Some(sum.extremes.map_or((low, high), |(min, max)| (min.min(low), max.max(high))));
    true
}

/// Later deletes are not yet in the file.
pub(crate) fn up_to(segment: &Segment) -> Seq {
    segment.info.to.max(segment.info.folded)
}

/// The periods that have a part of these ascending times.
fn periods_of<'a>(ts: &'a [i64], periods: &'a Periods) -> impl Iterator<Item = Period> + 'a {
    let mut rest = ts;
    std::iter::from_fn(move || {
        let period = periods.of_day(day_of(*rest.first()?));
        let past = rest.partition_point(|ts| day_of(*ts) < period.end());
        rest = rest.get(past..).unwrap_or_default();
        Some(period)
    })
}

/// Which of these ascending times lie in the period.
fn within(ts: &[i64], period: Period) -> Range<usize> {
    let start = ts.partition_point(|ts| day_of(*ts) < period.first);
    start..ts.partition_point(|ts| day_of(*ts) < period.end())
}

/// What cannot be read of rows from the first to the last of these times, both inclusive.
fn said((from, to): (i64, i64), error: &SegmentError, given_up: bool) -> HistoryGap {
    let then = if given_up { "it was given up" } else { "restore it from a backup" };
    HistoryGap {
        from: Timestamp::from_micros(from),
        to: Timestamp::from_micros(to.saturating_add(1)),
        reason: format!("{}; {then}", in_words(error)),
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
