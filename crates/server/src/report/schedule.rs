//! Reports that the node makes by itself: of each shift or day that is over, once.
//!
//! What is due is worked out from the calendar, from what is kept, and from what could not be made: a kill changes nothing. That a window has one
//! report is held by a unique index, whatever this does. Due is what ended after the last window that a report was made of; windows before it are
//! not looked at, for a calendar of today tells nothing of shifts of last week. A window that cannot be made is owed, and holds up none after it.
//! What was missed while the node was down is made afterwards, the oldest first, of the last [`CAUGHT_UP`]; a schedule that has made none yet
//! begins with the window that ended last.

use super::{For, Of, Reports, in_utc};
use crate::records::complain_of;
use andon_api::ports::NotDone;
use andon_api::ports::reports::{NextReportView, ReportErrorView, ReportScheduleView};
use andon_mes::master::{MasterData, ReportKind, ReportSchedule};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::believed::Believed;
use andon_store::StoreError;
use andon_store::report::{OwedReport, ReportRepository as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What was missed is made afterwards as long as it ended not longer ago.
pub(super) const CAUGHT_UP: Duration = Duration::from_secs(14 * 86_400);
/// The next window is looked for so far ahead.
const AHEAD: Duration = Duration::from_secs(14 * 86_400);
/// How often it is looked which reports are kept long enough, and so many go at once.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
const FORGOTTEN: u32 = 100;
/// A clock that is more than two days ahead of the last time that counted deletes nothing until it has stood by it for a day.
const FAR: i64 = 2 * 86_400_000_000;
const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);
/// How often it is tried again to make what is owed: each time is as much work as a report.
const TRY_EVERY: Duration = Duration::from_secs(60);
/// The time that counts is saved when it is so far behind.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// What is remembered between rounds.
#[derive(Default)]
pub(super) struct Memory {
    /// What could not be done last, by schedule and by what it was.
    errors: BTreeMap<(String, Doing), ReportErrorView>,
    /// When it was last tried to make what is owed, by schedule, by the monotonic clock.
    tried: BTreeMap<String, Duration>,
    /// When kept reports were looked through, by the monotonic clock.
    forgot: Option<Duration>,
    believed: Option<Believed>,
    /// The time that counts, as it was saved last.
    saved: Option<Timestamp>,
}

/// What is done for a schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Doing {
    Make,
    Write,
}

/// What came of what is due.
enum Made {
    /// Nothing is due any more.
    Everything,
    /// Something is still to be read, or is tried again later.
    Waits,
}

/// What a schedule has made, and could not make.
#[derive(Default)]
struct Known {
    windows: BTreeSet<(Timestamp, Timestamp)>,
    /// When the last one ended; nothing is made of what ended before.
    upto: Option<Timestamp>,
    owed: Vec<OwedReport>,
}

/// A window that a schedule makes a report of.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Ended {
    from: Timestamp,
    to: Timestamp,
    shift: Option<String>,
}

impl Ended {
    fn key(&self) -> (Timestamp, Timestamp) {
        (self.to, self.from)
    }

    fn owed(&self) -> OwedReport {
        OwedReport { from: self.from, to: self.to, shift: self.shift.clone() }
    }
}

