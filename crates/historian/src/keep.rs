//! How long history is kept, tag by tag.
//!
//! A limit is in days and counts from the day that history has reached ([`Historian::today`]), as far as that can be [believed](Counted).
//! It is looked at period by
//! period: once the whole [period](crate::period) is past a limit, the rows of the tags with that limit go. Where all
//! tags of a file are past theirs the file goes; where some are it is written anew without them, so a period is written
//! once more for each limit that its tags have and that some others outlast.
//!
//! **Invariants**
//! - Within a period files go, or lose rows, oldest first, each with its own manifest: wherever that stops, what is left
//!   of a tag are its newest files, so a value that was replaced never comes back.
//! - Nothing else leaves out rows by age. Whoever has no limit is never written anew.
//! - A file is written anew at most once for each frame of the log, which its name ends with; then it waits for the next.
//! - A file that cannot be read may hold any tag: it, and what is newer in its period, waits for the longest limit.
//! - Days are joined only once every limit below [`JOINS_FROM_DAYS`] is past for their month, so that tags that are kept
//!   for days are not kept for a month more.

use crate::flush::FlushError;
use crate::historian::{Historian, Segment};
use crate::manifest::Manifest;
use crate::period::Period;
use crate::point::{DAY_US, day_of};
use crate::segment::{SegmentError, rows_of_tags};
use andon_model::Believed;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long history is kept. The shorter is the smaller one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Keep {
    /// So many whole UTC days before today.
    Days(u32),
    /// It never goes.
    ForEver,
}

impl Keep {
    /// The first day that is kept; none where all are.
    pub(crate) fn first_kept(self, today: i64) -> Option<i64> {
        match self {
            Self::Days(days) => Some(today.saturating_sub(i64::from(days))),
            Self::ForEver => None,
        }
    }

    /// Whether all days of a period are past it.
    fn is_past(self, period: Period, today: i64) -> bool {
        self.first_kept(today).is_some_and(|first| period.end() <= first)
    }

    /// Whether some day of a period is past it.
    fn touches(self, period: Period, today: i64) -> bool {
        self.first_kept(today).is_some_and(|first| period.first < first)
    }
}

/// How long the history of these tags is kept, by number; for all others [`Options::retention_days`] holds.
///
/// [`Options::retention_days`]: crate::Options::retention_days
pub type Retentions = HashMap<u32, Keep>;

/// A day that is further ahead of the last one than this is not believed at once.
const FAR_AHEAD_DAYS: i64 = 2;

/// The day from which limits count. Readings get the time of the same clock that says which day it is, so that a clock that
/// jumps ahead takes history with it; what it would delete is gone, while everything else it does can be put right.
pub(crate) struct Counted(Believed);

impl Counted {
    /// As it was saved; of an older version, the day that history had reached.
    pub(crate) fn from(manifest: &Manifest) -> Self {
        let reached = manifest.complete_to.map(|reached| day_of(reached.micros()));
        Self(Believed::new(manifest.counted_day.or(reached), FAR_AHEAD_DAYS))
    }

    /// The day that counts when it is `today` by clock and data.
    fn day(&mut self, today: i64, now: Duration, believe_after: Duration) -> i64 {
        let counted = self.0.count(today, now, believe_after);
        if counted.doubted {
            tracing::warn!(
                days = today - counted.at,
                hours = believe_after.as_secs() / 3600,
                "the clock is far ahead of the last day that history knows; nothing is deleted by it until it has stayed so for these hours"
            );
        }
        counted.at
    }
}

/// How much is past a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overdue {
    /// The limit.
    pub keep: Keep,
    /// About how many points in files are older, as of the last tidying: of a file that begins before the limit and ends
    /// behind it, as many as its times suggest.
    pub points: u64,
}

/// Limits below this many days keep days from being joined: in a joined month their rows would stay up to a month more.
pub(crate) const JOINS_FROM_DAYS: u32 = 365;

/// All limits.
pub(crate) struct Rules {
    of_tag: Retentions,
    others: Keep,
    /// Every limit there is, the shortest first.
    all: BTreeSet<Keep>,
}

impl Rules {
    pub(crate) fn new(of_tag: Retentions, others: Keep) -> Self {
        let all = of_tag.values().copied().chain([others]).collect();
        Self { of_tag, others, all }
    }

    fn of(&self, tag: u32) -> Keep {
        self.of_tag.get(&tag).copied().unwrap_or(self.others)
    }

