//! Stretches of days whose rows share files.
//!
//! A day begins with files of its own. Once its month is over and late data has become rare, days that are small are
//! joined: their rows move into one file, and what comes later for any of them goes into files of the whole period. Several
//! days of such a month that has no file yet are written as one from the beginning. So periods never overlap, every day belongs to exactly one, and within a period everything holds that holds for the
//! files of a day: sequence ranges do not overlap, the newest file wins.

use crate::historian::Segment;
use crate::point::{DAY_US, day_of};
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many days after a month has ended its days are joined.
const SETTLED_DAYS: i64 = 2;

/// Days that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Period {
    /// The first day, counted from 1970-01-01 UTC.
    pub first: i64,
    /// How many days, at least 1.
    pub days: u32,
}

impl Period {
    pub(crate) const fn day(day: i64) -> Self {
        Self { first: day, days: 1 }
    }

    /// The first day behind it.
    pub(crate) fn end(self) -> i64 {
        self.first.saturating_add(i64::from(self.days))
    }

    /// Source times, µs: from the first, inclusive, to the second, which is not part of it but at the end of all time.
    pub(crate) fn span(self) -> (i64, i64) {
        (self.first.saturating_mul(DAY_US), self.end().saturating_mul(DAY_US))
    }

    /// Whether a source time lies in it.
    pub(crate) fn holds(self, ts: i64) -> bool {
        (self.first..self.end()).contains(&day_of(ts))
    }

    /// The name of its folder: `2026-11-22`, `2026-11` for a whole month, else `2026-11-03--2026-11-17` (ISO 8601-1 §5.5.2.3).
    /// For people; the manifest holds the days.
    pub(crate) fn name(self) -> String {
        let day_name = |day: i64| {
            let (year, month, date) = civil(day);
            format!("{year:04}-{month:02}-{date:02}")
        };
        if self.days <= 1 {
            return day_name(self.first);
        }
        let whole = month_of(self.first);
        if whole == self {
            let (year, month, _) = civil(whole.first);
            return format!("{year:04}-{month:02}");
        }
        format!("{}--{}", day_name(self.first), day_name(self.end().saturating_sub(1)))
    }
}

/// The first and the last day of all time begin before and end behind it; they have its name all the same.
fn civil(day: i64) -> (i64, u32, u32) {
    let (year, month, date, ..) = Timestamp::from_micros(day.saturating_mul(DAY_US)).civil();
    (year, month, date)
}

/// The whole month a day lies in.
fn month_of(day: i64) -> Period {
    let (year, month, date) = civil(day);
    let first = day.saturating_sub(i64::from(date) - 1);
    let days = (28..31_u32).find(|days| {
        let (next_year, next_month, _) = civil(first.saturating_add(i64::from(*days)));
        (next_year, next_month) != (year, month)
    });
    Period { first, days: days.unwrap_or(31) }
}

/// Whether a month ended some days, and `later` more, before `today`.
fn is_settled(month: Period, today: i64, later: i64) -> bool {
    month.end().saturating_add(SETTLED_DAYS.max(later)) <= today
}

/// All history files, by period.
#[derive(Default)]
pub(crate) struct Periods(BTreeMap<i64, Files>);

struct Files {
    days: u32,
    /// Oldest sequence first.
    files: Vec<Arc<Segment>>,
}

impl Periods {
    /// As the manifest names them.
    pub(crate) fn of(files: Vec<Arc<Segment>>) -> Self {
        let mut periods = Self::default();
        // The longer ones first: files of single days may belong to them.
        let (long, single): (Vec<_>, Vec<_>) = files.into_iter().partition(|segment| segment.info.days > 1);
        long.into_iter().chain(single).for_each(|segment| periods.push(segment));
        for files in periods.0.values_mut() {
            files.files.sort_by_key(|segment| (segment.info.to, segment.info.from));
        }
        periods
    }