impl Reports {
    /// Makes what is due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.round(&stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Makes what is due now, writes files, and deletes what was kept long enough.
    pub(super) async fn round(&self, stop: &CancellationToken) {
        let master = self.parts.mes.master_data();
        // Before anything is made: a report bears the time of a clock that may just have leapt.
        let counted = match self.counted(&master).await {
            Ok(counted) => counted,
            Err(error) => return complain_of("no report can be made", &error),
        };
        for (name, schedule) in &master.reports {
            if stop.is_cancelled() {
                return;
            }
            match self.make_due(name, schedule, &master, stop).await {
                Ok(Made::Everything) => self.note(name, Doing::Make, Ok(())),
                // What could not be done before stays told.
                Ok(Made::Waits) => {}
                Err(problem) => self.note(name, Doing::Make, Err(problem)),
            }
        }
        if let Err(error) = self.write_files(&master, stop).await {
            complain_of("files of reports could not be written", &error);
        }
        {
            let mut memory = self.memory();
            memory.errors.retain(|(name, _), _| master.reports.contains_key(name));
            memory.tried.retain(|name, _| master.reports.contains_key(name));
        }
        if let Err(error) = self.forget(&master, counted).await {
            complain_of("reports that were kept long enough could not be deleted", &error);
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what could not be done, and tells of it once.
    pub(super) fn note(&self, name: &str, doing: Doing, done: Result<(), NotDone>) {
        let at_ms = self.now().millis();
        let key = (name.to_owned(), doing);
        let mut memory = self.memory();
        let Err(problem) = done else {
            memory.errors.remove(&key);
            return;
        };
        let text = problem.to_string();
        if memory.errors.get(&key).is_none_or(|known| known.text != text) {
            let what = match doing {
                Doing::Make => "could not be made",
                Doing::Write => "could not be written to its folder",
            };
            self.parts.notes.say("", "report", format!("The report {name} {what}: {text}. It is tried again."));
        }
        memory.errors.insert(key, ReportErrorView { text, at_ms });
    }

    /// What could not be done last for a schedule.
    fn error_of(&self, name: &str) -> Option<ReportErrorView> {
        let memory = self.memory();
        [Doing::Make, Doing::Write].into_iter().find_map(|doing| memory.errors.get(&(name.to_owned(), doing)).cloned())
    }

    /// Forgets what could not be written for schedules but these.
    pub(super) fn written(&self, but: &BTreeSet<String>) {
        self.memory().errors.retain(|(name, doing), _| *doing != Doing::Write || but.contains(name));
    }

    /// Makes what is due. What cannot be made is owed and holds nothing up.
    /// # Errors
    /// The first of what could not be made.
    async fn make_due(
        &self,
        name: &str,
        schedule: &ReportSchedule,
        master: &MasterData,
        stop: &CancellationToken,
    ) -> Result<Made, NotDone> {
        let now = self.now();
        let over = windows_over(schedule, master, now)?;
        let known = self.known(name, now).await?;
        let mut due = due(over, &known);
        let all = due.len();
        if !self.is_to_try(name, &known) {
            due.retain(|window| !known.owed.contains(&window.owed()));
        }
        let mut made = if due.len() == all { Made::Everything } else { Made::Waits };
        let Some(first) = due.first() else { return Ok(made) };
        // What machines said until its end has to be on the floor, and what was recorded in the timeline.
        if self.parts.mes.heard_until() < first.to || !self.is_read(first.to).await? {
            return Ok(Made::Waits);
        }
        let mut problems = Vec::new();
        for window in due {
            if stop.is_cancelled() || self.parts.mes.heard_until() < window.to {
                made = Made::Waits;
                break;
            }
            let owed = window.owed();
            if let Err(problem) = self.make_of(name, schedule, window).await {
                if !known.owed.contains(&owed) {
                    self.parts.store.report_owe(name, owed).await?;
                }
                problems.push(problem);
            }
        }
        problems.into_iter().next().map_or(Ok(made), Err)
    }

    /// Whether it is time to try again to make what is owed.
    fn is_to_try(&self, name: &str, known: &Known) -> bool {
        let monotonic = self.parts.clock.monotonic();
        let mut memory = self.memory();
        let is_time = memory.tried.get(name).is_none_or(|tried| monotonic.saturating_sub(*tried) >= TRY_EVERY);
        if is_time && !known.owed.is_empty() {
            memory.tried.insert(name.to_owned(), monotonic);
        }
        is_time
    }

    async fn make_of(&self, name: &str, schedule: &ReportSchedule, window: Ended) -> Result<(), NotDone> {
        let _turn = self.turn.lock().await;
        let of = Of {
            kind: schedule.kind.word(),
            path: schedule.at.clone(),
            order: String::new(),
            shift: window.shift,
            from: window.from,
            to: window.to,
        };
        let whom = For::Schedule { name: name.to_owned(), folder: schedule.folder.clone() };
        self.keep(of, whom, &Principal::SYSTEM, self.whole_ms()).await.map(drop)
    }

    /// Of which windows a schedule has made reports, and of which it could make none.
    async fn known(&self, name: &str, now: Timestamp) -> Result<Known, StoreError> {
        let (store, since) = (&self.parts.store, now.minus(CAUGHT_UP));
        // What a clock that was ahead has made of times to come is no reason to leave out what comes before.
        let upto = store.report_upto(name, now).await?;
        let windows = store.report_windows(name, since).await?.into_iter().collect();
        Ok(Known { windows, upto, owed: store.reports_owed(name, since).await? })
    }

    /// The time from which the age of reports counts: that of the clock, as far as it can be believed. It is saved, for after a leap the newest
    /// report says what the clock says.
    async fn counted(&self, master: &MasterData) -> Result<Timestamp, StoreError> {
        let known = {
            let memory = self.memory();
            memory.believed.map(|believed| (believed, memory.saved))
        };
        let (mut believed, saved) = match known {
            Some(known) => known,
            None => {
                let saved = self.parts.store.report_counted().await?;
                let last = if saved.is_some() { saved } else { self.newest(master).await? };
                (Believed::new(last.map(Timestamp::micros), FAR), saved)
            }
        };
        let counted = believed.count(self.now().micros(), self.parts.clock.monotonic(), BELIEVED_AFTER);
        if counted.doubted {
            tracing::warn!(
                hours = BELIEVED_AFTER.as_secs() / 3600,
                "the clock is far ahead of when reports were last looked through; none is deleted by it until it has stayed so for these hours"
            );
        }
        let at = Timestamp::from_micros(counted.at);
        let is_to_save = saved.is_none_or(|saved| at < saved || at.since(saved) >= SAVE_EVERY);
        if is_to_save {
            self.parts.store.report_count(at).await?;
        }
        let mut memory = self.memory();
        (memory.believed, memory.saved) = (Some(believed), if is_to_save { Some(at) } else { saved });
        Ok(at)
    }

    /// Deletes reports that their schedules keep no longer, by the time that counts.
    async fn forget(&self, master: &MasterData, counted: Timestamp) -> Result<(), StoreError> {
        let monotonic = self.parts.clock.monotonic();
        {
            let mut memory = self.memory();
            if memory.forgot.is_some_and(|forgot| monotonic.saturating_sub(forgot) < FORGET_EVERY) {
                return Ok(());
            }
            memory.forgot = Some(monotonic);
        }
        for (name, schedule) in &master.reports {
            let Some(keep) = schedule.keep else { continue };
            let most = u64::from(FORGOTTEN);
            while self.parts.store.reports_forget(name, counted.minus(keep), FORGOTTEN).await? >= most {}
        }
        Ok(())
    }

    /// When a schedule made the newest report of all.
    async fn newest(&self, master: &MasterData) -> Result<Option<Timestamp>, StoreError> {
        let mut newest = None;
        for name in master.reports.keys() {
            newest = newest.max(self.parts.store.report_last(name).await?.map(|row| row.made_at));
        }
        Ok(newest)
    }

    pub(super) async fn schedule_views(&self) -> Result<Vec<ReportScheduleView>, NotDone> {
        let (master, now) = (self.parts.mes.master_data(), self.now());
        let mut views = Vec::with_capacity(master.reports.len());
        for (name, schedule) in &master.reports {
            let last = self.parts.store.report_last(name).await?;
            let known = self.known(name, now).await?;
            let over = windows_over(schedule, &master, now).unwrap_or_default();
            let coming = windows(schedule, &master, now.minus(schedule.after), now.plus(AHEAD)).unwrap_or_default();
            let is_coming = |window: &Ended| {
                window.to.plus(schedule.after) > now && !known.windows.contains(&(window.from, window.to))
            };
            let next = due(over, &known).into_iter().chain(coming.into_iter().filter(is_coming)).min_by_key(Ended::key);
            views.push(ReportScheduleView {
                name: name.clone(),
                kind: schedule.kind.word().to_owned(),
                path: schedule.at.clone(),
                after_ms: i64::try_from(schedule.after.as_millis()).unwrap_or(i64::MAX),
                folder: schedule.folder.clone(),
                keep_days: schedule.keep.map(|keep| keep.as_secs() / 86_400),
                last: last.map(|row| self.view(row)),
                next: next.map(|window| NextReportView {
                    from_ms: window.from.millis(),
                    to_ms: window.to.millis(),
                    at_ms: window.to.plus(schedule.after).millis(),
                }),
                error: self.error_of(name),
            });
        }
        Ok(views)
    }
}

/// The windows of a schedule that touch a span, by when they end.
fn windows(
    schedule: &ReportSchedule,
    master: &MasterData,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Ended>, NotDone> {
    let calendar = master.calendar_at(&schedule.at);
    let mut all: Vec<Ended> = match schedule.kind {
        ReportKind::Day => {
            let days = calendar.map_or_else(|| in_utc().days(from, to), |calendar| calendar.days(from, to));
            days.into_iter().map(|(from, to)| Ended { from, to, shift: None }).collect()
        }
        ReportKind::Shift => {
            let calendar = calendar.ok_or_else(|| {
                NotDone::Refused(
                    format!("no machine at or below \"{}\" has a calendar, so that no shift ends there", schedule.at),
                    "name one in a [[machine]]: calendar = \"…\"".to_owned(),
                )
            })?;
            let shift = |shift: andon_mes::calendar::Shift<'_>| Ended {
                from: shift.from,
                to: shift.to,
                shift: Some(shift.name.to_owned()),
            };
            calendar.shifts(from, to).into_iter().map(shift).collect()
        }
    };
    all.sort_by_key(Ended::key);
    // Two shifts of one span are one window.
    all.dedup_by_key(|window| window.key());
    Ok(all)
}

/// Those that are over, with the time that is left for what comes late, and not longer ago than is caught up with.
fn windows_over(schedule: &ReportSchedule, master: &MasterData, now: Timestamp) -> Result<Vec<Ended>, NotDone> {
    let since = now.minus(CAUGHT_UP);
    let mut over = windows(schedule, master, since, now.minus(schedule.after))?;
    over.retain(|window| window.to > since && window.to.plus(schedule.after) <= now);
    Ok(over)
}

/// Of the windows that are over, those that a report is still to be made of, with those that are owed; by when they end.
fn due(over: Vec<Ended>, known: &Known) -> Vec<Ended> {
    let owed = known.owed.iter().cloned().map(|OwedReport { from, to, shift }| Ended { from, to, shift });
    let begin = known.upto.or_else(|| over.last().map(|window| window.to));
    let new = over.iter().filter(|window| begin.is_some_and(|begin| window.to >= begin)).cloned();
    let mut due: Vec<Ended> =
        owed.chain(new).filter(|window| !known.windows.contains(&(window.from, window.to))).collect();
    due.sort_by_key(Ended::key);
    due.dedup_by_key(|window| window.key());
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    fn ended(from: i64, to: i64) -> Ended {
        Ended { from: at(from), to: at(to), shift: None }
    }

    #[test]
    fn shifts_that_overlap_and_end_together_have_a_report_each() {
        let over = || vec![ended(6, 14), ended(10, 14), ended(8, 16)];
        let none = Known::default();
        assert_eq!(due(over(), &none), [ended(8, 16)], "a new schedule begins with the last");
        let of = |windows: &[(i64, i64)], upto| Known {
            windows: windows.iter().map(|(from, to)| (at(*from), at(*to))).collect(),
            upto: Some(at(upto)),
            owed: Vec::new(),
        };
        assert_eq!(due(over(), &of(&[(6, 14)], 14)), [ended(10, 14), ended(8, 16)]);
        assert_eq!(due(over(), &of(&[(8, 16)], 16)), [], "what ended before is not looked at");
        let owed = Known { owed: vec![ended(6, 14).owed()], ..of(&[(8, 16)], 16) };
        assert_eq!(due(over(), &owed), [ended(6, 14)], "but what is owed");
        let made = Known { owed: vec![ended(6, 14).owed()], ..of(&[(6, 14), (8, 16)], 16) };
        assert_eq!(due(over(), &made), []);
    }
}