    fn shortest(&self) -> Keep {
        self.all.first().copied().unwrap_or(self.others)
    }

    fn longest(&self) -> Keep {
        self.all.last().copied().unwrap_or(self.others)
    }

    /// So many days after its end a month has lost all that goes early.
    pub(crate) fn joins_after(&self) -> i64 {
        let short = self.all.iter().filter_map(|keep| match keep {
            Keep::Days(days) if *days < JOINS_FROM_DAYS => Some(i64::from(*days)),
            _ => None,
        });
        short.max().unwrap_or(0)
    }
}

/// The tags of a file that have the same limit.
#[derive(Clone, Copy)]
struct Share {
    keep: Keep,
    rows: u64,
    /// First and last time, µs, both inclusive.
    ts: (i64, i64),
}

impl Share {
    /// About how many rows are older than the limit.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate between 0 and the number of rows"
    )]
    fn overdue(&self, today: i64) -> u64 {
        let Some(first) = self.keep.first_kept(today) else { return 0 };
        let (from, to, end) = (self.ts.0, self.ts.1, first.saturating_mul(DAY_US));
        if to < end {
            return self.rows;
        }
        if from >= end {
            return 0;
        }
        let part = end.saturating_sub(from) as f64 / to.saturating_sub(from).max(1) as f64;
        // The last one is not.
        ((self.rows as f64 * part) as u64).min(self.rows.saturating_sub(1))
    }
}

/// The limits, and what is known of files under them.
pub(crate) struct Keeping {
    rules: Arc<Rules>,
    /// Of files that were looked at: they are as these rules have it.
    shares: HashMap<PathBuf, Arc<[Share]>>,
    /// Whether a tidying has looked at all files that these rules can concern.
    looked: bool,
}

impl Keeping {
    fn new(rules: Rules) -> Self {
        Self { rules: Arc::new(rules), shares: HashMap::new(), looked: false }
    }

    /// One limit for all.
    pub(crate) fn of_all(keep: Keep) -> Mutex<Self> {
        Mutex::new(Self::new(Rules::new(Retentions::new(), keep)))
    }
}

/// What becomes of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// No tag is past its time.
    Stays,
    /// All are.
    Goes,
    /// Some are.
    Shrinks,
    /// It cannot be read, and not every limit is past.
    Unknown,
}

/// The tags whose rows are left out when a file of a period is written anew.
pub(crate) struct LeftOut {
    rules: Arc<Rules>,
    period: Period,
    today: i64,
}

impl LeftOut {
    pub(crate) fn has(&self, tag: u32) -> bool {
        self.rules.of(tag).is_past(self.period, self.today)
    }
}

impl Historian {
    /// From now on keeps the history of these tags so long, and that of all others for [`Options::retention_days`]. Call it
    /// before [`Historian::run`], for until then all are others. What is past a new limit goes at the next tidying; what is gone
    /// comes back by no limit.
    ///
    /// Each further limit costs one more write of every period, so there should be few: some dozens at most.
    ///
    /// [`Options::retention_days`]: crate::Options::retention_days
    pub fn keep(&self, retentions: Retentions) {
        let mut keeping = self.keeping();
        if keeping.rules.of_tag != retentions {
            let others = keeping.rules.others;
            *keeping = Keeping::new(Rules::new(retentions, others));
        }
    }

    /// How long the history of tags is kept that have no limit of their own.
    #[must_use]
    pub fn keeps_others(&self) -> Keep {
        self.rules().others
    }

    /// How much is past each limit, the shortest first. Without those that keep for ever. `None`: not looked at yet, since the
    /// start or since the limits changed; the next tidying does.
    #[must_use]
    pub fn overdue(&self) -> Option<Vec<Overdue>> {
        let segments: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        // Before it is known which day it is, nothing is past any.
        let today = self.counted_day().unwrap_or(i64::MIN);
        let keeping = self.keeping();
        if !keeping.looked && !keeping.rules.of_tag.is_empty() {
            return None;
        }
        let limits = keeping.rules.all.iter().copied().filter(|keep| *keep != Keep::ForEver);
        let mut points: BTreeMap<Keep, u64> = limits.map(|keep| (keep, 0)).collect();
        for segment in &segments {
            let whole = [Share { keep: keeping.rules.others, rows: segment.info.rows, ts: segment.info.ts }];
            // One limit for all needs no look into files; with several, what came since the last look is not past any.
            let shares: &[Share] = match keeping.shares.get(&segment.path) {
                Some(shares) => shares,
                None if keeping.rules.of_tag.is_empty() => &whole,
                None => continue,
            };
            for share in shares {
                if let Some(points) = points.get_mut(&share.keep) {
                    *points += share.overdue(today);
                }
            }
        }
        Some(points.into_iter().map(|(keep, points)| Overdue { keep, points }).collect())
    }