    /// Every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.0.values().flat_map(|files| &files.files)
    }

    /// Every period that has files, ascending, with them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Period, &[Arc<Segment>])> {
        self.0.iter().map(|(first, files)| (Period { first: *first, days: files.days }, files.files.as_slice()))
    }

    /// Those from the one of the first day to that of the last, both included.
    pub(crate) fn touching(&self, first: i64, last: i64) -> impl Iterator<Item = (Period, &[Arc<Segment>])> {
        let first = self.of_day(first).first;
        let range = self.0.range(first..=last.max(first));
        range.map(|(first, files)| (Period { first: *first, days: files.days }, files.files.as_slice()))
    }

    /// The period a day belongs to, also while it has no files.
    pub(crate) fn of_day(&self, day: i64) -> Period {
        let before = self.0.range(..=day).next_back();
        let period = before.map(|(first, files)| Period { first: *first, days: files.days });
        period.filter(|period| day < period.end()).unwrap_or(Period::day(day))
    }

    /// The files of the period a day belongs to.
    pub(crate) fn files_of(&self, day: i64) -> &[Arc<Segment>] {
        self.0.get(&self.of_day(day).first).map(|files| files.files.as_slice()).unwrap_or_default()
    }

    /// The month of a day that has no file yet, if it is over for so long that its days are joined (see [`Periods::to_join`]), or
    /// begins later than in a month: forecasts.
    pub(crate) fn free_month(&self, day: i64, today: i64, later: i64) -> Option<Period> {
        let month = month_of(day);
        let last = month.end().saturating_sub(1);
        let is_far = month.first > today.saturating_add(31);
        ((is_far || is_settled(month, today, later)) && self.touching(month.first, last).next().is_none())
            .then_some(month)
    }

    /// Adds a file that is newer than all others of its period.
    pub(crate) fn push(&mut self, segment: Arc<Segment>) {
        let days = segment.info.days;
        let first = if days > 1 { segment.info.day } else { self.of_day(segment.info.day).first };
        self.0.entry(first).or_insert(Files { days, files: Vec::new() }).files.push(segment);
    }

    /// Where these files, which are neighbours, are in their period; `None` when some of them are gone.
    pub(crate) fn position(&self, chosen: &[Arc<Segment>]) -> Option<usize> {
        let first = chosen.first()?;
        let now = self.files_of(first.info.day);
        let start = now.iter().position(|segment| Arc::ptr_eq(segment, first))?;
        let there = now.get(start..start + chosen.len())?;
        there.iter().zip(chosen).all(|(a, b)| Arc::ptr_eq(a, b)).then_some(start)
    }

    /// Puts `merged` in the place of these neighbours.
    pub(crate) fn replace(&mut self, chosen: &[Arc<Segment>], merged: Option<Arc<Segment>>) {
        let (Some(start), Some(day)) = (self.position(chosen), chosen.first().map(|first| first.info.day)) else {
            return;
        };
        let first = self.of_day(day).first;
        if let Some(files) = self.0.get_mut(&first) {
            files.files.splice(start..start + chosen.len(), merged);
            // A period without files is none; its days are single again.
            if files.files.is_empty() {
                self.0.remove(&first);
            }
        }
    }

    /// Makes one period of all that lie in it: `merged` in place of `chosen`, then what came meanwhile.
    pub(crate) fn join(&mut self, period: Period, chosen: &[Arc<Segment>], merged: Option<Arc<Segment>>) {
        let firsts: Vec<i64> = self.0.range(period.first..period.end()).map(|(first, _)| *first).collect();
        let mut files: Vec<Arc<Segment>> = merged.into_iter().collect();
        let inside: Vec<Files> = firsts.iter().filter_map(|first| self.0.remove(first)).collect();
        let mut newer: Vec<Arc<Segment>> = inside.into_iter().flat_map(|files| files.files).collect();
        newer.retain(|segment| !chosen.iter().any(|other| Arc::ptr_eq(segment, other)));
        newer.sort_by_key(|segment| (segment.info.to, segment.info.from));
        files.extend(newer);
        if !files.is_empty() {
            self.0.insert(period.first, Files { days: period.days, files });
        }
    }

    /// Takes out these files. A period that has none left is none; its days are single again.
    pub(crate) fn remove(&mut self, gone: &[Arc<Segment>]) {
        for segment in gone {
            let first = self.of_day(segment.info.day).first;
            if let Some(files) = self.0.get_mut(&first) {
                files.files.retain(|other| !Arc::ptr_eq(other, segment));
                if files.files.is_empty() {
                    self.0.remove(&first);
                }
            }
        }
    }

    /// Single days to be joined, with what they have: of months that ended some days, and `later` more, before `today`, neighbours
    /// as long as they take at most `bytes` and `rows` together. A day with a damaged file stays alone.
    pub(crate) fn to_join(&self, today: i64, later: i64, bytes: u64, rows: u64) -> Vec<Joining> {
        let mut groups: Vec<Group> = Vec::new();
        for (period, files) in self.iter() {
            let month = month_of(period.first);
            if !is_settled(month, today, later) {
                break;
            }
            let (size, count) = files
                .iter()
                .fold((0, 0), |(bytes, rows), segment| (bytes + segment.info.bytes, rows + segment.info.rows));
            let alone = period.days > 1 || files.iter().any(|segment| segment.is_damaged());
            match groups.last_mut() {
                Some(group)
                    if !alone
                        && !group.closed
                        && group.month == month
                        && group.bytes + size <= bytes
                        && group.rows + count <= rows =>
                {
                    group.days = group.days.saturating_add(u32::try_from(period.end() - group.end()).unwrap_or(0));
                    (group.bytes, group.rows) = (group.bytes + size, group.rows + count);
                    group.files.push(files.to_vec());
                }
                _ => groups.push(Group {
                    month,
                    first: period.first,
                    days: period.days,
                    bytes: size,
                    rows: count,
                    closed: alone,
                    files: vec![files.to_vec()],
                }),
            }
        }
        let in_month = |month: Period| groups.iter().filter(|group| group.month == month).count();
        groups
            .iter()
            .filter(|group| group.files.len() > 1)
            .map(|group| {
                // One that has the month to itself may as well have all of it.
                let own = Period { first: group.first, days: group.days };
                let period = if in_month(group.month) == 1 { group.month } else { own };
                (period, group.files.clone())
            })
            .collect()
    }
}

/// A period to be, and the files of each of those it is made of, in order of time.
pub(crate) type Joining = (Period, Vec<Vec<Arc<Segment>>>);

/// Days that will be joined.
struct Group {
    month: Period,
    first: i64,
    days: u32,
    bytes: u64,
    rows: u64,
    /// Nothing may be added: it is not made of single days.
    closed: bool,
    files: Vec<Vec<Arc<Segment>>>,
}

impl Group {
    fn end(&self) -> i64 {
        self.first.saturating_add(i64::from(self.days))
    }
}