    fn keeping(&self) -> MutexGuard<'_, Keeping> {
        self.keeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.keeping().rules)
    }

    /// Whether the limits are still those by which these rows were left out.
    pub(crate) fn still_left_out(&self, left_out: &LeftOut) -> bool {
        Arc::ptr_eq(&self.keeping().rules, &left_out.rules)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The day from which limits counted last.
    pub(crate) fn counted_day(&self) -> Option<i64> {
        self.counted().0.at()
    }

    fn count_from(&self, today: i64) -> i64 {
        self.counted().day(today, self.clock.monotonic(), self.options.believe_after)
    }

    /// Drops files all of whose tags are past their time, and writes those anew of which some are.
    pub(crate) fn drop_old(&self) -> Result<(), FlushError> {
        let Some(today) = self.today().map(|today| self.count_from(today)) else { return Ok(()) };
        let rules = self.rules();
        let shortest = rules.shortest();
        let touched: Vec<(Period, Vec<Arc<Segment>>)> = {
            let state = self.state();
            let old = state.segments.iter().take_while(|(period, _)| shortest.touches(*period, today));
            old.map(|(period, files)| (period, files.to_vec())).collect()
        };
        let (mut gone, mut rest) = (Vec::new(), Vec::new());
        for (period, files) in &touched {
            let fates: Vec<Fate> = files.iter().map(|segment| self.fate(segment, *period, today, &rules)).collect();
            // From the oldest on: see above.
            let whole = fates.iter().take_while(|fate| **fate == Fate::Goes).count();
            gone.extend(files.iter().take(whole).cloned());
            if fates.iter().skip(whole).any(|fate| matches!(fate, Fate::Goes | Fate::Shrinks)) {
                rest.push((*period, files.iter().cloned().zip(fates).skip(whole)));
            }
        }
        self.forget_shares();
        let mut keeping = self.keeping();
        keeping.looked |= Arc::ptr_eq(&keeping.rules, &rules);
        drop(keeping);
        self.drop_files(&gone, today, &rules)?;
        for (period, files) in rest {
            self.shrink(period, files, today, &rules)?;
        }
        Ok(())
    }

    /// What is behind a file that must wait waits too.
    fn shrink(
        &self,
        period: Period,
        files: impl Iterator<Item = (Arc<Segment>, Fate)>,
        today: i64,
        rules: &Arc<Rules>,
    ) -> Result<(), FlushError> {
        let left_out = LeftOut { rules: Arc::clone(rules), period, today };
        for (segment, fate) in files {
            match fate {
                Fate::Stays => {}
                Fate::Goes => self.drop_files(&[segment], today, rules)?,
                Fate::Shrinks => {
                    let segments = self.state().segments.files_of(period.first).to_vec();
                    let at = segments.iter().position(|other| Arc::ptr_eq(other, &segment));
                    let Some(at) = at else { return Ok(()) };
                    if !self.rewrite(period, &segments, at..at + 1, Some(&left_out))? {
                        return Ok(());
                    }
                }
                Fate::Unknown => return Ok(()),
            }
            self.flush_if_due()?;
        }
        Ok(())
    }

    fn fate(&self, segment: &Segment, period: Period, today: i64, rules: &Arc<Rules>) -> Fate {
        if rules.longest().is_past(period, today) {
            return Fate::Goes;
        }
        let shares = match self.shares(segment, rules) {
            Ok(shares) if !segment.is_damaged() => shares,
            Ok(_) => return Fate::Unknown,
            Err(error) => {
                self.note_damage(segment, &error);
                return Fate::Unknown;
            }
        };
        let past = shares.iter().filter(|share| share.keep.is_past(period, today)).count();
        match past {
            0 => Fate::Stays,
            past if past == shares.len() => Fate::Goes,
            _ => Fate::Shrinks,
        }
    }

    /// Which limits the tags of a file have: read once, as long as the limits stay.
    fn shares(&self, segment: &Segment, rules: &Arc<Rules>) -> Result<Arc<[Share]>, SegmentError> {
        if let Some(known) = self.keeping().shares.get(&segment.path) {
            return Ok(Arc::clone(known));
        }
        let mut shares: BTreeMap<Keep, Share> = BTreeMap::new();
        for tag in rows_of_tags(&segment.path, &segment.info, &self.footers)? {
            let keep = rules.of(tag.tag);
            let share = shares.entry(keep).or_insert(Share { keep, rows: 0, ts: tag.ts });
            share.rows = share.rows.saturating_add(tag.rows);
            share.ts = (share.ts.0.min(tag.ts.0), share.ts.1.max(tag.ts.1));
        }
        let shares: Arc<[Share]> = shares.into_values().collect();
        let mut keeping = self.keeping();
        if Arc::ptr_eq(&keeping.rules, rules) {
            keeping.shares.insert(segment.path.clone(), Arc::clone(&shares));
        }
        Ok(shares)
    }

    /// What is known of files that are gone.
    fn forget_shares(&self) {
        let there: HashSet<PathBuf> = self.state().segments.files().map(|segment| segment.path.clone()).collect();
        self.keeping().shares.retain(|path, _| there.contains(path));
    }

    fn drop_files(&self, old: &[Arc<Segment>], today: i64, rules: &Arc<Rules>) -> Result<(), FlushError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if old.is_empty() || !Arc::ptr_eq(&self.rules(), rules) {
            return Ok(());
        }
        // As long as any tag may have history there, what is missing in it is said.
        let first_kept = rules.longest().first_kept(today);
        let first_kept_ts = first_kept.map_or(i64::MIN, |day| day.saturating_mul(DAY_US));
        let mut manifest = self.saved_manifest();
        manifest.files.retain(|info| !old.iter().any(|segment| segment.info == *info));
        manifest.gaps.retain(|gap| gap.to.micros() >= first_kept_ts);
        self.save_manifest(&manifest)?;
        let mut state = self.state();
        state.segments.remove(old);
        Arc::make_mut(&mut state.gaps).retain(|gap| gap.to.micros() >= first_kept_ts);
        state.saved_gaps = manifest.gaps;
        drop(state);
        tracing::info!(files = old.len(), "dropped history past its time");
        self.publish_table();
        self.retire(old);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_limit_comes_first_and_for_ever_last() {
        let rules = Rules::new(Retentions::from([(1, Keep::Days(400)), (2, Keep::ForEver)]), Keep::Days(30));
        assert_eq!(rules.all.iter().copied().collect::<Vec<_>>(), [Keep::Days(30), Keep::Days(400), Keep::ForEver]);
        assert_eq!((rules.shortest(), rules.longest()), (Keep::Days(30), Keep::ForEver));
        assert_eq!((rules.of(1), rules.of(2), rules.of(3)), (Keep::Days(400), Keep::ForEver, Keep::Days(30)));
        assert_eq!(rules.joins_after(), 30, "400 days are long enough to be joined");
    }

    #[test]
    fn a_period_is_past_a_limit_with_its_last_day() {
        let month = Period { first: 0, days: 31 };
        assert!(!Keep::Days(30).is_past(month, 60) && Keep::Days(30).is_past(month, 61));
        assert!(!Keep::Days(30).touches(month, 30) && Keep::Days(30).touches(month, 31));
        assert!(!Keep::ForEver.is_past(month, i64::MAX) && !Keep::ForEver.touches(month, i64::MAX));
        assert!(!Keep::Days(u32::MAX).is_past(Period::day(i64::MIN), i64::MIN));
    }

    #[test]
    fn what_is_past_within_a_file_is_told_by_its_times() {
        let share = |keep, ts| Share { keep, rows: 100, ts };
        let month = (0, 30 * DAY_US);
        assert_eq!(share(Keep::Days(10), month).overdue(40), 99, "the last point lies on the limit");
        assert_eq!(share(Keep::Days(10), month).overdue(25), 50);
        assert_eq!(share(Keep::Days(10), month).overdue(10), 0);
        assert_eq!(share(Keep::Days(10), (5, 5)).overdue(11), 100);
        assert_eq!(share(Keep::ForEver, month).overdue(i64::MAX), 0);
        assert!(share(Keep::Days(0), (i64::MIN, i64::MAX)).overdue(0) <= 100);
    }
}
